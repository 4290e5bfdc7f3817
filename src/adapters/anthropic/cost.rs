//! Rows of the cost report: money in cents, no quantity, no key.

use super::buckets::Place;
use super::words::{Dimensions, cost_meter, text};
use super::{fields, numbers};
use crate::domain::money::Currency;
use crate::domain::usage::{Charge, Line, Quarantined};
use serde_json::Value;

/// Hands on one row. Rows with equal coordinates are both handed on: they are to be added.
pub(super) fn row(row: &Value, place: Place, out: &mut dyn FnMut(Line<'_>)) {
    if let Err(aside) = check_currency(row, "currency", place) {
        return out(Line::Quarantined(aside));
    }
    let cost = match numbers::cents(row, "amount") {
        Ok(cost) => cost,
        Err(bad) => return out(Line::Quarantined(place.aside(bad.reason, bad.amount))),
    };
    let words = || Ok((Dimensions::of(row)?, text(row, "cost_type")?, text(row, "token_type")?));
    let (dimensions, cost_type, token_type) = match words() {
        Ok(words) => words,
        Err(reason) => return out(Line::Quarantined(place.aside(reason, Some(cost.amount)))),
    };
    out(Line::Charge(Charge {
        meter: cost_meter(cost_type, token_type),
        cost: Some(cost.amount),
        residue: cost.residue,
        ..dimensions.on(place.charge())
    }))
}

/// Only US dollars are documented. Amounts are in the currency's lowest unit, and which part of the
/// currency that is would be a guess for any other. `path` names the field in the reason.
pub(super) fn check_currency(value: &Value, path: &str, place: Place) -> Result<(), Quarantined> {
    let currency = fields::text(value, "currency").and_then(|code| Currency::parse(code).ok());
    if currency == Some(Currency::USD) {
        return Ok(());
    }
    let reason = format!("{path}: expected \"USD\", found {}", fields::found(value.get("currency")));
    Err(Quarantined { currency, ..place.aside(reason, None) })
}
