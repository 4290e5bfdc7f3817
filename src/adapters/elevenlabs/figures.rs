//! Numbers, times and names of ElevenLabs pages. Numeric cells may arrive as texts (the provider's sheet,
//! section 4), and some times count milliseconds while others count seconds.

use crate::adapters::fields;
use crate::domain::money::{Amount, MONEY_LIMIT, QUANTITY_LIMIT, Read};
use crate::domain::period::parse_instant;
use crate::domain::usage::{Line, Quarantined};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde_json::Value;

/// What a time counts since 1970: analytics and statistics milliseconds, everything else seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Epoch {
    Seconds,
    Millis,
}

impl Epoch {
    fn name(self) -> &'static str {
        match self {
            Epoch::Seconds => "seconds",
            Epoch::Millis => "milliseconds",
        }
    }

    /// An instant of this century. The provider has nothing from before 2020, so one unit is never taken
    /// for the other.
    fn at(self, count: i64) -> Option<DateTime<Utc>> {
        let instant = match self {
            Epoch::Seconds => DateTime::from_timestamp(count, 0),
            Epoch::Millis => DateTime::from_timestamp_millis(count),
        };
        instant.filter(plausible)
    }
}

fn plausible(instant: &DateTime<Utc>) -> bool {
    (2020..2100).contains(&instant.year())
}

/// An exact number; `Ok(None)` when absent or null.
pub(super) fn number(name: &str, cell: Option<&Value>) -> Result<Option<Read>, String> {
    let digits = match cell {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number.as_str(),
        Some(Value::String(text)) => text.as_str(),
        other => return Err(format!("{name}: expected a number, found {}", fields::found(other))),
    };
    Amount::read(digits).map(Some).map_err(|error| format!("{name}: {error}"))
}

/// A quantity, zero or more.
pub(super) fn quantity(name: &str, cell: Option<&Value>) -> Result<Option<Amount>, String> {
    match number(name, cell)?.map(|read| read.amount) {
        Some(amount) if amount.is_negative() => Err(format!("{name}: expected 0 or more, found {amount}")),
        amount => Ok(amount),
    }
}

/// `quantity × numerator ÷ denominator`; `None` beyond what a quantity may be.
pub(super) fn scaled(quantity: Amount, numerator: i128, denominator: i128) -> Option<Amount> {
    quantity.mul_div(numerator, denominator).filter(|scaled| *scaled < QUANTITY_LIMIT)
}

/// A count of calls: whole, zero or more.
pub(super) fn count(name: &str, cell: Option<&Value>) -> Result<Option<u64>, String> {
    let Some(amount) = number(name, cell)?.map(|read| read.amount) else { return Ok(None) };
    let wrong = || format!("{name}: expected a whole number, 0 or more, found {amount}");
    let whole = whole(amount).ok_or_else(wrong)?;
    u64::try_from(whole).map(Some).map_err(|_| wrong())
}

fn whole(amount: Amount) -> Option<i64> {
    let unit = Amount::ONE.atto();
    if amount.atto() % unit == 0 { i64::try_from(amount.atto() / unit).ok() } else { None }
}

/// Why money cannot be used, with its amount where that could be read.
pub(super) type MoneyFault = (String, Option<Amount>);

/// Money, zero or more: no negative amounts are documented.
pub(super) fn money(name: &str, cell: Option<&Value>) -> Result<Option<Read>, MoneyFault> {
    match number(name, cell).map_err(|reason| (reason, None))? {
        Some(Read { amount, .. }) if amount.abs() >= MONEY_LIMIT => {
            Err((format!("{name}: {amount} is too large to be true"), None))
        }
        Some(Read { amount, .. }) if amount.is_negative() => {
            Err((format!("{name}: expected 0 or more, found {amount}"), Some(amount)))
        }
        read => Ok(read),
    }
}

/// A name or id; `Ok(None)` when absent, null or blank.
pub(super) fn name<'v>(field: &str, cell: Option<&'v Value>) -> Result<Option<&'v str>, String> {
    let text = match cell {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim(),
        Some(Value::Number(number)) => number.as_str(),
        other => return Err(format!("{field}: expected a text, found {}", fields::found(other))),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// An instant counted since 1970.
pub(super) fn instant(name: &str, cell: Option<&Value>, epoch: Epoch) -> Result<DateTime<Utc>, String> {
    let wrong = || format!("{name}: expected {} since 1970, found {}", epoch.name(), fields::found(cell));
    let count = number(name, cell)?.and_then(|read| whole(read.amount)).ok_or_else(wrong)?;
    let other = if epoch == Epoch::Seconds { Epoch::Millis } else { Epoch::Seconds };
    epoch.at(count).ok_or_else(|| match other.at(count) {
        Some(_) => format!("{}, which are {}", wrong(), other.name()),
        None => wrong(),
    })
}

/// The start of a bucket as a page writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub at: DateTime<Utc>,
    /// Seconds east of UTC of the written time.
    pub offset: i32,
}

