//! Random clients, origins and moments: whatever happens in whatever order, every request ends in one answer, and that is one it
//! may have. The seed is printed; `SEED` at build time sets it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ::http::{HeaderMap, HeaderValue, Method};
use nearcache::http::exchange::{
    ClientResponse, Decision, Exchange, Failure, Fetch, FetchHead, FetchOutcome, FlightKey, Key, Request, Stored,
};
use nearcache::http::rule::{Rule, UNKEYED_FIELDS};
#[cfg(target_family = "wasm")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use super::numbers::{Random, seed};
use super::world::{Bytes, Reception, Reply, Tier, World, get, joined, receive, response};

/// What the origin knows of a representation that it has sent.
#[derive(Clone, Debug)]
struct Sent {
    body: String,
    /// Whose it is alone.
    owner: Option<String>,
    /// What the varying field was.
    variant: Option<Option<String>>,
    /// Whether it may be handed out only as the origin brings it or confirms it.
    validated: bool,
    /// Until when it may be handed out at the most.
    until: u64,
}

type Register = Rc<RefCell<HashMap<String, Sent>>>;

/// How much longer than its lifetime the default rule hands something out: an origin that is gone.
const UNREACHABLE: u64 = 3_600_000;

fn origin(register: Register, mut random: Random) -> impl FnMut(&FetchHead, u64) -> Reply {
    let mut count = 0_u64;
    move |head, now| {
        count += 1;
        if random.one_in(12) {
            return Reply::Failure(Failure::Unreachable("gone".to_owned()));
        }
        let tag = joined(&head.fields, "if-none-match").unwrap_or_default();
        let tag = tag.split(", ").next().unwrap_or_default().trim_matches('"').to_owned();
        if random.one_in(2)
            && let Some(sent) = register.borrow_mut().get_mut(&tag)
            && sent.owner.is_none()
            && sent.variant.as_ref().is_none_or(|variant| *variant == joined(&head.fields, "x-v"))
        {
            sent.until = now + 1 + 9_000 + 1_000 + UNREACHABLE;
            sent.validated = false;
            let vary = if sent.variant.is_some() { "x-v" } else { "" };
            let fields =
                [("etag", format!("\"{tag}\"")), ("cache-control", "max-age=9".to_owned()), ("vary", vary.to_owned())];
            let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            return response(304, &fields, "");
        }
        let id = format!("r{count}");
        let body = format!("{id} {} {}", head.target, "0123456789".repeat(1 + random.below(9) as usize));
        let client = joined(&head.fields, "x-client");
        let authorised = head.fields.contains_key("authorization");
        let status = *pick(&mut random, &[200, 200, 200, 200, 404, 403, 429, 503, 301, 600]);
        let kind = random.below(10);
        let line = match kind {
            0 => "private, max-age=60",
            1 => "no-store",
            2 => *pick(&mut random, &["no-cache", "no-cache, max-age=9"]),
            3 => "max-age=0",
            4 => "max-age=9, stale-while-revalidate=1, stale-if-error=5",
            5 => "max-age=9, must-revalidate",
            6 => "s-maxage=9",
            _ => "max-age=9",
        };
        let shared = kind > 1 && (!authorised || kind == 5 || kind == 6);
        let cookies = random.one_in(10);
        let varies = random.one_in(2);
        let mut fields = vec![("cache-control", line.to_owned()), ("etag", format!("\"{id}\"")), ("x-id", id.clone())];
        if cookies {
            fields.push(("set-cookie", "a=b".to_owned()));
        }
        if varies {
            fields.push(("vary", "x-v".to_owned()));
        }
        if random.one_in(20) {
            fields.push(("retry-after", "2".to_owned()));
        }
        let whole = body.len() as u64;
        let range = joined(&head.fields, "range").filter(|_| status == 200 && random.one_in(2));
        let sent = Sent {
            body: body.clone(),
            owner: (!shared || cookies).then(|| client.unwrap_or_default()),
            variant: varies.then(|| joined(&head.fields, "x-v")),
            validated: kind == 2,
            until: now + 9_000 + 1_000 + UNREACHABLE,
        };
        register.borrow_mut().insert(id, sent);
        let (status, body) = match range.as_deref().and_then(|range| parse(range, whole)) {
            Some((first, last)) => {
                fields.push(("content-range", format!("bytes {first}-{last}/{whole}")));
                (206, body[first as usize..=last as usize].to_owned())
            }
            None => (status, body),
        };
        if random.one_in(15) {
            // It breaks off.
            fields.push(("content-length", (body.len() + 5).to_string()));
        }
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let Reply::Response { status, fields, body, .. } = response(status, &fields, &body) else { unreachable!() };
        Reply::Response { status, fields, body, after: 0 }
    }
}

fn parse(range: &str, whole: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let last = if last.is_empty() { whole - 1 } else { last.parse::<u64>().ok()?.min(whole - 1) };
    (first <= last).then_some((first, last))
}

fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}

/// A client that waits.
struct Client {
    number: u64,
    exchange: Exchange<Bytes>,
    request: Request,
}

