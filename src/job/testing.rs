//! Tables of mistakes, and what every parser of this room owes: no text makes it panic.

use crate::domain::fault::{ExitCode, Fault};

/// A file's text, the line of its fault, what is wrong, and the hint.
pub type Case = (&'static str, usize, &'static str, &'static str);

/// Each text fails at the line, with the words and the hint.
pub fn assert_faults<T>(file: &str, code: ExitCode, cases: &[Case], parse: impl Fn(&str) -> Result<T, Fault>) {
    for (text, line, what, hint) in cases {
        let expected = Fault::new(code, format!("{file}:{line}"), *what, *hint);
        assert_eq!(parse(text).err(), Some(expected), "{text}");
    }
}

/// A valid text, with any one line taken out, cut anywhere, or with any one character replaced, is read
/// or refused at a line that it has.
pub fn assert_robust<T>(text: &str, parse: impl Fn(&str) -> Result<T, Fault>) {
    assert_eq!(parse(text).err(), None);
    assert_eq!(parse(&format!("\u{feff}{}", text.replace('\n', "\r\n"))).err(), None, "as some editors save it");
    let lines: Vec<&str> = text.lines().collect();
    let mut broken: Vec<String> = (0..lines.len()).map(|out| [&lines[..out], &lines[out + 1..]].concat().join("\n")).collect();
    for (at, _) in text.char_indices() {
        broken.push(text[..at].to_string());
        for sign in ["", "\"", "[", "-", "9", "=", "\u{0}", "é"] {
            broken.push(format!("{}{sign}{}", &text[..at], text[at..].chars().skip(1).collect::<String>()));
        }
    }
    let mut refused = 0;
    for text in &broken {
        let Err(fault) = parse(text) else { continue };
        let line: usize = fault.place.rsplit(':').next().and_then(|line| line.parse().ok()).unwrap_or(0);
        assert!((1..=text.lines().count() + 1).contains(&line), "{} in {text}", fault.place);
        assert!(!fault.what.is_empty() && !fault.hint.is_empty(), "{fault}");
        refused += 1;
    }
    assert!(refused > broken.len() / 3, "only {refused} of {} broken texts are refused", broken.len());
}
