//! What somebody should be told of: incidents and findings as alerts with lasting keys (reliability.md
//! section 6), and which of them are due for a message. Pure: what was told before is an argument.

mod due;
mod findings;
mod incidents;
mod routes;

pub use due::due;
pub use routes::{Parcel, parcels};

use super::results::Outcome;
use crate::domain::alert::{Alert, AlertRule, AlertSettings, AlertState, Subject, Told};
use crate::domain::money::Currency;
use crate::domain::period::month_start;
use crate::domain::spike::{BY_DAYS, BY_HOURS, Spike};
use chrono::{DateTime, Duration, NaiveTime, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What alerts are made of.
pub struct Sight<'a> {
    /// Incidents of the whole history, oldest first.
    pub spikes: &'a [Spike],
    /// `None` in a run that only watches the ledger: it can neither find nor end what rests on the books.
    pub outcome: Option<&'a Outcome>,
    /// Start of what the run has seen: an incident before it is neither confirmed nor withdrawn by its absence.
    pub since: DateTime<Utc>,
    /// Until when the run has seen: the end of its last day for a nightly one, the last hour for one that watches.
    pub until: DateTime<Utc>,
    pub as_of: DateTime<Utc>,
    /// What the run sees of providers themselves: [`crate::stages::spikes::reports_of`].
    pub reports: &'a BTreeSet<String>,
}

impl Sight<'_> {
    /// It rests on a report of the provider that this run does not see, and so cannot deny.
    fn is_blind(&self, rule: AlertRule, told: &Told) -> bool {
        let unseen = |by: &&str| !self.reports.contains(&format!("{}{by}", told.subject.provider));
        let rests_on = |by: &&str| told.subject.detail.ends_with(by);
        matches!(rule, AlertRule::Spike(_)) && [BY_HOURS, BY_DAYS].iter().filter(|by| rests_on(by)).any(unseen)
    }

    /// A later sight has told of this incident: an older one knows nothing better.
    fn is_behind(&self, rule: AlertRule, told: &Told) -> bool {
        matches!(rule, AlertRule::Spike(_)) && self.until < told.seen_until
    }
}

/// A matter as a rule found it: complete but for the key, which may be an older one's.
struct Found {
    alert: Alert,
    /// UTC days and provider that it speaks of, for inhibition.
    days: crate::domain::period::Days,
}

/// Every alert that fires or has just ended, by key. Inhibited ones are among them and say so.
pub fn alerts(sight: &Sight<'_>, settings: &AlertSettings, told: &[Told]) -> Vec<Alert> {
    let mut found: Vec<Found> = sight.spikes.iter().filter_map(|spike| incidents::of(spike, settings, sight)).collect();
    if let Some(outcome) = sight.outcome {
        found.extend(findings::of(outcome, settings));
    }
    inhibit(&mut found);
    keep_keys(&mut found, told);
    let here: BTreeSet<String> = found.iter().map(|found| found.alert.key.clone()).collect();
    let mut alerts: Vec<Alert> = found.into_iter().map(|found| found.alert).collect();
    let gone = told.iter().filter(|told| told.state == AlertState::Firing && !here.contains(&told.key));
    alerts.extend(gone.filter_map(|told| ended(told, sight)));
    alerts.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
    alerts.dedup_by(|a, b| a.key == b.key);
    alerts
}

/// What of the told a later run may still need: what fires, and what began or was told within the days that it sees or in
/// the month that it speaks of. Older matters are in no figures any more, so that nothing is told of them again.
pub fn kept(told: Vec<Told>, sight: &Sight<'_>) -> Vec<Told> {
    let month = month_start(sight.as_of.date_naive()).and_time(NaiveTime::MIN).and_utc();
    let since = sight.since.min(month) - NEWS;
    let old = |told: &Told| told.state == AlertState::Resolved && told.opened_at < since && told.told_at < since;
    told.into_iter().filter(|told| !old(told)).collect()
}

/// The lasting key of a matter: no run, no amount (reliability.md section 6).
fn key(rule: AlertRule, subject: &Subject, currency: Option<Currency>, opened_at: DateTime<Utc>) -> String {
    let mut hash = Sha256::new();
    let currency = currency.map_or(String::new(), |currency| currency.code().to_string());
    let Subject { provider, account, team, api_key_id, model, detail } = subject;
    // What `spikes.csv` calls the series may widen from run to run.
    let detail = if matches!(rule, AlertRule::Spike(_)) { "" } else { detail };
    for part in [rule.name(), provider, account, team, api_key_id, model, detail, &currency] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(opened_at.timestamp().to_be_bytes());
    hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect()
}

