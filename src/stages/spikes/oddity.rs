//! Judges a series of anything hour by hour: clicks, prices, speeds, of which nobody knows what ratio or amount
//! matters. Nothing but the hour and earlier ones is looked at, in integers.
//!
//! Two questions are asked of every hour. How far is it from what was expected, and how unlike anything before are
//! the last few hours? Both are measured in their means so far. The score is the geometric mean of the answers, so
//! that only what is surprising and new is high, and the last values' average on top: what lasts counts more than
//! what passes. An hour is never kept out of the history, so the score needs no limit to be computed,
//! and a new level is expected after a day or two.

use super::bar::Bar;
use super::detector::{WARM_UP, median};
use super::likeness::{LOOK_BACK, SHAPE, WHOLE, hours_apart, unlike};
use super::verdict::{Baseline, Hour, Verdict};
use std::collections::VecDeque;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;
/// Days of a daily series before anything is expected.
const WARM_UP_DAYS: usize = 7;
/// Measured hours, or days, before anything is scored: what a series does for the first time in its second day is odd
/// and tells nothing.
const JUDGED: usize = 36;
const JUDGED_DAYS: usize = 12;
/// The first value that any series may have a score for: of a daily one.
pub const FIRST_SCORED: usize = WARM_UP_DAYS + JUDGED_DAYS;
/// The longer a series, the higher its highest values by chance alone: from three weeks of hours on the score is
/// divided by ever more, at twelve weeks by four thirds.
const SHORT: usize = 24 * 21;
const LONG: usize = 24 * 84;
const LONGER: i64 = 333;
/// How far back the same hour of the day, the same hour of the week and the usual distances are looked for.
const DAYS: i64 = 28 * DAY;
const WEEKS: i64 = 56 * DAY;
const MEMORY: i64 = 84 * DAY;
/// The present level, and as many values at least. A third of them make one.
const LEVEL: i64 = 36 * HOUR;
const LEVEL_OF: i64 = 7;
/// Values of an hour that make a baseline: of the same kind of day, of any day.
const OF_KIND: usize = 3;
const OF_ANY: usize = 2;
/// The usual distance around a time of day: hours on both sides, distances that are enough.
const NEAR: u8 = 2;
const NEAR_ENOUGH: i128 = 10;
/// Values differ by a thousandth of their root without meaning it.
const GRAIN: i128 = 1_000;
/// Where roots are not taken, values are counts of 10^-9, and what is beyond 10^18 is as large as that: so the
/// distances of a hundred million values can be added up.
const PLAIN: i128 = 10i128.pow(9);
const PLAIN_MAX: i128 = 10i128.pow(27);
/// A score beyond a thousand says no more.
const SCORE_MAX: i64 = 1_000_000;
/// The average that is added, by a quarter more than it is: over how many values, and how much of one counts.
const ECHO_OF: i64 = 2;
const ECHO_MAX: i64 = 4_000;

/// What is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddLimits {
    pub score_milli: i64,
    pub up: bool,
    pub down: bool,
    /// Length of one value in seconds.
    pub step: i64,
}

/// How far an hour was from what was expected, and how unlike anything before its level and its changes were.
type Far = [i128; 3];

/// What was seen of an hour.
struct Past {
    hour: Hour,
    value: i128,
    far: Option<Far>,
}

/// Earlier hours at one time of day, oldest first, with the sums of their distances.
#[derive(Default)]
struct Slot {
    past: VecDeque<Past>,
    sums: Sums,
}

/// The state of one series.
pub struct Oddity {
    limits: OddLimits,
    count: usize,
    slots: [Slot; 24],
    /// Of the last hours: when, value less what its time of day has, and value ÷ that in millionths.
    level: VecDeque<(i64, i128, Option<i128>)>,
    /// Roots of the values, their changes, and the hours of the day: enough for what is looked for.
    /// Between noise that grows with the level and noise that does not, roots are the middle.
    roots: Vec<i128>,
    changes: Vec<i128>,
    hours: Vec<u8>,
    /// A value was negative: the values themselves are compared.
    plain: bool,
    /// Values in an hour, and values before anything is expected by time of day.
    stride: usize,
    warm_up: usize,
    /// Measured values before anything is scored.
    judged: usize,
    /// Seconds of the present level.
    level_for: i64,
    echo: i64,
    bar: Bar,
}

/// What may be expected of an hour.
struct Expected {
    baseline: Baseline,
    /// By the time of day.
    season: Option<i128>,
    /// That, and whatever else is usual.
    values: Vec<i128>,
    /// No such day was seen at this time of day: no working day, or no free one.
    first_of_kind: bool,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    count: i128,
    sums: Far,
}

