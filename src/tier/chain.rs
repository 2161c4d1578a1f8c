//! A chain of tiers: what is known of each, and what to write and purge where.

use std::collections::VecDeque;

use super::breaker::{Breaker, BreakerOptions, BreakerState, Change};
use super::envelope::Envelope;
use super::figures::{Ledger, TierFigures};
use super::marks::{MOST_TIERS, Marks, Owed};
use super::names::{Place, value_of_mark};
use super::refused::Refused;
use super::seal::Seal;
use crate::time::{Timestamp, Ttl};

/// What holds for all tiers of a chain.
#[derive(Clone, Copy, Debug)]
pub struct ChainOptions {
    /// Whatever lies in a tier ends so long after its load began, in ms, stale windows included: and so long a purge is
    /// remembered. Default: a day.
    pub max_lifetime: u64,
    /// By how much the clocks of those who share the tiers may differ, in ms. Default: 500.
    pub clock_skew: u64,
    /// How long a write may be on its way to a store, in ms, also one that its sender has given up: of two marks the one that
    /// arrives last stays, and so each has to cover what was purged while it was on its way. What is loaded within this
    /// time and `clock_skew` after a purge is not shared by tiers. Default: 1,000.
    pub late_writes: u64,
    /// Whether purges are told by marks in the tiers. Without, something else tells of them to all who read the tiers
    /// ([`Chain::purge_logged`]), and a read is one round trip. Default: yes.
    pub marks: bool,
}

impl ChainOptions {
    /// Up to which generation a mark ends what is there, if it is sent now.
    fn covers(&self, now: Timestamp) -> Timestamp {
        now.after(Ttl::Millis(self.clock_skew.saturating_add(self.late_writes)))
    }
}

impl Default for ChainOptions {
    fn default() -> Self {
        Self { max_lifetime: 86_400_000, clock_skew: 500, late_writes: 1_000, marks: true }
    }
}

/// What holds for one tier.
#[derive(Clone, Copy, Debug)]
pub struct TierOptions {
    /// How long a read or a write may take, in ms. Default: 250.
    pub timeout: u64,
    /// The longest time that a value stays in the tier. Default: `max_lifetime`.
    pub ttl: Ttl,
    /// When it is left alone.
    pub breaker: BreakerOptions,
    /// So many bytes may be on their way to it; more is not written. Default: 16 MiB.
    pub max_pending_bytes: usize,
    /// Values of more bytes, envelope included, are not written to it: no failure of the tier. Default: none is.
    pub max_value_bytes: usize,
}

impl Default for TierOptions {
    fn default() -> Self {
        Self {
            timeout: 250,
            ttl: Ttl::Forever,
            breaker: BreakerOptions::default(),
            max_pending_bytes: 16 * 1024 * 1024,
            max_value_bytes: usize::MAX,
        }
    }
}

/// Why a call of a tier brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It failed.
    Error,
    /// It took too long.
    Timeout,
}

/// What is worth a line in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// A tier fails, for the first time since all was well with it.
    Failing {
        /// Which one.
        tier: usize,
        /// What it fails at.
        lane: Lane,
    },
    /// A tier that failed works again.
    Recovered {
        /// Which one.
        tier: usize,
        /// What it had failed at.
        lane: Lane,
    },
    /// A tier brought bytes that can't be believed, for the first time in a minute.
    Refused {
        /// Which one.
        tier: usize,
        /// Why.
        refused: Refused,
    },
}

/// What may fail by itself: a store that is full can still be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Getting values and marks.
    Read,
    /// Storing values and marks, and deleting.
    Write,
}

/// What is purged.
#[derive(Clone, Copy, Debug)]
pub enum Purge<'a> {
    /// One key.
    Key(&'a str),
    /// What bears this tag, in the part and within it.
    Tag(&'a str),
    /// All in the part and within it.
    All,
}

/// What a tier has to be told of purges. Its end is told by [`Chain::handle_delivered`].
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Names and bytes to be stored for `ttl` ms.
    pub marks: Vec<(String, Vec<u8>)>,
    /// Names to be deleted.
    pub deletes: Vec<String>,
    /// How long the marks have to stay, in ms.
    pub ttl: u64,
    told: Vec<Owed>,
}

