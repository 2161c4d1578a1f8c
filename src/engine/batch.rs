//! One call for many keys.
//!
//! A batch is a way to load a key: each key has its flight, so that all that holds for loads (sharing, stale windows,
//! backoff, deadlines) holds here too, and a flight's loader does nothing but take a place in the open batch and
//! wait for its part.

use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use hashbrown::{DefaultHashBuilder, HashTable};

use super::cache::Cache;
use super::call::{CallOptions, Got, LoadCtx};
use super::runtime::{Local, Runtime};
use crate::error::LoadError;

/// A cache whose loads are made many at a time. Made by [`Cache::batched`]. A handle: clones share the open batch.
pub struct Batched<K, V, R: Runtime = Local> {
    batching: Rc<Batching<K, V, R>>,
}

impl<K, V, R: Runtime> Clone for Batched<K, V, R> {
    fn clone(&self) -> Self {
        Self { batching: self.batching.clone() }
    }
}

type Load<K, V> = Box<dyn Fn(Vec<K>, Vec<LoadCtx<V>>) -> LocalBoxFuture<'static, Vec<Result<V, LoadError>>>>;

struct Batching<K, V, R: Runtime> {
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
    task: R::Task,
}

impl<K, V, R: Runtime> Clone for Open<K, V, R> {
    fn clone(&self) -> Self {
        Self { batch: self.batch.clone(), task: self.task.clone() }
    }
}

