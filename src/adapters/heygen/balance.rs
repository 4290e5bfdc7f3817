//! What is left in the wallet, in dollars. It is no charge: it is shown beside the books.

use super::super::{BadPage, fields};
use crate::domain::money::{Currency, MONEY_LIMIT};
use crate::domain::period::Days;
use crate::domain::usage::{Charge, Line};
use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;

/// The wallet of an account's answer, with the day in its file's name. Credits of an enterprise are no money.
pub(super) fn of<'v>(answer: &'v Value, file: &str) -> Option<(&'v Value, NaiveDate)> {
    let wallet = answer.get("data")?.get("wallet")?;
    (fields::text(wallet, "currency")? == "usd").then_some(())?;
    Some((wallet, fields::named_day(file)?))
}

/// # Errors
/// A balance that is no amount.
pub(super) fn read(wallet: &Value, day: NaiveDate, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let bad = |what: String| BadPage::new(what, "save the answer of GET /v3/users/me under its day: balance-2026-11-18.json");
    let left = fields::number(wallet, "remaining_balance").map_err(bad)?;
    let left = left.filter(|left| left.amount.abs() < MONEY_LIMIT);
    let left = left.ok_or_else(|| {
        bad(format!("remaining_balance: expected an amount, found {}", fields::found(wallet.get("remaining_balance"))))
    })?;
    let Some(next) = day.succ_opt() else { return Err(bad(format!("{day}: no day comes after it"))) };
    let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    out(Line::Charge(Charge { cost: Some(left.amount), ..Charge::new(1, midnight(day), midnight(next), Currency::USD) }));
    out(Line::Covers(Days { from: day, to: next }));
    Ok(())
}
