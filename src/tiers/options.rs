//! How a chain of tiers is made.

use std::fmt;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use super::codec::{Codec, Json};
use super::{AnyTier, Tier};
use crate::engine::{Cache, Runtime, Tiered};
use crate::error::OptionError;
use crate::tier::{self, ChainOptions, Seal};
use crate::time::Ttl;

/// How a chain treats a tier. A number out of bounds counts as the nearest within.
#[derive(Clone, Copy, Debug, Default)]
pub struct TierOptions {
    pub(crate) machine: tier::TierOptions,
    pub(crate) through: bool,
}

impl TierOptions {
    /// All as it is if nothing is said.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest time that a value stays, in whole milliseconds. The chain's [`max_lifetime`](Tiers::max_lifetime) if nothing is said.
    #[must_use]
    pub fn ttl(mut self, ttl: impl Into<Ttl>) -> Self {
        self.machine.ttl = ttl.into();
        self
    }

    /// How long one read or write may take, in whole milliseconds: what a broken tier can cost. 250 ms if nothing is said, a day
    /// at the most.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.machine.timeout = millis(timeout).min(DAY);
        self
    }

    /// After so many failures in a row, one at least, the tier is left alone for `cooldown`; twice as long each time that the trial
    /// after it fails, up to 16 times. 5 and 5 s if nothing is said. Reading and writing count by themselves.
    #[must_use]
    pub fn breaker(mut self, failures: u32, cooldown: Duration) -> Self {
        self.machine.breaker = tier::BreakerOptions { failures: failures.max(1), cooldown: millis(cooldown) };
        self
    }

    /// A load waits until its value is stored in the tier, for `timeout` at the most. If nothing is said it does not wait.
    #[must_use]
    pub fn write_through(mut self) -> Self {
        self.through = true;
        self
    }

    /// So many bytes may be on their way to the tier; more is not written. 16 MiB if nothing is said.
    #[must_use]
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.machine.max_pending_bytes = bytes;
        self
    }

    /// Values that are larger as they are stored are kept from the tier, and count as too large, not as failures. If nothing is said,
    /// none is.
    #[must_use]
    pub fn max_value_bytes(mut self, bytes: usize) -> Self {
        self.machine.max_value_bytes = bytes;
        self
    }
}

/// One tier, and what is said of it.
pub(crate) struct Store {
    pub name: String,
    pub tier: Rc<dyn AnyTier>,
    pub options: TierOptions,
}

/// What a chain is made of.
pub(crate) struct Settings {
    pub chain: ChainOptions,
    pub seal: Seal,
    pub stores: Vec<Store>,
    pub log: Box<dyn Fn(&str)>,
    /// Payloads from so many bytes on are compressed.
    pub compress_from: usize,
}

/// Tiers for a cache, read in order. Nothing is asked or opened before there is one [`over`](Self::over) them.
///
/// What is said of the whole chain has to be the same wherever its stores are shared; so has the [`codec`](Self::codec), or
/// the others' values are loaded anew.
pub struct Tiers<C = Json> {
    settings: Settings,
    codec: C,
    short_secret: bool,
}

impl Tiers {
    /// Without any tier; values by serde as JSON.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Default for Tiers {
    fn default() -> Self {
        let settings = Settings {
            chain: ChainOptions::default(),
            seal: Seal::default(),
            stores: Vec::new(),
            log: Box::new(warn),
            compress_from: usize::MAX,
        };
        Self { settings, codec: Json, short_secret: false }
    }
}

impl<C> Tiers<C> {
    /// A tier below those that are there already; as many as eight.
    #[must_use]
    pub fn tier(self, tier: impl Tier) -> Self {
        self.tier_with(tier, |options| options)
    }

    /// [`tier`](Self::tier), with options that are made from the tier's own:
    /// `.tier_with(redis, |options| options.ttl(HOUR).write_through())`.
    #[must_use]
    pub fn tier_with(mut self, tier: impl Tier, alter: impl FnOnce(TierOptions) -> TierOptions) -> Self {
        let (name, options) = (tier.name().to_owned(), alter(tier.options()));
        self.settings.stores.push(Store { name, tier: Rc::new(tier), options });
        self
    }

