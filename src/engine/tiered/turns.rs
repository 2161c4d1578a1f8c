//! Reads and writes that take more until their turn is over.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::task::Poll;

use hashbrown::HashMap;

use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::tier::{self, Found, Read};
use crate::tiers::TierEntry;

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

/// A write that takes more entries until it goes.
pub(super) struct Writing<R: Runtime> {
    pub entries: Rc<RefCell<Entries>>,
    pub task: Rc<SharedTask<R>>,
}

/// What is written together, of each name the last: which of two written at once stays would be the store's to choose.
#[derive(Default)]
pub(super) struct Entries {
    pub all: Vec<TierEntry>,
    places: HashMap<Rc<str>, usize>,
    /// How many bytes they have.
    pub bytes: usize,
    /// The same with those that others took the place of.
    pub announced: usize,
}

impl Entries {
    /// `false` if they would have more than `most` bytes.
    pub fn add(&mut self, entry: TierEntry, most: usize) -> bool {
        let place = self.places.get(&entry.name).copied();
        let before = place.and_then(|place| self.all.get_mut(place));
        let length = entry.bytes.len();
        let bytes = self.bytes.saturating_sub(before.as_ref().map_or(0, |before| before.bytes.len()));
        let bytes = bytes.saturating_add(length);
        if bytes > most {
            return false;
        }
        (self.bytes, self.announced) = (bytes, self.announced.saturating_add(length));
        match before {
            Some(before) => *before = entry,
            None => {
                self.places.insert(entry.name.clone(), self.all.len());
                self.all.push(entry);
            }
        }
        true
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
