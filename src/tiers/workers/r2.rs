use std::time::Duration;

use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{bytes_of, encoded, object, settled, strings, text};
use crate::engine::wall;
use crate::tiers::{Tier, TierEntry, TierError, TierOptions};

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type Bucket;
    #[wasm_bindgen(method, catch)]
    fn get(this: &Bucket, key: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn put(this: &Bucket, key: &str, value: &Uint8Array, options: &Object) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Bucket, keys: &JsValue) -> Result<Promise, JsValue>;

    type Body;
    #[wasm_bindgen(method, catch, js_name = arrayBuffer)]
    fn array_buffer(this: &Body) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, getter, js_name = customMetadata)]
    fn custom_metadata(this: &Body) -> JsValue;
}

/// R2 deletes so many at once.
const MOST: usize = 1_000;

/// R2: for large values, consistent, without an end by time of its own: what has expired is not believed, and wants a lifecycle rule of
/// the bucket to go. Writes cost more than reads (class A and B operations).
///
/// If nothing is said a call may take two seconds.
#[derive(Clone)]
pub struct R2Tier {
    name: String,
    prefix: String,
    bucket: Bucket,
}

impl R2Tier {
    /// Over a bucket, of the name `r2` and with the prefix `nearcache/`.
    pub fn new(bucket: impl Into<JsValue>) -> Self {
        let (name, prefix) = ("r2".to_owned(), "nearcache/".to_owned());
        Self { name, prefix, bucket: bucket.into().unchecked_into() }
    }

    fn path(&self, name: &str) -> String {
        format!("{}{}", self.prefix, encoded(name))
    }
}

bound!(R2Tier);
named!(R2Tier, "What all names in the store begin with.");

impl Tier for R2Tier {
    fn name(&self) -> &str {
        &self.name
    }

    fn options(&self) -> TierOptions {
        TierOptions::new().timeout(Duration::from_secs(2))
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let found = settled(self.bucket.get(&self.path(name))).await?;
        if found.is_null() {
            return Ok(None);
        }
        let body: Body = found.unchecked_into();
        let until = Reflect::get(&body.custom_metadata(), &"until".into()).map_err(text)?;
        let until = until.as_string().map_or(Ok(f64::INFINITY), |until| until.parse())?;
        if until <= wall().as_millis() as f64 {
            return Ok(None);
        }
        Ok(bytes_of(&settled(body.array_buffer()).await?))
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        let until = wall().as_millis() as f64 + entry.ttl.as_millis() as f64;
        let metadata = object([("until", &until.to_string().into())]);
        let options = object([("customMetadata", &metadata)]);
        settled(self.bucket.put(&self.path(&entry.name), &Uint8Array::from(&*entry.bytes), &options)).await.map(drop)
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        settled(self.bucket.delete(&self.path(name).into())).await.map(drop)
    }

    async fn delete_many(&self, names: &[String]) -> Result<(), TierError> {
        for some in names.chunks(MOST) {
            let paths: Vec<String> = some.iter().map(|name| self.path(name)).collect();
            settled(self.bucket.delete(&strings(paths.iter().map(String::as_str)))).await?;
        }
        Ok(())
    }
}
