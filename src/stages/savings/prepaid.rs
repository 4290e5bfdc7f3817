//! Credit pools, drawn down by what was paid on credits (shapes S11, S12, S18).

use super::SavingsTerms;
use super::groups::{Group, month_in};
use super::price::{Bought, too_large};
use super::rows::Prepaid;
use super::usage::exchanged;
use crate::domain::agreement::{Agreement, Pool};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, sum};
use crate::domain::period::{Days, month_start};
use crate::domain::plan::Route;
use crate::domain::plan::prepaid::{Draw, Lot, PoolMonth, draw_down};
use crate::stages::reference::Reference;
use chrono::{Months, NaiveDate};

/// A line that was paid on credits: day, credits that the platform debited, money.
type Drawn = (NaiveDate, Option<Amount>, Amount);

/// A pool with what went in, and what went out by day.
type Drawing<'a> = (&'a Pool, Vec<Lot>, Vec<(NaiveDate, Draw)>);

/// The pools of a job with everything that went in and out.
pub(super) struct Pools<'a> {
    terms: &'a SavingsTerms,
    reference: &'a Reference,
    pools: Vec<Drawing<'a>>,
}

impl<'a> Pools<'a> {
    /// `drawn` is what each group paid on credits, in the order of the groups.
    ///
    /// # Errors
    /// A missing rate (65).
    pub(super) fn new(
        groups: &[Group],
        drawn: &[Vec<Drawn>],
        terms: &'a SavingsTerms,
        reference: &'a Reference,
    ) -> Result<Pools<'a>, Fault> {
        let mut pools = Vec::new();
        for pool in &terms.pools {
            // What was used before the window is not known: the last balance shown before it stands for that.
            let shown = pool.balances.iter().rev().find(|(day, _)| *day < reference.window.from);
            let (since, there) = shown.copied().unwrap_or((NaiveDate::MIN, pool.opening));
            let before = Lot { day: since, units: there, expires: None, granted: false };
            let bought = pool.purchases.iter().filter(|bought| bought.day > since).map(|bought| Lot {
                day: bought.day,
                units: bought.units,
                expires: bought.expires,
                granted: bought.price.is_none(),
            });
            let lots: Vec<Lot> = std::iter::once(before).chain(bought).collect();
            let mut draws: Vec<(NaiveDate, Draw)> = Vec::new();
            for (group, drawn) in groups.iter().zip(drawn) {
                let agreement = group.agreement.and_then(|index| terms.agreements.get(index));
                let Some(agreement) = agreement.filter(|agreement| agreement.pool.as_ref() == Some(&pool.name)) else { continue };
                for (day, credits, paid) in drawn {
                    let units = match credits {
                        Some(credits) => *credits,
                        None => units(agreement, pool, *paid, *day, reference)?,
                    };
                    draws.push((*day, Draw::Use(units)));
                }
            }
            draws.extend(pool.refunds.iter().map(|(day, units)| (*day, Draw::Refund(*units))));
            let leaving = terms.agreements.iter().filter(|agreement| agreement.pool.as_ref() == Some(&pool.name));
            for agreement in leaving.filter(|agreement| agreement.route == Some(Route::Byok)) {
                if let Some(day) = agreement.switch {
                    let terms =
                        agreement.plan.terms(Route::Credits, agreement.credits_offer.as_deref(), agreement.signed_up, day);
                    draws.extend(terms.map(|terms| (day, Draw::Leave(terms.unused))));
                }
            }
            pools.push((pool, lots, draws));
        }
        Ok(Pools { terms, reference, pools })
    }

    /// What a group's pool says of its month.
    ///
    /// # Errors
    /// A missing rate (65).
    pub(super) fn bought(&self, group: &Group) -> Result<Bought, Fault> {
        let agreement = group.agreement.and_then(|index| self.terms.agreements.get(index));
        let found = agreement.and_then(|agreement| {
            let name = agreement.pool.as_ref()?;
            self.pools.iter().find(|(pool, ..)| pool.name == *name).map(|pool| (agreement, pool))
        });
        let Some((agreement, (pool, lots, draws))) = found else { return Ok(Bought::default()) };
        let (mut count, mut fees) = (0, Amount::ZERO);
        for bought in pool.purchases.iter().filter(|bought| bought.price.is_some() && group.days.contains(bought.day)) {
            count += 1;
            fees = fees.checked_add(self.reporting(bought.fee, pool, bought.day)?).ok_or_else(too_large)?;
        }
        let month = draw_down(lots, draws, group.days).ok_or_else(too_large)?;
        let last = group.days.to.pred_opt().unwrap_or(group.days.from);
        let expired = self.worth(month.expired, agreement, pool, last)?;
        Ok(Bought { deposits: Some((count, fees)), expired, invoiced: None })
    }

    /// Credits in money: at the plan's price of one, else what the pool's purchases cost on average.
    fn worth(&self, units: Amount, agreement: &Agreement, pool: &Pool, day: NaiveDate) -> Result<Amount, Fault> {
        let terms = agreement.plan.terms(Route::Credits, agreement.credits_offer.as_deref(), agreement.signed_up, day);
        if let Some(price) = terms.and_then(|terms| terms.credit_price) {
            let money = units.times(price.low).ok_or_else(too_large)?;
            let (from, to) = (agreement.plan.currency, self.reference.reporting_currency);
            return exchanged(&self.reference.rates, money, from, to, day);
        }
        let priced = || pool.purchases.iter().filter_map(|bought| Some((bought.units, bought.price?)));
        let all = sum(priced().map(|(units, _)| units)).zip(sum(priced().map(|(_, price)| price)));
        let money = match all.filter(|(units, _)| !units.is_zero() && pool.unit != pool.currency.code()) {
            Some((all, price)) => units.mul_div(price.atto(), all.atto()).ok_or_else(too_large)?,
            None => units,
        };
        self.reporting(money, pool, day)
    }

    fn reporting(&self, money: Amount, pool: &Pool, day: NaiveDate) -> Result<Amount, Fault> {
        exchanged(&self.reference.rates, money, pool.currency, self.reference.reporting_currency, day)
    }

    /// Every pool over every month of the window.
    ///
    /// # Errors
    /// A sum that does not fit (70).
    pub(super) fn rows(&self) -> Result<Vec<Prepaid>, Fault> {
        let window = self.reference.window;
        let mut rows = Vec::new();
        for (pool, lots, draws) in &self.pools {
            let mut month = month_start(window.from);
            while month < window.to {
                let days = month_in(window, month);
                rows.push(row(pool, month, days, lots, draws).ok_or_else(too_large)?);
                month = month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
            }
        }
        Ok(rows)
    }
}

