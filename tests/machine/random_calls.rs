//! The machine under random calls in virtual time, driven as both drivers drive it: with one timer for all waits, and
//! with waits that end themselves or vanish. Drivers are late, time leaps over several deadlines, loads end after
//! everybody has left. A model knows what each value is and what was purged when; the rules are checked at each step.
//! `SEED=n` (at compile time) picks the run, `STEPS=n` how long it is.

use nearcache::core::Timers;
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::random::seed;
use crate::sim::Sim;

fn steps() -> u64 {
    let given = std::env::var("STEPS").ok().and_then(|steps| steps.parse().ok());
    given.unwrap_or(if cfg!(debug_assertions) { 40_000 } else { 1_000_000 })
}

fn run(timers: Timers) {
    let (seed, steps) = (seed(), steps());
    println!("seed {seed}, {steps} steps");
    let (mut stored, mut again, mut retries, mut waited, mut refused, mut circles) = (0, 0, 0, 0, 0, 0);
    for run in 0..steps.div_ceil(20_000) {
        let mut sim = Sim::new(seed.wrapping_add(run), timers);
        for _ in 0..steps.min(20_000) {
            sim.step();
        }
        sim.forget();
        stored += sim.stored;
        again += sim.again;
        retries += sim.retries;
        waited += sim.waited;
        refused += sim.refused;
        circles += sim.circles;
    }
    println!("{stored} values stored, {again} waiters asked again, {retries} loads tried again");
    println!("{waited} loads waited for their turn, {refused} were refused, {circles} asks would have closed a circle");
    assert!(steps < 100_000 || waited > steps / 1_000 && refused > steps / 10_000, "the queue showed too little");
    assert!(circles > steps / 1_000, "the run showed too few circles");
    assert!(stored > steps / 100 && again > steps / 10_000 && retries > steps / 1_000, "the run showed too little");
}

#[test]
fn the_rules_hold_where_one_timer_serves_all_waits() {
    run(Timers::Shared);
}

#[test]
fn the_rules_hold_where_waiters_have_timers_of_their_own_and_vanish() {
    run(Timers::Own);
}
