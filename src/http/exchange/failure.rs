//! What is made of an origin that fails.

use std::rc::Rc;

use ::http::header::{COOKIE, RETRY_AFTER};
use ::http::{HeaderMap, StatusCode};

use super::change::Kind;
use super::fetch::{Fetch, Filling, Pending, Progress, announced};
use super::outcome::{Failed, Failure, FetchOutcome};
use super::record::{Record, Stored};
use crate::http::fields::{date_ms, delta_seconds, only, trim};
use crate::http::rule::Cookies;
use crate::http::rules::forwarding::is_ordinary;
use crate::http::rules::storability::{NotStorable, Storability};
use crate::http::rules::vary::Vary;
use crate::http::{Freshness, StaleLimits};

/// The most of an error page that is kept.
const MAX_PAGE_BYTES: u64 = 64 * 1024;

impl<B: Clone> Fetch<B> {
    pub(super) fn failed(
        &mut self,
        status: StatusCode,
        fields: HeaderMap,
        judged: Result<Storability, NotStorable>,
        selecting: &HeaderMap,
        now: u64,
    ) -> Progress<B> {
        let retry_after = only(&fields, &RETRY_AFTER).and_then(|line| seconds_until(line, now));
        // What may not be stored for other reasons than its status or its lifetime, nobody else may read.
        let shareable = matches!(judged, Ok(_) | Err(NotStorable::NoFreshness | NotStorable::Status))
            || matches!(judged, Err(NotStorable::ZeroLifetime | NotStorable::AgedOut | NotStorable::NoCache));
        let failure = Failure::Status(status);
        let vary = Vary::parse(&fields).ok().filter(|_| shareable && self.flight.is_some());
        let Some(vary) = vary else {
            self.remember(&failure, None, retry_after, now);
            return Progress::Done(self.unshared(status, &fields, "origin-error", true, now));
        };
        let storability = judged.unwrap_or_else(|_| for_once(&fields, vary, now));
        let announced = announced(&fields);
        let record = Record::new(&self.rule, status, fields, selecting, storability, 0);
        self.pending = Some(Pending::Page { record, announced, failure, retry_after });
        let filling =
            Filling { record: None, others: false, limit: MAX_PAGE_BYTES, expected: None, assemble: Vec::new() };
        Progress::Read(Rc::new(filling))
    }

    pub(super) fn fail(
        &mut self,
        failure: Failure,
        page: Option<Stored<B>>,
        retry_after: Option<u32>,
        now: u64,
    ) -> FetchOutcome<B> {
        let failed = Failed { failure, page, retry_after, ordinary: self.is_ordinary() };
        self.remember_failed(&failed, now);
        FetchOutcome::Failed(failed)
    }

    fn remember(&mut self, failure: &Failure, page: Option<Stored<B>>, retry_after: Option<u32>, now: u64) {
        let failed = Failed { failure: failure.clone(), page, retry_after, ordinary: self.is_ordinary() };
        self.remember_failed(&failed, now);
    }

    /// Only what any request would have met as well is remembered against all.
    fn remember_failed(&mut self, failed: &Failed<B>, now: u64) {
        let asked_for = failed.retry_after.map_or(0, |seconds| u64::from(seconds) * 1000).min(self.rule.max_backoff_ms);
        let backoff = asked_for.max(self.rule.error_backoff_ms);
        if backoff > 0 && failed.ordinary && self.selecting.is_some() && self.flight.is_some() {
            self.change(Kind::RememberFailure(Rc::new(failed.clone()), now.saturating_add(backoff)));
        }
    }

    /// Whether any request for what this one is for would have fared alike.
    pub(super) fn is_ordinary(&self) -> bool {
        let cookies_are_in_key = self.rule.cookies == Cookies::Drop && !self.by_cookie;
        is_ordinary(&self.head.fields, |name| self.rule.fixes(name) || (cookies_are_in_key && *name == COOKIE))
    }
}

/// What is handed out once and then no more.
pub(super) fn for_once(fields: &HeaderMap, vary: Vary, now: u64) -> Storability {
    let freshness = Freshness::new(0, fields, now, now);
    Storability { freshness, limits: StaleLimits::default(), vary, always_validate: true, part: None }
}

/// A `Retry-After` in seconds, whichever way it is written (RFC 9110 §10.2.3).
fn seconds_until(line: &::http::HeaderValue, now: u64) -> Option<u32> {
    delta_seconds(trim(line.as_bytes())).or_else(|| {
        let ms = date_ms(line)?.saturating_sub(now);
        u32::try_from(ms.div_ceil(1000)).ok()
    })
}
