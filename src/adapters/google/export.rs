//! Rows of the billing export: newline-delimited JSON, the same rows as a JSON list, or answers of the REST
//! API. A row's cost stands before its credits, so each credit is a charge of its own beside it.

use super::super::fields::{self, found};
use super::super::{BadPage, Page};
use super::{money, not_negative, rest, sku, text_of};
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::period::{Days, parse_instant};
use crate::domain::usage::{Charge, ChargeCategory, Line, Precision, Quarantined};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde_json::{Deserializer, Value};

const HINT: &str = "save the rows of the billing export as newline-delimited JSON, with nested columns as they are";
/// Columns of which a row of the export has several.
const MARKS: [&str; 6] = ["billing_account_id", "usage_start_time", "sku", "cost", "cost_type", "invoice"];

/// Costs are binary floats at Google, and exact sums are defined over them as NUMERIC, which has nine
/// decimals (Google sheet section 2): what lies beyond is noise of the float.
const PRECISION: Precision = Precision::Rounded(9);

/// Whether the page is an export. Only its beginning is read; the name decides where there is no row.
pub(super) fn is_export(page: &Page<'_>) -> bool {
    let bytes = text_of(page.bytes);
    let in_list = bytes.strip_prefix(b"[").map(|rest| rest.trim_ascii_start());
    if in_list.is_some_and(|rest| rest.starts_with(b"]")) {
        return page.file.contains("billing_export");
    }
    match Deserializer::from_slice(in_list.unwrap_or(bytes)).into_iter::<Value>().next() {
        Some(Ok(value)) if rest::is_answer(&value) => rest::is_export(&value),
        Some(Ok(value)) => is_row(&value),
        // An answer that is cut short still has its schema, which stands before the rows.
        _ => [&b"\"schema\""[..], b"\"usage_start_time\""].iter().all(|key| bytes.windows(key.len()).any(|part| part == *key)),
    }
}

fn is_row(value: &Value) -> bool {
    MARKS.iter().filter(|mark| value.get(mark).is_some()).count() > 1
}

/// Hands on the rows of a page. It speaks for the days from its first to its last row of usage: taxes and
/// corrections are dated to days that it need not hold otherwise.
///
/// # Errors
/// Not JSON, cut short, or no rows of the export.
pub(super) fn read(bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let mut rows = Rows { number: 0, span: None, out };
    for value in Deserializer::from_slice(text_of(bytes)).into_iter::<Value>() {
        let value = value.map_err(|error| {
            let after = if rows.number == 0 { String::new() } else { format!("after row {}: ", rows.number) };
            let (line, column) = (error.line(), error.column());
            let reason = error.to_string();
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let what = format!("{after}line {line}, column {column}: not valid JSON: {reason}");
            BadPage::new(what, "export the rows again: the file is cut short or was edited")
        })?;
        match value {
            Value::Array(list) => {
                rows.refuse_foreign(list.first())?;
                list.iter().for_each(|value| rows.row(value));
            }
            answer if rest::is_answer(&answer) => rest::for_each_row(&answer, &mut |row| match row {
                Ok(row) => rows.row(&row),
                Err(reason) => rows.unread(reason),
            })?,
            row => {
                rows.refuse_foreign(Some(&row))?;
                rows.row(&row);
            }
        }
    }
    if let Some((from, to)) = rows.span.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
        out(Line::Covers(Days { from, to }));
    }
    Ok(())
}

struct Rows<'o> {
    number: u32,
    span: Option<(NaiveDate, NaiveDate)>,
    out: &'o mut dyn FnMut(Line<'_>),
}

impl Rows<'_> {
    /// A page whose first row is no row of the export is another page.
    fn refuse_foreign(&self, first: Option<&Value>) -> Result<(), BadPage> {
        match first {
            Some(first) if self.number == 0 && !is_row(first) => {
                let keys = first.as_object().map(|row| row.keys().take(4).cloned().collect::<Vec<_>>().join(", "));
                let keys = keys.map_or_else(|| found(Some(first)), |keys| format!("an object with {keys:?}"));
                Err(BadPage::new(format!("expected rows with usage_start_time, sku and cost, found {keys}"), HINT))
            }
            _ => Ok(()),
        }
    }

    fn unread(&mut self, reason: String) {
        self.number += 1;
        (self.out)(Line::Quarantined(Quarantined { row: self.number, day: None, reason, amount: None, currency: None }));
    }

    fn row(&mut self, value: &Value) {
        self.number += 1;
        let row = self.number;
        match Row::of(value) {
            Ok(read) => {
                if read.category == ChargeCategory::Usage {
                    let day = read.start.date_naive();
                    self.span = Some(self.span.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
                }
                read.hand_on(row, self.out);
            }
            Err(reason) => {
                let day = time(value, "usage_start_time").ok().map(|at| at.date_naive());
                let cost = fields::number(value, "cost").ok().flatten();
                let amount = cost.and_then(|cost| money("cost", cost).ok()).map(|cost| cost.amount);
                let currency = fields::text(value, "currency").and_then(|code| Currency::parse(code).ok());
                (self.out)(Line::Quarantined(Quarantined { row, day, reason, amount, currency }));
            }
        }
    }
}

