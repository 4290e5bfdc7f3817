//! Both routes for the same usage (contract 4.6): what each costs, what the difference is made of, and what
//! could not be compared.

use super::cost::{Component, Cost, PlanError, difference};
use super::fraction::Fraction;
use super::routes::{RouteCurves, curves};
use super::sums::{Priced, Sums, own_cost, priced};
use super::{Bound, Portion, Range, Route, Terms, UsageLine};
use crate::domain::money::{Amount, SCALE, sum};
use std::collections::BTreeMap;

/// What is asked beside terms and usage.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// What volume is counted in, see [`super::Plan::unit`].
    pub unit: String,
    /// Days of the month over which the monthly figures of each route count.
    pub credits_days: Portion,
    pub byok_days: Portion,
    /// Money an hour; `None`: the plan's own wage, else hours cost nothing.
    pub wage: Option<Amount>,
    /// Deposits a month over which the deposit fee is taken; contract 4.8: one, without a purchase history.
    pub deposits: u32,
    /// Credits that expired in the month, in money: a cost of the credits route.
    pub expired: Amount,
}

impl Asked {
    /// A whole month, one deposit, no wage, nothing expired.
    pub fn month(unit: &str) -> Asked {
        Asked {
            unit: unit.to_string(),
            credits_days: Portion::WHOLE,
            byok_days: Portion::WHOLE,
            wage: None,
            deposits: 1,
            expired: Amount::ZERO,
        }
    }
}

/// A line's part of every figure. Parts sum to the totals of [`Comparison`] exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCosts {
    pub credits_low: Cost,
    pub credits_high: Cost,
    pub byok_low: Cost,
    pub byok_high: Cost,
}

/// One route at both ends of its ranges.
#[derive(Clone, Debug, PartialEq)]
pub struct Both {
    pub low: Cost,
    pub high: Cost,
    pub(super) low_curves: RouteCurves,
    pub(super) high_curves: RouteCurves,
}

/// Two routes for the same usage. All costs are of the lines that both routes have a price for.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub credits: Both,
    pub byok: Both,
    /// In the plan's unit, of the compared lines.
    pub volume: Amount,
    /// For each line of the usage its part; `None` where a route has no price for it (`not_comparable`).
    pub lines: Vec<Option<LineCosts>>,
}

impl Comparison {
    /// Lines without a price on a route: counted and named, never 0.
    pub fn not_comparable(&self) -> usize {
        self.lines.iter().filter(|line| line.is_none()).count()
    }

    /// `credits − byok` in money paid; the low end is certain, the high end possible.
    pub fn saving(&self) -> Option<Range> {
        self.range(Cost::cash)
    }

    /// `credits − byok` with hours × wage.
    pub fn all_in_saving(&self) -> Option<Range> {
        self.range(Cost::all_in)
    }

    fn range(&self, figure: impl Fn(&Cost) -> Option<Amount>) -> Option<Range> {
        let low = figure(&self.credits.low)?.checked_sub(figure(&self.byok.high)?)?;
        let high = figure(&self.credits.high)?.checked_sub(figure(&self.byok.low)?)?;
        Some(Range { low, high })
    }

    /// What the low end of the saving is made of; with the hours, of the all-in saving.
    pub fn components(&self) -> Option<BTreeMap<Component, Amount>> {
        difference(&self.credits.low, &self.byok.high)
    }
}

