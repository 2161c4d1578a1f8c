//! Messages of invalidation. JSON is for JS to read and write: a second parser would double this wasm.

use nearcache::tier::message::{self, Action, Heed, Message, Origin};
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

    /// What to do about a message with these fields: `purge` and a tag, `clear` and perhaps why, or nothing. `seq`: NaN for none.
    pub fn handle(
        &mut self,
        source: Option<String>,
        seq: f64,
        entity: Option<String>,
        id: Option<String>,
        action: &str,
    ) -> Option<Vec<String>> {
        match message_of(source, seq, entity, id, action) {
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

/// The tag that a message with these fields purges, empty for everything; nothing if nobody would read it.
#[wasm_bindgen]
pub fn message_tag(
    source: String,
    seq: f64,
    entity: Option<String>,
    id: Option<String>,
    action: &str,
) -> Option<String> {
    message_of(Some(source), seq, entity, id, action).map(|message| message.tag().unwrap_or_default())
}

fn message_of(
    source: Option<String>,
    seq: f64,
    entity: Option<String>,
    id: Option<String>,
    action: &str,
) -> Option<Message> {
    // A number that is none, or has a part, becomes one that is refused.
    let number = if seq.fract() == 0.0 { seq as u64 } else { 0 };
    let origin = match source {
        Some(source) => Some(Origin { source, seq: number }),
        None if seq.is_nan() => None,
        None => return None,
    };
    Message::from_parts(origin, None, entity, id, Action::named(action)?).ok()
}

fn told(heed: Heed) -> Option<Vec<String>> {
    match heed {
        Heed::Nothing => None,
        Heed::Purge(tag) => Some(vec!["purge".to_owned(), tag]),
        Heed::Clear { missed: None } => Some(vec!["clear".to_owned()]),
        Heed::Clear { missed: Some((first, last)) } => {
            Some(vec!["clear".to_owned(), format!("messages {first} to {last} were lost")])
        }
    }
}
