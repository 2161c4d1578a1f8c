//! How a value is kept in stores, and what its part is called there.

use crate::engine::below::LoadBelow;
use crate::engine::call::LoadCtx;
use crate::engine::plugin::Place;
use crate::options::{Policy, PolicyPatch};
use crate::tier::{self, Lifetimes};

impl<K, V> LoadBelow<K, V> {
    /// How the loader's value is kept, by what it said, with these tags.
    pub(super) fn life<'a>(
        &'a self,
        ctx: &LoadCtx<V>,
        tags: &'a [String],
        absent: bool,
        random: impl FnOnce() -> f64,
    ) -> TierLifetime<'a> {
        let weight = ctx.weight().or(self.weight);
        let life = life_of(&self.policy, &ctx.policy(), [&self.tags, tags], weight, absent, random);
        TierLifetime { age: ctx.age(), ..life }
    }
}

/// How a value is kept, by what its handle, its own speaker and its tags say.
pub(super) fn life_of<'a>(
    policy: &Policy,
    said: &PolicyPatch,
    tags: [&'a [String]; 2],
    weight: Option<u32>,
    absent: bool,
    random: impl FnOnce() -> f64,
) -> TierLifetime<'a> {
    let policy = match policy.negative_ttl.filter(|_| absent) {
        // What is said of the value itself wins.
        Some(ttl) => policy.patched(&PolicyPatch::new().ttl(ttl)).patched(said),
        None => policy.patched(said),
    };
    let random = if policy.entry.jitter > 0.0 { random() } else { 0.0 };
    let lifetimes = Lifetimes::below(&policy.entry, random);
    let mut tags: Vec<&str> = tags.into_iter().flatten().map(String::as_str).collect();
    tags.sort_unstable();
    tags.dedup();
    TierLifetime { lifetimes, age: 0, tags, weight }
}

/// How a value is kept.
pub(super) struct TierLifetime<'a> {
    pub lifetimes: Lifetimes,
    /// For how many milliseconds it has lived already.
    pub age: u64,
    pub tags: Vec<&'a str>,
    pub weight: Option<u32>,
}

/// The part as names in stores have it.
pub(super) fn place_of(place: &Place) -> tier::Place {
    tier::Place::new(&place.namespaces, &place.scopes)
}
