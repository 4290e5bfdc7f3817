//! `control_totals.csv`: every published sum beside the sum of where it came from, to prove that nothing was
//! lost on the way (finance-conventions.md section 4).

use super::tables::{difference, explained_ratio, number, text, too_large};
use super::team_month::PLACES;
use super::{Cell, Table};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::month_start;
use crate::stages::results::{Outcome, Reason};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Sums by currency; `None` is a column without one.
pub(super) type Totals = BTreeMap<Option<Currency>, Amount>;

/// What a column's sum is good for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Money, or a count of like things.
    Control,
    /// A sum that means nothing and still must not change: quantities of several units, row numbers.
    Hash,
}

/// The rows of all tables, see [`rows`].
///
/// Figures that the readers carried along, such as what rounding at the door removed or the total of a
/// coarser report of the same money, stand with their source as `file` and nothing to compare with.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn table(outcome: &Outcome, mut rows: Vec<Vec<Cell>>) -> Result<Table, Fault> {
    rows.extend(carried(outcome)?);
    Ok(Table {
        file: "control_totals.csv",
        columns: vec!["file", "rows", "column", "control_total", "currency", "hash_total", "source_total", "difference"],
        rows,
        for_people: false,
    })
}

/// Of one published table, one row per numeric column × currency: the sum of the published cells, and `source_total` from
/// the rows that the figure is made of: for `team_month.csv` the attribution, for
/// `reconciliation.csv` the attribution (`provider_total`) and the reconciling items (the reasons),
/// else the outcome's own rows. `difference` is 0 everywhere.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn rows(table: &Table, sources: &[Source]) -> Result<Vec<Vec<Cell>>, Fault> {
    let mut rows = Vec::new();
    for (file, column, kind, source) in sources.iter().filter(|(file, ..)| *file == table.file) {
        let published = published(table, column).ok_or_else(|| too_large("control_totals.csv"))?;
        let mut currencies: Vec<Option<Currency>> = published.keys().chain(source.keys()).copied().collect();
        currencies.sort();
        currencies.dedup();
        for currency in currencies {
            let (count, total) = published.get(&currency).copied().unwrap_or_default();
            let source = source.get(&currency).copied().unwrap_or_default();
            let off = total.checked_sub(source).ok_or_else(|| too_large("control_totals.csv"))?;
            let (control, hash) = if *kind == Kind::Control { (Some(total), None) } else { (None, Some(total)) };
            rows.push(vec![
                text(file),
                Cell::Count(count),
                text(column),
                number(control),
                currency.map_or(Cell::Empty, super::tables::currency),
                number(hash),
                Cell::Number(source),
                Cell::Number(off),
            ]);
        }
    }
    Ok(rows)
}

/// Rows and sum of a column's cells by currency.
fn published(table: &Table, column: &str) -> Option<BTreeMap<Option<Currency>, (u64, Amount)>> {
    let at = |name: &str| table.columns.iter().position(|column| *column == name);
    let in_currency = match column {
        "reporting_cost" => at("reporting_currency"),
        _ if is_money(column) => at("currency"),
        _ => None,
    };
    let index = at(column)?;
    let mut totals: BTreeMap<Option<Currency>, (u64, Amount)> = BTreeMap::new();
    // Neighbours mostly have one currency, which is then read and looked up once.
    let currency_of = |row: &Vec<Cell>| match in_currency.and_then(|index| row.get(index)) {
        Some(Cell::Text(code)) => Currency::parse(code).ok(),
        _ => None,
    };
    let is_same = |a: &Vec<Cell>, b: &Vec<Cell>| in_currency.is_none_or(|index| a.get(index) == b.get(index));
    for run in table.rows.chunk_by(is_same) {
        let currency = run.first().and_then(currency_of);
        let (mut count, mut total) = (0, Amount::ZERO);
        for row in run {
            let amount = match row.get(index)? {
                Cell::Number(amount) | Cell::Rounded(amount, _) => *amount,
                Cell::Count(count) => whole(*count)?,
                _ => continue,
            };
            count += 1;
            total = total.checked_add(amount)?;
        }
        if count > 0 {
            let (rows, sum) = totals.entry(currency).or_default();
            *rows += count;
            *sum = sum.checked_add(total)?;
        }
    }
    Some(totals)
}

fn is_money(column: &str) -> bool {
    !matches!(
        column,
        "requests"
            | "consumed_quantity"
            | "provider_quantity"
            | "ledger_quantity"
            | "items"
            | "rows"
            | "rows_read"
            | "rows_used"
            | "duplicates"
            | "quarantined"
            | "row"
            | "explained_ratio"
    )
}

