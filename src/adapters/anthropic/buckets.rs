//! What the paged reports have in common: cursor, time buckets, and the days that a page speaks for.

use super::{BadPage, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{Days, parse_instant};
use crate::domain::usage::{Charge, Line, Quarantined};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde_json::Value;

/// A time bucket with its result rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket<'v> {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub results: &'v [Value],
}

/// Where a row stands: its number in the page and its period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub row: u32,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

impl Place {
    /// A charge of this row with nothing known yet. All money of this provider is in US dollars.
    pub fn charge<'a>(self) -> Charge<'a> {
        Charge::new(self.row, self.start, self.end, Currency::USD)
    }

    pub fn day(self) -> NaiveDate {
        self.start.date_naive()
    }

    /// The row, set aside; `amount` is in dollars.
    pub fn aside(self, reason: String, amount: Option<Amount>) -> Quarantined {
        let currency = amount.map(|_| Currency::USD);
        Quarantined { row: self.row, day: Some(self.day()), reason, amount, currency }
    }

    pub fn nothing<'a>(self) -> Line<'a> {
        Line::Nothing { row: self.row, day: self.day() }
    }
}

/// `has_more` without a cursor breaks the provider's contract: the rest could never be asked for.
pub(super) fn check_cursor(answer: &Value) -> Result<(), BadPage> {
    let more = answer.get("has_more").and_then(Value::as_bool) == Some(true);
    if more && fields::text(answer, "next_page").is_none_or(str::is_empty) {
        let what =
            format!("next_page: expected a cursor because has_more is true, found {}", fields::found(answer.get("next_page")));
        return Err(BadPage::new(what, "pull the whole window again: pages after this one are missing"));
    }
    Ok(())
}

/// The buckets in the order of the page.
///
/// # Errors
/// A bucket without readable bounds, reaching over midnight UTC, or overlapping another of the page: its rows
/// could not be placed, or their money would count twice.
pub(super) fn read(data: &[Value]) -> Result<Vec<Bucket<'_>>, BadPage> {
    let hint = "save the page again: every bucket has starting_at, ending_at and results";
    let mut buckets = Vec::with_capacity(data.len());
    for (index, entry) in data.iter().enumerate() {
        let bound = |key: &str| {
            fields::text(entry, key).and_then(parse_instant).ok_or_else(|| {
                BadPage::new(format!("data[{index}].{key}: expected an instant, found {}", fields::found(entry.get(key))), hint)
            })
        };
        let (start, end) = (bound("starting_at")?, bound("ending_at")?);
        let midnight = start.date_naive().succ_opt().map(|day| day.and_time(NaiveTime::MIN).and_utc());
        if end <= start || midnight.is_none_or(|midnight| end > midnight) {
            let what = format!("data[{index}]: expected a bucket within one UTC day, found {start:?} to {end:?}");
            return Err(BadPage::new(what, hint));
        }
        let results = fields::array(entry, "results").map_err(|bad| BadPage::new(format!("data[{index}].{bad}"), hint))?;
        buckets.push(Bucket { start, end, results });
    }
    let mut sorted = buckets.clone();
    sorted.sort_by_key(|bucket| bucket.start);
    for (before, after) in sorted.iter().zip(sorted.iter().skip(1)) {
        if after.start < before.end {
            let what = format!("data: two buckets of the page speak for {:?}", after.start);
            return Err(BadPage::new(what, "save each page as it was answered; pages must not be joined"));
        }
    }
    Ok(buckets)
}

/// The UTC days that the buckets fill from midnight to midnight. A clipped day is not among them.
pub(super) fn whole_days(buckets: &[Bucket<'_>]) -> Vec<Days> {
    let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)> = buckets.iter().map(|bucket| (bucket.start, bucket.end)).collect();
    spans.sort_unstable();
    let mut joined: Vec<(DateTime<Utc>, DateTime<Utc>)> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => joined.push((start, end)),
        }
    }
    let days = joined.into_iter().filter_map(|(start, end)| {
        let clipped = start.time() != NaiveTime::MIN;
        let from = if clipped { start.date_naive().succ_opt()? } else { start.date_naive() };
        Some(Days { from, to: end.date_naive() }).filter(|days| days.from < days.to)
    });
    days.collect()
}

/// Only the usage report has buckets of hours and minutes.
pub(super) fn shorter_than_a_day(data: &[Value]) -> bool {
    read(data)
        .is_ok_and(|buckets| !buckets.is_empty() && buckets.iter().all(|bucket| bucket.end - bucket.start <= Duration::hours(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::parse_day;

    fn bucket<'v>(start: &str, end: &str) -> Bucket<'v> {
        Bucket { start: parse_instant(start).unwrap(), end: parse_instant(end).unwrap(), results: &[] }
    }

    fn days(from: &str, to: &str) -> Days {
        Days { from: parse_day(from).unwrap(), to: parse_day(to).unwrap() }
    }

    #[test]
    fn a_page_speaks_for_days_that_it_fills() {
        // Shuffled buckets of a day join; a gap parts them.
        let found = whole_days(&[
            bucket("2026-11-02", "2026-11-03"),
            bucket("2026-11-01", "2026-11-02"),
            bucket("2026-11-05", "2026-11-06"),
        ]);
        assert_eq!(found, [days("2026-11-01", "2026-11-03"), days("2026-11-05", "2026-11-06")]);
        // A day clipped at its start, a whole one, a day clipped at its end.
        let found = whole_days(&[
            bucket("2026-11-01 13:00", "2026-11-02"),
            bucket("2026-11-02", "2026-11-03"),
            bucket("2026-11-03", "2026-11-03 09:00"),
        ]);
        assert_eq!(found, [days("2026-11-02", "2026-11-03")]);
    }

    #[test]
    fn twenty_four_hours_are_a_day_and_twenty_three_are_none() {
        let hour = |hour: i64| {
            let start = parse_instant("2026-11-01").unwrap() + Duration::hours(hour);
            Bucket { start, end: start + Duration::hours(1), results: &[] }
        };
        let hours: Vec<Bucket<'_>> = (0..24).map(hour).collect();
        assert_eq!(whole_days(&hours), [days("2026-11-01", "2026-11-02")]);
        assert_eq!(whole_days(&hours[..23]), []);
        assert_eq!(whole_days(&hours[1..]), []);
    }
}
