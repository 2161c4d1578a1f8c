//! One who waits for a load, and the ways in which a wait ends.

use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::inner::Inner;
use super::runtime::Runtime;
use super::shared_task::Joined;
use super::table::{LoadResult, SharedResult};
use crate::core::{Deadlines, WaitId, Who};
use crate::time::Timestamp;

/// How a wait ended.
pub(super) enum WaitOutcome<V, S> {
    /// With what the load brought.
    Brought(LoadResult<V>),
    /// At the soft deadline, with a stale value.
    Soft(S),
    /// At the hard deadline.
    TimedOut,
    /// What the load brought may not be had: it asked after a purge of a tag that this bears.
    AskAgain,
    /// The load is gone without a result.
    Lost,
}

/// One who waits for a load.
pub(super) struct Waiter<K: Hash + Eq, V, R: Runtime> {
    guard: WaiterGuard<K, V, R>,
    joined: Joined<R>,
    pub brought: Rc<SharedResult<V>>,
}

impl<K: Hash + Eq, V: Clone, R: Runtime> Waiter<K, V, R> {
    pub fn new(guard: WaiterGuard<K, V, R>, joined: Joined<R>, brought: Rc<SharedResult<V>>) -> Self {
        Self { guard, joined, brought }
    }

    pub fn id(&self) -> WaitId {
        self.guard.wait
    }

    /// Waits. At the soft deadline `soften` is asked for a stale value; if it has one, the machine counts this waiter no
    /// more.
    pub async fn wait<S>(&mut self, deadlines: &Deadlines, soften: impl FnOnce() -> Option<S>) -> WaitOutcome<V, S> {
        let inner = self.guard.inner.clone();
        let joined = &mut self.joined;
        let Deadlines { soft, hard } = *deadlines;
        // One that is not before the hard deadline is none.
        let mut soften = Some(soften).filter(|_| soft < hard);
        let mut stale = None;
        // Not begun before it is polled: a load that is there at once needs no timer.
        let mut timer = pin!(sleep_until(&inner, soft.min(hard)));
        let in_time = std::future::poll_fn(|cx: &mut Context<'_>| {
            if Pin::new(&mut *joined).poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            // A stale value is better than none, so that the soft deadline comes first where both have passed.
            if let Some(soften) = soften.take() {
                stale = soften();
                if stale.is_some() {
                    return Poll::Ready(false);
                }
                timer.set(sleep_until(&inner, hard));
                if timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(joined.poll_once_more(cx).is_ready())
        })
        .await;
        if let Some(stale) = stale {
            self.guard.forget();
            return WaitOutcome::Soft(stale);
        }
        if let Some(result) = self.brought.result.get() {
            let may_have_it = !self.brought.ask_again.borrow().contains(&self.guard.wait.group);
            self.guard.forget();
            return if may_have_it { WaitOutcome::Brought(result.clone()) } else { WaitOutcome::AskAgain };
        }
        if self.brought.swept.get() {
            self.guard.forget();
            return WaitOutcome::TimedOut;
        }
        match in_time {
            true => self.guard.lost(),
            false => self.guard.time_out(),
        }
        if in_time { WaitOutcome::Lost } else { WaitOutcome::TimedOut }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Waiter<K, V, R> {
    /// Waits on the cache's own behalf, which the machine counts already, so that the load goes on, but not for ever.
    pub fn wait_in_background(mut self, hard: Timestamp) {
        self.guard.who = Who::Cache;
        self.guard.armed = true;
        if R::DETACHED {
            // The load goes on by itself.
            self.guard.forget();
            return;
        }
        let inner = self.guard.inner.clone();
        let deadlines = Deadlines { soft: Timestamp::NEVER, hard };
        let task = Box::pin(async move {
            self.wait(&deadlines, || None::<()>).await;
        });
        // A spawner that can't take the task drops it, which ends the load.
        let _ = catch_unwind(AssertUnwindSafe(|| inner.runtime.spawn(task)));
    }
}

pub(super) async fn sleep_until<K, V, R: Runtime>(inner: &Inner<K, V, R>, at: Timestamp) {
    match at {
        Timestamp::NEVER => std::future::pending().await,
        at => inner.runtime.sleep(at.millis_since(inner.now())).await,
    }
}

/// Sees to it that a waiter who is dropped is not counted for ever.
pub(super) struct WaiterGuard<K: Hash + Eq, V, R: Runtime> {
    inner: Rc<Inner<K, V, R>>,
    wait: WaitId,
    who: Who,
    armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> WaiterGuard<K, V, R> {
    pub fn new(inner: Rc<Inner<K, V, R>>, wait: WaitId, who: Who) -> Self {
        Self { inner, wait, who, armed: true }
    }

    /// It waits no more, and the machine knows.
    fn forget(&mut self) {
        self.armed = false;
        if let Who::Caller(asker @ Some(_)) = self.who {
            self.inner.with(|table| table.machine.waits_no_more(asker, self.wait.flight));
        }
    }

    fn lost(&mut self) {
        self.forget();
        let flight = self.wait.flight;
        self.inner.with(|table| {
            if table.machine.lost(flight) {
                table.take_in_flight(flight);
            }
        });
    }

    fn time_out(&mut self) {
        self.armed = false;
        let (wait, who) = (self.wait, self.who);
        self.inner.with(|table| {
            if table.machine.time_out(wait, who) {
                table.take_in_flight(wait.flight);
            }
        });
    }
}

impl<K: Hash + Eq, V, R: Runtime> Drop for WaiterGuard<K, V, R> {
    fn drop(&mut self) {
        if self.armed {
            let (wait, who) = (self.wait, self.who);
            self.inner.with(|table| {
                if table.machine.leave(wait, who) {
                    table.take_in_flight(wait.flight);
                }
            });
        }
    }
}
