//! One trip to the origin.

use std::collections::VecDeque;
use std::ops::Range;
use std::rc::Rc;

use ::http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, IF_RANGE, RANGE};
use ::http::{HeaderMap, StatusCode};

use super::change::{Change, Kind};
use super::forward::FetchHead;
use super::key::{self, FlightKey, Key};
use super::manifest::Manifest;
use super::outcome::{Failure, FetchOutcome, Unshared};
use super::record::{Record, Stored, passed_on, without_refused_cookies};
use super::request::Asked;
use super::response::ResponseHead;
use crate::http::fields::{ContentRange, only, trim};
use crate::http::rule::{Purge, Rule};
use crate::http::rules::stale::is_failure;
use crate::http::rules::storability::{NotStorable, Storability, storability};
use crate::http::rules::{invalidation, ranges};

/// A trip to the origin, alone or for all who ask for the same.
///
/// Send [`head`](Self::head), tell what comes, do what the [`Progress`] says, and carry out every
/// [`poll_change`](Self::poll_change) after each call.
#[derive(Debug)]
pub struct Fetch<B> {
    pub(super) rule: Rc<Rule>,
    pub(super) asked: Asked,
    pub(super) key: Key,
    pub(super) flight: Option<FlightKey>,
    pub(super) head: FetchHead,
    /// The request fields that select a variant, as the origin sees them; `None`: nothing may be stored.
    pub(super) selecting: Option<HeaderMap>,
    /// The stored responses whose validators the request carries, the selected one first.
    pub(super) validating: Vec<Stored<B>>,
    /// Whether the first of them is what the request selects.
    pub(super) selected: bool,
    /// The stored part that what comes is to complete.
    pub(super) completing: Option<Stored<B>>,
    /// Whether it has the client's cookies only because something that is stored varies by them.
    pub(super) by_cookie: bool,
    /// Whether a store below the memory may have what it is for.
    pub(super) below: bool,
    /// Whether it is marked that answers are nobody else's.
    pub(super) mark: bool,
    pub(super) retried: bool,
    pub(super) pending: Option<Pending<B>>,
    pub(super) changes: VecDeque<Change<B>>,
    pub(super) purges: VecDeque<Purge>,
}

/// What to do next.
#[derive(Debug)]
pub enum Progress<B> {
    /// Send [`Fetch::head`] again: it has changed. The body of what came is of no use.
    SendAgain,
    /// Read the body, whole: then [`handle_body`](Fetch::handle_body), or
    /// [`handle_too_long`](Fetch::handle_too_long) or [`handle_failure`](Fetch::handle_failure).
    Read(Rc<Filling<B>>),
    /// That was all. Of [`FetchOutcome::Unshared`] the body is the leader's; any other is to be cancelled.
    Done(FetchOutcome<B>),
}

/// A response whose body is being read for the store.
#[derive(Debug)]
pub struct Filling<B> {
    /// The response, but for its length, where it may be handed out while it is read:
    /// [`Exchange::handle_filling`](super::Exchange::handle_filling).
    pub(super) record: Option<Rc<Record>>,
    /// Whether it is not what the leader asked for, who is to have its own.
    pub(super) others: bool,
    /// The most bytes of it that are of use.
    pub limit: u64,
    /// How many the origin has announced.
    pub expected: Option<u64>,
    /// What the body is to be made of, in this order, where what is stored is completed; empty: of what comes.
    pub assemble: Vec<Piece<B>>,
}

impl<B> Filling<B> {
    /// How long a body is that could lie apart: a whole one, of announced length, that may answer anybody and goes to the leader.
    pub fn may_lie_apart(&self, now: u64) -> Option<u64> {
        let usable = self.record.as_ref().is_some_and(|record| record.is_usable(now));
        self.expected.filter(|length| usable && !self.others && *length > 0)
    }

    /// By what names it is to be purged, as far as anybody may have it before it is whole.
    pub fn tags(&self) -> &[String] {
        self.record.as_ref().map_or(&[], |record| &record.tags)
    }
}