fn add(totals: &mut Totals, currency: Option<Currency>, amount: Option<Amount>) -> Result<(), Fault> {
    if let Some(amount) = amount {
        let total = totals.entry(currency).or_default();
        *total = total.checked_add(amount).ok_or_else(|| too_large("control_totals.csv"))?;
    }
    Ok(())
}

/// Sums by currency of what `read` finds in each row.
fn totals<T>(rows: &[T], read: impl Fn(&T) -> Result<(Option<Currency>, Option<Amount>), Fault>) -> Result<Totals, Fault> {
    let mut totals = Totals::new();
    for row in rows {
        let (currency, amount) = read(row)?;
        add(&mut totals, currency, amount)?;
    }
    Ok(totals)
}

fn whole(number: u64) -> Option<Amount> {
    i64::try_from(number).ok().map(Amount::whole)
}

/// A column of a file, what its sum is good for, and what it must be.
pub(super) type Source = (&'static str, &'static str, Kind, Totals);

/// What the columns must sum to.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn sources(outcome: &Outcome, reporting_currency: Currency) -> Result<Vec<Source>, Fault> {
    use Kind::{Control, Hash};
    let Outcome { attribution, drift, reconciliation, coverage, quarantine, spikes, .. } = outcome;
    let file = "attribution.csv";
    let mut sources = vec![
        (file, "requests", Control, totals(attribution, |a| Ok((None, whole(a.requests))))?),
        (file, "consumed_quantity", Hash, totals(attribution, |a| Ok((None, a.consumed_quantity)))?),
        (file, "list_cost", Control, totals(attribution, |a| Ok((Some(a.currency), a.list_cost)))?),
        (file, "contracted_cost", Control, totals(attribution, |a| Ok((Some(a.currency), a.contracted_cost)))?),
        (file, "billed_cost", Control, totals(attribution, |a| Ok((Some(a.currency), Some(a.billed_cost))))?),
        (file, "reporting_cost", Control, totals(attribution, |a| Ok((Some(reporting_currency), Some(a.reporting_cost))))?),
    ];
    let file = "team_month.csv";
    sources.extend([
        (file, "requests", Control, totals(attribution, |a| Ok((None, whole(a.requests))))?),
        (file, "billed_cost", Control, totals(attribution, |a| Ok((Some(a.currency), Some(a.billed_cost))))?),
        (file, "billed_cost_rounded", Control, rounded_months(outcome)?),
    ]);
    sources.extend(reconciliation_sources(outcome)?);
    let file = "drift.csv";
    sources.extend([
        (file, "provider_quantity", Hash, totals(drift, |d| Ok((None, d.provider_quantity)))?),
        (file, "ledger_quantity", Hash, totals(drift, |d| Ok((None, d.ledger_quantity)))?),
        (file, "provider_cost", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.provider_cost))))?),
        (file, "ledger_cost", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.ledger_cost))))?),
        (file, "quantity_variance", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.quantity_variance))))?),
        (file, "price_variance", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.price_variance))))?),
        (file, "other_variance", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.other_variance))))?),
        (file, "difference", Control, totals(drift, |d| Ok((Some(d.currency), Some(d.difference))))?),
        (file, "items", Control, totals(drift, |d| Ok((None, whole(d.items))))?),
    ]);
    let file = "spikes.csv";
    // Failed calls stand among the money, so the sums prove only that nothing changed.
    sources.extend([
        (file, "expected", Hash, totals(spikes, |s| Ok((Some(s.currency), Some(s.expected))))?),
        (file, "actual", Hash, totals(spikes, |s| Ok((Some(s.currency), Some(s.actual))))?),
        (file, "excess", Hash, totals(spikes, |s| Ok((Some(s.currency), Some(s.excess))))?),
    ]);
    let file = "coverage.csv";
    sources.extend([
        (file, "rows_read", Control, totals(coverage, |c| Ok((None, whole(c.rows_read))))?),
        (file, "rows_used", Control, totals(coverage, |c| Ok((None, whole(c.rows_used))))?),
        (file, "duplicates", Control, totals(coverage, |c| Ok((None, whole(c.duplicates))))?),
        (file, "quarantined", Control, totals(coverage, |c| Ok((None, whole(c.quarantined))))?),
        (file, "amount", Control, totals(coverage, |c| Ok((c.currency, c.amount)))?),
    ]);
    let file = "quarantine.csv";
    sources.extend([
        (file, "row", Hash, totals(quarantine, |q| Ok((None, whole(q.row))))?),
        (file, "amount", Control, totals(quarantine, |q| Ok((q.currency, q.amount)))?),
    ]);
    let file = "ledger_findings.csv";
    let findings = &outcome.ledger_findings;
    sources.extend([
        (file, "rows", Control, totals(findings, |f| Ok((None, whole(f.rows))))?),
        (file, "amount", Control, totals(findings, |f| Ok((Some(f.currency), Some(f.amount))))?),
    ]);
    // A sum of ratios means nothing: it guards the column. Missing slices have none.
    let ratios = totals(reconciliation, |slice| {
        let ratio = slice.provider_total.map(|total| {
            explained_ratio(super::tables::unexplained(slice), total, slice.ledger_total)
                .ok_or_else(|| too_large("control_totals.csv"))
        });
        Ok((None, ratio.transpose()?))
    })?;
    sources.push(("reconciliation.csv", "explained_ratio", Hash, ratios));
    Ok(sources)
}

