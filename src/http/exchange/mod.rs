//! A request's way through a shared cache, as two machines without I/O.
//!
//! [`Exchange`] is one client's request: it is told what is stored, and answers, or says what to ask the origin for.
//! [`Fetch`] is one trip to the origin, alone or for all who ask for the same: it is told what the origin answered,
//! and says what becomes of that. What changes in the store they say as [`Change`]s.
//!
//! Neither has a clock or sees a byte of a body: a body is a `B` of the driver's, which is cheap to clone, and the
//! machines know its length.

mod answer;
mod change;
mod client;
mod failure;
mod fetch;
mod fill;
mod forward;
mod freshen;
mod key;
mod outcome;
mod record;
mod request;
mod response;
mod target;

pub use answer::{Answer, Content};
pub use change::Change;
pub use client::{Decision, Exchange};
pub use fetch::{Fetch, Filling, Piece, Progress};
pub use forward::FetchHead;
pub use key::{FlightKey, Key};
pub use outcome::{Failed, Failure, Outcome, Unshared};
pub use record::{Record, Stored};
pub use request::Request;
pub use response::ResponseHead;
pub use target::Target;
