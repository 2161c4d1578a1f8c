//! The contract's format (README.md): what a step says, what a face writes down, and how the two are compared.

use std::collections::BTreeMap;
use std::fmt;

use nearcache::options::{LoadLimits, PolicyPatch, Priority, Retry};
use nearcache::{Stats, Ttl};
use serde_json::{Map, Value as Json, json};

/// What a cache of the contract holds. `None` is `null`: "nothing there", found out at the source.
pub type Value = Option<String>;

/// What a get answers that finds nothing; no value is called so.
pub const NOTHING: &str = "(nothing)";

/// Where a handle's keys lie: `"a #u b"` are the namespaces a and b, and the scope u.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub namespaces: Vec<String>,
    pub scopes: Vec<String>,
}

impl Place {
    pub fn of(step: &Json) -> Self {
        let steps = steps_in(step);
        let (scopes, namespaces): (Vec<String>, _) = steps.into_iter().partition(|name| name.starts_with('#'));
        Self { namespaces, scopes: scopes.iter().map(|name| name[1..].to_owned()).collect() }
    }
}

/// The way to a handle, in the order in which it was opened.
pub fn steps_in(step: &Json) -> Vec<String> {
    let path = step.get("in").and_then(Json::as_str).unwrap_or("");
    path.split_whitespace().map(str::to_owned).collect()
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scopes = self.scopes.iter().map(|name| format!("#{name}"));
        let names: Vec<String> = self.namespaces.iter().cloned().chain(scopes).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " in {}", names.join(" ")) }
    }
}

/// A text that a step must have.
pub fn text<'a>(step: &'a Json, name: &str) -> &'a str {
    step.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("{name}: a string is wanted in {step}"))
}

pub fn number(step: &Json, name: &str) -> Option<u64> {
    step.get(name).map(|it| it.as_u64().unwrap_or_else(|| panic!("{name}: a whole number is wanted in {step}")))
}

pub fn flag(step: &Json, name: &str) -> bool {
    step.get(name).is_some_and(|it| it == &json!(true))
}

/// A duration: milliseconds, or "forever".
pub fn ttl(step: &Json, name: &str) -> Option<Ttl> {
    match step.get(name)? {
        Json::String(text) if text == "forever" => Some(Ttl::Forever),
        _ => number(step, name).map(Ttl::Millis),
    }
}

pub fn value(step: &Json, name: &str) -> Value {
    match step.get(name) {
        Some(Json::String(text)) => Some(text.clone()),
        Some(Json::Null) => None,
        _ => panic!("{name}: a string or null is wanted in {step}"),
    }
}

pub fn tags(said: &Json) -> Vec<String> {
    let list = said.get("tags").and_then(Json::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(Json::as_str).map(str::to_owned).collect()
}

pub fn list<'a>(step: &'a Json, name: &str) -> &'a [Json] {
    step.get(name).and_then(Json::as_array).map_or(&[], Vec::as_slice)
}

/// What a step says by `with`, or a loader by `say`.
pub fn said<'a>(step: &'a Json, name: &str) -> &'a Json {
    step.get(name).unwrap_or(&Json::Null)
}

pub fn patch(said: &Json) -> PolicyPatch {
    let mut patch = PolicyPatch::default();
    patch.ttl = ttl(said, "ttl");
    patch.idle_ttl = ttl(said, "idleTtl");
    patch.stale_while_revalidate = ttl(said, "staleWhileRevalidate");
    patch.stale_if_error = ttl(said, "staleIfError");
    patch.negative_ttl = ttl(said, "negativeTtl");
    patch.error_backoff = ttl(said, "errorBackoff");
    patch.soft_timeout = ttl(said, "softTimeout");
    patch.hard_timeout = ttl(said, "hardTimeout");
    patch.refresh_ahead = said.get("refreshAhead").and_then(Json::as_f64);
    patch.jitter = said.get("jitter").and_then(Json::as_f64);
    patch.checked = flag(said, "validate").then_some(true);
    patch.retry = said.get("retry").map(retry);
    patch.keep_loading = said.get("keepLoading").and_then(Json::as_bool);
    patch.priority = said.get("priority").map(|said| if said == "low" { Priority::Low } else { Priority::High });
    patch
}

