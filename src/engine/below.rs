//! What a load knows of the stores below its cache, and they of it.

use std::rc::Rc;

use futures_util::future::LocalBoxFuture;

use super::call::LoadCtx;
use super::plugin::Place;
use crate::error::LoadError;
use crate::options::Policy;

/// Stores that loads ask before their loaders.
pub(super) trait Below<K, V> {
    /// The value by the tiers, or by the load.
    fn load<'a>(self: Rc<Self>, load: TierLoad<'a, K, V>) -> LocalBoxFuture<'a, Result<V, LoadError>>
    where
        K: 'a,
        V: 'a;
}

/// What a load's caller said, as far as the stores want it.
pub(super) struct LoadBelow<K, V> {
    pub below: Rc<dyn Below<K, V>>,
    pub policy: Policy,
    pub tags: Vec<String>,
    pub weight: Option<u32>,
    /// Only the loader has a fresh value.
    pub forced: bool,
}

/// A load that goes by the stores.
pub(super) struct TierLoad<'a, K, V> {
    pub key: &'a K,
    pub place: &'a Place,
    pub said: &'a LoadBelow<K, V>,
    pub ctx: &'a LoadCtx<V>,
    /// Calls the loader.
    pub load: Box<dyn FnOnce() -> LocalBoxFuture<'a, Result<V, LoadError>> + 'a>,
    /// Whether a value means "nothing there".
    pub is_absent: &'a dyn Fn(&V) -> bool,
    /// Whether the user's rule refuses a value.
    pub refuses: &'a dyn Fn(&V) -> bool,
    /// Whether a value is none here unless its weight is said.
    pub needs_weight: bool,
    /// For how many milliseconds memory has had the value that the context shows.
    pub age: Option<u64>,
    /// A random number above 0 and up to 1.
    pub random: &'a dyn Fn() -> f64,
}
