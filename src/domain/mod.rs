//! Nouns that two or more rooms share. Imports nothing but std, chrono with its time zones, rust_decimal and serde
//! (and 256-bit integers for exact products).

pub mod agreement;
pub mod alert;
pub mod beside;
pub mod calendar;
mod currency;
mod digits;
pub mod fault;
pub mod fx;
pub mod ledger;
pub mod ledger_columns;
pub mod ledger_findings;
pub mod money;
pub mod names;
pub mod period;
pub mod plan;
pub mod price;
pub mod schema;
pub mod spike;
pub mod teams;
pub mod usage;
