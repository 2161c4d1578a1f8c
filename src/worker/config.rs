//! The Worker's variables, read once.

use std::fmt;

use nearcache::error::OptionError;
use nearcache::figures::Thresholds;
use nearcache::http::Heuristic;
use nearcache::http::rule::{Cookies, Reload, Rule, Rules, SetCookie};
use nearcache::time::parse_duration;
use nearcache_http_bindings::{Limits, Url};

/// What `wrangler.toml` and `--var` say, in a form that needs no more checks. Durations are milliseconds.
pub(super) struct Config {
    /// Targets that each scheduled event loads anew, and the host by which they are asked for.
    pub keep_fresh: Vec<String>,
    pub keep_fresh_host: String,
    /// Opens the routes under `/_nearcache/`.
    pub admin_token: Option<String>,
    pub thresholds: Thresholds,
    pub health_window_ms: u64,
    pub edge: EdgeConfig,
}

/// How what is bound beside the memory is used.
pub(super) struct EdgeConfig {
    /// Whether the Cache API is a tier: by itself where a log of purges is bound.
    pub cache_api: Option<bool>,
    /// How old a purge may be that this isolate has not heard of.
    pub max_staleness_ms: u64,
    /// Whether the memory is cleared where the log can't be reached.
    pub hard_bound: bool,
}

const MIB: u64 = 1024 * 1024;
const DAY: u64 = 24 * 60 * 60 * 1_000;

const KNOWN: [&str; 33] = [
    "ADMIN_TOKEN",
    "CACHE_API",
    "CLIENT_RELOAD",
    "COOKIES",
    "ERROR_BACKOFF",
    "HARD_TIMEOUT",
    "HEALTH_MAX_ERROR_RATE",
    "HEALTH_MAX_LATENCY",
    "HEALTH_MAX_TIMEOUT_RATE",
    "HEALTH_MIN_HIT_RATE",
    "HEALTH_WINDOW",
    "HEURISTIC_TTL",
    "IDLE_TIMEOUT",
    "KEEP_FRESH",
    "KEEP_FRESH_HOST",
    "MAX_BYTES",
    "MAX_ENTRIES",
    "MAX_ENTRY_BYTES",
    "MAX_FILLING_BYTES",
    "MAX_LOADS",
    "MAX_VARIANTS",
    "NEGATIVE_TTL",
    "ORIGIN",
    "PURGE_BOUND",
    "PURGE_STALENESS",
    "RULES",
    "SET_COOKIE",
    "SLOW_LOAD_LOG",
    "SOFT_TIMEOUT",
    "STALE_IF_ERROR",
    "STALE_WHILE_REVALIDATE",
    "TOTAL_TIMEOUT",
    "UNCACHEABLE_TTL",
];

/// What may be bound beside the memory.
const BINDINGS: [&str; 5] = ["BODIES", "KV", "LEASE", "PURGE_LOG", "STORE"];

/// What is wrong with the variables. Says nothing that could be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigError {
    /// One has a value that won't do.
    Value(OptionError),
    /// `RULES` has something wrong.
    Rules(String),
    /// One has a name that means nothing here; the known one that is much like it, or all that are known.
    Name(String, Vec<&'static str>),
}

impl From<OptionError> for ConfigError {
    fn from(error: OptionError) -> Self {
        Self::Value(error)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(error) => error.fmt(f),
            Self::Rules(wrong) => write!(f, "RULES: {wrong}"),
            Self::Name(name, known) => match known.as_slice() {
                [nearest] => write!(f, "{name} is not known; did you mean {nearest}?"),
                _ => write!(f, "{name} is not known; known are {}", known.join(", ")),
            },
        }
    }
}

type Result<T> = std::result::Result<T, ConfigError>;

