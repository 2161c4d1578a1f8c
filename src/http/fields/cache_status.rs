//! `Cache-Status`: what the cache did, told to the client (RFC 9211).

use std::borrow::Cow;
use std::fmt;

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super as field;

/// How this cache is called in `Cache-Status`.
const NAME: &str = "nearcache";

/// This cache's member of a `Cache-Status` list. Its `Display` is the structured field (RFC 8941).
///
/// `hit` and `fwd` exclude each other (RFC 9211 §2), so one is chosen at the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    outcome: Source,
    forward_status: Option<StatusCode>,
    ttl: Option<i64>,
    stored: bool,
    collapsed: bool,
    detail: Option<Cow<'static, str>>,
    below: Option<String>,
}

/// Why a request went forward (RFC 9211 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fwd {
    /// The cache does not handle such requests.
    Bypass,
    /// The method's meaning demands it.
    Method,
    /// Nothing was stored for the target.
    UriMiss,
    /// Something was stored for the target, but not for these request fields.
    VaryMiss,
    /// Nothing was stored, for whichever reason.
    Miss,
    /// A fresh response was stored, but the request did not take it.
    Request,
    /// What was stored is stale.
    Stale,
    /// Only a part was stored.
    Partial,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Hit,
    Forwarded(Fwd),
    Generated,
}

impl CacheStatus {
    /// Answered from the store.
    pub fn hit() -> Self {
        Self::new(Source::Hit)
    }

    /// The origin was asked.
    pub fn forwarded(why: Fwd) -> Self {
        Self::new(Source::Forwarded(why))
    }

    /// Neither: the cache made the response itself, as the 504 after `only-if-cached`.
    pub fn generated() -> Self {
        Self::new(Source::Generated)
    }

    /// `fwd-status`: the status code with which the origin answered, where it differs from the response's (§2.3).
    /// Written only with `fwd`.
    #[must_use]
    pub fn forward_status(mut self, status: StatusCode) -> Self {
        self.forward_status = Some(status);
        self
    }

    /// `ttl`: seconds of freshness left, negative where it is stale (§2.4). See
    /// [`Freshness::ttl_seconds`](crate::http::Freshness::ttl_seconds).
    #[must_use]
    pub fn ttl(mut self, seconds: i64) -> Self {
        self.ttl = Some(seconds);
        self
    }

    /// `stored`: whether the origin's response was put into the store (§2.5). Written only with `fwd`.
    #[must_use]
    pub fn stored(mut self, stored: bool) -> Self {
        self.stored = stored;
        self
    }

    /// `collapsed`: whether the request shared another's way to the origin (§2.6). Written only with `fwd`.
    #[must_use]
    pub fn collapsed(mut self, collapsed: bool) -> Self {
        self.collapsed = collapsed;
        self
    }

    /// `detail`: more about it, such as a [`NotStorable::code`](crate::http::rules::storability::NotStorable::code) (§2.8). What a structured
    /// string cannot hold (all but printable ASCII) is written as `?`.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Which store below the memory had the answer: a member of its own before this one, `nearcache/` and the store's name, with the
    /// same `ttl`.
    #[must_use]
    pub fn below(mut self, layer: &str) -> Self {
        let name = |c: char| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' };
        self.below = Some(layer.chars().map(name).collect());
        self
    }

    /// Appends this to a response's `Cache-Status`, after what caches nearer to the origin wrote: the list ends with
    /// the cache nearest to the client (§2).
    pub fn append_to(&self, response_headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            // Fails only where the map is full, and then the field's absence is the lesser harm.
            let _ = response_headers.try_append(HeaderName::from_static("cache-status"), value);
        }
    }

    fn new(outcome: Source) -> Self {
        Self { outcome, forward_status: None, ttl: None, stored: false, collapsed: false, detail: None, below: None }
    }
}

impl Fwd {
    /// The token of RFC 9211 §2.2.
    pub fn token(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

impl fmt::Display for CacheStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(layer) = &self.below {
            write!(f, "{NAME}/{layer}; hit")?;
            self.write_ttl(f)?;
            f.write_str(", ")?;
        }
        f.write_str(NAME)?;
        match self.outcome {
            Source::Hit => f.write_str("; hit")?,
            Source::Forwarded(why) => self.write_forward(why, f)?,
            Source::Generated => {}
        }
        self.write_ttl(f)?;
        match self.detail.as_deref() {
            Some(detail) if is_token(detail) => write!(f, "; detail={detail}"),
            Some(detail) => write!(f, "; detail={}", quoted(detail)),
            None => Ok(()),
        }
    }
}

impl CacheStatus {
    fn write_ttl(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// The greatest number that a structured field holds: fifteen digits.
        const MAX_INTEGER: i64 = 999_999_999_999_999;
        match self.ttl {
            Some(ttl) => write!(f, "; ttl={}", ttl.clamp(-MAX_INTEGER, MAX_INTEGER)),
            None => Ok(()),
        }
    }

    fn write_forward(&self, why: Fwd, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "; fwd={}", why.token())?;
        if let Some(status) = self.forward_status {
            write!(f, "; fwd-status={}", status.as_u16())?;
        }
        if self.stored {
            f.write_str("; stored")?;
        }
        if self.collapsed {
            f.write_str("; collapsed")?;
        }
        Ok(())
    }
}

/// RFC 8941 §3.3.4.
fn is_token(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'*');
    first && bytes.all(|byte| field::is_tchar(byte) || matches!(byte, b':' | b'/'))
}

/// RFC 8941 §3.3.3.
fn quoted(text: &str) -> String {
    let mut string = String::with_capacity(text.len() + 2);
    string.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => string.extend(['\\', char]),
            ' '..='~' => string.push(char),
            _ => string.push('?'),
        }
    }
    string.push('"');
    string
}
