use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use js_sys::{Array, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::{object, settled, strings, text};
use crate::tier::names::{is_mark_of_many, without_kind};
use crate::tiers::{Tier, TierEntry, TierError, TierOptions};

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type ObjectNamespace;
    #[wasm_bindgen(method, catch, js_name = idFromName)]
    fn id_from_name(this: &ObjectNamespace, name: &str) -> Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn get(this: &ObjectNamespace, id: &JsValue) -> Result<Stub, JsValue>;

    type Stub;
    #[wasm_bindgen(method, catch, js_name = getMany)]
    fn get_many(this: &Stub, names: &Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = setMany)]
    fn set_many(this: &Stub, entries: &Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch, js_name = deleteMany)]
    fn delete_many(this: &Stub, names: &Array) -> Result<Promise, JsValue>;
    #[wasm_bindgen(method, catch)]
    fn clear(this: &Stub) -> Result<Promise, JsValue>;
}

/// A row of an object's SQLite has 2 MB at the most, its name among them.
const LARGEST: usize = 2_000_000 - 1_000;

/// Durable Objects of the npm package's class `storeObject`, in a Worker in JavaScript beside this one (wrangler's `script_name`):
/// consistent everywhere, far from most. A read of many keys is one call for each shard they are in.
///
/// If nothing is said a call may take a second, and values of more than 2 MB are not written.
#[derive(Clone)]
pub struct ObjectTier {
    name: String,
    prefix: String,
    shards: u32,
    namespace: ObjectNamespace,
}

impl ObjectTier {
    /// Over a namespace of objects, of the name `durable-object` and with the prefix `nearcache:`, in one object.
    pub fn new(namespace: impl Into<JsValue>) -> Self {
        let (name, prefix) = ("durable-object".to_owned(), "nearcache:".to_owned());
        Self { name, prefix, shards: 1, namespace: namespace.into().unchecked_into() }
    }

    /// The number of objects that names are spread over, one at least: one takes some hundred requests a second. The same for all who share them.
    #[must_use]
    pub fn shards(mut self, shards: u32) -> Self {
        self.shards = shards.max(1);
        self
    }

    fn stub(&self, shard: u32) -> Result<Stub, TierError> {
        let id = self.namespace.id_from_name(&format!("{}{shard}", self.prefix)).map_err(text)?;
        self.namespace.get(&id).map_err(text)
    }

    /// As the npm package spreads them. A value and its key's mark lie together.
    fn shard_of(&self, name: &str) -> u32 {
        let hash = without_kind(name)
            .encode_utf16()
            .fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
        hash.cast_unsigned() % self.shards
    }

    /// What is to be asked or told of each shard, by places. Marks of tags and of all lie in every shard, so that a key's read
    /// asks its own alone.
    fn spread<'a>(&self, names: impl Iterator<Item = &'a str> + Clone, is_read: bool) -> BTreeMap<u32, Vec<usize>> {
        let mut by_shard = BTreeMap::<u32, Vec<usize>>::new();
        for (at, name) in names.clone().enumerate().filter(|(_, name)| !is_mark_of_many(name)) {
            by_shard.entry(self.shard_of(name)).or_default().push(at);
        }
        for (at, name) in names.enumerate().filter(|(_, name)| is_mark_of_many(name)) {
            let asked = by_shard.keys().next().copied().unwrap_or_else(|| self.shard_of(name));
            for shard in if is_read { asked..asked + 1 } else { 0..self.shards } {
                by_shard.entry(shard).or_default().push(at);
            }
        }
        by_shard
    }
}

bound!(ObjectTier);
named!(ObjectTier, "What the names of the objects begin with.");

impl Tier for ObjectTier {
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
        self.set_many(std::slice::from_ref(entry)).await
    }

    async fn delete(&self, name: &str) -> Result<(), TierError> {
        self.delete_many(&[name.to_owned()]).await
    }

    async fn get_many(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, TierError> {
        let shards = self.spread(names.iter().map(String::as_str), true);
        let asked = try_join_all(shards.into_iter().map(async |(shard, places)| {
            let some = strings(places.iter().filter_map(|at| names.get(*at)).map(String::as_str));
            let brought = settled(self.stub(shard)?.get_many(&some)).await?;
            let brought: Array = brought.dyn_into().map_err(|_| "the object brought no array")?;
            Ok::<_, TierError>((places, brought))
        }));
        let mut answers = vec![None; names.len()];
        for (places, brought) in asked.await? {
            for (at, bytes) in places.into_iter().zip(brought.iter()) {
                if let Some(answer) = answers.get_mut(at) {
                    *answer = bytes.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
                }
            }
        }
        Ok(answers)
    }

    async fn set_many(&self, entries: &[TierEntry]) -> Result<(), TierError> {
        let shards = self.spread(entries.iter().map(|entry| &*entry.name), false);
        let told = shards.into_iter().map(async |(shard, places)| {
            let some: Array = places.iter().filter_map(|at| entries.get(*at)).map(to_object).collect();
            settled(self.stub(shard)?.set_many(&some)).await
        });
        try_join_all(told).await.map(drop)
    }

    async fn delete_many(&self, names: &[String]) -> Result<(), TierError> {
        let shards = self.spread(names.iter().map(String::as_str), false);
        let told = shards.into_iter().map(async |(shard, places)| {
            let some = strings(places.iter().filter_map(|at| names.get(*at)).map(String::as_str));
            settled(self.stub(shard)?.delete_many(&some)).await
        });
        try_join_all(told).await.map(drop)
    }

    async fn clear(&self) -> Result<bool, TierError> {
        let told = (0..self.shards).map(async |shard| settled(self.stub(shard)?.clear()).await);
        try_join_all(told).await.map(|_| true)
    }
}

fn to_object(entry: &TierEntry) -> JsValue {
    let (name, bytes) = (JsValue::from(&*entry.name), Uint8Array::from(&*entry.bytes));
    object([("name", &name), ("bytes", &bytes), ("ttl", &(entry.ttl.as_millis() as f64).into())]).into()
}
