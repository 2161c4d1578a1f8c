//! The proxy of one isolate: what a request comes to, where that can be said at once.

use std::cell::Cell;

use js_sys::Function;
use nearcache::figures::{Layer, Occupancy};
use nearcache::http::exchange::{ClientResponse, Content, Fetch, PurgedUrl};
use nearcache::http::rule::Rules;
use nearcache::{Stats, figures};
use wasm_bindgen::JsValue;

use crate::figures::Figures;
use crate::flights::{Flight, Flights, Joined};
use crate::heads::Heads;
use crate::host::{self, Host};
use crate::limits::Limits;
use crate::store::{Body, Purged, Store};
use crate::url::{as_requested, prefix_as_requested};

/// Answers requests, with what it stores and by trips to the origin.
pub struct Proxy {
    pub(crate) limits: Limits,
    pub(crate) host: Host,
    pub(crate) store: Store,
    pub(crate) flights: Flights,
    pub(crate) figures: Figures,
    /// Whether there are stores below.
    pub(crate) below: Cell<bool>,
    /// How long a body may be that lies apart; 0: there is no store for such.
    pub(crate) most_apart: Cell<u64>,
    pub(crate) rules: Rules,
    heads: Heads,
}

impl Proxy {
    /// An empty one.
    pub fn new(limits: Limits, rules: Rules, host: Host) -> Self {
        Self {
            store: Store::new(&limits),
            flights: Flights::new(limits.max_loads, limits.max_filling_bytes),
            figures: Figures::default(),
            below: Cell::new(false),
            most_apart: Cell::new(0),
            rules,
            heads: Heads::default(),
            limits,
            host,
        }
    }

    /// The figures of the isolate: what requests came to, and what became of entries.
    pub fn stats(&self) -> Stats {
        let (asked, stored) = (self.figures.stats(), self.store.stats());
        Stats {
            inserts: stored.inserts,
            rejected: stored.rejected,
            evicted_size: stored.evicted_size,
            evicted_expired: stored.evicted_expired,
            evicted_replaced: stored.evicted_replaced,
            evicted_removed: stored.evicted_removed,
            ..asked
        }
    }

    /// What there is now, and its bounds.
    pub fn held(&self) -> Occupancy {
        Occupancy {
            entries: Some(self.store.len() as u64),
            bytes: Some(self.store.weight()),
            max_entries: Some(self.limits.max_entries),
            max_bytes: Some(self.limits.max_bytes),
            loads_in_flight: Some(self.flights.under_way() as u64),
            ..Occupancy::default()
        }
    }

    /// A page for Prometheus.
    pub fn metrics(&self) -> String {
        let (stats, held) = (self.stats(), self.held());
        figures::prometheus(&[Layer { cache: "nearcache", layer: "memory", namespace: None, stats: &stats, held }])
    }

    /// Whether http and https of a host are two origins: they are one where the driver has one for all.
    pub(crate) fn tells_scheme(&self) -> bool {
        self.limits.origin.is_none()
    }

    /// An absolute URL, one without its scheme, or a path and query on every host.
    pub fn url(&self, name: &str) -> Purged {
        self.at_url(&as_requested(name, self.tells_scheme()))
    }

    /// The same of one that is as requests have it.
    pub(crate) fn at_url(&self, url: &str) -> Purged {
        Purged::Url(PurgedUrl::new(&self.rules, url))
    }

    /// All URLs, or paths, that begin so.
    pub fn prefix(&self, name: &str) -> Purged {
        Purged::Prefix(prefix_as_requested(name, self.tells_scheme()))
    }

    /// Takes out what a purge concerns, or, softly, makes it stale. How many targets it has hit. O(entries).
    pub fn purge(&self, purged: Purged, soft: bool) -> usize {
        self.store.purge(purged, soft, host::now())
    }

    /// Forgets what can't end any more: heads of responses that are gone, flights whose requests must be. The numbers of those.
    pub(crate) fn sweep(&self) -> Vec<u32> {
        self.heads.sweep();
        self.flights.sweep(host::now().saturating_sub(self.limits.trip_ms()))
    }

    /// The trip that a fetch comes to.
    pub(crate) fn join(&self, fetch: &Fetch<Body>, now: u64) -> Joined {
        // A purge of its key, or of everything, ends a flight for those who come later; what its tags will be is not known yet.
        let may_join = |flight: &Flight| !self.store.purged_since(flight.seen, fetch.key(), &[]);
        self.flights.join(fetch.flight().cloned(), self.store.purges(), now, may_join)
    }

    /// Whether what a flight brought had been purged when a request began that has seen so many purges.
    pub(crate) fn was_purged(&self, flight: &Flight, seen: u64, tags: &[String]) -> bool {
        flight.key().is_some_and(|key| self.store.purged_between(flight.seen, seen, key, tags))
    }

    /// The response of an answer. `take` gives the body of the trip that it came by.
    pub(crate) fn respond(&self, answer: ClientResponse<Body>, take: Option<&Function>) -> JsValue {
        let headers = self.heads.of(&self.host, &answer);
        let body = match answer.content {
            Content::Empty => JsValue::NULL,
            Content::Text(text) => JsValue::from(text),
            Content::Stored(body, bytes) if bytes == (0..body.len() as u64) => JsValue::from(body.bytes()),
            Content::Stored(body, bytes) => self.host.slice(body.bytes(), bytes.start as f64, bytes.end as f64),
            Content::Origin | Content::Apart(..) => take.map_or(JsValue::NULL, |take| host::take(take, None)),
            Content::Filling(bytes) => take.map_or(JsValue::NULL, |take| host::take(take, Some(&bytes))),
        };
        let body = answer.decode.map_or(body.clone(), |coding| self.host.decode(coding.name(), &body));
        self.host.respond(answer.status.as_u16(), &headers, &body)
    }

    /// A `Response` with words of the driver's own, and flat fields.
    pub fn write(&self, status: u16, fields: &str, text: &str) -> JsValue {
        let headers = self.host.headers(&format!("{fields}cache-control\nno-store\n"));
        self.host.respond(status, &headers, &JsValue::from(text))
    }
}

/// Scheme, host with its port, path and query of a URL that the runtime has made. workerd leaves a path as its client has sent it, and sends
/// it on as URLs are written: rules, keys and purges go by what the origin gets. A scheme's own port it leaves too.
pub(crate) fn split(url: &str) -> (String, String, String) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let rest = rest.split('#').next().unwrap_or_default();
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at(at);
    let host = host.strip_suffix(if scheme == "https" { ":443" } else { ":80" }).unwrap_or(host);
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    // Escapes that it may have, and segments of dots, escaped or not. Of others nothing changes.
    let odd = |byte: u8| !byte.is_ascii() || b"\"'<>\\^`{}".contains(&byte);
    let is_written = !target.bytes().any(odd) && !target.contains("/.") && !target.contains("%2");
    let target = if is_written { target } else { as_requested(&target, false) };
    (scheme.to_owned(), host.to_owned(), target)
}
