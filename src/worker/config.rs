//! The Worker's variables, read once.

use nearcache::error::OptionError;
use nearcache::figures::Thresholds;
use nearcache::http::StaleWindows;
use nearcache::time::{Ttl, parse_duration};

/// What `wrangler.toml` and `--var` say, in a form that needs no more checks.
pub(super) struct Config {
    /// Scheme, host and path prefix, without a slash at the end.
    pub origin: String,
    pub max_bytes: u64,
    pub max_entry_bytes: u64,
    pub max_entries: u64,
    pub soft_timeout: Ttl,
    pub hard_timeout: Ttl,
    pub uncacheable_ttl: Ttl,
    /// Where an answer says nothing of them.
    pub stale: StaleWindows,
    pub error_backoff: Ttl,
    pub negative_ttl_ms: u64,
    pub jitter: f64,
    pub refresh_ahead: f64,
    /// Paths that each scheduled event loads anew.
    pub keep_fresh: Vec<String>,
    /// Loads that take longer are logged.
    pub slow_load_log: Option<Ttl>,
    /// Opens the routes under `/_nearcache/`.
    pub admin_token: Option<String>,
    pub thresholds: Thresholds,
    pub health_window_ms: u64,
}

const MIB: u64 = 1024 * 1024;

impl Config {
    /// Reads every variable; the first that is wrong is the error.
    pub fn read(var: impl Fn(&str) -> Option<String>) -> Result<Self, OptionError> {
        let vars = Vars(var);
        Ok(Self {
            origin: read_origin(vars.text("ORIGIN"))?,
            max_bytes: vars.bytes("MAX_BYTES", 64 * MIB)?,
            max_entry_bytes: vars.bytes("MAX_ENTRY_BYTES", 2 * MIB)?,
            max_entries: vars.bytes("MAX_ENTRIES", 100_000)?,
            soft_timeout: vars.duration("SOFT_TIMEOUT")?.unwrap_or(Ttl::Forever),
            hard_timeout: vars.duration("HARD_TIMEOUT")?.unwrap_or(Ttl::Millis(30_000)),
            uncacheable_ttl: vars.duration("UNCACHEABLE_TTL")?.unwrap_or(Ttl::Millis(60_000)),
            stale: StaleWindows {
                while_revalidate_ms: vars.millis("STALE_WHILE_REVALIDATE", 0)?,
                if_error_ms: vars.millis("STALE_IF_ERROR", 0)?,
            },
            error_backoff: vars.duration("ERROR_BACKOFF")?.unwrap_or(Ttl::ZERO),
            negative_ttl_ms: vars.millis("NEGATIVE_TTL", 0)?,
            jitter: vars.number("JITTER", 1.0, "a number from 0 to 1, like \"0.1\"")?.unwrap_or(0.0),
            refresh_ahead: vars.number("REFRESH_AHEAD", 1e6, "a number from 0 on, like \"1\"")?.unwrap_or(0.0),
            keep_fresh: vars.paths("KEEP_FRESH")?,
            slow_load_log: vars.duration("SLOW_LOAD_LOG")?,
            admin_token: vars.token("ADMIN_TOKEN")?,
            thresholds: vars.thresholds()?,
            health_window_ms: vars.millis("HEALTH_WINDOW", 60_000)?,
        })
    }
}

/// Variables by name.
struct Vars<F>(F);

impl<F: Fn(&str) -> Option<String>> Vars<F> {
    fn text(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }

    fn bytes(&self, name: &str, default: u64) -> Result<u64, OptionError> {
        let Some(text) = self.text(name) else { return Ok(default) };
        text.trim().parse().map_err(|_| refuse(name, &text, "a whole number"))
    }

    fn duration(&self, name: &str) -> Result<Option<Ttl>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let millis =
            parse_duration(&text).ok_or_else(|| refuse(name, &text, "a duration like \"250ms\", \"30s\", \"5m\""))?;
        Ok(Some(Ttl::Millis(millis as u64)))
    }

    fn millis(&self, name: &str, default: u64) -> Result<u64, OptionError> {
        Ok(match self.duration(name)? {
            Some(Ttl::Millis(millis)) => millis,
            Some(Ttl::Forever) | None => default,
        })
    }

    fn number(&self, name: &str, most: f64, allowed: &'static str) -> Result<Option<f64>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number| (0.0..=most).contains(number));
        number.map(Some).ok_or_else(|| refuse(name, &text, allowed))
    }

    fn paths(&self, name: &str) -> Result<Vec<String>, OptionError> {
        let Some(text) = self.text(name) else { return Ok(Vec::new()) };
        let paths: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        match paths.iter().all(|path| path.starts_with('/')) {
            true => Ok(paths),
            false => Err(refuse(name, &text, "paths with spaces between them, like \"/ /news?page=1\"")),
        }
    }

    fn token(&self, name: &str) -> Result<Option<String>, OptionError> {
        let Some(token) = self.text(name) else { return Ok(None) };
        // The text of a secret does not belong into an error.
        let allowed = "16 or more printable ASCII characters without spaces";
        match token.len() >= 16 && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(token)),
            false => Err(OptionError { option: name.to_owned(), given: "something else".to_owned(), allowed }),
        }
    }

    fn thresholds(&self) -> Result<Thresholds, OptionError> {
        const RATE: &str = "a number from 0 to 1, like \"0.05\"";
        let mut thresholds = Thresholds::default();
        if let Some(rate) = self.number("HEALTH_MIN_HIT_RATE", 1.0, RATE)? {
            thresholds = thresholds.min_hit_rate(rate)?;
        }
        if let Some(rate) = self.number("HEALTH_MAX_ERROR_RATE", 1.0, RATE)? {
            thresholds = thresholds.max_error_rate(rate)?;
        }
        if let Some(rate) = self.number("HEALTH_MAX_TIMEOUT_RATE", 1.0, RATE)? {
            thresholds = thresholds.max_timeout_rate(rate)?;
        }
        if let Some(Ttl::Millis(millis)) = self.duration("HEALTH_MAX_LATENCY")? {
            thresholds = thresholds.max_latency(millis);
        }
        Ok(thresholds)
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
