//! What is for the operator: routes under `/_nearcache/`, open to whoever shows the token. Purges and figures
//! are those of the isolate that happens to answer, not of all.

use std::fmt::Write;
use std::rc::Rc;

use ::http::HeaderMap;
use ::http::header::AUTHORIZATION;
use js_sys::{Array, JSON, Object};
use nearcache::figures;
use nearcache::time::Timestamp;
use nearcache_http_bindings::{self as bindings, Purged};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::Served;
use super::config::Config;

/// What the operator wants.
#[derive(Clone, Copy)]
pub(super) enum Errand {
    Purge,
    Messages,
    Metrics,
    Health,
}

/// An answer to the operator, or to somebody who takes the part of one.
pub(super) struct Page {
    status: u16,
    /// Flat.
    fields: String,
    text: String,
}

const PREFIX: &str = "_nearcache";

impl Errand {
    /// What a request wants of the operator's side: `None`, nothing. Where there is a token, neither it nor a path that could be mistyped
    /// for the operator's goes to the origin.
    pub fn of(config: &Config, method: &str, url: &str, fields: &HeaderMap) -> Option<Result<Self, Page>> {
        let token = config.admin_token.as_ref()?;
        let path = path_of(url);
        if !carries(fields, token.as_bytes()) && !looks_like_operators(path) {
            return None;
        }
        let Some(route) = path.strip_prefix("/_nearcache/") else {
            return Some(Err(Page::problem(404, "there are /_nearcache/purge, messages, metrics and health")));
        };
        let (errand, allowed) = match route {
            "purge" => (Self::Purge, "POST"),
            "messages" => (Self::Messages, "POST"),
            "metrics" => (Self::Metrics, "GET"),
            "health" => (Self::Health, "GET"),
            _ => return Some(Err(Page::problem(404, "there are /_nearcache/purge, messages, metrics and health"))),
        };
        if !shows(fields, token.as_bytes()) {
            let refusal = Page::problem(401, "wants Authorization: Bearer and the ADMIN_TOKEN");
            return Some(Err(refusal.with("www-authenticate", "Bearer")));
        }
        if method != allowed {
            let refusal = Page::problem(405, &format!("got {method}, wants {allowed}"));
            return Some(Err(refusal.with("allow", allowed)));
        }
        Some(Ok(errand))
    }
}

fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/");
    path.split(['?', '#']).next().unwrap_or_default()
}

/// Whether a path is the operator's, however it is mistyped: doubled slashes, other case, escaped letters.
fn looks_like_operators(path: &str) -> bool {
    let mut plain = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = (byte == b'%').then(|| {
            let mut digit = || bytes.next().and_then(|byte| char::from(byte).to_digit(16));
            Some(digit()? * 16 + digit()?)
        });
        plain.push(escaped.flatten().and_then(|byte| u8::try_from(byte).ok()).unwrap_or(byte).to_ascii_lowercase());
    }
    let plain = String::from_utf8_lossy(&plain);
    plain.split(['/', '\\', ';']).any(|part| part.trim() == PREFIX)
}

