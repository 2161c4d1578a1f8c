//! What a write does to what is stored (RFC 9111 §4.4).

use ::http::header::{CONTENT_LOCATION, LOCATION};
use ::http::{HeaderMap, Method, StatusCode};

use crate::http::fields::only;

/// Whether this answer to a request makes whatever is stored for its target wrong.
///
/// True for an answer without an error (2xx or 3xx) to a method that is not safe. Methods we do not know count as not
/// safe. All variants of the target have to go. The URIs in `Location` and `Content-Location`, which a cache may drop
/// as well, are left alone.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// The targets besides its own that an answer without an error to an unsafe request makes doubtful: those that its
/// `Location` and `Content-Location` name, as far as they are on the same host. Absolute paths with their queries.
pub fn also_invalidated(host: &str, target: &str, response_headers: &HeaderMap) -> Vec<String> {
    let lines = [LOCATION, CONTENT_LOCATION].into_iter().filter_map(|name| only(response_headers, &name));
    lines.filter_map(|line| same_host_target(host, target, line.to_str().ok()?)).collect()
}

/// The path and query that a URI reference names, as seen from a target on `host`; `None` where it is on another host, or not
/// worth resolving.
pub fn same_host_target(host: &str, target: &str, reference: &str) -> Option<String> {
    let reference = reference.trim().split('#').next().unwrap_or_default();
    let authority = reference.strip_prefix("http:").or_else(|| reference.strip_prefix("https:")).unwrap_or(reference);
    if let Some(rest) = authority.strip_prefix("//") {
        let (named, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        return named.eq_ignore_ascii_case(host).then_some(path);
    }
    if authority.len() != reference.len() || reference.contains("://") {
        return None;
    }
    if reference.starts_with('/') {
        return Some(reference.to_owned());
    }
    let path = target.split('?').next().unwrap_or_default();
    if reference.is_empty() {
        return Some(target.to_owned());
    }
    if reference.starts_with('?') {
        return Some(format!("{path}{reference}"));
    }
    // Dots are left as they are: such a name is no key of ours, and nothing is invalidated in vain.
    let folder = path.rfind('/').and_then(|slash| path.get(..=slash)).unwrap_or("/");
    Some(format!("{folder}{reference}"))
}
