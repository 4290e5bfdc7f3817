//! `savings.csv` with each client's part of it, `prepaid.csv` and `invoices.csv` (contract section 5).

use super::tables::{currency, number, text, too_large};
use super::{Cell, Table};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency};
use crate::domain::plan::Component;
use crate::stages::savings::rows::{ClientSaving, InvoiceTie, Prepaid, Saving};

/// The file of [`clients`].
pub(super) const CLIENTS: &str = "savings_clients.csv";

/// The columns between what a row is about and those of the components.
const BEFORE: [&str; 14] = [
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
    let about = ["period_start", "team", "provider", "model"];
    let columns = about.into_iter().chain(BEFORE).chain(Component::ALL.map(Component::name)).chain(AFTER).collect();
    let row = |row: &Saving| {
        let mut cells = vec![Cell::Date(row.period_start), text(&row.team), text(&row.provider), text(&row.model)];
        cells.extend(figures(row)?);
        let turning = row.break_even.as_ref();
        cells.extend([
            turning.map_or(Cell::Empty, |turning| text(&turning.volume)),
            turning.map_or(Cell::Empty, |turning| text(&turning.when)),
            number(turning.and_then(|turning| turning.distance)),
            Cell::Count(row.not_comparable),
            row.advice.map_or(Cell::Empty, |advice| text(advice.name())),
        ]);
        cells.extend(last(row, reporting));
        Some(cells)
    };
    let rows = rows.iter().map(row).collect::<Option<_>>().ok_or_else(|| too_large("savings.csv"))?;
    Ok(Table { file: "savings.csv", columns, rows, for_people: true })
}

/// `savings_clients.csv`: the columns of `savings.csv` without break-even and advice, which are of a whole plan, and
/// with the client, whose cell is empty for usage without one. `None` where no usage has a client.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn clients(rows: &[ClientSaving], reporting: Currency) -> Result<Option<Table>, Fault> {
    if rows.is_empty() {
        return Ok(None);
    }
    let about = ["period_start", "team", "client", "provider", "model"];
    let of_plans = ["break_even_volume", "byok_cheaper_when", "distance", "recommendation"];
    let after = AFTER.into_iter().filter(|column| !of_plans.contains(column));
    let columns = about.into_iter().chain(BEFORE).chain(Component::ALL.map(Component::name)).chain(after).collect();
    let row = |ClientSaving { client, saving: row }: &ClientSaving| {
        let mut cells = vec![Cell::Date(row.period_start), text(&row.team), text(client), text(&row.provider), text(&row.model)];
        cells.extend(figures(row)?);
        cells.push(Cell::Count(row.not_comparable));
        cells.extend(last(row, reporting));
        Some(cells)
    };
    let rows = rows.iter().map(row).collect::<Option<_>>().ok_or_else(|| too_large(CLIENTS))?;
    Ok(Some(Table { file: CLIENTS, columns, rows, for_people: true }))
}

/// From the plan to the saving with hours.
fn figures(row: &Saving) -> Option<Vec<Cell>> {
    let mut cells = vec![text(&row.plan)];
    let all_in = match &row.compared {
        None => {
            cells.extend([Cell::Empty, Cell::Empty]);
            cells.extend(std::iter::repeat_n(Cell::Empty, 11 + Component::ALL.len()));
            None
        }
        Some(compared) => {
            let saving = compared.saving()?;
            cells.extend([number(compared.volume), text(&compared.unit)]);
            let amounts = [
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
            cells.extend(amounts.into_iter().chain(compared.components).map(Cell::Number));
            Some(compared.all_in()?)
        }
    };
    cells.extend([number(all_in.map(|range| range.low)), number(all_in.map(|range| range.high))]);
    Some(cells)
}

/// From the reason on.
fn last(row: &Saving, reporting: Currency) -> [Cell; 4] {
    [
        text(&row.reason),
        currency(reporting),
        number(row.compared.as_ref().map(|compared| compared.estimated_byok)),
        Cell::Number(row.not_comparable_cost),
    ]
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
