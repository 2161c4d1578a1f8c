//! A value for the tiers: what is stored of it where, what came of that, and what a tier that lacks it has to delete.

use super::chain::{Chain, Failure, Purge};
use super::envelope::{Envelope, Kind, Lifetimes};
use super::names::{Place, mark_of_value};
use crate::core::jittered;
use crate::options::EntryPolicy;
use crate::time::{Timestamp, Ttl};

/// A value to be stored.
#[derive(Clone, Debug)]
pub struct NewValue<'a> {
    /// The part of the cache it is in.
    pub place: &'a Place,
    /// Its key.
    pub key: &'a str,
    /// When its load began.
    pub generation: Timestamp,
    /// What [`Chain::begin`] gave its load, or [`Chain::supersede`] gave it.
    pub number: u64,
    /// How long it lives.
    pub lifetimes: Lifetimes,
    /// For how many milliseconds it has lived already, as its source says.
    pub age: u64,
    /// By what it can be purged.
    pub tags: Vec<&'a str>,
    /// See [`Envelope::codec`].
    pub codec: u8,
    /// See [`Envelope::compressed`].
    pub compressed: bool,
    /// See [`Envelope::weight`].
    pub weight: Option<u32>,
    /// Whether what lies below of its key, if anything does, is older and not to be handed out any more. A tier that can't be given the
    /// value has to delete it.
    pub replaces: bool,
    /// The value.
    pub payload: &'a [u8],
}

/// Bytes to be stored under a name in some tiers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The name.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where.
    pub puts: Vec<Put>,
    /// See [`NewValue::generation`].
    pub generation: Timestamp,
    /// See [`NewValue::number`].
    pub number: u64,
    /// See [`NewValue::replaces`].
    pub replaces: bool,
}

/// A value whose write to a tier has ended.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// See [`Write::name`].
    pub name: &'a str,
    /// See [`NewValue::generation`].
    pub generation: Timestamp,
    /// See [`NewValue::number`]; none for what was copied from a tier.
    pub number: Option<u64>,
    /// See [`NewValue::replaces`].
    pub replaces: bool,
}

impl Write {
    /// To be told by when the write to a tier has ended.
    pub fn written(&self) -> Written<'_> {
        let number = Some(self.number);
        Written { name: &self.name, generation: self.generation, number, replaces: self.replaces }
    }
}

/// One of the tiers in which a value is to be stored. Its end is told by [`Chain::handle_written`], [`Chain::handle_skipped`] or
/// [`Chain::handle_overtaken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Which tier.
    pub tier: usize,
    /// After so many ms the store may drop it. It may do so later: nothing is believed beyond its end.
    pub ttl: u64,
}

impl Chain {
    /// What to store of a value that was loaded or set. `None` if it was purged or set anew since its load began, or won't live.
    /// Tiers whose breaker is open, or to which too much is on its way, are left out.
    pub fn write(&mut self, now: Timestamp, value: &NewValue<'_>) -> Option<Write> {
        let marks = value.place.marks_of(value.key, &value.tags);
        let own = value.place.key_mark(value.key);
        if self.marks.supersedes(value.number, &own) {
            return None;
        }
        if self.marks.ends(now, value.generation, &marks) || self.marks.may_be_superseded(value.generation) {
            // What it would have replaced need not bear the tag that was purged.
            let own_marks = value.place.marks_of::<&str>(value.key, &[]);
            if value.replaces && !self.marks.name_ends(value.generation, &own_marks) {
                for tier in self.used(value.place) {
                    self.marks.owe(now, &own, value.generation, value.number, tier);
                }
            }
            return None;
        }
        let ends = value.generation.after(Ttl::Millis(self.options.max_lifetime));
        let name = value.place.value(value.key);
        let stored_at = now.before(value.age);
        let envelope = Envelope {
            kind: Kind::Value,
            codec: value.codec,
            compressed: value.compressed,
            generation: value.generation,
            stored_at,
            lifetimes: value.lifetimes.within(ends.millis_since(stored_at)),
            weight: value.weight,
            name: &name,
            tags: value.tags.clone(),
            payload: value.payload,
        };
        let left = envelope.ends().millis_since(now);
        let lives = left > 0 && envelope.lifetimes.ttl != Ttl::ZERO;
        let Some(bytes) = lives.then(|| envelope.encode(&self.seal)).flatten() else {
            if value.replaces {
                self.purge(now, value.place, Purge::Key(value.key));
            }
            return None;
        };
        let mut puts = Vec::new();
        for tier in self.used(value.place) {
            match self.put(now, value.place, tier, bytes.len(), left) {
                Some(put) => puts.push(put),
                None if value.replaces => self.marks.owe(now, &own, value.generation, value.number, tier),
                None => {}
            }
        }
        let NewValue { generation, number, replaces, .. } = *value;
        Some(Write { name, bytes, puts, generation, number, replaces })
    }

