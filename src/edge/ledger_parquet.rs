//! A native ledger in a Parquet file, read by column and in batches of rows. Typed columns become typed cells,
//! texts are borrowed from their column: no number is written out to be parsed again.

use super::ledger::{missing_columns, unreadable};
use super::ledger_cells::{COLUMNS, Cell, Cells, Holds, missing};
use super::ledger_row::Rows;
use super::pages::typed_cells;
use crate::adapters::columns;
use crate::domain::beside::done;
use crate::domain::fault::{ExitCode, Fault};
use polars::prelude::{
    ArrowDataType, DataFrame, DataType, ParallelStrategy, ParquetReader, PolarsError, PolarsResult, SerReader, Series,
};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// Rows of a batch, of which two are in memory at a time: about 100 MB each of a wide ledger.
const BATCH_ROWS: usize = 1 << 18;

/// Hands on the rows of the file; while those of one batch are, the next one is decoded.
pub fn read(path: &Path, rows: &mut Rows<'_>) -> Result<(), Fault> {
    let (file, columns) = open(path)?;
    let names: Vec<String> = columns.iter().filter_map(|column| COLUMNS.get(*column)).map(|(name, _)| name.to_string()).collect();
    let decode = |slice: (usize, usize)| {
        guarded(path, || {
            let reader = reader(&file)?.with_columns(Some(names.clone())).with_slice(Some(slice));
            series(&reader.read_parallel(ParallelStrategy::Columns).set_rechunk(true).finish()?, &columns)
        })
    };
    let mut slices = batches(path, &file)?.into_iter();
    std::thread::scope(|scope| {
        let start = |slice| scope.spawn(move || decode(slice));
        let mut next = slices.next().map(start);
        while let Some(decoding) = next {
            let batch = done(decoding)?;
            next = slices.next().map(start);
            hand_on(&batch, rows).map_err(|error| unusable(path, &error.to_string()))?;
        }
        Ok(())
    })
}

/// Reads the footer and verifies columns and types.
pub fn check(path: &Path) -> Result<(), Fault> {
    open(path).map(|_| ())
}

/// How many rows the file has.
pub fn rows(path: &Path) -> Result<usize, Fault> {
    let (file, _) = open(path)?;
    guarded(path, || Ok(reader(&file)?.get_metadata()?.num_rows))
}

/// The file and which of [`COLUMNS`] it has.
fn open(path: &Path) -> Result<(File, Vec<usize>), Fault> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let place = path.display().to_string();
    let schema = guarded(path, || reader(&file)?.schema())?;
    let missing = missing(|name| schema.contains(name));
    if !missing.is_empty() {
        let found: Vec<String> = schema.iter_names().map(|name| name.to_string()).collect();
        return Err(missing_columns(place, &missing, &found));
    }
    let mut columns = Vec::new();
    for (index, (name, holds)) in COLUMNS.iter().enumerate() {
        if let Some(field) = schema.get(name) {
            usable(&place, name, *holds, &field.dtype)?;
            columns.push(index);
        }
    }
    Ok((file, columns))
}

fn usable(place: &str, name: &str, holds: Holds, stored: &ArrowDataType) -> Result<(), Fault> {
    use ArrowDataType as Stored;
    let integer = matches!(stored, Stored::Int32 | Stored::Int64 | Stored::UInt32 | Stored::UInt64);
    let text = matches!(stored, Stored::Utf8 | Stored::LargeUtf8 | Stored::Utf8View | Stored::Null);
    let (fits, wanted) = match holds {
        Holds::Text => (integer, "text"),
        Holds::Number => {
            // Wider ones are not decoded.
            let decimal = matches!(stored, Stored::Decimal(digits, _) | Stored::Decimal32(digits, _) | Stored::Decimal64(digits, _) if *digits <= 38);
            (integer || decimal, "a decimal of up to 38 digits, an integer of 32 or 64 bits, or text")
        }
        Holds::Instant => {
            let time = matches!(stored, Stored::Timestamp(..) | Stored::Date32 | Stored::Date64);
            (integer || time, "a timestamp, a date, a Unix time or text")
        }
        Holds::Flag => (integer || *stored == Stored::Boolean, "a boolean, 0 and 1, or text"),
    };
    if fits || text {
        return Ok(());
    }
    let float = matches!(stored, Stored::Float16 | Stored::Float32 | Stored::Float64);
    let (what, hint) = if float && holds == Holds::Number {
        (
            format!("column {name}: a binary float cannot hold money or a quantity exactly"),
            "store decimal or text: `CAST(… AS DECIMAL(38, 18))` in the export",
        )
    } else {
        (format!("column {name}: expected {wanted}, found {stored:?}"), "cast the column in the export")
    };
    Err(Fault::new(ExitCode::Data, place, what, hint))
}

