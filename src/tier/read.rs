//! One read of one key or many, tier by tier: what to ask of whom, and what came of it.

use std::ops::Range;

use super::chain::{Chain, Failure};
use super::envelope::{Envelope, Freshness, Kind, Lifetimes};
use super::names::Place;
use super::refused::Refused;
use super::seal::Seal;
use super::write::Put;
use crate::time::{Timestamp, Ttl};

/// A read under way. It is polled for what to do, told what came of that, and polled again, until it is done.
///
/// Of each tier it wants at most two round trips, within the tier's timeout: the values, and the marks that may end them.
#[derive(Debug)]
pub struct Read {
    items: Vec<Item>,
    refresh: bool,
    tier: usize,
    stage: Stage,
    /// Whether each tier that was wanted has answered so far.
    whole: bool,
}

#[derive(Debug)]
struct Item {
    place: Place,
    key: String,
    name: String,
    found: Option<Found>,
}

#[derive(Debug)]
enum Stage {
    /// Nobody is being asked.
    Idle,
    /// A tier is asked for values.
    Values(Trip),
    /// It is asked for the marks that may end what it brought.
    Marks(Trip, Vec<(usize, Found)>),
}

/// A round trip to a tier.
#[derive(Debug)]
struct Trip {
    /// The items that the tier was asked for.
    asked: Vec<usize>,
    /// When it was asked for the first thing.
    since: Timestamp,
    /// What lies under these names is wanted now.
    names: Vec<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Get what lies under these names in a tier, and hand it in by [`Read::handle_answers`], or say by
    /// [`Read::handle_failure`] that it failed, or took longer than `timeout` ms.
    Get {
        /// Which tier.
        tier: usize,
        /// The names.
        names: &'a [String],
        /// For how long to wait.
        timeout: u64,
    },
    /// All is known that can be.
    Done,
}

/// A value that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// In which tier.
    pub tier: usize,
    /// What it may be used for.
    pub freshness: Freshness,
    /// See [`Envelope::generation`].
    pub generation: Timestamp,
    /// See [`Envelope::stored_at`].
    pub stored_at: Timestamp,
    /// How long it lives from `stored_at` on.
    pub lifetimes: Lifetimes,
    /// See [`Envelope::codec`].
    pub codec: u8,
    /// See [`Envelope::compressed`].
    pub compressed: bool,
    /// See [`Envelope::weight`].
    pub weight: Option<u32>,
    /// By what it can be purged.
    pub tags: Vec<String>,
    /// Where the value lies in the bytes that the tier brought.
    pub payload: Range<usize>,
    bytes: usize,
}

/// What a read comes to for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadOutcome<'a> {
    /// A value to answer with. If it is stale it may be handed out while it is refreshed.
    Answer(&'a Found),
    /// The key has to be loaded. If that fails, this may stand in, if there is something.
    Load(Option<&'a Found>),
}

/// A value that was found in one tier is to be stored in one above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// Which key, by its place among those that were asked for.
    pub item: usize,
    /// Where.
    pub put: Put,
    /// How many bytes it has.
    pub bytes: usize,
}

impl Read {
    /// A read of these keys. `refresh`: stale values are no answer, since that is what there is already.
    pub fn new(keys: impl IntoIterator<Item = (Place, String)>, refresh: bool) -> Self {
        let items = keys.into_iter().map(|(place, key)| {
            let name = place.value(&key);
            Item { place, key, name, found: None }
        });
        Self { items: items.collect(), refresh, tier: 0, stage: Stage::Idle, whole: true }
    }

