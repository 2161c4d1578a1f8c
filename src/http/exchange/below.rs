//! Stores below the memory: what of a stored response lies there, under which names, and what is made of it when it is found again.
//!
//! Under a target's name lies the response that was stored last. One that varies lies under a name of its own as well, which follows
//! from the fields of the request that selects it. Only what may answer anybody without asking the origin first goes there: whole, and
//! fresh.
//!
//! # Format, version 1
//!
//! All numbers are little-endian; a list has its length in 2 bytes, text its length in 4.
//!
//! | bytes | what |
//! | --- | --- |
//! | 1 | version: 1 |
//! | 2 | status |
//! | 1 | flags: 1 the fields that the origin sent are there, too; 2 the body lies apart; others 0 |
//! | 8, 8, 8 | lifetime, age when it was stored in ms, and when that was, in ms since 1970 |
//! | 8, 8, 8, 8 | while it is revalidated, where the origin fails, where it can't be reached, and to be validated: ms past its lifetime |
//! | 4 + n | the key, whole |
//! | 4 + n | what of the request selected it |
//! | lists | names of `Vary`; tags; fields, names and values by turns; and those that the origin sent |
//! | 4 + n | if the body lies apart: its [`Manifest`] |

use std::rc::Rc;

use ::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::change::{Change, Kind};
use super::client::{Decision, Exchange, Layer};
use super::fetch::Fetch;
use super::key::Key;
use super::manifest::Manifest;
use super::record::{Record, Stored};
use super::target::Target;
use crate::http::rules::vary::variant_key;
use crate::http::{Freshness, StaleLimits, Vary};

const VERSION: u8 = 1;
const SAID: u8 = 1;
const APART: u8 = 2;

/// A stored response for the stores below.
#[derive(Clone, Debug)]
pub struct Shared<B> {
    /// The response. It is to be stored only if it is in the memory now.
    pub stored: Stored<B>,
    /// Under these names.
    pub names: Vec<String>,
    /// All of it but the body.
    pub head: Vec<u8>,
    /// For how long it is fresh, may be handed out while it is revalidated, and is of any use after that, in ms from now.
    pub lifetimes: [u64; 3],
}

/// What came of looking below.
#[derive(Clone, Debug)]
pub enum Below<B> {
    /// Apply this; then everybody who waits for the trip goes on by [`Exchange::handle_below`].
    Found(Change<B>),
    /// It is another variant's. Look under this name.
    Elsewhere(String),
    /// Nothing of use.
    Nothing,
}

impl<B: Clone> Exchange<B> {
    /// A trip has found something in a store below, called `layer`, which is in the memory now.
    pub fn handle_below(&mut self, found: Option<&Target<B>>, layer: &str, led: bool, now: u64) -> Decision<B> {
        // The origin was not asked.
        self.trips = self.trips.saturating_sub(1);
        self.layer = Some(Layer { name: layer.to_owned(), fwd: self.fwd, led });
        self.handle_stored(found, now)
    }
}

impl<B: Clone> Fetch<B> {
    /// The name under which a store below may have what the trip is for. `None` where only the origin will do.
    pub fn name_below(&self) -> Option<String> {
        self.below.then(|| name_of(&self.key, &[]))
    }

    /// A store below has this, under a name of this trip's: a head as [`Shared::head`] has it, and the body. `found` is what is in the memory.
    pub fn handle_below(&self, found: Option<&Target<B>>, head: &[u8], body: B, length: u64, now: u64) -> Below<B> {
        let (Some(record), Some(selecting)) = (decode(head, &self.key, length), &self.selecting) else {
            return Below::Nothing;
        };
        if !record.matches(selecting) {
            return Below::Elsewhere(name_of(&self.key, &variant_key(&record.vary, selecting)));
        }
        let is_known = found.is_some_and(|target| {
            let same = target.stored.iter().filter(|known| known.record.is_same_variant(&record));
            same.into_iter().any(|known| known.record.freshness.stored_at_ms >= record.freshness.stored_at_ms)
        });
        if is_known || now >= record.keep_until_ms() {
            return Below::Nothing;
        }
        let stored = Stored { record: Rc::new(record), body };
        Below::Found(Change::new(self.key.clone(), Kind::Store(stored, self.rule.max_variants)))
    }
}

impl<B: Clone> Change<B> {
    /// What of it belongs into the stores below.
    pub fn shared(&self, now: u64) -> Vec<Shared<B>> {
        let stored: Vec<&Stored<B>> = match self.kind() {
            Kind::Store(stored, _) => vec![stored],
            Kind::Freshen(freshened) => freshened.iter().map(|(_, new)| new).collect(),
            _ => Vec::new(),
        };
        let usable = stored.into_iter().filter(|stored| stored.record.part.is_none() && stored.record.is_usable(now));
        usable.filter_map(|stored| share(self.key(), stored, now)).collect()
    }
}

fn share<B: Clone>(key: &Key, stored: &Stored<B>, now: u64) -> Option<Shared<B>> {
    let record = &stored.record;
    let stale_at = record.freshness.stale_at_ms();
    let mut names = vec![name_of(key, &[])];
    if !record.vary.is_empty() {
        names.push(name_of(key, &record.variant));
    }
    Some(Shared {
        stored: stored.clone(),
        names,
        head: encode(record, key)?,
        lifetimes: [
            stale_at.saturating_sub(now),
            record.limits.while_revalidate_ms,
            record.keep_until_ms().saturating_sub(stale_at),
        ],
    })
}

