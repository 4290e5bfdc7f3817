//! What a run has to ask: the days that may still change or were never seen, of every account with an API.

use super::super::state::State;
use super::super::state::slices::{Owner, SliceRow};
use crate::adapters::request::{Account, Hours, Request, midnight};
use crate::adapters::{self, Adapter};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::Days;
use crate::job::{Api, Job, Source};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// Days before the as-of day whose hours are asked again between the nights: what is later than that the night finds.
const TRAILING_OF_HOURS: u32 = 1;

/// Chains of pages that speak for the same days of a report: they land together or not at all.
#[derive(Clone, Debug)]
pub struct Group {
    pub report: &'static str,
    pub days: BTreeSet<NaiveDate>,
    /// The first request of each chain.
    pub chains: Vec<Request>,
}

/// What is asked for one account.
pub struct Asked<'j> {
    pub adapter: &'static dyn Adapter,
    pub api: &'j Api,
    pub owner: Owner,
    /// `openai`, or `openai/org-acme` where the job has several accounts of the provider.
    pub place: String,
    pub groups: Vec<Group>,
    /// Answers that are fresh enough to be used again.
    pub reused: usize,
}

/// Moments that decide what is due.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    pub window: Days,
    /// The moment that the run speaks for.
    pub as_of: DateTime<Utc>,
    /// The clock's.
    pub now: DateTime<Utc>,
    /// The end of the last full hour, where only what is told by the hour is asked: between the nights. Days, where
    /// absent.
    pub hours: Option<DateTime<Utc>>,
}

impl Moments {
    /// The days that can be asked for: those of the window, as far as an hour of them is over.
    fn days(&self) -> Days {
        let hours = self.hours.map(|until| Hours { from: self.window.from, until });
        hours.map_or(self.window, |hours| Days { from: self.window.from, to: hours.days().to.min(self.window.to) })
    }

    /// Nothing newer can be asked for of a day than what was fetched then.
    fn knows(&self, slice: &SliceRow) -> bool {
        let end = midnight(slice.day + Duration::days(1));
        full_hour(slice.as_of) >= self.hours.map_or(end, |until| end.min(until))
    }
}

/// The full hour at or before an instant.
pub fn full_hour(at: DateTime<Utc>) -> DateTime<Utc> {
    at - Duration::seconds(at.timestamp().rem_euclid(3600)) - Duration::nanoseconds(i64::from(at.timestamp_subsec_nanos()))
}

/// What to ask for a source; `None` where the job has only files of it.
///
/// # Errors
/// [`ExitCode::Config`] for settings that the provider needs and the job lacks, and for a provider that has no
/// API; what the state says.
pub fn of_source<'j>(job: &'j Job, source: &'j Source, state: &mut State, moments: &Moments) -> Result<Option<Asked<'j>>, Fault> {
    let Some(api) = &source.api else { return Ok(None) };
    let place = place(job, source);
    let adapter = adapters::find(&source.provider)
        .ok_or_else(|| Fault::new(ExitCode::Internal, place.clone(), "there is no adapter for it", "report this as a bug"))?;
    let owner = Owner { provider: source.provider.clone(), account: source.account.clone() };
    let span = moments.days();
    let slices = state.slices(&owner, span)?;
    let known: BTreeMap<(&str, NaiveDate), &SliceRow> =
        slices.iter().map(|slice| ((slice.endpoint.as_str(), slice.day), slice)).collect();
    let trailing = if moments.hours.is_some() { TRAILING_OF_HOURS } else { trailing(adapter, api) };
    let ask = |days: Days| requests(adapter, source, api, (days, moments.hours), &place);
    let all = if span.from < span.to { groups(ask(span)?) } else { Vec::new() };
    let due = |group: &Group, day: &NaiveDate| known.get(&(group.report, *day)).is_none_or(|slice| is_due(slice, trailing));
    let first = all.iter().flat_map(|group| group.days.iter().filter(|day| due(group, day))).min().copied();
    let Some(first) = first else {
        return Ok(Some(Asked { adapter, api, owner, place, groups: Vec::new(), reused: all.len() }));
    };
    let days = Days { from: first.max(span.from), to: span.to };
    let (mut groups, mut reused) = (groups(ask(days)?), 0);
    groups.retain(|group| {
        let fresh = |day: &NaiveDate| {
            known.get(&(group.report, *day)).is_some_and(|slice| {
                let age = moments.now - slice.fetched_at;
                moments.knows(slice) && age >= Duration::zero() && age.to_std().is_ok_and(|age| age < job.limits.freshness)
            })
        };
        let again = !group.days.iter().all(fresh);
        reused += usize::from(!again);
        again
    });
    Ok(Some(Asked { adapter, api, owner, place, groups, reused }))
}

