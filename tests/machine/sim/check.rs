//! The rules that hold at each step.

use super::*;

impl Sim {
    /// Rules 3 and 4 for what comes from memory, which counts as a use.
    pub(super) fn check_memory(&mut self, slot: Slot, key: u64, last: impl Fn(&Origin) -> u64) {
        let Some(Kept::Value(id)) = self.kept.get(&slot) else { panic!("no value there, step {}", self.step) };
        let origin = self.origins.get_mut(id).expect("it is known");
        assert_eq!(origin.key, key, "somebody else's value, step {}", self.step);
        let last = last(origin).min(origin.idle_until());
        assert!(self.now < last, "past its end, step {}: {} {last}", self.step, self.now);
        origin.used_at = self.now;
    }

    /// Rules 5 and 7, and that both sides agree on what is there.
    pub(super) fn check(&mut self) {
        assert!(
            self.machine.len() as u64 <= MAX_ENTRIES && self.machine.weight() <= MAX_BYTES,
            "bounds, step {}",
            self.step
        );
        assert_eq!(self.machine.len(), self.kept.len(), "entries, step {}", self.step);
        assert_eq!(self.machine.stats().gets(), self.gets, "gets, step {}", self.step);
        assert_eq!(self.machine.stats().retries, self.retries, "retries, step {}", self.step);
        assert_eq!(self.machine.stats().load_millis.count(), self.brought, "times of loads, step {}", self.step);
        let at = [self.machine.fresh_until().as_ptr() as usize, self.machine.hit_counters().as_ptr() as usize];
        let version = self.machine.columns_version();
        if let Some((before, known)) = self.columns.replace((at, version)) {
            assert!(before == at || known != version, "a column has moved without a word, step {}", self.step);
        }
        for (at, until) in self.machine.fresh_until().iter().enumerate() {
            let kept = Slot::new(at as u32).and_then(|slot| self.kept.get(&slot));
            let is_value = matches!(kept, Some(Kept::Value(_)));
            let fresh = 0.0 < *until;
            assert!(is_value || !fresh, "no value, but fresh for a driver, step {}", self.step);
        }
        let mut order = self.machine.newest_first(Timestamp::default());
        order.sort_unstable();
        let ready = |(_, kept): &(&Slot, &Kept)| matches!(kept, Kept::Value(_));
        let mut values: Vec<Slot> = self.kept.iter().filter(ready).map(|(slot, _)| *slot).collect();
        values.retain(|slot| self.machine.is_fresh(*slot, Timestamp::default()));
        values.sort_unstable();
        assert_eq!(order, values, "what the policy knows, step {}", self.step);
        let live = || self.loads.iter().filter(|load| !load.ended);
        let waiting = live().filter(|load| load.queue.waits).count();
        assert_eq!(self.machine.loads_in_flight(), live().count() - waiting, "flights, step {}", self.step);
        assert_eq!(self.machine.loads_queued(), waiting, "queued, step {}", self.step);
        assert!(waiting <= 2 * self.limits.max_queued as usize, "too many wait, step {}", self.step);
        let placed = live().filter(|load| !load.queue.waits && !load.queue.is_inner).count();
        assert!(placed <= self.limits.max_concurrent as usize, "too many at once, step {}", self.step);
        let now = self.now;
        self.starts.retain(|at| at + 1_000 > now);
        assert!(self.starts.len() as f64 <= self.limits.per_second, "too many in a second, step {}", self.step);
        // Dear, and a size that goes wrong stays so.
        let parts = if self.step.is_multiple_of(8) { 0..PARTS.len() } else { 0..0 };
        for part in parts {
            let inside = |(slot, _): &(&Slot, &Kept)| is_within(part_of(self.slots[slot]), part);
            let wanted = self.kept.iter().filter(inside).count();
            let held = self.with_part(part, |machine, part| machine.held_within(part).entries);
            assert_eq!(held as usize, wanted, "size of part {part}, step {}", self.step);
        }
    }

    /// Lets go of what is over, so that long runs stay small.
    pub fn forget(&mut self) {
        // Whoever still waits for what has ended is a bug that the timers have shown.
        while self.loads.iter().any(|load| !load.ended && load.queue.waits) {
            for at in 0..self.loads.len() {
                while !self.loads[at].ended && !self.loads[at].queue.waits {
                    self.fail(at);
                }
            }
            self.now += 1_000;
            self.ring();
            self.drain();
        }
        while self.timers == Timers::Own && self.machine.loads_in_flight() > 0 {
            let waiting: Vec<usize> = (0..self.waiters.len()).filter(|at| !self.waiters[*at].ended).collect();
            for waiter in waiting {
                if !self.waiters[waiter].ended {
                    self.leave(waiter);
                }
            }
            for at in 0..self.loads.len() {
                while !self.loads[at].ended {
                    self.fail(at);
                }
            }
        }
        let loads: Vec<usize> = (0..self.loads.len()).filter(|at| !self.loads[*at].ended).collect();
        for load in loads {
            while !self.loads[load].ended {
                self.fail(load);
            }
        }
        assert!(
            self.timers == Timers::Own || self.waiters.iter().all(|waiter| waiter.ended),
            "somebody waits for nothing"
        );
        self.loads.clear();
        self.waiters.clear();
        let kept: Vec<u64> = self
            .kept
            .values()
            .map(|kept| match kept {
                Kept::Value(id) | Kept::Error(id) => *id,
            })
            .collect();
        let writes: Vec<u64> = self.writes.iter().map(|write| write.origin).collect();
        self.origins.retain(|id, _| kept.contains(id) || writes.contains(id));
    }
}
