//! The console's CSV exports: cost per key in dollars, rounded to the cent, and tokens per key.
//! Columns differ by the month of the export and are read by name.

use super::buckets::Place;
use super::fields::{Row, Table};
use super::numbers::{self, BadMoney};
use super::words::{cost_meter, sku, tier};
use super::{BadPage, Kind, Page, usage};
use crate::domain::money::{Amount, Currency, MONEY_LIMIT, Read};
use crate::domain::period::{Days, parse_day, parse_instant};
use crate::domain::usage::{Charge, Line, Precision, Quarantined, meter};
use chrono::{DateTime, Duration, NaiveDate, Timelike, Utc};

const DATE: &str = "usage_date_utc";
/// What every cost export with rows has.
const COST_COLUMNS: [&str; 4] = [DATE, "model", "token_type", "cost_usd"];
/// What every token export with rows has.
const USAGE_COLUMNS: [&str; 7] = [
    DATE,
    "model_version",
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
    "usage_output_tokens",
];
/// The workspace that the API calls null.
const DEFAULT_WORKSPACE: &str = "Default";

/// Which export has this header.
pub(super) fn kind(table: &Table<'_>) -> Option<Kind> {
    if !table.has(DATE) {
        None
    } else if table.has("cost_usd") {
        Some(Kind::ConsoleCost)
    } else if table.has("usage_input_tokens_no_cache") || table.has("usage_output_tokens") {
        Some(Kind::ConsoleUsage)
    } else {
        None
    }
}

/// Reads one row whose place is known.
type HandOn = fn(&Row<'_>, Place, &mut dyn FnMut(Line<'_>));

/// Hands on every row of an export. The export speaks for the days from its first to its last row; a
/// file of one hour (`…_15h_UTC.csv`) for no whole day, and a file without rows names no day.
///
/// # Errors
/// Not one of the exports, rows without a column that they need, or a last row that is cut short.
pub(super) fn read(page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut table = Table::new(page.bytes)?;
    let (columns, hand_on): (&[&str], HandOn) = match kind(&table) {
        Some(Kind::ConsoleCost) => (&COST_COLUMNS, cost),
        Some(Kind::ConsoleUsage) => (&USAGE_COLUMNS, tokens),
        _ => return Err(unknown_header(&table)),
    };
    let missing = columns.iter().find(|column| !table.has(column)).copied();
    // An empty month has a header with fewer columns.
    let (mut rows, mut days, mut short) = (0u32, None::<(NaiveDate, NaiveDate)>, None::<String>);
    table.for_each(|row, fault| {
        rows = row.number;
        if missing.is_some() {
            return;
        }
        short.clone_from(&fault);
        if let Some(reason) = fault {
            return out(Line::Quarantined(Quarantined { row: row.number, day: None, reason, amount: None, currency: None }));
        }
        let Some((start, end)) = row.text(DATE).and_then(period) else { return out(Line::Quarantined(undated(&row))) };
        let day = start.date_naive();
        days = Some(days.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
        hand_on(&row, Place { row: row.number, start, end }, out);
    })?;
    if let Some(column) = missing.filter(|_| rows > 0) {
        return Err(BadPage::new(
            format!("header: expected a column {column}, found none"),
            "export the file again from the console",
        ));
    }
    if let Some(fault) = short.filter(|_| !page.bytes.ends_with(b"\n")) {
        return Err(BadPage::new(format!("row {rows}: {fault} and no line end"), "download the file again: it is cut short"));
    }
    if let Some((from, to)) = days.and_then(|(first, last)| Some((first, last.succ_opt()?))).filter(|_| !is_one_hour(page.file)) {
        out(Line::Covers(Days { from, to }));
    }
    Ok(())
}

fn unknown_header(table: &Table<'_>) -> BadPage {
    let header: String = table.header().join(",").chars().take(80).collect();
    BadPage::new(
        format!("header: expected {DATE} with cost_usd or usage_output_tokens, found {header:?}"),
        "is this a cost or token export of the console?",
    )
}

/// `claude_api_tokens_2026_11_02_15h_UTC.csv`: only the name says that the file is of one hour.
fn is_one_hour(file: &str) -> bool {
    file.to_ascii_lowercase().contains("h_utc")
}

/// A plain date is a day, a date with a time is that hour.
fn period(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let start = parse_instant(text)?;
    if parse_day(text).is_some() {
        return Some((start, start.checked_add_signed(Duration::days(1))?));
    }
    let full = start.minute() == 0 && start.second() == 0 && start.nanosecond() == 0;
    Some((start, start.checked_add_signed(Duration::hours(1))?)).filter(|_| full)
}

/// A row whose period cannot be told; its amount, where it has one, is not lost.
fn undated(row: &Row<'_>) -> Quarantined {
    let written = row.text(DATE).unwrap_or_default();
    let amount = number(row, "cost_usd").ok().flatten().map(|read| read.amount).filter(|amount| amount.abs() < MONEY_LIMIT);
    Quarantined {
        row: row.number,
        day: parse_instant(written).map(|instant| instant.date_naive()),
        reason: format!("{DATE}: expected a day or a full hour, found {written:?}"),
        amount,
        currency: amount.map(|_| Currency::USD),
    }
}

/// A cell that says something: `--` stands where a column does not apply.
fn cell<'r>(row: &'r Row<'_>, column: &str) -> Option<&'r str> {
    row.text(column).filter(|text| *text != "--")
}

fn number(row: &Row<'_>, column: &str) -> Result<Option<Read>, String> {
    let read = |text| Amount::read(text).map_err(|error| format!("{column}: {error}"));
    cell(row, column).map(read).transpose()
}

/// The charge with the columns that both exports have. Key and workspace are display names, unless the
/// export has the key's id.
fn charge<'r>(row: &'r Row<'_>, model: &str, sku: Option<&'r str>, place: Place) -> Charge<'r> {
    let (service_tier, batch) = tier(cell(row, "usage_type"));
    Charge {
        sub_account: cell(row, "workspace").filter(|name| *name != DEFAULT_WORKSPACE),
        api_key_id: cell(row, "api_key_id").or_else(|| cell(row, "api_key")),
        model: cell(row, model),
        service_tier,
        batch,
        sku,
        ..place.charge()
    }
}

