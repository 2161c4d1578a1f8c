//! One client's request, as the driver in JS sees it: it asks for the next step and reports what came of that.

use std::rc::Rc;

use ::http::header::CACHE_CONTROL;
use ::http::{HeaderMap, HeaderValue, Method};
use js_sys::Function;
use nearcache::http::exchange::{ClientResponse, Content, Decision, Exchange, Fetch, Request};
use nearcache::http::rule::{Reload, Rule};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::edge::Apart;
use crate::figures::Came;
use crate::flights::{Flight, Joined, State};
use crate::host;
use crate::proxy::{Proxy, split};
use crate::store::Body;
use crate::trip::Trip;

/// What is to be done, as `drive.ts` knows it.
pub(crate) mod step {
    /// Take the reply.
    pub const ANSWER: u32 = 0;
    /// Lead a trip in the background, and take the reply.
    pub const REFRESH: u32 = 1;
    /// Lead a trip, and wait for it.
    pub const LEAD: u32 = 2;
    /// Wait for the trip of another request.
    pub const JOIN: u32 = 3;
    /// Go on waiting.
    pub const WAIT: u32 = 4;
}

impl Proxy {
    /// A `Response`, or an [`Ask`] where it takes a trip to the origin.
    pub fn ask(self: &Rc<Self>, method: &str, url: &str, fields: HeaderMap) -> JsValue {
        self.ask_by(method, url, fields, |rule| rule)
    }

    /// The same for who runs the cache, and wants it fresh: what is said of clients that do is not said of that.
    pub fn refresh(self: &Rc<Self>, url: &str) -> JsValue {
        let fields = HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))]);
        self.ask_by("GET", url, fields, |mut rule| {
            Rc::make_mut(&mut rule).reload = Reload::OncePerSecond;
            rule
        })
    }

    fn ask_by(
        self: &Rc<Self>,
        method: &str,
        url: &str,
        fields: HeaderMap,
        adapt: impl FnOnce(Rc<Rule>) -> Rc<Rule>,
    ) -> JsValue {
        let now = host::now();
        let (scheme, host, target) = split(url);
        // Two Host fields come as one (RFC 9112 §3.2).
        if host.contains([',', ' ']) {
            return self.write(
                400,
                "content-type\napplication/json\n",
                r#"{"error":"the request has more than one Host"}"#,
            );
        }
        // A method that is no token never comes here.
        let method = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let scheme = if self.tells_scheme() { scheme } else { "https".to_owned() };
        let request = Request { method, scheme, host, target, fields };
        let rule = adapt(self.rules.resolve(&request.host, &request.target));
        let mut exchange = Exchange::new(rule, request);
        let found = exchange.key().and_then(|key| self.store.get(key));
        match exchange.handle_stored(found.as_deref(), now) {
            Decision::Answer(answer) if !matches!(answer.content, Content::Apart(..)) => {
                self.figures.answered(&answer);
                self.respond(answer, None)
            }
            decision => Ask::new(self, exchange, decision, now).into(),
        }
    }
}

/// A request that can't be answered at once.
#[wasm_bindgen]
pub struct Ask {
    proxy: Rc<Proxy>,
    exchanging: Exchanging,
}

struct Exchanging {
    exchange: Exchange<Body>,
    step: u32,
    answer: Option<ClientResponse<Body>>,
    fetch: Option<Box<Fetch<Body>>>,
    flight: Option<Rc<Flight>>,
    leads: bool,
    /// How many purges there had been when it was asked.
    seen: u64,
    /// When its waiting began, and whether its soft deadline has been told.
    since: u64,
    softened: bool,
    counted: bool,
}

