//! Exact decimals: [`Amount`] (a number at 18 decimals) and [`Money`], an amount of a [`Currency`].
//! Never a binary float, from the digits in the source to the digits in the report.

pub use super::currency::{Currency, UnknownCurrency};
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
/// More significant digits than any real export carries (reliability.md section 5).
const DIGITS_MAX: usize = 28;

/// 10^(18 − places), at the index of the places.
const STEPS: [i128; SCALE as usize + 1] = {
    let mut steps = [1; SCALE as usize + 1];
    let mut at = SCALE as usize;
    while at > 0 {
        steps[at - 1] = steps[at] * 10;
        at -= 1;
    }
    steps
};

/// A signed decimal with exactly 18 decimal places, held as an integer count of 10^-18.
///
/// Used for money (with a [`Currency`] beside it, see [`Money`]) and for quantities.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

/// An amount as read, with what rounding to 18 decimals removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    pub amount: Amount,
    /// Source minus amount, in units of 10^-36; 0 for all sources with up to 18 decimals.
    pub residue: i128,
}

/// Why a text is not an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("expected a number, found nothing")]
    Empty,
    #[error("expected a plain number, found {0:?}")]
    NotANumber(String),
    #[error("{0:?} has more than {DIGITS_MAX} significant digits")]
    TooManyDigits(String),
    #[error("{0:?} is too large to be true")]
    TooLarge(String),
}

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

    /// Reads plain or exponent notation (`-12.50`, `2.05e-05`). More than 18 decimals are rounded
    /// half to even, once, and what that removed is returned with it.
    ///
    /// # Errors
    /// Anything that is not a finite decimal number: empty text, `NaN`, thousands separators, more
    /// than 28 significant digits, or 10^18 and more.
    pub fn read(text: &str) -> Result<Read, NumberError> {
        match plain(text.as_bytes()) {
            Some(amount) => Ok(Read { amount, residue: 0 }),
            None => read_digits(text.trim()),
        }
    }

    /// The amount alone, for sources that never carry more than 18 decimals.
    ///
    /// # Errors
    /// As [`Amount::read`].
    pub fn parse(text: &str) -> Result<Amount, NumberError> {
        Amount::read(text).map(|read| read.amount)
    }

    /// Reads `digits` × 10^-`scale` from a source that stores numbers as numbers, exactly as if they stood
    /// there as text.
    ///
    /// # Errors
    /// As [`Amount::read`].
    pub fn read_decimal(digits: i128, scale: u32) -> Result<Read, NumberError> {
        // One less than the digits that a text may have; beyond, the reader of texts decides.
        const SHORT: u128 = 10u128.pow(DIGITS_MAX as u32 - 1);
        let step = STEPS.get(scale as usize).copied();
        match step.and_then(|step| digits.checked_mul(step)) {
            Some(atto) if digits.unsigned_abs() < SHORT && atto.unsigned_abs() < QUANTITY_LIMIT.0.unsigned_abs() => {
                Ok(Read { amount: Amount(atto), residue: 0 })
            }
            _ => Amount::read(&format!("{digits}e-{scale}")),
        }
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

/// What nearly every number is, `1234` or `0.003415` with up to 18 digits: one for each cell of a large ledger. `None`
/// for every other form, also those that are numbers.
fn plain(text: &[u8]) -> Option<Amount> {
    let (mut digits, mut point) = (0u64, None);
    if text.len() > 19 {
        return None;
    }
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => digits = digits * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let places = match point {
        Some(at) if at > 0 => text.len() - at - 1,
        None if (1..=18).contains(&text.len()) => 0,
        _ => return None,
    };
    let step = STEPS.get(places).filter(|_| point.is_none() || places > 0)?;
    Some(Amount(i128::from(digits) * step))
}

fn read_digits(text: &str) -> Result<Read, NumberError> {
    let bad = || NumberError::NotANumber(excerpt(text));
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Err(NumberError::Empty);
    }
    let negative = bytes[0] == b'-';
    let mut at = usize::from(negative);
    let mut digits: i128 = 0;
    // Digits that `digits` holds, without leading zeros, and the power of ten of its last one.
    let (mut held, mut exponent, mut any, mut point) = (0usize, 0i64, false, false);
    // Zeros seen and not yet written: trailing ones cost no digits.
    let mut zeros = 0u32;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0' => {
                any = true;
                if held > 0 {
                    zeros += 1;
                }
                exponent -= i64::from(point);
            }
            b'1'..=b'9' => {
                any = true;
                held += zeros as usize + 1;
                if held > DIGITS_MAX {
                    return Err(NumberError::TooManyDigits(excerpt(text)));
                }
                digits = digits * 10i128.pow(zeros + 1) + i128::from(byte - b'0');
                zeros = 0;
                exponent -= i64::from(point);
            }
            b'.' if !point => point = true,
            b'e' | b'E' if any => break,
            _ => return Err(bad()),
        }
        at += 1;
    }
    if !any {
        return Err(bad());
    }
    exponent += i64::from(zeros);
    if at < bytes.len() {
        let written = &text[at + 1..];
        let unsigned = written.strip_prefix(['+', '-']).unwrap_or(written);
        if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        let written = written.parse::<i64>().map_err(|_| NumberError::TooLarge(excerpt(text)))?;
        exponent += written.clamp(-10_000, 10_000);
    }
    if digits == 0 {
        return Ok(Read { amount: Amount::ZERO, residue: 0 });
    }
    let places = exponent + i64::from(SCALE);
    let sign = if negative { -1 } else { 1 };
    if places >= 0 {
        if held as i64 + exponent > 18 {
            return Err(NumberError::TooLarge(excerpt(text)));
        }
        let scaled = u32::try_from(places)
            .ok()
            .and_then(|places| 10i128.checked_pow(places))
            .and_then(|power| digits.checked_mul(power))
            .ok_or_else(|| NumberError::TooLarge(excerpt(text)))?;
        return Ok(Read { amount: Amount(scaled * sign), residue: 0 });
    }
    let drop = -places;
    if drop > 38 {
        // Less than half of 10^-18 for certain: at most 28 digits stand before it.
        return Ok(Read { amount: Amount::ZERO, residue: 0 });
    }
    let divisor = 10i128.pow(drop as u32);
    let (mut quotient, remainder) = (digits / divisor, digits % divisor);
    let half = divisor / 2;
    if remainder > half || (remainder == half && quotient % 2 == 1) {
        quotient += 1;
    }
    let removed = I256::from(digits) - I256::from(quotient) * I256::from(divisor);
    let residue = if drop <= 18 {
        removed * I256::from(10i128.pow(18 - drop as u32))
    } else {
        removed / I256::from(10i128.pow(drop as u32 - 18))
    };
    let residue = i128::try_from(residue).map_err(|_| bad())?;
    Ok(Read { amount: Amount(quotient * sign), residue: residue * sign })
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
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
    fn reads_digits_in_every_notation() {
        for (text, expected) in [
            ("0", "0"),
            ("-0", "0"),
            ("12.50", "12.5"),
            ("2.05e-05", "0.0000205"),
            ("4.40E-7", "0.00000044"),
            ("1e3", "1000"),
            ("-.5", "-0.5"),
            ("59200.0", "59200"),
            ("0.003835980000000000000000000000", "0.00383598"),
            ("41.283750000000000000000000", "41.28375"),
            ("999999999999999999", "999999999999999999"),
        ] {
            assert_eq!(amount(text).to_string(), expected, "{text}");
        }
    }

    #[test]
    fn the_plain_form_reads_as_every_other_one_does() {
        let mut plainly = 0;
        let mut same = |text: &str| {
            let read = plain(text.as_bytes());
            plainly += usize::from(read.is_some());
            assert!(
                read.is_none() || read_digits(text).map(|read| (read.amount, read.residue)) == Ok((read.unwrap(), 0)),
                "{text}"
            );
        };
        for digits in ["0", "7", "00", "10", "100200300", "999999999999999999", "1000000000000000000", "123456789012345678"] {
            same(digits);
            for at in 0..=digits.len() {
                same(&format!("{}.{}", &digits[..at], &digits[at..]));
                same(&format!("-{}.{}", &digits[..at], &digits[at..]));
                same(&format!("0.{}{digits}", "0".repeat(at)));
            }
        }
        for text in ["", ".", "1.2.3", " 1", "1 ", "+1", "1e3", "1_000", "\u{661}", "0x1", "12345678901234567890"] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
        assert!(plainly > 60, "{plainly}");
    }

    #[test]
    fn refuses_what_is_not_a_number() {
        for text in
            ["", "NaN", "inf", "-", ".", "1,000", "1e999", "1e309", "1e", "0x1", "1 2", "12345678901234567890123456789", "1e18"]
        {
            assert!(Amount::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn rounds_half_to_even_once_at_the_door_and_keeps_the_residue() {
        let read = Amount::read("0.0000000000000000005").unwrap();
        assert_eq!((read.amount.atto(), read.residue), (0, 500_000_000_000_000_000));
        let read = Amount::read("0.0000000000000000015").unwrap();
        assert_eq!((read.amount.atto(), read.residue), (2, -500_000_000_000_000_000));
        let read = Amount::read("-0.0000000000000000025").unwrap();
        assert_eq!((read.amount.atto(), read.residue), (-2, -500_000_000_000_000_000));
    }

    #[test]
    fn rounds_half_away_from_zero() {
        for (text, places, expected) in [("0.125", 2, "0.13"), ("-0.125", 2, "-0.13"), ("0.124", 2, "0.12"), ("2.5", 0, "3")] {
            assert_eq!(amount(text).rounded(places).to_string(), expected);
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
