//! The wasm-bindgen side of the npm class: conversions and calls, no decisions.
//!
//! The JS side maps keys to slots and keeps the values; what crosses is numbers. Answers are packed into
//! one `u32`, a slot in the low 27 bits (0: none) and flags above; `pkg/src/core.ts` names the same bits.

mod options;

use wasm_bindgen::prelude::wasm_bindgen;

use crate::core::{Answer, Ask, Cause, Deadlines, FlightId, Machine, Outcome, Settled, Slot};
use crate::options::{Defaults, Limits};
use crate::time::{Timestamp, Ttl};

/// There are departures to fetch.
const DEPARTED: u32 = 1 << 31;
/// Of `ask`: join the flight; of `departure`: the key goes too.
const JOIN: u32 = 1 << 30;
const VACATED: u32 = 1 << 30;
/// Of `insert`: the key that lies in the slot has made way. The most usual departure needs no call of its own.
const EVICTED: u32 = 1 << 30;
/// Of `ask`: lead the flight.
const LEAD: u32 = 1 << 29;
/// Of `settle`: nobody waited any more; of `leave` and its like: the flight has ended.
const OVER: u32 = 1 << 28;
/// Of `ask`: no number is left.
const FULL: u32 = 1 << 27;

/// The machine behind one cache.
#[wasm_bindgen]
pub struct Core {
    machine: Machine,
    defaults: Defaults,
    /// The waits of all flights by deadline, where one timer serves them all.
    deadlines: Option<Deadlines>,
    flight: FlightId,
}

#[wasm_bindgen]
impl Core {
    /// Numbers as `options.rs` has checked them: infinity is no bound. With `shared_timer` the waits'
    /// deadlines are kept here.
    #[wasm_bindgen(constructor)]
    pub fn new(
        max_entries: f64,
        max_bytes: f64,
        max_entry_bytes: f64,
        ttl: f64,
        hard_timeout: f64,
        shared_timer: bool,
    ) -> Core {
        let mut machine = Machine::new(Limits::new(max_entries as u64, max_bytes as u64, max_entry_bytes as u64));
        if shared_timer {
            machine.keep_flights();
        }
        Core {
            machine,
            defaults: Defaults { ttl: to_ttl(ttl), hard_timeout: to_ttl(hard_timeout) },
            deadlines: shared_timer.then(Deadlines::default),
            flight: FlightId::from_bits(0),
        }
    }

    /// 1 for a hit, 0 or `DEPARTED` otherwise.
    pub fn touch(&mut self, slot: u32, now: f64) -> u32 {
        let Some(slot) = Slot::new(slot) else { return 0 };
        if self.machine.touch(slot, to_time(now)) { 1 } else { self.departed() }
    }

