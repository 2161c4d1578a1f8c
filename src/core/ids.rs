//! The names of loads, of those who wait for them, and of batches.

/// Names one load for ever: a number that is reused, and a generation that tells the uses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightId {
    number: u32,
    generation: u32,
}

/// Flights' numbers have so many bits.
pub const FLIGHT_BITS: u32 = 21;

impl FlightId {
    /// The reused number, dense enough to index an array.
    pub const fn index(self) -> usize {
        self.number as usize
    }

    pub(crate) const fn number(self) -> u32 {
        self.number
    }

    pub(crate) const fn generation(self) -> u32 {
        self.generation
    }

    pub(crate) const fn new(number: u32, generation: u32) -> Self {
        Self { number, generation }
    }
}

/// Those who wait for one flight until the same moments: a place in the flight's list, which is never reused while the
/// flight lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitId {
    /// What they wait for.
    pub flight: FlightId,
    /// Their place in its list; the leader's is 0.
    pub group: u32,
}

/// Names a batch, also while it is being loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BatchId(u32);

impl BatchId {
    /// The batch of this number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// Its number, from 1 to 2^30.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// Something that runs a user's code and may wait for loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// The load of one key.
    Flight(FlightId),
    /// The load of many keys.
    Batch(BatchId),
}