impl Config {
    /// Reads every variable, names and values by turns; the first that is wrong is the error. `objects` are the names of what is no text:
    /// bindings, and tables.
    pub fn read(variables: &[String], objects: &[String]) -> Result<(Self, Limits, Rules)> {
        let vars = Vars(variables);
        vars.all_known()?;
        if let Some((name, meant)) = objects.iter().find_map(|name| Some((name, vars.slip_of(name, objects)?))) {
            return Err(ConfigError::Name(name.to_owned(), vec![meant]));
        }
        if let Some(name) = objects.iter().find(|name| KNOWN.contains(&name.as_str())) {
            let allowed = "text: a variable, or a secret by \"wrangler secret put\"";
            let option = name.to_owned();
            return Err(OptionError { option, given: "a binding or a table".to_owned(), allowed }.into());
        }
        let mut rule = Rule::default();
        // Without rules all hosts get the same from the one origin, which is not told which it was.
        rule.key.any_host = vars.text("RULES").is_none();
        let origin = read_origin(vars.text("ORIGIN"))?;
        let max_bytes = vars.whole(
            "MAX_BYTES",
            64 * MIB,
            0..=Limits::MOST_BYTES,
            "a whole number of bytes, at most 96 MiB (100663296)",
        )?;
        let allowed = "a whole number of bytes, at most 32 MiB (33554432) and MAX_BYTES";
        rule.max_body_bytes = vars.whole(
            "MAX_ENTRY_BYTES",
            rule.max_body_bytes.min(max_bytes),
            0..=Limits::MOST_BODY_BYTES.min(max_bytes),
            allowed,
        )?;
        rule.stale.while_revalidate_ms = vars.millis("STALE_WHILE_REVALIDATE")?.unwrap_or(0);
        if let Some(millis) = vars.millis("STALE_IF_ERROR")? {
            rule.stale.if_error_ms = millis;
            rule.stale.if_unreachable_ms = millis;
        }
        if let Some(millis) = vars.millis("UNCACHEABLE_TTL")? {
            rule.uncacheable_ttl_ms = millis;
        }
        rule.error_backoff_ms = vars.millis("ERROR_BACKOFF")?.unwrap_or(0);
        if let Some(millis) = vars.millis("NEGATIVE_TTL")? {
            rule.status_ttl_ms = vec![(404..=404, millis), (410..=410, millis)];
        }
        if let Some(max_ms) = vars.millis("HEURISTIC_TTL")? {
            rule.heuristic = Heuristic { max_ms, ..rule.heuristic };
        }
        rule.max_variants = vars.whole("MAX_VARIANTS", 32, 1..=1_000, "a whole number from 1 to 1000")? as usize;
        rule.cookies = vars.word("COOKIES", "drop, forward or bypass", |word| match word {
            "drop" => Some(Cookies::Drop),
            "forward" => Some(Cookies::Forward),
            "bypass" => Some(Cookies::Bypass),
            _ => None,
        })?;
        rule.set_cookie = vars.word("SET_COOKIE", "refuse, drop or keep", |word| match word {
            "refuse" => Some(SetCookie::Refuse),
            "drop" => Some(SetCookie::Drop),
            "keep" => Some(SetCookie::Keep),
            _ => None,
        })?;
        rule.reload = vars.word("CLIENT_RELOAD", "once-per-second or ignore", |word| match word {
            "once-per-second" => Some(Reload::OncePerSecond),
            "ignore" => Some(Reload::Ignore),
            _ => None,
        })?;
        let keep_fresh_host = read_host(vars.text("KEEP_FRESH_HOST"), &origin)?;
        let limits = Limits {
            max_bytes,
            max_entries: vars.whole("MAX_ENTRIES", 100_000, 1..=1_000_000, "a whole number from 1 to 1000000")?,
            max_loads: vars.whole("MAX_LOADS", 1_000, 1..=10_000, "a whole number from 1 to 10000")? as usize,
            max_filling_bytes: vars.whole(
                "MAX_FILLING_BYTES",
                16 * MIB,
                0..=Limits::MOST_BYTES - max_bytes.min(Limits::MOST_BYTES - 1),
                "a whole number of bytes, with MAX_BYTES at most 96 MiB (100663296)",
            )?,
            soft_timeout_ms: vars.millis("SOFT_TIMEOUT")?,
            head_timeout_ms: vars.deadline("HARD_TIMEOUT", 30_000)?,
            idle_timeout_ms: vars.deadline("IDLE_TIMEOUT", 30_000)?,
            total_timeout_ms: vars.deadline("TOTAL_TIMEOUT", 5 * 60_000)?,
            slow_load_log_ms: vars.millis("SLOW_LOAD_LOG")?,
            origin: Some(origin),
        };
        let config = Self {
            keep_fresh: vars.paths("KEEP_FRESH")?,
            keep_fresh_host,
            admin_token: vars.token("ADMIN_TOKEN")?,
            thresholds: vars.thresholds()?,
            health_window_ms: vars.deadline("HEALTH_WINDOW", 60_000)?,
            edge: EdgeConfig {
                cache_api: vars.word("CACHE_API", "auto, on or off", |word| match word {
                    "auto" => Some(None),
                    "on" => Some(Some(true)),
                    "off" => Some(Some(false)),
                    _ => None,
                })?,
                max_staleness_ms: vars.deadline("PURGE_STALENESS", 5_000)?,
                hard_bound: vars.word("PURGE_BOUND", "soft or hard", |word| match word {
                    "soft" => Some(false),
                    "hard" => Some(true),
                    _ => None,
                })?,
            },
        };
        let rules = vars.text("RULES").unwrap_or_else(|| "{}".to_owned());
        let rules = Rules::from_json(rule, &rules).map_err(|error| ConfigError::Rules(error.to_string()))?;
        Ok((config, limits, rules))
    }
}

