//! The wasm-bindgen side of the npm class: conversions and calls, no decisions.
//!
//! The JS side maps keys to slots and keeps the values; what crosses is numbers. An answer has a slot or the place of a
//! group of waiters in its low 27 bits (0: none), a kind in the next four, and the flag `NEWS` above; where it is an
//! `f64`, a second number stands above these 32 bits: a flight's, a write's, or milliseconds. `pkg/src/core.ts` names the
//! same bits. A number that is not said is NaN, a hash 0.
//!
//! A hit does not come here: the JS side sees three columns of the core through views over this memory.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod codes;
mod figures;
mod policies;
mod said;
mod snapshot;

use nearcache::core::{
    Answer, Ask, BatchId, BatchLimits, Brought, CallTurn, ComputeQueue, Counted, EvictionPolicy, Failure, FlightId,
    Goes, JoinBatch, JoinedBatch, MOST_COMPUTES_WAITING, Machine, MissCause, NewValue, Node, Outcome, Part,
    PartitionId, RemovalCause, Settled, Slot, Softened, StaleCause, Start, Timers, Touched, WaitId, Wake, Who,
    WriteThrough,
};
use nearcache::numbers::{from_ttl, to_time, to_ttl};
use nearcache::options::{Limits, LoadLimits, Policy, PolicyPatch, Priority};
use nearcache::time::{Timestamp, Ttl};
use wasm_bindgen::prelude::wasm_bindgen;

use codes::*;
use policies::Policies;
use said::Said;

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The machine behind one cache.
#[wasm_bindgen]
pub struct Core {
    machine: Machine,
    policies: Policies,
    computes: Vec<ComputeQueue>,
    windows: Vec<figures::Asked>,
}

