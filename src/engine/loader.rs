//! What brings a load's value, once or as often as it is tried.

use std::future::Future;

use super::call::LoadCtx;
use crate::error::LoadError;

pub(super) trait Loader<V>: 'static {
    type Future: Future<Output = Result<V, LoadError>> + 'static;

    /// Whether it can be called more than once.
    const REPEATS: bool;

    /// Whether it takes a place in a batch, whose call has a turn of its own.
    fn is_batched(&self) -> bool {
        false
    }

    /// Begins to load. `None`: it is spent.
    fn load(&mut self, ctx: LoadCtx<V>) -> Option<Self::Future>;
}

/// One that is spent when it is called.
pub(super) struct Once<L>(Option<L>);

impl<L> Once<L> {
    pub fn new(load: L) -> Self {
        Self(Some(load))
    }
}

impl<V, L, F> Loader<V> for Once<L>
where
    L: FnOnce(LoadCtx<V>) -> F + 'static,
    F: Future<Output = Result<V, LoadError>> + 'static,
{
    type Future = F;
    const REPEATS: bool = false;

    fn load(&mut self, ctx: LoadCtx<V>) -> Option<F> {
        self.0.take().map(|load| load(ctx))
    }
}

/// One that can be called again and again.
pub(super) struct Repeated<L, const BATCHED: bool>(pub L);

impl<V, L, F, const BATCHED: bool> Loader<V> for Repeated<L, BATCHED>
where
    L: FnMut(LoadCtx<V>) -> F + 'static,
    F: Future<Output = Result<V, LoadError>> + 'static,
{
    type Future = F;
    const REPEATS: bool = true;

    fn is_batched(&self) -> bool {
        BATCHED
    }

    fn load(&mut self, ctx: LoadCtx<V>) -> Option<F> {
        Some((self.0)(ctx))
    }
}
