//! What a client is answered.

use std::ops::Range;
use std::rc::Rc;

use ::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, LAST_MODIFIED, RETRY_AFTER, VARY,
};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::content::Content;
use super::outcome::Unshared;
use super::record::{Record, Stored};
use super::request::Prepared;
use crate::http::fields::{CacheStatus, Coding, ContentRange, list};
use crate::http::rule::Rule;
use crate::http::rules::forwarding;
use crate::http::rules::ranges::{self, Selected};
use crate::http::rules::validation::{self, Precondition, evaluate_preconditions};

/// An answer to a client.
#[derive(Clone, Debug)]
pub struct ClientResponse<B> {
    /// Its status.
    pub status: StatusCode,
    /// A stored response all of whose fields it has, but for those of the same names in `fields`.
    pub record: Option<Rc<Record>>,
    /// Its fields beside the record's.
    pub fields: HeaderMap,
    /// Its body.
    pub content: Content<B>,
    /// How the body is to be decoded, for a client that can't read it as it is.
    pub decode: Option<Coding>,
    /// Whether what is stored answers, and that is fresh. `None`: a refusal, or what the origin says to this request alone.
    pub fresh: Option<bool>,
}

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

impl<B: Clone> ClientResponse<B> {
    /// All fields, where a driver has no use for the two halves.
    pub fn to_fields(&self) -> HeaderMap {
        let Some(record) = &self.record else { return self.fields.clone() };
        let mut fields = record.fields.clone();
        for name in self.fields.keys() {
            fields.remove(name);
            for value in self.fields.get_all(name) {
                // Fails only where the map is full, and then the field's absence is the lesser harm.
                let _ = fields.try_append(name.clone(), value.clone());
            }
        }
        fields
    }

    /// From the store: 200 or what else is stored, 206, 304 or 416, as the request's conditions and its range have it (RFC 9110
    /// §13.2.2). `None` where of what is stored the wanted part is not there.
    pub(super) fn from_stored(stored: &Stored<B>, asked: &Prepared, status: &CacheStatus, now: u64) -> Option<Self> {
        Self::from_record(&stored.record, |bytes| stored.content(bytes), asked, status, now)
    }

    pub(super) fn from_record(
        record: &Rc<Record>,
        content: impl FnOnce(Range<u64>) -> Content<B>,
        asked: &Prepared,
        status: &CacheStatus,
        now: u64,
    ) -> Option<Self> {
        let selected = select(record, asked)?;
        let cache_status = cache_status(&record.fields, status);
        let mut answer = if is_not_modified(&asked.fields, record.status, &record.fields) {
            let mut fields = validation::not_modified_headers(&record.fields);
            insert_age(record, now, &mut fields);
            fields.insert(CACHE_STATUS, cache_status);
            let content = Content::Empty;
            Self { status: StatusCode::NOT_MODIFIED, record: None, fields, content, decode: None, fresh: None }
        } else {
            Self::of_bytes(record, selected, content, asked, cache_status, now)
        };
        answer.fresh = Some(record.freshness.is_fresh(now));
        Some(answer)
    }

    /// All of a stored part, under the `Content-Range` that the origin gave it.
    pub(super) fn whole_part(stored: &Stored<B>, asked: &Prepared, status: &CacheStatus, now: u64) -> Self {
        let record = &stored.record;
        let content = |bytes| stored.content(bytes);
        Self::of_bytes(record, Selected::Whole, content, asked, cache_status(&record.fields, status), now)
    }

    fn of_bytes(
        record: &Rc<Record>,
        selected: Selected,
        content: impl FnOnce(Range<u64>) -> Content<B>,
        asked: &Prepared,
        cache_status: HeaderValue,
        now: u64,
    ) -> Self {
        let mut fields = HeaderMap::with_capacity(4);
        fields.insert(CACHE_STATUS, cache_status);
        let start = record.part.as_ref().map_or(0, |part| part.bytes.start);
        let total = record.part.as_ref().map_or(Some(record.length), |part| part.total);
        let (status, bytes) = match selected {
            Selected::Whole => (record.status, 0..record.length),
            Selected::Part(bytes) => {
                insert(&mut fields, CONTENT_RANGE, ContentRange { bytes: bytes.clone(), total }.to_value());
                fields.insert(CONTENT_LENGTH, HeaderValue::from(bytes.end - bytes.start));
                (StatusCode::PARTIAL_CONTENT, bytes.start - start..bytes.end - start)
            }
            Selected::Unsatisfiable => {
                insert(&mut fields, CONTENT_RANGE, format!("bytes */{}", record.length));
                fields.insert(CONTENT_LENGTH, HeaderValue::from(0));
                (StatusCode::RANGE_NOT_SATISFIABLE, 0..0)
            }
        };
        insert_age(record, now, &mut fields);
        let empty = bytes.is_empty() || asked.method == Method::HEAD;
        let content = if empty { Content::Empty } else { content(bytes) };
        Self { status, record: Some(record.clone()), fields, content, decode: None, fresh: None }
            .readable(&record.fields, asked)
    }

