//! Batches: which is open, who is in it, and its call.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use hashbrown::HashTable;

use super::asker;
use super::cache::Cache;
use super::call::LoadCtx;
use super::gate::Gate;
use super::inner::Inner;
use super::plugin::BatchEvent;
use super::runtime::Runtime;
use super::shared_task::{Joined, SharedTask};
use super::turn;
use crate::core::{BatchId, BatchLimits, CallTurn, Goes, JoinBatch, JoinedBatch, Node};
use crate::error::LoadError;

pub(super) type Load<K, V> = Box<dyn Fn(Vec<K>, Vec<LoadCtx<V>>) -> LocalBoxFuture<'static, Vec<Result<V, LoadError>>>>;

/// What the handles of one batched cache share.
pub(super) struct Batching<K, V, R: Runtime> {
    cache: Cache<K, V, R>,
    load: Load<K, V>,
    limits: Cell<BatchLimits>,
    open: RefCell<Option<Open<K, V, R>>>,
    /// The batch that was begun last, gone or not.
    last: Cell<Option<BatchId>>,
    /// Whether a get is being polled that will end its turn itself.
    attending: Cell<bool>,
    /// How many places were taken so far.
    taken: Cell<u64>,
}

/// The batch that takes more keys, and the task that will load it.
struct Open<K, V, R: Runtime> {
    batch: Rc<Batch<K, V>>,
    task: SharedTask<R>,
}

struct Batch<K, V> {
    id: BatchId,
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
            limits: Cell::default(),
            open: RefCell::new(None),
            last: Cell::new(None),
            attending: Cell::new(false),
            taken: Cell::new(0),
        }
    }

    pub fn set_max_batch_size(&self, keys: usize) {
        self.limits.set(BatchLimits { max_size: u32::try_from(keys).unwrap_or(u32::MAX).max(1), ..self.limits.get() });
    }

    pub fn set_window(&self, window: Duration) {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.limits.set(BatchLimits { window: Some(millis).filter(|millis| *millis > 0), ..self.limits.get() });
    }

    pub fn cache(&self) -> &Cache<K, V, R> {
        &self.cache
    }

    /// Whether a batch ends with the turn of those who are in it.
    pub fn is_by_turn(&self) -> bool {
        self.limits.get().window.is_none()
    }
}

