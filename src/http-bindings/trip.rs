//! One trip to the origin, as the driver in JS sees it.

use std::ops::Range;
use std::rc::Rc;

use js_sys::Uint8Array;
use nearcache::http::exchange::{
    Failure, Fetch, FetchOutcome, Filling, Manifest, Piece, Progress, ResponseHead, Shared,
};
use nearcache::http::rule::Purge;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::flights::{Flight, State};
use crate::host;
use crate::proxy::Proxy;
use crate::room::Room;
use crate::store::{Body, Purged};

/// What came of a head, as `trip.ts` knows it.
mod came {
    pub const SEND_AGAIN: u32 = 0;
    pub const DONE: u32 = 1;
    pub const READ: u32 = 2;
    pub const APART: u32 = 3;
}

/// How a trip failed, as `trip.ts` knows it.
mod failed {
    pub const TIMED_OUT: u32 = 0;
    pub const STALLED: u32 = 2;
}

/// A trip that a request leads. Dropped, it can't be joined any more: the garbage collector does that too, where its request is gone.
#[wasm_bindgen]
pub struct Trip {
    pub(crate) proxy: Rc<Proxy>,
    pub(crate) fetch: Box<Fetch<Body>>,
    pub(crate) flight: Rc<Flight>,
    pub(crate) sent_at: u64,
    /// What goes into stores below.
    pub(crate) shared: Vec<Shared<Body>>,
    /// For the body that is to be read.
    room: Option<Room>,
    /// When its body began to be stored apart, while it is.
    apart: Option<u64>,
    /// Whether it is in the background; nothing once it has been counted.
    background: Option<bool>,
}

impl Trip {
    pub(crate) fn new(proxy: &Rc<Proxy>, fetch: Box<Fetch<Body>>, flight: Rc<Flight>, background: bool) -> Self {
        Self {
            proxy: proxy.clone(),
            fetch,
            flight,
            sent_at: host::now(),
            shared: Vec::new(),
            room: None,
            apart: None,
            background: Some(background),
        }
    }

    fn end(&mut self, outcome: FetchOutcome<Body>, now: u64) {
        self.apply(now);
        let took = now.saturating_sub(self.sent_at);
        self.proxy.figures.load_ended(&outcome, took);
        if self.proxy.limits.slow_load_log_ms.is_some_and(|limit| took >= limit) {
            host::warn(&format!("nearcache: loading {} took {took} ms", self.fetch.head().target));
        }
        self.flight.state.replace(State::Ended(Rc::new(outcome)));
        self.proxy.flights.close(&self.flight);
    }

    /// What came, or the whole that it completes.
    fn assemble(&self, came: Uint8Array) -> Uint8Array {
        let state = self.flight.state.borrow();
        let State::Filling(filling) = &*state else { return came };
        if filling.assemble.is_empty() {
            return came;
        }
        let part = |bytes: &Uint8Array, range: &Range<u64>| -> Uint8Array {
            bytes.subarray(range.start as u32, range.end as u32)
        };
        let parts = filling.assemble.iter().map(|piece| match piece {
            Piece::Stored(body, range) => part(body.bytes(), range),
            Piece::New(range) => part(&came, range),
        });
        let parts: Vec<Uint8Array> = parts.collect();
        let whole = Uint8Array::new_with_length(parts.iter().map(Uint8Array::length).sum());
        let mut at = 0;
        for part in parts {
            whole.set(&part, at);
            at += part.length();
        }
        whole
    }

    /// What becomes of a body for which there is no room: it is stored apart, if it may be.
    fn begin_apart(&mut self, filling: &Filling<Body>, now: u64) -> Option<FetchOutcome<Body>> {
        filling.may_lie_apart(now).filter(|length| *length <= self.proxy.most_apart.get())?;
        let gone = now.saturating_sub(self.proxy.limits.trip_ms());
        if !self.proxy.flights.begin_apart(self.fetch.key(), now, gone) {
            return None;
        }
        self.apart = Some(now);
        self.fetch.begin_apart(now)
    }

    fn apply(&mut self, now: u64) {
        while let Some(change) = self.fetch.poll_change() {
            let (key, shared) = (change.key().clone(), self.proxy.below.get().then(|| change.shared(now)));
            if self.proxy.store.apply(change, self.flight.seen, now) {
                let kept = self.proxy.store.peek(&key);
                let is_kept = |shared: &Shared<Body>| {
                    let variants = kept.as_deref().map_or(&[][..], |target| target.variants());
                    variants.iter().any(|stored| Rc::ptr_eq(&stored.record, &shared.stored.record))
                };
                self.shared.extend(shared.into_iter().flatten().filter(is_kept));
            }
        }
        while let Some(purge) = self.fetch.poll_purge() {
            let purged = match purge {
                Purge::Target(url) => self.proxy.at_url(&url),
                Purge::Prefix(prefix) => Purged::Prefix(prefix),
                Purge::Tag(tag) => Purged::Tag(tag),
            };
            self.proxy.store.purge(purged, false, now);
        }
    }

    fn begin(&mut self) {
        self.sent_at = host::now();
        if let Some(background) = self.background.take() {
            self.proxy.figures.load_began(background);
        }
    }
}

