//! Workspace analytics: one row for each bucket and group, with credits, minutes, calls and money. Money
//! that is null is unknown and not zero; what it was for is handed on as quantities.

use super::columns::Columns;
use super::figures::{self, Label};
use super::grid::Grid;
use super::table::Table;
use crate::adapters::{BadPage, fields};
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use chrono::NaiveDate;
use serde_json::Value;

/// Products billed by time (the provider's sheet, section 4). The minutes of the others are how long the
/// audio came out, which nobody pays for.
const BY_TIME: [&str; 4] = ["STT", "Music", "Dubbing", "Conversational AI"];

/// Why a row is set aside, with its money where that could be read.
struct Fault {
    reason: String,
    amount: Option<Amount>,
    currency: Option<Currency>,
}

impl From<String> for Fault {
    fn from(reason: String) -> Fault {
        Fault { reason, amount: None, currency: None }
    }
}

/// Reads a table.
///
/// # Errors
/// Buckets that are no part of one UTC day.
pub(super) fn read(
    table: &Table<'_>,
    columns: &Columns,
    group_by: &[String],
    out: &mut dyn FnMut(Line<'_>),
) -> Result<(), BadPage> {
    let label = |row| {
        let (name, cell) = table.cell(row, Some(columns.time));
        table.fits(row).and_then(|()| figures::label(name, cell, columns.epoch))
    };
    let labels: Vec<Result<Label, String>> = table.rows.iter().map(label).collect();
    let readable: Vec<Label> = labels.iter().filter_map(|label| label.as_ref().ok()).copied().collect();
    let grid = Grid::of(group_by, &readable)?;
    for ((number, row), label) in (1..).zip(table.rows).zip(labels) {
        let day = label.as_ref().ok().map(|label| label.at.date_naive());
        if let Err(fault) = line(number, row, label, grid, (table, columns), out) {
            let Fault { reason, amount, currency } = fault;
            out(Line::Quarantined(Quarantined { row: number, day, reason, amount, currency }));
        }
    }
    grid.cover(&readable, out);
    Ok(())
}

fn line(
    number: u32,
    row: &Value,
    label: Result<Label, String>,
    grid: Grid,
    (table, columns): (&Table<'_>, &Columns),
    out: &mut dyn FnMut(Line<'_>),
) -> Result<(), Fault> {
    table.fits(row)?;
    let (cost, currency) = money(row, table, columns)?;
    // What is wrong elsewhere in the row does not hide how much money it is about.
    let aside = |reason: String| Fault { reason, amount: cost.map(|cost| cost.amount), currency: cost.map(|_| currency) };
    let (start, end) = grid.bucket(label.map_err(aside)?.at);
    let name = |at: Option<usize>| {
        let (field, cell) = table.cell(row, at);
        figures::name(field, cell).map_err(aside)
    };
    let (product, key) = (name(columns.product)?, name(columns.key)?);
    // Products without models are named by themselves, where the answer tells models apart at all.
    let model = name(columns.model)?.or(product.filter(|_| columns.model.is_some()));
    // A person is named only where no key is.
    let user = name(columns.user)?.filter(|_| key.is_none());
    let shared = Charge {
        sub_account: name(columns.workspace)?,
        api_key_id: key,
        label: name(columns.billing_group)?.or(user),
        model,
        sku: product,
        request_id: name(columns.request)?,
        ..Charge::new(number, start, end, currency)
    };
    let figures = figures_of(row, table, columns, by_time(product, model)).map_err(aside)?;
    hand_on(&shared, cost, &figures, start.date_naive(), out);
    Ok(())
}

/// The row's money and its currency: the unit of the column, or what the row itself says.
fn money(row: &Value, table: &Table<'_>, columns: &Columns) -> Result<(Option<Read>, Currency), Fault> {
    let (field, cell) = table.cell(row, columns.cost);
    let (row_field, row_cell) = table.cell(row, columns.row_currency);
    let said = figures::name(row_field, row_cell)
        .and_then(|code| code.map(|code| Currency::parse(code).map_err(|error| format!("{row_field}: {error}"))).transpose());
    let known = columns.currency.or(said.as_ref().ok().copied().flatten());
    let cost = figures::money(field, cell).map_err(|(reason, amount)| Fault { reason, amount, currency: amount.and(known) })?;
    let Some(read) = cost else { return Ok((None, known.unwrap_or(Currency::USD))) };
    let aside = |reason: String| Fault { reason, amount: Some(read.amount), currency: None };
    match (columns.currency, said.map_err(aside)?) {
        (Some(unit), Some(said)) if unit != said => {
            Err(aside(format!("{row_field}: expected {unit} as {field} is in, found {said}")))
        }
        (Some(currency), _) | (None, Some(currency)) => Ok((cost, currency)),
        // The zeros that fill empty buckets are zero in every currency.
        (None, None) if read.amount.is_zero() => Ok((cost, Currency::USD)),
        (None, None) => {
            let unit = columns.cost.and_then(|at| table.column(at).1).unwrap_or("nothing");
            Err(aside(format!("{field}: expected a currency as its unit, found {unit}")))
        }
    }
}

/// What a row counts.
struct Figures {
    /// Of products that are billed by time.
    seconds: Option<Amount>,
    credits: Option<Amount>,
    uses: Option<u64>,
}

fn figures_of(row: &Value, table: &Table<'_>, columns: &Columns, by_time: bool) -> Result<Figures, String> {
    let quantity = |at: Option<usize>| {
        let (field, cell) = table.cell(row, at);
        figures::quantity(field, cell)
    };
    let credits = quantity(columns.credits)?.filter(|credits| !credits.is_zero());
    let time = quantity(columns.duration.map(|duration| duration.at))?;
    let seconds = match (time, columns.duration) {
        (Some(time), Some(duration)) => {
            let (field, cell) = table.cell(row, Some(duration.at));
            let seconds = figures::scaled(time, duration.numerator, duration.denominator);
            Some(seconds.ok_or_else(|| format!("{field}: {} is too large to be true", fields::found(cell)))?)
        }
        _ => None,
    };
    let (field, cell) = table.cell(row, columns.uses);
    let uses = figures::count(field, cell)?;
    Ok(Figures { seconds: seconds.filter(|seconds| by_time && !seconds.is_zero()), credits, uses })
}

/// Without its product a row is known by its model.
fn by_time(product: Option<&str>, model: Option<&str>) -> bool {
    match product {
        Some(product) => BY_TIME.iter().any(|name| name.eq_ignore_ascii_case(product)),
        None => model.is_some_and(|model| model.starts_with("scribe_")),
    }
}

/// Hands on a row: the money with what it is charged by, time where that is known and else calls, and the
/// other quantities without money. The credits of a row are coarse and only ever a quantity.
fn hand_on(shared: &Charge<'_>, cost: Option<Read>, figures: &Figures, day: NaiveDate, out: &mut dyn FnMut(Line<'_>)) {
    let Figures { seconds, credits, uses } = figures;
    let calls = uses.filter(|uses| *uses > 0);
    let is_nothing = seconds.is_none() && credits.is_none() && calls.is_none();
    if is_nothing && cost.is_none_or(|cost| cost.amount.is_zero()) {
        return out(Line::Nothing { row: shared.row, day });
    }
    let quantity = uses.and_then(|uses| i64::try_from(uses).ok()).map(Amount::whole);
    let calls = (meter::REQUESTS, quantity);
    let mut measured: Vec<(&str, Option<Amount>)> = Vec::with_capacity(3);
    measured.extend(seconds.map(|seconds| (meter::AUDIO_SECONDS, Some(seconds))));
    if (cost.is_some() || credits.is_none()) && measured.is_empty() {
        measured.push(calls);
    }
    measured.extend(credits.map(|credits| (meter::PROVIDER_CREDITS, Some(credits))));
    for (place, (meter, quantity)) in measured.into_iter().enumerate() {
        let first = place == 0;
        let cost = cost.filter(|_| first);
        out(Line::Charge(Charge {
            meter: Some(meter),
            quantity,
            requests: uses.filter(|_| first),
            cost: cost.map(|cost| cost.amount),
            residue: cost.map_or(0, |cost| cost.residue),
            ..shared.clone()
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_products_are_billed_by_time() {
        for (product, model, expected) in [
            (Some("STT"), None, true),
            (Some("stt"), Some("scribe_v2"), true),
            (Some("Conversational AI"), None, true),
            (Some("Conversational AI - LLM"), None, false),
            (Some("TTS"), Some("eleven_v3"), false),
            (None, Some("scribe_v1"), true),
            (None, Some("eleven_v3"), false),
            (None, None, false),
        ] {
            assert_eq!(by_time(product, model), expected, "{product:?} {model:?}");
        }
    }

    /// The row of the provider's sheet, section 1.1: 219 credits, 2.44 minutes, 0.079716 dollars, 3 uses.
    #[test]
    fn a_row_of_time_bears_its_money_by_seconds() {
        let page = serde_json::json!({
            "columns": ["timestamp", "product_type", "total_usage", "total_minutes", "total_cost", "usage_count"],
            "column_units": [null, null, "credits", "min", "usd", null],
            "rows": [["2026-04-23T00:00:00Z", "Conversational AI", 219, 2.44, 0.079716, 3]]
        });
        let table = Table::of(&page).unwrap().unwrap();
        let mut found = Vec::new();
        read(&table, &Columns::of(&table).unwrap(), &[], &mut |line| {
            if let Line::Charge(charge) = line {
                found.push((charge.meter.unwrap().to_string(), charge.quantity.unwrap(), charge.cost, charge.requests));
            }
        })
        .unwrap();
        let amount = |text: &str| Amount::parse(text).unwrap();
        assert_eq!(
            found,
            [
                ("audio_seconds".to_string(), amount("146.4"), Some(amount("0.079716")), Some(3)),
                ("provider_credits".to_string(), amount("219"), None, None),
            ]
        );
    }
}
