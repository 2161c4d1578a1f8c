//! A runtime of the contract's own: time stands until it is told to move, tasks are polled only when they are woken, and
//! requests can die.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::executor::LocalPool;
use futures::future::LocalBoxFuture;
use futures::task::LocalSpawnExt;
use nearcache::Timestamp;
use nearcache::engine::Runtime;

pub struct World {
    now: Cell<u64>,
    sleepers: RefCell<Vec<(u64, u64, Waker)>>,
    sleeps: Cell<u64>,
    pool: RefCell<LocalPool>,
    spawner: futures::executor::LocalSpawner,
    /// Whose code runs.
    request: RefCell<Option<String>>,
    dead: RefCell<HashSet<String>>,
    tasks: RefCell<Vec<Task>>,
    random: f64,
}

impl World {
    pub fn new(random: f64) -> Rc<Self> {
        let pool = LocalPool::new();
        Rc::new(Self {
            now: Cell::new(1_000_000),
            sleepers: RefCell::default(),
            sleeps: Cell::new(0),
            spawner: pool.spawner(),
            pool: RefCell::new(pool),
            request: RefCell::default(),
            dead: RefCell::default(),
            tasks: RefCell::default(),
            random,
        })
    }

    /// Runs whatever has been woken.
    pub fn run(&self) {
        self.pool.borrow_mut().run_until_stalled();
        self.tasks.borrow_mut().retain(|task| !task.0.ended.get());
    }

    /// Lets time pass, in one leap, and wakes what it has passed: the earliest first, and all of it late.
    pub fn advance(&self, millis: u64) {
        self.now.set(self.now.get() + millis);
        loop {
            let due = {
                let mut sleepers = self.sleepers.borrow_mut();
                let first = (0..sleepers.len()).min_by_key(|at| (sleepers[*at].0, sleepers[*at].1));
                first.filter(|at| sleepers[*at].0 <= self.now.get()).map(|at| sleepers.remove(at))
            };
            let Some((_, _, waker)) = due else { break };
            waker.wake();
            self.run();
        }
    }

    /// Runs `code` as a request's.
    pub fn within<T>(&self, request: Option<&str>, code: impl FnOnce() -> T) -> T {
        let outer = self.request.replace(request.map(str::to_owned));
        let result = code();
        self.request.replace(outer);
        result
    }

    /// A task of the request whose code runs.
    pub fn start(self: &Rc<Self>, future: LocalBoxFuture<'static, ()>) -> Task {
        let request = self.request.borrow().clone();
        let state = TaskState { request, future: RefCell::new(Some(future)), ..TaskState::default() };
        let task = Task(Rc::new(state));
        self.tasks.borrow_mut().push(task.clone());
        let (world, driven) = (Rc::downgrade(self), task.clone());
        let polled = std::future::poll_fn(move |cx| match world.upgrade() {
            Some(world) => driven.drive(&world, cx),
            None => Poll::Ready(()),
        });
        self.spawner.spawn_local(polled).expect("the pool is there");
        task
    }

    /// A request dies. Its tasks are not dropped in an orderly way: they are never polled again.
    pub fn kill(&self, request: &str) {
        self.dead.borrow_mut().insert(request.to_owned());
        let tasks = self.tasks.borrow().clone();
        for task in tasks.iter().filter(|task| task.0.request.as_deref() == Some(request)) {
            if let Some(future) = task.0.future.take() {
                std::mem::forget(future);
            }
            task.0.end();
        }
    }
}

/// Something that runs by itself until it ends or its request dies. As a future it says that it is over.
#[derive(Clone)]
pub struct Task(Rc<TaskState>);

#[derive(Default)]
struct TaskState {
    request: Option<String>,
    future: RefCell<Option<LocalBoxFuture<'static, ()>>>,
    ended: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl TaskState {
    fn end(&self) {
        self.ended.set(true);
        self.wakers.take().into_iter().for_each(Waker::wake);
    }
}

impl Task {
    fn drive(&self, world: &World, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mut future) = self.0.future.take() else { return Poll::Ready(()) };
        let polled = world.within(self.0.request.as_deref(), || future.as_mut().poll(cx));
        match polled {
            Poll::Ready(()) => {
                drop(future);
                self.0.end();
                Poll::Ready(())
            }
            Poll::Pending => {
                *self.0.future.borrow_mut() = Some(future);
                Poll::Pending
            }
        }
    }

    /// Drops what it runs.
    pub fn cancel(&self) {
        drop(self.0.future.take());
        self.0.end();
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.ended.get() {
            return Poll::Ready(());
        }
        self.0.wakers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }
}

/// A runtime in a [`World`]. `DETACHED`: as in a Worker, loads run by themselves, until their request dies.
#[derive(Clone)]
pub struct Virtual<const DETACHED: bool>(pub Rc<World>);

impl<const DETACHED: bool> Runtime for Virtual<DETACHED> {
    type Task = Task;
    const DETACHED: bool = DETACHED;

    fn detach(&self, task: LocalBoxFuture<'static, ()>) -> Task {
        self.0.start(task)
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now.get())
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        let (world, at) = (self.0.clone(), self.0.now.get().saturating_add(millis));
        let owner = self.0.request.borrow().clone();
        let number = self.0.sleeps.replace(self.0.sleeps.get() + 1);
        std::future::poll_fn(move |cx| {
            let is_dead = owner.as_ref().is_some_and(|owner| world.dead.borrow().contains(owner));
            if !is_dead && world.now.get() >= at {
                return Poll::Ready(());
            }
            let mut sleepers = world.sleepers.borrow_mut();
            sleepers.retain(|(_, other, _)| *other != number);
            if !is_dead {
                sleepers.push((at, number, cx.waker().clone()));
            }
            Poll::Pending
        })
    }

    fn can_spawn(&self) -> bool {
        true
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.0.start(task);
    }

    fn random(&self) -> f64 {
        self.0.random
    }
}
