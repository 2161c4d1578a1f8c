//! Parts of a cache: handles whose keys are their own, and which share the room of all.

use std::hash::Hash;
use std::rc::Rc;

use super::cache::Cache;
use super::runtime::Runtime;
use crate::error::OptionError;
use crate::options::Defaults;

/// Where the keys of a handle lie, if not at the root. Compared by its path, so that handles made twice meet.
#[derive(PartialEq, Eq, Hash)]
pub(super) struct Room {
    /// For each step down a letter, the length of the name, and the name: no path begins with another's unless it
    /// lies below it.
    path: Box<str>,
}

/// What a handle takes where a call says nothing.
pub(super) struct View {
    pub space: u8,
    pub defaults: Defaults,
    /// Borne by all that it stores.
    pub tags: Vec<String>,
}

const NAMESPACE: char = 'n';
const SCOPE: char = 's';
/// Begins the names of tags that are not the root's own.
const INNER: char = '\0';

impl Room {
    fn below(parent: Option<&Rc<Self>>, kind: char, name: &str) -> Rc<Self> {
        let parent = parent.map_or("", |room| &room.path);
        Rc::new(Self { path: format!("{parent}{kind}{}:{name}", name.len()).into() })
    }

    /// Whether everything in `other` is in here too.
    pub fn holds(&self, other: Option<&Rc<Self>>) -> bool {
        other.is_some_and(|other| other.path.starts_with(&*self.path))
    }

    /// The names on the way here, with slashes between them.
    pub fn name(&self) -> String {
        let mut begin = 0;
        let mut name = String::new();
        for path in self.paths() {
            let step = path.get(begin..).and_then(|step| step.split_once(':')).map_or("", |(_, name)| name);
            name.push_str(if begin == 0 { "" } else { "/" });
            name.push_str(step);
            begin = path.len();
        }
        name
    }

    /// This room's path and those above it, the root's not included.
    fn paths(&self) -> impl Iterator<Item = &str> {
        let mut end = 0;
        std::iter::from_fn(move || {
            let rest = self.path.get(end..).filter(|rest| !rest.is_empty())?;
            let colon = rest.find(':')?;
            let length: usize = rest.get(1..colon)?.parse().ok()?;
            end += colon + 1 + length;
            self.path.get(..end)
        })
    }
}

/// The name that a tag has in the core: for the root its own, as far as possible.
fn tag_name(path: Option<&str>, tag: &str) -> String {
    match path {
        Some(path) => format!("{INNER}{path}t{tag}"),
        None if tag.starts_with(INNER) => format!("{INNER}t{tag}"),
        None => tag.to_owned(),
    }
}

impl<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime> Cache<K, V, R> {
    /// A part of the cache with keys, defaults and figures of its own, which shares the bounds with all others. The
    /// same name gives the same part, with the defaults given last time by each handle; a part of a part is another
    /// one. Start from [`defaults`](Self::defaults):
    ///
    /// ```
    /// use nearcache::{Cache, Ttl, options::Defaults};
    ///
    /// let cache: Cache<u64, String> = Cache::new_with_max_entries(1_000);
    /// let posts = cache.namespace("posts", Defaults { error_backoff: Ttl::Millis(500), ..cache.defaults() })?;
    /// posts.insert(1, "hello".to_owned());
    /// assert_eq!(cache.get(&1), None);
    /// # Ok::<_, nearcache::OptionError>(())
    /// ```
    ///
    /// A lookup in it hashes its name too. Weigher, rules, tags of all, plugins and runtime are the cache's.
    ///
    /// # Errors
    /// [`OptionError`] for the 256th name: figures are kept for 255 namespaces. For any number of parts
    /// without figures of their own there is [`scope`](Self::scope).
    pub fn namespace(&self, name: &str, defaults: Defaults) -> Result<Self, OptionError> {
        let room = Room::below(self.room.as_ref(), NAMESPACE, name);
        let space = self.inner.with(|shelf| match shelf.spaces.get(&room) {
            Some(space) => Some(*space),
            None => {
                let space = shelf.machine.add_space()?;
                shelf.spaces.insert(room.clone(), space);
                Some(space)
            }
        });
        let refused = || OptionError {
            option: "namespace".to_owned(),
            given: name.to_owned(),
            allowed: "at most 255 different names; use scope() for more",
        };
        let space = space.flatten().ok_or_else(refused)?;
        let defaults = Defaults { life: defaults.life.bounded(), ..defaults };
        let view = Rc::new(View { space, defaults, tags: self.view.tags.clone() });
        Ok(Self { inner: self.inner.clone(), room: Some(room), view })
    }

