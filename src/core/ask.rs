//! How a key is asked for, and what comes of it.

use super::freshness::Freshness;
use super::ids::{FlightId, Node, WaitId};
use super::loads::{Deadlines, Turn};
use super::partitions::PartitionId;
use super::slab::{Slot, State};
use super::{Machine, RemovalCause, SWEEP};
use crate::options::Policy;
use crate::time::Timestamp;

/// A get that loads what is not there.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The key's, if it has one.
    pub slot: Option<Slot>,
    /// A new key's, so that it is known when it comes back after an eviction; looked at only where the key has no slot. Any
    /// 32 bits will do that are the same for the same key and spread over all keys. `None`: it is never known.
    pub hash: Option<u32>,
    /// Whose key it is.
    pub partition: PartitionId,
    /// The moment.
    pub now: Timestamp,
    /// When it was first asked, which its deadlines count from: before `now` only for one that asks again.
    pub asked_at: Timestamp,
    /// What it was counted as when it asked before; `None` for the first time.
    pub again: Option<Counted>,
    /// How long it waits, and how what it loads is kept.
    pub policy: &'a Policy,
    /// By what names what it loads can be purged.
    pub tags: &'a [String],
    /// What it loads counts against `max_bytes`; `None`: unknown.
    pub weight: Option<u32>,
    /// What is stored will not do; a load already under way will.
    pub force_fresh: bool,
    /// The asker's rule refuses what is stored: it goes, and is loaded anew.
    pub invalid: bool,
    /// Whether the driver can run a load that nobody waits for. If not, the asker waits for the refresh that it would
    /// have begun.
    pub background: bool,
    /// Whether a load goes on when nobody waits for it any more.
    pub detached: bool,
    /// What loads it is a batch, whose call has a turn of its own.
    pub batched: bool,
    /// A random number above 0 and up to 1, for refreshing ahead; `None`: not now.
    pub random: Option<f64>,
    /// The load that asks, if a loader does.
    pub asker: Option<Node>,
}

/// What to do about a key that was asked for. Each answer tells which event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Hand out the value in this slot. Event: hit.
    Hit(Slot),
    /// Hand out the value in this slot, which is stale. Event: stale.
    Stale(Slot, StaleCause),
    /// Hand out the value in this slot, and begin this load in the background, where the cache itself waits for it, as
    /// [`StartLoad`](Self::StartLoad) does.
    /// Event: stale, by [`StaleCause::Revalidate`], or hit.
    Refresh {
        /// The value's.
        slot: Slot,
        /// The load's.
        flight: FlightId,
        /// Whether the value is stale; if not, it is refreshed ahead of its end.
        stale: bool,
    },
    /// Hand out the error in this slot: the key's load failed a moment ago. Event: hit.
    Failed(Slot),
    /// Wait for this load. Event: coalesced.
    Join(WaitId),
    /// Begin this load, and wait for it in its first group; the key now has this slot. Event: miss. Where loads are limited
    /// it may be [queued](Machine::is_queued): then it begins when [`poll_start`](Machine::poll_start) says so.
    StartLoad(Slot, FlightId, MissCause),
    /// The load that asks is waited for, in a circle, by the one it asks for. Not counted as a get.
    Recursive,
    /// It asked again, and its deadline has passed.
    TimedOut,
    /// 2^21 loads are under way, or 2^30 keys are known: there is no number left. Event: miss, of what is absent.
    Full,
    /// Too many loads wait for their turn. Event: miss.
    Refused(MissCause),
}

/// Why a get found nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MissCause {
    /// No value was there.
    Absent,
    /// The value that was there had passed its time.
    Expired,
    /// It asked for a fresh one.
    Forced,
    /// The user's rule refused the value that was there.
    Invalid,
}

impl MissCause {
    /// A stable name for programs: the same in both faces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Expired => "expired",
            Self::Forced => "forced",
            Self::Invalid => "invalid",
        }
    }
}

/// Why a get was answered with a stale value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StaleCause {
    /// It is being refreshed.
    Revalidate,
    /// Its load has failed, now or a moment ago.
    Error,
    /// Its load takes longer than the get's soft timeout.
    Timeout,
}

impl StaleCause {
    /// A stable name for programs: the same in both faces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revalidate => "revalidate",
            Self::Error => "error",
            Self::Timeout => "timeout",
        }
    }
}

/// What a get was counted as that now asks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It began the load.
    Miss,
    /// It joined it.
    Coalesced,
}

/// What a get that loads nothing found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A fresh value.
    Hit,
    /// None.
    Miss(MissCause),
}

