//! The pure machine: what is stored, for how long, what goes first, which load belongs to which key, who waits for it and
//! how each wait ends. It knows neither keys nor values nor a clock, and no futures or promises. A driver
//! ([`engine`](crate::engine) for Rust, the npm class for JS) maps keys to [`Slot`]s, keeps the values, passes `now` and
//! random numbers in, and does what the answers say.
//!
//! After every call that takes `&mut self`, and before it writes a value to a slot, a driver polls until there is nothing
//! more: where loads are limited [`poll_start`](Machine::poll_start), then [`poll_removal`](Machine::poll_removal),
//! [`poll_ended`](Machine::poll_ended) and, after a load has ended, [`poll_ask_again`](Machine::poll_ask_again). Where entries leave
//! in time it looks then when [`next_purge`](Machine::next_purge) is.

mod alarm;
mod ask;
mod batch;
mod batch_trials;
mod columns;
mod computes;
mod entries;
pub(crate) mod eviction;
mod exchange;
mod freshness;
mod graph;
mod grow;
mod histogram;
mod ids;
mod info;
mod loads;
mod names;
mod part;
mod partitions;
mod purge;
mod queue;
mod record;
mod retry;
mod settle;
pub(crate) mod slab;
mod snapshot;
mod stats;
mod tags;
mod timely;
mod updates;
mod waits;
mod writes;

use std::collections::VecDeque;

pub use ask::{Answer, Ask, Counted, MissCause, StaleCause, Touched};
pub use batch::{Goes, JoinBatch, JoinedBatch};
pub use batch_trials::{BatchLimits, BatchTrial, BatchTrials};
pub use computes::{ComputeQueue, MOST_COMPUTES_WAITING};
#[cfg(feature = "tier")]
pub(crate) use entries::jittered;
pub use eviction::EvictionPolicy;
pub use exchange::PlainTtl;
pub use histogram::Histogram;
pub use ids::{BatchId, FLIGHT_BITS, FlightId, Node, WaitId};
pub use info::{EntryState, Info};
pub use loads::Deadlines;
pub use part::{Part, join_scope, scope_names};
pub use partitions::{PartitionId, PartitionSize};
pub use queue::{CallTurn, NotQueued, Start};
pub use record::Record;
pub use settle::{Failure, LoadOutcome, LoadedValue, Settled};
pub use slab::{FreshUntil, Slot};
pub use snapshot::{NotRestored, Restored, SnapshotId};
pub use stats::Stats;
pub use updates::{NewValue, WriteThrough};
pub use waits::{Softened, Wake, Who};
pub use writes::WriteId;

use crate::options::Limits;
use crate::time::{Timestamp, Ttl};
use alarm::Alarm;
use batch::Batches;
use eviction::Eviction;
use freshness::{Freshness, FreshnessColumns};
use graph::WaitGraph;
use loads::Flights;
use partitions::Partitions;
use queue::LoadQueue;
use slab::{Entry, Slab, State};
use snapshot::Snapshots;
use tags::Tags;
use timely::Timely;
use writes::WriteThroughs;

/// Why a value left the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// It made room for others.
    Size,
    /// Its time had passed.
    Expired,
    /// A newer value took its place.
    Replaced,
    /// The user removed it.
    Removed,
}

impl RemovalCause {
    /// A stable name for programs: the same in both faces.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Expired => "expired",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        }
    }
}

/// Something that left a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Where it lay.
    pub slot: Slot,
    /// Why the value left; `None` where there was only the memory of a failed load, or a key whose load has ended.
    pub cause: Option<RemovalCause>,
    /// Whether the key goes too. If not, it is being loaded or written.
    pub key_removed: bool,
}

impl Removal {
    const fn that_made_way(slot: Slot) -> Self {
        Self { slot, cause: Some(RemovalCause::Size), key_removed: true }
    }
}

/// How old a value is, and how long it stays fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Milliseconds since it was stored.
    pub millis: u64,
    /// How long it is still fresh; zero for a stale one.
    pub ttl: Ttl,
}

