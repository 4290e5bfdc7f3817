//! Buckets of analytics and statistics. An answer does not say how long its buckets are, so their width is
//! read from where they start, unless the job names it; only whole UTC days are spoken for.

use super::figures::Label;
use crate::adapters::BadPage;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use chrono::{DateTime, NaiveTime, Utc};

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The width of a page's buckets in seconds; 0 where the rows are no buckets but instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    width: i64,
}

impl Grid {
    /// The grid of a page's bucket starts. `group_by` may name the width, `interval_seconds=3600` or
    /// `aggregation_interval=hour`. Empty buckets are filled with zeros (the provider's sheet, section 1.1), so
    /// that starts stand apart by their width.
    ///
    /// # Errors
    /// Buckets that are longer than a day or do not lie in one, and days of another zone than UTC.
    pub fn of(group_by: &[String], labels: &[Label]) -> Result<Grid, BadPage> {
        let mut starts: Vec<i64> = labels.iter().map(|label| label.at.timestamp()).collect();
        starts.sort_unstable();
        starts.dedup();
        // The first bucket may be clipped by the start of the question.
        let inner = if starts.len() > 2 { starts.get(1..).unwrap_or_default() } else { starts.as_slice() };
        let aligned = |width: i64| inner.iter().all(|start| start % width == 0);
        let width = match named(group_by)? {
            Some(width) => width,
            None => seen(labels, inner, &aligned)?,
        };
        if width == DAY && !aligned(DAY) {
            return Err(foreign_days());
        }
        Ok(Grid { width })
    }

    /// Start and end of the bucket that is labelled so. A clipped one starts late and ends in time.
    pub fn bucket(self, at: DateTime<Utc>) -> (DateTime<Utc>, DateTime<Utc>) {
        if self.width == 0 {
            return (at, at);
        }
        let floor = at.timestamp() - at.timestamp().rem_euclid(self.width);
        (at, DateTime::from_timestamp(floor + self.width, 0).unwrap_or(at))
    }

    /// Hands on the UTC days that the buckets cover without a gap.
    pub fn cover(self, labels: &[Label], out: &mut dyn FnMut(Line<'_>)) {
        let whole = |label: &&Label| self.width > 0 && label.at.timestamp() % self.width == 0;
        let mut spans: Vec<_> = labels.iter().filter(whole).map(|label| self.bucket(label.at)).collect();
        spans.sort_unstable();
        let mut ranges: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
        for (start, end) in spans {
            match ranges.last_mut() {
                Some(last) if start <= last.1 => last.1 = last.1.max(end),
                _ => ranges.push((start, end)),
            }
        }
        for (start, end) in ranges {
            let day = start.date_naive();
            let from = if start.time() == NaiveTime::MIN { Some(day) } else { day.succ_opt() };
            if let Some(from) = from.filter(|from| *from < end.date_naive()) {
                out(Line::Covers(Days { from, to: end.date_naive() }));
            }
        }
    }
}

/// The width that the job names.
fn named(group_by: &[String]) -> Result<Option<i64>, BadPage> {
    for hint in group_by {
        let width = match hint.split_once('=') {
            Some(("interval_seconds" | "aggregation_bucket_size", seconds)) => seconds.trim().parse().ok(),
            Some(("aggregation_interval", "hour")) => Some(HOUR),
            Some(("aggregation_interval", "day")) => Some(DAY),
            Some(("aggregation_interval", _)) => None,
            _ => continue,
        };
        return match width.filter(|width| *width > 0 && DAY % width == 0) {
            Some(width) => Ok(Some(width)),
            None => Err(BadPage::new(
                format!("group_by: expected buckets that divide a day, found {hint}"),
                "ask with interval_seconds 86400 or 3600: what is longer belongs to no single day",
            )),
        };
    }
    Ok(None)
}

/// The width that the starts show.
fn seen(labels: &[Label], inner: &[i64], aligned: &dyn Fn(i64) -> bool) -> Result<i64, BadPage> {
    let gaps: Vec<i64> = inner.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).collect();
    let smallest = gaps.iter().min().copied();
    if aligned(DAY) {
        // Two gaps alike or more: a single one may be a day that has no rows.
        let even = smallest.filter(|smallest| *smallest > DAY && gaps.len() > 1 && gaps.iter().all(|gap| gap == smallest));
        return match even {
            Some(gap) => Err(BadPage::new(
                format!("expected buckets of a day or less, found some that stand {} days apart", gap / DAY),
                "ask with interval_seconds 86400; if they are days, say group_by = [\"interval_seconds=86400\"] in the job",
            )),
            None => Ok(DAY),
        };
    }
    let local_days = labels.iter().all(|label| (label.at.timestamp() + i64::from(label.offset)) % DAY == 0);
    // The same time of every day, give or take a change of the clock.
    let daily = |gap: &i64| [0, HOUR, DAY - HOUR].contains(&(gap % DAY)) && *gap >= DAY - HOUR;
    if local_days || (!gaps.is_empty() && gaps.iter().all(daily)) {
        return Err(foreign_days());
    }
    let width = smallest.filter(|gap| DAY % gap == 0 && aligned(*gap));
    Ok(width.or_else(|| [HOUR, MINUTE].into_iter().find(|width| aligned(*width))).unwrap_or(0))
}

