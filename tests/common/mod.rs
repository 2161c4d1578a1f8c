//! A world with virtual time: a runtime whose clock stands until it is told to move, whose sleepers wake
//! when it does, and whose requests can be killed.

#![allow(dead_code, reason = "each test file uses its part")]

mod random;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

use futures::future::LocalBoxFuture;
use nearcache::engine::{EvictEvent, Runtime};
use nearcache::{Plugin, RemovalCause, Timestamp};
pub use random::{Random, seed};

#[derive(Default)]
pub struct World {
    now: Cell<u64>,
    sleepers: RefCell<Vec<(u64, Waker)>>,
    request: Cell<u32>,
    tasks: RefCell<Vec<(u32, Alone)>>,
    /// Whether futures that nobody waits for can be run.
    pub spawns: Cell<bool>,
    spawned: RefCell<Vec<(u32, Background)>>,
    random: RefCell<Option<Random>>,
}

impl World {
    /// A world whose random numbers come from this seed.
    pub fn seed(&self, seed: u64) {
        *self.random.borrow_mut() = Some(Random(seed));
    }

    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn advance(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
        let (due, rest) = self.sleepers.take().into_iter().partition(|(at, _)| *at <= self.now.get());
        *self.sleepers.borrow_mut() = rest;
        let due: Vec<(u64, Waker)> = due;
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Runs a future, and all that runs alone, to its end; when nothing is left to do but to wait, time goes on to the next
    /// timer.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = Box::pin(future);
        let (flag, waker) = Flag::up();
        loop {
            if flag.take()
                && let Some(output) = poll_with(&mut future, &waker)
            {
                return output;
            }
            self.settle();
            if !flag.is_up() {
                let next = self.sleepers.borrow().iter().map(|(at, _)| *at).min();
                self.advance(next.expect("it waits for nothing").saturating_sub(self.now()));
            }
        }
    }

    /// Polls what runs alone until nothing of it goes on without a timer.
    pub fn settle(&self) {
        let is_up = |world: &Self| {
            world.spawned.borrow().iter().any(|(_, background)| background.flag.is_up())
                || world.tasks.borrow().iter().any(|(_, task)| task.0.flag.is_up() && !task.0.ended.get())
        };
        while is_up(self) {
            self.run_tasks();
        }
    }

    /// What is started from here on belongs to this request.
    pub fn enter(&self, request: u32) {
        self.request.set(request);
    }

    pub fn request(&self) -> u32 {
        self.request.get()
    }

    /// Polls every task that runs alone, and what was spawned, each in its own request.
    pub fn run_tasks(&self) {
        let tasks = self.tasks.borrow().clone();
        for (request, task) in tasks {
            self.enter(request);
            task.run();
        }
        self.tasks.borrow_mut().retain(|(_, task)| !task.0.ended.get());
        let mut spawned = self.spawned.take();
        spawned.retain_mut(|(request, background)| {
            self.enter(*request);
            !background.flag.take()
                || matches!(caught(|| poll_with(&mut background.future, &background.waker)), Some(None))
        });
        self.spawned.borrow_mut().extend(spawned);
    }

    /// How many futures that nobody waits for have not ended.
    pub fn spawned(&self) -> usize {
        self.spawned.borrow().len()
    }

    /// Ends a request: its tasks are gone, as if they had never been.
    pub fn kill(&self, request: u32) {
        let tasks = self.tasks.take();
        let (killed, rest): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|(owner, _)| *owner == request);
        *self.tasks.borrow_mut() = rest;
        killed.iter().for_each(|(_, task)| task.end());
        let spawned = self.spawned.take();
        let (killed, rest): (Vec<_>, Vec<_>) = spawned.into_iter().partition(|(owner, _)| *owner == request);
        self.spawned.borrow_mut().extend(rest);
        killed.into_iter().for_each(|(_, background)| std::mem::forget(background.future));
    }
}

/// A runtime in a [`World`]. With `ALONE`, tasks run as in a Worker: by themselves, until their request dies.
#[derive(Clone, Default)]
pub struct Virtual<const ALONE: bool>(pub Rc<World>);

