//! A place among those who wait for a load, and the ways in which a wait ends.

use std::cell::OnceCell;
use std::future::Future;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use super::cache::Inner;
use super::call::Got;
use super::runtime::Runtime;
use crate::core::{Age, FlightId, Machine};
use crate::error::LoadError;
use crate::time::{Timestamp, Ttl};

/// What a load left for those who wait.
#[derive(Clone)]
pub(super) struct Brought<V> {
    pub result: Result<V, LoadError>,
    /// The value is an older one: the load failed.
    pub rescued: bool,
    pub age: Option<Age>,
}

/// How a wait ended.
pub(super) enum Ended<V> {
    /// With what the load brought.
    Brought(Brought<V>),
    /// With an older value, at the soft deadline. The load goes on.
    Soft(Got<V>),
    /// At the hard deadline, which was so many milliseconds.
    TimedOut(u64),
    /// The load was lost with the request that ran it.
    Lost,
}

/// When a wait ends that the load does not end.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub now: Timestamp,
    pub soft: Timestamp,
    pub deadline: Timestamp,
    /// From which the deadline was computed.
    pub limit: Ttl,
}

/// A place among those who wait for a load.
pub(super) struct Seat<K: Hash + Eq, V, R: Runtime> {
    pub guard: Guard<K, V, R>,
    /// Whether nobody asks again if the load is lost: he who runs it can't, and nobody need in the background.
    pub leader: bool,
    pub task: Option<R::Task>,
    pub result: Rc<OnceCell<Brought<V>>>,
}

impl<K: Hash + Eq, V: Clone, R: Runtime> Seat<K, V, R> {
    /// Waits. `stale` is asked for an older value at the soft deadline.
    pub async fn wait(&mut self, times: &Times, stale: impl FnOnce() -> Option<Got<V>>) -> Ended<V> {
        let inner = self.guard.inner.clone();
        let Some(task) = self.task.as_mut() else { return Ended::Lost };
        let (mut stale, mut older) = (Some(stale), None);
        // A timer is made only for a load that is not there at once.
        let alarm = |at: Timestamp| {
            let runtime = &inner.runtime;
            async move {
                match at {
                    Timestamp::NEVER => std::future::pending().await,
                    at => runtime.sleep(at.millis_since(times.now)).await,
                }
            }
        };
        let (mut hard, mut soft) = (pin!(alarm(times.deadline)), pin!(alarm(times.soft)));
        let ended = std::future::poll_fn(|cx| {
            if Pin::new(&mut *task).poll(cx).is_ready() {
                return Poll::Ready(true);
            }
            // An older value is better than none, so that the softer deadline comes first where both have passed.
            if stale.is_some() && soft.as_mut().poll(cx).is_ready() {
                older = stale.take().and_then(|stale| stale());
                if older.is_some() {
                    return Poll::Ready(false);
                }
            }
            hard.as_mut().poll(cx).map(|()| false)
        });
        let ended = ended.await;
        if let Some(brought) = self.result.get().cloned() {
            self.guard.armed = false;
            return Ended::Brought(brought);
        }
        if let Some(got) = older {
            return Ended::Soft(got);
        }
        if ended && (self.leader || inner.now() < times.deadline) {
            self.guard.armed = false;
            let space = self.guard.space;
            match self.leader {
                true => self.guard.end(Machine::abandon),
                false => self.guard.end(|machine, flight| machine.lost(flight, space)),
            }
            return Ended::Lost;
        }
        self.guard.armed = false;
        self.guard.end(|machine, flight| machine.time_out(flight, 1));
        match times.limit {
            Ttl::Millis(millis) => Ended::TimedOut(millis),
            Ttl::Forever => Ended::Lost,
        }
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Seat<K, V, R> {
    /// Waits on the cache's own behalf, so that the load goes on, but not for ever.
    pub fn wait_in_background(mut self, mut times: Times) {
        let inner = self.guard.inner.clone();
        if inner.runtime.can_spawn() {
            times.now = inner.now();
            // Its get has been answered: should the load be lost, nobody asks again.
            self.leader = true;
            inner.runtime.spawn(Box::pin(async move {
                self.wait(&times, || None).await;
            }));
        }
        // Elsewhere the load runs alone, or somebody else waits for it, or it ends with this seat.
    }
}

/// Sees to it that a waiter who is dropped is not counted for ever.
pub(super) struct Guard<K: Hash + Eq, V, R: Runtime> {
    pub inner: Rc<Inner<K, V, R>>,
    pub flight: FlightId,
    pub space: u8,
    pub armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> Guard<K, V, R> {
    /// Does what may end the flight, and lets go of its task, with nothing borrowed.
    pub fn end(&self, f: impl FnOnce(&mut Machine, FlightId) -> bool) {
        let flight = self.flight;
        let task = self.inner.with(|shelf| f(&mut shelf.machine, flight).then(|| shelf.take_flying(flight)));
        drop(task);
    }
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Guard<K, V, R> {
    fn drop(&mut self) {
        if self.armed {
            self.end(|machine, flight| machine.leave(flight, 1));
        }
    }
}