/// A trip under way, and those who wait for it.
struct Trip {
    flight: Option<FlightKey>,
    /// Whether the first of them leads: nobody does where it was begun behind an answer.
    led: bool,
    fetch: Box<Fetch<Bytes>>,
    waiting: Vec<Client>,
}

struct Storm {
    world: World,
    register: Register,
    random: Random,
    trips: Vec<Trip>,
    begun: u64,
    answered: BTreeMap<u64, u32>,
    hits: u64,
    stale: u64,
    collapsed: u64,
    /// Trips that found something below.
    found: u64,
}

impl Storm {
    fn new(seed: u64, below: Option<Tier>) -> Self {
        let register = Register::default();
        let origin = origin(register.clone(), Random(seed ^ 0x5eed));
        let mut world = World::new(Rule { max_variants: 16, ..Rule::default() }, origin);
        world.below = below;
        Self {
            world,
            register,
            random: Random(seed),
            trips: Vec::new(),
            begun: 0,
            answered: BTreeMap::new(),
            hits: 0,
            stale: 0,
            collapsed: 0,
            found: 0,
        }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=4 => self.begin(),
            5..=7 if !self.trips.is_empty() => {
                let trip = self.random.below(self.trips.len() as u64) as usize;
                self.end(trip);
            }
            8 if !self.trips.is_empty() && self.random.one_in(8) => {
                let trip = self.random.below(self.trips.len() as u64) as usize;
                self.lose(trip);
            }
            // Another isolate, which has nothing in its memory.
            9 if self.world.below.is_some() && self.random.one_in(4) => self.world.store.borrow_mut().clear(),
            _ => self.world.pass([0, 1, 100, 1_000, 5_000, 20_000][self.random.below(6) as usize]),
        }
    }

    fn begin(&mut self) {
        self.begun += 1;
        let random = &mut self.random;
        let client = format!("c{}", self.begun);
        let mut fields = vec![("x-client", client.as_str())];
        let maybe = [
            ("x-v", "1"),
            ("x-v", "2"),
            ("authorization", "Basic x"),
            ("cookie", "a=b"),
            ("cache-control", "no-cache"),
            ("cache-control", "max-age=3"),
            ("cache-control", "no-store"),
            ("cache-control", "only-if-cached"),
            ("range", "bytes=2-11"),
            ("range", "bytes=12-"),
            ("if-none-match", "\"r1\""),
            ("x-forwarded-host", "evil"),
            ("x-odd", "1"),
        ];
        for _ in 0..random.below(4) {
            fields.push(*pick(random, &maybe));
        }
        let method = match random.below(30) {
            0 => Method::POST,
            1 | 2 => Method::HEAD,
            _ => Method::GET,
        };
        let target = *pick(random, &["/a", "/b", "/c?d"]);
        let request = Request { method, ..get(target, &fields) };
        let exchange = Exchange::new(self.world.rule.clone(), request.clone());
        let mut client = Client { number: self.begun, exchange, request };
        let found = client.exchange.key().and_then(|key| self.world.found(key));
        let decision = client.exchange.handle_stored(found.as_ref(), self.world.now());
        self.decide(client, decision, Vec::new());
    }

    fn decide(&mut self, client: Client, decision: Decision<Bytes>, origins: Vec<u8>) {
        match decision {
            Decision::Answer(answer) => self.answer(client, answer, origins),
            Decision::AnswerAndRefresh(answer, fetch) => {
                self.answer(client, answer, origins);
                self.lead(fetch, Vec::new());
            }
            Decision::Fetch(fetch) => self.lead(fetch, vec![client]),
        }
    }

    fn lead(&mut self, fetch: Box<Fetch<Bytes>>, mut waiting: Vec<Client>) {
        check_head(&fetch, waiting.first());
        let flight = fetch.flight().cloned();
        let joined = self.trips.iter_mut().find(|trip| flight.is_some() && trip.flight == flight);
        match joined {
            Some(trip) => trip.waiting.append(&mut waiting),
            None => self.trips.push(Trip { flight, led: !waiting.is_empty(), fetch, waiting }),
        }
    }

    fn end(&mut self, index: usize) {
        let mut trip = self.trips.swap_remove(index);
        let before = self.variants(trip.fetch.key());
        if self.world.look_below(&trip.fetch) {
            self.found += 1;
            for (position, mut client) in trip.waiting.into_iter().enumerate() {
                let found = client.exchange.key().and_then(|key| self.world.found(key));
                let led = trip.led && position == 0;
                let decision = client.exchange.handle_below(found.as_ref(), "tier", led, self.world.now());
                self.decide(client, decision, Vec::new());
            }
            return;
        }
        let invalidates = !trip.fetch.head().method.is_safe();
        let (outcome, body) = self.world.run(&mut trip.fetch);
        let after = self.variants(trip.fetch.key());
        assert!(invalidates || after >= before, "{before} became {after} by {outcome:?}");
        for (position, mut client) in trip.waiting.into_iter().enumerate() {
            let led = trip.led && position == 0;
            let found = client.exchange.key().and_then(|key| self.world.found(key));
            let decision = client.exchange.handle_outcome(&outcome, led, found.as_ref(), self.world.now());
            if !led && matches!(outcome, FetchOutcome::Stored(_)) && matches!(decision, Decision::Answer(_)) {
                self.collapsed += 1;
            }
            self.decide(client, decision, if led { body.clone() } else { Vec::new() });
        }
    }

    /// The leader's request dies.
    fn lose(&mut self, index: usize) {
        let trip = self.trips.swap_remove(index);
        for mut client in trip.waiting {
            let found = client.exchange.key().and_then(|key| self.world.found(key));
            let decision = client.exchange.handle_lost(found.as_ref(), self.world.now());
            self.decide(client, decision, Vec::new());
        }
    }

    /// How many good whole responses there are that will do.
    fn variants(&self, key: &Key) -> usize {
        let now = self.world.now();
        let good = |stored: &&Stored<Bytes>| {
            let record = &stored.record;
            record.is_usable(now) && record.status.as_u16() < 400 && record.part.is_none()
        };
        self.world.found(key).map_or(0, |target| target.variants().iter().filter(good).count())
    }

    fn answer(&mut self, client: Client, answer: ClientResponse<Bytes>, origins: Vec<u8>) {
        *self.answered.entry(client.number).or_default() += 1;
        let got = receive(answer, origins);
        let status = got.field("cache-status").expect("every answer says what the cache did");
        self.hits += u64::from(status.contains("; hit"));
        self.stale += u64::from(status.contains("ttl=-"));
        self.check(&client, &got);
    }

    fn check(&self, client: &Client, got: &Reception) {
        let Some(id) = got.field("x-id") else { return };
        let register = self.register.borrow();
        let sent = &register[&id];
        let name = joined(&client.request.fields, "x-client").unwrap();
        let told = || format!("{name} {:?} {} {:?} {sent:?}", client.request, got.status, got.fields);
        assert!(sent.owner.as_ref().is_none_or(|owner| *owner == name), "another's: {}", told());
        if let Some(variant) = &sent.variant {
            assert_eq!(*variant, joined(&client.request.fields, "x-v"), "another variant: {}", told());
        }
        assert!(self.world.now() < sent.until, "too old: {}", told());
        let status = got.field("cache-status").unwrap();
        let without_origin = status.contains("; hit") || status.contains("detail=origin-");
        assert!(!(sent.validated && without_origin && got.status.is_success()), "not validated: {}", told());
        if client.request.method == Method::HEAD {
            return assert!(got.body.is_empty());
        }
        let whole = sent.body.as_bytes();
        let expected = match got.status.as_u16() {
            206 => {
                let range = got.field("content-range").unwrap();
                let (first, last) =
                    range.trim_start_matches("bytes ").split('/').next().unwrap().split_once('-').unwrap();
                &whole[first.parse().unwrap()..=last.parse::<usize>().unwrap()]
            }
            416 => &[],
            _ => whole,
        };
        assert_eq!(got.body, expected, "other bytes: {}", told());
    }
}

