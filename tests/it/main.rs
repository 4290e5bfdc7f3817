//! All integration tests in one binary: every further one would link Polars again.

#![allow(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used)]

mod adapters;
mod cluster;
mod crash;
mod demo;
mod docs;
mod errors;
#[allow(dead_code)] // Each test takes the steps that it needs.
mod fault_server;
mod faults;
mod foreign;
mod foreign_databases;
mod laws;
mod oracle;
mod postgres;
mod scenarios;
mod tidy;
mod vectors;
mod worlds;
