//! Which loads are being polled, so that one that asks for its own key is told so.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::FlightId;

thread_local! {
    static STACK: RefCell<Vec<(FlightId, usize)>> = const { RefCell::new(Vec::new()) };
}

/// Whether the caller runs inside this load of the cache at this address.
pub(super) fn is_inside(flight: FlightId, cache: usize) -> bool {
    STACK.with(|stack| stack.try_borrow().is_ok_and(|stack| stack.contains(&(flight, cache))))
}

/// A load that knows when it is being polled.
pub(super) struct Inside<'a, F> {
    flight: FlightId,
    cache: usize,
    load: Pin<&'a mut F>,
}

impl<'a, F> Inside<'a, F> {
    pub fn new(flight: FlightId, cache: usize, load: Pin<&'a mut F>) -> Self {
        Self { flight, cache, load }
    }
}

impl<F: Future> Future for Inside<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        STACK.with(|stack| stack.borrow_mut().push((self.flight, self.cache)));
        let _popped = Popped;
        self.load.as_mut().poll(cx)
    }
}

struct Popped;

impl Drop for Popped {
    fn drop(&mut self) {
        STACK.with(|stack| stack.borrow_mut().pop());
    }
}
