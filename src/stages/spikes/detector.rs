//! Judges one series hour by hour, each hour against what came before it and nothing else. Pure integers
//! and order statistics: values are counts of 10^-18, scores counts of 1/1000.
//!
//! An hour is compared with several baselines, each a median of earlier hours (the same hour on days of its
//! kind, the same hour of the week, the same times the level of the last days, the same hours of the last
//! month's start). What lies between them is no spike: an hour stands out only by what it has beyond all of
//! them. How much that is, is measured in the series' own usual deviation at that time of day, and again
//! in how far the series has strayed before.

use std::collections::VecDeque;

/// An hour of a series: when, and where in the local week and month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hour {
    /// Start, Unix seconds. Rises from call to call.
    pub at: i64,
    /// Local hour, 0 to 23.
    pub hour: u8,
    /// Local day of the week, 0 to 6.
    pub weekday: u8,
    /// A weekend or holiday.
    pub free: bool,
    /// Local day of the month, 1 to 31, and a number that rises with the months.
    pub month_day: u8,
    pub month: i32,
}

/// When an hour is flagged, in the detector's own units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub score_milli: i64,
    pub ratio_milli: i64,
    /// Distance from the baseline, 10^-18.
    pub distance: i128,
    pub up: bool,
    pub down: bool,
    /// Seconds after which flagged hours are history like any other.
    pub adapt: i64,
    /// What was missed in an outage may come later without being a spike.
    pub catch_up: bool,
}

/// What an hour was compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Baseline {
    /// Fewer than [`WARM_UP`] values: nothing is judged.
    WarmingUp,
    /// The upper values of all earlier hours, because no hour of the day was seen often enough.
    AllHours,
    /// The same hour on all days, because days of this kind were seen too seldom.
    AnyDay,
    /// The same hour on days of the same kind, and what more history there is.
    Seasonal,
}

/// The judgement of one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub flag: bool,
    /// Thousandths; 0 within the baselines, negative below them.
    pub score_milli: i64,
    /// The baseline nearest to the value, 10^-18.
    pub expected: i128,
    pub baseline: Baseline,
}

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
/// A score beyond a thousand says no more.
const SCORE_MAX: i64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: i64,
    weekday: u8,
    value: i128,
    /// Value minus its baseline then.
    residual: i128,
    flagged: bool,
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
    /// Hours in which nearly all of the usual was missing: time, what was missed and not yet made up for.
    missed: VecDeque<(i64, i128)>,
    /// Start and highest score of the run of flagged hours that goes on.
    run: Option<Run>,
    scratch: Vec<i128>,
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

/// How far a series has strayed to one side: scores in order of time and of size.
#[derive(Default)]
struct Tail {
    by_time: VecDeque<i64>,
    by_size: Vec<i64>,
}

const TAIL_MAX: usize = 1_344;

impl Tail {
    fn push(&mut self, score: i64) {
        if self.by_time.len() >= TAIL_MAX
            && let Some(oldest) = self.by_time.pop_front()
            && let Ok(place) = self.by_size.binary_search(&oldest)
        {
            self.by_size.remove(place);
        }
        self.by_time.push_back(score);
        let place = self.by_size.partition_point(|other| *other < score);
        self.by_size.insert(place, score);
    }

    /// The score at a part of the way from the lowest to the highest.
    fn quantile_milli(&self, part: usize) -> i64 {
        let last = self.by_size.len().saturating_sub(1);
        self.by_size.get(last * part / 1_000).copied().unwrap_or(0)
    }

    /// By what scores are divided, in thousandths, so that what this series does once in a hundred hours
    /// counts like what a normal one does so often. Fewer hours tell less, so they are held to less.
    fn stretch_milli(&self) -> i64 {
        // The median absolute deviations that a normal series strays to one side so often.
        const NORMAL: [(usize, usize, i64); 5] =
            [(400, 995, 3_819), (100, 990, 3_449), (50, 980, 3_045), (20, 950, 2_439), (0, 900, 1_900)];
        let n = self.by_size.len();
        let mut stretch = 1_000;
        for (least, part, normal) in NORMAL {
            if n >= least {
                stretch = stretch.max(self.quantile_milli(part).saturating_mul(1_000) / normal);
                break;
            }
        }
        stretch
    }
}

fn median(values: &mut [i128]) -> Option<i128> {
    quantile(values, 500)
}

