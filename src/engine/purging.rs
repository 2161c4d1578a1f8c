//! The task that purges what is over.

use std::hash::Hash;
use std::rc::Weak;

use futures_util::future::abortable;

use super::inner::Inner;
use super::purger::Begin;
use super::runtime::Runtime;
use crate::time::Timestamp;

/// How a cache waits for the next end.
pub(super) fn purging<K: Hash + Eq + 'static, V: Clone + 'static, R: Runtime>(inner: Weak<Inner<K, V, R>>) -> Begin {
    Box::new(move |at: Timestamp| {
        let (strong, inner) = (inner.upgrade()?, inner.clone());
        let sleep = strong.runtime.sleep(at.millis_since(strong.now()));
        let (task, handle) = abortable(async move {
            sleep.await;
            if let Some(inner) = inner.upgrade() {
                if let Some(purger) = &inner.purger {
                    purger.rang();
                }
                let now = inner.now();
                inner.with(|table| table.machine.purge_due(now));
            }
        });
        strong.runtime.spawn(Box::pin(async move {
            let _ = task.await;
        }));
        Some(handle)
    })
}
