//! From which volume own keys are cheaper: every crossing of two cost functions, exactly (contract 4.6, 4.8).

use super::compare::{Asked, Both, Comparison, compare};
use super::cost::PlanError;
use super::curve::{Curve, Tail, signs};
use super::fraction::Fraction;
use super::routes::RouteCurves;
use super::{Range, Terms, UsageLine};
use crate::domain::money::Amount;

/// Volumes at which own keys are strictly cheaper; 0 itself is no volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    pub from: Fraction,
    pub from_included: bool,
    /// `None` is without end.
    pub to: Option<Fraction>,
    pub to_included: bool,
}

/// Where own keys are cheaper, at one end of all ranges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cheaper {
    /// Ascending, apart from each other.
    pub regions: Vec<Region>,
    /// The plans have no exact price beyond this volume.
    pub until: Option<Fraction>,
}

/// The break-even of a comparison, in the plan's unit, with the month's mix of usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakEven {
    /// The month's volume.
    pub volume: Amount,
    /// Whatever the true figures of all ranges are.
    pub certain: Cheaper,
    /// With the figures most in favour of own keys. Equal to `certain` where there are no ranges.
    pub possible: Cheaper,
}

impl Comparison {
    /// The break-even in money paid, or with hours × wage. `None` when the month has no volume in the plan's
    /// unit: there is nothing to scale.
    ///
    /// # Errors
    /// A figure does not fit.
    pub fn break_even(&self, all_in: bool) -> Result<Option<BreakEven>, PlanError> {
        if self.volume.is_zero() || self.volume.is_negative() {
            return Ok(None);
        }
        let side = |credits: &Curve, byok: &Curve| {
            let difference = credits.minus(byok)?;
            cheaper(&difference, self.volume.into())
        };
        let curve = |curves: &RouteCurves| if all_in { curves.all_in.clone() } else { curves.cash.clone() };
        let ends = |both: &Both| (curve(&both.low_curves), curve(&both.high_curves));
        let (credits, byok) = (ends(&self.credits), ends(&self.byok));
        let low = side(&credits.0, &byok.1);
        let no_range = credits.0 == credits.1 && byok.0 == byok.1;
        let high = if no_range { low.clone() } else { side(&credits.1, &byok.0) };
        let (certain, possible) = (low.ok_or(PlanError::Overflow)?, high.ok_or(PlanError::Overflow)?);
        Ok(Some(BreakEven { volume: self.volume, certain, possible }))
    }

    /// The cost of both routes at a volume, in money paid: a point of the curve in the report. `None` where a
    /// plan has no price for it.
    pub fn point(&self, volume: Amount) -> Option<Point> {
        let at = Fraction::from(volume).over(self.volume.into())?;
        let value = |curve: &Curve| curve.at(at).and_then(Fraction::to_amount);
        let range = |low: &Curve, high: &Curve| Some(Range { low: value(low)?, high: value(high)? });
        Some(Point {
            volume,
            credits: range(&self.credits.low_curves.cash, &self.credits.high_curves.cash)?,
            byok: range(&self.byok.low_curves.cash, &self.byok.high_curves.cash)?,
        })
    }

    /// Points of the curve up to a volume: an even grid of whole parts, the month itself, and the crossings.
    /// Volumes without a price are left out.
    pub fn points(&self, up_to: Amount, parts: u32) -> Vec<Point> {
        let grid = (0..=parts).filter_map(|part| up_to.mul_div(i128::from(part), i128::from(parts.max(1))));
        let crossings = self.break_even(false).ok().flatten().map(|found| found.certain.crossings()).unwrap_or_default();
        let crossings = crossings.into_iter().filter_map(Fraction::to_amount);
        let mut volumes: Vec<Amount> = grid.chain([self.volume]).chain(crossings).filter(|volume| *volume <= up_to).collect();
        volumes.sort();
        volumes.dedup();
        volumes.into_iter().filter_map(|volume| self.point(volume)).collect()
    }
}

/// The cost of both routes at a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub volume: Amount,
    pub credits: Range,
    pub byok: Range,
}

/// Stretches of the difference with one sign, in the order of volume.
struct Stretch {
    from: Fraction,
    from_included: bool,
    to: Option<Fraction>,
    to_included: bool,
    sign: i32,
}

