//! The console's own daily answer: a row for each model and day with one cost, for the whole organization.
//! It is not documented, and a person's login gets it: a figure of the console, not a cost report.

use super::super::{BadPage, fields};
use super::figures::{self, Figures, Tokens};
use crate::domain::money::{Amount, Currency, MONEY_LIMIT};
use crate::domain::period::{Days, from_unix};
use crate::domain::usage::{Charge, CostBasis, Line, Precision, Quarantined};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

/// Whether a list's entry is a row of this report.
pub fn is_row(row: &Value) -> bool {
    row.get("num_requests").is_some() || row.get("n_context_tokens_total").is_some()
}

/// Reads the rows. The answer is of one range, so it speaks for the days from its first row to its last.
///
/// # Errors
/// Days that do not start at midnight UTC: each would be part of two UTC days.
pub fn read(rows: &[Value], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut starts = (0..).zip(rows).filter_map(|(at, row)| Some((at, start(row).ok()?)));
    if let Some((at, foreign)) = starts.find(|(_, start)| start.time() != NaiveTime::MIN) {
        return Err(BadPage::new(
            format!("data[{at}].timestamp: expected the start of a UTC day, found {}", foreign.format("%FT%TZ")),
            "ask again with start_date and end_date at midnight UTC",
        ));
    }
    let mut range: Option<(NaiveDate, NaiveDate)> = None;
    for (number, row) in (1..).zip(rows) {
        match one(number, row, out) {
            Ok(day) => range = Some(range.map_or((day, day), |(first, last)| (first.min(day), last.max(day)))),
            Err(reason) => {
                let amount = fields::quantity(row, "cost").ok().flatten().filter(|amount| amount.abs() < MONEY_LIMIT);
                let day = start(row).ok().map(|start| start.date_naive());
                let currency = amount.map(|_| Currency::USD);
                out(Line::Quarantined(Quarantined { row: number, day, reason, amount, currency }));
            }
        }
    }
    if let Some((from, to)) = range.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
        out(Line::Covers(Days { from, to }));
    }
    Ok(())
}

fn one(number: u32, row: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<NaiveDate, String> {
    let start = start(row)?;
    let day = start.date_naive();
    let end = day.succ_opt().map(figures::midnight).ok_or("timestamp: expected a day before the last one")?;
    let count = |key: &str| figures::count(key, fields::number(row, key)?);
    let input = count("n_context_tokens_total")?;
    let cached = match (input, count("n_non_cached_context_tokens_total")?) {
        (Some(input), Some(rest)) if rest > input => {
            return Err(format!("n_non_cached_context_tokens_total: expected at most {input}, the whole context, found {rest}"));
        }
        (Some(input), Some(rest)) => input.checked_sub(rest),
        // Without the one, nothing tells how much of the context was cached.
        _ => None,
    };
    let cost = figures::money("cost", fields::number(row, "cost")?)?.ok_or("cost: expected a number, found nothing")?;
    let figures = Figures {
        cost: Some(cost),
        requests: figures::calls("num_requests", fields::number(row, "num_requests")?)?,
        tokens: Tokens::split(input, cached, count("n_generated_tokens_total")?)?,
    };
    let charge = Charge {
        account: text(row, "organization_name")?,
        model: Some(text(row, "model")?.ok_or("model: expected a text, found nothing")?),
        basis: CostBasis::Manual,
        // The cost went through a binary float at Groq: its last digits are noise.
        precision: Precision::Rounded(9),
        ..Charge::new(number, start, end, Currency::USD)
    };
    figures::hand_on(&charge, &figures, out);
    Ok(day)
}

/// An instant of this century. A garbled year would stretch the days that a page speaks for.
fn start(row: &Value) -> Result<DateTime<Utc>, String> {
    let bad = || format!("timestamp: expected a Unix time, found {}", fields::found(row.get("timestamp")));
    let seconds = fields::quantity(row, "timestamp")?.filter(|seconds| seconds.rounded(0) == *seconds).ok_or_else(bad)?;
    let instant = i64::try_from(seconds.atto() / Amount::ONE.atto()).ok().and_then(from_unix);
    instant.filter(|instant| (2000..2100).contains(&instant.year())).ok_or_else(bad)
}

fn text<'v>(row: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => Err(format!("{key}: expected a text, found {}", fields::found(other))),
    }
}
