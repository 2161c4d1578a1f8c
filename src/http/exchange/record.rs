//! A stored response.

use std::ops::Range;
use std::rc::Rc;

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, SET_COOKIE, VIA};
use ::http::{HeaderMap, HeaderValue, StatusCode};

use super::content::Content;
use super::manifest::Manifest;
use super::request::edit;

use crate::http::fields::{ContentRange, cache_tags, date_ms, only, strip_cache_tags};
use crate::http::rule::{Rule, SetCookie};
use crate::http::rules::forwarding;
use crate::http::rules::stale::StaleGround;
use crate::http::rules::storability::Storability;
use crate::http::rules::validation::freshened;
use crate::http::rules::vary::{is_in_best_language, variant_key};
use crate::http::{Freshness, StaleLimits, Vary};

/// A stored response: what is known of it, and its body.
#[derive(Clone, Debug)]
pub struct Stored<B> {
    /// Everything but the body.
    pub record: Rc<Record>,
    /// The driver's.
    pub body: B,
}

impl<B: Clone> Stored<B> {
    /// Bytes of its body.
    pub(super) fn content(&self, bytes: Range<u64>) -> Content<B> {
        match &self.record.apart {
            Some(manifest) => Content::Apart(manifest.clone(), bytes),
            None => Content::Stored(self.body.clone(), bytes),
        }
    }
}

/// What is known of a stored response. Everything that a hit needs is worked out when it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    /// The status.
    pub status: StatusCode,
    /// The fields, as they are passed on: without those of the hop, with `Via`; without an `Age` of now.
    pub fields: HeaderMap,
    /// How many bytes of body are stored.
    pub length: u64,
    /// Which part of the whole they are; `None`: they are the whole.
    pub part: Option<ContentRange>,
    /// How long it is fresh.
    pub freshness: Freshness,
    /// How long past that it may be handed out.
    pub limits: StaleLimits,
    /// Whether it has to be validated before every use.
    pub always_validate: bool,
    /// The names by which it may be purged.
    pub tags: Vec<String>,
    /// Where the body lies, if it lies apart.
    pub apart: Option<Rc<Manifest>>,
    pub(super) vary: Vary,
    /// The request fields that selected it.
    pub(super) variant: Vec<u8>,
    /// What the origin sent, where the operator changed it: what is freshened is freshened from here.
    pub(super) said: Option<Rc<HeaderMap>>,
    pub(super) keep_ms: u64,
}

impl Record {
    /// Of a response that may be stored. `selecting` are the request fields as the origin saw them.
    pub(super) fn new(
        rule: &Rule,
        status: StatusCode,
        said: HeaderMap,
        selecting: &HeaderMap,
        storability: Storability,
        length: u64,
    ) -> Self {
        let Storability { freshness, limits, vary, always_validate, part } = storability;
        let mut tags = rule.tags.clone();
        tags.extend(cache_tags(&said));
        let variant = variant_key(&vary, selecting);
        let fields = passed_on(rule, said.clone(), freshness.stored_at_ms);
        let edited = !(rule.response_fields.remove.is_empty() && rule.response_fields.set.is_empty());
        let said = (edited || !tags.is_empty()).then(|| Rc::new(said));
        let keep_ms = if status == StatusCode::OK { rule.keep_ms } else { 0 };
        let mut record = Self {
            status,
            fields,
            length: 0,
            part: None,
            freshness,
            limits,
            always_validate,
            tags,
            apart: None,
            vary,
            variant,
            said,
            keep_ms,
        };
        record.set_length(part, length);
        record
    }

    /// The body turned out to be so long, and to be this part of the whole.
    pub(super) fn set_length(&mut self, part: Option<ContentRange>, length: u64) {
        self.length = length;
        self.part = part;
        if self.has_content() {
            self.fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
        } else {
            self.fields.remove(CONTENT_LENGTH);
        }
    }

    /// The body is the one of another record.
    pub(super) fn keep_body(&mut self, old: &Self) {
        self.set_length(old.part.clone(), old.length);
        self.apart.clone_from(&old.apart);
    }

    /// The parts of it that were stored are all there is: it is what a GET without a range would have brought.
    pub(super) fn become_whole(&mut self) {
        if self.status == StatusCode::PARTIAL_CONTENT {
            self.status = StatusCode::OK;
            self.fields.remove(CONTENT_RANGE);
        }
    }

