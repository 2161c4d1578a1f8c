//! One request's way: from the store, by a load that is shared, or alone.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use ::http::{HeaderMap, Method, StatusCode};
use worker::web_sys::ReadableStream;
use worker::{Request, Response, Result};

use super::body::{self, Body};
use super::config::Config;
use super::origin::{self, OriginError};
use super::runtime::Workerd;
use super::store::{Entry, Key, Marker, Stored};
use super::{headers, reply};
use crate::engine::{Cache, CallOptions, EntryOptions, LoadCtx, js_clock};
use crate::error::LoadError;
use crate::http::{self, CacheStatus, Freshness, Fwd, Lookup};
use crate::time::Ttl;

/// The proxy of one isolate.
pub(super) struct Proxy {
    config: Config,
    cache: Cache<Key, Entry, Workerd>,
    markers: Cell<u64>,
}

/// A request as the proxy goes by it.
struct Asked {
    method: Method,
    fields: HeaderMap,
    /// Path and query.
    target: String,
    body: Option<ReadableStream>,
}

/// An answer that is its asker's only.
struct Private {
    status: StatusCode,
    fields: HeaderMap,
    body: Option<ReadableStream>,
    /// Why nobody else may have it.
    why: &'static str,
}

/// What a load left for the one who began it: he is answered with what he brought himself, stored or not.
#[derive(Default)]
struct Brought {
    private: Option<Private>,
    stored: Option<Rc<Stored>>,
}

/// How often a request follows a target whose variants change while it waits, before it goes alone.
const ATTEMPTS: u32 = 3;

impl Proxy {
    pub fn new(config: Config) -> Self {
        let cache = Cache::builder()
            .max_entries(config.max_entries)
            .max_bytes(config.max_bytes)
            .max_entry_bytes(config.max_entry_bytes.saturating_add(64 * 1024))
            .hard_timeout(config.hard_timeout)
            .weigher(|key: &Key, entry: &Entry| entry.weight(key))
            .runtime(Workerd)
            .build();
        Self { config, cache, markers: Cell::new(0) }
    }