/// Compares the routes for a month's usage, or a part of a month's. Both terms and the costs of the lines are
/// in one currency ([`Terms::in_currency`]).
///
/// The base that cancels out of the difference is list cost; where it is not known, what the own-keys rates of
/// the plan say at the high end of their ranges.
///
/// # Errors
/// More volume than a plan has a price for, or a figure that does not fit.
pub fn compare(credits: &Terms, byok: &Terms, usage: &[UsageLine], asked: &Asked) -> Result<Comparison, PlanError> {
    let both = |line: &UsageLine| Some((priced(credits, &asked.unit, line)?, priced(byok, &asked.unit, line)?));
    let kinds: Vec<Option<(Priced, Priced)>> = usage.iter().map(both).collect();
    let bases = bases(byok, usage, &kinds, asked).ok_or(PlanError::Overflow)?;
    let mut sums = (Sums::default(), Sums::default());
    for ((line, kinds), base) in usage.iter().zip(&kinds).zip(&bases) {
        let Some((on_credits, on_key)) = kinds else { continue };
        sums.0.add(credits, &asked.unit, line, on_credits, *base).ok_or(PlanError::Overflow)?;
        sums.1.add(byok, &asked.unit, line, on_key, *base).ok_or(PlanError::Overflow)?;
    }
    let volume = sums.0.volume;
    let route = |terms: &Terms, sums: &Sums| {
        let low_curves = curves(terms, sums, asked, Bound::Low).ok_or(PlanError::Overflow)?;
        let high_curves = match terms.has_ranges() {
            true => curves(terms, sums, asked, Bound::High).ok_or(PlanError::Overflow)?,
            false => low_curves.clone(),
        };
        let (low, high) = (low_curves.month(volume)?, high_curves.month(volume)?);
        Ok::<_, PlanError>(Both { low, high, low_curves, high_curves })
    };
    let mut comparison = Comparison { credits: route(credits, &sums.0)?, byok: route(byok, &sums.1)?, volume, lines: Vec::new() };
    let parts = |terms: &Terms, cost: &Cost, curves: &RouteCurves, bound: Bound| {
        let line = |((line, kinds), base): ((_, &'_ Option<(Priced, Priced)>), &Amount)| {
            let (on_credits, on_key) = kinds.as_ref()?;
            let kind = if terms.route == Route::Credits { on_credits } else { on_key };
            Some(Line { usage: line, kind: kind.clone(), base: *base })
        };
        let lines: Vec<Line<'_>> = usage.iter().zip(&kinds).zip(&bases).filter_map(line).collect();
        by_line(terms, &lines, cost, curves, asked, bound).ok_or(PlanError::Overflow)
    };
    let mut shares = parts(credits, &comparison.credits.low, &comparison.credits.low_curves, Bound::Low)?
        .into_iter()
        .zip(parts(credits, &comparison.credits.high, &comparison.credits.high_curves, Bound::High)?)
        .zip(parts(byok, &comparison.byok.low, &comparison.byok.low_curves, Bound::Low)?)
        .zip(parts(byok, &comparison.byok.high, &comparison.byok.high_curves, Bound::High)?)
        .map(|(((credits_low, credits_high), byok_low), byok_high)| LineCosts { credits_low, credits_high, byok_low, byok_high });
    comparison.lines = kinds.iter().map(|kinds| kinds.as_ref().and_then(|_| shares.next())).collect();
    Ok(comparison)
}

/// The base of each line; zero where the line is not compared.
fn bases(byok: &Terms, usage: &[UsageLine], kinds: &[Option<(Priced, Priced)>], asked: &Asked) -> Option<Vec<Amount>> {
    // Lines without a list cost are priced by the plan's own rates: their sum first, then each line's part.
    let mut unlisted = Sums::default();
    for (line, kinds) in usage.iter().zip(kinds) {
        if let (Some((_, on_key @ Priced::Rates(_))), None) = (kinds, line.list_cost) {
            unlisted.add(byok, &asked.unit, line, on_key, Amount::ZERO)?;
        }
    }
    let stated = RateShares::new(byok, &unlisted, Bound::High)?;
    usage
        .iter()
        .zip(kinds)
        .map(|(line, kinds)| match (kinds, line.list_cost) {
            (Some(_), Some(list)) => Some(list),
            (Some((_, Priced::Rates(rates))), None) => stated.charge(rates),
            (Some(_), None) | (None, _) => Some(Amount::ZERO),
        })
        .collect()
}

/// What a unit of each rate costs at the month's volume.
struct RateShares(BTreeMap<usize, Fraction>);

impl RateShares {
    fn new(terms: &Terms, sums: &Sums, bound: Bound) -> Option<RateShares> {
        let mut each = BTreeMap::new();
        for (at, rate) in terms.rates.iter().enumerate() {
            let units = sums.rate_units(at)?;
            if units.is_zero() {
                continue;
            }
            let mut price = rate.curve(units, bound)?.at(Fraction::ONE)?.over(units.into())?;
            if rate.in_credits {
                price = price.times(terms.credit_price?.at(bound).into())?;
            }
            each.insert(at, price);
        }
        Some(RateShares(each))
    }

    fn charge(&self, rates: &[(usize, Amount)]) -> Option<Amount> {
        let charges = rates.iter().map(|(at, units)| self.0.get(at)?.times((*units).into())?.to_amount());
        sum(charges.collect::<Option<Vec<_>>>()?)
    }
}

/// A compared line, as one route prices it.
struct Line<'a> {
    usage: &'a UsageLine,
    kind: Priced,
    base: Amount,
}

impl Line<'_> {
    /// List cost as a weight.
    fn weight(&self) -> Amount {
        self.base.max(Amount::ZERO)
    }
}

