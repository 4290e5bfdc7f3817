//! Exact decimals: [`Amount`] (a number at 18 decimals) and [`Money`], an amount of a [`Currency`].
//! Never a binary float, from the digits in the source to the digits in the report.

pub use super::currency::{Currency, UnknownCurrency};
pub use super::digits::{NumberError, Read};
use ethnum::I256;
use rust_decimal::Decimal;
use std::fmt;
use std::str::FromStr;

/// Decimal places of every amount and quantity inside the program (contract 4.8, "Money scale").
pub const SCALE: u32 = 18;
const UNIT: i128 = 10i128.pow(SCALE);
/// Money at or above this is refused at the door, so that sums of 10^8 rows cannot overflow
/// (performance.md section 2).
pub const MONEY_LIMIT: Amount = Amount(1_000_000_000_000 * UNIT);
/// Quantities at or above this are refused at the door.
pub const QUANTITY_LIMIT: Amount = Amount(1_000_000_000_000_000_000 * UNIT);
/// A signed decimal with exactly 18 decimal places, held as an integer count of 10^-18.
///
/// Used for money (with a [`Currency`] beside it, see [`Money`]) and for quantities.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    pub const ZERO: Amount = Amount(0);
    pub const ONE: Amount = Amount(UNIT);

    /// From a count of 10^-18.
    pub const fn from_atto(atto: i128) -> Self {
        Amount(atto)
    }

    /// The count of 10^-18.
    pub const fn atto(self) -> i128 {
        self.0
    }

    /// A whole number.
    pub const fn whole(number: i64) -> Self {
        Amount(number as i128 * UNIT)
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub const fn abs(self) -> Self {
        Amount(self.0.abs())
    }

    pub fn checked_add(self, other: Amount) -> Option<Amount> {
        self.0.checked_add(other.0).map(Amount)
    }

    pub fn checked_sub(self, other: Amount) -> Option<Amount> {
        self.0.checked_sub(other.0).map(Amount)
    }

    /// `self × numerator ÷ denominator`, exact until one rounding, half away from zero.
    /// None when the denominator is 0 or the result does not fit.
    pub fn mul_div(self, numerator: i128, denominator: i128) -> Option<Amount> {
        if denominator == 0 {
            return None;
        }
        // Nearly every product fits, and is divided several times as fast.
        if let Some(product) = self.0.checked_mul(numerator) {
            return round_div(product, denominator).map(Amount);
        }
        let product = I256::from(self.0).checked_mul(I256::from(numerator))?;
        round_div_wide(product, I256::from(denominator)).map(Amount)
    }

    /// `self × other`, rounded half away from zero at 18 decimals.
    pub fn times(self, other: Amount) -> Option<Amount> {
        self.mul_div(other.0, UNIT)
    }

    /// `self ÷ other`, rounded half away from zero at 18 decimals.
    pub fn ratio(self, other: Amount) -> Option<Amount> {
        self.mul_div(UNIT, other.0)
    }

    /// `self × factor`, rounded half away from zero at 18 decimals.
    pub fn times_decimal(self, factor: Decimal) -> Option<Amount> {
        self.mul_div(factor.mantissa(), 10i128.checked_pow(factor.scale())?)
    }

    /// Rounded half away from zero to `places` decimals (0 to 18): the rule of every `_rounded` column.
    pub fn rounded(self, places: u32) -> Amount {
        let step = 10i128.pow(SCALE.saturating_sub(places));
        let half = step / 2;
        let (quotient, remainder) = (self.0 / step, self.0 % step);
        let up = i128::from(remainder.abs() >= half && half > 0) * self.0.signum();
        Amount((quotient + up) * step)
    }

    /// Splits into parts in proportion to `weights`, at `places` decimals, so that the parts sum to
    /// `self` exactly: each part is cut towards zero, what is left goes one unit each to the largest
    /// remainders, ties to the earlier part (finance-conventions.md section 5).
    ///
    /// If `self` has more decimals than `places`, the first part carries the excess digits.
    /// None when there are no parts, a weight is negative, or all weights are 0.
    pub fn split(self, weights: &[Amount], places: u32) -> Option<Vec<Amount>> {
        if weights.is_empty() || weights.iter().any(|weight| weight.0 < 0) {
            return None;
        }
        let total: I256 = weights.iter().map(|weight| I256::from(weight.0)).sum();
        if total == I256::ZERO {
            return None;
        }
        let step = 10i128.pow(SCALE.saturating_sub(places));
        let units = self.0 / step;
        let excess = self.0 % step;
        let (sign, units) = (units.signum(), units.abs());
        let mut parts = Vec::with_capacity(weights.len());
        let mut remainders: Vec<(I256, usize)> = Vec::with_capacity(weights.len());
        let mut left = units;
        for (index, weight) in weights.iter().enumerate() {
            let product = I256::from(units).checked_mul(I256::from(weight.0))?;
            let part = i128::try_from(product / total).ok()?;
            remainders.push((product % total, index));
            left -= part;
            parts.push(part);
        }
        remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        for (_, index) in remainders.iter().take(usize::try_from(left).ok()?) {
            parts[*index] += 1;
        }
        let mut parts: Vec<Amount> = parts.into_iter().map(|part| Amount(part * sign * step)).collect();
        if let Some(first) = parts.first_mut() {
            first.0 += excess;
        }
        Some(parts)
    }

    /// As many decimals as it has, at least `places` (1.5 at 2 is `1.50`).
    pub fn with_places(self, places: usize) -> String {
        let text = self.to_string();
        let has = text.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let dot = if has == 0 && places > 0 { "." } else { "" };
        format!("{text}{dot}{}", "0".repeat(places.saturating_sub(has)))
    }
}

