//! Small clocks without values, one for each cold share that may be right, which see a sample of the keys: whichever hits
//! most sets the share of the cache. What expires or is removed stays in them: what they compare is when keys are used again,
//! and not whether there is still a value then. (Sampling by hash keeps the shape of the misses: Waldspurger et al., "Cache
//! Modeling and Optimization using Miniature Simulations", USENIX ATC 2017.)

use super::Leaving;
use super::clock::{Clock, Room};

/// Cold shares, of a thousand.
const SHARES: [u32; 4] = [20, 100, 400, 970];
/// The share until something is known.
pub(super) const USUAL_SHARE: u32 = 100;

/// A shadow has between half as many entries and as many as this, and at most a sixteenth of the cache's, but for
/// the smallest caches.
const MOST_ENTRIES: u32 = 128;
const FEWEST_ENTRIES: u32 = 32;
/// In how many times a shadow's entries, in accesses, a hit loses most of its weight.
const MEMORY: f64 = 20.0;
/// By which part of all accesses the best one must lead, for the share to change.
const LEAD: f64 = 0.01;

/// Other sizes of the cache whose hit rates are estimated, in halves of the present one.
const ROOMS: [u32; 4] = [1, 2, 4, 8];
const MOST_ROOM: u32 = 4;
/// Before so many sampled accesses nothing is said of rooms.
const ROOM_SAMPLES: u32 = 1_000;

/// Copies of the policy in rooms of other sizes, there once somebody has asked what more room would bring.
struct Rooms {
    shadows: Vec<Shadow>,
    accesses: u32,
}

pub(super) struct Shadows {
    rooms: Option<Rooms>,
    /// One key in 2^bits is sampled.
    bits: u32,
    shadows: Vec<Shadow>,
    current: usize,
    /// Accesses, older ones counting less.
    accesses: f64,
    until_verdict: u32,
}

impl Shadows {
    /// Nothing is allocated ahead.
    pub fn new() -> Self {
        let current = SHARES.iter().position(|share| *share == USUAL_SHARE).unwrap_or(0);
        Self { rooms: None, bits: 0, shadows: Vec::new(), current, accesses: 0.0, until_verdict: MOST_ENTRIES }
    }

    /// Sees to a sample that is fit for so many entries. It only gets sparser: a cache that holds fewer than before has
    /// smaller shadows.
    pub fn resize(&mut self, entries: u32) {
        while (entries >> self.bits) > (entries / 16).clamp(FEWEST_ENTRIES, MOST_ENTRIES) {
            self.bits += 1;
            let bits = self.bits;
            let rooms = self.rooms.as_mut().map(|rooms| &mut rooms.shadows);
            for shadow in [Some(&mut self.shadows), rooms].into_iter().flatten().flatten() {
                shadow.keep_only(|hash| is_sampled(hash, bits));
            }
        }
    }

    /// Whether uses of this key are to be told.
    #[inline]
    pub fn samples(&self, hash: u32) -> bool {
        hash != 0 && is_sampled(hash, self.bits)
    }

    /// A sampled key is used, in a cache of so many entries that may have been full. The cold share that is right from
    /// now on, if it changes.
    pub fn access(&mut self, hash: u32, entries: u32, full: bool) -> Option<u32> {
        if self.shadows.is_empty() {
            self.shadows = shadows(MOST_ENTRIES);
        }
        let entries = (entries >> self.bits).max(FEWEST_ENTRIES / 4);
        let decay = 1.0 - 1.0 / (MEMORY * f64::from(entries));
        self.accesses = self.accesses * decay + 1.0;
        for (shadow, share) in self.shadows.iter_mut().zip(SHARES) {
            let hit = shadow.access(hash, share, entries, full);
            shadow.hits = shadow.hits * decay + f64::from(u8::from(hit));
        }
        if let (Some(rooms), Some(share)) = (&mut self.rooms, SHARES.get(self.current)) {
            rooms.accesses = rooms.accesses.saturating_add(1);
            for (shadow, halves) in rooms.shadows.iter_mut().zip(ROOMS) {
                let room = (entries * halves / 2).max(1);
                shadow.hits += f64::from(u8::from(shadow.access(hash, *share, room, full)));
            }
        }
        self.until_verdict = self.until_verdict.saturating_sub(1);
        if self.until_verdict > 0 {
            return None;
        }
        self.until_verdict = entries;
        let hits = |at: usize| self.shadows.get(at).map_or(0.0, |shadow| shadow.hits);
        let best = (0..SHARES.len()).max_by(|a, b| hits(*a).total_cmp(&hits(*b)))?;
        if hits(best) - hits(self.current) <= LEAD * self.accesses {
            return None;
        }
        self.current = best;
        SHARES.get(best).copied()
    }

    /// The share that is right now.
    pub fn share(&self) -> u32 {
        SHARES.get(self.current).copied().unwrap_or(USUAL_SHARE)
    }

    /// Takes a share for right until more is known; `false` for one that is not among those that are tried.
    pub fn begin_with(&mut self, share: u32) -> bool {
        let known = SHARES.iter().position(|one| *one == share);
        self.current = known.unwrap_or(self.current);
        known.is_some()
    }