/// What a case says of how many loads may begin.
pub fn load_limits(said: &Json) -> LoadLimits {
    let count = |name| number(said, name).map(|count| u32::try_from(count).expect("a small number"));
    let mut limits = LoadLimits::new();
    limits.max_concurrent = count("maxConcurrentLoads").unwrap_or(limits.max_concurrent);
    limits.max_queued = count("maxQueuedLoads").unwrap_or(limits.max_queued);
    limits.per_second = said.get("loadsPerSecond").and_then(Json::as_f64).unwrap_or(limits.per_second);
    limits
}

/// The rule of cases that have `validate`.
pub fn is_valid(value: &Value) -> bool {
    value.as_ref().is_none_or(|value| !value.starts_with("bad"))
}

fn retry(said: &Json) -> Retry {
    let attempts = number(said, "attempts").and_then(|attempts| u32::try_from(attempts).ok()).expect("attempts");
    let mut retry = Retry::new(attempts);
    retry.delay = ttl(said, "delay").unwrap_or(retry.delay);
    retry.factor = said.get("factor").and_then(Json::as_f64).unwrap_or(retry.factor);
    retry.jitter = said.get("jitter").and_then(Json::as_f64).unwrap_or(retry.jitter);
    retry
}

/// What happened since the last look.
#[derive(Default)]
pub struct Log {
    pub settles: BTreeMap<String, Json>,
    pub begins: Vec<String>,
    pub aborts: Vec<String>,
    pub events: Vec<String>,
}

impl Log {
    /// As JSON, without what is empty, and empty from now on.
    pub fn take(&mut self) -> Map<String, Json> {
        let Self { settles, begins, mut aborts, events } = std::mem::take(self);
        // Several loads that one moment ends have no order.
        aborts.sort();
        let mut line = Map::new();
        if !settles.is_empty() {
            line.insert("settles".to_owned(), json!(settles));
        }
        for (name, list) in [("begins", begins), ("aborts", aborts), ("events", events)] {
            if !list.is_empty() {
                line.insert(name.to_owned(), json!(list));
            }
        }
        line
    }
}

pub fn show_ttl(ttl: Ttl) -> Json {
    match ttl {
        Ttl::Millis(millis) => json!(millis),
        Ttl::Forever => json!("forever"),
    }
}

pub fn show(value: &Value) -> &str {
    value.as_deref().unwrap_or("null")
}

/// The counters, by the names of the npm class.
pub fn figures(stats: &Stats, in_flight: usize, queued: usize) -> Json {
    json!({
        "hits": stats.hits, "staleHits": stats.stale_hits, "misses": stats.misses, "coalesced": stats.coalesced,
        "loads": stats.loads, "refreshes": stats.refreshes, "loadFailures": stats.load_failures,
        "retries": stats.retries,
        "rescues": stats.rescues, "loadsAbandoned": stats.loads_abandoned, "softTimeouts": stats.soft_timeouts,
        "timeouts": stats.timeouts, "inserts": stats.inserts, "rejected": stats.rejected,
        "evictedSize": stats.evicted_size, "evictedExpired": stats.evicted_expired,
        "evictedReplaced": stats.evicted_replaced, "evictedRemoved": stats.evicted_removed,
        "batches": stats.batches, "inFlight": in_flight,
        "queued": queued, "refused": stats.refused,
        "waited": stats.queue_millis.count(), "longestWait": stats.queue_millis.max(),
    })
}

/// A driver of the core, as the contract uses it.
pub trait Face {
    /// A cache as the case wants it.
    fn new(case: &Json) -> Self;
    /// Carries out one step, and says what it answers. An error: this face can't do that.
    fn act(&mut self, step: &Json) -> Result<Json, String>;
    /// Lets all that is ready go on, without time passing.
    fn settle_down(&mut self);
    fn log(&mut self) -> &mut Log;
    fn stats(&mut self, step: &Json) -> Json;
    fn size(&mut self, step: &Json) -> usize;
}

/// So many gets of what is not there meet every dead entry of a drawn case.
const SWEEPS: u32 = 12;

