//! What a client accepts, in one form for all ways of saying it (RFC 9110 §12.5.3, §12.5.4).

use ::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING};
use ::http::{HeaderMap, HeaderName};

use super::{list, trim};

/// How much of a member of these fields is worth reading.
const MAX_MEMBERS: usize = 32;

/// A content coding that can be undone here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, though it is called so.
    Deflate,
}

impl Coding {
    /// Of a response that has just this one.
    pub(in crate::http) fn of(fields: &HeaderMap) -> Option<Self> {
        let mut codings = list(fields, &CONTENT_ENCODING);
        let coding = codings.next()?;
        let known = match () {
            () if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") => Self::Gzip,
            () if coding.eq_ignore_ascii_case(b"deflate") => Self::Deflate,
            () => return None,
        };
        codings.next().is_none().then_some(known)
    }

    /// Whether a request says that it can be read.
    pub(in crate::http) fn is_accepted(self, request: &HeaderMap) -> bool {
        let accepted = accepted_codings(request, &ACCEPT_ENCODING);
        accepted.iter().any(|coding| coding == self.name().as_bytes() || coding == b"*")
    }

    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// The codings that an `Accept-Encoding` allows: lower case, sorted, each once, `x-gzip` as `gzip`, without those that it
/// forbids. `identity` stands for itself only where it is forbidden, as `!identity`. Which of them it likes better is
/// left out: a response in any of them can be read.
pub(in crate::http) fn accepted_codings(headers: &HeaderMap, name: &HeaderName) -> Vec<Vec<u8>> {
    let mut codings = Vec::new();
    for (coding, weight) in weighted(headers, name) {
        let coding = match coding.as_slice() {
            b"x-gzip" => b"gzip".to_vec(),
            b"x-compress" => b"compress".to_vec(),
            _ => coding,
        };
        match (coding.as_slice(), weight) {
            (b"identity" | b"*", 0) => codings.push([b"!", coding.as_slice()].concat()),
            (b"identity", _) | (_, 0) => {}
            _ => codings.push(coding),
        }
    }
    codings.sort();
    codings.dedup();
    codings
}

/// The languages of an `Accept-Language` in lower case with their weights in thousandths, the best first, equals in
/// alphabetical order.
pub(in crate::http) fn language_preference(headers: &HeaderMap, name: &HeaderName) -> Vec<(Vec<u8>, u16)> {
    let mut languages = weighted(headers, name);
    languages.sort_by(|(a, a_weight), (b, b_weight)| b_weight.cmp(a_weight).then_with(|| a.cmp(b)));
    languages.dedup();
    languages
}

fn weighted(headers: &HeaderMap, name: &HeaderName) -> Vec<(Vec<u8>, u16)> {
    let members = list(headers, name).take(MAX_MEMBERS);
    members
        .map(|member| {
            let mut parts = member.split(|byte| *byte == b';');
            let value = trim(parts.next().unwrap_or_default()).to_ascii_lowercase();
            (value, parts.find_map(weight).unwrap_or(1000))
        })
        .collect()
}

/// `q=0.5` as 500.
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', value @ ..] = trim(parameter) else { return None };
    match value {
        [b'1', ..] => Some(1000),
        [b'0'] | [b'0', b'.'] => Some(0),
        [b'0', b'.', digits @ ..] if digits.len() <= 3 && digits.iter().all(u8::is_ascii_digit) => {
            let padded = digits.iter().chain(b"000").take(3);
            Some(padded.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')))
        }
        _ => Some(0),
    }
}
