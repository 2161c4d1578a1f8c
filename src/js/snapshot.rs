//! Entries as numbers, for a snapshot.

use nearcache::core::{NotRestored, PartitionId, Record, Restored, Slot, SnapshotId};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::numbers::{to_hash, to_tags, with};

#[wasm_bindgen]
impl Core {
    /// The number of a save that begins, and above it what the eviction policy has found out.
    pub fn begin_save(&mut self) -> f64 {
        with(self.machine.begin_save().0, self.machine.cold_share() as usize)
    }

    /// The numbers of a `Record`, in the order of its fields; none where there is nothing to save.
    pub fn save(&mut self, id: u32, ordinal: u32, slot: u32, now: f64) -> Vec<f64> {
        let record = Slot::new(slot).and_then(|slot| self.machine.save(SnapshotId(id), ordinal, slot, to_time(now)));
        record.map_or_else(Vec::new, |record| record.to_numbers())
    }

    /// The ordinals of what has changed since; nothing if another save has begun.
    pub fn end_save(&mut self, id: u32) -> Option<Vec<u32>> {
        self.machine.end_save(SnapshotId(id))
    }

    /// The number of a restoring that begins.
    pub fn begin_restore(&mut self) -> u32 {
        self.machine.begin_restore().0
    }

    /// What an empty cache is told of the one that a snapshot is of.
    pub fn restore_cold_share(&mut self, cold_share: u32) {
        self.machine.restore_cold_share(cold_share);
    }

    /// The slot, or a number below 0 that says why there is none: -1 expired, -2 no room, -3 purged, -4 superseded.
    /// `numbers` are those of its record, which was taken out so many milliseconds before (`later`).
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn restore(
        &mut self,
        id: u32,
        ordinal: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        numbers: &[f64],
        later: f64,
        tags: Option<String>,
    ) -> i32 {
        let Some(record) = Record::from_numbers(numbers) else { return -1 };
        let checked = record.checked || self.policies.get(policy).entry.checked;
        let record = Record { checked, ..record.later(later as u64) };
        let (tags, partition) = (to_tags(tags), PartitionId(partition));
        let entry = Restored { partition, hash: to_hash(hash), ordinal, record, tags: &tags };
        match self.machine.restore(SnapshotId(id), to_time(now), &entry) {
            Ok(slot) => slot.number() as i32,
            Err(NotRestored::Expired) => -1,
            Err(NotRestored::NoRoom) => -2,
            Err(NotRestored::Purged) => -3,
            Err(NotRestored::Superseded) => -4,
        }
    }

    /// What was put back in a slot goes again, if it is still there. There may be news.
    pub fn take_back(&mut self, id: u32, ordinal: u32, slot: u32) {
        if let Some(slot) = Slot::new(slot) {
            self.machine.take_back(SnapshotId(id), ordinal, slot);
        }
    }

    /// `false` if another restoring has begun.
    pub fn end_restore(&mut self, id: u32) -> bool {
        self.machine.end_restore(SnapshotId(id))
    }
}
