//! What OpenAI billed: cost pages of the API and the console's cost export, in all its header forms.

use super::super::BadPage;
use super::super::fields::{self, Table};
use super::buckets::{self, Bucket, CsvRow};
use super::line_item;
use super::usage::dimension;
use crate::domain::money::{Amount, Currency, MONEY_LIMIT, NumberError, Read};
use crate::domain::usage::{Charge, ChargeCategory, Line, Quarantined};
use chrono::{DateTime, Utc};
use serde_json::Value;

pub const OBJECT: &str = "organization.costs.result";

/// What rows can be grouped by. The organization is no dimension: every row of an export names it.
const DIMENSIONS: [&str; 6] = ["line_item", "project_id", "project_name", "api_key_id", "user_id", "user_email"];

/// Whether any row of a page has a dimension.
pub fn any_grouped(page: &Value) -> bool {
    buckets::results(page).any(|row| DIMENSIONS.iter().any(|name| fields::text(row, name).is_some_and(|text| !text.is_empty())))
}

/// Whether an export has amounts and not one dimension with them: the account's total of each day.
///
/// # Errors
/// The file is not CSV.
pub fn only_totals(table: &mut Table<'_>) -> Result<bool, BadPage> {
    let (mut amounts, mut grouped) = (false, false);
    table.for_each(|row, _| {
        amounts |= row.text("amount_value").is_some();
        grouped |= DIMENSIONS.iter().any(|name| row.text(name).is_some());
    })?;
    Ok(amounts && !grouped)
}

/// What is wrong with a row.
enum Fault {
    Row(String),
    /// An amount that no honest export has: nothing else on the page can be trusted either.
    Page(String),
}

/// A row as either form has it.
struct Cost<'a> {
    row: u32,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    line_item: Option<&'a str>,
    project: Option<&'a str>,
    key: Option<&'a str>,
    label: Option<&'a str>,
    unit: Option<&'a str>,
}

