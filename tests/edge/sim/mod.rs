//! An edge of many isolates in virtual time. Every decision is made by the machines of `core` and `tier`; what is here carries out, as
//! the npm package's driver does, and stands for what is around: isolates that come and go, stores, distances, the origin.

mod calls;
mod figures;
mod isolate;
mod leases;
mod loads;
mod log;
mod map;
mod price;
mod purges;
#[path = "../../common/random.rs"]
mod random;
mod report;
mod scenario;
mod slab;
mod stores;
mod traffic;
mod truth;
mod world;

#[allow(unused_imports, reason = "the command and the test use their parts")]
pub use {
    random::seed,
    report::Report,
    scenario::{USAGE, parse},
};
