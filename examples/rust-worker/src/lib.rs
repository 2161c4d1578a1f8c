//! A Worker that keeps an origin's JSON by path: fresh for a minute, then for five more while it is asked for anew. However
//! many requests want a path at once, the origin is asked once.

use std::rc::Rc;
use std::time::Duration;

use nearcache::workers::Workers;
use nearcache::{Cache, CallOptions, Details};
use serde_json::Value;
use worker::{Context, Env, Fetch, Request, Response, Result, event};

thread_local! {
    // One for the isolate; its first request makes it. Plain values only: a Response belongs to its own request.
    static PAGES: Cache<String, Rc<Value>, Workers> = Cache::builder()
        .max_entries(1_000)
        .time_to_live(Duration::from_secs(60))
        .stale_while_revalidate(Duration::from_secs(300))
        .hard_timeout(Duration::from_secs(5))
        .runtime(Workers)
        .build();
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    let path = request.path();
    let url = format!("{}{path}", env.var("ORIGIN")?);
    let pages = PAGES.with(Clone::clone);
    match pages.try_get_with_details(path, CallOptions::new(), async move |_| ask(&url).await).await {
        Ok(got) => {
            let response = Response::from_json(&*got.value)?;
            response.headers().set("Cache-Status", &cache_status(&got))?;
            Ok(response)
        }
        // The loader's own error, to all who waited for it; or that it took longer than `hard_timeout`.
        Err(error) => {
            let response = Response::error(error.to_string(), 502)?;
            response.headers().set("Cache-Status", &format!("rust-worker; detail={}", error.code()))?;
            Ok(response)
        }
    }
}

/// The loader. It runs in the request that began it, and goes on when that one's client leaves.
async fn ask(url: &str) -> std::result::Result<Rc<Value>, String> {
    let mut answer = Fetch::Url(url.parse().map_err(text)?).send().await.map_err(text)?;
    match answer.status_code() {
        200 => answer.json().await.map(Rc::new).map_err(text),
        other => Err(format!("the origin says {other}")),
    }
}

/// `worker`'s errors hold values of JS, which belong to one request: others get the text.
fn text(error: impl ToString) -> String {
    error.to_string()
}

/// In the manner of RFC 9211: `rust-worker; hit; ttl=42`, `rust-worker; fwd=miss; detail=coalesced`.
fn cache_status(got: &Details<Rc<Value>>) -> String {
    use nearcache::Status::{Hit, Stale};
    match (got.status, got.ttl) {
        (Hit | Stale, nearcache::Ttl::Millis(millis)) => format!("rust-worker; hit; ttl={}", millis / 1_000),
        (Hit | Stale, nearcache::Ttl::Forever) => "rust-worker; hit".to_owned(),
        (status, _) => format!("rust-worker; fwd=miss; detail={}", status.as_str()),
    }
}