/// Hands on the rows of a page.
///
/// # Errors
/// An amount that is not a finite number.
pub fn json(buckets: &[Bucket<'_>], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut row = 0;
    for (index, bucket) in buckets.iter().enumerate() {
        for (place, value) in bucket.results.iter().enumerate() {
            row += 1;
            let amount = match json_amount(value) {
                Err(Fault::Page(what)) => return Err(refused(&format!("data[{index}].results[{place}]."), &what)),
                Err(Fault::Row(reason)) => Err(reason),
                Ok(amount) => Ok(amount),
            };
            let currency = currency("amount.currency", value.get("amount").and_then(|amount| fields::text(amount, "currency")));
            let line = json_dimensions(value, row, bucket).and_then(|cost| {
                let (amount, currency) = (amount.clone()?, currency.clone()?);
                charge(&cost, amount, currency, fields::quantity(value, "quantity")?)
            });
            let amount = amount.ok().map(|read| read.amount);
            out(line.map_or_else(|reason| set_aside(row, bucket.start, reason, amount, currency.ok()), Line::Charge));
        }
    }
    Ok(())
}

fn json_dimensions<'v>(value: &'v Value, row: u32, bucket: &Bucket<'_>) -> Result<Cost<'v>, String> {
    if fields::text(value, "object") != Some(OBJECT) {
        return Err(format!("object: expected {OBJECT:?}, found {}", fields::found(value.get("object"))));
    }
    Ok(Cost {
        row,
        start: bucket.start,
        end: bucket.end,
        line_item: dimension(value, "line_item")?,
        project: dimension(value, "project_id")?,
        key: dimension(value, "api_key_id")?,
        label: dimension(value, "user_id")?.or(dimension(value, "user_email")?),
        unit: dimension(value, "quantity_unit")?,
    })
}

fn json_amount(value: &Value) -> Result<Read, Fault> {
    let found = value.get("amount").and_then(|amount| amount.get("value"));
    match found {
        Some(Value::Number(number)) => amount("amount.value", number.as_str()),
        Some(Value::String(text)) => amount("amount.value", text),
        other => Err(Fault::Row(format!("amount.value: expected a number, found {}", fields::found(other)))),
    }
}

/// Hands on one row of an export.
///
/// # Errors
/// An amount that is not a finite number.
pub fn csv_row(row: &CsvRow<'_, '_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let text = |column: &str| row.fields.text(column);
    let amount = match amount("amount_value", text("amount_value").unwrap_or_default()) {
        Err(Fault::Page(what)) => return Err(refused(&format!("row {}: ", row.number), &what)),
        Err(Fault::Row(reason)) => Err(reason),
        Ok(amount) => Ok(amount),
    };
    let currency = currency("amount_currency", text("amount_currency"));
    let cost = Cost {
        row: row.number,
        start: row.start,
        end: row.end,
        line_item: text("line_item"),
        project: text("project_id").or(text("project_name")),
        key: text("api_key_id"),
        label: text("user_id").or(text("user_email")),
        unit: text("quantity_unit"),
    };
    let line = amount.clone().and_then(|amount| charge(&cost, amount, currency.clone()?, row.fields.quantity("quantity")?));
    let amount = amount.ok().map(|read| read.amount);
    out(line.map_or_else(|reason| set_aside(row.number, row.start, reason, amount, currency.ok()), Line::Charge));
    Ok(())
}

fn refused(place: &str, what: &str) -> BadPage {
    BadPage::new(format!("{place}{what}"), "fetch the page again; if it stays, ask OpenAI: no amount of this page is used")
}

fn set_aside<'a>(row: u32, start: DateTime<Utc>, reason: String, amount: Option<Amount>, currency: Option<Currency>) -> Line<'a> {
    Line::Quarantined(Quarantined { row, day: Some(start.date_naive()), reason, amount, currency })
}

fn amount(place: &str, digits: &str) -> Result<Read, Fault> {
    match Amount::read(digits) {
        Ok(read) if read.amount.abs() < MONEY_LIMIT => Ok(read),
        Ok(_) => Err(Fault::Page(format!("{place}: {digits:?} is too large to be true"))),
        Err(error @ (NumberError::Empty | NumberError::TooManyDigits(_))) => Err(Fault::Row(format!("{place}: {error}"))),
        Err(error) => Err(Fault::Page(format!("{place}: {error}"))),
    }
}

fn currency(place: &str, code: Option<&str>) -> Result<Currency, String> {
    let code = code.ok_or_else(|| format!("{place}: expected a currency code, found nothing"))?;
    Currency::parse(code).map_err(|error| format!("{place}: {error}"))
}

/// The charge of a row. Below zero it is an adjustment: whether OpenAI writes credits as cost rows is
/// not documented, so they are allowed and kept apart from usage.
fn charge<'a>(cost: &Cost<'a>, amount: Read, currency: Currency, quantity: Option<Amount>) -> Result<Charge<'a>, String> {
    let mut charge = Charge::new(cost.row, cost.start, cost.end, currency);
    charge.cost = Some(amount.amount);
    charge.residue = amount.residue;
    charge.sub_account = cost.project;
    charge.api_key_id = cost.key;
    charge.label = cost.label;
    charge.sku = cost.line_item;
    if amount.amount.is_negative() {
        charge.category = ChargeCategory::Adjustment;
    } else if let Some(quantity) = quantity.filter(|quantity| quantity.is_negative()) {
        return Err(format!("quantity: expected 0 or more beside an amount of 0 or more, found {quantity}"));
    }
    let item = cost.line_item.map(line_item::read).unwrap_or_default();
    charge.model = item.model;
    // Without a meter a quantity counts we know not what; it stays on the page.
    if let Some(meter) = item.meter {
        let (meter, factor) = line_item::counted(meter, cost.unit);
        charge.meter = Some(meter);
        charge.quantity = match quantity.zip(factor) {
            Some((quantity, factor)) => {
                let single = quantity.mul_div(factor, 1);
                Some(single.ok_or_else(|| format!("quantity: {quantity} {} is too large", cost.unit.unwrap_or_default()))?)
            }
            None => None,
        };
    }
    Ok(charge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::from_unix;

    fn read(line_item: &str, value: &str, quantity: &str, unit: Option<&str>) -> Result<(String, String, String), String> {
        let start = from_unix(1_793_491_200).unwrap();
        let cost = Cost { row: 1, start, end: start, line_item: Some(line_item), project: None, key: None, label: None, unit };
        let amount = Amount::read(value).unwrap();
        let charge = charge(&cost, amount, Currency::USD, Some(Amount::parse(quantity).unwrap()))?;
        let quantity = charge.quantity.map(|quantity| quantity.to_string()).unwrap_or_default();
        Ok((charge.cost.unwrap().to_string(), charge.meter.unwrap_or_default().to_string(), quantity))
    }

    #[test]
    fn amounts_with_up_to_thirty_places_are_exact() {
        for (text, expected) in [
            ("41.283750000000000000000000", "41.28375"),
            ("0.003835980000000000000000000000", "0.00383598"),
            ("0.8958740000000000", "0.895874"),
            ("4.2E-5", "0.000042"),
        ] {
            let Ok(read) = amount("amount.value", text) else { panic!("{text}") };
            assert_eq!((read.amount.to_string().as_str(), read.residue), (expected, 0));
        }
    }

    #[test]
    fn what_is_no_finite_amount_refuses_the_page() {
        for text in ["NaN", "Infinity", "-Infinity", "1e309", "12,50", "1000000000000"] {
            assert!(matches!(amount("amount.value", text), Err(Fault::Page(_))), "{text}");
        }
        assert!(matches!(amount("amount.value", ""), Err(Fault::Row(_))));
        assert!(matches!(amount("amount.value", "0.12345678901234567890123456789"), Err(Fault::Row(_))));
    }

    #[test]
    fn quantities_become_single_units() {
        let expect = |cost: &str, meter: &str, quantity: &str| Ok((cost.into(), meter.into(), quantity.into()));
        assert_eq!(read("gpt-4o, input", "0.5", "2.5", Some("1000_tokens")), expect("0.5", "input_tokens", "2500"));
        assert_eq!(read("gpt-live-1, voice session", "1", "1.5", Some("duration_minutes")), expect("1", "audio_seconds", "90"));
        assert_eq!(read("gpt-4o, input", "0.5", "2.5", Some("reams")), expect("0.5", "input_tokens", ""));
        assert_eq!(read("Text tokens", "0.5", "2", Some("tokens")), expect("0.5", "", ""));
        assert_eq!(read("gpt-4o, input", "-0.5", "-2", Some("tokens")), expect("-0.5", "input_tokens", "-2"));
        assert!(read("gpt-4o, input", "0.5", "-2", Some("tokens")).unwrap_err().starts_with("quantity: "));
    }
}