impl Ask {
    /// Of a request that has been decided about once, and was not answered.
    pub(crate) fn new(proxy: &Rc<Proxy>, exchange: Exchange<Body>, decision: Decision<Body>, now: u64) -> Self {
        let seen = proxy.store.purges();
        let mut exchanging = Exchanging {
            exchange,
            step: step::WAIT,
            answer: None,
            fetch: None,
            flight: None,
            leads: false,
            seen,
            since: now,
            softened: false,
            counted: false,
        };
        exchanging.decide(proxy, decision, now);
        Self { proxy: proxy.clone(), exchanging }
    }
}

#[wasm_bindgen]
impl Ask {
    /// What is to be done first.
    pub fn step(&self) -> u32 {
        self.exchanging.step
    }

    /// The response. `take(start, end)` gives the body of the trip that was waited for, where that is the answer's.
    pub fn reply(&mut self, take: Option<Function>) -> JsValue {
        match self.exchanging.answer.take() {
            Some(answer) => self.proxy.respond(answer, take.as_ref()),
            None => JsValue::UNDEFINED,
        }
    }

    /// Where the answer's body is to be read, if it lies apart: `take` of the reply has to give it.
    pub fn apart(&self) -> Option<Apart> {
        self.exchanging.answer.as_ref().and_then(Apart::of)
    }

    /// It is not there, or can't be read.
    pub fn missing(&mut self) -> u32 {
        self.exchanging.missing(&self.proxy)
    }

    /// Whether the answer has the body of the trip that was waited for.
    pub fn takes(&self) -> bool {
        let content = self.exchanging.answer.as_ref().map(|answer| &answer.content);
        matches!(content, Some(Content::Origin | Content::Filling(_)))
    }

    /// The trip to lead.
    pub fn trip(&mut self) -> Option<Trip> {
        let (fetch, flight) = (self.exchanging.fetch.take()?, self.exchanging.flight.clone()?);
        Some(Trip::new(&self.proxy, fetch, flight, self.exchanging.step == step::REFRESH))
    }

    /// The number of the flight to wait for.
    pub fn flight(&self) -> u32 {
        self.exchanging.flight.as_ref().map_or(0, |flight| flight.number)
    }

    /// The trip has something new.
    pub fn resume(&mut self) -> u32 {
        self.exchanging.resume(&self.proxy)
    }

    /// The trip's request is gone.
    pub fn lost(&mut self) -> u32 {
        self.exchanging.lost(&self.proxy)
    }

    /// For how many milliseconds to wait, until [`late`](Self::late).
    pub fn patience(&self) -> f64 {
        self.exchanging.patience(&self.proxy, host::now()) as f64
    }

    /// That time has passed.
    pub fn late(&mut self) -> u32 {
        self.exchanging.late(&self.proxy)
    }
}

impl Exchanging {
    fn decide(&mut self, proxy: &Proxy, decision: Decision<Body>, now: u64) -> u32 {
        self.step = match decision {
            Decision::Answer(answer) => {
                if !self.counted {
                    proxy.figures.answered(&answer);
                    self.counted = true;
                }
                self.answer = Some(answer);
                step::ANSWER
            }
            Decision::AnswerAndRefresh(answer, fetch) => {
                self.count(proxy, Came::StaleHit);
                self.answer = Some(answer);
                // One that is under way refreshes for this one too.
                match self.join(proxy, fetch, now) {
                    Joined::Lead(_) => step::REFRESH,
                    Joined::Follow(_) | Joined::Full => step::ANSWER,
                }
            }
            Decision::Fetch(fetch) => match self.join(proxy, fetch, now) {
                Joined::Lead(_) => {
                    self.count(proxy, Came::Miss);
                    step::LEAD
                }
                Joined::Follow(_) => {
                    self.count(proxy, Came::Coalesced);
                    step::JOIN
                }
                Joined::Full => return self.decide(proxy, Decision::Answer(self.exchange.handle_overload(now)), now),
            },
        };
        self.since = now;
        self.step
    }

    /// Each request is counted once, as what it came to first.
    fn count(&mut self, proxy: &Proxy, came: Came) {
        if !self.counted {
            proxy.figures.count(came);
            self.counted = true;
        }
    }

