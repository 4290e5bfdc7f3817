//! Plain text tables for the summary: columns as wide as their cells, the last one wrapped.

/// No line of a summary is longer, in characters.
pub(super) const WIDTH: usize = 100;
/// The widest that a name may be; a longer one ends in `..`.
const NAME_MAX: usize = 24;

/// A name from data as it may be shown: escapes made visible, cut with a mark when too long.
pub(super) fn name(text: &str) -> String {
    let text = super::csv::visible(text);
    if text.chars().count() <= NAME_MAX {
        return text;
    }
    text.chars().take(NAME_MAX - 2).chain("..".chars()).collect()
}

/// A header line, a rule and the rows. Columns named in `right` are aligned right; the last column wraps
/// where it would pass [`WIDTH`], and the line goes on below it.
pub(super) fn grid(columns: &[&str], right: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let fixed: usize = widths.iter().rev().skip(1).map(|width| width + 2).sum();
    let room = WIDTH.saturating_sub(fixed).max(9);
    if let Some(last) = widths.last_mut() {
        *last = (*last).min(room);
    }
    let mut out = String::new();
    let header: Vec<String> = columns.iter().map(|column| column.to_string()).collect();
    push_row(&mut out, columns, right, &widths, &header);
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    push_row(&mut out, columns, right, &widths, &rule);
    for row in rows {
        push_row(&mut out, columns, right, &widths, row);
    }
    out
}

fn push_row(out: &mut String, columns: &[&str], right: &[&str], widths: &[usize], row: &[String]) {
    let last = columns.len().saturating_sub(1);
    let mut line = String::new();
    let mut below = Vec::new();
    for (index, ((column, width), cell)) in columns.iter().zip(widths).zip(row).enumerate() {
        let mut cell = cell.clone();
        if index == last && cell.chars().count() > *width {
            let mut lines = wrap(&cell, *width).into_iter();
            cell = lines.next().unwrap_or_default();
            below = lines.collect();
        }
        let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
        if index > 0 {
            line.push_str("  ");
        }
        if right.contains(column) {
            line.push_str(&gap);
            line.push_str(&cell);
        } else {
            line.push_str(&cell);
            line.push_str(&gap);
        }
    }
    out.push_str(line.trim_end());
    out.push('\n');
    let indent: usize = widths.iter().take(last).map(|width| width + 2).sum();
    for rest in below {
        out.push_str(&" ".repeat(indent));
        out.push_str(&rest);
        out.push('\n');
    }
}

/// The words in lines of at most `width` characters; a longer word stands alone, cut into pieces.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let mut letters: Vec<char> = word.chars().collect();
        while !letters.is_empty() {
            let rest = letters.split_off(letters.len().min(width.max(1)));
            let piece: String = letters.into_iter().collect();
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(&piece),
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= width => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
            letters = rest;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_wraps() {
        let rows = vec![
            vec!["fal".to_string(), "12.00".to_string(), "word ".repeat(40)],
            vec!["openai".to_string(), "1.00".to_string(), "short".to_string()],
        ];
        let text = grid(&["provider", "amount", "what to do"], &["amount"], &rows);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(text.contains("\nfal        12.00  word word"), "{text}");
        assert!(text.contains("\nopenai      1.00  short\n"), "{text}");
        assert_eq!(text.matches("word").count(), 40);
    }

    #[test]
    fn names_are_shown_safely() {
        assert_eq!(name("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(name(&"x".repeat(60)), format!("{}..", "x".repeat(22)));
        assert_eq!(wrap(&"y".repeat(25), 10), ["y".repeat(10), "y".repeat(10), "y".repeat(5)]);
    }
}
