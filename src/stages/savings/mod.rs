//! Savings: what credits and own keys cost for the same usage, who saved, who would (contract 4.6).
//!
//! ```text
//! attribution, ledger entries ── usage: by team, provider, model, funding and day
//!                                  │
//!        agreements of the job ── groups: the level on which fees are charged
//!                                  │
//!                                price: both routes, and what was paid, shared down exactly
//!                                  │
//!         pools, invoices ──────── totals, advice: rows
//! ```

pub mod advice;
pub mod curve;
pub mod groups;
mod invoices;
mod prepaid;
pub mod price;
pub mod rows;
pub mod suppose;
mod totals;
pub mod usage;

use super::facts::Facts;
use super::reference::Reference;
use super::results::Attribution;
use crate::domain::agreement::{Agreement, Invoice, Pool};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use curve::PlanCurve;
use groups::Group;
use price::{Bought, GroupMonth, price};
use rows::Savings;

/// What a job says about credits and own keys.
#[derive(Clone, Debug, Default)]
pub struct SavingsTerms {
    pub agreements: Vec<Agreement>,
    /// Money an hour, in the reporting currency; the plan's where absent.
    pub wage: Option<Amount>,
    pub pools: Vec<Pool>,
    pub invoices: Vec<Invoice>,
}

/// Savings of everything that was used in the window. Nothing where no agreement is in force: there is nothing
/// to compare then.
///
/// # Errors
/// A missing rate of exchange (65) with its day; a sum that does not fit (70).
pub fn savings(
    facts: &Facts,
    reference: &Reference,
    terms: &SavingsTerms,
    attribution: &[Attribution],
) -> Result<Savings, Fault> {
    if terms.agreements.is_empty() && terms.pools.is_empty() && terms.invoices.is_empty() {
        return Ok(Savings::default());
    }
    of_usage(&usage::usage(facts, reference, attribution)?, reference, terms)
}

/// Savings of given usage: the same figures for what happened and for what `whatif` supposes.
///
/// # Errors
/// As [`savings`].
pub fn of_usage(usage: &[usage::Usage], reference: &Reference, terms: &SavingsTerms) -> Result<Savings, Fault> {
    let groups = under_plans(usage, reference, terms);
    let (pools, months) = priced(&groups, reference, terms)?;
    Ok(Savings {
        currency: Some(reference.reporting_currency),
        rows: totals::rows(&months, terms, reference)?,
        clients: totals::clients(&months, terms)?,
        fallbacks: totals::fallbacks(&months)?,
        prepaid: pools.rows()?,
        invoices: invoices::ties(&months, terms, reference)?,
    })
}

/// What both routes cost at every volume, for each plan and month that has usage in the plan's unit: the data of a
/// drawing, with so many steps from 0. At its crossings stands what `break_even_volume` says.
///
/// # Errors
/// As [`savings`].
pub fn curves(usage: &[usage::Usage], reference: &Reference, terms: &SavingsTerms, parts: u32) -> Result<Vec<PlanCurve>, Fault> {
    let groups = under_plans(usage, reference, terms);
    let (_, months) = priced(&groups, reference, terms)?;
    let mut curves = Vec::new();
    for (group, month) in &months {
        curves.extend(curve::curve(group, month, terms, parts)?);
    }
    Ok(curves)
}

/// The usage by the plan that it falls under; nothing where there is no plan at all.
fn under_plans(usage: &[usage::Usage], reference: &Reference, terms: &SavingsTerms) -> Vec<Group> {
    match terms.agreements.is_empty() {
        true => Vec::new(),
        false => groups::groups(&terms.agreements, usage, reference.window),
    }
}

/// What a group's month costs, each way.
type Months<'a> = Vec<(&'a Group, GroupMonth)>;

/// Every group's month, with what pools and invoices say of it.
fn priced<'a>(
    groups: &'a [Group],
    reference: &'a Reference,
    terms: &'a SavingsTerms,
) -> Result<(prepaid::Pools<'a>, Months<'a>), Fault> {
    let mut drawn = Vec::new();
    for group in groups {
        drawn.push(price(group, terms, reference, Bought::default())?.drawn);
    }
    let pools = prepaid::Pools::new(groups, &drawn, terms, reference)?;
    let mut months: Vec<(&Group, GroupMonth)> = Vec::new();
    for group in groups {
        let bought = Bought { invoiced: invoices::invoiced(group, terms, reference)?, ..pools.bought(group)? };
        months.push((group, price(group, terms, reference, bought)?));
    }
    Ok((pools, months))
}
