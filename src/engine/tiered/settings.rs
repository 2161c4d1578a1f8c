//! What a chain is made of.

use std::rc::Rc;

use crate::tier::{ChainOptions, Seal};
use crate::tiers::{AnyTier, TierOptions};

/// One tier, and what is said of it.
pub(super) struct Store {
    pub name: String,
    pub tier: Rc<dyn AnyTier>,
    pub options: TierOptions,
}

/// What a chain is made of.
pub(super) struct Settings {
    pub chain: ChainOptions,
    pub seal: Seal,
    pub stores: Vec<Store>,
    pub log: Box<dyn Fn(&str)>,
    /// Payloads from so many bytes on are compressed.
    pub compress_from: usize,
}
