//! The wasm-bindgen side of the npm class: conversions and calls, no decisions.
//!
//! The JS side maps keys to slots and keeps the values; what crosses is numbers. Answers are packed into
//! one `u32`: a slot or index in the low 27 bits (0: none), a kind in the next three, and two flags above;
//! `pkg/src/core.ts` names the same bits.

mod figures;
mod options;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::core::{Answer, Ask, Cause, Deadlines, FlightId, Keep, Machine, Outcome, Query, Settled, Slot, WriteId};
use crate::options::{Life, Limits};
use crate::time::{Timestamp, Ttl};

/// There are departures to fetch.
const DEPARTED: u32 = 1 << 31;
/// Of `departure`: the key goes too.
const VACATED: u32 = 1 << 30;
/// Of `insert`: the key that lies in the slot has made way. The most usual departure needs no call of its own.
const EVICTED: u32 = 1 << 30;
/// Of `settle`: nobody waited any more; of `leave` and its like: the flight has ended.
const OVER: u32 = 1 << 30;

const KIND_SHIFT: u32 = 27;
/// Of `ask`.
const JOIN: u32 = 1 << KIND_SHIFT;
const LEAD: u32 = 2 << KIND_SHIFT;
const FULL: u32 = 3 << KIND_SHIFT;
const STALE: u32 = 4 << KIND_SHIFT;
const REFRESH_AHEAD: u32 = 5 << KIND_SHIFT;
const REFRESH_STALE: u32 = 6 << KIND_SHIFT;
const FAILED: u32 = 7 << KIND_SHIFT;
/// Of `fail`.
const RESCUED: u32 = 1 << KIND_SHIFT;
const REMEMBERED: u32 = 2 << KIND_SHIFT;

/// What the next value is kept with, besides ttl and bytes.
#[derive(Default)]
struct Besides {
    stale_while_revalidate: f64,
    stale_if_error: f64,
    refresh_ahead: f64,
    jitter: f64,
    draw: f64,
    tags: Vec<String>,
}

/// The machine behind one cache.
#[wasm_bindgen]
pub struct Core {
    machine: Machine,
    /// The waits of all flights by deadline, where one timer serves them all.
    deadlines: Option<Deadlines>,
    flight: FlightId,
    write: WriteId,
    besides: Option<Besides>,
    windows: Vec<figures::Asked>,
}

#[wasm_bindgen]
impl Core {
    /// Numbers as `options.rs` has checked them: infinity is no bound. With `shared_timer` the waits'
    /// deadlines are kept here.
    #[wasm_bindgen(constructor)]
    pub fn new(max_entries: f64, max_bytes: f64, max_entry_bytes: f64, usual_ttl: f64, shared_timer: bool) -> Core {
        let limits = Limits::new(max_entries as u64, max_bytes as u64, max_entry_bytes as u64);
        let mut machine = Machine::new(limits, to_ttl(usual_ttl));
        if shared_timer {
            machine.keep_flights();
        }
        Core {
            machine,
            deadlines: shared_timer.then(Deadlines::default),
            flight: FlightId::from_bits(0),
            write: WriteId(0),
            besides: None,
            windows: Vec::new(),
        }
    }

    /// The number of a new space; -1 when there is none left.
    pub fn add_space(&mut self) -> i32 {
        self.machine.add_space().map_or(-1, i32::from)
    }

    /// 1 for a hit, 0 or `DEPARTED` otherwise.
    pub fn touch(&mut self, slot: u32, now: f64) -> u32 {
        let Some(slot) = Slot::new(slot) else { return 0 };
        if self.machine.touch(slot, to_time(now)) { 1 } else { self.departed() }
    }