fn words(row: &Row<'_>) -> Option<String> {
    // `message` is no tier and would be lost otherwise.
    let usage_type = cell(row, "usage_type").filter(|word| tier(Some(word)) == (None, None));
    sku(&[usage_type, cell(row, "context_window"), cell(row, "inference_geo"), cell(row, "speed")])
}

/// A row of the cost export. Rows with equal keys are both handed on: they are to be added.
fn cost(row: &Row<'_>, place: Place, out: &mut dyn FnMut(Line<'_>)) {
    let dollars = |column: &str| number(row, column)?.map(|read| numbers::dollars(column, read)).transpose();
    let cost = match dollars("cost_usd") {
        Ok(Some(cost)) => cost,
        Ok(None) => return out(Line::Quarantined(place.aside("cost_usd: expected a number, found nothing".to_string(), None))),
        Err(BadMoney { reason, amount }) => return out(Line::Quarantined(place.aside(reason, amount))),
    };
    let list = match dollars("list_price_usd") {
        Ok(list) => list,
        // What stands there is the list cost; the amount of the row itself is the billed one.
        Err(BadMoney { reason, .. }) => return out(Line::Quarantined(place.aside(reason, Some(cost.amount)))),
    };
    let words = words(row);
    out(Line::Charge(Charge {
        meter: cost_meter(cell(row, "cost_type"), cell(row, "token_type")),
        cost: Some(cost.amount),
        residue: cost.residue,
        list_cost: list.map(|list| list.amount),
        precision: Precision::Rounded(2),
        ..charge(row, "model", words.as_deref(), place)
    }))
}

/// A row of the token export: a charge for each meter that is not zero.
fn tokens(row: &Row<'_>, place: Place, out: &mut dyn FnMut(Line<'_>)) {
    let counts = match counts(row) {
        Ok(counts) => counts,
        Err(reason) => return out(Line::Quarantined(place.aside(reason, None))),
    };
    let words = words(row);
    usage::hand_on(&charge(row, "model_version", words.as_deref(), place), &counts, place, out);
}

fn counts(row: &Row<'_>) -> Result<[(&'static str, Amount); 6], String> {
    let of = |column: &str| numbers::count(column, number(row, column)?);
    Ok([
        (meter::INPUT_TOKENS, of("usage_input_tokens_no_cache")?),
        (meter::CACHE_READ_TOKENS, of("usage_input_tokens_cache_read")?),
        (meter::CACHE_WRITE_5M_TOKENS, of("usage_input_tokens_cache_write_5m")?),
        (meter::CACHE_WRITE_1H_TOKENS, of("usage_input_tokens_cache_write_1h")?),
        (meter::OUTPUT_TOKENS, of("usage_output_tokens")?),
        (meter::WEB_SEARCHES, of("web_search_count")?),
    ])
}
