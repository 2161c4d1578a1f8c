//! The async engine: it drives the pure [`core`](crate::core) with keys, values, futures and a clock.
//! What it needs of its surroundings is the [`Runtime`] trait.

mod builder;
mod cache;
#[cfg(target_family = "wasm")]
pub(crate) mod js_clock;
mod load;
mod runtime;
mod shelf;

pub use builder::Builder;
pub use cache::{Cache, EntryOptions};
pub use load::{CallOptions, LoadCtx};
pub use runtime::{Local, Runtime};