/// Variables, as names and values by turns.
struct Vars<'a>(&'a [String]);

impl Vars<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.chunks_exact(2).filter_map(|pair| Some((pair.first()?.as_str(), pair.get(1)?.as_str())))
    }

    fn all_known(&self) -> Result<()> {
        match self.pairs().find(|(name, _)| !KNOWN.contains(name)) {
            None => Ok(()),
            Some((name, _)) if BINDINGS.contains(&name) => {
                Err(OptionError { option: name.to_owned(), given: "text".to_owned(), allowed: "a binding" }.into())
            }
            Some((name, _)) => {
                let (far, nearest) =
                    KNOWN.iter().map(|known| (distance(known, name), *known)).min().unwrap_or_default();
                let known = if far <= name.len() / 2 { vec![nearest] } else { KNOWN.to_vec() };
                Err(ConfigError::Name(name.to_owned(), known))
            }
        }
    }

    /// What of ours a binding or a table is meant for whose name is a slip of the pen, and which is not there itself. Runtimes and tools
    /// bind things of their own, so that what is only a little like one of ours is let be.
    fn slip_of(&self, name: &str, objects: &[String]) -> Option<&'static str> {
        let plain = |name: &str| name.to_ascii_uppercase().replace(['_', '-'], "");
        let meant = |known: &str| plain(name) == plain(known) || (known.len() > 4 && distance(name, known) == 1);
        let is_there = |known: &str| objects.iter().any(|object| object == known) || self.text(known).is_some();
        let ours = BINDINGS.into_iter().chain(["RULES"]);
        ours.filter(|known| meant(known) && !is_there(known)).min_by_key(|known| distance(name, known))
    }

    fn text(&self, name: &str) -> Option<String> {
        self.pairs().find(|(known, _)| *known == name).map(|(_, text)| text.to_owned())
    }

    fn whole(
        &self,
        name: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
        allowed: &'static str,
    ) -> Result<u64> {
        let Some(text) = self.text(name) else { return Ok(default.clamp(*range.start(), *range.end())) };
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| refuse(name, &text, allowed))
    }

    fn millis(&self, name: &str) -> Result<Option<u64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = || refuse(name, &text, "a duration like \"250ms\", \"30s\", \"5m\"");
        parse_duration(&text).map(|millis| Some(millis as u64)).ok_or_else(wrong)
    }

    /// A duration after which something ends: from a millisecond to a day.
    fn deadline(&self, name: &str, default: u64) -> Result<u64> {
        let millis = self.millis(name)?.unwrap_or(default);
        let wrong = || refuse(name, &self.text(name).unwrap_or_default(), "a duration from \"1ms\" to \"1d\"");
        (1..=DAY).contains(&millis).then_some(millis).ok_or_else(wrong)
    }

    fn number(&self, name: &str, allowed: &'static str) -> Result<Option<f64>> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| (0.0..=1.0).contains(number));
        number.map(Some).ok_or_else(|| refuse(name, &text, allowed))
    }

    /// One of some words; the first of those that are allowed is the default.
    fn word<T>(&self, name: &str, allowed: &'static str, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        let first = allowed.split([',', ' ']).next().unwrap_or_default();
        let text = self.text(name);
        let given = text.as_deref().map_or(first, str::trim);
        read(given).ok_or_else(|| refuse(name, given, allowed))
    }

    fn paths(&self, name: &str) -> Result<Vec<String>> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let paths: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match paths.iter().all(|path| path.starts_with('/')) {
            true => Ok(paths),
            false => Err(refuse(name, &text, "paths with spaces between them, like \"/ /news?page=1\"")),
        }
    }

    fn token(&self, name: &str) -> Result<Option<String>> {
        let Some(token) = self.text(name) else { return Ok(None) };
        let allowed = "16 or more printable ASCII characters without spaces";
        match token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(token)),
            // The text of a secret does not belong into an error.
            false => Err(conceal(name, allowed)),
        }
    }

    fn thresholds(&self) -> Result<Thresholds> {
        const RATE: &str = "a number from 0 to 1, like \"0.05\"";
        let mut thresholds = Thresholds::default();
        if let Some(rate) = self.number("HEALTH_MIN_HIT_RATE", RATE)? {
            thresholds = thresholds.min_hit_rate(rate)?;
        }
        if let Some(rate) = self.number("HEALTH_MAX_ERROR_RATE", RATE)? {
            thresholds = thresholds.max_error_rate(rate)?;
        }
        if let Some(rate) = self.number("HEALTH_MAX_TIMEOUT_RATE", RATE)? {
            thresholds = thresholds.max_timeout_rate(rate)?;
        }
        if let Some(millis) = self.millis("HEALTH_MAX_LATENCY")? {
            thresholds = thresholds.max_latency(millis);
        }
        Ok(thresholds)
    }
}

