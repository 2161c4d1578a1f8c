//! How keys are asked for, and how their loads end.

use nearcache::core::{
    Answer, Ask, Counted, Failure, LoadOutcome, LoadedValue, Machine, MissCause, Node, PartitionId, Settled, Slot,
    StaleCause,
};
use nearcache::numbers::to_time;
use nearcache::options::{Policy, PolicyPatch, Priority};
use wasm_bindgen::prelude::wasm_bindgen;

use crate::Core;
use crate::call_options::CallOptions;
use crate::codes::*;
use crate::news;
use crate::numbers::{said_ttl, to_hash, to_tags, to_weight, with};

#[wasm_bindgen]
impl Core {
    /// Asks for a key under a policy, for the first time, with nothing else said. `asker` is the flight whose loader asks,
    /// or a batch (-1: none); without a `random` (NaN) nothing is refreshed ahead.
    ///
    /// A slot to hand out with `HIT`, `STALE_…`, `FAILED` or `REFRESH_…`, the last with a flight above; a group with `JOIN`
    /// and its flight above; a slot with `LEAD_…` and the flight above, whose leader's group is 0; `RECURSIVE`,
    /// `TIMED_OUT`, `FULL`. And `NEWS`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn ask(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        invalid: bool,
        random: f64,
        asker: i32,
    ) -> f64 {
        let asker = self.node(asker);
        let Self { machine, policies, .. } = self;
        let ask = Ask { invalid, ..question(slot, partition, hash, now, policies.get(policy), false, random, asker) };
        answer(machine, &ask)
    }

    /// As `ask`, with what else may be said of it. `again`: 0 for the first time, else what it was counted as when it
    /// asked at `asked_at`, 1 for a miss and 2 for a join.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn ask_with(
        &mut self,
        slot: u32,
        partition: u32,
        hash: u32,
        now: f64,
        policy: u32,
        force_fresh: bool,
        invalid: bool,
        random: f64,
        asker: i32,
        asked_at: f64,
        again: u8,
        low_priority: bool,
        batched: bool,
        said: &[f64],
        tags: Option<String>,
    ) -> f64 {
        let CallOptions { mut patch, weight } = CallOptions::read(said);
        patch.priority = low_priority.then_some(Priority::Low);
        let (policy, tags) = (self.policies.get(policy).patched(&patch), to_tags(tags));
        let ask = Ask {
            asked_at: to_time(asked_at),
            again: match again {
                0 => None,
                1 => Some(Counted::Miss),
                _ => Some(Counted::Coalesced),
            },
            tags: &tags,
            invalid,
            batched,
            weight,
            ..question(slot, partition, hash, now, &policy, force_fresh, random, self.node(asker))
        };
        answer(&mut self.machine, &ask)
    }

    /// A load brought a value, of which its loader said nothing but perhaps its bytes. `STORED`, where it belongs in the key's
    /// slot, with the slot of the entry that made room for it, if one did, or `NOT_STORED` or `FLIGHT_ENDED`; `ASK_AGAIN` if some
    /// who waited are to; `NEWS`; above, how many milliseconds it took.
    pub fn brought(&mut self, flight: u32, now: f64, bytes: f64, absent: bool, random: f64) -> f64 {
        self.bring(flight, now, bytes, absent, random, false, 0.0, PolicyPatch::nothing(), &[])
    }

    /// As `brought`, with what the loader said.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn brought_with(
        &mut self,
        flight: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        age: f64,
        said: &[f64],
        tags: Option<String>,
    ) -> f64 {
        let said = CallOptions::read(said).patch;
        self.bring(flight, now, bytes, absent, random, skip, age, &said, &to_tags(tags))
    }

    /// `ask` for a key that has no slot and `brought` in one, where nothing was said, and nothing asked or told between them.
    /// Answers as `insert`.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn load(
        &mut self,
        partition: u32,
        hash: u32,
        asked_at: f64,
        now: f64,
        policy: u32,
        bytes: f64,
        absent: bool,
        random: f64,
    ) -> u32 {
        self.machine.count_load(PartitionId(partition), to_time(asked_at), to_time(now));
        self.insert(0, partition, hash, now, policy, bytes, absent, random)
    }

    /// A load failed; `backoff` is what its loader or the user's rule says. `SERVED_STALE`, where the key's slot has
    /// a value to fall back on, `FAILURE_CACHED`, where the error belongs there, `NOT_STORED` or `FLIGHT_ENDED`; `NEWS`; above, how
    /// many milliseconds it took. Or, if it `may_retry`, `RETRY`, and above, in how many milliseconds.
    pub fn failed(&mut self, flight: u32, now: f64, backoff: f64, may_retry: bool, random: f64) -> f64 {
        let Some(flight) = self.flight(flight) else { return f64::from(FLIGHT_ENDED) };
        let failure = Failure { now: to_time(now), backoff: said_ttl(backoff), may_retry, random };
        let settled = self.machine.failed(flight, &failure);
        self.settled(settled, false)
    }

    /// Whether the load that failed may be tried again now.
    pub fn may_try_again(&mut self, flight: u32, now: f64) -> bool {
        self.flight(flight).is_some_and(|flight| self.machine.may_try_again(flight, to_time(now)))
    }

    /// A load is gone with its request. 0 or `NEWS`.
    pub fn lost(&mut self, flight: u32) -> u32 {
        if let Some(flight) = self.flight(flight) {
            self.machine.lost(flight);
        }
        self.news()
    }

    /// The next flight that nobody can be waiting for any more; -1 when there is none.
    pub fn ended(&mut self) -> i32 {
        self.machine.poll_ended().map_or(-1, |flight| flight.index() as i32)
    }

    /// The next group of the flight that has just ended who are to ask again; -1 when there is none.
    pub fn ask_again(&mut self) -> i32 {
        self.machine.poll_ask_again().map_or(-1, |wait| wait.group as i32)
    }
}

