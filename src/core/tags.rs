//! Which entries bear which tags. A purge costs what it hits; a load that began before a purge of one of its
//! tags is found out when it settles, since only then all its tags are known.

use hashbrown::HashMap;

use super::slab::Slot;

/// A bond between an entry and a tag: a link in the list of each.
#[derive(Clone, Copy)]
struct Bond {
    slot: Slot,
    tag: u32,
    /// The neighbours among those with the same tag.
    next: Option<u32>,
    before: Option<u32>,
    /// The next of the same entry; in a free place, the next free one.
    sibling: Option<u32>,
}

struct Tag {
    name: Box<str>,
    first: Option<u32>,
}

#[derive(Default)]
pub(crate) struct Tags {
    numbers: HashMap<Box<str>, u32>,
    tags: Vec<Option<Tag>>,
    free_tags: Vec<u32>,
    bonds: Vec<Bond>,
    free_bond: Option<u32>,
    /// The first bond of each entry; as long as the highest tagged slot needs.
    firsts: Vec<Option<u32>>,
    /// How many purges there have been.
    purges: u64,
    /// Tags that were purged while loads were under way, and at which purge.
    purged: HashMap<Box<str>, u64>,
    /// What began before this purge counts as beaten whatever its tags: `purged` had grown too long.
    forgotten: u64,
}

/// So many purged tags are remembered while there are loads under way that might bear them.
const MOST_PURGED: usize = 1_024;

impl Tags {
    /// The number of the last purge: a load notes it when it begins.
    pub fn purges(&self) -> u64 {
        self.purges
    }

    /// Whether a load with these tags that began after purge `since` has been purged meanwhile.
    pub fn beat(&self, since: u64, tags: &[String]) -> bool {
        let later = |tag: &String| self.purged.get(tag.as_str()).is_some_and(|purge| *purge > since);
        !tags.is_empty() && (since < self.forgotten || tags.iter().any(later))
    }

    /// Ties an entry, which has no tags yet, to these.
    pub fn tie(&mut self, slot: Slot, tags: &[String]) {
        for (n, name) in tags.iter().enumerate() {
            if !tags.iter().take(n).any(|earlier| earlier == name) {
                self.tie_one(slot, name);
            }
        }
    }

    fn tie_one(&mut self, slot: Slot, name: &str) -> Option<()> {
        let tag = self.number(name)?;
        if self.firsts.len() <= slot.index() {
            self.firsts.resize(slot.index() + 1, None);
        }
        let first = self.firsts.get_mut(slot.index())?;
        let head = &mut self.tags.get_mut(tag as usize)?.as_mut()?.first;
        let bond = Bond { slot, tag, next: *head, before: None, sibling: *first };
        let number = match self.free_bond {
            Some(number) => {
                let place = self.bonds.get_mut(number as usize)?;
                self.free_bond = place.sibling;
                *place = bond;
                number
            }
            None => {
                self.bonds.push(bond);
                u32::try_from(self.bonds.len() - 1).ok()?
            }
        };
        *first = Some(number);
        let second = head.replace(number);
        self.bond(second)?.before = Some(number);
        Some(())
    }

    /// Cuts an entry loose from all its tags. O(its tags).
    pub fn untie(&mut self, slot: Slot) {
        let mut next = self.firsts.get_mut(slot.index()).and_then(Option::take);
        while let Some(number) = next {
            let Some(bond) = self.bond(next).copied() else { return };
            next = bond.sibling;
            if let Some(after) = self.bond(bond.next) {
                after.before = bond.before;
            }
            match self.bond(bond.before) {
                Some(before) => before.next = bond.next,
                None => self.set_first(bond.tag, bond.next),
            }
            let free = self.free_bond.replace(number);
            if let Some(bond) = self.bond(Some(number)) {
                bond.sibling = free;
            }
        }
    }

    /// Counts a purge of this tag, and lists the entries that bear it. `loading`: whether loads are under way.
    pub fn purge(&mut self, name: &str, loading: bool) -> Vec<Slot> {
        self.purges += 1;
        if !loading || self.purged.len() >= MOST_PURGED {
            self.forgotten = if loading { self.purges } else { self.forgotten };
            self.purged.clear();
        }
        if loading {
            self.purged.insert(name.into(), self.purges);
        }
        let mut slots = Vec::new();
        let tag = self.numbers.get(name).and_then(|tag| self.tags.get(*tag as usize)?.as_ref());
        let mut next = tag.and_then(|tag| tag.first);
        while let Some(bond) = next.and_then(|number| self.bonds.get(number as usize)) {
            slots.push(bond.slot);
            next = bond.next;
        }
        slots
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        let Self { purges, purged, forgotten, .. } = std::mem::take(self);
        *self = Self { purges, purged, forgotten, ..Self::default() };
    }

    fn bond(&mut self, number: Option<u32>) -> Option<&mut Bond> {
        self.bonds.get_mut(number? as usize)
    }

    fn number(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let tag = Some(Tag { name: name.into(), first: None });
        let number = match self.free_tags.pop() {
            Some(number) => {
                *self.tags.get_mut(number as usize)? = tag;
                number
            }
            None => {
                self.tags.push(tag);
                u32::try_from(self.tags.len() - 1).ok()?
            }
        };
        self.numbers.insert(name.into(), number);
        Some(number)
    }

    /// A tag that nobody bears is forgotten.
    fn set_first(&mut self, number: u32, first: Option<u32>) {
        let Some(place) = self.tags.get_mut(number as usize) else { return };
        match (first, place.take()) {
            (Some(_), Some(tag)) => *place = Some(Tag { first, ..tag }),
            (_, Some(tag)) => {
                self.numbers.remove(&*tag.name);
                self.free_tags.push(number);
            }
            (_, None) => {}
        }
    }
}