/// A piece of a body that is put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<B> {
    /// These bytes of a stored body.
    Stored(B, Range<u64>),
    /// These bytes of the body that comes.
    New(Range<u64>),
}

/// What is known between a response's head and the end of its body.
#[derive(Debug)]
pub(super) enum Pending<B> {
    Store { record: Record, declared: Option<ContentRange>, expected: Option<u64>, pieces: Vec<Piece<B>> },
    Page { record: Record, announced: Option<u64>, failure: Failure, retry_after: Option<u32> },
}

impl<B: Clone> Fetch<B> {
    /// Whose load it is: whoever wants to make a trip with the same key waits for this one. `None`: nobody shares it.
    pub fn flight(&self) -> Option<&FlightKey> {
        self.flight.as_ref()
    }

    /// What its changes concern: a purge of this key beats it.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The request to send.
    pub fn head(&self) -> &FetchHead {
        &self.head
    }

    /// What changes in the store.
    pub fn poll_change(&mut self) -> Option<Change<B>> {
        self.changes.pop_front()
    }

    /// What else is to be purged: tags, and URLs and their prefixes with their host ([`PurgedUrl`](super::PurgedUrl)).
    pub fn poll_purge(&mut self) -> Option<Purge> {
        self.purges.pop_front()
    }

    /// The head of a response has come to the request that was sent at `sent_at`.
    pub fn handle_response(&mut self, head: ResponseHead, sent_at: u64, now: u64) -> Progress<B> {
        let status = match head.status() {
            Ok(status) => status,
            Err(failure) => return Progress::Done(self.fail(failure, None, None, now)),
        };
        let Some(selecting) = self.selecting.clone() else { return self.pass(status, &head.fields, now) };
        if status == StatusCode::NOT_MODIFIED {
            if head.damaged {
                return self.again(now);
            }
            return self.not_modified(&head.fields, &selecting, sent_at, now);
        }
        if self.completing.is_some() && !matches!(status.as_u16(), 200 | 206) && !is_failure(status) {
            return self.again(now);
        }
        let mut sent = selecting.clone();
        for name in [AUTHORIZATION, RANGE] {
            if let Some(value) = self.head.fields.get(&name) {
                sent.insert(name, value.clone());
            }
        }
        let judged = match status {
            _ if head.damaged => Err(NotStorable::Damaged),
            // Nobody asked for a part.
            StatusCode::PARTIAL_CONTENT if !self.head.fields.contains_key(RANGE) => Err(NotStorable::Partial),
            _ => self.judge(&sent, (status, &head.fields), (sent_at, now)),
        };
        if is_failure(status) && (judged.is_err() || self.validating.iter().any(|old| may_stand_in(old, now))) {
            return self.failed(status, head.fields, judged, &selecting, now);
        }
        match judged {
            // Who wants a fresher answer takes the usable one from nobody.
            Ok(storability) if self.has_usable(now) && (storability.always_validate || status.as_u16() >= 400) => {
                Progress::Done(self.unshared(status, &head.fields, "usable-one-kept", false, now))
            }
            Ok(storability) => self.store(status, head.fields, storability, &selecting, now),
            Err(_) if self.completing.is_some() => self.again(now),
            Err(why) => {
                self.mark_uncacheable(why, status, now);
                Progress::Done(self.unshared(status, &head.fields, why.code(), false, now))
            }
        }
    }

    /// Whether a response may be stored: what was asked for with somebody's cookies is for all only if it says itself that it
    /// varies by them, as what is stored does.
    pub(super) fn judge(
        &self,
        sent: &HeaderMap,
        response: (StatusCode, &HeaderMap),
        times: (u64, u64),
    ) -> Result<Storability, NotStorable> {
        let storability = storability(&self.rule, sent, response, times)?;
        match self.by_cookie && !storability.vary.names().contains(&COOKIE) {
            true => Err(NotStorable::Cookie),
            false => Ok(storability),
        }
    }