/// How a driver ends waits at their deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timers {
    /// One timer serves all waits: it rings at [`next_deadline`](Machine::next_deadline), and the driver calls
    /// [`timeout`](Machine::timeout). Waiters who vanish without a word still count until then.
    Shared,
    /// Each waiter has a timer of its own, and says itself that its deadline has passed. A flight whose last deadline
    /// has passed without a word is ended by later operations.
    Own,
}

/// How many entries a writing operation looks at for expired ones. One would keep pace with insertions; two
/// leave nothing expired for longer than half the cache's size in operations.
const SWEEP: u32 = 2;

/// The numbers behind a cache.
pub struct Machine {
    limits: Limits,
    slab: Slab,
    eviction: Eviction,
    freshness: FreshnessColumns,
    partitions: Partitions,
    tags: Tags,
    flights: Flights,
    graph: WaitGraph,
    batches: Batches,
    writes: WriteThroughs,
    /// There if loads are limited.
    queue: Option<Box<LoadQueue>>,
    /// There with [`Timers::Shared`].
    alarm: Option<Alarm>,
    removals: VecDeque<Removal>,
    /// After those: whose value has just made way for another key's in its slot.
    made_way: Option<Slot>,
    /// Flights that an operation on something else has ended.
    ended: Vec<FlightId>,
    /// The next to ask again is the last.
    ask_again: Vec<WaitId>,
    entries: u32,
    weight: u64,
    /// Entries that can expire. While there are none, nothing is swept.
    expirable: u32,
    hand: u32,
    /// The slot of the key that an operation is about: it keeps its key while others are swept.
    pinned: Option<Slot>,
    /// An entry that lives so long needs no record of when it was stored.
    usual_ttl: Ttl,
    /// The latest moment that an ask or a timer told, for noticing that the clock was set back.
    latest: Timestamp,
    /// By namespace; never empty.
    stats: Vec<Stats>,
    /// There while one is saved or put back.
    snapshots: Option<Box<Snapshots>>,
    snapshots_begun: u32,
    /// There if entries leave in time.
    timely: Option<Timely>,
    /// Whether the driver has yet to be told when the next purge is.
    has_new_purge: bool,
}

impl Machine {
    /// An empty machine that evicts the least recently used entry. Nothing is allocated ahead. An entry that lives for
    /// `usual_ttl` takes 8 bytes less than another.
    pub fn new(limits: Limits, usual_ttl: Ttl, timers: Timers) -> Self {
        Self::with_eviction(limits, usual_ttl, timers, EvictionPolicy::Lru)
    }

    /// As [`new`](Self::new), with another way to choose whom to evict.
    pub fn with_eviction(limits: Limits, usual_ttl: Ttl, timers: Timers, eviction: EvictionPolicy) -> Self {
        Self {
            limits,
            slab: Slab::new(limits.max_entries()),
            eviction: Eviction::new(eviction, &limits),
            freshness: FreshnessColumns::default(),
            partitions: Partitions::new(),
            tags: Tags::default(),
            flights: Flights::default(),
            graph: WaitGraph::default(),
            batches: Batches::default(),
            writes: WriteThroughs::default(),
            queue: None,
            alarm: (timers == Timers::Shared).then(Alarm::default),
            removals: VecDeque::new(),
            made_way: None,
            ended: Vec::new(),
            ask_again: Vec::new(),
            entries: 0,
            weight: 0,
            expirable: 0,
            hand: 0,
            pinned: None,
            usual_ttl: usual_ttl.bounded(),
            latest: Timestamp::default(),
            stats: vec![Stats::default()],
            snapshots: None,
            snapshots_begun: 0,
            timely: None,
            has_new_purge: false,
        }
    }

    /// The hashes of names (tags, namespaces, scopes) depend on 32 random bits, so that who chooses names can't choose
    /// such as have the same. To be said while there are none.
    #[must_use]
    pub fn with_seed(mut self, seed: u32) -> Self {
        self.partitions.seed(seed);
        self.tags.seed(seed);
        self
    }

