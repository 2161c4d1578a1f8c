//! Leases: of many isolates that lack a key one loads it, and the others wait for what it stores.
//!
//! A lease says who loads, and nothing of what is true: two holders cost a second load, never a wrong value. So leases lie in memory,
//! and one that was lost with it is given anew.

use hashbrown::HashMap;

use super::breaker::{Breaker, BreakerOptions, BreakerState, Change};
use crate::time::{Timestamp, Ttl};

/// So many leases are known at once.
const MOST: usize = 100_000;

/// Who loads which key, at the one place that all isolates ask.
#[derive(Debug, Default)]
pub struct Leases {
    held: HashMap<Box<str>, Lease>,
    last: u64,
    /// When the leases that have ended were last looked for.
    swept_at: Timestamp,
}

#[derive(Debug)]
struct Lease {
    token: u64,
    until: Timestamp,
}

/// What came of asking for a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquired {
    /// It is the asker's, by this token, from 1 on.
    Granted(u64),
    /// Another holds it, for so many ms unless it renews it.
    Held(u64),
    /// Too many are held: load without one.
    Full,
}

impl Leases {
    /// Asks for a key's lease, for `ttl` ms. One that was not renewed in time is taken over.
    pub fn acquire(&mut self, now: Timestamp, key: &str, ttl: u64) -> Acquired {
        if let Some(lease) = self.held.get(key)
            && now < lease.until
        {
            return Acquired::Held(lease.until.millis_since(now));
        }
        if self.held.len() >= MOST {
            // Once in a while, since it takes as long as there are leases.
            if now.millis_since(self.swept_at) < 1_000 {
                return Acquired::Full;
            }
            self.swept_at = now;
            self.held.retain(|_, lease| now < lease.until);
            if self.held.len() >= MOST {
                return Acquired::Full;
            }
        }
        self.last += 1;
        let lease = Lease { token: self.last, until: now.after(Ttl::Millis(ttl)) };
        self.held.insert(key.into(), lease);
        Acquired::Granted(self.last)
    }

    /// The holder lives: `ttl` ms more. `false` if it is the holder no more.
    pub fn renew(&mut self, now: Timestamp, key: &str, token: u64, ttl: u64) -> bool {
        match self.held.get_mut(key) {
            Some(lease) if lease.token == token => {
                lease.until = now.after(Ttl::Millis(ttl));
                true
            }
            _ => false,
        }
    }

    /// The holder has stored the value, or failed. `false` if it was the holder no more.
    pub fn release(&mut self, key: &str, token: u64) -> bool {
        let is_holder = self.held.get(key).is_some_and(|lease| lease.token == token);
        if is_holder {
            self.held.remove(key);
        }
        is_holder
    }

    /// How many are known, those that have ended among them.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

/// A breaker for calls of whatever is not a tier.
#[derive(Debug)]
pub struct Gate(Breaker);

/// What is worth a line in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateChange {
    /// Nothing.
    None,
    /// It fails, for the first time since all was well.
    Failing,
    /// It works again.
    Recovered,
}

impl Gate {
    /// A gate that lets all calls through.
    pub fn new(options: BreakerOptions) -> Self {
        Self(Breaker::new(options))
    }

    /// Whether a call may be made that takes `timeout` ms at the most.
    pub fn admits(&mut self, now: Timestamp, timeout: u64) -> bool {
        self.0.admits(now, timeout)
    }

    /// What it lets through.
    pub fn state(&self, now: Timestamp) -> BreakerState {
        self.0.state(now)
    }

    /// A call has ended, well or not.
    pub fn handle_end(&mut self, now: Timestamp, well: bool) -> GateChange {
        match if well { self.0.succeeded(now) } else { self.0.failed(now) } {
            Change::None => GateChange::None,
            Change::Failing => GateChange::Failing,
            Change::Recovered => GateChange::Recovered,
        }
    }
}
