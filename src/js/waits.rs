//! How waits end, and when.

use nearcache::core::{Slot, Softened, WaitId, Wake, Who};
use nearcache::numbers::to_time;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::codes::*;
use crate::numbers::with;

#[wasm_bindgen]
impl Core {
    /// So many more gets like the one that was told to join this group, of which nothing was told meanwhile.
    pub fn join_more(&mut self, flight: u32, group: u32, callers: u32) {
        if let Some(wait) = self.wait(flight, group) {
            self.machine.join_more(wait, callers);
        }
    }

    /// A waiter of a group (`background`: the cache itself) leaves before its deadline. `LAST` if nobody waits any more:
    /// the flight has ended, and its load is to stop. And `NEWS`.
    pub fn leave(&mut self, flight: u32, group: u32, asker: i32, background: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let who = self.who(asker, background);
        let last = self.machine.leave(wait, who);
        self.last(last)
    }

    /// As `leave`, at its hard deadline.
    pub fn time_out(&mut self, flight: u32, group: u32, asker: i32, background: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let who = self.who(asker, background);
        let last = self.machine.time_out(wait, who);
        self.last(last)
    }

    /// The next group whose deadline has come, with its flight above: `SOFT`, or `TIMED_OUT`, with `LAST` as in `leave`;
    /// -1 when there is none. There may be news.
    pub fn timeout(&mut self, now: f64) -> f64 {
        match self.machine.timeout(to_time(now)) {
            None => -1.0,
            Some(Wake::Soft(wait)) => with(wait.group | SOFT, wait.flight.index()),
            Some(Wake::TimedOut { wait, last }) => {
                with(wait.group | TIMED_OUT | if last { LAST } else { 0 }, wait.flight.index())
            }
        }
    }

    /// The earliest deadline of a wait; infinity if there is none.
    pub fn next_deadline(&mut self) -> f64 {
        self.machine.next_deadline().map_or(f64::INFINITY, |at| at.as_millis() as f64)
    }

    /// A group's soft deadline has come, or that of one in it (`all`: false). 1 if the value in `slot`, which is the key's
    /// now, will do; the cache itself then waits in their place. 0 if not: they wait on.
    pub fn soften(&mut self, flight: u32, group: u32, slot: u32, now: f64, all: bool) -> u32 {
        let Some(wait) = self.wait(flight, group) else { return 0 };
        let callers = if all { self.machine.callers(wait) } else { 1 };
        match self.machine.soften(wait, callers, Slot::new(slot), to_time(now), true) {
            Softened::No => 0,
            Softened::Yes | Softened::Held | Softened::Ended => 1,
        }
    }
}

impl Core {
    fn wait(&self, flight: u32, group: u32) -> Option<WaitId> {
        Some(WaitId { flight: self.flight(flight)?, group })
    }

    fn who(&self, asker: i32, background: bool) -> Who {
        if background { Who::Cache } else { Who::Caller(self.node(asker)) }
    }

    fn last(&self, last: bool) -> u32 {
        self.news() | if last { LAST } else { 0 }
    }
}