impl Drop for Trip {
    fn drop(&mut self) {
        self.proxy.flights.end(&self.flight);
        if let Some(began) = self.apart {
            self.proxy.flights.end_apart(self.fetch.key(), began);
        }
    }
}

#[wasm_bindgen]
impl Trip {
    /// The number of its flight; 0 if nobody can join it.
    pub fn flight(&self) -> u32 {
        self.flight.number
    }

    /// Where to send it.
    pub fn url(&mut self) -> String {
        self.begin();
        let head = self.fetch.head();
        match head.origin.as_ref().or(self.proxy.limits.origin.as_ref()) {
            Some(origin) => format!("{origin}{}", head.target),
            None => format!("{}://{}{}", head.scheme, head.host, head.target),
        }
    }

    /// How.
    pub fn method(&self) -> String {
        self.fetch.head().method.to_string()
    }

    /// Whether the client's body goes along.
    #[wasm_bindgen(js_name = sendsBody)]
    pub fn sends_body(&self) -> bool {
        self.fetch.head().has_client_body
    }

    /// The request's fields, flat.
    pub fn fields(&self) -> String {
        host::flatten(&self.fetch.head().fields)
    }

    /// For how many milliseconds the head of an answer is waited for.
    #[wasm_bindgen(js_name = headTimeout)]
    pub fn head_timeout(&self) -> f64 {
        self.proxy.limits.head_timeout_ms as f64
    }

    /// How long a body may be silent.
    #[wasm_bindgen(js_name = idleTimeout)]
    pub fn idle_timeout(&self) -> f64 {
        self.proxy.limits.idle_timeout_ms as f64
    }

    /// How long a body may take in all.
    #[wasm_bindgen(js_name = totalTimeout)]
    pub fn total_timeout(&self) -> f64 {
        self.proxy.limits.total_timeout_ms as f64
    }

    /// Forgets trips that can't end any more; the numbers of those that nobody is to join.
    pub fn sweep(&self) -> Vec<u32> {
        self.proxy.sweep()
    }

    /// The head of the origin's answer is there.
    pub fn head(&mut self, status: u16, fields: &str) -> u32 {
        let now = host::now();
        let (fields, damaged) = host::unflatten_all(fields);
        let head = ResponseHead { status, fields, damaged };
        match self.fetch.handle_response(head, self.sent_at, now) {
            Progress::SendAgain => {
                self.apply(now);
                came::SEND_AGAIN
            }
            Progress::Done(outcome) => {
                self.end(outcome, now);
                came::DONE
            }
            Progress::Read(filling) => {
                self.room = Room::of(&self.proxy, filling.expected, filling.limit);
                if self.room.is_some() {
                    self.apply(now);
                    self.flight.state.replace(State::Filling(filling));
                    return came::READ;
                }
                // What is known to have no room goes by at once.
                let apart = self.begin_apart(&filling, now);
                let came = if apart.is_some() { came::APART } else { came::DONE };
                let outcome = apart.unwrap_or_else(|| self.fetch.handle_too_long(now));
                self.end(outcome, now);
                came
            }
        }
    }

    /// Whether the one who leads gets the origin's body as it comes.
    pub fn passes(&self) -> bool {
        matches!(&*self.flight.state.borrow(), State::Ended(outcome) if matches!(**outcome, FetchOutcome::Unshared(_)))
    }

    /// The room for the body that is to be read.
    pub fn room(&mut self) -> Option<Room> {
        self.room.take()
    }

    /// The body has been read.
    pub fn whole(&mut self, bytes: Uint8Array) {
        let bytes = self.assemble(bytes);
        let (now, length) = (host::now(), bytes.length().into());
        let outcome = self.fetch.handle_body(Body::new(bytes), length, now);
        self.end(outcome, now);
    }

    /// How long the parts are that are hashed, but for the last.
    #[wasm_bindgen(js_name = partBytes)]
    pub fn part_bytes(&self) -> f64 {
        Manifest::PART_BYTES as f64
    }

    /// All of the body lies apart now, under this name: what its parts hash to, in their order.
    pub fn apart(&mut self, name: String, length: f64, digests: Vec<u8>) {
        let now = host::now();
        let stored = Manifest::new(name.clone(), length as u64, digests)
            .is_some_and(|manifest| self.fetch.handle_apart(manifest, Body::new(Uint8Array::new_with_length(0))));
        if stored {
            self.apply(now);
        }
        let kept = self.proxy.store.peek(self.fetch.key());
        if !kept.iter().any(|target| target.apart().any(|other| other == name)) {
            self.proxy.store.add_orphan(name);
        }
    }

    /// The body goes on without the cache.
    #[wasm_bindgen(js_name = tooLong)]
    pub fn too_long(&mut self) {
        let now = host::now();
        let outcome = self.fetch.handle_too_long(now);
        self.end(outcome, now);
    }

    /// The origin gave no answer, or broke off.
    pub fn fail(&mut self, how: u32, reason: String) {
        let now = host::now();
        let failure = match how {
            failed::TIMED_OUT => Failure::TimedOut(self.proxy.limits.head_timeout_ms),
            failed::STALLED => Failure::TimedOut(self.proxy.limits.idle_timeout_ms),
            _ => Failure::Unreachable(reason),
        };
        let outcome = self.fetch.handle_failure(failure, now);
        self.end(outcome, now);
    }
}
