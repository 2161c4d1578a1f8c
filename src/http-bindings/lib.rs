//! The exchange of [`nearcache::http`] in a JS runtime: what is stored, what is under way, bounds and figures. The driver in
//! `pkg/src/http` calls in here and carries out what takes time. The Worker and npm's `nearcache/http` are made of it, each with
//! settings of its own.

// Nothing that a caller can reach may panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// There is nothing here but for the host of wasm.
#![cfg(target_family = "wasm")]

mod ask;
mod edge;
mod figures;
mod flights;
mod heads;
mod host;
mod limits;
mod proxy;
mod room;
mod store;
mod trip;
mod url;

pub use ask::Ask;
pub use edge::{Apart, Edge, Share};
pub use host::{Host, now, unflatten};
pub use limits::Limits;
pub use proxy::Proxy;
pub use store::Purged;
pub use trip::Trip;
pub use url::Url;
