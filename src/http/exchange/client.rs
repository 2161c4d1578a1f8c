//! One client's request.

use std::rc::Rc;

use ::http::header::{COOKIE, RANGE};
use ::http::{HeaderMap, StatusCode};

use super::answer::{self, ClientResponse};
use super::change::{Change, Kind};
use super::content::Content;
use super::fetch::{Fetch, Filling};
use super::key::Key;
use super::manifest::Manifest;
use super::outcome::{Failed, Failure, FetchOutcome, Unshared};
use super::record::{Record, Stored};
use super::request::{Asked, Prepared, Request};
use super::target::Target;
use crate::http::fields::{CacheStatus, Fwd};
use crate::http::rule::{Cookies, Reload, Rule};
use crate::http::rules::reuse::{Obstacle, reuse_obstacle};
use crate::http::rules::stale::{StaleGround, accepts_stale};
use crate::http::rules::validation::needs_origin;

/// One client's request on its way through the cache.
#[derive(Debug)]
pub struct Exchange<B> {
    pub(super) rule: Rc<Rule>,
    pub(super) asked: Asked,
    pub(super) key: Key,
    /// What is stored for it, whatever its age: it stands in where the origin fails.
    candidate: Option<Stored<B>>,
    /// Why it went forward.
    pub(super) fwd: Fwd,
    pub(super) trips: u32,
    alone: bool,
    /// Where a store below has had something for it.
    pub(super) layer: Option<Layer>,
    /// Whether a body that lies apart was not there.
    pub(super) missed: bool,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Decision<B> {
    /// Answer.
    Answer(ClientResponse<B>),
    /// Answer, and make a trip to the origin meanwhile, for those who come later.
    AnswerAndRefresh(ClientResponse<B>, Box<Fetch<B>>),
    /// Make a trip to the origin, or wait for another's: then [`Exchange::handle_outcome`].
    Fetch(Box<Fetch<B>>),
}

/// How often a request goes to the origin, its own trips and shared ones, before it is answered by what it has.
const MAX_TRIPS: u32 = 3;

/// From which layer an answer came.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub name: String,
    /// Why the memory had nothing.
    pub fwd: Fwd,
    pub led: bool,
}

impl<B: Clone> Exchange<B> {
    /// A request under a rule. Costs one pass over its fields.
    pub fn new(rule: Rc<Rule>, request: Request) -> Self {
        let asked = Prepared::new(&rule, request);
        let key = Key::of_request(&rule, &asked);
        Self {
            rule,
            asked: Rc::new(asked),
            key,
            candidate: None,
            fwd: Fwd::UriMiss,
            trips: 0,
            alone: false,
            layer: None,
            missed: false,
        }
    }

    /// Where to look for stored answers; `None` where none will do.
    pub fn key(&self) -> Option<&Key> {
        (self.asked.is_read() && !self.passes()).then_some(&self.key)
    }

