//! A part of a month, and leaving a route in the middle of one (shape S18).

use crate::domain::money::Amount;
use crate::domain::period::{Days, month_start};
use chrono::{Months, NaiveDate};

/// Days of a calendar month: `from` included, `to` excluded, both counted from 0, out of `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    pub from: u32,
    pub to: u32,
    pub of: u32,
}

impl Portion {
    pub const WHOLE: Portion = Portion { from: 0, to: 1, of: 1 };

    /// The days of a span that lie in the month of its first day.
    pub fn of(days: Days) -> Portion {
        let start = month_start(days.from);
        let end = start.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
        let count = |to: NaiveDate| u32::try_from((to.min(end) - start).num_days()).unwrap_or(0);
        Portion { from: count(days.from), to: count(days.to.max(days.from)), of: count(end).max(1) }
    }

    /// What these days bear of a month's amount, at `places` decimals: what falls until their end, less what
    /// falls until their start, each rounded half away from zero. So the parts of a month sum to the whole,
    /// however it is cut (TV28, TV29). `None` only if it does not fit.
    pub fn share(&self, amount: Amount, places: u32) -> Option<Amount> {
        // The end of the month takes the amount itself, whatever decimals it has.
        let until = |day: u32| match day == self.of {
            true => Some(amount),
            false => amount.mul_div(i128::from(day), i128::from(self.of)).map(|part| part.rounded(places)),
        };
        until(self.to)?.checked_sub(until(self.from)?)
    }
}

/// What becomes of credits that are left when a route is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Paid back.
    Refund,
    /// Kept for later.
    Carry,
    /// Lost: a cost of the credits, `idle_or_expired`.
    Forfeit,
}

/// Unused credits, settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub refunded: Amount,
    pub carried: Amount,
    pub forfeited: Amount,
}

impl Settlement {
    pub const fn name(self) -> &'static str {
        match self {
            Settlement::Refund => "refund",
            Settlement::Carry => "carry",
            Settlement::Forfeit => "forfeit",
        }
    }

    /// Settles what is left.
    pub fn settle(self, unused: Amount) -> Settled {
        let mut settled = Settled::default();
        match self {
            Settlement::Refund => settled.refunded = unused,
            Settlement::Carry => settled.carried = unused,
            Settlement::Forfeit => settled.forfeited = unused,
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{SCALE, sum};
    use crate::domain::period::parse_day;

    fn days(from: &str, to: &str) -> Days {
        Days { from: parse_day(from).unwrap(), to: parse_day(to).unwrap() }
    }

    #[test]
    fn a_span_is_cut_to_the_month_of_its_first_day() {
        assert_eq!(Portion::of(days("2026-11-01", "2026-11-13")), Portion { from: 0, to: 12, of: 30 });
        assert_eq!(Portion::of(days("2026-12-11", "2027-02-01")), Portion { from: 10, to: 31, of: 31 });
        assert_eq!(Portion::of(days("2028-02-29", "2028-03-01")), Portion { from: 28, to: 29, of: 29 });
    }

    #[test]
    fn every_cut_of_a_month_sums_to_the_whole() {
        let amount = Amount::parse("49.000000000000000001").unwrap();
        for places in [0, 2, SCALE] {
            for first in 0..=31 {
                for second in first..=31 {
                    let cuts = [(0, first), (first, second), (second, 31)];
                    let parts = cuts.map(|(from, to)| Portion { from, to, of: 31 }.share(amount, places).unwrap());
                    assert_eq!(sum(parts), Some(amount), "{first} {second} at {places}");
                }
            }
        }
    }

    #[test]
    fn unused_credits_go_one_way() {
        let unused = Amount::whole(7);
        assert_eq!(Settlement::Refund.settle(unused), Settled { refunded: unused, ..Settled::default() });
        assert_eq!(Settlement::Carry.settle(unused), Settled { carried: unused, ..Settled::default() });
        assert_eq!(Settlement::Forfeit.settle(unused), Settled { forfeited: unused, ..Settled::default() });
    }
}
