//! The proxy of one isolate: what a request comes to, where that can be said at once.

use std::cell::RefCell;
use std::rc::Rc;

use ::http::{HeaderMap, Method};
use js_sys::Function;
use nearcache::figures::Window;
use nearcache::http::exchange::{Answer, Content, Decision, Exchange, Fetch, Outcome, Request};
use nearcache::http::rule::Rules;
use wasm_bindgen::JsValue;

use super::ask::Ask;
use super::config::Config;
use super::figures::Figures;
use super::flights::{Flight, Flights, Joined};
use super::heads::Heads;
use super::host::{self, Host};
use super::operator::{self, Errand};
use super::store::{Body, Store};

pub(super) struct Proxy {
    pub config: Config,
    pub host: Host,
    pub store: Store,
    pub flights: Flights,
    pub figures: Figures,
    pub lately: RefCell<Window>,
    rules: Rules,
    heads: Heads,
}

impl Proxy {
    pub fn new(config: Config, rules: Rules, host: Host) -> Self {
        Self {
            store: Store::new(&config),
            flights: Flights::new(config.max_loads, config.max_filling_bytes),
            figures: Figures::default(),
            lately: RefCell::new(Window::new(config.health_window_ms)),
            rules,
            heads: Heads::default(),
            config,
            host,
        }
    }

    /// A response, or an [`Ask`] where it takes a trip to the origin.
    pub fn ask(self: &Rc<Self>, method: &str, url: &str, fields: &str) -> JsValue {
        let fields = host::unflatten(fields);
        if let Some(errand) = Errand::of(&self.config, method, url, &fields) {
            return match errand {
                Ok(errand) => Ask::errand(self, errand).into(),
                Err(refusal) => self.write(refusal),
            };
        }
        self.exchange(method, url, fields)
    }

    /// As a request that wants this target fresh, for [`KEEP_FRESH`](Config::keep_fresh).
    pub fn refresh(self: &Rc<Self>, target: &str) -> JsValue {
        let mut fields = HeaderMap::new();
        fields.insert(::http::header::CACHE_CONTROL, ::http::HeaderValue::from_static("no-cache"));
        self.exchange("GET", &format!("{}{target}", self.config.keep_fresh_host), fields)
    }

    fn exchange(self: &Rc<Self>, method: &str, url: &str, fields: HeaderMap) -> JsValue {
        let now = host::now();
        let (scheme, host, target) = split(url);
        // Two Host fields come as one (RFC 9112 §3.2).
        if host.contains([',', ' ']) {
            return self.write(operator::Page::problem(400, "the request has more than one Host"));
        }
        // A method that is no token never comes here.
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let request = Request { method, scheme, host, target, fields };
        let mut exchange = Exchange::new(self.rules.resolve(&request.host, &request.target), request);
        let found = exchange.key().and_then(|key| self.store.get(key));
        match exchange.handle_stored(found.as_deref(), now) {
            Decision::Answer(answer) => {
                self.figures.answered(&answer, now);
                self.respond(answer, None)
            }
            decision => Ask::new(self, exchange, decision, now).into(),
        }
    }

    /// Forgets what can't end any more: heads of responses that are gone, flights whose requests must be. The numbers of those.
    pub fn sweep(&self) -> Vec<u32> {
        self.heads.sweep();
        self.flights.sweep(host::now().saturating_sub(self.config.trip_ms()))
    }

    /// The trip that a fetch comes to.
    pub fn join(&self, fetch: &Fetch<Body>, now: u64) -> Joined {
        // A purge of its key, or of everything, ends a flight for those who come later; what its tags will be is not known yet.
        let may_join = |flight: &Flight| !self.store.purged_since(flight.seen, fetch.key(), &[]);
        self.flights.join(fetch.flight().cloned(), self.store.purges(), now, may_join)
    }

    /// Whether what a flight brought had been purged when a request began that has seen so many purges.
    pub fn was_purged(&self, flight: &Flight, seen: u64, outcome: &Outcome<Body>) -> bool {
        let (Outcome::Stored(stored), Some(key)) = (outcome, flight.key()) else { return false };
        self.store.purged_between(flight.seen, seen, key, &stored.record.tags)
    }

    /// The response of an answer. `take` gives the body of the trip that it came by.
    pub fn respond(&self, answer: Answer<Body>, take: Option<&Function>) -> JsValue {
        let headers = self.heads.of(&self.host, &answer);
        let body = match answer.content {
            Content::Empty => JsValue::NULL,
            Content::Text(text) => JsValue::from(text),
            Content::Stored(body, bytes) if bytes == (0..body.len() as u64) => JsValue::from(body.bytes()),
            Content::Stored(body, bytes) => self.host.slice(body.bytes(), bytes.start as f64, bytes.end as f64),
            Content::Origin => take.map_or(JsValue::NULL, |take| host::take(take, None)),
            Content::Filling(bytes) => take.map_or(JsValue::NULL, |take| host::take(take, Some(&bytes))),
        };
        let body = answer.decode.map_or(body.clone(), |coding| self.host.decode(coding.name(), &body));
        self.host.respond(answer.status.as_u16(), &headers, &body)
    }

    /// The response of one of the operator's routes.
    pub fn write(&self, page: operator::Page) -> JsValue {
        let headers = self.host.headers(&format!("content-type\n{}\ncache-control\nno-store\n", page.content_type));
        self.host.respond(page.status, &headers, &JsValue::from(page.text))
    }
}

/// Scheme, host with its port, path and query of a URL that the runtime has made.
fn split(url: &str) -> (String, String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    (scheme.to_owned(), host.to_owned(), target)
}