/// A route's cost, line by line. What a line causes by itself is its own: its rate, its discount, its list
/// cost. Bundles go by units, percentages by list cost, a provider's subscription by the units it covers.
/// Everything else goes by list cost; where no line has any, by calls, else evenly. Largest remainder, so the
/// lines sum to the route exactly, component by component.
fn by_line(
    terms: &Terms,
    lines: &[Line<'_>],
    cost: &Cost,
    curves: &RouteCurves,
    asked: &Asked,
    bound: Bound,
) -> Option<Vec<Cost>> {
    if lines.is_empty() {
        return Some(Vec::new());
    }
    let (usage_part, bundle_part) = match terms.route {
        Route::Credits => (Component::Markup, Component::Markup),
        Route::Byok => (Component::Discount, Component::FlatFee),
    };
    let each = RateShares(each_unit(curves, lines)?);
    let mut own: Vec<BTreeMap<Component, Amount>> = vec![BTreeMap::new(); lines.len()];
    let give = |own: &mut Vec<BTreeMap<Component, Amount>>, at: usize, component: Component, amount: Amount| {
        let part = own.get_mut(at)?.entry(component).or_default();
        *part = part.checked_add(amount)?;
        Some(())
    };
    for (at, line) in lines.iter().enumerate() {
        let over = |charge: Amount| charge.checked_sub(line.base);
        match &line.kind {
            Priced::Debited(credits) => {
                give(&mut own, at, usage_part, over(credits.times(terms.credit_price?.at(bound))?)?)?;
            }
            Priced::Rates(rates) => give(&mut own, at, usage_part, over(each.charge(rates)?)?)?,
            Priced::Covered(_) => give(&mut own, at, usage_part, -line.base)?,
            Priced::Step(..) => give(&mut own, at, Component::SubscriptionStep, -line.base)?,
            Priced::List => give(&mut own, at, Component::Discount, over(own_cost(terms, line.usage, line.base)?)?)?,
        }
    }
    let month = |curve: &super::curve::Curve| curve.at(Fraction::ONE).and_then(Fraction::to_amount);
    let mut pools: Vec<(Component, Amount, Vec<Amount>)> = Vec::new();
    let units = |line: &Line<'_>| match (terms.route, &line.kind) {
        (Route::Credits, Priced::Covered(units)) => *units,
        (Route::Credits, _) => Amount::ZERO,
        (Route::Byok, _) => line.usage.quantity(&asked.unit),
    };
    pools.push((bundle_part, month(&curves.bundle)?, lines.iter().map(units).collect()));
    let listed = |line: &Line<'_>| match (terms.route, &line.kind) {
        (Route::Byok, _) | (_, Priced::List) => line.weight(),
        _ => Amount::ZERO,
    };
    let percentage = if terms.route == Route::Credits { Component::Markup } else { Component::ByokPlatformFee };
    pools.push((percentage, month(&curves.percentage)?, lines.iter().map(listed).collect()));
    for (step, curve) in &curves.steps {
        let covered = |line: &Line<'_>| match &line.kind {
            Priced::Step(at, units) if at == step => *units,
            _ => Amount::ZERO,
        };
        pools.push((Component::SubscriptionStep, month(curve)?, lines.iter().map(covered).collect()));
    }
    for (component, amount, weights) in pools {
        for (at, part) in amount.split(&weights, SCALE).unwrap_or_default().into_iter().enumerate() {
            give(&mut own, at, component, part)?;
        }
    }
    let weighed: [fn(&Line<'_>) -> Amount; 3] = [|line| line.weight(), |line| line.usage.requests, |_| Amount::ONE];
    let weights = weighed.map(|weight| lines.iter().map(weight).collect::<Vec<_>>());
    let weights = weights.iter().find(|weights| weights.iter().any(|weight| !weight.is_zero()))?;
    for component in Component::ALL {
        let given = sum(own.iter().map(|parts| parts.get(&component).copied().unwrap_or_default()))?;
        let rest = cost.part(component).checked_sub(given)?;
        for (at, part) in rest.split(weights, SCALE)?.into_iter().enumerate() {
            give(&mut own, at, component, part)?;
        }
    }
    let cost_of = |(line, mut parts): (&Line<'_>, BTreeMap<Component, Amount>)| {
        parts.retain(|_, amount| !amount.is_zero());
        Cost { base: line.base, parts }
    };
    Some(lines.iter().zip(own).map(cost_of).collect())
}

/// What a unit of each rate costs at the month's volume, from the route's curves.
fn each_unit(curves: &RouteCurves, lines: &[Line<'_>]) -> Option<BTreeMap<usize, Fraction>> {
    let mut units: BTreeMap<usize, Amount> = BTreeMap::new();
    for line in lines {
        let Priced::Rates(rates) = &line.kind else { continue };
        for (at, quantity) in rates {
            let all = units.entry(*at).or_default();
            *all = all.checked_add(*quantity)?;
        }
    }
    let each = |(at, units): (usize, Amount)| Some((at, curves.rates.get(&at)?.at(Fraction::ONE)?.over(units.into())?));
    units.into_iter().filter(|(_, units)| !units.is_zero()).map(each).collect()
}
