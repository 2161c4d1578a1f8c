//! Which entries bear which tags. A tag belongs to a part of the cache: an entry bears it once for each part that it lies
//! in, so that a purge from there costs what it hits. A load that began before a purge of one of its tags is found out
//! when it ends, since only then all its tags are known.

use super::names::NameIndex;
use super::part::Part;
use super::slab::Slot;

/// A link between an entry and a tag, in the list of each.
#[derive(Clone, Copy)]
struct TagLink {
    slot: Slot,
    tag: u32,
    /// The neighbours among those with the same tag.
    next: Option<u32>,
    previous: Option<u32>,
    /// The next of the same entry; in a free place, the next free one.
    sibling: Option<u32>,
}

struct Tag {
    namespace: u8,
    scope: Box<str>,
    name: Box<str>,
    first: Option<u32>,
    /// The purges of it that a load or write under way might have to heed, in order.
    purged_at: Vec<u64>,
}

impl Tag {
    fn part(&self) -> Part<'_> {
        Part { namespace: self.namespace, scope: &self.scope }
    }

    fn is(&self, part: Part<'_>, name: &str) -> bool {
        self.namespace == part.namespace && *self.name == *name && *self.scope == *part.scope
    }
}

#[derive(Default)]
pub(crate) struct Tags {
    index: NameIndex,
    tags: Vec<Option<Tag>>,
    free_tags: Vec<u32>,
    links: Vec<TagLink>,
    free_link: Option<u32>,
    /// The first link of each entry; as long as the highest tagged slot needs.
    firsts: Vec<Option<u32>>,
    /// How many purges there have been.
    purges: u64,
    /// The tag of each purge that is remembered.
    purged: Vec<u32>,
    /// What is tagged and began before this purge counts as purged at once, whatever its tags: `purged` had grown too long.
    purge_floor: u64,
}

/// So many purges of tags are remembered while there are loads under way that might bear them.
const MOST_PURGED: usize = 1_024;

impl Tags {
    /// The hashes of names depend on it. To be said while there are none.
    pub fn seed(&mut self, seed: u32) {
        self.index.seed = seed;
    }