    pub async fn answer(self: Rc<Self>, request: Request) -> Result<Response> {
        let mut fields = headers::from_js(request.headers());
        let upgrade = fields.contains_key(::http::header::UPGRADE);
        http::strip_request(&mut fields);
        let url = request.url()?;
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
        let (key, found) = self.find(asked);
        let known = match &found {
            Some(Entry::Full(stored)) => Some(stored),
            _ => None,
        };
        let now = js_clock::now().as_millis();
        let reason = match http::admits(&asked.method, &asked.fields, known.map(|stored| &stored.freshness), now) {
            Lookup::Serve => {
                let Some(Entry::Full(stored)) = self.cache.get(&key) else { return Ok(None) };
                let status = CacheStatus::hit().ttl(stored.freshness.ttl_seconds(now));
                return reply::stored(&stored, &asked.method, &asked.fields, &status, now).map(Some);
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
        self.shared(asked, key, fwd, known.is_some()).await
    }

    /// The key that the request's answer lies under, and what lies there.
    fn find(&self, asked: &Asked) -> (Key, Option<Entry>) {
        let key = Key::of(&asked.target);
        match self.cache.peek(&key) {
            Some(Entry::Varies(marker)) => {
                let key = variant_of(&marker, asked);
                let found = self.cache.peek(&key);
                (key, found)
            }
            found => (key, found),
        }
    }

    /// By a load that all who ask for the key share.
    async fn shared(self: &Rc<Self>, asked: &Asked, key: Key, fwd: Fwd, fresh: bool) -> Result<Option<Response>> {
        let brought = Rc::new(RefCell::new(None));
        let load = {
            let (proxy, key, brought) = (self.clone(), key.clone(), brought.clone());
            let mut fields = asked.fields.clone();
            let target = asked.target.clone();
            move |ctx: LoadCtx| async move {
                *brought.borrow_mut() = Some(Brought::default());
                http::make_unconditional(&mut fields);
                proxy.load(&ctx, key, &target, &fields, &brought).await
            }
        };
        let options = CallOptions { force_fresh: fresh, ..CallOptions::default() };
        let entry = self.cache.try_get_with_options(key.clone(), options, load).await;
        let now = js_clock::now().as_millis();
        let led = brought.borrow_mut().take();
        let collapsed = led.is_none();
        let brought = led.unwrap_or_default();
        if let Some(private) = brought.private {
            return private.reply(fwd).map(Some);
        }
        let entry = match (brought.stored, entry) {
            (Some(stored), _) => Entry::Full(stored),
            (None, Ok(entry)) => entry,
            (None, Err(error)) => return self.fail(&error, fwd).map(Some),
        };
        match entry {
            Entry::Full(stored) => {
                let status = CacheStatus::forwarded(fwd)
                    .forward_status(stored.status)
                    .ttl(stored.freshness.ttl_seconds(now))
                    .stored(!collapsed && self.cache.contains(&key))
                    .collapsed(collapsed);
                reply::stored(&stored, &asked.method, &asked.fields, &status, now).map(Some)
            }
            Entry::Varies(_) => Ok(None),
            Entry::Uncacheable(why) => self.alone(asked, fwd, why).await.map(Some),
        }
    }

    /// The loader: asks the origin, and decides what of the answer others may have.
    async fn load(
        &self,
        ctx: &LoadCtx,
        key: Key,
        target: &str,
        fields: &HeaderMap,
        brought: &RefCell<Option<Brought>>,
    ) -> std::result::Result<Entry, OriginError> {
        let url = format!("{}{target}", self.config.origin);
        let asked_at = js_clock::now().as_millis();
        let answer = origin::ask(&url, &Method::GET, fields, None, self.config.hard_timeout).await?;
        let answered_at = js_clock::now().as_millis();
        let judged = http::judge(&Method::GET, fields, answer.status, &answer.headers, asked_at, answered_at);
        let mut answer_fields = answer.headers;
        http::strip_response(&mut answer_fields);
        http::add_date(&mut answer_fields, answered_at);
        let keep_private = |private: Private| {
            let why = private.why;
            if let Some(brought) = brought.borrow_mut().as_mut() {
                brought.private = Some(private);
            }
            Entry::Uncacheable(why)
        };
        let storable = match judged {
            Ok(storable) => storable,
            Err(reason) => {
                match reason.worth_remembering(answer.status) {
                    true => ctx.set_ttl(self.config.uncacheable_ttl),
                    false => ctx.skip(),
                }
                let body = answer.response.body();
                let why = reason.code();
                return Ok(keep_private(Private { status: answer.status, fields: answer_fields, body, why }));
            }
        };
        let body = match body::read(answer.response.body(), self.config.max_entry_bytes).await? {
            Body::Whole(body) => body,
            Body::Streaming(body) => {
                ctx.set_ttl(self.config.uncacheable_ttl);
                let private =
                    Private { status: answer.status, fields: answer_fields, body: Some(body), why: "too-large" };
                return Ok(keep_private(private));
            }
        };
        reply::without_length(&mut answer_fields, body.length());
        let freshness = storable.freshness;
        let stored = Rc::new(Stored { status: answer.status, headers: answer_fields, body, freshness });
        if let Some(brought) = brought.borrow_mut().as_mut() {
            brought.stored = Some(stored.clone());
        }
        ctx.set_ttl(left(&freshness, js_clock::now().as_millis()));
        Ok(self.shelve(ctx, key, target, fields, storable.vary, stored))
    }

    /// Where an answer goes: to its key, or, if it turns out to vary in a way that the key does not know, to
    /// another, with a marker in its place.
    fn shelve(
        &self,
        ctx: &LoadCtx,
        key: Key,
        target: &str,
        fields: &HeaderMap,
        vary: http::Vary,
        stored: Rc<Stored>,
    ) -> Entry {
        let primary = Key::of(target);
        let fits = match &key.variant {
            None => vary.is_empty(),
            Some((number, _)) => match self.cache.peek(&primary) {
                Some(Entry::Varies(marker)) => marker.number == *number && marker.vary == vary,
                _ => false,
            },
        };
        if fits {
            return Entry::Full(stored);
        }
        let freshness = stored.freshness;
        self.markers.set(self.markers.get() + 1);
        let marker = Rc::new(Marker { vary, number: self.markers.get() });
        let variant = http::variant_key(&marker.vary, fields);
        let variant = Key { target: target.to_owned(), variant: Some((marker.number, variant)) };
        let ttl = left(&freshness, js_clock::now().as_millis());
        let options = EntryOptions { ttl: Some(ttl), weight: None };
        self.cache.insert_with(variant, Entry::Full(stored), options);
        if key.variant.is_some() {
            // This load's key belongs to variants that are no more; the new marker goes where the old one was.
            self.cache.insert_with(primary, Entry::Varies(marker.clone()), options);
            ctx.skip();
        }
        Entry::Varies(marker)
    }

    /// By a request of its own, whose answer reaches nobody else, unless it may and nothing is there yet.
    async fn alone(&self, asked: &Asked, fwd: Fwd, why: &'static str) -> Result<Response> {
        let url = format!("{}{}", self.config.origin, asked.target);
        let asked_at = js_clock::now().as_millis();
        let answer =
            origin::ask(&url, &asked.method, &asked.fields, asked.body.clone(), self.config.hard_timeout).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.unreachable(&error, fwd),
        };
        let answered_at = js_clock::now().as_millis();
        let mut fields = answer.headers;
        let judged = http::judge(&asked.method, &asked.fields, answer.status, &fields, asked_at, answered_at);
        let primary = Key::of(&asked.target);
        if http::invalidates(&asked.method, answer.status) {
            self.cache.remove(&primary);
        } else if judged.is_ok() && matches!(self.cache.peek(&primary), Some(Entry::Uncacheable(_))) {
            // What was once nobody else's may now be shared: the next to ask finds out.
            self.cache.remove(&primary);
        }
        http::strip_response(&mut fields);
        http::add_date(&mut fields, answered_at);
        let private = Private { status: answer.status, fields, body: answer.response.body(), why };
        private.reply(fwd)
    }

    fn fail(&self, error: &LoadError, fwd: Fwd) -> Result<Response> {
        if let LoadError::Loader(error) = error
            && let Some(error) = error.downcast_ref::<OriginError>()
        {
            return self.unreachable(error, fwd);
        }
        let (code, detail) = match error {
            LoadError::TimedOut { after_millis } => {
                return self.unreachable(&OriginError::TimedOut(*after_millis), fwd);
            }
            LoadError::Full => (StatusCode::SERVICE_UNAVAILABLE, "too-many-loads"),
            _ => (StatusCode::BAD_GATEWAY, "load-lost"),
        };
        reply::failed(code, &error.to_string(), &CacheStatus::forwarded(fwd).detail(detail))
    }

    fn unreachable(&self, error: &OriginError, fwd: Fwd) -> Result<Response> {
        let status = CacheStatus::forwarded(fwd).detail(error.code());
        reply::failed(error.status(), &error.to_string(), &status)
    }
}

impl Private {
    fn reply(mut self, fwd: Fwd) -> Result<Response> {
        let status = CacheStatus::forwarded(fwd).forward_status(self.status).stored(false).detail(self.why);
        reply::passed(self.status, &mut self.fields, self.body, &status)
    }
}

fn variant_of(marker: &Marker, asked: &Asked) -> Key {
    let fields = http::variant_key(&marker.vary, &asked.fields);
    Key { target: asked.target.clone(), variant: Some((marker.number, fields)) }
}

fn left(freshness: &Freshness, now: u64) -> Ttl {
    Ttl::Millis(u64::try_from(freshness.remaining_ms(now)).unwrap_or(0))
}