    /// As `touch`, but what is no hit is left to `ask`, and not counted here.
    pub fn hit(&mut self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.hit(slot, to_time(now)))
    }

    /// A get of a key that has no slot. 0 or `DEPARTED`.
    pub fn miss(&mut self, now: f64) -> u32 {
        self.machine.miss(to_time(now));
        self.departed()
    }

    pub fn is_ready(&self, slot: u32, now: f64) -> bool {
        Slot::new(slot).is_some_and(|slot| self.machine.is_ready(slot, to_time(now)))
    }

    /// Milliseconds, infinity, or -1 for a value that may not be handed out.
    pub fn remaining(&self, slot: u32, now: f64) -> f64 {
        match Slot::new(slot).and_then(|slot| self.machine.remaining(slot, to_time(now))) {
            Some(Ttl::Millis(millis)) => millis as f64,
            Some(Ttl::Forever) => f64::INFINITY,
            None => -1.0,
        }
    }

    /// The slot (0: not stored), `EVICTED` and `DEPARTED`. A `ttl` of NaN is the default.
    pub fn insert(&mut self, slot: u32, now: f64, ttl: f64, bytes: f64) -> u32 {
        let (known, ttl) = (Slot::new(slot), self.ttl(ttl));
        let stored = self.machine.insert(known, to_time(now), ttl, to_weight(bytes));
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

    pub fn clear(&mut self) {
        self.machine.clear();
    }

    /// A slot with its cause at bit 27, `VACATED`, and `DEPARTED` while there are more; 0 if there was none.
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
        departure.slot.number() | (cause << 27) | vacated | self.departed()
    }

    /// The slot of a hit, or that of a new load with `LEAD`, or the index of a flight with `JOIN`, or `FULL`;
    /// and `DEPARTED`. A `timeout` of NaN is the default.
    pub fn ask(&mut self, slot: u32, now: f64, fresh: bool, timeout: f64) -> u32 {
        let now = to_time(now);
        let deadline = now.after(self.timeout(timeout));
        let ask = if fresh { Ask::Fresh } else { Ask::Stored };
        let code = match self.machine.ask(Slot::new(slot), now, ask, deadline) {
            Answer::Hit(slot) => slot.number(),
            Answer::Join(flight) => {
                self.keep(deadline, flight);
                JOIN | flight.index() as u32
            }
            Answer::Lead(slot, flight) => {
                self.flight = flight;
                self.keep(deadline, flight);
                LEAD | slot.number()
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

    /// The flight of the last `ask` that led one.
    pub fn flight(&self) -> f64 {
        self.flight.to_bits() as f64
    }

    /// The slot where the value belongs (0: nowhere), with `OVER` and `DEPARTED`. A `ttl` of NaN is the
    /// default, a negative one means: don't store.
    pub fn settle(&mut self, flight: f64, now: f64, ttl: f64, bytes: f64) -> u32 {
        let outcome =
            if ttl < 0.0 { Outcome::Skip } else { Outcome::Store { ttl: self.ttl(ttl), weight: to_weight(bytes) } };
        self.end(flight, now, outcome)
    }

    /// As `settle`, for a load that failed.
    pub fn fail(&mut self, flight: f64, now: f64) -> u32 {
        self.end(flight, now, Outcome::Fail)
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
    pub fn lost(&mut self, flight: f64) -> u32 {
        let over = self.machine.lost(to_flight(flight));
        self.over(over)
    }

    /// The slots whose values may be handed out, the most recently used first.
    pub fn newest_first(&mut self, now: f64) -> Vec<u32> {
        self.machine.newest_first(to_time(now)).into_iter().map(Slot::number).collect()
    }

    pub fn len(&self) -> usize {
        self.machine.len()
    }

    pub fn weight(&self) -> f64 {
        self.machine.weight() as f64
    }

    pub fn in_flight(&self) -> usize {
        self.machine.loads_in_flight()
    }

    /// The counters, in the order of `pkg/src/stats.ts`.
    pub fn counters(&self) -> Vec<f64> {
        let s = self.machine.stats();
        [
            s.hits,
            s.misses,
            s.coalesced,
            s.loads,
            s.load_failures,
            s.loads_abandoned,
            s.inserts,
            s.rejected,
            s.timeouts,
            s.evicted_size,
            s.evicted_expired,
            s.evicted_replaced,
            s.evicted_removed,
        ]
        .map(|count| count as f64)
        .to_vec()
    }
}

impl Core {
    fn keep(&mut self, deadline: Timestamp, flight: FlightId) {
        let Self { machine, deadlines, .. } = self;
        if let Some(deadlines) = deadlines {
            deadlines.add(deadline, flight.to_bits(), |id| machine.is_live(FlightId::from_bits(id)));
        }
    }

    #[inline]
    fn departed(&self) -> u32 {
        if self.machine.has_departures() { DEPARTED } else { 0 }
    }

    fn over(&self, over: bool) -> u32 {
        self.departed() | if over { OVER } else { 0 }
    }

    fn end(&mut self, flight: f64, now: f64, outcome: Outcome) -> u32 {
        let code = match self.machine.settle(to_flight(flight), to_time(now), outcome) {
            Settled::Stored(slot) => slot.number(),
            Settled::Passed => 0,
            Settled::Late => OVER,
        };
        code | self.departed()
    }

    fn ttl(&self, ttl: f64) -> Ttl {
        if ttl.is_nan() { self.defaults.ttl } else { to_ttl(ttl) }
    }

    fn timeout(&self, timeout: f64) -> Ttl {
        if timeout.is_nan() { self.defaults.hard_timeout } else { to_ttl(timeout) }
    }
}

// Casts from f64 saturate and truncate: what a clock or an option can't mean becomes the nearest thing it can.

fn to_time(millis: f64) -> Timestamp {
    Timestamp::from_millis(millis as u64)
}

fn to_ttl(millis: f64) -> Ttl {
    if millis == f64::INFINITY { Ttl::Forever } else { Ttl::Millis(millis as u64) }
}

fn to_weight(bytes: f64) -> u32 {
    bytes.ceil() as u32
}

fn to_flight(bits: f64) -> FlightId {
    FlightId::from_bits(bits as u64)
}
