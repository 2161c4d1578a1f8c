//! The async engine: it drives the pure [`core`](crate::core) with keys, values, futures and a clock.
//! What it needs of its surroundings is the [`Runtime`] trait.

mod asker;
mod batch;
mod batching;
#[cfg(feature = "tier")]
mod below;
mod builder;
mod cache;
mod call;
mod clock;
mod compute;
mod computes;
mod figures;
mod gate;
mod handle;
mod hash;
mod inner;
#[cfg(any(target_family = "wasm", feature = "workers"))]
pub(crate) mod js_clock;
mod load;
mod loader;
mod loading;
mod lookup;
mod many;
#[cfg(feature = "snapshot")]
mod noted;
mod parts;
mod plugin;
mod purger;
mod purging;
mod random;
mod runtime;
mod shared_task;
#[cfg(feature = "snapshot")]
mod snapshot;
mod table;
mod telling;
#[cfg(feature = "tier")]
mod tiered;
mod turn;
mod update;
mod waiter;
mod warmup;
mod wrap;

pub use batch::Batched;
pub use builder::Builder;
pub use cache::Cache;
pub use call::{CallOptions, Details, EntryInfo, EntryOptions, LoadCtx, Status};
pub use clock::ManualClock;
#[cfg(feature = "tier")]
pub(crate) use clock::wall;
pub use plugin::{
    BatchEvent, CoalescedEvent, ErrorEvent, EvictEvent, ExpireEvent, HitEvent, InsertEvent, LoadEvent, MissEvent,
    Place, Plugin, SlowLoads, StaleEvent,
};
pub use runtime::{Local, Runtime, Signal};
#[cfg(feature = "snapshot")]
pub use snapshot::{Loaded, Saved, SnapshotChunks, SnapshotFailure, SnapshotFormat, SnapshotLoader, SnapshotOptions};
#[cfg(feature = "tier")]
pub use tiered::{TierStats, Tiered, Tiers};
pub use warmup::{KeepFresh, KeepFreshOptions, Progress, WarmupResult};
pub use wrap::Wrapped;
