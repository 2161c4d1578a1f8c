//! What a write does to what is stored (RFC 9111 §4.4).

use ::http::{Method, StatusCode};

/// Whether this answer to a request makes whatever is stored for its target wrong.
///
/// True for an answer without an error (2xx or 3xx) to a method that is not safe. Methods we do not know count as not
/// safe. All variants of the target have to go. The URIs in `Location` and `Content-Location`, which a cache may drop
/// as well, are left alone.
pub fn invalidates(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}
