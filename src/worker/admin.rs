//! What is for the operator: routes under `/_nearcache/`, open to whoever shows the token, and scheduled events. Each
//! isolate has a memory and figures of its own, and it is one isolate that answers.

use std::fmt::Write;
use std::rc::Rc;

use ::http::HeaderMap;
use js_sys::{Array, JSON, Object};
use nearcache::engine::CallOptions;
use nearcache::figures;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Method, Request, Response, Result};

use super::fill::Tray;
use super::proxy::Proxy;
use super::store::Key;

/// What a purge is to hit.
#[derive(Default)]
struct Purge {
    everything: bool,
    /// End the freshness only, where an answer has stale windows.
    soft: bool,
    tags: Vec<String>,
    urls: Vec<String>,
}

/// So many paths are loaded at once by a scheduled event.
const CONCURRENCY: usize = 4;

impl Proxy {
    /// The answer to a request of the operator's; `None` for all others, and for all while no token is set.
    pub async fn administer(&self, request: &mut Request, path: &str) -> Result<Option<Response>> {
        let (Some(token), Some(route)) = (&self.config.admin_token, path.strip_prefix("/_nearcache/")) else {
            return Ok(None);
        };
        let allowed = match route {
            "purge" => Method::Post,
            "metrics" | "health" => Method::Get,
            _ => return Ok(None),
        };
        let given = request.headers().get("authorization")?.unwrap_or_default();
        if !same(given.strip_prefix("Bearer ").unwrap_or_default().as_bytes(), token.as_bytes()) {
            return problem(401, "wants Authorization: Bearer and the ADMIN_TOKEN").map(Some);
        }
        if request.method() != allowed {
            return problem(405, &format!("got {}, wants {}", request.method().as_ref(), allowed.as_ref())).map(Some);
        }
        match route {
            "purge" => match Purge::read(&request.text().await?) {
                Ok(purge) => json(200, format!("{{\"purged\":{}}}", self.purge(&purge))),
                Err(wrong) => problem(400, &wrong),
            },
            "metrics" => text(200, self.cache.prometheus("nearcache"), figures::CONTENT_TYPE),
            _ => self.health(),
        }
        .map(Some)
    }

    /// Loads the paths of `KEEP_FRESH` anew. What fails is logged, and the old answer stays.
    pub async fn keep_fresh(self: Rc<Self>) {
        let items = self.config.keep_fresh.iter().map(|target| {
            let fields = HeaderMap::new();
            let (key, _) = self.find(target, &fields);
            let (proxy, target) = (self.clone(), target.clone());
            (key.clone(), move |ctx| proxy.load(ctx, key, target, fields, Tray::default()))
        });
        let options = CallOptions::new().force_fresh();
        let items: Vec<_> = items.collect();
        let warmed = self.cache.warmup(items, options, CONCURRENCY, |_| {}).await;
        for (key, error) in warmed.failed {
            worker::console_warn!("nearcache: KEEP_FRESH {}: {error}", key.target);
        }
    }

    /// How many entries it hit.
    fn purge(&self, purge: &Purge) -> usize {
        if purge.everything && !purge.soft {
            let held = self.cache.len();
            self.cache.clear();
            return held;
        }
        let by_tag = |tag: &str| match purge.soft {
            true => self.cache.expire_by_tag(tag),
            false => self.cache.remove_by_tag(tag),
        };
        let by_key = |key: &Key| match purge.soft {
            true => usize::from(self.cache.expire(key)),
            false => usize::from(self.cache.remove(key).is_some()),
        };
        if purge.everything {
            return self.cache.iter().map(|(key, _)| by_key(&key)).sum();
        }
        let by_url = |target: &String| by_key(&Key::of(target)) + by_tag(&Self::url_tag(target));
        purge.tags.iter().map(|tag| by_tag(tag)).sum::<usize>() + purge.urls.iter().map(by_url).sum::<usize>()
    }

    fn health(&self) -> Result<Response> {
        let health = self.cache.health(&self.config.thresholds, &mut self.lately.borrow_mut());
        let mut body = format!("{{\"ok\":{},\"checks\":[", health.ok);
        for (n, check) in health.checks.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let figures::Check { name, value, threshold, samples, ok } = check;
            let figures = format!("\"value\":{value},\"threshold\":{threshold},\"samples\":{samples}");
            let _ = write!(body, "{comma}{{\"name\":\"{name}\",{figures},\"ok\":{ok}}}");
        }
        body.push_str("]}");
        json(if health.ok { 200 } else { 503 }, body)
    }
}

impl Purge {
    /// Reads `{"tags": […], "urls": […], "everything": true, "soft": true}`.
    fn read(text: &str) -> std::result::Result<Self, String> {
        const ALLOWED: &str = "wants {\"tags\": [\"…\"]}, {\"urls\": [\"/…\"]} or {\"everything\": true}, and, if you like, \"soft\": true";
        let object = JSON::parse(text).ok().and_then(|value| value.dyn_into::<Object>().ok());
        let object = object.ok_or_else(|| format!("the body is no JSON object; {ALLOWED}"))?;
        let mut purge = Self::default();
        for entry in Object::entries(&object).iter() {
            let entry: Array = entry.unchecked_into();
            let (name, value) = (entry.get(0).as_string().unwrap_or_default(), entry.get(1));
            let wrong = |wanted: &str| format!("{name}: wants {wanted}");
            match name.as_str() {
                "everything" => purge.everything = value.as_bool().ok_or_else(|| wrong("true or false"))?,
                "soft" => purge.soft = value.as_bool().ok_or_else(|| wrong("true or false"))?,
                "tags" => purge.tags = texts(&value).ok_or_else(|| wrong("an array of texts"))?,
                "urls" => {
                    let urls = texts(&value).filter(|urls| urls.iter().all(|url| url.starts_with('/')));
                    purge.urls =
                        urls.ok_or_else(|| wrong("an array of paths, with their queries, that begin with /"))?;
                }
                _ => return Err(format!("{name} is not known; {ALLOWED}")),
            }
        }
        match purge.everything || !purge.tags.is_empty() || !purge.urls.is_empty() {
            true => Ok(purge),
            false => Err(format!("nothing to purge; {ALLOWED}")),
        }
    }
}

fn texts(value: &JsValue) -> Option<Vec<String>> {
    value.dyn_ref::<Array>()?.iter().map(|item| item.as_string()).collect()
}

/// Compares in a time that tells nothing but the length.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

fn problem(status: u16, what: &str) -> Result<Response> {
    let what = JSON::stringify(&what.into()).map_or_else(|_| "\"\"".to_owned(), String::from);
    json(status, format!("{{\"error\":{what}}}"))
}

fn json(status: u16, body: String) -> Result<Response> {
    text(status, body, "application/json")
}

fn text(status: u16, body: String, content_type: &str) -> Result<Response> {
    let response = Response::ok(body)?.with_status(status);
    response.headers().set("content-type", content_type)?;
    response.headers().set("cache-control", "no-store")?;
    Ok(response)
}