#[wasm_bindgen]
impl Core {
    /// Numbers as `pkg/src/options.ts` has checked them: infinity is no bound. With `shared_timer` one timer serves all waits.
    /// `seed` is 32 random bits.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn new(
        max_entries: f64,
        max_bytes: f64,
        max_entry_bytes: f64,
        usual_ttl: f64,
        shared_timer: bool,
        lru: bool,
        seed: u32,
        max_concurrent_loads: f64,
        loads_per_second: f64,
        max_queued_loads: f64,
        purge_stale_every: f64,
    ) -> Core {
        let limits = Limits::new(max_entries as u64, max_bytes as u64, max_entry_bytes as u64);
        let timers = if shared_timer { Timers::Shared } else { Timers::Own };
        let eviction = if lru { EvictionPolicy::Lru } else { EvictionPolicy::Adaptive };
        let mut machine = Machine::with_eviction(limits, to_ttl(usual_ttl), timers, eviction).with_seed(seed);
        let loads = LoadLimits::new().max_concurrent(max_concurrent_loads as u32).per_second(loads_per_second);
        machine.limit_loads(loads.max_queued(max_queued_loads as u32));
        if purge_stale_every.is_finite() {
            machine.purge_stale_every(to_ttl(purge_stale_every));
        }
        Core { machine, policies: Policies::default(), computes: Vec::new(), windows: Vec::new() }
    }

    /// The number of the policy that says what `base` does (0: what a cache does if nobody says anything) but for the
    /// numbers that are `said`. It holds for ever, and is the same for the same numbers.
    pub fn policy(&mut self, base: u32, said: &[f64], checked: bool) -> u32 {
        let mut patch = Said::read(said).patch;
        patch.checked = checked.then_some(true);
        self.policies.add(self.policies.get(base).patched(&patch))
    }

    /// The number of the namespace of this name in another (0: the root); -1 when there is none left.
    pub fn namespace(&mut self, parent: u8, name: &str) -> i32 {
        self.machine.namespace(parent, name).map_or(-1, i32::from)
    }

    /// The number of a part of the cache, whose names of scopes are joined by U+0000. A scope's holds until the next
    /// scope is opened, and while it has keys.
    pub fn open(&mut self, namespace: u8, scope: &str) -> u32 {
        self.machine.open_partition(Part { namespace, scope }).map_or(0, |partition| partition.0)
    }

    /// `HIT`, or `MISS` with a cause, and `NEWS`.
    pub fn touch(&mut self, slot: u32, now: f64) -> u32 {
        let Some(slot) = Slot::new(slot) else { return MISS_ABSENT };
        match self.machine.touch(slot, to_time(now)) {
            Touched::Hit => HIT,
            Touched::Miss(cause) => miss(cause) | self.news(),
        }
    }

    /// As `touch`, of a value that the user's rule refuses. `NEWS`.
    pub fn touch_invalid(&mut self, slot: u32) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.touch_invalid(slot);
        }
        self.news()
    }

    /// Where in memory the column of `Machine::fresh_until` lies.
    pub fn fresh_until(&self) -> usize {
        place(self.machine.fresh_until())
    }

    /// Where that of `Machine::hit_counters` lies; 0 if the policy has none.
    pub fn hit_counters(&self) -> usize {
        place(self.machine.hit_counters())
    }

    /// Where the list of `Machine::noted_hits` lies; 0 if the policy has none.
    pub fn noted_hits(&mut self) -> usize {
        place(self.machine.noted_hits())
    }

    /// Until a key gets a slot of this number or a greater one, and until `clear`, the columns lie where they are.
    pub fn columns_capacity(&self) -> usize {
        self.machine.columns_capacity()
    }

    /// A hit that the columns have no room for. Not counted here.
    pub fn note_hit(&mut self, slot: u32) {
        if let Some(slot) = Slot::new(slot) {
            self.machine.note_hit(slot);
        }
    }

    /// Counts so many hits.
    pub fn count_hits(&mut self, namespace: u8, hits: f64) {
        self.machine.count_hits(namespace, hits as u64);
    }

    /// A get of a key that has no slot. 0 or `NEWS`.
    pub fn miss(&mut self, namespace: u8, now: f64) -> u32 {
        self.machine.miss(namespace, to_time(now));
        self.news()
    }

    /// Whether the value is fresh, without counting a get.
    pub fn is_fresh(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_fresh(slot, to_time(now)))
    }

    /// Whether there is a value to fall back on.
    pub fn is_usable(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_usable(slot, to_time(now)))
    }

    /// How long the value stays fresh: milliseconds, infinity, 0 for a stale one, or -1 for none that may be
    /// handed out.
    pub fn remaining(&self, slot: u32, now: f64) -> f64 {
        let age = Slot::new(slot).and_then(|slot| self.machine.age(slot, to_time(now)));
        age.map_or(-1.0, |age| from_ttl(age.ttl))
    }

    /// Stores a value of a policy, about which nothing else is said. The slot (0: not stored), `EVICTED` and `NEWS`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn insert(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
    ) -> u32 {
        // The commonest of all in a full cache, which need not be told what the rest is for.
        if slot == 0
            && !absent
            && bytes.is_nan()
            && let Some(ttl) = self.policies.plain(policy)
            && let Some(stored) = self.machine.exchange_plain(PartitionId(partition), to_time(now), ttl, to_hash(hash))
        {
            return self.stored_anew(stored);
        }
        self.put(slot, partition, hash, now, policy, bytes, absent, random, PolicyPatch::nothing(), &[])
    }

    /// As `insert`, with what is said of this value.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn insert_with(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
        said: &[f64],
        tags: Option<Vec<String>>,
    ) -> u32 {
        let said = Said::read(said).patch;
        self.put(slot, partition, hash, now, policy, bytes, absent, random, &said, &tags.unwrap_or_default())
    }

    /// 0 or `NEWS`.
    pub fn remove(&mut self, slot: u32) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.remove(slot);
        }
        self.news()
    }

    /// 1 if there was a fresh value, and `NEWS`.
    pub fn expire(&mut self, slot: u32, now: f64) -> u32 {
        let fresh = Slot::new(slot).is_some_and(|slot| self.machine.expire(slot, to_time(now)));
        u32::from(fresh) | self.news()
    }

    /// How many entries of a part and within it bore the tag. There may be news.
    pub fn remove_tag(&mut self, namespace: u8, scope: &str, tag: &str) -> usize {
        self.machine.remove_tag(Part { namespace, scope }, tag)
    }

    /// How many fresh entries of a part and within it bore the tag. There may be news.
    pub fn expire_tag(&mut self, namespace: u8, scope: &str, tag: &str, now: f64) -> usize {
        self.machine.expire_tag(Part { namespace, scope }, tag, to_time(now))
    }

    /// Removes everything in a part and within it. There may be news.
    pub fn remove_within(&mut self, namespace: u8, scope: &str) {
        self.machine.remove_within(Part { namespace, scope });
    }

    /// Removes everything, without news of each.
    pub fn clear(&mut self) -> Vec<u32> {
        self.machine.clear().into_iter().map(Slot::number).collect()
    }

    /// The next of what left: a slot with its cause as its kind, `KEY_REMOVED`, and `NEWS` if there may be another; 0 when
    /// there is none.
    pub fn removal(&mut self) -> u32 {
        let Some(removal) = self.machine.poll_removal() else { return 0 };
        let cause = match removal.cause {
            None => 0,
            Some(RemovalCause::Size) => 1,
            Some(RemovalCause::Expired) => 2,
            Some(RemovalCause::Replaced) => 3,
            // `Removed`.
            Some(_) => 4,
        };
        removal.slot.number() | (cause << KIND_SHIFT) | if removal.key_removed { KEY_REMOVED } else { 0 } | self.news()
    }

    /// The next flight that nobody can be waiting for any more; -1 when there is none.
    pub fn ended(&mut self) -> i32 {
        self.machine.poll_ended().map_or(-1, |flight| flight.index() as i32)
    }

    /// The next group of the flight that has just ended who are to ask again; -1 when there is none.
    pub fn ask_again(&mut self) -> i32 {
        self.machine.poll_ask_again().map_or(-1, |wait| wait.group as i32)
    }

    /// Asks for a key under a policy, for the first time, with nothing else said. `asker` is the flight whose loader asks,
    /// or a batch (-1: none); without a `random` (NaN) nothing is refreshed ahead.
    ///
    /// A slot to hand out with `HIT`, `STALE_…`, `FAILED` or `REFRESH_…`, the last with a flight above; a group with `JOIN`
    /// and its flight above; a slot with `LEAD_…` and the flight above, whose leader's group is 0; `RECURSIVE`,
    /// `TIMED_OUT`, `FULL`. And `NEWS`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn ask(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        invalid: bool,
        random: f64,
        asker: i32,
    ) -> f64 {
        let asker = self.node(asker);
        let Self { machine, policies, .. } = self;
        let ask = Ask { invalid, ..question(slot, partition, hash, now, policies.get(policy), false, random, asker) };
        answer(machine, &ask)
    }

    /// As `ask`, with what else may be said of it. `again`: 0 for the first time, else what it was counted as when it
    /// asked at `asked_at`, 1 for a miss and 2 for a join.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn ask_with(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        force_fresh: bool,
        invalid: bool,
        random: f64,
        asker: i32,
        asked_at: f64,
        again: u8,
        low_priority: bool,
        batched: bool,
        said: &[f64],
        tags: Option<Vec<String>>,
    ) -> f64 {
        let Said { mut patch, weight } = Said::read(said);
        patch.priority = low_priority.then_some(Priority::Low);
        let (policy, tags) = (self.policies.get(policy).patched(&patch), tags.unwrap_or_default());
        let ask = Ask {
            asked_at: to_time(asked_at),
            again: match again {
                0 => None,
                1 => Some(Counted::Miss),
                _ => Some(Counted::Coalesced),
            },
            tags: &tags,
            invalid,
            batched,
            weight,
            ..question(slot, partition, hash, now, &policy, force_fresh, random, self.node(asker))
        };
        answer(&mut self.machine, &ask)
    }

    /// A load brought a value, of which its loader said nothing but perhaps its bytes. The slot where the value belongs
    /// with `STORED`, or `NOT_STORED` or `FLIGHT_ENDED`; `ASK_AGAIN` if some who waited are to; `NEWS`; above, how many
    /// milliseconds it took.
    pub fn brought(&mut self, flight: u32, now: f64, bytes: f64, absent: bool, random: f64) -> f64 {
        self.bring(flight, now, bytes, absent, random, false, 0.0, PolicyPatch::nothing(), &[])
    }

    /// As `brought`, with what the loader said.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn brought_with(
        &mut self,
        flight: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        age: f64,
        said: &[f64],
        tags: Option<Vec<String>>,
    ) -> f64 {
        let said = Said::read(said).patch;
        self.bring(flight, now, bytes, absent, random, skip, age, &said, &tags.unwrap_or_default())
    }

    /// A load failed; `backoff` is what its loader or the user's rule says. The slot of a value to fall back on with
    /// `RESCUED`, that where the error belongs with `FAILURE_CACHED`, `NOT_STORED` or `FLIGHT_ENDED`; `NEWS`; above, how
    /// many milliseconds it took. Or, if it `may_retry`, `RETRY`, and above, in how many milliseconds.
    pub fn failed(&mut self, flight: u32, now: f64, backoff: f64, may_retry: bool, random: f64) -> f64 {
        let Some(flight) = self.flight(flight) else { return f64::from(FLIGHT_ENDED) };
        let failure = Failure { now: to_time(now), backoff: said_ttl(backoff), may_retry, random };
        let settled = self.machine.failed(flight, &failure);
        self.settled(settled, false)
    }

    /// Whether the load that failed may be tried again now.
    pub fn may_try_again(&mut self, flight: u32, now: f64) -> bool {
        self.flight(flight).is_some_and(|flight| self.machine.may_try_again(flight, to_time(now)))
    }

    /// A waiter of a group (`background`: the cache itself) leaves before its deadline. `LAST` if nobody waits any more:
    /// the flight has ended, and its load is to stop. And `NEWS`.
    pub fn leave(&mut self, flight: u32, group: u32, asker: i32, background: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let who = self.who(asker, background);
        let last = self.machine.leave(wait, who);
        self.last(last)
    }

    /// As `leave`, at its hard deadline.
    pub fn time_out(&mut self, flight: u32, group: u32, asker: i32, background: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let who = self.who(asker, background);
        let last = self.machine.time_out(wait, who);
        self.last(last)
    }

    /// The next group whose deadline has come, with its flight above: `SOFT`, or `TIMED_OUT`, with `LAST` as in `leave`;
    /// -1 when there is none. There may be news.
    pub fn timeout(&mut self, now: f64) -> f64 {
        match self.machine.timeout(to_time(now)) {
            None => -1.0,
            Some(Wake::Soft(wait)) => with(wait.group | SOFT, wait.flight.index()),
            Some(Wake::TimedOut { wait, last }) => {
                with(wait.group | TIMED_OUT | if last { LAST } else { 0 }, wait.flight.index())
            }
        }
    }

    /// The earliest deadline of a wait; infinity if there is none.
    pub fn next_deadline(&mut self) -> f64 {
        self.machine.next_deadline().map_or(f64::INFINITY, |at| at.as_millis() as f64)
    }

    /// A group's soft deadline has come, or that of one in it (`all`: false). 1 if the value in `slot`, which is the key's
    /// now, will do; the cache itself then waits in their place. 0 if not: they wait on.
    pub fn soften(&mut self, flight: u32, group: u32, slot: u32, now: f64, all: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let callers = if all { self.machine.callers(wait) } else { 1 };
        match self.machine.soften(wait, callers, Slot::new(slot), to_time(now), true) {
            Softened::No => 0,
            Softened::Yes | Softened::Held | Softened::Ended => 1,
        }
    }

    /// A load is gone with its request. 0 or `NEWS`.
    pub fn lost(&mut self, flight: u32) -> u32 {
        if let Some(flight) = self.flight(flight) {
            self.machine.lost(flight);
        }
        self.news()
    }

    /// Begins to write a key through. Its slot with the write's number above, and `NEWS`; -1 when there is none left.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn begin_write(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        may_vanish: bool,
        computes: bool,
        said: &[f64],
        tags: Option<Vec<String>>,
    ) -> f64 {
        let Said { patch, weight } = Said::read(said);
        let (policy, tags) = (self.policies.get(policy).patched(&patch), tags.unwrap_or_default());
        let write = WriteThrough {
            slot: Slot::new(slot),
            hash: to_hash(hash),
            partition: PartitionId(partition),
            now: to_time(now),
            policy: &policy,
            tags: &tags,
            weight,
            may_vanish,
            computes,
        };
        match self.machine.begin_write(&write) {
            Some((slot, write)) => with(slot.number() | self.news(), write.index()),
            None => -1.0,
        }
    }

    /// The caller of a write waits no longer: its key goes. 0 or `NEWS`.
    pub fn write_left(&mut self, slot: u32, now: f64) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.write_left(slot, to_time(now));
        }
        self.news()
    }

    /// A write has failed, or nobody knows how it ended: `slot` is the key's now, which goes unless it was computed. 0 or `NEWS`.
    pub fn write_failed(&mut self, write: u32, computes: bool, slot: u32, now: f64) -> u32 {
        self.end_write(write, computes, slot, to_time(now), None)
    }

    /// A write has ended. The slot where the value belongs (0: nowhere), and `NEWS`. If there is no such write any more, the
    /// key goes.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn written(
        &mut self,
        write: u32,
        computes: bool,
        slot: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        said: &[f64],
        tags: Option<Vec<String>>,
    ) -> u32 {
        let (now, tags) = (to_time(now), tags.unwrap_or_default());
        let said = Said::read(said).patch;
        let brought = Brought { now, said: &said, tags: &tags, weight: to_weight(bytes), absent, skip, random, age: 0 };
        self.end_write(write, computes, slot, now, Some(&brought))
    }

    /// Asks for a turn at computing a key, in the queue of this number, the least that no other key has. The number of the one who
    /// asks; below 0: as many wait already.
    pub fn compute_ask(&mut self, queue: usize, now: f64, deadline: f64) -> f64 {
        if queue >= self.computes.len() {
            self.computes.push(ComputeQueue::default());
        }
        let asked = self.computes.get_mut(queue).and_then(|queue| queue.ask(to_time(now), to_time(deadline)));
        asked.map_or(-f64::from(MOST_COMPUTES_WAITING), f64::from)
    }

    /// When to look again at one who computes or waits; NaN: its deadline has come, or it is none of them.
    pub fn compute_look(&mut self, queue: usize, number: u32, now: f64) -> f64 {
        let queue = self.computes.get_mut(queue);
        queue.and_then(|queue| queue.look(number, to_time(now))).map_or(f64::NAN, |at| at.as_millis() as f64)
    }

    /// One computes or waits no longer (0: nobody). Whose turn it is now, 0 if nobody is left.
    pub fn compute_leave(&mut self, queue: usize, number: u32, now: f64) -> u32 {
        let Some(queue) = self.computes.get_mut(queue) else { return 0 };
        queue.leave(number, to_time(now));
        queue.first().unwrap_or(0)
    }

    /// What there is to know of a slot's key, in the order of `pkg/src/index.ts`; empty if there is nothing.
    pub fn info(&self, slot: u32, now: f64) -> Vec<f64> {
        let Some(info) = Slot::new(slot).and_then(|slot| self.machine.info(slot, to_time(now))) else {
            return Vec::new();
        };
        let state = f64::from(info.state as u8);
        vec![
            state,
            f64::from(u8::from(info.loading)),
            info.age.millis as f64,
            from_ttl(info.age.ttl),
            f64::from(info.weight),
        ]
    }

    /// The tags of a slot's entry, joined by U+0000.
    pub fn tags_of(&self, slot: u32) -> String {
        let mut joined = String::new();
        for tag in Slot::new(slot).map_or_else(Vec::new, |slot| self.machine.tags_of(slot)) {
            if !joined.is_empty() {
                joined.push('\0');
            }
            joined.push_str(tag);
        }
        joined
    }

    /// Removes everything that may not be handed out any more; how much. There may be news.
    pub fn remove_all_expired(&mut self, now: f64) -> usize {
        self.machine.remove_all_expired(to_time(now))
    }

    /// When this is to be called next, infinity for never; lets go of what is over `now` (NaN: of nothing), or of a part of it.
    /// There may be news.
    pub fn purge_due(&mut self, now: f64) -> f64 {
        if !now.is_nan() {
            self.machine.purge_due(to_time(now));
        }
        self.machine.next_purge().map_or(f64::INFINITY, |at| at.as_millis() as f64)
    }

    /// A load wants its key in a batch; `last` is the batch that its loader began last (0: none), which `has` the key or
    /// has not. Each takes keys for so many milliseconds (NaN: until the end of the turn), and `max_size` keys.
    ///
    /// The batch's number, with `NEW_BATCH` if it begins with this key, `FULL_BATCH` if it takes no more, and
    /// `TIMED_BATCH` if its window is one of time, all above.
    pub fn join_batch(&mut self, last: u32, has: bool, asker: i32, window: f64, max_size: f64, now: f64) -> f64 {
        let load = match self.node(asker) {
            Some(Node::Flight(flight)) => Some(flight),
            _ => None,
        };
        let window = (!window.is_nan()).then_some(window as u64);
        let limits = BatchLimits { max_size: max_size as u32, window };
        let last = (last > 0).then_some(BatchId::new(last));
        let JoinedBatch { batch, is_new, goes } =
            self.machine.join_batch(&JoinBatch { last, has, load, limits, now: to_time(now) });
        let mut flags = if is_new { NEW_BATCH } else { 0 };
        flags |= if goes == Goes::Now { FULL_BATCH } else { 0 };
        flags |= if window.is_some() { TIMED_BATCH } else { 0 };
        with(batch.number(), flags)
    }

    /// A batch takes no more keys.
    pub fn close_batch(&mut self, batch: u32) {
        self.machine.close_batch(BatchId::new(batch));
    }

    /// A batch was lost before it brought anything for a key that was tried in so many. Whether the key is tried in another.
    pub fn batch_lost(&mut self, batch: u32, tries: u32) -> bool {
        self.machine.batch_lost(BatchId::new(batch), tries)
    }

    /// A batch has ended, whatever came of it.
    pub fn batch_ended(&mut self, batch: u32) {
        self.machine.batch_ended(BatchId::new(batch));
    }

    /// The slots whose values are fresh, the most recently used first; with `stale` those too that may still be handed out.
    pub fn newest_first(&mut self, now: f64, stale: bool) -> Vec<u32> {
        let now = to_time(now);
        let slots = if stale { self.machine.usable(now) } else { self.machine.newest_first(now) };
        slots.into_iter().map(Slot::number).collect()
    }

    /// Entries of a part of the cache and within it.
    pub fn len(&self, namespace: u8, scope: &str) -> u32 {
        self.machine.held_within(Part { namespace, scope }).entries
    }

    /// Their bytes.
    pub fn weight(&self, namespace: u8, scope: &str) -> f64 {
        self.machine.held_within(Part { namespace, scope }).weight as f64
    }

    /// The next that begins which waited: a flight, or a batch as an `asker`; -1 if there is none. There may be news.
    pub fn start(&mut self, now: f64) -> i32 {
        match self.machine.poll_start(to_time(now)) {
            Some(Start::Load(flight, _)) => flight.index() as i32,
            Some(Start::Call(batch)) => asker(batch),
            None => -1,
        }
    }

    /// When a flight or a batch (as an `asker`) may begin that waits, or (-1) the next of all; infinity: when another ends,
    /// NaN: it does not wait.
    pub fn starts_at(&self, node: i32) -> f64 {
        let Some(node) = self.node(node).or_else(|| self.machine.next_to_start()) else { return f64::NAN };
        match self.machine.starts_at(node) {
            Ok(at) => at.map_or(f64::INFINITY, |at| at.as_millis() as f64),
            Err(_) => f64::NAN,
        }
    }

    /// A batch is to make its call: 0 now, 1 when `start` says so, 2 not at all.
    pub fn begin_call(&mut self, batch: i32, now: f64) -> u32 {
        let turn = self.node(batch).map(|batch| self.machine.begin_call(batch, to_time(now)));
        match turn {
            None | Some(CallTurn::Now) => 0,
            Some(CallTurn::Later) => 1,
            Some(CallTurn::Refused) => 2,
        }
    }

    /// One more call for so many keys.
    pub fn count_batch(&mut self, namespace: u8, keys: u32) {
        self.machine.count_batch(namespace, u64::from(keys));
    }
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    fn put(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
        said: &PolicyPatch,
        tags: &[String],
    ) -> u32 {
        let (known, weight) = (Slot::new(slot), to_weight(bytes));
        let (hash, policy) = (to_hash(hash), self.policies.get(policy));
        let value = NewValue { hash, policy, said, tags: [tags, &[]], weight, absent, random };
        let stored = self.machine.insert(known, PartitionId(partition), to_time(now), &value);
        match stored {
            Some(slot) if known.is_none() => self.stored_anew(slot),
            stored => stored.map_or(0, Slot::number) | self.news(),
        }
    }

    /// A new key has this slot.
    #[inline]
    fn stored_anew(&mut self, slot: Slot) -> u32 {
        let evicted = self.machine.poll_removal_from(slot).is_some();
        slot.number() | if evicted { EVICTED } else { 0 } | self.news()
    }

    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    fn bring(
        &mut self,
        flight: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        age: f64,
        said: &PolicyPatch,
        tags: &[String],
    ) -> f64 {
        let Some(flight) = self.flight(flight) else { return f64::from(FLIGHT_ENDED) };
        let brought =
            Brought { now: to_time(now), said, tags, weight: to_weight(bytes), absent, skip, random, age: age as u64 };
        let settled = self.machine.brought(flight, &brought);
        self.settled(settled, self.machine.must_ask_again())
    }

    fn settled(&self, settled: Settled, ask_again: bool) -> f64 {
        let mut above = settled.millis;
        let code = match settled.outcome {
            Outcome::Stored(slot) => STORED | slot.number(),
            Outcome::Rescued(slot) => RESCUED | slot.number(),
            Outcome::FailureCached(slot) => FAILURE_CACHED | slot.number(),
            Outcome::NotStored => NOT_STORED,
            Outcome::FlightEnded => FLIGHT_ENDED,
            Outcome::RetryIn(millis) => {
                above = millis;
                RETRY
            }
        };
        with(code | if ask_again { ASK_AGAIN } else { 0 } | self.news(), above.min(LONGEST_TOLD) as usize)
    }

    fn flight(&self, number: u32) -> Option<FlightId> {
        self.machine.flight_at(number)
    }

    fn wait(&self, flight: u32, group: u32) -> Option<WaitId> {
        Some(WaitId { flight: self.flight(flight)?, group })
    }

    fn node(&self, asker: i32) -> Option<Node> {
        match u32::try_from(asker) {
            Ok(flight) => self.flight(flight).map(Node::Flight),
            Err(_) if asker == -1 => None,
            Err(_) => Some(Node::Batch(BatchId::new(asker.unsigned_abs() - 1))),
        }
    }

    fn who(&self, asker: i32, background: bool) -> Who {
        if background { Who::Cache } else { Who::Caller(self.node(asker)) }
    }

    #[inline]
    fn news(&self) -> u32 {
        news(&self.machine)
    }

    fn end_write(
        &mut self,
        write: u32,
        computes: bool,
        slot: u32,
        now: Timestamp,
        brought: Option<&Brought<'_>>,
    ) -> u32 {
        let (write, slot) = (self.machine.write_at(write), Slot::new(slot));
        let stored = match computes {
            true => self.machine.end_compute(write, slot, now, brought),
            false => self.machine.end_write(write, slot, now, brought),
        };
        stored.map_or(0, Slot::number) | self.news()
    }

    fn last(&self, last: bool) -> u32 {
        self.news() | if last { LAST } else { 0 }
    }
}

