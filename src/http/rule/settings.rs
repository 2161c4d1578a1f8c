//! How rules are written: JSON, or what reads into the same.

use std::fmt;
use std::ops::RangeInclusive;

use ::http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::conditional::{Conditional, Edit};
use super::pattern::Pattern;
use super::{Compression, Cookies, FieldEdits, KeyRule, Purge, QueryRule, Ranges, Reload, Rule, SetCookie};
use crate::error::OptionError;
use crate::time::parse_duration;

/// What is wrong with rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuleError {
    /// A value won't do; the option is its path, as `rules[2].key.query`.
    Value(OptionError),
    /// A name means nothing here: its path, and the known name that is much like it, or all that are known.
    Name(String, Vec<&'static str>),
    /// This is no JSON; where and why.
    Syntax(String),
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(error) => error.fmt(f),
            Self::Name(path, known) => match known.as_slice() {
                [nearest] => write!(f, "{path} is not known; did you mean {nearest}?"),
                _ => write!(f, "{path} is not known; known are {}", known.join(", ")),
            },
            Self::Syntax(why) => write!(f, "the rules are no JSON: {why}"),
        }
    }
}

impl std::error::Error for RuleError {}

impl From<OptionError> for RuleError {
    fn from(error: OptionError) -> Self {
        Self::Value(error)
    }
}

type Result<T> = std::result::Result<T, RuleError>;

const MOST_RULES: usize = 1_000;

/// The defaults, and the rules in their order.
pub(super) fn read(value: &Value) -> Result<(Vec<Edit>, Vec<Conditional>)> {
    let top = At { path: String::new(), value };
    if !value.is_object() {
        return top.refuse("an object like { \"defaults\": { … }, \"rules\": [ … ] }");
    }
    let object = top.object(&["defaults", "rules"])?;
    let defaults = object.get("defaults").map(|value| top.child("defaults", value).edits(&[])).transpose()?;
    let rules = match object.get("rules") {
        Some(rules) => {
            top.child("rules", rules).list("a list of at most 1000 rules", MOST_RULES, |at| at.conditional())?
        }
        None => Vec::new(),
    };
    Ok((defaults.unwrap_or_default(), rules))
}

/// A value and where it stands.
struct At<'a> {
    path: String,
    value: &'a Value,
}

const SETTINGS: [&str; 25] = [
    "bypass",
    "compression",
    "cookies",
    "dropFields",
    "errorBackoff",
    "heuristic",
    "keep",
    "key",
    "maxBackoff",
    "maxBodyBytes",
    "maxVariants",
    "origin",
    "purges",
    "ranges",
    "reload",
    "request",
    "response",
    "setCookie",
    "staleIfError",
    "staleIfUnreachable",
    "staleWhileRevalidate",
    "statusTtl",
    "tags",
    "ttl",
    "uncacheableTtl",
];

impl<'a> At<'a> {
    fn child(&self, name: &str, value: &'a Value) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { path, value }
    }

    fn refuse<T>(&self, allowed: &'static str) -> Result<T> {
        let mut given = self.value.to_string();
        if given.len() > 80 {
            given = given.chars().take(80).chain("…".chars()).collect();
        }
        let option = if self.path.is_empty() { "the rules".to_owned() } else { self.path.clone() };
        Err(OptionError { option, given, allowed }.into())
    }

