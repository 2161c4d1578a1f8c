//! The caching reverse proxy for Cloudflare Workers: it forwards to one origin, caches what HTTP lets a shared cache keep, and shares
//! loads across requests. What may be kept and handed out is [`nearcache::http`]'s to say; what takes time is carried out by the driver
//! in `js/`. Here are the Worker's own matters: settings, what is under way, bounds, the operator's routes.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod config;
mod operator;

use std::cell::RefCell;
use std::rc::Rc;

use nearcache::figures::Window;
use nearcache_http_bindings::{self as bindings, Host};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use config::Config;
use operator::{Errand, Operation};

/// The isolate's proxy, for the driver.
#[wasm_bindgen]
pub struct Proxy(Rc<Served>);

/// A proxy and what the Worker has around it.
struct Served {
    config: Config,
    proxy: Rc<bindings::Proxy>,
    lately: RefCell<Window>,
}

#[wasm_bindgen]
impl Proxy {
    /// With variables, as names and values by turns, and the names of what else the environment has.
    ///
    /// # Errors
    /// What is wrong with the first wrong one, as text.
    #[wasm_bindgen(constructor)]
    pub fn new(variables: Vec<String>, objects: Vec<String>, host: Host) -> Result<Self, JsValue> {
        let read = Config::read(&variables, &objects);
        let (config, limits, rules) = read.map_err(|error| JsValue::from(error.to_string()))?;
        let lately = RefCell::new(Window::new(config.health_window_ms));
        Ok(Self(Rc::new(Served { config, proxy: Rc::new(bindings::Proxy::new(limits, rules, host)), lately })))
    }

    /// A request with its fields, flat: a `Response`, or where it takes time a [`bindings::Ask`] or an `Operation`.
    pub fn ask(&self, method: &str, url: &str, fields: &str) -> JsValue {
        let fields = bindings::unflatten(fields);
        match Errand::of(&self.0.config, method, url, &fields) {
            None => self.0.proxy.ask(method, url, fields),
            Some(Ok(errand)) => Operation::new(&self.0, errand).into(),
            Some(Err(refusal)) => self.0.write(&refusal),
        }
    }

    /// What stores below and other isolates have to do with it.
    pub fn edge(&self) -> bindings::Edge {
        bindings::Edge::new(&self.0.proxy)
    }

    /// How what is bound beside the memory is used: 1 if the Cache API is a tier, 0 if not, NaN where that depends on what else is bound; the
    /// oldest purge, in ms, that this isolate need not have heard of; and 1 if that bound is hard.
    #[wasm_bindgen(js_name = edgeConfig)]
    pub fn edge_config(&self) -> Vec<f64> {
        let edge = &self.0.config.edge;
        let cache_api = edge.cache_api.map_or(f64::NAN, |on| f64::from(u8::from(on)));
        vec![cache_api, edge.max_staleness_ms as f64, f64::from(u8::from(edge.hard_bound))]
    }

    /// As a request that wants a target fresh, for `KEEP_FRESH`.
    pub fn refresh(&self, target: &str) -> JsValue {
        self.0.proxy.refresh(&format!("{}{target}", self.0.config.keep_fresh_host))
    }

    /// The targets that each scheduled event loads anew.
    #[wasm_bindgen(js_name = keepFresh)]
    pub fn keep_fresh(&self) -> Vec<String> {
        self.0.config.keep_fresh.clone()
    }
}