#[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
fn question<'a>(
    slot: u32,
    partition: u32,
    hash: u32,
    now: f64,
    policy: &'a Policy,
    force_fresh: bool,
    random: f64,
    asker: Option<Node>,
) -> Ask<'a> {
    let now = to_time(now);
    Ask {
        slot: Slot::new(slot),
        hash: to_hash(hash),
        partition: PartitionId(partition),
        now,
        asked_at: now,
        again: None,
        policy,
        tags: &[],
        weight: None,
        force_fresh,
        invalid: false,
        background: true,
        detached: false,
        batched: false,
        random: Some(random).filter(|random| *random > 0.0),
        asker,
    }
}

fn answer(machine: &mut Machine, ask: &Ask<'_>) -> f64 {
    let code = match machine.ask(ask) {
        Answer::Hit(slot) => f64::from(HIT | slot.number()),
        Answer::Stale(slot, StaleCause::Revalidate) => f64::from(STALE_REVALIDATE | slot.number()),
        Answer::Stale(slot, _) => f64::from(STALE_ERROR | slot.number()),
        Answer::Failed(slot) => f64::from(FAILED | slot.number()),
        Answer::Join(wait) => with(JOIN | wait.group, wait.flight.index()),
        Answer::Lead(slot, flight, cause) => with(lead(cause) | slot.number(), flight.index()),
        Answer::Refresh { slot, flight, stale } => {
            with(if stale { REFRESH_STALE } else { REFRESH_AHEAD } | slot.number(), flight.index())
        }
        Answer::Recursive => f64::from(RECURSIVE),
        Answer::TimedOut => f64::from(TIMED_OUT),
        Answer::Refused(cause) => f64::from(REFUSED | lead(cause) >> KIND_SHIFT),
        Answer::Full => f64::from(FULL),
    };
    code + f64::from(news(machine))
}

