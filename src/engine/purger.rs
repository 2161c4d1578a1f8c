//! Entries that leave in time: the task that waits for the moment.

use std::cell::{Cell, RefCell};

use futures_util::future::AbortHandle;

use crate::time::Timestamp;

/// Begins a task that waits until a moment; what ends it.
pub(super) type Begin = Box<dyn Fn(Timestamp) -> Option<AbortHandle>>;

/// Has one task at the most, which ends with the cache.
pub(super) struct Purger {
    begin: Begin,
    at: Cell<Option<Timestamp>>,
    task: RefCell<Option<AbortHandle>>,
}

impl Purger {
    pub fn new(begin: Begin) -> Self {
        Self { begin, at: Cell::default(), task: RefCell::default() }
    }

    /// The moment has come.
    pub fn rang(&self) {
        self.at.set(None);
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