impl Deadlines {
    /// Of a wait that began at `asked_at`.
    pub fn of(policy: &Policy, asked_at: Timestamp) -> Self {
        Self { soft: asked_at.after(policy.soft_timeout), hard: asked_at.after(policy.hard_timeout) }
    }
}

impl Machine {
    /// A get that returns only what is there and fresh. O(1).
    #[inline]
    pub fn touch(&mut self, slot: Slot, now: Timestamp) -> Touched {
        if self.hit(slot, now) {
            return Touched::Hit;
        }
        let namespace = self.namespace_of(slot);
        if self.freshness_of(slot, now) == Freshness::RefreshDue {
            self.used(slot, now);
            self.count_in(namespace, |stats| stats.hits += 1);
            return Touched::Hit;
        }
        self.count_in(namespace, |stats| stats.misses += 1);
        let cause = self.miss_cause(Some(slot), false);
        self.count_in(namespace, |stats| stats.expired_misses += u64::from(cause == MissCause::Expired));
        self.remove_expired(slot, now);
        Touched::Miss(cause)
    }

    /// As [`touch`](Self::touch) of a value that the user's rule refuses: a miss, and the value goes.
    pub fn touch_invalid(&mut self, slot: Slot) -> Touched {
        self.count_in(self.namespace_of(slot), |stats| stats.misses += 1);
        self.drop_value(slot, Some(RemovalCause::Removed));
        Touched::Miss(MissCause::Invalid)
    }

