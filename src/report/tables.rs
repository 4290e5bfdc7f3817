//! What the stages found, as the published tables with their fixed columns (contract section 5).
//! Adds nothing and drops nothing: every row of the outcome is one row here.

use super::{Cell, Table, controls, savings, spikes, team_month};
use crate::domain::beside::beside;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::{Amount, Currency};
use crate::domain::names::ShownName;
use crate::stages::results::{
    Attribution, Coverage, Drift, LedgerFinding, Outcome, Quarantine, Reason, Reconciliation, Restatement,
};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// All CSV tables of a run in the order of contract section 5 but `control_totals.csv`, which speaks of them, and what
/// their columns must sum to.
///
/// # Errors
/// [`ExitCode::Internal`] when a sum does not fit an [`Amount`]: amounts are limited where they are read,
/// so only a bug can lead there.
pub(super) fn tables(outcome: &Outcome, reporting_currency: Currency) -> Result<(Vec<Table>, Vec<controls::Source>), Fault> {
    // What the columns must sum to is summed beside, from the same rows.
    let (sources, (attribution, drift)) = beside(
        || controls::sources(outcome, reporting_currency),
        || (attribution(&outcome.attribution, reporting_currency), drift(&outcome.drift)),
    );
    let mut tables = vec![
        attribution?,
        team_month::table(&outcome.attribution)?,
        reconciliation(&outcome.reconciliation)?,
        drift,
        coverage(&outcome.coverage),
        quarantine(&outcome.quarantine),
        ledger_findings(&outcome.ledger_findings),
        restatements(&outcome.restatements),
        spikes::table(&outcome.spikes),
    ];
    // Comparisons: no sum of their columns means anything, totals stand in rows of their own.
    tables.push(savings::table(&outcome.savings.rows, reporting_currency)?);
    tables.extend(savings::clients(&outcome.savings.clients, reporting_currency)?);
    tables.push(savings::prepaid(&outcome.savings.prepaid)?);
    tables.push(savings::invoices(&outcome.savings.invoices)?);
    tables.push(names(&outcome.names));
    Ok((tables, sources?))
}