/// A plain key's name is the key. Of what else is in a key, and of the fields of requests, names have a digest: they may say more of somebody
/// than the name of a thing in a store should. What lies there says of itself what it is, so that two with one digest can't be
/// taken for each other.
fn name_of(key: &Key, variant: &[u8]) -> String {
    let (plain, parts) = key.as_str().split_once('\u{1}').unwrap_or((key.as_str(), ""));
    if parts.is_empty() && variant.is_empty() {
        return plain.to_owned();
    }
    // FNV-1a, of 64 bits.
    let bytes = parts.bytes().chain([0]).chain(variant.iter().copied());
    let digest =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{plain}#{digest:016x}")
}

fn encode(record: &Record, key: &Key) -> Option<Vec<u8>> {
    let said = record.said.as_deref();
    let mut out = vec![VERSION];
    out.extend_from_slice(&record.status.as_u16().to_le_bytes());
    let apart = record.apart.as_deref();
    out.push(if said.is_some() { SAID } else { 0 } | if apart.is_some() { APART } else { 0 });
    let Freshness { lifetime_ms, age_at_store_ms, stored_at_ms } = record.freshness;
    let StaleLimits { while_revalidate_ms, if_error_ms, if_unreachable_ms } = record.limits;
    let numbers = [lifetime_ms, age_at_store_ms, stored_at_ms];
    for number in numbers.into_iter().chain([while_revalidate_ms, if_error_ms, if_unreachable_ms, record.keep_ms]) {
        out.extend_from_slice(&number.to_le_bytes());
    }
    push(&mut out, key.as_str().as_bytes())?;
    push(&mut out, &record.variant)?;
    push_list(&mut out, record.vary.names().iter().map(|name| name.as_str().as_bytes()))?;
    push_list(&mut out, record.tags.iter().map(String::as_bytes))?;
    for fields in [Some(&record.fields), said].into_iter().flatten() {
        push_list(&mut out, fields.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()]))?;
    }
    if let Some(manifest) = apart {
        push(&mut out, &manifest.encode()?)?;
    }
    Some(out)
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend_from_slice(&u32::try_from(bytes.len()).ok()?.to_le_bytes());
    out.extend_from_slice(bytes);
    Some(())
}

fn push_list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = &'a [u8]>) -> Option<()> {
    let items: Vec<_> = items.collect();
    out.extend_from_slice(&u16::try_from(items.len()).ok()?.to_le_bytes());
    items.into_iter().try_for_each(|item| push(out, item))
}

/// A response for this key, with a body of so many bytes. `None` for anything that [`encode`] does not write.
fn decode(bytes: &[u8], key: &Key, length: u64) -> Option<Record> {
    let mut rest = Rest(bytes);
    let [version] = rest.array()?;
    let status = StatusCode::from_u16(u16::from_le_bytes(rest.array()?)).ok()?;
    let [flags] = rest.array()?;
    let mut numbers = [0; 7];
    for number in &mut numbers {
        *number = u64::from_le_bytes(rest.array()?);
    }
    let [lifetime_ms, age_at_store_ms, stored_at_ms, while_revalidate_ms, if_error_ms, if_unreachable_ms, keep_ms] =
        numbers;
    if version != VERSION || flags & !(SAID | APART) != 0 || !(200..=599).contains(&status.as_u16()) {
        return None;
    }
    if rest.text()? != key.as_str().as_bytes() {
        return None;
    }
    let variant = rest.text()?.to_vec();
    let vary = rest.list()?.into_iter().map(|name| HeaderName::from_bytes(name).ok()).collect::<Option<Vec<_>>>()?;
    let tags = rest.list()?.into_iter().map(|tag| String::from_utf8(tag.to_vec()).ok()).collect::<Option<Vec<_>>>()?;
    let fields = rest.fields()?;
    let said = if flags & SAID != 0 { Some(Rc::new(rest.fields()?)) } else { None };
    let apart = if flags & APART != 0 { Some(Rc::new(Manifest::decode(rest.text()?)?)) } else { None };
    // What lies apart does not lie here, too.
    let length = match &apart {
        Some(manifest) if length == 0 => manifest.length(),
        Some(_) => return None,
        None => length,
    };
    let mut record = Record {
        status,
        fields,
        length: 0,
        part: None,
        freshness: Freshness { lifetime_ms, age_at_store_ms, stored_at_ms },
        limits: StaleLimits { while_revalidate_ms, if_error_ms, if_unreachable_ms },
        always_validate: false,
        tags,
        apart,
        vary: Vary::of_names(vary),
        variant,
        said,
        keep_ms,
    };
    record.set_length(None, length);
    rest.0.is_empty().then_some(record)
}

/// What is left of bytes that anybody may have written.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = u32::from_le_bytes(self.array()?);
        self.take(usize::try_from(length).ok()?)
    }

    fn list(&mut self) -> Option<Vec<&'a [u8]>> {
        let count = u16::from_le_bytes(self.array()?);
        (0..count).map(|_| self.text()).collect()
    }

    fn fields(&mut self) -> Option<HeaderMap> {
        let mut fields = HeaderMap::new();
        for pair in self.list()?.chunks(2) {
            let [name, value] = pair else { return None };
            let (name, value) = (HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
            fields.try_append(name, value).ok()?;
        }
        Some(fields)
    }
}
