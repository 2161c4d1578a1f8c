//! A cache around the exchange in virtual time: a store, an origin that a test writes, and a client.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use nearcache::http::exchange::{
    Below, Change, ClientResponse, Content, Decision, Exchange, Failure, Fetch, FetchHead, FetchOutcome, Key, Manifest,
    Piece, Progress, PurgedUrl, Request, ResponseHead, Target,
};
use nearcache::http::rule::{Purge, Rule, Rules};

/// A body.
pub type Bytes = Rc<Vec<u8>>;

/// What an origin does with a request.
pub enum Reply {
    /// It answers, after so many milliseconds.
    Response { status: u16, fields: HeaderMap, body: Vec<u8>, after: u64 },
    /// It breaks the connection.
    Failure(Failure),
}

/// What a client got.
#[derive(Clone, Debug)]
pub struct Reception {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: Vec<u8>,
}

type Origin = Box<dyn FnMut(&FetchHead, u64) -> Reply>;

/// A store below the memories of several worlds: by name the head, the body, and until when it is kept.
pub type Tier = Rc<RefCell<HashMap<String, (Vec<u8>, Bytes, u64)>>>;

/// Bodies that lie apart, by name, of several worlds.
pub type Apart = Rc<RefCell<HashMap<String, Bytes>>>;

/// Everything there is.
pub struct World {
    pub below: Option<Tier>,
    /// A store for what is longer than the rule's limit, if there is one.
    pub apart: Option<Apart>,
    pub rule: Rc<Rule>,
    pub now: Rc<Cell<u64>>,
    pub store: RefCell<HashMap<Key, Target<Bytes>>>,
    pub origin: RefCell<Origin>,
    /// Every request that the origin got.
    pub asked: RefCell<Vec<FetchHead>>,
}

/// The moment at which a world begins: 2026-11-21T00:00:00Z.
pub const BEGIN: u64 = 1_795_219_200_000;

impl World {
    pub fn new(rule: Rule, origin: impl FnMut(&FetchHead, u64) -> Reply + 'static) -> Self {
        Self {
            below: None,
            apart: None,
            rule: Rc::new(rule),
            now: Rc::new(Cell::new(BEGIN)),
            store: RefCell::default(),
            origin: RefCell::new(Box::new(origin)),
            asked: RefCell::default(),
        }
    }

    pub fn now(&self) -> u64 {
        self.now.get()
    }

    pub fn pass(&self, ms: u64) {
        self.now.set(self.now.get() + ms);
    }

    pub fn found(&self, key: &Key) -> Option<Target<Bytes>> {
        self.store.borrow().get(key).cloned()
    }

    /// One request from its beginning to its answer; what is to be refreshed behind it is refreshed at once.
    pub fn ask(&self, request: Request) -> Reception {
        let mut exchange = Exchange::new(self.rule.clone(), request);
        let found = exchange.key().and_then(|key| self.found(key));
        let mut decision = exchange.handle_stored(found.as_ref(), self.now());
        let mut body = Vec::new();
        for _ in 0..20 {
            match decision {
                Decision::Answer(answer) => {
                    let Content::Apart(manifest, bytes) = &answer.content else { return receive(answer, body) };
                    if let Some(lies) = self.lies(manifest) {
                        assert!(bytes.end <= manifest.length());
                        return receive(answer, lies.to_vec());
                    }
                    let change = exchange.handle_missing(manifest);
                    let key = change.key().clone();
                    self.apply(change);
                    decision = exchange.handle_lost(self.found(&key).as_ref(), self.now());
                }
                Decision::AnswerAndRefresh(answer, mut fetch) => {
                    let lies = match &answer.content {
                        Content::Apart(manifest, _) => self.lies(manifest).map(|lies| lies.to_vec()),
                        _ => None,
                    };
                    let reception = receive(answer, lies.unwrap_or(body));
                    if !self.look_below(&fetch) {
                        self.run(&mut fetch);
                    }
                    return reception;
                }
                Decision::Fetch(mut fetch) => {
                    let key = fetch.key().clone();
                    if self.look_below(&fetch) {
                        decision = exchange.handle_below(self.found(&key).as_ref(), "tier", true, self.now());
                        continue;
                    }
                    let (outcome, origins) = self.run(&mut fetch);
                    body = origins;
                    decision = exchange.handle_outcome(&outcome, true, self.found(&key).as_ref(), self.now());
                }
            }
        }
        panic!("the exchange does not end");
    }