impl std::ops::Neg for Amount {
    type Output = Amount;
    fn neg(self) -> Amount {
        Amount(-self.0)
    }
}

/// Plain notation, no exponent, no trailing zeros, never `-0`.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let (whole, part) = (magnitude / UNIT as u128, magnitude % UNIT as u128);
        let sign = if self.0 < 0 { "-" } else { "" };
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        let decimals = format!("{part:018}");
        write!(f, "{sign}{whole}.{}", decimals.trim_end_matches('0'))
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Amount {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Amount::parse(text)
    }
}

/// Adds up amounts; None on overflow.
pub fn sum(amounts: impl IntoIterator<Item = Amount>) -> Option<Amount> {
    amounts.into_iter().try_fold(Amount::ZERO, Amount::checked_add)
}

fn round_div(numerator: i128, denominator: i128) -> Option<i128> {
    let (quotient, remainder) = (numerator.checked_div(denominator)?, numerator.checked_rem(denominator)?);
    let is_half = remainder.unsigned_abs() * 2 >= denominator.unsigned_abs();
    quotient.checked_add(if is_half { numerator.signum() * denominator.signum() } else { 0 })
}

fn round_div_wide(numerator: I256, denominator: I256) -> Option<i128> {
    let (quotient, remainder) = (numerator / denominator, numerator % denominator);
    let twice = remainder.abs().checked_mul(I256::from(2))?;
    let away = if twice >= denominator.abs() { numerator.signum() * denominator.signum() } else { I256::ZERO };
    i128::try_from(quotient + away).ok()
}

/// An amount of one currency. Amounts of two currencies are never added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub amount: Amount,
    pub currency: Currency,
}

/// Why two amounts could not be combined.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("cannot combine {0} with {1}: convert one of them first")]
    Currencies(Currency, Currency),
    #[error("the result has more digits than an amount can hold")]
    Overflow,
}

impl Money {
    /// # Errors
    /// Different currencies, or a result that does not fit.
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, Amount::checked_add)
    }

    /// # Errors
    /// Different currencies, or a result that does not fit.
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.combine(other, Amount::checked_sub)
    }

    fn combine(self, other: Money, with: fn(Amount, Amount) -> Option<Amount>) -> Result<Money, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::Currencies(self.currency, other.currency));
        }
        let amount = with(self.amount, other.amount).ok_or(MoneyError::Overflow)?;
        Ok(Money { amount, currency: self.currency })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse(text).unwrap()
    }

    #[test]
    fn rounds_half_away_from_zero() {
        for (text, places, expected) in [("0.125", 2, "0.13"), ("-0.125", 2, "-0.13"), ("0.124", 2, "0.12"), ("2.5", 0, "3")] {
            assert_eq!(amount(text).rounded(places).to_string(), expected);
        }
    }

    #[test]
    fn a_product_that_fits_is_divided_as_a_wide_one_is() {
        let numbers = [0, 1, 2, 3, 5, 7, 10, 999, UNIT, UNIT / 3, i128::MAX, i128::MAX / 2, i128::MAX / 3 + 1, i128::MIN];
        for numerator in numbers.into_iter().flat_map(|number| [number, number.saturating_neg()]) {
            for denominator in numbers.into_iter().flat_map(|number| [number, number.saturating_neg()]) {
                if denominator != 0 {
                    let wide = round_div_wide(I256::from(numerator), I256::from(denominator));
                    assert_eq!(round_div(numerator, denominator), wide, "{numerator} / {denominator}");
                }
            }
        }
    }

    #[test]
    fn splits_by_largest_remainder() {
        // TV32: 100.00 over three equal teams.
        let parts = amount("100").split(&[Amount::ONE; 3], 2).unwrap();
        assert_eq!(parts, [amount("33.34"), amount("33.33"), amount("33.33")]);
        let parts = amount("-0.05").split(&[Amount::ONE, Amount::ONE], 2).unwrap();
        assert_eq!(sum(parts.iter().copied()), Some(amount("-0.05")));
        assert_eq!(amount("1").split(&[Amount::ZERO], 2), None);
        assert_eq!(amount("1").split(&[-Amount::ONE, Amount::ONE], 2), None);
    }

    #[test]
    fn currencies_do_not_mix() {
        let dollars = Money { amount: amount("1"), currency: Currency::USD };
        let euros = Money { amount: amount("1"), currency: Currency::EUR };
        assert_eq!(dollars.checked_add(euros), Err(MoneyError::Currencies(Currency::USD, Currency::EUR)));
    }
}