#[inline]
fn news(machine: &Machine) -> u32 {
    if machine.has_news() { NEWS } else { 0 }
}

fn lead(cause: MissCause) -> u32 {
    match cause {
        MissCause::Absent => LEAD_ABSENT,
        MissCause::Expired => LEAD_EXPIRED,
        MissCause::Invalid => LEAD_INVALID,
        // `Forced`.
        _ => LEAD_FORCED,
    }
}

fn miss(cause: MissCause) -> u32 {
    if cause == MissCause::Expired { MISS_EXPIRED } else { MISS_ABSENT }
}

/// A batch, as the one who asks.
fn asker(node: Node) -> i32 {
    match node {
        Node::Batch(batch) => i32::try_from(batch.number()).map_or(-1, |number| -1 - number),
        Node::Flight(_) => -1,
    }
}

/// A code with a number above it.
fn with(code: u32, above: usize) -> f64 {
    f64::from(code) + above as f64 * 4_294_967_296.0
}

fn said_ttl(millis: f64) -> Option<Ttl> {
    (!millis.is_nan()).then(|| to_ttl(millis))
}

fn to_hash(hash: u32) -> Option<u32> {
    (hash != 0).then_some(hash)
}

/// Where a column lies; 0 if there is none.
fn place<T>(column: &[T]) -> usize {
    if column.is_empty() { 0 } else { column.as_ptr() as usize }
}

fn to_weight(bytes: f64) -> Option<u32> {
    (!bytes.is_nan()).then(|| bytes.ceil() as u32)
}