    /// Lets go of a value, but not of its key, that somebody is about to load.
    fn refuse(&mut self, slot: Slot) {
        if self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready) {
            self.pinned = Some(slot);
            self.drop_value(slot, Some(RemovalCause::Removed));
            self.pinned = None;
        }
    }

    /// As [`touch`](Self::touch) for a value that needs no second look, such as whether to refresh it ahead. What
    /// does, and what is no hit, is left as it is and not counted.
    #[inline]
    pub fn hit(&mut self, slot: Slot, now: Timestamp) -> bool {
        let hit = self.slab.is_hit(slot, now);
        if hit {
            self.eviction.hit(slot);
            self.count_in(self.namespace_of(slot), |stats| stats.hits += 1);
        }
        hit
    }

    /// Whether nothing here ends by itself, neither entries nor loads and writes under way, so that nobody need read a
    /// clock for a [miss](Self::miss).
    #[inline]
    pub fn all_timeless(&self) -> bool {
        self.expirable == 0 && self.flights.live() == 0 && self.writes.is_empty()
    }

    /// As [`miss`](Self::miss), where nothing comes of it but that it is counted; else `false`, and nothing is done. `now` is
    /// asked for a moment not after now, if anything ever ends.
    #[inline]
    pub(crate) fn miss_at_rest(&mut self, namespace: u8, now: impl FnOnce() -> Timestamp) -> bool {
        let now = if self.all_timeless() { Timestamp::default() } else { now() };
        let at_rest = self.finds_nothing_to_sweep(now, SWEEP);
        if at_rest {
            self.pass_swept(SWEEP);
            self.count_in(namespace, |stats| stats.misses += 1);
        }
        at_rest
    }

    /// A get that returns only what is there, of a key that is not.
    #[inline]
    pub fn miss(&mut self, namespace: u8, now: Timestamp) {
        self.count_in(namespace, |stats| stats.misses += 1);
        self.sweep(now, SWEEP);
    }

    /// A get that loads what is not there. O(1).
    ///
    /// Who is told to join or to lead is counted among the flight's waiters until the flight ends or
    /// [`leave`](Self::leave), [`time_out`](Self::time_out) or [`timeout`](Self::timeout) says otherwise. From the hard
    /// deadline of the one who began the load on, nobody joins it: the next to ask begins anew.
    pub fn ask(&mut self, ask: &Ask<'_>) -> Answer {
        let now = ask.now;
        self.follow_clock(now);
        // What is swept or evicted may be the last of this key's partition.
        self.partitions.retain(ask.partition);
        // Entries are swept when a load ends.
        let slot = if self.flights.live() == 0 && self.writes.is_empty() {
            ask.slot.filter(|slot| self.slab.get(*slot).is_some_and(|entry| entry.state() != State::Free))
        } else {
            self.sweep_for(ask.slot, now, 0)
        };
        let answer = self.answer(slot, ask);
        // A get is counted by how it ended up.
        if ask.again.is_some() && !matches!(answer, Answer::Recursive | Answer::TimedOut) {
            self.uncount(ask);
        }
        if let Some(slot) = slot
            && matches!(answer, Answer::Recursive | Answer::TimedOut | Answer::Full)
        {
            self.vacate_pending(slot);
        }
        self.partitions.release(ask.partition);
        answer
    }

    /// So many more gets of which each is, but for its number, the one that was answered last, with [`Answer::Join`] and this
    /// wait: at the same moment, of the same key, with nothing asked or told since. Each would be answered alike, so that a
    /// driver may answer it by itself, and tell how many they were before it asks or tells anything else.
    pub fn join_more(&mut self, wait: WaitId, callers: u32) {
        let Some(partition) = self.flights.get(wait.flight).map(|flight| flight.partition) else { return };
        self.flights.join_more(wait, callers);
        self.count(partition, |stats| stats.coalesced += u64::from(callers));
    }

    fn answer(&mut self, slot: Option<Slot>, ask: &Ask<'_>) -> Answer {
        let now = ask.now;
        let deadlines = Deadlines::of(ask.policy, ask.asked_at);
        if ask.again.is_some() && now >= deadlines.hard {
            self.count(ask.partition, |stats| stats.timeouts += 1);
            return Answer::TimedOut;
        }
        if let Some(slot) = slot.filter(|_| ask.invalid) {
            self.refuse(slot);
        }
        let stored = slot.filter(|_| !ask.force_fresh);
        if let Some(answer) = stored.and_then(|slot| self.answer_from_store(slot, ask, deadlines)) {
            return answer;
        }
        if let Some(flight) = slot.and_then(|slot| self.flight_of(slot)) {
            if let Some(asker) = ask.asker
                && self.is_live(asker)
                && self.graph.reaches(Node::Flight(flight), asker)
            {
                return Answer::Recursive;
            }
            if self.flights.is_joinable(flight, now)
                && let Some((group, is_new)) = self.flights.join(flight, deadlines, self.tags.purges())
            {
                let wait = WaitId { flight, group };
                if is_new {
                    self.set_alarm(wait, deadlines);
                }
                if let Some(asker) = ask.asker
                    && self.is_live(asker)
                {
                    self.graph.add(asker, Node::Flight(flight));
                }
                self.hurry(flight, ask);
                self.count(ask.partition, |stats| stats.coalesced += 1);
                return Answer::Join(wait);
            }
        }
        let turn = self.turn_of(ask, false);
        if turn.is_none() {
            self.count(ask.partition, |stats| stats.refused += 1);
            if let Some(slot) = slot.filter(|slot| !ask.force_fresh && self.is_usable(*slot, now)) {
                self.used(slot, now);
                self.count(ask.partition, |stats| stats.stale_hits += 1);
                return Answer::Stale(slot, StaleCause::Error);
            }
        }
        self.count(ask.partition, |stats| stats.misses += 1);
        let cause = match self.miss_cause(slot, ask.force_fresh) {
            MissCause::Absent if ask.invalid => MissCause::Invalid,
            cause => cause,
        };
        self.count(ask.partition, |stats| stats.expired_misses += u64::from(cause == MissCause::Expired));
        let Some(turn) = turn else {
            if let Some(slot) = slot {
                self.remove_expired(slot, now);
                self.vacate_pending(slot);
            }
            return Answer::Refused(cause);
        };
        let Some(slot) = slot.or_else(|| self.take(ask.partition, ask.hash)) else {
            return Answer::Full;
        };
        self.detach(slot);
        let Some(flight) = self.begin(slot, ask, deadlines, turn, false) else {
            self.remove_expired(slot, now);
            self.vacate_pending(slot);
            return Answer::Full;
        };
        if let Some(asker) = ask.asker
            && self.is_live(asker)
        {
            self.graph.add(asker, Node::Flight(flight));
        }
        // From here on the flight holds the key in its slot, whatever happens to an old value.
        self.remove_expired(slot, now);
        Answer::StartLoad(slot, flight, cause)
    }

    /// The answer where what is stored will do.
    fn answer_from_store(&mut self, slot: Slot, ask: &Ask<'_>, deadlines: Deadlines) -> Option<Answer> {
        let now = ask.now;
        if self.hit(slot, now) {
            return Some(Answer::Hit(slot));
        }
        if self.is_failed(slot, now) {
            self.eviction.hit(slot);
            self.count(ask.partition, |stats| stats.hits += 1);
            return Some(Answer::Failed(slot));
        }
        let freshness = self.freshness_of(slot, now);
        let windows = *self.freshness.windows(slot)?;
        let loading = self.flight_of(slot).is_some_and(|flight| self.flights.is_joinable(flight, now));
        let may_load = !loading && now >= windows.retry_at;
        let (stale, refresh) = match freshness {
            Freshness::Fresh | Freshness::Expired => return None,
            Freshness::RefreshDue => {
                let due = ask.random.is_some_and(|random| windows.is_due(now, random));
                (false, may_load && due && ask.background)
            }
            Freshness::StaleWhileRevalidate if may_load && !ask.background => return None,
            Freshness::StaleWhileRevalidate => (true, may_load),
            Freshness::StaleIfError if loading || may_load => return None,
            Freshness::StaleIfError => (true, false),
        };
        self.used(slot, now);
        self.count(ask.partition, |stats| if stale { stats.stale_hits += 1 } else { stats.hits += 1 });
        let turn = if refresh { self.turn_of(ask, true) } else { None };
        self.count(ask.partition, |stats| stats.refused += u64::from(refresh && turn.is_none()));
        let flight = turn.and_then(|turn| {
            self.detach(slot);
            self.begin(slot, ask, deadlines, turn, true)
        });
        Some(match (flight, stale) {
            (Some(flight), stale) => {
                self.count(ask.partition, |stats| stats.refreshes += 1);
                Answer::Refresh { slot, flight, stale }
            }
            (None, true) => Answer::Stale(slot, if loading { StaleCause::Revalidate } else { StaleCause::Error }),
            (None, false) => Answer::Hit(slot),
        })
    }

    /// A value that needed a check is handed out.
    fn used(&mut self, slot: Slot, now: Timestamp) {
        self.eviction.hit(slot);
        self.freshness.used(slot, now);
    }

    /// Attaches a new load to a key.
    fn begin(
        &mut self,
        slot: Slot,
        ask: &Ask<'_>,
        deadlines: Deadlines,
        turn: Turn,
        background: bool,
    ) -> Option<FlightId> {
        let (id, flight) = self.flights.begin(deadlines, self.tags.purges(), background)?;
        flight.partition = ask.partition;
        flight.slot = Some(slot);
        flight.policy = *ask.policy;
        flight.tags.extend_from_slice(ask.tags);
        flight.weight = ask.weight;
        flight.began = ask.now;
        flight.detached = ask.detached;
        flight.turn = turn;
        flight.is_inner = ask.asker.is_some();
        // Its key may go before it ends.
        self.partitions.retain(ask.partition);
        if let Some(mut entry) = self.slab.get_mut(slot) {
            entry.set_flight(Some(id.number()));
        }
        let first = WaitId { flight: id, group: 0 };
        if ask.policy.keep_loading {
            self.flights.hold(first);
        }
        self.set_alarm(first, deadlines);
        self.enter_queue(id, turn, ask, background);
        self.count(ask.partition, |stats| stats.loads += u64::from(turn != Turn::Waiting));
        Some(id)
    }

    /// Takes back what one who asks again was counted as before.
    #[inline(never)]
    fn uncount(&mut self, ask: &Ask<'_>) {
        self.count(ask.partition, |stats| {
            let before = match ask.again {
                Some(Counted::Miss) => &mut stats.misses,
                Some(Counted::Coalesced) => &mut stats.coalesced,
                None => return,
            };
            *before = before.saturating_sub(1);
        });
    }

    /// Why nothing in the slot will do.
    fn miss_cause(&self, slot: Option<Slot>, forced: bool) -> MissCause {
        let ready = |slot| self.slab.get(slot).is_some_and(|entry| entry.state() == State::Ready);
        match slot {
            _ if forced => MissCause::Forced,
            Some(slot) if ready(slot) => MissCause::Expired,
            _ => MissCause::Absent,
        }
    }

    /// The live load attached to a slot.
    pub fn flight_of(&self, slot: Slot) -> Option<FlightId> {
        self.flights.id_at(self.slab.get(slot)?.flight()?)
    }

    /// As [`detach`](Self::detach), but for a load that waits for its turn: that is about the key as it will be.
    pub(super) fn detach_begun(&mut self, slot: Slot) {
        if !self.flight_of(slot).is_some_and(|flight| self.is_queued(flight)) {
            self.detach(slot);
        }
    }

    /// Cuts a key loose from its load, whose waiters stay.
    pub(super) fn detach(&mut self, slot: Slot) {
        if let Some(flight) = self.flight_of(slot) {
            self.flights.detach(flight);
        }
        if let Some(mut entry) = self.slab.get_mut(slot) {
            entry.set_flight(None);
        }
    }
}
