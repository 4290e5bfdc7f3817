//! What is left in the wallet, in dollars. It is no charge: it is shown beside the books.

use super::super::balance::{self, Balance};
use super::super::{BadPage, fields};
use crate::domain::money::Currency;
use crate::domain::usage::Line;
use chrono::NaiveDate;
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
    let left = left.ok_or_else(|| {
        bad(format!("remaining_balance: expected an amount, found {}", fields::found(wallet.get("remaining_balance"))))
    })?;
    let balance = Balance { left: left.amount, paid_in: None, credits: None, currency: Currency::USD };
    balance::hand_on(balance, day, out).map_err(|fault| bad(format!("remaining_balance: {fault}")))
}
