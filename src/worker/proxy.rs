//! One request's way: from the store, by a load that is shared, or alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use ::http::{HeaderMap, Method, StatusCode};
use nearcache::engine::{Cache, CallOptions, Got, Runtime, SlowLoads, Status};
use nearcache::figures::Window;
use nearcache::http::{self, CacheStatus, ForwardReason, Fwd, Lookup};
use nearcache::time::Ttl;
use nearcache::workers::Workers;
use worker::web_sys::ReadableStream;
use worker::{Request, Response, Result};

use super::config::Config;
use super::fill::Tray;
use super::store::{Entry, Key, Marker, Stored};
use super::{headers, reply};

/// The proxy of one isolate.
pub(super) struct Proxy {
    pub config: Config,
    pub cache: Cache<Key, Entry, Workers>,
    pub markers: Cell<u64>,
    pub lately: RefCell<Window>,
}

/// A request as the proxy goes by it.
pub(super) struct Asked {
    pub method: Method,
    pub fields: HeaderMap,
    /// Path and query.
    pub target: String,
    pub body: Option<ReadableStream>,
}

/// How often a request follows a target whose variants change while it waits, before it goes alone.
const ATTEMPTS: u32 = 3;

impl Proxy {
    pub fn new(config: Config) -> Self {
        let mut cache = Cache::builder()
            .max_entries(config.max_entries)
            .max_bytes(config.max_bytes)
            .max_entry_bytes(config.max_entry_bytes.saturating_add(64 * 1024))
            .soft_timeout(config.soft_timeout)
            .hard_timeout(config.hard_timeout)
            .error_backoff(config.error_backoff)
            .jitter(config.jitter)
            .refresh_ahead(config.refresh_ahead)
            .weigher(|key: &Key, entry: &Entry| entry.weight(key));
        if let Some(Ttl::Millis(millis)) = config.slow_load_log {
            let limit = Duration::from_millis(millis);
            cache = cache.plugin(SlowLoads::new(limit, |key: &Key, took: Duration| {
                worker::console_warn!("nearcache: loading {} took {} ms", key.target, took.as_millis());
            }));
        }
        let lately = RefCell::new(Window::new(config.health_window_ms));
        Self { config, cache: cache.runtime(Workers).build(), markers: Cell::new(0), lately }
    }

    pub async fn answer(self: Rc<Self>, mut request: Request) -> Result<Response> {
        let url = request.url()?;
        if let Some(response) = self.administer(&mut request, url.path()).await? {
            return Ok(response);
        }
        let mut fields = headers::from_js(request.headers());
        let upgrade = fields.contains_key(::http::header::UPGRADE);
        http::strip_request(&mut fields);
        let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let method = Method::from_bytes(request.inner().method().as_bytes()).unwrap_or(Method::GET);
        let asked = Asked { method, fields, target, body: request.inner().body() };
        if upgrade {
            let status = CacheStatus::generated().detail("upgrade");
            return reply::failed(StatusCode::NOT_IMPLEMENTED, "protocol upgrades are not passed on", &status);
        }
        for _ in 0..ATTEMPTS {
            if let Some(response) = self.attempt(&asked).await? {
                return Ok(response);
            }
        }
        self.alone(&asked, Fwd::VaryMiss, "variants-changed").await
    }

    /// `None` when what was waited for turned out to be another variant's.
    async fn attempt(self: &Rc<Self>, asked: &Asked) -> Result<Option<Response>> {
        let (key, found) = self.find(&asked.target, &asked.fields);
        let known = match &found {
            Some(Entry::Full(stored)) => Some(stored),
            _ => None,
        };
        let now = Workers.now().as_millis();
        let reason = match http::admits(&asked.method, &asked.fields, known.map(|stored| &stored.freshness), now) {
            Lookup::Serve => {
                // The cache has the last word, whose jitter and whose refreshing ahead HTTP knows nothing of.
                let stored = match (self.config.refresh_ahead > 0.0, self.cache.get(&key)) {
                    (false, Some(Entry::Full(stored))) => Some(stored),
                    _ => known.filter(|_| asked.method == Method::HEAD).cloned(),
                };
                if let Some(stored) = stored {
                    return self.hit(asked, &stored, now).map(Some);
                }
                ForwardReason::Stale
            }
            Lookup::OnlyIfCached(reason) => {
                let status = CacheStatus::generated().detail(reason.code());
                let text = "nothing stored will do, and the request says only-if-cached";
                return reply::failed(StatusCode::GATEWAY_TIMEOUT, text, &status).map(Some);
            }
            Lookup::MustGoForward(reason) => reason,
        };
        let fwd = match (reason.fwd(), &key.variant) {
            (Fwd::Miss, None) => Fwd::UriMiss,
            (Fwd::Miss, Some(_)) => Fwd::VaryMiss,
            (fwd, _) => fwd,
        };
        if let Some(Entry::Uncacheable(why)) = found {
            return self.alone(asked, fwd, why).await.map(Some);
        }
        // One who shows credentials is most likely to get an answer of his own, and others need not wait for it.
        if asked.fields.contains_key(::http::header::AUTHORIZATION) {
            return self.alone(asked, fwd, "authorization").await.map(Some);
        }
        if !reason.may_fill(&asked.method) {
            return self.alone(asked, fwd, reason.code()).await.map(Some);
        }
        let takes_stale = reason == ForwardReason::Stale
            && known.is_some_and(|stored| http::takes_stale(&asked.fields, &stored.freshness, now));
        let force_fresh = known.is_some() && !takes_stale;
        self.shared(asked, key, fwd, takes_stale, force_fresh).await
    }

