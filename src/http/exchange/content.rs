//! What a body is made of.

use std::ops::Range;
use std::rc::Rc;

use super::manifest::Manifest;

/// Where a body comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content<B> {
    /// There is none.
    Empty,
    /// These bytes of a stored body.
    Stored(B, Range<u64>),
    /// These bytes of a body that lies apart. Where it can't be had: [`Exchange::handle_missing`](super::Exchange::handle_missing).
    Apart(Rc<Manifest>, Range<u64>),
    /// These bytes of the body that is just being read for the store.
    Filling(Range<u64>),
    /// The body that the origin sends, as it comes.
    Origin,
    /// Words of our own.
    Text(String),
}