    fn join(&mut self, proxy: &Proxy, fetch: Box<Fetch<Body>>, now: u64) -> Joined {
        let joined = proxy.join(&fetch, now);
        self.leads = matches!(joined, Joined::Lead(_));
        self.flight = match &joined {
            Joined::Lead(flight) | Joined::Follow(flight) => Some(flight.clone()),
            Joined::Full => None,
        };
        self.fetch = self.leads.then_some(fetch);
        joined
    }

    fn resume(&mut self, proxy: &Proxy) -> u32 {
        if self.answer.is_some() {
            return self.step;
        }
        let Some(flight) = self.flight.clone() else { return self.lost(proxy) };
        let now = host::now();
        match &*flight.state.borrow() {
            State::Asking => step::WAIT,
            // Who asked after a purge gets nothing that was asked for before it.
            State::Filling(filling) if self.is_purged(proxy, &flight, filling.tags()) => self.lost(proxy),
            State::Ended(outcome) if self.is_purged(proxy, &flight, outcome.tags()) => self.lost(proxy),
            // It is in the memory, where a purge has taken it out meanwhile.
            State::Below(layer) => {
                let found = self.exchange.key().and_then(|key| proxy.store.get(key));
                let decision = self.exchange.handle_below(found.as_deref(), layer, self.leads, now);
                self.decide(proxy, decision, now)
            }
            State::Filling(filling) => match self.exchange.handle_filling(filling, self.leads, now) {
                Some(answer) => {
                    self.answer = Some(answer);
                    self.step = step::ANSWER;
                    self.step
                }
                None => step::WAIT,
            },
            State::Ended(outcome) => {
                let found = self.exchange.key().and_then(|key| proxy.store.get(key));
                let decision = self.exchange.handle_outcome(outcome, self.leads, found.as_deref(), now);
                self.decide(proxy, decision, now)
            }
        }
    }

    /// Whether what a flight of another's brings had been purged when this one asked.
    fn is_purged(&self, proxy: &Proxy, flight: &Flight, tags: &[String]) -> bool {
        !self.leads && proxy.was_purged(flight, self.seen, tags)
    }

    fn lost(&mut self, proxy: &Proxy) -> u32 {
        if let Some(flight) = self.flight.take() {
            proxy.flights.close(&flight);
        }
        let now = host::now();
        let found = self.exchange.key().and_then(|key| proxy.store.get(key));
        let decision = self.exchange.handle_lost(found.as_deref(), now);
        self.decide(proxy, decision, now)
    }

    fn missing(&mut self, proxy: &Proxy) -> u32 {
        let answer = self.answer.take();
        if let Some(apart) = answer.as_ref().and_then(Apart::of) {
            let change = self.exchange.handle_missing(apart.manifest());
            proxy.store.apply(change, proxy.store.purges(), host::now());
        }
        self.lost(proxy)
    }

    fn patience(&self, proxy: &Proxy, now: u64) -> u64 {
        let limit = match proxy.limits.soft_timeout_ms.filter(|_| !self.softened) {
            Some(soft) => soft,
            None => proxy.limits.trip_ms(),
        };
        (self.since + limit).saturating_sub(now)
    }

    fn late(&mut self, proxy: &Proxy) -> u32 {
        let now = host::now();
        if self.patience(proxy, now) > 0 {
            return step::WAIT;
        }
        if proxy.limits.soft_timeout_ms.is_some() && !self.softened {
            self.softened = true;
            proxy.figures.soft_timeout();
            if let Some(answer) = self.exchange.handle_soft_timeout(now) {
                self.answer = Some(answer);
                self.step = step::ANSWER;
                return self.step;
            }
            return step::WAIT;
        }
        // A trip ends by its own deadlines. One that did not has lost its request without a word.
        self.lost(proxy)
    }
}
