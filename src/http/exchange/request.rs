//! What a client asks.

use std::rc::Rc;

use ::http::header::{ACCEPT_ENCODING, COOKIE, UPGRADE};
use ::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::key_parts;
use crate::http::fields::{CacheControl, only};
use crate::http::rule::{Compression, FieldEdits, Rule};
use crate::http::rules::forwarding;

/// A client's request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// `https` or `http`.
    pub scheme: String,
    /// The host, with its port where that is not the scheme's own.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// All fields.
    pub fields: HeaderMap,
}

/// A request after everything that was for this hop only, or that would poison an answer, has been taken off it.
#[derive(Debug)]
pub(super) struct Prepared {
    pub method: Method,
    pub scheme: String,
    pub host: String,
    /// Path and query, as the rule leaves it.
    pub target: String,
    pub fields: HeaderMap,
    pub control: CacheControl,
    pub upgrade: bool,
    pub hops: usize,
    pub device: Option<&'static str>,
}

impl Prepared {
    pub fn new(rule: &Rule, request: Request) -> Self {
        let Request { method, scheme, host, target, mut fields } = request;
        let upgrade = fields.contains_key(UPGRADE);
        forwarding::strip_request(&mut fields);
        // There are few fields, and looking for each that is dropped would be the most of a hit's cost.
        let is_read = is_read(&method);
        let drops =
            |name: &&HeaderName| rule.dropped_fields.contains(name) || (is_read && forwarding::overrides_method(name));
        let dropped: Vec<HeaderName> = fields.keys().filter(drops).cloned().collect();
        for name in dropped {
            fields.remove(name);
        }
        if rule.compression == Compression::None {
            fields.remove(ACCEPT_ENCODING);
        }
        edit(&mut fields, &rule.request_fields);
        let device = rule.key.device.then(|| key_parts::device(&fields));
        let control = CacheControl::parse_request(&fields);
        let hops = forwarding::hops(&fields, &rule.name);
        let target = key_parts::apply_query_rule(&rule.key.query, &target);
        Self { method, scheme, host, target, fields, control, upgrade, hops, device }
    }

    /// Whether a stored answer may do for it.
    pub fn is_read(&self) -> bool {
        is_read(&self.method)
    }

    /// The fields with which the origin is asked for an answer that is everybody's; `with_cookies` where the answer is
    /// known to depend on them. `only_cookies` are those that are in the key.
    pub fn shared_fields(&self, with_cookies: bool, only_cookies: &[String]) -> HeaderMap {
        let mut fields = self.fields.clone();
        forwarding::make_unconditional(&mut fields);
        if !with_cookies {
            let kept = key_parts::cookies(&self.fields, only_cookies);
            fields.remove(COOKIE);
            if let Some(kept) = kept.and_then(|kept| HeaderValue::try_from(kept).ok()) {
                fields.insert(COOKIE, kept);
            }
        }
        fields
    }

    pub fn has(&self, name: &::http::HeaderName) -> bool {
        self.fields.contains_key(name)
    }

    pub fn value(&self, name: &::http::HeaderName) -> Option<&HeaderValue> {
        only(&self.fields, name)
    }
}

pub(super) type Asked = Rc<Prepared>;

pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Takes fields off and gives others.
pub(super) fn edit(fields: &mut HeaderMap, edits: &FieldEdits) {
    for name in &edits.remove {
        fields.remove(name);
    }
    for (name, value) in &edits.set {
        // Fails only where the map is full, and then the field's absence is the lesser harm.
        let _ = fields.try_insert(name.clone(), value.clone());
    }
}
