//! Findings in the books as alerts: slices that are missing or cannot be true, differences and unowned spend
//! above the job's materiality, usage without a price.

use super::{Found, key};
use crate::domain::alert::{Alert, AlertRule, AlertSettings, AlertState, Severity, Subject};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::stages::results::{Outcome, Reason, SliceStatus, UNATTRIBUTED};
use chrono::{NaiveDate, NaiveTime};
use std::collections::BTreeMap;

const RULES: [AlertRule; 6] = [
    AlertRule::MissingSlice,
    AlertRule::SuspectSlice,
    AlertRule::Drift,
    AlertRule::UnownedSpend,
    AlertRule::Unpriced,
    AlertRule::Frozen,
];

/// The rule of that name.
pub(super) fn rule(name: &str) -> Option<AlertRule> {
    RULES.into_iter().find(|rule| rule.name() == name)
}

/// What is counted up for one alert.
#[derive(Default)]
struct Sum {
    first: Option<NaiveDate>,
    last: Option<NaiveDate>,
    count: u64,
    /// `None` once it does not fit: then it is above every bound.
    amount: Option<Amount>,
}

impl Sum {
    fn add(&mut self, day: NaiveDate, amount: Amount) {
        self.amount = match self.count {
            0 => Some(amount),
            _ => self.amount.and_then(|sum| sum.checked_add(amount)),
        };
        self.count += 1;
        self.first = Some(self.first.map_or(day, |first| first.min(day)));
        self.last = Some(self.last.map_or(day, |last| last.max(day)));
    }
}

type Sums = BTreeMap<(AlertRule, Subject, Option<Currency>), Sum>;

pub(super) fn of(outcome: &Outcome, settings: &AlertSettings) -> Vec<Found> {
    let mut sums = Sums::new();
    slices(outcome, &mut sums);
    drift(outcome, &mut sums);
    unowned(outcome, &mut sums);
    for frozen in &outcome.frozen {
        let subject = Subject { provider: frozen.provider.clone(), account: frozen.account.clone(), ..Subject::default() };
        let sum = sums.entry((AlertRule::Frozen, subject, None)).or_default();
        sum.add(frozen.since, Amount::ZERO);
        sum.count = u64::from(frozen.runs);
    }
    let material = |rule: AlertRule, amount: Option<Amount>| {
        let above = |bound: Amount| amount.is_none_or(|amount| amount.abs() >= bound);
        match rule {
            AlertRule::Drift => above(settings.drift_above),
            AlertRule::UnownedSpend => above(settings.unowned_above),
            _ => true,
        }
    };
    let sums = sums.into_iter().filter(|((rule, ..), sum)| material(*rule, sum.amount));
    sums.filter_map(|((rule, subject, currency), sum)| found(rule, subject, currency, &sum, settings)).collect()
}

fn slices(outcome: &Outcome, sums: &mut Sums) {
    for slice in &outcome.coverage {
        let (Some(day), Some(rule)) = (slice.charge_date, broken(slice.status)) else { continue };
        let subject = Subject { provider: slice.provider.clone(), account: slice.account.clone(), ..Subject::default() };
        sums.entry((rule, subject, None)).or_default().add(day, Amount::ZERO);
    }
}

fn broken(status: SliceStatus) -> Option<AlertRule> {
    match status {
        SliceStatus::Missing | SliceStatus::Stale => Some(AlertRule::MissingSlice),
        SliceStatus::Suspect => Some(AlertRule::SuspectSlice),
        SliceStatus::Complete | SliceStatus::Provisional => None,
    }
}

/// Differences that ask for somebody. What clears by itself does not.
fn drift(outcome: &Outcome, sums: &mut Sums) {
    let mut by_reason: BTreeMap<(Reason, &str, &str, Currency), Sum> = BTreeMap::new();
    for item in &outcome.drift {
        let key = (item.reason, item.provider.as_str(), item.account.as_str(), item.currency);
        by_reason.entry(key).or_default().add(item.charge_date, item.difference.abs());
    }
    for ((reason, provider, account, currency), sum) in by_reason {
        let rule = match reason {
            Reason::Timing | Reason::CutOff | Reason::Rounding | Reason::NonUsage => continue,
            Reason::Unpriced => AlertRule::Unpriced,
            _ => AlertRule::Drift,
        };
        let (provider, account, detail) = (provider.to_string(), account.to_string(), reason.name().to_string());
        sums.insert((rule, Subject { provider, account, detail, ..Subject::default() }, Some(currency)), sum);
    }
}

fn unowned(outcome: &Outcome, sums: &mut Sums) {
    for share in outcome.attribution.iter().filter(|share| share.team == UNATTRIBUTED) {
        let subject = Subject { provider: share.provider.clone(), account: share.account.clone(), ..Subject::default() };
        let sum = sums.entry((AlertRule::UnownedSpend, subject, Some(share.currency))).or_default();
        sum.add(share.charge_date, share.billed_cost);
    }
}

fn found(rule: AlertRule, subject: Subject, currency: Option<Currency>, sum: &Sum, settings: &AlertSettings) -> Option<Found> {
    let start = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let days = Days { from: sum.first?, to: sum.last?.succ_opt()? };
    let reason = Reason::ALL.into_iter().find(|reason| reason.name() == subject.detail);
    let critical = currency.is_some() && sum.amount.is_none_or(|amount| amount.abs() >= settings.critical_above);
    let severity = match rule {
        _ if critical => Severity::Error,
        AlertRule::SuspectSlice => Severity::Error,
        _ => Severity::Warning,
    };
    let (action, rows) = match rule {
        AlertRule::MissingSlice => ("see why the provider's answer or file did not come, then run again", "coverage.csv"),
        AlertRule::SuspectSlice => ("compare with the provider's console; accept it only if it is true", "coverage.csv"),
        AlertRule::Frozen => {
            ("see whether its export is still written, and whether something answers in its place", "coverage.csv")
        }
        AlertRule::UnownedSpend => ("add its keys or labels to the team map", "attribution.csv, team unattributed"),
        _ => (reason.map_or("look at the rows behind it", Reason::action), "drift.csv"),
    };
    let rows = reason.map_or(rows.to_string(), |reason| format!("{rows}, reason {}", reason.name()));
    let opened_at = start(days.from);
    let amount = currency.and(sum.amount);
    let id = key(rule, &subject, currency, opened_at);
    let alert = Alert {
        key: id.clone(),
        id,
        rule,
        subject,
        severity,
        state: AlertState::Firing,
        opened_at,
        last_seen_at: start(days.to),
        amount,
        currency,
        spent: amount,
        expected: None,
        projected: None,
        month_end: None,
        count: sum.count,
        contributors: Vec::new(),
        provisional: false,
        withdrawn: false,
        action: action.to_string(),
        rows,
        inhibited_by: String::new(),
    };
    Some(Found { alert, days })
}
