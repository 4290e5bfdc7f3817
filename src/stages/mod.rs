//! Verbs: pure, synchronous functions from the snapshot to rows. No adapters, no I/O, no async.

pub mod results;
