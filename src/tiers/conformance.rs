//! What is wanted of a tier, as checks that its author can run.
