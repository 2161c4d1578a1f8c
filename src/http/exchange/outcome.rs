//! How a trip to the origin ended.

use std::fmt;

use ::http::{HeaderMap, StatusCode};

use super::record::Stored;

/// What a [`Fetch`](super::Fetch) brought: the same for everybody who shared it.
#[derive(Clone, Debug)]
pub enum FetchOutcome<B> {
    /// A response that may be shared: it is stored now, or what was stored has been freshened.
    Stored(Stored<B>),
    /// A response for the one who led; its body is the origin's, as it comes.
    Unshared(Unshared),
    /// No response, or one that says that the origin has failed.
    Failed(Failed<B>),
}

impl<B> FetchOutcome<B> {
    /// By what names it is to be purged.
    pub fn tags(&self) -> &[String] {
        match self {
            Self::Stored(stored) => &stored.record.tags,
            Self::Unshared(_) | Self::Failed(_) => &[],
        }
    }
}

/// A response that nobody but the one who led may have.
#[derive(Clone, Debug)]
pub struct Unshared {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, as they are passed on.
    pub fields: HeaderMap,
    /// Why, in a word.
    pub why: &'static str,
    /// Whether it is not what the request that led wants, which is to ask for itself: it was asked for without that request's
    /// cookies, or is only what was missing of the whole.
    pub(super) ask_alone: bool,
    /// Whether a reload has to be answered by it: what is stored stays.
    pub(super) failure: bool,
    /// Whether any request would have brought such a response, as far as its fields tell.
    pub(super) ordinary: bool,
}

/// A failure of the moment.
#[derive(Clone, Debug)]
pub struct Failed<B> {
    /// What happened.
    pub failure: Failure,
    /// The origin's own words, where they may be shared.
    pub page: Option<Stored<B>>,
    /// In how many seconds to ask again, where the origin said so.
    pub retry_after: Option<u32>,
    /// Whether any request would have failed as well, as far as its fields tell.
    pub(super) ordinary: bool,
}

/// Why the origin brought no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// No connection, or it broke; why, in words.
    Unreachable(String),
    /// No answer within so many milliseconds, or none of its body.
    TimedOut(u64),
    /// It says itself that it has failed.
    Status(StatusCode),
    /// It answered with a status code that can't be passed on.
    BadStatus(u16),
}

impl Failure {
    /// The status with which the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unreachable(_) | Self::BadStatus(_) => StatusCode::BAD_GATEWAY,
            Self::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            Self::Status(status) => *status,
        }
    }

    /// For the `detail` of a `Cache-Status`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "origin-unreachable",
            Self::TimedOut(_) => "origin-timeout",
            Self::Status(_) => "origin-error",
            Self::BadStatus(_) => "origin-status",
        }
    }

    /// Whether the origin could not be reached at all (RFC 9111 §4.2.4), or did not answer.
    pub(super) fn is_disconnected(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reason) => write!(f, "the origin could not be reached: {reason}"),
            Self::TimedOut(millis) => write!(f, "the origin gave no answer within {millis} ms"),
            Self::Status(status) => write!(f, "the origin answered {}", status.as_u16()),
            Self::BadStatus(status) => write!(f, "the origin answered with the status {status}"),
        }
    }
}

impl std::error::Error for Failure {}