    /// The number of the namespace of this name in another (0: the root), made if it is new. `None` when there are 256.
    pub fn namespace(&mut self, parent: u8, name: &str) -> Option<u8> {
        let namespace = self.partitions.namespace(parent, name)?;
        self.stats.resize_with(self.partitions.namespaces(), Stats::default);
        Some(namespace)
    }

    /// The names on the way to a namespace.
    pub fn namespace_path(&self, namespace: u8) -> Vec<&str> {
        self.partitions.path(namespace)
    }

    /// How many namespaces there are, the root included.
    pub fn namespaces(&self) -> usize {
        self.partitions.namespaces()
    }

    /// The partition of a part of the cache. A scope's number holds until the next scope is opened, while it has keys,
    /// and while it is [retained](Self::retain_partition). `None` when there is no number left.
    pub fn open_partition(&mut self, part: Part<'_>) -> Option<PartitionId> {
        self.partitions.open(part)
    }

    /// Keeps a partition's number for a handle of it.
    pub fn retain_partition(&mut self, partition: PartitionId) {
        self.partitions.retain(partition);
    }

    /// A handle less.
    pub fn release_partition(&mut self, partition: PartitionId) {
        self.partitions.release(partition);
    }

    /// The bounds it keeps.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters of a namespace, but for the namespaces within it.
    pub fn namespace_stats(&self, namespace: u8) -> Stats {
        let at = usize::from(namespace);
        sum(self.stats.get(at..at + 1).unwrap_or_default())
    }

    /// The counters of all namespaces together.
    pub fn stats(&self) -> Stats {
        sum(&self.stats)
    }

    /// Counts a batch of so many keys.
    pub fn count_batch(&mut self, namespace: u8, keys: u64) {
        if let Some(stats) = self.stats.get_mut(usize::from(namespace)) {
            stats.batches += 1;
            stats.batch_sizes.record(keys);
        }
    }

    /// Entries, expired ones that no operation has met yet and memories of failed loads included.
    pub fn len(&self) -> usize {
        self.entries as usize
    }

    /// Whether [`len`](Self::len) is 0.
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The sum of the entries' weights.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// What lies in a part of the cache and within it. O(1) for the root, else O(namespaces and scopes with keys).
    pub fn held_within(&self, part: Part<'_>) -> PartitionSize {
        match part {
            Part { namespace: 0, scope: "" } => PartitionSize { entries: self.entries, weight: self.weight },
            part => self.partitions.held_within(part),
        }
    }

    /// What lies in each namespace, in the order of their numbers: in its scopes too, but not in the namespaces within it.
    pub fn held_by_namespace(&self) -> Vec<PartitionSize> {
        self.partitions.held_by_namespace()
    }

    /// The partition of a slot's key, and where it lies.
    pub fn partition_of(&self, slot: Slot) -> PartitionId {
        self.slab.partition(slot)
    }

