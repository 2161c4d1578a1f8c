//! A cache over tiers: what [`tiers`](crate::tiers) puts below it. Everything is decided by the machine in [`tier`](crate::tier).

mod chain;
mod driver;
mod handle;
mod life;
mod load;
mod reader;
mod settings;
mod turns;
mod writer;

pub use chain::Tiers;
pub use handle::{TierStats, Tiered};