impl Core {
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    fn bring(
        &mut self,
        flight: u32,
        now: f64,
        bytes: f64,
        absent: bool,
        random: f64,
        skip: bool,
        age: f64,
        said: &PolicyPatch,
        tags: &[String],
    ) -> f64 {
        let Some(flight) = self.flight(flight) else { return f64::from(FLIGHT_ENDED) };
        let brought = LoadedValue {
            now: to_time(now),
            said,
            tags,
            weight: to_weight(bytes),
            absent,
            skip,
            random,
            age: age as u64,
        };
        let settled = self.machine.brought(flight, &brought);
        self.settled(settled, self.machine.must_ask_again())
    }

    fn settled(&mut self, settled: Settled, ask_again: bool) -> f64 {
        let mut above = settled.millis;
        let code = match settled.outcome {
            LoadOutcome::Stored(_) => STORED | self.machine.poll_evicted().map_or(0, Slot::number),
            LoadOutcome::ServedStale(_) => SERVED_STALE,
            LoadOutcome::FailureCached(_) => FAILURE_CACHED,
            LoadOutcome::NotStored => NOT_STORED,
            LoadOutcome::FlightEnded => FLIGHT_ENDED,
            LoadOutcome::RetryIn(millis) => {
                above = millis;
                RETRY
            }
        };
        with(code | if ask_again { ASK_AGAIN } else { 0 } | self.news(), above.min(LONGEST_TOLD) as usize)
    }
}

#[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
fn question<'a>(
    slot: u32,
    partition: u32,
    hash: u32,
    now: f64,
    policy: &'a Policy,
    force_fresh: bool,
    random: f64,
    asker: Option<Node>,
) -> Ask<'a> {
    let now = to_time(now);
    Ask {
        slot: Slot::new(slot),
        hash: to_hash(hash),
        partition: PartitionId(partition),
        now,
        asked_at: now,
        again: None,
        policy,
        tags: &[],
        weight: None,
        force_fresh,
        invalid: false,
        background: true,
        detached: false,
        batched: false,
        random: Some(random).filter(|random| *random > 0.0),
        asker,
    }
}

fn answer(machine: &mut Machine, ask: &Ask<'_>) -> f64 {
    let code = match machine.ask(ask) {
        Answer::Hit(slot) => f64::from(HIT | slot.number()),
        Answer::Stale(slot, StaleCause::Revalidate) => f64::from(STALE_REVALIDATE | slot.number()),
        Answer::Stale(slot, _) => f64::from(STALE_ERROR | slot.number()),
        Answer::Failed(slot) => f64::from(FAILED | slot.number()),
        Answer::Join(wait) => with(JOIN | wait.group, wait.flight.index()),
        Answer::StartLoad(slot, flight, cause) => with(lead(cause) | slot.number(), flight.index()),
        Answer::Refresh { slot, flight, stale } => {
            with(if stale { REFRESH_STALE } else { REFRESH_AHEAD } | slot.number(), flight.index())
        }
        Answer::Recursive => f64::from(RECURSIVE),
        Answer::TimedOut => f64::from(TIMED_OUT),
        Answer::Refused(cause) => f64::from(REFUSED | lead(cause) >> KIND_SHIFT),
        Answer::Full => f64::from(FULL),
    };
    code + f64::from(news(machine))
}

fn lead(cause: MissCause) -> u32 {
    match cause {
        MissCause::Absent => LEAD_ABSENT,
        MissCause::Expired => LEAD_EXPIRED,
        MissCause::Invalid => LEAD_INVALID,
        // `Forced`.
        _ => LEAD_FORCED,
    }
}
