//! What the simulation knows of every value, and so what may be handed out.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

pub const TAGS: [&str; 3] = ["red", "green", "blue"];

/// A value that knows where it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    /// The key, of all views.
    pub key: u64,
    pub id: u64,
}

/// The ends of a value. `u64::MAX` has no end.
#[derive(Clone, Copy)]
pub struct Ends {
    pub fresh: u64,
    pub revalidate: u64,
    pub error: u64,
    /// How long the latter two are after the first.
    windows: [u64; 2],
}

impl Ends {
    /// Of a value stored now.
    pub fn new(now: u64, ttl: u64, revalidate: u64, error: u64) -> Self {
        Self::fresh_until(now.saturating_add(ttl), [revalidate, error])
    }

    fn fresh_until(fresh: u64, windows: [u64; 2]) -> Self {
        let [revalidate, error] = windows.map(|length| fresh.saturating_add(length));
        Self { fresh, revalidate, error, windows }
    }

    pub fn last(&self) -> u64 {
        self.fresh.max(self.revalidate).max(self.error)
    }

    fn expire(&mut self, now: u64) {
        *self = Self::fresh_until(self.fresh.min(now), self.windows);
    }
}

/// What the world knows of a value, or of the error that came in its place.
#[derive(Clone)]
pub struct Origin {
    pub key: u64,
    pub tags: Vec<usize>,
    /// Which purge was the first that came after the load began.
    beaten_at: Option<u64>,
    /// One of them was of the key itself.
    superseded: bool,
    /// May not come from memory any more, and since which purge.
    dead: bool,
    dead_at: Option<u64>,
    /// `None` before it is stored.
    ends: Option<Ends>,
    /// Until when its failure, if it was one, is remembered.
    failed_until: u64,
    pub shareable: bool,
    /// What became of it, for the message of a failed check.
    story: Vec<(&'static str, u64)>,
}

impl Origin {
    fn is_under_way(&self) -> bool {
        self.ends.is_none() && self.failed_until == 0
    }
}

/// A write that has not ended.
struct Write {
    key: u64,
    id: u64,
    /// Something else wrote or removed the key meanwhile.
    conflicted: bool,
}

/// All views' keys: the root's, those of the namespace `a`, those of the scope `u` within it, and those of the root's own
/// scope `u`.
pub const VIEWS: u64 = 4;

/// Whether a view lies within another, or is that. Namespaces and scopes commute: the root's scope `u` has that of `a` in it.
pub fn is_within(inner: u64, outer: u64) -> bool {
    matches!((inner, outer), (_, 0) | (1 | 2, 1) | (2, 2) | (2 | 3, 3))
}

#[derive(Default)]
pub struct Model {
    origins: RefCell<HashMap<u64, Origin>>,
    /// Those that a purge may still change something about.
    alive: RefCell<Vec<u64>>,
    writes: RefCell<Vec<Write>>,
    next_id: Cell<u64>,
    /// How many purges there have been, each of which has a number.
    purges: Cell<u64>,
    /// Of a key: how many purges that cut its load loose.
    epochs: RefCell<HashMap<u64, u64>>,
    /// Until when a failed load of a key keeps it from being loaded.
    rests: RefCell<HashMap<u64, u64>>,
    /// Whether loads may be refused.
    pub refuses: Cell<bool>,
}

impl Model {
    /// The view that a key is in, from the root down.
    pub fn view(key: u64) -> u64 {
        key % VIEWS
    }

    pub fn purges(&self) -> u64 {
        self.purges.get()
    }

    /// Changes whenever a load of this key is superseded.
    pub fn epoch(&self, key: u64) -> u64 {
        self.epochs.borrow().get(&key).copied().unwrap_or(0)
    }

    /// Whether the key is being written.
    pub fn is_written(&self, key: u64) -> bool {
        self.writes.borrow().iter().any(|write| write.key == key)
    }

    /// The key of a value that was stored a moment ago, and which nothing has taken back.
    pub fn stored_for(&self, id: u64) -> Option<u64> {
        let origins = self.origins.borrow();
        origins.get(&id).filter(|origin| origin.beaten_at.is_none() && !origin.dead).map(|origin| origin.key)
    }

