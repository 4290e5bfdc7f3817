//! Judges a series of spend hour by hour, each hour against what came before it and nothing else. Pure integers
//! and order statistics: values are counts of 10^-18, scores counts of 1/1000. Series of anything else are
//! judged in `oddity`.
//!
//! An hour is compared with several baselines, each a median of earlier hours (the same hour on days of its
//! kind, the same hour of the week, the same times the level of the last days, the same hours of the last
//! month's start). What lies between them is no spike: an hour stands out only by what it has beyond all of
//! them. How much that is, is measured in the series' own usual deviation at that time of day, and again
//! in how far the series has strayed before.

use super::tail::Tail;
use super::verdict::{Baseline, Hour, Limits, Verdict};
use std::collections::VecDeque;

/// Values before anything is judged.
pub const WARM_UP: usize = 24;
/// Past days of the same kind, and of the same weekday, that make a baseline.
const DAYS: i64 = 28;
const MEMORY_DAYS: i64 = 56;
const DAY: i64 = 86_400;
/// Samples of an hour that make a baseline.
const ENOUGH: usize = 3;
/// The level of the last three days.
const LEVEL: i64 = 3 * DAY;
/// Days of a month's start that share a pattern.
const MONTH_START_DAYS: u8 = 4;
/// How long an outage is remembered, and how far below the baseline it is.
const OUTAGE_MEMORY: i64 = 2 * DAY;
const OUTAGE_SCORE: i64 = 2_000;
/// Ratio and money have to pass too, so the score need not guard against heavy tails for more than this.
const STRETCH_MAX: i64 = 1_500;
/// A score beyond a thousand says no more.
const SCORE_MAX: i64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    weekday: u8,
    value: i128,
    /// Value minus its baseline then.
    residual: i128,
    /// Not history yet.
    flagged: bool,
    /// Was flagged: its residual says nothing of what is usual.
    strange: bool,
}

/// The state of one series.
pub struct Detector {
    limits: Limits,
    /// By kind of day and hour: `free * 24 + hour`.
    slots: Vec<VecDeque<Sample>>,
    /// The last days: time, value ÷ seasonal baseline in millionths, flagged.
    recent: VecDeque<(i64, i64, bool)>,
    /// All values of the first days, ascending, while there are few.
    few: Vec<i128>,
    count: usize,
    up: Tail,
    down: Tail,
    months: VecDeque<MonthStart>,
    /// The last values for as long as adapting takes: time, flagged.
    flags: VecDeque<(i64, bool)>,
    /// Hours in which nearly all of the usual was missing: time, what was missed and not yet made up for.
    missed: VecDeque<(i64, i128)>,
    /// Start and highest score of the run of flagged hours that goes on.
    run: Option<Run>,
    scratch: Vec<i128>,
    /// The ratios of the last days that were not flagged, ascending: their middle is asked for every hour.
    calm: Vec<i64>,
}

struct Run {
    last: i64,
    peak_up: i64,
    peak_down: i64,
}

struct MonthStart {
    month: i32,
    /// Highest value by hour over the first days; None where there was none.
    highest: [Option<i128>; 24],
}

pub(super) fn median<V: Ord + Copy>(values: &mut [V]) -> Option<V> {
    quantile(values, 500)
}

fn quantile<V: Ord + Copy>(values: &mut [V], part: usize) -> Option<V> {
    let last = values.len().checked_sub(1)?;
    let (_, value, _) = values.select_nth_unstable(last * part / 1_000);
    Some(*value)
}

/// Several, the highest first: each is looked for only among those below the one before.
fn quantiles<const N: usize>(mut values: &mut [i128], parts: [usize; N]) -> [i128; N] {
    let last = values.len().saturating_sub(1);
    parts.map(|part| {
        let place = last * part / 1_000;
        if place >= values.len() {
            return 0;
        }
        let all = std::mem::take(&mut values);
        let value = *all.select_nth_unstable(place).1;
        values = all.get_mut(..=place).unwrap_or_default();
        value
    })
}

/// What an hour is compared with.
struct Baselines {
    kind: Baseline,
    low: i128,
    high: i128,
    middle: i128,
    /// The median of the same hour on days of its kind.
    own: Option<i128>,
}

impl Detector {
    pub fn new(limits: Limits) -> Detector {
        Detector {
            limits,
            slots: (0..48).map(|_| VecDeque::new()).collect(),
            recent: VecDeque::new(),
            few: Vec::new(),
            count: 0,
            up: Tail::default(),
            down: Tail::default(),
            months: VecDeque::new(),
            flags: VecDeque::new(),
            missed: VecDeque::new(),
            run: None,
            scratch: Vec::new(),
            calm: Vec::new(),
        }
    }

