//! The clock and the timers of a JS host.

use std::future::Future;

use js_sys::{Function, Promise, PromiseWithResolvers};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use crate::time::Timestamp;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, millis: i32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// The wall clock, rounded down.
pub fn now() -> Timestamp {
    Timestamp::from_millis(js_sys::Date::now() as u64)
}

/// Ends after so many milliseconds, at most 2^31 - 1. Dropping it clears the timer, which would keep
/// Node running.
pub fn sleep(millis: u64) -> impl Future<Output = ()> + 'static {
    let ended: PromiseWithResolvers<JsValue, JsValue> = Promise::<JsValue, JsValue>::with_resolvers();
    let promise = ended.promise();
    let resolve: Function = ended.resolve().unchecked_into();
    let id = set_timeout(&resolve, i32::try_from(millis).unwrap_or(i32::MAX));
    let timer = Timer { id, resolve };
    async move {
        let _timer = timer;
        // A timer's promise is never rejected, but for a request that has ended, where waiting is over too.
        let _ = JsFuture::from(promise).await;
    }
}

struct Timer {
    id: JsValue,
    resolve: Function,
}

impl Drop for Timer {
    fn drop(&mut self) {
        clear_timeout(&self.id);
        // What waits for a promise is freed when that settles.
        let _ = self.resolve.call0(&JsValue::UNDEFINED);
    }
}