    /// Where a slot's key lies.
    pub fn part_of(&self, slot: Slot) -> Part<'_> {
        self.partitions.part_of(self.slab.partition(slot))
    }

    /// Whether a slot's key lies in this partition.
    pub fn is_in(&self, slot: Slot, partition: PartitionId) -> bool {
        self.slab.partition(slot) == partition
    }

    /// Loads under way, without those that wait for their turn.
    pub fn loads_in_flight(&self) -> usize {
        self.flights.live() - self.queue.as_ref().map_or(0, |queue| queue.loads_waiting())
    }

    /// Whether the slot holds a fresh value. Changes nothing.
    #[inline]
    pub fn is_fresh(&self, slot: Slot, now: Timestamp) -> bool {
        matches!(self.freshness_of(slot, now), Freshness::Fresh | Freshness::RefreshDue)
    }

    /// Whether the slot holds a value that may be handed out where a load fails or is slow, or to its loader.
    pub fn is_usable(&self, slot: Slot, now: Timestamp) -> bool {
        self.freshness_of(slot, now) != Freshness::Expired
    }

    /// How old the slot's value is and how long it stays fresh; `None` if it holds none that may be handed out.
    pub fn age(&self, slot: Slot, now: Timestamp) -> Option<Age> {
        let entry = self.slab.get(slot).filter(|_| self.is_usable(slot, now))?;
        let stored_at = self.stored_at(slot, entry).unwrap_or(now);
        let windows = self.freshness.windows(slot);
        let fresh_until = windows.map_or_else(|| entry.no_check_until(), |w| Some(w.fresh_until));
        let fresh_until = fresh_until.into_iter().chain(self.freshness.idle_until(slot)).min();
        let fresh_until = fresh_until.filter(|end| *end != Timestamp::NEVER);
        Some(Age {
            millis: now.millis_since(stored_at),
            ttl: fresh_until.map_or(Ttl::Forever, |end| Ttl::Millis(end.millis_since(now))),
        })
    }

    /// When a value was stored.
    fn stored_at(&self, slot: Slot, entry: Entry) -> Option<Timestamp> {
        let derived = || self.derived(entry.no_check_until()?);
        entry.stored_at().or_else(|| self.freshness.stored_at(slot)).or_else(derived)
    }

    /// When a value was stored that lives for the usual time, and until then.
    fn derived(&self, until: Timestamp) -> Option<Timestamp> {
        match self.usual_ttl {
            Ttl::Millis(usual) => Some(until.before(usual)),
            Ttl::Forever => None,
        }
    }

    /// Whether one of the polls has something to say.
    #[inline]
    pub fn has_news(&self) -> bool {
        let has_starts = self.queue.as_ref().is_some_and(|queue| queue.stirred);
        !self.removals.is_empty()
            || self.made_way.is_some()
            || !self.ended.is_empty()
            || has_starts
            || self.has_new_purge
    }

    /// What left since the last call, in order.
    #[inline]
    pub fn poll_removal(&mut self) -> Option<Removal> {
        self.removals.pop_front().or_else(|| self.made_way.take().map(Removal::that_made_way))
    }

    /// As [`poll_removal`](Self::poll_removal), but only for what made way for a new entry in its own slot.
    #[inline]
    pub fn poll_removal_from(&mut self, slot: Slot) -> Option<Removal> {
        if self.made_way == Some(slot) {
            return self.made_way.take().map(Removal::that_made_way);
        }
        // What was swept from the slot before it was taken again did not make way.
        let made_way = |removal: &&Removal| removal.slot == slot && removal.cause == Some(RemovalCause::Size);
        self.removals.front().filter(made_way)?;
        self.removals.pop_front()
    }

    /// As [`poll_removal`](Self::poll_removal), but only for an entry that made room for others: where it lay.
    #[inline]
    pub fn poll_evicted(&mut self) -> Option<Slot> {
        let evicted = |removal: &&Removal| removal.cause == Some(RemovalCause::Size) && removal.key_removed;
        self.removals.front().filter(evicted)?;
        self.removals.pop_front().map(|removal| removal.slot)
    }

    /// A flight that has ended because nobody can be waiting for it any more: its load is to be dropped or aborted.
    #[inline]
    pub fn poll_ended(&mut self) -> Option<FlightId> {
        self.ended.pop()
    }

    /// Looks at the next `count` slots and removes what has expired there. Every insertion and every miss
    /// does some of this, so that nothing expired stays while the cache is in use.
    #[inline]
    pub fn sweep(&mut self, now: Timestamp, count: u32) {
        // As nearly always, where a few are looked at. A wasm is smaller without.
        if cfg!(not(target_family = "wasm")) && self.finds_nothing_to_sweep(now, count) {
            return self.pass_swept(count);
        }
        self.sweep_slots(now, count);
    }

    /// Whether all that [`sweep`](Self::sweep) would do about the next `count` slots is to pass them.
    #[inline(always)]
    fn finds_nothing_to_sweep(&self, now: Timestamp, count: u32) -> bool {
        // With an alarm no flight need be looked at.
        let at_rest = (self.alarm.is_some() || self.flights.live() == 0) && self.writes.is_empty();
        at_rest && (self.expirable == 0 || self.slab.needs_no_check_after(self.hand, now, count))
    }

    #[inline(always)]
    fn pass_swept(&mut self, count: u32) {
        self.hand += if self.expirable == 0 { 0 } else { count };
    }

    #[inline(never)]
    fn sweep_slots(&mut self, now: Timestamp, count: u32) {
        if self.alarm.is_none() && self.flights.live() > 0 {
            self.sweep_flight(now);
        }
        if !self.writes.is_empty() {
            self.sweep_write(now);
        }
        if self.expirable == 0 {
            return;
        }
        for _ in 0..count.min(self.slab.slots()) {
            let (hand, over) = self.slab.look_after(self.hand, now);
            self.hand = hand;
            if let Some(slot) = over {
                self.remove_if_over(slot, now);
            }
        }
    }

    /// Sweeps before an operation on this key, which keeps its slot. The slot, if it really holds a key.
    #[inline]
    fn sweep_for(&mut self, slot: Option<Slot>, now: Timestamp, count: u32) -> Option<Slot> {
        let held = |slot: &Slot| self.slab.get(*slot).is_some_and(|entry| entry.state() != State::Free);
        self.pinned = slot.filter(held);
        self.sweep(now, count);
        self.pinned.take()
    }

    /// What may be done with what the slot holds.
    #[inline]
    fn freshness_of(&self, slot: Slot, now: Timestamp) -> Freshness {
        match self.slab.get(slot) {
            Some(entry) if entry.state() == State::Ready => match entry.is_fresh_without_check(now) {
                true => Freshness::Fresh,
                false => self.freshness.freshness(slot, now),
            },
            _ => Freshness::Expired,
        }
    }

    /// Whether the slot remembers that its key's load failed a moment ago.
    fn is_failed(&self, slot: Slot, now: Timestamp) -> bool {
        let failed = |entry: Entry| entry.state() == State::Failed && entry.is_fresh_without_check(now);
        self.slab.get(slot).is_some_and(failed)
    }

    /// Removes what is there if it has expired.
    #[inline]
    fn remove_expired(&mut self, slot: Slot, now: Timestamp) {
        if self.slab.needs_check(slot, now) {
            self.remove_if_over(slot, now);
        }
    }

    #[inline(never)]
    fn remove_if_over(&mut self, slot: Slot, now: Timestamp) {
        if self.freshness_of(slot, now) == Freshness::Expired {
            self.drop_value(slot, Some(RemovalCause::Expired));
        }
    }

    fn is_pending(&self, slot: Slot) -> bool {
        self.slab.get(slot).is_some_and(|entry| entry.state() == State::Pending)
    }

    /// Lets go of a key without a value, unless it is being loaded or written.
    fn vacate_pending(&mut self, slot: Slot) {
        if self.is_pending(slot) {
            self.drop_value(slot, None);
        }
    }

    #[inline]
    fn namespace_of(&self, slot: Slot) -> u8 {
        self.partitions.namespace_of(self.slab.partition(slot))
    }

    #[inline]
    fn count(&mut self, partition: PartitionId, f: impl FnOnce(&mut Stats)) {
        if let Some(stats) = self.stats_of(partition) {
            f(stats);
        }
    }

    #[cfg_attr(target_family = "wasm", inline(never))]
    fn stats_of(&mut self, partition: PartitionId) -> Option<&mut Stats> {
        let namespace = self.partitions.namespace_of(partition);
        self.stats.get_mut(usize::from(namespace))
    }

    #[inline(always)]
    fn count_in(&mut self, namespace: u8, f: impl FnOnce(&mut Stats)) {
        if let Some(stats) = self.stats.get_mut(usize::from(namespace)) {
            f(stats);
        }
    }
}

fn sum(of: &[Stats]) -> Stats {
    let mut sum = Stats::default();
    of.iter().for_each(|stats| sum.merge(stats));
    sum
}
