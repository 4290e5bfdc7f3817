//! Accounts that bring nothing new, run after run (reliability.md section 6, "providers frozen?"): an export that
//! nobody writes any more, a proxy that answers from its memory, a replica that stands still.

use super::results::{Coverage, Outcome, SliceStatus, Tie};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// The name under which a ledger's rows stand in `coverage.csv`.
const LEDGER: &str = "ledger";

/// The newest that was read of an account, and since when that is the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// `ledger` for a ledger, whose name then stands in `account`.
    pub provider: String,
    pub account: String,
    /// The last day that has rows.
    pub day: NaiveDate,
    /// What that is, report by report, in words.
    pub rows: String,
    /// The business date of the first run that had nothing newer.
    pub since: NaiveDate,
    /// Business dates in a row, this one among them, that had nothing newer.
    pub runs: u32,
}

/// An account that stands still while it should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Empty: nothing at all that the job reads has changed.
    pub provider: String,
    pub account: String,
    pub since: NaiveDate,
    pub runs: u32,
}

/// The newest of every account, followed from what the run before said of it. `before` is of an earlier business date,
/// or of the same one; a later one says nothing about this run.
pub fn newest(coverage: &[Coverage], before: &[Newest], before_date: Option<NaiveDate>, business_date: NaiveDate) -> Vec<Newest> {
    let mut found: BTreeMap<(&str, &str), BTreeMap<&str, &Coverage>> = BTreeMap::new();
    for slice in coverage.iter().filter(|slice| slice.rows_read > slice.duplicates && slice.charge_date.is_some()) {
        let reports = found.entry((&slice.provider, &slice.account)).or_default();
        let last = reports.entry(&slice.endpoint).or_insert(slice);
        if last.charge_date < slice.charge_date {
            *last = slice;
        }
    }
    let one = |((provider, account), reports): ((&str, &str), BTreeMap<&str, &Coverage>)| {
        let words = |(report, slice): (&&str, &&Coverage)| {
            let day = slice.charge_date.map_or(String::new(), |day| day.to_string());
            let amount = slice.amount.map_or(String::new(), |amount| format!(", {amount}"));
            format!("{report} {day}: {} rows{amount}", slice.rows_read - slice.duplicates)
        };
        let day = reports.values().filter_map(|slice| slice.charge_date).max()?;
        let rows = reports.iter().map(words).collect::<Vec<_>>().join("; ");
        let same = before.iter().find(|before| before.provider == provider && before.account == account);
        let same = same.filter(|before| before.rows == rows && before_date.is_some_and(|date| date <= business_date));
        let (since, runs) = match same {
            None => (business_date, 1),
            Some(before) => (before.since, before.runs.saturating_add(u32::from(before_date < Some(business_date)))),
        };
        Some(Newest { provider: provider.to_string(), account: account.to_string(), day, rows, since, runs })
    };
    found.into_iter().filter_map(one).collect()
}

