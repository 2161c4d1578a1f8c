//! Keys that are gone, remembered by four bytes each: 13 bits of a key's hash, how often it has come in (3 bits), and
//! the stamp of its last coming in or promotion, coarsely (16 bits).
//!
//! A table of buckets of four, out of each of which the one leaves that has been there longest. A key takes another's ghost for its own about once in
//! 2,000 times, which costs no more than a worse guess.

/// How often a key has come in that has never been seen before; 0 in a ghost is none.
pub(super) const FIRST: u32 = 1;
/// More often than this is not counted.
pub(super) const MOST_COMES: u32 = 7;

const PRINT_BITS: u32 = 13;
const COMES_SHIFT: u32 = 16;
const PRINT_SHIFT: u32 = 32 - PRINT_BITS;
/// A stamp's unit is the time in which so many of the table's ghosts could come: its 16 bits reach over 64 tables.
const UNITS_PER_TABLE: usize = 1024;
/// Three ghosts to two entries: fewer than one to one cost half a point of what Belady hits on the mean of the traces in
/// docs/eviction.md, and more than two to one gain nothing.
const PER_TWO_ENTRIES: u32 = 3;
/// How many buckets a table has at first, where it is to grow.
const FIRST_BUCKETS: usize = 64;

type Bucket = [u32; 4];

pub(super) struct Ghosts {
    buckets: Vec<Bucket>,
    /// A stamp's unit, as a power of two.
    shift: u32,
    expected: u32,
    /// For how many entries there is room.
    room: u32,
}

/// A key that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// How many ticks ago it got its stamp, about.
    pub age: u32,
    pub comes: u32,
}

impl Ghosts {
    /// For a cache of so many entries at the most. Nothing is allocated ahead.
    pub fn new(expected: u32) -> Self {
        Self { buckets: Vec::new(), shift: 0, expected, room: 0 }
    }

    /// Sees to room for the ghosts of so many entries. As the table multiplies, so does what it holds: which part of a bucket's
    /// keys belong where is not known, and the copies that are wrong grow old.
    #[inline]
    pub fn reserve(&mut self, entries: u32, now: u32) {
        if self.room < entries {
            self.grow(entries, now);
            self.room = entries;
        }
    }

    /// As [columns](crate::core::grow) do: by doubling, which ends at what a full cache needs, and from a thirty-second part on straight to that.
    #[inline(never)]
    fn grow(&mut self, entries: u32, now: u32) {
        let (full, needed) = (buckets_for(self.expected), buckets_for(entries));
        let wanted = if needed > full / 32 { full } else { needed };
        let doublings = (full / FIRST_BUCKETS).max(1).ilog2();
        let mut len = self.buckets.len().max(full.div_ceil(1 << doublings));
        while len < wanted {
            len *= 2;
        }
        let before = self.shift;
        self.shift = (len * 4 / UNITS_PER_TABLE).max(1).ilog2();
        let by = self.shift - before;
        let restamped = |ghost: u32| {
            let age = ((now >> before) as u16).wrapping_sub(ghost as u16) >> by;
            if ghost == 0 { 0 } else { pack(ghost, ((now >> (before + by)) as u16).wrapping_sub(age)) }
        };
        let times = len / self.buckets.len().max(1);
        let multiplied = |at: usize| self.buckets.get(at / times).map_or([0; 4], |bucket| bucket.map(restamped));
        self.buckets = (0..len).map(multiplied).collect();
    }

    /// Remembers a key, in the place of the one of its bucket that has been there longest.
    #[inline(always)]
    pub fn add(&mut self, hash: u32, stamp: u32, comes: u32) {
        let stamp = self.unit(stamp);
        let Some(bucket) = self.bucket(hash) else { return };
        let [first, second, third, _] = *bucket;
        let comes = comes.clamp(FIRST, MOST_COMES);
        *bucket = [pack((print(hash) << PRINT_SHIFT) | (comes << COMES_SHIFT), stamp), first, second, third];
    }

    /// What is known of a key, and no longer after this. Mostly nothing, which is seen in one step.
    #[inline(always)]
    pub fn take(&mut self, hash: u32, now: u32) -> Option<Known> {
        let [first, second, third, fourth] = *self.bucket(hash)?;
        let print = print(hash);
        let is_of_it = |ghost: u32| ghost >> PRINT_SHIFT == print;
        match is_of_it(first) | is_of_it(second) | is_of_it(third) | is_of_it(fourth) {
            true => self.take_known(hash, now),
            false => None,
        }
    }

    #[inline(never)]
    fn take_known(&mut self, hash: u32, now: u32) -> Option<Known> {
        let now = self.unit(now);
        let shift = self.shift;
        for ghost in self.bucket(hash)? {
            // What is 0 is no ghost, though it looks like one of the print 0.
            if *ghost != 0 && *ghost >> PRINT_SHIFT == print(hash) {
                let known = std::mem::take(ghost);
                let age = u32::from(now.wrapping_sub(known as u16)) << shift;
                return Some(Known { age, comes: (known >> COMES_SHIFT) & MOST_COMES });
            }
        }
        None
    }

    pub fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    #[inline(always)]
    fn unit(&self, time: u32) -> u16 {
        (time >> self.shift) as u16
    }

    #[inline(always)]
    fn bucket(&mut self, hash: u32) -> Option<&mut Bucket> {
        // The hash's upper bits as a fraction of the table.
        let at = (u64::from(hash) * self.buckets.len() as u64) >> 32;
        self.buckets.get_mut(at as usize)
    }
}

fn buckets_for(entries: u32) -> usize {
    (u64::from(entries) * u64::from(PER_TWO_ENTRIES)).div_ceil(8).max(1) as usize
}

/// The hash's lower bits: buckets are chosen by the upper ones.
fn print(hash: u32) -> u32 {
    hash & ((1 << PRINT_BITS) - 1)
}

fn pack(ghost: u32, stamp: u16) -> u32 {
    (ghost & !0xffff) | u32::from(stamp)
}
