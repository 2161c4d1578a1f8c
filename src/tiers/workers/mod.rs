//! Stores of Cloudflare's platform, for Rust Workers: [`KvTier`], [`CacheApiTier`], [`R2Tier`], [`ObjectTier`]. Under the same names and prefixes as the npm
//! package has them, so that Workers in both languages share them.
//!
//! A binding is the platform's own object, whatever crate names it: `KvTier::bound("KV")` takes it from the Worker's environment, and
//! [`KvTier::new`] any value of JavaScript.
//!
//! ```no_run
//! use nearcache::Cache;
//! use nearcache::tiers::workers::{CacheApiTier, KvTier};
//! use nearcache::tiers::{TierError, Tiered, Tiers};
//! use nearcache::workers::Workers;
//! use std::time::Duration;
//!
//! thread_local! {
//!     static USERS: Tiered<String, String, Workers> = users().expect("a binding named KV");
//! }
//!
//! fn users() -> Result<Tiered<String, String, Workers>, TierError> {
//!     let cache = Cache::builder().time_to_live(Duration::from_secs(60)).runtime(Workers).build();
//!     let near = CacheApiTier::default_cache()?;
//!     Ok(Tiers::new().tier(near).tier(KvTier::bound("KV")?).over(cache)?)
//! }
//! ```
//!
//! Like everything made with wasm-bindgen this compiles natively, and any call panics there.

/// A tier with `new`, over the Worker's binding of a name.
macro_rules! bound {
    ($tier:ident) => {
        impl $tier {
            /// Over the Worker's binding of this name.
            ///
            /// # Errors
            /// If there is none.
            pub fn bound(binding_name: &str) -> Result<Self, $crate::tiers::TierError> {
                Ok(Self::new($crate::tiers::workers::binding(binding_name)?))
            }
        }
    };
}

/// What a tier with the fields `name` and `prefix` says of them.
macro_rules! named {
    ($tier:ident, $prefix:literal) => {
        impl $tier {
            /// What it is called.
            #[must_use]
            pub fn named(mut self, name: impl Into<String>) -> Self {
                self.name = name.into();
                self
            }

            #[doc = $prefix]
            #[must_use]
            pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
                self.prefix = prefix.into();
                self
            }
        }
    };
}

mod cache_api;
mod kv;
mod object;
mod r2;

pub use cache_api::CacheApiTier;
pub use kv::KvTier;
pub use object::ObjectTier;
pub use r2::R2Tier;

use js_sys::{Array, ArrayBuffer, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::TierError;

#[wasm_bindgen(module = "cloudflare:workers")]
extern "C" {
    #[wasm_bindgen(thread_local_v2, js_name = env)]
    static ENV: JsValue;
}

/// The Worker's binding of this name.
fn binding(name: &str) -> Result<JsValue, TierError> {
    let value = ENV.with(|env| Reflect::get(env, &name.into())).map_err(text)?;
    if value.is_object() { Ok(value) } else { Err(format!("no binding named {name:?}").into()) }
}

/// Waits for what a call brings. Errors of JavaScript belong to one request; what is kept is their text.
async fn settled(call: Result<Promise, JsValue>) -> Result<JsValue, TierError> {
    JsFuture::from(call.map_err(text)?).await.map_err(text)
}

fn text(error: JsValue) -> TierError {
    let message = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    message.unwrap_or_else(|| format!("{error:?}")).into()
}

/// The bytes of an `ArrayBuffer`; nothing of anything else.
fn bytes_of(value: &JsValue) -> Option<Vec<u8>> {
    value.dyn_ref::<ArrayBuffer>().map(|buffer| Uint8Array::new(buffer).to_vec())
}

fn strings<'a>(strings: impl IntoIterator<Item = &'a str>) -> Array {
    strings.into_iter().map(JsValue::from).collect()
}

/// `{ name: value }`. To set a field of a new object can't fail.
fn object<const N: usize>(fields: [(&str, &JsValue); N]) -> Object {
    let object = Object::new();
    for (name, value) in fields {
        let _ = Reflect::set(&object, &name.into(), value);
    }
    object
}

/// As JavaScript's `encodeURIComponent`, and without a dot, so that no path has `..`.
fn encoded(name: &str) -> String {
    String::from(js_sys::encode_uri_component(name)).replace('.', "%2E")
}
