//! With what a client's request goes to the origin.

use std::collections::VecDeque;
use std::rc::Rc;

use ::http::header::{AUTHORIZATION, COOKIE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use ::http::{Method, StatusCode};

use super::client::{Decision, Exchange};
use super::fetch::Fetch;
use super::forward::FetchHead;
use super::key::{FlightKey, push_part};
use super::record::Stored;
use super::target::Target;
use crate::http::rule::{Cookies, Ranges};
use crate::http::rules::ranges;
use crate::http::rules::validation::conditions;
use crate::http::rules::vary::variant_key;

impl<B: Clone> Exchange<B> {
    /// As it is, alone, and what comes is its own.
    pub(super) fn pass(&mut self) -> Decision<B> {
        self.trips += 1;
        let head = FetchHead::new(&self.rule, &self.asked, self.asked.method.clone(), self.asked.fields.clone());
        Decision::Fetch(Box::new(Fetch {
            rule: self.rule.clone(),
            asked: self.asked.clone(),
            key: self.key.clone(),
            flight: None,
            head,
            selecting: None,
            validating: Vec::new(),
            selected: false,
            completing: None,
            by_cookie: false,
            below: false,
            mark: false,
            retried: false,
            pending: None,
            changes: VecDeque::new(),
            purges: VecDeque::new(),
        }))
    }

    /// Nobody waits for what this brings; it is stored all the same where it turns out that it may be.
    pub(super) fn alone(&mut self, target: &Target<B>, now: u64) -> Decision<B> {
        let conditional = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE];
        let own = self.asked.has(&COOKIE) && self.rule.cookies == Cookies::Drop;
        if own || self.asked.method == Method::HEAD || conditional.iter().any(|name| self.asked.has(name)) {
            return self.pass();
        }
        let mut fetch = self.fill(Some(target), now);
        fetch.flight = None;
        Decision::Fetch(Box::new(fetch))
    }

    /// With a request whose answer may be everybody's.
    pub(super) fn fill(&mut self, target: Option<&Target<B>>, now: u64) -> Fetch<B> {
        self.trips += 1;
        let varies = target.map(Target::varies).unwrap_or_default();
        let forwards = self.rule.cookies == Cookies::Forward;
        let by_cookie =
            !forwards && varies.iter().any(|vary| vary.names().contains(&COOKIE)) && self.asked.has(&COOKIE);
        let selecting = self.asked.shared_fields(forwards || by_cookie, &self.rule.key.cookies);
        let mut fields = selecting.clone();
        let selection = target.map(|target| target.select(&selecting, now));
        let whole = selection.as_ref().and_then(|selection| selection.whole);
        let part = selection.as_ref().and_then(|selection| selection.part);
        let mut validating: Vec<Stored<B>> = Vec::new();
        let (mut completing, mut selected) = (None, false);
        let ranged = self.asked.method == Method::GET && self.asked.has(&RANGE);
        let forbidden = self.asked.control.no_store || (ranged && self.rule.ranges == Ranges::Pass);
        // A 304 stands for a 200 (RFC 9110 §15.4.5), and is of use only where what is stored may be used for this request.
        let validatable = |stored: &&Stored<B>| !forbidden && stored.record.status == StatusCode::OK;
        if let Some(whole) = whole.filter(validatable) {
            selected = true;
            validating.push(whole.clone());
        }
        if let Some(target) = target.filter(|_| !ranged || whole.is_some()) {
            let others = target.stored.iter().filter(|stored| {
                validatable(stored)
                    && stored.record.part.is_none()
                    && !validating.iter().any(|known| Rc::ptr_eq(&known.record, &stored.record))
            });
            let tagged = others.filter(|stored| stored.record.fields.contains_key(ETAG));
            let others: Vec<_> = tagged.cloned().collect();
            validating.extend(others);
        }
        let of_selected = whole.filter(validatable).map(|stored| &stored.record.fields);
        let of_others = validating.iter().skip(usize::from(selected)).map(|stored| &stored.record.fields);
        for (name, value) in conditions(of_selected, of_others) {
            fields.insert(name, value);
        }
        if whole.is_none() && ranged && self.rule.ranges != Ranges::Whole {
            for name in [RANGE, IF_RANGE] {
                if let Some(value) = self.asked.value(&name) {
                    fields.insert(name, value.clone());
                }
            }
        } else if whole.is_none()
            && !forbidden
            && let Some(part) = part
            && part.record.freshness.is_fresh(now)
            && part
                .record
                .part
                .as_ref()
                .and_then(|part| part.total)
                .is_none_or(|total| total <= self.rule.max_body_bytes)
            && let Some(tag) = ranges::strong_tag(part.record.said())
            && let Some(missing) = part.record.part.as_ref().and_then(ranges::missing).and_then(ranges::to_value)
        {
            fields.insert(RANGE, missing);
            fields.insert(IF_RANGE, tag.clone());
            completing = Some(part.clone());
        }
        let flight = (!forbidden && self.shares(whole)).then(|| {
            let mut part = Vec::new();
            for vary in &varies {
                push_part(&mut part, &variant_key(vary, &selecting));
            }
            if let Some(range) = fields.get(RANGE) {
                push_part(&mut part, range.as_bytes());
            }
            FlightKey { key: self.key.clone(), part }
        });
        let below = flight.is_some()
            && self.layer.is_none()
            && !self.missed
            && !fields.contains_key(RANGE)
            && !self.wants_origins();
        let head = FetchHead::new(&self.rule, &self.asked, Method::GET, fields);
        Fetch {
            rule: self.rule.clone(),
            asked: self.asked.clone(),
            key: self.key.clone(),
            flight,
            head,
            selecting: (!forbidden).then_some(selecting),
            validating,
            selected,
            completing,
            by_cookie,
            below,
            mark: true,
            retried: false,
            pending: None,
            changes: VecDeque::new(),
            purges: VecDeque::new(),
        }
    }

    /// Whether others may wait for the answer to this request: not where it is most likely its own, nor where what is
    /// stored has to be validated for each request by itself (RFC 9111 §5.2.2.4).
    fn shares(&self, selected: Option<&Stored<B>>) -> bool {
        // Where the origin leads back, a request that came by here before would wait for its own end.
        self.asked.hops == 0
            && !self.asked.has(&AUTHORIZATION)
            && selected.is_none_or(|stored| !stored.record.always_validate)
    }
}
