//! Exact fractions: where two cost functions cross is seldom a decimal.

use crate::domain::money::{Amount, SCALE};
use ethnum::I256;
use std::cmp::Ordering;
use std::fmt;

/// A number as numerator and denominator in lowest terms, the denominator above 0. All arithmetic is
/// checked: what does not fit 256 bits is `None` and never rounded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fraction {
    num: I256,
    den: I256,
}

#[allow(clippy::should_implement_trait, reason = "checked: each returns an Option")]
impl Fraction {
    pub const ZERO: Fraction = Fraction { num: I256::ZERO, den: I256::ONE };
    pub const ONE: Fraction = Fraction { num: I256::ONE, den: I256::ONE };

    /// `num ÷ den`; `None` when `den` is 0.
    pub fn new(num: I256, den: I256) -> Option<Fraction> {
        if den == I256::ZERO || num == I256::MIN || den == I256::MIN {
            return None;
        }
        let divisor = common(num.abs(), den.abs());
        let sign = den.signum();
        Some(Fraction { num: num / divisor * sign, den: den / divisor * sign })
    }

    pub fn whole(number: i64) -> Fraction {
        Fraction { num: I256::from(number), den: I256::ONE }
    }

    pub fn is_zero(self) -> bool {
        self.num == I256::ZERO
    }

    /// −1, 0 or 1.
    pub fn sign(self) -> i32 {
        match self.num.cmp(&I256::ZERO) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    pub fn plus(self, other: Fraction) -> Option<Fraction> {
        if self.is_zero() || other.is_zero() {
            return Some(if self.is_zero() { other } else { self });
        }
        if self.den == other.den {
            return Fraction::new(self.num.checked_add(other.num)?, self.den);
        }
        // Over the least common denominator, so that denominators stay as small as they can.
        let divisor = common(self.den, other.den);
        let (mine, its) = (other.den / divisor, self.den / divisor);
        let num = self.num.checked_mul(mine)?.checked_add(other.num.checked_mul(its)?)?;
        Fraction::new(num, self.den.checked_mul(mine)?)
    }

    pub fn minus(self, other: Fraction) -> Option<Fraction> {
        self.plus(-other)
    }

    pub fn times(self, other: Fraction) -> Option<Fraction> {
        if self.is_zero() || other.is_zero() {
            return Some(Fraction::ZERO);
        }
        let (left, right) = (common(self.num.abs(), other.den), common(other.num.abs(), self.den));
        let num = (self.num / left).checked_mul(other.num / right)?;
        let den = (self.den / right).checked_mul(other.den / left)?;
        (num != I256::MIN).then_some(Fraction { num, den })
    }

    /// `None` when `other` is 0, too.
    pub fn over(self, other: Fraction) -> Option<Fraction> {
        self.times(Fraction::new(other.den, other.num)?)
    }

    /// Rounded once at 18 decimals, half away from zero; exact where it has no more.
    pub fn to_amount(self) -> Option<Amount> {
        let scaled = self.num.checked_mul(I256::from(10i128.pow(SCALE)))?;
        let (quotient, remainder) = (scaled / self.den, scaled % self.den);
        let twice = remainder.abs().checked_mul(I256::from(2))?;
        let away = if twice >= self.den { scaled.signum() } else { I256::ZERO };
        i128::try_from(quotient + away).ok().map(Amount::from_atto)
    }
}

impl std::ops::Neg for Fraction {
    type Output = Fraction;
    fn neg(self) -> Fraction {
        Fraction { num: -self.num, den: self.den }
    }
}

impl From<Amount> for Fraction {
    fn from(amount: Amount) -> Fraction {
        let (num, den) = (I256::from(amount.atto()), I256::from(10i128.pow(SCALE)));
        let divisor = common(num.abs(), den);
        Fraction { num: num / divisor, den: den / divisor }
    }
}

impl Ord for Fraction {
    /// By whole parts and then by the inverses of what is left: products could overflow, this cannot.
    fn cmp(&self, other: &Fraction) -> Ordering {
        let (mut a, mut b) = ((self.num, self.den), (other.num, other.den));
        let mut turned = false;
        loop {
            let (whole_a, whole_b) = (a.0.div_euclid(a.1), b.0.div_euclid(b.1));
            let (left_a, left_b) = (a.0.rem_euclid(a.1), b.0.rem_euclid(b.1));
            let order = match whole_a.cmp(&whole_b) {
                Ordering::Equal => match (left_a == I256::ZERO, left_b == I256::ZERO) {
                    (true, true) => Ordering::Equal,
                    (true, false) => Ordering::Less,
                    (false, true) => Ordering::Greater,
                    (false, false) => {
                        (a, b) = ((a.1, left_a), (b.1, left_b));
                        turned = !turned;
                        continue;
                    }
                },
                unequal => unequal,
            };
            return if turned { order.reverse() } else { order };
        }
    }
}

impl PartialOrd for Fraction {
    fn partial_cmp(&self, other: &Fraction) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// At 18 decimals; `?` for what is too large to be written.
impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_amount() {
            Some(amount) => fmt::Display::fmt(&amount, f),
            None => f.write_str("?"),
        }
    }
}

