//! A [`Table`] as CSV bytes that are safe to open in a spreadsheet (finance-conventions.md section 1,
//! reliability.md section 7 item 9). Knows nothing of the tables' meaning.

use super::{Cell, Table};
use crate::domain::beside::each;
use crate::domain::money::{Amount, SCALE};
use chrono::Datelike;
use std::io::Write;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// Stands between the cells of a sort key. No rendered cell holds a control character, so keys
/// compare as their cells do, from left to right.
const BETWEEN: u8 = 0;
/// Rows that are rendered by one thread.
const PART_ROWS: usize = 1 << 14;

/// The table as RFC 4180 in UTF-8: a header line, CRLF, every text quoted, numbers plain, unknown
/// values empty, rows sorted by their cells from left to right in byte order (contract 4.8).
///
/// The byte order mark is written when asked for and the table is for people; machine files never
/// have one. Number cells match `^-?\d+(\.\d+)?$` whatever they hold; text that a spreadsheet could
/// run gets a leading `'`, and control and bidirectional characters are written as `\u{202e}`.
pub fn render(table: &Table, byte_order_mark: bool) -> Vec<u8> {
    let keyed = each(table.rows.chunks(PART_ROWS), keys);
    let mut rows: Vec<(&[u8], &[Cell])> = Vec::with_capacity(table.rows.len());
    for ((keys, ends), part) in keyed.iter().zip(table.rows.chunks(PART_ROWS)) {
        let starts = std::iter::once(&0).chain(ends);
        let keys = starts.zip(ends).map(|(start, end)| keys.get(*start..*end).unwrap_or_default());
        rows.extend(keys.zip(part.iter().map(Vec::as_slice)));
    }
    // The cells decide only between rows that look alike, such as a number and the same digits as text.
    rows.sort_by(|a, b| a.0.cmp(b.0).then_with(|| a.1.cmp(b.1)));

    let mut out = Vec::new();
    if byte_order_mark && table.for_people {
        out.extend_from_slice(BYTE_ORDER_MARK);
    }
    out.extend_from_slice(table.columns.join(",").as_bytes());
    out.extend_from_slice(b"\r\n");
    let lines = each(rows.chunks(PART_ROWS), lines);
    out.reserve(lines.iter().map(Vec::len).sum());
    lines.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// The sort keys of rows, one after the other, and where each ends.
fn keys(rows: &[Vec<Cell>]) -> (Vec<u8>, Vec<usize>) {
    let cells: usize = rows.iter().map(Vec::len).sum();
    let (mut keys, mut ends) = (Vec::with_capacity(cells * 12), Vec::with_capacity(rows.len()));
    for row in rows {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                keys.push(BETWEEN);
            }
            push_cell(&mut keys, cell);
        }
        ends.push(keys.len());
    }
    (keys, ends)
}