    /// A part of the cache with keys of its own, say those of one user: what is stored through one scope is not
    /// found through another, nor through the cache itself. Figures and defaults are those of the handle it is made of.
    /// Costs two small allocations, and nothing is left of it when its entries and handles are gone.
    #[must_use]
    pub fn scope(&self, name: &str) -> Self {
        let room = Room::below(self.room.as_ref(), SCOPE, name);
        Self { inner: self.inner.clone(), room: Some(room), view: self.view.clone() }
    }

    /// What calls take where they say nothing themselves.
    pub fn defaults(&self) -> Defaults {
        self.view.defaults
    }

    /// Removes everything in this part and the parts below it, as [`remove`](Self::remove) does; on the cache itself,
    /// everything. Loads under way are superseded. O(n) of the whole cache.
    pub fn clear(&self) {
        self.inner.with(|shelf| match &self.room {
            None => shelf.clear(),
            Some(room) => {
                let slots = shelf.slots_in(room);
                slots.into_iter().for_each(|slot| shelf.machine.remove(slot));
            }
        });
    }

    /// Removes every entry of this part and the parts below it that bears the tag; how many there were. It
    /// beats the loads that began before it as [`remove`](Self::remove) does: nobody who comes later joins a
    /// load that is under way, whatever its key, and what that load brings is not stored if it turns out to bear the tag.
    ///
    /// O(entries removed).
    ///
    /// ```
    /// # use nearcache::{Cache, EntryOptions};
    /// let cache: Cache<u64, &str> = Cache::new_with_max_entries(1_000);
    /// cache.insert_with(1, "a post", EntryOptions { tags: vec!["ann".to_owned()], ..EntryOptions::default() });
    /// let of_bob = cache.scope("user:bob");
    /// of_bob.insert(1, "bob's own");
    /// assert_eq!((cache.remove_by_tag("ann"), cache.get(&1), of_bob.get(&1)), (1, None, Some("bob's own")));
    /// ```
    pub fn remove_by_tag(&self, tag: &str) -> usize {
        let name = self.tag_name(tag);
        self.inner.with(|shelf| shelf.machine.remove_tag(&name)).unwrap_or(0)
    }

    /// As [`remove_by_tag`](Self::remove_by_tag), but ends their freshness, as [`expire`](Self::expire) does; how many
    /// were fresh.
    pub fn expire_by_tag(&self, tag: &str) -> usize {
        let (name, now) = (self.tag_name(tag), self.inner.now());
        self.inner.with(|shelf| shelf.machine.expire_tag(&name, now)).unwrap_or(0)
    }

    fn tag_name(&self, tag: &str) -> String {
        tag_name(self.room.as_ref().map(|room| &*room.path), tag)
    }

    /// The names in the core of the handle's tags and these: one for each part that a purge may come from.
    pub(super) fn tag_names<'a>(&'a self, tags: impl Iterator<Item = &'a String>) -> Vec<String> {
        let mut names = Vec::new();
        for tag in self.view.tags.iter().chain(tags) {
            names.push(tag_name(None, tag));
            if let Some(room) = &self.room {
                names.extend(room.paths().map(|path| tag_name(Some(path), tag)));
            }
        }
        names
    }
}