    /// As `touch`, but what needs a second look, or is no hit, is left to `touch` or `ask`, and not counted here.
    pub fn hit(&mut self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.hit(slot, to_time(now)))
    }

    /// A get of a key that has no slot. 0 or `DEPARTED`.
    pub fn miss(&mut self, space: u8, now: f64) -> u32 {
        self.machine.miss(space, to_time(now));
        self.departed()
    }

    pub fn is_fresh(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_fresh(slot, to_time(now)))
    }

    /// Whether there is a value to fall back on.
    pub fn is_usable(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_usable(slot, to_time(now)))
    }

    /// Whether the key's load is under way.
    pub fn is_loading(&self, slot: u32) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.flight_of(slot).is_some())
    }

    /// How long the value stays fresh: milliseconds, infinity, 0 for a stale one, or -1 for none that may be
    /// handed out.
    pub fn remaining(&self, slot: u32, now: f64) -> f64 {
        match Slot::new(slot).and_then(|slot| self.machine.age(slot, to_time(now))).map(|age| age.ttl) {
            Some(Ttl::Millis(millis)) => millis as f64,
            Some(Ttl::Forever) => f64::INFINITY,
            None => -1.0,
        }
    }

    /// Milliseconds since the value was stored.
    pub fn age(&self, slot: u32, now: f64) -> f64 {
        let age = Slot::new(slot).and_then(|slot| self.machine.age(slot, to_time(now)));
        age.map_or(0.0, |age| age.millis as f64)
    }

    /// What the value that is stored next is kept with, besides its ttl and bytes.
    pub fn keep_next(
        &mut self,
        stale_while_revalidate: f64,
        stale_if_error: f64,
        refresh_ahead: f64,
        jitter: f64,
        draw: f64,
        tags: Option<Vec<String>>,
    ) {
        let tags = tags.unwrap_or_default();
        self.besides = Some(Besides { stale_while_revalidate, stale_if_error, refresh_ahead, jitter, draw, tags });
    }

    /// The slot (0: not stored), `EVICTED` and `DEPARTED`.
    pub fn insert(&mut self, slot: u32, space: u8, now: f64, ttl: f64, bytes: f64) -> u32 {
        let known = Slot::new(slot);
        let besides = self.besides.take();
        let keep = keep(&besides, ttl, bytes);
        let stored = self.machine.insert(known, space, to_time(now), &keep);
        let evicted = stored.filter(|_| known.is_none()).and_then(|slot| self.machine.poll_departure_from(slot));
        stored.map_or(0, Slot::number) | if evicted.is_some() { EVICTED } else { 0 } | self.departed()
    }

    /// 0 or `DEPARTED`.
    pub fn remove(&mut self, slot: u32) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.remove(slot);
        }
        self.departed()
    }

    /// 1 if there was a fresh value, and `DEPARTED`.
    pub fn expire(&mut self, slot: u32, now: f64) -> u32 {
        let fresh = Slot::new(slot).is_some_and(|slot| self.machine.expire(slot, to_time(now)));
        u32::from(fresh) | self.departed()
    }

    /// How many entries bore the tag. There may be departures.
    pub fn remove_tag(&mut self, tag: &str) -> usize {
        self.machine.remove_tag(tag)
    }

    /// How many fresh entries bore the tag. There may be departures.
    pub fn expire_tag(&mut self, tag: &str, now: f64) -> usize {
        self.machine.expire_tag(tag, to_time(now))
    }

    pub fn clear(&mut self) {
        self.machine.clear();
    }

    /// A slot with its cause as its kind, `VACATED`, and `DEPARTED` while there are more; 0 if there was none.
    pub fn departure(&mut self) -> u32 {
        let Some(departure) = self.machine.poll_departure() else { return 0 };
        let cause = match departure.cause {
            None => 0,
            Some(Cause::Size) => 1,
            Some(Cause::Expired) => 2,
            Some(Cause::Replaced) => 3,
            Some(Cause::Removed) => 4,
        };
        let vacated = if departure.vacated { VACATED } else { 0 };
        departure.slot.number() | (cause << KIND_SHIFT) | vacated | self.departed()
    }

    /// A slot to hand out with `STALE`, `REFRESH_AHEAD`, `REFRESH_STALE`, `FAILED` or, for a hit, without; that of
    /// a new load with `LEAD`; the index of a flight with `JOIN`; `FULL`. And `DEPARTED`. Without a `draw` (NaN)
    /// nothing is refreshed ahead.
    pub fn ask(&mut self, slot: u32, space: u8, now: f64, fresh: bool, timeout: f64, draw: f64) -> u32 {
        let now = to_time(now);
        let query = Query {
            space,
            now,
            deadline: now.after(to_ttl(timeout)),
            ask: if fresh { Ask::Fresh } else { Ask::Stored },
            background: true,
            draw: Some(draw).filter(|draw| *draw > 0.0),
        };
        let code = match self.machine.ask(Slot::new(slot), &query) {
            Answer::Hit(slot) => slot.number(),
            Answer::Stale(slot) => STALE | slot.number(),
            Answer::Failed(slot) => FAILED | slot.number(),
            Answer::Join(flight) => {
                self.keep(query.deadline, flight);
                JOIN | flight.index() as u32
            }
            Answer::Lead(slot, flight) => LEAD | self.lead(slot, flight, query.deadline),
            Answer::Refresh { slot, flight, stale } => {
                let kind = if stale { REFRESH_STALE } else { REFRESH_AHEAD };
                kind | self.lead(slot, flight, query.deadline)
            }
            Answer::Full => FULL,
        };
        code | self.departed()
    }

    /// The index of a flight, some of whose waits have reached their deadline; -1 when there is none.
    pub fn due(&mut self, now: f64) -> i32 {
        let Self { machine, deadlines, .. } = self;
        let due =
            deadlines.as_mut().and_then(|d| d.pop_due(to_time(now), |id| machine.is_live(FlightId::from_bits(id))));
        due.map_or(-1, |id| FlightId::from_bits(id).index() as i32)
    }

    /// The earliest deadline of a live flight; infinity if there is none.
    pub fn next_deadline(&mut self) -> f64 {
        let Self { machine, deadlines, .. } = self;
        let next = deadlines.as_mut().and_then(|d| d.next(|id| machine.is_live(FlightId::from_bits(id))));
        next.map_or(f64::INFINITY, |at| at.as_millis() as f64)
    }

    /// The flight of the last `ask` that began one.
    pub fn flight(&self) -> f64 {
        self.flight.to_bits() as f64
    }

    /// The slot where the value belongs (0: nowhere), with `OVER` and `DEPARTED`. A negative `ttl` means: don't
    /// store.
    pub fn settle(&mut self, flight: f64, now: f64, ttl: f64, bytes: f64) -> u32 {
        let besides = self.besides.take();
        let outcome = if ttl < 0.0 { Outcome::Skip } else { Outcome::Store(keep(&besides, ttl, bytes)) };
        self.end(flight, now, outcome)
    }

    /// As `settle`, for a load that failed: the slot of a value to fall back on with `RESCUED`, that where the
    /// error belongs with `REMEMBERED`.
    pub fn fail(&mut self, flight: f64, now: f64, backoff: f64) -> u32 {
        self.end(flight, now, Outcome::Fail { backoff: to_ttl(backoff) })
    }

    /// So many waiters leave before their deadline. `OVER` if they were the last; `DEPARTED`.
    pub fn leave(&mut self, flight: f64, waiters: u32) -> u32 {
        let over = self.machine.leave(to_flight(flight), waiters);
        self.over(over)
    }

    /// As `leave`, at their deadline.
    pub fn time_out(&mut self, flight: f64, waiters: u32) -> u32 {
        let over = self.machine.time_out(to_flight(flight), waiters);
        self.over(over)
    }

    /// A follower found the load lost with its request. As `leave`.
    pub fn lost(&mut self, flight: f64, space: u8) -> u32 {
        let over = self.machine.lost(to_flight(flight), space);
        self.over(over)
    }

    /// The slot of a key that is being written through, and `DEPARTED`; 0 if there is no number left.
    pub fn begin_write(&mut self, slot: u32, space: u8) -> u32 {
        let Some((slot, write)) = self.machine.begin_write(Slot::new(slot), space) else { return 0 };
        self.write = write;
        slot.number() | self.departed()
    }

    /// The write is in a request that may die: its key's value goes now, and after `lost_at` it counts as ended.
    /// 0 or `DEPARTED`.
    pub fn expect_loss(&mut self, write: u32, slot: u32, lost_at: f64) -> u32 {
        if let Some(slot) = Slot::new(slot) {
            self.machine.expect_loss(WriteId(write), slot, to_time(lost_at));
        }
        self.departed()
    }

    /// The write of the last `begin_write`.
    pub fn write(&self) -> u32 {
        self.write.0
    }

    /// The slot where the value belongs (0: nowhere), and `DEPARTED`. A negative `ttl` means: what the source has
    /// is not known, or not to be stored.
    pub fn end_write(&mut self, write: u32, slot: u32, now: f64, ttl: f64, bytes: f64) -> u32 {
        let besides = self.besides.take();
        let keep = keep(&besides, ttl, bytes);
        let keep = Some(&keep).filter(|_| ttl >= 0.0);
        let stored = self.machine.end_write(WriteId(write), Slot::new(slot), to_time(now), keep);
        stored.map_or(0, Slot::number) | self.departed()
    }

    /// The slots whose values are fresh, the most recently used first.
    pub fn newest_first(&mut self, now: f64) -> Vec<u32> {
        self.machine.newest_first(to_time(now)).into_iter().map(Slot::number).collect()
    }

    /// Entries of a space, or of all (-1).
    pub fn len(&self, space: i32) -> usize {
        u8::try_from(space).map_or_else(|_| self.machine.len(), |space| self.machine.space_held(space).entries as usize)
    }

    /// Their bytes.
    pub fn weight(&self, space: i32) -> f64 {
        u8::try_from(space).map_or_else(|_| self.machine.weight(), |space| self.machine.space_held(space).weight) as f64
    }

    pub fn in_flight(&self) -> usize {
        self.machine.loads_in_flight()
    }

    /// One more call for so many keys.
    pub fn count_batch(&mut self, space: u8, keys: u32) {
        self.machine.count_batch(space, u64::from(keys));
    }

    /// A get was answered with the last good value because its load is slow.
    pub fn count_soft_timeout(&mut self, space: u8) {
        self.machine.count_soft_timeout(space);
    }
}