    /// A load or an insertion begins.
    pub fn begin(&self, key: u64, tags: &[usize], shareable: bool) -> u64 {
        let id = self.next_id.get() + 1;
        self.next_id.set(id);
        let tags = tags.to_vec();
        let origin = Origin {
            key,
            tags,
            beaten_at: None,
            superseded: false,
            dead: false,
            dead_at: None,
            ends: None,
            failed_until: 0,
            shareable,
            story: Vec::new(),
        };
        self.origins.borrow_mut().insert(id, origin);
        self.alive.borrow_mut().push(id);
        id
    }

    pub fn stored(&self, id: u64, ends: Ends) {
        if let Some(origin) = self.origins.borrow_mut().get_mut(&id) {
            origin.ends = Some(ends);
            origin.story.push(("stored", self.purges.get()));
        }
    }

    pub fn failed(&self, id: u64, until: u64) {
        if let Some(origin) = self.origins.borrow_mut().get_mut(&id) {
            origin.failed_until = until;
            let mut rests = self.rests.borrow_mut();
            let rest = rests.entry(origin.key).or_default();
            *rest = until.max(*rest);
        }
    }

    /// A purge: whatever is under way for these keys or tags loses.
    fn purge(&self, what: &'static str, hit: impl Fn(u64, &Origin) -> bool, mut f: impl FnMut(&mut Origin)) {
        self.purges.set(self.purges.get() + 1);
        let mut origins = self.origins.borrow_mut();
        self.alive.borrow_mut().retain(|id| {
            let Some(origin) = origins.get_mut(id) else { return false };
            if !hit(*id, origin) {
                return true;
            }
            origin.beaten_at.get_or_insert(self.purges.get());
            origin.superseded |= what != "tag";
            origin.story.push((what, self.purges.get()));
            // What is being written may yet be stored; whether it may the write knows.
            let written = self.writes.borrow().iter().any(|write| write.id == *id && !write.conflicted);
            if origin.ends.is_none() && !written {
                origin.dead = true;
            }
            f(origin);
            if origin.dead {
                origin.dead_at.get_or_insert(self.purges.get());
            }
            // What is dead stays dead, and was beaten before.
            !(origin.dead && origin.superseded)
        });
    }

    fn bump(&self, key: u64) {
        *self.epochs.borrow_mut().entry(key).or_default() += 1;
        self.writes.borrow_mut().iter_mut().filter(|write| write.key == key).for_each(|write| write.conflicted = true);
    }

    pub fn remove(&self, key: u64, keys: u64) {
        self.clear(|other| other == key, keys);
    }

    pub fn clear(&self, within: impl Fn(u64) -> bool, keys: u64) {
        (0..keys).filter(|key| within(*key)).for_each(|key| self.bump(key));
        self.purge("clear", |_, origin| within(origin.key), |origin| origin.dead = true);
    }

    pub fn expire(&self, key: u64, now: u64) {
        self.bump(key);
        self.purge("expire", |_, origin| origin.key == key, |origin| end_freshness(origin, now));
    }

    /// `soft_at`: when what bears it becomes stale instead of going.
    pub fn purge_tag(&self, tag: usize, within: impl Fn(u64) -> bool, soft_at: Option<u64>) {
        for write in self.writes.borrow_mut().iter_mut() {
            let bears = self.origins.borrow().get(&write.id).is_some_and(|origin| origin.tags.contains(&tag));
            write.conflicted |= bears && within(write.key);
        }
        let hit = |_, origin: &Origin| within(origin.key) && origin.tags.contains(&tag);
        self.purge("tag", hit, |origin| match soft_at {
            Some(now) => end_freshness(origin, now),
            None => origin.dead = true,
        });
    }

    pub fn begin_write(&self, key: u64, id: u64) {
        self.bump(key);
        self.purge("write begins", |other, origin| origin.key == key && other != id && origin.is_under_way(), |_| {});
        let conflicted = self.writes.borrow().iter().any(|write| write.key == key);
        self.writes.borrow_mut().push(Write { key, id, conflicted });
    }

