//! What the origin is asked.

use ::http::{HeaderMap, Method};

use super::request::Prepared;
use crate::http::rule::Rule;
use crate::http::rules::forwarding;

/// The head of a request to the origin.
#[derive(Clone, Debug)]
pub struct FetchHead {
    /// The method: GET for all that is shared.
    pub method: Method,
    /// The origin that the rule names; `None`: the driver's.
    pub origin: Option<String>,
    /// The scheme that the client used.
    pub scheme: String,
    /// The host that the client asked.
    pub host: String,
    /// Path and query.
    pub target: String,
    /// All fields but `Host`.
    pub fields: HeaderMap,
    /// Whether the client's body, if there is one, goes with it.
    pub has_client_body: bool,
}

impl FetchHead {
    pub(super) fn new(rule: &Rule, asked: &Prepared, method: Method, mut fields: HeaderMap) -> Self {
        forwarding::sign_request(&mut fields, &rule.name);
        if let Some(device) = asked.device {
            fields.insert("x-device", ::http::HeaderValue::from_static(device));
        }
        Self {
            has_client_body: !asked.is_read(),
            method,
            origin: rule.origin.clone(),
            scheme: asked.scheme.clone(),
            host: asked.host.clone(),
            target: asked.target.clone(),
            fields,
        }
    }
}