impl<K: Hash + Eq, V, R: Runtime> Batching<K, V, R> {
    /// The batch takes no more keys, and goes.
    fn close(&self, batch: &Batch<K, V>) {
        self.cache.inner.with(|table| table.machine.close_batch(batch.id));
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
pub(super) struct Turn<K: Hash + Eq, V, R: Runtime> {
    batching: Rc<Batching<K, V, R>>,
    /// `None`: whichever is open then.
    batch: Option<Rc<Batch<K, V>>>,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Turn<K, V, R> {
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
            let Some((batch, joined, part)) = self.take_place(key.clone(), ctx.clone()) else { break };
            let leaving = Leaving { batching: self.clone(), batch: batch.id, part };
            joined.await;
            if let Some(result) = leaving.part.result.get() {
                ctx.adopt(&leaving.part.ctx.borrow());
                return result.clone();
            }
            if inner.with(|table| table.machine.batch_lost(batch.id, tries)) != Some(true) {
                break;
            }
        }
        Err(LoadError::Lost)
    }

    /// `None` when called from within a borrow of the cache, which no loader is.
    #[expect(clippy::type_complexity, reason = "three things that belong to one place")]
    fn take_place(self: &Rc<Self>, key: K, ctx: LoadCtx<V>) -> Option<(Rc<Batch<K, V>>, Joined<R>, Rc<Part<V>>)> {
        let inner = &self.cache.inner;
        let hash = inner.with(|table| table.hasher.hash(&key))?;
        // Taken out, since keys' `Eq` is the user's code.
        let open = self.open.take();
        let load = match asker::current(inner.address()) {
            Some(Node::Flight(flight)) => Some(flight),
            _ => None,
        };
        let known = open.as_ref().and_then(|open| open.batch.place_of(hash, &key));
        let join = JoinBatch {
            last: self.last.get(),
            has: known.is_some(),
            load,
            limits: self.limits.get(),
            now: inner.now(),
        };
        let JoinedBatch { batch, is_new, goes } = inner.with(|table| table.machine.join_batch(&join))?;
        self.last.set(Some(batch));
        let open = open.filter(|_| !is_new).unwrap_or_else(|| self.new_batch(batch));
        let part = open.batch.take_place(known.filter(|_| !is_new), hash, key, ctx);
        self.taken.set(self.taken.get() + 1);
        if self.attending.get() {
            open.batch.attended.set(true);
        }
        let (batch, joined) = (open.batch.clone(), open.task.join());
        match goes {
            Goes::Now => self.close(&batch),
            Goes::WithTheTurn | Goes::At(_) => *self.open.borrow_mut() = Some(open),
        }
        Some((batch, joined, part))
    }

    fn new_batch(self: &Rc<Self>, id: BatchId) -> Open<K, V, R> {
        let inner = &self.cache.inner;
        let window = self.limits.get().window;
        let batch = Rc::new(Batch {
            id,
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
        let (inner, handle) = (&self.cache.inner, &self.cache.handle);
        let ended = BatchEndGuard { inner: Rc::downgrade(inner), batch: batch.id };
        let refused = self.wait_for_turn(batch).await;
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
        if let Some(error) = refused {
            parts.iter().for_each(|part| drop(part.result.set(Err(error.clone()))));
            return;
        }
        inner.with(|table| table.machine.count_batch(handle.namespace, parts.len() as u64));
        let told_keys = if inner.has_plugins() { keys.clone() } else { Vec::new() };
        let began = inner.now();
        let brought = {
            let _ended = ended;
            let loader = pin!(async { (self.load)(keys, ctxs).await });
            asker::Known::new(inner.address(), Node::Batch(batch.id), loader).await
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

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batching<K, V, R> {
    /// Where loads are limited, its call is one of them; why it will not be made, if so.
    async fn wait_for_turn(&self, batch: &Batch<K, V>) -> Option<LoadError> {
        let (inner, gate) = (&self.cache.inner, Rc::<Gate>::default());
        let now = inner.now();
        let (turn, max_queued) = inner.with(|table| {
            let turn = table.machine.begin_call(Node::Batch(batch.id), now);
            if turn == CallTurn::Later {
                table.calls.push((Node::Batch(batch.id), gate.clone()));
            }
            (turn, table.machine.load_limits().max_queued)
        })?;
        match turn {
            CallTurn::Now => None,
            CallTurn::Refused => Some(LoadError::QueueFull { max_queued }),
            CallTurn::Later => {
                turn::wait(Rc::downgrade(inner), gate, Node::Batch(batch.id)).await;
                let now = inner.now();
                let is_wanted = inner.with(|table| table.machine.is_call_wanted(Node::Batch(batch.id), now));
                // Those whom an executor comes to after their deadline find that their loads have ended.
                (is_wanted == Some(false)).then_some(LoadError::Lost)
            }
        }
    }
}

/// Tells the machine that a batch waits for nothing any more.
struct BatchEndGuard<K: Hash + Eq, V, R: Runtime> {
    inner: Weak<Inner<K, V, R>>,
    batch: BatchId,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for BatchEndGuard<K, V, R> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade() {
            let node = Node::Batch(self.batch);
            inner.with(|table| {
                table.machine.batch_ended(self.batch);
                table.calls.retain(|(call, _)| *call != node);
            });
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
            let is_open = |batching: Rc<Batching<K, V, R>>| {
                batching.cache.inner.with(|table| table.machine.is_batch_open(batch.id)) == Some(true)
            };
            if !batching.upgrade().is_some_and(is_open) {
                return Poll::Ready(());
            }
            *batch.waker.borrow_mut() = Some(cx.waker().clone());
            if batch.attended.get() { Poll::Pending } else { window.as_mut().poll(cx) }
        })
        .await;
    }
    if let Some(batching) = batching.upgrade() {
        batching.cache.inner.with(|table| table.machine.close_batch(batch.id));
        batching.call(&batch).await;
    }
}

impl<K: Eq, V> Batch<K, V> {
    /// The number of a key's place, if it has one.
    fn place_of(&self, hash: u64, key: &K) -> Option<usize> {
        let (Ok(places), Ok(index)) = (self.places.try_borrow(), self.index.try_borrow()) else { return None };
        index.find(hash, |number| places.get(*number).is_some_and(|place| place.key == *key)).copied()
    }

    /// Takes a place for a key, or a share of the one that it is `known` to have.
    fn take_place(&self, known: Option<usize>, hash: u64, key: K, ctx: LoadCtx<V>) -> Rc<Part<V>> {
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
struct Leaving<K: Hash + Eq, V, R: Runtime> {
    batching: Rc<Batching<K, V, R>>,
    batch: BatchId,
    part: Rc<Part<V>>,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Leaving<K, V, R> {
    fn drop(&mut self) {
        let loads = &self.part.loads;
        loads.set(loads.get().saturating_sub(1));
        self.batching.cache.inner.with(|table| table.machine.leave_batch(self.batch));
    }
}
