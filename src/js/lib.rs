//! The wasm-bindgen side of the npm class: conversions and calls, no decisions.
//!
//! The JS side maps keys to slots and keeps the values; what crosses is numbers. An answer has a slot or the place of a
//! group of waiters in its low 27 bits (0: none), a kind in the next four, and the flag `NEWS` above; where it is an
//! `f64`, a second number stands above these 32 bits: a flight's, a write's, or milliseconds. `pkg/src/core/core.ts` names the
//! same bits. A number that is not said is NaN, a hash 0.
//!
//! A hit does not come here: the JS side sees three columns of the core through views over this memory.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod call_options;
mod codes;
mod columns;
mod entries;
mod figures;
mod loads;
mod numbers;
mod policies;
mod purges;
mod snapshot;
mod turns;
mod waits;
mod writes;

use nearcache::core::{BatchId, ComputeQueue, EvictionPolicy, FlightId, Machine, Node, Part, Timers};
use nearcache::numbers::to_ttl;
use nearcache::options::{Limits, LoadLimits};
use wasm_bindgen::prelude::wasm_bindgen;

use call_options::CallOptions;
use codes::*;
use policies::Policies;

#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();

/// The machine behind one cache.
#[wasm_bindgen]
pub struct Core {
    machine: Machine,
    policies: Policies,
    computes: Vec<ComputeQueue>,
    windows: Vec<figures::RecentFigures>,
}

#[wasm_bindgen]
impl Core {
    /// Numbers as `pkg/src/options/options.ts` has checked them: infinity is no bound. With `shared_timer` one timer serves all waits.
    /// `seed` is 32 random bits.
    #[wasm_bindgen(constructor)]
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn new(
        max_entries: f64,
        max_bytes: f64,
        max_entry_bytes: f64,
        usual_ttl: f64,
        shared_timer: bool,
        lru: bool,
        seed: u32,
        max_concurrent_loads: f64,
        loads_per_second: f64,
        max_queued_loads: f64,
        purge_stale_every: f64,
    ) -> Core {
        let limits = Limits::new(max_entries as u64, max_bytes as u64, max_entry_bytes as u64);
        let timers = if shared_timer { Timers::Shared } else { Timers::Own };
        let eviction = if lru { EvictionPolicy::Lru } else { EvictionPolicy::Adaptive };
        let mut machine = Machine::with_eviction(limits, to_ttl(usual_ttl), timers, eviction).with_seed(seed);
        let loads = LoadLimits::new().max_concurrent(max_concurrent_loads as u32).per_second(loads_per_second);
        machine.limit_loads(loads.max_queued(max_queued_loads as u32));
        if purge_stale_every.is_finite() {
            machine.purge_stale_every(to_ttl(purge_stale_every));
        }
        Core { machine, policies: Policies::default(), computes: Vec::new(), windows: Vec::new() }
    }

    /// Gives a number, the next or one that another policy had, to the policy that does what a cache does if nobody says
    /// anything (which is number 0) but for the numbers that are `said`.
    pub fn policy(&mut self, number: u32, said: &[f64], checked: bool) {
        let mut patch = CallOptions::read(said).patch;
        patch.checked = checked.then_some(true);
        self.policies.put(number, Policies::DEFAULT.patched(&patch));
    }

    /// The number of the namespace of this name in another (0: the root); -1 when there is none left.
    pub fn namespace(&mut self, parent: u8, name: &str) -> i32 {
        self.machine.namespace(parent, name).map_or(-1, i32::from)
    }

    /// The number of a part of the cache, whose names of scopes are joined by U+0000. A scope's holds until the next
    /// scope is opened, and while it has keys.
    pub fn open(&mut self, namespace: u8, scope: &str) -> u32 {
        self.machine.open_partition(Part { namespace, scope }).map_or(0, |partition| partition.0)
    }
}

impl Core {
    fn flight(&self, number: u32) -> Option<FlightId> {
        self.machine.flight_at(number)
    }

    fn node(&self, asker: i32) -> Option<Node> {
        match u32::try_from(asker) {
            Ok(flight) => self.flight(flight).map(Node::Flight),
            Err(_) if asker == -1 => None,
            Err(_) => Some(Node::Batch(BatchId::new(asker.unsigned_abs() - 1))),
        }
    }

    #[inline]
    fn news(&self) -> u32 {
        news(&self.machine)
    }
}

#[inline]
fn news(machine: &Machine) -> u32 {
    if machine.has_news() { NEWS } else { 0 }
}
