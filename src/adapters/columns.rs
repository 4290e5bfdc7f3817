//! Rows of an export that are typed already, as a Parquet file keeps them: read by column, so that no
//! number is written out as text to be parsed again. What a cell means is the adapter's business.

use crate::domain::money::{Amount, NumberError, Read};

/// Some rows of a typed export.
#[derive(Debug)]
pub struct Columns<'a> {
    pub header: Vec<&'a str>,
    /// One for each name of the header.
    pub cells: Vec<Cells<'a>>,
    pub rows: usize,
}

/// The values of one column, by the way they are stored.
#[derive(Debug)]
pub enum Cells<'a> {
    /// Null in every row.
    Nothing,
    Text(Box<dyn TextColumn + 'a>),
    Whole(Box<dyn WholeColumn + 'a>),
    /// Digits, and how many of them are decimals.
    Decimal(Values<'a, i128>, u32),
    Truth(Vec<Option<bool>>),
    /// Days since 1970-01-01.
    Day(Vec<Option<i32>>),
    /// Counts since 1970-01-01 UTC, and how many of them make a second.
    Instant(Values<'a, i64>, i64),
}

/// A column of texts, read from where they lie: no list of a million texts is made for it.
pub trait TextColumn {
    /// The text of a row; `None` where it is null or there is no such row.
    fn text(&self, row: usize) -> Option<&str>;
}

impl std::fmt::Debug for dyn TextColumn + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("texts")
    }
}

/// A column of whole numbers of whatever width.
pub trait WholeColumn: std::fmt::Debug {
    /// The number of a row; `None` where it is null or there is no such row.
    fn whole(&self, row: usize) -> Option<i128>;
}

impl<T: Copy + Into<i128> + std::fmt::Debug> WholeColumn for Values<'_, T> {
    fn whole(&self, row: usize) -> Option<i128> {
        self.get(row).map(Into::into)
    }
}

/// Values as they lie in the file's buffer, with what says where there are none.
#[derive(Debug)]
pub struct Values<'a, T> {
    values: &'a [T],
    /// `None`: all are there.
    present: Option<Vec<bool>>,
}

impl<'a, T: Copy> Values<'a, T> {
    /// `present` is as long as `values`, or `None` where no value is null.
    pub fn new(values: &'a [T], present: Option<Vec<bool>>) -> Self {
        Values { values, present }
    }

    /// The value of a row; `None` where it is null.
    pub fn get(&self, row: usize) -> Option<T> {
        let there = self.present.as_ref().is_none_or(|present| present.get(row) == Some(&true));
        self.values.get(row).copied().filter(|_| there)
    }
}

impl<'a> Columns<'a> {
    /// The cells under a name; `None` where the export has no such column, or has it twice.
    pub fn named(&self, name: &str) -> Option<&Cells<'a>> {
        let mut found = self.header.iter().zip(&self.cells).filter(|(column, _)| **column == name);
        match (found.next(), found.next()) {
            (Some((_, cells)), None) => Some(cells),
            _ => None,
        }
    }
}

impl<'a> Cells<'a> {
    /// The texts of a column of texts; `None` for any other.
    pub fn texts(&self) -> Option<Texts<'_>> {
        match self {
            Cells::Nothing => Some(Texts(None)),
            Cells::Text(texts) => Some(Texts(Some(texts.as_ref()))),
            _ => None,
        }
    }

    /// Whether [`Cells::number`] can say what stands in each cell.
    pub fn has_numbers(&self) -> bool {
        matches!(self, Cells::Nothing | Cells::Text(_) | Cells::Whole(_) | Cells::Decimal(..))
    }

    /// The number in a row, exactly as if it stood there as text; `Ok(None)` where there is none.
    ///
    /// # Errors
    /// As [`Amount::read`].
    pub fn number(&self, row: usize) -> Result<Option<Read>, NumberError> {
        let digits = |digits: Option<i128>, scale| digits.map(|digits| Amount::read_decimal(digits, scale)).transpose();
        match self {
            Cells::Text(texts) => Texts(Some(texts.as_ref())).at(row).map(Amount::read).transpose(),
            Cells::Whole(values) => digits(values.whole(row), 0),
            Cells::Decimal(values, scale) => digits(values.get(row), *scale),
            _ => Ok(None),
        }
    }
}

/// A column of texts.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a>(Option<&'a dyn TextColumn>);

impl<'a> Texts<'a> {
    /// No column at all.
    pub const NONE: Texts<'static> = Texts(None);

    /// The trimmed text of a row; `None` where there is none or it is empty.
    pub fn at(&self, row: usize) -> Option<&'a str> {
        self.0?.text(row).map(trimmed).filter(|text| !text.is_empty())
    }
}

/// Trimmed: nearly every text begins and ends with what is no space in any alphabet.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~'] | [b'!'..=b'~', .., b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl<const N: usize> TextColumn for [Option<&str>; N] {
        fn text(&self, row: usize) -> Option<&str> {
            self.get(row).copied().flatten()
        }
    }

    #[test]
    fn typed_numbers_read_as_their_text_would() {
        let digits = [7i128, -5, 0, 10i128.pow(20), i128::MAX, 10i128.pow(27)];
        let cells = Cells::Decimal(Values::new(&digits, Some(vec![true, true, true, true, false, true])), 3);
        for (row, text) in ["0.007", "-0.005", "0", "100000000000000000"].iter().enumerate() {
            assert_eq!(cells.number(row), Amount::read(text).map(Some), "{text}");
        }
        assert_eq!((cells.number(4), cells.number(6)), (Ok(None), Ok(None)));
        assert!(cells.number(5).is_err());
        let fine = [1i128, 5, 15];
        let cells = Cells::Decimal(Values::new(&fine, None), 19);
        for (row, text) in ["1e-19", "5e-19", "15e-19"].iter().enumerate() {
            assert_eq!(cells.number(row), Amount::read(text).map(Some), "{text}");
        }
        let texts = [Some("\u{a0}1.5 "), Some(""), None, Some("x")];
        let cells = Cells::Text(Box::new(texts));
        assert_eq!(cells.number(0), Amount::read("1.5").map(Some));
        assert_eq!((cells.number(1), cells.number(2)), (Ok(None), Ok(None)));
        assert!(cells.number(3).is_err());
    }

    #[test]
    fn a_name_that_stands_twice_names_nothing() {
        let columns =
            Columns { header: vec!["a", "b", "a"], cells: vec![Cells::Nothing, Cells::Nothing, Cells::Nothing], rows: 1 };
        assert!(columns.named("a").is_none() && columns.named("b").is_some() && columns.named("c").is_none());
    }
}
