//! Reading fields of pages: JSON values and CSV columns into exact numbers and texts, with the place
//! of whatever is wrong.

use super::BadPage;
use crate::domain::money::{Amount, Read};
use crate::domain::names::{NameKind, Named};
use crate::domain::period::parse_day;
use chrono::NaiveDate;
use serde_json::Value;

/// Parses a JSON page. Numbers keep their digits.
pub fn json(bytes: &[u8]) -> Result<Value, BadPage> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    serde_json::from_slice(bytes).map_err(|error| {
        BadPage::new(
            format!("line {}, column {}: not valid JSON: {}", error.line(), error.column(), reason(&error)),
            "save the page again: it is cut short or is not the API's answer",
        )
    })
}

fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_string()
}

/// The array at `key`, or a fault of the page.
pub fn array<'v>(value: &'v Value, key: &str) -> Result<&'v Vec<Value>, BadPage> {
    value.get(key).and_then(Value::as_array).ok_or_else(|| {
        BadPage::new(
            format!("{key}: expected a list, found {}", found(value.get(key))),
            "is this a page of the report it is filed as?",
        )
    })
}

/// The cursor of the page that follows: `None` on the last page, which says that there is no more.
///
/// # Errors
/// More is promised and no cursor stands there: what follows could never be fetched (reliability.md section 4).
pub fn cursor(bytes: &[u8], more: &str, cursor: &str) -> Result<Option<String>, BadPage> {
    let answer = json(bytes)?;
    if answer.get(more) != Some(&Value::Bool(true)) {
        return Ok(None);
    }
    match text(&answer, cursor).filter(|cursor| !cursor.trim().is_empty()) {
        Some(cursor) => Ok(Some(cursor.to_string())),
        None => {
            let what = format!("{cursor}: expected a cursor, because {more} is true, found {}", found(answer.get(cursor)));
            Err(BadPage::new(what, "run again; if it stays so, the provider's paging is broken: tell its support"))
        }
    }
}

/// The day in a file's name, for answers that do not say when they were given: `credits-2026-11-18-001.json`.
pub fn named_day(file: &str) -> Option<NaiveDate> {
    let bytes = file.as_bytes();
    let texts = (0..bytes.len()).filter_map(|at| file.get(at..at + 10));
    texts.filter(|text| text.as_bytes().get(4) == Some(&b'-')).find_map(parse_day)
}

/// An entry of a list of names, at this place of its page; `None` where it has no name.
///
/// # Errors
/// An entry without an id.
pub fn named(entry: &Value, place: &str, kind: NameKind, (id, name): (&str, &str)) -> Result<Option<Named>, BadPage> {
    let found_id = text(entry, id).map(str::trim).filter(|id| !id.is_empty()).ok_or_else(|| {
        let what = format!("{place}.{id}: expected an id, found {}", found(entry.get(id)));
        BadPage::new(what, "save the page again: it is not the API's list")
    })?;
    let name = text(entry, name).map(str::trim).filter(|name| !name.is_empty());
    Ok(name.map(|name| Named { kind, id: found_id.to_string(), name: name.to_string() }))
}

/// The entries of a list of names that have one, each with what it is and where its id and name stand.
///
/// # Errors
/// No list, or an entry without an id.
pub fn names(page: &Value, list: &str, kind: NameKind, keys: (&str, &str)) -> Result<Vec<Named>, BadPage> {
    let mut found = Vec::new();
    for (at, entry) in array(page, list)?.iter().enumerate() {
        found.extend(named(entry, &format!("{list}[{at}]"), kind, keys)?);
    }
    Ok(found)
}

/// A text field; `None` when absent or null.
pub fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// An exact number, written as JSON number or as string; `Ok(None)` when absent or null.
///
/// # Errors
/// The fault, named by field, expectation and finding.
pub fn number(value: &Value, key: &str) -> Result<Option<Read>, String> {
    let digits = match value.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_str(),
        Some(Value::String(text)) => text.as_str(),
        other => return Err(format!("{key}: expected a number, found {}", found(other))),
    };
    Amount::read(digits).map(Some).map_err(|error| format!("{key}: {error}"))
}