impl fmt::Debug for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.num, self.den)
    }
}

/// The greatest common divisor of two numbers that are not negative; 1 for two zeros.
fn common(a: I256, b: I256) -> I256 {
    if a == I256::ONE || b == I256::ONE {
        return I256::ONE;
    }
    // Most numbers fit 64 bits and nearly all 128, where division is many times faster.
    if let (Ok(mut a), Ok(mut b)) = (u64::try_from(a), u64::try_from(b)) {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        return I256::from(a.max(1));
    }
    if let (Ok(mut a), Ok(mut b)) = (u128::try_from(a), u128::try_from(b)) {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        return I256::from(a.max(1));
    }
    let (mut a, mut b) = (a, b);
    while b != I256::ZERO {
        (a, b) = (b, a % b);
    }
    a.max(I256::ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fraction(num: i128, den: i128) -> Fraction {
        Fraction::new(I256::from(num), I256::from(den)).unwrap()
    }

    #[test]
    fn arithmetic_is_exact() {
        let (third, half) = (fraction(1, 3), fraction(-2, -4));
        assert_eq!(third.plus(half), Some(fraction(5, 6)));
        assert_eq!(third.minus(half), Some(fraction(-1, 6)));
        assert_eq!(third.times(half), Some(fraction(1, 6)));
        assert_eq!(third.over(half), Some(fraction(2, 3)));
        assert_eq!(third.over(Fraction::ZERO), None);
        assert_eq!(Fraction::new(I256::ONE, I256::ZERO), None);
        assert_eq!(fraction(2, 3).to_amount().unwrap().to_string(), "0.666666666666666667");
        assert_eq!(fraction(-2, 3).to_string(), "-0.666666666666666667");
    }

    #[test]
    fn order_holds_where_products_would_overflow() {
        let huge = I256::MAX;
        let (less, more) =
            (Fraction::new(huge - I256::from(2), huge - I256::ONE).unwrap(), Fraction::new(huge - I256::ONE, huge).unwrap());
        assert!(less < more && less < Fraction::ONE && Fraction::ZERO < less);
        assert_eq!(less.cmp(&less), Ordering::Equal);
        assert_eq!(more.plus(less), None);
        assert!(fraction(-1, 3) < fraction(-1, 4) && fraction(-1, 3) < fraction(1, 3));
        for (a, b) in [(7, 5), (-7, 5), (22, 7), (1, 3), (0, 1), (355, 113)] {
            for (c, d) in [(3, 2), (-3, 2), (22, 7), (1, 3), (-1, 9)] {
                assert_eq!(fraction(a, b).cmp(&fraction(c, d)), (a * d).cmp(&(c * b)), "{a}/{b} {c}/{d}");
            }
        }
    }
}
