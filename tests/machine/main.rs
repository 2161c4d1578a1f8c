//! The pure machine by itself, as a driver sees it.

mod computes;
mod driving;
mod entries;
mod exchange;
mod queue;
mod random_calls;
mod sim;
mod snapshot;
mod timely;
mod waits;

#[path = "../common/random.rs"]
mod random;