/// A matter that is told of already keeps its key, though late figures move its start or name it more exactly:
/// so hourly and nightly runs share one.
fn keep_keys(found: &mut [Found], told: &[Told]) {
    let mut taken: BTreeSet<&str> = BTreeSet::new();
    let exact: BTreeSet<String> = found.iter().map(|found| found.alert.key.clone()).collect();
    for Found { alert, .. } in found.iter_mut() {
        if let Some(same) = told.iter().find(|told| told.key == alert.key) {
            taken.insert(&same.key);
            continue;
        }
        let same_matter = |told: &&Told| {
            told.rule == alert.rule.name()
                && told.currency == alert.currency
                && told.subject.fits(&alert.subject)
                && !exact.contains(&told.key)
                && !taken.contains(told.key.as_str())
                && if matches!(alert.rule, AlertRule::Spike(_)) {
                    told.opened_at < alert.last_seen_at && alert.opened_at < told.told_at
                } else {
                    told.state == AlertState::Firing && told.subject.detail == alert.subject.detail
                }
        };
        if let Some(same) = told.iter().filter(same_matter).max_by_key(|told| (told.state == AlertState::Firing, told.told_at)) {
            taken.insert(&same.key);
            alert.key = same.key.clone();
        }
    }
}

/// Figures that cannot be relied on keep quiet what rests on them: a data-quality alert inhibits the spend
/// alerts of the same slice (reliability.md section 5).
fn inhibit(found: &mut [Found]) {
    let quality: Vec<(Subject, AlertRule, crate::domain::period::Days, String)> = found
        .iter()
        .filter(|found| found.alert.rule.is_data_quality() && found.alert.state == AlertState::Firing)
        .map(|found| (found.alert.subject.clone(), found.alert.rule, found.days, found.alert.key.clone()))
        .collect();
    for Found { alert, days } in found.iter_mut().filter(|found| !found.alert.rule.is_data_quality()) {
        let over = quality.iter().find(|(subject, rule, bad, _)| {
            subject.provider == alert.subject.provider
                && (alert.subject.account.is_empty() || subject.account == alert.subject.account)
                && bad.from < days.to
                && days.from < bad.to
                && rests_on(alert.rule, *rule)
        });
        if let Some((.., key)) = over {
            alert.inhibited_by = key.clone();
        }
    }
}

/// A held slice makes everything about it doubtful. A missing one only what would be seen in it: the ledger
/// still shows a spike.
fn rests_on(rule: AlertRule, quality: AlertRule) -> bool {
    use crate::domain::spike::SpikeRule;
    match quality {
        AlertRule::SuspectSlice => true,
        _ => matches!(rule, AlertRule::Spike(SpikeRule::Silence) | AlertRule::Drift | AlertRule::UnownedSpend),
    }
}

/// The end of what was told and is no longer there: withdrawn where an incident is not in the figures any more.
fn ended(told: &Told, sight: &Sight<'_>) -> Option<Alert> {
    let rule = incidents::rule(&told.rule).or_else(|| findings::rule(&told.rule))?;
    let is_spike = matches!(rule, AlertRule::Spike(_));
    let unseen = told.opened_at < sight.since || sight.is_behind(rule, told) || sight.is_blind(rule, told);
    if if is_spike { unseen } else { sight.outcome.is_none() } {
        return None;
    }
    Some(Alert {
        key: told.key.clone(),
        id: String::new(),
        rule,
        subject: told.subject.clone(),
        severity: told.severity,
        state: AlertState::Resolved,
        opened_at: told.opened_at,
        last_seen_at: told.told_at,
        amount: told.amount,
        currency: told.currency,
        spent: None,
        expected: None,
        projected: None,
        month_end: None,
        count: 0,
        contributors: Vec::new(),
        provisional: false,
        withdrawn: is_spike,
        action: "nothing: it is no longer there".to_string(),
        rows: String::new(),
        inhibited_by: String::new(),
    })
}

/// How long after its end a matter that nobody was told of is still told, counted from the start of the run's day:
/// a second run of a day sees the same.
const NEWS: Duration = Duration::hours(48);

#[cfg(test)]
mod tests;
