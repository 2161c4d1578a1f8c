//! Batches: which is open, who is in it, and its call.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::asker;
use super::cache::Cache;
use super::call::LoadCtx;
use super::inner::Inner;
use super::plugin::BatchEvent;
use super::runtime::Runtime;
use super::shared_task::{Joined, SharedTask};
use crate::core::Node;
use crate::error::LoadError;
use crate::time::{Timestamp, Ttl};

pub(super) type Load<K, V> = Box<dyn Fn(Vec<K>, Vec<LoadCtx<V>>) -> LocalBoxFuture<'static, Vec<Result<V, LoadError>>>>;

/// What the handles of one batched cache share.
pub(super) struct Batching<K, V, R: Runtime> {
    cache: Cache<K, V, R>,
    load: Load<K, V>,
    max_batch_size: Cell<usize>,
    /// In milliseconds; `None`: until the end of the turn.
    window: Cell<Option<u64>>,
    open: RefCell<Option<Open<K, V, R>>>,
    /// Whether a get is being polled that will end its turn itself.
    attending: Cell<bool>,
    /// How many places were taken so far.
    taken: Cell<u64>,
    hasher: DefaultHashBuilder,
}

/// The batch that takes more keys, and the task that will load it.
struct Open<K, V, R: Runtime> {
    batch: Rc<Batch<K, V>>,
    task: SharedTask<R>,
}

struct Batch<K, V> {
    node: Node,
    places: RefCell<Vec<Place<K, V>>>,
    /// Places by key. A key comes twice while its batch is open if it is removed in between.
    index: RefCell<HashTable<usize>>,
    closed: Cell<bool>,
    /// Somebody in it will close it, so that no timer need.
    attended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether the one who closes it may wake it: not if that may be another request.
    may_be_woken: bool,
    /// How many loads wait for it.
    waiting: Rc<Cell<usize>>,
    /// Until then it takes keys; `None`: until the turn is over.
    open_until: Option<Timestamp>,
}

struct Place<K, V> {
    key: K,
    hash: u64,
    ctx: LoadCtx<V>,
    part: Rc<Part<V>>,
}

/// What one key has in a batch.
struct Part<V> {
    result: OnceCell<Result<V, LoadError>>,
    /// What the batch says of this value.
    ctx: RefCell<LoadCtx<V>>,
    /// How many loads want it. Without any it is not in the call.
    loads: Cell<u32>,
}

/// Where the end of a turn can't be seen, it is over after so many milliseconds.
const TURN: u64 = 1;

/// In how many batches a key is tried that are lost.
const TRIES: u32 = 10;

impl<K, V, R: Runtime> Batching<K, V, R> {
    pub fn new(cache: Cache<K, V, R>, load: Load<K, V>) -> Self {
        Self {
            cache,
            load,
            max_batch_size: Cell::new(usize::MAX),
            window: Cell::new(None),
            open: RefCell::new(None),
            attending: Cell::new(false),
            taken: Cell::new(0),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub fn set_max_batch_size(&self, keys: usize) {
        self.max_batch_size.set(keys.max(1));
    }

    pub fn set_window(&self, window: Duration) {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.window.set(Some(millis).filter(|millis| *millis > 0));
    }

    pub fn cache(&self) -> &Cache<K, V, R> {
        &self.cache
    }

    /// Whether a batch ends with the turn of those who are in it.
    pub fn is_by_turn(&self) -> bool {
        self.window.get().is_none()
    }

    /// Polls gets. If they went into a batch, what they wait in until their turn is over.
    pub fn attend<T>(self: &Rc<Self>, poll: impl FnOnce() -> T) -> (T, Option<Turn<K, V, R>>) {
        if R::DETACHED {
            // The loader has not been polled yet; it will be before the turn is over.
            return (poll(), Some(Turn(Joins::Any(self.clone()))));
        }
        let taken = self.taken.get();
        // Taken back by a drop, so that it is right after a panic too.
        let attending = Attending { flag: &self.attending, before: self.attending.replace(true) };
        let polled = poll();
        drop(attending);
        let open = self.open.borrow();
        let joined = open.as_ref().filter(|_| self.taken.get() != taken);
        (polled, joined.map(|open| Turn(Joins::This(open.batch.clone()))))
    }
}

struct Attending<'a> {
    flag: &'a Cell<bool>,
    before: bool,
}

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        self.flag.set(self.before);
    }
}

