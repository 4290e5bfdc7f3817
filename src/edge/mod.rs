//! The only room that does I/O: files, databases, the terminal, the clock, signals.

pub mod alerts;
pub mod clock;
pub mod http;
pub mod ledger;
mod ledger_cells;
mod ledger_csv;
mod ledger_parquet;
mod ledger_postgres;
mod ledger_query;
mod ledger_row;
mod ledger_sqlite;
pub mod lock;
pub mod log;
pub mod manifest;
pub mod pages;
pub mod preflight;
pub mod publish;
pub mod pull;
pub mod recover;
pub mod redact;
pub mod secrets;
pub mod series_csv;
pub mod signals;
pub mod state;
pub mod verify;

mod crash;

#[cfg(test)]
mod tests;
