//! Prices by volume: subscriptions with what they include, whole packs, and rates that fall with volume.
//! Each becomes a [`Curve`] over the usage's multiple: at 1 it is the month's price.

use super::curve::{Curve, End, Knot, Tail};
use super::fraction::Fraction;
use super::{Bound, Range, Rate};
use crate::domain::money::Amount;

/// Steps of a pack that a curve has; beyond, it is bounded by two lines.
const PACK_STEPS_MAX: u64 = 2_000;

/// Subscription tiers, ascending by what they include.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    pub tiers: Vec<Tier>,
    pub choice: Choice,
}

/// How a tier is chosen for a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The smallest that includes the volume; overage only beyond the last.
    Fits,
    /// The cheapest, overage included.
    Cheapest,
    /// On the line between the tiers: for sources that only give points.
    Line,
}

/// One tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Units included a month; `None` is without end.
    pub included: Option<Amount>,
    /// Price a month.
    pub price: Range,
    /// Price of a unit beyond; `None`: there is none to be had.
    pub overage: Option<Range>,
}

/// Whole packs: what is left of the last one is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack {
    pub units: Amount,
    pub price: Range,
}

/// A rate's price from a volume on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateTier {
    /// Units a month from which it holds, that unit included.
    pub from: Amount,
    pub price: Range,
}

impl Ladder {
    /// The price of `volume × x` units, over `x`; prices are of a month.
    pub fn curve(&self, volume: Amount, bound: Bound) -> Option<Curve> {
        let at = |units: Amount| Fraction::from(units).over(volume.into());
        if volume.is_zero() {
            // Nothing of the unit, at any multiple: the smallest tier, as it is held for the other things in it.
            return self.tiers.first().map(|tier| Curve::constant(tier.price.at(bound)));
        }
        let mut parts: Vec<(Curve, Option<End>)> = Vec::new();
        let last = self.tiers.len().checked_sub(1)?;
        for (index, tier) in self.tiers.iter().enumerate() {
            let below = match self.choice {
                Choice::Fits => Curve::constant(tier.price.at(bound)),
                Choice::Line => self.between(index, &at, bound)?,
                Choice::Cheapest => self.cheapest(index, volume, bound)?,
            };
            let end = match tier.included {
                Some(units) => Some(End { x: at(units)?, included: true }),
                None => None,
            };
            parts.push((below, end));
            if index == last
                && let Some(overage) = tier.overage.filter(|_| tier.included.is_some())
            {
                let beyond = match self.choice {
                    Choice::Cheapest => self.cheapest(index + 1, volume, bound)?,
                    _ => beyond(tier, overage, volume, bound)?,
                };
                parts.push((beyond, None));
            }
        }
        Curve::splice(&parts)
    }

    /// The line from the tier before to this one; flat up to the first.
    fn between(&self, index: usize, at: &impl Fn(Amount) -> Option<Fraction>, bound: Bound) -> Option<Curve> {
        let tier = self.tiers.get(index)?;
        let price = Fraction::from(tier.price.at(bound));
        let before = index.checked_sub(1).and_then(|index| self.tiers.get(index));
        let (Some(before), Some(units)) = (before, tier.included) else { return Some(Curve::line(price, Fraction::ZERO)) };
        let (from, start) = (at(before.included?)?, Fraction::from(before.price.at(bound)));
        let slope = price.minus(start)?.over(at(units)?.minus(from)?)?;
        Some(Curve::line(start.minus(slope.times(from)?)?, slope))
    }

    /// The cheapest of the tiers that can be had once those before `index` are full.
    fn cheapest(&self, index: usize, volume: Amount, bound: Bound) -> Option<Curve> {
        let mut cheapest: Option<Curve> = None;
        for (number, tier) in self.tiers.iter().enumerate() {
            let curve = match tier.overage {
                _ if number >= index => Curve::constant(tier.price.at(bound)),
                Some(overage) => beyond(tier, overage, volume, bound)?,
                None => continue,
            };
            cheapest = Some(match cheapest {
                Some(other) => other.min(&curve)?,
                None => curve,
            });
        }
        cheapest
    }
}

/// A full tier and what goes beyond it.
fn beyond(tier: &Tier, overage: Range, volume: Amount, bound: Bound) -> Option<Curve> {
    let price = Fraction::from(overage.at(bound));
    let full = Fraction::from(tier.price.at(bound)).minus(price.times(tier.included?.into())?)?;
    Some(Curve::line(full, price.times(volume.into())?))
}

impl Pack {
    /// The price of the packs that hold `volume × x` units, over `x`.
    pub fn curve(&self, volume: Amount, bound: Bound) -> Option<Curve> {
        if volume.is_zero() {
            return Some(Curve::zero());
        }
        let (step, price) = (Fraction::from(self.units).over(volume.into())?, Fraction::from(self.price.at(bound)));
        let (mut x, mut value) = (Fraction::ZERO, Fraction::ZERO);
        let mut knots = Vec::new();
        // As many packs as the month's own volume needs, and many more.
        let needed = self.packs(volume)?.saturating_mul(2);
        for _ in 0..needed.clamp(PACK_STEPS_MAX, 10 * PACK_STEPS_MAX) {
            let next = value.plus(price)?;
            knots.push(Knot { x, at: value, right: next, slope: Fraction::ZERO });
            (x, value) = (x.plus(step)?, next);
        }
        let slope = price.over(step)?;
        let tail = Tail::Between { from: x, low: Fraction::ZERO, high: price, slope };
        Some(Curve { knots, tail })
    }

    /// Whole packs that hold some units.
    pub fn packs(&self, units: Amount) -> Option<u64> {
        let (units, pack) = (units.atto(), self.units.atto());
        let whole = units.checked_div(pack)?;
        u64::try_from(whole + i128::from(units.checked_rem(pack)? > 0)).ok()
    }
}

impl Rate {
    /// The price of `volume × x` units, over `x`, in the rate's own currency or credits.
    pub fn curve(&self, volume: Amount, bound: Bound) -> Option<Curve> {
        let per = Fraction::from(Amount::whole(i64::try_from(self.per).ok()?));
        let each = |tier: &RateTier| Fraction::from(tier.price.at(bound)).over(per);
        if volume.is_zero() {
            return Some(Curve::zero());
        }
        let mut parts: Vec<(Curve, Option<End>)> = Vec::new();
        let mut paid = Fraction::ZERO;
        for (index, tier) in self.tiers.iter().enumerate() {
            let next = self.tiers.get(index + 1);
            let price = each(tier)?;
            let constant = if self.graduated { paid.minus(price.times(tier.from.into())?)? } else { Fraction::ZERO };
            let curve = Curve::line(constant, price.times(volume.into())?);
            if let Some(next) = next {
                paid = paid.plus(price.times(Fraction::from(next.from).minus(tier.from.into())?)?)?;
                let x = Fraction::from(next.from).over(volume.into())?;
                parts.push((curve, Some(End { x, included: false })));
            } else {
                parts.push((curve, None));
            }
        }
        Curve::splice(&parts)
    }
}
