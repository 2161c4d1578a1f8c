//! The wasm-bindgen side of `nearcache/http`: an HTTP cache with options of its caller's. What a request comes to is said in
//! [`nearcache_http_bindings`] and below it.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

use std::rc::Rc;

use nearcache::http::rule::{Cookies, Rule, Rules};
use nearcache_http_bindings::{self as bindings, Host, Purged};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Bounds and deadlines, which have been checked. Bytes, and milliseconds.
#[wasm_bindgen]
#[derive(Default)]
pub struct Limits(bindings::Limits);

#[wasm_bindgen]
impl Limits {
    /// The defaults.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one by its name; whether there is one of that name.
    pub fn set(&mut self, name: &str, value: f64) -> bool {
        let (limits, whole) = (&mut self.0, value as u64);
        match name {
            "maxBytes" => limits.max_bytes = whole,
            "maxEntries" => limits.max_entries = whole,
            "maxLoads" => limits.max_loads = value as usize,
            "maxFillingBytes" => limits.max_filling_bytes = whole,
            "softTimeout" => limits.soft_timeout_ms = Some(whole),
            "hardTimeout" => limits.head_timeout_ms = whole,
            "idleTimeout" => limits.idle_timeout_ms = whole,
            "totalTimeout" => limits.total_timeout_ms = whole,
            _ => return false,
        }
        true
    }
}

/// A cache.
#[wasm_bindgen]
pub struct Cache(Rc<bindings::Proxy>);

#[wasm_bindgen]
impl Cache {
    /// With rules as JSON.
    ///
    /// # Errors
    /// What is wrong with the rules, as text.
    #[wasm_bindgen(constructor)]
    pub fn new(limits: Limits, rules: &str, host: Host) -> Result<Self, JsValue> {
        // A fetch that leaves out cookies would be another request than its caller's.
        let base = Rule { cookies: Cookies::Bypass, ..Rule::default() };
        let rules = Rules::from_json(base, rules).map_err(|error| JsValue::from(error.to_string()))?;
        Ok(Self(Rc::new(bindings::Proxy::new(limits.0, rules, host))))
    }

    /// A request with its fields, flat: a `Response`, or a [`bindings::Ask`] where it takes time.
    pub fn ask(&self, method: &str, url: &str, fields: &str) -> JsValue {
        self.0.ask(method, url, bindings::unflatten(fields))
    }

    /// What stores below and other isolates have to do with it.
    pub fn edge(&self) -> bindings::Edge {
        bindings::Edge::new(&self.0)
    }

    /// Takes out all there is, or makes it stale; how many targets that were.
    pub fn purge_everything(&self, soft: bool) -> usize {
        self.0.purge(Purged::Everything, soft)
    }

    /// A URL, or a path and query on every host.
    pub fn purge_url(&self, url: &str, soft: bool) -> usize {
        self.0.purge(self.0.url(url), soft)
    }

    /// All whose URL, or whose path, begins so.
    pub fn purge_prefix(&self, prefix: &str, soft: bool) -> usize {
        self.0.purge(self.0.prefix(prefix), soft)
    }

    /// All that bears a tag.
    pub fn purge_tag(&self, tag: String, soft: bool) -> usize {
        self.0.purge(Purged::Tag(tag), soft)
    }

    /// Figures, as numbers in this order: hits, stale hits, misses, coalesced, loads, refreshes, failed loads, soft timeouts,
    /// evicted for want of room, expired, entries, bytes, loads in flight.
    pub fn stats(&self) -> Vec<f64> {
        let stats = self.0.stats();
        let held = self.0.held();
        let figures = [
            stats.hits,
            stats.stale_hits,
            stats.misses,
            stats.coalesced,
            stats.loads,
            stats.refreshes,
            stats.load_failures,
            stats.soft_timeouts,
            stats.evicted_size,
            stats.evicted_expired,
            held.entries.unwrap_or(0),
            held.bytes.unwrap_or(0),
            held.loads_in_flight.unwrap_or(0),
        ];
        figures.map(|figure| figure as f64).to_vec()
    }

    /// The figures as a page for Prometheus.
    pub fn prometheus(&self) -> String {
        self.0.metrics()
    }
}
