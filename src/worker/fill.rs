//! The loader: asks the origin, and decides, as HTTP lets it, what of the answer others may have and for how long.

use std::cell::RefCell;
use std::rc::Rc;

use ::http::{HeaderMap, Method};
use nearcache::engine::{EntryOptions, LoadCtx, Runtime};
use nearcache::http::{self, CacheControl, StaleWindows};
use nearcache::time::Ttl;
use nearcache::workers::Workers;

use super::alone::Private;
use super::body::{self, Body};
use super::origin::{self, OriginError};
use super::proxy::{Proxy, variant_of_fields};
use super::reply;
use super::store::{Entry, Key, Marker, Stored};

/// What a load left for the one who began it: he is answered with what he brought himself, stored or not.
#[derive(Default)]
pub(super) struct Brought {
    pub private: Option<Private>,
    pub stored: Option<Rc<Stored>>,
}

/// Where it is left; `None` before the load began.
pub(super) type Tray = Rc<RefCell<Option<Brought>>>;

impl Proxy {
    /// Loads a key with a request of these fields.
    pub async fn load(
        self: Rc<Self>,
        ctx: LoadCtx<Entry>,
        key: Key,
        target: String,
        mut fields: HeaderMap,
        tray: Tray,
    ) -> Result<Entry, OriginError> {
        *tray.borrow_mut() = Some(Brought::default());
        http::make_unconditional(&mut fields);
        let url = format!("{}{target}", self.config.origin);
        let asked_at = Workers.now().as_millis();
        let answer = origin::ask(&url, &Method::GET, &fields, None, self.config.hard_timeout).await?;
        let answered_at = Workers.now().as_millis();
        let (status, times) = (answer.status, (asked_at, answered_at));
        let negative_ms = self.config.negative_ttl_ms;
        let judged = http::judge_unsaid(&Method::GET, &fields, status, &answer.headers, times, negative_ms);
        let windows = StaleWindows::of_response(&CacheControl::parse(&answer.headers), self.config.stale);
        let tags = http::cache_tags(&answer.headers);
        let mut answer_fields = answer.headers;
        http::strip_response(&mut answer_fields);
        http::strip_cache_tags(&mut answer_fields);
        http::add_date(&mut answer_fields, answered_at);
        let leave = |private: Private| {
            if let Some(brought) = tray.borrow_mut().as_mut() {
                brought.private = Some(private);
            }
        };
        if http::is_origin_error(status) && (judged.is_err() || stands_in(ctx.stale(), answered_at)) {
            let why = "origin-error";
            leave(Private { status, fields: answer_fields, body: answer.response.body(), why });
            return Err(OriginError::Failed(status));
        }
        let storable = match judged {
            Ok(storable) => storable,
            Err(reason) => {
                match reason.worth_remembering(status) {
                    true => ctx.set_ttl(self.config.uncacheable_ttl),
                    false => ctx.skip(),
                }
                let why = reason.code();
                leave(Private { status, fields: answer_fields, body: answer.response.body(), why });
                return Ok(Entry::Uncacheable(why));
            }
        };
        let body = match body::read(answer.response.body(), self.config.max_entry_bytes).await? {
            Body::Whole(body) => body,
            Body::Streaming(body) => {
                ctx.set_ttl(self.config.uncacheable_ttl);
                leave(Private { status, fields: answer_fields, body: Some(body), why: "too-large" });
                return Ok(Entry::Uncacheable("too-large"));
            }
        };
        reply::without_length(&mut answer_fields, body.length());
        let freshness = storable.freshness;
        let stored = Rc::new(Stored { status, headers: answer_fields, body, freshness, stale: windows });
        if let Some(brought) = tray.borrow_mut().as_mut() {
            brought.stored = Some(stored.clone());
        }
        Ok(self.shelve(&ctx, key, &target, &fields, storable.vary, tags, stored))
    }

    /// Where an answer goes: to its key, or, if it turns out to vary in a way that the key does not know, to
    /// another, with a marker in its place.
    #[expect(clippy::too_many_arguments, reason = "all that is known of an answer")]
    fn shelve(
        &self,
        ctx: &LoadCtx<Entry>,
        key: Key,
        target: &str,
        fields: &HeaderMap,
        vary: http::Vary,
        mut tags: Vec<String>,
        stored: Rc<Stored>,
    ) -> Entry {
        let primary = Key::of(target);
        let fits = match (&key.variant, self.cache.peek_stale(&primary)) {
            (None, _) => vary.is_empty(),
            (Some((number, _)), Some(Entry::Varies(marker))) if marker.number == *number => marker.vary == vary,
            (Some(_), _) => {
                // The target was purged or written to while this ran, and its variants with it.
                ctx.skip();
                return Entry::Full(stored);
            }
        };
        let left = stored.freshness.remaining_ms(Workers.now().as_millis());
        let ttl = Ttl::Millis(u64::try_from(left).unwrap_or(0));
        let while_revalidate = Ttl::Millis(stored.stale.while_revalidate_ms);
        let if_error = Ttl::Millis(stored.stale.if_error_ms);
        if !(fits && key.variant.is_none()) {
            tags.push(Proxy::url_tag(target));
        }
        for tag in &tags {
            ctx.tag(tag.clone());
        }
        if fits {
            ctx.set_ttl(ttl);
            ctx.set_stale_while_revalidate(while_revalidate);
            ctx.set_stale_if_error(if_error);
            return Entry::Full(stored);
        }
        self.markers.set(self.markers.get() + 1);
        let marker = Rc::new(Marker { vary, number: self.markers.get() });
        let variant = variant_of_fields(&marker, target, fields);
        let options = EntryOptions::new()
            .ttl(ttl)
            .stale_while_revalidate(while_revalidate)
            .stale_if_error(if_error)
            .tags(tags.iter().cloned());
        self.cache.insert_with(variant, Entry::Full(stored), options);
        // A marker says nothing that time could make wrong, and without it no variant is found.
        if key.variant.is_some() {
            // This load's key belongs to variants that are no more; the new marker goes where the old one was.
            let options = EntryOptions::new().ttl(Ttl::Forever).tags(tags);
            self.cache.insert_with(primary, Entry::Varies(marker.clone()), options);
            ctx.skip();
        }
        ctx.set_ttl(Ttl::Forever);
        Entry::Varies(marker)
    }

    /// The tag by which all variants of a target are purged. No origin's tag begins so.
    pub fn url_tag(target: &str) -> String {
        format!("\u{1}{target}")
    }
}

/// Whether the last good answer may stand in for one that failed.
fn stands_in(last: Option<&Entry>, now: u64) -> bool {
    matches!(last, Some(Entry::Full(stored)) if stored.stale.are_open(&stored.freshness, now))
}
