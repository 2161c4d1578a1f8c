//! Figures made of figures: a page for Prometheus, and a verdict on whether all is well. Functions of numbers,
//! without a clock.

mod advice;
mod health;
mod prometheus;
mod text;
#[cfg(feature = "tier")]
mod tiers;
mod window;

pub use advice::{Advice, Evidence, Lever, advise};
pub use health::{Check, Health, Judged, Rates, Thresholds, health};
pub use prometheus::{CONTENT_TYPE, Layer, Occupancy, page, prometheus};
#[cfg(feature = "tier")]
pub use tiers::TierPage;
pub use window::{Growing, Window};
