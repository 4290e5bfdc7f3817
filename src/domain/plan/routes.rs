//! A route's cost over the multiple of a month's usage, component by component. The month's own cost is the
//! value at 1, so that what is charged and what break-even sees can never differ.

use super::compare::Asked;
use super::cost::{Component, Cost, PlanError};
use super::curve::Curve;
use super::fraction::Fraction;
use super::sums::Sums;
use super::{Allowance, Bound, Deposit, Ladder, Portion, Range, Route, Terms};
use crate::domain::money::{Amount, SCALE};
use std::collections::BTreeMap;

/// A route's curves.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteCurves {
    pub base: Curve,
    pub parts: BTreeMap<Component, Curve>,
    /// Base and all parts but the hours.
    pub cash: Curve,
    pub all_in: Curve,
    /// What bundles and packs cost, what the percentage takes, and each provider's subscription: pools that are
    /// shared by their own weights, see [`super::compare`].
    pub bundle: Curve,
    pub percentage: Curve,
    pub steps: BTreeMap<usize, Curve>,
    pub rates: BTreeMap<usize, Curve>,
}

/// The curves of a route at one end of its ranges.
pub fn curves(terms: &Terms, sums: &Sums, asked: &Asked, bound: Bound) -> Option<RouteCurves> {
    let days = match terms.route {
        Route::Credits => asked.credits_days,
        Route::Byok => asked.byok_days,
    };
    let monthly = |amount: Amount| days.share(amount, SCALE);
    let base = Curve::linear(sums.base);
    let rates = rate_curves(terms, sums, bound)?;
    let steps = step_curves(terms, sums, days, bound)?;
    let providers = provider_curves(terms, sums, &rates, &steps, bound)?;
    let usage = total(providers.values())?;
    let bundle = bundle(terms, sums, days, bound)?;
    let percentage = percentage(terms, sums, bound)?;
    let from_balance = match terms.route {
        Route::Credits => usage.plus(&percentage)?,
        Route::Byok => percentage.clone(),
    };
    let mut parts = BTreeMap::new();
    match terms.route {
        Route::Credits => {
            let direct = crate::domain::money::sum(sums.providers.values().map(|provider| provider.direct))?;
            let discount = Curve::linear(direct.checked_sub(sums.list_base)?);
            let markup = usage.plus(&percentage)?.minus(&base)?.minus(&discount)?.plus(&bundle)?;
            parts.insert(Component::Markup, markup);
            parts.insert(Component::Discount, discount);
            parts.insert(Component::IdleOrExpired, Curve::constant(asked.expired));
        }
        Route::Byok => {
            let step = total(steps.values())?;
            let step_base = Curve::linear(sums.step_base);
            parts.insert(Component::Discount, usage.minus(&step)?.minus(&base.minus(&step_base)?)?);
            parts.insert(Component::SubscriptionStep, step.minus(&step_base)?);
            parts.insert(Component::ByokPlatformFee, percentage.clone());
        }
    }
    if let Some(deposit) = &terms.deposit {
        parts.insert(Component::DepositFee, deposit_fee(deposit, &from_balance, asked.deposits)?);
    }
    let mut minimum = Curve::zero();
    for least in &terms.minimums {
        let spent = match &least.provider {
            Some(name) => match providers.get(name) {
                Some(spent) => spent.clone(),
                // Nothing used there, no account there.
                None => continue,
            },
            None if terms.route == Route::Credits => from_balance.clone(),
            None => usage.clone(),
        };
        minimum = minimum.plus(&Curve::constant(least.amount).minus(&spent)?.max(&Curve::zero())?)?;
    }
    parts.insert(Component::Minimum, minimum);
    let flat = Curve::constant(monthly(terms.flat_fee.at(bound))?);
    let fixed = flat.plus(&bundle)?;
    // A bundle of credits stands in place of list cost: it is markup. With own keys it is a fee of the platform.
    parts.insert(Component::FlatFee, if terms.route == Route::Byok { fixed.clone() } else { flat });
    if !terms.value.is_zero() {
        let value = Curve::constant(monthly(terms.value)?);
        parts.insert(Component::Other, Curve::zero().minus(&fixed.min(&value)?)?);
    }
    // Curves with many knots last, so that they are added once.
    let mut adding: Vec<&Curve> = parts.values().chain([&base]).collect();
    adding.sort_by_key(|curve| curve.knots.len());
    let paid = total(adding.into_iter())?;
    if !terms.fx.is_zero() {
        // The value that comes with a fee is no payment; everything else is.
        let other = parts.get(&Component::Other).cloned().unwrap_or_else(Curve::zero);
        parts.insert(Component::Fx, paid.minus(&other)?.times(terms.fx.into())?);
    }
    let cash = match parts.get(&Component::Fx) {
        Some(fx) => paid.plus(fx)?,
        None => paid,
    };
    let wage = asked.wage.or(terms.wage).unwrap_or_default();
    let hours = Curve::constant(monthly(terms.ops_hours.at(bound).times(wage)?)?);
    let all_in = cash.plus(&hours)?;
    parts.insert(Component::OpsHours, hours);
    parts.retain(|_, curve| !curve.is_zero());
    Some(RouteCurves { base, parts, cash, all_in, bundle, percentage, steps, rates })
}