/// What a row says, checked.
struct Row<'v> {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
    account: Option<&'v str>,
    project: Option<&'v str>,
    team: Option<&'v str>,
    words: Option<&'v str>,
    item: sku::Item,
    quantity: Option<Amount>,
    cost: Read,
    list_cost: Option<Amount>,
    currency: Currency,
    category: ChargeCategory,
    credits: Vec<(Read, String)>,
}

impl<'v> Row<'v> {
    fn of(value: &'v Value) -> Result<Row<'v>, String> {
        if !value.is_object() {
            return Err(format!("expected a row object, found {}", found(Some(value))));
        }
        let (start, end) = (time(value, "usage_start_time")?, time(value, "usage_end_time")?);
        if end < start {
            return Err(format!("usage_end_time: expected {} or later, found {}", start.format("%FT%TZ"), end.format("%FT%TZ")));
        }
        let currency = word(value, "", "currency")?.ok_or("currency: expected a currency code, found nothing")?;
        let currency = Currency::parse(currency).map_err(|error| format!("currency: {error}"))?;
        let cost = money("cost", fields::number(value, "cost")?.ok_or("cost: expected a number, found nothing")?)?;
        let category = category(value)?;
        let is_correction = category == ChargeCategory::Adjustment;
        if !is_correction {
            not_negative("cost", cost.amount)?;
        }
        let list_cost = fields::number(value, "cost_at_list")?.map(|read| money("cost_at_list", read)).transpose()?;
        let (service, sku, project) = (part(value, "service")?, part(value, "sku")?, part(value, "project")?);
        let words = match word(sku, "sku.", "description")? {
            None => word(sku, "sku.", "id")?,
            words => words,
        };
        let is_read = sku::is_read(word(service, "service.", "id")?, word(service, "service.", "description")?);
        let item = words.filter(|_| is_read).map(sku::read).unwrap_or_default();
        let project = match word(project, "project.", "id")? {
            None => word(project, "project.", "number")?,
            id => id,
        };
        Ok(Row {
            quantity: quantity(part(value, "usage")?, item.meter, is_correction)?,
            start,
            end,
            account: word(value, "", "billing_account_id")?,
            project,
            team: team(value)?,
            words,
            item,
            cost,
            list_cost: list_cost.map(|read| read.amount),
            currency,
            category,
            credits: credits(value, is_correction)?,
        })
    }

    /// The charge of the cost, and one for each credit.
    fn hand_on(&self, row: u32, out: &mut dyn FnMut(Line<'_>)) {
        let shared = Charge {
            account: self.account,
            sub_account: self.project,
            label: self.team,
            model: self.item.model.as_deref(),
            service_tier: self.item.tier,
            batch: self.item.batch,
            precision: PRECISION,
            ..Charge::new(row, self.start, self.end, self.currency)
        };
        out(Line::Charge(Charge {
            sku: self.words,
            meter: self.item.meter,
            quantity: self.quantity,
            cost: Some(self.cost.amount),
            residue: self.cost.residue,
            list_cost: self.list_cost,
            category: self.category,
            ..shared.clone()
        }));
        for (amount, words) in &self.credits {
            out(Line::Charge(Charge {
                sku: Some(words),
                cost: Some(amount.amount),
                residue: amount.residue,
                category: ChargeCategory::Credit,
                ..shared.clone()
            }));
        }
    }
}

/// A record column; null where absent.
fn part<'v>(row: &'v Value, key: &str) -> Result<&'v Value, String> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(&Value::Null),
        Some(record @ Value::Object(_)) => Ok(record),
        other => Err(format!("{key}: expected a record, found {}", found(other))),
    }
}

/// A repeated column; empty where absent.
fn list<'v>(row: &'v Value, key: &str) -> Result<&'v [Value], String> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        other => Err(format!("{key}: expected a list, found {}", found(other))),
    }
}

/// A text that says something.
fn word<'v>(value: &'v Value, place: &str, key: &str) -> Result<Option<&'v str>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => Err(format!("{place}{key}: expected a text, found {}", found(other))),
    }
}

/// Corrections arrive as new rows with `adjustment_info`, also those of usage (Google sheet section 5).
fn category(row: &Value) -> Result<ChargeCategory, String> {
    let info = part(row, "adjustment_info")?;
    let is_set = info.as_object().is_some_and(|info| info.values().any(|value| !value.is_null()));
    Ok(match word(row, "", "cost_type")? {
        Some("regular" | "tax") if is_set => ChargeCategory::Adjustment,
        Some("regular") => ChargeCategory::Usage,
        Some("tax") => ChargeCategory::Tax,
        Some("adjustment" | "rounding_error") => ChargeCategory::Adjustment,
        _ => {
            let found = found(row.get("cost_type"));
            return Err(format!("cost_type: expected regular, tax, adjustment or rounding_error, found {found}"));
        }
    })
}

