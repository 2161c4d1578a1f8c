//! Least recently used first: a ring through the slots, anchored at number 0, whose `older` side is the
//! newest entry and whose `newer` side the oldest. The anchor spares every branch on an empty end.

use crate::core::grow::grow;
use crate::core::slab::Slot;

const ANCHOR: u32 = 0;

#[derive(Clone, Copy, Default)]
struct Links {
    /// The neighbour used more recently.
    newer: u32,
    /// The neighbour used less recently.
    older: u32,
}

/// How many hits a driver may note before they must be told.
const MOST_NOTED: usize = 255;

pub(crate) struct Lru {
    links: Vec<Links>,
    /// Hits that a driver has noted: how many, and after that their slots, in order. They are part of the ring before
    /// anything else is asked or done, so that the order is exact. Empty where no driver does so.
    noted: Vec<u32>,
    expected: u32,
}

impl Lru {
    pub fn new(expected: u32) -> Self {
        Self { links: vec![Links::default()], noted: Vec::new(), expected }
    }

    /// Where a driver notes hits. It lies here as long as this.
    pub fn noted_hits(&mut self) -> &[u32] {
        self.noted.resize(MOST_NOTED + 1, 0);
        &self.noted
    }

    pub fn keyed(&mut self, slot: Slot) {
        grow(&mut self.links, slot.number(), self.expected, Links::default());
    }

    /// Puts an unlinked entry at the recently used end. O(1).
    #[inline]
    pub fn link_newest(&mut self, slot: Slot) {
        self.settle();
        self.push(slot.number());
    }

    /// Puts an unlinked entry at the other end. O(1).
    pub fn link_oldest(&mut self, slot: Slot) {
        self.settle();
        let number = slot.number();
        let Some(anchor) = self.at(ANCHOR) else { return };
        let second = std::mem::replace(&mut anchor.newer, number);
        if let Some(links) = self.at(second) {
            links.older = number;
        }
        if let Some(links) = self.at(number) {
            *links = Links { newer: second, older: ANCHOR };
        }
    }

    /// Takes a linked entry out of the ring. O(1).
    #[inline]
    pub fn unlink(&mut self, slot: Slot) {
        self.settle();
        self.cut(slot.number());
    }

    /// Moves a linked entry to the recently used end. O(1).
    #[inline]
    pub fn hit(&mut self, slot: Slot) {
        self.settle();
        self.renew(slot.number());
    }

    /// The entry used longest ago, but for `keep`, which was used last.
    #[inline]
    pub fn victim(&mut self, keep: Option<Slot>) -> Option<Slot> {
        self.settle();
        let oldest = self.at(ANCHOR).and_then(|anchor| Slot::new(anchor.newer))?;
        debug_assert!(Some(oldest) != keep || self.order().len() == 1, "what is kept was used last");
        Some(oldest)
    }

    /// All linked entries, the most recently used first.
    pub fn order(&mut self) -> Vec<Slot> {
        self.settle();
        let (mut slots, mut number) = (Vec::new(), ANCHOR);
        while let Some(slot) = self.at(number).and_then(|links| Slot::new(links.older)) {
            slots.push(slot);
            number = slot.number();
        }
        slots
    }

    pub fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Links>() + self.noted.capacity() * size_of::<u32>()
    }

    /// Does for all hits that a driver has noted what it would have done at each.
    #[inline]
    fn settle(&mut self) {
        if self.noted.first().is_some_and(|count| *count > 0) {
            self.settle_noted();
        }
    }

    #[inline(never)]
    fn settle_noted(&mut self) {
        let count = self.noted.first_mut().map_or(0, std::mem::take);
        for at in 1..=count as usize {
            if let Some(number) = self.noted.get(at) {
                self.renew(*number);
            }
        }
    }

    #[inline]
    fn renew(&mut self, number: u32) {
        if self.at(number).is_some_and(|links| links.newer != ANCHOR) {
            self.cut(number);
            self.push(number);
        }
    }

    #[inline]
    fn push(&mut self, number: u32) {
        let Some(anchor) = self.at(ANCHOR) else { return };
        let second = std::mem::replace(&mut anchor.older, number);
        if let Some(links) = self.at(second) {
            links.newer = number;
        }
        if let Some(links) = self.at(number) {
            *links = Links { newer: ANCHOR, older: second };
        }
    }

    #[inline]
    fn cut(&mut self, number: u32) {
        let Some(&mut Links { newer, older }) = self.at(number) else { return };
        if let Some(links) = self.at(newer) {
            links.older = older;
        }
        if let Some(links) = self.at(older) {
            links.newer = newer;
        }
    }

    #[inline]
    fn at(&mut self, number: u32) -> Option<&mut Links> {
        self.links.get_mut(number as usize)
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn hits_that_a_driver_has_noted_come_before_whatever_is_done_next() {
        let mut lru = Lru::new(10);
        let slots: Vec<Slot> = (1..=4).filter_map(Slot::new).collect();
        let order = |lru: &mut Lru| lru.order().into_iter().map(Slot::number).collect::<Vec<u32>>();
        let note = |lru: &mut Lru, numbers: &[u32]| {
            lru.noted[0] = numbers.len() as u32;
            lru.noted[1..=numbers.len()].copy_from_slice(numbers);
        };
        for slot in &slots {
            lru.keyed(*slot);
            lru.link_newest(*slot);
        }
        assert!(lru.noted_hits().len() == MOST_NOTED + 1 && order(&mut lru) == [4, 3, 2, 1]);
        note(&mut lru, &[1, 3, 1]);
        assert_eq!(order(&mut lru), [1, 3, 4, 2]);
        note(&mut lru, &[2]);
        assert_eq!(lru.victim(None), Some(slots[3]));
        note(&mut lru, &[4]);
        lru.hit(slots[2]);
        assert_eq!(order(&mut lru), [3, 4, 2, 1]);
        note(&mut lru, &[1, 2]);
        lru.unlink(slots[0]);
        assert_eq!(order(&mut lru), [2, 3, 4]);
        note(&mut lru, &[4]);
        lru.link_newest(slots[0]);
        assert_eq!(order(&mut lru), [1, 4, 2, 3]);
        assert_eq!(lru.noted[0], 0, "each counts once");
    }
}
