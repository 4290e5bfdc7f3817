//! Series and labels for `backtest --series`, from CSV files with a header: `series,timestamp,value` and, where
//! labels are known, `label` and `size`; or labels in a file of their own.

use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::period::{from_count, parse_instant};
use chrono::{DateTime, Utc};
use std::fs::File;
use std::path::Path;

/// A value of a series, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesRow {
    pub series: String,
    /// As it stands in the file.
    pub timestamp: String,
    pub at: DateTime<Utc>,
    /// `None` where the cell is empty: unknown.
    pub value: Option<Amount>,
    /// The column `label`, where the file has one: anything but empty, 0 and false is a spike.
    pub label: Option<bool>,
    /// The column `size`: how many times the normal value a labelled one is.
    pub size: Option<Amount>,
}

/// A labelled spike of a file of labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelRow {
    pub series: String,
    pub from: DateTime<Utc>,
    /// End, excluded; `None` for a single value.
    pub to: Option<DateTime<Utc>>,
    pub size: Option<Amount>,
}

/// Reads a file of series. Without a column `series` all rows are one, named after the file.
///
/// # Errors
/// [`ExitCode::Data`] with file and line: not readable, no column `timestamp` or `value`, or a cell that is
/// neither time nor number.
pub fn read_series(path: &Path) -> Result<Vec<SeriesRow>, Fault> {
    let mut sheet = Sheet::open(path)?;
    let (timestamp, value) = (sheet.need("timestamp")?, sheet.need("value")?);
    let [series, label, size] = ["series", "label", "size"].map(|name| sheet.column(name));
    let stem = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while sheet.next(&mut record)? {
        let cell = |column: usize| record.get(column).unwrap_or_default().trim();
        rows.push(SeriesRow {
            series: series.map_or(stem.clone(), |column| cell(column).to_string()),
            timestamp: cell(timestamp).to_string(),
            at: sheet.instant(&record, timestamp)?,
            value: sheet.amount(&record, value)?,
            label: label.map(|column| !matches!(cell(column), "" | "0" | "0.0" | "false" | "False" | "FALSE")),
            size: size.map_or(Ok(None), |column| sheet.amount(&record, column))?,
        });
    }
    Ok(rows)
}

/// Reads a file of labels: `series` with `timestamp`, or with `start` and `end`, and perhaps `size`.
///
/// # Errors
/// As [`read_series`].
pub fn read_labels(path: &Path) -> Result<Vec<LabelRow>, Fault> {
    let mut sheet = Sheet::open(path)?;
    let series = sheet.need("series")?;
    let from = sheet.column("start").map_or_else(|| sheet.need("timestamp"), Ok)?;
    let [to, size] = ["end", "size"].map(|name| sheet.column(name));
    let mut rows = Vec::new();
    let mut record = csv::StringRecord::new();
    while sheet.next(&mut record)? {
        rows.push(LabelRow {
            series: record.get(series).unwrap_or_default().trim().to_string(),
            from: sheet.instant(&record, from)?,
            to: to.map(|column| sheet.instant(&record, column)).transpose()?,
            size: size.map_or(Ok(None), |column| sheet.amount(&record, column))?,
        });
    }
    Ok(rows)
}

struct Sheet<'p> {
    path: &'p Path,
    reader: csv::Reader<File>,
    columns: Vec<String>,
}

impl<'p> Sheet<'p> {
    fn open(path: &'p Path) -> Result<Self, Fault> {
        let place = path.display().to_string();
        let file = File::open(path).map_err(|error| {
            Fault::new(
                ExitCode::Data,
                &place,
                format!("cannot be read: {error}"),
                "name a CSV file with the columns series, timestamp and value",
            )
        })?;
        let mut reader = csv::ReaderBuilder::new().buffer_capacity(1 << 16).from_reader(file);
        let header = reader.headers().map_err(|error| unreadable(path, &error))?;
        let columns = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_string()).collect();
        Ok(Sheet { path, reader, columns })
    }

    fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    fn need(&self, name: &str) -> Result<usize, Fault> {
        self.column(name).ok_or_else(|| {
            let what = format!("no column \"{name}\"; the first line has: {}", self.columns.join(", "));
            Fault::new(
                ExitCode::Data,
                format!("{}:1", self.path.display()),
                what,
                "the first line names the columns: series,timestamp,value",
            )
        })
    }

    fn next(&mut self, record: &mut csv::StringRecord) -> Result<bool, Fault> {
        self.reader.read_record(record).map_err(|error| unreadable(self.path, &error))
    }

    fn fault(&self, record: &csv::StringRecord, column: usize, what: &str, hint: &str) -> Fault {
        let line = record.position().map_or(0, csv::Position::line);
        let name = self.columns.get(column).map_or("", String::as_str);
        Fault::new(ExitCode::Data, format!("{}:{line}", self.path.display()), format!("{name}: {what}"), hint)
    }

    /// RFC 3339, a zoneless form that is UTC, or a count of seconds or milliseconds since 1970.
    fn instant(&self, record: &csv::StringRecord, column: usize) -> Result<DateTime<Utc>, Fault> {
        let text = record.get(column).unwrap_or_default().trim();
        let digits = text.len() >= 9 && text.bytes().all(|byte| byte.is_ascii_digit());
        let count = || {
            let count = text.parse::<i64>().ok()?;
            from_count(count, if text.len() > 11 { 1_000 } else { 1 })
        };
        let found = if digits { count() } else { parse_instant(text) };
        found.ok_or_else(|| self.fault(record, column, &format!("{text:?} is no time"), "write it like 2026-11-13T20:00:00Z"))
    }

    fn amount(&self, record: &csv::StringRecord, column: usize) -> Result<Option<Amount>, Fault> {
        let text = record.get(column).unwrap_or_default().trim();
        if text.is_empty() {
            return Ok(None);
        }
        let hint = "write a plain number; leave the cell empty where it is unknown";
        Amount::parse(text).map(Some).map_err(|error| self.fault(record, column, &error.to_string(), hint))
    }
}

fn unreadable(path: &Path, error: &csv::Error) -> Fault {
    let line = error.position().map_or(String::new(), |position| format!(":{}", position.line()));
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => format!("expected {expected_len} fields, found {len}"),
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".to_string(),
        _ => "reading failed".to_string(),
    };
    Fault::new(
        ExitCode::Data,
        format!("{}{line}", path.display()),
        what,
        "save it as CSV in UTF-8 with the same number of fields in every line",
    )
}