fn foreign_days() -> BadPage {
    BadPage::new(
        "expected UTC days, found buckets that start at another time of day",
        "ask with time_zone UTC: a day of another zone is part of two UTC days; if the buckets are hours, say group_by = \
         [\"interval_seconds=3600\"] in the job",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::parse_instant;
    use chrono::Duration;

    fn labels(times: &[&str]) -> Vec<Label> {
        times.iter().map(|time| Label { at: parse_instant(time).unwrap(), offset: 0 }).collect()
    }

    fn width(times: &[&str]) -> Result<i64, String> {
        Grid::of(&[], &labels(times)).map(|grid| grid.width).map_err(|bad| bad.what)
    }

    #[test]
    fn the_width_is_read_from_the_starts() {
        assert_eq!(width(&["2026-11-18", "2026-11-19", "2026-11-21"]), Ok(DAY));
        assert_eq!(width(&["2026-11-18"]), Ok(DAY));
        assert_eq!(width(&[]), Ok(DAY));
        assert_eq!(width(&["2026-11-18T07:30:00Z", "2026-11-19", "2026-11-20"]), Ok(DAY));
        assert_eq!(width(&["2026-11-18", "2026-11-18T01:00:00Z", "2026-11-18T03:00:00Z"]), Ok(HOUR));
        assert_eq!(width(&["2026-11-18T00:00:00Z", "2026-11-18T01:00:00Z"]), Ok(HOUR));
        assert_eq!(width(&["2026-11-18T09:00:00Z"]), Ok(HOUR));
        assert_eq!(width(&["2026-11-18T09:00:00Z", "2026-11-19T14:00:00Z"]), Ok(HOUR));
        assert_eq!(width(&["2026-11-18", "2026-11-21"]), Ok(DAY));
        assert_eq!(width(&["2026-11-18T00:15:00Z", "2026-11-18T00:30:00Z"]), Ok(15 * MINUTE));
        assert_eq!(width(&["2026-11-18T09:12:00Z"]), Ok(MINUTE));
        assert_eq!(width(&["2026-11-18T09:12:31Z"]), Ok(0));
    }

    #[test]
    fn days_of_another_zone_and_longer_buckets_are_refused() {
        assert!(width(&["2026-11-17T23:00:00Z", "2026-11-18T23:00:00Z", "2026-11-19T23:00:00Z"]).is_err());
        assert!(width(&["2026-11-17T18:30:00Z", "2026-11-18T18:30:00Z"]).is_err());
        let weeks = ["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23"];
        assert!(width(&weeks).is_err_and(|what| what.contains("7 days apart")));
        assert!(width(&["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"]).is_err());
        let berlin = Label { at: parse_instant("2026-11-17T23:00:00Z").unwrap(), offset: 3600 };
        assert!(Grid::of(&[], &[berlin]).is_err());
    }

    #[test]
    fn the_job_may_name_the_width() {
        let weeks = ["2026-11-02", "2026-11-09", "2026-11-16", "2026-11-23"];
        let of = |hint: &str, times: &[&str]| Grid::of(&[hint.to_string()], &labels(times)).map(|grid| grid.width);
        assert_eq!(of("interval_seconds=3600", &["2026-11-18"]), Ok(HOUR));
        assert_eq!(of("interval_seconds=86400", &weeks), Ok(DAY));
        assert_eq!(of("aggregation_interval=hour", &["2026-11-18"]), Ok(HOUR));
        assert_eq!(of("model", &["2026-11-18"]), Ok(DAY));
        for hint in ["interval_seconds=604800", "interval_seconds=50000", "interval_seconds=0", "aggregation_interval=cumulative"]
        {
            assert!(of(hint, &["2026-11-18"]).is_err(), "{hint}");
        }
        assert!(of("interval_seconds=86400", &["2026-11-18T07:30:00Z"]).is_err());
    }

    #[test]
    fn only_days_without_a_gap_are_covered() {
        let covered = |grid: Grid, labels: &[Label]| {
            let mut days = Vec::new();
            grid.cover(labels, &mut |line| {
                if let Line::Covers(span) = line {
                    days.extend(span.iter().map(|day| day.to_string()));
                }
            });
            days
        };
        let hours = |from: i64, to: i64| -> Vec<Label> {
            let start = parse_instant("2026-11-18").unwrap();
            (from..to).map(|hour| Label { at: start + Duration::hours(hour), offset: 0 }).collect()
        };
        let hour = Grid { width: HOUR };
        assert_eq!(covered(hour, &hours(-3, 50)), ["2026-11-18", "2026-11-19"]);
        assert!(covered(hour, &hours(1, 24)).is_empty());
        let clipped = labels(&["2026-11-18T07:30:00Z", "2026-11-19", "2026-11-20"]);
        assert_eq!(covered(Grid { width: DAY }, &clipped), ["2026-11-19", "2026-11-20"]);
        assert!(covered(Grid { width: 0 }, &clipped).is_empty());
    }

    #[test]
    fn a_clipped_bucket_ends_in_time() {
        let at = |text: &str| parse_instant(text).unwrap();
        let day = Grid { width: DAY };
        assert_eq!(day.bucket(at("2026-11-18T07:30:00Z")), (at("2026-11-18T07:30:00Z"), at("2026-11-19")));
        assert_eq!(day.bucket(at("2026-11-18")), (at("2026-11-18"), at("2026-11-19")));
        assert_eq!(Grid { width: 0 }.bucket(at("2026-11-18")), (at("2026-11-18"), at("2026-11-18")));
    }
}
