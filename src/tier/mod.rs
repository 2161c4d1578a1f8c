//! Below memory: what a chain of tiers does next, and what lies in the tiers. No I/O, no clock: time is an argument, bytes and
//! names go in and come out, and a driver carries out.
//!
//! A tier is any store that gets, sets and deletes bytes by name: Redis, a KV store, a folder. A chain of them, read in order,
//! is a loader: it runs inside a load, so that sharing, deadlines and stale windows are the cache's own.
//!
//! - [`Read`] asks tier by tier for one key or many; [`Chain::write`] and [`Read::promotions`] say what to store where.
//! - [`Chain::purge`] makes what was loaded before unbelievable: here at once, elsewhere by marks in every tier.
//! - [`envelope`] is what lies in a store, [`names`] where.
//! - [`Leases`] lets one isolate of many load a key, and [`Gate`] goes on without them where they fail.
//! - [`PurgeLog`] is one list of purges for all isolates, and [`LogFollower`] what one of them knows of it.
//! - [`message`] tells others' memories of purges; [`snapshot`] is a whole cache as bytes.
//!
//! # Purges across isolates
//!
//! A value's *generation* is the moment its load began. A delete, a tag purge and a clear write a mark into each tier: whatever has
//! the mark's generation or an earlier one is not believed. So a load, a promotion or a write that comes late
//! brings back nothing: what it stores has the generation of its load. Marks stay as long as anything may that they end
//! ([`ChainOptions::max_lifetime`]). This rests on clocks that differ by [`ChainOptions::clock_skew`] at most, on writes that arrive within
//! [`ChainOptions::late_writes`], and on a store that shows what was written to it: where that takes a while (Workers KV: up to a minute) purges take as long.
//! A mark that could not be written is kept and tried again, and counts here meanwhile.

mod breaker;
mod bytes;
mod chain;
pub mod envelope;
mod figures;
mod follow;
mod lease;
mod marks;
pub mod message;
pub mod names;
mod purge_log;
mod read;
mod refused;
pub(crate) mod seal;
pub mod snapshot;
mod write;

pub use breaker::{BreakerOptions, BreakerState};
pub use chain::{Chain, ChainEvent, ChainOptions, Delivery, Failure, Lane, Purge, TierOptions};
pub use envelope::{Envelope, Freshness, Kind, Lifetimes};
pub use figures::TierFigures;
pub use follow::{Bound, FollowFigures, FollowOptions, LogFollower, Look, Next, Page, Told};
pub use lease::{Acquired, Gate, GateChange, Leases};
pub use names::Place;
pub use purge_log::{Appended, LogOptions, PurgeLog};
pub use read::{Found, Promotion, Read, ReadOutcome, Step};
pub use refused::Refused;
pub use seal::Seal;
pub use write::{NewValue, Put, Write, Written};
