//! What makes two requests ask for the same.

use std::rc::Rc;

use super::key_parts::cookies;
use super::request::Prepared;
use crate::http::fields::trim;
use crate::http::rule::Rule;

/// Names a [`Target`](super::Target) in the store. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Rc<str>);

/// Names a trip to the origin that all who would make the same share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightKey {
    /// What it is for.
    pub key: Key,
    /// What of it: the fields that select a variant, and the range.
    pub part: Vec<u8>,
}

impl Key {
    pub(super) fn of_request(rule: &Rule, request: &Prepared) -> Self {
        let mut key = match rule.key.any_host {
            true => request.target.clone(),
            false => url(request, &request.target),
        };
        // U+0001 is in no host and no target, so that every key can be read back in one way only.
        if is_http(request) {
            key.push_str(HTTP);
        }
        for name in &rule.key.fields {
            let lines = request.fields.get_all(name).into_iter();
            let values: Vec<_> = lines.map(|line| String::from_utf8_lossy(trim(line.as_bytes()))).collect();
            key.push_str(&format!("\u{1}{name}:{}", values.join("\u{2}")));
        }
        for name in &rule.key.cookies {
            let value = cookies(&request.fields, std::slice::from_ref(name)).unwrap_or_default();
            key.push_str(&format!("\u{1}cookie:{value}"));
        }
        if let Some(device) = request.device {
            key.push_str(&format!("\u{1}device:{device}"));
        }
        Self(Rc::from(key))
    }

    /// Host, path and query, and what else is in the key after a U+0001.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As purges name its target: host, with its port where that is not https's own, path and query; or without the host, where it is not in the
    /// key. What http brings to a port and what https does have one name.
    pub fn name(&self) -> &str {
        self.0.split('\u{1}').next().unwrap_or_default()
    }
}

/// The scheme is in the key (RFC 9111 §2, RFC 9110 §4.2): https is what goes without saying.
const HTTP: &str = "\u{1}scheme:http";

fn is_http(request: &Prepared) -> bool {
    request.scheme.eq_ignore_ascii_case("http")
}

/// Both keys that have nothing in them but a name.
pub(super) fn keys_named(name: &str) -> [Key; 2] {
    [Key(Rc::from(name)), Key(Rc::from([name, HTTP].concat()))]
}

/// The URL of a target on a request's host, as purges name it ([`Key::name`]).
pub(super) fn url(request: &Prepared, target: &str) -> String {
    url_named(&request.host.to_ascii_lowercase(), target, is_http(request))
}

/// A URL as purges name it ([`Key::name`]): without its scheme, which http's own port tells.
pub fn url_named(host: &str, target: &str, is_http: bool) -> String {
    // An IPv6 address has its colons in brackets.
    let has_port = host.rsplit(']').next().is_some_and(|rest| rest.contains(':'));
    let port = if is_http && !has_port { ":80" } else { "" };
    format!("{host}{port}{target}")
}

/// Bytes that need not be told from others: length and content.
pub(super) fn push_part(part: &mut Vec<u8>, bytes: &[u8]) {
    part.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    part.extend_from_slice(bytes);
}
