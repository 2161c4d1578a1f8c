//! A rule that holds for some targets.

use super::Rule;
use super::pattern::Pattern;

/// What one setting does to a rule.
pub(super) type Edit = Box<dyn Fn(&mut Rule)>;

/// What a rule changes, and for which targets.
pub(super) struct Conditional {
    pub hosts: Vec<Pattern>,
    pub paths: Vec<Pattern>,
    pub edits: Vec<Edit>,
}

impl Conditional {
    /// Whether it holds for a path of a host, which is in lower case.
    pub fn matches(&self, host: &str, path: &str) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        any(&self.hosts, host) && any(&self.paths, path)
    }
}
