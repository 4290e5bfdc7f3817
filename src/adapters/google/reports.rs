//! The console's Reports page: one row for each SKU and day, after savings. Grouped without days the rows
//! are of the period in the file's name, and at the end stand lines of sums.

use super::super::fields::Row;
use super::super::{BadPage, Page};
use super::console::{self, Download, Seen, Used, refuse_cut, repeated, set_aside};
use super::{money, not_negative};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, Line};
use chrono::NaiveDate;

const COST: &str = "Unrounded subtotal";

struct Columns {
    used: Used,
    date: Option<usize>,
    cost: usize,
    currency: Currency,
    /// From the file's name.
    period: Option<(NaiveDate, NaiveDate)>,
}

/// Hands on the rows of a report.
///
/// # Errors
/// Neither a column nor a file name that tells the days, a currency that cannot be told, a file cut short.
pub(super) fn read(page: &Page<'_>, mut download: Download<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let (cost, currency) = download.money(COST)?;
    let columns = Columns { used: Used::of(&download), date: download.column("Date"), cost, currency, period: period(page.file) };
    if columns.date.is_none() && columns.period.is_none() {
        return Err(BadPage::new(
            "header: expected the column \"Date\", found none, and the file's name has no period",
            "group the report by day, or keep the name it was downloaded with: \"…_Reports, 2026-08-28 — 2026-08-28.csv\"",
        ));
    }
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

/// `<account>_Reports, 2026-08-28 — 2026-08-30 (1).csv`: first and last day.
fn period(file: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (_, days) = file.rsplit_once("Reports, ")?;
    let (first, rest) = days.split_at_checked(10)?;
    let last = rest.trim_start_matches([' ', '—', '–', '-']).get(..10)?;
    Some((console::day(first)?, console::day(last)?)).filter(|(first, last)| first <= last)
}

impl Columns {
    fn line(&self, row: &Row<'_>, fault: Option<String>, seen: &mut Seen, out: &mut dyn FnMut(Line<'_>)) {
        if let Some(reason) = fault {
            return out(set_aside(row.number, None, reason, None));
        }
        if self.is_blank(row) {
            return out(self.sums(row, seen.0.or(self.period).map(|(_, last)| last)));
        }
        let days = self.days(row);
        if let Err(reason) = days.clone().and_then(|days| self.charge(row, days, seen, out)) {
            out(set_aside(row.number, days.ok().map(|(first, _)| first), reason, self.amount(row, self.cost)));
        }
    }

    /// A line of sums: its name stands where rows have their money, its amount one column to the right. What
    /// ends in "total" repeats the rows; anything else, a tax for one, is not in them and is set aside.
    fn sums<'a>(&self, row: &Row<'_>, day: Option<NaiveDate>) -> Line<'a> {
        let name = row.at(Some(self.cost)).unwrap_or_default();
        if name.to_ascii_lowercase().ends_with("total") {
            return repeated(row.number, day);
        }
        let beside = if console::number(COST, Some(name)).is_ok() { self.cost } else { self.cost.saturating_add(1) };
        let reason = format!("{COST}: expected Subtotal, Total or Filtered total where nothing else is named, found {name:?}");
        set_aside(row.number, day, reason, self.amount(row, beside))
    }

    fn amount(&self, row: &Row<'_>, column: usize) -> Option<(Amount, Currency)> {
        let read = console::number(COST, row.at(Some(column))).ok()??;
        Some((money(COST, read).ok()?.amount, self.currency))
    }

    /// Whether a row names nothing that its money would be for.
    fn is_blank(&self, row: &Row<'_>) -> bool {
        row.at(self.date).is_none() && self.used.is_blank(row)
    }

    fn days(&self, row: &Row<'_>) -> Result<(NaiveDate, NaiveDate), String> {
        let Some(column) = self.date else {
            return self.period.ok_or_else(|| "Date: expected a day, found no such column".to_string());
        };
        let text = row.at(Some(column)).unwrap_or_default();
        let day = console::day(text).ok_or_else(|| format!("Date: expected a day like 2026-08-15, found {text:?}"))?;
        Ok((day, day))
    }

    fn charge(
        &self,
        row: &Row<'_>,
        (first, last): (NaiveDate, NaiveDate),
        seen: &mut Seen,
        out: &mut dyn FnMut(Line<'_>),
    ) -> Result<(), String> {
        let span = console::span(first, last).ok_or_else(|| format!("Date: expected a day, found {first}"))?;
        let cost =
            console::number(COST, row.at(Some(self.cost)))?.ok_or("Unrounded subtotal: expected a number, found nothing")?;
        let cost = money(COST, cost)?;
        not_negative(COST, cost.amount)?;
        let item = self.used.item(row);
        let quantity = self.used.quantity(row, &item)?;
        quantity.map_or(Ok(()), |quantity| not_negative("Usage amount", quantity))?;
        seen.add(first, last);
        let charge = self.used.charge(row, &item, span, self.currency);
        out(Line::Charge(Charge { quantity, cost: Some(cost.amount), residue: cost.residue, ..charge }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_period_stands_in_the_name() {
        let of = |file: &str| period(file).map(|(first, last)| format!("{first} {last}"));
        assert_eq!(of("Acme_Reports, 2026-08-28 — 2026-08-28.csv").as_deref(), Some("2026-08-28 2026-08-28"));
        assert_eq!(of("2025-01-01_Reports, 2026-08-01 — 2026-08-31 (1).csv").as_deref(), Some("2026-08-01 2026-08-31"));
        assert_eq!(of("Acme_Reports, 2026-08-01 - 2026-08-31.csv").as_deref(), Some("2026-08-01 2026-08-31"));
        for file in ["reports.csv", "Reports, 2026-08-01.csv", "Reports, 2026-08-31 — 2026-08-01.csv", "Reports, 2026-0é-01 — "]
        {
            assert_eq!(of(file), None, "{file}");
        }
    }
}