    fn object(&self, known: &[&'static str]) -> Result<&'a Map<String, Value>> {
        let Some(object) = self.value.as_object() else { return self.refuse("an object") };
        for name in object.keys() {
            if !known.contains(&name.as_str()) {
                return Err(RuleError::Name(self.child(name, self.value).path, nearest(name, known)));
            }
        }
        Ok(object)
    }

    fn conditional(&self) -> Result<Conditional> {
        let patterns = |name: &str, allowed| match self.value.get(name) {
            None => Ok(Vec::new()),
            Some(value) => self.child(name, value).one_or_more(allowed),
        };
        let host = "a host or a list of hosts, with * for anything, like \"*.example.com\"";
        let path = "a path or a list of paths that begin with / or *, with * for anything, like \"/assets/*\"";
        let hosts = patterns("host", host)?;
        let paths = patterns("path", path)?;
        if !paths.iter().all(|path| path.starts_with(['/', '*'])) {
            return self.child("path", self.value.get("path").unwrap_or(self.value)).refuse(path_allowed());
        }
        let edits = self.edits(&["host", "path"])?;
        let hosts = hosts.iter().map(|host| Pattern::new(&host.to_ascii_lowercase())).collect();
        Ok(Conditional { hosts, paths: paths.iter().map(|path| Pattern::new(path)).collect(), edits })
    }

    fn edits(&self, besides: &[&'static str]) -> Result<Vec<Edit>> {
        let known: Vec<&'static str> = besides.iter().copied().chain(SETTINGS).collect();
        let object = self.object(&known)?;
        let settings = object.iter().filter(|(name, _)| !besides.contains(&name.as_str()));
        settings.map(|(name, value)| self.child(name, value).edit(name)).collect()
    }

    fn edit(&self, name: &str) -> Result<Edit> {
        /// An edit that gives a field a value.
        fn set<T: Clone + 'static>(value: T, field: fn(&mut Rule) -> &mut T) -> Edit {
            Box::new(move |rule| *field(rule) = value.clone())
        }
        Ok(match name {
            "bypass" => set(self.boolean()?, |rule| &mut rule.bypass),
            "ttl" => set(self.duration_or_null()?, |rule| &mut rule.ttl_ms),
            "statusTtl" => set(self.status_ttl()?, |rule| &mut rule.status_ttl_ms),
            "heuristic" => self.heuristic()?,
            "staleWhileRevalidate" => set(self.duration()?, |rule| &mut rule.stale.while_revalidate_ms),
            "staleIfError" => set(self.duration()?, |rule| &mut rule.stale.if_error_ms),
            "staleIfUnreachable" => set(self.duration()?, |rule| &mut rule.stale.if_unreachable_ms),
            "keep" => set(self.duration()?, |rule| &mut rule.keep_ms),
            "uncacheableTtl" => set(self.duration()?, |rule| &mut rule.uncacheable_ttl_ms),
            "errorBackoff" => set(self.duration()?, |rule| &mut rule.error_backoff_ms),
            "maxBackoff" => set(self.duration()?, |rule| &mut rule.max_backoff_ms),
            "maxBodyBytes" => set(self.whole(1 << 40, "a whole number of bytes")?, |rule| &mut rule.max_body_bytes),
            "maxVariants" => {
                let allowed = "a whole number from 1 to 1000";
                let most = self.whole(1_000, allowed)?;
                let most = if most == 0 { self.refuse(allowed)? } else { most as usize };
                set(most, |rule| &mut rule.max_variants)
            }
            "origin" => set(Some(self.origin()?), |rule| &mut rule.origin),
            "tags" => {
                let tags = self.strings("a list of tags, each of 1 to 1024 printable ASCII characters", |tag| {
                    matches!(tag.len(), 1..=1024) && tag.bytes().all(|byte| matches!(byte, b' '..=b'~'))
                })?;
                Box::new(move |rule| rule.tags.extend(tags.iter().cloned()))
            }
            "key" => self.key()?,
            "request" => set(self.field_edits()?, |rule| &mut rule.request_fields),
            "response" => set(self.field_edits()?, |rule| &mut rule.response_fields),
            "dropFields" => set(self.names()?, |rule| &mut rule.dropped_fields),
            "purges" => set(self.purges()?, |rule| &mut rule.purges),
            "compression" => {
                let words = [("origin", Compression::Origin), ("none", Compression::None)];
                set(self.word(&words, "\"origin\" or \"none\"")?, |rule| &mut rule.compression)
            }
            "reload" => {
                let words = [("once-per-second", Reload::OncePerSecond), ("ignore", Reload::Ignore)];
                set(self.word(&words, "\"once-per-second\" or \"ignore\"")?, |rule| &mut rule.reload)
            }
            "ranges" => {
                let words = [("part", Ranges::Part), ("whole", Ranges::Whole), ("pass", Ranges::Pass)];
                set(self.word(&words, "\"part\", \"whole\" or \"pass\"")?, |rule| &mut rule.ranges)
            }
            "setCookie" => {
                let words = [("refuse", SetCookie::Refuse), ("drop", SetCookie::Drop), ("keep", SetCookie::Keep)];
                set(self.word(&words, "\"refuse\", \"drop\" or \"keep\"")?, |rule| &mut rule.set_cookie)
            }
            // `SETTINGS` has nothing else.
            _ => {
                let words = [("drop", Cookies::Drop), ("forward", Cookies::Forward), ("bypass", Cookies::Bypass)];
                set(self.word(&words, "\"drop\", \"forward\" or \"bypass\"")?, |rule| &mut rule.cookies)
            }
        })
    }

    fn boolean(&self) -> Result<bool> {
        self.value.as_bool().map_or_else(|| self.refuse("true or false"), Ok)
    }

    fn whole(&self, most: u64, allowed: &'static str) -> Result<u64> {
        self.value.as_u64().filter(|number| *number <= most).map_or_else(|| self.refuse(allowed), Ok)
    }

    fn duration(&self) -> Result<u64> {
        const ALLOWED: &str = "milliseconds, or a duration like \"250ms\", \"30s\", \"5m\", \"1.5h\" or \"7d\"";
        let millis = match self.value {
            Value::String(text) => parse_duration(text),
            value => value.as_f64().filter(|millis| *millis >= 0.0),
        };
        // A fraction of a millisecond is dropped, and 2^53 is more than any clock will see.
        millis.filter(|millis| *millis <= 9e15).map_or_else(|| self.refuse(ALLOWED), |millis| Ok(millis as u64))
    }

    fn duration_or_null(&self) -> Result<Option<u64>> {
        if self.value.is_null() { Ok(None) } else { self.duration().map(Some) }
    }

    fn word<T: Copy>(&self, words: &[(&str, T)], allowed: &'static str) -> Result<T> {
        let found = words.iter().find(|(word, _)| self.value.as_str() == Some(*word));
        found.map_or_else(|| self.refuse(allowed), |(_, value)| Ok(*value))
    }

    fn list<T>(&self, allowed: &'static str, most: usize, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        let Some(list) = self.value.as_array().filter(|list| list.len() <= most) else { return self.refuse(allowed) };
        let at = |(index, value)| At { path: format!("{}[{index}]", self.path), value };
        list.iter().enumerate().map(at).map(|at| read(&at)).collect()
    }

    fn strings(&self, allowed: &'static str, holds: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        self.list(allowed, 1_000, |at| match at.value.as_str().filter(|text| holds(text)) {
            Some(text) => Ok(text.to_owned()),
            None => at.refuse(allowed),
        })
    }