/// What a chain knows of its tiers, and decides.
#[derive(Debug)]
pub struct Chain {
    pub(super) options: ChainOptions,
    pub(super) seal: Seal,
    pub(super) tiers: Vec<Tier>,
    pub(super) marks: Marks,
    /// Which tiers a namespace and those within it use, a bit for each, where that is not all.
    uses: Vec<(String, u32)>,
    /// How many values were set here, or began to be loaded.
    begun: u64,
    events: VecDeque<ChainEvent>,
}

#[derive(Debug)]
pub(super) struct Tier {
    pub options: TierOptions,
    pub reads: Breaker,
    writes: Breaker,
    /// When what is on its way has arrived or is lost, and its bytes.
    pending: VecDeque<(Timestamp, usize)>,
    pending_bytes: usize,
    pub figures: Ledger,
    refused_at: Option<Timestamp>,
}

/// So many purges are told at once.
const MOST_TOLD: usize = 256;
/// Of bytes that can't be believed a log tells once in so long.
const REFUSALS_APART: u64 = 60_000;

impl Chain {
    /// A chain without tiers.
    pub fn new(options: ChainOptions, seal: Seal) -> Self {
        let (tiers, marks, uses, events) = (Vec::new(), Marks::default(), Vec::new(), VecDeque::new());
        Self { options, seal, tiers, marks, uses, begun: 0, events }
    }

    /// Adds a tier below all others. `None` if there are eight already.
    pub fn add_tier(&mut self, options: TierOptions) -> Option<usize> {
        let index = self.tiers.len();
        if index == MOST_TIERS {
            return None;
        }
        // A write may wait for another.
        self.marks.add_longest(options.timeout.saturating_mul(4));
        self.tiers.push(Tier {
            options,
            reads: Breaker::new(options.breaker),
            writes: Breaker::new(options.breaker),
            pending: VecDeque::new(),
            pending_bytes: 0,
            figures: Ledger::default(),
            refused_at: None,
        });
        Some(index)
    }

    /// Keys of this part's namespace, and of those within it, use these tiers only; a namespace within may be given others. What
    /// was said before of the same namespace no longer holds. Purges reach all tiers nevertheless.
    pub fn restrict(&mut self, place: &Place, tiers: impl IntoIterator<Item = usize>) {
        let bits = tiers.into_iter().filter(|&tier| tier < MOST_TIERS).fold(0, |bits, tier| bits | (1 << tier));
        self.uses.retain(|(known, _)| known != place.namespaces());
        self.uses.push((place.namespaces().to_owned(), bits));
    }

    /// Whether keys of this part use a tier.
    pub(super) fn uses(&self, place: &Place, tier: usize) -> bool {
        if self.uses.is_empty() {
            return true;
        }
        let said = |namespaces: &str| self.uses.iter().find(|(known, _)| known == namespaces).map(|(_, bits)| bits);
        place.enclosing_namespaces().find_map(said).is_none_or(|bits| bits & (1 << tier) != 0)
    }

    /// Whether keys of this part use any tier: if not, there is no use in waiting for what others load.
    pub fn uses_any(&self, place: &Place) -> bool {
        (0..self.tiers.len()).any(|tier| self.uses(place, tier))
    }

    /// Something was deleted, expired or written to its source: whatever was loaded before is not to come back, from here at
    /// once, and from the tiers as soon as they have been told ([`poll_delivery`](Self::poll_delivery)).
    pub fn purge(&mut self, now: Timestamp, place: &Place, purge: Purge<'_>) {
        let owed = (1_u32 << self.tiers.len()) - 1;
        self.mark(now, place, purge, owed);
    }

