//! The caching reverse proxy for Cloudflare Workers: it forwards to one origin, caches what HTTP lets a shared cache keep, and shares
//! loads across requests. What may be kept and handed out is [`nearcache::http`]'s to say; what takes time is carried out by the driver
//! in `js/`, which calls in here. Here are the Worker's own matters: settings, what is under way, bounds, the operator's routes.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod ask;
mod config;
mod figures;
mod flights;
mod heads;
mod host;
mod operator;
mod proxy;
mod store;
mod trip;

use std::rc::Rc;

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use config::Config;
use host::Host;

/// The isolate's proxy, for the driver.
#[wasm_bindgen]
pub struct Proxy(Rc<proxy::Proxy>);

#[wasm_bindgen]
impl Proxy {
    /// With variables, as names and values by turns.
    ///
    /// # Errors
    /// What is wrong with the first wrong one, as text.
    #[wasm_bindgen(constructor)]
    pub fn new(variables: Vec<String>, host: Host) -> Result<Self, JsValue> {
        let (config, rules) = Config::read(&variables).map_err(|error| JsValue::from(error.to_string()))?;
        Ok(Self(Rc::new(proxy::Proxy::new(config, rules, host))))
    }

    /// A request with its fields, flat: a `Response`, or an `Ask` where it takes time.
    pub fn ask(&self, method: &str, url: &str, fields: &str) -> JsValue {
        self.0.ask(method, url, fields)
    }

    /// As a request that wants a target fresh.
    pub fn refresh(&self, target: &str) -> JsValue {
        self.0.refresh(target)
    }

    /// The targets that each scheduled event loads anew.
    #[wasm_bindgen(js_name = keepFresh)]
    pub fn keep_fresh(&self) -> Vec<String> {
        self.0.config.keep_fresh.clone()
    }

    /// Forgets what can't end any more; the numbers of flights that nobody is to join.
    pub fn sweep(&self) -> Vec<u32> {
        self.0.sweep()
    }

    /// For how many milliseconds the head of an answer is waited for.
    #[wasm_bindgen(js_name = headTimeout)]
    pub fn head_timeout(&self) -> f64 {
        self.0.config.head_timeout_ms as f64
    }

    /// How long a body may be silent.
    #[wasm_bindgen(js_name = idleTimeout)]
    pub fn idle_timeout(&self) -> f64 {
        self.0.config.idle_timeout_ms as f64
    }

    /// How long a body may take in all.
    #[wasm_bindgen(js_name = totalTimeout)]
    pub fn total_timeout(&self) -> f64 {
        self.0.config.total_timeout_ms as f64
    }
}
