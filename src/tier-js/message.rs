//! Messages of invalidation. JSON is for JS to read and write: a second parser would double this wasm.

use nearcache::tier::message::{self, Action, Heed, Message, Origin, Purged, Subject};
use wasm_bindgen::prelude::wasm_bindgen;

/// Follows the messages of all sources.
#[wasm_bindgen]
#[derive(Default)]
pub struct Follower {
    follower: message::Follower,
}

#[wasm_bindgen]
impl Follower {
    /// Of none yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Follower {
        Follower::default()
    }

    /// What to do about a message with these fields ([`message_of`]): what kind of thing to purge, its name and `soft` if it is stale
    /// only; `clear`, and perhaps why; or nothing. `seq`: NaN for none.
    pub fn handle(&mut self, source: Option<String>, seq: f64, fields: Vec<String>) -> Option<Vec<String>> {
        match message_of(source, seq, &fields) {
            Some(message) => told(self.follower.handle(&message)),
            None => Some(self.refuse()),
        }
    }

    /// A message came that can't be read: what to do.
    pub fn refuse(&mut self) -> Vec<String> {
        self.follower.handle_refused();
        vec!["clear".to_owned(), "a message could not be read".to_owned()]
    }

    /// The connection was lost, and is there again: clear.
    pub fn reconnected(&mut self) {
        self.follower.handle_reconnected();
    }

    /// How often messages were lost, as far as that was noticed.
    pub fn gaps(&self) -> f64 {
        self.follower.gaps() as f64
    }
}

/// What a message with these fields purges, as [`Follower::handle`] has it; nothing if nobody would read it.
#[wasm_bindgen]
pub fn message_purges(source: String, seq: f64, fields: Vec<String>) -> Option<Vec<String>> {
    let message = message_of(Some(source), seq, &fields)?;
    Some(purge(message.purged(), message.is_soft()))
}

/// A message of these: entity, id, tag, url, prefix and action, each empty where there is none.
pub(super) fn message_of(source: Option<String>, seq: f64, fields: &[String]) -> Option<Message> {
    let [entity, id, tag, url, prefix, action] = fields else { return None };
    // A number that is none, or has a part, becomes one that is refused.
    let number = if seq.fract() == 0.0 { seq as u64 } else { 0 };
    let origin = match source {
        Some(source) => Some(Origin { source, seq: number }),
        None if seq.is_nan() => None,
        None => return None,
    };
    let [entity, id, tag, url, prefix] =
        [entity, id, tag, url, prefix].map(|text| Some(text.clone()).filter(|text| !text.is_empty()));
    let subject = Subject { entity, id, tag, url, prefix };
    Message::from_parts(origin, None, subject, Action::named(action)?).ok()
}

fn told(heed: Heed) -> Option<Vec<String>> {
    match heed {
        Heed::Nothing => None,
        Heed::Purge { purged, soft } => Some(purge(purged, soft)),
        Heed::Clear { missed: None } => Some(vec!["clear".to_owned()]),
        Heed::Clear { missed: Some((first, last)) } => {
            Some(vec!["clear".to_owned(), format!("messages {first} to {last} were lost")])
        }
    }
}

/// The kind, the name, and whether it is stale only.
pub(super) fn purge(purged: Purged, soft: bool) -> Vec<String> {
    let (kind, name) = match purged {
        Purged::Tag(tag) => ("tag", tag),
        Purged::Url(url) => ("url", url),
        Purged::Prefix(prefix) => ("prefix", prefix),
        Purged::Everything => ("everything", String::new()),
    };
    vec![kind.to_owned(), name, if soft { "soft" } else { "" }.to_owned()]
}
