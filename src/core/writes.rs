//! Write-throughs under way: the source is being written, and only at the end is it known whether what it was
//! written is what the cache may hold.

use super::slab::Slot;
use crate::time::Timestamp;

/// Names a write-through for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteId(pub u32);

pub(crate) struct Write {
    id: WriteId,
    /// Its key's; `None` after a clear.
    pub slot: Option<Slot>,
    /// Something else was written or removed meanwhile: nobody knows which came last at the source.
    pub doomed: bool,
    /// The last tag purge when it began.
    pub since: u64,
    /// After this moment nobody will say any more how it ended.
    lost_at: Timestamp,
}

/// Few at any time, so that a list serves.
#[derive(Default)]
pub(crate) struct Writes {
    list: Vec<Write>,
    next: u32,
}

impl Writes {
    pub fn begin(&mut self, slot: Slot, since: u64) -> WriteId {
        // After a clear nobody knows whose key a write is of.
        let doomed = self.doom(slot) || self.list.iter().any(|write| write.slot.is_none());
        let id = WriteId(self.next);
        self.next = self.next.wrapping_add(1);
        self.list.push(Write { id, slot: Some(slot), doomed, since, lost_at: Timestamp::NEVER });
        id
    }

    pub fn end(&mut self, id: WriteId) -> Option<Write> {
        let at = self.list.iter().position(|write| write.id == id)?;
        Some(self.list.swap_remove(at))
    }

    pub fn set_lost_at(&mut self, id: WriteId, at: Timestamp) {
        if let Some(write) = self.list.iter_mut().find(|write| write.id == id) {
            write.lost_at = at;
        }
    }

    /// Ends a write that nobody will end any more.
    pub fn take_lost(&mut self, now: Timestamp) -> Option<Write> {
        let at = self.list.iter().position(|write| now > write.lost_at)?;
        Some(self.list.swap_remove(at))
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether a key must keep its slot, because it is being written.
    pub fn pins(&self, slot: Slot) -> bool {
        self.list.iter().any(|write| write.slot == Some(slot))
    }

    /// Tells the writes of a key that it was written or removed meanwhile; `true` if there are any.
    pub fn doom(&mut self, slot: Slot) -> bool {
        let mut any = false;
        for write in self.list.iter_mut().filter(|write| write.slot == Some(slot)) {
            write.doomed = true;
            any = true;
        }
        any
    }

    pub fn doom_all(&mut self) {
        for write in &mut self.list {
            write.slot = None;
            write.doomed = true;
        }
    }
}