impl Core {
    fn keep(&mut self, deadline: Timestamp, flight: FlightId) {
        let Self { machine, deadlines, .. } = self;
        if let Some(deadlines) = deadlines {
            deadlines.add(deadline, flight.to_bits(), |id| machine.is_live(FlightId::from_bits(id)));
        }
    }

    fn lead(&mut self, slot: Slot, flight: FlightId, deadline: Timestamp) -> u32 {
        self.flight = flight;
        self.keep(deadline, flight);
        slot.number()
    }

    #[inline]
    fn departed(&self) -> u32 {
        if self.machine.has_departures() { DEPARTED } else { 0 }
    }

    fn over(&self, over: bool) -> u32 {
        self.departed() | if over { OVER } else { 0 }
    }

    fn end(&mut self, flight: f64, now: f64, outcome: Outcome<'_>) -> u32 {
        let code = match self.machine.settle(to_flight(flight), to_time(now), outcome) {
            Settled::Stored(slot) => slot.number(),
            Settled::Rescued(slot) => RESCUED | slot.number(),
            Settled::Remembered(slot) => REMEMBERED | slot.number(),
            Settled::Passed => 0,
            Settled::Late => OVER,
        };
        code | self.departed()
    }
}

fn keep(besides: &Option<Besides>, ttl: f64, bytes: f64) -> Keep<'_> {
    let life = Life::of(to_ttl(ttl));
    let weight = bytes.ceil() as u32;
    let Some(besides) = besides else { return Keep { life, weight, tags: &[], draw: 0.0 } };
    let life = Life {
        stale_while_revalidate: to_ttl(besides.stale_while_revalidate),
        stale_if_error: to_ttl(besides.stale_if_error),
        refresh_ahead: besides.refresh_ahead,
        jitter: besides.jitter,
        ..life
    };
    Keep { life, weight, tags: &besides.tags, draw: besides.draw }
}

// Casts from f64 saturate and truncate: what a clock or an option can't mean becomes the nearest thing it can.

fn to_time(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}

fn to_ttl(millis: f64) -> Ttl {
    if millis == f64::INFINITY { Ttl::Forever } else { Ttl::Millis(millis as u64) }
}

fn to_flight(bits: f64) -> FlightId {
    FlightId::from_bits(bits as u64)
}
