//! The console's Cost table: one row for each SKU, project and credit over a month, and at its end what
//! rounding took and a total that repeats all rows.

use super::super::fields::Row;
use super::super::{BadPage, Page};
use super::console::{self, Download, PRECISION, Seen, Span, Used, refuse_cut, repeated, set_aside};
use super::{money, not_negative};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, ChargeCategory, Line};
use chrono::NaiveDate;

const COST: &str = "Unrounded cost";

struct Columns {
    used: Used,
    cost_type: usize,
    start: usize,
    end: usize,
    cost: usize,
    currency: Currency,
    account: Option<usize>,
    credit: Option<usize>,
    /// The day of lines without a date, in a file where no other row has one.
    invoice_date: Option<NaiveDate>,
}

/// Hands on the rows of a cost table.
///
/// # Errors
/// A column that is needed and not there, a currency that cannot be told, a file cut short.
pub(super) fn read(page: &Page<'_>, mut download: Download<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    download.needed("SKU description")?;
    let (cost, currency) = download.money(COST)?;
    let columns = Columns {
        used: Used::of(&download),
        cost_type: download.needed("Cost type")?,
        start: download.needed("Usage start date")?,
        end: download.needed("Usage end date")?,
        cost,
        currency,
        account: download.column("Billing account ID"),
        credit: download.column("Credit type"),
        invoice_date: download.invoice_date,
    };
    let mut seen = Seen::default();
    let mut last_fault = None;
    download.table.for_each(|row, fault| {
        last_fault.clone_from(&fault);
        columns.line(&row, fault, &mut seen, out);
    })?;
    refuse_cut(page.bytes, last_fault)?;
    seen.covers(out);
    Ok(())
}

/// What a row is, by its cost type and its credit type.
enum Meaning<'r> {
    Charge(ChargeCategory),
    Credit(&'r str),
    Rounding,
    Total,
}

impl Columns {
    fn line(&self, row: &Row<'_>, fault: Option<String>, seen: &mut Seen, out: &mut dyn FnMut(Line<'_>)) {
        let undated = seen.0.or(self.invoice_date.map(|day| (day, day)));
        let meaning = self.meaning(row);
        if matches!(meaning, Ok(Meaning::Total)) {
            return out(repeated(row.number, undated.map(|(first, _)| first)));
        }
        if let Some(reason) = fault {
            return out(set_aside(row.number, None, reason, None));
        }
        let days = match meaning {
            Ok(Meaning::Rounding) => undated.ok_or_else(|| "Usage start date: expected a day, found nothing".to_string()),
            _ => self.days(row),
        };
        let cost = console::number(COST, row.at(Some(self.cost)));
        let read = meaning.and_then(|meaning| self.charge(row, meaning, days.clone()?, seen, out));
        if let Err(reason) = read {
            let amount = cost.ok().flatten().and_then(|read| money(COST, read).ok()).map(|read| (read.amount, self.currency));
            out(set_aside(row.number, days.ok().map(|(first, _)| first), reason, amount));
        }
    }

    fn meaning<'r>(&self, row: &'r Row<'_>) -> Result<Meaning<'r>, String> {
        let cost_type = row.at(Some(self.cost_type));
        let is = |words: &str| [cost_type, row.at(Some(0))].iter().flatten().any(|cell| cell.eq_ignore_ascii_case(words));
        // Where the two lines at the end have their name is not documented; neither names a SKU.
        if row.at(self.used.sku).is_none() {
            if is("total") {
                return Ok(Meaning::Total);
            } else if is("rounding error") {
                return Ok(Meaning::Rounding);
            }
        }
        if let Some(credit) = row.at(self.credit) {
            return Ok(Meaning::Credit(credit));
        }
        match cost_type.map(str::to_ascii_lowercase).as_deref() {
            Some("usage" | "regular") => Ok(Meaning::Charge(ChargeCategory::Usage)),
            Some("tax") => Ok(Meaning::Charge(ChargeCategory::Tax)),
            Some("adjustment" | "rounding error" | "rounding_error") => Ok(Meaning::Charge(ChargeCategory::Adjustment)),
            _ => Err(format!(
                "Cost type: expected Usage, Tax, Adjustment, Rounding error or Total, found {:?}",
                cost_type.unwrap_or_default()
            )),
        }
    }

    fn days(&self, row: &Row<'_>) -> Result<(NaiveDate, NaiveDate), String> {
        let day = |name: &str, column: usize| {
            let text = row.at(Some(column)).unwrap_or_default();
            console::day(text).ok_or_else(|| format!("{name}: expected a day like 2026-10-31, found {text:?}"))
        };
        Ok((day("Usage start date", self.start)?, day("Usage end date", self.end)?))
    }

    fn charge(
        &self,
        row: &Row<'_>,
        meaning: Meaning<'_>,
        (first, last): (NaiveDate, NaiveDate),
        seen: &mut Seen,
        out: &mut dyn FnMut(Line<'_>),
    ) -> Result<(), String> {
        let span: Span =
            console::span(first, last).ok_or_else(|| format!("Usage end date: expected {first} or later, found {last}"))?;
        let cost = console::number(COST, row.at(Some(self.cost)))?.ok_or("Unrounded cost: expected a number, found nothing")?;
        let cost = money(COST, cost)?;
        let item = self.used.item(row);
        let quantity = self.used.quantity(row, &item)?;
        let shared = Charge {
            account: row.at(self.account),
            cost: Some(cost.amount),
            residue: cost.residue,
            ..self.used.charge(row, &item, span, self.currency)
        };
        match meaning {
            Meaning::Charge(category) => {
                if category != ChargeCategory::Adjustment {
                    not_negative(COST, cost.amount)?;
                    quantity.map_or(Ok(()), |quantity| not_negative("Usage amount", quantity))?;
                }
                if category == ChargeCategory::Usage {
                    seen.add(first, last);
                }
                out(Line::Charge(Charge { quantity, category, ..shared }));
            }
            Meaning::Credit(kind) => {
                if cost.amount > Amount::ZERO {
                    return Err(format!("{COST}: expected 0 or less for a credit, found {}", cost.amount));
                }
                let words = format!("{kind}: {}", self.used.words(row).unwrap_or_default());
                out(Line::Charge(Charge { sku: Some(&words), meter: None, category: ChargeCategory::Credit, ..shared }));
            }
            Meaning::Rounding | Meaning::Total => {
                let charge = Charge::new(row.number, span.0, span.1, self.currency);
                out(Line::Charge(Charge {
                    sku: Some("Rounding error"),
                    cost: Some(cost.amount),
                    residue: cost.residue,
                    category: ChargeCategory::Adjustment,
                    precision: PRECISION,
                    ..charge
                }));
            }
        }
        Ok(())
    }
}
