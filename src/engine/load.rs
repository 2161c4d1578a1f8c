//! Gets that load what is not there, and share the load.

use std::cell::{Cell, OnceCell, RefCell};
use std::error::Error;
use std::future::Future;
use std::hash::Hash;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use super::cache::{Cache, Inner};
use super::runtime::Runtime;
use super::shelf::{Flying, Gone};
use crate::core::{Answer, Ask, FlightId, Machine, Outcome, Settled};
use crate::error::LoadError;
use crate::time::{Timestamp, Ttl};

/// How one get differs from the cache's defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct CallOptions {
    /// How long what is loaded may be handed out, unless the loader says otherwise.
    pub ttl: Option<Ttl>,
    /// How long this get may wait.
    pub hard_timeout: Option<Ttl>,
    /// Load even if a value is there, which stays until the new one comes and if the load fails. A load
    /// already under way will do.
    pub force_fresh: bool,
}

/// What a loader may say about the value it brings. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LoadCtx {
    said: Rc<Said>,
}

#[derive(Debug, Default)]
struct Said {
    ttl: Cell<Option<Ttl>>,
    weight: Cell<Option<u32>>,
    skip: Cell<bool>,
}

impl LoadCtx {
    /// How long the value may be handed out. Wins over the caller's and the cache's.
    pub fn set_ttl(&self, ttl: impl Into<Ttl>) {
        self.said.ttl.set(Some(ttl.into()));
    }

    /// What the value counts against `max_bytes`. Wins over the weigher.
    pub fn set_weight(&self, weight: u32) {
        self.said.weight.set(Some(weight));
    }

    /// Hand the value to those who wait and don't store it.
    pub fn skip(&self) {
        self.said.skip.set(true);
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// The value, or what `load` brings, which is then stored. Those who ask for the key meanwhile wait for
    /// the same load.
    ///
    /// # Errors
    /// As [`try_get_with`](Self::try_get_with), but for the loader's own.
    pub async fn get_with<F>(&self, key: K, load: impl FnOnce(LoadCtx) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = V> + 'static,
    {
        let infallible = |ctx| async move { Ok::<_, std::convert::Infallible>(load(ctx).await) };
        self.try_get_with(key, infallible).await
    }

    /// The value, or what `load` brings. An error goes to everyone who waits, and nothing is stored: the
    /// next get loads anew.
    ///
    /// The load is driven by all who wait for it, so it survives the one who began it; when the last of
    /// them is dropped, so is the load. It may call the cache, but for its own key that is an error.
    ///
    /// # Errors
    /// [`LoadError::Loader`] with the loader's error; [`LoadError::TimedOut`] when `hard_timeout` passes
    /// first; [`LoadError::Recursive`] in a loader that asks for its own key; [`LoadError::Full`].
    pub async fn try_get_with<F, E>(&self, key: K, load: impl FnOnce(LoadCtx) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        self.try_get_with_options(key, CallOptions::default(), load).await
    }

    /// [`try_get_with`](Self::try_get_with), with options of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with_options<F, E>(
        &self,
        key: K,
        options: CallOptions,
        load: impl FnOnce(LoadCtx) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        let inner = &self.inner;
        let limit = options.hard_timeout.unwrap_or(inner.defaults.hard_timeout);
        let mut now = inner.now();
        let deadline = now.after(limit);
        let ask = if options.force_fresh { Ask::Fresh } else { Ask::Stored };
        let (mut key, mut load) = (Some(key), Some(load));
        loop {
            let seat = match inner.ask(&mut key, now, ask, deadline)? {
                Found::Value(value) => return Ok(value),
                Found::Seat(seat) => seat,
                Found::Lead(mut seat, weighed_key) => {
                    let Some(load) = load.take() else { return Err(LoadError::Reentrant) };
                    let ttl = options.ttl.unwrap_or(inner.defaults.ttl);
                    let flight = seat.guard.flight;
                    let task =
                        lead(Lead { inner: inner.clone(), flight, ttl, key: weighed_key }, load, seat.result.clone());
                    seat.task = Some(inner.runtime.share(Box::pin(task)));
                    inner.publish(&seat);
                    seat
                }
            };
            let leader = seat.leader;
            match seat.wait(now, deadline, limit).await {
                Some(result) => return result,
                // The task was lost with the request that ran it. Whoever sees this first takes the lead.
                None if leader => return Err(LoadError::Lost),
                None => now = inner.now(),
            }
        }
    }
}

/// What asking for a key came to.
enum Found<K: Hash + Eq, V, R: Runtime> {
    Value(V),
    Seat(Seat<K, V, R>),
    /// The key is there when the weigher will want to see it.
    Lead(Seat<K, V, R>, Option<K>),
}

impl<K: Hash + Eq, V: Clone, R: Runtime> Inner<K, V, R> {
    fn ask(
        self: &Rc<Self>,
        key: &mut Option<K>,
        now: Timestamp,
        ask: Ask,
        deadline: Timestamp,
    ) -> Result<Found<K, V, R>, LoadError> {
        let seat = |flight, leader, task, result| Seat {
            guard: Guard { inner: self.clone(), flight, armed: true },
            leader,
            task,
            result,
        };
        let found = self.with(|shelf| {
            let Some(wanted) = key.as_ref() else { return Err(LoadError::Lost) };
            let hash = shelf.hash(wanted);
            let known = shelf.find_hashed(hash, wanted);
            let answer = shelf.machine.ask(known, now, ask, deadline);
            self.drain(shelf);
            match answer {
                Answer::Hit(slot) => shelf.value(slot).cloned().map(Found::Value).ok_or(LoadError::Lost),
                Answer::Full => Err(LoadError::Full),
                Answer::Join(flight) if polling::is_inside(flight, self.address()) => {
                    shelf.machine.leave(flight, 1);
                    Err(LoadError::Recursive)
                }
                Answer::Join(flight) => {
                    let Some(flying) = shelf.flying(flight).cloned() else {
                        shelf.machine.leave(flight, 1);
                        return Err(LoadError::Lost);
                    };
                    Ok(Found::Seat(seat(flight, false, Some(flying.task), flying.result)))
                }
                Answer::Lead(slot, flight) => {
                    if R::RUNS_ALONE {
                        shelf.machine.hold(flight);
                    }
                    let weighed = self.clone_key.filter(|_| self.weigher.is_some());
                    let weighed_key = weighed.and_then(|clone| key.as_ref().map(clone));
                    if known.is_none()
                        && let Some(key) = key.take()
                    {
                        shelf.place(slot, key, hash);
                    }
                    Ok(Found::Lead(seat(flight, true, None, Rc::default()), weighed_key))
                }
            }
        });
        found.unwrap_or(Err(LoadError::Reentrant))
    }

