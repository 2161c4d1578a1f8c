//! Messages of invalidation: what was purged, told to whoever may have it in memory.
//!
//! # Format
//!
//! A message is one JSON object. Other services may publish it.
//!
//! ```json
//! { "v": 1, "source": "orders-7f3a", "seq": 12, "at": 1774000000000, "entity": "order", "id": "42", "action": "update" }
//! ```
//!
//! | field | what |
//! | --- | --- |
//! | `v` | version: 1; another is refused, and counts as lost |
//! | `source` | who publishes, up to 128 bytes: one process, one counter |
//! | `seq` | the source's messages, counted from 1 without a gap, up to 2^53 - 1. Without `source` and `seq` a lost message goes unnoticed |
//! | `at` | when, in ms since 1970; may be left out |
//! | `entity` | the kind of data, up to 256 bytes; its keys bear the tag of that name |
//! | `id` | which one, up to 1,024 bytes; without it all of the entity |
//! | `tag` | instead of an entity: what bears this tag, up to 1,024 bytes |
//! | `url` | the same: a URL without its scheme, or a path and query on every host, up to 2,048 bytes. For HTTP caches; others ignore it |
//! | `prefix` | the same: all URLs, or paths, that begin so |
//! | `action` | `create`, `update`, `delete`: it is not to be handed out any more; `expire`: it is stale; `clear`: all there is (without a subject) |
//!
//! A message is about one of `entity`, `tag`, `url` and `prefix`; `expire` without any is about all there is. Fields that are not known are
//! ignored. A message takes 4 KiB at the most.

use serde::{Deserialize, Serialize};

/// So many bytes can a message have.
pub const LONGEST: usize = 4_096;
/// What JSON's numbers hold exactly.
const MOST: u64 = (1 << 53) - 1;

/// A message of invalidation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    v: u8,
    /// Who publishes it, and the number of it among that one's messages.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// When it was published, in ms since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<u64>,
    /// What it is about.
    #[serde(flatten)]
    pub subject: Subject,
    /// What happened to it.
    pub action: Action,
}

/// What a message is about: one of an entity, a tag, a URL and a prefix, or nothing, which is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The kind of data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entity: Option<String>,
    /// Which one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// A URL without its scheme, or a path and query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What URLs, or paths, begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// What a message purges.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Purged {
    /// What bears this tag.
    Tag(String),
    /// This URL.
    Url(String),
    /// All URLs that begin so.
    Prefix(String),
    /// All there is.
    Everything,
}

/// Where a message comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// A process that publishes.
    pub source: String,
    /// Its messages, counted from 1.
    pub seq: u64,
}

/// What happened to data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// There is something new: lists of the entity, and memories of its absence, are out of date.
    Create,
    /// It changed.
    Update,
    /// It is gone.
    Delete,
    /// It is stale: still of use where stale values are.
    Expire,
    /// Everything may have changed.
    Clear,
}

impl Action {
    /// The action of this name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "create" => Self::Create,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "expire" => Self::Expire,
            "clear" => Self::Clear,
            _ => return None,
        })
    }
}

/// Why a message can't be heeded. It counts as lost: see [`Follower::handle_refused`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// Longer than 4 KiB.
    TooLong,
    /// No JSON of this form; what is wrong with it.
    Malformed(String),
    /// A version that this one does not read.
    Version(u64),
}

impl std::fmt::Display for MessageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "a message of more than {LONGEST} bytes"),
            Self::Malformed(why) => write!(f, "not a message of invalidation: {why}"),
            Self::Version(version) => write!(f, "a message of version {version}; 1 is read"),
        }
    }
}

impl std::error::Error for MessageError {}

impl Message {
    /// That something happened to one of an entity, or to all of it.
    pub fn new(entity: impl Into<String>, id: Option<String>, action: Action) -> Self {
        Self::about(Subject { entity: Some(entity.into()), id, ..Subject::default() }, action)
    }

    /// That everything may have changed.
    pub fn clear() -> Self {
        Self::about(Subject::default(), Action::Clear)
    }

    fn about(subject: Subject, action: Action) -> Self {
        Self { v: 1, origin: None, at: None, subject, action }
    }

