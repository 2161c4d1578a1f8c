//! Gets that load what is not there, and share the load.

use std::cell::OnceCell;
use std::error::Error;
use std::future::Future;
use std::hash::Hash;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use super::cache::{Cache, Inner};
use super::call::{CallOptions, Got, LoadCtx, Status, Terms};
use super::polling;
use super::runtime::Runtime;
use super::seat::{Brought, Ended, Guard, Seat, Times};
use super::shelf::{Flying, Gone, Shelf};
use crate::core::{Answer, Ask, FlightId, Keep, Machine, Outcome, Query, Settled, Slot};
use crate::error::LoadError;
use crate::time::{Timestamp, Ttl};

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// The value, or what `load` brings, which is then stored. Those who ask for the key meanwhile wait for
    /// the same load.
    ///
    /// # Errors
    /// As [`try_get_with`](Self::try_get_with), but for the loader's own.
    pub async fn get_with<F>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
    where
        F: Future<Output = V> + 'static,
    {
        let infallible = |ctx| async move { Ok(load(ctx).await) };
        self.fetch(key, CallOptions::default(), false, infallible).await.map(|got| got.value)
    }

    /// The value, or what `load` brings. An error goes to everyone who waits, and nothing is stored: the
    /// next get loads anew, unless [`error_backoff`](super::Builder::error_backoff) is set.
    ///
    /// The load is driven by all who wait for it, so it survives the one who began it; when the last of
    /// them is dropped, so is the load. It may call the cache, but for its own key that is an error.
    ///
    /// A stale value is handed out within [`stale_while_revalidate`](super::Builder::stale_while_revalidate), and
    /// within [`stale_if_error`](super::Builder::stale_if_error) if the load fails or is slow.
    ///
    /// # Errors
    /// [`LoadError::Loader`] with the loader's error; [`LoadError::TimedOut`] when `hard_timeout` passes
    /// first; [`LoadError::Recursive`] in a loader that asks for its own key; [`LoadError::Full`].
    pub async fn try_get_with<F, E>(&self, key: K, load: impl FnOnce(LoadCtx<V>) -> F + 'static) -> Result<V, LoadError>
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
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<V, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        self.fetch(key, options, false, |ctx| own_errors(load(ctx))).await.map(|got| got.value)
    }

    /// [`try_get_with_options`](Self::try_get_with_options), and how the value was come by.
    ///
    /// ```
    /// use nearcache::{Cache, CallOptions, Status, Ttl};
    ///
    /// # futures::executor::block_on(async {
    /// let cache: Cache<&str, u64> = Cache::new_with_max_entries(1_000);
    /// let options = CallOptions { ttl: Some(Ttl::Millis(60_000)), ..CallOptions::default() };
    /// let get = || cache.try_get_with_details("answer", options.clone(), async |_| Ok::<_, &str>(42));
    /// assert_eq!(get().await?.status, Status::Miss);
    /// let got = get().await?;
    /// assert_eq!((got.value, got.status), (42, Status::Hit));
    /// # Ok::<_, nearcache::LoadError>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As there.
    pub async fn try_get_with_details<F, E>(
        &self,
        key: K,
        options: CallOptions,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<Got<V>, LoadError>
    where
        F: Future<Output = Result<V, E>> + 'static,
        E: Into<Box<dyn Error + 'static>> + 'static,
    {
        self.fetch(key, options, true, |ctx| own_errors(load(ctx))).await
    }

    /// All of the above. `details`: whether age and ttl are wanted.
    pub(super) async fn fetch<F>(
        &self,
        key: K,
        options: CallOptions,
        details: bool,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Result<Got<V>, LoadError>
    where
        F: Future<Output = Result<V, LoadError>> + 'static,
    {
        let inner = &self.inner;
        let defaults = &self.view.defaults;
        let limit = options.hard_timeout.unwrap_or(defaults.hard_timeout);
        let now = inner.now();
        let soft = now.after(options.soft_timeout.unwrap_or(defaults.soft_timeout));
        let mut times = Times { now, soft, deadline: now.after(limit), limit };
        let ask = if options.force_fresh { Ask::Fresh } else { Ask::Stored };
        let (mut key, mut load) = (Some(key), Some((load, options)));
        loop {
            let mut seat = match self.ask(&mut key, ask, details, &times)? {
                Found::Got(got) => return Ok(got),
                Found::Follow(seat) => seat,
                Found::Lead(Lead { seat, key: told_key, last, now: handed_out }) => {
                    let Some((load, options)) = load.take() else { return Err(LoadError::Reentrant) };
                    let terms = Terms::new(options, defaults);
                    let seat = self.begin(seat, told_key, terms, LoadCtx::new(last), times.now, load);
                    if let Some(got) = handed_out {
                        seat.wait_in_background(times);
                        return Ok(got);
                    }
                    seat
                }
            };
            let status = if seat.leader { Status::Miss } else { Status::Coalesced };
            match seat.wait(&times, || self.older(key.as_ref()?)).await {
                Ended::Brought(Brought { result, rescued, age }) => {
                    let status = if rescued { Status::StaleIfError } else { status };
                    return result.map(|value| Got::new(value, status, age));
                }
                Ended::Soft(got) => {
                    seat.wait_in_background(times);
                    return Ok(got);
                }
                Ended::TimedOut(after_millis) => return Err(LoadError::TimedOut { after_millis }),
                // The task was lost with the request that ran it. Whoever sees this first takes the lead.
                Ended::Lost if seat.leader => return Err(LoadError::Lost),
                Ended::Lost => times.now = inner.now(),
            }
        }
    }

    /// Asks for a key, and tells the plugins what came of it.
    fn ask(&self, key: &mut Option<K>, ask: Ask, details: bool, times: &Times) -> Result<Found<K, V, R>, LoadError> {
        let inner = &self.inner;
        let found = inner.with(|shelf| self.ask_shelf(shelf, key, ask, details, times));
        let found = found.unwrap_or(Err(LoadError::Reentrant));
        if inner.has_plugins() {
            let known = key.as_ref();
            match &found {
                Ok(Found::Got(got)) | Ok(Found::Lead(Lead { now: Some(got), .. })) => match got.status {
                    Status::Stale => inner.tell_of(known, |plugin, key| plugin.stale(key)),
                    _ => inner.tell_of(known, |plugin, key| plugin.hit(key)),
                },
                Ok(Found::Lead(lead)) => inner.tell_of(lead.key.as_ref(), |plugin, key| plugin.miss(Some(key))),
                Err(LoadError::Loader(_)) => inner.tell_of(known, |plugin, key| plugin.hit(key)),
                Ok(Found::Follow(_)) | Err(_) => {}
            }
        }
        found
    }

    fn ask_shelf(
        &self,
        shelf: &mut Shelf<K, V, R>,
        key: &mut Option<K>,
        ask: Ask,
        details: bool,
        times: &Times,
    ) -> Result<Found<K, V, R>, LoadError> {
        let (inner, room, now) = (&self.inner, self.room.as_ref(), times.now);
        let Some(wanted) = key.as_ref() else { return Err(LoadError::Lost) };
        let hash = shelf.hash(room, wanted);
        let known = shelf.find_hashed(hash, room, wanted);
        let got = |shelf: &Shelf<K, V, R>, slot, status| {
            let value = shelf.value(slot).cloned().ok_or(LoadError::Lost)?;
            Ok(Got::new(value, status, details.then(|| shelf.machine.age(slot, now)).flatten()))
        };
        // Most gets end here, and need no query.
        if let Some(slot) = known.filter(|slot| ask == Ask::Stored && shelf.machine.hit(*slot, now)) {
            return got(shelf, slot, Status::Hit).map(Found::Got);
        }
        let background = R::RUNS_ALONE || inner.runtime.can_spawn();
        let query = Query {
            space: self.view.space,
            now,
            deadline: times.deadline,
            ask,
            background,
            draw: known.is_some_and(|slot| shelf.machine.is_fresh(slot, now)).then(|| inner.draw()),
        };
        let answer = shelf.machine.ask(known, &query);
        inner.drain(shelf);
        let (slot, flight, now) = match answer {
            Answer::Hit(slot) => return got(shelf, slot, Status::Hit).map(Found::Got),
            Answer::Stale(slot) => return got(shelf, slot, Status::Stale).map(Found::Got),
            Answer::Failed(slot) => return Err(shelf.failure(slot).cloned().unwrap_or(LoadError::Lost)),
            Answer::Full => return Err(LoadError::Full),
            Answer::Join(flight) if polling::is_inside(flight, inner.address()) => {
                shelf.machine.leave(flight, 1);
                return Err(LoadError::Recursive);
            }
            Answer::Join(flight) => {
                let Some(flying) = shelf.flying(flight).cloned() else {
                    shelf.machine.leave(flight, 1);
                    return Err(LoadError::Lost);
                };
                return Ok(Found::Follow(self.seat(flight, false, Some(flying.task), flying.result)));
            }
            Answer::Refresh { slot, flight, stale } => {
                (slot, flight, Some(got(shelf, slot, if stale { Status::Stale } else { Status::Hit })?))
            }
            Answer::Lead(slot, flight) => (slot, flight, None),
        };
        if R::RUNS_ALONE {
            shelf.machine.hold(flight);
        }
        let told_key = inner.clone_key.and_then(|clone| key.as_ref().map(clone));
        if known.is_none()
            && let Some(key) = key.take()
        {
            shelf.place(slot, room, key, hash);
        }
        let last = shelf.machine.is_usable(slot, times.now).then(|| shelf.value(slot).cloned()).flatten();
        let seat = self.seat(flight, true, None, Rc::default());
        Ok(Found::Lead(Lead { seat, key: told_key, last, now }))
    }

    fn seat(
        &self,
        flight: FlightId,
        leader: bool,
        task: Option<R::Task>,
        result: Rc<OnceCell<Brought<V>>>,
    ) -> Seat<K, V, R> {
        let guard = Guard { inner: self.inner.clone(), flight, space: self.view.space, armed: true };
        Seat { guard, leader, task, result }
    }

    /// Makes the task that everyone waits for, and lets others join it.
    fn begin<F>(
        &self,
        mut seat: Seat<K, V, R>,
        key: Option<K>,
        terms: Terms,
        ctx: LoadCtx<V>,
        began: Timestamp,
        load: impl FnOnce(LoadCtx<V>) -> F + 'static,
    ) -> Seat<K, V, R>
    where
        F: Future<Output = Result<V, LoadError>> + 'static,
    {
        let flight = seat.guard.flight;
        let task = Loading { cache: self.clone(), flight, key, terms, began, result: seat.result.clone() };
        let task = self.inner.runtime.share(Box::pin(task.run(ctx, load)));
        let flying = Flying { task: task.clone(), result: seat.result.clone() };
        self.inner.with(|shelf| shelf.set_flying(flight, flying));
        seat.task = Some(task);
        seat
    }

    /// A value that a wait may be content with at its soft deadline. Counts.
    fn older(&self, key: &K) -> Option<Got<V>> {
        let now = self.inner.now();
        let got = self.inner.with(|shelf| {
            let slot = shelf.find(self.room.as_ref(), key).filter(|slot| shelf.machine.is_usable(*slot, now))?;
            let value = shelf.value(slot).cloned()?;
            shelf.machine.count_soft_timeout(self.view.space);
            Some(Got::new(value, Status::StaleOnTimeout, shelf.machine.age(slot, now)))
        });
        got.flatten()
    }
}

/// What a loader's own error becomes.
async fn own_errors<V, E>(load: impl Future<Output = Result<V, E>>) -> Result<V, LoadError>
where
    E: Into<Box<dyn Error + 'static>>,
{
    load.await.map_err(|error| LoadError::Loader(Rc::from(error.into())))
}

/// What asking for a key came to.
enum Found<K: Hash + Eq, V, R: Runtime> {
    Got(Got<V>),
    Follow(Seat<K, V, R>),
    Lead(Lead<K, V, R>),
}

/// A load to begin.
struct Lead<K: Hash + Eq, V, R: Runtime> {
    seat: Seat<K, V, R>,
    /// There when the weigher or a plugin will want to see it.
    key: Option<K>,
    /// The last good value, for the loader.
    last: Option<V>,
    /// What to hand out now, while the load runs in the background.
    now: Option<Got<V>>,
}

impl<K, V, R: Runtime> Inner<K, V, R> {
    /// Names the cache among all on this thread.
    fn address(&self) -> usize {
        std::ptr::from_ref(self) as *const () as usize
    }
}

impl<K: Hash + Eq, V: Clone, R: Runtime> Inner<K, V, R> {
    /// What the weigher says of a value that a load brought.
    pub fn weigh(&self, key: Option<&K>, value: &V) -> u32 {
        self.weigher.as_ref().zip(key).map_or(0, |(weigh, key)| weigh(key, value))
    }

    /// Whether the user's rule calls a value "nothing there".
    pub fn is_negative(&self, value: &V) -> bool {
        self.rules.is_negative.as_ref().is_some_and(|rule| rule(value))
    }

    /// For how long an error keeps its key from being loaded, by the user's rule.
    fn backoff_by_rule(&self, error: &LoadError) -> Option<Ttl> {
        match (&self.rules.backoff, error) {
            (Some(rule), LoadError::Loader(error)) => rule(&**error),
            _ => None,
        }
    }
}

/// A load under way.
struct Loading<K, V, R: Runtime> {
    cache: Cache<K, V, R>,
    flight: FlightId,
    key: Option<K>,
    terms: Terms,
    began: Timestamp,
    result: Rc<OnceCell<Brought<V>>>,
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Loading<K, V, R> {
    /// The task that everyone waits for: runs the loader, stores what it brings, and leaves the result.
    async fn run<F>(self, ctx: LoadCtx<V>, load: impl FnOnce(LoadCtx<V>) -> F)
    where
        F: Future<Output = Result<V, LoadError>>,
    {
        let inner = self.cache.inner.clone();
        // If this task is dropped or the loader panics, the flight ends with it.
        let guard = Guard { inner: inner.clone(), flight: self.flight, space: self.cache.view.space, armed: false };
        let mut abandoned = Abandoned { guard, armed: true };
        let said = ctx.said.clone();
        let run = async { load(ctx).await };
        let brought = polling::Inside::new(self.flight, inner.address(), pin!(run)).await;
        let (tags, terms) =
            (self.cache.tag_names(self.terms.tags.iter().chain(said.tags.borrow().iter())), &self.terms);
        let outcome = match &brought {
            Ok(_) if said.skip.get() => Outcome::Skip,
            Ok(value) => {
                let life = terms.life(&said, || inner.is_negative(value));
                let weight = said.weight.get().or(terms.weight);
                let weight = weight.unwrap_or_else(|| inner.weigh(self.key.as_ref(), value));
                Outcome::Store(Keep { life, weight, tags: &tags, draw: inner.draw_for(&life) })
            }
            Err(error) => {
                let said = said.backoff.get().or(terms.backoff).or_else(|| inner.backoff_by_rule(error));
                Outcome::Fail { backoff: said.unwrap_or(self.cache.view.defaults.error_backoff) }
            }
        };
        let now = inner.now();
        let error = brought.as_ref().err().cloned();
        let ended = inner.with(|shelf| self.settle(shelf, now, outcome, brought));
        abandoned.armed = false;
        // Its last handle may be dropped with this, and with it what the user has in there.
        drop(ended);
        let took = Duration::from_millis(now.millis_since(self.began));
        inner.tell_of(self.key.as_ref(), |plugin, key| match &error {
            None => plugin.load(key, took),
            Some(error) => plugin.error(key, error, took),
        });
    }

    fn settle(
        &self,
        shelf: &mut Shelf<K, V, R>,
        now: Timestamp,
        outcome: Outcome<'_>,
        brought: Result<V, LoadError>,
    ) -> Option<Flying<V, R>> {
        let inner = &self.cache.inner;
        let settled = shelf.machine.settle(self.flight, now, outcome);
        inner.drain(shelf);
        let mut left = Brought { result: brought.clone(), rescued: false, age: None };
        let mut unstored = brought.ok();
        match (settled, &left.result) {
            (Settled::Stored(slot), _) => {
                left.age = shelf.machine.age(slot, now);
                if let Some(value) = unstored.take() {
                    inner.put(shelf, slot, value);
                }
            }
            (Settled::Rescued(slot), _) => self.rescue(shelf, slot, now, &mut left),
            (Settled::Remembered(slot), Err(error)) => shelf.remember(slot, error.clone()),
            _ => {}
        }
        shelf.gone.push(Gone { key: None, value: unstored, cause: None });
        // The result comes before anyone is woken.
        let _ = self.result.set(left);
        (settled != Settled::Late).then(|| shelf.take_flying(self.flight)).flatten()
    }

    fn rescue(&self, shelf: &Shelf<K, V, R>, slot: Slot, now: Timestamp, left: &mut Brought<V>) {
        if let Some(value) = shelf.value(slot).cloned() {
            *left = Brought { result: Ok(value), rescued: true, age: shelf.machine.age(slot, now) };
        }
    }
}

struct Abandoned<K: Hash + Eq, V, R: Runtime> {
    guard: Guard<K, V, R>,
    armed: bool,
}

impl<K: Hash + Eq, V, R: Runtime> Drop for Abandoned<K, V, R> {
    fn drop(&mut self) {
        if self.armed {
            self.guard.end(Machine::abandon);
        }
    }
}