    /// What half, the same, twice and four times as many entries would have hit since somebody first asked, from 0 to 1;
    /// `None` at first, and while too little is known.
    pub fn hit_rates(&mut self) -> Option<[f64; 4]> {
        let Some(rooms) = &self.rooms else {
            self.rooms = Some(Rooms { shadows: shadows(MOST_ROOM * MOST_ENTRIES), accesses: 0 });
            return None;
        };
        let rate = |at: usize| Some(rooms.shadows.get(at)?.hits / f64::from(rooms.accesses));
        let rates = [rate(0)?, rate(1)?, rate(2)?, rate(3)?];
        (rooms.accesses >= ROOM_SAMPLES).then_some(rates)
    }

    pub fn bytes(&self) -> usize {
        let rooms = self.rooms.iter().flat_map(|rooms| &rooms.shadows).map(Shadow::bytes).sum::<usize>();
        rooms + self.shadows.iter().map(Shadow::bytes).sum::<usize>()
    }
}

/// As many as there are shares, or rooms.
#[inline(never)]
fn shadows(most: u32) -> Vec<Shadow> {
    let mut shadows = Vec::new();
    shadows.resize_with(SHARES.len(), || Shadow::new(most));
    shadows
}

#[inline]
fn is_sampled(hash: u32, bits: u32) -> bool {
    hash.wrapping_mul(0x9e37_79b1) <= u32::MAX >> bits
}

struct Shadow {
    clock: Clock,
    index: Index,
    free: Vec<u32>,
    /// How many numbers have been in use.
    numbers: u32,
    /// Older ones count less.
    hits: f64,
    /// It never has twice as many entries.
    most: u32,
}

impl Shadow {
    fn new(most: u32) -> Self {
        let index = Index { heads: vec![0; MOST_ENTRIES as usize], next: Vec::new() };
        Self { clock: Clock::new(most), index, free: Vec::new(), numbers: 0, hits: 0.0, most }
    }

    fn access(&mut self, hash: u32, share: u32, entries: u32, full: bool) -> bool {
        if let Some(number) = self.find(hash) {
            self.clock.hit(number);
            return true;
        }
        self.clock.set_hot_room(Room { entries: entries - (entries * share).div_ceil(1000), weight: u64::MAX });
        // As many may go as come, and one more.
        let most = if full { entries } else { 2 * self.most };
        for _ in 0..2 {
            if self.clock.len() >= most
                && let Some(victim) = self.clock.victim(&[], 0)
            {
                self.leave(victim, Leaving::Evicted);
            }
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.numbers += 1;
            self.numbers
        });
        self.clock.keyed(number, hash);
        self.index.insert(hash, number);
        self.clock.insert(number, &[], true);
        false
    }

    fn find(&self, hash: u32) -> Option<u32> {
        self.index.chain(hash).find(|number| self.clock.hash(*number) == hash)
    }

    fn leave(&mut self, number: u32, why: Leaving) {
        self.index.remove(self.clock.hash(number), number);
        self.clock.remove(number, &[], why);
        self.free.push(number);
    }

    fn keep_only(&mut self, keep: impl Fn(u32) -> bool) {
        for number in self.clock.order() {
            if !keep(self.clock.hash(number)) {
                self.leave(number, Leaving::Failure);
            }
        }
    }

    fn bytes(&self) -> usize {
        self.clock.bytes() + self.index.bytes() + self.free.capacity() * size_of::<u32>()
    }
}

/// From hashes to numbers: chains through the numbers, one for each of 128 remainders.
struct Index {
    /// 0: none.
    heads: Vec<u16>,
    next: Vec<u16>,
}

impl Index {
    fn chain(&self, hash: u32) -> impl Iterator<Item = u32> {
        let next = |number: u16| self.next.get(usize::from(number)).copied().filter(|number| *number != 0);
        let head = self.heads.get(Self::head(hash)).copied().filter(|number| *number != 0);
        std::iter::successors(head, move |number| next(*number)).map(u32::from)
    }

    fn insert(&mut self, hash: u32, number: u32) {
        let Some(head) = self.heads.get_mut(Self::head(hash)) else { return };
        let second = std::mem::replace(head, number as u16);
        if self.next.len() <= number as usize {
            self.next.resize(number as usize + 1, 0);
        }
        if let Some(next) = self.next.get_mut(number as usize) {
            *next = second;
        }
    }

    fn remove(&mut self, hash: u32, number: u32) {
        let after = self.next.get(number as usize).copied().unwrap_or(0);
        let before = self.chain(hash).find(|before| self.next.get(*before as usize) == Some(&(number as u16)));
        let place = match before {
            Some(before) => self.next.get_mut(before as usize),
            None => self.heads.get_mut(Self::head(hash)).filter(|head| **head == number as u16),
        };
        if let Some(place) = place {
            *place = after;
        }
    }

    fn head(hash: u32) -> usize {
        // The bits that sampling does not look at.
        hash as usize % MOST_ENTRIES as usize
    }

    fn bytes(&self) -> usize {
        (self.heads.capacity() + self.next.capacity()) * size_of::<u16>()
    }
}