/// Money on credits as units of a pool.
fn units(agreement: &Agreement, pool: &Pool, paid: Amount, day: NaiveDate, reference: &Reference) -> Result<Amount, Fault> {
    let reporting = reference.reporting_currency;
    let terms = agreement.plan.terms(Route::Credits, agreement.credits_offer.as_deref(), agreement.signed_up, day);
    let price = terms.and_then(|terms| terms.credit_price).filter(|price| !price.low.is_zero());
    match price.filter(|_| pool.unit != pool.currency.code()) {
        Some(price) => {
            let money = exchanged(&reference.rates, paid, reporting, agreement.plan.currency, day)?;
            money.ratio(price.low).ok_or_else(too_large)
        }
        None => exchanged(&reference.rates, paid, reporting, pool.currency, day),
    }
}

fn row(pool: &Pool, month: NaiveDate, days: Days, lots: &[Lot], draws: &[(NaiveDate, Draw)]) -> Option<Prepaid> {
    let PoolMonth { opening, purchased, granted, used, expired, refunded, closing, short } = draw_down(lots, draws, days)?;
    let shown = match pool.balances.iter().rev().find(|(day, _)| days.contains(*day)) {
        None => None,
        Some((day, units)) => {
            let until = Days { from: days.from, to: day.succ_opt()? };
            Some((*day, *units, draw_down(lots, draws, until)?.closing))
        }
    };
    let bought = || pool.purchases.iter().filter(|bought| days.contains(bought.day));
    Some(Prepaid {
        period_start: month,
        pool: pool.name.clone(),
        unit: pool.unit.clone(),
        opening,
        purchased,
        granted,
        used,
        expired,
        refunded,
        closing,
        short,
        shown,
        paid: sum(bought().filter_map(|bought| bought.price))?,
        fees: sum(bought().map(|bought| bought.fee))?,
        currency: pool.currency,
    })
}
