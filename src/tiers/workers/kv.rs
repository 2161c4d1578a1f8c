use std::collections::HashMap;

use futures_util::future::{try_join, try_join_all};
use js_sys::{Array, Map, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{bytes_of, object, settled, strings};
use crate::tier::names::is_mark;
use crate::tier::seal::digest;
use crate::tiers::{Tier, TierEntry, TierError, TierOptions};
use std::time::Duration;

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type Namespace;
    #[wasm_bindgen(method, catch)]
    fn get(this: &Namespace, key: &str, kind: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = get)]
    fn get_texts(this: &Namespace, keys: &Array, kind: &str) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn put(this: &Namespace, key: &str, value: &JsValue, options: &Object) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn delete(this: &Namespace, key: &str) -> Result<Promise, JsValue>;

    /// Of a string whose characters are bytes.
    #[wasm_bindgen(catch)]
    fn btoa(bytes: &str) -> Result<String, JsValue>;
    #[wasm_bindgen(catch)]
    fn atob(text: &str) -> Result<String, JsValue>;
}

/// KV keeps nothing for less than a minute, and no value of more.
const SHORTEST: f64 = 60.0;
const LARGEST: usize = 25 << 20;
/// So many keys it reads at once, if they are text: marks are, in Base64.
const MOST: usize = 100;
/// KV's longest name, in bytes.
const LONGEST: usize = 512;

/// Workers KV: everywhere, and eventually: what was written shows elsewhere within a minute or so, purges too. One key costs a read
/// for its value and, if there is one, one for all of its marks; of such operations a request has 1,000. KV takes one write a second
/// for a key.
///
/// If nothing is said a call may take a second, and values of more than 25 MiB are not written.
#[derive(Clone)]
pub struct KvTier {
    name: String,
    prefix: String,
    namespace: Namespace,
}

impl KvTier {
    /// Over a KV namespace, of the name `kv` and with the prefix `nearcache:`.
    pub fn new(namespace: impl Into<JsValue>) -> Self {
        let (name, prefix) = ("kv".to_owned(), "nearcache:".to_owned());
        Self { name, prefix, namespace: namespace.into().unchecked_into() }
    }

    fn stored(&self, name: &str) -> String {
        shortened(format!("{}{name}", self.prefix))
    }

    async fn value(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let value = settled(self.namespace.get(&self.stored(name), "arrayBuffer")).await?;
        Ok(bytes_of(&value))
    }

    /// By stored name. A text that is none of ours is a mark that can't be read, which is not the same as none.
    async fn marks(&self, stored: &[String]) -> Result<HashMap<String, Vec<u8>>, TierError> {
        let names = strings(stored.iter().map(String::as_str));
        let found = settled(self.namespace.get_texts(&names, "text")).await?;
        let found: Map = found.dyn_into().map_err(|_| "KV brought no map")?;
        let text = |name: &String| Some((name.clone(), from_text(&found.get(&name.as_str().into()).as_string()?)));
        Ok(stored.iter().filter_map(text).collect())
    }
}

bound!(KvTier);
named!(KvTier, "What all names in the store begin with.");

impl Tier for KvTier {
    fn name(&self) -> &str {
        &self.name
    }

    fn options(&self) -> TierOptions {
        TierOptions::new().timeout(Duration::from_secs(1)).max_value_bytes(LARGEST)
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, TierError> {
        let answers = self.get_many(&[name.to_owned()]).await?;
        Ok(answers.into_iter().next().flatten())
    }

    async fn set(&self, entry: &TierEntry) -> Result<(), TierError> {
        let ttl = (entry.ttl.as_secs_f64()).ceil().max(SHORTEST);
        let options = object([("expirationTtl", &ttl.into())]);
        let value = match is_mark(&entry.name) {
            true => to_text(&entry.bytes)?.into(),
            false => Uint8Array::from(&*entry.bytes).into(),
        };
        settled(self.namespace.put(&self.stored(&entry.name), &value, &options)).await.map(drop)
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        settled(self.namespace.delete(&self.stored(name))).await.map(drop)
    }

    async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, TierError> {
        let mut marks: Vec<String> = names.iter().filter(|name| is_mark(name)).map(|name| self.stored(name)).collect();
        marks.sort_unstable();
        marks.dedup();
        let texts = try_join_all(marks.chunks(MOST).map(|some| self.marks(some)));
        let values = try_join_all(names.iter().map(async |name| match is_mark(name) {
            true => Ok(None),
            false => self.value(name).await,
        }));
        let (texts, values) = try_join(texts, values).await?;
        let texts: HashMap<String, Vec<u8>> = texts.into_iter().flatten().collect();
        let answer = |(name, value): (&String, _)| match is_mark(name) {
            true => texts.get(&self.stored(name)).cloned(),
            false => value,
        };
        Ok(names.iter().zip(values).map(answer).collect())
    }
}

fn to_text(bytes: &[u8]) -> Result<String, TierError> {
    btoa(&bytes.iter().map(|&byte| char::from(byte)).collect::<String>()).map_err(super::text)
}

fn from_text(text: &str) -> Vec<u8> {
    let bytes = atob(text).unwrap_or_default();
    bytes.chars().filter_map(|char| u8::try_from(char).ok()).collect()
}

/// KV refuses `.` and `..` too, but no name of ours is one.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    // As the npm package cuts it: after 100 of UTF-16's units, and half a pair becomes what stands for none.
    let mut units: Vec<u16> = name.encode_utf16().collect();
    units.truncate(100);
    format!("{}~{}", String::from_utf16_lossy(&units), digest(&name))
}
