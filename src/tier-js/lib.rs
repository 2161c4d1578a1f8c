//! The wasm-bindgen side of `nearcache/tiers`: conversions and calls, no decisions.
//!
//! Times and durations are milliseconds; infinity is no end. How a call of a tier ended is 0 for well, 1 for an error, 2 for a
//! timeout.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod figures;
mod lease;
mod message;
mod purge_log;
mod snapshot;

use js_sys::{Array, Uint8Array};
use nearcache::numbers::{from_ttl, to_time, to_ttl};
use nearcache::options::EntryPolicy;
use nearcache::tier::{
    self, BreakerOptions, ChainOptions, Failure, Lifetimes, NewValue, Place, Purge, ReadOutcome, Seal, TierOptions,
    Written,
};
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::wasm_bindgen;

/// The name of a part of a cache: see the crate's `tier::names`.
#[wasm_bindgen]
pub fn place(namespaces: Vec<String>, scopes: Vec<String>) -> String {
    Place::new(&namespaces, &scopes).as_str().to_owned()
}

/// A chain of tiers.
#[wasm_bindgen]
pub struct Chain {
    chain: tier::Chain,
    windows: figures::RecentFigures,
}

#[wasm_bindgen]
impl Chain {
    /// The first of `secrets` signs; without any, nothing is signed.
    #[wasm_bindgen(constructor)]
    pub fn new(max_lifetime: f64, clock_skew: f64, late_writes: f64, secrets: Vec<Uint8Array>, marks: bool) -> Chain {
        let options = ChainOptions {
            max_lifetime: max_lifetime as u64,
            clock_skew: clock_skew as u64,
            late_writes: late_writes as u64,
            marks,
        };
        Chain { chain: tier::Chain::new(options, seal_of(&secrets)), windows: figures::RecentFigures::default() }
    }

    /// Adds a tier below the others; `false` if there are too many.
    pub fn add_tier(
        &mut self,
        timeout: f64,
        ttl: f64,
        failures: u32,
        cooldown: f64,
        max_pending_bytes: f64,
        max_value_bytes: f64,
    ) -> bool {
        let options = TierOptions {
            timeout: timeout as u64,
            ttl: to_ttl(ttl),
            breaker: BreakerOptions { failures, cooldown: cooldown as u64 },
            max_pending_bytes: max_pending_bytes as usize,
            max_value_bytes: max_value_bytes as usize,
        };
        self.chain.add_tier(options).is_some()
    }

    /// What to store of a value where, if anything. `numbers`: its ttl, stale windows and idle ttl, jitter, and a random number for that.
    #[expect(clippy::too_many_arguments, reason = "numbers cross more cheaply than an object")]
    pub fn write(
        &mut self,
        now: f64,
        place: &str,
        key: &str,
        generation: f64,
        number: f64,
        numbers: &[f64],
        tags: Vec<String>,
        codec: u8,
        compressed: bool,
        weight: f64,
        age: f64,
        replaces: bool,
        payload: &[u8],
    ) -> Option<Write> {
        let Ok([ttl, stale_while_revalidate, stale_if_error, idle_ttl, jitter, random]) = <[f64; 6]>::try_from(numbers)
        else {
            return None;
        };
        let mut policy = EntryPolicy::of(to_ttl(ttl));
        policy.stale_while_revalidate = to_ttl(stale_while_revalidate);
        policy.stale_if_error = to_ttl(stale_if_error);
        policy.idle_ttl = to_ttl(idle_ttl);
        policy.jitter = jitter;
        let value = NewValue {
            place: &Place::from_name(place),
            key,
            generation: to_time(generation),
            number: number as u64,
            lifetimes: Lifetimes::below(&policy, random),
            age: age as u64,
            tags: tags.iter().map(String::as_str).collect(),
            codec,
            compressed,
            weight: (!weight.is_nan()).then_some(weight as u32),
            replaces,
            payload,
        };
        self.chain.write(to_time(now), &value).map(|write| Write { write })
    }

    /// A write to a tier has ended: the values' names; of each its generation, its number or NaN, and 1 if it replaces others; and
    /// the bytes of all.
    pub fn written(&mut self, tier: u8, now: f64, names: Vec<String>, numbers: &[f64], bytes: f64, end: u8) {
        let values: Vec<Written<'_>> = names
            .iter()
            .zip(numbers.as_chunks().0)
            .map(|(name, &[generation, number, replaces])| Written {
                name,
                generation: to_time(generation),
                number: (!number.is_nan()).then_some(number as u64),
                replaces: replaces != 0.0,
            })
            .collect();
        self.chain.handle_written(tier.into(), to_time(now), &values, bytes as usize, to_failure(end));
    }