fn read_origin(given: Option<String>) -> Result<String> {
    const ALLOWED: &str =
        "an absolute http or https URL without query, fragment or password, like \"https://example.com\"";
    let nothing = || OptionError { option: "ORIGIN".to_owned(), given: "nothing".to_owned(), allowed: ALLOWED };
    let url = read_url("ORIGIN", &given.ok_or_else(nothing)?, ALLOWED)?;
    Ok(url.href().trim_end_matches('/').to_owned())
}

/// Where there is none given, the origin's, which may have a path besides.
fn read_host(given: Option<String>, origin: &str) -> Result<String> {
    const NAME: &str = "KEEP_FRESH_HOST";
    const ALLOWED: &str = "http or https and a host, like \"https://example.com\"";
    let url = read_url(NAME, given.as_deref().unwrap_or(origin), ALLOWED)?;
    match given.filter(|_| url.pathname() != "/") {
        None => Ok(format!("{}//{}", url.protocol(), url.host())),
        Some(text) => Err(refuse(NAME, &text, ALLOWED)),
    }
}

/// One of http or https, with nothing behind its path.
fn read_url(option: &str, text: &str, allowed: &'static str) -> Result<Url> {
    let wrong = || match text.contains(['@', '?', '#']) {
        true => conceal(option, allowed),
        false => refuse(option, text, allowed),
    };
    let url = Url::new(text.trim()).map_err(|_| wrong())?;
    let plain = matches!(url.protocol().as_str(), "http:" | "https:")
        && !url.host().is_empty()
        && [url.search(), url.hash(), url.username(), url.password()].iter().all(String::is_empty);
    plain.then_some(url).ok_or_else(wrong)
}

fn refuse(option: &str, given: &str, allowed: &'static str) -> ConfigError {
    ConfigError::Value(OptionError { option: option.to_owned(), given: format!("{given:?}"), allowed })
}

/// Without what was given.
fn conceal(option: &str, allowed: &'static str) -> ConfigError {
    ConfigError::Value(OptionError { option: option.to_owned(), given: "something else".to_owned(), allowed })
}

/// How many letters have to be put in, taken out or changed (Levenshtein 1966).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut corner = i;
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(other.bytes()) {
            let changed = corner + usize::from(a != b);
            corner = *cell;
            left = changed.min(corner + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}
