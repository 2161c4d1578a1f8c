//! Where a part of a cache lies, and what lies within another.

/// Where a part of a cache lies: a namespace by its number, and the names of scopes on the way, joined by
/// [`join_scope`]; empty outside every scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Part<'a> {
    /// 0 for the root.
    pub namespace: u8,
    /// Empty for none.
    pub scope: &'a str,
}

/// Stands between the names of nested scopes.
const SEPARATOR: char = '\0';

/// The name of the scope `name` within the scope `outer` (empty: none).
pub fn join_scope(outer: &str, name: &str) -> String {
    // A separator within a name must not make it look like two.
    let name = match name.contains([SEPARATOR, '\u{1}']) {
        true => name.replace('\u{1}', "\u{1}1").replace(SEPARATOR, "\u{1}0"),
        false => name.to_owned(),
    };
    // Even an empty name is a step.
    let name = if name.is_empty() { "\u{1}2".to_owned() } else { name };
    if outer.is_empty() { name } else { format!("{outer}{SEPARATOR}{name}") }
}

/// The names of the scopes that [`join_scope`] has joined.
pub fn scope_names(scope: &str) -> Vec<String> {
    let name = |name: &str| name.replace("\u{1}2", "").replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}");
    if scope.is_empty() { Vec::new() } else { scope.split(SEPARATOR).map(name).collect() }
}

impl<'a> Part<'a> {
    /// This scope and those around it, the innermost first, and at last none.
    pub(super) fn scopes(self) -> impl Iterator<Item = &'a str> {
        let mut next = Some(self.scope);
        std::iter::from_fn(move || {
            let scope = next?;
            next = (!scope.is_empty()).then(|| outer(scope));
            Some(scope)
        })
    }
}

/// The scope around one; empty for none. Byte by byte, since a general search weighs 1 KB of a wasm.
fn outer(scope: &str) -> &str {
    scope.bytes().rposition(|byte| byte == SEPARATOR as u8).and_then(|at| scope.get(..at)).unwrap_or("")
}

pub(super) fn is_scope_within(inner: &str, outer: &str) -> bool {
    let rest = inner.strip_prefix(outer);
    rest.is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(SEPARATOR))
}
