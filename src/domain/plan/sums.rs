//! What a month's usage comes to, as far as a route's prices care: how each line is priced, and sums of it.

use super::{LIST_COST, Rate, Route, Terms, UsageLine};
use crate::domain::money::Amount;
use crate::domain::usage::meter;
use std::collections::BTreeMap;

/// How a route prices a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Priced {
    /// Credits that were debited.
    Debited(Amount),
    /// By rates: number of the rate, units.
    Rates(Vec<(usize, Amount)>),
    /// By the route's subscription or packs: units.
    Covered(Amount),
    /// By a subscription at the provider: number of the step, units.
    Step(usize, Amount),
    /// At list price, or as one's own account is charged.
    List,
}

/// How the terms price a line; `None` where they have no price for it, or it has none itself.
pub fn priced(terms: &Terms, unit: &str, line: &UsageLine) -> Option<Priced> {
    match terms.route {
        Route::Credits => {
            if let (Some(credits), Some(_)) = (line.credits, terms.credit_price) {
                return Some(Priced::Debited(credits));
            }
            let units = line.quantity(unit);
            let covered = !units.is_zero() && (terms.subscription.is_some() || terms.pack.is_some());
            rates(terms, unit, line)
                .or_else(|| covered.then_some(Priced::Covered(units)))
                .or_else(|| terms.percent.and(line.list_cost).map(|_| Priced::List))
        }
        Route::Byok => {
            let step =
                terms.steps.iter().position(|step| step.provider == line.provider && !line.quantity(&step.meter).is_zero());
            match (step.and_then(|at| terms.steps.get(at).map(|step| (at, step))), line.list_cost) {
                (Some((at, step)), Some(_)) => Some(Priced::Step(at, line.quantity(&step.meter))),
                (Some(_), None) => None,
                (None, Some(_)) => Some(Priced::List),
                (None, None) => rates(terms, unit, line),
            }
        }
    }
}

/// A rate on calls or on the plan's unit is for the whole line. Otherwise every meter of the line needs its
/// rate: a meter without one would be counted as nothing.
fn rates(terms: &Terms, unit: &str, line: &UsageLine) -> Option<Priced> {
    let fits = |rate: &Rate| {
        let same = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
        same(&rate.provider, &line.provider) && same(&rate.model, &line.model)
    };
    let numbered = || terms.rates.iter().enumerate().filter(|(_, rate)| fits(rate));
    let whole = numbered().find(|(_, rate)| {
        let whole = rate.meter == unit || rate.meter == meter::REQUESTS || rate.meter == LIST_COST;
        whole && !line.quantity(&rate.meter).is_zero()
    });
    if let Some((at, rate)) = whole {
        return Some(Priced::Rates(vec![(at, line.quantity(&rate.meter))]));
    }
    let mut found = Vec::new();
    for (name, quantity) in line.meters.iter().filter(|(_, quantity)| !quantity.is_zero()) {
        found.push((numbered().find(|(_, rate)| rate.meter == *name)?.0, *quantity));
    }
    (!found.is_empty()).then_some(Priced::Rates(found))
}

/// What an account of one's own is charged for a line: the price book's contracted price, else the plan's
/// discount on list price. With credits the contracts of one's own account do not hold.
pub fn own_cost(terms: &Terms, line: &UsageLine, list: Amount) -> Option<Amount> {
    if terms.route == Route::Byok
        && let Some(contracted) = line.contracted_cost.filter(|contracted| *contracted != list)
    {
        return Some(contracted);
    }
    let same = |asked: &Option<String>, name: Option<&str>| asked.is_none() || asked.as_deref() == name;
    let discount = terms.discounts.iter().rev().find(|discount| {
        let account = same(&discount.account, Some(&line.account)) && same(&discount.api_key_id, line.api_key_id.as_deref());
        account && same(&discount.provider, Some(&line.provider))
    });
    match discount {
        Some(discount) => list.checked_sub(list.times(discount.off)?),
        None => Some(list),
    }
}

/// A provider's part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProviderSums {
    /// At list price or as one's own account is charged.
    pub direct: Amount,
    pub debited: Amount,
    /// Units by number of the rate.
    pub rates: BTreeMap<usize, Amount>,
}

/// The usage of a route, summed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub providers: BTreeMap<String, ProviderSums>,
    /// Base of all lines.
    pub base: Amount,
    /// Base of the lines at list price.
    pub list_base: Amount,
    /// Base of the lines that a subscription at a provider covers.
    pub step_base: Amount,
    /// Units by number of the step.
    pub steps: BTreeMap<usize, Amount>,
    pub requests: Amount,
    /// In the plan's unit, of all lines.
    pub volume: Amount,
    /// In the plan's unit, of the lines that the subscription covers.
    pub covered: Amount,
}

fn grow(sum: &mut Amount, by: Amount) -> Option<()> {
    *sum = sum.checked_add(by)?;
    Some(())
}

impl Sums {
    /// Adds a line with its base. `None` only if a sum does not fit.
    pub fn add(&mut self, terms: &Terms, unit: &str, line: &UsageLine, priced: &Priced, base: Amount) -> Option<()> {
        grow(&mut self.base, base)?;
        grow(&mut self.requests, line.requests)?;
        grow(&mut self.volume, line.quantity(unit))?;
        let provider = self.providers.entry(line.provider.clone()).or_default();
        match priced {
            Priced::Debited(credits) => grow(&mut provider.debited, *credits),
            Priced::Rates(rates) => rates.iter().try_for_each(|(at, units)| grow(provider.rates.entry(*at).or_default(), *units)),
            Priced::Covered(units) => grow(&mut self.covered, *units),
            Priced::Step(at, units) => {
                grow(&mut self.step_base, base)?;
                grow(self.steps.entry(*at).or_default(), *units)
            }
            Priced::List => {
                grow(&mut self.list_base, base)?;
                grow(&mut provider.direct, own_cost(terms, line, base)?)
            }
        }
    }

    /// Units of a rate over all providers.
    pub fn rate_units(&self, at: usize) -> Option<Amount> {
        crate::domain::money::sum(self.providers.values().filter_map(|provider| provider.rates.get(&at).copied()))
    }
}