/// The rounded total of every provider, month and currency, from the attribution.
fn rounded_months(outcome: &Outcome) -> Result<Totals, Fault> {
    let mut months = BTreeMap::new();
    for share in &outcome.attribution {
        let key = (month_start(share.charge_date), share.provider.as_str(), share.currency);
        let total: &mut Amount = months.entry(key).or_default();
        *total = total.checked_add(share.billed_cost).ok_or_else(|| too_large("control_totals.csv"))?;
    }
    let mut totals = Totals::new();
    for ((_, _, currency), total) in months {
        add(&mut totals, Some(currency), Some(total.rounded(PLACES)))?;
    }
    Ok(totals)
}

/// The provider's side from the attribution and the reasons from the reconciling items, both without the
/// slices that are missing: those are outside the laws.
fn reconciliation_sources(outcome: &Outcome) -> Result<Vec<Source>, Fault> {
    let file = "reconciliation.csv";
    let slices = &outcome.reconciliation;
    let mut missing: Vec<_> = slices
        .iter()
        .filter(|slice| slice.provider_total.is_none())
        .map(|slice| (slice.charge_date, slice.provider.as_str(), slice.account.as_str(), slice.currency))
        .collect();
    missing.sort();
    let counts = |day: NaiveDate, provider: &str, account: &str, currency: Currency| {
        missing.binary_search_by(|slice| slice.cmp(&(day, provider, account, currency))).is_err()
    };
    let billed = totals(&outcome.attribution, |a| {
        let counted = counts(a.charge_date, &a.provider, &a.account, a.currency);
        Ok((Some(a.currency), counted.then_some(a.billed_cost)))
    })?;
    let ledger = totals(slices, |slice| Ok((Some(slice.currency), Some(slice.ledger_total))))?;
    let matched = totals(slices, |slice| Ok((Some(slice.currency), slice.provider_total.is_some().then_some(slice.matched))))?;
    let differences = totals(slices, |slice| Ok((Some(slice.currency), difference(slice)?)))?;
    let mut sources = vec![
        (file, "provider_total", Kind::Control, billed),
        (file, "ledger_total", Kind::Control, ledger),
        (file, "difference", Kind::Control, differences),
        (file, "matched", Kind::Control, matched),
    ];
    for reason in Reason::ALL {
        let items = totals(&outcome.drift, |d| {
            let counted = d.reason == reason && counts(d.charge_date, &d.provider, &d.account, d.currency);
            Ok((Some(d.currency), counted.then_some(d.difference)))
        })?;
        sources.push((file, reason.name(), Kind::Control, items));
    }
    Ok(sources)
}

/// The figures that came along with the outcome, by source, account and currency.
fn carried(outcome: &Outcome) -> Result<Vec<Vec<Cell>>, Fault> {
    let mut sums: BTreeMap<(&str, &str, Currency), (u64, Amount)> = BTreeMap::new();
    for control in &outcome.controls {
        let (count, total) = sums.entry((&control.source, &control.account, control.currency)).or_default();
        *count += 1;
        *total = total.checked_add(control.amount).ok_or_else(|| too_large("control_totals.csv"))?;
    }
    let row = |((source, account, currency), (count, total)): ((&str, &str, Currency), (u64, Amount))| {
        let file = if account.is_empty() { source.to_string() } else { format!("{source} {account}") };
        vec![
            text(&file),
            Cell::Count(count),
            text("amount"),
            Cell::Number(total),
            super::tables::currency(currency),
            Cell::Empty,
            Cell::Empty,
            Cell::Empty,
        ]
    };
    Ok(sums.into_iter().map(row).collect())
}