    /// Whether its status is one whose responses have content.
    pub(super) fn has_content(&self) -> bool {
        self.status != StatusCode::NO_CONTENT
    }

    /// When the origin made it, by its `Date`, or when it came; in ms since 1970, of whole seconds. A clock that is ahead makes nothing newer
    /// than it can be.
    pub(super) fn made_at_ms(&self) -> u64 {
        let came_at_ms = self.freshness.stored_at_ms;
        let made_at_ms = only(self.said(), &DATE).and_then(date_ms).map_or(came_at_ms, |date| date.min(came_at_ms));
        made_at_ms - made_at_ms % 1000
    }

    /// Whether it may answer a request that asks for nothing fresher.
    pub fn is_usable(&self, now: u64) -> bool {
        !self.always_validate && self.freshness.is_fresh(now)
    }

    /// Whether it may be handed out on this ground, fresh or stale. The lifetime of what has to be validated before every
    /// use is ground for nothing (RFC 9111 §5.2.2.4).
    pub(super) fn may_stand_in(&self, ground: StaleGround, now: u64) -> bool {
        let unvalidated = self.always_validate && self.freshness.is_fresh(now);
        !unvalidated && self.limits.allow(ground, &self.freshness, now)
    }

    /// What the origin said of it, as far as it is known.
    pub(super) fn said(&self) -> &HeaderMap {
        self.said.as_deref().unwrap_or(&self.fields)
    }

    /// What the origin says of it after a 304, or after another part with these fields.
    pub(super) fn freshened(&self, rule: &Rule, newer: &HeaderMap) -> HeaderMap {
        let mut fields = freshened(self.said(), newer);
        if self.said.is_none() && !newer.contains_key(VIA) {
            // It is given again.
            forwarding::remove_via(&mut fields, &rule.name);
        }
        fields
    }

    /// The last moment at which it is of any use, in milliseconds since the Unix epoch.
    pub(super) fn keep_until_ms(&self) -> u64 {
        let stale_at = self.freshness.stale_at_ms();
        let validatable =
            self.fields.contains_key(::http::header::ETAG) || self.fields.contains_key(::http::header::LAST_MODIFIED);
        let kept = if validatable { self.keep_ms } else { 0 };
        stale_at.saturating_add(self.limits.longest_ms().max(kept))
    }

    /// Whether a request with such fields selects it (RFC 9111 §4.1).
    pub(super) fn matches(&self, request: &HeaderMap) -> bool {
        self.vary.is_empty()
            || variant_key(&self.vary, request) == self.variant
            || is_in_best_language(&self.vary, request, &self.fields)
    }

    /// Whether they select the same requests, so that the newer one takes the older one's place.
    pub(super) fn is_same_variant(&self, other: &Self) -> bool {
        self.vary == other.vary && self.variant == other.variant && self.part.is_some() == other.part.is_some()
    }

    /// Whether its body is encoded.
    pub fn is_encoded(&self) -> bool {
        self.fields.contains_key(CONTENT_ENCODING)
    }

    /// Bytes on the heap, near enough for a budget, without the body.
    pub fn weight(&self) -> usize {
        /// What a field takes in a `HeaderMap` besides its text.
        const PER_FIELD: usize = 104;
        let map = |fields: &HeaderMap| -> usize {
            fields.iter().map(|(name, value)| name.as_str().len() + value.len() + PER_FIELD).sum()
        };
        let tags: usize = self.tags.iter().map(|tag| tag.len() + 24).sum();
        let said = self.said.as_deref().map_or(0, map);
        let apart = self.apart.as_ref().map_or(0, |manifest| manifest.weight());
        size_of::<Self>() + apart + map(&self.fields) + said + tags + self.variant.len() + 32 * self.vary.names().len()
    }
}

/// What of the origin's fields crosses to the client.
pub(super) fn passed_on(rule: &Rule, mut fields: HeaderMap, now: u64) -> HeaderMap {
    forwarding::strip_response(&mut fields);
    strip_cache_tags(&mut fields);
    forwarding::add_date(&mut fields, now);
    forwarding::add_via(&mut fields, &rule.name);
    edit(&mut fields, &rule.response_fields);
    fields
}

/// As [`passed_on`], of what is stored.
pub(super) fn without_refused_cookies(rule: &Rule, fields: &mut HeaderMap) {
    if rule.set_cookie == SetCookie::Drop {
        fields.remove(SET_COOKIE);
    }
}
