//! Plugins are told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::inner::Inner;
use super::plugin::{EvictEvent, ExpireEvent, InsertEvent, Place, Plugin};
use super::runtime::Runtime;
use crate::core::RemovalCause;

/// Hooks so deep are told of what hooks cause.
const DEEPEST: u32 = 8;

impl<K, V, R: Runtime> Inner<K, V, R> {
    #[inline]
    pub fn has_plugins(&self) -> bool {
        !self.plugins.is_empty()
    }

    /// Calls a hook of every plugin. Nothing may be borrowed.
    pub fn notify(&self, hook: impl Fn(&dyn Plugin<K, V>)) {
        let depth = self.hook_depth.get();
        // A hook that causes what it is called for would never end.
        if depth >= DEEPEST {
            return;
        }
        self.hook_depth.set(depth + 1);
        for plugin in &self.plugins {
            // What a hook leaves half done is its own.
            let _ = catch_unwind(AssertUnwindSafe(|| hook(&**plugin)));
        }
        self.hook_depth.set(depth);
    }

    /// As [`notify`](Self::notify), of something about a key, if there is anybody to be told.
    #[inline]
    pub fn notify_of(&self, key: Option<&K>, hook: impl Fn(&dyn Plugin<K, V>, &K)) {
        if let Some(key) = key
            && self.has_plugins()
        {
            self.notify(|plugin| hook(plugin, key));
        }
    }

    /// Tells that a value left.
    pub fn notify_inserted(&self, key: &K, place: Option<&Rc<Place>>) {
        let place = place.unwrap_or(&self.root);
        self.notify(|plugin| plugin.insert(&InsertEvent { key, place }));
    }

    pub fn notify_left(&self, key: &K, value: &V, cause: RemovalCause, place: Option<&Rc<Place>>) {
        let place = place.unwrap_or(&self.root);
        self.notify(|plugin| plugin.evict(&EvictEvent { key, value, cause, place }));
        if cause == RemovalCause::Expired {
            self.notify(|plugin| plugin.expire(&ExpireEvent { key, value, place }));
        }
    }
}