/// Where a difference is above 0; its argument times `volume` is the volume.
fn cheaper(difference: &Curve, volume: Fraction) -> Option<Cheaper> {
    let mut until = None;
    let mut stretches = Vec::new();
    let open = |stretches: &mut Vec<Stretch>, from: Fraction, to: Option<Fraction>, sign: i32| {
        stretches.push(Stretch { from, from_included: false, to, to_included: false, sign });
    };
    let point = |stretches: &mut Vec<Stretch>, x: Fraction, sign: i32| {
        stretches.push(Stretch { from: x, from_included: true, to: Some(x), to_included: true, sign });
    };
    for (index, knot) in difference.knots.iter().enumerate() {
        let next = difference.knots.get(index + 1).map(|next| next.x).or(difference.last());
        if knot.x.sign() > 0 {
            point(&mut stretches, knot.x, knot.at.sign());
        }
        if next.is_some_and(|next| next <= knot.x) {
            continue;
        }
        match signs(knot, next)? {
            (before, None, _) => open(&mut stretches, knot.x, next, before),
            (before, Some(zero), after) => {
                if zero > knot.x {
                    open(&mut stretches, knot.x, Some(zero), before);
                }
                point(&mut stretches, zero, 0);
                open(&mut stretches, zero, next, after);
            }
        }
    }
    if let (Some(last), Some(knot)) = (difference.last(), difference.knots.last()) {
        if last > knot.x {
            point(&mut stretches, last, knot.after(last)?.sign());
        }
        let settled = match difference.tail {
            Tail::Between { low, high, slope, .. } => {
                let (low, high) = (low.plus(slope.times(last)?)?, high.plus(slope.times(last)?)?);
                if low.sign() > 0 && slope.sign() >= 0 { Some(1) } else { (high.sign() < 0 && slope.sign() <= 0).then_some(-1) }
            }
            _ => None,
        };
        match settled {
            Some(sign) => open(&mut stretches, last, None, sign),
            None => until = Some(last.times(volume)?),
        }
    }
    let mut regions: Vec<Region> = Vec::new();
    let mut joined = false;
    for stretch in stretches {
        if stretch.sign <= 0 {
            joined = false;
            continue;
        }
        let to = match stretch.to {
            Some(to) => Some(to.times(volume)?),
            None => None,
        };
        match regions.last_mut().filter(|_| joined) {
            Some(region) => (region.to, region.to_included) = (to, stretch.to_included),
            None => {
                let (from, from_included) = (stretch.from.times(volume)?, stretch.from_included);
                regions.push(Region { from, from_included, to, to_included: stretch.to_included });
            }
        }
        joined = true;
    }
    Some(Cheaper { regions, until })
}

impl Cheaper {
    /// Own keys are cheaper at a volume.
    pub fn holds(&self, volume: Fraction) -> bool {
        self.regions.iter().any(|region| {
            let after = volume > region.from || (region.from_included && volume == region.from);
            after && region.to.is_none_or(|to| volume < to || (region.to_included && volume == to))
        })
    }

    /// Volumes at which own keys begin or cease to be cheaper. Where the prices end is none.
    pub fn crossings(&self) -> Vec<Fraction> {
        let ends = self.regions.iter().flat_map(|region| [Some(region.from), region.to]).flatten();
        let mut crossings: Vec<Fraction> = ends.filter(|x| x.sign() > 0 && Some(*x) != self.until).collect();
        crossings.dedup();
        crossings
    }

    /// The smallest volume from which own keys stay cheaper, as far as there are prices.
    pub fn stays_from(&self) -> Option<Fraction> {
        self.regions.last().filter(|region| region.to.is_none() || region.to == self.until).map(|region| region.from)
    }

    /// `always`, `never`, or the volumes: `n > 2000`, `n < 362.5`, `500 < n <= 2000 or n > 3000`. Numbers are cut
    /// to six decimals here.
    pub fn words(&self) -> String {
        let shown = |x: Fraction| x.to_amount().map_or("?".to_string(), |amount| amount.rounded(6).to_string());
        let end = |region: &Region| region.to.filter(|to| Some(*to) != self.until);
        let words = |region: &Region| match (region.from.sign() > 0, end(region)) {
            (false, None) => "always".to_string(),
            (true, None) => format!("n {} {}", if region.from_included { ">=" } else { ">" }, shown(region.from)),
            (false, Some(to)) => format!("n {} {}", if region.to_included { "<=" } else { "<" }, shown(to)),
            (true, Some(to)) if to == region.from => format!("n = {}", shown(to)),
            (true, Some(to)) => {
                let (low, high) = (if region.from_included { "<=" } else { "<" }, if region.to_included { "<=" } else { "<" });
                format!("{} {low} n {high} {}", shown(region.from), shown(to))
            }
        };
        let regions: Vec<String> = self.regions.iter().map(words).collect();
        let regions = if regions.is_empty() { "never".to_string() } else { regions.join(" or ") };
        self.until.map_or(regions.clone(), |until| format!("{regions} (up to {})", shown(until)))
    }
}

