//! Replays a whole series through the detector, hour by hour, as it would have run: no hour sees a later one.

use super::detector::Detector;
use super::oddity::{OddLimits, Oddity};
use super::verdict::{Baseline, Hour, Limits, Verdict};
use crate::domain::calendar::{Calendar, DayKind};
use crate::domain::money::{Amount, SCALE};
use crate::domain::spike::{Direction, Thresholds};
use chrono::{DateTime, Datelike, Utc};

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    pub at: DateTime<Utc>,
    /// `None` is unknown: neither judged nor learnt from. A known zero is a zero.
    pub value: Option<Amount>,
}

/// The judgement of one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    pub flag: bool,
    /// 3 decimals. Of spend negative below the baseline; where the score alone decides never negative.
    pub score: Amount,
    pub expected: Amount,
    pub baseline: Baseline,
}

impl Judged {
    /// What is said of an unknown value, and of every value before there is history.
    const NOTHING: Judged = Judged { flag: false, score: Amount::ZERO, expected: Amount::ZERO, baseline: Baseline::WarmingUp };
}

/// Judges the points in their order, which must be that of time. `step_seconds` is the length of one; the
/// threshold in money is one of an hour and grows with it.
pub fn replay(
    thresholds: &Thresholds,
    calendar: &Calendar,
    step_seconds: i64,
    points: impl IntoIterator<Item = Point>,
) -> Vec<Judged> {
    match thresholds.score_alone {
        None => {
            let mut detector = Detector::new(limits(thresholds, step_seconds));
            each(calendar, points, |hour, value| detector.judge(hour, value))
        }
        Some(score) => {
            let (up, down) = (thresholds.direction != Direction::Down, thresholds.direction != Direction::Up);
            let mut oddity = Oddity::new(OddLimits { score_milli: milli(score), up, down, step: step_seconds });
            each(calendar, points, |hour, value| oddity.judge(hour, value))
        }
    }
}

fn each(
    calendar: &Calendar,
    points: impl IntoIterator<Item = Point>,
    mut judge: impl FnMut(Hour, i128) -> Verdict,
) -> Vec<Judged> {
    let mut local = LocalHours { calendar, known: None };
    let judge = |point: Point| match point.value {
        None => Judged::NOTHING,
        Some(value) => judged(judge(local.hour(point.at), value.atto())),
    };
    points.into_iter().map(judge).collect()
}

fn milli(amount: Amount) -> i64 {
    i64::try_from(amount.atto() / 10i128.pow(SCALE - 3)).unwrap_or(i64::MAX)
}

fn judged(verdict: Verdict) -> Judged {
    let milli = 10i128.pow(SCALE - 3);
    Judged {
        flag: verdict.flag,
        score: Amount::from_atto(i128::from(verdict.score_milli) * milli),
        expected: Amount::from_atto(verdict.expected),
        baseline: verdict.baseline,
    }
}

fn limits(thresholds: &Thresholds, step_seconds: i64) -> Limits {
    let hours = i128::from(step_seconds.max(1));
    Limits {
        score_milli: milli(thresholds.score),
        ratio_milli: milli(thresholds.ratio),
        distance: thresholds.money.mul_div(hours, 3_600).unwrap_or(thresholds.money).atto(),
        up: thresholds.direction != Direction::Down,
        down: thresholds.direction != Direction::Up,
        adapt: i64::from(thresholds.adapt_hours) * 3_600,
        catch_up: thresholds.catch_up,
    }
}

/// Local hours of instants that rise: the zone is asked once for each quarter of an hour.
struct LocalHours<'c> {
    calendar: &'c Calendar,
    known: Option<(i64, Hour)>,
}

impl LocalHours<'_> {
    fn hour(&mut self, at: DateTime<Utc>) -> Hour {
        let seconds = at.timestamp();
        let quarter = seconds.div_euclid(900);
        let found = match self.known {
            Some((known, hour)) if known == quarter => hour,
            _ => {
                let local = self.calendar.local(at);
                Hour {
                    at: seconds,
                    hour: u8::try_from(local.hour).unwrap_or(0),
                    weekday: u8::try_from(local.day.weekday().num_days_from_monday()).unwrap_or(0),
                    free: local.kind == DayKind::Free,
                    month_day: u8::try_from(local.day.day()).unwrap_or(1),
                    month: local.day.year() * 12 + i32::try_from(local.day.month()).unwrap_or(1),
                }
            }
        };
        self.known = Some((quarter, found));
        Hour { at: seconds, ..found }
    }
}
