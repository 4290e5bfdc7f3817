//! `POST /analytics/query`: money and counts by up to two dimensions. Counts are texts, keys and people
//! are display names, and a flag says when rows are missing.

use super::entry::{self, Figures, Tokens};
use super::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, Precision};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

/// An analytics answer, as it came or without its outer `data`.
pub fn is_answer(answer: &Value) -> bool {
    body(answer).is_some()
}

fn body(answer: &Value) -> Option<&Value> {
    let whole =
        |value: &Value| value.get("data").is_some_and(Value::is_array) && value.get("metadata").is_some_and(Value::is_object);
    answer.get("data").filter(|data| whole(data)).or_else(|| Some(answer).filter(|answer| whole(answer)))
}

/// The time column: its name and the width of its buckets.
struct Time<'v> {
    column: &'v str,
    width: Duration,
}

/// Reads an answer.
///
/// # Errors
/// Rows missing, buckets longer than a day or none, or no figure for the money charged.
pub fn read(answer: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let body = body(answer).unwrap_or(answer);
    let rows = fields::array(body, "data")?;
    refuse_partial(body, rows.len())?;
    let Some(first) = rows.first() else { return Ok(()) };
    let time = time(first)?;
    // `total_usage` mixes money charged with estimates and cannot stand in for it.
    if !rows.iter().any(|row| row.get("credits_usage").is_some()) {
        return Err(BadPage::new(
            "credits_usage: expected this metric, found none",
            "ask for the metric credits_usage; total_usage also counts estimates",
        ));
    }
    let mut edges: Option<(DateTime<Utc>, DateTime<Utc>)> = None;
    for (number, row) in (1..).zip(rows) {
        let when = fields::text(row, time.column);
        match read_one(number, row, &time, out) {
            Ok((start, end)) => edges = Some(edges.map_or((start, end), |(first, last)| (first.min(start), last.max(end)))),
            Err(reason) => {
                let amount = fields::number(row, "credits_usage").ok().flatten().map(|read| read.amount);
                entry::set_aside(number, reason, when, amount, out);
            }
        }
    }
    let as_of = body.get("cachedAt").and_then(Value::as_i64).and_then(DateTime::from_timestamp_millis);
    if let Some(days) = edges.and_then(|(first, last)| whole_days(first, last, as_of)) {
        out(Line::Covers(days));
    }
    Ok(())
}

fn refuse_partial(body: &Value, rows: usize) -> Result<(), BadPage> {
    let metadata = body.get("metadata");
    let truncated = metadata.and_then(|metadata| metadata.get("truncated"));
    if !matches!(truncated, None | Some(Value::Null | Value::Bool(false))) {
        return Err(BadPage::new(
            format!("metadata.truncated: expected false, found {}", fields::found(truncated)),
            "ask for fewer days or dimensions, or raise limit, until nothing is cut off",
        ));
    }
    let said = metadata.and_then(|metadata| fields::quantity(metadata, "row_count").ok().flatten());
    if said.is_some_and(|said| said > Amount::whole(i64::try_from(rows).unwrap_or(i64::MAX))) {
        return Err(BadPage::new(
            format!("metadata.row_count: expected {rows} as there are rows, found {}", said.unwrap_or_default()),
            "save the answer again: rows are missing",
        ));
    }
    // A filter by a key that cannot be resolved gives no rows and no error, only a warning.
    match body.get("warnings").and_then(Value::as_array).and_then(|warnings| warnings.first()) {
        Some(warning) if rows == 0 => Err(BadPage::new(
            format!("warnings: expected none in an answer without rows, found {}", fields::found(Some(warning))),
            "correct the filter and ask again",
        )),
        _ => Ok(()),
    }
}

fn time(row: &Value) -> Result<Time<'_>, BadPage> {
    let columns = row.as_object().into_iter().flat_map(serde_json::Map::keys);
    for column in columns {
        let Some(granularity) = column.strip_prefix("date__").or_else(|| column.strip_prefix("created_at__")) else { continue };
        let width = match granularity {
            "minute" => Duration::minutes(1),
            "hour" => Duration::hours(1),
            "day" => Duration::days(1),
            _ => {
                return Err(BadPage::new(
                    format!("{column}: expected buckets of a day or shorter, found {granularity:?}"),
                    "ask with granularity day or hour",
                ));
            }
        };
        return Ok(Time { column, width });
    }
    Err(BadPage::new("data[0]: expected a time column such as created_at__day, found none", "ask with granularity day or hour"))
}

fn read_one(
    number: u32,
    row: &Value,
    time: &Time<'_>,
    out: &mut dyn FnMut(Line<'_>),
) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let start = entry::instant(time.column, fields::text(row, time.column))?;
    let (start, end) = entry::bucket(time.column, start, time.width)?;
    let count = |key: &str| entry::count(key, fields::quantity(row, key)?);
    let figures = Figures {
        usage: entry::money("credits_usage", fields::number(row, "credits_usage")?)?,
        estimate: entry::optional_money("byok_usage", fields::number(row, "byok_usage")?)?,
        requests: entry::calls("request_count", fields::quantity(row, "request_count")?)?,
        tokens: Tokens::split(count("tokens_prompt")?, ("cached_tokens", count("cached_tokens")?), count("tokens_completion")?)?,
        precision: Precision::Exact,
    };
    let variant = entry::name(row, "variant")?;
    let model = entry::name(row, "model")?.map(|model| entry::with_variant(model, variant));
    let mut charge = Charge::new(number, start, end, Currency::USD);
    charge.sub_account = entry::name(row, "workspace")?;
    charge.api_key_id = entry::name(row, "api_key_id")?;
    // A query has two dimensions at most: at most one of these labels is worth having.
    for key in ["external_user", "user", "app"] {
        charge.label = charge.label.or(entry::name(row, key)?);
    }
    charge.model = model.as_deref();
    charge.sku = entry::name(row, "provider")?;
    charge.request_id = entry::name(row, "generation_id")?;
    entry::hand_on(&charge, &figures, out);
    Ok((start, end))
}

/// The days from the first bucket to the last that are there from midnight to midnight, and that were
/// over when the answer was made.
fn whole_days(first: DateTime<Utc>, last: DateTime<Utc>, as_of: Option<DateTime<Utc>>) -> Option<Days> {
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let mut from = first.date_naive();
    if midnight(from) < first {
        from = from.succ_opt()?;
    }
    let to = as_of.map_or(last, |as_of| last.min(as_of)).date_naive();
    (from < to).then_some(Days { from, to })
}
