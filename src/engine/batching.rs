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
use crate::core::{BatchId, Batches, Goes, Node};
use crate::error::LoadError;
use crate::time::Timestamp;

pub(super) type Load<K, V> = Box<dyn Fn(Vec<K>, Vec<LoadCtx<V>>) -> LocalBoxFuture<'static, Vec<Result<V, LoadError>>>>;

/// What the handles of one batched cache share.
pub(super) struct Batching<K, V, R: Runtime> {
    cache: Cache<K, V, R>,
    load: Load<K, V>,
    batches: RefCell<Batches>,
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
    id: BatchId,
    node: Node,
    places: RefCell<Vec<Place<K, V>>>,
    /// Places by key. A key comes twice while its batch is open if it is removed in between.
    index: RefCell<HashTable<usize>>,
    /// Somebody in it will close it, so that no timer need.
    attended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// Whether the one who closes it may wake it: not if that may be another request.
    may_be_woken: bool,
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

impl<K, V, R: Runtime> Batching<K, V, R> {
    pub fn new(cache: Cache<K, V, R>, load: Load<K, V>) -> Self {
        Self {
            cache,
            load,
            batches: RefCell::default(),
            open: RefCell::new(None),
            attending: Cell::new(false),
            taken: Cell::new(0),
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub fn set_max_batch_size(&self, keys: usize) {
        self.batches.borrow_mut().set_max_size(keys);
    }

    pub fn set_window(&self, window: Duration) {
        self.batches.borrow_mut().set_window(u64::try_from(window.as_millis()).unwrap_or(u64::MAX));
    }

    pub fn cache(&self) -> &Cache<K, V, R> {
        &self.cache
    }

    /// Whether a batch ends with the turn of those who are in it.
    pub fn is_by_turn(&self) -> bool {
        self.batches.borrow().window().is_none()
    }

    /// The batch takes no more keys, and goes.
    fn close(&self, batch: &Batch<K, V>) {
        self.batches.borrow_mut().close(batch.id);
        if let Some(waker) = batch.waker.take().filter(|_| batch.may_be_woken) {
            waker.wake();
        }
    }

    /// Polls gets. If they went into a batch, what they wait in until their turn is over.
    pub fn attend<T>(self: &Rc<Self>, poll: impl FnOnce() -> T) -> (T, Option<Turn<K, V, R>>) {
        if R::DETACHED {
            // The loader has not been polled yet; it will be before the turn is over.
            return (poll(), Some(Turn { batching: self.clone(), batch: None }));
        }
        let taken = self.taken.get();
        // Taken back by a drop, so that it is right after a panic too.
        let attending = Attending { flag: &self.attending, before: self.attending.replace(true) };
        let polled = poll();
        drop(attending);
        let open = self.open.borrow();
        let joined = open.as_ref().filter(|_| self.taken.get() != taken);
        (polled, joined.map(|open| Turn { batching: self.clone(), batch: Some(open.batch.clone()) }))
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
pub(super) struct Turn<K, V, R: Runtime> {
    batching: Rc<Batching<K, V, R>>,
    /// `None`: whichever is open then.
    batch: Option<Rc<Batch<K, V>>>,
}

impl<K, V, R: Runtime> Drop for Turn<K, V, R> {
    fn drop(&mut self) {
        let open = || self.batching.open.borrow().as_ref().map(|open| open.batch.clone());
        if let Some(batch) = self.batch.take().or_else(open) {
            self.batching.close(&batch);
        }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batching<K, V, R> {
    /// The loader of one key.
    pub async fn load_one(self: Rc<Self>, key: K, ctx: LoadCtx<V>) -> Result<V, LoadError> {
        let inner = &self.cache.inner;
        // A batch may be lost with the request that made its call; the key then goes into another.
        for tries in 1.. {
            let (batch, joined, part) = self.take_place(key.clone(), ctx.clone());
            let leaving = Leaving { batching: self.clone(), batch: batch.id, part };
            if let Some(Node::Flight(flight)) = asker::current(inner.address())
                && inner.with(|table| table.machine.wait_for_batch(flight, batch.node)) == Some(false)
            {
                return Err(LoadError::Recursive);
            }
            joined.await;
            if let Some(result) = leaving.part.result.get() {
                ctx.adopt(&leaving.part.ctx.borrow());
                return result.clone();
            }
            if !self.batches.borrow_mut().lost(batch.id, tries) {
                break;
            }
        }
        Err(LoadError::Lost)
    }

    #[expect(clippy::type_complexity, reason = "three things that belong to one place")]
    fn take_place(self: &Rc<Self>, key: K, ctx: LoadCtx<V>) -> (Rc<Batch<K, V>>, Joined<R>, Rc<Part<V>>) {
        let hash = self.hasher.hash_one(&key);
        // Taken out, since keys' `Eq` is the user's code.
        let now = self.cache.inner.now();
        let open = self.open.take().filter(|open| self.batches.borrow().takes(open.batch.id, now));
        let open = open.unwrap_or_else(|| self.new_batch(now));
        let (part, has) = open.batch.take_place(hash, key, ctx);
        let goes = self.batches.borrow_mut().join(open.batch.id, has);
        self.taken.set(self.taken.get() + 1);
        if self.attending.get() {
            open.batch.attended.set(true);
        }
        let (batch, joined) = (open.batch.clone(), open.task.join());
        match goes {
            Goes::Now => self.close(&batch),
            Goes::WithTheTurn | Goes::At(_) => *self.open.borrow_mut() = Some(open),
        }
        (batch, joined, part)
    }

    fn new_batch(self: &Rc<Self>, now: Timestamp) -> Open<K, V, R> {
        let inner = &self.cache.inner;
        let (id, window) = {
            let mut batches = self.batches.borrow_mut();
            (batches.begin(now), batches.window())
        };
        let batch = Rc::new(Batch {
            id,
            // The cache is never borrowed here: a loader is running.
            node: inner.with(|table| table.machine.new_batch()).unwrap_or(Node::Batch(0)),
            places: RefCell::default(),
            index: RefCell::default(),
            attended: Cell::new(false),
            waker: RefCell::default(),
            may_be_woken: !R::DETACHED || window.is_none(),
        });
        let window = inner.runtime.sleep(window.unwrap_or(TURN));
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
            let is_closed = |batching: Rc<Batching<K, V, R>>| batching.batches.borrow().is_closed(batch.id);
            if batching.upgrade().is_none_or(is_closed) {
                return Poll::Ready(());
            }
            *batch.waker.borrow_mut() = Some(cx.waker().clone());
            if batch.attended.get() { Poll::Pending } else { window.as_mut().poll(cx) }
        })
        .await;
    }
    if let Some(batching) = batching.upgrade() {
        batching.batches.borrow_mut().close(batch.id);
        batching.call(&batch).await;
    }
}

impl<K: Eq, V> Batch<K, V> {
    /// Takes a place for a key, or a share of the one that it has; whether it has one.
    fn take_place(&self, hash: u64, key: K, ctx: LoadCtx<V>) -> (Rc<Part<V>>, bool) {
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
            return (part.clone(), true);
        }
        let part = Part { result: OnceCell::new(), ctx: RefCell::new(ctx.clone()), loads: Cell::new(1) };
        let part = Rc::new(part);
        let number = places.len();
        places.push(Place { key, hash, ctx, part: part.clone() });
        let hash_of = |number: &usize| places.get(*number).map_or(0, |place| place.hash);
        self.index.borrow_mut().insert_unique(hash, number, hash_of);
        (part, false)
    }
}

/// A load that is dropped before its batch is called is not in it.
struct Leaving<K, V, R: Runtime> {
    batching: Rc<Batching<K, V, R>>,
    batch: BatchId,
    part: Rc<Part<V>>,
}

impl<K, V, R: Runtime> Drop for Leaving<K, V, R> {
    fn drop(&mut self) {
        let loads = &self.part.loads;
        loads.set(loads.get().saturating_sub(1));
        self.batching.batches.borrow_mut().leave(self.batch);
    }
}
