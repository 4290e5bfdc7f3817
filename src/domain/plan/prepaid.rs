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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::parse_day;

    fn day(text: &str) -> NaiveDate {
        parse_day(text).unwrap()
    }

    fn lot(bought: &str, units: i64, expires: Option<&str>, granted: bool) -> Lot {
        Lot { day: day(bought), units: Amount::whole(units), expires: expires.map(day), granted }
    }

    #[test]
    fn months_roll_forward_whatever_happens_in_them() {
        let lots = [
            lot("2026-01-10", 100, Some("2026-03-05"), false),
            lot("2026-02-01", 30, None, true),
            lot("2026-02-20", 50, Some("2026-04-20"), false),
            lot("2026-04-02", 7, None, false),
        ];
        let draws = [
            (day("2026-01-09"), Draw::Use(Amount::whole(2))),
            (day("2026-01-31"), Draw::Use(Amount::whole(40))),
            (day("2026-02-10"), Draw::Refund(Amount::whole(5))),
            (day("2026-03-04"), Draw::Use(Amount::whole(45))),
            (day("2026-03-06"), Draw::Use(Amount::whole(20))),
            (day("2026-04-25"), Draw::Leave(Settlement::Refund)),
            (day("2026-04-26"), Draw::Use(Amount::ONE)),
        ];
        let months = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01", "2026-05-01"].map(day);
        let pools: Vec<PoolMonth> =
            months.windows(2).map(|ends| draw_down(&lots, &draws, Days { from: ends[0], to: ends[1] }).unwrap()).collect();
        for (before, after) in pools.iter().zip(pools.iter().skip(1)) {
            assert_eq!(before.closing, after.opening);
        }
        let whole = |figure: fn(&PoolMonth) -> Amount| pools.iter().map(|pool| figure(pool).to_string()).collect::<Vec<_>>();
        assert_eq!(whole(|pool| pool.opening), ["0", "60", "135", "60"]);
        assert_eq!(whole(|pool| pool.purchased), ["100", "50", "0", "7"]);
        assert_eq!(whole(|pool| pool.granted), ["0", "30", "0", "0"]);
        assert_eq!(whole(|pool| pool.used), ["40", "0", "65", "0"]);
        // Ten of the first lot are left when it expires; the third lot's thirty expire before the pool is left.
        assert_eq!(whole(|pool| pool.expired), ["0", "0", "10", "30"]);
        assert_eq!(whole(|pool| pool.refunded), ["0", "5", "0", "37"]);
        assert_eq!(whole(|pool| pool.short), ["2", "0", "0", "1"]);
        assert_eq!(whole(|pool| pool.closing), ["60", "135", "60", "0"]);
    }

    #[test]
    fn leaving_forfeits_refunds_or_carries() {
        let lots = [lot("2026-01-01", 10, None, false)];
        let january = Days { from: day("2026-01-01"), to: day("2026-02-01") };
        let left = |how| draw_down(&lots, &[(day("2026-01-20"), Draw::Leave(how))], january).unwrap();
        let ends = |pool: PoolMonth| [pool.expired, pool.refunded, pool.closing].map(|amount| amount.to_string());
        assert_eq!(ends(left(Settlement::Forfeit)), ["10", "0", "0"]);
        assert_eq!(ends(left(Settlement::Refund)), ["0", "10", "0"]);
        assert_eq!(ends(left(Settlement::Carry)), ["0", "0", "10"]);
    }
}