/// What ids are called, also of what is gone by now.
fn names(rows: &[ShownName]) -> Table {
    let row = |shown: &ShownName| {
        let ShownName { provider, account, named, last } = shown;
        let texts = [provider.as_str(), account, named.kind.name(), &named.id, &named.name];
        texts.map(text).into_iter().chain([Cell::Date(*last)]).collect()
    };
    Table {
        file: "names.csv",
        columns: vec!["provider", "account", "kind", "id", "name", "last_shown"],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}

/// The fault of a sum that does not fit.
pub(super) fn too_large(place: &str) -> Fault {
    Fault::new(ExitCode::Internal, place, "a sum has more digits than an amount can hold", "report this as a bug")
}

/// An empty text is unknown, and unknown is an empty cell.
pub(super) fn text(value: &str) -> Cell {
    if value.is_empty() { Cell::Empty } else { Cell::Text(value.to_string()) }
}

pub(super) fn number(value: Option<Amount>) -> Cell {
    value.map_or(Cell::Empty, Cell::Number)
}

fn date(value: Option<NaiveDate>) -> Cell {
    value.map_or(Cell::Empty, Cell::Date)
}

pub(super) fn currency(value: Currency) -> Cell {
    Cell::Text(value.code().to_string())
}

fn attribution(rows: &[Attribution], reporting_currency: Currency) -> Result<Table, Fault> {
    let row = |share: &Attribution| {
        // A rate has far fewer than 18 decimals; one with more is shown rounded at the money scale.
        let rate = Amount::ONE.times_decimal(share.fx_rate).ok_or_else(|| too_large("attribution.csv: fx_rate"))?;
        Ok(vec![
            Cell::Date(share.charge_date),
            text(&share.provider),
            text(&share.account),
            text(&share.sub_account),
            text(&share.api_key_id),
            text(&share.team),
            text(&share.cost_centre),
            text(&share.feature),
            text(&share.client),
            text(&share.model),
            text(&share.service_tier),
            text(&share.meter),
            text(share.category.name()),
            share.funding.map_or(Cell::Empty, |funding| text(funding.name())),
            text(share.basis.name()),
            text(share.cost_basis.name()),
            Cell::Count(share.requests),
            number(share.consumed_quantity),
            text(&share.consumed_unit),
            number(share.list_cost),
            number(share.contracted_cost),
            Cell::Number(share.billed_cost),
            currency(share.currency),
            Cell::Number(share.reporting_cost),
            currency(reporting_currency),
            Cell::Number(rate),
            Cell::Flag(share.settled),
            date(share.local_date),
        ])
    };
    Ok(Table {
        file: "attribution.csv",
        columns: vec![
            "charge_date",
            "provider",
            "account",
            "sub_account",
            "api_key_id",
            "team",
            "cost_centre",
            "feature",
            "client",
            "model",
            "service_tier",
            "meter",
            "charge_category",
            "funding",
            "basis",
            "cost_basis",
            "requests",
            "consumed_quantity",
            "consumed_unit",
            "list_cost",
            "contracted_cost",
            "billed_cost",
            "currency",
            "reporting_cost",
            "reporting_currency",
            "fx_rate",
            "settled",
            "local_date",
        ],
        rows: rows.iter().map(row).collect::<Result<_, Fault>>()?,
        for_people: true,
    })
}

/// Provider minus ledger; `None` where the slice is missing.
///
/// # Errors
/// A difference that does not fit.
pub(super) fn difference(slice: &Reconciliation) -> Result<Option<Amount>, Fault> {
    let fits = |total: Amount| total.checked_sub(slice.ledger_total).ok_or_else(|| too_large("reconciliation.csv: difference"));
    slice.provider_total.map(fits).transpose()
}

/// `1 − |unexplained| ÷ max(|provider|, |ledger|)`, 1 when both are 0, at 18 decimals (contract 4.8).
pub(super) fn explained_ratio(unexplained: Amount, provider: Amount, ledger: Amount) -> Option<Amount> {
    let whole = provider.abs().max(ledger.abs());
    if whole.is_zero() {
        return Some(Amount::ONE);
    }
    Amount::ONE.checked_sub(unexplained.abs().ratio(whole)?)
}

/// Per cent of the money whose difference is explained, by currency, as decimal text: for monitors.
pub fn explained_percent(outcome: &Outcome) -> Vec<(String, String)> {
    let mut sums: BTreeMap<Currency, Option<(Amount, Amount)>> = BTreeMap::new();
    for slice in &outcome.reconciliation {
        let Some(total) = slice.provider_total else { continue };
        let sum = sums.entry(slice.currency).or_insert(Some((Amount::ZERO, Amount::ZERO)));
        *sum = sum.and_then(|(rest, whole)| {
            let larger = total.abs().max(slice.ledger_total.abs());
            Some((rest.checked_add(unexplained(slice).abs())?, whole.checked_add(larger)?))
        });
    }
    let percent = |sum: Option<(Amount, Amount)>| {
        let (rest, whole) = sum?;
        explained_ratio(rest, whole, Amount::ZERO)?.mul_div(100, 1).map(|percent| percent.rounded(4).to_string())
    };
    sums.into_iter().filter_map(|(currency, sum)| Some((currency.to_string(), percent(sum)?))).collect()
}

fn reconciliation(rows: &[Reconciliation]) -> Result<Table, Fault> {
    let mut columns =
        vec!["charge_date", "provider", "account", "currency", "provider_total", "ledger_total", "difference", "matched"];
    columns.extend(Reason::ALL.iter().map(|reason| reason.name()));
    columns.extend(["explained_ratio", "status"]);
    let row = |slice: &Reconciliation| {
        let mut cells = vec![
            Cell::Date(slice.charge_date),
            text(&slice.provider),
            text(&slice.account),
            currency(slice.currency),
            number(slice.provider_total),
            Cell::Number(slice.ledger_total),
            number(difference(slice)?),
        ];
        match slice.provider_total {
            None => cells.extend(std::iter::repeat_n(Cell::Empty, 1 + Reason::ALL.len() + 1)),
            Some(total) => {
                let unexplained = unexplained(slice);
                let ratio = explained_ratio(unexplained, total, slice.ledger_total)
                    .ok_or_else(|| too_large("reconciliation.csv: explained_ratio"))?;
                cells.push(Cell::Number(slice.matched));
                cells.extend(slice.reasons.iter().copied().map(Cell::Number));
                cells.push(Cell::Number(ratio));
            }
        }
        cells.push(text(slice.status.name()));
        Ok(cells)
    };
    let rows = rows.iter().map(row).collect::<Result<_, Fault>>()?;
    Ok(Table { file: "reconciliation.csv", columns, rows, for_people: true })
}

/// What no reason explains: the last of [`Reason::ALL`].
pub(super) fn unexplained(slice: &Reconciliation) -> Amount {
    slice.reasons.last().copied().unwrap_or_default()
}

/// The age bucket of an open item, in days from the charge date (finance-conventions.md section 4).
pub(super) const fn bucket(age_days: i64) -> &'static str {
    match age_days {
        ..=1 => "0-1",
        2..=7 => "2-7",
        8..=30 => "8-30",
        31..=60 => "31-60",
        61..=90 => "61-90",
        _ => "over_90",
    }
}

/// An item that asks nothing of anyone: it clears by itself, or is booked as what it is.
pub(super) const fn is_explained(reason: Reason) -> bool {
    matches!(reason, Reason::Rounding | Reason::Timing | Reason::CutOff | Reason::NonUsage)
}

