//! Values that are written through, or computed.

use nearcache::core::{ComputeQueue, LoadedValue, MOST_COMPUTES_WAITING, PartitionId, Slot, WriteThrough};
use nearcache::numbers::to_time;
use nearcache::time::Timestamp;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::call_options::CallOptions;
use crate::numbers::{to_hash, to_tags, to_weight, with};

#[wasm_bindgen]
impl Core {
    /// Begins to write a key through. Its slot with the write's number above, and `NEWS`; -1 when there is none left.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn begin_write(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        may_vanish: bool,
        computes: bool,
        said: &[f64],
        tags: Option<String>,
    ) -> f64 {
        let CallOptions { patch, weight } = CallOptions::read(said);
        let (policy, tags) = (self.policies.get(policy).patched(&patch), to_tags(tags));
        let write = WriteThrough {
            slot: Slot::new(slot),
            hash: to_hash(hash),
            partition: PartitionId(partition),
            now: to_time(now),
            policy: &policy,
            tags: &tags,
            weight,
            may_vanish,
            computes,
        };
        match self.machine.begin_write(&write) {
            Some((slot, write)) => with(slot.number() | self.news(), write.index()),
            None => -1.0,
        }
    }

    /// The caller of a write waits no longer: its key goes. 0 or `NEWS`.
    pub fn write_left(&mut self, slot: u32, now: f64) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.write_left(slot, to_time(now));
        }
        self.news()
    }

    /// A write has failed, or nobody knows how it ended: `slot` is the key's now, which goes unless it was computed. 0 or `NEWS`.
    pub fn write_failed(&mut self, write: u32, computes: bool, slot: u32, now: f64) -> u32 {
        self.end_write(write, computes, slot, to_time(now), None)
    }

    /// A write has ended. The slot where the value belongs (0: nowhere), and `NEWS`. If there is no such write any more, the
    /// key goes.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn written(
        &mut self,
        write: u32,
        computes: bool,
        slot: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        said: &[f64],
        tags: Option<String>,
    ) -> u32 {
        let (now, tags) = (to_time(now), to_tags(tags));
        let said = CallOptions::read(said).patch;
        let brought =
            LoadedValue { now, said: &said, tags: &tags, weight: to_weight(bytes), absent, skip, random, age: 0 };
        self.end_write(write, computes, slot, now, Some(&brought))
    }

    /// Asks for a turn at computing a key, in the queue of this number, the least that no other key has. The number of the one who
    /// asks; below 0: as many wait already.
    pub fn compute_ask(&mut self, queue: usize, now: f64, deadline: f64) -> f64 {
        if queue >= self.computes.len() {
            self.computes.push(ComputeQueue::default());
        }
        let asked = self.computes.get_mut(queue).and_then(|queue| queue.ask(to_time(now), to_time(deadline)));
        asked.map_or(-f64::from(MOST_COMPUTES_WAITING), f64::from)
    }

    /// When to look again at one who computes or waits; NaN: its deadline has come, or it is none of them.
    pub fn compute_look(&mut self, queue: usize, number: u32, now: f64) -> f64 {
        let queue = self.computes.get_mut(queue);
        queue.and_then(|queue| queue.look(number, to_time(now))).map_or(f64::NAN, |at| at.as_millis() as f64)
    }

    /// One computes or waits no longer (0: nobody). Whose turn it is now, 0 if nobody is left.
    pub fn compute_leave(&mut self, queue: usize, number: u32, now: f64) -> u32 {
        let Some(queue) = self.computes.get_mut(queue) else { return 0 };
        queue.leave(number, to_time(now));
        queue.first().unwrap_or(0)
    }
}

impl Core {
    fn end_write(
        &mut self,
        write: u32,
        computes: bool,
        slot: u32,
        now: Timestamp,
        brought: Option<&LoadedValue<'_>>,
    ) -> u32 {
        let (write, slot) = (self.machine.write_at(write), Slot::new(slot));
        let stored = match computes {
            true => self.machine.end_compute(write, slot, now, brought),
            false => self.machine.end_write(write, slot, now, brought),
        };
        stored.map_or(0, Slot::number) | self.news()
    }
}
