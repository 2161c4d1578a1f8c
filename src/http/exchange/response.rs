//! The head of what the origin answered.

use ::http::{HeaderMap, StatusCode};

use super::outcome::Failure;

/// Status and fields of a response, as they came.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status code, whatever it is.
    pub status: u16,
    /// All fields.
    pub fields: HeaderMap,
    /// Whether it had more, which are no fields (RFC 9110 §5.5: a control character, a name that is no token), or are too many. They may have
    /// been what keeps it from being everybody's.
    pub damaged: bool,
}

impl ResponseHead {
    /// The status, if it is one that can be passed on: final, and in one of the classes that there are (RFC 9110 §15).
    pub(super) fn status(&self) -> Result<StatusCode, Failure> {
        let status = StatusCode::from_u16(self.status).ok().filter(|_| (200..=599).contains(&self.status));
        status.ok_or(Failure::BadStatus(self.status))
    }
}