/// The lines of rows with their sort keys.
fn lines(rows: &[(&[u8], &[Cell])]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rows.iter().map(|(key, cells)| key.len() + cells.len() * 3).sum());
    for (key, cells) in rows {
        for (index, (rendered, cell)) in key.split(|byte| *byte == BETWEEN).zip(*cells).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match cell {
                Cell::Text(_) => push_quoted(&mut out, rendered),
                _ => out.extend_from_slice(rendered),
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// The cell as a reader gets it back, without quotes.
fn push_cell(out: &mut Vec<u8>, cell: &Cell) {
    match cell {
        Cell::Empty => {}
        Cell::Text(text) => push_text(out, text),
        Cell::Number(amount) => push_amount(out, *amount, 0),
        Cell::Rounded(amount, places) => push_amount(out, *amount, usize::from(*places)),
        Cell::Count(count) => push_digits(out, u128::from(*count)),
        Cell::Date(date) if (0..=9999).contains(&date.year()) => {
            push_padded(out, date.year().unsigned_abs(), 4);
            out.push(b'-');
            push_padded(out, date.month(), 2);
            out.push(b'-');
            push_padded(out, date.day(), 2);
        }
        // Years that no report has; a Vec takes every write.
        Cell::Date(date) => drop(write!(out, "{date}")),
        Cell::Flag(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.contains(&b'"') {
        for byte in text {
            if *byte == b'"' {
                out.push(b'"');
            }
            out.push(*byte);
        }
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    if text.chars().next().is_some_and(starts_formula) {
        out.push(b'\'');
    }
    push_visible(out, text);
}

/// A spreadsheet, or what it was pasted into, may run a text that starts so.
fn starts_formula(first: char) -> bool {
    matches!(first, '=' | '+' | '-' | '@' | '|' | '%' | '\t' | '\r' | '\n' | '\0')
        || matches!(first, '＝' | '＋' | '－' | '＠' | '｜' | '％')
}

/// Control, line-breaking and bidirectional characters: unseen, they can make a cell show another text
/// than it holds, or break a line.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn push_visible(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    let mut buffer = [0u8; 4];
    for letter in text.chars() {
        if is_hidden(letter) {
            drop(write!(out, "{}", letter.escape_unicode()));
        } else {
            out.extend_from_slice(letter.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// The text with control and bidirectional characters written as escapes, for every place where a name
/// from data is shown.
pub fn visible(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push_visible(&mut out, text);
    String::from_utf8(out).unwrap_or_default()
}

/// Plain notation with at least `places` decimals: as [`Amount::with_places`], without its strings.
fn push_amount(out: &mut Vec<u8>, amount: Amount, places: usize) {
    const UNIT: u64 = 10u64.pow(SCALE);
    if amount.is_negative() {
        out.push(b'-');
    }
    let magnitude = amount.atto().unsigned_abs();
    // 18 decimals fit eight bytes, whose division is several times as fast.
    let (whole, mut part) = match u64::try_from(magnitude) {
        Ok(small) => (u128::from(small / UNIT), small % UNIT),
        Err(_) => (magnitude / u128::from(UNIT), (magnitude % u128::from(UNIT)) as u64),
    };
    push_digits(out, whole);
    if part == 0 && places == 0 {
        return;
    }
    let mut decimals = [b'0'; SCALE as usize];
    let mut used = 0;
    for (index, digit) in decimals.iter_mut().enumerate().rev() {
        let value = (part % 10) as u8;
        part /= 10;
        *digit = b'0' + value;
        if used == 0 && value != 0 {
            used = index + 1;
        }
    }
    out.push(b'.');
    let shown = used.max(places);
    out.extend(decimals.iter().chain(std::iter::repeat(&b'0')).take(shown));
}

fn push_digits(out: &mut Vec<u8>, number: u128) {
    // 39 digits hold every u128.
    let mut digits = [b'0'; 39];
    let mut left = number;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        // Eight-byte division is several times as fast, and nearly every number fits.
        if let Ok(small) = u64::try_from(left) {
            *digit = b'0' + (small % 10) as u8;
            left = u128::from(small / 10);
        } else {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        length += 1;
        if left == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(digits.len() - length));
}

fn push_padded(out: &mut Vec<u8>, number: u32, width: usize) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits)));
    push_digits(out, u128::from(number));
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::NaiveDate;

    fn table(rows: Vec<Vec<Cell>>) -> Table {
        let columns = ["a", "b", "c"].into_iter().take(rows.first().map_or(3, Vec::len)).collect();
        Table { file: "test.csv", columns, rows, for_people: true }
    }

    fn text(value: &str) -> Cell {
        Cell::Text(value.to_string())
    }

    fn rendered(rows: Vec<Vec<Cell>>) -> String {
        String::from_utf8(render(&table(rows), false)).unwrap()
    }

    fn number(value: &str) -> Cell {
        Cell::Number(Amount::parse(value).unwrap())
    }

    #[test]
    fn writes_quoted_text_plain_numbers_and_crlf() {
        let day = NaiveDate::from_ymd_opt(2026, 2, 3).unwrap();
        let rows = vec![
            vec![text("say \"hi\", all"), number("-12.50"), Cell::Date(day)],
            vec![Cell::Empty, Cell::Count(7), Cell::Flag(true)],
        ];
        assert_eq!(rendered(rows), "a,b,c\r\n,7,true\r\n\"say \"\"hi\"\", all\",-12.5,2026-02-03\r\n");
    }

    #[test]
    fn rows_sort_by_what_a_reader_gets_back() {
        let rows = vec![
            vec![text("a"), number("2")],
            vec![text("a b"), number("1")],
            vec![text("a"), number("10")],
            vec![text("\"a"), number("1")],
            vec![text("a"), number("-1")],
            vec![Cell::Empty, number("9")],
        ];
        let mut reversed = rows.clone();
        reversed.reverse();
        assert_eq!(rendered(rows.clone()), rendered(reversed));
        let written = rendered(rows);
        let read: Vec<Vec<String>> = csv::Reader::from_reader(written.as_bytes())
            .into_records()
            .map(|row| row.unwrap().iter().map(str::to_string).collect())
            .collect();
        let mut sorted = read.clone();
        sorted.sort();
        assert_eq!(read, sorted);
        assert_eq!(read.len(), 6);
    }

    #[test]
    fn no_text_cell_is_a_formula_and_nothing_hides() {
        for (from, to) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@cmd", "'@cmd"),
            ("|x", "'|x"),
            ("%x", "'%x"),
            ("\tx", "'\\u{9}x"),
            ("\rx", "'\\u{d}x"),
            ("\nx", "'\\u{a}x"),
            ("\0x", "'\\u{0}x"),
            ("＝1", "'＝1"),
            ("－1", "'－1"),
            ("＠x", "'＠x"),
            ("＋x", "'＋x"),
            ("team\u{202e}gpj", "team\\u{202e}gpj"),
            ("two\r\nlines", "two\\u{d}\\u{a}lines"),
            ("naïve", "naïve"),
            ("a=b", "a=b"),
        ] {
            assert_eq!(rendered(vec![vec![text(from)]]), format!("a\r\n\"{to}\"\r\n"), "{from:?}");
        }
    }

    #[test]
    fn numbers_are_plain_whatever_they_hold() {
        let lines: Vec<(Cell, String)> = ["0", "-0.000000000000000001", "999999999999999999", "0.1", "-12.05", "100", "5e-7"]
            .into_iter()
            .flat_map(|written| {
                let amount = Amount::parse(written).unwrap();
                [(Cell::Number(amount), amount.to_string()), (Cell::Rounded(amount, 2), amount.with_places(2))]
            })
            .chain([(Cell::Count(u64::MAX), u64::MAX.to_string())])
            .chain([(Cell::Number(Amount::from_atto(i128::MIN)), Amount::from_atto(i128::MIN).to_string())])
            .collect();
        for (cell, expected) in lines {
            assert_eq!(rendered(vec![vec![cell]]), format!("a\r\n{expected}\r\n"));
        }
    }

    #[test]
    fn only_files_for_people_have_the_mark() {
        let mut table = table(vec![vec![text("x")]]);
        assert!(render(&table, true).starts_with(BYTE_ORDER_MARK));
        assert!(!render(&table, false).starts_with(BYTE_ORDER_MARK));
        table.for_people = false;
        assert!(!render(&table, true).starts_with(BYTE_ORDER_MARK));
    }
}
