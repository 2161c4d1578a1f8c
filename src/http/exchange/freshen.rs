//! What a 304 does to what is stored (RFC 9111 §4.3.4).

use std::rc::Rc;

use ::http::HeaderMap;

use super::change::Kind;
use super::failure::for_once;
use super::fetch::{Fetch, Progress};
use super::outcome::FetchOutcome;
use super::record::{Record, Stored};
use crate::http::rules::validation::{Nominated, nominates};
use crate::http::rules::vary::{Vary, variant_key};

impl<B: Clone> Fetch<B> {
    pub(super) fn not_modified(
        &mut self,
        fields: &HeaderMap,
        selecting: &HeaderMap,
        sent_at: u64,
        now: u64,
    ) -> Progress<B> {
        let mut freshest: Option<Stored<B>> = None;
        let mut changes = Vec::new();
        for (position, old) in self.validating.clone().iter().enumerate() {
            let is_selected = position == 0 && self.selected;
            let concerned = match nominates(fields, &old.record.fields) {
                Nominated::Tagged => true,
                Nominated::Selected => is_selected,
                Nominated::None => false,
            };
            if !concerned {
                continue;
            }
            let merged = old.record.freshened(&self.rule, fields);
            let storability = match self.judge(selecting, (old.record.status, &merged), (sent_at, now)) {
                Ok(storability) => storability,
                Err(why) => {
                    // What the origin takes back goes; what only this request is the reason for changes nothing.
                    if why.is_of_response() {
                        self.change(Kind::Drop(old.record.clone()));
                    }
                    if freshest.is_none() {
                        freshest = Some(self.freshen_for_once(old, merged, selecting, now));
                    }
                    continue;
                }
            };
            let vary = storability.vary.clone();
            let mut record =
                Record::new(&self.rule, old.record.status, merged, selecting, storability, old.record.length);
            if !is_selected && vary == old.record.vary {
                // It goes on answering the requests that it answered.
                record.variant.clone_from(&old.record.variant);
            }
            record.keep_body(&old.record);
            if record.tags.len() < old.record.tags.len() {
                record.tags.clone_from(&old.record.tags);
            }
            let new = Stored { record: Rc::new(record), body: old.body.clone() };
            changes.push((old.record.clone(), new.clone()));
            if freshest.is_none() {
                // A variant that was not selected answers this request too: the origin says so.
                if !is_selected && variant_key(&vary, selecting) != new.record.variant {
                    let mut own = Record::clone(&new.record);
                    own.variant = variant_key(&vary, selecting);
                    let own = Stored { record: Rc::new(own), body: old.body.clone() };
                    changes.push((own.record.clone(), own.clone()));
                    freshest = Some(own);
                } else {
                    freshest = Some(new);
                }
            }
        }
        if !changes.is_empty() {
            self.change(Kind::Freshen(changes));
        }
        match freshest {
            Some(stored) => Progress::Done(FetchOutcome::Stored(stored)),
            None => self.again(now),
        }
    }

    /// What the origin says is still right, but not to be stored any longer.
    fn freshen_for_once(&self, old: &Stored<B>, merged: HeaderMap, selecting: &HeaderMap, now: u64) -> Stored<B> {
        let storability = for_once(&merged, Vary::default(), now);
        let mut record = Record::new(&self.rule, old.record.status, merged, selecting, storability, 0);
        record.keep_body(&old.record);
        Stored { record: Rc::new(record), body: old.body.clone() }
    }
}
