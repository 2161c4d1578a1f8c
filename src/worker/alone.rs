//! A request that goes to the origin by itself, and what is answered where there is nothing else.

use ::http::{HeaderMap, StatusCode};
use nearcache::engine::Runtime;
use nearcache::error::LoadError;
use nearcache::http::{self, CacheStatus, Fwd};
use nearcache::workers::Workers;
use worker::web_sys::ReadableStream;
use worker::{Response, Result};

use super::origin::{self, OriginError};
use super::proxy::{Asked, Proxy};
use super::reply;
use super::store::{Entry, Key};

/// An answer that is its asker's only.
pub(super) struct Private {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub body: Option<ReadableStream>,
    /// Why nobody else may have it.
    pub why: &'static str,
}

impl Private {
    pub fn reply(mut self, fwd: Fwd) -> Result<Response> {
        let status = CacheStatus::forwarded(fwd).forward_status(self.status).stored(false).detail(self.why);
        reply::passed(self.status, &mut self.fields, self.body, &status)
    }
}

impl Proxy {
    /// By a request of its own, whose answer reaches nobody else, unless it may and nothing is there yet.
    pub async fn alone(&self, asked: &Asked, fwd: Fwd, why: &'static str) -> Result<Response> {
        let url = format!("{}{}", self.config.origin, asked.target);
        let asked_at = Workers.now().as_millis();
        let answer =
            origin::ask(&url, &asked.method, &asked.fields, asked.body.clone(), self.config.hard_timeout).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return self.unreachable(&error, fwd),
        };
        let answered_at = Workers.now().as_millis();
        let mut fields = answer.headers;
        let judged = http::judge(&asked.method, &asked.fields, answer.status, &fields, asked_at, answered_at);
        let primary = Key::of(&asked.target);
        if http::invalidates(&asked.method, answer.status) {
            self.cache.remove(&primary);
        } else if judged.is_ok() && matches!(self.cache.peek(&primary), Some(Entry::Uncacheable(_))) {
            // What was once nobody else's may now be shared: the next to ask finds out.
            self.cache.remove(&primary);
        }
        http::strip_response(&mut fields);
        http::strip_cache_tags(&mut fields);
        http::add_date(&mut fields, answered_at);
        let private = Private { status: answer.status, fields, body: answer.response.body(), why };
        private.reply(fwd)
    }

    /// The answer to one whose load failed.
    pub fn fail(&self, error: &LoadError, fwd: Fwd) -> Result<Response> {
        if let LoadError::Loader(error) = error
            && let Some(error) = error.downcast_ref::<OriginError>()
        {
            return self.unreachable(error, fwd);
        }
        let (code, detail) = match error {
            LoadError::TimedOut { after_millis } => {
                return self.unreachable(&OriginError::TimedOut(*after_millis), fwd);
            }
            LoadError::Full => (StatusCode::SERVICE_UNAVAILABLE, "too-many-loads"),
            _ => (StatusCode::BAD_GATEWAY, "load-lost"),
        };
        reply::failed(code, &error.to_string(), &CacheStatus::forwarded(fwd).detail(detail))
    }

    fn unreachable(&self, error: &OriginError, fwd: Fwd) -> Result<Response> {
        let status = CacheStatus::forwarded(fwd).detail(error.code());
        reply::failed(error.status(), &error.to_string(), &status)
    }
}