struct Batch<K, V> {
    places: RefCell<Vec<Place<K, V>>>,
    /// Places by key. A key comes twice while its batch is open if it is removed in between.
    index: RefCell<HashTable<usize>>,
    closed: Cell<bool>,
    /// Somebody in it will close it, so that no timer need.
    attended: Cell<bool>,
    waker: RefCell<Option<Waker>>,
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

/// How often a key may lose its batch with somebody else's request.
const TRIES: u32 = 10;

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A view of the cache that loads missing keys together: all that are asked for in one turn go into one call of
    /// `load`. It is given the keys, no two of them equal, and a [`LoadCtx`] for each, and brings a result for each, in
    /// the same order. One key's error is that key's alone.
    ///
    /// A turn is what an executor does before it polls the same get again: on it, gets made side by side, or by
    /// tasks that are ready at the same time, go together. In Workers that keeps requests apart, since each
    /// request's turns are its own.
    ///
    /// ```
    /// # use nearcache::Cache;
    /// # futures::executor::block_on(async {
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let users = cache.batched(|ids: Vec<u64>, _| async move {
    ///     ids.iter().map(|id| Ok::<_, std::io::Error>(format!("user {id}"))).collect()
    /// });
    /// let found = users.get_many([1, 2, 3]).await; // one call
    /// assert_eq!(found[2].as_deref().ok(), Some("user 3"));
    /// # });
    /// ```
    pub fn batched<F, E>(&self, load: impl Fn(Vec<K>, Vec<LoadCtx<V>>) -> F + 'static) -> Batched<K, V, R>
    where
        F: Future<Output = Vec<Result<V, E>>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        let own = |result: Result<V, E>| result.map_err(|error| LoadError::Loader(Rc::from(error.into())));
        let load: Load<K, V> = Box::new(move |keys, ctxs| {
            let results = load(keys, ctxs);
            Box::pin(async move { results.await.into_iter().map(own).collect() })
        });
        let batching = Batching {
            cache: self.clone(),
            load,
            max_batch_size: Cell::new(usize::MAX),
            window: Cell::new(None),
            open: RefCell::new(None),
            attending: Cell::new(false),
            taken: Cell::new(0),
            hasher: DefaultHashBuilder::default(),
        };
        Batched { batching: Rc::new(batching) }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batched<K, V, R> {
    /// At most so many keys a call; one at the least. Without bound if nothing is said.
    #[must_use]
    pub fn max_batch_size(self, keys: usize) -> Self {
        self.batching.max_batch_size.set(keys.max(1));
        self
    }

    /// Waits so long for more keys, in whole milliseconds, instead of the end of the turn. Zero is the end of the
    /// turn, and so is every window where tasks run alone (in Workers): a longer one would mix requests there.
    #[must_use]
    pub fn batch_window(self, window: Duration) -> Self {
        let millis = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        self.batching.window.set(Some(millis).filter(|millis| *millis > 0 && !R::RUNS_ALONE));
        self
    }

    /// The value, or what the next batch brings. A value that is there does not wait for a batch.
    ///
    /// # Errors
    /// As [`Cache::try_get_with`]; [`LoadError::Batch`] if the batch brings another number of results than it
    /// was given keys.
    pub async fn get(&self, key: K) -> Result<V, LoadError> {
        self.in_turn(self.fetch(key, CallOptions::default(), false)).await.map(|got| got.value)
    }

    /// [`get`](Self::get), with options of its own, and how the value was come by.
    ///
    /// # Errors
    /// As there.
    pub async fn get_with_details(&self, key: K, options: CallOptions) -> Result<Got<V>, LoadError> {
        self.in_turn(self.fetch(key, options, true)).await
    }

    /// The values of many keys, in their order. What is missing is loaded by one call, or as few as
    /// [`max_batch_size`](Self::max_batch_size) allows.
    pub async fn get_many(&self, keys: impl IntoIterator<Item = K>) -> Vec<Result<V, LoadError>> {
        let gets = keys.into_iter().map(|key| self.fetch(key, CallOptions::default(), false));
        let results = self.in_turn(join_all(gets)).await;
        results.into_iter().map(|result| result.map(|got| got.value)).collect()
    }

    /// The cache, for everything that loads nothing.
    pub fn cache(&self) -> &Cache<K, V, R> {
        &self.batching.cache
    }

    async fn fetch(&self, key: K, options: CallOptions, details: bool) -> Result<Got<V>, LoadError> {
        let (batching, wanted) = (self.batching.clone(), key.clone());
        let load = move |ctx| async move { batching.load_one(wanted, ctx).await };
        self.batching.cache.fetch(key, options, details, load).await
    }

    /// Drives gets, and closes the batch that they went into when they are polled again: then everybody whose turn it
    /// was has been polled.
    async fn in_turn<T>(&self, gets: impl Future<Output = T>) -> T {
        let batching = &self.batching;
        let mut gets = pin!(gets);
        let mut turn = None;
        let mut is_first = batching.window.get().is_none();
        std::future::poll_fn(|cx| {
            drop(turn.take());
            if !std::mem::take(&mut is_first) {
                return gets.as_mut().poll(cx);
            }
            if R::RUNS_ALONE {
                // The loader has not been polled yet; it will be before the turn is over.
                turn = Some(Turn(Joined::Any(batching.clone())));
                cx.waker().wake_by_ref();
                return gets.as_mut().poll(cx);
            }
            let (taken, outer) = (batching.taken.get(), batching.attending.replace(true));
            let polled = gets.as_mut().poll(cx);
            batching.attending.set(outer);
            if batching.taken.get() != taken
                && let Some(open) = batching.open.borrow().as_ref()
            {
                turn = Some(Turn(Joined::This(open.batch.clone())));
                cx.waker().wake_by_ref();
            }
            polled
        })
        .await
    }
}

/// What a get waits in until its turn is over; its drop ends the turn.
struct Turn<K, V, R: Runtime>(Joined<K, V, R>);

enum Joined<K, V, R: Runtime> {
    This(Rc<Batch<K, V>>),
    /// Whichever is open then.
    Any(Rc<Batching<K, V, R>>),
}

impl<K, V, R: Runtime> Drop for Turn<K, V, R> {
    fn drop(&mut self) {
        let batch = match &self.0 {
            Joined::This(batch) => Some(batch.clone()),
            Joined::Any(batching) => batching.open.borrow().as_ref().map(|open| open.batch.clone()),
        };
        if let Some(batch) = batch {
            batch.close();
        }
    }
}

impl<K: Hash + Eq + Clone + 'static, V: Clone + 'static, R: Runtime> Batching<K, V, R> {
    /// The loader of one key.
    async fn load_one(self: Rc<Self>, key: K, ctx: LoadCtx<V>) -> Result<V, LoadError> {
        // A batch may be lost with the request that made its call; the key then goes into another.
        for _ in 0..TRIES {
            let (open, part) = self.take_place(key.clone(), ctx.clone());
            let leaving = Leaving(part);
            open.task.await;
            if let Some(result) = leaving.0.result.get() {
                ctx.adopt(&leaving.0.ctx.borrow());
                return result.clone();
            }
            // Lost before its call, it would take more keys for ever.
            open.batch.closed.set(true);
        }
        Err(LoadError::Lost)
    }

    fn take_place(self: &Rc<Self>, key: K, ctx: LoadCtx<V>) -> (Open<K, V, R>, Rc<Part<V>>) {
        let hash = self.hasher.hash_one(&key);
        // Taken out, since keys' `Eq` is the user's code.
        let open = self.open.take().filter(|open| !open.batch.closed.get());
        let open = open.unwrap_or_else(|| self.new_batch());
        let part = open.batch.take_place(hash, key, ctx);
        self.taken.set(self.taken.get() + 1);
        if self.attending.get() {
            open.batch.attended.set(true);
        }
        let full = open.batch.places.borrow().len() >= self.max_batch_size.get();
        match full {
            true => open.batch.close(),
            false => *self.open.borrow_mut() = Some(open.clone()),
        }
        (open, part)
    }

    fn new_batch(self: &Rc<Self>) -> Open<K, V, R> {
        let batch = Rc::new(Batch {
            places: RefCell::default(),
            index: RefCell::default(),
            closed: Cell::new(false),
            attended: Cell::new(false),
            waker: RefCell::default(),
        });
        let runtime = &self.cache.inner.runtime;
        let task = run(Rc::downgrade(self), batch.clone(), runtime.sleep(self.window.get().unwrap_or(TURN)));
        Open { batch, task: runtime.share(Box::pin(task)) }
    }
}

/// The task that all in a batch wait for.
async fn run<K, V, R>(batching: Weak<Batching<K, V, R>>, batch: Rc<Batch<K, V>>, window: impl Future<Output = ()>)
where
    K: Hash + Eq + Clone + 'static,
    V: Clone + 'static,
    R: Runtime,
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
    batch.closed.set(true);
    let Some(batching) = batching.upgrade() else { return };
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
    let (cache, inner) = (&batching.cache, &batching.cache.inner);
    inner.with(|shelf| shelf.machine.count_batch(cache.view.space, parts.len() as u64));
    let began = inner.now();
    let brought = (batching.load)(keys, ctxs).await;
    let (keys, results) = (parts.len(), brought.len());
    if keys == results {
        for (part, result) in parts.iter().zip(brought) {
            let _ = part.result.set(result);
        }
    } else {
        for part in &parts {
            let _ = part.result.set(Err(LoadError::Batch { keys, results }));
        }
    }
    let took = Duration::from_millis(inner.now().millis_since(began));
    inner.tell(|plugin| plugin.batch(keys, took));
}

impl<K, V> Batch<K, V> {
    fn close(&self) {
        self.closed.set(true);
        if let Some(waker) = self.waker.take() {
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
struct Leaving<V>(Rc<Part<V>>);

impl<V> Drop for Leaving<V> {
    fn drop(&mut self) {
        self.0.loads.set(self.0.loads.get().saturating_sub(1));
    }
}
