//! Prepaid credits: lots bought or granted, drawn down, expired, paid back (shapes S11 and S12).
//!
//! The lot that expires first is used first, then the one bought first. What is left is idle: held, no cost.

use super::Settlement;
use crate::domain::money::{Amount, sum};
use crate::domain::period::Days;
use chrono::NaiveDate;

/// Credits bought or granted on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lot {
    pub day: NaiveDate,
    /// In credits, or in money where a credit is money.
    pub units: Amount,
    /// First day on which they are worth nothing.
    pub expires: Option<NaiveDate>,
    /// Given, not bought.
    pub granted: bool,
}

/// A pool over some days: `opening + purchased + granted − used − expired − refunded = closing`. Use that
/// no lot covered is `short` and not part of `used`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolMonth {
    pub opening: Amount,
    pub purchased: Amount,
    pub granted: Amount,
    pub used: Amount,
    pub expired: Amount,
    pub refunded: Amount,
    /// What is left: idle, or carried over.
    pub closing: Amount,
    /// Use beyond what was there: the history of purchases is not whole.
    pub short: Amount,
}

/// Use or settlement of a pool on a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    Use(Amount),
    /// Paid back by the platform.
    Refund(Amount),
    /// The route is left: everything that remains is settled.
    Leave(Settlement),
}

/// Draws a pool down over all history and reports some days of it. Lots and draws stand in any order; on one
/// day lots come first, then what expires, then draws as they stand. `None` only if a sum does not fit.
pub fn draw_down(lots: &[Lot], draws: &[(NaiveDate, Draw)], days: Days) -> Option<PoolMonth> {
    let mut lots: Vec<(Lot, Amount)> = lots.iter().map(|lot| (*lot, lot.units)).collect();
    lots.sort_by_key(|(lot, _)| (lot.expires.unwrap_or(NaiveDate::MAX), lot.day));
    let mut draws: Vec<(NaiveDate, Draw)> = draws.iter().copied().filter(|(day, _)| *day < days.to).collect();
    draws.sort_by_key(|(day, _)| *day);
    let mut month = PoolMonth::default();
    for (lot, _) in lots.iter().filter(|(lot, _)| days.contains(lot.day)) {
        let column = if lot.granted { &mut month.granted } else { &mut month.purchased };
        *column = column.checked_add(lot.units)?;
    }
    for (day, draw) in draws {
        let inside = days.contains(day);
        let open = |lot: &Lot| lot.day <= day && lot.expires.is_none_or(|expires| day < expires);
        let there = sum(lots.iter().filter(|(lot, _)| open(lot)).map(|(_, left)| *left))?;
        let asked = match draw {
            Draw::Use(units) | Draw::Refund(units) => units,
            Draw::Leave(Settlement::Carry) => Amount::ZERO,
            Draw::Leave(_) => there,
        };
        let taken = asked.min(there);
        let mut rest = taken;
        for (_, left) in lots.iter_mut().filter(|(lot, _)| open(lot)) {
            let part = rest.min(*left);
            *left = left.checked_sub(part)?;
            rest = rest.checked_sub(part)?;
            if !inside {
                continue;
            }
            let column = match draw {
                Draw::Use(_) => &mut month.used,
                Draw::Refund(_) | Draw::Leave(Settlement::Refund) => &mut month.refunded,
                Draw::Leave(_) => &mut month.expired,
            };
            *column = column.checked_add(part)?;
        }
        if inside {
            month.short = month.short.checked_add(asked.checked_sub(taken)?)?;
        }
    }
    for (lot, left) in lots.iter().filter(|(lot, _)| lot.day < days.to) {
        match lot.expires.filter(|expires| *expires < days.to) {
            Some(expires) if days.contains(expires) => month.expired = month.expired.checked_add(*left)?,
            Some(_) => {}
            None => month.closing = month.closing.checked_add(*left)?,
        }
    }
    let out = sum([month.used, month.expired, month.refunded, month.closing])?;
    month.opening = out.checked_sub(month.purchased)?.checked_sub(month.granted)?;
    Some(month)
}
