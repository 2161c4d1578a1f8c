//! The bits in which the core answers. `pkg/src/core/core.ts` has the same names.

/// There are removals or ended flights to fetch.
pub(super) const NEWS: u32 = 1 << 31;
/// Where the kind begins.
pub(super) const KIND_SHIFT: u32 = 27;

const fn kind(number: u32) -> u32 {
    number << KIND_SHIFT
}

/// Of `touch` and `ask`: the value may be handed out.
pub(super) const HIT: u32 = kind(0);

/// Of `ask`.
pub(super) const JOIN: u32 = kind(1);
pub(super) const LEAD_ABSENT: u32 = kind(2);
pub(super) const LEAD_EXPIRED: u32 = kind(3);
pub(super) const LEAD_FORCED: u32 = kind(4);
pub(super) const STALE_REVALIDATE: u32 = kind(5);
pub(super) const STALE_ERROR: u32 = kind(6);
pub(super) const REFRESH_AHEAD: u32 = kind(7);
pub(super) const REFRESH_STALE: u32 = kind(8);
pub(super) const FAILED: u32 = kind(9);
pub(super) const RECURSIVE: u32 = kind(10);
/// And of `timeout`.
pub(super) const TIMED_OUT: u32 = kind(11);
pub(super) const FULL: u32 = kind(12);
pub(super) const LEAD_INVALID: u32 = kind(13);

pub(super) const REFUSED: u32 = kind(14);

/// Of `touch`.
pub(super) const MISS_ABSENT: u32 = kind(2);
pub(super) const MISS_EXPIRED: u32 = kind(3);

/// Of `brought` and `failed`.
pub(super) const NOT_STORED: u32 = kind(0);
pub(super) const STORED: u32 = kind(1);
pub(super) const SERVED_STALE: u32 = kind(2);
pub(super) const FAILURE_CACHED: u32 = kind(3);
pub(super) const FLIGHT_ENDED: u32 = kind(4);
/// Of `failed`: it is to be tried again.
pub(super) const RETRY: u32 = kind(5);
/// Some who waited may not have the value, and are to ask again.
pub(super) const ASK_AGAIN: u32 = kind(8);
/// Longer loads are told to have taken this long, in milliseconds: half an hour.
pub(super) const LONGEST_TOLD: u64 = (1 << 21) - 1;

/// Of `timeout`.
pub(super) const SOFT: u32 = kind(1);
/// Of `timeout`, added to `TIMED_OUT`, and of `leave` and `time_out`: the flight has ended.
pub(super) const LAST: u32 = kind(4);

/// Of `removal`, added to a cause: the key goes too.
pub(super) const KEY_REMOVED: u32 = kind(8);
/// Of `insert`: the key that lies in the slot has made way. The most usual removal needs no call of its own.
pub(super) const EVICTED: u32 = kind(1);

/// Of `join_batch`, above: the batch begins with this key.
pub(super) const NEW_BATCH: usize = 1;
/// It takes no more keys.
pub(super) const FULL_BATCH: usize = 2;
/// Until it is full it takes keys for a time, and not until the end of its turn.
pub(super) const TIMED_BATCH: usize = 4;
