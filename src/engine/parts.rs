//! Parts of a cache: handles whose keys are their own, and which share the room of all.

use std::hash::Hash;
use std::rc::Rc;

#[cfg(feature = "tier")]
use super::below::Below;
use super::cache::Cache;
use super::handle::{CLOSED, Handle, is_long};
use super::plugin::Place;
use super::runtime::Runtime;
use crate::core::{Part, join_scope};
use crate::error::OptionError;
use crate::options::{Policy, PolicyPatch};

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A part of the cache with keys, defaults and figures of its own, which shares the bounds with all others. Its
    /// defaults are those of this handle but for what `patch` says. The same name gives the same part, each handle with
    /// the defaults that it was given; a part of a part is another one. Namespaces and [scopes](Self::scope) commute.
    ///
    /// ```
    /// use nearcache::{Cache, options::PolicyPatch};
    /// use std::time::Duration;
    ///
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let posts = cache.namespace("posts", PolicyPatch::new().error_backoff(Duration::from_millis(500)))?;
    /// posts.insert(1, "hello".to_owned());
    /// assert_eq!(cache.get(&1), None);
    /// # Ok::<_, nearcache::OptionError>(())
    /// ```
    ///
    /// A lookup in it hashes a number too. Weigher, rules, tags of all, plugins and runtime are the cache's.
    ///
    /// # Errors
    /// [`OptionError`] for a name that is empty or contains U+0000; and for the 256th name: figures are kept for 255
    /// namespaces. For any number of parts without figures of their own there is [`scope`](Self::scope).
    pub fn namespace(&self, name: &str, patch: PolicyPatch) -> Result<Self, OptionError> {
        let handle = &self.handle;
        let refused = |allowed| OptionError { option: "namespace".to_owned(), given: format!("{name:?}"), allowed };
        if name.is_empty() || name.contains('\0') {
            return Err(refused("a non-empty string without U+0000"));
        }
        let namespace = self.inner.with(|table| table.machine.namespace(handle.namespace, name)).flatten();
        let namespace = namespace.ok_or_else(|| refused("at most 255 different names; use scope() for more"))?;
        let mut place = (*handle.place).clone();
        place.namespaces.push(name.to_owned());
        Ok(self.open(namespace, handle.scope.clone(), handle.policy.patched(&patch), place))
    }

    /// A part of the cache with keys of its own, say those of one user: what is stored through one scope is not
    /// found through another, nor through the cache itself. Figures and defaults are those of the handle it is made of.
    /// Costs a few small allocations, and nothing is left of it when its entries and handles are gone.
    ///
    /// Scopes commute with [namespaces](Self::namespace): `cache.scope("u").clear()` reaches what lies in the scope "u"
    /// of every namespace.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        let handle = &self.handle;
        let mut place = (*handle.place).clone();
        place.scopes.push(name.to_owned());
        let scope = join_scope(&handle.scope, name);
        self.open(handle.namespace, scope, handle.policy, place)
    }

    fn open(&self, namespace: u8, scope: String, policy: Policy, place: Place) -> Self {
        let partition = self.inner.with(|table| {
            let partition = table.machine.open_partition(Part { namespace, scope: &scope })?;
            table.machine.retain_partition(partition);
            Some(partition)
        });
        let partition = partition.flatten().unwrap_or(CLOSED);
        let (inner, tags, place) = (Rc::downgrade(&self.inner), self.handle.tags.clone(), Rc::new(place));
        let is_long = is_long(&policy.entry);
        // The short way is that of the cache's own keys.
        let plain_ttl = None;
        #[cfg(feature = "tier")]
        let below = self.handle.below.clone();
        let handle = Handle {
            inner,
            partition,
            namespace,
            scope,
            policy,
            is_long,
            plain_ttl,
            tags,
            place,
            #[cfg(feature = "tier")]
            below,
        };
        let handle = Rc::new(handle);
        Self { inner: self.inner.clone(), partition, handle, is_plain: false }
    }

    /// The same part of the cache by a handle, and others made of it, whose loads ask these stores before their loaders.
    #[cfg(feature = "tier")]
    pub(super) fn above(&self, below: Rc<dyn Below<K, V>>) -> Self {
        let Handle { namespace, scope, policy, place, .. } = &*self.handle;
        let mut cache = self.open(*namespace, scope.clone(), *policy, (**place).clone());
        if let Some(handle) = Rc::get_mut(&mut cache.handle) {
            handle.below = Some(below);
        }
        cache
    }

    /// What calls take where they say nothing themselves.
    pub fn policy(&self) -> Policy {
        self.handle.policy
    }

    /// Removes everything in this part and within it, as [`remove`](Self::remove) does; on the cache itself,
    /// everything. Loads under way are superseded. O(n) of the whole cache.
    pub fn clear(&self) {
        self.inner.with(|table| match self.handle.part() {
            Part { namespace: 0, scope: "" } => table.clear(),
            part => table.machine.remove_within(part),
        });
    }

    /// Removes every entry of this part and within it that bears the tag; how many there were. It beats the loads that
    /// began before it as [`remove`](Self::remove) does, if they turn out to bear the tag: what such a load brings is not
    /// stored, and who asked after the purge and joined it asks again.
    ///
    /// O(entries removed).
    ///
    /// ```
    /// # use nearcache::{Cache, EntryOptions};
    /// let cache: Cache<u64, &str> = Cache::new_with_max_entries(1_000);
    /// cache.insert_with(1, "a post", EntryOptions::new().tags(["ann"]));
    /// let of_bob = cache.scope("user:bob");
    /// of_bob.insert(1, "bob's own");
    /// assert_eq!((cache.remove_by_tag("ann"), cache.get(&1), of_bob.get(&1)), (1, None, Some("bob's own")));
    /// ```
    pub fn remove_by_tag(&self, tag: &str) -> usize {
        self.inner.with(|table| table.machine.remove_tag(self.handle.part(), tag)).unwrap_or(0)
    }

    /// As [`remove_by_tag`](Self::remove_by_tag), but ends their freshness, as [`expire`](Self::expire) does; how many
    /// were fresh.
    pub fn expire_by_tag(&self, tag: &str) -> usize {
        let now = self.inner.now();
        self.inner.with(|table| table.machine.expire_tag(self.handle.part(), tag, now)).unwrap_or(0)
    }
}
