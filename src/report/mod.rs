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

use crate::domain::beside::each;
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::stages::results::Outcome;
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

/// Every CSV file of a run, by name: rendered and summed side by side on all processors, then `control_totals.csv`
/// with the sums.
///
/// # Errors
/// A sum that does not fit.
pub fn files(outcome: &Outcome, reporting_currency: Currency, byte_order_mark: bool) -> Result<Vec<(String, Vec<u8>)>, Fault> {
    let (tables, sources) = tables::tables(outcome, reporting_currency)?;
    let made = each(&tables, |table| (controls::rows(table, &sources), csv::render(table, byte_order_mark)));
    let (mut files, mut sums) = (Vec::new(), Vec::new());
    for (table, (rows, bytes)) in tables.iter().zip(made) {
        files.push((table.file.to_string(), bytes));
        sums.extend(rows?);
    }
    let totals = controls::table(outcome, sums)?;
    files.push((totals.file.to_string(), csv::render(&totals, byte_order_mark)));
    Ok(files)
}

#[cfg(test)]
mod tests;
