//! The cells that stand in the columns of a request ledger (contract 3.2), as every source hands them over:
//! typed where the source is typed, so that no number passes through text.

pub use crate::domain::ledger_columns::{COLUMNS, Column, Holds, REQUIRED};
use crate::domain::money::{Amount, NumberError};
use crate::domain::period::{Local, from_count, from_unix, parse_day, parse_instant, parse_local};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

/// Names of required columns that `has` does not know.
pub fn missing(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    REQUIRED.iter().map(|column| column.name()).filter(|name| !has(name)).collect()
}

/// A cell as a source gives it. Typed sources give typed cells, so that no number passes through text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Text(&'a str),
    /// Bytes that are not UTF-8 text.
    NotText,
    /// `digits` × 10^-`scale`.
    Decimal {
        digits: i128,
        scale: u32,
    },
    /// A time since 1970-01-01 UTC, in parts of a second or in seconds.
    Time {
        count: i64,
        per_second: i64,
    },
    Flag(bool),
}

/// The cells of a row, by [`Column`]; what a source does not have is null.
#[derive(Clone, Debug)]
pub struct Cells<'a>([Cell<'a>; COLUMNS.len()]);

impl<'a> Cells<'a> {
    /// All null.
    pub fn new() -> Self {
        Cells([Cell::Null; COLUMNS.len()])
    }

    /// Puts a cell at an index of [`COLUMNS`].
    pub fn set(&mut self, column: usize, cell: Cell<'a>) {
        if let Some(place) = self.0.get_mut(column) {
            *place = cell;
        }
    }

    /// The cell of a column, texts without the blanks around them.
    pub fn get(&self, column: Column) -> Cell<'a> {
        match self.0.get(column as usize) {
            // An empty text is no value: a CSV file cannot tell the two apart, and no source may differ.
            Some(Cell::Text(text)) => match trimmed(text) {
                "" => Cell::Null,
                text => Cell::Text(text),
            },
            Some(cell) => *cell,
            None => Cell::Null,
        }
    }
}

/// Nearly all texts have no blanks around them, which a look at both ends tells.
fn trimmed(text: &str) -> &str {
    let (first, last) = (text.as_bytes().first(), text.as_bytes().last());
    let bare = first.zip(last).is_some_and(|(first, last)| first.is_ascii_graphic() && last.is_ascii_graphic());
    if bare { text } else { text.trim() }
}

/// A cell as a number; `None` for what cannot be one.
pub fn amount(cell: Cell<'_>) -> Option<Result<Amount, NumberError>> {
    match cell {
        Cell::Text(text) => Some(Amount::parse(text)),
        Cell::Decimal { digits, scale } => Some(Amount::read_decimal(digits, scale).map(|read| read.amount)),
        _ => None,
    }
}

/// Why a cell is not an instant, and the day it still names.
pub struct BadInstant {
    pub reason: String,
    pub day: Option<NaiveDate>,
}

/// A cell as an instant. A whole number is a Unix time: of 10 digits in seconds, of 13 in milliseconds
/// (both 2001 to 2286). Other lengths are refused: 20261118 is a day to its writer and would be a time in 1970.
pub fn instant(cell: Cell<'_>) -> Result<DateTime<Utc>, BadInstant> {
    let found = match cell {
        Cell::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().and_then(unix),
        Cell::Text(text) => parse_instant(text),
        Cell::Decimal { digits, scale: 0 } => i64::try_from(digits).ok().and_then(unix),
        Cell::Time { count, per_second } => from_count(count, per_second),
        _ => None,
    };
    found.ok_or_else(|| {
        let day = match cell {
            Cell::Text(text) => text.get(..10).and_then(parse_day),
            _ => None,
        };
        let wanted = "an instant like 2026-11-18T09:00:00Z or a Unix time";
        BadInstant { reason: expected(Column::StartedAt, wanted, cell), day }
    })
}

/// The same, with a text that has no offset read as a time of the zone; true where that time came twice.
pub fn instant_in(cell: Cell<'_>, zone: Tz) -> Result<(DateTime<Utc>, bool), BadInstant> {
    let local = match cell {
        Cell::Text(text) => parse_local(text, zone),
        _ => None,
    };
    match local {
        None => instant(cell).map(|at| (at, false)),
        Some(Local::Once(at)) => Ok((at, false)),
        Some(Local::Twice(at)) => Ok((at, true)),
        Some(Local::Never(day)) => {
            let wanted = format!("a time of {zone}, where clocks were set forward over this one");
            Err(BadInstant { reason: expected(Column::StartedAt, &wanted, cell), day: Some(day) })
        }
    }
}

fn unix(number: i64) -> Option<DateTime<Utc>> {
    match number {
        1_000_000_000..10_000_000_000 => from_unix(number),
        1_000_000_000_000..10_000_000_000_000 => from_count(number, 1_000),
        _ => None,
    }
}

/// `column: expected …, found …`.
pub fn expected(column: Column, what: &str, found: Cell<'_>) -> String {
    format!("{}: expected {what}, found {}", column.name(), shown(found))
}

/// A cell for a message, never longer than 40 characters.
pub fn shown(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => "nothing".to_string(),
        Cell::Text(text) => format!("{:?}", text.chars().take(40).collect::<String>()),
        Cell::NotText => "bytes that are not UTF-8".to_string(),
        Cell::Decimal { digits, scale: 0 } => digits.to_string(),
        Cell::Decimal { digits, scale } => match Amount::read_decimal(digits, scale) {
            Ok(read) => read.amount.to_string(),
            Err(_) => format!("{digits}e-{scale}"),
        },
        Cell::Time { count, per_second } => {
            from_count(count, per_second).map_or_else(|| format!("the time {count}/{per_second} s"), |at| at.to_rfc3339())
        }
        Cell::Flag(flag) => flag.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_digits_are_what_their_text_would_be() {
        for (digits, scale, text) in [
            (0, 0, "0"),
            (-5, 0, "-5"),
            (123, 2, "1.23"),
            (1, 18, "0.000000000000000001"),
            (15, 19, "0.0000000000000000015"),
            (25, 19, "0.0000000000000000025"),
            (1, 60, "0e-60"),
            (999_999_999_999_999_999, 0, "999999999999999999"),
            (1_000_000_000_000_000_000, 0, "1000000000000000000"),
            (10i128.pow(30), 18, "1000000000000"),
            (12_345_678_901_234_567_890_123_456_789, 18, "12345678901.234567890123456789"),
            (i128::MAX, 0, "170141183460469231731687303715884105727"),
            (i128::MIN, 38, "-1.70141183460469231731687303715884105728"),
        ] {
            assert_eq!(Amount::read_decimal(digits, scale).ok(), Amount::read(text).ok(), "{digits}e-{scale}");
        }
    }

    #[test]
    fn a_whole_number_is_an_instant_only_where_it_cannot_be_a_day() {
        for (digits, expected) in [
            (1_795_118_400, Some("2026-11-19T20:00:00+00:00")),
            (1_795_118_400_123, Some("2026-11-19T20:00:00.123+00:00")),
            (20_261_118, None),
            (20_261_118_090_000, None),
            (999_999_999, None),
            (-1_795_118_400, None),
            (i128::MAX, None),
        ] {
            let found = instant(Cell::Decimal { digits, scale: 0 }).ok().map(|at| at.to_rfc3339());
            assert_eq!(found.as_deref(), expected, "{digits}");
        }
        assert!(instant(Cell::Time { count: i64::MIN, per_second: 1 }).is_err());
        assert!(instant(Cell::Time { count: -1, per_second: 1_000 }).is_ok());
    }
}
