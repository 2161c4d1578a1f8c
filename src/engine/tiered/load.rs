//! A load by the tiers, and what is set and purged.

use std::hash::Hash;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use serde::Serialize;

use super::driver::Driver;
use super::life::{TierLifetime, place_of};
use super::turns::{NewBytes, ReadRequest, TierValue};
use crate::engine::below::{Below, TierLoad};
use crate::engine::call::LoadCtx;
use crate::engine::runtime::Runtime;
use crate::engine::shared_task::SharedTask;
use crate::error::LoadError;
use crate::tier::{self, Lifetimes, NewValue, Purge, Write};
use crate::tiers::codec::{Payload, inflate, key_text};
use crate::time::{Timestamp, Ttl};

impl<K: Hash + Eq + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    /// Something was deleted, expired or written to its source.
    pub fn purge(self: &Rc<Self>, place: &tier::Place, purge: Purge<'_>) {
        let now = self.now();
        self.chain.borrow_mut().purge(now, place, purge);
        self.after_use();
    }

    /// A value was set.
    pub fn set(self: &Rc<Self>, place: &tier::Place, key: &str, value: &V, life: &TierLifetime<'_>) {
        let now = self.now();
        let number = self.chain.borrow_mut().supersede(now, place, key);
        self.store(place, key, value, (now, number), life, true);
    }

    /// Stores a value in all tiers; what stores it in those that write through. With `replaces` what lies below is older, and goes
    /// where the value can't be stored.
    fn store(
        self: &Rc<Self>,
        place: &tier::Place,
        key: &str,
        value: &V,
        (generation, number): (Timestamp, u64),
        life: &TierLifetime<'_>,
        replaces: bool,
    ) -> Vec<Rc<SharedTask<R>>> {
        let Some(payload) = self.encode(value, life) else {
            if replaces {
                self.purge(place, Purge::Key(key));
            }
            return Vec::new();
        };
        let value = NewValue {
            place,
            key,
            generation,
            number,
            lifetimes: life.lifetimes,
            age: life.age,
            tags: life.tags.clone(),
            codec: self.codec.id(),
            compressed: payload.compressed,
            weight: life.weight,
            replaces,
            payload: &payload.bytes,
        };
        let now = self.now();
        let write = self.chain.borrow_mut().write(now, &value);
        // It may owe a tier something now.
        self.after_use();
        let Some(write) = write else { return Vec::new() };
        let Write { name, bytes, puts, generation, number, replaces } = write;
        let (name, bytes): (Rc<str>, Rc<[u8]>) = (name.into(), bytes.into());
        let mut through = Vec::new();
        for put in puts {
            let (name, bytes) = (name.clone(), bytes.clone());
            let written = self
                .write(put.tier, NewBytes { name, bytes, ttl: put.ttl, generation, number: Some(number), replaces });
            let waits = self.stores.get(put.tier).is_some_and(|store| store.options.through);
            through.extend(written.filter(|_| waits));
        }
        through
    }

    /// `None`: it is over at once, or can't be written.
    fn encode(&self, value: &V, life: &TierLifetime<'_>) -> Option<Payload> {
        if life.lifetimes.ttl == Ttl::ZERO {
            return None;
        }
        match self.codec.encode(value) {
            Ok(bytes) => Some(Payload::new(bytes, self.compress_from)),
            // It is not shared; that it can't be is for whoever calls `insert` or wrote the loader to know.
            Err(error) => {
                (self.log)(&format!("nearcache: a value was not stored in tiers: {error}"));
                None
            }
        }
    }

    /// What the tiers have is decoded; what can't be read is nothing.
    fn decode(&self, held: &TierValue) -> Option<V> {
        let (codec, payload) = (held.found.codec, held.payload()?);
        match held.found.compressed {
            true => self.codec.decode(codec, &inflate(payload)?).ok(),
            false => self.codec.decode(codec, payload).ok(),
        }
    }
}

impl<K, V, R> Below<K, V> for Driver<K, V, R>
where
    K: Hash + Eq + Serialize + 'static,
    V: 'static,
    R: Runtime,
{
    fn load<'a>(self: Rc<Self>, load: TierLoad<'a, K, V>) -> LocalBoxFuture<'a, Result<V, LoadError>>
    where
        K: 'a,
        V: 'a,
    {
        Box::pin(async move {
            let loaded = self.load_by_tiers(load).await;
            if !self.runs_by_itself() {
                self.flush().await;
            }
            loaded
        })
    }
}

impl<K: Hash + Eq + Serialize + 'static, V: 'static, R: Runtime> Driver<K, V, R> {
    async fn load_by_tiers(self: &Rc<Self>, load: TierLoad<'_, K, V>) -> Result<V, LoadError> {
        let Some(key) = key_text(load.key) else { return (load.load)().await };
        let (refuses, needs_weight) = (load.refuses, load.needs_weight);
        // What can't be read is none, and neither is what this cache may not store, its rule refuses, or is of no use any more.
        let take = |held: &TierValue| {
            let value = if needs_weight && held.found.weight.is_none() { None } else { self.decode(held) };
            Some((value.filter(|value| !refuses(value))?, held.found.age(self.now())?))
        };
        let place = place_of(load.place);
        let mut held = None;
        let refresh = load.ctx.stale().is_some();
        // What lies below is most often the very value that is to be refreshed.
        let since = load.age.filter(|_| refresh).map(|age| self.now().before(age));
        let is_news = |held: &TierValue| since.is_none_or(|since| held.found.is_newer(&self.chain.borrow(), since));
        if !load.said.forced {
            held = self.read(ReadRequest { place: place.clone(), key: key.clone() }, refresh).await;
        }
        if let Some(held) = held.as_ref().filter(|held| held.is_answer && is_news(held))
            && let Some((value, age)) = take(held)
        {
            say(load.ctx, held, age);
            return Ok(value);
        }
        let began = (self.now(), self.chain.borrow_mut().begin());
        let loaded = (load.load)().await;
        let loaded = loaded.and_then(|value| if refuses(&value) { Err(LoadError::Invalid) } else { Ok(value) });
        match loaded {
            Ok(value) => {
                if !load.ctx.is_skipped() {
                    let said = load.ctx.tags();
                    let life = load.said.life(load.ctx, &said, (load.is_absent)(&value), load.random);
                    let replaces = held.is_some() || load.said.forced;
                    let through = self.store(&place, &key, &value, began, &life, replaces);
                    join_all(through.iter().map(|task| task.join())).await;
                }
                Ok(value)
            }
            // Where memory has the value the failure is the cache's own: it is tried again, counted, remembered and told of, and then
            // that value stands in. The one below would hide all that.
            Err(error) => match held.filter(is_news).and_then(|held| Some((take(&held)?, held))) {
                Some(((value, age), held)) => {
                    say(load.ctx, &held, age);
                    Ok(value)
                }
                None => Err(error),
            },
        }
    }
}

/// Tells the cache how a value from below is kept.
fn say<V>(ctx: &LoadCtx<V>, held: &TierValue, age: u64) {
    let Lifetimes { ttl, stale_while_revalidate, stale_if_error } = held.found.lifetimes;
    ctx.set_ttl(ttl);
    ctx.set_stale_while_revalidate(stale_while_revalidate);
    ctx.set_stale_if_error(stale_if_error);
    ctx.set_jitter(0.0);
    ctx.set_age(Duration::from_millis(age));
    held.found.tags.iter().for_each(|tag| ctx.tag(tag));
    held.found.weight.into_iter().for_each(|weight| ctx.set_weight(weight));
}
