//! Dated exchange rates.

use super::money::{Amount, Currency};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Rates as given, `from` → `to` on a day. No rate is derived from two others.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub rates: BTreeMap<(Currency, Currency, NaiveDate), Decimal>,
}

/// A rate with the day it was published for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub rate: Decimal,
    pub day: NaiveDate,
}

impl Rates {
    /// The rate in force on a day: the latest one not after it and not more than 7 days older, so that
    /// weekends and holidays take the last published one. 1 for a currency to itself.
    pub fn rate(&self, from: Currency, to: Currency, day: NaiveDate) -> Option<Rate> {
        if from == to {
            return Some(Rate { rate: Decimal::ONE, day });
        }
        let oldest = day - chrono::Duration::days(7);
        let (key, rate) = self.rates.range((from, to, oldest)..=(from, to, day)).next_back()?;
        Some(Rate { rate: *rate, day: key.2 })
    }
}

/// An amount at a rate, rounded once at 18 decimals.
pub fn convert(amount: Amount, rate: Rate) -> Option<Amount> {
    amount.times_decimal(rate.rate)
}
