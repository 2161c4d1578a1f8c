//! What changes in the store.

use std::rc::Rc;

use super::key::Key;
use super::outcome::Failed;
use super::record::{Record, Stored};
use super::target::{RememberedFailure, Target};

/// One change to what is stored under one key. The driver drops it where that key has been purged since the fetch began that
/// brought it.
#[derive(Clone, Debug)]
pub struct Change<B> {
    key: Key,
    kind: Kind<B>,
}

#[derive(Clone, Debug)]
pub(super) enum Kind<B> {
    /// A response in place of the one for the same requests; at most so many in all.
    Store(Stored<B>, usize),
    /// Responses after a 304, each with the one in whose place it goes.
    Freshen(Vec<(Rc<Record>, Stored<B>)>),
    /// A response that may not be stored any longer.
    Drop(Rc<Record>),
    /// Responses whose bodies lie apart under this name, and are gone.
    DropApart(String),
    /// Everything under the key (RFC 9111 §4.4).
    Invalidate,
    /// Nobody waits for another's answer until then; what is stored stays.
    MarkUncacheable(u64),
    /// The origin is not asked until then; what is stored stays.
    RememberFailure(Rc<Failed<B>>, u64),
}

impl<B: Clone> Change<B> {
    pub(super) fn new(key: Key, kind: Kind<B>) -> Self {
        Self { key, kind }
    }

    /// Where it changes something.
    pub fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn kind(&self) -> &Kind<B> {
        &self.kind
    }

    /// Whether it takes back what is stored, rather than bringing something. Such a change is also to beat every fetch
    /// for its key that is under way.
    pub fn is_invalidation(&self) -> bool {
        matches!(self.kind, Kind::Invalidate)
    }

    /// Whether it takes out what has lost its body.
    pub fn is_of_lost_body(&self) -> bool {
        matches!(self.kind, Kind::DropApart(_))
    }

    /// Whether it brings a response whose body lies apart.
    pub fn lies_apart(&self) -> bool {
        matches!(&self.kind, Kind::Store(stored, _) if stored.record.apart.is_some())
    }

    /// The tags of what it brings.
    pub fn tags(&self) -> &[String] {
        match &self.kind {
            Kind::Store(stored, _) => &stored.record.tags,
            Kind::Freshen(freshened) => freshened.first().map_or(&[], |(_, stored)| &stored.record.tags),
            _ => &[],
        }
    }

    /// What is to lie under the key instead of what lies there; `None`: nothing.
    pub fn apply(self, found: Option<&Target<B>>, now: u64) -> Option<Target<B>> {
        let mut target = found.cloned().unwrap_or_default();
        target.stored.retain(|stored| now < stored.record.keep_until_ms());
        match self.kind {
            Kind::Store(stored, most) => {
                if target.stored.iter().any(|old| replaces(&stored.record, &old.record) && is_better(old, &stored, now))
                {
                    return Some(target);
                }
                target.stored.retain(|old| !replaces(&stored.record, &old.record));
                target.stored.push(stored);
                while target.stored.len() > most.max(1) {
                    let useless = target.stored.iter().position(|stored| !stored.record.is_usable(now));
                    target.stored.remove(useless.unwrap_or(0));
                }
                target.uncacheable_until = None;
                target.failure = None;
            }
            Kind::Freshen(freshened) => {
                for (old, new) in freshened {
                    target.stored.retain(|stored| !Rc::ptr_eq(&stored.record, &old));
                    if target.stored.iter().any(|old| replaces(&new.record, &old.record) && is_better(old, &new, now)) {
                        continue;
                    }
                    target.stored.retain(|stored| !stored.record.is_same_variant(&new.record));
                    target.stored.push(new);
                }
                target.uncacheable_until = None;
                target.failure = None;
            }
            Kind::Drop(old) => target.stored.retain(|stored| !Rc::ptr_eq(&stored.record, &old)),
            Kind::DropApart(name) => {
                let lies_there =
                    |stored: &Stored<B>| stored.record.apart.as_ref().is_some_and(|apart| apart.name() == name);
                target.stored.retain(|stored| !lies_there(stored));
            }
            Kind::Invalidate => return None,
            Kind::MarkUncacheable(until) => target.uncacheable_until = Some(until),
            Kind::RememberFailure(failed, until) => target.failure = Some(RememberedFailure { failed, until }),
        }
        target.uncacheable_until = target.uncacheable_until.filter(|until| now < *until);
        target.failure = target.failure.filter(|failure| now < failure.until);
        (!target.is_empty()).then_some(target)
    }
}

/// A whole response also takes the place of a part of the same variant.
fn replaces(new: &Record, old: &Record) -> bool {
    new.vary == old.vary && new.variant == old.variant && (new.part.is_none() || old.part.is_some())
}

/// Whether what is stored will do, and what would take its place won't, or tells of an error: no request may throw away
/// what is good, by whatever it makes the origin answer. Nor does what is older and comes later, by a trip that took longer, take the
/// place of what will do (RFC 9111 §4).
fn is_better<B>(old: &Stored<B>, new: &Stored<B>, now: u64) -> bool {
    let worse = !new.record.is_usable(now) || new.record.status.as_u16() >= 400;
    let is_good = old.record.is_usable(now) && old.record.status.as_u16() < 400;
    is_good && (worse || new.record.made_at_ms() < old.record.made_at_ms())
}