    /// What is stored under [`key`](Self::key).
    pub fn handle_stored(&mut self, found: Option<&Target<B>>, now: u64) -> Decision<B> {
        if let Some(refused) = self.refused() {
            return Decision::Answer(refused);
        }
        let Some(target) = found.filter(|_| self.key().is_some()) else {
            return self.without_stored(now);
        };
        let selection = target.select(&self.asked.fields, now);
        let usable = [selection.whole, selection.part].into_iter().flatten();
        let held = usable.clone().find(|stored| answer::select(&stored.record, &self.asked).is_some());
        self.candidate = held.cloned();
        self.fwd = match (held, target.stored.is_empty()) {
            (Some(_), _) => Fwd::Stale,
            (None, _) if selection.part.is_some() => Fwd::Partial,
            (None, true) => Fwd::UriMiss,
            (None, false) => Fwd::VaryMiss,
        };
        if needs_origin(&self.asked.fields) {
            self.fwd = Fwd::Bypass;
            return self.only_if_cached("precondition").unwrap_or_else(|| self.pass());
        }
        let mut forced = false;
        if let Some(stored) = held {
            let record = &stored.record;
            match reuse_obstacle(&self.asked.control, &record.freshness, record.always_validate, now) {
                None => return Decision::Answer(self.hit(stored, now)),
                Some(Obstacle::Request(why)) => {
                    self.fwd = Fwd::Request;
                    let honoured = self.rule.reload == Reload::OncePerSecond;
                    if let Some(refusal) = self.only_if_cached(why).filter(|_| honoured) {
                        return refusal;
                    }
                    if !honoured || !target.grants_reload(now) {
                        return Decision::Answer(self.hit(stored, now));
                    }
                    forced = true;
                }
                Some(Obstacle::Stale) => {
                    if let Some(refusal) = self.only_if_cached("stale") {
                        return refusal;
                    }
                    // A wish for a fresh answer is granted here, too, before something stale is handed out.
                    forced = self.wants_origins() && target.grants_reload(now);
                }
            }
        } else if let Some(refusal) = self.only_if_cached("miss") {
            return refusal;
        }
        let failure = target.failure_at(now);
        if let Some(stored) = held
            && !forced
            && self.takes(&stored.record, StaleGround::Revalidating, now)
        {
            let answer = self.hit(stored, now);
            return match failure {
                Some(_) => Decision::Answer(answer),
                None => Decision::AnswerAndRefresh(answer, Box::new(self.fill(Some(target), now))),
            };
        }
        if let Some(failure) = failure {
            let mut failed = Failed::clone(&failure.failed);
            let left = failure.until.saturating_sub(now).div_ceil(1000);
            failed.retry_after = u32::try_from(left).ok();
            return Decision::Answer(self.failed(&failed, false, now));
        }
        if target.is_uncacheable(now) && held.is_none() {
            return self.alone(target, now);
        }
        Decision::Fetch(Box::new(self.fill(Some(target), now)))
    }

    /// A trip to the origin has ended: this request's own if `led`, else the one it waited for. `found` is what is
    /// stored under [`key`](Self::key) now.
    pub fn handle_outcome(
        &mut self,
        outcome: &FetchOutcome<B>,
        led: bool,
        found: Option<&Target<B>>,
        now: u64,
    ) -> Decision<B> {
        match outcome {
            FetchOutcome::Stored(stored) => {
                let is_mine = stored.record.matches(&self.selecting());
                if led && is_mine && self.asked.has(&RANGE) && stored.record.part.is_some() {
                    // The part that the origin has chosen, whatever was asked for (RFC 9110 §14.2).
                    let status = self.forwarded(led).stored(true).ttl(stored.record.freshness.ttl_seconds(now));
                    return Decision::Answer(ClientResponse::whole_part(stored, &self.asked, &status, now));
                }
                let fits = is_mine && answer::select(&stored.record, &self.asked).is_some();
                let usable = led || self.may_follow(&stored.record, now);
                if fits && usable {
                    let status = self
                        .forwarded(led)
                        .stored(led && !stored.record.always_validate)
                        .ttl(stored.record.freshness.ttl_seconds(now));
                    if let Some(answer) = ClientResponse::from_stored(stored, &self.asked, &status, now) {
                        return Decision::Answer(answer);
                    }
                }
                // It is fresh, and another's variant or part: what this request needs is known now.
                self.alone = !usable;
                self.again(found, now)
            }
            FetchOutcome::Unshared(unshared) if led => self.unshared(unshared, now),
            FetchOutcome::Unshared(unshared) => {
                if unshared.failure
                    && let Some(answer) = self.rescue(StaleGround::Error, "origin-error", now)
                {
                    return Decision::Answer(answer);
                }
                // What that request had about it may have been the reason.
                self.alone = unshared.ordinary || self.trips + 1 >= MAX_TRIPS;
                self.again(found, now)
            }
            FetchOutcome::Failed(failed) => {
                if !led && !failed.ordinary && self.trips < MAX_TRIPS {
                    // What that request had about it may have been the reason.
                    return self.again(found, now);
                }
                Decision::Answer(self.failed(failed, led, now))
            }
        }
    }

    /// The response that a trip brings is being read, this request's own if `led`, else one that it waits for: the
    /// answer that may begin at once, if there is one, with the bytes as they come ([`Content::Filling`]).
    pub fn handle_filling(&self, filling: &Filling<B>, led: bool, now: u64) -> Option<ClientResponse<B>> {
        let record = filling.record.as_ref()?;
        // Others than the leader can't go on with one that turns out too long.
        if filling.expected.is_none() && (!led || self.asked.has(&RANGE)) {
            return None;
        }
        let usable = led || self.may_follow(record, now);
        if !(usable && record.matches(&self.selecting())) {
            return None;
        }
        let status = self.forwarded(led).stored(led && !record.always_validate).ttl(record.freshness.ttl_seconds(now));
        ClientResponse::from_record(record, Content::Filling, &self.asked, &status, now)
    }