fn drift(rows: &[Drift]) -> Table {
    let row = |item: &Drift| {
        vec![
            text(&item.drift_id),
            Cell::Date(item.charge_date),
            text(&item.provider),
            text(&item.account),
            text(&item.sub_account),
            text(&item.api_key_id),
            text(&item.team),
            text(&item.model),
            text(&item.meter),
            text(item.grain),
            text(item.reason.name()),
            text(item.reason.assertion()),
            number(item.provider_quantity),
            number(item.ledger_quantity),
            Cell::Number(item.provider_cost),
            Cell::Number(item.ledger_cost),
            Cell::Number(item.quantity_variance),
            Cell::Number(item.price_variance),
            Cell::Number(item.other_variance),
            Cell::Number(item.difference),
            currency(item.currency),
            Cell::Date(item.first_seen),
            Cell::Number(Amount::whole(item.age_days)),
            text(bucket(item.age_days)),
            text(if is_explained(item.reason) { "explained" } else { "open" }),
            text(&item.pair_id),
            Cell::Flag(item.restated),
            Cell::Count(item.items),
            text(&item.evidence),
            text(item.reason.action()),
        ]
    };
    Table {
        file: "drift.csv",
        columns: vec![
            "drift_id",
            "charge_date",
            "provider",
            "account",
            "sub_account",
            "api_key_id",
            "team",
            "model",
            "meter",
            "grain",
            "reason",
            "assertion",
            "provider_quantity",
            "ledger_quantity",
            "provider_cost",
            "ledger_cost",
            "quantity_variance",
            "price_variance",
            "other_variance",
            "difference",
            "currency",
            "first_seen",
            "age_days",
            "bucket",
            "status",
            "pair_id",
            "restated",
            "items",
            "evidence",
            "action",
        ],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}

fn coverage(rows: &[Coverage]) -> Table {
    let row = |slice: &Coverage| {
        vec![
            date(slice.charge_date),
            text(&slice.provider),
            text(&slice.account),
            text(&slice.endpoint),
            text(&slice.cost_basis),
            text(slice.status.name()),
            Cell::Count(slice.rows_read),
            Cell::Count(slice.rows_used),
            Cell::Count(slice.duplicates),
            Cell::Count(slice.quarantined),
            number(slice.amount),
            slice.currency.map_or(Cell::Empty, currency),
        ]
    };
    Table {
        file: "coverage.csv",
        columns: vec![
            "charge_date",
            "provider",
            "account",
            "endpoint",
            "cost_basis",
            "status",
            "rows_read",
            "rows_used",
            "duplicates",
            "quarantined",
            "amount",
            "currency",
        ],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}

fn quarantine(rows: &[Quarantine]) -> Table {
    let row = |set_aside: &Quarantine| {
        vec![
            date(set_aside.charge_date),
            text(&set_aside.provider),
            text(&set_aside.account),
            text(&set_aside.endpoint),
            text(&set_aside.file),
            Cell::Count(set_aside.row),
            text(&set_aside.reason),
            number(set_aside.amount),
            set_aside.currency.map_or(Cell::Empty, currency),
        ]
    };
    Table {
        file: "quarantine.csv",
        columns: vec!["charge_date", "provider", "account", "endpoint", "file", "row", "reason", "amount", "currency"],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}

fn ledger_findings(rows: &[LedgerFinding]) -> Table {
    let row = |found: &LedgerFinding| {
        vec![
            Cell::Date(found.charge_date),
            text(&found.ledger),
            text(found.finding.name()),
            Cell::Count(found.rows),
            Cell::Number(found.amount),
            currency(found.currency),
            text(&found.examples),
            text(found.finding.meaning()),
        ]
    };
    Table {
        file: "ledger_findings.csv",
        columns: vec!["charge_date", "ledger", "finding", "rows", "amount", "currency", "examples", "meaning"],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}

fn restatements(rows: &[Restatement]) -> Table {
    let row = |change: &Restatement| {
        // Both are below the limits at the door, so their difference fits.
        let delta = change.new.zip(change.old).and_then(|(new, old)| new.checked_sub(old));
        vec![
            Cell::Date(change.charge_date),
            text(&change.provider),
            text(&change.account),
            text(&change.endpoint),
            Cell::Date(change.restated_on),
            Cell::Count(change.version),
            Cell::Count(change.rows.0),
            Cell::Count(change.rows.1),
            change.currency.map_or(Cell::Empty, currency),
            number(change.old),
            number(change.new),
            number(delta),
        ]
    };
    Table {
        file: "restatements.csv",
        columns: vec![
            "charge_date",
            "provider",
            "account",
            "endpoint",
            "restated_on",
            "version",
            "rows_old",
            "rows_new",
            "currency",
            "old",
            "new",
            "delta",
        ],
        rows: rows.iter().map(row).collect(),
        for_people: true,
    }
}
