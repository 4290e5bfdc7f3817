//! All integration tests in one binary: every further one would link Polars again.

#![allow(clippy::expect_used, clippy::panic, clippy::unreachable, clippy::unwrap_used)]

mod adapters;
mod alerts;
mod backtest;
mod cluster;
mod crash;
mod demo;
mod docs;
mod eleventh;
mod errors;
#[allow(dead_code)] // Each test takes the steps that it needs.
mod fault_server;
mod faults;
mod foreign;
mod foreign_databases;
mod laws;
mod ledger_engines;
mod ledger_world;
mod oracle;
mod plan_details;
mod plan_laws;
mod plan_shapes;
mod plan_vectors;
mod postgres;
mod price_books;
mod providers;
mod replays;
mod savings;
mod savings_details;
mod scenarios;
mod schemas;
mod simulated;
#[allow(dead_code)] // Each test takes the faults that it needs.
mod simulator;
mod spikes;
mod sqlite;
mod tidy;
mod vectors;
mod watched;
mod weekend;
mod worlds;

// As an adapter of the crate sees it: the eleventh provider is compiled as it would stand there.
use tieout::domain;
