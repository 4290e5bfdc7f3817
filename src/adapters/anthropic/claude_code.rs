//! The Claude Code report: estimated cost by day, person and model. It overlaps the cost report and
//! must never be added to it.

use super::buckets::Place;
use super::cost::check_currency;
use super::fields;
use super::numbers::{cents, count_at};
use super::words::{self, CACHE_WRITE_TOKENS, text};
use crate::domain::money::{Amount, Read};
use crate::domain::period::{Days, parse_instant};
use crate::domain::usage::{Charge, CostBasis, Line, Quarantined, meter};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde_json::Value;
use std::collections::BTreeSet;

/// An entry of this report's `data`.
pub(super) fn is_entry(entry: &Value) -> bool {
    entry.get("actor").is_some() || entry.get("model_breakdown").is_some()
}

/// What an entry says of one model.
struct OfModel<'v> {
    model: Option<&'v str>,
    cost: Read,
    counts: [(&'static str, Amount); 4],
}

/// Hands on every entry: for each of its models one charge with the estimate and one for each kind of
/// token. An entry with an unreadable model is set aside whole.
pub(super) fn read(data: &[Value], out: &mut dyn FnMut(Line<'_>)) {
    let mut days: BTreeSet<NaiveDate> = BTreeSet::new();
    for (row, entry) in (1..).zip(data) {
        let Some((start, end)) = fields::text(entry, "date").and_then(day) else {
            let reason = format!("date: expected a day, found {}", fields::found(entry.get("date")));
            out(Line::Quarantined(Quarantined { row, day: None, reason, amount: None, currency: None }));
            continue;
        };
        let place = Place { row, start, end };
        days.insert(place.day());
        one(entry, place, out);
    }
    for from in days {
        let Some(to) = from.succ_opt() else { continue };
        out(Line::Covers(Days { from, to }));
    }
}

/// The UTC day that the entry is of.
fn day(text: &str) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let start = parse_instant(text)?;
    Some((start, start.checked_add_signed(Duration::days(1))?))
}

fn one(entry: &Value, place: Place, out: &mut dyn FnMut(Line<'_>)) {
    let said = models(entry, place).and_then(|models| {
        let who = who(entry).map_err(|reason| place.aside(reason, None))?;
        Ok((models, who, sku(entry).map_err(|reason| place.aside(reason, None))?))
    });
    let (models, (api_key_id, label), sku) = match said {
        Ok(said) => said,
        Err(aside) => return out(Line::Quarantined(aside)),
    };
    if models.is_empty() {
        return out(place.nothing());
    }
    for OfModel { model, cost, counts } in models {
        let charge = Charge { api_key_id, label, model, sku: sku.as_deref(), basis: CostBasis::Estimated, ..place.charge() };
        out(Line::Charge(Charge { cost: Some(cost.amount), residue: cost.residue, ..charge.clone() }));
        for (meter, quantity) in counts.into_iter().filter(|(_, quantity)| !quantity.is_zero()) {
            out(Line::Charge(Charge { meter: Some(meter), quantity: Some(quantity), ..charge.clone() }));
        }
    }
}

fn models<'v>(entry: &'v Value, place: Place) -> Result<Vec<OfModel<'v>>, Quarantined> {
    let breakdown = match entry.get("model_breakdown") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(breakdown)) => breakdown,
        other => {
            let reason = format!("model_breakdown: expected a list, found {}", fields::found(other));
            return Err(place.aside(reason, None));
        }
    };
    let of_model = |(index, said): (usize, &'v Value)| {
        let named = |fault: String| format!("model_breakdown[{index}].{fault}");
        let estimate = said.get("estimated_cost").unwrap_or(&Value::Null);
        check_currency(estimate, &named("estimated_cost.currency".to_string()), place)?;
        let cost =
            cents(estimate, "amount").map_err(|bad| place.aside(named(format!("estimated_cost.{}", bad.reason)), bad.amount))?;
        let words = || Ok((text(said, "model")?, counts(said)?));
        let (model, counts) = words().map_err(|fault| place.aside(named(fault), Some(cost.amount)))?;
        Ok(OfModel { model, cost, counts })
    };
    breakdown.iter().enumerate().map(of_model).collect()
}

fn counts(said: &Value) -> Result<[(&'static str, Amount); 4], String> {
    let tokens = said.get("tokens").unwrap_or(&Value::Null);
    let of = |key: &str| count_at(tokens, key).map_err(|fault| format!("tokens.{fault}"));
    Ok([
        (meter::INPUT_TOKENS, of("input")?),
        (meter::CACHE_READ_TOKENS, of("cache_read")?),
        (CACHE_WRITE_TOKENS, of("cache_creation")?),
        (meter::OUTPUT_TOKENS, of("output")?),
    ])
}

/// Key name and label. A person's address is kept because it is the only label that such a row has.
fn who(entry: &Value) -> Result<(Option<&str>, Option<&str>), String> {
    let actor = entry.get("actor").unwrap_or(&Value::Null);
    let of = |key: &str| text(actor, key).map_err(|fault| format!("actor.{fault}"));
    Ok((of("api_key_name")?, of("email_address")?))
}

/// Who pays and from where: `subscription, vscode`.
fn sku(entry: &Value) -> Result<Option<String>, String> {
    Ok(words::sku(&[text(entry, "customer_type")?, text(entry, "subscription_type")?, text(entry, "terminal_type")?]))
}