    /// The tiers that keys of this part use.
    fn used(&self, place: &Place) -> Vec<usize> {
        (0..self.tiers.len()).filter(|&tier| self.uses(place, tier)).collect()
    }

    /// Whether a value may be stored in a tier now, and for how long.
    pub(super) fn put(&mut self, now: Timestamp, place: &Place, tier: usize, bytes: usize, left: u64) -> Option<Put> {
        if !self.uses(place, tier) {
            return None;
        }
        let known = self.tiers.get_mut(tier)?;
        let ttl = match known.options.ttl {
            Ttl::Millis(most) => left.min(most),
            Ttl::Forever => left,
        };
        if ttl == 0 {
            return None;
        }
        if bytes > known.options.max_value_bytes {
            known.figures.whole_mut().too_large += 1;
            return None;
        }
        if !known.takes(now, bytes) {
            known.figures.whole_mut().writes_skipped += 1;
            return None;
        }
        Some(Put { tier, ttl })
    }

    /// A write to a tier, of one value or several, has ended.
    pub fn handle_written(
        &mut self,
        tier: usize,
        now: Timestamp,
        values: &[Written<'_>],
        bytes: usize,
        failure: Option<Failure>,
    ) {
        let Some(known) = self.tiers.get_mut(tier) else { return };
        known.arrived(bytes);
        let figures = known.figures.whole_mut();
        match failure {
            None => figures.writes += values.len() as u64,
            Some(_) => figures.write_errors += values.len() as u64,
        }
        for value in values {
            match (failure, mark_of_value(value.name)) {
                (None, Some(mark)) => self.marks.written(&mark, value.generation, value.number, tier),
                (None, None) => {}
                (Some(_), _) => self.owe(tier, now, value),
            }
        }
        self.end_of_write(tier, now, failure);
    }

    /// A value that was to be written to a tier is not: what waits to be written there is too much already.
    pub fn handle_skipped(&mut self, tier: usize, now: Timestamp, value: Written<'_>, bytes: usize) {
        let Some(known) = self.tiers.get_mut(tier) else { return };
        known.arrived(bytes);
        known.figures.whole_mut().writes_skipped += 1;
        self.owe(tier, now, &value);
    }

    /// A newer value of the same key is to be written to the tier, so that this one is not.
    pub fn handle_overtaken(&mut self, tier: usize, bytes: usize) {
        self.tiers.get_mut(tier).into_iter().for_each(|known| known.arrived(bytes));
    }

    /// What a tier may have is older than a value that it could not be given.
    fn owe(&mut self, tier: usize, now: Timestamp, value: &Written<'_>) {
        if let Some((mark, number)) = mark_of_value(value.name).zip(value.number).filter(|_| value.replaces) {
            self.marks.owe(now, &mark, value.generation, number, tier);
        }
    }
}

impl Lifetimes {
    /// Of a value with this policy where others find it: less by a chance of its own (`random`, above 0 and up to 1), or all that
    /// they find would end together; and within the time for which it may be idle, since nobody knows there when it was last used.
    pub fn below(policy: &EntryPolicy, random: f64) -> Self {
        let EntryPolicy { stale_while_revalidate, stale_if_error, .. } = *policy;
        let lifetimes = Self { ttl: jittered(policy, random), stale_while_revalidate, stale_if_error };
        match policy.idle_ttl {
            Ttl::Millis(most) => lifetimes.within(most),
            Ttl::Forever => lifetimes,
        }
    }

    /// The same, all of it over after so many ms.
    pub(crate) fn within(self, millis: u64) -> Self {
        let cap = |ttl: Ttl, most: u64| ttl.min(Ttl::Millis(most));
        let ttl = cap(self.ttl, millis);
        let Ttl::Millis(fresh) = ttl else { return self };
        Self {
            ttl,
            stale_while_revalidate: cap(self.stale_while_revalidate, millis - fresh),
            stale_if_error: cap(self.stale_if_error, millis - fresh),
        }
    }
}
