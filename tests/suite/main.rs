//! The cache by subject, in virtual time: each module is named as its like in `tests/js/suite`.

#[path = "../common/mod.rs"]
mod common;

mod batches;
mod bench;
mod bounds;
mod by_hand;
mod circles;
mod clock;
mod compute;
mod context;
mod deadlines;
mod details;
mod errors;
mod events;
mod eviction;
mod expire;
mod failures;
mod futures;
mod hooks;
mod keep_fresh;
mod lifetimes;
mod model;
mod namespaces;
mod negative;
mod one_key;
mod options;
mod parts_model;
mod plugins;
mod purges;
mod refresh_ahead;
mod requests;
mod schedules;
mod sharing;
mod soft_timeout;
mod stale;
mod stats;
mod tags;
mod timely;
mod updates;
mod user_code;
mod warmup;
mod wrap;