impl Sums {
    fn add(&mut self, far: &Far) {
        self.count += 1;
        self.sums.iter_mut().zip(far).for_each(|(sum, distance)| *sum += distance);
    }

    fn remove(&mut self, far: &Far) {
        self.count -= 1;
        self.sums.iter_mut().zip(far).for_each(|(sum, distance)| *sum -= distance);
    }

    fn all<'s>(sums: impl Iterator<Item = &'s Sums>) -> Sums {
        sums.fold(Sums::default(), |mut all, one| {
            all.count += one.count;
            all.sums.iter_mut().zip(&one.sums).for_each(|(all, one)| *all += one);
            all
        })
    }

    fn means(&self) -> Far {
        self.sums.map(|sum| sum / self.count.max(1))
    }
}

impl Oddity {
    pub fn new(limits: OddLimits) -> Oddity {
        let step = limits.step.max(1);
        let stride = usize::try_from(HOUR / step).unwrap_or(1).max(1);
        Oddity {
            limits,
            count: 0,
            slots: std::array::from_fn(|_| Slot::default()),
            level: VecDeque::new(),
            roots: Vec::new(),
            changes: Vec::new(),
            hours: Vec::new(),
            plain: false,
            stride,
            warm_up: if limits.step < DAY { WARM_UP * stride } else { WARM_UP_DAYS },
            judged: if limits.step < DAY { JUDGED * stride } else { JUDGED_DAYS },
            level_for: LEVEL.max(step.saturating_mul(LEVEL_OF)),
            echo: 0,
            bar: Bar::new(limits.score_milli, limits.step),
        }
    }

    /// Judges an hour, then remembers it.
    pub fn judge(&mut self, hour: Hour, value: i128) -> Verdict {
        if value < 0 && !self.plain {
            self.compare_plainly();
        }
        while self.level.front().is_some_and(|(at, ..)| hour.at - at > self.level_for) {
            self.level.pop_front();
        }
        let root = self.root(value);
        self.changes.push(self.roots.last().map_or(0, |last| root - last));
        self.roots.push(root);
        self.hours.push(hour.hour % 24);
        let Expected { baseline, season, values, first_of_kind } = self.expected(&hour);
        let nearest = values.into_iter().min_by_key(|expected| (root - self.root(*expected)).abs());
        let expected = nearest.unwrap_or(0);
        let mut verdict = Verdict { flag: false, score_milli: 0, expected, baseline };
        let mut far = None;
        if self.count >= self.warm_up {
            let strayed = (root - self.root(expected)).abs();
            let [level, turn] = [&self.roots, &self.changes].map(|values| unlike(values, &self.hours, self.stride));
            far = Some([strayed, level.unwrap_or(strayed), turn.unwrap_or(strayed)]);
        }
        match far.and_then(|far| self.base(&hour, root, far)) {
            Some(base) => {
                let watched = if value >= expected { self.limits.up } else { self.limits.down };
                verdict.score_milli = self.score(if first_of_kind { base / 2 } else { base }, watched);
                verdict.flag = self.bar.reached(hour.at, verdict.score_milli);
            }
            None => verdict.baseline = Baseline::WarmingUp,
        }
        self.remember(hour, value, season, far);
        verdict
    }

    /// What is compared: the root of a count of 10^-18, or the value as a count of 10^-9.
    fn root(&self, value: i128) -> i128 {
        if self.plain { (value / PLAIN).clamp(-PLAIN_MAX, PLAIN_MAX) } else { value.max(0).isqrt() }
    }

    /// From the first negative value on there are no roots. A difference of roots is one of values divided by
    /// twice the root.
    fn compare_plainly(&mut self) {
        self.plain = true;
        for slot in &mut self.slots {
            slot.sums = Sums::default();
            for past in &mut slot.past {
                let twice = past.value.isqrt() * 2;
                past.far = past.far.map(|far| far.map(|distance| distance.saturating_mul(twice) / PLAIN));
                past.far.iter().for_each(|far| slot.sums.add(far));
            }
        }
        self.roots.iter_mut().for_each(|root| *root = (*root * *root / PLAIN).min(PLAIN_MAX));
        let before = self.roots.first().into_iter().chain(&self.roots);
        self.changes = self.roots.iter().zip(before).map(|(value, before)| value - before).collect();
    }

