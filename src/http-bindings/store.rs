//! What lies in the cache, and what was taken back while something older was on its way in.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::Uint8Array;
use nearcache::engine::{Cache, EntryOptions};
use nearcache::http::exchange::{Change, Key, PurgedUrl, Target};
use nearcache::time::Ttl;

use crate::limits::Limits;

/// The bytes of a body, on the JS heap, where they are freed piece by piece: linear memory never shrinks.
#[derive(Clone)]
pub(crate) struct Body(Rc<Uint8Array>);

impl Body {
    pub fn new(bytes: Uint8Array) -> Self {
        Self(Rc::new(bytes))
    }

    pub fn bytes(&self) -> &Uint8Array {
        &self.0
    }

    pub fn len(&self) -> usize {
        self.0.length() as usize
    }
}

pub(crate) type Targets = Target<Body>;

/// Targets by key, within the bounds of the limits. The store's own expiry is the end of every use of a target, and
/// nothing else: freshness has one owner, [`nearcache::http`].
pub(crate) struct Store {
    cache: Cache<Key, Rc<Targets>>,
    purges: RefCell<Purges>,
    /// Names of bodies that lie apart, of what was replaced or purged.
    orphans: RefCell<Vec<String>>,
}

/// What a purge concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purged {
    /// All there is.
    Everything,
    /// A URL, or a path and query on every host.
    Url(PurgedUrl),
    /// All paths that begin so.
    Prefix(String),
    /// What bears a tag.
    Tag(String),
    /// One key, which a request has invalidated (RFC 9111 §4.4).
    Key(Key),
}

impl Purged {
    fn concerns(&self, key: &Key, tags: &[String]) -> bool {
        match self {
            Self::Everything => true,
            Self::Url(url) => url.concerns(key),
            Self::Prefix(prefix) => {
                let (name, prefix) = aligned(key, prefix);
                name.starts_with(prefix)
            }
            Self::Tag(tag) => tags.contains(tag),
            Self::Key(purged) => purged == key,
        }
    }
}

/// A key's name and a pattern, both with their host or both from their path on.
fn aligned<'a>(key: &'a Key, pattern: &'a str) -> (&'a str, &'a str) {
    let path = |text: &'a str| text.find('/').and_then(|at| text.get(at..)).unwrap_or_default();
    let name = key.name();
    match (name.starts_with('/'), pattern.starts_with('/')) {
        (false, false) => (name, pattern),
        _ => (path(name), path(pattern)),
    }
}

/// The purges that what is under way may have to know of, in order.
#[derive(Default)]
struct Purges {
    /// How many there have been.
    count: u64,
    /// Each with its moment.
    recent: VecDeque<(Purged, u64)>,
    /// What was loaded up to this moment may have been purged without that being known.
    floor: Option<u64>,
    /// Those that are to be told, if somebody is.
    told: Option<Vec<(Purged, bool)>>,
}

/// So many purges are told apart; a load that is older than these is taken for purged.
const REMEMBERED: usize = 1_024;
/// By how much the clocks of those who share stores differ at most.
const CLOCK_SKEW: u64 = 500;

/// What an entry takes beside what is in it, in both heaps: the slot, two tables, the buffer's own objects.
const OVERHEAD: usize = 700;

