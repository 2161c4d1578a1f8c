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
    let with_scheme = [("http:", &["80"][..]), ("https:", &["443"])]
        .into_iter()
        .find_map(|(scheme, ports)| Some((reference.strip_prefix(scheme)?, ports)));
    let (authority, default_ports) = with_scheme.unwrap_or((reference, &["80", "443"]));
    if let Some(rest) = authority.strip_prefix("//") {
        let (named, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        return is_same_host(host, named, default_ports).then_some(path);
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

/// Whether two hosts, each with a port or without, are the same. A port that is the scheme's own may be left out. Which scheme the first has
/// is not asked: an origin behind somebody who ends TLS often says `http` of itself.
fn is_same_host(host: &str, named: &str, default_ports: &[&str]) -> bool {
    let ((host, port), (named, named_port)) = (split_port(host), split_port(named));
    let same_port = match (port, named_port) {
        (Some(port), Some(named_port)) => port == named_port,
        (Some(only), None) | (None, Some(only)) => default_ports.contains(&only),
        (None, None) => true,
    };
    host.eq_ignore_ascii_case(named) && same_port
}

/// An empty port is none (RFC 3986 §3.2.3). The colons of an IPv6 address are followed by its bracket.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        Some((name, port)) => (name, Some(port).filter(|port| !port.is_empty())),
        None => (host, None),
    }
}