    fn slot(hour: u8, free: bool) -> usize {
        usize::from(free) * 24 + usize::from(hour % 24)
    }

    /// Judges an hour, then remembers it.
    pub fn judge(&mut self, hour: Hour, value: i128) -> Verdict {
        let Baselines { kind: baseline, low, high, middle, own } = self.baselines(&hour);
        let mut verdict = Verdict { flag: false, score_milli: 0, expected: value.clamp(low, high), baseline };
        let residual = value - middle;
        let (mut up, mut down) = (0, 0);
        if baseline == Baseline::WarmingUp {
            verdict.expected = middle;
        } else {
            // What lies between the baselines is no distance in whatever measure.
            let between = (low..=high).contains(&value);
            let (usual, widest) = if between { (1, 1) } else { self.scales(&hour, middle) };
            let score = |distance: i128, scale: i128| {
                i64::try_from(distance.max(0).saturating_mul(1_000) / scale).unwrap_or(SCORE_MAX).min(SCORE_MAX)
            };
            (up, down) = (score(value - high, widest), score(low - value, widest));
            let (rise, fall) = (self.up.stretch_milli(), self.down.stretch_milli());
            let calm = |score: i64, stretch: i64| score.saturating_mul(1_000) / stretch;
            let limits = &self.limits;
            // The lowest of a few hours is no baseline, nor is one that this hour is known to leave far behind.
            let least = if baseline == Baseline::AllHours { high } else { low.max(high / 2) };
            let far = |distance: i128, stretch: i64, more: i128, less: i128| {
                calm(score(distance, usual), stretch.min(STRETCH_MAX)) >= limits.score_milli
                    && distance >= limits.distance
                    && (less <= 0 || more.saturating_mul(1_000) / less >= i128::from(limits.ratio_milli))
            };
            let rises = up > 0 && far(value - high, rise, value, least);
            let falls = down > 0 && far(low - value, fall, high, value);
            verdict.flag = limits.up && rises || limits.down && falls;
            verdict.score_milli = if up > 0 {
                calm(score(value - high, usual), rise.min(STRETCH_MAX))
            } else {
                -calm(score(low - value, usual), fall.min(STRETCH_MAX))
            };
            if limits.catch_up {
                verdict.flag = self.after_outage(&hour, value, low, high, down, verdict.flag);
            }
        }
        self.remember(&hour, value, residual, (middle, own), baseline, verdict.flag, up, down);
        verdict
    }

    /// Whether a flag stays. What is above the baselines first makes up for what two days of outage missed.
    fn after_outage(&mut self, hour: &Hour, value: i128, low: i128, high: i128, down: i64, flagged: bool) -> bool {
        while self.missed.front().is_some_and(|(at, _)| hour.at - at > OUTAGE_MEMORY) {
            self.missed.pop_front();
        }
        if low > 0 && value.saturating_mul(10) <= low && down >= OUTAGE_SCORE {
            self.missed.push_back((hour.at, low - value));
        }
        let mut excess = value - high;
        if !flagged || excess <= 0 {
            return flagged;
        }
        let missed: i128 = self.missed.iter().map(|(_, missed)| *missed).sum();
        if missed < excess {
            return true;
        }
        while let Some((at, missed)) = self.missed.pop_front() {
            if missed > excess {
                self.missed.push_front((at, missed - excess));
                break;
            }
            excess -= missed;
        }
        false
    }

