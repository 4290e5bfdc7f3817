//! What is left of prepaid money, as a line. It is no charge: it is shown beside the books.

use crate::domain::money::{Amount, Currency, MONEY_LIMIT};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line, meter};
use chrono::{NaiveDate, NaiveTime};

/// A balance at the end of a UTC day.
#[derive(Clone, Copy, Debug)]
pub struct Balance {
    pub left: Amount,
    /// All that was ever paid in, where the provider says: then a top-up is told from what was spent.
    pub paid_in: Option<Amount>,
    /// The same in the provider's own credits, where it counts in them.
    pub credits: Option<Amount>,
    pub currency: Currency,
}

/// Hands on the balance of a day, and speaks for that day.
///
/// # Errors
/// Amounts beyond what any account can hold, in words.
pub fn hand_on(balance: Balance, day: NaiveDate, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    if let Some(large) = [Some(balance.left), balance.paid_in].into_iter().flatten().find(|amount| amount.abs() >= MONEY_LIMIT) {
        return Err(format!("{large} is too large to be true"));
    }
    let next = day.succ_opt().ok_or_else(|| format!("{day}: no day comes after it"))?;
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    out(Line::Charge(Charge {
        meter: balance.credits.map(|_| meter::PROVIDER_CREDITS),
        quantity: balance.credits,
        cost: Some(balance.left),
        list_cost: balance.paid_in,
        ..Charge::new(1, midnight(day), midnight(next), balance.currency)
    }));
    out(Line::Covers(Days { from: day, to: next }));
    Ok(())
}
