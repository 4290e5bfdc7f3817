//! Reads the ledgers of other systems: rows as texts from wherever they stand, through the reader of their
//! kind in `ledgers`, into the cells of every ledger.

use super::ledger_cells::{Cell, Cells};
use super::ledger_files::{Form, files};
use super::ledger_row::Rows;
use super::ledger_wanted::{EachRow, Wanted};
use super::{ledger_csv, ledger_json, ledger_parquet_texts, ledger_postgres, ledger_sqlite, ledger_sqlite_foreign};
use crate::domain::fault::Fault;
use crate::domain::period::Days;
use crate::job::{LedgerSource, Postgres};
use crate::ledgers::{Kind, Raw, Read, Reader, Row};
use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

/// Hands on the rows of files. Where several versions of a row may stand in them they are read twice: which
/// version is the row is known only at the end.
pub fn read_files(source: &LedgerSource, kind: &'static Kind, patterns: &[String], rows: &mut Rows<'_>) -> Result<(), Fault> {
    let files = files(&source.name, patterns)?;
    let mut reader = Reader::new(kind, &source.settings);
    let each_row = |file: &super::ledger_files::LedgerFile, each: &mut EachRow<'_>| match file.form {
        Form::Csv => ledger_csv::texts(&file.path, Wanted(Some(kind)), each),
        Form::Json => ledger_json::document(&file.path, Wanted(Some(kind)), each),
        Form::JsonLines => ledger_json::lines(&file.path, Wanted(Some(kind)), each),
        Form::Parquet => ledger_parquet_texts::read(&file.path, Wanted(Some(kind)), each),
    };
    if kind.version.is_some() {
        for file in &files {
            each_row(file, &mut |row| {
                if let Ok(texts) = row {
                    reader.see(&Raw(texts));
                }
            })?;
        }
    }
    let mut row = Row::default();
    for file in &files {
        if files.len() > 1 {
            rows.start_file(&file.path.file_name().unwrap_or_default().to_string_lossy());
        }
        each_row(file, &mut |texts| match texts {
            Err(reason) => rows.set_aside(&reason),
            Ok(texts) => take(texts, &mut reader, &mut row, rows),
        })?;
    }
    Ok(())
}

/// Hands on the rows of a database.
pub fn read_postgres(
    source: &LedgerSource,
    kind: &'static Kind,
    server: &Postgres,
    table: &str,
    days: Days,
    rows: &mut Rows<'_>,
) -> Result<(), Fault> {
    let filled = ledger_postgres::foreign(server, kind, table)?;
    let mut reader = Reader::new(kind, &source.settings);
    let mut row = Row::default();
    ledger_postgres::read(server, &filled.query, days, &mut |cells| {
        take_cells(&filled.fields, cells, &mut reader, &mut row, rows)
    })
}

/// Hands on the rows of a file.
pub fn read_sqlite(
    source: &LedgerSource,
    kind: &'static Kind,
    path: &Path,
    table: &str,
    wait: Duration,
    days: Days,
    rows: &mut Rows<'_>,
) -> Result<(), Fault> {
    let filled = ledger_sqlite_foreign::statement(path, kind, table, wait)?;
    let mut reader = Reader::new(kind, &source.settings);
    let mut row = Row::default();
    ledger_sqlite::read(path, &filled.query, days, wait, &mut |cells| {
        take_cells(&filled.fields, cells, &mut reader, &mut row, rows)
    })
}

fn take_cells(fields: &[usize], cells: &[Cell<'_>], reader: &mut Reader<'_>, row: &mut Row, rows: &mut Rows<'_>) {
    let mut texts: Vec<Option<Cow<'_, str>>> = vec![None; reader.width()];
    for (field, cell) in fields.iter().zip(cells) {
        let text = match cell {
            Cell::Text(text) => Some(Cow::Borrowed(*text)),
            Cell::Null => None,
            _ => return rows.set_aside("row: expected UTF-8 text"),
        };
        if let Some(place) = texts.get_mut(*field) {
            *place = text;
        }
    }
    take(&texts, reader, row, rows);
}

/// One row through the reader of its kind.
fn take(texts: &[Option<Cow<'_, str>>], reader: &mut Reader<'_>, row: &mut Row, rows: &mut Rows<'_>) {
    let read = reader.read(&Raw(texts), row);
    let mut cells = Cells::new();
    for (column, text) in row.cells().enumerate() {
        cells.set(column, text.map_or(Cell::Null, Cell::Text));
    }
    match read {
        Ok(Read::Call) => rows.take_noted(&cells, &row.notes, None),
        Ok(Read::NotACall) => {}
        Ok(Read::LeftOut(note)) => rows.leave_out(&cells, note),
        Err(reason) => rows.take_noted(&cells, &[], Some(&reason)),
    }
}

/// Verifies the form of the files, without reading rows.
pub fn check_files(source: &LedgerSource, wanted: Wanted, patterns: &[String]) -> Result<(), Fault> {
    files(&source.name, patterns)?.iter().try_for_each(|file| match file.form {
        Form::Csv => ledger_csv::check(&file.path, wanted),
        Form::Json | Form::JsonLines => ledger_json::check(&file.path, wanted),
        Form::Parquet if wanted.0.is_none() => super::ledger_parquet::check(&file.path),
        Form::Parquet => ledger_parquet_texts::check(&file.path, wanted),
    })
}

/// Hands on the rows of a native ledger in JSON.
pub fn native_texts(row: Result<&[Option<Cow<'_, str>>], String>, rows: &mut Rows<'_>) {
    match row {
        Err(reason) => rows.set_aside(&reason),
        Ok(texts) => {
            let mut cells = Cells::new();
            for (column, text) in texts.iter().enumerate() {
                // An object of meters is its JSON, which is a text as everywhere else.
                cells.set(column, text.as_deref().map_or(Cell::Null, Cell::Text));
            }
            rows.take(&cells);
        }
    }
}
