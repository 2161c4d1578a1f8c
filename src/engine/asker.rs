//! Which loader's code is running, so that a get made in it is known to be its.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::core::Node;

thread_local! {
    /// The loaders that are being polled, each inside the one before, with the address of their cache.
    static STACK: RefCell<Vec<(usize, Node)>> = const { RefCell::new(Vec::new()) };
}

/// The innermost loader of the cache at this address that the caller runs in.
pub(super) fn current(cache: usize) -> Option<Node> {
    STACK.with(|stack| {
        let stack = stack.try_borrow().ok()?;
        stack.iter().rev().find(|(address, _)| *address == cache).map(|(_, node)| *node)
    })
}

/// A loader that is known while it is polled.
pub(super) struct Known<'a, F> {
    cache: usize,
    node: Node,
    loader: Pin<&'a mut F>,
}

impl<'a, F> Known<'a, F> {
    pub fn new(cache: usize, node: Node, loader: Pin<&'a mut F>) -> Self {
        Self { cache, node, loader }
    }
}

impl<F: Future> Future for Known<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        STACK.with(|stack| stack.borrow_mut().push((self.cache, self.node)));
        // A drop, so that the stack is right after a panic too.
        let _popped = Popped;
        self.loader.as_mut().poll(cx)
    }
}

struct Popped;

impl Drop for Popped {
    fn drop(&mut self) {
        STACK.with(|stack| stack.borrow_mut().pop());
    }
}