    /// Whether no entry has ever borne one.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.firsts.is_empty()
    }

    /// The number of the last purge: loads, writes and waits note it when they begin.
    pub fn purges(&self) -> u64 {
        self.purges
    }

    /// The first purge of one of these tags (each as the parts around it know it) after purge `since`: who asked after it
    /// may not have what began before it.
    pub fn purged_since(&self, since: u64, tags: &[(Part<'_>, &str)]) -> Option<u64> {
        if since == self.purges {
            return None;
        }
        let first_of = |(part, name): &(Part<'_>, &str)| {
            if self.purge_floor > since {
                return Some(since + 1);
            }
            let purged_at = &self.tag(self.find(*part, name)?)?.purged_at;
            purged_at.get(purged_at.partition_point(|purge| *purge <= since)).copied()
        };
        tags.iter().filter_map(first_of).min()
    }

    /// Links an entry, which has no tags yet, to these.
    pub fn link(&mut self, slot: Slot, tags: &[(Part<'_>, &str)]) {
        for (part, name) in tags {
            if let Some(tag) = self.number(*part, name)
                && !self.is_linked_last(slot, tag)
            {
                self.link_one(slot, tag);
            }
        }
    }

    /// Whether the entry that was linked to the tag last is this one: then the tag is named twice, and borne once.
    fn is_linked_last(&self, slot: Slot, tag: u32) -> bool {
        let first = self.tag(tag).and_then(|tag| tag.first);
        first.and_then(|first| self.links.get(first as usize)).is_some_and(|link| link.slot == slot)
    }

    fn link_one(&mut self, slot: Slot, tag: u32) -> Option<()> {
        if self.firsts.len() <= slot.index() {
            self.firsts.resize(slot.index() + 1, None);
        }
        let first = self.firsts.get_mut(slot.index())?;
        let head = &mut self.tags.get_mut(tag as usize)?.as_mut()?.first;
        let link = TagLink { slot, tag, next: *head, previous: None, sibling: *first };
        let number = match self.free_link {
            Some(number) => {
                let place = self.links.get_mut(number as usize)?;
                self.free_link = place.sibling;
                *place = link;
                number
            }
            None => {
                self.links.push(link);
                u32::try_from(self.links.len() - 1).ok()?
            }
        };
        *first = Some(number);
        let second = head.replace(number);
        self.link_at(second)?.previous = Some(number);
        Some(())
    }

    /// Takes all its tags off an entry. O(its tags).
    pub fn unlink(&mut self, slot: Slot) {
        let mut next = self.firsts.get_mut(slot.index()).and_then(Option::take);
        while let Some(number) = next {
            let Some(link) = self.link_at(next).copied() else { return };
            next = link.sibling;
            if let Some(after) = self.link_at(link.next) {
                after.previous = link.previous;
            }
            match self.link_at(link.previous) {
                Some(previous) => previous.next = link.next,
                None => self.set_first(link.tag, link.next),
            }
            let free = self.free_link.replace(number);
            if let Some(link) = self.link_at(Some(number)) {
                link.sibling = free;
            }
        }
    }

    /// The names of the tags that an entry bears in this part, the one linked last first.
    pub fn names_of(&self, slot: Slot, part: Part<'_>) -> Vec<&str> {
        let mut names = Vec::new();
        let mut next = self.firsts.get(slot.index()).copied().flatten();
        while let Some(link) = next.and_then(|number| self.links.get(number as usize)) {
            names.extend(self.tag(link.tag).filter(|tag| tag.part() == part).map(|tag| &*tag.name));
            next = link.sibling;
        }
        names
    }

    /// Counts a purge of this tag in this part, and lists the entries that bear it. `under_way`: whether there are
    /// loads or writes that may turn out to bear it.
    pub fn purge(&mut self, part: Part<'_>, name: &str, under_way: bool) -> Vec<Slot> {
        self.purges += 1;
        if !under_way || self.purged.len() >= MOST_PURGED {
            self.purge_floor = if under_way { self.purges } else { self.purge_floor };
            for number in std::mem::take(&mut self.purged) {
                if let Some(Some(tag)) = self.tags.get_mut(number as usize) {
                    tag.purged_at.clear();
                }
                self.forget_if_unused(number);
            }
        }
        let number = if under_way { self.number(part, name) } else { self.find(part, name) };
        let Some(tag) = number.and_then(|number| self.tags.get_mut(number as usize)?.as_mut()) else {
            return Vec::new();
        };
        if under_way {
            self.purged.extend(number);
            tag.purged_at.push(self.purges);
        }
        let mut slots = Vec::new();
        let mut next = tag.first;
        while let Some(link) = next.and_then(|number| self.links.get(number as usize)) {
            slots.push(link.slot);
            next = link.next;
        }
        slots
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.links = Vec::new();
        self.free_link = None;
        self.firsts = Vec::new();
        for number in 0..self.tags.len() {
            if let Some(Some(tag)) = self.tags.get_mut(number) {
                tag.first = None;
            }
            self.forget_if_unused(number as u32);
        }
    }

    fn link_at(&mut self, number: Option<u32>) -> Option<&mut TagLink> {
        self.links.get_mut(number? as usize)
    }

    fn tag(&self, number: u32) -> Option<&Tag> {
        self.tags.get(number as usize)?.as_ref()
    }

    fn find(&self, part: Part<'_>, name: &str) -> Option<u32> {
        let is = |number| self.tag(number).is_some_and(|tag| tag.is(part, name));
        self.index.find(self.index.hash(part, name), &is)
    }

    fn number(&mut self, part: Part<'_>, name: &str) -> Option<u32> {
        if let Some(number) = self.find(part, name) {
            return Some(number);
        }
        let Part { namespace, scope } = part;
        let tag = Some(Tag { namespace, scope: scope.into(), name: name.into(), first: None, purged_at: Vec::new() });
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
        let hash = self.index.hash(part, name);
        self.index.add(hash, number);
        Some(number)
    }

    fn set_first(&mut self, number: u32, first: Option<u32>) {
        if let Some(Some(tag)) = self.tags.get_mut(number as usize) {
            tag.first = first;
        }
        if first.is_none() {
            self.forget_if_unused(number);
        }
    }

    /// A tag that nothing bears, and that no load need heed, is forgotten.
    fn forget_if_unused(&mut self, number: u32) {
        let Some(tag) = self.tag(number).filter(|tag| tag.first.is_none() && tag.purged_at.is_empty()) else { return };
        let hash = self.index.hash(tag.part(), &tag.name);
        self.index.remove(hash, number);
        if let Some(place) = self.tags.get_mut(number as usize) {
            *place = None;
            self.free_tags.push(number);
        }
    }
}
