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

pub(crate) struct Lru {
    links: Vec<Links>,
    expected: u32,
}

impl Lru {
    pub fn new(expected: u32) -> Self {
        Self { links: vec![Links::default()], expected }
    }

    pub fn keyed(&mut self, slot: Slot) {
        grow(&mut self.links, slot.number(), self.expected, Links::default());
    }

    /// Puts an unlinked entry at the recently used end. O(1).
    #[inline]
    pub fn link_newest(&mut self, slot: Slot) {
        let number = slot.number();
        let Some(anchor) = self.at(ANCHOR) else { return };
        let second = std::mem::replace(&mut anchor.older, number);
        if let Some(links) = self.at(second) {
            links.newer = number;
        }
        if let Some(links) = self.at(number) {
            *links = Links { newer: ANCHOR, older: second };
        }
    }

    /// Takes a linked entry out of the ring. O(1).
    #[inline]
    pub fn unlink(&mut self, slot: Slot) {
        let Some(&mut Links { newer, older }) = self.at(slot.number()) else { return };
        if let Some(links) = self.at(newer) {
            links.older = older;
        }
        if let Some(links) = self.at(older) {
            links.newer = newer;
        }
    }

    /// Moves a linked entry to the recently used end. O(1).
    #[inline]
    pub fn hit(&mut self, slot: Slot) {
        if self.at(slot.number()).is_some_and(|links| links.newer != ANCHOR) {
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    /// The entry used longest ago, but for `keep`, which was used last.
    #[inline]
    pub fn victim(&mut self, keep: Option<Slot>) -> Option<Slot> {
        let oldest = self.at(ANCHOR).and_then(|anchor| Slot::new(anchor.newer))?;
        debug_assert!(Some(oldest) != keep || self.order().len() == 1, "what is kept was used last");
        Some(oldest)
    }

    /// All linked entries, the most recently used first.
    pub fn order(&self) -> Vec<Slot> {
        let older = |number: u32| self.links.get(number as usize).and_then(|links| Slot::new(links.older));
        std::iter::successors(older(ANCHOR), |slot| older(slot.number())).collect()
    }

    pub fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Links>()
    }

    #[inline]
    fn at(&mut self, number: u32) -> Option<&mut Links> {
        self.links.get_mut(number as usize)
    }
}