/// The start of a bucket: a date and time, or a count since 1970.
pub(super) fn label(name: &str, cell: Option<&Value>, epoch: Epoch) -> Result<Label, String> {
    let counted = match cell {
        Some(Value::String(text)) => Amount::read(text).is_ok(),
        cell => matches!(cell, Some(Value::Number(_))),
    };
    if counted {
        return instant(name, cell, epoch).map(|at| Label { at, offset: 0 });
    }
    let text = cell.and_then(Value::as_str).unwrap_or_default();
    let at = parse_instant(text).filter(plausible);
    let at = at.ok_or_else(|| format!("{name}: expected a time, found {}", fields::found(cell)))?;
    let zoned = DateTime::parse_from_rfc3339(text.trim()).ok();
    Ok(Label { at, offset: zoned.map_or(0, |zoned| zoned.offset().local_minus_utc()) })
}

/// Sets a row of quantities aside.
pub(super) fn set_aside(row: u32, day: Option<NaiveDate>, reason: String, out: &mut dyn FnMut(Line<'_>)) {
    out(Line::Quarantined(Quarantined { row, day, reason, amount: None, currency: None }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn seconds_are_never_taken_for_milliseconds() {
        let at = |value: Value, epoch: Epoch| instant("t", Some(&value), epoch).map(|at| at.to_rfc3339());
        assert_eq!(at(json!(1794993151), Epoch::Seconds).unwrap(), "2026-11-18T09:12:31+00:00");
        assert_eq!(at(json!(1794960000000_i64), Epoch::Millis).unwrap(), "2026-11-18T00:00:00+00:00");
        assert_eq!(at(json!("1794960000000"), Epoch::Millis).unwrap(), "2026-11-18T00:00:00+00:00");
        let reason = at(json!(1794960000), Epoch::Millis).unwrap_err();
        assert_eq!(reason, "t: expected milliseconds since 1970, found 1794960000, which are seconds");
        let reason = at(json!(1794993151000_i64), Epoch::Seconds).unwrap_err();
        assert_eq!(reason, "t: expected seconds since 1970, found 1794993151000, which are milliseconds");
        for (value, epoch) in
            [(json!(0), Epoch::Seconds), (json!(1.5), Epoch::Millis), (json!(null), Epoch::Millis), (json!(1e17), Epoch::Seconds)]
        {
            assert!(at(value, epoch).is_err());
        }
    }

    #[test]
    fn a_bucket_starts_at_a_written_or_a_counted_time() {
        let of = |value: Value| label("t", Some(&value), Epoch::Millis).map(|label| (label.at.to_rfc3339(), label.offset));
        let midnight = "2026-11-18T00:00:00+00:00".to_string();
        for value in [json!("2026-11-18T00:00:00Z"), json!("2026-11-18 00:00:00"), json!("2026-11-18"), json!(1794960000000_i64)]
        {
            assert_eq!(of(value), Ok((midnight.clone(), 0)));
        }
        assert_eq!(of(json!("2026-11-18T01:00:00+01:00")), Ok((midnight, 3600)));
        for value in [json!("soon"), json!("1970-01-21T10:36:00Z"), json!(""), json!([]), json!(true)] {
            assert!(of(value).is_err());
        }
    }

    #[test]
    fn counts_are_whole_and_money_is_not_negative() {
        let count = |value: Value| count("n", Some(&value));
        assert_eq!((count(json!("4.0")), count(json!(null))), (Ok(Some(4)), Ok(None)));
        assert!(count(json!(1.5)).is_err() && count(json!(-1)).is_err() && count(json!("many")).is_err());
        let money = |value: Value| money("m", Some(&value)).map(|read| read.map(|read| read.amount.to_string()));
        assert_eq!(money(json!("3.654444e-4")), Ok(Some("0.0003654444".to_string())));
        assert_eq!(money(json!(-2)).unwrap_err().1, Some(Amount::whole(-2)));
        assert_eq!(money(json!(1_000_000_000_000_i64)).unwrap_err().1, None);
        assert!(money(json!("NaN")).is_err());
    }
}