/// Who stands still: so many runs in a row brought nothing newer, though the other side has gone on since and the days
/// are there, empty. Where a day is missing, `coverage.csv` says so already. And everything, where nothing at all is new.
pub fn frozen(newest: &[Newest], outcome: &Outcome, runs: u32) -> Vec<Frozen> {
    if runs == 0 {
        return Vec::new();
    }
    let still = |one: &&Newest| one.runs >= runs;
    if let Some(first) = newest.iter().min_by_key(|one| one.runs).filter(still) {
        return vec![Frozen { provider: String::new(), account: String::new(), since: first.since, runs: first.runs }];
    }
    let whole = |status| matches!(status, SliceStatus::Complete | SliceStatus::Provisional);
    let came: BTreeSet<(&str, &str, NaiveDate)> = outcome
        .coverage
        .iter()
        .filter(|slice| whole(slice.status))
        .filter_map(|slice| Some((slice.provider.as_str(), slice.account.as_str(), slice.charge_date?)))
        .collect();
    let goes_on = |one: &&Newest| {
        let later = || outcome.reconciliation.iter().filter(|slice| slice.charge_date > one.day && slice.status != Tie::Missing);
        if one.provider == LEDGER {
            return later().any(|slice| slice.provider_total.is_some_and(|total| !total.is_zero()));
        }
        later()
            .filter(|slice| slice.provider == one.provider && slice.account == one.account)
            .any(|slice| !slice.ledger_total.is_zero() && came.contains(&(&*one.provider, &*one.account, slice.charge_date)))
    };
    let of =
        |one: &Newest| Frozen { provider: one.provider.clone(), account: one.account.clone(), since: one.since, runs: one.runs };
    newest.iter().filter(still).filter(goes_on).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::{Amount, Currency};
    use crate::stages::results::Reconciliation;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    fn slice(provider: &str, on: u32, rows: u64) -> Coverage {
        Coverage { rows_read: rows, ..Coverage::of(Some(day(on)), provider, "acme", "costs", SliceStatus::Complete) }
    }

    fn tie(provider: &str, on: u32, billed: Option<i64>, expected: i64) -> Reconciliation {
        Reconciliation {
            charge_date: day(on),
            provider: provider.to_string(),
            account: "acme".to_string(),
            currency: Currency::USD,
            provider_total: billed.map(Amount::whole),
            ledger_total: Amount::whole(expected),
            matched: Amount::ZERO,
            reasons: [Amount::ZERO; 24],
            status: if billed.is_some() { Tie::Tied } else { Tie::Missing },
        }
    }

    /// A night over the days until `last`: openai has rows until `openai`, the ledger until `ledger`, fal always.
    fn night(last: u32, openai: u32, ledger: u32) -> Outcome {
        let mut outcome = Outcome::default();
        for on in 1..=last {
            let rows = |until: u32| u64::from(on <= until) * u64::from(on);
            outcome.coverage.extend([
                slice("openai", on, rows(openai)),
                slice("fal", on, rows(31)),
                slice(LEDGER, on, rows(ledger)),
            ]);
            let expected = i64::from(on <= ledger);
            outcome
                .reconciliation
                .extend([tie("openai", on, Some(i64::from(on <= openai)), expected), tie("fal", on, Some(1), expected)]);
        }
        outcome
    }

    fn names(frozen: &[Frozen]) -> Vec<(&str, u32, u32)> {
        use chrono::Datelike;
        frozen.iter().map(|one| (one.provider.as_str(), one.since.day(), one.runs)).collect()
    }

    #[test]
    fn an_account_that_brings_nothing_new_is_told_after_so_many_runs() {
        let mut before: (Vec<Newest>, Option<NaiveDate>) = (Vec::new(), None);
        let mut said = Vec::new();
        // openai stands still from the tenth on.
        for last in 9..=14 {
            let outcome = night(last, 10, 31);
            for _ in 0..2 {
                // A second run of a night counts once.
                before = (newest(&outcome.coverage, &before.0, before.1, day(last)), Some(day(last)));
            }
            said.push(
                names(&frozen(&before.0, &outcome, 3))
                    .iter()
                    .map(|(name, since, runs)| (name.to_string(), *since, *runs))
                    .collect::<Vec<_>>(),
            );
        }
        let openai = |runs| vec![("openai".to_string(), 10, runs)];
        assert_eq!(said, [vec![], vec![], vec![], openai(3), openai(4), openai(5)]);
        // Never, if the job says so; and a backfill of an earlier day begins anew.
        let outcome = night(14, 10, 31);
        assert_eq!(frozen(&before.0, &outcome, 0), []);
        let again = newest(&night(12, 10, 31).coverage, &before.0, before.1, day(12));
        assert!(again.iter().all(|one| one.runs == 1), "{again:?}");
        // One row of the last day that was late is something new.
        let mut late = night(15, 10, 31);
        late.coverage.iter_mut().filter(|slice| slice.charge_date == Some(day(10))).for_each(|slice| slice.rows_read += 1);
        let found = newest(&late.coverage, &before.0, before.1, day(15));
        assert_eq!(frozen(&found, &late, 3), []);
    }

    #[test]
    fn who_is_idle_or_missing_is_not_frozen() {
        let follow = |nights: &[Outcome]| {
            let mut before: (Vec<Newest>, Option<NaiveDate>) = (Vec::new(), None);
            for (number, outcome) in (10..).zip(nights) {
                before = (newest(&outcome.coverage, &before.0, before.1, day(number)), Some(day(number)));
            }
            before.0
        };
        // Nobody calls openai any more.
        let idle: Vec<Outcome> = (10..15)
            .map(|last| {
                let mut outcome = night(last, 10, 31);
                let idle = |slice: &&mut Reconciliation| slice.provider == "openai" && slice.charge_date > day(10);
                outcome.reconciliation.iter_mut().filter(idle).for_each(|slice| slice.ledger_total = Amount::ZERO);
                outcome
            })
            .collect();
        assert_eq!(frozen(&follow(&idle), &idle[4], 3), []);
        // Its days do not come at all.
        let missing: Vec<Outcome> = (10..15)
            .map(|last| {
                let mut outcome = night(last, 10, 31);
                outcome.coverage.retain(|slice| slice.provider != "openai" || slice.charge_date <= Some(day(10)));
                outcome
            })
            .collect();
        assert_eq!(frozen(&follow(&missing), &missing[4], 3), []);
        // The ledger stands still, the providers do not; then nothing moves at all.
        let ledger: Vec<Outcome> = (10..15).map(|last| night(last, 31, 10)).collect();
        assert_eq!(names(&frozen(&follow(&ledger), &ledger[4], 3)), [(LEDGER, 10, 5)]);
        let all: Vec<Outcome> = (10..15).map(|_| night(9, 9, 9)).collect();
        assert_eq!(names(&frozen(&follow(&all), &all[4], 3)), [("", 10, 5)]);
    }
}
