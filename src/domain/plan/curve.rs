//! Piecewise linear functions with jumps, exact: what a plan costs over the usage's multiple, from 0 up.

use super::fraction::Fraction;
use std::cmp::Ordering;

/// A point where the function may jump or bend. After `x` it runs from `right` with `slope`, until the next knot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knot {
    pub x: Fraction,
    /// The value at `x` itself.
    pub at: Fraction,
    /// What the value tends to just after `x`.
    pub right: Fraction,
    pub slope: Fraction,
}

/// What is known beyond the last knot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// The last piece goes on for ever.
    Exact,
    /// There is no value beyond this point, which has one.
    Ends(Fraction),
    /// Beyond this point the value lies between two parallel lines, both ends included.
    Between { from: Fraction, low: Fraction, high: Fraction, slope: Fraction },
}

/// A function on the numbers from 0 up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Curve {
    /// Ascending; the first is at 0.
    pub knots: Vec<Knot>,
    pub tail: Tail,
}

/// Where a part of a [`Curve::splice`] ends.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub x: Fraction,
    /// The end itself still belongs to the part.
    pub included: bool,
}

impl Knot {
    /// The value at a point after the knot and not after the next one's left side.
    pub fn after(&self, x: Fraction) -> Option<Fraction> {
        if self.slope.is_zero() { Some(self.right) } else { self.right.plus(self.slope.times(x.minus(self.x)?)?) }
    }

    fn smooth(x: Fraction, value: Fraction, slope: Fraction) -> Knot {
        Knot { x, at: value, right: value, slope }
    }
}

impl Curve {
    /// `constant + slope × x`.
    pub fn line(constant: Fraction, slope: Fraction) -> Curve {
        Curve { knots: vec![Knot::smooth(Fraction::ZERO, constant, slope)], tail: Tail::Exact }
    }

    pub fn constant(value: impl Into<Fraction>) -> Curve {
        Curve::line(value.into(), Fraction::ZERO)
    }

    /// `slope × x`.
    pub fn linear(slope: impl Into<Fraction>) -> Curve {
        Curve::line(Fraction::ZERO, slope.into())
    }

    pub fn zero() -> Curve {
        Curve::line(Fraction::ZERO, Fraction::ZERO)
    }

    pub fn is_zero(&self) -> bool {
        // Without needless knots a curve that is 0 everywhere has one.
        let zero = |knot: &Knot| knot.at.is_zero() && knot.right.is_zero() && knot.slope.is_zero();
        self.tail == Tail::Exact && self.knots.len() == 1 && self.knots.iter().all(zero)
    }

    /// The last point with an exact value; `None` where there is no last one.
    pub fn last(&self) -> Option<Fraction> {
        match self.tail {
            Tail::Exact => None,
            Tail::Ends(x) | Tail::Between { from: x, .. } => Some(x),
        }
    }

    /// The exact value; `None` beyond [`Curve::last`], below 0, or if it does not fit.
    pub fn at(&self, x: Fraction) -> Option<Fraction> {
        if self.last().is_some_and(|last| x > last) {
            return None;
        }
        let next = self.knots.partition_point(|knot| knot.x <= x);
        let knot = self.knots.get(next.checked_sub(1)?)?;
        if knot.x == x { Some(knot.at) } else { knot.after(x) }
    }

    /// Parts one after the other: each holds from where the one before ends. Each end is beyond the one before; the
    /// last part has no end where the function goes on as that part does.
    pub fn splice(parts: &[(Curve, Option<End>)]) -> Option<Curve> {
        let mut knots: Vec<Knot> = Vec::new();
        let mut start: Option<End> = None;
        let mut tail = Tail::Exact;
        for (curve, end) in parts {
            let from = start.map_or(Fraction::ZERO, |start| start.x);
            let at = match (start, knots.last()) {
                // The point belongs to the part before.
                (Some(End { included: true, .. }), Some(before)) => before.after(from)?,
                _ => curve.at(from)?,
            };
            let under = curve.knots.get(curve.knots.partition_point(|knot| knot.x <= from).checked_sub(1)?)?;
            let right = if under.x == from { under.right } else { under.after(from)? };
            // A knot that the part before has at its very end gives its own value.
            let at = match knots.last() {
                Some(before) if before.x == from => before.at,
                _ => at,
            };
            knots.retain(|knot| knot.x < from);
            knots.push(Knot { x: from, at, right, slope: under.slope });
            let inside = |x: Fraction| x > from && end.is_none_or(|end| x < end.x || (end.included && x == end.x));
            knots.extend(curve.knots.iter().filter(|knot| inside(knot.x)));
            tail = end.map_or(curve.tail, |end| Tail::Ends(end.x));
            start = *end;
        }
        Some(Curve { knots, tail }.tidy())
    }

