//! A request's way through a shared cache, as two machines without I/O.
//!
//! [`Exchange`] is one client's request: it is told what is stored, and answers, or says what to ask the origin for.
//! [`Fetch`] is one trip to the origin, alone or for all who ask for the same: it is told what the origin answered,
//! and says what becomes of that. What changes in the store they say as [`Change`]s.
//!
//! Neither has a clock or sees a byte of a body: a body is a `B` of the driver's, which is cheap to clone, and the
//! machines know its length. One that is too long for a driver's memory may lie apart, in a store from which it is read as it is sent:
//! its record has a [`Manifest`], and its `B` is empty.
//!
//! What lies in the store under one [`Key`] is a [`Target`]: all variants of a URL, and what is remembered of asking for
//! it. Its [`keep_until_ms`](Target::keep_until_ms) is the end of every use; how long it is fresh is nobody's matter but the machines'.
//!
//! # A drive
//!
//! ```
//! use std::{collections::HashMap, rc::Rc};
//! use http::{HeaderMap, HeaderValue, Method};
//! use nearcache::http::exchange::{ClientResponse, Decision, Exchange, FetchOutcome, Key, Progress, Request, ResponseHead, Target};
//! use nearcache::http::rule::Rule;
//!
//! type Body = Rc<str>;
//! let mut store: HashMap<Key, Target<Body>> = HashMap::new();
//!
//! /// Answers a GET of `/` at `now`, by an origin whose body is its only word.
//! fn answer(store: &mut HashMap<Key, Target<Body>>, now: u64) -> ClientResponse<Body> {
//!     let request = Request {
//!         method: Method::GET,
//!         scheme: "https".to_owned(),
//!         host: "example.com".to_owned(),
//!         target: "/".to_owned(),
//!         fields: HeaderMap::new(),
//!     };
//!     let mut exchange = Exchange::new(Rc::new(Rule::default()), request);
//!     let found = exchange.key().and_then(|key| store.get(key));
//!     let mut decision = exchange.handle_stored(found, now);
//!     loop {
//!         let mut fetch = match decision {
//!             Decision::Answer(answer) => return answer,
//!             // A driver answers, and makes this trip in the background.
//!             Decision::AnswerAndRefresh(answer, _fetch) => return answer,
//!             // A driver joins the trip with the same `fetch.flight()`, where one is under way.
//!             Decision::Fetch(fetch) => fetch,
//!         };
//!         // Here `fetch.head()` goes to the origin, and this comes back:
//!         let mut head = ResponseHead { status: 200, fields: HeaderMap::new(), damaged: false };
//!         head.fields.insert("cache-control", HeaderValue::from_static("max-age=60"));
//!         let outcome: FetchOutcome<Body> = match fetch.handle_response(head, now, now) {
//!             Progress::Read(_filling) => fetch.handle_body("hello".into(), 5, now),
//!             Progress::Done(outcome) => outcome,
//!             Progress::SendAgain => unreachable!("nothing was validated"),
//!         };
//!         while let Some(change) = fetch.poll_change() {
//!             let key = change.key().clone();
//!             match change.apply(store.get(&key), now) {
//!                 Some(target) => store.insert(key, target),
//!                 None => store.remove(&key),
//!             };
//!         }
//!         let found = exchange.key().and_then(|key| store.get(key));
//!         decision = exchange.handle_outcome(&outcome, true, found, now);
//!     }
//! }
//!
//! let miss = answer(&mut store, 1_000_000);
//! assert_eq!(miss.to_fields()["cache-status"], "nearcache; fwd=uri-miss; stored; ttl=60");
//! let hit = answer(&mut store, 1_010_000);
//! assert_eq!(hit.to_fields()["cache-status"], "nearcache; hit; ttl=50");
//! ```

mod answer;
mod below;
mod change;
mod client;
mod content;
mod failure;
mod fetch;
mod fill;
mod forward;
mod freshen;
mod key;
mod key_parts;
mod manifest;
mod outcome;
mod purged_url;
mod record;
mod request;
mod response;
mod target;

pub use answer::ClientResponse;
pub use below::{Below, Shared};
pub use change::Change;
pub use client::{Decision, Exchange};
pub use content::Content;
pub use fetch::{Fetch, Filling, Piece, Progress};
pub use forward::FetchHead;
pub use key::{FlightKey, Key, url_named};
pub use manifest::{Manifest, Parts};
pub use outcome::{Failed, Failure, FetchOutcome, Unshared};
pub use purged_url::PurgedUrl;
pub use record::{Record, Stored};
pub use request::Request;
pub use response::ResponseHead;
pub use target::Target;