    /// Reads a message that anybody may have sent.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        if text.len() > LONGEST {
            return Err(MessageError::TooLong);
        }
        let malformed = |why: &str| MessageError::Malformed(why.to_owned());
        let json: serde_json::Value = serde_json::from_str(text).map_err(|error| malformed(&error.to_string()))?;
        match json.get("v").and_then(serde_json::Value::as_u64) {
            Some(1) => {}
            Some(version) => return Err(MessageError::Version(version)),
            None => return Err(malformed("v is missing")),
        }
        let has = |field: &str| json.get(field).is_some();
        if has("source") != has("seq") {
            return Err(malformed("source and seq go together"));
        }
        // Flattened, a wrong origin would pass for none.
        let wants_origin = has("source");
        let message: Self = serde_json::from_value(json).map_err(|error| malformed(&error.to_string()))?;
        if wants_origin && message.origin.is_none() {
            return Err(malformed("source is a string, and seq a whole number"));
        }
        message.checked()
    }

    /// A message of these fields, wherever they come from.
    pub fn from_parts(
        origin: Option<Origin>,
        at: Option<u64>,
        subject: Subject,
        action: Action,
    ) -> Result<Self, MessageError> {
        Self { v: 1, origin, at, subject, action }.checked()
    }

    fn checked(self) -> Result<Self, MessageError> {
        let malformed = |why: &str| Err(MessageError::Malformed(why.to_owned()));
        let fits = |text: &Option<String>, most: usize| {
            text.as_ref().is_none_or(|text| !text.is_empty() && text.len() <= most && !text.contains('\0'))
        };
        if let Some(Origin { source, seq }) = &self.origin
            && (!(1..=MOST).contains(seq) || source.is_empty() || source.len() > 128)
        {
            return malformed("source has 1 to 128 bytes, and seq is from 1 to 2^53 - 1");
        }
        let Subject { entity, id, tag, url, prefix } = &self.subject;
        if !fits(entity, 256) || !fits(id, 1_024) {
            return malformed("entity has 1 to 256 bytes, id 1 to 1,024, and neither has U+0000");
        }
        if !fits(tag, 1_024) || !fits(url, 2_048) || !fits(prefix, 2_048) {
            return malformed("tag has 1 to 1,024 bytes, url and prefix 1 to 2,048, and none has U+0000");
        }
        let subjects = [entity, tag, url, prefix].into_iter().flatten().count();
        match (subjects, self.action) {
            (0, Action::Clear | Action::Expire) | (1, _) if subjects == 0 || self.action != Action::Clear => {}
            _ => {
                return malformed(
                    "clear is about nothing, and any other action about one of entity, tag, url and prefix",
                );
            }
        }
        if entity.is_none() && id.is_some() {
            return malformed("id is of an entity");
        }
        Ok(self)
    }

    /// The message as text.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is to be purged: of an entity the tag `entity`, or `entity:id`.
    pub fn purged(&self) -> Purged {
        let Subject { entity, id, tag, url, prefix } = &self.subject;
        match (entity, tag, url, prefix) {
            (Some(entity), ..) => Purged::Tag(match (id, self.action) {
                // What is new is in nobody's memory by its id; lists of its kind are.
                (_, Action::Create) | (None, _) => entity.clone(),
                (Some(id), _) => format!("{entity}:{id}"),
            }),
            (_, Some(tag), ..) => Purged::Tag(tag.clone()),
            (_, _, Some(url), _) => Purged::Url(url.clone()),
            (.., Some(prefix)) => Purged::Prefix(prefix.clone()),
            _ => Purged::Everything,
        }
    }

    /// Whether it makes stale, rather than taking out.
    pub fn is_soft(&self) -> bool {
        self.action == Action::Expire
    }
}

/// Numbers a source's messages.
#[derive(Debug)]
pub struct Publisher {
    source: String,
    seq: u64,
}

impl Publisher {
    /// A source whose name no other has, and none had before: a random one for each process.
    pub fn new(source: impl Into<String>) -> Self {
        Self { source: source.into(), seq: 0 }
    }

    /// The message with the source's next number.
    pub fn publish(&mut self, mut message: Message, at: u64) -> Message {
        self.seq += 1;
        message.origin = Some(Origin { source: self.source.clone(), seq: self.seq });
        message.at = Some(at);
        message
    }
}

/// What to do about a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heed {
    /// Purge this, or make it stale.
    Purge {
        /// What.
        purged: Purged,
        /// Whether to make it stale only.
        soft: bool,
    },
    /// Messages were lost, or all is to go: clear everything. If the source's lost messages can be had, ask for those from
    /// `missed` on instead, up to this one, and purge by them and by it.
    Clear {
        /// The first number that is missing, and the last.
        missed: Option<(u64, u64)>,
    },
    /// It was heeded before.
    Nothing,
}

/// Follows the messages of all sources, and notices those that are lost.
#[derive(Debug, Default)]
pub struct Follower {
    /// The last number of each source, and when it was heard last, by the count of messages.
    sources: hashbrown::HashMap<String, (u64, u64)>,
    heard: u64,
    /// How often messages were lost, as far as that was noticed.
    gaps: u64,
}

/// So many sources are followed; the one that was silent for longest is forgotten.
const MOST_SOURCES: usize = 1_024;

impl Follower {
    /// A message came. The first of a source is taken for its beginning where it is number 1; else what came before it was
    /// before we listened, and is no loss if the cache was empty then.
    pub fn handle(&mut self, message: &Message) -> Heed {
        self.heard += 1;
        let gap = message.origin.as_ref().map(|origin| self.follow(origin));
        let missed = match gap {
            Some(Gap::Repeated) => return Heed::Nothing,
            Some(Gap::Lost(first, last)) => Some((first, last)),
            Some(Gap::None) | None => None,
        };
        let (purged, soft) = (message.purged(), message.is_soft());
        match missed {
            None if soft || purged != Purged::Everything => Heed::Purge { purged, soft },
            _ => Heed::Clear { missed },
        }
    }

    /// A message came that could not be read: it may have been about anything.
    pub fn handle_refused(&mut self) -> Heed {
        self.gaps += 1;
        Heed::Clear { missed: None }
    }

    /// The connection was lost and is there again: what was published meanwhile is not known, and sources may have ended.
    pub fn handle_reconnected(&mut self) -> Heed {
        self.gaps += 1;
        self.sources.clear();
        Heed::Clear { missed: None }
    }

    fn follow(&mut self, origin: &Origin) -> Gap {
        let Some((last, heard)) = self.sources.get_mut(&origin.source) else {
            if self.sources.len() >= MOST_SOURCES {
                let oldest = self.sources.iter().min_by_key(|(_, (_, heard))| *heard).map(|(name, _)| name.clone());
                oldest.map(|name| self.sources.remove(&name));
            }
            self.sources.insert(origin.source.clone(), (origin.seq, self.heard));
            return Gap::None;
        };
        *heard = self.heard;
        if origin.seq <= *last {
            return Gap::Repeated;
        }
        let next = *last + 1;
        *last = origin.seq;
        if origin.seq == next {
            Gap::None
        } else {
            self.gaps += 1;
            Gap::Lost(next, origin.seq - 1)
        }
    }

    /// How often messages were lost, as far as that was noticed.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }
}

enum Gap {
    None,
    Lost(u64, u64),
    Repeated,
}
