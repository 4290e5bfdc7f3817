//! Billing events, one row per request: API pages, and the same columns as CSV.

use super::figures::{Cost, Fault, checked, nano, net};
use super::{Caller, instant};
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, Quarantined};
use chrono::{DateTime, NaiveDate, Utc};
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
    timestamp: Result<&'a str, String>,
    caller: Caller<'a>,
}

/// Reads the rows of a `billing_events` list.
pub(super) fn json(rows: &[Value], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut span = Span::default();
    for (row, number) in rows.iter().zip(1u32..) {
        let texts = Texts {
            request_id: needed(row, "request_id"),
            endpoint_id: needed(row, "endpoint_id"),
            timestamp: needed(row, "timestamp"),
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
        let cell = |name: &str, column| row.at(column).ok_or_else(|| format!("{name}: expected a text, found nothing"));
        let texts = Texts {
            request_id: cell("request_id", request_id),
            endpoint_id: cell("endpoint_id", endpoint_id),
            timestamp: cell("timestamp", timestamp),
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

fn needed<'v>(row: &'v Value, key: &str) -> Result<&'v str, String> {
    super::word(row, key).ok_or_else(|| format!("{key}: expected a text, found {}", fields::found(row.get(key))))
}

/// The days from the first to the last event: an export is one contiguous range.
#[derive(Default)]
struct Span(Option<(NaiveDate, NaiveDate)>);

impl Span {
    fn line<'a>(&mut self, row: u32, texts: Texts<'a>, figure: impl Fn(Figure) -> Result<Option<Read>, String>) -> Line<'a> {
        let at = texts.timestamp.as_deref().ok().and_then(instant);
        let day = at.map(|at| at.date_naive());
        if let Some(day) = day {
            let (first, last) = self.0.unwrap_or((day, day));
            self.0 = Some((first.min(day), last.max(day)));
        }
        match charge(row, at, texts, figure) {
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

fn charge<'a>(
    row: u32,
    at: Option<DateTime<Utc>>,
    texts: Texts<'a>,
    figure: impl Fn(Figure) -> Result<Option<Read>, String>,
) -> Result<Charge<'a>, Fault> {
    let read = |wanted: Figure| checked(wanted.name(), figure(wanted));
    let Cost { cost, residue, list_cost } = cost(&read, || figure(Figure::NanoUsd))?;
    let aside = |mut fault: Fault| {
        fault.amount = Some(cost);
        fault
    };
    let quantity = read(Figure::OutputUnits).map_err(aside)?;
    let known = |text: Result<&'a str, String>| text.map_err(|reason| Fault::new(reason, Some(cost)));
    let timestamp = known(texts.timestamp)?;
    let at = at.ok_or_else(|| {
        let found: String = timestamp.chars().take(40).collect();
        Fault::new(format!("timestamp: expected a time like 2026-11-18T07:14:22Z, found {found:?}"), Some(cost))
    })?;
    Ok(Charge {
        request_id: Some(known(texts.request_id)?),
        model: Some(known(texts.endpoint_id)?),
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
