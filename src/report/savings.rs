//! `savings.csv`, `prepaid.csv` and `invoices.csv` (contract section 5).

use super::tables::{currency, number, text, too_large};
use super::{Cell, Table};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::domain::plan::Component;
use crate::stages::savings::rows::{InvoiceTie, Prepaid, Saving};

/// The columns around those of the components.
const BEFORE: [&str; 18] = [
    "period_start",
    "team",
    "provider",
    "model",
    "plan",
    "volume",
    "unit",
    "actual_credits",
    "actual_byok",
    "actual_fees",
    "all_credits_low",
    "all_credits_high",
    "all_byok_low",
    "all_byok_high",
    "saving_low",
    "saving_high",
    "realised",
    "missed",
];
const AFTER: [&str; 11] = [
    "all_in_saving_low",
    "all_in_saving_high",
    "break_even_volume",
    "byok_cheaper_when",
    "distance",
    "not_comparable",
    "recommendation",
    "reason",
    "currency",
    // Beyond the contract's columns: what bill and comparison do not share.
    "estimated_byok",
    "not_comparable_cost",
];

/// `savings.csv`. Cells of figures are empty where nothing could be compared: an unknown is not a zero.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn table(rows: &[Saving], reporting: Currency) -> Result<Table, Fault> {
    let columns = BEFORE.into_iter().chain(Component::ALL.map(Component::name)).chain(AFTER).collect();
    let rows = rows.iter().map(|row| cells(row, reporting)).collect::<Option<_>>().ok_or_else(|| too_large("savings.csv"))?;
    Ok(Table { file: "savings.csv", columns, rows, for_people: true })
}

fn cells(row: &Saving, reporting: Currency) -> Option<Vec<Cell>> {
    let mut cells = vec![Cell::Date(row.period_start), text(&row.team), text(&row.provider), text(&row.model), text(&row.plan)];
    let all_in = match &row.compared {
        None => {
            cells.extend([Cell::Empty, Cell::Empty]);
            cells.extend(std::iter::repeat_n(Cell::Empty, 11 + Component::ALL.len()));
            None
        }
        Some(compared) => {
            let saving = compared.saving()?;
            cells.extend([number(compared.volume), text(&compared.unit)]);
            let figures = [
                compared.actual_credits,
                compared.actual_byok,
                compared.actual_fees,
                compared.all_credits.low,
                compared.all_credits.high,
                compared.all_byok.low,
                compared.all_byok.high,
                saving.low,
                saving.high,
                compared.realised()?,
                compared.missed,
            ];
            cells.extend(figures.into_iter().chain(compared.components).map(Cell::Number));
            Some(compared.all_in()?)
        }
    };
    let turning = row.break_even.as_ref();
    cells.extend([
        number(all_in.map(|range| range.low)),
        number(all_in.map(|range| range.high)),
        turning.map_or(Cell::Empty, |turning| text(&turning.volume)),
        turning.map_or(Cell::Empty, |turning| text(&turning.when)),
        number(turning.and_then(|turning| turning.distance)),
        Cell::Count(row.not_comparable),
        row.advice.map_or(Cell::Empty, |advice| text(advice.name())),
        text(&row.reason),
        currency(reporting),
        number(row.compared.as_ref().map(|compared| compared.estimated_byok)),
        Cell::Number(row.not_comparable_cost),
    ]);
    Some(cells)
}

/// `prepaid.csv`: opening + purchased + granted − used − expired − refunded = closing.
///
/// # Errors
/// A difference that does not fit.
pub(super) fn prepaid(rows: &[Prepaid]) -> Result<Table, Fault> {
    let row = |row: &Prepaid| {
        let off = row.shown.map(|(_, shown, computed)| shown.checked_sub(computed));
        let off = off.map(|off| off.ok_or_else(|| too_large("prepaid.csv"))).transpose()?;
        let mut cells = vec![Cell::Date(row.period_start), text(&row.pool), text(&row.unit)];
        let figures = [row.opening, row.purchased, row.granted, row.used, row.expired, row.refunded, row.closing];
        cells.extend(figures.map(Cell::Number));
        cells.extend([
            row.shown.map_or(Cell::Empty, |(day, ..)| Cell::Date(day)),
            number(row.shown.map(|(_, shown, _)| shown)),
            number(row.shown.map(|(.., computed)| computed)),
            number(off),
            text(status(off, row.short)),
            Cell::Number(row.short),
            Cell::Number(row.paid),
            Cell::Number(row.fees),
            currency(row.currency),
        ]);
        Ok(cells)
    };
    Ok(Table {
        file: "prepaid.csv",
        columns: vec![
            "period_start",
            "pool",
            "unit",
            "opening",
            "purchased",
            "granted",
            "used",
            "expired",
            "refunded",
            "closing",
            "shown_on",
            "shown",
            "computed",
            "difference",
            "status",
            "not_covered",
            "paid",
            "fees",
            "currency",
        ],
        rows: rows.iter().map(row).collect::<Result<_, Fault>>()?,
        for_people: true,
    })
}

fn status(off: Option<Amount>, short: Amount) -> &'static str {
    match off {
        Some(off) if off.is_zero() && short.is_zero() => "tied",
        Some(_) => "not_tied",
        None => "not_shown",
    }
}

/// `invoices.csv`: what a platform invoiced against the fees of its plan, tolerance 0.
///
/// # Errors
/// A difference that does not fit.
pub(super) fn invoices(rows: &[InvoiceTie]) -> Result<Table, Fault> {
    let row = |row: &InvoiceTie| {
        let off = row.per_invoice.zip(row.per_charges).map(|(invoice, charges)| invoice.checked_sub(charges));
        let off = off.map(|off| off.ok_or_else(|| too_large("invoices.csv"))).transpose()?;
        let status = match (row.per_invoice, off) {
            (None, _) => "no_invoice_yet",
            (Some(_), None) => "no_charges",
            (Some(_), Some(off)) if off.is_zero() => "tied",
            _ => "not_tied",
        };
        Ok(vec![
            Cell::Date(row.period_start),
            text(&row.issuer),
            text(&row.invoice_id),
            text(&row.team),
            number(row.per_invoice),
            number(row.per_charges),
            number(off),
            Cell::Number(Amount::ZERO),
            text(status),
            currency(row.currency),
        ])
    };
    Ok(Table {
        file: "invoices.csv",
        columns: vec![
            "period_start",
            "issuer",
            "invoice_id",
            "team",
            "amount_per_invoice",
            "amount_per_charges",
            "difference",
            "tolerance",
            "status",
            "currency",
        ],
        rows: rows.iter().map(row).collect::<Result<_, Fault>>()?,
        for_people: true,
    })
}