    /// The origin's, as it comes.
    pub(super) fn passed(unshared: &Unshared, asked: &Prepared, status: &CacheStatus) -> Self {
        let mut fields = unshared.fields.clone();
        let cache_status = cache_status(&fields, status);
        fields.insert(CACHE_STATUS, cache_status);
        // Its Date, of this moment, would make everything that a client has seem right: that stands for a Last-Modified of what
        // is stored only (RFC 9111 §4.3.2).
        let is_comparable = asked.has(&IF_NONE_MATCH) || fields.contains_key(LAST_MODIFIED);
        if is_comparable && is_not_modified(&asked.fields, unshared.status, &fields) && asked.is_read() {
            let fields = validation::not_modified_headers(&fields);
            let content = Content::Empty;
            return Self { status: StatusCode::NOT_MODIFIED, record: None, fields, content, decode: None, fresh: None };
        }
        let content = if asked.method == Method::HEAD { Content::Empty } else { Content::Origin };
        let coded = unshared.fields.clone();
        Self { status: unshared.status, record: None, fields, content, decode: None, fresh: None }
            .readable(&coded, asked)
    }

    /// In words of our own.
    pub(super) fn refusal(rule: &Rule, code: StatusCode, reason: &str, status: &CacheStatus) -> Self {
        let mut fields = HeaderMap::with_capacity(4);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        status.append_to(&mut fields);
        forwarding::add_via(&mut fields, &rule.name);
        let content = Content::Text(format!("nearcache: {reason}\n"));
        Self { status: code, record: None, fields, content, decode: None, fresh: None }
    }

    /// Decodes what the client can't read (RFC 9110 §12.5.3; one that says nothing is taken for one that can't). The result is
    /// another representation: it says by what it varies, and its entity tag is weak (RFC 9110 §8.8.1).
    fn readable(mut self, coded: &HeaderMap, asked: &Prepared) -> Self {
        let part = self.status == StatusCode::PARTIAL_CONTENT || self.status == StatusCode::RANGE_NOT_SATISFIABLE;
        let Some(coding) = Coding::of(coded).filter(|coding| !part && !coding.is_accepted(&asked.fields)) else {
            return self;
        };
        if list(coded, &CACHE_CONTROL).any(|directive| directive.eq_ignore_ascii_case(b"no-transform")) {
            return self;
        }
        let mut fields = self.to_fields();
        fields.remove(CONTENT_ENCODING);
        fields.remove(CONTENT_LENGTH);
        fields.remove(ACCEPT_RANGES);
        if let Some(tag) = fields.get(ETAG).filter(|tag| !tag.as_bytes().starts_with(b"W/")).cloned() {
            insert(&mut fields, ETAG, format!("W/{}", String::from_utf8_lossy(tag.as_bytes())));
        }
        // Fails only where the map is full, and then the field's absence is the lesser harm.
        let _ = fields.try_append(VARY, HeaderValue::from_static("Accept-Encoding"));
        self.decode = (!matches!(self.content, Content::Empty)).then_some(coding);
        Self { record: None, fields, ..self }
    }

    /// In how many seconds the client may come again.
    #[must_use]
    pub(super) fn retry_after(mut self, seconds: Option<u32>) -> Self {
        if let Some(seconds) = seconds {
            self.fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        self
    }
}

/// Which bytes of a stored response answer a request.
pub(super) fn select(record: &Record, asked: &Prepared) -> Option<Selected> {
    let ranged = asked.method == Method::GET && matches!(record.status.as_u16(), 200 | 206);
    if !ranged {
        return record.part.is_none().then_some(Selected::Whole);
    }
    ranges::select(&asked.fields, &record.fields, record.part.as_ref(), record.length)
}

fn is_not_modified(request: &HeaderMap, status: StatusCode, fields: &HeaderMap) -> bool {
    evaluate_preconditions(request, status, fields) == Precondition::NotModified
}

fn insert_age(record: &Record, now: u64, fields: &mut HeaderMap) {
    fields.insert(AGE, HeaderValue::from(record.freshness.age_seconds(now)));
}

/// What caches nearer to the origin wrote, and this one's after it (RFC 9211 §2).
fn cache_status(stored: &HeaderMap, status: &CacheStatus) -> HeaderValue {
    let ours = status.to_string();
    let earlier: Vec<_> = stored.get_all(CACHE_STATUS).iter().filter_map(|line| line.to_str().ok()).collect();
    let joined = if earlier.is_empty() { ours } else { format!("{}, {ours}", earlier.join(", ")) };
    HeaderValue::try_from(joined).unwrap_or_else(|_| HeaderValue::from_static("nearcache"))
}

fn insert(fields: &mut HeaderMap, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        fields.insert(name, value);
    }
}