    fn baselines(&mut self, hour: &Hour) -> Baselines {
        if self.count < WARM_UP {
            let mut few = std::mem::take(&mut self.scratch);
            few.clear();
            few.extend(&self.few);
            let middle = median(&mut few).unwrap_or(0);
            self.scratch = few;
            return Baselines { kind: Baseline::WarmingUp, low: middle, high: middle, middle, own: None };
        }
        let since = hour.at - DAYS * DAY;
        let mut values = std::mem::take(&mut self.scratch);
        let same_kind = self.gather(&mut values, hour, hour.free, |sample| sample.at >= since);
        let own = median(&mut values);
        let (kind, season) = if same_kind >= ENOUGH {
            (Baseline::Seasonal, own)
        } else {
            let any = {
                let mut other = Vec::new();
                self.gather(&mut other, hour, !hour.free, |sample| sample.at >= since);
                values.extend(other);
                if values.len() >= ENOUGH { median(&mut values) } else { None }
            };
            match (own, any) {
                (own, Some(any)) => (Baseline::AnyDay, Some(own.map_or(any, |own| own.max(any)))),
                _ => (Baseline::AllHours, None),
            }
        };
        let Some(season) = season else {
            values.clear();
            values.extend(&self.few);
            let same =
                [false, true].into_iter().flat_map(|free| self.slots.get(Self::slot(hour.hour, free)).into_iter().flatten());
            let (least, most) =
                same.fold((i128::MAX, i128::MIN), |(least, most), sample| (least.min(sample.value), most.max(sample.value)));
            let (low, high) = (quantile(&mut values, 100).unwrap_or(0), quantile(&mut values, 1_000).unwrap_or(0));
            let middle = median(&mut values).unwrap_or(0);
            self.scratch = values;
            return Baselines { kind, low: low.min(least), high: high.max(most), middle, own };
        };
        let (mut low, mut high, mut middle) = (season, season, season);
        let mut consider = |value: i128| {
            low = low.min(value);
            high = high.max(value);
        };
        if self.gather(&mut values, hour, hour.free, |sample| sample.weekday == hour.weekday) >= 1
            && let Some(weekly) = quantile(&mut values, 499)
        {
            consider(weekly);
        }
        if self.gather_same_clock(&mut values, hour, since) >= ENOUGH
            && let Some(steady) = median(&mut values)
        {
            consider(steady);
        }
        let adapt = self.limits.adapt;
        let level = if self.recent.front().is_some_and(|(at, ..)| hour.at - at >= adapt) {
            let recent = self.recent.iter().filter(|(at, _, flagged)| !flagged || hour.at - at >= adapt);
            let mut ratios: Vec<i64> = recent.map(|(_, ratio, _)| *ratio).collect();
            if ratios.len() >= 24 { median(&mut ratios) } else { None }
        } else {
            self.calm.get(self.calm.len().saturating_sub(1) / 2).copied().filter(|_| self.calm.len() >= 24)
        };
        if let Some(level) = level {
            let levelled = season.saturating_mul(i128::from(level)) / 1_000_000;
            consider(levelled);
            middle = levelled;
        }
        if hour.month_day <= MONTH_START_DAYS {
            let before = usize::from((hour.hour + 23) % 24);
            let hours = [before, usize::from(hour.hour % 24), usize::from((hour.hour + 1) % 24)];
            let months = self.months.iter().filter(|start| start.month < hour.month);
            if let Some(highest) =
                months.flat_map(|start| hours.map(|at| start.highest.get(at).copied().flatten())).flatten().max()
            {
                high = high.max(highest);
            }
        }
        self.scratch = values;
        Baselines { kind, low, high, middle, own }
    }

    /// Collects the values of earlier samples at this hour that may be learnt from; how many.
    fn gather(&self, values: &mut Vec<i128>, hour: &Hour, free: bool, wanted: impl Fn(&Sample) -> bool) -> usize {
        values.clear();
        let adapt = self.limits.adapt;
        let slot = self.slots.get(Self::slot(hour.hour, free));
        let samples = slot.into_iter().flatten();
        let usable = |sample: &&Sample| (!sample.flagged || hour.at - sample.at >= adapt) && wanted(sample);
        values.extend(samples.filter(usable).map(|sample| sample.value));
        values.len()
    }

    /// Collects what came at this hour of UTC before the local clock was changed: not everything changes with it.
    fn gather_same_clock(&self, values: &mut Vec<i128>, hour: &Hour, since: i64) -> usize {
        values.clear();
        let adapt = self.limits.adapt;
        let clock = |at: i64| at.rem_euclid(DAY) / 3_600;
        for shift in [1u8, 23] {
            let slot = self.slots.get(Self::slot((hour.hour + shift) % 24, hour.free));
            let same = |sample: &&Sample| sample.at >= since && clock(sample.at) == clock(hour.at);
            let usable = |sample: &&Sample| same(sample) && (!sample.flagged || hour.at - sample.at >= adapt);
            values.extend(slot.into_iter().flatten().filter(usable).map(|sample| sample.value));
        }
        values.len()
    }

    /// The usual deviation around this time of day, and a wider one that heavy tails need. Hours that were flagged strayed from a baseline that was not
    /// theirs, so they never widen it.
    fn scales(&mut self, hour: &Hour, middle: i128) -> (i128, i128) {
        let mut sizes = std::mem::take(&mut self.scratch);
        sizes.clear();
        for shift in [22u8, 23, 0, 1, 2] {
            let slot = self.slots.get(Self::slot((hour.hour + shift) % 24, hour.free));
            sizes.extend(slot.into_iter().flatten().filter(|sample| !sample.strange).map(|sample| sample.residual.abs()));
        }
        if sizes.len() < 10 {
            sizes.clear();
            sizes.extend(self.slots.iter().flatten().filter(|sample| !sample.strange).map(|sample| sample.residual.abs()));
        }
        // A normal deviation is beyond 1.9 times the median one in five, beyond 3.45 times in fifty.
        let [widest, wide, usual] = quantiles(&mut sizes, [980, 800, 500]);
        let (widest, wide) = (widest.saturating_mul(1_000) / 3_449, wide.saturating_mul(1_000) / 1_900);
        self.scratch = sizes;
        let usual = usual.max(wide).max(middle.abs() / 40).max(1);
        let widest = usual.max(widest);
        // Where nothing is usual, whatever came there before is the measure.
        (if middle == 0 { widest } else { usual }, widest)
    }