    /// Whatever lies in a tier ends so long after its load began, stale windows included; and so long a purge is remembered. A day
    /// if nothing is said; 100 years at the most.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.settings.chain.max_lifetime = millis(lifetime).min(100 * 365 * DAY);
        self
    }

    /// By how much the clocks of those who share the tiers may differ. 500 ms if nothing is said.
    #[must_use]
    pub fn clock_skew(mut self, skew: Duration) -> Self {
        self.settings.chain.clock_skew = millis(skew).min(DAY);
        self
    }

    /// How long a write may be on its way to a store, also one that was given up. A second if nothing is said. What is loaded within
    /// this time and [`clock_skew`](Self::clock_skew) after a purge is not shared by tiers.
    #[must_use]
    pub fn late_writes(mut self, late: Duration) -> Self {
        self.settings.chain.late_writes = millis(late).min(DAY);
        self
    }

    /// Adds a secret of 16 bytes or more: the first one signs all that is stored (HMAC-SHA-256), all of them verify, and what is not
    /// signed is not believed; so that who can write to a store can't make the cache believe it. Not signed if nothing is said.
    #[must_use]
    pub fn secret(mut self, secret: &[u8]) -> Self {
        self.short_secret |= secret.len() < SHORTEST_SECRET;
        self.settings.seal = std::mem::take(&mut self.settings.seal).with_secret(secret);
        self
    }

    /// Told once when a tier begins to fail, when it works again, and once a minute at most of bytes that are refused. If nothing is said,
    /// the standard error, in wasm `console.warn`.
    #[must_use]
    pub fn log(mut self, log: impl Fn(&str) + 'static) -> Self {
        self.settings.log = Box::new(log);
        self
    }

    /// Values that take so many bytes are compressed (deflate), where that makes them smaller. If nothing is said, none is. Compressed ones
    /// are read anyway, up to 64 MiB of them.
    #[must_use]
    pub fn compress_from(mut self, bytes: usize) -> Self {
        self.settings.compress_from = bytes;
        self
    }

    /// How values are written: [`Json`] if nothing is said, [`MessagePack`](super::MessagePack), [`Bytes`](super::Bytes), or one of your own.
    #[must_use]
    pub fn codec<D>(self, codec: D) -> Tiers<D> {
        Tiers { settings: self.settings, codec, short_secret: self.short_secret }
    }

    /// Puts a cache on top. It is to be asked by what this returns: by its own handles nothing below is known.
    ///
    /// Keys are written by serde, strings as they are; a key that serde can't write is in memory alone.
    ///
    /// # Errors
    /// [`OptionError`] if there is no tier, or more than eight, or two of one name, or a secret is shorter than 16 bytes.
    pub fn over<K, V, R>(self, cache: Cache<K, V, R>) -> Result<Tiered<K, V, R>, OptionError>
    where
        K: Hash + Eq + Clone + Serialize + 'static,
        V: Clone + 'static,
        C: Codec<V>,
        R: Runtime,
    {
        let stores = &self.settings.stores;
        let refused =
            |option: &str, given: String, allowed| Err(OptionError { option: option.to_owned(), given, allowed });
        if stores.is_empty() || stores.len() > MOST_TIERS {
            return refused("tiers", format!("{} tiers", stores.len()), "1 to 8 tiers");
        }
        let is_twice = |at: usize, name: &str| stores.iter().take(at).any(|other| other.name == name);
        if let Some((_, twice)) = stores.iter().enumerate().find(|(at, store)| is_twice(*at, &store.name)) {
            return refused("tiers", format!("two tiers {:?}", twice.name), "tiers with names of their own");
        }
        if self.short_secret {
            return refused("secret", "one that is too short".to_owned(), "16 bytes or more");
        }
        Ok(Tiered::new(cache, self.settings, Box::new(self.codec)))
    }
}

impl<C> fmt::Debug for Tiers<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.settings.stores.iter().map(|store| store.name.as_str()).collect();
        f.debug_struct("Tiers").field("tiers", &names).field("options", &self.settings.chain).finish_non_exhaustive()
    }
}

const DAY: u64 = 86_400_000;
const MOST_TIERS: usize = 8;
const SHORTEST_SECRET: usize = 16;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(not(target_family = "wasm"))]
fn warn(line: &str) {
    eprintln!("{line}");
}

#[cfg(target_family = "wasm")]
use console::warn;

#[cfg(target_family = "wasm")]
mod console {
    use wasm_bindgen::prelude::wasm_bindgen;

    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = console)]
        pub fn warn(line: &str);
    }
}
