//! Under which names values and marks lie in a store.
//!
//! | name | what lies there |
//! | --- | --- |
//! | `v:PLACE:KEY` | a value |
//! | `k:PLACE:KEY` | the mark of the key's last purge |
//! | `t:PLACE:TAG` | the mark of a tag's last purge, in a part of the cache and within it |
//! | `a:PLACE:` | the mark of the last time that all in a part, and within it, was purged |
//!
//! `PLACE` is `NAMESPACES:SCOPES`, nested ones with `/` between them; in their names `%`, `/` and `:` are written `%25`, `%2F`
//! and `%3A`. The cache itself is `:`, so its key `42` lies under `v:::42`. Where KEY or TAG is longer than 200 bytes, or begins with
//! `~`, there is `~` and its SHA-256 in hexadecimal digits instead, since stores bound the length of names (KV: 512 bytes).

use super::seal::digest;

const LONGEST: usize = 200;

/// A part of a cache, as names have it. Cheap to make; keep it where many names begin with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place(String);

impl Place {
    /// Where keys lie that are in these namespaces, one within the other, and in these scopes.
    pub fn new<S: AsRef<str>>(namespaces: &[S], scopes: &[S]) -> Self {
        Self(format!("{}:{}", path(namespaces), path(scopes)))
    }

    /// The part that these characters say, as [`as_str`](Self::as_str) gave them.
    pub fn from_name(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// As names have it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The names that it was made of: namespaces, and scopes. `None` if it was not made of any.
    pub fn parts(&self) -> Option<(Vec<String>, Vec<String>)> {
        let (namespaces, scopes) = self.0.split_once(':')?;
        Some((names(namespaces), names(scopes)))
    }

    /// The namespaces around it, as its name has them: `a/b`, and nothing for the cache itself.
    pub fn namespaces(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(namespaces, _)| namespaces)
    }

    /// Where a key's value lies.
    pub fn value(&self, key: &str) -> String {
        self.name('v', key)
    }

    /// Where a key's mark lies.
    pub fn key_mark(&self, key: &str) -> String {
        self.name('k', key)
    }

    /// Where the mark lies of a tag in this part.
    pub fn tag_mark(&self, tag: &str) -> String {
        self.name('t', tag)
    }

    /// Where the mark lies of all in this part.
    pub fn all_mark(&self) -> String {
        self.name('a', "")
    }

    /// All marks that end a value of this key with these tags: its own, and those of each part around it.
    pub fn marks_of<S: AsRef<str>>(&self, key: &str, tags: &[S]) -> Vec<String> {
        let mut names = vec![self.key_mark(key)];
        for part in self.enclosing() {
            names.push(part.all_mark());
            names.extend(tags.iter().map(|tag| part.tag_mark(tag.as_ref())));
        }
        names
    }

    /// This part and those around it: a value in a namespace and a scope is in four.
    fn enclosing(&self) -> Vec<Self> {
        let (namespaces, scopes) = self.0.split_once(':').unwrap_or((&self.0, ""));
        let mut parts = Vec::new();
        for namespaces in prefixes(namespaces) {
            parts.extend(prefixes(scopes).into_iter().map(|scopes| Self(format!("{namespaces}:{scopes}"))));
        }
        parts
    }

    /// Its namespaces, those around them, and the cache itself: "a/b", "a" and "".
    pub(super) fn enclosing_namespaces(&self) -> impl Iterator<Item = &str> {
        prefixes(self.namespaces()).into_iter().rev()
    }

    fn name(&self, kind: char, of: &str) -> String {
        if of.len() > LONGEST || of.starts_with('~') {
            format!("{kind}:{}:~{}", self.0, digest(of))
        } else {
            format!("{kind}:{}:{of}", self.0)
        }
    }
}

/// Whether a mark lies under this name; under all others of ours a value does.
pub fn is_mark(name: &str) -> bool {
    name.starts_with("k:") || is_mark_of_many(name)
}

/// Whether the mark of a tag or of all in a part lies under this name: reads of many keys want it.
pub fn is_mark_of_many(name: &str) -> bool {
    name.starts_with("t:") || name.starts_with("a:")
}

/// What the names have in common under which a key's value and its mark lie: all that follows their kind. Other names whole.
pub fn without_kind(name: &str) -> &str {
    name.strip_prefix("v:").or_else(|| name.strip_prefix("k:")).unwrap_or(name)
}

/// Where the value lies whose key's mark lies here.
pub(super) fn value_of_mark(mark: &str) -> Option<String> {
    mark.strip_prefix('k').map(|rest| format!("v{rest}"))
}

/// Where the mark of the key lies whose value lies here.
pub(super) fn mark_of_value(value: &str) -> Option<String> {
    value.strip_prefix('v').map(|rest| format!("k{rest}"))
}

fn path<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<String> = names.iter().map(|name| escape(name.as_ref())).collect();
    names.join("/")
}

/// As [`path`] has them.
fn names(path: &str) -> Vec<String> {
    if path.is_empty() { Vec::new() } else { path.split('/').map(unescape).collect() }
}

fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '%' => out.push_str("%25"),
            '/' => out.push_str("%2F"),
            ':' => out.push_str("%3A"),
            c => out.push(c),
        }
    }
    // An empty name is not the absence of one.
    if out.is_empty() { "%".to_owned() } else { out }
}

/// By hand, since to look for a text takes 2 KB of a wasm.
fn unescape(name: &str) -> String {
    let mut parts = name.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        for (code, c) in [("25", '%'), ("2F", '/'), ("3A", ':')] {
            if let Some(rest) = part.strip_prefix(code) {
                out.push(c);
                out.push_str(rest);
            }
        }
    }
    out
}

/// Namespaces as they are called, with `/` between them: of [`Place::namespaces`].
pub fn shown(namespaces: &str) -> String {
    names(namespaces).join("/")
}

/// "", "a" and "a/b" of "a/b".
fn prefixes(path: &str) -> Vec<&str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain((!path.is_empty()).then_some(path.len()));
    std::iter::once(0).chain(ends).filter_map(|end| path.get(..end)).collect()
}
