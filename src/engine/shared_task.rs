//! A task that many wait for. Where the runtime runs tasks by itself it does so, and hands out a promise; elsewhere one
//! of those who wait drives: it polls the task with its own waker, and the others are woken when the task has ended, or
//! when the one who drives leaves and one of them is to take over. So a wake polls the task once, however many wait, and
//! nothing is borrowed while the task runs.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::future::LocalBoxFuture;

use super::runtime::Runtime;

/// The task. What it brings it leaves elsewhere: to those who wait it only says that it is over.
pub(super) struct SharedTask<R: Runtime> {
    state: Rc<State>,
    /// The runtime's promise, where the runtime runs the task.
    promise: Option<R::Task>,
}

#[derive(Default)]
struct State {
    /// Taken out while it is polled; `None` too when it is over.
    task: RefCell<Option<LocalBoxFuture<'static, ()>>>,
    /// It has ended, or never will.
    over: Cell<bool>,
    waiters: RefCell<Waiters>,
}

/// The wakers of those who wait, in the order in which they came. The first of them polls the task.
#[derive(Default)]
struct Waiters {
    /// By number.
    wakers: VecDeque<(u64, Waker)>,
    came: u64,
}

impl Waiters {
    fn find(&self, number: u64) -> Result<usize, usize> {
        self.wakers.binary_search_by_key(&number, |(number, _)| *number)
    }

    fn driver(&self) -> Option<&Waker> {
        self.wakers.front().map(|(_, waker)| waker)
    }
}

impl<R: Runtime> SharedTask<R> {
    /// Nothing of it is polled yet.
    pub fn new(runtime: &R, task: LocalBoxFuture<'static, ()>) -> Self {
        let state = Rc::new(State { task: RefCell::new(Some(task)), ..State::default() });
        let promise = R::DETACHED.then(|| runtime.detach(Box::pin(Driving(state.clone()))));
        Self { state, promise }
    }

    /// Waits for it: ready when it is over.
    pub fn join(&self) -> Joined<R> {
        Joined { state: self.state.clone(), promise: self.promise.clone(), number: None }
    }

    /// Whether it has ended, as far as is known here.
    #[cfg(feature = "tier")]
    pub fn is_over(&self) -> bool {
        self.state.over.get()
    }

    /// Nobody wants it any more, or it is lost: whoever waits is told that it is over. To be called with nothing borrowed,
    /// since the task is dropped here, unless the runtime runs it: then it belongs to its request, which drops it when it
    /// next polls it.
    pub fn end(&self) {
        self.state.over.set(true);
        if self.promise.is_none() {
            drop(self.state.task.take());
            self.state.wake_all();
        }
    }
}

impl State {
    /// Polls the task, unless somebody is doing so further up the stack.
    fn drive(&self, cx: &mut Context<'_>) {
        let Some(mut task) = self.task.take() else { return };
        // Should the task panic, it is over.
        let over = SetOver(self);
        let polled = task.as_mut().poll(cx);
        if polled.is_pending() && !self.over.get() {
            std::mem::forget(over);
            *self.task.borrow_mut() = Some(task);
        }
    }

    /// Keeps the waker of a waiter, and tells whether it is the one who drives.
    fn register(&self, number: &mut Option<u64>, waker: &Waker) -> bool {
        let at = number.map(|number| self.waiters.borrow().find(number));
        if let Some(Ok(at)) = at
            && self.waiters.borrow().wakers.get(at).is_some_and(|(_, known)| known.will_wake(waker))
        {
            return at == 0;
        }
        // What a waker does when it is cloned or dropped is its executor's, so that nothing is borrowed then.
        let waker = waker.clone();
        let mut waiters = self.waiters.borrow_mut();
        let Waiters { wakers, came } = &mut *waiters;
        let place = at.and_then(Result::ok).and_then(|at| wakers.get_mut(at));
        let _old = match place {
            Some((_, known)) => Some(std::mem::replace(known, waker)),
            None => {
                *came += 1;
                *number = Some(*came);
                wakers.push_back((*came, waker));
                None
            }
        };
        let drives = wakers.front().is_some_and(|(first, _)| Some(*first) == *number);
        drop(waiters);
        drives
    }

    /// A waiter leaves; the waker of the one who is to drive in its stead.
    fn leave(&self, number: u64) -> Option<Waker> {
        let (_left, next) = {
            let mut waiters = self.waiters.borrow_mut();
            let at = waiters.find(number).ok()?;
            let left = waiters.wakers.remove(at);
            (left, waiters.driver().filter(|_| at == 0).cloned())
        };
        next
    }

    fn wake_driver(&self) {
        let waker = self.waiters.borrow().driver().cloned();
        waker.into_iter().for_each(Waker::wake);
    }

    fn wake_all(&self) {
        let wakers = std::mem::take(&mut self.waiters.borrow_mut().wakers);
        wakers.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

/// Sets a task over when it is dropped, and wakes all who wait.
struct SetOver<'a>(&'a State);

impl Drop for SetOver<'_> {
    fn drop(&mut self) {
        self.0.over.set(true);
        self.0.wake_all();
    }
}

/// What the runtime runs.
struct Driving(Rc<State>);

impl Future for Driving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.over.get() {
            drop(self.0.task.take());
        }
        self.0.drive(cx);
        if self.0.over.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// One who waits. Ready when the task is over, whether it ended or was lost.
pub(super) struct Joined<R: Runtime> {
    state: Rc<State>,
    promise: Option<R::Task>,
    /// Its number among those who wait.
    number: Option<u64>,
}

impl<R: Runtime> Joined<R> {
    /// Polls the task though somebody else drives, who may have stopped doing so: for one who is about to give up.
    pub fn poll_once_more(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.promise.is_none() && !self.state.over.get() {
            self.state.drive(cx);
            // The task now knows the waker of one who leaves; the one who drives polls it again, lest it wake nobody.
            self.state.wake_driver();
        }
        if self.state.over.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R: Runtime> Future for Joined<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.state.over.get() {
            return Poll::Ready(());
        }
        if let Some(promise) = &mut this.promise {
            // A waker of ours would continue in the request that wakes: only the promise may.
            return Pin::new(promise).poll(cx);
        }
        if this.state.register(&mut this.number, cx.waker()) {
            this.state.drive(cx);
        }
        if this.state.over.get() { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<R: Runtime> Drop for Joined<R> {
    fn drop(&mut self) {
        if let Some(number) = self.number
            && !self.state.over.get()
            && let Some(waker) = self.state.leave(number)
        {
            waker.wake();
        }
    }
}
