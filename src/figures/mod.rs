//! Figures made of figures: a page for Prometheus, and a verdict on whether all is well. Functions of numbers,
//! without a clock.

mod advice;
mod health;
mod prometheus;
mod window;

pub use advice::{Advice, Evidence, Lever, advise};
pub use health::{Check, Health, Thresholds, health};
pub use prometheus::{CONTENT_TYPE, Held, Layer, page, prometheus};
pub use window::Window;