    /// The body has been read to its end: so many bytes, which lie in `body` (as [`Filling::assemble`] says).
    pub fn handle_body(&mut self, body: B, length: u64, now: u64) -> FetchOutcome<B> {
        match self.pending.take() {
            Some(Pending::Store { mut record, declared, expected, pieces }) => {
                let came: u64 = match pieces.is_empty() {
                    true => length,
                    false => length.saturating_sub(pieces.iter().map(Piece::stored_length).sum()),
                };
                if expected.is_some_and(|expected| expected != came) {
                    return self.fail(broken(), None, None, now);
                }
                let part = match declared {
                    None => None,
                    // It is as long as it is, whatever it says: less of it came, and more can't be.
                    Some(part) if length > part.bytes.end - part.bytes.start => {
                        return self.fail(broken(), None, None, now);
                    }
                    Some(part) => {
                        let bytes = part.bytes.start..part.bytes.start + length;
                        // Content that is as long as its Content-Length, and shorter than its Content-Range up to the
                        // end: the origin has counted wrong, and the end is where the content ends.
                        let to_the_end = part.total == Some(part.bytes.end) && expected.is_some();
                        let total = if to_the_end { Some(bytes.end) } else { part.total };
                        let whole = bytes.start == 0 && total == Some(bytes.end);
                        (!whole).then_some(ContentRange { bytes, total })
                    }
                };
                if part.is_none() {
                    record.become_whole();
                }
                record.set_length(part, length);
                let stored = Stored { record: Rc::new(record), body };
                self.change(Kind::Store(stored.clone(), self.rule.max_variants));
                FetchOutcome::Stored(stored)
            }
            Some(Pending::Page { mut record, failure, retry_after, .. }) => {
                record.set_length(None, length);
                let page = Stored { record: Rc::new(record), body };
                self.fail(failure, Some(page), retry_after, now)
            }
            None => self.fail(broken(), None, None, now),
        }
    }

    /// The body is to lie apart, and goes to the leader as it comes: then [`handle_apart`](Self::handle_apart), or nothing if it could not be
    /// kept. Meanwhile others go to the origin by themselves. `None` where it has to be whole before anybody can have it, or is
    /// of unknown length ([`Filling::may_lie_apart`]).
    pub fn begin_apart(&mut self, now: u64) -> Option<FetchOutcome<B>> {
        let Some(Pending::Store { record, declared: None, expected: Some(length), pieces }) = &self.pending else {
            return None;
        };
        if !pieces.is_empty() {
            return None;
        }
        let (status, fields) = (record.status, with_length(record, Some(*length)));
        self.change(Kind::MarkUncacheable(now.saturating_add(self.rule.uncacheable_ttl_ms)));
        Some(FetchOutcome::Unshared(Unshared {
            status,
            fields,
            why: "stored-apart",
            ask_alone: false,
            failure: false,
            ordinary: self.is_ordinary(),
        }))
    }

    /// All of the body lies apart now, as the manifest says; `body` is an empty one. `false` where that is not the body that was announced.
    pub fn handle_apart(&mut self, manifest: Manifest, body: B) -> bool {
        let Some(Pending::Store { mut record, declared: None, expected, .. }) = self.pending.take() else {
            return false;
        };
        if expected != Some(manifest.length()) {
            return false;
        }
        record.set_length(None, manifest.length());
        record.apart = Some(Rc::new(manifest));
        self.change(Kind::Store(Stored { record: Rc::new(record), body }, self.rule.max_variants));
        true
    }

    /// The body is longer than is of use: it goes to the leader as it comes, and to nobody else.
    pub fn handle_too_long(&mut self, now: u64) -> FetchOutcome<B> {
        let (record, announced, incomplete) = match self.pending.take() {
            Some(Pending::Store { record, expected, pieces, .. }) => (record, expected, !pieces.is_empty()),
            Some(Pending::Page { record, announced, .. }) => (record, announced, false),
            None => return self.fail(broken(), None, None, now),
        };
        let others = self.is_others(&record);
        if !incomplete {
            let until = now.saturating_add(self.rule.uncacheable_ttl_ms);
            self.change(Kind::MarkUncacheable(until));
        }
        FetchOutcome::Unshared(Unshared {
            status: record.status,
            fields: with_length(&record, announced),
            why: "too-large",
            ask_alone: incomplete || others,
            failure: false,
            ordinary: self.is_ordinary(),
        })
    }