    /// As [`purge`](Self::purge), where somebody else tells the tiers.
    pub fn purge_here(&mut self, now: Timestamp, place: &Place, purge: Purge<'_>) {
        self.mark(now, place, purge, 0);
    }

    /// As [`purge`](Self::purge), of something that was purged at `at`, as a log of purges tells: no tier is told, since whoever reads one
    /// follows the log. What was loaded later is believed.
    pub fn purge_logged(&mut self, now: Timestamp, at: Timestamp, place: &Place, purge: Purge<'_>) {
        let generation = self.options.covers(at);
        self.marks.add_only_here(now, mark_name(place, purge), generation);
    }

    fn mark(&mut self, now: Timestamp, place: &Place, purge: Purge<'_>, owed: u32) {
        let name = mark_name(place, purge);
        let generation = self.options.covers(now);
        self.marks.add(now, name, generation, owed);
    }

    /// A value was set here: what loads bring that began before does not take its place, neither from here nor, once the
    /// value is stored, from the tiers. Returns its number.
    pub fn supersede(&mut self, now: Timestamp, place: &Place, key: &str) -> u64 {
        // What a tier has of this millisecond may be this value. Here a number tells which came first: in Workers the clock
        // stands still until something is awaited.
        let before = Timestamp::from_millis(now.as_millis().saturating_sub(1));
        let number = self.begin();
        self.marks.supersede(now, place.key_mark(key), before, number);
        number
    }

    /// A load begins: its number, greater than those of all values that were set or began to be loaded here before.
    pub fn begin(&mut self) -> u64 {
        self.begun += 1;
        self.begun
    }

    /// Whether a tier has yet to be told of purges, or of values that it could not be given.
    pub fn owes(&self, tier: usize) -> bool {
        self.marks.owed(tier) > 0
    }

    /// What a tier has to be told of purges now. `None` if there is nothing, or its breaker is open: what could not be told
    /// is told later.
    pub fn poll_delivery(&mut self, tier: usize, now: Timestamp) -> Option<Delivery> {
        if !self.owes(tier) {
            return None;
        }
        let known = self.tiers.get_mut(tier)?;
        if !known.writes.admits(now, known.options.timeout) {
            return None;
        }
        let told = self.marks.owed_to(tier, MOST_TOLD);
        // As of now, not of when the purge was: it may overwrite another's.
        let generation = self.options.covers(now);
        let marks = told
            .iter()
            .filter(|owed| owed.is_purge)
            .filter_map(|Owed { name, .. }| Some((name.clone(), Envelope::mark(name, generation).encode(&self.seal)?)));
        let marks = marks.collect();
        let deletes = told.iter().filter_map(|owed| value_of_mark(&owed.name)).collect();
        let ttl = generation.after(Ttl::Millis(self.options.max_lifetime.saturating_add(self.options.clock_skew)));
        let ttl = ttl.millis_since(now);
        Some(Delivery { marks, deletes, ttl, told })
    }

    /// A tier was told, or could not be.
    pub fn handle_delivered(&mut self, tier: usize, now: Timestamp, delivery: &Delivery, failure: Option<Failure>) {
        if failure.is_none() {
            self.marks.told(tier, &delivery.told);
            if let Some(known) = self.tiers.get_mut(tier) {
                known.figures.whole_mut().purges += delivery.told.iter().filter(|owed| owed.is_purge).count() as u64;
            }
        }
        self.end_of_write(tier, now, failure);
    }

    pub(super) fn end_of_write(&mut self, tier: usize, now: Timestamp, failure: Option<Failure>) {
        let Some(known) = self.tiers.get_mut(tier) else { return };
        let change = match failure {
            None => known.writes.succeeded(now),
            Some(_) => known.writes.failed(now),
        };
        self.tell(tier, Lane::Write, change);
    }