    fn one_or_more(&self, allowed: &'static str) -> Result<Vec<String>> {
        match self.value.as_str() {
            Some("") => self.refuse(allowed),
            Some(text) => Ok(vec![text.to_owned()]),
            None => self.strings(allowed, |text| !text.is_empty()),
        }
    }

    fn names(&self) -> Result<Vec<HeaderName>> {
        const ALLOWED: &str = "a list of field names, like [\"x-country\"]";
        self.list(ALLOWED, 1_000, |at| {
            let name = at.value.as_str().and_then(|name| HeaderName::from_bytes(name.as_bytes()).ok());
            name.map_or_else(|| at.refuse(ALLOWED), Ok)
        })
    }

    fn field_edits(&self) -> Result<FieldEdits> {
        let object = self.object(&["remove", "set"])?;
        let mut edits = FieldEdits::default();
        if let Some(remove) = object.get("remove") {
            edits.remove = self.child("remove", remove).names()?;
        }
        if let Some(set) = object.get("set") {
            const ALLOWED: &str = "an object of field names and their values, like { \"x-country\": \"de\" }";
            let at = self.child("set", set);
            let Some(fields) = set.as_object() else { return at.refuse(ALLOWED) };
            for (name, value) in fields {
                let read = HeaderName::from_bytes(name.as_bytes()).ok();
                let read = read.zip(value.as_str().and_then(|value| HeaderValue::from_str(value).ok()));
                edits.set.push(read.map_or_else(|| at.child(name, value).refuse(ALLOWED), Ok)?);
            }
        }
        Ok(edits)
    }

    fn key(&self) -> Result<Edit> {
        let object = self.object(&["anyHost", "query", "fields", "cookies", "device"])?;
        let child = |name| object.get(name).map(|value| self.child(name, value));
        let key = KeyRule {
            any_host: child("anyHost").map_or(Ok(false), |at| at.boolean())?,
            query: child("query").map_or(Ok(QueryRule::default()), |at| at.query())?,
            fields: child("fields").map_or(Ok(Vec::new()), |at| at.names())?,
            cookies: child("cookies").map_or(Ok(Vec::new()), |at| {
                at.strings("a list of cookies' names", |name| !name.is_empty() && !name.contains([';', '=', ' ']))
            })?,
            device: child("device").map_or(Ok(false), |at| at.boolean())?,
        };
        Ok(Box::new(move |rule| {
            // What is in the key poisons nothing.
            rule.dropped_fields.retain(|name| !key.fields.contains(name));
            rule.key = key.clone();
        }))
    }

    fn query(&self) -> Result<QueryRule> {
        let object = self.object(&["sort", "keep", "drop"])?;
        let child = |name| object.get(name).map(|value| self.child(name, value));
        let allowed = "a list of parameters' names, with * for anything at the end, like [\"utm_*\"]";
        let names = |at: At<'a>| at.strings(allowed, |name| !name.trim_end_matches('*').contains(['&', '=', '*']));
        Ok(QueryRule {
            sort: child("sort").map_or(Ok(false), |at| at.boolean())?,
            keep: child("keep").map(names).transpose()?,
            drop: child("drop").map(names).transpose()?.unwrap_or_default(),
        })
    }