    /// No answer came, or its body broke off.
    pub fn handle_failure(&mut self, failure: Failure, now: u64) -> FetchOutcome<B> {
        self.pending = None;
        self.fail(failure, None, None, now)
    }

    /// Whether what the request selects would have done without this trip.
    fn has_usable(&self, now: u64) -> bool {
        let selected = self.validating.first().filter(|_| self.selected);
        selected.is_some_and(|stored| stored.record.status.as_u16() < 400 && stored.record.is_usable(now))
    }

    pub(super) fn change(&mut self, kind: Kind<B>) {
        self.changes.push_back(Change::new(self.key.clone(), kind));
    }

    /// Without what was stored: whole, and without conditions.
    pub(super) fn again(&mut self, now: u64) -> Progress<B> {
        if self.retried {
            let failure = Failure::Unreachable("its answer does not fit the request".to_owned());
            return Progress::Done(self.fail(failure, None, None, now));
        }
        self.retried = true;
        self.completing = None;
        self.validating.clear();
        for name in [::http::header::IF_NONE_MATCH, ::http::header::IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
            self.head.fields.remove(name);
        }
        Progress::SendAgain
    }

    fn pass(&mut self, status: StatusCode, fields: &HeaderMap, now: u64) -> Progress<B> {
        if invalidation::invalidates(&self.asked.method, status) {
            match self.rule.key.has_parts() {
                // All variants go, those that differ by what else is in the key too.
                true => self.invalidate(&self.asked.target.clone()),
                false => {
                    self.changes.push_back(Change::new(Key::of_request(&self.rule, &self.asked), Kind::Invalidate))
                }
            }
            for target in invalidation::also_invalidated(&self.asked.host, &self.asked.target, fields) {
                self.invalidate(&target);
            }
            for purge in self.rule.clone().purges.iter() {
                match purge {
                    Purge::Target(target) => self.invalidate(target),
                    Purge::Prefix(path) => {
                        self.purges.push_back(Purge::Prefix(key::url(&self.asked, path)));
                    }
                    Purge::Tag(_) => self.purges.push_back(purge.clone()),
                }
            }
        }
        Progress::Done(self.unshared(status, fields, "pass", false, now))
    }

    /// All that is stored of a target on the same host goes. What is in its keys its own rule says, which need not be this one.
    fn invalidate(&mut self, target: &str) {
        self.purges.push_back(Purge::Target(key::url(&self.asked, target)));
    }

    fn store(
        &mut self,
        status: StatusCode,
        mut fields: HeaderMap,
        storability: Storability,
        selecting: &HeaderMap,
        now: u64,
    ) -> Progress<B> {
        let expected = announced(&fields);
        let mut declared = storability.part.clone();
        without_refused_cookies(&self.rule, &mut fields);
        let mut pieces = Vec::new();
        if let (Some(part), Some(old)) = (&declared, &self.completing) {
            match combine(&old.record, part, &fields) {
                // As much as both are can't be kept, and can't go by in two pieces.
                Some((joined, _)) if joined.bytes.end - joined.bytes.start > self.rule.max_body_bytes => {
                    return self.again(now);
                }
                Some((joined, before)) => {
                    let (old_piece, new_piece) = (Piece::Stored(old.body.clone(), 0..old.record.length), part);
                    let new_piece = Piece::New(0..new_piece.bytes.end - new_piece.bytes.start);
                    pieces = if before { vec![old_piece, new_piece] } else { vec![new_piece, old_piece] };
                    declared = Some(joined);
                    // The newer fields count, the others stay (RFC 9110 §15.3.7.3).
                    fields = old.record.freshened(&self.rule, &fields);
                }
                None => return self.again(now),
            }
        }
        let record = Record::new(&self.rule, status, fields, selecting, storability, 0);
        let streams = pieces.is_empty() && declared.is_none();
        let filling = Filling {
            record: streams.then(|| {
                let fields = with_length(&record, expected);
                Rc::new(Record { length: expected.unwrap_or(u64::MAX), fields, ..record.clone() })
            }),
            others: self.is_others(&record),
            limit: self.rule.max_body_bytes,
            expected,
            assemble: pieces.clone(),
        };
        self.pending = Some(Pending::Store { record, declared, expected, pieces });
        Progress::Read(Rc::new(filling))
    }