    /// What to do next. The same again until its end is told.
    pub fn poll(&mut self, chain: &mut Chain, now: Timestamp) -> Step<'_> {
        while matches!(self.stage, Stage::Idle) {
            if self.tier >= chain.tiers.len() {
                return Step::Done;
            }
            let wanted = self.wanted(chain);
            let Some(tier) = chain.tiers.get_mut(self.tier) else { return Step::Done };
            // Not for nothing a trial of one that failed.
            let admits = !wanted.is_empty() && tier.reads.admits(now, tier.options.timeout);
            for &index in &wanted {
                let Some(item) = self.items.get(index) else { continue };
                tier.figures.count(&item.place, |f| if admits { f.asked += 1 } else { f.skipped += 1 });
            }
            if !admits {
                self.whole &= wanted.is_empty();
                self.tier += 1;
                continue;
            }
            let names = wanted.iter().filter_map(|&item| self.items.get(item)).map(|item| item.name.clone()).collect();
            self.stage = Stage::Values(Trip { asked: wanted, since: now, names });
        }
        let (Stage::Values(Trip { names, since, .. }) | Stage::Marks(Trip { names, since, .. }, _)) = &self.stage
        else {
            return Step::Done;
        };
        let timeout = chain.tiers.get(self.tier).map_or(0, |tier| tier.options.timeout);
        Step::Get { tier: self.tier, names, timeout: timeout.saturating_sub(now.millis_since(*since)) }
    }

    /// The keys of which the present tier is to be asked.
    fn wanted(&self, chain: &Chain) -> Vec<usize> {
        let is_fresh = |item: &Item| item.found.as_ref().is_some_and(|found| found.freshness == Freshness::Fresh);
        let is_wanted = |item: &Item| !is_fresh(item) && chain.uses(&item.place, self.tier);
        (0..self.items.len()).filter(|&item| self.items.get(item).is_some_and(is_wanted)).collect()
    }

    fn places<'a>(&'a self, items: &'a [usize]) -> impl Iterator<Item = &'a Place> {
        items.iter().filter_map(|&item| self.items.get(item)).map(|item| &item.place)
    }

    /// What lay under the names, in their order. Another number of answers counts as a failure.
    pub fn handle_answers<B: AsRef<[u8]>>(&mut self, chain: &mut Chain, now: Timestamp, answers: &[Option<B>]) {
        match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => {}
            Stage::Values(trip) if answers.len() == trip.names.len() => self.handle_values(chain, now, trip, answers),
            Stage::Marks(trip, held) if answers.len() == trip.names.len() => {
                self.handle_marks(chain, now, &trip, held, answers);
            }
            stage => {
                self.stage = stage;
                self.handle_failure(chain, now, Failure::Error);
            }
        }
    }

    /// The tier failed, or took too long.
    pub fn handle_failure(&mut self, chain: &mut Chain, now: Timestamp, failure: Failure) {
        let (asked, lost) = match std::mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => return,
            Stage::Values(Trip { asked, .. }) => (asked.clone(), asked),
            Stage::Marks(Trip { asked, .. }, held) => (asked, held.into_iter().map(|(item, _)| item).collect()),
        };
        if let Some(tier) = chain.tiers.get_mut(self.tier) {
            for place in self.places(&lost) {
                tier.figures.count(place, |f| f.lost += 1);
            }
            tier.figures.count_read(self.places(&asked), |f| match failure {
                Failure::Error => f.read_errors += 1,
                Failure::Timeout => f.read_timeouts += 1,
            });
        }
        chain.end_of_read(self.tier, now, Some(failure));
        self.whole = false;
        self.tier += 1;
    }

    fn handle_values<B: AsRef<[u8]>>(
        &mut self,
        chain: &mut Chain,
        now: Timestamp,
        Trip { asked, since, .. }: Trip,
        answers: &[Option<B>],
    ) {
        let tier = self.tier;
        let mut held = Vec::new();
        let mut refused = None;
        let mut well = false;
        for (&index, answer) in asked.iter().zip(answers) {
            let Some(item) = self.items.get(index) else { continue };
            let decoded = answer.as_ref().map(|bytes| decode(bytes.as_ref(), &item.name, chain, now));
            let Some(known) = chain.tiers.get_mut(tier) else { return };
            match decoded {
                Some(Ok(envelope)) => {
                    well = true;
                    let bytes = answer.as_ref().map_or(0, |bytes| bytes.as_ref().len());
                    let found = Found::of(&envelope, tier, now, bytes, &chain.seal);
                    if found.freshness == Freshness::Expired {
                        known.figures.count(&item.place, |f| f.misses += 1);
                    } else {
                        held.push((index, found));
                    }
                }
                Some(Err(reason)) => {
                    known.figures.count(&item.place, |f| f.refuse(reason));
                    refused = Some(reason);
                }
                None => {
                    well = true;
                    known.figures.count(&item.place, |f| f.misses += 1);
                }
            }
        }
        if let Some(reason) = refused {
            chain.refuse(tier, now, reason);
        }
        if held.is_empty() {
            // A tier that brings rubbish and nothing else is a tier that fails; one of another version's writers is not.
            let failure = match refused {
                Some(reason) if !well && !matches!(reason, Refused::Version(_)) => Some(Failure::Error),
                _ => None,
            };
            self.leave_tier(chain, now, since, &asked, failure);
            return;
        }
        if !chain.options.marks {
            return self.handle_marks::<B>(chain, now, &Trip { asked, since, names: Vec::new() }, held, &[]);
        }
        let mut names = Vec::new();
        for (index, found) in &held {
            if let Some(item) = self.items.get(*index) {
                names.extend(item.place.marks_of(&item.key, &found.tags));
            }
        }
        names.sort_unstable();
        names.dedup();
        self.stage = Stage::Marks(Trip { asked, since, names }, held);
    }

    fn handle_marks<B: AsRef<[u8]>>(
        &mut self,
        chain: &mut Chain,
        now: Timestamp,
        Trip { asked, since, names }: &Trip,
        held: Vec<(usize, Found)>,
        answers: &[Option<B>],
    ) {
        let mut refused = None;
        let mut marks = Vec::with_capacity(names.len());
        for (name, answer) in names.iter().zip(answers) {
            marks.push(match answer.as_ref().map(|bytes| decode_mark(bytes.as_ref(), name, chain)) {
                None => None,
                Some(Ok(generation)) => Some(generation),
                // It may be of any generation.
                Some(Err(reason)) => {
                    refused = Some(reason);
                    Some(Timestamp::NEVER)
                }
            });
        }
        for (index, found) in held {
            let Some(item) = self.items.get_mut(index) else { continue };
            let own = item.place.marks_of(&item.key, &found.tags);
            let ended = chain.marks.ends(now, found.generation, &own)
                || own.iter().any(|name| {
                    let mark = names.binary_search(name).ok().and_then(|at| *marks.get(at)?);
                    mark.is_some_and(|mark| found.generation <= mark)
                });
            let Some(known) = chain.tiers.get_mut(self.tier) else { return };
            if ended {
                known.figures.count(&item.place, |f| f.purged += 1);
                continue;
            }
            known.figures.count(&item.place, |f| match found.freshness {
                Freshness::Fresh => f.hits += 1,
                _ => f.stale += 1,
            });
            if item.found.as_ref().is_none_or(|other| found.is_better_than(other)) {
                item.found = Some(found);
            }
        }
        if let Some(reason) = refused {
            chain.refuse(self.tier, now, reason);
        }
        self.leave_tier(chain, now, *since, asked, None);
    }

    /// The tier has answered for these keys; with a failure it brought nothing but rubbish.
    fn leave_tier(
        &mut self,
        chain: &mut Chain,
        now: Timestamp,
        since: Timestamp,
        asked: &[usize],
        failure: Option<Failure>,
    ) {
        if let Some(tier) = chain.tiers.get_mut(self.tier) {
            tier.figures.count_read(self.places(asked), |f| match failure {
                None => f.read_millis.record(now.millis_since(since)),
                Some(_) => f.read_errors += 1,
            });
        }
        chain.end_of_read(self.tier, now, failure);
        self.tier += 1;
    }

    /// What the read comes to for a key, by its place among those that were asked for, if it is answered at `now`. What was
    /// purged here since it was found is not among it.
    pub fn outcome(&self, chain: &Chain, now: Timestamp, item: usize) -> ReadOutcome<'_> {
        let Some(item) = self.items.get(item) else { return ReadOutcome::Load(None) };
        let marks = |found: &Found| item.place.marks_of(&item.key, &found.tags);
        match &item.found {
            Some(found) if chain.marks.ends(now, found.generation, &marks(found)) => ReadOutcome::Load(None),
            Some(found) => match found.freshness_at(now) {
                Freshness::Fresh => ReadOutcome::Answer(found),
                Freshness::StaleWhileRevalidate if !self.refresh => ReadOutcome::Answer(found),
                Freshness::Expired => ReadOutcome::Load(None),
                _ => ReadOutcome::Load(Some(found)),
            },
            None => ReadOutcome::Load(None),
        }
    }

    /// Whether all tiers that were wanted have answered. If not, there is no use in waiting for what another isolate stores there.
    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// What is to be copied upwards now. Each is told by [`Chain::handle_written`] when it has ended.
    pub fn promotions(&self, chain: &mut Chain, now: Timestamp) -> Vec<Promotion> {
        let mut promotions = Vec::new();
        for index in 0..self.items.len() {
            let ReadOutcome::Answer(found) = self.outcome(chain, now, index) else { continue };
            if found.freshness_at(now) != Freshness::Fresh {
                continue;
            }
            let left = found.ends().millis_since(now);
            let Some(item) = self.items.get(index) else { continue };
            for tier in 0..found.tier {
                if let Some(put) = chain.put(now, &item.place, tier, found.bytes, left) {
                    if let Some(known) = chain.tiers.get_mut(tier) {
                        known.figures.count(&item.place, |f| f.promotions += 1);
                    }
                    promotions.push(Promotion { item: index, put, bytes: found.bytes });
                }
            }
        }
        promotions
    }

    /// Under which name a key's value lies.
    pub fn name(&self, item: usize) -> Option<&str> {
        self.items.get(item).map(|item| item.name.as_str())
    }
}

