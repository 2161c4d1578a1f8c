//! The Worker's variables, read once.

use crate::error::OptionError;
use crate::time::{Ttl, parse_duration};

/// What `wrangler.toml` and `--var` say, in a form that needs no more checks.
pub(super) struct Config {
    /// Scheme, host and path prefix, without a slash at the end.
    pub origin: String,
    pub max_bytes: u64,
    pub max_entry_bytes: u64,
    pub max_entries: u64,
    pub hard_timeout: Ttl,
    pub uncacheable_ttl: Ttl,
}

const MIB: u64 = 1024 * 1024;

impl Config {
    /// Reads every variable; the first that is wrong is the error.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, OptionError> {
        let bytes = |name: &str, default| match var(name) {
            None => Ok(default),
            Some(text) => text.trim().parse().map_err(|_| refuse(name, &text, "a whole number of bytes")),
        };
        let duration = |name: &str, default| match var(name) {
            None => Ok(Ttl::Millis(default)),
            Some(text) => parse_duration(&text)
                .map(|millis| Ttl::Millis(millis as u64))
                .ok_or_else(|| refuse(name, &text, "a duration like \"250ms\", \"30s\", \"5m\"")),
        };
        Ok(Self {
            origin: read_origin(var("ORIGIN"))?,
            max_bytes: bytes("MAX_BYTES", 64 * MIB)?,
            max_entry_bytes: bytes("MAX_ENTRY_BYTES", 2 * MIB)?,
            max_entries: bytes("MAX_ENTRIES", 100_000)?,
            hard_timeout: duration("HARD_TIMEOUT", 30_000)?,
            uncacheable_ttl: duration("UNCACHEABLE_TTL", 60_000)?,
        })
    }
}

fn read_origin(given: Option<String>) -> Result<String, OptionError> {
    const ALLOWED: &str =
        "an absolute http or https URL without query, fragment or password, like \"https://example.com\"";
    let Some(text) = given else {
        return Err(OptionError { option: "ORIGIN".to_owned(), given: "nothing".to_owned(), allowed: ALLOWED });
    };
    let good = worker::Url::parse(text.trim()).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    });
    good.map(|url| url.as_str().trim_end_matches('/').to_owned()).ok_or_else(|| refuse("ORIGIN", &text, ALLOWED))
}

fn refuse(option: &str, given: &str, allowed: &'static str) -> OptionError {
    OptionError { option: option.to_owned(), given: format!("{given:?}"), allowed }
}
