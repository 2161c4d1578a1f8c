//! A cache over tiers: what [`tiers`](crate::tiers) puts below it. Everything is decided by the machine in [`tier`](crate::tier).

mod below;
mod chain;
mod driver;
mod handle;
mod load;
mod reader;
mod settings;
mod turns;
mod writer;

pub(super) use below::{Below, LoadBelow, TierLoad};
pub use chain::Tiers;
pub use handle::{TierStats, Tiered};