    fn status_ttl(&self) -> Result<Vec<(RangeInclusive<u16>, u64)>> {
        const ALLOWED: &str =
            "an object of statuses and durations, like { \"404\": \"10s\", \"5xx\": \"1s\", \"300-399\": \"1m\" }";
        let Some(object) = self.value.as_object() else { return self.refuse(ALLOWED) };
        let mut by_status = Vec::new();
        for (statuses, ttl) in object {
            let at = self.child(statuses, ttl);
            let range = parse_statuses(statuses).map_or_else(|| at.refuse(ALLOWED), Ok)?;
            by_status.push((range, at.duration()?));
        }
        // A single status before a range that has it.
        by_status.sort_by_key(|(range, _)| range.end() - range.start());
        Ok(by_status)
    }

    fn heuristic(&self) -> Result<Edit> {
        if self.value == &Value::Bool(false) {
            return Ok(Box::new(|rule| rule.heuristic.percent = 0));
        }
        if !self.value.is_object() {
            return self.refuse("false, or an object with percent and max, like { \"percent\": 10, \"max\": \"1d\" }");
        }
        let object = self.object(&["percent", "max"])?;
        let child = |name| object.get(name).map(|value| self.child(name, value));
        let percent = child("percent").map(|at| at.whole(100, "a whole number from 0 to 100")).transpose()?;
        let max_ms = child("max").map(|at| at.duration()).transpose()?;
        Ok(Box::new(move |rule| {
            rule.heuristic.percent = percent.map_or(rule.heuristic.percent, |percent| percent as u32);
            rule.heuristic.max_ms = max_ms.unwrap_or(rule.heuristic.max_ms);
        }))
    }

    fn purges(&self) -> Result<Vec<Purge>> {
        const ALLOWED: &str = "an object with lists of tags and paths, like { \"tags\": [\"news\"], \"paths\": [\"/news\", \"/feed/*\"] }";
        if !self.value.is_object() {
            return self.refuse(ALLOWED);
        }
        let object = self.object(&["tags", "paths"])?;
        let list = |name: &str, holds: fn(&str) -> bool| match object.get(name) {
            Some(value) => self.child(name, value).strings(ALLOWED, holds),
            None => Ok(Vec::new()),
        };
        let tags = list("tags", |tag| !tag.is_empty())?.into_iter().map(Purge::Tag);
        let paths = list("paths", |path| path.starts_with('/'))?;
        let paths = paths.into_iter().map(|path| match path.strip_suffix('*') {
            Some(prefix) => Purge::Prefix(prefix.to_owned()),
            None => Purge::Target(path),
        });
        Ok(tags.chain(paths).collect())
    }

    fn origin(&self) -> Result<String> {
        const ALLOWED: &str =
            "an absolute http or https URL without query, fragment or password, like \"https://example.com\"";
        let good = self.value.as_str().filter(|text| {
            let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            rest.is_some_and(|rest| {
                !rest.is_empty()
                    && !rest.starts_with('/')
                    && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#@\\\"<>".contains(&byte))
            })
        });
        match good {
            Some(text) => Ok(text.trim_end_matches('/').to_owned()),
            // It may have a password.
            None => {
                let given = "something else".to_owned();
                Err(OptionError { option: self.path.clone(), given, allowed: ALLOWED }.into())
            }
        }
    }
}

fn path_allowed() -> &'static str {
    "a path or a list of paths that begin with / or *, with * for anything, like \"/assets/*\""
}

/// `404`, `5xx` or `300-399`.
fn parse_statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.parse().ok().filter(|status| (200..=599).contains(status));
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (2..=5).contains(class))?;
        return Some(class * 100..=class * 100 + 99);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (status(first)?, status(last)?);
    (first <= last).then_some(first..=last)
}

/// The known name that is most like this one, if half of it is the same; else all of them.
fn nearest(name: &str, known: &[&'static str]) -> Vec<&'static str> {
    let (far, nearest) = known.iter().map(|one| (distance(name, one), *one)).min().unwrap_or_default();
    if far <= name.len() / 2 { vec![nearest] } else { known.to_vec() }
}

/// How many characters to put in, take out or change, to make one of the other. Of an endless name the beginning.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_ascii_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.to_ascii_lowercase().chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (above, to) in row.iter().skip(1).zip(&b) {
            let cost = (diagonal + usize::from(from != *to)).min(above + 1).min(left + 1);
            diagonal = *above;
            left = cost;
            next.push(cost);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