impl<const ALONE: bool> Runtime for Virtual<ALONE> {
    type Task = Alone;
    const DETACHED: bool = ALONE;

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now())
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let (world, at) = (self.0.clone(), self.0.now() + millis);
        std::future::poll_fn(move |cx| {
            if world.now() >= at {
                return Poll::Ready(());
            }
            world.sleepers.borrow_mut().push((at, cx.waker().clone()));
            Poll::Pending
        })
    }

    fn detach(&self, task: LocalBoxFuture<'static, ()>) -> Alone {
        let task = {
            let (flag, waker) = Flag::up();
            let (future, ended, wakers) = (RefCell::new(Some(task)), Cell::default(), RefCell::default());
            Alone(Rc::new(AloneState { future, flag, waker, ended, wakers }))
        };
        self.0.tasks.borrow_mut().push((self.0.request.get(), task.clone()));
        task
    }

    fn can_spawn(&self) -> bool {
        self.0.spawns.get()
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        let (flag, waker) = Flag::up();
        self.0.spawned.borrow_mut().push((self.0.request.get(), Background { future: task, flag, waker }));
    }

    fn wall(&self) -> Timestamp {
        self.now()
    }

    fn random(&self) -> f64 {
        self.0.random.borrow_mut().get_or_insert(Random(seed())).unit()
    }
}

impl Future for Alone {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.ended.get() {
            return Poll::Ready(());
        }
        self.0.wakers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

/// Something spawned, which is polled when it is woken.
struct Background {
    future: LocalBoxFuture<'static, ()>,
    flag: Arc<Flag>,
    waker: Waker,
}

#[derive(Clone)]
pub struct Alone(Rc<AloneState>);

struct AloneState {
    future: RefCell<Option<LocalBoxFuture<'static, ()>>>,
    flag: Arc<Flag>,
    waker: Waker,
    ended: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Alone {
    fn run(&self) {
        if !self.0.flag.take() {
            return;
        }
        let Some(mut future) = self.0.future.borrow_mut().take() else { return };
        match poll_with(&mut future, &self.0.waker) {
            Some(()) => self.end(),
            None => *self.0.future.borrow_mut() = Some(future),
        }
    }

    fn end(&self) {
        // A dead request's task is not dropped in an orderly way: it is simply never polled again.
        if let Some(future) = self.0.future.take() {
            std::mem::forget(future);
        }
        self.0.ended.set(true);
        self.0.wakers.take().into_iter().for_each(Waker::wake);
    }
}

/// Polls once; the result if it is there.
pub fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    poll_with(future, Waker::noop())
}

/// Polls once with this waker.
pub fn poll_with<F: Future + Unpin>(future: &mut F, waker: &Waker) -> Option<F::Output> {
    match Pin::new(future).poll(&mut Context::from_waker(waker)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What a loader panics with that says nothing.
struct Thrown;

/// A loader's own panic. In wasm it would end the instance.
pub fn throw() -> ! {
    resume_unwind(Box::new(Thrown))
}

/// `None` if a loader has panicked by [`throw`].
pub fn caught<T>(f: impl FnOnce() -> T) -> Option<T> {
    let thrown = |panic: Box<dyn Any + Send>| if panic.is::<Thrown>() { None } else { resume_unwind(panic) };
    catch_unwind(AssertUnwindSafe(f)).map_or_else(thrown, Some)
}

/// Notes that it was woken, and how often.
#[derive(Default)]
pub struct Flag {
    woken: AtomicBool,
    times: AtomicUsize,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        self.times.fetch_add(1, SeqCst);
    }
}

impl Flag {
    /// One that is up, and its waker.
    pub fn up() -> (Arc<Self>, Waker) {
        let flag = Arc::new(Self { woken: AtomicBool::new(true), times: AtomicUsize::new(0) });
        (flag.clone(), flag.into())
    }

    /// Whether it was woken since the last call.
    pub fn take(&self) -> bool {
        self.woken.swap(false, SeqCst)
    }

    pub fn is_up(&self) -> bool {
        self.woken.load(SeqCst)
    }

    pub fn times(&self) -> usize {
        self.times.load(SeqCst)
    }
}

/// What a promise brings, and who waits for it.
struct Promise<T> {
    value: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

/// A future that waits until told what to say.
pub struct Promised<T>(Rc<Promise<T>>);

pub struct Promiser<T>(Rc<Promise<T>>);

pub fn promised<T>() -> (Promiser<T>, Promised<T>) {
    let promise = Rc::new(Promise { value: RefCell::new(None), waker: RefCell::new(None) });
    (Promiser(promise.clone()), Promised(promise))
}

impl<T> Promiser<T> {
    pub fn say(&self, value: T) {
        *self.0.value.borrow_mut() = Some(value);
        if let Some(waker) = self.0.waker.take() {
            waker.wake();
        }
    }
}

impl<T> Future for Promised<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        *self.0.waker.borrow_mut() = Some(cx.waker().clone());
        self.0.value.take().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A plugin that hears what leaves.
pub struct Heard<F>(pub F);

impl<K, V, F: Fn(&K, &V, RemovalCause)> Plugin<K, V> for Heard<F> {
    fn evict(&self, event: &EvictEvent<'_, K, V>) {
        (self.0)(event.key, event.value, event.cause);
    }
}