    fn mark_uncacheable(&mut self, why: NotStorable, status: StatusCode, now: u64) {
        // What one request's fields may have caused is not held against the others.
        if self.mark && self.is_ordinary() && why.worth_remembering(status) {
            let until = now.saturating_add(self.rule.uncacheable_ttl_ms);
            self.change(Kind::MarkUncacheable(until));
            // Another that is good, and for one client alone, says that what was to be renewed will not do any more (RFC 9111 §4.3.3): its
            // stale window ends. A refusal may be of the moment.
            let renews = self.selected && status.is_success();
            let stale = self.validating.first().filter(|old| renews && !old.record.freshness.is_fresh(now));
            if let Some(old) = stale.map(|old| old.record.clone()) {
                self.change(Kind::Drop(old));
            }
        }
    }

    pub(super) fn unshared(
        &self,
        status: StatusCode,
        fields: &HeaderMap,
        why: &'static str,
        failure: bool,
        now: u64,
    ) -> FetchOutcome<B> {
        FetchOutcome::Unshared(Unshared {
            status,
            fields: passed_on(&self.rule, fields.clone(), now),
            why,
            // The answer is not for all, so it may be the client's own, which its cookies ask for.
            ask_alone: self.is_without_cookies(),
            failure,
            ordinary: self.is_ordinary(),
        })
    }

    fn is_without_cookies(&self) -> bool {
        self.asked.has(&COOKIE) && !self.head.fields.contains_key(COOKIE)
    }

    /// Whether it is the answer to those who have no cookies, and this client has some.
    fn is_others(&self, record: &Record) -> bool {
        self.is_without_cookies() && record.vary.names().contains(&COOKIE)
    }
}

impl<B> Piece<B> {
    fn stored_length(&self) -> u64 {
        match self {
            Self::Stored(_, bytes) => bytes.end - bytes.start,
            Self::New(_) => 0,
        }
    }
}

/// Whether a stored response may be handed out where the origin says that it has failed.
fn may_stand_in<B>(stored: &Stored<B>, now: u64) -> bool {
    stored.record.may_stand_in(crate::http::rules::stale::StaleGround::Error, now)
}

/// What a stored part and a new one are together, and whether the stored one is the first of them. Only parts that
/// share a strong entity tag go together (RFC 9111 §3.4).
fn combine(old: &Record, new: &ContentRange, new_fields: &HeaderMap) -> Option<(ContentRange, bool)> {
    let held = old.part.as_ref()?;
    let (tag, new_tag) = (ranges::strong_tag(old.said())?, ranges::strong_tag(new_fields)?);
    let same = tag == new_tag && (held.total == new.total || new.total.is_none());
    let before = held.bytes.end == new.bytes.start;
    (same && (before || new.bytes.end == held.bytes.start)).then(|| {
        let bytes = held.bytes.start.min(new.bytes.start)..held.bytes.end.max(new.bytes.end);
        (ContentRange { bytes, total: held.total }, before)
    })
}

/// How long a body is to be, by its head.
pub(super) fn announced(fields: &HeaderMap) -> Option<u64> {
    only(fields, &CONTENT_LENGTH).and_then(|line| number(line.as_bytes()))
}

/// The fields of a response whose body comes yet.
fn with_length(record: &Record, announced: Option<u64>) -> HeaderMap {
    let mut fields = record.fields.clone();
    match announced.filter(|_| record.has_content()) {
        Some(length) => fields.insert(CONTENT_LENGTH, length.into()),
        None => fields.remove(CONTENT_LENGTH),
    };
    fields
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(trim(digits)).ok()?.parse().ok()
}

fn broken() -> Failure {
    Failure::Unreachable("its answer broke off".to_owned())
}