impl RouteCurves {
    /// The month's own cost.
    ///
    /// # Errors
    /// More volume than the plan has a price for, or a figure that does not fit.
    pub fn month(&self, volume: Amount) -> Result<Cost, PlanError> {
        if let Some(last) = self.cash.last().filter(|last| *last < Fraction::ONE) {
            let last = last.times(volume.into()).and_then(Fraction::to_amount).ok_or(PlanError::Overflow)?;
            return Err(PlanError::Beyond { volume, last });
        }
        let at = |curve: &Curve| curve.at(Fraction::ONE).and_then(Fraction::to_amount).ok_or(PlanError::Overflow);
        let mut cost = Cost { base: at(&self.base)?, parts: BTreeMap::new() };
        for (component, curve) in &self.parts {
            let amount = at(curve)?;
            if !amount.is_zero() {
                cost.parts.insert(*component, amount);
            }
        }
        Ok(cost)
    }
}

fn total<'a>(curves: impl Iterator<Item = &'a Curve>) -> Option<Curve> {
    curves.into_iter().try_fold(Curve::zero(), |sum, curve| sum.plus(curve))
}

/// Prices of each rate for all its units, in money.
fn rate_curves(terms: &Terms, sums: &Sums, bound: Bound) -> Option<BTreeMap<usize, Curve>> {
    let mut curves = BTreeMap::new();
    for (at, rate) in terms.rates.iter().enumerate() {
        let mut curve = rate.curve(sums.rate_units(at)?, bound)?;
        if rate.in_credits {
            curve = curve.times(terms.credit_price?.at(bound).into())?;
        }
        curves.insert(at, curve);
    }
    Some(curves)
}

fn step_curves(terms: &Terms, sums: &Sums, days: Portion, bound: Bound) -> Option<BTreeMap<usize, Curve>> {
    let curve = |(at, units): (&usize, &Amount)| {
        let ladder = prorated(&terms.steps.get(*at)?.ladder, days)?;
        Some((*at, ladder.curve(*units, bound)?))
    };
    sums.steps.iter().map(curve).collect()
}

/// Usage charges of each provider.
fn provider_curves(
    terms: &Terms,
    sums: &Sums,
    rates: &BTreeMap<usize, Curve>,
    steps: &BTreeMap<usize, Curve>,
    bound: Bound,
) -> Option<BTreeMap<String, Curve>> {
    let mut curves = BTreeMap::new();
    for (name, provider) in &sums.providers {
        let mut curve = Curve::linear(provider.direct);
        if !provider.debited.is_zero() {
            let price = Fraction::from(terms.credit_price?.at(bound));
            curve = curve.plus(&Curve::linear(price.times(provider.debited.into())?))?;
        }
        for (at, units) in &provider.rates {
            let all = sums.rate_units(*at)?;
            if !all.is_zero() {
                let share = Fraction::from(*units).over(all.into())?;
                curve = curve.plus(&rates.get(at)?.times(share)?)?;
            }
        }
        for (_, step) in steps.iter().filter(|(at, _)| terms.steps.get(**at).is_some_and(|step| step.provider == *name)) {
            curve = curve.plus(step)?;
        }
        curves.insert(name.clone(), curve);
    }
    Some(curves)
}

/// A subscription's or the packs' price. With own keys it is by the volume of all usage.
fn bundle(terms: &Terms, sums: &Sums, days: Portion, bound: Bound) -> Option<Curve> {
    let units = match terms.route {
        Route::Credits => sums.covered,
        Route::Byok => sums.volume,
    };
    let subscription = match &terms.subscription {
        Some(ladder) => prorated(ladder, days)?.curve(units, bound)?,
        None => Curve::zero(),
    };
    match &terms.pack {
        Some(pack) => subscription.plus(&pack.curve(units, bound)?),
        None => Some(subscription),
    }
}

/// Price and included units of a part of a month.
fn prorated(ladder: &Ladder, days: Portion) -> Option<Ladder> {
    let mut ladder = ladder.clone();
    for tier in &mut ladder.tiers {
        tier.price = Range { low: days.share(tier.price.low, SCALE)?, high: days.share(tier.price.high, SCALE)? };
        tier.included = match tier.included {
            Some(units) => Some(days.share(units, SCALE)?),
            None => None,
        };
    }
    Some(ladder)
}

/// The percentage of list cost beyond the allowance.
fn percentage(terms: &Terms, sums: &Sums, bound: Bound) -> Option<Curve> {
    let Some(percent) = terms.percent else { return Some(Curve::zero()) };
    let list = match terms.route {
        Route::Credits => sums.list_base,
        Route::Byok => sums.base,
    };
    let all = Curve::linear(list);
    let beyond = match terms.allowance {
        None => all,
        Some(Allowance::ListCost(free)) => all.minus(&Curve::constant(free))?.max(&Curve::zero())?,
        // Calls beyond the free ones are taken at the average list cost of all.
        Some(Allowance::Requests(_)) if sums.requests.is_zero() => Curve::zero(),
        Some(Allowance::Requests(free)) => {
            let free = Fraction::from(free).over(sums.requests.into())?.times(list.into())?;
            all.minus(&Curve::constant(free))?.max(&Curve::zero())?
        }
    };
    beyond.times(percent.at(bound).into())
}

/// The fee of so many equal deposits of what is paid from the balance; none where nothing is.
fn deposit_fee(deposit: &Deposit, paid: &Curve, deposits: u32) -> Option<Curve> {
    if paid.is_zero() {
        return Some(Curve::zero());
    }
    let least = Fraction::from(deposit.minimum).times(Fraction::whole(i64::from(deposits)))?;
    paid.times(deposit.part.into())?.max(&Curve::constant(least))?.where_paid(paid)
}