/// What was used, where SKU and unit say what it counts.
fn quantity(usage: &Value, meter: Option<&'static str>, is_correction: bool) -> Result<Option<Amount>, String> {
    let amount = fields::quantity(usage, "amount").map_err(|fault| format!("usage.{fault}"))?;
    let unit = word(usage, "usage.", "unit")?;
    if let Some(amount) = amount.filter(|_| !is_correction) {
        not_negative("usage.amount", amount)?;
    }
    Ok(amount.filter(|_| meter.is_some_and(|meter| sku::counts(meter, unit))))
}

/// The request's label `team`; the other labels are not stored.
fn team(row: &Value) -> Result<Option<&str>, String> {
    for label in list(row, "labels")? {
        if word(label, "labels[].", "key")? == Some("team") {
            return word(label, "labels[].", "value");
        }
    }
    Ok(None)
}

/// The credits that change something, each with its type and name.
fn credits(row: &Value, is_correction: bool) -> Result<Vec<(Read, String)>, String> {
    let mut credits = Vec::new();
    for (index, credit) in list(row, "credits")?.iter().enumerate() {
        let name = |fault: String| format!("credits[{index}].{fault}");
        let amount = fields::number(credit, "amount").map_err(name)?;
        let amount = amount.ok_or_else(|| name(format!("amount: expected a number, found {}", found(credit.get("amount")))))?;
        let amount = money("amount", amount).map_err(name)?;
        if amount.amount > Amount::ZERO && !is_correction {
            return Err(name(format!("amount: expected 0 or less, found {}", amount.amount)));
        }
        let mut names = Vec::new();
        for key in ["full_name", "name", "id"] {
            names.extend(word(credit, "", key).map_err(name)?);
        }
        let words: Vec<&str> = word(credit, "", "type").map_err(name)?.into_iter().chain(names.first().copied()).collect();
        if !amount.amount.is_zero() || amount.residue != 0 {
            credits.push((amount, words.join(": ")));
        }
    }
    Ok(credits)
}

/// An instant of this century: ISO text, or a Unix time in seconds or microseconds as text or number, as
/// REST answers have it. The two cannot be mistaken for each other in any year of this century.
fn time(row: &Value, key: &str) -> Result<DateTime<Utc>, String> {
    let unix = fields::quantity(row, key).ok().flatten().and_then(unix);
    let at = unix.or_else(|| parse_instant(fields::text(row, key)?));
    at.filter(|at| (2000..2100).contains(&at.year()))
        .ok_or_else(|| format!("{key}: expected a time like 2026-11-18 09:00:00 UTC, found {}", found(row.get(key))))
}

fn unix(number: Amount) -> Option<DateTime<Utc>> {
    let seconds = number.abs() < Amount::whole(100_000_000_000);
    let micros = number.atto() / 10i128.pow(if seconds { 12 } else { 18 });
    DateTime::from_timestamp_micros(i64::try_from(micros).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_are_read_in_every_form() {
        let expected = Ok("2026-11-18T09:00:00Z".parse().unwrap());
        for written in [
            json!("2026-11-18 09:00:00 UTC"),
            json!("2026-11-18T09:00:00Z"),
            json!("2026-11-18 09:00:00+00"),
            json!("2026-11-18 09:00:00"),
            json!("1.795006800E9"),
            json!("1.7950068E9"),
            json!("1795006800.0"),
            json!("1795006800000000"),
            json!(1795006800),
            json!(1795006800000000i64),
        ] {
            assert_eq!(time(&json!({ "at": written }), "at"), expected, "{written}");
        }
        for written in [json!("18.11.2026"), json!("0"), json!("-1795006800"), json!("1795006800000"), json!("NaN"), json!(true)]
        {
            assert!(time(&json!({ "at": written }), "at").unwrap_err().starts_with("at: expected a time"), "{written}");
        }
    }

    #[test]
    fn a_record_of_nulls_is_no_correction() {
        let of = |cost_type: &str, info: Value| category(&json!({ "cost_type": cost_type, "adjustment_info": info }));
        let nulls = json!({ "id": null, "description": null, "type": null, "mode": null });
        assert_eq!(of("regular", Value::Null), Ok(ChargeCategory::Usage));
        assert_eq!(of("regular", nulls), Ok(ChargeCategory::Usage));
        assert_eq!(of("regular", json!({ "type": "PRICE_CORRECTION" })), Ok(ChargeCategory::Adjustment));
        assert_eq!(of("tax", Value::Null), Ok(ChargeCategory::Tax));
        assert_eq!(of("adjustment", Value::Null), Ok(ChargeCategory::Adjustment));
        assert_eq!(of("rounding_error", Value::Null), Ok(ChargeCategory::Adjustment));
        assert!(of("Regular", Value::Null).is_err() && category(&json!({})).is_err());
    }
}