/// What a get waits in until its turn is over; its drop ends the turn.
pub(super) struct Turn<K, V, R: Runtime>(Joins<K, V, R>);

enum Joins<K, V, R: Runtime> {
    This(Rc<Batch<K, V>>),
    /// Whichever is open then.
    Any(Rc<Batching<K, V, R>>),
}

impl<K, V, R: Runtime> Drop for Turn<K, V, R> {
    fn drop(&mut self) {
        let batch = match &self.0 {
            Joins::This(batch) => Some(batch.clone()),
            Joins::Any(batching) => batching.open.borrow().as_ref().map(|open| open.batch.clone()),
        };
        if let Some(batch) = batch {
            batch.close();
        }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batching<K, V, R> {
    /// The loader of one key.
    pub async fn load_one(self: Rc<Self>, key: K, ctx: LoadCtx<V>) -> Result<V, LoadError> {
        let inner = &self.cache.inner;
        // A batch may be lost with the request that made its call; the key then goes into another.
        for _ in 0..TRIES {
            let (batch, joined, part) = self.take_place(key.clone(), ctx.clone());
            let leaving = Leaving(part, batch.waiting.clone());
            if let Some(Node::Flight(flight)) = asker::current(inner.address())
                && inner.with(|table| table.machine.wait_for_batch(flight, batch.node)) == Some(false)
            {
                return Err(LoadError::Recursive);
            }
            joined.await;
            if let Some(result) = leaving.0.result.get() {
                ctx.adopt(&leaving.0.ctx.borrow());
                return result.clone();
            }
            // Lost before its call, it would take more keys for ever.
            batch.closed.set(true);
        }
        Err(LoadError::Lost)
    }

    #[expect(clippy::type_complexity, reason = "three things that belong to one place")]
    fn take_place(self: &Rc<Self>, key: K, ctx: LoadCtx<V>) -> (Rc<Batch<K, V>>, Joined<R>, Rc<Part<V>>) {
        let hash = self.hasher.hash_one(&key);
        // Taken out, since keys' `Eq` is the user's code.
        // Where all have left nobody drives it, so that it may be open past its time.
        let now = self.cache.inner.now();
        let open = self.open.take().filter(|open| !open.batch.closed.get() && open.batch.takes_keys(now));
        let open = open.unwrap_or_else(|| self.new_batch());
        let part = open.batch.take_place(hash, key, ctx);
        open.batch.waiting.set(open.batch.waiting.get() + 1);
        self.taken.set(self.taken.get() + 1);
        if self.attending.get() {
            open.batch.attended.set(true);
        }
        let (batch, joined) = (open.batch.clone(), open.task.join());
        let full = batch.places.borrow().len() >= self.max_batch_size.get();
        match full {
            true => batch.close(),
            false => *self.open.borrow_mut() = Some(open),
        }
        (batch, joined, part)
    }

    fn new_batch(self: &Rc<Self>) -> Open<K, V, R> {
        let inner = &self.cache.inner;
        let batch = Rc::new(Batch {
            // The cache is never borrowed here: a loader is running.
            node: inner.with(|table| table.machine.new_batch()).unwrap_or(Node::Batch(0)),
            places: RefCell::default(),
            index: RefCell::default(),
            closed: Cell::new(false),
            attended: Cell::new(false),
            waker: RefCell::default(),
            may_be_woken: !R::DETACHED || self.is_by_turn(),
            waiting: Rc::default(),
            open_until: self.window.get().map(|window| inner.now().after(Ttl::Millis(window))),
        });
        let window = inner.runtime.sleep(self.window.get().unwrap_or(TURN));
        let task = run(Rc::downgrade(self), batch.clone(), window);
        Open { batch, task: SharedTask::new(&inner.runtime, Box::pin(task)) }
    }

    /// The call.
    async fn call(self: Rc<Self>, batch: &Batch<K, V>) {
        // The open batch holds its task, and this is that.
        let is_open = |open: &Open<K, V, R>| std::ptr::eq(&*open.batch, batch);
        let opened = self.open.borrow_mut().take_if(|open| is_open(open));
        drop(opened);
        let (mut keys, mut ctxs, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for Place { key, ctx, part, .. } in batch.places.take() {
            if part.loads.get() > 0 {
                keys.push(key);
                ctxs.push(ctx);
                parts.push(part);
            }
        }
        if keys.is_empty() {
            return;
        }
        let (inner, handle) = (&self.cache.inner, &self.cache.handle);
        inner.with(|table| table.machine.count_batch(handle.namespace, parts.len() as u64));
        let told_keys = if inner.has_plugins() { keys.clone() } else { Vec::new() };
        let began = inner.now();
        let brought = {
            let _ended = Ended { inner: Rc::downgrade(inner), node: batch.node };
            let loader = pin!(async { (self.load)(keys, ctxs).await });
            asker::Known::new(inner.address(), batch.node, loader).await
        };
        let ended = inner.now();
        let duration = Duration::from_millis(ended.millis_since(began));
        let (keys, results) = (parts.len(), brought.len());
        let error = (keys != results).then_some(LoadError::Batch { keys, results });
        match &error {
            None => {
                for (part, result) in parts.iter().zip(brought) {
                    // Whoever drives a key's own load may come to it later.
                    part.ctx.borrow().set_loaded_at(ended);
                    let _ = part.result.set(result);
                }
            }
            Some(error) => {
                for part in &parts {
                    let _ = part.result.set(Err(error.clone()));
                }
            }
        }
        let event = BatchEvent { keys: &told_keys, duration, error: error.as_ref(), place: &handle.place };
        inner.notify(|plugin| plugin.batch(&event));
    }
}

/// Tells the machine that a batch waits for nothing any more.
struct Ended<K: Hash + Eq, V, R: Runtime> {
    inner: Weak<Inner<K, V, R>>,
    node: Node,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Ended<K, V, R> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            inner.with(|table| table.machine.batch_ended(self.node));
        }
    }
}

/// The task that all in a batch wait for.
async fn run<K, V, R>(batching: Weak<Batching<K, V, R>>, batch: Rc<Batch<K, V>>, window: impl Future<Output = ()>)
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    R: Runtime,
{
    {
        let mut window = pin!(window);
        std::future::poll_fn(|cx| {
            if batch.closed.get() {
                return Poll::Ready(());
            }
            *batch.waker.borrow_mut() = Some(cx.waker().clone());
            if batch.attended.get() { Poll::Pending } else { window.as_mut().poll(cx) }
        })
        .await;
    }
    batch.closed.set(true);
    if let Some(batching) = batching.upgrade() {
        batching.call(&batch).await;
    }
}

impl<K, V> Batch<K, V> {
    fn takes_keys(&self, now: Timestamp) -> bool {
        self.waiting.get() > 0 || self.open_until.is_some_and(|until| now < until)
    }

