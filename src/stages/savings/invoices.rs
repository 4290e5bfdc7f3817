//! Platforms' invoices: what stands in place of a plan's fee, and the tie-out of the two.

use super::SavingsTerms;
use super::groups::Group;
use super::price::{GroupMonth, too_large};
use super::rows::{ALL, InvoiceTie};
use super::usage::exchanged;
use crate::domain::agreement::{Agreement, Invoice};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, SCALE};
use crate::domain::period::Days;
use crate::domain::plan::Portion;
use crate::stages::reference::Reference;
use chrono::{Months, NaiveDate};

fn whole_month(month: NaiveDate) -> Days {
    Days { from: month, to: month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX) }
}

fn is_for(invoice: &Invoice, agreement: &Agreement) -> bool {
    invoice.issuer == agreement.plan.name && invoice.team == agreement.team
}

/// What was invoiced for a group's month, in the reporting currency, cut to the days that the group has.
/// Where two agreements fit one invoice the first of the job takes it.
pub(super) fn invoiced(group: &Group, terms: &SavingsTerms, reference: &Reference) -> Result<Option<Amount>, Fault> {
    let Some(index) = group.agreement else { return Ok(None) };
    let mut total = None;
    for invoice in terms.invoices.iter().filter(|invoice| invoice.month == group.month) {
        let month = whole_month(invoice.month);
        let in_force = |agreement: &Agreement| agreement.days.from < month.to && month.from < agreement.days.to;
        let first = terms.agreements.iter().position(|agreement| is_for(invoice, agreement) && in_force(agreement));
        if first != Some(index) {
            continue;
        }
        let last = month.to.pred_opt().unwrap_or(month.from).min(reference.business_date());
        let amount = exchanged(&reference.rates, invoice.amount, invoice.currency, reference.reporting_currency, last)?;
        let part = Portion::of(group.days).share(amount, SCALE).ok_or_else(too_large)?;
        total = Some(part.checked_add(total.unwrap_or_default()).ok_or_else(too_large)?);
    }
    Ok(total)
}

/// Every invoice of the window beside the fees of its plan, and every fee without an invoice. A month that the
/// window cuts has no figure per charges yet.
///
/// # Errors
/// A missing rate (65).
pub(super) fn ties(
    months: &[(&Group, GroupMonth)],
    terms: &SavingsTerms,
    reference: &Reference,
) -> Result<Vec<InvoiceTie>, Fault> {
    let mut ties = Vec::new();
    let team = |team: &Option<String>| team.clone().unwrap_or(ALL.to_string());
    let whole = |group: &Group| {
        let month = whole_month(group.month);
        reference.window.from <= month.from && month.to <= reference.window.to
    };
    for invoice in &terms.invoices {
        let month = whole_month(invoice.month);
        if month.to <= reference.window.from || reference.window.to <= month.from {
            continue;
        }
        let charged = months.iter().filter(|(group, _)| {
            let agreement = group.agreement.and_then(|index| terms.agreements.get(index));
            group.month == invoice.month && whole(group) && agreement.is_some_and(|agreement| is_for(invoice, agreement))
        });
        let mut per_charges = None;
        for (_, charged) in charged {
            per_charges = Some(charged.fees.checked_add(per_charges.unwrap_or_default()).ok_or_else(too_large)?);
        }
        let last = month.to.pred_opt().unwrap_or(month.from).min(reference.business_date());
        let per_invoice = exchanged(&reference.rates, invoice.amount, invoice.currency, reference.reporting_currency, last)?;
        ties.push(InvoiceTie {
            period_start: invoice.month,
            issuer: invoice.issuer.clone(),
            invoice_id: invoice.id.clone(),
            team: team(&invoice.team),
            per_invoice: Some(per_invoice),
            per_charges,
            currency: reference.reporting_currency,
        });
    }
    for (group, month) in months.iter().filter(|(group, month)| whole(group) && !month.fees.is_zero()) {
        let Some(agreement) = group.agreement.and_then(|index| terms.agreements.get(index)) else { continue };
        if terms.invoices.iter().any(|invoice| invoice.month == group.month && is_for(invoice, agreement)) {
            continue;
        }
        ties.push(InvoiceTie {
            period_start: group.month,
            issuer: agreement.plan.name.clone(),
            invoice_id: String::new(),
            team: team(&agreement.team),
            per_invoice: None,
            per_charges: Some(month.fees),
            currency: reference.reporting_currency,
        });
    }
    Ok(ties)
}