    pub fn plus(&self, other: &Curve) -> Option<Curve> {
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() { other.clone() } else { self.clone() });
        }
        let mut knots = Vec::with_capacity(self.knots.len().max(other.knots.len()));
        for (a, b) in self.beside(other) {
            knots.push(Knot { x: a.x, at: a.at.plus(b.at)?, right: a.right.plus(b.right)?, slope: a.slope.plus(b.slope)? });
        }
        Some(Curve { knots, tail: self.tail_with(other)? }.tidy())
    }

    pub fn minus(&self, other: &Curve) -> Option<Curve> {
        if other.is_zero() {
            return Some(self.clone());
        }
        self.plus(&other.turned())
    }

    /// Every value times a factor.
    pub fn times(&self, factor: Fraction) -> Option<Curve> {
        let scaled = |knot: &Knot| {
            let (at, right) = (knot.at.times(factor)?, knot.right.times(factor)?);
            Some(Knot { x: knot.x, at, right, slope: knot.slope.times(factor)? })
        };
        let tail = match self.tail {
            Tail::Between { from, low, high, slope } => {
                let (a, b) = (low.times(factor)?, high.times(factor)?);
                Tail::Between { from, low: a.min(b), high: a.max(b), slope: slope.times(factor)? }
            }
            tail => tail,
        };
        Some(Curve { knots: self.knots.iter().map(scaled).collect::<Option<_>>()?, tail })
    }

    /// Every value with the other sign.
    fn turned(&self) -> Curve {
        let turned = |knot: &Knot| Knot { x: knot.x, at: -knot.at, right: -knot.right, slope: -knot.slope };
        let tail = match self.tail {
            Tail::Between { from, low, high, slope } => Tail::Between { from, low: -high, high: -low, slope: -slope },
            tail => tail,
        };
        Curve { knots: self.knots.iter().map(turned).collect(), tail }
    }

    /// The larger of two values everywhere. What lies between two lines is compared where it is exact only.
    pub fn max(&self, other: &Curve) -> Option<Curve> {
        let last = match (self.last(), other.last()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let pairs: Vec<(Knot, Knot)> = self.beside(other).collect();
        let mut knots = Vec::with_capacity(pairs.len());
        for (index, (a, b)) in pairs.iter().enumerate() {
            let (high, low) = if (a.right, a.slope) >= (b.right, b.slope) { (a, b) } else { (b, a) };
            knots.push(Knot { x: a.x, at: a.at.max(b.at), right: high.right, slope: high.slope });
            if low.slope > high.slope {
                let cross = a.x.plus(high.right.minus(low.right)?.over(low.slope.minus(high.slope)?)?)?;
                if pairs.get(index + 1).map(|(next, _)| next.x).or(last).is_none_or(|next| cross < next) {
                    knots.push(Knot::smooth(cross, high.after(cross)?, low.slope));
                }
            }
        }
        let tail = last.map_or(Tail::Exact, Tail::Ends);
        Some(Curve { knots, tail }.tidy())
    }

    pub fn min(&self, other: &Curve) -> Option<Curve> {
        self.turned().max(&other.turned()).map(|least| least.turned())
    }

    /// The value where something is paid, 0 where `paid` is 0: at points, and along whole pieces.
    pub fn where_paid(&self, paid: &Curve) -> Option<Curve> {
        let gate = |(knot, paid): (Knot, Knot)| {
            let at = if paid.at.is_zero() { Fraction::ZERO } else { knot.at };
            if paid.right.is_zero() && paid.slope.is_zero() {
                return Knot { at, ..Knot::smooth(knot.x, Fraction::ZERO, Fraction::ZERO) };
            }
            Knot { at, ..knot }
        };
        let tail = self.tail_with(paid)?;
        Some(Curve { knots: self.beside(paid).map(gate).collect(), tail }.tidy())
    }

    /// The lesser of every knot's neighbourhoods of both, where both have values.
    fn beside<'a>(&'a self, other: &'a Curve) -> impl Iterator<Item = (Knot, Knot)> + 'a {
        let (mut i, mut j) = (0, 0);
        let last = [self.last(), other.last()].into_iter().flatten().min();
        std::iter::from_fn(move || {
            let (a, b) = (self.knots.get(i), other.knots.get(j));
            let x = match (a, b) {
                (Some(a), Some(b)) => a.x.min(b.x),
                (Some(knot), None) | (None, Some(knot)) => knot.x,
                (None, None) => return None,
            };
            if last.is_some_and(|last| x > last) {
                return None;
            }
            let side = |knots: &[Knot], at: &mut usize| {
                if knots.get(*at).is_some_and(|knot| knot.x == x) {
                    *at += 1;
                    return knots.get(*at - 1).copied();
                }
                let before = knots.get(at.checked_sub(1)?)?;
                Some(Knot::smooth(x, before.after(x)?, before.slope))
            };
            Some((side(&self.knots, &mut i)?, side(&other.knots, &mut j)?))
        })
    }

    /// The last piece, or the lines around it, beyond a point.
    fn beyond(&self) -> Option<(Fraction, Fraction, Fraction)> {
        match self.tail {
            Tail::Exact => {
                let knot = self.knots.last()?;
                let constant = knot.right.minus(knot.slope.times(knot.x)?)?;
                Some((constant, constant, knot.slope))
            }
            Tail::Between { low, high, slope, .. } => Some((low, high, slope)),
            Tail::Ends(_) => None,
        }
    }

    fn tail_with(&self, other: &Curve) -> Option<Tail> {
        let Some(last) = [self.last(), other.last()].into_iter().flatten().min() else { return Some(Tail::Exact) };
        // An exact side bounds the sum only where its last piece has begun.
        let straight = |curve: &Curve| match curve.tail {
            Tail::Exact => curve.knots.last().is_some_and(|knot| knot.x <= last),
            _ => curve.last() == Some(last),
        };
        if !straight(self) || !straight(other) {
            return Some(Tail::Ends(last));
        }
        let (Some(a), Some(b)) = (self.beyond(), other.beyond()) else { return Some(Tail::Ends(last)) };
        Some(Tail::Between { from: last, low: a.0.plus(b.0)?, high: a.1.plus(b.1)?, slope: a.2.plus(b.2)? })
    }

    /// Without knots where the function goes on as before.
    fn tidy(mut self) -> Curve {
        let mut kept: Vec<Knot> = Vec::with_capacity(self.knots.len());
        for knot in self.knots {
            let same = kept.last().is_some_and(|before| {
                before.slope == knot.slope && knot.at == knot.right && before.after(knot.x).is_some_and(|value| value == knot.at)
            });
            if !same {
                kept.push(knot);
            }
        }
        self.knots = kept;
        self
    }
}

