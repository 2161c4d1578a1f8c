//! What makes two requests ask for the same.

use std::rc::Rc;

use super::key_parts::{apply_query_rule, cookies};
use super::request::Prepared;
use crate::http::fields::trim;
use crate::http::rule::{KeyRule, Rule};

/// Names a [`Target`](super::Target) in the store. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Rc<str>);

/// Names a trip to the origin that all who would make the same share.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlightKey {
    /// What it is for.
    pub key: Key,
    /// What of it: the fields that select a variant, and the range.
    pub part: Vec<u8>,
}

impl Key {
    /// The key of a target under a rule, as a purge by URL names it: without fields, cookies and device.
    pub fn of_target(rule: &Rule, host: &str, target: &str) -> Self {
        Self(Rc::from(base(&rule.key, host, &apply_query_rule(&rule.key.query, target))))
    }

    pub(super) fn of_request(rule: &Rule, request: &Prepared) -> Self {
        let mut key = base(&rule.key, &request.host, &request.target);
        // U+0001 is in no host and no target, so that every key can be read back in one way only.
        for name in &rule.key.fields {
            let lines = request.fields.get_all(name).into_iter();
            let values: Vec<_> = lines.map(|line| String::from_utf8_lossy(trim(line.as_bytes()))).collect();
            key.push_str(&format!("\u{1}{name}:{}", values.join("\u{2}")));
        }
        for name in &rule.key.cookies {
            let value = cookies(&request.fields, std::slice::from_ref(name)).unwrap_or_default();
            key.push_str(&format!("\u{1}cookie:{value}"));
        }
        if let Some(device) = request.device {
            key.push_str(&format!("\u{1}device:{device}"));
        }
        Self(Rc::from(key))
    }

    /// Of another target on the same host, under the same rule: its plain key.
    pub(super) fn sibling(rule: &Rule, request: &Prepared, target: &str) -> Self {
        Self::of_target(rule, &request.host, target)
    }

    /// The beginning of all keys of this target that have fields, cookies or a device in them.
    pub(super) fn with_parts(&self) -> String {
        format!("{}\u{1}", self.0)
    }

    /// Host, path and query, and what else is in the key after a U+0001.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn base(rule: &KeyRule, host: &str, target: &str) -> String {
    match rule.any_host {
        true => target.to_owned(),
        false => format!("{}{target}", host.to_ascii_lowercase()),
    }
}

/// Bytes that need not be told from others: length and content.
pub(super) fn push_part(part: &mut Vec<u8>, bytes: &[u8]) {
    part.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    part.extend_from_slice(bytes);
}
