//! Billing events, one row per request: API pages, and the same columns as CSV or typed.

use super::figures::{Cost, Fault, checked, nano, net};
use super::{Caller, instant, is_of_this_century};
use crate::adapters::columns::{Cells, Columns, Texts as Column};
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::period::{Days, from_count};
use crate::domain::usage::{Charge, Line, Quarantined};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::Value;

/// Numbers of an event, in the order of [`FIGURES`].
#[derive(Clone, Copy)]
enum Figure {
    OutputUnits,
    UnitPrice,
    PercentDiscount,
    CostSubtotal,
    CostTotal,
    NanoUsd,
}

const FIGURES: [&str; 6] =
    ["output_units", "unit_price", "percent_discount", "cost_subtotal", "cost_total", "cost_estimate_nano_usd"];

impl Figure {
    fn name(self) -> &'static str {
        FIGURES[self as usize]
    }
}

/// The texts of an event; the three that every event has say what stands there instead.
struct Texts<'a> {
    request_id: Result<&'a str, String>,
    endpoint_id: Result<&'a str, String>,
    timestamp: Result<DateTime<Utc>, String>,
    caller: Caller<'a>,
}

/// Reads the rows of a `billing_events` list.
pub(super) fn json(rows: &[Value], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut span = Span::default();
    for (row, number) in rows.iter().zip(1u32..) {
        let texts = Texts {
            request_id: needed(row, "request_id"),
            endpoint_id: needed(row, "endpoint_id"),
            timestamp: needed(row, "timestamp").and_then(read_instant),
            caller: Caller::of(row),
        };
        out(span.line(number, texts, |figure| fields::number(row, figure.name())));
    }
    span.close(out);
    Ok(())
}

/// Reads the events as CSV with the API's field names as header, in any order.
pub(super) fn csv(bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut table = fields::Table::new(bytes)?;
    for name in ["request_id", "endpoint_id", "timestamp", "cost_total"] {
        match table.header().iter().filter(|column| *column == name).count() {
            1 => {}
            count => {
                return Err(BadPage::new(
                    format!("header: expected one column {name}, found {}", if count == 0 { "none" } else { "several" }),
                    "export the billing events with the API's field names as header",
                ));
            }
        }
    }
    let [request_id, endpoint_id, timestamp] = table.columns(["request_id", "endpoint_id", "timestamp"]);
    let [team, key, login, detail] = table.columns(["username", "api_key_id", "login_username", "auth_method"]);
    let figures = table.columns(FIGURES);
    let mut span = Span::default();
    table.for_each(|row, fault| {
        if let Some(reason) = fault {
            return out(Line::Quarantined(Quarantined { row: row.number, day: None, reason, amount: None, currency: None }));
        }
        let cell = |name: &str, column| row.at(column).ok_or_else(|| nothing(name));
        let texts = Texts {
            request_id: cell("request_id", request_id),
            endpoint_id: cell("endpoint_id", endpoint_id),
            timestamp: cell("timestamp", timestamp).and_then(read_instant),
            caller: Caller::new(row.at(team), row.at(key), row.at(login), row.at(detail)),
        };
        out(span.line(row.number, texts, |figure| match row.at(figures[figure as usize]) {
            None => Ok(None),
            Some(text) => Amount::read(text).map(Some).map_err(|error| format!("{}: {error}", figure.name())),
        }));
    })?;
    span.close(out);
    Ok(())
}

/// Reads the events from typed columns with the names of the CSV; false where one of them is of another type
/// than it should be, and then nothing is handed on: as CSV its cells say themselves what is wrong.
pub(super) fn columns(columns: &Columns<'_>, out: &mut dyn FnMut(Line<'_>)) -> bool {
    let texts = |name| columns.named(name).and_then(Cells::texts);
    let (Some(request_id), Some(endpoint_id), Some(timestamp)) =
        (texts("request_id"), texts("endpoint_id"), columns.named("timestamp").filter(|cells| has_instants(cells)))
    else {
        return false;
    };
    let optional = ["username", "api_key_id", "login_username", "auth_method"];
    let callers = optional.map(|name| if columns.header.contains(&name) { texts(name) } else { Some(Column::NONE) });
    let [Some(team), Some(key), Some(login), Some(detail)] = callers else { return false };
    let figures = FIGURES.map(|name| columns.named(name));
    let readable = FIGURES.iter().zip(&figures).all(|(name, cells)| match cells {
        Some(cells) => cells.has_numbers(),
        None => !columns.header.contains(name),
    });
    if !readable || figures[Figure::CostTotal as usize].is_none() {
        return false;
    }
    let mut span = Span::default();
    for (row, number) in (0..columns.rows).zip(1u32..) {
        let texts = Texts {
            request_id: request_id.at(row).ok_or_else(|| nothing("request_id")),
            endpoint_id: endpoint_id.at(row).ok_or_else(|| nothing("endpoint_id")),
            timestamp: instant_of(timestamp, row),
            caller: Caller::new(team.at(row), key.at(row), login.at(row), detail.at(row)),
        };
        out(span.line(number, texts, |figure| match figures[figure as usize] {
            None => Ok(None),
            Some(cells) => cells.number(row).map_err(|error| format!("{}: {error}", figure.name())),
        }));
    }
    span.close(out);
    true
}

