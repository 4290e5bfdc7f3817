//! How good flags are against labels: precision, recall, false alarms and delay, by spike and by hour.

use chrono::{DateTime, Utc};

/// A labelled spike of a series: from its first hour to the end of its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Labelled {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// How many times the normal value, in thousandths; `None` where nobody says.
    pub size_milli: Option<i64>,
}

/// A value of a series as it was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Graded {
    pub at: DateTime<Utc>,
    pub flag: bool,
    /// Value ÷ expected, in thousandths; `None` where nothing was expected.
    pub ratio_milli: Option<i64>,
    /// Value − expected reaches the threshold in money.
    pub beyond: bool,
}

/// Sizes that are told apart: lower bounds in thousandths, with their names.
const SIZES: [(i64, &str); 7] = [
    (0, "below 1.5x"),
    (1_500, "1.5x to 2x"),
    (2_000, "2x to 3x"),
    (3_000, "3x to 5x"),
    (5_000, "5x to 10x"),
    (10_000, "10x to 20x"),
    (20_000, "20x and more"),
];
/// A size from which a spike is large.
const LARGE: i64 = 3_000;
/// Alarms with fewer quiet values between them are one.
const QUIET_STEPS: i64 = 6;

/// Labelled spikes of one size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BySize {
    pub spikes: u64,
    pub caught: u64,
    /// Steps from the start of a caught spike to its first flag.
    delays: Vec<i64>,
}

impl BySize {
    /// The middle of the delays, in steps.
    pub fn delay_median(&self) -> Option<i64> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays.get(delays.len().saturating_sub(1) / 2).copied()
    }
}

/// Sums over series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grade {
    pub series: u64,
    pub values: u64,
    pub flags: u64,
    /// Runs of flags.
    pub alarms: u64,
    /// Runs that touch no labelled spike.
    pub false_alarms: u64,
    pub spikes: u64,
    pub caught: u64,
    /// Spikes of three times the normal and more with a value beyond the threshold in money.
    pub large: u64,
    pub large_caught: u64,
    /// Flagged and labelled, labelled.
    pub hits: u64,
    pub labelled: u64,
    /// Seconds that all series span.
    pub seconds: i64,
    sizes: [BySize; SIZES.len()],
}

impl Grade {
    /// Adds a series with its labels, both in the order of time. Without labels `labels` is empty, and every
    /// alarm counts as false.
    pub fn add(&mut self, step_seconds: i64, values: &[Graded], labels: &[Labelled]) {
        self.series += 1;
        self.values += values.len() as u64;
        self.seconds += step_seconds * values.len() as i64;
        let mut run: Option<(i64, bool)> = None;
        for value in values {
            let at = value.at.timestamp();
            let inside = labels.iter().any(|label| label.from <= value.at && value.at < label.to);
            self.labelled += u64::from(inside);
            if !value.flag {
                continue;
            }
            self.flags += 1;
            self.hits += u64::from(inside);
            // The end of a spike may hang over: one step later it is still the same one.
            let touches = labels.iter().any(|label| label.from <= value.at && at < label.to.timestamp() + step_seconds);
            match &mut run {
                Some((last, true_one)) if at - *last <= QUIET_STEPS * step_seconds => {
                    *last = at;
                    *true_one |= touches;
                }
                _ => {
                    self.close(run.replace((at, touches)));
                }
            }
        }
        self.close(run);
        for label in labels {
            let inside = || values.iter().filter(|value| label.from <= value.at && value.at < label.to);
            if inside().next().is_none() {
                continue;
            }
            let size = label.size_milli.or_else(|| inside().filter_map(|value| value.ratio_milli).max());
            let found = inside().position(|value| value.flag);
            self.spikes += 1;
            self.caught += u64::from(found.is_some());
            if size.is_none_or(|size| size >= LARGE) && inside().any(|value| value.beyond) {
                self.large += 1;
                self.large_caught += u64::from(found.is_some());
            }
            let place = SIZES.iter().rposition(|(least, _)| size.unwrap_or(i64::MAX) >= *least).unwrap_or(0);
            if let Some(by_size) = self.sizes.get_mut(place) {
                by_size.spikes += 1;
                by_size.caught += u64::from(found.is_some());
                by_size.delays.extend(found.and_then(|steps| i64::try_from(steps).ok()));
            }
        }
    }