    /// Lets others join the load.
    fn publish(&self, seat: &Seat<K, V, R>) {
        if let Some(task) = seat.task.clone() {
            let flying = Flying { task, result: seat.result.clone() };
            self.with(|shelf| shelf.set_flying(seat.guard.flight, flying));
        }
    }

    /// Names the cache among all on this thread.
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as *const () as usize
    }
}

/// A place among those who wait for a load.
struct Seat<K: Hash + Eq, V, R: Runtime> {
    guard: Guard<K, V, R>,
    leader: bool,
    task: Option<R::Task>,
    result: Rc<OnceCell<Result<V, LoadError>>>,
}

impl<K: Hash + Eq, V: Clone, R: Runtime> Seat<K, V, R> {
    /// What the load brought; `None` if it was lost and there is time to load again.
    async fn wait(mut self, now: Timestamp, deadline: Timestamp, limit: Ttl) -> Option<Result<V, LoadError>> {
        let inner = self.guard.inner.clone();
        let mut task = self.task.take()?;
        // A timer is made only for a load that is not there at once.
        let mut slept = pin!(async {
            match limit {
                Ttl::Millis(_) => inner.runtime.sleep(deadline.millis_since(now)).await,
                Ttl::Forever => std::future::pending().await,
            }
        });
        let ended = std::future::poll_fn(|cx| match Pin::new(&mut task).poll(cx) {
            Poll::Ready(()) => Poll::Ready(true),
            Poll::Pending => slept.as_mut().poll(cx).map(|()| false),
        });
        let ended = ended.await;
        if let Some(result) = self.result.get().cloned() {
            self.guard.armed = false;
            return Some(result);
        }
        if ended && (self.leader || inner.now() < deadline) {
            self.guard.armed = false;
            self.guard.end(if self.leader { Machine::abandon } else { Machine::lost });
            return None;
        }
        self.guard.time_out();
        let Ttl::Millis(after_millis) = limit else { return None };
        Some(Err(LoadError::TimedOut { after_millis }))
    }
}

