//! `Cache-Control` of requests and responses (RFC 9111 §5.2, RFC 5861, RFC 8246).

use std::borrow::Cow;

use ::http::header::{CACHE_CONTROL, PRAGMA};
use ::http::{HeaderMap, HeaderName};

use super::structured::{self, Item};
use super::{self as field, MAX_SECONDS};

/// The directives of every `Cache-Control` line of one message. Numbers are seconds, at most 2^31.
///
/// Directives that are not listed here are ignored, as RFC 9111 §5.2.3 asks.
///
/// What is doubtful is read as the more restrictive:
/// - of a directive that stands twice, the stricter one counts;
/// - a number that is none counts as 0 (for `min-fresh`: as 2^31), so the response is stale;
/// - `no-store` and its like count with any argument, `public` and its like only without one;
/// - what has no directive's form (`private; max-age=60`, a quotation mark without its pair) hides what it may have
///   said, so it counts as `no-store`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheControl {
    /// `no-store`: not to be stored at all. In requests as in responses.
    pub no_store: bool,
    /// `no-cache`: not to be reused without asking the origin. A request's never names fields to a purpose.
    pub no_cache: Option<Qualified>,
    /// `private`: for one user, not for a shared cache.
    pub private: Option<Qualified>,
    /// `public`: may be stored even where that would be forbidden, as after an `Authorization`.
    pub public: bool,
    /// `must-revalidate`: never to be served stale.
    pub must_revalidate: bool,
    /// `proxy-revalidate`: `must-revalidate` for shared caches only.
    pub proxy_revalidate: bool,
    /// `must-understand`: to be stored only by a cache that knows the status code; such a cache ignores `no-store`.
    pub must_understand: bool,
    /// `immutable`: does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// `only-if-cached`: the client wants a stored response or none.
    pub only_if_cached: bool,
    /// `max-age`: a response's freshness lifetime, or the greatest age a request accepts.
    pub max_age: Option<u32>,
    /// `s-maxage`: the freshness lifetime in shared caches, before `max-age`.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate`: how long past its lifetime it may be served while it is renewed (RFC 5861 §3).
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error`: how long past its lifetime it may be served where renewing fails (RFC 5861 §4).
    pub stale_if_error: Option<u32>,
    /// `max-stale`: how far past its lifetime the client would still take it.
    pub max_stale: Option<MaxStale>,
    /// `min-fresh`: for how long the response must still be fresh.
    pub min_fresh: Option<u32>,
}

/// What a `no-cache` or `private` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Qualified {
    /// The whole response. Also where the list of fields is empty or cannot be read.
    Whole,
    /// These header fields only, at least one.
    Fields(Vec<HeaderName>),
}

/// How stale a response a request accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaxStale {
    /// Up to so many seconds past its lifetime.
    Seconds(u32),
    /// However stale: a `max-stale` without an argument.
    Any,
}

impl CacheControl {
    /// Reads all `Cache-Control` lines of a message. Never fails; see the type for what doubtful input means.
    pub fn parse(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        let mut readable = true;
        for element in field::list(headers, &CACHE_CONTROL) {
            match Directive::parse(element) {
                Some(directive) => control.add(directive),
                None => readable = false,
            }
        }
        if !readable {
            control.no_store = true;
            // It would lift the no-store again.
            control.must_understand = false;
        }
        control
    }

    /// [`parse`](Self::parse) for a request: without any `Cache-Control`, a `Pragma: no-cache` counts as
    /// `Cache-Control: no-cache` (RFC 9111 §5.4).
    pub fn parse_request(headers: &HeaderMap) -> Self {
        let mut control = Self::parse(headers);
        if !headers.contains_key(CACHE_CONTROL)
            && field::list(headers, &PRAGMA).any(|element| element.eq_ignore_ascii_case(b"no-cache"))
        {
            control.no_cache = Some(Qualified::Whole);
        }
        control
    }

    /// Reads a targeted field (RFC 9213 §2.1), a dictionary of structured fields. `None` where it is absent, empty or
    /// invalid, or where a directive that this cache knows has a value of the wrong type: then the field is to be
    /// ignored as a whole.
    pub fn parse_targeted(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines: Vec<_> = headers.get_all(name).into_iter().map(|line| line.as_bytes()).collect();
        let joined = lines.join(&b", "[..]);
        let members = structured::dictionary(&joined)?;
        if members.is_empty() {
            return None;
        }
        let mut control = Self::default();
        for (name, value) in members {
            let argument = match (kind_of(name), value) {
                (Kind::Unknown, _) | (_, Item::Boolean(false)) => continue,
                (Kind::Flag | Kind::Names, Item::Boolean(true)) => Argument::Absent,
                (Kind::Names, Item::String(names)) => Argument::Value(Cow::Owned(names.into_bytes())),
                (Kind::Seconds, Item::Integer(seconds)) => {
                    Argument::Value(Cow::Owned(u64::try_from(seconds).ok()?.to_string().into_bytes()))
                }
                _ => return None,
            };
            control.add(Directive { name, argument });
        }
        Some(control)
    }

    fn add(&mut self, directive: Directive<'_>) {
        let Directive { name, argument } = directive;
        let bare = argument == Argument::Absent;
        match name.to_ascii_lowercase().as_slice() {
            b"no-store" => self.no_store = true,
            b"no-cache" => Qualified::widen(&mut self.no_cache, &argument),
            b"private" => Qualified::widen(&mut self.private, &argument),
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"only-if-cached" => self.only_if_cached = true,
            b"public" => self.public |= bare,
            b"must-understand" => self.must_understand |= bare,
            b"immutable" => self.immutable |= bare,
            b"max-age" => lower(&mut self.max_age, argument.seconds().unwrap_or(0)),
            b"s-maxage" => lower(&mut self.s_maxage, argument.seconds().unwrap_or(0)),
            b"stale-while-revalidate" => lower(&mut self.stale_while_revalidate, argument.seconds().unwrap_or(0)),
            b"stale-if-error" => lower(&mut self.stale_if_error, argument.seconds().unwrap_or(0)),
            b"max-stale" if bare => lower(&mut self.max_stale, MaxStale::Any),
            b"max-stale" => lower(&mut self.max_stale, MaxStale::Seconds(argument.seconds().unwrap_or(0))),
            b"min-fresh" => {
                let seconds = argument.seconds().unwrap_or(MAX_SECONDS);
                self.min_fresh = Some(self.min_fresh.map_or(seconds, |held| held.max(seconds)));
            }
            _ => {}
        }
    }
}

/// What a response says to this cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseControl {
    /// Its directives.
    pub control: CacheControl,
    /// Whether they come from a targeted field, so that `Expires` and `Cache-Control` say nothing (RFC 9213 §2.2).
    pub targeted: bool,
}

impl ResponseControl {
    /// The first of the targeted fields that the response has and that is valid, or else its `Cache-Control`.
    pub fn of_response(headers: &HeaderMap, targeted: &[HeaderName]) -> Self {
        for name in targeted {
            if headers.contains_key(name)
                && let Some(control) = CacheControl::parse_targeted(headers, name)
            {
                return Self { control, targeted: true };
            }
        }
        Self { control: CacheControl::parse(headers), targeted: false }
    }
}

/// What a directive's value is, in a targeted field.
enum Kind {
    Flag,
    Names,
    Seconds,
    Unknown,
}

fn kind_of(name: &[u8]) -> Kind {
    match name {
        b"no-store" | b"must-revalidate" | b"proxy-revalidate" | b"public" | b"must-understand" | b"immutable" => {
            Kind::Flag
        }
        b"no-cache" | b"private" => Kind::Names,
        b"max-age" | b"s-maxage" | b"stale-while-revalidate" | b"stale-if-error" => Kind::Seconds,
        _ => Kind::Unknown,
    }
}

impl Qualified {
    fn widen(held: &mut Option<Self>, argument: &Argument<'_>) {
        let more = argument.field_names();
        *held = Some(match (held.take(), more) {
            (None | Some(Self::Fields(_)), None) | (Some(Self::Whole), _) => Self::Whole,
            (None, Some(names)) => Self::Fields(names),
            (Some(Self::Fields(mut names)), Some(more)) => {
                names.extend(more);
                Self::Fields(names)
            }
        });
    }
}

struct Directive<'a> {
    name: &'a [u8],
    argument: Argument<'a>,
}

#[derive(PartialEq, Eq)]
enum Argument<'a> {
    Absent,
    Value(Cow<'a, [u8]>),
    /// There is one, but whitespace around the `=` makes it invalid.
    Malformed,
}

impl<'a> Directive<'a> {
    /// `None` where this is neither `token`, `token=token` nor `token="quoted string"`. Whitespace around the `=` is
    /// tolerated, to recognise the directive, but its argument is then malformed.
    fn parse(element: &'a [u8]) -> Option<Self> {
        let equals = element.iter().position(|byte| *byte == b'=');
        let Some((name, argument)) = equals.and_then(|at| element.split_at_checked(at)) else {
            return is_token(element).then_some(Self { name: element, argument: Argument::Absent });
        };
        let raw = argument.get(1..)?;
        let value = match field::trim(raw) {
            [b'"', quoted @ ..] => unquote(quoted)?,
            token => is_token(token).then_some(Cow::Borrowed(token))?,
        };
        let spaced = field::trim(name) != name || field::trim(raw) != raw;
        let argument = if spaced { Argument::Malformed } else { Argument::Value(value) };
        let name = field::trim(name);
        is_token(name).then_some(Self { name, argument })
    }
}

impl Argument<'_> {
    fn seconds(&self) -> Option<u32> {
        match self {
            Self::Value(value) => field::delta_seconds(value),
            Self::Absent | Self::Malformed => None,
        }
    }

    /// `None` where this is no list of at least one field name.
    fn field_names(&self) -> Option<Vec<HeaderName>> {
        let Self::Value(value) = self else { return None };
        let names: Option<Vec<_>> = field::elements(value)
            .filter(|element| !element.is_empty())
            .map(|element| HeaderName::from_bytes(element).ok())
            .collect();
        names.filter(|names| !names.is_empty())
    }
}

/// The content of a quoted string whose opening mark is already taken off. `None` where its closing mark is not the
/// last byte.
fn unquote(quoted: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (last, content) = quoted.split_last()?;
    if !content.contains(&b'\\') {
        return (*last == b'"' && !content.contains(&b'"')).then_some(Cow::Borrowed(content));
    }
    let mut plain = Vec::with_capacity(content.len());
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => return bytes.next().is_none().then_some(Cow::Owned(plain)),
            b'\\' => plain.push(*bytes.next()?),
            byte => plain.push(*byte),
        }
    }
}

/// Also true of nothing at all: an empty argument is readable, and invalid where a number is due.
fn is_token(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| field::is_tchar(*byte))
}

fn lower<T: Ord + Copy>(held: &mut Option<T>, value: T) {
    *held = Some(held.map_or(value, |held| held.min(value)));
}
