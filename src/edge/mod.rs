//! edge

pub mod ledger;
mod ledger_cells;
mod ledger_csv;
mod ledger_parquet;
mod ledger_row;
mod ledger_sqlite;
