//! How a chain of tiers is made, and put below a cache.

use std::fmt;
use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use super::handle::Tiered;
use super::settings::{Settings, Store};
use crate::engine::cache::Cache;
use crate::engine::runtime::Runtime;
use crate::error::OptionError;
use crate::tier::{ChainOptions, Seal};
use crate::tiers::options::{DAY, millis};
use crate::tiers::{Codec, Json, Tier, TierOptions};

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

    /// How values are written: [`Json`] if nothing is said, [`MessagePack`](crate::tiers::MessagePack), [`Bytes`](crate::tiers::Bytes), or one of your own.
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

const MOST_TIERS: usize = 8;
const SHORTEST_SECRET: usize = 16;

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