    /// The origin takes long: what may be handed out instead of waiting for it.
    pub fn handle_soft_timeout(&self, now: u64) -> Option<ClientResponse<B>> {
        self.rescue(StaleGround::Error, "soft-timeout", now)
    }

    /// There is no room for another trip.
    pub fn handle_overload(&self, now: u64) -> ClientResponse<B> {
        self.rescue(StaleGround::Error, "overload", now).unwrap_or_else(|| {
            let status = CacheStatus::generated().detail("overload");
            let text = "too many requests are under way";
            ClientResponse::refusal(&self.rule, StatusCode::SERVICE_UNAVAILABLE, text, &status).retry_after(Some(1))
        })
    }

    /// The trip that this request waited for is lost: its leader's request is gone.
    pub fn handle_lost(&mut self, found: Option<&Target<B>>, now: u64) -> Decision<B> {
        self.again(found, now)
    }

    /// The body that an answer has apart could not be had: what changes in the store by that, to be applied before anything else is said
    /// of this request; then [`handle_lost`](Self::handle_lost).
    pub fn handle_missing(&mut self, manifest: &Manifest) -> Change<B> {
        self.missed = true;
        self.candidate = self.candidate.take().filter(|stored| stored.record.apart.is_none());
        Change::new(self.key.clone(), Kind::DropApart(manifest.name().to_owned()))
    }

