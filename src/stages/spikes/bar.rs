//! The score from which an hour is flagged: a limit that is higher for a while after a series has passed it.

const DAY: i64 = 86_400;
/// What was reached fades by a tenth a day, to about half in a week.
const FADES_IN: i64 = 10 * DAY;
/// Hours below the limit for which a spike is still the same one.
const QUIET: i64 = DAY / 2;

pub struct Bar {
    limit: i64,
    /// The highest score of earlier spikes, faded until `at`.
    height: i64,
    at: i64,
    /// The spike that goes on: its last hour beyond the limit, its highest score.
    run: Option<(i64, i64)>,
    quiet: i64,
}

impl Bar {
    /// `step` is the length of one value in seconds.
    pub fn new(limit: i64, step: i64) -> Bar {
        Bar { limit, height: 0, at: i64::MIN, run: None, quiet: QUIET.max(step.saturating_mul(2)) }
    }

    /// Whether a score is beyond the limit and seven tenths of what earlier spikes reached. A spike is never held against
    /// its own hours. `at` rises from call to call.
    pub fn reached(&mut self, at: i64, score: i64) -> bool {
        self.height = faded(self.height, at.saturating_sub(self.at));
        self.at = at;
        if let Some((last, top)) = self.run.take_if(|(last, _)| at - *last > self.quiet) {
            self.height = self.height.max(faded(top, at - last));
        }
        if score < self.limit {
            return false;
        }
        let top = self.run.map_or(score, |(_, top)| top.max(score));
        self.run = Some((at, top));
        score >= self.height / 10 * 7
    }
}

fn faded(height: i64, seconds: i64) -> i64 {
    let seconds = seconds.clamp(0, FADES_IN);
    // A long pause is many days of a tenth; beyond ten there is nothing left.
    height - i64::try_from(i128::from(height) * i128::from(seconds) / i128::from(FADES_IN)).unwrap_or(height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_that_spikes_often_is_held_to_its_spikes() {
        let hour = |number: i64| number * 3_600;
        let mut bar = Bar::new(5_000, 3_600);
        assert!(!bar.reached(hour(0), 4_999));
        assert!(bar.reached(hour(1), 40_000));
        // Its own next hours are the same spike.
        assert!(bar.reached(hour(2), 6_000));
        for quiet in 3..48 {
            assert!(!bar.reached(hour(quiet), 0));
        }
        // Two days later seven tenths of it are asked, less what has faded.
        assert!(!bar.reached(hour(48), 21_000));
        assert!(bar.reached(hour(49), 24_000));
        // Some weeks later the limit stands alone.
        for quiet in 50..1_500 {
            assert!(!bar.reached(hour(quiet), 0));
        }
        assert!(bar.reached(hour(1_500), 5_000));
    }
}