fn has_instants(cells: &Cells<'_>) -> bool {
    matches!(cells, Cells::Instant(..) | Cells::Text(_))
}

fn instant_of(cells: &Cells<'_>, row: usize) -> Result<DateTime<Utc>, String> {
    match cells {
        Cells::Instant(counts, per_second) => {
            let count = counts.get(row).ok_or_else(|| nothing("timestamp"))?;
            let at = from_count(count, *per_second);
            let shown = || at.map_or(count.to_string(), |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            at.filter(is_of_this_century).ok_or_else(|| no_instant(&shown()))
        }
        cells => match cells.texts().and_then(|texts| texts.at(row)) {
            Some(text) => read_instant(text),
            None => Err(nothing("timestamp")),
        },
    }
}

fn nothing(name: &str) -> String {
    format!("{name}: expected a text, found nothing")
}

fn read_instant(text: &str) -> Result<DateTime<Utc>, String> {
    instant(text).ok_or_else(|| no_instant(text))
}

fn no_instant(found: &str) -> String {
    let found: String = found.chars().take(40).collect();
    format!("timestamp: expected a time like 2026-11-18T07:14:22Z, found {found:?}")
}

fn needed<'v>(row: &'v Value, key: &str) -> Result<&'v str, String> {
    super::word(row, key).ok_or_else(|| format!("{key}: expected a text, found {}", fields::found(row.get(key))))
}

/// The days from the first to the last event: an export is one contiguous range.
#[derive(Default)]
struct Span(Option<(NaiveDate, NaiveDate)>);

impl Span {
    fn line<'a>(&mut self, row: u32, texts: Texts<'a>, figure: impl Fn(Figure) -> Result<Option<Read>, String>) -> Line<'a> {
        let day = texts.timestamp.as_ref().ok().map(|at| at.naive_utc().date());
        if let Some(day) = day {
            let (first, last) = self.0.unwrap_or((day, day));
            self.0 = Some((first.min(day), last.max(day)));
        }
        match charge(row, texts, figure) {
            Ok(charge) => Line::Charge(charge),
            Err(Fault { reason, amount }) => {
                Line::Quarantined(Quarantined { row, day, reason, amount, currency: amount.map(|_| Currency::USD) })
            }
        }
    }

    fn close(self, out: &mut dyn FnMut(Line<'_>)) {
        if let Some((from, to)) = self.0.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
            out(Line::Covers(Days { from, to }));
        }
    }
}

fn charge<'a>(row: u32, texts: Texts<'a>, figure: impl Fn(Figure) -> Result<Option<Read>, String>) -> Result<Charge<'a>, Fault> {
    let read = |wanted: Figure| checked(wanted.name(), figure(wanted));
    let Cost { cost, residue, list_cost } = cost(&read, || figure(Figure::NanoUsd))?;
    let aside = |mut fault: Fault| {
        fault.amount = Some(cost);
        fault
    };
    let quantity = read(Figure::OutputUnits).map_err(aside)?;
    let missing = |reason| Fault::new(reason, Some(cost));
    let at = texts.timestamp.map_err(missing)?;
    Ok(Charge {
        request_id: Some(texts.request_id.map_err(missing)?),
        model: Some(texts.endpoint_id.map_err(missing)?),
        api_key_id: texts.caller.api_key_id,
        label: texts.caller.label,
        // The unit is not on the page, only in usage and pricing: `meter` stays unknown.
        quantity: quantity.map(|read| read.amount),
        requests: Some(1),
        cost: Some(cost),
        residue,
        list_cost,
        ..Charge::new(row, at, at, Currency::USD)
    })
}

/// What fal charged: `cost_total`, else the same in nano-dollars, else its own price × its own quantity.
///
/// # Errors
/// None of them: the event is not billed yet, which is not a zero (fal sheet, "Further observed facts").
fn cost(
    read: &impl Fn(Figure) -> Result<Option<Read>, Fault>,
    nano_usd: impl Fn() -> Result<Option<Read>, String>,
) -> Result<Cost, Fault> {
    let subtotal = read(Figure::CostSubtotal);
    if let Some(total) = read(Figure::CostTotal)? {
        let subtotal = subtotal.map_err(|fault| Fault::new(fault.reason, Some(total.amount)))?;
        return Ok(Cost { cost: total.amount, residue: total.residue, list_cost: subtotal.map(|read| read.amount) });
    }
    let list_cost = subtotal?.map(|read| read.amount);
    if let Some(cost) = nano(nano_usd())? {
        return Ok(Cost { cost, residue: 0, list_cost });
    }
    let (units, price) = (read(Figure::OutputUnits)?, read(Figure::UnitPrice)?);
    let Some((units, price)) = units.zip(price) else {
        return Err(Fault::new("cost_total: not billed yet: expected a cost, found nothing", None));
    };
    let percent = read(Figure::PercentDiscount)?.map(|read| read.amount);
    let cost = net(units.amount, price.amount, percent)?;
    let list_cost = list_cost.or(net(units.amount, price.amount, None).ok());
    Ok(Cost { cost, residue: 0, list_cost })
}
