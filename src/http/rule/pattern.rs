//! Patterns of hosts and paths.

/// A text in which `*` stands for anything, also for nothing and for what has slashes. Matching costs, at the worst, the
/// product of both lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // Each piece as early as it can be leaves the most for the others.
        for piece in pieces {
            let Some((_, tail)) = rest.split_once(piece) else { return false };
            rest = tail;
        }
        rest.ends_with(last)
    }
}
