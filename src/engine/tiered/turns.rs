//! Reads and writes that take more until their turn is over.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use hashbrown::HashMap;

use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tier::{self, Found, Read, Written};
use crate::tiers::TierEntry;
use crate::time::Timestamp;

/// A key that is asked for.
pub(super) struct ReadRequest {
    pub place: tier::Place,
    pub key: String,
}

/// What the tiers have of a key.
pub(super) struct TierValue {
    pub found: Found,
    /// Whether it is the answer; else it may stand in for a load that fails.
    pub is_answer: bool,
    pub bytes: Rc<[u8]>,
}

impl TierValue {
    pub fn payload(&self) -> Option<&[u8]> {
        self.bytes.get(self.found.payload.clone())
    }
}

/// A read that takes more keys until it goes.
pub(super) struct Reading<R: Runtime> {
    pub group: Rc<Group>,
    pub task: Rc<SharedTask<R>>,
}

#[derive(Default)]
pub(super) struct Group {
    pub asked: RefCell<Vec<ReadRequest>>,
    pub ended: OnceCell<FinishedRead>,
}

pub(super) struct FinishedRead {
    pub read: Read,
    /// By tier and name.
    pub brought: Vec<HashMap<String, Rc<[u8]>>>,
}

impl FinishedRead {
    pub fn bytes(&self, tier: usize, item: usize) -> Option<Rc<[u8]>> {
        self.brought.get(tier)?.get(self.read.name(item)?).cloned()
    }
}

/// What is to be written to a tier.
#[derive(Clone)]
pub(super) struct NewBytes {
    pub name: Rc<str>,
    pub bytes: Rc<[u8]>,
    /// After so many milliseconds the store may drop them.
    pub ttl: u64,
    /// See [`tier::Written`].
    pub generation: Timestamp,
    pub number: Option<u64>,
    pub replaces: bool,
}

impl NewBytes {
    pub fn written(&self) -> Written<'_> {
        Written { name: &self.name, generation: self.generation, number: self.number, replaces: self.replaces }
    }

    pub fn entry(&self) -> TierEntry {
        let (name, bytes) = (self.name.clone(), self.bytes.clone());
        TierEntry { name, bytes, ttl: Duration::from_millis(self.ttl) }
    }

    /// Takes the place of another that is not written.
    fn overtake(&mut self, before: &Self) {
        self.replaces |= before.replaces;
    }
}

/// A write that takes more values until it goes.
pub(super) struct Writing<R: Runtime> {
    pub batch: Rc<Batch>,
    pub task: Rc<SharedTask<R>>,
}

impl<R: Runtime> Clone for Writing<R> {
    fn clone(&self) -> Self {
        Self { batch: self.batch.clone(), task: self.task.clone() }
    }
}

/// What is written together, and what comes after that.
pub(super) struct Batch {
    pub values: RefCell<Values>,
    /// What is written when these are, by name.
    pub next: RefCell<HashMap<Rc<str>, NewBytes>>,
    /// By when it has ended, or was lost with its request.
    pub until: Timestamp,
}

impl Batch {
    pub fn new(until: Timestamp) -> Rc<Self> {
        Rc::new(Self { values: RefCell::default(), next: RefCell::default(), until })
    }

    /// Has a value written after these; the one in whose place it comes.
    pub fn add_next(&self, mut value: NewBytes) -> Option<NewBytes> {
        let mut next = self.next.borrow_mut();
        let before = next.remove(&value.name);
        before.iter().for_each(|before| value.overtake(before));
        next.insert(value.name.clone(), value);
        before
    }
}

/// Of each name one.
#[derive(Default)]
pub(super) struct Values {
    pub all: Vec<NewBytes>,
    places: HashMap<Rc<str>, usize>,
    pub bytes: usize,
}

impl Values {
    /// The value in whose place it comes, if any; gives it back if they would have more than `most` bytes.
    pub fn add(&mut self, mut value: NewBytes, most: usize) -> Result<Option<NewBytes>, NewBytes> {
        let place = self.places.get(&value.name).copied();
        let before = place.and_then(|place| self.all.get_mut(place));
        let bytes = self.bytes.saturating_sub(before.as_ref().map_or(0, |before| before.bytes.len()));
        let bytes = bytes.saturating_add(value.bytes.len());
        if bytes > most {
            return Err(value);
        }
        self.bytes = bytes;
        match before {
            Some(before) => {
                value.overtake(before);
                Ok(Some(std::mem::replace(before, value)))
            }
            None => {
                self.places.insert(value.name.clone(), self.all.len());
                self.all.push(value);
                Ok(None)
            }
        }
    }
}

