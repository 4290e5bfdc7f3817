//! What only the store of fetched slices knows: which were not fetched, which are held back, and which have
//! changed since they were first seen (reliability.md section 3).

use super::results::{Coverage, Outcome, Restatement, SliceStatus};
use chrono::NaiveDate;
use std::collections::BTreeSet;

/// Whose slice, which report, which day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SliceName {
    pub provider: String,
    pub account: String,
    pub endpoint: String,
    pub day: NaiveDate,
}

/// Marks slices that were due and not fetched as stale, or as missing where nothing older stands for them; and
/// slices that an older version stands for as suspect.
pub fn mark(outcome: &mut Outcome, unfetched: &BTreeSet<SliceName>, held: &BTreeSet<SliceName>) {
    let name = |slice: &Coverage| {
        slice.charge_date.map(|day| SliceName {
            provider: slice.provider.clone(),
            account: slice.account.clone(),
            endpoint: slice.endpoint.clone(),
            day,
        })
    };
    let mut absent = unfetched.clone();
    for slice in &mut outcome.coverage {
        let Some(name) = name(slice) else { continue };
        absent.remove(&name);
        if slice.status == SliceStatus::Missing {
            continue;
        }
        if held.contains(&name) {
            slice.status = SliceStatus::Suspect;
        } else if unfetched.contains(&name) {
            slice.status = SliceStatus::Stale;
        }
    }
    // A day without any money is already named as such, only not with the report that would have brought it.
    outcome.coverage.retain(|slice| {
        let unnamed = slice.status == SliceStatus::Missing && slice.endpoint == "none";
        let same = |other: &SliceName| {
            (Some(other.day), &other.provider, &other.account) == (slice.charge_date, &slice.provider, &slice.account)
        };
        !(unnamed && absent.iter().any(same))
    });
    outcome.coverage.extend(
        absent
            .iter()
            .map(|slice| Coverage::of(Some(slice.day), &slice.provider, &slice.account, &slice.endpoint, SliceStatus::Missing)),
    );
}

/// Takes the changes of slices into the outcome, and marks the items of the slices that have changed.
pub fn restate(outcome: &mut Outcome, restatements: Vec<Restatement>) {
    let changed: BTreeSet<(&str, &str, NaiveDate)> =
        restatements.iter().map(|change| (change.provider.as_str(), change.account.as_str(), change.charge_date)).collect();
    for item in &mut outcome.drift {
        item.restated = changed.contains(&(item.provider.as_str(), item.account.as_str(), item.charge_date));
    }
    outcome.restatements = restatements;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn slice(endpoint: &str, date: &str, status: SliceStatus) -> Coverage {
        Coverage::of(Some(day(date)), "openai", "org", endpoint, status)
    }

    fn name(endpoint: &str, date: &str) -> SliceName {
        let (provider, account) = ("openai".to_string(), "org".to_string());
        SliceName { provider, account, endpoint: endpoint.to_string(), day: day(date) }
    }

    #[test]
    fn what_was_not_fetched_is_stale_or_missing_and_never_silent() {
        use SliceStatus::{Complete, Missing, Provisional, Stale, Suspect};
        let mut outcome = Outcome {
            coverage: vec![
                slice("costs", "2026-11-10", Complete),
                slice("costs", "2026-11-11", Provisional),
                slice("costs", "2026-11-12", Complete),
                slice("none", "2026-11-13", Missing),
                slice("none", "2026-11-14", Missing),
            ],
            ..Outcome::default()
        };
        let unfetched = ["2026-11-11", "2026-11-12", "2026-11-13"].map(|date| name("costs", date));
        let unfetched = unfetched.into_iter().chain([name("usage", "2026-11-11")]).collect();
        mark(&mut outcome, &unfetched, &[name("costs", "2026-11-12")].into());
        let mut rows: Vec<(String, &str, SliceStatus)> = outcome
            .coverage
            .iter()
            .map(|row| (row.charge_date.unwrap().to_string(), row.endpoint.as_str(), row.status))
            .collect();
        rows.sort();
        let expected = [
            ("2026-11-10", "costs", Complete),
            ("2026-11-11", "costs", Stale),
            ("2026-11-11", "usage", Missing),
            ("2026-11-12", "costs", Suspect),
            ("2026-11-13", "costs", Missing),
            ("2026-11-14", "none", Missing),
        ];
        assert_eq!(rows, expected.map(|(date, endpoint, status)| (date.to_string(), endpoint, status)));
    }
}
