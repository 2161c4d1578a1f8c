//! Loads under way. A flight is attached to its key's slot from its start until it settles, is
//! abandoned, or is superseded; askers join only attached flights.

use crate::core::flow::Query;
use crate::core::slab::Slot;
use crate::time::Timestamp;

/// Names one load for ever: a number that is reused, and a generation that tells the uses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlightId {
    number: u32,
    generation: u32,
}

const NUMBER_BITS: u32 = 21;

impl FlightId {
    /// The reused number, dense enough to index an array.
    pub const fn index(self) -> usize {
        self.number as usize
    }

    pub(crate) const fn number(self) -> u32 {
        self.number
    }

    /// Both parts in 53 bits, which a JS number holds exactly.
    pub const fn to_bits(self) -> u64 {
        ((self.generation as u64) << NUMBER_BITS) | self.number as u64
    }

    /// The reverse of [`to_bits`](Self::to_bits).
    pub const fn from_bits(bits: u64) -> Self {
        Self {
            number: (bits & ((1 << NUMBER_BITS) - 1)) as u32,
            generation: ((bits >> NUMBER_BITS) & u32::MAX as u64) as u32,
        }
    }
}

struct Flight {
    generation: u32,
    /// Those who still wait for it; 0 in a free place.
    waiters: u32,
    /// Where its value goes; `None` once it is superseded, and in a free place.
    slot: Option<Slot>,
    /// Who counts it.
    space: u8,
    began: Timestamp,
    /// The last tag purge when it began.
    since: u64,
    /// The deadline of the one who began it. From then on nobody joins: a load that never ends must not
    /// hold its key.
    joinable_until: Timestamp,
    /// The latest deadline of all who wait. After it nobody can be waiting, whatever the count says:
    /// in a Worker, waiters vanish with their requests and never say so.
    awaited_until: Timestamp,
}

/// A flight that was.
pub(crate) struct Ended {
    /// Where its value goes.
    pub slot: Option<Slot>,
    /// Who counts it.
    pub space: u8,
    pub began: Timestamp,
    /// The last tag purge when it began.
    pub since: u64,
}

/// All flights, and the places where flights were.
pub(crate) struct Flights {
    places: Vec<Flight>,
    free: Vec<u32>,
    hand: usize,
}

impl Flights {
    pub fn new() -> Self {
        Self { places: Vec::new(), free: Vec::new(), hand: 0 }
    }

    pub fn live(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// A new flight with one waiter. `None` when 2^21 loads are under way.
    pub fn begin(&mut self, slot: Slot, query: &Query, since: u64) -> Option<FlightId> {
        let Query { space, now: began, deadline, .. } = *query;
        let flight = Flight {
            generation: 0,
            waiters: 1,
            slot: Some(slot),
            space,
            began,
            since,
            joinable_until: deadline,
            awaited_until: deadline,
        };
        let Some(number) = self.free.pop() else {
            let number = u32::try_from(self.places.len()).ok().filter(|n| *n < 1 << NUMBER_BITS)?;
            self.places.push(flight);
            return Some(FlightId { number, generation: 0 });
        };
        let place = self.places.get_mut(number as usize)?;
        *place = Flight { generation: place.generation, ..flight };
        Some(FlightId { number, generation: place.generation })
    }

    fn get(&self, id: FlightId) -> Option<&Flight> {
        self.places.get(id.index()).filter(|flight| flight.generation == id.generation && flight.waiters > 0)
    }

    fn get_mut(&mut self, id: FlightId) -> Option<&mut Flight> {
        self.places.get_mut(id.index()).filter(|flight| flight.generation == id.generation && flight.waiters > 0)
    }

    pub fn is_live(&self, id: FlightId) -> bool {
        self.get(id).is_some()
    }

    /// The id of the live flight at this number.
    pub fn id_at(&self, number: u32) -> Option<FlightId> {
        let generation = self.places.get(number as usize)?.generation;
        let id = FlightId { number, generation };
        self.is_live(id).then_some(id)
    }

    /// Whether one who asks now may have what this load brings: it is not overdue, and no tag that it might
    /// bear was purged (the last time at `purges`) since it began.
    pub fn is_joinable(&self, id: FlightId, now: Timestamp, purges: u64) -> bool {
        self.get(id).is_some_and(|flight| now < flight.joinable_until && flight.since == purges)
    }

    /// The slot the flight is attached to.
    pub fn slot(&self, id: FlightId) -> Option<Slot> {
        self.get(id)?.slot
    }

    /// Who counts it.
    pub fn space(&self, id: FlightId) -> u8 {
        self.get(id).map_or(0, |flight| flight.space)
    }

    pub fn join(&mut self, id: FlightId, deadline: Timestamp) {
        if let Some(flight) = self.get_mut(id) {
            flight.waiters = flight.waiters.saturating_add(1);
            flight.awaited_until = flight.awaited_until.max(deadline);
        }
    }

    /// Looks at the next place; the flight there, if nobody can be waiting for it any more.
    pub fn sweep(&mut self, now: Timestamp) -> Option<FlightId> {
        self.hand = if self.hand + 1 < self.places.len() { self.hand + 1 } else { 0 };
        let place = self.places.get(self.hand).filter(|place| place.waiters > 0 && now > place.awaited_until)?;
        Some(FlightId { number: self.hand as u32, generation: place.generation })
    }

    /// So many waiters less; `true` when they were the last, and the flight goes on for nobody.
    pub fn leave(&mut self, id: FlightId, waiters: u32) -> bool {
        let Some(flight) = self.get_mut(id) else { return false };
        if flight.waiters > waiters {
            flight.waiters -= waiters;
            return false;
        }
        true
    }

    pub fn detach(&mut self, id: FlightId) {
        if let Some(flight) = self.get_mut(id) {
            flight.slot = None;
        }
    }

    pub fn detach_all(&mut self) {
        for flight in &mut self.places {
            flight.slot = None;
        }
    }

    /// Frees the flight's place; what was known of it, `None` if it had ended before.
    pub fn end(&mut self, id: FlightId) -> Option<Ended> {
        let flight = self.get_mut(id)?;
        flight.waiters = 0;
        flight.generation = flight.generation.wrapping_add(1);
        let ended = Ended { slot: flight.slot.take(), space: flight.space, began: flight.began, since: flight.since };
        self.free.push(id.number);
        Some(ended)
    }
}