/// Like [`number`], for counts and quantities: rounding at the 18th decimal is not kept.
pub fn quantity(value: &Value, key: &str) -> Result<Option<Amount>, String> {
    number(value, key).map(|read| read.map(|read| read.amount))
}

/// A short description of what stands at a place, never longer than 40 characters.
pub fn found(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_string(),
        Some(Value::Array(_)) => "a list".to_string(),
        Some(Value::Object(_)) => "an object".to_string(),
        Some(other) => other.to_string().chars().take(40).collect(),
    }
}

/// A CSV export read by header name, never by position.
pub struct Table<'b> {
    reader: csv::Reader<&'b [u8]>,
    header: Vec<String>,
}

/// One data row of a [`Table`].
pub struct Row<'t> {
    /// Counted from 1, header not counted.
    pub number: u32,
    header: &'t [String],
    record: &'t csv::StringRecord,
}

impl<'b> Table<'b> {
    /// Reads the header; a byte order mark is dropped.
    pub fn new(bytes: &'b [u8]) -> Result<Table<'b>, BadPage> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let header =
            reader.headers().map_err(|error| BadPage::new(format!("header: {error}"), "export the file again as UTF-8 CSV"))?;
        let header = header.iter().map(|name| name.trim().to_string()).collect();
        Ok(Table { reader, header })
    }

    pub fn header(&self) -> &[String] {
        &self.header
    }

    pub fn has(&self, column: &str) -> bool {
        self.header.iter().any(|name| name == column)
    }

    /// Where the named columns stand, to be looked up once for a whole file and read with [`Row::at`].
    pub fn columns<const N: usize>(&self, names: [&str; N]) -> [Option<usize>; N] {
        names.map(|wanted| self.header.iter().position(|name| name == wanted))
    }

    /// Calls `each` for every data row: `Ok` when it has as many fields as the header, else the fault.
    /// Shifting columns would misread money, so a short or long row is never repaired.
    pub fn for_each(&mut self, mut each: impl FnMut(Row<'_>, Option<String>)) -> Result<(), BadPage> {
        let mut record = csv::StringRecord::new();
        let mut number = 0;
        loop {
            match self.reader.read_record(&mut record) {
                Ok(false) => return Ok(()),
                Ok(true) => number += 1,
                Err(error) => {
                    let what = format!("row {}: {error}", number + 1);
                    return Err(BadPage::new(what, "export the file again as UTF-8 CSV"));
                }
            }
            let (expected, got) = (self.header.len(), record.len());
            let fault = (expected != got).then(|| format!("expected {expected} fields, found {got}"));
            each(Row { number, header: &self.header, record: &record }, fault);
        }
    }
}

impl Row<'_> {
    /// The trimmed text of a column; `None` when the column is absent or the cell empty.
    pub fn text(&self, column: &str) -> Option<&str> {
        let index = self.header.iter().position(|name| name == column)?;
        self.record.get(index).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The trimmed text of a column found by [`Table::columns`]; `None` when the column is absent or the
    /// cell empty.
    pub fn at(&self, column: Option<usize>) -> Option<&str> {
        self.record.get(column?).map(str::trim).filter(|text| !text.is_empty())
    }

    /// An exact number; `Ok(None)` when the column is absent or the cell empty.
    ///
    /// # Errors
    /// The fault, named by column, expectation and finding.
    pub fn number(&self, column: &str) -> Result<Option<Read>, String> {
        match self.text(column) {
            None => Ok(None),
            Some(text) => Amount::read(text).map(Some).map_err(|error| format!("{column}: {error}")),
        }
    }

    /// Like [`Row::number`], for counts and quantities.
    pub fn quantity(&self, column: &str) -> Result<Option<Amount>, String> {
        self.number(column).map(|read| read.map(|read| read.amount))
    }
}