    fn close(&mut self, run: Option<(i64, bool)>) {
        if let Some((_, true_one)) = run {
            self.alarms += 1;
            self.false_alarms += u64::from(!true_one);
        }
    }

    /// Spikes by size, smallest first, with the names of sizes.
    pub fn by_size(&self) -> impl Iterator<Item = (&'static str, &BySize)> {
        SIZES.iter().map(|(_, name)| *name).zip(&self.sizes).filter(|(_, by_size)| by_size.spikes > 0)
    }

    /// Alarms that touch a labelled spike, of all alarms; in thousandths.
    pub fn precision_milli(&self) -> Option<u64> {
        part_milli(self.alarms - self.false_alarms, self.alarms)
    }

    pub fn recall_milli(&self) -> Option<u64> {
        part_milli(self.caught, self.spikes)
    }

    /// Harmonic mean of precision and recall, in thousandths.
    pub fn f1_milli(&self) -> Option<u64> {
        mean(self.precision_milli()?, self.recall_milli()?)
    }

    /// The same for large spikes, with all false alarms held against them.
    pub fn f1_large_milli(&self) -> Option<u64> {
        let precision = part_milli(self.large_caught, self.large_caught + self.false_alarms)?;
        mean(precision, part_milli(self.large_caught, self.large)?)
    }

    /// The same by single values.
    pub fn f1_values_milli(&self) -> Option<u64> {
        part_milli(2 * self.hits, self.flags + self.labelled)
    }

    /// In thousandths of an alarm for each series and week.
    pub fn false_alarms_weekly_milli(&self) -> Option<u64> {
        let seconds = u64::try_from(self.seconds).ok().filter(|seconds| *seconds > 0)?;
        Some(self.false_alarms * 1_000 * 7 * 86_400 / seconds)
    }
}

fn mean(precision: u64, recall: u64) -> Option<u64> {
    part_milli(2 * precision * recall, (precision + recall) * 1_000)
}

fn part_milli(part: u64, whole: u64) -> Option<u64> {
    (part * 1_000 + whole / 2).checked_div(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(hour * 3_600, 0).unwrap()
    }

    #[test]
    fn alarms_and_spikes_are_counted_once_each() {
        let flags = [3, 4, 10, 40, 41, 60];
        let values: Vec<Graded> = (0..168)
            .map(|hour| Graded { at: at(hour), flag: flags.contains(&hour), ratio_milli: Some(3_000), beyond: hour < 20 })
            .collect();
        // Caught two hours late; missed; touched only in the hour after it.
        let label = |from, to, size| Labelled { from: at(from), to: at(to), size_milli: size };
        let labels = [label(1, 6, None), label(20, 22, Some(1_200)), label(58, 60, Some(12_000))];
        let mut grade = Grade::default();
        grade.add(3_600, &values, &labels);
        assert_eq!((grade.alarms, grade.false_alarms, grade.spikes, grade.caught), (3, 1, 3, 1));
        assert_eq!((grade.hits, grade.flags, grade.labelled), (2, 6, 9));
        assert_eq!((grade.precision_milli(), grade.recall_milli(), grade.f1_milli()), (Some(667), Some(333), Some(444)));
        assert_eq!(grade.false_alarms_weekly_milli(), Some(1_000));
        let sizes: Vec<_> = grade.by_size().map(|(name, size)| (name, size.spikes, size.caught, size.delay_median())).collect();
        assert_eq!(sizes, [("below 1.5x", 1, 0, None), ("3x to 5x", 1, 1, Some(2)), ("10x to 20x", 1, 0, None)]);
        assert_eq!((grade.large, grade.large_caught, grade.f1_large_milli()), (1, 1, Some(667)));
        assert_eq!(Grade::default().f1_milli(), None);
    }
}
