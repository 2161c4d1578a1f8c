//! How entries are taken back before their time, and at its end.

use nearcache::core::{Part, Slot};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;

#[wasm_bindgen]
impl Core {
    /// 0 or `NEWS`.
    pub fn remove(&mut self, slot: u32) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.remove(slot);
        }
        self.news()
    }

    /// 1 if there was a fresh value, and `NEWS`.
    pub fn expire(&mut self, slot: u32, now: f64) -> u32 {
        let fresh = Slot::new(slot).is_some_and(|slot| self.machine.expire(slot, to_time(now)));
        u32::from(fresh) | self.news()
    }

    /// How many entries of a part and within it bore the tag. There may be news.
    pub fn remove_tag(&mut self, namespace: u8, scope: &str, tag: &str) -> usize {
        self.machine.remove_tag(Part { namespace, scope }, tag)
    }

    /// How many fresh entries of a part and within it bore the tag. There may be news.
    pub fn expire_tag(&mut self, namespace: u8, scope: &str, tag: &str, now: f64) -> usize {
        self.machine.expire_tag(Part { namespace, scope }, tag, to_time(now))
    }

    /// Removes everything in a part and within it. There may be news.
    pub fn remove_within(&mut self, namespace: u8, scope: &str) {
        self.machine.remove_within(Part { namespace, scope });
    }

    /// Removes everything, without news of each.
    pub fn clear(&mut self) -> Vec<u32> {
        self.machine.clear().into_iter().map(Slot::number).collect()
    }

    /// Removes everything that may not be handed out any more; how much. There may be news.
    pub fn remove_all_expired(&mut self, now: f64) -> usize {
        self.machine.remove_all_expired(to_time(now))
    }

    /// When this is to be called next, infinity for never; lets go of what is over `now` (NaN: of nothing), or of a part of it.
    /// There may be news.
    pub fn purge_due(&mut self, now: f64) -> f64 {
        if !now.is_nan() {
            self.machine.purge_due(to_time(now));
        }
        self.machine.next_purge().map_or(f64::INFINITY, |at| at.as_millis() as f64)
    }
}
