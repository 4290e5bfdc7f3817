//! What `backtest` prints: a row for each judged value, and how the flags did against the labels.

use crate::domain::money::Amount;
use crate::stages::spikes::grade::Grade;
use crate::stages::spikes::replay::Judged;
use std::io::Write;

/// Contract section 2.
pub const HEADER: &str = "series,timestamp,flag,score,expected\r\n";

/// A value as it was judged. Score and expectation of an unknown value are empty.
pub fn push_row(out: &mut Vec<u8>, series: &str, timestamp: &str, value: Option<Amount>, judged: &Judged) {
    for text in [series, timestamp] {
        push_field(out, text);
        out.push(b',');
    }
    // A Vec takes every write.
    drop(match value {
        None => write!(out, "0,,\r\n"),
        Some(_) => write!(out, "{},{},{}\r\n", u8::from(judged.flag), judged.score, judged.expected.rounded(9)),
    });
}

/// As it stood in the input: for machines, so nothing but quotes is added.
fn push_field(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\r' | b'\n')) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// The figures for stderr. Without labels only alarms can be counted.
pub fn summary(grade: &Grade, has_labels: bool) -> String {
    let mut text =
        format!("{} series, {} values, {} flagged in {} alarms\n", grade.series, grade.values, grade.flags, grade.alarms);
    let weekly = milli(grade.false_alarms_weekly_milli());
    if !has_labels {
        text.push_str(&format!("alarms per series and week: {weekly}\n"));
        return text;
    }
    text.push_str(&format!(
        "spikes labelled: {}, caught: {}, false alarms: {}\n",
        grade.spikes, grade.caught, grade.false_alarms
    ));
    text.push_str(&format!(
        "precision: {}  recall: {}  F1: {}  (by value: F1 {})\n",
        milli(grade.precision_milli()),
        milli(grade.recall_milli()),
        milli(grade.f1_milli()),
        milli(grade.f1_values_milli())
    ));
    text.push_str(&format!("false alarms per series and week: {weekly}\n"));
    text.push_str(&format!(
        "3x and more, and beyond the threshold in money: {} of {} caught, F1 {}\n",
        grade.large_caught,
        grade.large,
        milli(grade.f1_large_milli())
    ));
    for (name, size) in grade.by_size() {
        let delay = size.delay_median().map_or(String::new(), |steps| format!(", half of them within {steps} steps"));
        text.push_str(&format!("  {name}: {} of {} caught{delay}\n", size.caught, size.spikes));
    }
    text
}

fn milli(value: Option<u64>) -> String {
    value.map_or("none".to_string(), |milli| format!("{}.{:03}", milli / 1_000, milli % 1_000))
}