    /// What may be expected: by the hour on days of its kind, by the hour of the week, and the first of them at the
    /// present level. Before an hour was seen on two days, the middle of all hours.
    fn expected(&self, hour: &Hour) -> Expected {
        let same = self.slots.get(usize::from(hour.hour % 24)).into_iter().flat_map(|slot| &slot.past);
        let (mut of_kind, mut of_any, mut of_week) = (Vec::new(), Vec::new(), Vec::new());
        for past in same {
            let age = hour.at - past.hour.at;
            if age <= DAYS {
                of_any.push(past.value);
                if past.hour.free == hour.free {
                    of_kind.push(past.value);
                }
            }
            if age <= WEEKS && past.hour.weekday == hour.weekday {
                of_week.push(past.value);
            }
        }
        let own = median(&mut of_kind);
        let first_of_kind = own.is_none();
        let (baseline, season) = match own {
            Some(own) if of_kind.len() >= OF_KIND => (Baseline::Seasonal, own),
            _ => match median(&mut of_any) {
                Some(any) if of_any.len() >= OF_ANY && self.count >= self.warm_up => (Baseline::AnyDay, any),
                _ => {
                    let mut all: Vec<i128> = self.slots.iter().flat_map(|slot| &slot.past).map(|past| past.value).collect();
                    let values = median(&mut all).into_iter().collect();
                    return Expected { baseline: Baseline::AllHours, season: None, values, first_of_kind };
                }
            },
        };
        let mut values = vec![season];
        values.extend(own);
        values.extend(median(&mut of_week));
        let mut differences: Vec<i128> = self.level.iter().map(|(_, difference, _)| *difference).collect();
        let mut ratios: Vec<i128> = self.level.iter().filter_map(|(_, _, ratio)| *ratio).collect();
        let enough = usize::try_from(self.level_for / self.limits.step.max(1) / 3).unwrap_or(usize::MAX);
        if differences.len() >= enough {
            values.extend(median(&mut differences).map(|difference| season.saturating_add(difference)));
        }
        if ratios.len() >= enough {
            values.extend(median(&mut ratios).map(|ratio| season.saturating_mul(ratio) / 1_000_000));
        }
        Expected { baseline, season: Some(season), values, first_of_kind }
    }

    /// Surprise and novelty in one, in thousandths; `None` while too little is known of what is usual.
    fn base(&self, hour: &Hour, root: i128, far: Far) -> Option<i64> {
        let all = Sums::all(self.slots.iter().map(|slot| &slot.sums));
        let at_hand = (0u8..24).zip(&self.slots).filter(|(at, _)| hours_apart(*at, hour.hour % 24) <= NEAR);
        let near = Sums::all(at_hand.map(|(_, slot)| &slot.sums));
        if all.count < self.judged as i128 {
            return None;
        }
        let near = if near.count >= NEAR_ENOUGH { near.means() } else { all.means() };
        let grain = (root.abs() / GRAIN).max(1);
        let part = |far: i128, all: i128, near: i128, least: i128| {
            (far.saturating_mul(1_000) / ((all * 13 + near * 7) / 20).max(least)).min(SCORE_MAX.into())
        };
        let ([strayed, level, turn], [a, b, c], [d, e, f]) = (far, all.means(), near);
        let novel = part(level, b, e, grain * WHOLE).max(part(turn, c, f, grain * WHOLE));
        i64::try_from((part(strayed, a, d, grain) * novel).isqrt()).ok()
    }

    /// With the echo of the last hours. What is not watched is nothing.
    fn score(&mut self, base: i64, watched: bool) -> i64 {
        let base = if watched { base } else { 0 };
        let score = base + self.echo * 5 / 4;
        self.echo += (base.min(ECHO_MAX) - self.echo) / ECHO_OF;
        let hours = (self.count / self.stride).clamp(SHORT, LONG) - SHORT;
        let longer = LONGER * i64::try_from(hours).unwrap_or(0) / i64::try_from(LONG - SHORT).unwrap_or(1);
        if watched { score * 1_000 / (1_000 + longer) } else { 0 }
    }

    fn remember(&mut self, hour: Hour, value: i128, season: Option<i128>, far: Option<Far>) {
        self.count += 1;
        if let Some(season) = season {
            let ratio = (season > 0).then(|| value.saturating_mul(1_000_000) / season);
            self.level.push_back((hour.at, value.saturating_sub(season), ratio));
        }
        if let Some(slot) = self.slots.get_mut(usize::from(hour.hour % 24)) {
            far.iter().for_each(|far| slot.sums.add(far));
            slot.past.push_back(Past { hour, value, far });
            while let Some(old) = slot.past.pop_front_if(|past| hour.at - past.hour.at >= MEMORY) {
                old.far.iter().for_each(|far| slot.sums.remove(far));
            }
        }
        let needed = LOOK_BACK * self.stride + 2 * SHAPE;
        if self.roots.len() >= 2 * needed {
            self.roots.drain(..needed);
            self.changes.drain(..needed);
            self.hours.drain(..needed);
        }
    }
}

#[cfg(test)]
mod tests;
