//! All integration tests in one binary: every further one would link Polars again.

mod adapters;
mod laws;
mod oracle;
mod vectors;
mod worlds;
