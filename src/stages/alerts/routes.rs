//! Which notices go to which channel, together or alone, and when: routes by severity, team and rule, quiet
//! hours, grouping.

use crate::domain::alert::{AlertSettings, AlertState, Notice, Quiet, Route};
use crate::domain::calendar::{Calendar, DayKind};
use chrono::{DateTime, Duration, NaiveTime, Timelike, Utc};
use std::collections::BTreeMap;

/// Notices that are one message to one channel.
#[derive(Clone, Debug)]
pub struct Parcel<'a> {
    pub route: &'a Route,
    /// The channel that takes it if this one refuses it for good.
    pub fallback: Option<&'a Route>,
    /// By severity and amount, worst first.
    pub notices: Vec<&'a Notice>,
    pub not_before: Option<DateTime<Utc>>,
}

/// The messages to send, channel by channel in the order of the job.
pub fn parcels<'a>(notices: &'a [Notice], settings: &'a AlertSettings, as_of: DateTime<Utc>) -> Vec<Parcel<'a>> {
    let fallback = settings.fallback.as_ref().and_then(|name| settings.routes.iter().find(|route| route.channel == *name));
    let mut parcels = Vec::new();
    for route in &settings.routes {
        let is_fallback = fallback.is_some_and(|other| other.channel == route.channel);
        let orphan = |notice: &Notice| is_fallback && !settings.routes.iter().any(|route| takes(route, notice));
        let mut by_rule: BTreeMap<(&str, Option<DateTime<Utc>>), Vec<&Notice>> = BTreeMap::new();
        for notice in notices.iter().filter(|notice| takes(route, notice) || orphan(notice)) {
            let not_before = settings.quiet.and_then(|quiet| held_until(notice, quiet, &settings.calendar, as_of));
            by_rule.entry((notice.alert.rule.name(), not_before)).or_default().push(notice);
        }
        for ((_, not_before), mut group) in by_rule {
            group.sort_by(|a, b| {
                let rank = |notice: &Notice| (notice.alert.severity, notice.alert.amount.map(|amount| amount.abs()));
                rank(b).cmp(&rank(a)).then_with(|| a.alert.key.cmp(&b.alert.key))
            });
            let fallback = fallback.filter(|_| !is_fallback);
            if group.len() > settings.group_above {
                parcels.push(Parcel { route, fallback, notices: group, not_before });
            } else {
                parcels.extend(group.into_iter().map(|notice| Parcel { route, fallback, notices: vec![notice], not_before }));
            }
        }
    }
    parcels
}

fn takes(route: &Route, notice: &Notice) -> bool {
    let alert = &notice.alert;
    alert.severity >= route.min_severity
        && (route.teams.is_empty() || route.teams.contains(&alert.subject.team))
        && (route.rules.is_empty() || route.rules.iter().any(|rule| rule == alert.rule.name()))
}

/// The end of the quiet hours, where they hold the notice back.
fn held_until(notice: &Notice, quiet: Quiet, calendar: &Calendar, as_of: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let urgent = notice.alert.severity >= quiet.through && notice.alert.state == AlertState::Firing;
    let long = as_of - notice.alert.opened_at >= Duration::hours(i64::from(quiet.escalate_hours));
    if urgent || (long && notice.alert.state == AlertState::Firing) {
        return None;
    }
    let ends = quiet_ends(quiet, calendar, as_of)?;
    let escalates = notice.alert.opened_at + Duration::hours(i64::from(quiet.escalate_hours));
    // It is looked at again by then; what has ended meanwhile waits for the morning.
    Some(if notice.alert.state == AlertState::Firing { ends.min(escalates) } else { ends })
}

/// The next moment that is not quiet, on the quarter of an hour; `None` when it is not quiet now.
fn quiet_ends(quiet: Quiet, calendar: &Calendar, as_of: DateTime<Utc>) -> Option<DateTime<Utc>> {
    if !is_quiet(quiet, calendar, as_of) {
        return None;
    }
    let quarter = Duration::minutes(15);
    let past = Duration::seconds(as_of.timestamp().rem_euclid(quarter.num_seconds()));
    let first = as_of - past - Duration::nanoseconds(i64::from(as_of.nanosecond()));
    // Four weeks of holidays at most.
    (1..4 * 24 * 28).map(|step| first + quarter * step).find(|at| !is_quiet(quiet, calendar, *at))
}

fn is_quiet(quiet: Quiet, calendar: &Calendar, at: DateTime<Utc>) -> bool {
    let time: NaiveTime = at.with_timezone(&calendar.time_zone).time();
    let within =
        if quiet.from <= quiet.to { quiet.from <= time && time < quiet.to } else { quiet.from <= time || time < quiet.to };
    within || (quiet.free_days && calendar.local(at).kind == DayKind::Free)
}
