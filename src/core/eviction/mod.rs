//! Which entry goes when room is needed.

pub(crate) mod lru;
