//! A ledger in a CSV file: columns by header name, a damaged row into quarantine with its number, and no row
//! swallowed by a quote that nobody closed.

use super::ledger_cells::{Cell, Cells};
use super::ledger_files::{broken, open};
use super::ledger_row::Rows;
use super::ledger_wanted::{EachRow, Wanted};
use crate::domain::fault::{ExitCode, Fault};
use csv::ByteRecord;
use std::borrow::Cow;
use std::cell::Cell as Shared;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

const BUFFER_BYTES: usize = 1 << 16;
const OPEN_QUOTE: &str = "close the quote, or export the file again as RFC 4180 CSV, with quotes inside texts doubled";

/// Hands on the rows of a native ledger.
pub fn read(path: &Path, rows: &mut Rows<'_>) -> Result<(), Fault> {
    records(path, Wanted(None), &mut |record| match record {
        Err(reason) => rows.set_aside(&reason),
        Ok((record, columns)) => {
            let mut cells = Cells::new();
            for (field, column) in record.iter().zip(columns) {
                if let Some(column) = column {
                    cells.set(*column, std::str::from_utf8(field).map_or(Cell::NotText, Cell::Text));
                }
            }
            rows.take(&cells);
        }
    })
}

/// Hands on the rows of any kind of ledger, as texts.
pub fn texts(path: &Path, wanted: Wanted, each: &mut EachRow<'_>) -> Result<(), Fault> {
    records(path, wanted, &mut |record| match record {
        Err(reason) => each(Err(reason)),
        Ok((record, columns)) => {
            let mut texts: Vec<Option<Cow<'_, str>>> = vec![None; wanted.len()];
            for (field, column) in record.iter().zip(columns) {
                let Some(place) = column.and_then(|column| texts.get_mut(column)) else { continue };
                match std::str::from_utf8(field) {
                    Ok(text) if place.is_none() => *place = Some(Cow::Borrowed(text)),
                    Ok(_) => {}
                    Err(_) => return each(Err("row: expected UTF-8 text".to_string())),
                }
            }
            each(Ok(&texts));
        }
    })
}

/// A record with the column of each of its fields, or why it is none.
type EachRecord<'f> = dyn FnMut(Result<(&ByteRecord, &[Option<usize>]), String>) + 'f;

fn records(path: &Path, wanted: Wanted, each: &mut EachRecord<'_>) -> Result<(), Fault> {
    let mut table = Table::open(path, wanted)?;
    let mut record = ByteRecord::new();
    let mut number = 0_u64;
    while table.next(&mut record, number)? {
        number += 1;
        // Shifting columns would misread money, so a short or long row is never repaired.
        let (expected, found) = (table.columns.len(), record.len());
        let several_lines = record.as_slice().contains(&b'\n');
        if several_lines && (expected != found || table.known_over_several_lines(&record)) {
            return Err(table.open_quote(number, "runs over several lines"));
        }
        if expected != found {
            each(Err(format!("row: expected {expected} fields, found {found}")));
        } else {
            each(Ok((&record, &table.columns)));
        }
    }
    if table.guard.quotes.get() % 2 == 1 {
        return Err(table.open_quote(number, "leaves a quote open, here or in a row before"));
    }
    Ok(())
}

/// Reads the header alone.
pub fn check(path: &Path, wanted: Wanted) -> Result<(), Fault> {
    Table::open(path, wanted).map(|_| ())
}

struct Table<'p> {
    path: &'p Path,
    reader: csv::Reader<Guarded>,
    guard: Guard,
    wanted: Wanted,
    /// For each field the index of its column; `None` for columns that are not the ledger's.
    columns: Vec<Option<usize>>,
}

impl<'p> Table<'p> {
    fn open(path: &'p Path, wanted: Wanted) -> Result<Self, Fault> {
        let file = open(path)?;
        let guard = Guard::default();
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .buffer_capacity(BUFFER_BYTES)
            .from_reader(Guarded { file, guard: guard.clone() });
        let mut table = Table { path, reader, guard, wanted, columns: Vec::new() };
        let mut header = ByteRecord::new();
        table.next(&mut header, 0)?;
        let names: Vec<String> =
            header.iter().map(|name| String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_string()).collect();
        let place = path.display().to_string();
        let twice = |name: &&String| names.iter().filter(|other| other == name).count() > 1 && wanted.index(name).is_some();
        if let Some(name) = names.iter().find(twice) {
            let what = format!("two columns are named {name}");
            return Err(Fault::new(ExitCode::Data, place, what, "rename or remove one of them"));
        }
        wanted.are_there(&place, &names)?;
        table.columns = names.iter().map(|name| wanted.index(name)).collect();
        Ok(table)
    }

    /// The next record; false at the end of the file.
    fn next(&mut self, record: &mut ByteRecord, rows_before: u64) -> Result<bool, Fault> {
        self.guard.left.set(self.wanted.row_bytes_max() + BUFFER_BYTES);
        let error = match self.reader.read_byte_record(record) {
            Ok(more) => return Ok(more),
            Err(error) => error,
        };
        Err(match error.into_kind() {
            csv::ErrorKind::Io(error) if error.kind() != io::ErrorKind::FileTooLarge => broken(self.path, &error),
            _ => self.open_quote(rows_before + 1, &format!("is longer than {} MiB", self.wanted.row_bytes_max() >> 20)),
        })
    }

    /// Only some columns, and those that we do not read, may have values of several lines.
    fn known_over_several_lines(&self, record: &ByteRecord) -> bool {
        let known = |column: &Option<usize>| column.is_some_and(|column| !self.wanted.may_span_lines(column));
        record.iter().zip(&self.columns).any(|(field, column)| known(column) && field.contains(&b'\n'))
    }

    fn open_quote(&self, row: u64, what: &str) -> Fault {
        let what = format!("row {row}: {what}: is a quote left open? Rows after it would be lost");
        Fault::new(ExitCode::Data, self.path.display().to_string(), what, OPEN_QUOTE)
    }
}

/// What the file's bytes say beside its records.
#[derive(Clone, Default)]
struct Guard {
    /// Bytes that the record being read may still take.
    left: Rc<Shared<usize>>,
    /// Quote characters so far: in a file without an open quote they are even.
    quotes: Rc<Shared<usize>>,
}

struct Guarded {
    file: Box<dyn Read>,
    guard: Guard,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        let bytes = buffer.get(..count).unwrap_or_default();
        let quotes = bytes.iter().filter(|byte| **byte == b'"').count();
        self.guard.quotes.set(self.guard.quotes.get() + quotes);
        let left = self.guard.left.get().checked_sub(count).ok_or(io::ErrorKind::FileTooLarge)?;
        self.guard.left.set(left);
        Ok(count)
    }
}