fn check_head(fetch: &Fetch<Bytes>, leader: Option<&Client>) {
    const ADDED: [&str; 6] = ["via", "cdn-loop", "if-none-match", "if-modified-since", "if-range", "range"];
    let fields: &HeaderMap = &fetch.head().fields;
    for name in fields.keys() {
        let asked = leader.is_none_or(|client| client.request.fields.contains_key(name));
        assert!(asked || ADDED.contains(&name.as_str()), "{name} was not asked");
        assert!(!UNKEYED_FIELDS.contains(&name.as_str()), "{name} is dropped");
    }
    assert_eq!(fields.get("via"), Some(&HeaderValue::from_static("1.1 nearcache")));
}

#[test]
fn every_request_ends_in_one_answer_that_it_may_have() {
    rage(|| None);
}

#[test]
fn over_a_store_below_too_whose_isolates_come_and_go() {
    let found = rage(|| Some(Tier::default()));
    assert!(found > 20, "{found}");
}

/// How often something was found below.
fn rage(below: impl Fn() -> Option<Tier>) -> u64 {
    let mut found = 0;
    let steps: u64 = option_env!("STEPS").and_then(|steps| steps.parse().ok()).unwrap_or(1_500);
    for round in 0..20 {
        let seed = seed() + round;
        println!("SEED={seed}");
        let mut storm = Storm::new(seed, below());
        for _ in 0..steps {
            storm.step();
        }
        for _ in 0..100_000 {
            if storm.trips.is_empty() {
                break;
            }
            storm.end(0);
        }
        assert!(storm.trips.is_empty(), "something goes round for ever");
        assert_eq!(storm.answered.len() as u64, storm.begun);
        assert!(storm.answered.values().all(|answers| *answers == 1));
        assert!(
            storm.hits > steps / 50 && storm.stale > 0 && storm.collapsed > 0,
            "{} {} {}",
            storm.hits,
            storm.stale,
            storm.collapsed
        );
        found += storm.found;
    }
    found
}
