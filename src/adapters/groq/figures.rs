//! One model's day into charges, for the reports that have a single cost for all tokens of a row.

use crate::domain::money::{Amount, MONEY_LIMIT, Read};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, meter};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// The figures of a row; `None` is what it leaves open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub cost: Option<Read>,
    pub requests: Option<u64>,
    pub tokens: Tokens,
}

/// Token counts in disjoint classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    pub input: Option<Amount>,
    pub cache_read: Option<Amount>,
    pub output: Option<Amount>,
}

impl Tokens {
    /// Cached tokens are part of the input as Groq counts it; without a cached count none were.
    ///
    /// # Errors
    /// More cached tokens than input.
    pub fn split(input: Option<Amount>, cached: Option<Amount>, output: Option<Amount>) -> Result<Tokens, String> {
        let taken = cached.unwrap_or_default();
        let whole = input.unwrap_or_default();
        match whole.checked_sub(taken).filter(|rest| !rest.is_negative()) {
            Some(rest) => Ok(Tokens { input: input.map(|_| rest), cache_read: cached, output }),
            None => Err(format!("cached input: expected at most the {whole} tokens of all input, found {taken}")),
        }
    }

    fn by_meter(self) -> [(&'static str, Option<Amount>); 3] {
        [(meter::INPUT_TOKENS, self.input), (meter::CACHE_READ_TOKENS, self.cache_read), (meter::OUTPUT_TOKENS, self.output)]
    }
}

/// Hands on the money with the calls it is for, then each kind of token as a quantity. A row of zeros
/// carries no charge.
pub fn hand_on(shared: &Charge<'_>, figures: &Figures, out: &mut dyn FnMut(Line<'_>)) {
    let some = |count: Option<Amount>| count.filter(|count| !count.is_zero());
    let calls = figures.requests.filter(|calls| *calls > 0);
    let costs = figures.cost.filter(|read| !read.amount.is_zero() || read.residue != 0).is_some();
    let tokens = figures.tokens.by_meter().into_iter().filter_map(|(name, count)| some(count).map(|count| (name, count)));
    let tokens: Vec<(&str, Amount)> = tokens.collect();
    if !costs && calls.is_none() && tokens.is_empty() {
        return out(Line::Nothing { row: shared.row, day: shared.start.date_naive() });
    }
    if figures.cost.is_some() || calls.is_some() {
        out(Line::Charge(Charge {
            meter: Some(meter::REQUESTS),
            quantity: figures.requests.and_then(|calls| i64::try_from(calls).ok()).map(Amount::whole),
            requests: figures.requests,
            cost: figures.cost.map(|read| read.amount),
            residue: figures.cost.map_or(0, |read| read.residue),
            ..shared.clone()
        }));
    }
    for (name, count) in tokens {
        out(Line::Charge(Charge { meter: Some(name), quantity: Some(count), ..shared.clone() }));
    }
}

/// Dollars that may be booked: not negative, since no credits are documented, and not beyond belief.
///
/// # Errors
/// As said.
pub fn money(field: &str, read: Option<Read>) -> Result<Option<Read>, String> {
    match read {
        Some(Read { amount, .. }) if amount.is_negative() => Err(format!("{field}: expected 0 or more, found {amount}")),
        Some(Read { amount, .. }) if amount >= MONEY_LIMIT => Err(format!("{field}: {amount} is too large to be true")),
        read => Ok(read),
    }
}

/// A count: whole and not negative.
///
/// # Errors
/// As said.
pub fn count(field: &str, read: Option<Read>) -> Result<Option<Amount>, String> {
    match read {
        Some(Read { amount, residue }) if amount.is_negative() || residue != 0 || amount.rounded(0) != amount => {
            Err(format!("{field}: expected a whole number, 0 or more, found {amount}"))
        }
        read => Ok(read.map(|read| read.amount)),
    }
}

/// A count of calls.
///
/// # Errors
/// As [`count`].
pub fn calls(field: &str, read: Option<Read>) -> Result<Option<u64>, String> {
    Ok(count(field, read)?.and_then(|count| u64::try_from(count.atto() / Amount::ONE.atto()).ok()))
}

/// The day whose first instant this is.
pub fn day_from(start: DateTime<Utc>) -> Option<Days> {
    let from = start.date_naive();
    Some(Days { from, to: from.succ_opt()? }).filter(|_| start.time() == NaiveTime::MIN)
}

/// The first instant of a day.
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}
