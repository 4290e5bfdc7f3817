//! Numbers as sources write them, read to the last digit into [`Amount`]s.

use super::money::{Amount, QUANTITY_LIMIT, SCALE};
use ethnum::I256;

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
            Some(atto) if digits.unsigned_abs() < SHORT && atto.unsigned_abs() < QUANTITY_LIMIT.atto().unsigned_abs() => {
                Ok(Read { amount: Amount::from_atto(atto), residue: 0 })
            }
            _ => Amount::read(&format!("{digits}e-{scale}")),
        }
    }
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
    Some(Amount::from_atto(i128::from(digits) * step))
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
        return Ok(Read { amount: Amount::from_atto(scaled * sign), residue: 0 });
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
    Ok(Read { amount: Amount::from_atto(quotient * sign), residue: residue * sign })
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
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
}
