//! Reads native request ledgers (contract 3.2) from a SQLite or PostgreSQL database or from CSV and Parquet files,
//! row by row, without ever writing to them. What the rows mean is decided in one place for all sources.

use super::ledger_cells::{COLUMNS, Cell, Cells, REQUIRED};
use super::ledger_files::{Form, files};
use super::ledger_query::Query;
use super::ledger_row::Rows;
use super::ledger_wanted::Wanted;
use super::{ledger_csv, ledger_foreign, ledger_json, ledger_parquet, ledger_postgres, ledger_sqlite, ledger_sqlite_foreign};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::LedgerLine;
use crate::domain::period::Days;
use crate::job::{LedgerPlace, LedgerSource};
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long a locked database is waited for (reliability.md section 5, ledger rows).
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// Hands on the rows of a ledger whose `started_at` lies in the window, and as quarantined those that cannot
/// be read, also where no day can be made out. Rows come in the order of the source, once each; replays are
/// for the caller to find, by `content`.
///
/// `row` counts from 1: over all files of the source in the order of their names, or over the rows that a
/// database selects. `expected_currency` stays as the row has it. Memory is bounded by a batch of rows.
///
/// Not to be called from async code: a database is read on a runtime of its own.
///
/// # Errors
/// A place that does not exist (78), may not be read (77), is locked for 30 s (75), cannot be opened where
/// it is (73), fails while reading (74), or is not a ledger: not a database, damaged, without the table or a
/// required column, with a column of an unusable type (65). After an error the rows handed on so far are
/// worth nothing.
pub fn read(source: &LedgerSource, window: Days, each: &mut dyn FnMut(LedgerLine<'_>)) -> Result<(), Fault> {
    let mut rows = Rows::new(window, source.currency, each).in_zone(source.time_zone);
    // A database compares times as they are written: local ones lie up to a day beside those of UTC.
    let around = Days { from: window.from.pred_opt().unwrap_or(window.from), to: window.to.succ_opt().unwrap_or(window.to) };
    let window = if source.time_zone.is_some() { around } else { window };
    match (&source.place, source.kind) {
        (LedgerPlace::Sqlite { path, table }, Some(kind)) => {
            return ledger_foreign::read_sqlite(source, kind, path, table, BUSY_WAIT, window, &mut rows);
        }
        (LedgerPlace::Postgres { server, table }, Some(kind)) => {
            return ledger_foreign::read_postgres(source, kind, server, table, window, &mut rows);
        }
        _ => {}
    }
    match &source.place {
        LedgerPlace::Sqlite { path, table } => {
            let query = ledger_sqlite::native(path, table, BUSY_WAIT)?;
            ledger_sqlite::read(path, &query, window, BUSY_WAIT, &mut canonical(&query, &mut rows))
        }
        LedgerPlace::Postgres { server, table } => {
            let query = ledger_postgres::native(server, table)?;
            ledger_postgres::read(server, &query, window, &mut canonical(&query, &mut rows))
        }
        LedgerPlace::Files(patterns) => match source.kind {
            None => native_files(&source.name, patterns, &mut rows),
            Some(kind) => ledger_foreign::read_files(source, kind, patterns, &mut rows),
        },
    }
}

fn native_files(ledger: &str, patterns: &[String], rows: &mut Rows<'_>) -> Result<(), Fault> {
    let files = files(ledger, patterns)?;
    for file in &files {
        if files.len() > 1 {
            rows.start_file(&file.path.file_name().unwrap_or_default().to_string_lossy());
        }
        let native = Wanted(None);
        match file.form {
            Form::Csv => ledger_csv::read(&file.path, rows)?,
            Form::Json => ledger_json::document(&file.path, native, &mut |row| ledger_foreign::native_texts(row, rows))?,
            Form::JsonLines => ledger_json::lines(&file.path, native, &mut |row| ledger_foreign::native_texts(row, rows))?,
            Form::Parquet => ledger_parquet::read(&file.path, rows)?,
        }
    }
    Ok(())
}

/// How many rows the ledger's files say they have; those that do not say it count as none.
///
/// # Errors
/// As [`read`].
pub fn rows(source: &LedgerSource) -> Result<usize, Fault> {
    let LedgerPlace::Files(patterns) = &source.place else { return Ok(0) };
    let files = files(&source.name, patterns)?;
    let parquet = files.iter().filter(|file| file.form == Form::Parquet);
    parquet.map(|file| ledger_parquet::rows(&file.path)).sum()
}

/// Opens a ledger and verifies that it has what [`read`] needs, without reading rows.
///
/// # Errors
/// As [`read`], as far as a first look can tell.
pub fn check(source: &LedgerSource) -> Result<(), Fault> {
    match (&source.place, source.kind) {
        (LedgerPlace::Sqlite { path, table }, Some(kind)) => {
            return ledger_sqlite_foreign::statement(path, kind, table, BUSY_WAIT).map(|_| ());
        }
        (LedgerPlace::Postgres { server, table }, Some(kind)) => {
            return ledger_postgres::foreign(server, kind, table).map(|_| ());
        }
        _ => {}
    }
    match &source.place {
        LedgerPlace::Sqlite { path, table } => ledger_sqlite::native(path, table, BUSY_WAIT).map(|_| ()),
        LedgerPlace::Postgres { server, table } => ledger_postgres::native(server, table).map(|_| ()),
        LedgerPlace::Files(patterns) => ledger_foreign::check_files(source, Wanted(source.kind), patterns),
    }
}

/// Takes the rows of a statement whose columns are those of the contract.
pub(super) fn canonical<'r, 'f>(query: &Query, rows: &'r mut Rows<'f>) -> impl FnMut(&[Cell<'_>]) + use<'r, 'f> {
    let place = |name: &&str| COLUMNS.iter().position(|(column, _)| column == name);
    let columns: Vec<usize> = query.columns.iter().filter_map(place).collect();
    move |row| {
        let mut cells = Cells::new();
        for (column, cell) in columns.iter().zip(row) {
            cells.set(*column, *cell);
        }
        rows.take(&cells);
    }
}

/// A ledger file that cannot be opened or read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let place = path.display().to_string();
    match error.kind() {
        io::ErrorKind::NotFound => {
            let hint =
                "correct the path in the job file (a relative one starts at the job file's folder), or put the ledger there";
            Fault::new(ExitCode::Config, place, "no such file", hint)
        }
        io::ErrorKind::PermissionDenied => {
            Fault::new(ExitCode::NoPerm, place, "permission denied", "let the user that runs this read the file and its folders")
        }
        kind => Fault::new(ExitCode::IoErr, place, format!("cannot be read: {kind}"), "check the disk, then run again"),
    }
}

/// A ledger without columns that it must have.
pub(super) fn missing_columns(place: String, missing: &[&str], found: &[String]) -> Fault {
    let plural = if missing.len() == 1 { "" } else { "s" };
    let what = format!("required column{plural} missing: {}; found: {}", missing.join(", "), listed(found));
    let required: Vec<&str> = REQUIRED.iter().map(|column| column.name()).collect();
    let hint = format!("a ledger needs {}; a view or a header row can rename what is there", required.join(", "));
    Fault::new(ExitCode::Data, place, what, hint)
}

/// Names for a message: all control characters visible, and never more than one line.
pub(super) fn listed(names: &[String]) -> String {
    const SHOWN: usize = COLUMNS.len();
    if names.is_empty() {
        return "nothing".to_string();
    }
    let shown = names.iter().take(SHOWN).map(|name| name.chars().take(40).collect::<String>().escape_debug().to_string());
    let more = names.len().checked_sub(SHOWN).filter(|more| *more > 0).map(|more| format!(" and {more} more"));
    format!("{}{}", shown.collect::<Vec<_>>().join(", "), more.unwrap_or_default())
}

#[cfg(test)]
mod tests;
