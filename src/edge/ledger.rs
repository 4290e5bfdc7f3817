//! Reads native request ledgers (contract 3.2) from a SQLite or PostgreSQL database or from CSV and Parquet files,
//! row by row, without ever writing to them. What the rows mean is decided in one place for all sources.

use super::ledger_cells::{COLUMNS, Cell, Cells, REQUIRED};
use super::ledger_query::Query;
use super::ledger_row::Rows;
use super::{ledger_csv, ledger_parquet, ledger_postgres, ledger_sqlite};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::LedgerLine;
use crate::domain::period::Days;
use crate::job::{LedgerPlace, LedgerSource};
use std::io;
use std::path::{Path, PathBuf};
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
    let mut rows = Rows::new(window, source.currency, each);
    match &source.place {
        LedgerPlace::Sqlite { path, table } => {
            let query = ledger_sqlite::native(path, table, BUSY_WAIT)?;
            ledger_sqlite::read(path, &query, window, BUSY_WAIT, &mut canonical(&query, &mut rows))
        }
        LedgerPlace::Postgres { server, table } => {
            let query = ledger_postgres::native(server, table)?;
            ledger_postgres::read(server, &query, window, &mut canonical(&query, &mut rows))
        }
        LedgerPlace::Files(patterns) => {
            let files = files(&source.name, patterns)?;
            for (path, form) in &files {
                if files.len() > 1 {
                    rows.start_file(&path.file_name().unwrap_or_default().to_string_lossy());
                }
                match form {
                    Form::Csv => ledger_csv::read(path, &mut rows)?,
                    Form::Parquet => ledger_parquet::read(path, &mut rows)?,
                }
            }
            Ok(())
        }
    }
}

/// How many rows the ledger's files say they have; those that do not say it count as none.
///
/// # Errors
/// As [`read`].
pub fn rows(source: &LedgerSource) -> Result<usize, Fault> {
    let LedgerPlace::Files(patterns) = &source.place else { return Ok(0) };
    let files = files(&source.name, patterns)?;
    let parquet = files.iter().filter(|(_, form)| *form == Form::Parquet);
    parquet.map(|(path, _)| ledger_parquet::rows(path)).sum()
}

/// Opens a ledger and verifies that it has what [`read`] needs, without reading rows.
///
/// # Errors
/// As [`read`], as far as a first look can tell.
pub fn check(source: &LedgerSource) -> Result<(), Fault> {
    match &source.place {
        LedgerPlace::Sqlite { path, table } => ledger_sqlite::native(path, table, BUSY_WAIT).map(|_| ()),
        LedgerPlace::Postgres { server, table } => ledger_postgres::native(server, table).map(|_| ()),
        LedgerPlace::Files(patterns) => files(&source.name, patterns)?.iter().try_for_each(|(path, form)| match form {
            Form::Csv => ledger_csv::check(path),
            Form::Parquet => ledger_parquet::check(path),
        }),
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

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Csv,
    Parquet,
}

/// The files of the patterns in the order of the patterns and then of their names, each once.
fn files(ledger: &str, patterns: &[String]) -> Result<Vec<(PathBuf, Form)>, Fault> {
    let mut files: Vec<(PathBuf, Form)> = Vec::new();
    for pattern in patterns {
        let before = files.len();
        let paths = matches(ledger, pattern)?;
        let none = paths.is_empty();
        for path in paths {
            let form = match path.extension().and_then(|end| end.to_str()).map(str::to_ascii_lowercase).as_deref() {
                Some("csv") => Form::Csv,
                Some("parquet") => Form::Parquet,
                _ => {
                    let what = format!("ledger {ledger:?}: a file that is neither .csv nor .parquet");
                    let hint = format!("narrow the pattern {pattern:?}, or give the file the ending of what it is");
                    return Err(Fault::new(ExitCode::Config, path.display().to_string(), what, hint));
                }
            };
            if !files.iter().any(|(known, _)| *known == path) {
                files.push((path, form));
            }
        }
        if none {
            let what = format!("ledger {ledger:?}: no file matches");
            let hint = "correct `files` of the ledger in the job file, or export the ledger first";
            return Err(Fault::new(ExitCode::Config, pattern.clone(), what, hint));
        }
        if let Some(added) = files.get_mut(before..) {
            added.sort_by(|a, b| a.0.cmp(&b.0));
        }
    }
    Ok(files)
}

fn matches(ledger: &str, pattern: &str) -> Result<Vec<PathBuf>, Fault> {
    // A file may be named like a pattern: `ledger[1].csv`.
    if Path::new(pattern).is_file() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let found = glob::glob(pattern).map_err(|error| {
        let what = format!("ledger {ledger:?}: not a pattern: {}", error.msg);
        Fault::new(ExitCode::Config, pattern, what, "in a pattern `*` is any part of a name and `**` any folders")
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| unreadable(error.path(), error.error()))?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
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
