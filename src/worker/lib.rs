//! The caching reverse proxy for Cloudflare Workers: it forwards to one origin, caches what HTTP lets a shared
//! cache keep, and shares loads across requests. What may be kept and handed out is [`nearcache::http`]'s to
//! say; how loads are shared, [`nearcache::engine`]'s. Here are the Worker's own matters.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod admin;
mod alone;
mod body;
mod config;
mod fill;
mod headers;
mod origin;
mod proxy;
mod reply;
mod store;

use std::cell::OnceCell;
use std::rc::Rc;

use worker::{Context, Env, Request, Response, Result, ScheduleContext, ScheduledEvent, event};

use config::Config;
use proxy::Proxy;

thread_local! {
    // One for the isolate. A wrong configuration is kept too: it can't change while the isolate lives.
    static PROXY: OnceCell<std::result::Result<Rc<Proxy>, String>> = const { OnceCell::new() };
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    match proxy(&env) {
        Ok(proxy) => proxy.answer(request).await,
        Err(error) => reply::misconfigured(&error),
    }
}

#[event(scheduled)]
async fn scheduled(_event: ScheduledEvent, env: Env, _context: ScheduleContext) {
    match proxy(&env) {
        Ok(proxy) => proxy.keep_fresh().await,
        Err(error) => worker::console_error!("nearcache: wrong configuration: {error}"),
    }
}

/// The isolate's proxy.
fn proxy(env: &Env) -> std::result::Result<Rc<Proxy>, String> {
    let var = |name: &str| env.var(name).ok().map(|value| value.to_string());
    let make = || Config::read(var).map(|config| Rc::new(Proxy::new(config))).map_err(|error| error.to_string());
    PROXY.with(|proxy| proxy.get_or_init(make).clone())
}