/// Rows of each batch: row groups, the large ones in parts.
fn batches(path: &Path, file: &File) -> Result<Vec<(usize, usize)>, Fault> {
    let groups: Vec<usize> =
        guarded(path, || Ok(reader(file)?.get_metadata()?.row_groups.iter().map(|group| group.num_rows()).collect()))?;
    let mut batches = Vec::new();
    let mut start = 0;
    for mut left in groups {
        while left > 0 {
            let count = left.min(BATCH_ROWS);
            batches.push((start, count));
            start += count;
            left -= count;
        }
    }
    Ok(batches)
}

pub(super) fn reader(file: &File) -> PolarsResult<ParquetReader<File>> {
    let mut reader = ParquetReader::new(file.try_clone()?);
    let mut metadata = reader.get_metadata()?.as_ref().clone();
    // Writers leave a schema of their own in there, with types like dictionary that say nothing about what is
    // stored; without it the types are those of the Parquet file itself.
    metadata.key_value_metadata = None;
    reader.set_metadata(Arc::new(metadata));
    Ok(reader)
}

/// Runs data-frame work behind a panic boundary: a damaged file must not take the process down.
pub(super) fn guarded<T>(path: &Path, work: impl FnOnce() -> PolarsResult<T>) -> Result<T, Fault> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| unusable(path, &error.to_string())),
        Err(_) => Err(unusable(path, "the decoder gave up")),
    }
}

pub(super) fn unusable(path: &Path, why: &str) -> Fault {
    let why: String = why.lines().next().unwrap_or_default().chars().take(200).collect();
    let hint = "write the file again: it is cut short, damaged or not a Parquet file";
    Fault::new(ExitCode::Data, path.display().to_string(), format!("cannot be read as Parquet: {why}"), hint)
}

/// The columns of a batch, each with its index in [`COLUMNS`].
fn series(batch: &DataFrame, columns: &[usize]) -> PolarsResult<Vec<(usize, Series)>> {
    let of = |column: &usize| {
        let (name, holds) = COLUMNS.get(*column).copied().unwrap_or(("", Holds::Text));
        let stored = batch.column(name)?.as_materialized_series();
        // Ids that are numbers to the writer are names to us.
        let text = holds == Holds::Text && *stored.dtype() != DataType::Null;
        Ok((*column, if text { stored.cast(&DataType::String)? } else { stored.clone() }.rechunk()))
    };
    columns.iter().map(of).collect()
}

fn hand_on(batch: &[(usize, Series)], rows: &mut Rows<'_>) -> PolarsResult<()> {
    let mut typed: Vec<(usize, columns::Cells<'_>)> = Vec::with_capacity(batch.len());
    for (column, series) in batch {
        let unknown = || PolarsError::SchemaMismatch(format!("unexpected type {}", series.dtype()).into());
        typed.push((*column, typed_cells(series).ok_or_else(unknown)?));
    }
    let mut cells = Cells::new();
    for row in 0..batch.first().map_or(0, |(_, series)| series.len()) {
        for (column, typed) in &typed {
            cells.set(*column, cell(typed, row));
        }
        rows.take(&cells);
    }
    Ok(())
}

/// The cell of a row.
fn cell<'c>(column: &'c columns::Cells<'_>, row: usize) -> Cell<'c> {
    use columns::Cells as Typed;
    let cell = match column {
        Typed::Nothing => None,
        Typed::Text(texts) => texts.text(row).map(Cell::Text),
        Typed::Whole(numbers) => numbers.whole(row).map(|digits| Cell::Decimal { digits, scale: 0 }),
        Typed::Decimal(numbers, scale) => numbers.get(row).map(|digits| Cell::Decimal { digits, scale: *scale }),
        Typed::Instant(counts, per_second) => counts.get(row).map(|count| Cell::Time { count, per_second: *per_second }),
        Typed::Day(days) => {
            let midnight = |day: i32| Cell::Time { count: i64::from(day) * 86_400, per_second: 1 };
            days.get(row).copied().flatten().map(midnight)
        }
        Typed::Truth(flags) => flags.get(row).copied().flatten().map(Cell::Flag),
    };
    cell.unwrap_or(Cell::Null)
}