fn bearer(fields: &HeaderMap) -> Option<&[u8]> {
    let value = fields.get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether the token is shown in any way, as by another scheme, or beside others.
fn carries(fields: &HeaderMap, token: &[u8]) -> bool {
    let mut shown =
        fields.get_all(AUTHORIZATION).iter().flat_map(|value| value.as_bytes().split(|byte| b" \t,".contains(byte)));
    shows(fields, token) || shown.any(|part| constant_time_eq(part, token))
}

/// Whether it is shown as it should be.
fn shows(fields: &HeaderMap, token: &[u8]) -> bool {
    bearer(fields).is_some_and(|shown| constant_time_eq(shown, token))
}

/// Compares in a time that tells nothing but the length.
fn constant_time_eq(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

impl Served {
    /// Does what the operator wants, by a request with this body.
    fn operate(&self, errand: Errand, text: &str) -> JsValue {
        self.write(&match errand {
            Errand::Purge => match read_purge(&self.proxy, text) {
                Ok((purges, soft)) => {
                    let hit: usize = purges.into_iter().map(|purged| self.proxy.purge(purged, soft)).sum();
                    Page::json(200, format!("{{\"purged\":{hit}}}"))
                }
                Err(wrong) => Page::problem(400, &wrong),
            },
            // Who carries this out hands them to the log, where there is one.
            Errand::Messages => Page::problem(404, "no log of purges is bound (PURGE_LOG)"),
            Errand::Metrics => Page::of(200, figures::CONTENT_TYPE, self.proxy.metrics()),
            Errand::Health => self.health(),
        })
    }

    fn health(&self) -> Page {
        let lately = self.lately.borrow_mut().recent(Timestamp::from_millis(bindings::now()), &self.proxy.stats());
        let health = figures::health(&lately, &self.config.thresholds);
        let mut body = format!("{{\"ok\":{},\"checks\":[", health.ok);
        for (n, check) in health.checks.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let figures::Check { name, value, threshold, samples, ok } = check;
            let figures = format!("\"value\":{value},\"threshold\":{threshold},\"samples\":{samples}");
            let _ = write!(body, "{comma}{{\"name\":\"{name}\",{figures},\"ok\":{ok}}}");
        }
        body.push_str("]}");
        Page::json(if health.ok { 200 } else { 503 }, body)
    }

    /// The response of one of the operator's routes.
    pub fn write(&self, page: &Page) -> JsValue {
        self.proxy.write(page.status, &page.fields, &page.text)
    }
}

/// A request of the operator's whose body is to be read first.
#[wasm_bindgen]
pub struct Operation {
    served: Rc<Served>,
    errand: Errand,
}

impl Operation {
    pub(super) fn new(served: &Rc<Served>, errand: Errand) -> Self {
        Self { served: served.clone(), errand }
    }
}

#[wasm_bindgen]
impl Operation {
    /// Whether the body is messages for the log of purges.
    #[wasm_bindgen(js_name = isMessages)]
    pub fn is_messages(&self) -> bool {
        matches!(self.errand, Errand::Messages)
    }

    /// Whether the answer is a page of figures, to which who carries this out may add.
    #[wasm_bindgen(js_name = isMetrics)]
    pub fn is_metrics(&self) -> bool {
        matches!(self.errand, Errand::Metrics)
    }

    /// Whether others are to be told of it.
    #[wasm_bindgen(js_name = isPurge)]
    pub fn is_purge(&self) -> bool {
        matches!(self.errand, Errand::Purge)
    }

    /// The answer where the request's body is longer than so many bytes.
    #[wasm_bindgen(js_name = tooLong)]
    pub fn too_long(&self, most: usize) -> JsValue {
        self.served.write(&Page::problem(413, &format!("the body is too long; at most {most} bytes are taken")))
    }

    /// Does what the operator wants, with the request's body.
    pub fn operate(&self, text: &str) -> JsValue {
        self.served.operate(self.errand, text)
    }
}

impl Page {
    pub fn problem(status: u16, what: &str) -> Self {
        let what = JSON::stringify(&what.into()).map_or_else(|_| "\"\"".to_owned(), String::from);
        Self::json(status, format!("{{\"error\":{what}}}"))
    }

    fn json(status: u16, text: String) -> Self {
        Self::of(status, "application/json", text)
    }

    fn of(status: u16, content_type: &str, text: String) -> Self {
        Self { status, fields: String::new(), text }.with("content-type", content_type)
    }

    /// With one more field.
    fn with(mut self, name: &str, value: &str) -> Self {
        let _ = writeln!(self.fields, "{name}\n{value}");
        self
    }
}

/// Reads `{"tags": […], "urls": […], "prefixes": […], "everything": true, "soft": true}`.
fn read_purge(proxy: &bindings::Proxy, text: &str) -> Result<(Vec<Purged>, bool), String> {
    const ALLOWED: &str = "wants {\"tags\": [\"…\"]}, {\"urls\": [\"/…\"]}, {\"prefixes\": [\"/…\"]} or {\"everything\": true}, \
                           and, if you like, \"soft\": true";
    let object = JSON::parse(text).ok().and_then(|value| value.dyn_into::<Object>().ok());
    let object = object.ok_or_else(|| format!("the body is no JSON object; {ALLOWED}"))?;
    let (mut purges, mut soft) = (Vec::new(), false);
    for entry in Object::entries(&object).iter() {
        let entry: Array = entry.unchecked_into();
        let (name, value) = (entry.get(0).as_string().unwrap_or_default(), entry.get(1));
        let flag = || value.as_bool().ok_or_else(|| format!("{name}: wants true or false"));
        match name.as_str() {
            "everything" if flag()? => purges.push(Purged::Everything),
            "everything" => {}
            "soft" => soft = flag()?,
            "tags" => purges.extend(tags(&name, &value)?.into_iter().map(Purged::Tag)),
            "urls" => purges.extend(urls(&name, &value)?.iter().map(|url| proxy.url(url))),
            "prefixes" => purges.extend(urls(&name, &value)?.iter().map(|prefix| proxy.prefix(prefix))),
            _ => return Err(format!("{name} is not known; {ALLOWED}")),
        }
    }
    match purges.is_empty() {
        false => Ok((purges, soft)),
        true => Err(format!("nothing to purge; {ALLOWED}")),
    }
}

fn strings(name: &str, value: &JsValue) -> Result<Vec<String>, String> {
    let list = value.dyn_ref::<Array>().and_then(|list| list.iter().map(|item| item.as_string()).collect());
    list.ok_or_else(|| format!("{name}: wants an array of strings"))
}

/// Tags as responses and messages may have them: for another, who follows a log would be told of everything.
fn tags(name: &str, value: &JsValue) -> Result<Vec<String>, String> {
    let tags = strings(name, value)?;
    match tags.iter().find(|tag| !(1..=1_024).contains(&tag.len())) {
        None => Ok(tags),
        Some(wrong) => {
            Err(format!("{name}: got one of {} bytes, wants an array of strings of 1 to 1024 bytes", wrong.len()))
        }
    }
}

/// Paths, or URLs, or what these begin with.
fn urls(name: &str, value: &JsValue) -> Result<Vec<String>, String> {
    let urls = strings(name, value)?;
    let is_known = |url: &String| url.starts_with('/') || (is_http(url) && bindings::Url::new(url).is_ok());
    match urls.iter().find(|url| !is_known(url)) {
        None => Ok(urls),
        Some(wrong) => Err(format!(
            "{name}: got {wrong:?}, wants an array of paths with their queries, that begin with /, or of absolute http or https URLs"
        )),
    }
}

/// Whether it is absolute, and of a scheme that is cached.
fn is_http(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https"))
}