/// Sees to it that a waiter who is dropped is not counted for ever.
struct Guard<K: Hash + Eq, V, R: Runtime> {
    inner: Rc<Inner<K, V, R>>,
    flight: FlightId,
    armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> Guard<K, V, R> {
    fn time_out(&mut self) {
        self.armed = false;
        self.end(|machine, flight| machine.time_out(flight, 1));
    }

    fn abandon(&mut self) {
        self.end(Machine::abandon);
    }

    /// Does what may end the flight, and lets go of its task, with nothing borrowed.
    fn end(&self, f: impl FnOnce(&mut Machine, FlightId) -> bool) {
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

struct Lead<K: Hash + Eq, V, R: Runtime> {
    inner: Rc<Inner<K, V, R>>,
    flight: FlightId,
    ttl: Ttl,
    key: Option<K>,
}

/// The task that everyone waits for: runs the loader, stores what it brings, and leaves the result.
async fn lead<K, V, R, F, E>(
    lead: Lead<K, V, R>,
    load: impl FnOnce(LoadCtx) -> F,
    result: Rc<OnceCell<Result<V, LoadError>>>,
) where
    K: Hash + Eq,
    V: Clone,
    R: Runtime,
    F: Future<Output = Result<V, E>>,
    E: Into<Box<dyn Error + 'static>>,
{
    let Lead { inner, flight, ttl, key } = lead;
    // If this task is dropped or the loader panics, the flight ends with it.
    let mut abandoned = Abandoned { guard: Guard { inner: inner.clone(), flight, armed: false }, armed: true };
    let ctx = LoadCtx::default();
    let said = ctx.said.clone();
    let run = async { load(ctx).await };
    let brought = polling::Inside::new(flight, inner.address(), pin!(run)).await;
    let (outcome, brought) = match brought {
        Ok(value) if said.skip.get() => (Outcome::Skip, Ok(value)),
        Ok(value) => {
            let weight = said.weight.get().unwrap_or_else(|| inner.weigh(key.as_ref(), &value));
            (Outcome::Store { ttl: said.ttl.get().unwrap_or(ttl), weight }, Ok(value))
        }
        Err(error) => (Outcome::Fail, Err(LoadError::Loader(Rc::from(error.into())))),
    };
    let now = inner.now();
    let stored = brought.clone();
    // The result comes before anyone is woken.
    let _ = result.set(brought);
    let ended = inner.with(|shelf| {
        let settled = shelf.machine.settle(flight, now, outcome);
        inner.drain(shelf);
        match (settled, stored) {
            (Settled::Stored(slot), Ok(value)) => inner.put(shelf, slot, value),
            (_, stored) => shelf.gone.push(Gone { key: None, value: stored.ok(), cause: None }),
        }
        (settled != Settled::Late).then(|| shelf.take_flying(flight))
    });
    abandoned.armed = false;
    drop(ended);
}

struct Abandoned<K: Hash + Eq, V, R: Runtime> {
    guard: Guard<K, V, R>,
    armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Abandoned<K, V, R> {
    fn drop(&mut self) {
        if self.armed {
            self.guard.abandon();
        }
    }
}

/// Which loads are being polled, so that one that asks for its own key is told so.
mod polling {
    use super::*;

    thread_local! {
        static STACK: RefCell<Vec<(FlightId, usize)>> = const { RefCell::new(Vec::new()) };
    }

    /// Whether the caller runs inside this load of the cache at this address.
    pub fn is_inside(flight: FlightId, cache: usize) -> bool {
        STACK.with(|stack| stack.try_borrow().is_ok_and(|stack| stack.contains(&(flight, cache))))
    }

    /// A load that knows when it is being polled.
    pub struct Inside<'a, F> {
        flight: FlightId,
        cache: usize,
        load: Pin<&'a mut F>,
    }

    impl<'a, F> Inside<'a, F> {
        pub fn new(flight: FlightId, cache: usize, load: Pin<&'a mut F>) -> Self {
            Self { flight, cache, load }
        }
    }

    impl<F: Future> Future for Inside<'_, F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            STACK.with(|stack| stack.borrow_mut().push((self.flight, self.cache)));
            let _popped = Popped;
            self.load.as_mut().poll(cx)
        }
    }

    struct Popped;

    impl Drop for Popped {
        fn drop(&mut self) {
            STACK.with(|stack| stack.borrow_mut().pop());
        }
    }
}
