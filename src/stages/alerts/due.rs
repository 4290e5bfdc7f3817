//! When an alert is told again (reliability.md section 6): it is new or there again, its severity rose, its
//! amount grew by a quarter, it ended, or a day passed while it fires. Nothing else.

use super::Sight;
use crate::domain::alert::{Alert, AlertSettings, AlertState, Cause, Notice, Told};
use crate::domain::calendar::DayKind;
use chrono::{DateTime, Duration, Utc};

/// No run of free days is longer.
const HOURS_MAX: i64 = 24 * 400;

/// The notices that are due, in the order of the alerts.
pub fn due(alerts: &[Alert], told: &[Told], settings: &AlertSettings, sight: &Sight<'_>) -> Vec<Notice> {
    let one = |alert: &Alert| {
        let before = told.iter().find(|told| told.key == alert.key);
        // What rests on doubtful figures waits until they are good; its end is told all the same.
        if !alert.inhibited_by.is_empty() && alert.state == AlertState::Firing {
            return None;
        }
        let cause = match before {
            None if alert.state == AlertState::Resolved && alert.withdrawn => None,
            None => Some(Cause::New),
            Some(before) if sight.is_behind(alert.rule, before) => None,
            Some(before) => again(alert, before, settings, sight.as_of),
        };
        let generation = before.map_or(1, |before| before.generation.saturating_add(1));
        cause.map(|cause| Notice { alert: alert.clone(), generation, cause, seen_until: sight.until })
    };
    alerts.iter().filter_map(one).collect()
}

fn again(alert: &Alert, before: &Told, settings: &AlertSettings, as_of: DateTime<Utc>) -> Option<Cause> {
    match (before.state, alert.state) {
        (AlertState::Firing, AlertState::Resolved) => Some(Cause::Over),
        (AlertState::Resolved, AlertState::Resolved) => None,
        (AlertState::Resolved, AlertState::Firing) => Some(Cause::Again),
        (AlertState::Firing, AlertState::Firing) => {
            if alert.severity > before.severity || grew(alert, before) {
                return Some(Cause::Worse);
            }
            // A reminder has no news: it waits for somebody to be there.
            (at_work(settings, as_of) && has_waited(settings, before.told_at, as_of)).then_some(Cause::Reminder)
        }
    }
}

/// By a quarter. Of two projections the earlier one is carried on to the later's horizon at its own rate: the same
/// spend is not worse because the next morning is another one.
fn grew(alert: &Alert, before: &Told) -> bool {
    let carried = alert.projected.zip(before.projected_until).and_then(|((_, now), then)| {
        let (long, short) = ((now - before.opened_at).num_seconds(), (then - before.opened_at).num_seconds());
        before.amount?.mul_div(i128::from(long), i128::from(short))
    });
    match (alert.amount, carried.or(before.amount)) {
        (Some(now), Some(then)) => now.abs() > then.abs() && then.abs().mul_div(5, 4).is_some_and(|bound| now.abs() >= bound),
        _ => false,
    }
}

/// The hours of a reminder have passed, those of free days not counted: else what was told on Friday evening is told
/// again first thing on Monday.
fn has_waited(settings: &AlertSettings, since: DateTime<Utc>, as_of: DateTime<Utc>) -> bool {
    let hours = (as_of - since).num_hours().min(HOURS_MAX);
    let at_work = (0..hours).filter(|hour| settings.calendar.local(since + Duration::hours(*hour)).kind == DayKind::Work);
    at_work.take(settings.repeat_hours as usize).count() == settings.repeat_hours as usize
}

/// A working day, not before its morning.
fn at_work(settings: &AlertSettings, as_of: DateTime<Utc>) -> bool {
    let local = settings.calendar.local(as_of);
    local.kind == DayKind::Work && local.hour >= settings.calendar.morning_hour
}