    /// A value of so many bytes is not written to a tier, since a newer one of its key is.
    pub fn overtaken(&mut self, tier: u8, bytes: f64) {
        self.chain.handle_overtaken(tier.into(), bytes as usize);
    }

    /// Whether keys of this part use any tier.
    pub fn uses_any(&self, place: &str) -> bool {
        self.chain.uses_any(&Place::from_name(place))
    }

    /// A key (`kind` 0), what bears a tag (1), or all in a part (2) was purged; with `here` somebody else tells the tiers; with `at` a
    /// log told that it was then.
    pub fn purge(&mut self, now: f64, place: &str, kind: u8, of: &str, here: bool, at: Option<f64>) {
        let purge = match kind {
            0 => Purge::Key(of),
            1 => Purge::Tag(of),
            _ => Purge::All,
        };
        let (now, place) = (to_time(now), Place::from_name(place));
        match at {
            Some(at) => self.chain.purge_logged(now, to_time(at), &place, purge),
            None if here => self.chain.purge_here(now, &place, purge),
            None => self.chain.purge(now, &place, purge),
        }
    }

    /// A value was set; its number.
    pub fn supersede(&mut self, now: f64, place: &str, key: &str) -> f64 {
        self.chain.supersede(to_time(now), &Place::from_name(place), key) as f64
    }

    /// A load begins; its number.
    pub fn begin(&mut self) -> f64 {
        self.chain.begin() as f64
    }

    /// Whether a tier has yet to be told of purges.
    pub fn owes(&self, tier: u8) -> bool {
        self.chain.owes(tier.into())
    }

    /// What a tier has to be told of purges now.
    pub fn delivery(&mut self, tier: u8, now: f64) -> Option<Delivery> {
        self.chain.poll_delivery(tier.into(), to_time(now)).map(|delivery| Delivery { delivery })
    }

    /// It was told, or could not be.
    pub fn delivered(&mut self, tier: u8, now: f64, delivery: &Delivery, end: u8) {
        self.chain.handle_delivered(tier.into(), to_time(now), &delivery.delivery, to_failure(end));
    }

    /// The next thing that is worth a line in a log: `failing`, `recovered` or `refused`; which tier; and at what, or why.
    pub fn event(&mut self) -> Option<Vec<String>> {
        self.chain.poll_event().map(figures::event)
    }

    /// Keys of a part's namespace, and of those within it, use these tiers only.
    pub fn restrict(&mut self, place: &str, tiers: &[u8]) {
        self.chain.restrict(&Place::from_name(place), tiers.iter().map(|&tier| tier.into()));
    }
}

/// One read of one key or many.
#[wasm_bindgen]
pub struct Read {
    read: tier::Read,
}

#[wasm_bindgen]
impl Read {
    /// Of these keys in these places.
    #[wasm_bindgen(constructor)]
    pub fn new(places: Vec<String>, keys: Vec<String>, refresh: bool) -> Read {
        let places = places.iter().map(|place| Place::from_name(place));
        Read { read: tier::Read::new(places.zip(keys), refresh) }
    }

    /// What to get from which tier next; nothing when all is known.
    pub fn poll(&mut self, chain: &mut Chain, now: f64) -> Option<Step> {
        match self.read.poll(&mut chain.chain, to_time(now)) {
            tier::Step::Get { tier, names, timeout } => {
                Some(Step { tier: tier as u8, timeout: timeout as f64, names: names.to_vec() })
            }
            tier::Step::Done => None,
        }
    }

    /// What lay under the names: bytes, or anything else for nothing.
    pub fn answers(&mut self, chain: &mut Chain, now: f64, answers: &Array) {
        let answers: Vec<_> = answers.iter().map(|answer| answer.dyn_into().ok().map(to_bytes)).collect();
        self.read.handle_answers(&mut chain.chain, to_time(now), &answers);
    }

    /// The tier failed.
    pub fn failed(&mut self, chain: &mut Chain, now: f64, end: u8) {
        let failure = to_failure(end).unwrap_or(Failure::Error);
        self.read.handle_failure(&mut chain.chain, to_time(now), failure);
    }

    /// What was found of a key, if anything that may be of use.
    pub fn found(&self, chain: &Chain, now: f64, item: u32) -> Option<Found> {
        let (found, is_answer) = match self.read.outcome(&chain.chain, to_time(now), item as usize) {
            ReadOutcome::Answer(found) => (found.clone(), true),
            ReadOutcome::Load(Some(found)) => (found.clone(), false),
            ReadOutcome::Load(None) => return None,
        };
        Some(Found { found, is_answer })
    }

