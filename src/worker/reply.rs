//! Answers to clients.

use ::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue, Method, StatusCode};
use nearcache::http::{Answer, CacheStatus, evaluate, not_modified_headers};
use worker::web_sys::{ReadableStream, Response as JsResponse, ResponseInit};
use worker::{Response, Result};

use super::headers;
use super::store::Stored;

/// What is stored, or a 304 for a client that has it.
pub(super) fn stored(
    stored: &Stored,
    method: &Method,
    request_headers: &HeaderMap,
    status: &CacheStatus,
    now: u64,
) -> Result<Response> {
    let unmodified = evaluate(request_headers, stored.status, &stored.headers) == Answer::NotModified;
    let mut fields = if unmodified { not_modified_headers(&stored.headers) } else { stored.headers.clone() };
    stored.freshness.write_age(now, &mut fields);
    status.append_to(&mut fields);
    let code = if unmodified { StatusCode::NOT_MODIFIED } else { stored.status };
    let init = init(code, &fields)?;
    let empty = unmodified || method == Method::HEAD || stored.body.length() == 0;
    let response = if empty {
        JsResponse::new_with_opt_readable_stream_and_init(None, &init)?
    } else {
        JsResponse::new_with_opt_buffer_source_and_init(Some(&stored.body), &init)?
    };
    Ok(response.into())
}

/// What the origin said, as it comes.
pub(super) fn passed(
    code: StatusCode,
    fields: &mut HeaderMap,
    body: Option<ReadableStream>,
    status: &CacheStatus,
) -> Result<Response> {
    status.append_to(fields);
    let response = JsResponse::new_with_opt_readable_stream_and_init(body.as_ref(), &init(code, fields)?)?;
    Ok(response.into())
}

/// An error of the proxy's own, in words.
pub(super) fn failed(code: StatusCode, reason: &str, status: &CacheStatus) -> Result<Response> {
    let mut fields = HeaderMap::new();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    fields.insert(::http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    status.append_to(&mut fields);
    let text = format!("nearcache: {reason}\n");
    let response = JsResponse::new_with_opt_str_and_init(Some(&text), &init(code, &fields)?)?;
    Ok(response.into())
}

/// The variables are wrong; every request is told so.
pub(super) fn misconfigured(error: &str) -> Result<Response> {
    let reason = format!("wrong configuration (wrangler.toml or --var): {error}");
    failed(StatusCode::INTERNAL_SERVER_ERROR, &reason, &CacheStatus::generated().detail("configuration"))
}

/// The fields that are stored with a body that was read: its length is for the runtime to say, which may
/// encode it anew.
pub(super) fn without_length(fields: &mut HeaderMap, length: u32) {
    fields.remove(CONTENT_LENGTH);
    if !fields.contains_key(CONTENT_ENCODING) {
        fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

fn init(code: StatusCode, fields: &HeaderMap) -> Result<ResponseInit> {
    let init = ResponseInit::new();
    init.set_status(code.as_u16());
    init.set_headers(&headers::to_js(fields)?.0);
    Ok(init)
}
