//! `GET /v1/history`: one row for each generation, newest first, with the credit counter before and after
//! it. No money, and no key. The text that was spoken is never read.

use super::figures::{self, Epoch, set_aside};
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, meter};
use chrono::NaiveDate;
use serde_json::Value;

const FROM: &str = "character_count_change_from";
const TO: &str = "character_count_change_to";

/// Reads a page.
///
/// # Errors
/// More is announced without saying where.
pub(super) fn read(page: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    whole(page)?;
    let mut ends: Option<(NaiveDate, NaiveDate)> = None;
    for (number, row) in (1..).zip(fields::array(page, "history")?) {
        let day = figures::instant("date_unix", row.get("date_unix"), Epoch::Seconds).ok().map(|at| at.date_naive());
        if let Some(day) = day {
            ends = Some(ends.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
        }
        if let Err(reason) = line(number, row, out) {
            set_aside(number, day, reason, out);
        }
    }
    if let Some((from, to)) = ends.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
        out(Line::Covers(Days { from, to }));
    }
    Ok(())
}

fn whole(page: &Value) -> Result<(), BadPage> {
    let cursor = page.get("last_history_item_id");
    match page.get("has_more") {
        Some(Value::Bool(true)) if cursor.and_then(Value::as_str).is_none_or(str::is_empty) => Err(BadPage::new(
            format!("last_history_item_id: expected a cursor, because has_more is true, found {}", fields::found(cursor)),
            "fetch the page again: what follows it cannot be fetched",
        )),
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        other => Err(BadPage::new(
            format!("has_more: expected true or false, found {}", fields::found(other)),
            "save the page again as it came",
        )),
    }
}

fn line(number: u32, row: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    let at = figures::instant("date_unix", row.get("date_unix"), Epoch::Seconds)?;
    let counter = |name: &str| {
        let found = figures::quantity(name, row.get(name))?;
        found.ok_or_else(|| format!("{name}: expected a number, found {}", fields::found(row.get(name))))
    };
    let (from, to) = (counter(FROM)?, counter(TO)?);
    // The counter goes back at the monthly reset and in a few known samples; nobody is paid back by it.
    let credits = to.checked_sub(from).filter(|credits| !credits.is_negative());
    let credits = credits.ok_or_else(|| format!("{TO}: expected at least {FROM} {from}, found {to}"))?;
    let name = |key: &str| figures::name(key, row.get(key));
    let (request_id, model, sku) = (name("request_id")?, name("model_id")?, name("source")?);
    if credits == Amount::ZERO {
        out(Line::Nothing { row: number, day: at.date_naive() });
        return Ok(());
    }
    out(Line::Charge(Charge {
        model,
        sku,
        meter: Some(meter::PROVIDER_CREDITS),
        quantity: Some(credits),
        requests: Some(1),
        request_id,
        ..Charge::new(number, at, at, Currency::USD)
    }));
    Ok(())
}
