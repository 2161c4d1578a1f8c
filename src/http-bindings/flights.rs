//! Trips to the origin that are under way, and who may join them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use nearcache::http::exchange::{FetchOutcome, Filling, FlightKey, Key};

use crate::store::Body;

/// One trip: what is known of it so far.
pub(crate) struct Flight {
    /// 0 for one that nobody can join.
    pub number: u32,
    key: Option<FlightKey>,
    /// How many purges there had been when it began.
    pub seen: u64,
    began: u64,
    pub state: RefCell<State>,
}

impl Flight {
    /// What it is for.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref().map(|key| &key.key)
    }
}

/// What a trip has come to.
pub(crate) enum State {
    /// It has been sent.
    Asking,
    /// Its body is being read for the cache.
    Filling(Rc<Filling<Body>>),
    /// A store below of this name had something for it, which is in the memory now.
    Below(String),
    /// It has ended.
    Ended(Rc<FetchOutcome<Body>>),
}

/// Those that can be joined, by what they ask for, and what all of them take.
pub(crate) struct Flights {
    by_key: RefCell<HashMap<FlightKey, Rc<Flight>>>,
    last: Cell<u32>,
    under_way: Cell<usize>,
    filling: Cell<u64>,
    /// Keys whose bodies are on their way to where they lie apart, each with when that began.
    apart: RefCell<HashMap<Key, u64>>,
    most: usize,
    most_filling: u64,
}

/// So many bodies at a time are on their way to where they lie apart, with half a mebibyte of memory each.
const MOST_APART: usize = 16;

/// What comes of asking for a trip.
pub(crate) enum Joined {
    /// It is the asker's to lead.
    Lead(Rc<Flight>),
    /// It is under way.
    Follow(Rc<Flight>),
    /// There are too many.
    Full,
}

impl Flights {
    pub fn new(most: usize, most_filling: u64) -> Self {
        Self {
            by_key: RefCell::default(),
            last: Cell::new(0),
            under_way: Cell::new(0),
            filling: Cell::new(0),
            apart: RefCell::default(),
            most,
            most_filling,
        }
    }

    /// Joins the trip with this key, or begins one. `may_join` says of one under way whether it will do.
    pub fn join(&self, key: Option<FlightKey>, seen: u64, now: u64, may_join: impl Fn(&Flight) -> bool) -> Joined {
        let mut by_key = self.by_key.borrow_mut();
        if let Some(flight) = key.as_ref().and_then(|key| by_key.get(key)).filter(|flight| may_join(flight)) {
            return Joined::Follow(flight.clone());
        }
        if self.under_way.get() >= self.most {
            return Joined::Full;
        }
        self.under_way.set(self.under_way.get() + 1);
        let number = if key.is_some() { self.last.get().wrapping_add(1).max(1) } else { 0 };
        let state = RefCell::new(State::Asking);
        let flight = Rc::new(Flight { number, key: key.clone(), seen, began: now, state });
        if let Some(key) = key {
            self.last.set(number);
            by_key.insert(key, flight.clone());
        }
        Joined::Lead(flight)
    }

    /// Nobody joins it any more.
    pub fn close(&self, flight: &Flight) {
        let Some(key) = &flight.key else { return };
        let mut by_key = self.by_key.borrow_mut();
        if by_key.get(key).is_some_and(|known| known.number == flight.number) {
            by_key.remove(key);
        }
    }

    /// It has ended, or its request has.
    pub fn end(&self, flight: &Flight) {
        self.close(flight);
        self.under_way.set(self.under_way.get().saturating_sub(1));
    }

    /// Whether there is room for so many more bytes of bodies: then they are taken.
    pub fn take(&self, bytes: u64) -> bool {
        let filling = self.filling.get() + bytes;
        let fits = filling <= self.most_filling;
        if fits {
            self.filling.set(filling);
        }
        fits
    }

    pub fn give_back(&self, bytes: u64) {
        self.filling.set(self.filling.get().saturating_sub(bytes));
    }

    /// Whether a body for this key may be stored apart: one at a time for a key, and so many in all. What began before `gone` has lost
    /// its request.
    pub fn begin_apart(&self, key: &Key, now: u64, gone: u64) -> bool {
        let mut apart = self.apart.borrow_mut();
        apart.retain(|_, began| *began >= gone);
        let may = apart.len() < MOST_APART && !apart.contains_key(key);
        if may {
            apart.insert(key.clone(), now);
        }
        may
    }

    /// It has been, or not.
    pub fn end_apart(&self, key: &Key, began: u64) {
        let mut apart = self.apart.borrow_mut();
        if apart.get(key) == Some(&began) {
            apart.remove(key);
        }
    }

    /// Those that began before a moment: their requests must be gone. They are known no longer.
    pub fn sweep(&self, before: u64) -> Vec<u32> {
        let gone: Vec<_> = self.by_key.borrow().values().filter(|flight| flight.began < before).cloned().collect();
        gone.iter().for_each(|flight| self.close(flight));
        gone.iter().map(|flight| flight.number).collect()
    }

    pub fn under_way(&self) -> usize {
        self.under_way.get()
    }
}