impl Store {
    pub fn new(limits: &Limits) -> Self {
        let weigh = |key: &Key, target: &Rc<Targets>| {
            u32::try_from(target.weight(Body::len) + key.as_str().len() + OVERHEAD).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_entries(limits.max_entries).max_bytes(limits.max_bytes).weigher(weigh).build();
        Self { cache, purges: RefCell::default(), orphans: RefCell::default() }
    }

    pub fn get(&self, key: &Key) -> Option<Rc<Targets>> {
        self.cache.get(key)
    }

    /// The same, and it does not count as use.
    pub fn peek(&self, key: &Key) -> Option<Rc<Targets>> {
        self.cache.peek(key)
    }

    /// The number of purges up to now: those that a load which begins now has seen.
    pub fn purges(&self) -> u64 {
        self.purges.borrow().count
    }

    /// Applies what a load has brought that began after the first `seen` purges, unless a later one concerns it. Whether
    /// it did.
    pub fn apply(&self, change: Change<Body>, seen: u64, now: u64) -> bool {
        if change.is_invalidation() {
            self.remember_ours(Purged::Key(change.key().clone()), false, now);
        } else if self.purged_since(seen, change.key(), change.tags()) {
            return false;
        }
        let key = change.key().clone();
        let before = self.cache.peek(&key);
        // One that can't be had now may be there.
        let loses = change.is_of_lost_body();
        let next = change.apply(before.as_deref(), now);
        if !loses {
            self.add_orphans(before.as_deref(), next.as_ref());
        }
        self.put(key, next, now);
        true
    }

    fn add_orphans(&self, before: Option<&Targets>, after: Option<&Targets>) {
        let lies = |name: &str| after.is_some_and(|target| target.apart().any(|other| other == name));
        for name in before.into_iter().flat_map(Target::apart).filter(|name| !lies(name)) {
            self.add_orphan(name.to_owned());
        }
    }

    /// Nothing here refers to a body that lies apart under this name.
    pub fn add_orphan(&self, name: String) {
        let mut orphans = self.orphans.borrow_mut();
        // The store has an end of its own for what nobody deletes.
        if orphans.len() < REMEMBERED {
            orphans.push(name);
        }
    }

    /// Those that have not been told.
    pub fn orphans(&self) -> Vec<String> {
        std::mem::take(&mut self.orphans.borrow_mut())
    }

    fn put(&self, key: Key, target: Option<Targets>, now: u64) {
        let Some(target) = target else {
            self.cache.remove(&key);
            return;
        };
        let options = EntryOptions::new().ttl(Ttl::Millis(target.keep_until_ms().saturating_sub(now)));
        self.cache.insert_with(key, Rc::new(target), options);
    }

    /// Whether a purge later than the first `seen` concerns a key with these tags.
    pub fn purged_since(&self, seen: u64, key: &Key, tags: &[String]) -> bool {
        let count = self.purges.borrow().count;
        self.purged_between(seen, count, key, tags)
    }

    /// Whether one of the purges that came after the first `earlier`, and by the first `later`, concerns a key with these tags.
    pub fn purged_between(&self, earlier: u64, later: u64, key: &Key, tags: &[String]) -> bool {
        let purges = self.purges.borrow();
        let first = purges.count - purges.recent.len() as u64;
        if earlier < first && earlier < later {
            return true;
        }
        let numbered = (first..later).zip(&purges.recent);
        numbered.filter(|(number, _)| *number >= earlier).any(|(_, (purged, _))| purged.concerns(key, tags))
    }

    /// Takes out what a purge concerns, or, softly, makes it stale. How many targets it has hit. O(entries), but for most URLs.
    pub fn purge(&self, purged: Purged, soft: bool, now: u64) -> usize {
        let hit = self.take_out(&purged, soft, now);
        self.remember_ours(purged, soft, now);
        hit
    }

    /// The same, where somebody else has purged it at a moment.
    pub fn purge_at(&self, purged: Purged, soft: bool, now: u64, at: u64) {
        self.take_out(&purged, soft, now);
        self.remember(purged, at);
    }

    /// What was purged up to a moment is not known.
    pub fn forget(&self, now: u64, until: u64) {
        self.purge_at(Purged::Everything, false, now, until);
        let mut purges = self.purges.borrow_mut();
        purges.floor = purges.floor.max(Some(until));
    }

    /// Whether what was loaded at a moment, by whomever, has been purged since, as far as that is known.
    pub fn purged_after(&self, loaded_at: u64, key: &Key, tags: &[String]) -> bool {
        let purges = self.purges.borrow();
        let before = |at: u64| loaded_at <= at.saturating_add(CLOCK_SKEW);
        purges.floor.is_some_and(before)
            || purges.recent.iter().any(|(purged, at)| before(*at) && purged.concerns(key, tags))
    }

    /// Whether what is purged here is to be told.
    pub fn tell(&self, tells: bool) {
        self.purges.borrow_mut().told = tells.then(Vec::new);
    }

    /// What is to be told: of each its kind, its name, and `soft` if it is stale only.
    pub fn told(&self) -> Vec<String> {
        let told = self.purges.borrow_mut().told.as_mut().map(std::mem::take).unwrap_or_default();
        let mut said = Vec::new();
        for (purged, soft) in told {
            let (kind, names) = match purged {
                Purged::Everything => ("everything", vec![String::new()]),
                Purged::Url(url) => ("url", url.names().to_vec()),
                Purged::Prefix(prefix) => ("prefix", vec![prefix]),
                Purged::Tag(tag) => ("tag", vec![tag]),
                Purged::Key(key) => ("url", vec![key.name().to_owned()]),
            };
            for name in names {
                said.extend([kind.to_owned(), name, if soft { "soft" } else { "" }.to_owned()]);
            }
        }
        said
    }

    fn take_out(&self, purged: &Purged, soft: bool, now: u64) -> usize {
        // A write by any client purges URLs, so that it is not to look at all there is.
        let keys = match purged {
            Purged::Url(url) => url.keys(),
            _ => None,
        };
        let concerned: Vec<(Key, Rc<Targets>)> = match keys {
            Some(keys) => keys.into_iter().filter_map(|key| Some((key.clone(), self.cache.peek(&key)?))).collect(),
            None => self.cache.iter().filter(|(key, target)| purged.concerns(key, &target.tags())).collect(),
        };
        for (key, target) in &concerned {
            let left = match (purged, soft) {
                (_, true) => Some(target.soften(now)),
                (Purged::Tag(tag), false) => target.without_tag(tag),
                (_, false) => None,
            };
            self.add_orphans(Some(target), left.as_ref());
            self.put(key.clone(), left, now);
        }
        concerned.len()
    }

    fn remember_ours(&self, purged: Purged, soft: bool, now: u64) {
        if let Some(told) = &mut self.purges.borrow_mut().told {
            // Who never asks what is to be told is told that it was everything.
            if told.len() >= REMEMBERED {
                *told = vec![(Purged::Everything, false)];
            }
            told.push((purged.clone(), soft));
        }
        self.remember(purged, now);
    }

    fn remember(&self, purged: Purged, at: u64) {
        let mut purges = self.purges.borrow_mut();
        purges.count += 1;
        purges.recent.push_back((purged, at));
        if purges.recent.len() > REMEMBERED {
            let oldest = purges.recent.pop_front().map(|(_, at)| at);
            purges.floor = purges.floor.max(oldest);
        }
    }

    pub fn len(&self) -> usize {
        self.cache.len()
    }

    pub fn weight(&self) -> u64 {
        self.cache.weight()
    }

    /// What became of entries: stored, and evicted for what cause.
    pub fn stats(&self) -> nearcache::Stats {
        self.cache.stats()
    }
}
