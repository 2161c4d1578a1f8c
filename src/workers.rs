//! The runtime for Rust Workers: a cache in an isolate of Cloudflare Workers, shared by all of its requests.
//!
//! One isolate answers many requests at once, so a cache belongs in a `thread_local!`, where all of them find it:
//!
//! ```
//! use nearcache::workers::Workers;
//! use nearcache::{Cache, LoadError};
//! use std::rc::Rc;
//! use std::time::Duration;
//!
//! thread_local! {
//!     static USERS: Cache<String, Rc<str>, Workers> = Cache::builder()
//!         .max_entries(5_000)
//!         .time_to_live(Duration::from_secs(60))
//!         .stale_while_revalidate(Duration::from_secs(300))
//!         .runtime(Workers)
//!         .build();
//! }
//!
//! // 800 requests for a user who has just expired: one call of the origin.
//! async fn user(id: String) -> Result<Rc<str>, LoadError> {
//!     let users = USERS.with(Clone::clone);
//!     users.try_get_with(id.clone(), async move |_| ask_origin(&id).await).await
//! }
//! # async fn ask_origin(id: &str) -> Result<Rc<str>, std::io::Error> { Ok(id.into()) }
//! ```
//!
//! `user(…).await` stands in your own `#[event(fetch)]`; `examples/rust-worker` in the repository is a whole Worker, with the
//! `worker` crate and what it takes to build it.
//!
//! # What sharing means here
//!
//! A Worker's request may not wait for another request's future: the runtime sees a request without any I/O of its own, calls it
//! hung, and answers 500. It may wait for another request's *promise*. So with this runtime
//!
//! - a load runs in the request that began it, as a promise which everyone else waits for. That request's client may leave, or
//!   get its answer, and the load goes on: it is handed to `waitUntil`, for which no [`Context`] need be passed;
//! - that promise is made in the one way that keeps its request's mark once V8 has compiled the code (`docs/workerd-promises.md`
//!   in the repository has the measurements). Nothing needs to be done for it;
//! - a load that is lost all the same (`waitUntil` has ended after 30 seconds, or the request has been killed) is asked for again
//!   by those who wait, each within its own deadline: one of them begins it anew. So a loader may run twice;
//! - a refresh in the background runs in the request that saw the stale value, after its answer.
//!
//! # What to keep in it
//!
//! A `Request`, a `Response`, a stream or a socket belongs to the request that made it, and so does whatever holds one. Keep
//! plain values: strings, bytes, what serde made of JSON, in an `Rc` where a clone is dear. A loader likewise does its I/O in
//! the request that began the load, so it should take nothing from another one along.
//!
//! Within one run of code, between two `await`s of I/O, the runtime's clock stands still.
//!
//! Natively this module compiles, so that editors and `cargo check` work, and any call of the JS host panics, as everything made
//! with wasm-bindgen does there. Tests of a program's own take [`Local`](crate::engine::Local), by a function that is generic over
//! [`Runtime`].
//!
//! [`Context`]: https://docs.rs/worker/latest/worker/struct.Context.html

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::engine::{Runtime, Signal, js_clock};
use crate::time::Timestamp;

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    /// Lets the present request go on until the promise has settled.
    #[wasm_bindgen(js_name = waitUntil)]
    fn wait_until(promise: &Promise);
}

/// The runtime of Cloudflare Workers, for [`Builder::runtime`](crate::Builder::runtime). What it does about requests is said
/// in the [module's docs](self).
///
/// Each call but [`random`](Runtime::random) needs a request under way, as timers, I/O and `waitUntil` do: not at a Worker's
/// start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Workers;

impl Runtime for Workers {
    type Task = Task;
    const DETACHED: bool = true;

    /// Runs a task to its end, though the request may be answered before.
    fn detach(&self, task: LocalBoxFuture<'static, ()>) -> Task {
        // workerd knows by a mark whose a promise is, and only this way of making one keeps the mark when V8 has
        // compiled the code around it: see docs/workerd-promises.md.
        let ended = Promise::<JsValue, JsValue>::with_resolvers();
        let (promise, resolve) = (ended.promise(), ended.resolve());
        let run = future_to_promise(AssertUnwindSafe(async move {
            task.await;
            let _ = resolve.call1(&JsValue::UNDEFINED, &JsValue::UNDEFINED);
            Ok(JsValue::UNDEFINED)
        }));
        wait_until(&run);
        Task { promise, waiting: None }
    }

    fn signal(&self) -> Option<(Task, Signal)> {
        let signal = Promise::<JsValue, JsValue>::with_resolvers();
        let (promise, resolve) = (signal.promise(), signal.resolve());
        let settle = move || drop(resolve.call1(&JsValue::UNDEFINED, &JsValue::UNDEFINED));
        Some((Task { promise, waiting: None }, Box::new(settle)))
    }

    /// `Date.now()`.
    fn now(&self) -> Timestamp {
        js_clock::now()
    }

    /// By the host's timer, which ends with the present request.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        js_clock::sleep(millis)
    }
}

/// The promise of a task that [`Workers`] runs. Any request may wait for it, by a clone of its own.
pub struct Task {
    promise: Promise,
    waiting: Option<JsFuture>,
}

impl Clone for Task {
    fn clone(&self) -> Self {
        Self { promise: self.promise.clone(), waiting: None }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").finish_non_exhaustive()
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let promise = self.promise.clone();
        let waiting = self.waiting.get_or_insert_with(|| JsFuture::from(promise));
        // A rejection tells that the request is gone; that no result is there tells the engine.
        Pin::new(waiting).poll(context).map(|_| ())
    }
}