    fn refused(&self) -> Option<ClientResponse<B>> {
        const REFUSED: [&str; 6] = ["TRACE", "TRACK", "CONNECT", "PURGE", "BAN", "REFRESH"];
        let refuse = |code, text: &str, why: &'static str| {
            Some(ClientResponse::refusal(&self.rule, code, text, &CacheStatus::generated().detail(why)))
        };
        if self.asked.hops > self.rule.max_hops {
            return refuse(StatusCode::LOOP_DETECTED, "the request came by here before", "loop");
        }
        if REFUSED.iter().any(|method| self.asked.method.as_str().eq_ignore_ascii_case(method)) {
            return refuse(StatusCode::METHOD_NOT_ALLOWED, "such requests are not passed on", "method");
        }
        if self.asked.upgrade {
            return refuse(StatusCode::NOT_IMPLEMENTED, "protocol upgrades are not passed on", "upgrade");
        }
        None
    }

    /// Whether the rule or the method leaves nothing to decide.
    fn passes(&self) -> bool {
        self.rule.bypass || (self.rule.cookies == Cookies::Bypass && self.asked.has(&COOKIE))
    }

    fn without_stored(&mut self, now: u64) -> Decision<B> {
        if !self.asked.is_read() {
            self.fwd = Fwd::Method;
            return self.pass();
        }
        let passes = self.passes();
        if let Some(refusal) = self.only_if_cached(if passes { "bypass" } else { "miss" }) {
            return refusal;
        }
        if passes {
            self.fwd = Fwd::Bypass;
            return self.pass();
        }
        if needs_origin(&self.asked.fields) {
            self.fwd = Fwd::Bypass;
            return self.pass();
        }
        Decision::Fetch(Box::new(self.fill(None, now)))
    }

    /// Whether the client wants an answer of the origin's, and may have it.
    pub(super) fn wants_origins(&self) -> bool {
        let control = &self.asked.control;
        (control.no_cache.is_some() || control.max_age == Some(0)) && self.rule.reload == Reload::OncePerSecond
    }

    fn only_if_cached(&self, why: &'static str) -> Option<Decision<B>> {
        self.asked.control.only_if_cached.then(|| {
            let status = CacheStatus::generated().detail(why);
            let text = "nothing stored will do, and the request says only-if-cached";
            Decision::Answer(ClientResponse::refusal(&self.rule, StatusCode::GATEWAY_TIMEOUT, text, &status))
        })
    }

    /// The `ttl` of a stale answer is negative (RFC 9211 §2.4).
    fn hit(&self, stored: &Stored<B>, now: u64) -> ClientResponse<B> {
        let status = match &self.layer {
            None => CacheStatus::hit(),
            Some(Layer { name, fwd, led }) => CacheStatus::forwarded(*fwd).stored(*led).collapsed(!led).below(name),
        };
        let status = match &stored.record.apart {
            None => status,
            Some(_) => status.detail("apart"),
        };
        self.reuse(stored, &status.ttl(stored.record.freshness.ttl_seconds(now)), now)
    }

    fn reuse(&self, stored: &Stored<B>, status: &CacheStatus, now: u64) -> ClientResponse<B> {
        ClientResponse::from_stored(stored, &self.asked, status, now).unwrap_or_else(|| {
            let text = "what is stored is not all that was asked for";
            ClientResponse::refusal(&self.rule, StatusCode::BAD_GATEWAY, text, status)
        })
    }

    /// Whether what another's trip brings answers this request too. What is stale when it comes does within its window, as it will for
    /// those who come later: otherwise each request that waits would go to the origin itself.
    fn may_follow(&self, record: &Record, now: u64) -> bool {
        record.is_usable(now) || self.takes(record, StaleGround::Revalidating, now)
    }

    /// Whether a stale answer may be handed out, and the client takes it.
    fn takes(&self, record: &Record, ground: StaleGround, now: u64) -> bool {
        record.may_stand_in(ground, now) && accepts_stale(&self.asked.control, &record.freshness, now)
    }

    fn rescue(&self, ground: StaleGround, why: &'static str, now: u64) -> Option<ClientResponse<B>> {
        let stored = self.candidate.as_ref().filter(|stored| self.takes(&stored.record, ground, now))?;
        let status = CacheStatus::forwarded(self.fwd).ttl(stored.record.freshness.ttl_seconds(now)).detail(why);
        Some(self.reuse(stored, &status, now))
    }

    fn again(&mut self, found: Option<&Target<B>>, now: u64) -> Decision<B> {
        if self.trips >= MAX_TRIPS {
            return self.pass();
        }
        match found {
            Some(target) if self.alone => self.alone(target, now),
            None if self.alone => self.alone(&Target::default(), now),
            _ => self.handle_stored(found, now),
        }
    }

    fn failed(&self, failed: &Failed<B>, led: bool, now: u64) -> ClientResponse<B> {
        let ground = if failed.failure.is_disconnected() { StaleGround::Unreachable } else { StaleGround::Error };
        if let Some(answer) = self.rescue(ground, failed.failure.code(), now) {
            return answer;
        }
        let status = self.forwarded(led).detail(failed.failure.code());
        let text = failed.failure.to_string();
        if !led && !failed.ordinary {
            // What that request had about it may be in the origin's words, and the reason for its status and its delay.
            let code = match failed.failure {
                Failure::Status(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => failed.failure.status(),
            };
            return ClientResponse::refusal(&self.rule, code, &text, &status);
        }
        let page = failed.page.as_ref().filter(|page| page.record.matches(&self.selecting()));
        if let Some(page) = page {
            let status = status.forward_status(page.record.status);
            let mut page = self.reuse(page, &status, now);
            page.fresh = None;
            return page.retry_after(failed.retry_after);
        }
        ClientResponse::refusal(&self.rule, failed.failure.status(), &text, &status).retry_after(failed.retry_after)
    }

    fn unshared(&mut self, unshared: &Unshared, now: u64) -> Decision<B> {
        if unshared.failure
            && let Some(answer) = self.rescue(StaleGround::Error, "origin-error", now)
        {
            return Decision::Answer(answer);
        }
        if unshared.ask_alone && self.asked.is_read() {
            return self.pass();
        }
        let status = self.forwarded(true).forward_status(unshared.status).detail(unshared.why);
        Decision::Answer(ClientResponse::passed(unshared, &self.asked, &status))
    }

    fn forwarded(&self, led: bool) -> CacheStatus {
        CacheStatus::forwarded(self.fwd).collapsed(!led)
    }

    /// The fields that select a variant, as the origin gets to see them where nothing is known.
    fn selecting(&self) -> HeaderMap {
        self.asked.fields.clone()
    }
}
