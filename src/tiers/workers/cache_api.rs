use js_sys::{Object, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{bytes_of, encoded, object, settled, text};
use crate::tiers::{Tier, TierEntry, TierError};

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type ApiCache;
    #[wasm_bindgen(method, catch, js_name = match)]
    fn find(this: &ApiCache, url: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn put(this: &ApiCache, url: &str, response: &Response) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &ApiCache, url: &str) -> Result<Promise, JsValue>;

    type Response;
    #[wasm_bindgen(constructor, catch)]
    fn new(body: &Uint8Array, init: &Object) -> Result<Response, JsValue>;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &Response) -> Result<Promise, JsValue>;

    #[wasm_bindgen(thread_local_v2, js_name = caches)]
    static CACHES: JsValue;
}

/// The Cache API: of a data centre, shared by its isolates, and free. A purge reaches the data centre it was made in; elsewhere a value
/// stays until its `ttl`, so keep that short. Does nothing on workers.dev.
#[derive(Clone)]
pub struct CacheApiTier {
    name: String,
    prefix: String,
    cache: ApiCache,
}

impl CacheApiTier {
    /// Over what `caches.open()` brought, of the name `cache-api` and with the prefix `nearcache:`.
    pub fn new(cache: impl Into<JsValue>) -> Self {
        let (name, prefix) = ("cache-api".to_owned(), "nearcache:".to_owned());
        Self { name, prefix, cache: cache.into().unchecked_into() }
    }

    /// Over `caches.default`.
    ///
    /// # Errors
    /// If there is none.
    pub fn default_cache() -> Result<Self, TierError> {
        CACHES.with(|caches| js_sys::Reflect::get(caches, &"default".into())).map(Self::new).map_err(text)
    }

    fn url(&self, name: &str) -> String {
        format!("https://nearcache.internal/{}", encoded(&format!("{}{name}", self.prefix)))
    }
}

named!(CacheApiTier, "What all names in the store begin with.");

impl Tier for CacheApiTier {
    fn name(&self) -> &str {
        &self.name
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let found = settled(self.cache.find(&self.url(name))).await?;
        if found.is_undefined() {
            return Ok(None);
        }
        let bytes = settled(found.unchecked_into::<Response>().array_buffer()).await?;
        Ok(bytes_of(&bytes))
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        let max_age = format!("public, max-age={}", entry.ttl.as_secs_f64().ceil());
        let kind = "application/octet-stream".into();
        let headers = object([("Cache-Control", &max_age.into()), ("Content-Type", &kind)]);
        let init = object([("headers", &headers)]);
        let response = Response::new(&Uint8Array::from(&*entry.bytes), &init).map_err(text)?;
        settled(self.cache.put(&self.url(&entry.name), &response)).await.map(drop)
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        settled(self.cache.delete(&self.url(name))).await.map(drop)
    }
}
