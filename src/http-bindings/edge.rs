//! What the stores below, and other isolates, have to do with a proxy: what is stored there, and what purges are told to and fro.

use std::ops::Range;
use std::rc::Rc;

use js_sys::{JsString, Uint8Array};
use nearcache::http::exchange::{Below, ClientResponse, Content, Key, Manifest, Parts, Shared};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::flights::State;
use crate::host;
use crate::proxy::Proxy;
use crate::store::{Body, Purged};
use crate::trip::Trip;

/// The longest body that goes into stores below: it is copied into linear memory on its way, which never shrinks, and a row of a Durable
/// Object has 2 MB.
const MOST_BYTES: usize = 1_900_000;
/// What bears more tags stays in memory: where marks tell of purges each costs a read.
const MOST_TAGS: usize = 16;

/// The proxy as the stores below and other isolates see it.
#[wasm_bindgen]
pub struct Edge(Rc<Proxy>);

impl Edge {
    /// Of a proxy.
    pub fn new(proxy: &Rc<Proxy>) -> Self {
        Self(proxy.clone())
    }
}

#[wasm_bindgen]
impl Edge {
    /// There are stores below; one where bodies lie apart, up to so many bytes each; or somebody to tell purges.
    pub fn attach(&self, below: bool, most_apart: f64, tells: bool) {
        self.0.below.set(below);
        self.0.most_apart.set(most_apart as u64);
        self.0.store.tell(tells);
    }

    /// What was purged here and is to be told: of each its kind, its name, and `soft` if it is stale only.
    pub fn told(&self) -> Vec<String> {
        self.0.store.told()
    }

    /// Names of bodies that lie apart and that were replaced or purged here: they are to be deleted.
    pub fn orphans(&self) -> Vec<String> {
        self.0.store.orphans()
    }

    /// Somebody else has purged something, at a moment: a `tag`, `url`, `prefix` or `everything`. Whether that is known here.
    pub fn purge(&self, kind: &str, name: String, soft: bool, at: f64) -> bool {
        let purged = match kind {
            "tag" => Purged::Tag(name),
            "url" => self.0.url(&name),
            "prefix" => self.0.prefix(&name),
            "everything" => Purged::Everything,
            _ => return false,
        };
        self.0.store.purge_at(purged, soft, host::now(), at as u64);
        true
    }

    /// What was purged up to a moment is not known: the memory is emptied, and what was loaded before is not believed of stores below.
    pub fn forget(&self, until: f64) {
        self.0.store.forget(host::now(), until as u64);
    }
}

/// A response for the stores below.
#[wasm_bindgen]
pub struct Share {
    shared: Shared<Body>,
    tags: Vec<String>,
    generation: u64,
}

#[wasm_bindgen]
impl Share {
    /// Under which names.
    pub fn names(&self) -> Vec<String> {
        self.shared.names.clone()
    }

    /// Its bytes: the length of the head, in four, the head, and the body.
    pub fn payload(&self) -> Uint8Array {
        let (head, body) = (&self.shared.head, self.shared.stored.body.bytes());
        let length = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let bytes = Uint8Array::new_with_length(4 + length + body.length());
        bytes.subarray(0, 4).copy_from(&length.to_le_bytes());
        bytes.subarray(4, 4 + length).copy_from(head);
        bytes.set(body, 4 + length);
        bytes
    }

    /// By what it may be purged: its tags behind `t:`, and its URL and path behind `u:`.
    pub fn tags(&self) -> Vec<String> {
        self.tags.clone()
    }

    /// How long it is fresh, may be handed out while it is revalidated, and is of use after that; and when its load began.
    pub fn numbers(&self) -> Vec<f64> {
        self.shared.lifetimes.iter().chain([&self.generation]).map(|number| *number as f64).collect()
    }
}

/// A body that lies apart, for an answer.
#[wasm_bindgen]
pub struct Apart {
    manifest: Rc<Manifest>,
    bytes: Range<u64>,
}

