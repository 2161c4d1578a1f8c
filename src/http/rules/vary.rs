//! Which stored response is for which request: `Vary` and the secondary key (RFC 9111 §4.1, RFC 9110 §12.5.5).

use std::fmt;

use ::http::header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_LANGUAGE, VARY};
use ::http::{HeaderMap, HeaderName};

use crate::http::fields::{self as field, accepted_codings, language_preference};

/// The request fields that selected a response: lower-case names, sorted, each once. Empty where there is no `Vary`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Vary {
    names: Box<[HeaderName]>,
}

/// A `Vary` that no request can be matched against: it has a `*`, or something that is no field name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmatchableVary;

impl Vary {
    /// Reads all `Vary` lines of a response.
    ///
    /// # Errors
    ///
    /// [`UnmatchableVary`] where a member is `*` (§4.1: it matches nothing) or no valid field name.
    pub fn parse(response_headers: &HeaderMap) -> Result<Self, UnmatchableVary> {
        let mut names = field::list(response_headers, &VARY)
            // `*` is a token too, and so by itself a valid field name.
            .map(|member| if member == b"*" { None } else { HeaderName::from_bytes(member).ok() })
            .collect::<Option<Vec<_>>>()
            .ok_or(UnmatchableVary)?;
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        Ok(Self { names: names.into_boxed_slice() })
    }

    /// Of names that [`parse`](Self::parse) gave.
    pub(crate) fn of_names(names: Vec<HeaderName>) -> Self {
        Self { names: names.into_boxed_slice() }
    }

    /// The names, sorted.
    pub fn names(&self) -> &[HeaderName] {
        &self.names
    }

    /// Whether the response is for every request.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }
}

/// A key that two requests share exactly when a response with this `Vary` matches both.
///
/// Lines of one field are combined, whitespace around their commas is brought to one form, and an absent field
/// differs from an empty one. Letter case and order count, because only the origin knows where they do not.
///
/// The key is a run of records, one for a name: the name's length and the name; then 0 where the field is absent, or 1,
/// the value's length and the value. Lengths are four bytes. So every key can be read back in one way only, and the
/// keys of two different `Vary`s differ too. It is empty for an empty `Vary`. Costs one pass over the named fields.
pub fn variant_key(vary: &Vary, request_headers: &HeaderMap) -> Vec<u8> {
    let mut key = Vec::new();
    for name in vary.names() {
        push(&mut key, name.as_str().as_bytes());
        match normalised(request_headers, name) {
            None => key.push(0),
            Some(value) => {
                key.push(1);
                push(&mut key, &value);
            }
        }
    }
    key
}

/// Whether a response in the language that such a request likes best, and that varies by nothing else, is the one that
/// the request selects (RFC 9110 §12.5.4). Only where one language is liked better than all others.
pub fn is_in_best_language(vary: &Vary, request: &HeaderMap, response: &HeaderMap) -> bool {
    if !matches!(vary.names(), [name] if *name == ACCEPT_LANGUAGE) {
        return false;
    }
    let preference = language_preference(request, &ACCEPT_LANGUAGE);
    let best = match preference.as_slice() {
        [(best, weight), (_, next), ..] if weight > next => best,
        [(best, weight)] if *weight > 0 => best,
        _ => return false,
    };
    let language = field::only(response, &CONTENT_LANGUAGE).map(|line| field::trim(line.as_bytes()));
    best != b"*" && language.is_some_and(|language| language.eq_ignore_ascii_case(best))
}

fn push(key: &mut Vec<u8>, bytes: &[u8]) {
    // No header field of four gigabytes fits into a process that runs this.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(bytes);
}

/// Fields with meanings that are known are brought to one form for all ways of saying the same.
fn normalised(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    if !headers.contains_key(name) {
        return None;
    }
    if *name == ACCEPT_ENCODING {
        return Some(accepted_codings(headers, name).join(&b", "[..]));
    }
    if *name == ACCEPT_LANGUAGE {
        let languages = language_preference(headers, name).into_iter();
        let weighted =
            languages.map(|(language, weight)| [&language[..], b";", weight.to_string().as_bytes()].concat());
        return Some(weighted.collect::<Vec<_>>().join(&b", "[..]));
    }
    let lines: Vec<_> = headers.get_all(name).into_iter().map(|line| line.as_bytes()).collect();
    let members: Vec<_> = lines.join(&b", "[..]);
    Some(field::elements(&members).collect::<Vec<_>>().join(&b", "[..]))
}

impl fmt::Display for UnmatchableVary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the response's Vary can match no other request")
    }
}

impl std::error::Error for UnmatchableVary {}