/// What came of each step. It ends early where the face can't go on, and says why.
pub fn run<F: Face>(case: &Json) -> (Vec<Json>, Option<String>) {
    let mut face = F::new(case);
    let mut lines = Vec::new();
    for at in 0..number(case, "fill").unwrap_or(0) {
        if let Err(why) = face.act(&json!({ "set": format!("k{at}"), "to": "v" })) {
            return (lines, Some(why));
        }
    }
    for step in list(case, "steps") {
        let answer = match step.get("together").and_then(Json::as_array) {
            None => face.act(step),
            Some(steps) => steps.iter().map(|step| together(&mut face, step)).collect(),
        };
        face.settle_down();
        let mut line = face.log().take();
        match answer {
            Ok(Json::Null) => {}
            Ok(answer) => drop(line.insert("is".to_owned(), answer)),
            Err(why) => return (lines, Some(why)),
        }
        if flag(case, "figures") && !flag(step, "unseen") {
            // Where an entry lies, and so when its end is met, is each face's own.
            for _ in 0..SWEEPS {
                let _ = face.act(&json!({ "get": "nothing" }));
            }
            if let Some(Json::Array(events)) = face.log().take().get_mut("events") {
                events.sort_by_key(Json::to_string);
                line.insert("swept".to_owned(), json!(events));
            }
            line.insert("stats".to_owned(), face.stats(&Json::Null));
            line.insert("size".to_owned(), json!(face.size(&Json::Null)));
        }
        lines.push(Json::Object(line));
    }
    (lines, None)
}

fn together<F: Face>(face: &mut F, step: &Json) -> Result<Json, String> {
    if flag(step, "settle") {
        face.settle_down();
        return Ok(Json::Null);
    }
    face.act(step)
}

/// The first step of a case whose line is not what it wants, told for a human.
pub fn difference(case: &Json, lines: &[Json]) -> Option<String> {
    let hooks = case.get("hooks").is_some();
    for (at, (step, line)) in list(case, "steps").iter().zip(lines).enumerate() {
        for what in ["is", "settles", "begins", "aborts", "events"] {
            let wanted = step.get(what);
            if what == "events"
                && let Some(told) = number(step, "told")
            {
                let got = list(line, "events").len() as u64;
                if got != told {
                    return Some(format!("step {}: {step}\n  {got} events were told, wanted {told}", at + 1));
                }
                continue;
            }
            // Where a Rust Worker's loads and writes are waited for by nobody, they go on.
            let unheeded = what == "aborts" && case.get("mode").is_some();
            if unheeded || what == "events" && !hooks || what == "is" && wanted.is_none() {
                continue;
            }
            let (wanted, got) = (wanted.unwrap_or(&Json::Null), line.get(what).unwrap_or(&Json::Null));
            if !fits(what, wanted, got) {
                return Some(format!(
                    "step {}: {step}\n  {what}: got {got}\n  {what}: wanted {wanted}\n  the whole line: {line}",
                    at + 1
                ));
            }
        }
    }
    None
}

fn is_empty(it: &Json) -> bool {
    it.is_null() || it.as_array().is_some_and(Vec::is_empty) || it.as_object().is_some_and(Map::is_empty)
}

/// A waiter's wanted end may name its value alone, or some of its details; figures may be some of them. Everything
/// else is compared whole.
fn fits(what: &str, wanted: &Json, got: &Json) -> bool {
    match (what, wanted, got) {
        ("is", ..) => part_of(wanted, got),
        (_, wanted, got) if is_empty(wanted) || is_empty(got) => is_empty(wanted) && is_empty(got),
        ("settles", Json::Object(wanted), Json::Object(got)) => {
            let same = |(name, wanted): (&String, &Json)| match (wanted, got.get(name)) {
                (_, None) => false,
                (Json::Object(_), Some(got)) => part_of(wanted, got),
                (wanted, Some(got)) => got.get("value") == Some(wanted),
            };
            wanted.len() == got.len() && wanted.iter().all(same)
        }
        _ => wanted == got,
    }
}

fn part_of(wanted: &Json, got: &Json) -> bool {
    match (wanted, got) {
        (Json::Object(wanted), Json::Object(got)) => {
            wanted.iter().all(|(name, wanted)| got.get(name).is_some_and(|got| part_of(wanted, got)))
        }
        (Json::Array(wanted), Json::Array(got)) => {
            wanted.len() == got.len() && wanted.iter().zip(got).all(|(wanted, got)| part_of(wanted, got))
        }
        _ => wanted == got,
    }
}
