//! All integration tests in one binary: every further one would link Polars again.

mod adapters;
mod crash;
mod demo;
mod docs;
mod errors;
mod tidy;