fn quantile(values: &mut [i128], part: usize) -> Option<i128> {
    let last = values.len().checked_sub(1)?;
    let (_, value, _) = values.select_nth_unstable(last * part / 1_000);
    Some(*value)
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
            missed: VecDeque::new(),
            run: None,
            scratch: Vec::new(),
        }
    }

    fn slot(hour: u8, free: bool) -> usize {
        usize::from(free) * 24 + usize::from(hour % 24)
    }

    /// Judges an hour, then remembers it.
    pub fn judge(&mut self, hour: Hour, value: i128) -> Verdict {
        let (baseline, low, high, middle) = self.baselines(&hour);
        let mut verdict = Verdict { flag: false, score_milli: 0, expected: value.clamp(low, high), baseline };
        let residual = value - middle;
        let (mut up, mut down) = (0, 0);
        if baseline == Baseline::WarmingUp {
            verdict.expected = middle;
        } else {
            let scale = self.scale(&hour, middle).max(1);
            let score =
                |distance: i128| i64::try_from(distance.max(0).saturating_mul(1_000) / scale).unwrap_or(SCORE_MAX).min(SCORE_MAX);
            (up, down) = (score(value - high), score(low - value));
            let calm_up = up.saturating_mul(1_000) / self.up.stretch_milli();
            let calm_down = down.saturating_mul(1_000) / self.down.stretch_milli();
            let limits = &self.limits;
            let far = |score: i64, distance: i128, more: i128, less: i128| {
                score >= limits.score_milli
                    && distance >= limits.distance
                    && (less <= 0 || more.saturating_mul(1_000) / less >= i128::from(limits.ratio_milli))
            };
            let m2 = middle.clamp(low, high);
            verdict.score_milli = if up > 0 { calm_up } else { -calm_down };
            verdict.flag = (limits.up && up > 0 && far(calm_up, value - high, value, m2))
                || (limits.down && down > 0 && far(calm_down, low - value, m2, value));
            if limits.catch_up {
                verdict.flag = self.after_outage(&hour, value, low, high, down, verdict.flag);
            }
        }
        self.remember(&hour, value, residual, middle, baseline, verdict.flag, up, down);
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

    /// Kind, lowest, highest and middle of the baselines.
    fn baselines(&mut self, hour: &Hour) -> (Baseline, i128, i128, i128) {
        if self.count < WARM_UP {
            let mut few = std::mem::take(&mut self.scratch);
            few.clear();
            few.extend(&self.few);
            let middle = median(&mut few).unwrap_or(0);
            self.scratch = few;
            return (Baseline::WarmingUp, middle, middle, middle);
        }
        let since = hour.at - DAYS * DAY;
        let mut values = std::mem::take(&mut self.scratch);
        let same_kind = self.gather(&mut values, hour, hour.free, |sample| sample.at >= since);
        let (kind, season) = if same_kind >= ENOUGH {
            (Baseline::Seasonal, median(&mut values))
        } else {
            let own = median(&mut values);
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
            let (low, high) = (quantile(&mut values, 100).unwrap_or(0), quantile(&mut values, 900).unwrap_or(0));
            let middle = median(&mut values).unwrap_or(0);
            self.scratch = values;
            return (kind, low.min(least), high.max(most), middle);
        };
        let (mut low, mut high, mut middle) = (season, season, season);
        let mut consider = |value: i128| {
            low = low.min(value);
            high = high.max(value);
        };
        if self.gather(&mut values, hour, hour.free, |sample| sample.weekday == hour.weekday) >= 2
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
        values.clear();
        values.extend(
            self.recent
                .iter()
                .filter(|(at, _, flagged)| !flagged || hour.at - at >= adapt)
                .map(|(_, ratio, _)| i128::from(*ratio)),
        );
        if values.len() >= 24
            && let Some(level) = median(&mut values)
        {
            let levelled = season.saturating_mul(level) / 1_000_000;
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
        (kind, low, high, middle)
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

    /// The usual deviation around this time of day. Hours that were flagged strayed from a baseline that was not
    /// theirs, so they never widen it.
    fn scale(&mut self, hour: &Hour, middle: i128) -> i128 {
        let mut sizes = std::mem::take(&mut self.scratch);
        sizes.clear();
        for shift in [22u8, 23, 0, 1, 2] {
            let slot = self.slots.get(Self::slot((hour.hour + shift) % 24, hour.free));
            sizes.extend(slot.into_iter().flatten().filter(|sample| !sample.flagged).map(|sample| sample.residual.abs()));
        }
        if sizes.len() < 10 {
            sizes.clear();
            sizes.extend(self.slots.iter().flatten().filter(|sample| !sample.flagged).map(|sample| sample.residual.abs()));
        }
        let usual = median(&mut sizes).unwrap_or(0);
        // A normal deviation is beyond 2.44 times the median one in ten, beyond 3.45 times in fifty.
        let wide = quantile(&mut sizes, 900).unwrap_or(0).saturating_mul(1_000) / 2_439;
        let widest = quantile(&mut sizes, 980).unwrap_or(0).saturating_mul(1_000) / 3_449;
        self.scratch = sizes;
        usual.max(wide).max(widest).max(middle.abs() / 40)
    }

    #[allow(clippy::too_many_arguments)]
    fn remember(
        &mut self,
        hour: &Hour,
        value: i128,
        residual: i128,
        middle: i128,
        baseline: Baseline,
        flagged: bool,
        up: i64,
        down: i64,
    ) {
        self.count += 1;
        if self.few.len() < 24 * 7 {
            self.few.push(value);
        }
        let sample = Sample { at: hour.at, weekday: hour.weekday, value, residual, flagged };
        let oldest = hour.at - MEMORY_DAYS * DAY;
        if let Some(slot) = self.slots.get_mut(Self::slot(hour.hour, hour.free)) {
            slot.push_back(sample);
            while slot.front().is_some_and(|sample| sample.at < oldest) {
                slot.pop_front();
            }
        }
        if baseline >= Baseline::AnyDay && middle > 0 {
            // The ratio to what the season says; the level itself must not be in it, or it would feed itself.
            let ratio = self.season_ratio(hour, value);
            if let Some(ratio) = ratio {
                self.recent.push_back((hour.at, ratio, flagged));
            }
        }
        while self.recent.front().is_some_and(|(at, _, _)| *at < hour.at - LEVEL.max(self.limits.adapt)) {
            self.recent.pop_front();
        }
        if baseline > Baseline::WarmingUp {
            self.stray(hour, flagged, up, down);
        }
        if hour.month_day <= MONTH_START_DAYS {
            self.month_start(hour, value);
        }
    }

    fn season_ratio(&mut self, hour: &Hour, value: i128) -> Option<i64> {
        let mut values = std::mem::take(&mut self.scratch);
        let since = hour.at - DAYS * DAY;
        self.gather(&mut values, hour, hour.free, |sample| sample.at >= since && sample.at < hour.at);
        let season = median(&mut values).filter(|season| *season > 0);
        self.scratch = values;
        i64::try_from(value.saturating_mul(1_000_000) / season?).ok()
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