    /// `ends`: of what was written; `None`: nobody knows what the source now has.
    pub fn end_write(&self, id: u64, ends: Option<Ends>) {
        let at = self.writes.borrow().iter().position(|write| write.id == id);
        let Some(at) = at else { return };
        let write = self.writes.borrow_mut().swap_remove(at);
        self.bump(write.key);
        let good = ends.filter(|_| !write.conflicted);
        self.purge(
            "write ends",
            |other, origin| origin.key == write.key && (other != id || good.is_none()),
            |o| o.dead = true,
        );
        if let Some(ends) = good {
            self.stored(id, ends);
        }
    }

    /// Rules 3, 4 and 6 for a fresh value from memory.
    pub fn check_fresh(&self, value: Value, key: u64, now: u64, at: &str) {
        let origin = self.in_memory(value, key, at);
        assert!(
            origin.ends.is_some_and(|e| now < e.fresh),
            "past its time, {value:?} at {now}, fresh until {:?}, {:?}, {at}",
            origin.ends.map(|e| e.fresh),
            origin.story
        );
    }

    /// The same for a stale one.
    pub fn check_stale(&self, value: Value, key: u64, now: u64, at: &str) {
        let origin = self.in_memory(value, key, at);
        let Some(ends) = origin.ends else { panic!("never stored, {at}") };
        let rests = self.rests.borrow().get(&key).is_some_and(|until| now < *until);
        // Where loads are refused, what stands in for one that failed stands in for them.
        let rests = rests || self.refuses.get();
        assert!(now < ends.revalidate || rests && now < ends.error, "stale past its window, {value:?}, {at}");
    }

    /// For the last good value, which stands in for a load: one that failed (`rescued`), or one that is slow. `asked`: when, and after which purge; it may have been handed
    /// to the waiter a moment ago, when it was `then`.
    pub fn check_last_good(&self, value: Value, key: u64, then: u64, asked: u64, rescued: bool, at: &str) {
        assert_eq!(value.key, key, "somebody else's answer, {at}");
        let origin = self.origins.borrow()[&value.id].clone();
        assert!(origin.shareable, "a skipped value was stored, {at}");
        let last = |ends: Ends| if rescued { ends.error } else { ends.last() };
        assert!(origin.ends.is_some_and(|ends| then < last(ends)), "past its last moment, {value:?}, {at}");
        let beaten = origin.dead_at.is_some_and(|purge| purge <= asked);
        assert!(!beaten, "from before a purge, {value:?} asked at {asked}, {:?}, {at}", origin.story);
    }

    /// For one that was waited for.
    pub fn check_loaded(&self, value: Value, key: u64, asked: u64, at: &str) {
        assert_eq!(value.key, key, "somebody else's answer, {at}");
        // Nobody gets what began before a purge that came before it asked.
        let origin = self.origins.borrow()[&value.id].clone();
        let beaten = origin.beaten_at.is_some_and(|purge| purge <= asked);
        assert!(!beaten, "joined a purged load, {value:?} asked at {asked}, {:?}, {at}", origin.story);
    }

    /// For the error of this load, from memory.
    pub fn check_failure(&self, id: u64, key: u64, now: u64, at: &str) {
        let origin = self.origins.borrow()[&id].clone();
        assert_eq!(origin.key, key, "somebody else's error, {at}");
        assert!(now < origin.failed_until, "an error past its backoff, {at}");
        assert!(!origin.superseded, "an error from before a purge, {at}");
    }

    fn in_memory(&self, value: Value, key: u64, at: &str) -> Origin {
        assert_eq!(value.key, key, "somebody else's answer, {at}");
        let origin = self.origins.borrow()[&value.id].clone();
        assert!(!origin.dead, "from before a purge, {value:?}, {:?}, {at}", origin.story);
        assert!(origin.shareable, "a skipped value was stored, {at}");
        origin
    }
}

fn end_freshness(origin: &mut Origin, now: u64) {
    match &mut origin.ends {
        Some(ends) => ends.expire(now),
        None => origin.dead = true,
    }
}

/// A write whose end is told to the model whatever comes of it.
pub struct Told {
    pub model: Rc<Model>,
    pub id: u64,
    pub ends: Option<Ends>,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.model.end_write(self.id, self.ends);
    }
}
