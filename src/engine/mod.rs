//! The async engine: it drives the pure [`core`](crate::core) with keys, values, futures and a clock.
//! What it needs of its surroundings is the [`Runtime`] trait.

mod batch;
mod builder;
mod cache;
mod call;
mod figures;
#[cfg(target_family = "wasm")]
pub(crate) mod js_clock;
mod load;
mod plugin;
mod polling;
mod random;
mod runtime;
mod seat;
mod shelf;
mod update;
mod view;
mod warmup;
mod wrap;

pub use batch::Batched;
pub use builder::Builder;
pub use cache::Cache;
pub use call::{CallOptions, EntryOptions, Got, LoadCtx, Status};
pub use plugin::{Plugin, SlowLoads};
pub use runtime::{Local, Runtime};
pub use warmup::{KeepFresh, KeepFreshOptions, Progress, Warmed};
pub use wrap::Wrapped;
