//! How requests share a task in workerd.
//!
//! A request may wait only for a promise of the runtime, not for another request's future: the runtime would
//! call it hung. So a task is a promise of the request that began it, kept going by `waitUntil`, and everyone
//! else waits for that very promise. When the request is gone for good, the runtime rejects it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use crate::engine::{Runtime, js_clock};
use crate::time::Timestamp;

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    /// Lets the present request go on until the promise has settled.
    #[wasm_bindgen(js_name = waitUntil)]
    pub(super) fn wait_until(promise: &Promise);
}

/// Runs a task to its end, though the request may be answered before. The promise is fit for other requests to wait for.
pub(super) fn run_on(task: impl Future<Output = ()> + 'static) -> Promise {
    // workerd knows by a mark whose a promise is, and only this way of making one keeps the mark when V8 has
    // compiled the code around it: see docs/workerd-promises.md.
    let ended = Promise::<JsValue, JsValue>::with_resolvers();
    let (promise, resolve) = (ended.promise(), ended.resolve());
    let run = future_to_promise(std::panic::AssertUnwindSafe(async move {
        task.await;
        let _ = resolve.call1(&JsValue::UNDEFINED, &JsValue::UNDEFINED);
        Ok(JsValue::UNDEFINED)
    }));
    wait_until(&run);
    promise
}

/// The Workers runtime.
#[derive(Clone, Copy, Default)]
pub(super) struct Workerd;

impl Runtime for Workerd {
    type Task = Joined;
    const DETACHED: bool = true;

    fn detach(&self, task: LocalBoxFuture<'static, ()>) -> Joined {
        Joined { promise: run_on(task), waiting: None }
    }

    fn now(&self) -> Timestamp {
        js_clock::now()
    }

    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + 'static {
        js_clock::sleep(millis)
    }
}

/// A promise that many requests wait for, each in a way of its own.
pub(super) struct Joined {
    promise: Promise,
    waiting: Option<JsFuture>,
}

impl Clone for Joined {
    fn clone(&self) -> Self {
        Self { promise: self.promise.clone(), waiting: None }
    }
}

impl Future for Joined {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let promise = self.promise.clone();
        let waiting = self.waiting.get_or_insert_with(|| JsFuture::from(promise));
        // A rejection tells that the request is gone; that no result is there tells the engine.
        Pin::new(waiting).poll(context).map(|_| ())
    }
}