    /// The key that the answer to such a request lies under, and what lies there, stale or not.
    pub fn find(&self, target: &str, fields: &HeaderMap) -> (Key, Option<Entry>) {
        let key = Key::of(target);
        match self.cache.peek_stale(&key) {
            Some(Entry::Varies(marker)) => {
                let key = variant_of_fields(&marker, target, fields);
                let found = self.cache.peek_stale(&key);
                (key, found)
            }
            found => (key, found),
        }
    }

    /// By the cache, and where it has nothing that will do, by a load that all who ask for the key share.
    async fn shared(
        self: &Rc<Self>,
        asked: &Asked,
        key: Key,
        fwd: Fwd,
        takes_stale: bool,
        force_fresh: bool,
    ) -> Result<Option<Response>> {
        let tray = Tray::default();
        let load = {
            let (proxy, key, tray) = (self.clone(), key.clone(), tray.clone());
            let (fields, target) = (asked.fields.clone(), asked.target.clone());
            move |ctx| proxy.load(ctx, key, target, fields, tray)
        };
        let options = if force_fresh { CallOptions::new().force_fresh() } else { CallOptions::new() };
        let got = self.cache.try_get_with_details(key.clone(), options, load).await;
        let now = Workers.now().as_millis();
        if let Ok(Got { value: Entry::Full(stored), status: Status::Hit | Status::Stale, .. }) = &got {
            return self.hit(asked, stored, now).map(Some);
        }
        let led = tray.borrow_mut().take();
        let collapsed = led.is_none();
        let brought = led.unwrap_or_default();
        let forwarded = CacheStatus::forwarded(fwd).collapsed(collapsed);
        let served_stale = match &got {
            Ok(Got { value: Entry::Full(stored), status, .. })
                if matches!(status, Status::StaleIfError | Status::StaleOnTimeout) =>
            {
                Some((stored.clone(), status.as_str()))
            }
            _ => None,
        };
        if let Some((stored, why)) = &served_stale
            && takes_stale
        {
            let ttl = stored.freshness.ttl_seconds(now);
            let status = match &brought.private {
                Some(failed) => forwarded.forward_status(failed.status),
                None => forwarded,
            };
            return reply::stored(stored, &asked.method, &asked.fields, &status.ttl(ttl).detail(*why), now).map(Some);
        }
        if let Some(private) = brought.private {
            return private.reply(fwd).map(Some);
        }
        if served_stale.is_some() {
            let text = "the origin failed, and the request takes no stale answer";
            return reply::failed(StatusCode::BAD_GATEWAY, text, &forwarded.detail("origin-error")).map(Some);
        }
        let entry = match (brought.stored, got) {
            (Some(stored), _) => Entry::Full(stored),
            (None, Ok(got)) => got.value,
            (None, Err(error)) => return self.fail(&error, fwd).map(Some),
        };
        match entry {
            Entry::Full(stored) => {
                let status = forwarded
                    .forward_status(stored.status)
                    .ttl(stored.freshness.ttl_seconds(now))
                    .stored(!collapsed && self.cache.contains(&key));
                reply::stored(&stored, &asked.method, &asked.fields, &status, now).map(Some)
            }
            Entry::Varies(_) => Ok(None),
            Entry::Uncacheable(why) => self.alone(asked, fwd, why).await.map(Some),
        }
    }

    /// From the store. The `ttl` of a stale answer is negative (RFC 9211 §2.4).
    fn hit(&self, asked: &Asked, stored: &Stored, now: u64) -> Result<Response> {
        let status = CacheStatus::hit().ttl(stored.freshness.ttl_seconds(now));
        reply::stored(stored, &asked.method, &asked.fields, &status, now)
    }
}

/// The key of the variant that such a request selects.
pub(super) fn variant_of_fields(marker: &Marker, target: &str, fields: &HeaderMap) -> Key {
    let fields = http::variant_key(&marker.vary, fields);
    Key { target: target.to_owned(), variant: Some((marker.number, fields)) }
}