impl Apart {
    pub(crate) fn of(answer: &ClientResponse<Body>) -> Option<Self> {
        match &answer.content {
            Content::Apart(manifest, bytes) => Some(Self { manifest: manifest.clone(), bytes: bytes.clone() }),
            _ => None,
        }
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

#[wasm_bindgen]
impl Apart {
    /// Under which name it lies.
    pub fn name(&self) -> String {
        self.manifest.name().to_owned()
    }

    /// Which bytes of it are wanted, from where to where; which are to be read for that; and how long a part is.
    pub fn numbers(&self) -> Vec<f64> {
        let Parts { bytes, .. } = self.manifest.parts(&self.bytes);
        let numbers = [self.bytes.start, self.bytes.end, bytes.start, bytes.end, Manifest::PART_BYTES];
        numbers.map(|number| number as f64).to_vec()
    }

    /// What the parts hash to that are to be read, one after the other.
    pub fn digests(&self) -> Vec<u8> {
        self.manifest.parts(&self.bytes).digests.to_vec()
    }
}

#[wasm_bindgen]
impl Trip {
    /// The name under which stores below may have what it is for; nothing if they are not to be asked.
    #[wasm_bindgen(js_name = nameBelow)]
    pub fn name_below(&self) -> Option<String> {
        self.proxy.below.get().then(|| self.fetch.name_below()).flatten()
    }

    /// A store below has these bytes, whose load began at `generation`: `true` if they are of use, and the trip is over; another name to look
    /// under; or nothing.
    pub fn found(&mut self, layer: &str, generation: f64, bytes: &Uint8Array) -> JsValue {
        let now = host::now();
        let Some((head, body)) = split(bytes) else { return JsValue::UNDEFINED };
        let length = u64::from(body.length());
        let known = self.proxy.store.peek(self.fetch.key());
        match self.fetch.handle_below(known.as_deref(), &head, Body::new(body), length, now) {
            Below::Elsewhere(name) => JsString::from(name).into(),
            // There is no store here that has its body.
            Below::Found(change) if change.lies_apart() && self.proxy.most_apart.get() == 0 => JsValue::UNDEFINED,
            Below::Found(change)
                if !self.proxy.store.purged_after(generation as u64, change.key(), change.tags())
                    && self.proxy.store.apply(change.clone(), self.flight.seen, now) =>
            {
                self.flight.state.replace(State::Below(layer.to_owned()));
                self.proxy.flights.close(&self.flight);
                JsValue::TRUE
            }
            Below::Found(_) | Below::Nothing => JsValue::UNDEFINED,
        }
    }

    /// The next of what goes into stores below.
    pub fn share(&mut self) -> Option<Share> {
        loop {
            let shared = self.shared.pop()?;
            let record = &shared.stored.record;
            let mut tags: Vec<String> = record.tags.iter().map(|tag| format!("t:{tag}")).collect();
            tags.extend(urls(self.fetch.key()).map(|url| format!("u:{url}")));
            if shared.stored.body.len() <= MOST_BYTES && tags.len() <= MOST_TAGS {
                return Some(Share { shared, tags, generation: self.sent_at });
            }
        }
    }
}

/// What URL purges may name a key by: host, path and query, and those without the host.
fn urls(key: &Key) -> impl Iterator<Item = &str> {
    let name = key.name();
    let path = name.find('/').filter(|at| *at > 0).and_then(|at| name.get(at..));
    std::iter::once(name).chain(path)
}

/// Head and body of a payload.
fn split(bytes: &Uint8Array) -> Option<(Vec<u8>, Uint8Array)> {
    let length: [u8; 4] = bytes.subarray(0, 4).to_vec().try_into().ok()?;
    let end = u32::from_le_bytes(length).checked_add(4).filter(|end| *end <= bytes.length())?;
    Some((bytes.subarray(4, end).to_vec(), bytes.subarray(end, bytes.length())))
}
