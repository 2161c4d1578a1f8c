//! How entries take and leave their slots: what is stored, what makes room, what is let go of.

use super::aging::Windows;
use super::slab::{Slot, State};
use super::{Cause, Departure, Keep, Machine, lru};
use crate::options::Life;
use crate::time::{Timestamp, Ttl};

impl Machine {
    /// A free slot for a key of this space.
    pub(super) fn take(&mut self, space: u8) -> Option<Slot> {
        let slot = self.slab.take()?;
        self.slab.get_mut(slot)?.set_space(space);
        Some(slot)
    }

    /// Puts a value's numbers in a slot and makes room for them. The caller has seen to flights and writes.
    pub(super) fn store(
        &mut self,
        slot: Option<Slot>,
        space: u8,
        now: Timestamp,
        keep: &Keep<'_>,
        load_millis: Option<u64>,
    ) -> Option<Slot> {
        let ttl = jittered(&keep.life, keep.draw);
        if ttl == Ttl::ZERO || !self.limits.admit(keep.weight) {
            self.count(usize::from(space), |stats| stats.rejected += 1);
            if let Some(slot) = slot {
                self.drop_value(slot, Some(Cause::Replaced));
            }
            return None;
        }
        let slot = self.occupy(slot, space, keep.weight, State::Ready)?;
        // After an infinite ttl nothing comes by itself, but the entry may be made to expire.
        let windows = keep.life.has_windows().then(|| Windows::new(now, ttl, &keep.life, load_millis));
        let until = match (&windows, ttl) {
            (_, Ttl::Forever) => None,
            (Some(windows), _) => Some(windows.plain_until()),
            (None, Ttl::Millis(_)) => Some(now.after(ttl)),
        };
        self.slab.get_mut(slot)?.set_plain_until(until, now);
        self.mortal += u32::from(until.is_some());
        let told = until.is_none() || (windows.is_none() && ttl == self.usual_ttl);
        self.aging.set_born(slot, (!told).then_some(now));
        self.aging.set_windows(slot, windows);
        if !keep.tags.is_empty() {
            self.tags.tie(slot, keep.tags);
        }
        self.count(usize::from(space), |stats| stats.inserts += 1);
        self.make_room();
        Some(slot)
    }

    /// Remembers, instead of a value, that the load failed.
    pub(super) fn store_failure(&mut self, slot: Slot, now: Timestamp, backoff: Ttl) -> Option<Slot> {
        if !self.limits.admit(0) {
            return None;
        }
        let slot = self.occupy(Some(slot), 0, 0, State::Failed)?;
        let until = match backoff {
            Ttl::Forever => None,
            Ttl::Millis(_) => Some(now.after(backoff)),
        };
        self.slab.get_mut(slot)?.set_plain_until(until, now);
        self.mortal += u32::from(until.is_some());
        self.make_room();
        Some(slot)
    }

    /// Makes a slot, or a new one, hold something of this weight at the recently used end. What it held is let go
    /// of without a departure, since its place on the driver's shelf is about to be written.
    fn occupy(&mut self, slot: Option<Slot>, space: u8, weight: u32, state: State) -> Option<Slot> {
        let slot = match slot {
            Some(slot) => slot,
            None => {
                // Room is made first, so that the new entry takes the old one's slot.
                if self.entries >= self.limits.max_entries() {
                    self.evict();
                }
                self.take(space)?
            }
        };
        match self.slab.get(slot)?.state() {
            State::Free | State::Pending => {
                self.entries += 1;
                lru::link_newest(&mut self.slab, slot);
            }
            held => {
                let space = self.space_of(slot);
                if held == State::Ready {
                    self.count(space, |stats| stats.evicted_replaced += 1);
                }
                self.strip(slot);
                lru::touch(&mut self.slab, slot);
            }
        }
        let entry = self.slab.get_mut(slot)?;
        entry.set_state(state);
        if let Some(held) = self.held.get_mut(entry.space()) {
            held.entries += 1;
            held.weight += u64::from(weight);
        }
        self.slab.set_weight(slot, weight);
        self.weight += u64::from(weight);
        Some(slot)
    }

    /// Takes the numbers of what a slot holds off the sums and columns.
    fn strip(&mut self, slot: Slot) {
        let Some(entry) = self.slab.get_mut(slot) else { return };
        self.mortal -= u32::from(entry.plain_until().is_some());
        entry.set_plain_until(None, Timestamp::default());
        let (space, weight) = (entry.space(), u64::from(self.slab.weight(slot)));
        if let Some(held) = self.held.get_mut(space) {
            held.entries -= 1;
            held.weight -= weight;
        }
        self.weight -= weight;
        self.slab.set_weight(slot, 0);
        self.aging.set_windows(slot, None);
        self.aging.set_born(slot, None);
        self.tags.untie(slot);
    }

    fn make_room(&mut self) {
        while self.limits.exceeded_by(self.entries, self.weight) {
            if !self.evict() {
                break;
            }
        }
    }

    /// Removes the entry that the policy can spare most; `false` if there is none.
    fn evict(&mut self) -> bool {
        let victim = lru::oldest(&mut self.slab);
        if let Some(victim) = victim {
            self.drop_value(victim, Some(Cause::Size));
        }
        victim.is_some()
    }

    /// Ends whatever the slot holds and reports it. The key stays where it is being loaded or written.
    pub(super) fn drop_value(&mut self, slot: Slot, cause: Option<Cause>) {
        let Some(entry) = self.slab.get(slot) else { return };
        let (state, space) = (entry.state(), entry.space());
        if state == State::Free {
            return;
        }
        let vacated = entry.flight().is_none() && (self.writes.is_empty() || !self.writes.pins(slot));
        let held = state != State::Pending;
        let gone = cause.filter(|_| state == State::Ready);
        if held {
            self.entries -= 1;
            self.strip(slot);
            lru::unlink(&mut self.slab, slot);
            self.count(space, |stats| match gone {
                Some(Cause::Size) => stats.evicted_size += 1,
                Some(Cause::Expired) => stats.evicted_expired += 1,
                Some(Cause::Replaced) => stats.evicted_replaced += 1,
                Some(Cause::Removed) => stats.evicted_removed += 1,
                None => {}
            });
        }
        if vacated {
            self.slab.release(slot);
        } else if let Some(entry) = self.slab.get_mut(slot) {
            entry.set_state(State::Pending);
        }
        if vacated || held {
            self.departures.push_back(Departure { slot, cause: gone, vacated });
        }
    }
}

/// The ttl, less what chance takes off.
fn jittered(life: &Life, draw: f64) -> Ttl {
    match life.ttl {
        Ttl::Millis(millis) if life.jitter > 0.0 => {
            let off = (millis as f64 * life.jitter * draw) as u64;
            Ttl::Millis(millis.saturating_sub(off).max(millis.min(1)))
        }
        ttl => ttl,
    }
}