    /// Whether all tiers that were wanted have answered.
    pub fn is_whole(&self) -> bool {
        self.read.is_whole()
    }

    /// What to copy upwards: for each its item, tier, ttl and bytes.
    pub fn promotions(&self, chain: &mut Chain, now: f64) -> Vec<f64> {
        let promotions = self.read.promotions(&mut chain.chain, to_time(now));
        let numbers = promotions
            .iter()
            .flat_map(|one| [one.item as f64, one.put.tier as f64, one.put.ttl as f64, one.bytes as f64]);
        numbers.collect()
    }

    /// Under which name a key's value lies.
    pub fn name(&self, item: u32) -> Option<String> {
        self.read.name(item as usize).map(str::to_owned)
    }
}

/// What to get next.
#[wasm_bindgen(getter_with_clone)]
pub struct Step {
    /// From which tier.
    pub tier: u8,
    /// For how long to wait.
    pub timeout: f64,
    /// What lies under these names.
    pub names: Vec<String>,
}

/// A value that was found.
#[wasm_bindgen]
pub struct Found {
    found: tier::Found,
    is_answer: bool,
}

#[wasm_bindgen]
impl Found {
    /// Whether it is the answer; else it may stand in for a load that fails.
    pub fn is_answer(&self) -> bool {
        self.is_answer
    }

    /// For how long it has been stored; -1 once it is of no use any more.
    pub fn age(&self, now: f64) -> f64 {
        self.found.age(to_time(now)).map_or(-1.0, |age| age as f64)
    }

    /// Whether it is newer than what memory has had since then.
    pub fn is_newer(&self, chain: &Chain, since: f64) -> bool {
        self.found.is_newer(&chain.chain, to_time(since))
    }

    /// When its load began.
    pub fn generation(&self) -> f64 {
        self.found.generation.as_millis() as f64
    }

    /// In which tier it was found.
    pub fn tier(&self) -> u8 {
        self.found.tier as u8
    }

    /// How its payload is written.
    pub fn codec(&self) -> u8 {
        self.found.codec
    }

    /// Whether its payload is compressed.
    pub fn compressed(&self) -> bool {
        self.found.compressed
    }

    /// Where its payload begins and ends in the bytes; its lifetimes; its weight, or NaN.
    pub fn numbers(&self) -> Vec<f64> {
        let Lifetimes { ttl, stale_while_revalidate, stale_if_error } = self.found.lifetimes;
        let mut numbers = vec![self.found.payload.start as f64, self.found.payload.end as f64];
        numbers.extend([ttl, stale_while_revalidate, stale_if_error].map(from_ttl));
        numbers.push(self.found.weight.map_or(f64::NAN, f64::from));
        numbers
    }

    /// By what it can be purged.
    pub fn tags(&self) -> Vec<String> {
        self.found.tags.clone()
    }
}

/// Bytes to be stored under a name.
#[wasm_bindgen]
pub struct Write {
    write: tier::Write,
}

#[wasm_bindgen]
impl Write {
    /// The name.
    pub fn name(&self) -> String {
        self.write.name.clone()
    }

    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        self.write.bytes.clone()
    }

    /// For each tier in which to store them, its number and the ttl.
    pub fn puts(&self) -> Vec<f64> {
        self.write.puts.iter().flat_map(|put| [put.tier as f64, put.ttl as f64]).collect()
    }
}

/// What a tier has to be told of purges.
#[wasm_bindgen]
pub struct Delivery {
    delivery: tier::Delivery,
}

#[wasm_bindgen]
impl Delivery {
    /// The names of its marks.
    pub fn names(&self) -> Vec<String> {
        self.delivery.marks.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The bytes of each.
    pub fn bytes(&self) -> Array {
        self.delivery.marks.iter().map(|(_, bytes)| Uint8Array::from(bytes.as_slice())).collect()
    }

    /// How long they have to stay.
    pub fn ttl(&self) -> f64 {
        self.delivery.ttl as f64
    }

    /// Names to be deleted.
    pub fn deletes(&self) -> Vec<String> {
        self.delivery.deletes.clone()
    }
}

/// The first of the secrets signs; without any, nothing is signed.
fn seal_of(secrets: &[Uint8Array]) -> Seal {
    secrets.iter().fold(Seal::default(), |seal, secret| seal.with_secret(&secret.to_vec()))
}

fn to_bytes(bytes: Uint8Array) -> Vec<u8> {
    bytes.to_vec()
}

fn to_failure(end: u8) -> Option<Failure> {
    match end {
        0 => None,
        1 => Some(Failure::Error),
        _ => Some(Failure::Timeout),
    }
}