/// A value that may be believed, as far as its bytes tell.
fn decode<'a>(bytes: &'a [u8], name: &str, chain: &Chain, now: Timestamp) -> Result<Envelope<'a>, Refused> {
    let envelope = Envelope::decode(bytes, name, &chain.seal)?;
    let latest = now.after(Ttl::Millis(chain.options.clock_skew));
    if envelope.kind != Kind::Value {
        Err(Refused::OtherKind)
    } else if envelope.stored_at > latest || envelope.generation > latest {
        Err(Refused::Future)
    } else if envelope.ends() > envelope.generation.after(Ttl::Millis(chain.options.max_lifetime)) {
        // A purge of it may have been forgotten by then.
        Err(Refused::Malformed)
    } else {
        Ok(envelope)
    }
}

/// What a mark ends.
fn decode_mark(bytes: &[u8], name: &str, chain: &Chain) -> Result<Timestamp, Refused> {
    let envelope = Envelope::decode(bytes, name, &chain.seal)?;
    if envelope.kind == Kind::Mark { Ok(envelope.generation) } else { Err(Refused::OtherKind) }
}

impl Found {
    fn of(envelope: &Envelope<'_>, tier: usize, now: Timestamp, bytes: usize, seal: &Seal) -> Self {
        let end = bytes.saturating_sub(seal.len());
        Self {
            tier,
            freshness: envelope.lifetimes.freshness(envelope.stored_at, now),
            generation: envelope.generation,
            stored_at: envelope.stored_at,
            lifetimes: envelope.lifetimes,
            codec: envelope.codec,
            compressed: envelope.compressed,
            weight: envelope.weight,
            tags: envelope.tags.iter().map(|&tag| tag.to_owned()).collect(),
            payload: end.saturating_sub(envelope.payload.len())..end,
            bytes,
        }
    }

    /// What it may be used for at `now`.
    pub fn freshness_at(&self, now: Timestamp) -> Freshness {
        self.lifetimes.freshness(self.stored_at, now)
    }

    /// For how many milliseconds it has been stored; `None` once it is of no use any more, as to a load that failed after that.
    pub fn age(&self, now: Timestamp) -> Option<u64> {
        (now < self.ends()).then(|| now.millis_since(self.stored_at))
    }

    /// Whether it is newer than what memory has had since then, by clocks that may differ, and so no answer's second copy: a load
    /// that refreshes a value wants another.
    pub fn is_newer(&self, chain: &Chain, since: Timestamp) -> bool {
        self.generation.min(self.stored_at) > since.after(Ttl::Millis(chain.options.clock_skew))
    }

    /// The last moment at which it may be of any use.
    pub fn ends(&self) -> Timestamp {
        self.lifetimes.end(self.stored_at)
    }

    fn is_better_than(&self, other: &Self) -> bool {
        (self.freshness, other.stored_at) < (other.freshness, self.stored_at)
    }
}