/// The sign of a piece's open stretch: sign before its zero, the zero if it lies strictly inside, sign after it.
pub fn signs(knot: &Knot, next: Option<Fraction>) -> Option<(i32, Option<Fraction>, i32)> {
    let (start, slope) = (knot.right.sign(), knot.slope.sign());
    if start == 0 || slope == 0 || start == slope {
        let sign = if start == 0 { slope } else { start };
        return Some((sign, None, sign));
    }
    let zero = knot.x.minus(knot.right.over(knot.slope)?)?;
    match next.map(|next| zero.cmp(&next)) {
        Some(Ordering::Equal | Ordering::Greater) => Some((start, None, start)),
        _ => Some((start, Some(zero), slope)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(number: i64) -> Fraction {
        Fraction::whole(number)
    }

    /// 5 up to 10, itself included; then 3 + 2x up to 20, itself excluded; then 0.
    fn jumpy() -> Curve {
        let end = |x: i64, included: bool| Some(End { x: whole(x), included });
        let parts = [
            (Curve::constant(whole(5)), end(10, true)),
            (Curve::line(whole(3), whole(2)), end(20, false)),
            (Curve::zero(), None),
        ];
        Curve::splice(&parts).unwrap()
    }

    #[test]
    fn parts_end_where_they_say() {
        let curve = jumpy();
        let at = |x: i64| curve.at(whole(x)).unwrap();
        assert_eq!([0, 10, 11, 19, 20, 21].map(at), [5, 5, 25, 41, 0, 0].map(whole));
        assert_eq!(curve.at(whole(-1)), None);
        assert_eq!((curve.last(), curve.knots.len()), (None, 3));
    }

    #[test]
    fn sums_and_the_larger_of_two_agree_with_their_values() {
        let (a, b) = (jumpy(), Curve::line(whole(-4), whole(1)));
        let (sum, less, high, low) = (a.plus(&b).unwrap(), a.minus(&b).unwrap(), a.max(&b).unwrap(), a.min(&b).unwrap());
        for half in 0..100 {
            let x = whole(half).over(whole(2)).unwrap();
            let (p, q) = (a.at(x).unwrap(), b.at(x).unwrap());
            assert_eq!(sum.at(x), p.plus(q), "{half}");
            assert_eq!(less.at(x), p.minus(q), "{half}");
            assert_eq!((high.at(x), low.at(x)), (Some(p.max(q)), Some(p.min(q))), "{half}");
        }
        assert!(a.minus(&a).unwrap().is_zero());
    }

    #[test]
    fn a_curve_that_ends_ends_every_sum() {
        let end = Curve::splice(&[(Curve::constant(whole(1)), Some(End { x: whole(7), included: true }))]).unwrap();
        let sum = end.plus(&jumpy()).unwrap();
        assert_eq!((sum.last(), sum.at(whole(7)), sum.at(whole(8))), (Some(whole(7)), Some(whole(6)), None));
        assert_eq!(end.max(&jumpy()).unwrap().tail, Tail::Ends(whole(7)));
    }

    #[test]
    fn what_lies_between_two_lines_stays_between_them() {
        let knots = vec![Knot { x: whole(0), at: whole(0), right: whole(5), slope: whole(0) }];
        let tail = Tail::Between { from: whole(1), low: whole(0), high: whole(5), slope: whole(5) };
        let packs = Curve { knots, tail };
        let sum = packs.minus(&Curve::linear(whole(2))).unwrap();
        assert_eq!(sum.tail, Tail::Between { from: whole(1), low: whole(0), high: whole(5), slope: whole(3) });
        let turned = Curve::linear(whole(2)).minus(&packs).unwrap();
        assert_eq!(turned.tail, Tail::Between { from: whole(1), low: whole(-5), high: whole(0), slope: whole(-3) });
    }
}
