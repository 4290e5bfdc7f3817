//! PostgreSQL's COPY text format: one line for each row, tabs between cells, nothing for null, and a backslash
//! before what would be taken for a tab or the end of a line.

use crate::edge::ledger_cells::Cell;
use crate::edge::ledger_query::EachRow;
use memchr::{memchr, memchr_iter};

/// Splits one line, without its end, into cells and hands the row on. `cells` is room for them, which is used again.
///
/// # Errors
/// The line does not have `width` cells: no server writes such a line.
pub fn row<'l>(line: &'l [u8], width: usize, cells: &mut Vec<Cell<'l>>, each: &mut EachRow<'_>) -> Result<(), ()> {
    match std::str::from_utf8(line).ok().filter(|_| memchr(b'\\', line).is_none()) {
        Some(text) => {
            cells.clear();
            let mut from = 0;
            for to in memchr_iter(b'\t', line).chain([line.len()]) {
                cells.push(text.get(from..to).map_or(Cell::NotText, Cell::Text));
                from = to + 1;
            }
            hand_on(cells, width, each)
        }
        None => {
            let owned: Vec<Vec<u8>> = line.split(|byte| *byte == b'\t').map(unescaped).collect();
            let cells = owned.iter().map(|cell| std::str::from_utf8(cell).map_or(Cell::NotText, Cell::Text));
            hand_on(&cells.collect::<Vec<_>>(), width, each)
        }
    }
}

fn hand_on(cells: &[Cell<'_>], width: usize, each: &mut EachRow<'_>) -> Result<(), ()> {
    if cells.len() != width {
        return Err(());
    }
    each(cells);
    Ok(())
}

fn unescaped(cell: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cell.len());
    let mut rest = cell.iter();
    while let Some(byte) = rest.next() {
        let plain = match (byte, rest.as_slice().first()) {
            (b'\\', Some(next)) => {
                rest.next();
                match next {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    other => *other,
                }
            }
            (byte, _) => *byte,
        };
        bytes.push(plain);
    }
    bytes
}

/// The lines of blocks, without their ends, in the order of the blocks.
pub fn lines(blocks: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
    blocks.iter().flat_map(|block| parts(block.strip_suffix(b"\n").unwrap_or(block), b'\n')).filter(|line| !line.is_empty())
}

/// What stands between the ends.
fn parts(bytes: &[u8], end: u8) -> impl Iterator<Item = &[u8]> {
    let mut from = 0;
    memchr_iter(end, bytes).chain([bytes.len()]).filter_map(move |to| bytes.get(std::mem::replace(&mut from, to + 1)..to))
}

/// The lines of blocks in an order of their content alone, because a table has none: by the cell of time, then
/// by everything else from the left.
pub fn sorted(blocks: &[Vec<u8>], time: usize) -> Vec<&[u8]> {
    let mut keyed: Vec<(u128, &[u8])> = lines(blocks).map(|line| (prefix(line, time), line)).collect();
    // Lines mostly stand in order of time, which this sort is quick to find. Those of one moment are few.
    keyed.sort_by_key(|(moment, _)| *moment);
    for same in keyed.chunk_by_mut(|a, b| a.0 == b.0) {
        same.sort_unstable_by(|(_, a), (_, b)| cell(a, time).cmp(cell(b, time)).then_with(|| a.cmp(b)));
    }
    keyed.into_iter().map(|(_, line)| line).collect()
}

fn cell(line: &[u8], number: usize) -> &[u8] {
    parts(line, b'\t').nth(number).unwrap_or_default()
}

/// What follows the day in the cell of time, as a number that compares like the bytes: most lines of a day
/// differ in it.
fn prefix(line: &[u8], time: usize) -> u128 {
    const DAY: usize = "2026-11-18 ".len();
    let cell = cell(line, time);
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(cell.get(DAY..).unwrap_or_default()) {
        *to = *from;
    }
    u128::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[u8], width: usize) -> Option<Vec<String>> {
        let mut found = None;
        row(line, width, &mut Vec::new(), &mut |row| found = Some(row.iter().map(|cell| format!("{cell:?}")).collect())).ok()?;
        found
    }

    #[test]
    fn cells_are_split_and_escapes_undone() {
        for (line, cells) in [
            (&b"r1\t1\t"[..], ["Text(\"r1\")", "Text(\"1\")", "Text(\"\")"]),
            (b"r2\\ttab\\nline\\\\back\t\t\xc3\xa9", ["Text(\"r2\\ttab\\nline\\\\back\")", "Text(\"\")", "Text(\"é\")"]),
            (b"r3\\r\t2\t\\\\N", ["Text(\"r3\\r\")", "Text(\"2\")", "Text(\"\\\\N\")"]),
            (b"r4\t\xff\t", ["Text(\"r4\")", "NotText", "Text(\"\")"]),
        ] {
            assert_eq!(read(line, 3).unwrap(), cells);
        }
    }

    #[test]
    fn a_line_of_another_width_is_refused() {
        assert_eq!(read(b"a\tb", 3), None);
        assert_eq!(read(b"a\\tb\tc", 3), None);
        assert_eq!(read(b"a\tb\tc\td", 3), None);
    }

    #[test]
    fn the_order_of_rows_is_that_of_their_content() {
        let rows: Vec<String> =
            (0..40).map(|n| format!("r{}\t{}\t2026-11-18 0{}:00:0{}.{}", n * 7 % 40, n % 3, n % 4, n % 2, n % 5)).collect();
        let blocks = |order: &dyn Fn(usize) -> usize| -> Vec<Vec<u8>> {
            let lines: Vec<&str> = (0..40).map(|n| rows[order(n)].as_str()).collect();
            lines.chunks(7).map(|block| format!("{}\n", block.join("\n")).into_bytes()).collect()
        };
        let (one, other) = (blocks(&|n| n), blocks(&|n| n * 11 % 40));
        assert_eq!(sorted(&one, 2), sorted(&other, 2));
        let times: Vec<&[u8]> = sorted(&one, 2).into_iter().map(|line| cell(line, 2)).collect();
        assert!(times.is_sorted() && times.len() == 40);
    }
}
