//! How a load, or a batch's call, waits for its turn where loads are limited.

use std::future::Future;
use std::hash::Hash;
use std::rc::{Rc, Weak};
use std::task::Poll;

use futures_util::future::LocalBoxFuture;

use super::gate::Gate;
use super::inner::Inner;
use super::runtime::Runtime;
use crate::core::Node;
use crate::time::Timestamp;

struct Timer {
    at: Timestamp,
    sleep: LocalBoxFuture<'static, ()>,
}

/// Waits for the turn of a load or call that the machine has queued. Who is next sets the timer for the moment at which the
/// next may begin; where each belongs to a request of its own, everyone does.
pub(super) async fn wait<K: Hash + Eq, V, R: Runtime>(inner: Weak<Inner<K, V, R>>, gate: Rc<Gate>, node: Node) {
    let mut promise = None;
    if let Some((task, signal)) = inner.upgrade().and_then(|inner| inner.runtime.signal()) {
        promise = Some(task);
        *gate.signal.borrow_mut() = Some(signal);
    }
    let mut timer: Option<Timer> = None;
    std::future::poll_fn(move |cx| {
        if let Some(promise) = &mut promise {
            // So that it is this request's code that goes on.
            let _ = std::pin::Pin::new(promise).poll(cx);
        } else {
            *gate.waker.borrow_mut() = Some(cx.waker().clone());
        }
        while !gate.open.get() {
            let Some(inner) = inner.upgrade() else { return Poll::Ready(()) };
            let at = inner.with(|table| match R::DETACHED {
                true => table.machine.starts_at(node).ok().flatten(),
                false if table.machine.next_to_start() == Some(node) => table.machine.next_start(),
                false => None,
            });
            let Some(at) = at.flatten() else { return Poll::Pending };
            if timer.as_ref().is_none_or(|timer| timer.at != at) {
                let sleep = inner.runtime.sleep(at.millis_since(inner.now()).max(1));
                timer = Some(Timer { at, sleep: Box::pin(sleep) });
            }
            if timer.as_mut().is_some_and(|timer| timer.sleep.as_mut().poll(cx).is_pending()) {
                return Poll::Pending;
            }
            timer = None;
            let now = inner.now();
            inner.with(|table| table.start_waiting(now));
        }
        Poll::Ready(())
    })
    .await;
}
