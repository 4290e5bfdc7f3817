//! Daily activity, from `GET /activity` and from the console's aggregated export.

use super::entry::{self, Figures, Span, Tokens};
use super::{BadPage, fields};
use crate::domain::money::Currency;
use crate::domain::usage::{Charge, Line, Precision};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;

/// A row of `GET /activity`.
pub fn is_row(row: &Value) -> bool {
    let has = |key: &str| row.get(key).is_some();
    has("date") && (has("model") || has("model_permaslug")) && (has("usage") || has("byok_usage_inference"))
}

/// Reads an answer of `GET /activity`. One without rows does not say which day it is of and covers none.
///
/// # Errors
/// Dates with a time of day: a bucket of an hour would be taken for a day.
pub fn read(answer: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let rows = fields::array(answer, "data")?;
    let mut span = Span::default();
    for (number, row) in (1..).zip(rows) {
        let when = fields::text(row, "date");
        span.add_text(when);
        refuse_hours("date", number, when)?;
        if let Err(reason) = read_one(number, row, out) {
            let amount = fields::number(row, "usage").ok().flatten().map(|read| read.amount);
            entry::set_aside(number, reason, when, amount, out);
        }
    }
    if let Some(days) = span.days() {
        out(Line::Covers(days));
    }
    Ok(())
}

fn read_one(number: u32, row: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    let (start, end) = day("date", fields::text(row, "date"))?;
    let count = |key: &str| entry::count(key, fields::quantity(row, key)?);
    let figures = Figures {
        usage: entry::money("usage", fields::number(row, "usage")?)?,
        estimate: entry::optional_money("byok_usage_inference", fields::number(row, "byok_usage_inference")?)?,
        requests: entry::calls("requests", fields::quantity(row, "requests")?)?,
        tokens: Tokens { input: count("prompt_tokens")?, cache_read: None, output: count("completion_tokens")? },
        precision: Precision::Exact,
    };
    let model = entry::permaslug(entry::name(row, "model")?, entry::name(row, "model_permaslug")?);
    let mut charge = Charge::new(number, start, end, Currency::USD);
    charge.sub_account = entry::name(row, "workspace_id")?;
    charge.model = model.as_deref();
    charge.sku = match entry::name(row, "provider_name")? {
        Some(provider) => Some(provider),
        None => entry::name(row, "endpoint_id")?,
    };
    entry::hand_on(&charge, &figures, out);
    Ok(())
}

/// Reads the aggregated export.
///
/// # Errors
/// Copies without dates or cut short, and exports by the hour.
pub fn read_csv(table: &mut fields::Table<'_>, bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    if !table.has("Date") {
        return Err(BadPage::new(
            "header: expected the column Date, found none; its rows cannot be dated",
            "export the activity again with all columns",
        ));
    }
    let mut span = Span::default();
    let (mut hourly, mut last_fault) = (Ok(()), None);
    table.for_each(|row, fault| {
        last_fault.clone_from(&fault);
        if let Some(fault) = fault {
            return entry::set_aside(row.number, fault, None, None, out);
        }
        let when = row.text("Date");
        span.add_text(when);
        if hourly.is_ok() {
            hourly = refuse_hours("Date", row.number, when);
        }
        if let Err(reason) = read_csv_row(&row, out) {
            let amount = row.quantity("Usage").ok().flatten();
            entry::set_aside(row.number, reason, when, amount, out);
        }
    })?;
    entry::refuse_cut(last_fault, bytes)?;
    hourly?;
    if let Some(days) = span.days() {
        out(Line::Covers(days));
    }
    Ok(())
}

fn read_csv_row(row: &fields::Row<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    let (start, end) = day("Date", row.text("Date"))?;
    let count = |column: &str| entry::count(column, row.quantity(column)?);
    let figures = Figures {
        usage: entry::money("Usage", row.number("Usage")?)?,
        estimate: entry::optional_money("BYOK Usage", row.number("BYOK Usage")?)?,
        requests: entry::calls("Requests", row.quantity("Requests")?)?,
        tokens: Tokens { input: count("Prompt Tokens")?, cache_read: None, output: count("Completion Tokens")? },
        precision: Precision::Cut(6),
    };
    let mut charge = Charge::new(row.number, start, end, Currency::USD);
    // The column is filled with this word where the export does not split by key.
    charge.api_key_id = row.text("API Key").filter(|key| *key != "Unknown");
    charge.model = row.text("Slug");
    entry::hand_on(&charge, &figures, out);
    Ok(())
}

fn day(field: &str, text: Option<&str>) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    entry::bucket(field, entry::instant(field, text)?, Duration::days(1))
}

/// A date that carries a time other than midnight makes the page one of shorter buckets, whose midnight
/// rows could not be told from days.
fn refuse_hours(field: &str, row: u32, text: Option<&str>) -> Result<(), BadPage> {
    match entry::instant(field, text).map(|instant| entry::bucket(field, instant, Duration::days(1))) {
        Ok(Err(reason)) => Err(BadPage::new(format!("row {row}: {reason}"), "export the activity by day")),
        _ => Ok(()),
    }
}