/// The reports that the job asks a source for; none where it has only files of it.
///
/// # Errors
/// As [`of_source`].
pub fn endpoints(job: &Job, source: &Source, moments: &Moments) -> Result<BTreeSet<&'static str>, Fault> {
    let (Some(api), Some(adapter)) = (&source.api, adapters::find(&source.provider)) else { return Ok(BTreeSet::new()) };
    let requests = requests(adapter, source, api, (moments.window, moments.hours), &place(job, source))?;
    Ok(requests.iter().map(|request| request.report).collect())
}

/// How messages call a source.
pub fn place(job: &Job, source: &Source) -> String {
    let several = job.sources.iter().filter(|other| other.provider == source.provider).count() > 1;
    if several { format!("{}/{}", source.provider, source.account) } else { source.provider.clone() }
}

/// Days before the as-of day that are asked again each night.
pub fn trailing(adapter: &dyn Adapter, api: &Api) -> u32 {
    api.trailing_days.unwrap_or_else(|| adapter.limits().trailing_days)
}

/// The provider may have changed the slice since it was fetched: that was before its trailing days were over.
pub fn is_due(slice: &SliceRow, trailing_days: u32) -> bool {
    slice.as_of < midnight(slice.day) + Duration::days(1 + i64::from(trailing_days))
}

/// The first requests for these days, or for their hours up to one.
///
/// # Errors
/// As [`of_source`].
pub fn requests(
    adapter: &dyn Adapter,
    source: &Source,
    api: &Api,
    (days, hours): (Days, Option<DateTime<Utc>>),
    place: &str,
) -> Result<Vec<Request>, Fault> {
    let account = Account { name: &source.account, settings: &api.settings };
    let requests = match hours {
        None => adapter.requests(&account, days),
        // Which reports tell hours is known before the first one is over.
        Some(until) => {
            let until = until.max(midnight(days.from) + Duration::hours(1));
            adapter.hourly(&account, Hours { from: days.from, until })
        }
    };
    let requests = requests
        .map_err(|bad| Fault::new(ExitCode::Config, api.secret.at.clone(), format!("{place}: {}", bad.what), bad.hint))?;
    if let Some(other) = requests.iter().find(|request| adapter.reports().iter().all(|report| report.name != request.report)) {
        let what = format!("asks for {:?}, which is none of its reports", other.report);
        return Err(Fault::new(ExitCode::Internal, place, what, "report this as a bug"));
    }
    if requests.is_empty() && hours.is_some() {
        let what = format!("{place}: no report that is asked for tells hours");
        let hint = "a watch job asks for what is told by the hour only: take this source out, the nightly job reads it";
        return Err(Fault::new(ExitCode::Config, api.secret.at.clone(), what, hint));
    }
    if requests.is_empty() {
        let what = format!("{place}: this provider has nothing to fetch");
        let hint = "take [source.api] out and name its exports under [[source.pull]]";
        return Err(Fault::new(ExitCode::Config, api.secret.at.clone(), what, hint));
    }
    Ok(requests)
}

/// Chains of a report whose days overlap belong together.
fn groups(requests: Vec<Request>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for request in requests {
        let days: BTreeSet<NaiveDate> = request.days.iter().collect();
        let mut group = Group { report: request.report, days, chains: vec![request] };
        let overlaps = |other: &Group, group: &Group| other.report == group.report && !other.days.is_disjoint(&group.days);
        // One chain may join several groups that had nothing to do with each other.
        while let Some(at) = groups.iter().position(|other| overlaps(other, &group)) {
            let mut joined = groups.remove(at);
            joined.days.append(&mut group.days);
            joined.chains.append(&mut group.chains);
            group = joined;
        }
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::request::Auth;

    #[test]
    fn chains_of_the_same_days_are_one_answer() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let request = |report: &'static str, from: &str, to: &str| {
            Request::get(report, Days { from: day(from), to: day(to) }, "https://example.test", "/", Auth::Bearer)
        };
        let found = groups(vec![
            request("costs", "2026-11-01", "2026-11-03"),
            request("usage", "2026-11-01", "2026-11-03"),
            request("costs", "2026-11-05", "2026-11-06"),
            request("costs", "2026-11-03", "2026-11-05"),
            request("costs", "2026-11-02", "2026-11-04"),
        ]);
        let shown: Vec<(&str, usize, usize)> =
            found.iter().map(|group| (group.report, group.chains.len(), group.days.len())).collect();
        assert_eq!(shown, [("usage", 1, 2), ("costs", 1, 1), ("costs", 3, 4)]);
    }
}
