//! Leases, for the object that gives them and for those who ask.

use nearcache::tier::{self, Acquired, BreakerOptions, GateChange};
use wasm_bindgen::prelude::wasm_bindgen;

use super::figures::state_name;
use super::to_time;

/// Who loads which key.
#[wasm_bindgen]
#[derive(Default)]
pub struct Leases {
    leases: tier::Leases,
}

#[wasm_bindgen]
impl Leases {
    /// None.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Leases {
        Leases::default()
    }

    /// A token above 0; 0 where there are too many leases; or below 0 for how long another holds it.
    pub fn acquire(&mut self, now: f64, key: &str, ttl: f64) -> f64 {
        match self.leases.acquire(to_time(now), key, ttl as u64) {
            Acquired::Granted(token) => token as f64,
            Acquired::Held(millis) => -(millis as f64),
            Acquired::Full => 0.0,
        }
    }

    /// Whether the token is still the holder's.
    pub fn renew(&mut self, now: f64, key: &str, token: f64, ttl: f64) -> bool {
        self.leases.renew(to_time(now), key, token as u64, ttl as u64)
    }

    /// Whether it was.
    pub fn release(&mut self, key: &str, token: f64) -> bool {
        self.leases.release(key, token as u64)
    }
}

/// A breaker for calls of the object.
#[wasm_bindgen]
pub struct Gate {
    gate: tier::Gate,
}

#[wasm_bindgen]
impl Gate {
    /// After so many failures in a row it lets nothing through for `cooldown`.
    #[wasm_bindgen(constructor)]
    pub fn new(failures: u32, cooldown: f64) -> Gate {
        Gate { gate: tier::Gate::new(BreakerOptions { failures, cooldown: cooldown as u64 }) }
    }

    /// Whether a call may be made.
    pub fn admits(&mut self, now: f64, timeout: f64) -> bool {
        self.gate.admits(to_time(now), timeout as u64)
    }

    /// "closed", "open" or "half-open".
    pub fn state(&self, now: f64) -> String {
        state_name(self.gate.state(to_time(now))).to_owned()
    }

    /// 1 if it fails, for the first time; 2 if it works again; else 0.
    pub fn ended(&mut self, now: f64, well: bool) -> u8 {
        match self.gate.handle_end(to_time(now), well) {
            GateChange::None => 0,
            GateChange::Failing => 1,
            GateChange::Recovered => 2,
        }
    }
}
