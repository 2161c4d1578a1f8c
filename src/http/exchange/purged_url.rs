//! What a purge by URL concerns.

use std::rc::Rc;

use super::key::{Key, keys_named};
use super::key_parts::apply_query_rule;
use crate::http::rule::{Rule, Rules};

/// A URL without its scheme, or a path and query on every host, as the keys of its target have it: the query as the target's rule leaves it,
/// and no host where the rule leaves it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgedUrl {
    names: Vec<String>,
    every_host: bool,
    /// Whether its keys have nothing in them but the target's URI.
    is_plain: bool,
}

impl PurgedUrl {
    /// Of a URL as purges name it ([`Key::name`]). A path may be of any host, so that its query is read by the rules of all.
    pub fn new(rules: &Rules, url: &str) -> Self {
        let (host, target) = url.split_at_checked(url.find(['/', '?']).unwrap_or(url.len())).unwrap_or((url, ""));
        let host = host.to_ascii_lowercase();
        let ruled: Vec<Rc<Rule>> = match host.strip_suffix(":80") {
            _ if host.is_empty() => rules.on_every_host(target),
            None => vec![rules.resolve(&host, target)],
            // Rules match hosts as requests name them: http's own port is not told.
            Some(without_port) => vec![rules.resolve(without_port, target), rules.resolve(&host, target)],
        };
        let name_by = |rule: &Rc<Rule>| {
            let target = apply_query_rule(&rule.key.query, target);
            if rule.key.any_host { target } else { format!("{host}{target}") }
        };
        let mut names: Vec<String> = ruled.iter().map(name_by).collect();
        names.sort();
        names.dedup();
        Self { names, every_host: host.is_empty(), is_plain: !ruled.iter().any(|rule| rule.key.has_parts()) }
    }

    /// Whether it is the URL of this key's target.
    pub fn concerns(&self, key: &Key) -> bool {
        let name = key.name();
        let path = || name.find('/').and_then(|at| name.get(at..)).unwrap_or_default();
        let name = if self.every_host { path() } else { name };
        self.names.iter().any(|known| known == name)
    }

    /// What it is called in stores below, and where others are told of it.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// All keys that it concerns, where they can be told without looking at what is stored.
    pub fn keys(&self) -> Option<[Key; 2]> {
        match self.names.as_slice() {
            [name] if self.is_plain && !self.every_host => Some(keys_named(name)),
            _ => None,
        }
    }
}
