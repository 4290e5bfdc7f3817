//! All integration tests in one binary: every further one would link Polars again.

mod adapters;
mod crash;
mod errors;
mod tidy;