/// What is on its way to a tier. Of two values of one name the later is written when the one before has been, since either
/// may arrive first.
pub(super) struct Outbox<R: Runtime> {
    /// The write that takes more.
    open: Option<Writing<R>>,
    /// Of each name that is being written its last write.
    writes: HashMap<Rc<str>, Writing<R>>,
    /// Who waits to write the next value of a name. In Workers that is everyone who has one, since any may be lost.
    waiting: HashMap<Rc<str>, Rc<SharedTask<R>>>,
    /// With more of them those are looked for that were lost with their request.
    most: usize,
}

impl<R: Runtime> Default for Outbox<R> {
    fn default() -> Self {
        Self { open: None, writes: HashMap::new(), waiting: HashMap::new(), most: 64 }
    }
}

impl<R: Runtime> Outbox<R> {
    /// The write that takes more values.
    pub fn open(&self) -> Option<Writing<R>> {
        self.open.clone().filter(|writing| !writing.task.is_over())
    }

    /// The write after which a value of this name is to be written.
    pub fn before(&self, name: &str, now: Timestamp) -> Option<Writing<R>> {
        let last = self.writes.get(name)?;
        let is_open = self.open.as_ref().is_some_and(|open| Rc::ptr_eq(&open.batch, &last.batch));
        // Who waits for it goes first.
        let has_next = || last.batch.next.borrow().contains_key(name);
        let goes_on = !last.task.is_over() && (last.batch.until > now || !R::DETACHED);
        (!is_open && (goes_on || has_next())).then(|| last.clone())
    }

    /// Who writes the next value of a name, for all who come meanwhile.
    pub fn waiting(&self, name: &str) -> Option<Rc<SharedTask<R>>> {
        self.waiting.get(name).filter(|task| !task.is_over()).cloned()
    }

    /// Somebody waits to write the next value of a name; what need not be known any more.
    pub fn waits(&mut self, name: Rc<str>, task: Rc<SharedTask<R>>) -> Option<Rc<SharedTask<R>>> {
        if R::DETACHED { Some(task) } else { self.waiting.insert(name, task) }
    }

    /// Nobody waits for that any more.
    pub fn waits_no_more(&mut self, name: &str) -> Option<Rc<SharedTask<R>>> {
        self.waiting.remove(name)
    }

    /// A value of this name is in the open write; what need not be known any more.
    pub fn begun(&mut self, name: Rc<str>, writing: Writing<R>, now: Timestamp) -> Vec<Writing<R>> {
        self.open = Some(writing.clone());
        let mut old: Vec<_> = self.writes.insert(name, writing).into_iter().collect();
        if self.writes.len() > self.most {
            let lost =
                |_: &Rc<str>, write: &mut Writing<R>| write.task.is_over() || R::DETACHED && write.batch.until <= now;
            old.extend(self.writes.extract_if(lost).map(|(_, write)| write));
            self.most = 64.max(2 * self.writes.len());
        }
        old
    }

    /// A write takes no more.
    pub fn closed(&mut self, batch: &Rc<Batch>) -> Option<Writing<R>> {
        self.open.take_if(|open| Rc::ptr_eq(&open.batch, batch))
    }

    /// It has ended.
    pub fn ended(&mut self, batch: &Rc<Batch>, values: &[NewBytes]) -> Vec<Writing<R>> {
        let next = batch.next.borrow();
        let is_done = |name: &str| {
            self.writes.get(name).is_some_and(|last| Rc::ptr_eq(&last.batch, batch)) && !next.contains_key(name)
        };
        let done: Vec<_> = values.iter().map(|value| &value.name).filter(|name| is_done(name)).collect();
        done.into_iter().filter_map(|name| self.writes.remove(name)).collect()
    }
}

/// Ends when the one who waits is polled again, by an executor that has then polled all others who were ready.
pub(super) async fn next_turn() {
    let mut is_next = false;
    std::future::poll_fn(|cx| {
        if std::mem::replace(&mut is_next, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
