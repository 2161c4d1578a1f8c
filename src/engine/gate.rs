//! What opens for one who waits.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::task::{Poll, Waker};

use super::runtime::{Runtime, Signal};
use crate::core::Slot;

/// Opens when the turn has come.
#[derive(Default)]
pub(super) struct Gate {
    pub(super) open: Cell<bool>,
    /// Where the last good value is then.
    pub slot: Cell<Option<Slot>>,
    pub(super) waker: RefCell<Option<Waker>>,
    pub(super) signal: RefCell<Option<Signal>>,
}

impl Gate {
    pub fn open(&self) {
        self.open.set(true);
    }

    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Waits until it is open.
    pub async fn opened<R: Runtime>(&self, runtime: &R) {
        let mut promise = runtime.signal().map(|(task, signal)| {
            *self.signal.borrow_mut() = Some(signal);
            task
        });
        std::future::poll_fn(move |cx| {
            if self.open.get() {
                return Poll::Ready(());
            }
            match &mut promise {
                // So that it is this request's code that goes on.
                Some(promise) => drop(std::pin::Pin::new(promise).poll(cx)),
                None => *self.waker.borrow_mut() = Some(cx.waker().clone()),
            }
            Poll::Pending
        })
        .await;
    }

    /// Lets the one who waits look. To be called with nothing borrowed.
    pub fn wake(&self) {
        match self.signal.take() {
            Some(signal) if self.open.get() => signal(),
            Some(signal) => *self.signal.borrow_mut() = Some(signal),
            None => self.waker.take().into_iter().for_each(Waker::wake),
        }
    }
}
