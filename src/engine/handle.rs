//! What a handle knows of its part of the cache.

use std::borrow::Cow;
use std::rc::{Rc, Weak};

#[cfg(feature = "tier")]
use super::below::{Below, LoadBelow};
#[cfg(feature = "tier")]
use super::call::CallOptions;
use super::inner::Inner;
use super::plugin::Place;
use super::runtime::Runtime;
use crate::core::{Part, PartitionId, PlainTtl};
use crate::options::{EntryPolicy, Policy};
use crate::time::Ttl;

/// The partition of a handle that could not be opened, because a key's `Eq` or `Hash` or a value's `Clone` made it while
/// the cache was calling that: such a handle stays closed.
pub(super) const CLOSED: PartitionId = PartitionId(u32::MAX);

/// What a cheap clock's lag is nothing to: it is some milliseconds.
const LONG: Ttl = Ttl::Millis(10_000);

/// Whether a life is so long that it may be counted from a moment ago.
pub(super) fn is_long(policy: &EntryPolicy) -> bool {
    policy.ttl.min(policy.idle_ttl) >= LONG
}

/// What a handle is about, and what it takes where a call says nothing.
pub(super) struct Handle<K, V, R: Runtime> {
    /// Whose partition is released in the end.
    pub inner: Weak<Inner<K, V, R>>,
    pub partition: PartitionId,
    pub namespace: u8,
    /// The names of scopes on the way, joined; empty for none.
    pub scope: String,
    pub policy: Policy,
    /// Whether its values live so long that a moment does not matter.
    pub is_long: bool,
    /// How long its values live, if neither they nor anyone says more of them.
    pub plain_ttl: Option<PlainTtl>,
    /// Borne by all that it stores.
    pub tags: Vec<String>,
    pub place: Rc<Place>,
    /// The stores that its loads ask before their loaders.
    #[cfg(feature = "tier")]
    pub below: Option<Rc<dyn Below<K, V>>>,
}

impl<K, V, R: Runtime> Handle<K, V, R> {
    pub fn root(inner: &Rc<Inner<K, V, R>>, policy: Policy, tags: Vec<String>) -> Rc<Self> {
        let (partition, place) = (PartitionId::ROOT, inner.root.clone());
        Rc::new(Self {
            inner: Rc::downgrade(inner),
            partition,
            namespace: 0,
            scope: String::new(),
            policy,
            is_long: is_long(&policy.entry),
            plain_ttl: PlainTtl::of(&policy).filter(|_| tags.is_empty() && inner.takes_values_as_they_are()),
            tags,
            place,
            #[cfg(feature = "tier")]
            below: None,
        })
    }

    pub fn part(&self) -> Part<'_> {
        Part { namespace: self.namespace, scope: &self.scope }
    }

    /// Its own tags and these.
    pub fn with_tags<'a>(&'a self, tags: &'a [String]) -> Cow<'a, [String]> {
        match (self.tags.is_empty(), tags.is_empty()) {
            (true, _) => tags.into(),
            (_, true) => self.tags.as_slice().into(),
            _ => self.tags.iter().chain(tags).cloned().collect(),
        }
    }
}

#[cfg(not(feature = "tier"))]
impl<K, V, R: Runtime> Handle<K, V, R> {
    pub fn has_below(&self) -> bool {
        false
    }
}

#[cfg(feature = "tier")]
impl<K, V, R: Runtime> Handle<K, V, R> {
    /// Whether its loads ask other stores first.
    pub fn has_below(&self) -> bool {
        self.below.is_some()
    }

    /// What those stores need to know of a load.
    pub fn load_below(&self, options: &CallOptions) -> Option<LoadBelow<K, V>> {
        Some(LoadBelow {
            below: self.below.clone()?,
            policy: self.policy.patched(&options.policy),
            tags: self.with_tags(&options.tags).into_owned(),
            weight: options.weight,
            forced: options.force_fresh,
        })
    }
}

impl<K, V, R: Runtime> Drop for Handle<K, V, R> {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.upgrade()
            && let Ok(mut table) = inner.table.try_borrow_mut()
        {
            table.machine.release_partition(self.partition);
        }
    }
}