    #[allow(clippy::too_many_arguments)]
    fn remember(
        &mut self,
        hour: &Hour,
        value: i128,
        residual: i128,
        (middle, own): (i128, Option<i128>),
        baseline: Baseline,
        flagged: bool,
        up: i64,
        down: i64,
    ) {
        self.count += 1;
        if self.few.len() < 24 * 7 {
            self.few.push(value);
        }
        let sample = Sample { at: hour.at, weekday: hour.weekday, value, residual, flagged, strange: flagged };
        let oldest = hour.at - MEMORY_DAYS * DAY;
        if let Some(slot) = self.slots.get_mut(Self::slot(hour.hour, hour.free)) {
            slot.push_back(sample);
            while slot.front().is_some_and(|sample| sample.at < oldest) {
                slot.pop_front();
            }
        }
        if baseline >= Baseline::AnyDay && middle > 0 {
            // The ratio to what the season says; the level itself must not be in it, or it would feed itself.
            let season = own.filter(|season| *season > 0);
            let ratio = season.and_then(|season| i64::try_from(value.saturating_mul(1_000_000) / season).ok());
            if let Some(ratio) = ratio {
                self.recent.push_back((hour.at, ratio, flagged));
                if !flagged {
                    self.calm.insert(self.calm.partition_point(|other| *other < ratio), ratio);
                }
            }
        }
        while let Some((_, ratio, flagged)) = self.recent.pop_front_if(|(at, ..)| *at < hour.at - LEVEL) {
            if let (false, Ok(place)) = (flagged, self.calm.binary_search(&ratio)) {
                self.calm.remove(place);
            }
        }
        self.adapt(hour.at, flagged);
        if baseline > Baseline::WarmingUp {
            self.stray(hour, flagged, up, down);
        }
        if hour.month_day <= MONTH_START_DAYS {
            self.month_start(hour, value);
        }
    }

    /// Where nearly all of so long a time was flagged, what was before is no longer this series.
    fn adapt(&mut self, now: i64, flagged: bool) {
        let from = now - self.limits.adapt;
        self.flags.push_back((now, flagged));
        while self.flags.front().is_some_and(|(at, _)| *at < from) {
            self.flags.pop_front();
        }
        let long = self.flags.front().is_some_and(|(at, _)| (now - at).saturating_mul(10) >= self.limits.adapt.saturating_mul(9));
        if !flagged || !long {
            return;
        }
        let hot = self.flags.iter().filter(|(_, flagged)| *flagged).count();
        if hot * 10 < self.flags.len() * 8 {
            return;
        }
        let from = self.flags.iter().find(|(_, flagged)| *flagged).map_or(from, |(at, _)| *at);
        self.few.clear();
        for slot in &mut self.slots {
            slot.retain(|sample| sample.at >= from);
            for sample in slot.iter_mut() {
                sample.flagged = false;
            }
            self.few.extend(slot.iter().map(|sample| sample.value));
        }
        self.recent.clear();
        self.calm.clear();
        self.flags.clear();
        self.run = None;
    }

    /// Keeps how far the series strayed: every calm hour, and of a run of flagged hours its highest once it is over.
    fn stray(&mut self, hour: &Hour, flagged: bool, up: i64, down: i64) {
        if flagged {
            let run = self.run.get_or_insert(Run { last: hour.at, peak_up: 0, peak_down: 0 });
            run.last = hour.at;
            run.peak_up = run.peak_up.max(up);
            run.peak_down = run.peak_down.max(down);
            return;
        }
        self.up.push(up);
        self.down.push(down);
        if let Some(run) = self.run.take_if(|run| hour.at - run.last >= DAY) {
            self.up.push(run.peak_up);
            self.down.push(run.peak_down);
        }
    }

    fn month_start(&mut self, hour: &Hour, value: i128) {
        if self.months.back().is_none_or(|start| start.month != hour.month) {
            self.months.push_back(MonthStart { month: hour.month, highest: [None; 24] });
            if self.months.len() > 4 {
                self.months.pop_front();
            }
        }
        if let Some(highest) = self.months.back_mut().and_then(|start| start.highest.get_mut(usize::from(hour.hour % 24))) {
            *highest = Some(highest.map_or(value, |highest| highest.max(value)));
        }
    }
}
