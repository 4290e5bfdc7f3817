//! PostgreSQL's COPY text format: one line for each row, tabs between cells, nothing for null, and a backslash
//! before what would be taken for a tab or the end of a line.

use crate::edge::ledger_cells::Cell;
use crate::edge::ledger_query::EachRow;

/// Splits whole lines into cells and hands each row on. `shadow` is memory for lines with a backslash.
///
/// # Errors
/// The number, from 1, of a line that does not have `width` cells: no server writes such a line.
pub fn rows(lines: &[u8], width: usize, each: &mut EachRow<'_>) -> Result<(), usize> {
    // One look at the whole block instead of one for each cell.
    match std::str::from_utf8(lines) {
        Ok(text) => split(text, width, each),
        Err(_) => damaged(lines, width, each),
    }
}

fn split(text: &str, width: usize, each: &mut EachRow<'_>) -> Result<(), usize> {
    let mut row: Vec<Cell<'_>> = Vec::with_capacity(width);
    for (number, line) in text.split_terminator('\n').enumerate() {
        if line.contains('\\') {
            escaped(line.as_bytes(), width, each).ok_or(number + 1)?;
            continue;
        }
        row.clear();
        row.extend(line.split('\t').map(Cell::Text));
        if row.len() != width {
            return Err(number + 1);
        }
        each(&row);
    }
    Ok(())
}

/// A block with bytes that are not UTF-8, from a database without an encoding.
fn damaged(lines: &[u8], width: usize, each: &mut EachRow<'_>) -> Result<(), usize> {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    for (number, line) in lines.split(|byte| *byte == b'\n').enumerate() {
        escaped(line, width, each).ok_or(number + 1)?;
    }
    Ok(())
}

/// One line with backslashes in it; `None` when it has not as many cells as there are columns.
fn escaped(line: &[u8], width: usize, each: &mut EachRow<'_>) -> Option<()> {
    let cells: Vec<Vec<u8>> = line.split(|byte| *byte == b'\t').map(unescaped).collect();
    if cells.len() != width {
        return None;
    }
    let row: Vec<Cell<'_>> = cells.iter().map(|cell| std::str::from_utf8(cell).map_or(Cell::NotText, Cell::Text)).collect();
    each(&row);
    Some(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[u8], width: usize) -> Result<Vec<Vec<String>>, usize> {
        let mut found = Vec::new();
        rows(lines, width, &mut |row| found.push(row.iter().map(|cell| format!("{cell:?}")).collect()))?;
        Ok(found)
    }

    #[test]
    fn cells_are_split_and_escapes_undone() {
        let lines = b"r1\t1\t\nr2\\ttab\\nline\\\\back\t\t\xc3\xa9\nr3\\r\t2\t\\\\N\n";
        assert_eq!(
            read(lines, 3).unwrap(),
            [
                ["Text(\"r1\")", "Text(\"1\")", "Text(\"\")"],
                ["Text(\"r2\\ttab\\nline\\\\back\")", "Text(\"\")", "Text(\"é\")"],
                ["Text(\"r3\\r\")", "Text(\"2\")", "Text(\"\\\\N\")"],
            ]
        );
        assert_eq!(read(b"", 3).unwrap().len(), 0);
    }

    #[test]
    fn bytes_that_are_no_text_cost_their_own_cell_only() {
        let found = read(b"r1\t\xff\t\nr2\t2\t3\n", 3).unwrap();
        assert_eq!(found, [["Text(\"r1\")", "NotText", "Text(\"\")"], ["Text(\"r2\")", "Text(\"2\")", "Text(\"3\")"]]);
    }

    #[test]
    fn a_line_of_another_width_is_refused() {
        assert_eq!(read(b"a\tb\na\n", 2), Err(2));
        assert_eq!(read(b"a\\tb\tc\na\tb\tc\n", 2), Err(2));
        assert_eq!(read(b"\xff\n", 2), Err(1));
    }
}
