//! The Rust Worker of the tiers' tests: each request runs one of them, inside the runtime.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use nearcache::tiers::conformance::{self, Options};
use nearcache::tiers::workers::{CacheApiTier, KvTier, ObjectTier, R2Tier};
use nearcache::tiers::{MemoryTier, Tier, TierEntry, TierError, Tiered, Tiers};
use nearcache::workers::Workers;
use nearcache::{Cache, CallOptions, LoadCtx};
use serde_json::json;
use worker::{Context, Delay, Env, Request, Response, Result, Url, event};

type Isolate = Tiered<String, String, Workers>;

thread_local! {
    /// Caches over each store, as several isolates have them: they share nothing but the store.
    static ISOLATES: RefCell<HashMap<String, Isolate>> = RefCell::default();
    static LINES: RefCell<Vec<String>> = RefCell::default();
    static LOADS: Cell<u32> = const { Cell::new(0) };
    /// Whether KV is to hang.
    static HANGS: Cell<bool> = const { Cell::new(false) };
}

#[event(fetch)]
async fn fetch(request: Request, _: Env, _: Context) -> Result<Response> {
    let url = request.url()?;
    let kind = parameter(&url, "kind");
    match url.path() {
        "/conformance" => conformance_of(&kind).await,
        "/fault" => {
            HANGS.set(parameter(&url, "hangs") == "yes");
            Response::ok("so be it")
        }
        path => {
            let isolate = isolate(&kind, &parameter(&url, "isolate"))?;
            match path {
                "/get" => get(&isolate, parameter(&url, "key")).await,
                "/purge" => {
                    isolate.remove_by_tag("tag");
                    isolate.flush().await;
                    Response::ok("purged")
                }
                _ => stats(&isolate),
            }
        }
    }
}

fn parameter(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

async fn conformance_of(kind: &str) -> Result<Response> {
    let ttl = |millis| Options::new().shortest_ttl(Duration::from_millis(millis));
    let checks = match kind {
        "memory" => conformance::test(&MemoryTier::new(), ttl(50)).await,
        "kv" => conformance::test(&told(KvTier::bound("KV"))?, Options::new()).await,
        "cache-api" => conformance::test(&told(CacheApiTier::default_cache())?, ttl(1_000)).await,
        "r2" => conformance::test(&told(R2Tier::bound("R2"))?, ttl(500)).await,
        "object" => conformance::test(&told(ObjectTier::bound("STORE"))?, ttl(500)).await,
        _ => conformance::test(&told(ObjectTier::bound("STORE"))?.prefix("rust-three:").shards(3), ttl(500)).await,
    };
    let checks: Vec<_> = checks.iter().map(|check| json!({ "title": check.title, "error": check.error })).collect();
    Response::from_json(&checks)
}

fn isolate(kind: &str, number: &str) -> Result<Isolate> {
    let name = format!("{kind} {number}");
    if let Some(known) = ISOLATES.with_borrow(|all| all.get(&name).cloned()) {
        return Ok(known);
    }
    let cache = Cache::builder().time_to_live(Duration::from_secs(300)).runtime(Workers).build();
    let tiers = Tiers::new().clock_skew(Duration::ZERO).late_writes(Duration::ZERO);
    let tiers = tiers.log(|line| LINES.with_borrow_mut(|lines| lines.push(line.to_owned())));
    let tiers = match kind {
        "kv" => tiers.tier(told(KvTier::bound("KV"))?),
        "hanging kv" => {
            let kv = Hanging(told(KvTier::bound("KV"))?.prefix("hanging:"));
            tiers
                .tier_with(kv, |options| options.timeout(Duration::from_millis(100)).breaker(5, Duration::from_secs(2)))
        }
        "cache-api" => tiers.tier(told(CacheApiTier::default_cache())?),
        "r2" => tiers.tier(told(R2Tier::bound("R2"))?),
        "object" => tiers.tier(told(ObjectTier::bound("STORE"))?),
        _ => tiers.tier(told(ObjectTier::bound("STORE"))?.prefix("three:").shards(3)),
    };
    let isolate = told(tiers.over(cache))?;
    ISOLATES.with_borrow_mut(|all| all.insert(name, isolate.clone()));
    Ok(isolate)
}

async fn get(isolate: &Isolate, key: String) -> Result<Response> {
    let load = async |_: LoadCtx<String>| {
        Delay::from(Duration::from_millis(50)).await;
        LOADS.set(LOADS.get() + 1);
        Ok::<_, String>(format!("rust {}", LOADS.get()))
    };
    let options = CallOptions::new().tags(["tag"]);
    match isolate.try_get_with_details(key, options, load).await {
        Ok(got) => Response::ok(got.value),
        Err(error) => Response::error(error.to_string(), 502),
    }
}

fn stats(isolate: &Isolate) -> Result<Response> {
    let tiers = isolate.tier_stats();
    let Some(first) = tiers.first() else { return Response::error("no tiers", 500) };
    Response::from_json(&json!({
        "asked": first.figures.asked,
        "hits": first.figures.hits,
        "timeouts": first.figures.read_timeouts,
        "skipped": first.figures.skipped,
        "reads": format!("{:?}", first.reads),
        "loads": LOADS.get(),
        "lines": LINES.with_borrow(Clone::clone),
    }))
}

fn told<T>(result: std::result::Result<T, impl ToString>) -> Result<T> {
    result.map_err(|error| worker::Error::RustError(error.to_string()))
}

/// KV that never answers while it is told not to.
struct Hanging(KvTier);

impl Hanging {
    async fn hang(&self) {
        if HANGS.get() {
            std::future::pending().await
        }
    }
}

impl Tier for Hanging {
    fn name(&self) -> &str {
        "hanging kv"
    }

    async fn get(&self, name: &str) -> std::result::Result<Option<Vec<u8>>, TierError> {
        self.hang().await;
        self.0.get(name).await
    }

    async fn set(&self, entry: &TierEntry) -> std::result::Result<(), TierError> {
        self.hang().await;
        self.0.set(entry).await
    }

    async fn delete(&self, name: &str) -> std::result::Result<(), TierError> {
        self.hang().await;
        self.0.delete(name).await
    }
}
