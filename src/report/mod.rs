//! Rows and totals in their final order, and their rendering. No I/O, no Polars.

pub mod alerts;
pub mod backtest;
pub mod csv;
pub mod laws;
pub mod tables;
pub mod text;
pub mod whatif;

mod controls;
mod layout;
mod savings;
mod savings_laws;
mod savings_text;
pub mod spikes;
mod team_month;

use crate::domain::money::Amount;
use chrono::NaiveDate;

/// One cell of a published table. A text is written as text and a number as a number, whatever they hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Empty,
    Text(String),
    Number(Amount),
    /// A number with at least so many decimals written.
    Rounded(Amount, u8),
    Count(u64),
    Date(NaiveDate),
    Flag(bool),
}

/// A published CSV file: fixed columns, rows in byte order of their cells from left to right.
#[derive(Clone, Debug)]
pub struct Table {
    /// File name with ending, a constant of the code and never from data.
    pub file: &'static str,
    pub columns: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    /// Opened by people: with a byte order mark where the job says so. Machine files have none.
    pub for_people: bool,
}

#[cfg(test)]
mod tests;
