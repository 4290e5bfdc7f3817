//! Incidents of `spikes.csv` as alerts.

use super::{Found, NEWS, Sight, key};
use crate::domain::alert::{Alert, AlertRule, AlertSettings, AlertState, Severity, Subject};
use crate::domain::money::Amount;
use crate::domain::period::month_start;
use crate::domain::spike::{Spike, SpikeRule, SpikeState};
use chrono::{DateTime, Months, NaiveTime, Utc};

const RULES: [SpikeRule; 10] = [
    SpikeRule::Spike,
    SpikeRule::NewModel,
    SpikeRule::DormantKey,
    SpikeRule::UnownedKey,
    SpikeRule::RevokedKey,
    SpikeRule::OldKey,
    SpikeRule::BudgetPassed,
    SpikeRule::BudgetProjected,
    SpikeRule::Silence,
    SpikeRule::Errors,
];

/// The rule of that name.
pub(super) fn rule(name: &str) -> Option<AlertRule> {
    RULES.into_iter().find(|rule| rule.name() == name).map(AlertRule::Spike)
}

/// An alert, unless the incident was over long ago: then it is history and stands in `spikes.csv`.
pub(super) fn of(spike: &Spike, settings: &AlertSettings, sight: &Sight<'_>) -> Option<Found> {
    let open = spike.state == SpikeState::Open;
    if !open && spike.last_seen_at + NEWS < sight.as_of.date_naive().and_time(NaiveTime::MIN).and_utc() {
        return None;
    }
    let rule = AlertRule::Spike(spike.rule);
    let subject = Subject {
        provider: spike.provider.clone(),
        account: String::new(),
        team: spike.team.clone(),
        api_key_id: spike.api_key_id.clone(),
        model: spike.model.clone(),
        detail: spike.series.clone(),
    };
    // Failed calls are counted, not paid.
    let counted = spike.rule == SpikeRule::Errors;
    let spent = (!counted).then_some(spike.actual);
    let amount = if open { spike.projected.filter(|_| !counted).or(spent) } else { spent };
    let end = spike.opened_at.max(spike.last_seen_at);
    let month_end = (open && !counted && spike.projected.is_some()).then(|| month_end(spike, end)).flatten();
    let id = key(rule, &subject, Some(spike.currency), spike.opened_at);
    let alert = Alert {
        key: id.clone(),
        id,
        rule,
        subject,
        severity: severity(spike.rule, amount, settings),
        state: if open { AlertState::Firing } else { AlertState::Resolved },
        opened_at: spike.opened_at,
        last_seen_at: end,
        amount,
        currency: Some(spike.currency),
        spent,
        expected: (!counted).then_some(spike.expected),
        projected: spike.projected.zip(spike.projected_until).filter(|_| open),
        month_end,
        count: if counted { whole(spike.actual) } else { 0 },
        contributors: spike.contributors.clone(),
        provisional: spike.provisional,
        withdrawn: spike.state == SpikeState::Withdrawn,
        action: spike.rule.action().to_string(),
        rows: format!("spikes.csv, spike_id {}", spike.spike_id),
        inhibited_by: String::new(),
    };
    Some(Found { alert, days: spike.days() })
}

fn severity(rule: SpikeRule, amount: Option<Amount>, settings: &AlertSettings) -> Severity {
    let base = match rule {
        SpikeRule::Spike | SpikeRule::UnownedKey | SpikeRule::RevokedKey | SpikeRule::BudgetPassed => Severity::Error,
        SpikeRule::NewModel | SpikeRule::DormantKey | SpikeRule::BudgetProjected | SpikeRule::Silence | SpikeRule::Errors => {
            Severity::Warning
        }
        SpikeRule::OldKey => Severity::Info,
    };
    if base == Severity::Error && amount.is_some_and(|amount| amount >= settings.critical_above) {
        return Severity::Critical;
    }
    base
}

/// What it will have come to at the end of the UTC month at the rate so far.
fn month_end(spike: &Spike, end: DateTime<Utc>) -> Option<(Amount, DateTime<Utc>)> {
    let month = month_start(end.date_naive()).checked_add_months(Months::new(1))?;
    let until = month.and_time(NaiveTime::MIN).and_utc();
    let (so_far, whole) = ((end - spike.opened_at).num_seconds(), (until - spike.opened_at).num_seconds());
    Some((spike.actual.mul_div(i128::from(whole), i128::from(so_far))?, until))
}

fn whole(amount: Amount) -> u64 {
    u64::try_from(amount.atto() / Amount::ONE.atto()).unwrap_or(0)
}
