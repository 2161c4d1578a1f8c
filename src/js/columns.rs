//! What the JS side sees of the entries through views, so that a hit makes no call.

use nearcache::core::Slot;
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;

#[wasm_bindgen]
impl Core {
    /// Where in memory the column of `Machine::fresh_until` lies.
    pub fn fresh_until(&self) -> usize {
        place(self.machine.fresh_until())
    }

    /// Where that of `Machine::hit_counters` lies; 0 if the policy has none.
    pub fn hit_counters(&self) -> usize {
        place(self.machine.hit_counters())
    }

    /// Where the list of `Machine::noted_hits` lies; 0 if the policy has none.
    pub fn noted_hits(&mut self) -> usize {
        place(self.machine.noted_hits())
    }

    /// Until a key gets a slot of this number or a greater one, and until `clear`, the columns lie where they are.
    pub fn columns_capacity(&self) -> usize {
        self.machine.columns_capacity()
    }

    /// A hit that the columns have no room for. Not counted here.
    pub fn note_hit(&mut self, slot: u32) {
        if let Some(slot) = Slot::new(slot) {
            self.machine.note_hit(slot);
        }
    }

    /// Counts so many hits.
    pub fn count_hits(&mut self, namespace: u8, hits: f64) {
        self.machine.count_hits(namespace, hits as u64);
    }

    /// The slots whose values are fresh, the most recently used first; with `stale` those too that may still be handed out.
    pub fn newest_first(&mut self, now: f64, stale: bool) -> Vec<u32> {
        let now = to_time(now);
        let slots = if stale { self.machine.usable(now) } else { self.machine.newest_first(now) };
        slots.into_iter().map(Slot::number).collect()
    }
}

/// Where a column lies; 0 if there is none.
fn place<T>(column: &[T]) -> usize {
    if column.is_empty() { 0 } else { column.as_ptr() as usize }
}
