//! Entries that leave in time: the task that waits for the moment.

use std::cell::{Cell, RefCell};
use std::hash::Hash;
use std::rc::Weak;

use futures_util::future::{AbortHandle, abortable};

use super::inner::Inner;
use super::runtime::Runtime;
use crate::time::Timestamp;

/// Begins a task that waits until a moment; what ends it.
type Begin = Box<dyn Fn(Timestamp) -> Option<AbortHandle>>;

/// Has one task at the most, which ends with the cache.
pub(super) struct Purger {
    begin: Begin,
    at: Cell<Option<Timestamp>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Purger {
    pub fn new<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime>(inner: Weak<Inner<K, V, R>>) -> Self {
        let begin = move |at: Timestamp| {
            let (strong, inner) = (inner.upgrade()?, inner.clone());
            let sleep = strong.runtime.sleep(at.millis_since(strong.now()));
            let (task, handle) = abortable(async move {
                sleep.await;
                if let Some(inner) = inner.upgrade() {
                    if let Some(purger) = &inner.purger {
                        purger.at.set(None);
                    }
                    let now = inner.now();
                    inner.with(|table| table.machine.purge_due(now));
                }
            });
            strong.runtime.spawn(Box::pin(async move {
                let _ = task.await;
            }));
            Some(handle)
        };
        Self { begin: Box::new(begin), at: Cell::default(), task: RefCell::default() }
    }

    /// When the machine wants to be asked next. Nothing may be borrowed, since a spawner is the user's.
    pub fn set(&self, at: Option<Timestamp>) {
        if self.at.replace(at) == at {
            return;
        }
        let task = at.and_then(|at| (self.begin)(at));
        if let Some(before) = self.task.replace(task) {
            before.abort();
        }
    }
}

impl Drop for Purger {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
        }
    }
}
