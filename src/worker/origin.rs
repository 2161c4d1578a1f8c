//! Asking the origin.

use std::fmt;

use ::http::{HeaderMap, Method, StatusCode};
use futures_util::future::{Either, select};
use nearcache::engine::Runtime;
use nearcache::time::Ttl;
use nearcache::workers::Workers;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::{ReadableStream, Request, RequestInit, RequestRedirect, Response, WorkerGlobalScope};
use worker::{AbortController, Headers};

use super::headers;

/// Why the origin brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum OriginError {
    /// No connection, or it broke.
    Unreachable(String),
    /// No answer in time; the deadline in milliseconds.
    TimedOut(u64),
    /// It says itself that it has failed.
    Failed(StatusCode),
}

impl OriginError {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Failed(status) => *status,
        }
    }

    /// For the `detail` of a `Cache-Status`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "origin-unreachable",
            Self::TimedOut(_) => "origin-timeout",
            Self::Failed(_) => "origin-error",
        }
    }
}

impl fmt::Display for OriginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(f, "the origin could not be reached: {reason}"),
            Self::TimedOut(millis) => write!(f, "the origin gave no answer within {millis} ms"),
            Self::Failed(status) => write!(f, "the origin answered {}", status.as_u16()),
        }
    }
}

impl std::error::Error for OriginError {}

impl From<JsValue> for OriginError {
    fn from(error: JsValue) -> Self {
        let text = error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
        Self::Unreachable(text.or_else(|| error.as_string()).unwrap_or_else(|| "unknown reason".to_owned()))
    }
}

impl From<worker::Error> for OriginError {
    fn from(error: worker::Error) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// What the origin answered.
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub response: Response,
}

/// Sends one request and waits for the head of its answer, at most until the deadline. Redirects are the
/// client's to follow.
pub(super) async fn ask(
    url: &str,
    method: &Method,
    fields: &HeaderMap,
    body: Option<ReadableStream>,
    timeout: Ttl,
) -> Result<Answer, OriginError> {
    let controller = AbortController::default();
    let signal = controller.signal();
    let init = RequestInit::new();
    init.set_method(method.as_str());
    init.set_headers(&headers::to_js(fields)?.0);
    init.set_redirect(RequestRedirect::Manual);
    init.set_signal(Some(&signal));
    if let Some(body) = body {
        init.set_body(&body);
    }
    let request = Request::new_with_str_and_init(url, &init)?;
    let global: WorkerGlobalScope = js_sys::global().unchecked_into();
    let answer = JsFuture::from(global.fetch_with_request(&request));
    let response: Response = match timeout {
        Ttl::Forever => answer.await?,
        Ttl::Millis(millis) => match select(answer, Box::pin(Workers.sleep(millis))).await {
            Either::Left((answer, _)) => answer?,
            Either::Right(_) => {
                controller.abort();
                return Err(OriginError::TimedOut(millis));
            }
        },
    }
    .unchecked_into();
    let status = StatusCode::from_u16(response.status());
    let status = status.map_err(|_| OriginError::Unreachable(format!("it answered {}", response.status())))?;
    Ok(Answer { status, headers: headers::from_js(&Headers(response.headers())), response })
}