    pub(super) fn end_of_read(&mut self, tier: usize, now: Timestamp, failure: Option<Failure>) {
        let Some(known) = self.tiers.get_mut(tier) else { return };
        let change = match failure {
            None => known.reads.succeeded(now),
            Some(_) => known.reads.failed(now),
        };
        self.tell(tier, Lane::Read, change);
    }

    fn tell(&mut self, tier: usize, lane: Lane, change: Change) {
        match change {
            Change::None => {}
            Change::Failing => self.events.push_back(ChainEvent::Failing { tier, lane }),
            Change::Recovered => self.events.push_back(ChainEvent::Recovered { tier, lane }),
        }
    }

    pub(super) fn refuse(&mut self, tier: usize, now: Timestamp, refused: Refused) {
        let Some(known) = self.tiers.get_mut(tier) else { return };
        if known.refused_at.is_none_or(|at| now.millis_since(at) >= REFUSALS_APART) {
            known.refused_at = Some(now);
            self.events.push_back(ChainEvent::Refused { tier, refused });
        }
    }

    /// What is worth a line in a log.
    pub fn poll_event(&mut self) -> Option<ChainEvent> {
        self.events.pop_front()
    }

    /// What happened at a tier.
    pub fn figures(&self, tier: usize) -> Option<&TierFigures> {
        self.tiers.get(tier).map(|tier| tier.figures.whole())
    }

    /// What happened at a tier to keys of a namespace, and not of those within it: what was read, and promoted. A read of keys in
    /// several namespaces counts in each. The name is that of [`Place::namespaces`].
    pub fn namespace_figures(&self, tier: usize, namespace: &str) -> Option<&TierFigures> {
        self.tiers.get(tier)?.figures.namespace(namespace)
    }

    /// The namespaces of which a tier has figures, 256 at the most, in the order in which they were met.
    pub fn namespaces(&self, tier: usize) -> impl Iterator<Item = &str> {
        self.tiers.get(tier).into_iter().flat_map(|tier| tier.figures.namespaces().map(|(name, _)| name))
    }

    /// Whether a tier is left alone, for reading and for writing.
    pub fn breakers(&self, tier: usize, now: Timestamp) -> Option<(BreakerState, BreakerState)> {
        self.tiers.get(tier).map(|tier| (tier.reads.state(now), tier.writes.state(now)))
    }

    /// What a tier was told of itself.
    pub fn tier_options(&self, tier: usize) -> Option<&TierOptions> {
        self.tiers.get(tier).map(|tier| &tier.options)
    }

    /// How many tiers there are.
    pub fn len(&self) -> usize {
        self.tiers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tiers.is_empty()
    }
}

fn mark_name(place: &Place, purge: Purge<'_>) -> String {
    match purge {
        Purge::Key(key) => place.key_mark(key),
        Purge::Tag(tag) => place.tag_mark(tag),
        Purge::All => place.all_mark(),
    }
}

impl Tier {
    /// Takes so many bytes on their way, if there is room for them and the breaker lets them through.
    pub(super) fn takes(&mut self, now: Timestamp, bytes: usize) -> bool {
        // What should have arrived long ago was lost with its request.
        while let Some(&(until, bytes)) = self.pending.front()
            && until <= now
        {
            self.pending.pop_front();
            self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        }
        let sum = self.pending_bytes.saturating_add(bytes);
        if sum > self.options.max_pending_bytes || !self.writes.admits(now, self.options.timeout) {
            return false;
        }
        let until = now.after(Ttl::Millis(self.options.timeout.saturating_mul(4)));
        self.pending.push_back((until, bytes));
        self.pending_bytes = sum;
        true
    }

    pub(super) fn arrived(&mut self, bytes: usize) {
        // Which of several is not told; the oldest ones are as good as any.
        let mut left = bytes;
        while left > 0
            && let Some((_, first)) = self.pending.front_mut()
        {
            let part = left.min(*first);
            *first -= part;
            left -= part;
            self.pending_bytes = self.pending_bytes.saturating_sub(part);
            if *first == 0 {
                self.pending.pop_front();
            }
        }
    }
}
