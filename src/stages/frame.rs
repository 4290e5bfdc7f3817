//! Rows to Polars frames and back. Amounts are `Decimal(38, 18)`; kinds, days and requests are numbers.

use crate::domain::fault::{ExitCode, Fault};
use polars::prelude::*;

/// Precision and scale of every amount column (performance.md section 2).
const PRECISION: usize = 38;
const SCALE: usize = 18;

/// A column of amounts, by their count of 10^-18. Range-checked at the door, so sums cannot wrap.
pub fn amounts(name: &str, values: Vec<i128>) -> Column {
    let values = Int128Chunked::from_vec(name.into(), values);
    values.into_decimal_unchecked(PRECISION, SCALE).into_series().into_column()
}

/// A column of numbers: kinds, symbols, row indexes.
pub fn numbers(name: &str, values: Vec<u32>) -> Column {
    UInt32Chunked::from_vec(name.into(), values).into_series().into_column()
}

/// A column of days since 1970.
pub fn days(name: &str, values: Vec<i32>) -> Column {
    Int32Chunked::from_vec(name.into(), values).into_series().into_column()
}

/// A frame of columns that are all equally long.
pub fn frame(columns: Vec<Column>) -> Result<DataFrame, Fault> {
    DataFrame::new_infer_height(columns).map_err(broken)
}

/// The amounts of a column; 0 where null.
pub fn read_amounts(frame: &DataFrame, name: &str) -> Result<Vec<i128>, Fault> {
    let column = frame.column(name).map_err(broken)?;
    let series = column.as_materialized_series();
    let values = series.decimal().map_err(broken)?.physical();
    Ok(values.iter().map(Option::unwrap_or_default).collect())
}

/// The numbers of a column; `absent` where null.
pub fn read_numbers(frame: &DataFrame, name: &str, absent: u32) -> Result<Vec<u32>, Fault> {
    let column = frame.column(name).map_err(broken)?;
    let values = column.as_materialized_series().u32().map_err(broken)?;
    Ok(values.iter().map(|value| value.unwrap_or(absent)).collect())
}

/// The days of a column; `absent` where null.
pub fn read_days(frame: &DataFrame, name: &str, absent: i32) -> Result<Vec<i32>, Fault> {
    let column = frame.column(name).map_err(broken)?;
    let values = column.as_materialized_series().i32().map_err(broken)?;
    Ok(values.iter().map(|value| value.unwrap_or(absent)).collect())
}

/// A frame engine error is a bug or a lack of memory, never the input's fault.
pub fn broken(error: PolarsError) -> Fault {
    Fault::new(ExitCode::Internal, "match", error.to_string(), "this is a bug: report it with the job's MANIFEST.json")
}
