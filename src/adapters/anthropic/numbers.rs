//! Counts, cents and dollars of this provider, exactly as written.

use super::fields;
use crate::domain::money::{Amount, MONEY_LIMIT, Read};
use serde_json::Value;

/// An amount that cannot be booked, with itself in dollars where it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadMoney {
    pub reason: String,
    pub amount: Option<Amount>,
}

impl From<String> for BadMoney {
    fn from(reason: String) -> Self {
        BadMoney { reason, amount: None }
    }
}

/// A count: whole and not negative. Absent is none, and none is counted as zero here because no charge
/// is made of either.
///
/// # Errors
/// The fault, named by field, expectation and finding.
pub(super) fn count(field: &str, read: Option<Read>) -> Result<Amount, String> {
    let Some(Read { amount, residue }) = read else { return Ok(Amount::ZERO) };
    if amount.is_negative() || residue != 0 || amount.rounded(0) != amount {
        return Err(format!("{field}: expected a whole number of at least 0, found {amount}"));
    }
    Ok(amount)
}

/// The count at `key`; zero when absent.
///
/// # Errors
/// As [`count`].
pub(super) fn count_at(value: &Value, key: &str) -> Result<Amount, String> {
    count(key, fields::number(value, key)?)
}

/// The amount at `key`, which the API writes in cents as text or number, in dollars. The decimal point
/// moves before anything is rounded, so amounts with more digits than we keep are rounded once.
///
/// # Errors
/// Not a number, negative (the reports document no credits), or too large.
pub(super) fn cents(value: &Value, key: &str) -> Result<Read, BadMoney> {
    if fields::number(value, key)?.is_none() {
        return Err(BadMoney::from(format!("{key}: expected a number, found {}", fields::found(value.get(key)))));
    }
    let digits = match value.get(key) {
        Some(Value::Number(number)) => number.as_str(),
        Some(Value::String(text)) => text.trim(),
        other => return Err(BadMoney::from(format!("{key}: expected a number, found {}", fields::found(other)))),
    };
    dollars(key, Amount::read(&hundredth(digits)).map_err(|error| format!("{key}: {error}"))?)
}

/// The same digits with an exponent lower by two.
fn hundredth(digits: &str) -> String {
    match digits.split_once(['e', 'E']) {
        None => format!("{digits}e-2"),
        // Exponents that are no i64 were refused before; they stay as they are and are refused again.
        Some((digits, exponent)) => match exponent.parse::<i64>() {
            Ok(exponent) => format!("{digits}e{}", exponent.saturating_sub(2)),
            Err(_) => format!("{digits}e{exponent}"),
        },
    }
}

/// An amount in dollars that may be booked as usage.
///
/// # Errors
/// Negative or too large.
pub(super) fn dollars(field: &str, read: Read) -> Result<Read, BadMoney> {
    if read.amount.abs() >= MONEY_LIMIT {
        return Err(BadMoney::from(format!("{field}: {} dollars is too large to be true", read.amount)));
    }
    if read.amount.is_negative() || (read.amount.is_zero() && read.residue < 0) {
        let reason = format!("{field}: expected no negative amount, found {} dollars", read.amount);
        return Err(BadMoney { reason, amount: Some(read.amount) });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars_of(amount: Value) -> Result<(String, i128), BadMoney> {
        let row = serde_json::json!({ "amount": amount });
        cents(&row, "amount").map(|read| (read.amount.to_string(), read.residue))
    }

    #[test]
    fn cents_become_dollars_by_moving_the_point() {
        for (written, expected) in [
            ("1834.2000", "18.342"),
            ("123.78912", "1.2378912"),
            ("123.45", "1.2345"),
            ("50", "0.5"),
            ("0", "0"),
            ("1.8342e3", "18.342"),
            ("5E-3", "0.00005"),
            ("5e+2", "5"),
            ("-0", "0"),
        ] {
            assert_eq!(dollars_of(Value::from(written)), Ok((expected.to_string(), 0)), "{written}");
            let number: Value = serde_json::from_str(written).unwrap();
            assert_eq!(dollars_of(number), Ok((expected.to_string(), 0)), "{written} as a number");
        }
    }

    #[test]
    fn more_digits_than_we_keep_are_rounded_once() {
        // 18 decimals of cents are 20 of dollars: the last two are half a unit, which goes to the even digit.
        let (amount, residue) = dollars_of(Value::from("0.123456789012345650")).unwrap();
        assert_eq!((amount.as_str(), residue), ("0.001234567890123456", 500_000_000_000_000_000));
        // Rounded at 18 decimals of cents first, this would be half a unit of dollars, and then nothing.
        let (amount, residue) = dollars_of(Value::from("0.0000000000000000505")).unwrap();
        assert_eq!((amount.as_str(), residue), ("0.000000000000000001", -495_000_000_000_000_000));
    }

    #[test]
    fn refuses_what_cannot_be_booked() {
        for written in
            ["", "NaN", "inf", "1e999", "1,834.20", "$5", "1e99999999999999999999", "1e17", "12345678901234567890123456789"]
        {
            assert!(dollars_of(Value::from(written)).is_err(), "{written}");
        }
        assert!(dollars_of(Value::Null).is_err());
        assert!(dollars_of(serde_json::json!([1])).is_err());
        let negative = dollars_of(Value::from("-250")).unwrap_err();
        assert_eq!(negative.amount.map(|amount| amount.to_string()).as_deref(), Some("-2.5"));
    }

    #[test]
    fn counts_are_whole() {
        let count = |text: &str| count("tokens", Some(Amount::read(text).unwrap())).map(|amount| amount.to_string());
        assert_eq!(count("59200.0").as_deref(), Ok("59200"));
        assert_eq!(count("1e3").as_deref(), Ok("1000"));
        for text in ["-1", "0.5", "1e-20"] {
            assert!(count(text).is_err(), "{text}");
        }
    }
}