    fn close(&self) {
        self.closed.set(true);
        if let Some(waker) = self.waker.take().filter(|_| self.may_be_woken) {
            waker.wake();
        }
    }
}

impl<K: Eq, V> Batch<K, V> {
    /// Takes a place for a key, or a share of the one that it has.
    fn take_place(&self, hash: u64, key: K, ctx: LoadCtx<V>) -> Rc<Part<V>> {
        let known = match (self.places.try_borrow(), self.index.try_borrow()) {
            (Ok(places), Ok(index)) => {
                index.find(hash, |number| places.get(*number).is_some_and(|place| place.key == key)).copied()
            }
            _ => None,
        };
        let mut places = self.places.borrow_mut();
        if let Some(place) = known.and_then(|number| places.get_mut(number)) {
            // The call is still to come, so that it will do for both. The older load's last good value would not.
            place.ctx = ctx.clone();
            let part = &place.part;
            part.loads.set(part.loads.get() + 1);
            *part.ctx.borrow_mut() = ctx;
            return part.clone();
        }
        let part = Part { result: OnceCell::new(), ctx: RefCell::new(ctx.clone()), loads: Cell::new(1) };
        let part = Rc::new(part);
        let number = places.len();
        places.push(Place { key, hash, ctx, part: part.clone() });
        let hash_of = |number: &usize| places.get(*number).map_or(0, |place| place.hash);
        self.index.borrow_mut().insert_unique(hash, number, hash_of);
        part
    }
}

/// A load that is dropped before its batch is called is not in it.
struct Leaving<V>(Rc<Part<V>>, Rc<Cell<usize>>);

impl<V> Drop for Leaving<V> {
    fn drop(&mut self) {
        self.0.loads.set(self.0.loads.get().saturating_sub(1));
        self.1.set(self.1.get().saturating_sub(1));
    }
}
