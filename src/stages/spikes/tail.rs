//! How far a series has strayed from its baselines before: what heavy tails do to a score. Integers only.

use std::collections::VecDeque;

/// How far a series has strayed to one side: scores in order of time and of size.
#[derive(Default)]
pub struct Tail {
    by_time: VecDeque<i64>,
    by_size: Vec<i64>,
}

/// Eight weeks of hours.
const TAIL_MAX: usize = 1_344;

impl Tail {
    /// Remembers a score, and forgets the oldest of too many.
    pub fn push(&mut self, score: i64) {
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
    pub fn stretch_milli(&self) -> i64 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_that_strays_often_is_held_to_more() {
        let mut calm = Tail::default();
        let mut wild = Tail::default();
        for hour in 0..1_000 {
            calm.push(hour % 3_000);
            wild.push(if hour % 50 == 0 { 40_000 } else { 500 });
        }
        assert_eq!(calm.stretch_milli(), 1_000);
        assert_eq!(wild.stretch_milli(), 40_000 * 1_000 / 3_819);
        // The oldest are forgotten.
        for _ in 0..TAIL_MAX {
            wild.push(0);
        }
        assert_eq!(wild.stretch_milli(), 1_000);
    }
}