impl BreakEven {
    /// Column `break_even_volume`: the crossings that are certain, joined by `;`, or `none`.
    pub fn volumes(&self) -> String {
        let crossings: Vec<String> = self.certain.crossings().iter().map(Fraction::to_string).collect();
        if crossings.is_empty() { "none".to_string() } else { crossings.join(";") }
    }

    /// Column `byok_cheaper_when`.
    pub fn words(&self) -> String {
        let certain = self.certain.words();
        if self.certain == self.possible { certain } else { format!("{certain}; at best {}", self.possible.words()) }
    }

    /// Column `distance`: the month's volume less the crossing from which own keys stay cheaper, else less the
    /// nearest crossing. `None` without a crossing.
    pub fn distance(&self) -> Option<Amount> {
        let volume = Fraction::from(self.volume);
        let crossings = self.certain.crossings();
        let stays = self.certain.stays_from().filter(|from| from.sign() > 0);
        let far = |x: &Fraction| volume.minus(*x).map(|distance| distance.max(-distance));
        let nearest = || crossings.iter().copied().min_by_key(|x| far(x));
        volume.minus(stays.or_else(nearest)?)?.to_amount()
    }
}

/// What would be otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Volume,
    /// What the providers charge, list and contracted.
    ProviderPrice,
    /// What credits cost: rates, subscriptions, packs.
    CreditPrice,
}

/// The saving if one thing were different by a factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sensitivity {
    pub change: Change,
    /// 0.9 for a tenth less.
    pub factor: Amount,
    /// `None` where a plan has no price for the changed volume.
    pub saving: Option<Range>,
}

/// How the saving answers to volume and prices, each changed alone by each factor.
///
/// # Errors
/// As [`compare`], for the changed figures; a volume beyond the plan's prices is no error but has no saving.
pub fn sensitivity(
    credits: &Terms,
    byok: &Terms,
    usage: &[UsageLine],
    asked: &Asked,
    factors: &[Amount],
) -> Result<Vec<Sensitivity>, PlanError> {
    let mut found = Vec::new();
    for change in [Change::Volume, Change::ProviderPrice, Change::CreditPrice] {
        for factor in factors {
            let changed = changed(credits, byok, usage, change, *factor).ok_or(PlanError::Overflow)?;
            let saving = match compare(&changed.0, &changed.1, &changed.2, asked) {
                Ok(comparison) => Some(comparison.saving().ok_or(PlanError::Overflow)?),
                Err(PlanError::Beyond { .. }) => None,
                Err(error) => return Err(error),
            };
            found.push(Sensitivity { change, factor: *factor, saving });
        }
    }
    Ok(found)
}

/// Terms and usage with one thing changed: also what `whatif` scales with.
pub fn changed(
    credits: &Terms,
    byok: &Terms,
    usage: &[UsageLine],
    change: Change,
    factor: Amount,
) -> Option<(Terms, Terms, Vec<UsageLine>)> {
    let (mut credits, mut byok, mut usage) = (credits.clone(), byok.clone(), usage.to_vec());
    let scale = |amount: &mut Amount| amount.times(factor).map(|scaled| *amount = scaled);
    let range = |range: &mut Range| scale(&mut range.low).and_then(|()| scale(&mut range.high));
    match change {
        Change::Volume => {
            for line in &mut usage {
                scale(&mut line.requests)?;
                line.meters.iter_mut().try_for_each(|(_, quantity)| scale(quantity))?;
                [&mut line.list_cost, &mut line.contracted_cost, &mut line.credits].into_iter().flatten().try_for_each(scale)?;
            }
        }
        Change::ProviderPrice => {
            for line in &mut usage {
                [&mut line.list_cost, &mut line.contracted_cost].into_iter().flatten().try_for_each(scale)?;
            }
            byok.rates.iter_mut().flat_map(|rate| &mut rate.tiers).try_for_each(|tier| range(&mut tier.price))?;
        }
        Change::CreditPrice => {
            let money = credits.rates.iter_mut().filter(|rate| !rate.in_credits).flat_map(|rate| &mut rate.tiers);
            money.map(|tier| &mut tier.price).chain(credits.credit_price.iter_mut()).try_for_each(range)?;
            for tier in credits.subscription.iter_mut().flat_map(|ladder| &mut ladder.tiers) {
                range(&mut tier.price)?;
                tier.overage.iter_mut().try_for_each(range)?;
            }
            credits.pack.iter_mut().try_for_each(|pack| range(&mut pack.price))?;
        }
    }
    Some((credits, byok, usage))
}
