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
        return out(aside);
    }
    let cost = match numbers::cents(row, "amount") {
        Ok(cost) => cost,
        Err(bad) => return out(place.aside(bad.reason, bad.amount)),
    };
    let words = || Ok((Dimensions::of(row)?, text(row, "cost_type")?, text(row, "token_type")?));
    let (dimensions, cost_type, token_type) = match words() {
        Ok(words) => words,
        Err(reason) => return out(place.aside(reason, Some(cost.amount))),
    };
    out(Line::Charge(Charge {
        meter: cost_meter(cost_type, token_type),
        cost: Some(cost.amount),
        residue: cost.residue,
        ..dimensions.on(place.charge())
    }))
}

/// Only US dollars are documented. Amounts are in the currency's lowest unit, and which part of the
/// currency that is would be a guess for any other.
pub(super) fn check_currency<'a>(value: &Value, key: &str, place: Place) -> Result<(), Line<'a>> {
    let currency = fields::text(value, key).and_then(|code| Currency::parse(code).ok());
    if currency == Some(Currency::USD) {
        return Ok(());
    }
    let reason = format!("{key}: expected \"USD\", found {}", fields::found(value.get(key)));
    Err(Line::Quarantined(Quarantined { row: place.row, day: Some(place.day()), reason, amount: None, currency }))
}