    /// A trip to the origin, and the body of what it brought.
    pub fn run(&self, fetch: &mut Fetch<Bytes>) -> (FetchOutcome<Bytes>, Vec<u8>) {
        for _ in 0..5 {
            let sent_at = self.now();
            self.asked.borrow_mut().push(fetch.head().clone());
            let reply = (self.origin.borrow_mut())(fetch.head(), sent_at);
            let ended = match reply {
                Reply::Failure(failure) => (fetch.handle_failure(failure, self.now()), Vec::new()),
                Reply::Response { status, fields, body, after } => {
                    self.pass(after);
                    match fetch.handle_response(ResponseHead { status, fields, damaged: false }, sent_at, self.now()) {
                        Progress::SendAgain => continue,
                        Progress::Done(outcome) => (outcome, body),
                        Progress::Read(filling) if body.len() as u64 > filling.limit => {
                            let length = filling.may_lie_apart(self.now()).filter(|_| self.apart.is_some());
                            let begun = length.and_then(|_| fetch.begin_apart(self.now()));
                            if let (Some(length), Some(_), Some(apart)) = (length, &begun, &self.apart) {
                                let name = format!("body {}", apart.borrow().len());
                                let parts = usize::try_from(length.div_ceil(Manifest::PART_BYTES)).unwrap();
                                let digests = vec![7; parts * Manifest::DIGEST_BYTES];
                                apart.borrow_mut().insert(name.clone(), Rc::new(body.clone()));
                                let manifest = Manifest::new(name, length, digests).unwrap();
                                assert!(fetch.handle_apart(manifest, Rc::default()));
                            }
                            (begun.unwrap_or_else(|| fetch.handle_too_long(self.now())), body)
                        }
                        Progress::Read(filling) => {
                            let bytes = assemble(&filling.assemble, &body);
                            let length = bytes.len() as u64;
                            (fetch.handle_body(Rc::new(bytes), length, self.now()), body)
                        }
                    }
                }
            };
            while let Some(change) = fetch.poll_change() {
                let shared = change.shared(self.now());
                self.apply(change);
                for shared in shared {
                    let until = self.now() + shared.lifetimes[0] + shared.lifetimes[1].max(shared.lifetimes[2]);
                    for name in shared.names {
                        let kept = (shared.head.clone(), shared.stored.body.clone(), until);
                        self.below.as_ref().map(|tier| tier.borrow_mut().insert(name, kept));
                    }
                }
            }
            let rules = Rules::from(Rule::clone(&self.rule));
            while let Some(purge) = fetch.poll_purge() {
                self.store.borrow_mut().retain(|key, target| match &purge {
                    Purge::Target(url) => !PurgedUrl::new(&rules, url).concerns(key),
                    Purge::Prefix(prefix) => !key.name().starts_with(prefix),
                    Purge::Tag(tag) => !target.tags().contains(tag),
                });
            }
            return ended;
        }
        panic!("the fetch does not end");
    }

    /// Whether a store below had something, which is in the memory now.
    pub fn look_below(&self, fetch: &Fetch<Bytes>) -> bool {
        let Some(tier) = &self.below else { return false };
        let mut name = fetch.name_below();
        while let Some(next) = name.take() {
            let kept = tier.borrow().get(&next).filter(|kept| kept.2 > self.now()).cloned();
            let Some((head, body, _)) = kept else { return false };
            let length = body.len() as u64;
            let found = self.found(fetch.key());
            match fetch.handle_below(found.as_ref(), &head, body, length, self.now()) {
                Below::Found(change) => {
                    self.apply(change);
                    return true;
                }
                Below::Elsewhere(other) => name = Some(other).filter(|other| *other != next),
                Below::Nothing => return false,
            }
        }
        false
    }

    /// The body that a manifest is of.
    fn lies(&self, manifest: &Manifest) -> Option<Bytes> {
        let lies = self.apart.as_ref()?.borrow().get(manifest.name()).cloned()?;
        assert_eq!(lies.len() as u64, manifest.length());
        Some(lies)
    }

    pub fn apply(&self, change: Change<Bytes>) {
        let key = change.key().clone();
        let next = change.apply(self.found(&key).as_ref(), self.now());
        match next {
            Some(target) => self.store.borrow_mut().insert(key, target),
            None => self.store.borrow_mut().remove(&key),
        };
    }
}

fn assemble(pieces: &[Piece<Bytes>], new: &[u8]) -> Vec<u8> {
    if pieces.is_empty() {
        return new.to_vec();
    }
    let mut whole = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Stored(body, range) => whole.extend_from_slice(part(body, range)),
            Piece::New(range) => whole.extend_from_slice(part(new, range)),
        }
    }
    whole
}

fn part<'a>(body: &'a [u8], range: &Range<u64>) -> &'a [u8] {
    let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(body.len());
    &body[usize::try_from(range.start).unwrap().min(end)..end]
}

pub fn receive(answer: ClientResponse<Bytes>, origins: Vec<u8>) -> Reception {
    let fields = answer.to_fields();
    let body = match answer.content {
        Content::Empty => Vec::new(),
        Content::Stored(body, range) => part(&body, &range).to_vec(),
        Content::Filling(range) | Content::Apart(_, range) => part(&origins, &range).to_vec(),
        Content::Origin => origins,
        Content::Text(text) => text.into_bytes(),
    };
    Reception { status: answer.status, fields, body }
}

impl Reception {
    /// A field's lines, joined.
    pub fn field(&self, name: &str) -> Option<String> {
        joined(&self.fields, name)
    }
}

pub fn joined(fields: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<_> = fields.get_all(name).iter().map(|line| String::from_utf8_lossy(line.as_bytes())).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

/// A GET of a path on one host.
pub fn get(target: &str, fields: &[(&str, &str)]) -> Request {
    Request {
        method: Method::GET,
        scheme: "https".to_owned(),
        host: "example.com".to_owned(),
        target: target.to_owned(),
        fields: map(fields),
    }
}

pub fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

pub fn response(status: u16, fields: &[(&str, &str)], body: &str) -> Reply {
    Reply::Response { status, fields: map(fields), body: body.as_bytes().to_vec(), after: 0 }
}
