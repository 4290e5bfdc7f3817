//! The CSV in which a person enters the console's or an invoice's figures, one line for each model and
//! UTC day. Its form is this program's own, because the provider has no export (Groq sheet section 0).

use super::super::BadPage;
use super::super::fields::{Row, Table};
use super::figures::{self, Figures, Tokens};
use crate::domain::money::{Currency, MONEY_LIMIT};
use crate::domain::period::{Days, parse_instant};
use crate::domain::usage::{Charge, CostBasis, Line, Precision, Quarantined};
use chrono::NaiveDate;
use std::collections::BTreeSet;

/// What a file needs; `organization`, `project` and `source` may be left out.
const COLUMNS: [&str; 8] =
    ["period_start", "period_end", "model", "requests", "input_tokens", "cached_input_tokens", "output_tokens", "cost_usd"];

/// Reads the file. A list made by hand speaks only for the days that it has rows of: a day that nobody
/// entered is not known to be zero.
///
/// # Errors
/// A column missing, or a file that ends within a row.
pub fn read(bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    if bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        // The reader would take all rows up to the next quote for one field.
        return Err(BadPage::new("a quoted field is never closed", "save the file again: it is cut short"));
    }
    let mut table = Table::new(bytes)?;
    if let Some(missing) = COLUMNS.iter().find(|column| !table.has(column)) {
        return Err(BadPage::new(
            format!("header: expected the column {missing}, found none of that name"),
            format!("a manual import has the columns {}, and may have organization, project and source", COLUMNS.join(", ")),
        ));
    }
    let mut days = BTreeSet::new();
    let mut last_fault = None;
    table.for_each(|row, fault| {
        last_fault = fault.as_ref().map(|fault| format!("row {}: {fault}", row.number));
        let read = match fault {
            // Which field is missing cannot be told, so nothing of the row is read.
            Some(reason) => Err(Quarantined { row: row.number, day: None, reason, amount: None, currency: None }),
            None => one(&row, out).map_err(|reason| set_aside(&row, reason)),
        };
        match read {
            Ok(day) => {
                days.insert(day);
            }
            Err(row) => out(Line::Quarantined(row)),
        }
    })?;
    if let Some(fault) = last_fault.filter(|_| !bytes.ends_with(b"\n")) {
        return Err(BadPage::new(format!("{fault}, and the file ends there"), "save the file again: it is cut short"));
    }
    cover(&days, out);
    Ok(())
}

/// Reads a row; says which day it is of.
fn one(row: &Row<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<NaiveDate, String> {
    let days = period(row)?;
    let count = |column: &str| figures::count(column, row.number(column)?);
    let figures = Figures {
        cost: figures::money("cost_usd", row.number("cost_usd")?)?,
        requests: figures::calls("requests", row.number("requests")?)?,
        tokens: Tokens::split(count("input_tokens")?, count("cached_input_tokens")?, count("output_tokens")?)?,
    };
    let charge = Charge {
        account: row.text("organization"),
        sub_account: row.text("project"),
        model: row.text("model"),
        sku: row.text("source"),
        basis: CostBasis::Manual,
        // The form shows dollars with six decimals.
        precision: Precision::Rounded(6),
        ..Charge::new(row.number, figures::midnight(days.from), figures::midnight(days.to), Currency::USD)
    };
    figures::hand_on(&charge, &figures, out);
    Ok(days.from)
}

/// One UTC day. A longer period has no day that its money belongs to, and the books are by day.
fn period(row: &Row<'_>) -> Result<Days, String> {
    let at = |column: &str| {
        let text = row.text(column).ok_or_else(|| format!("{column}: expected a day like 2026-11-17, found nothing"))?;
        let found = || text.chars().take(40).collect::<String>();
        parse_instant(text).ok_or_else(|| format!("{column}: expected a day like 2026-11-17, found {:?}", found()))
    };
    let (start, end) = (at("period_start")?, at("period_end")?);
    let days = figures::day_from(start)
        .ok_or_else(|| format!("period_start: expected the start of a UTC day, found {}", start.format("%FT%TZ")))?;
    if end != figures::midnight(days.to) {
        let found = end.format("%FT%TZ");
        return Err(format!(
            "period_end: expected {}, because a row is of one UTC day, found {found}: enter each day apart",
            days.to
        ));
    }
    Ok(days)
}

fn set_aside(row: &Row<'_>, reason: String) -> Quarantined {
    let amount = row.quantity("cost_usd").ok().flatten().filter(|amount| amount.abs() < MONEY_LIMIT);
    let day = row.text("period_start").and_then(parse_instant).map(|start| start.date_naive());
    Quarantined { row: row.number, day, reason, amount, currency: amount.map(|_| Currency::USD) }
}

fn cover(days: &BTreeSet<NaiveDate>, out: &mut dyn FnMut(Line<'_>)) {
    let mut open: Option<Days> = None;
    for day in days {
        let Some(to) = day.succ_opt() else { continue };
        match open.as_mut().filter(|open| open.to == *day) {
            Some(open) => open.to = to,
            None => {
                if let Some(done) = open.replace(Days { from: *day, to }) {
                    out(Line::Covers(done));
                }
            }
        }
    }
    if let Some(days) = open {
        out(Line::Covers(days));
    }
}
