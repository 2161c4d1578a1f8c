//! What is stored of one target: all its variants, and what is remembered of asking for it.

use std::cell::Cell;
use std::rc::Rc;

use ::http::HeaderMap;

use super::outcome::Failed;
use super::record::{Record, Stored};
use crate::http::Vary;

/// Everything that is stored under one [`Key`](super::Key). Immutable: a [`Change`](super::Change) makes a new one.
#[derive(Clone, Debug)]
pub struct Target<B> {
    /// The newest last.
    pub(super) stored: Vec<Stored<B>>,
    /// Until then nobody waits for another's answer: they turned out to be nobody else's (hit-for-miss).
    pub(super) uncacheable_until: Option<u64>,
    pub(super) failure: Option<RememberedFailure<B>>,
    /// When a client's wish for a fresh answer was last granted.
    pub(super) reloaded_at: Rc<Cell<Option<u64>>>,
}

/// The origin has failed, and is not asked before this moment.
#[derive(Clone, Debug)]
pub(super) struct RememberedFailure<B> {
    pub failed: Rc<Failed<B>>,
    pub until: u64,
}

/// What of a target a request selects.
#[derive(Debug)]
pub(super) struct Selection<'a, B> {
    pub whole: Option<&'a Stored<B>>,
    pub part: Option<&'a Stored<B>>,
}

impl<B> Default for Target<B> {
    fn default() -> Self {
        Self { stored: Vec::new(), uncacheable_until: None, failure: None, reloaded_at: Rc::default() }
    }
}

impl<B: Clone> Target<B> {
    /// The last moment at which any of it is of use, in milliseconds since the Unix epoch.
    pub fn keep_until_ms(&self) -> u64 {
        let stored = self.stored.iter().map(|stored| stored.record.keep_until_ms()).max().unwrap_or(0);
        let uncacheable = self.uncacheable_until.unwrap_or(0);
        let failure = self.failure.as_ref().map_or(0, |failure| failure.until);
        stored.max(uncacheable).max(failure)
    }

    /// The tags of all variants, each once.
    pub fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = self.stored.iter().flat_map(|stored| stored.record.tags.iter().cloned()).collect();
        tags.sort();
        tags.dedup();
        tags
    }

    /// The stored responses, the newest last.
    pub fn variants(&self) -> &[Stored<B>] {
        &self.stored
    }

    /// The names of bodies that lie apart.
    pub fn apart(&self) -> impl Iterator<Item = &str> {
        self.stored.iter().filter_map(|stored| stored.record.apart.as_ref()).map(|manifest| manifest.name())
    }

    /// Bytes, near enough for a budget; `body` says how many a body takes.
    pub fn weight(&self, body: impl Fn(&B) -> usize) -> usize {
        let of = |stored: &Stored<B>| stored.record.weight() + body(&stored.body) + size_of::<Stored<B>>();
        let page = self.failure.as_ref().and_then(|failure| failure.failed.page.as_ref()).map_or(0, of);
        let failure = self.failure.as_ref().map_or(0, |_| size_of::<Failed<B>>());
        size_of::<Self>() + self.stored.iter().map(of).sum::<usize>() + page + failure
    }

    /// A soft purge: everything is stale from now on, and may be handed out as a stale response may.
    #[must_use]
    pub fn soften(&self, now: u64) -> Self {
        let soften = |stored: &Stored<B>| {
            let mut record = Record::clone(&stored.record);
            record.freshness.lifetime_ms = record.freshness.lifetime_ms.min(record.freshness.age_ms(now));
            Stored { record: Rc::new(record), body: stored.body.clone() }
        };
        Self { stored: self.stored.iter().map(soften).collect(), ..self.clone() }
    }

    /// Without the variants that bear this tag; `None` where nothing is left.
    #[must_use]
    pub fn without_tag(&self, tag: &str) -> Option<Self> {
        let mut left = self.clone();
        left.stored.retain(|stored| !stored.record.tags.iter().any(|known| known == tag));
        (!left.is_empty()).then_some(left)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stored.is_empty() && self.uncacheable_until.is_none() && self.failure.is_none()
    }

    /// Of several that match, the newest by its date counts (RFC 9111 §4), but one that will do before one that won't.
    pub(super) fn select(&self, request: &HeaderMap, now: u64) -> Selection<'_, B> {
        if let [only] = self.stored.as_slice() {
            let only = Some(only).filter(|only| only.record.matches(request));
            let is_part = only.is_some_and(|only| only.record.part.is_some());
            return if is_part { Selection { whole: None, part: only } } else { Selection { whole: only, part: None } };
        }
        let matching: Vec<_> = self.stored.iter().filter(|stored| stored.record.matches(request)).collect();
        let best = |is_part: bool| {
            let of_kind = matching.iter().filter(|stored| stored.record.part.is_some() == is_part);
            // Of one second, the last that came.
            of_kind.max_by_key(|stored| (stored.record.is_usable(now), stored.record.made_at_ms())).copied()
        };
        Selection { whole: best(false), part: best(true) }
    }

    /// The different ways in which its variants differ.
    pub(super) fn varies(&self) -> Vec<&Vary> {
        let mut varies: Vec<&Vary> = Vec::new();
        for stored in &self.stored {
            if !stored.record.vary.is_empty() && !varies.contains(&&stored.record.vary) {
                varies.push(&stored.record.vary);
            }
        }
        varies
    }

    /// Whether a client's wish for a fresh answer is granted: one in a second is.
    pub(super) fn grants_reload(&self, now: u64) -> bool {
        let granted = self.reloaded_at.get().is_none_or(|last| now.saturating_sub(last) >= 1000);
        if granted {
            self.reloaded_at.set(Some(now));
        }
        granted
    }

    pub(super) fn is_uncacheable(&self, now: u64) -> bool {
        self.uncacheable_until.is_some_and(|until| now < until)
    }

    pub(super) fn failure_at(&self, now: u64) -> Option<&RememberedFailure<B>> {
        self.failure.as_ref().filter(|failure| now < failure.until)
    }
}
