//! Days of the console. Its reports and tables are cut at midnights of US Pacific time, the export in UTC
//! hours (Google sheet section 1.3), so a console day begins at 07:00 or 08:00 UTC of the same date.

use chrono::{DateTime, Datelike, NaiveDate, Utc, Weekday};

/// The instant at which a Pacific day begins.
pub(super) fn midnight(day: NaiveDate) -> Option<DateTime<Utc>> {
    let hour = if begins_in_summer_time(day)? { 7 } else { 8 };
    Some(day.and_hms_opt(hour, 0, 0)?.and_utc())
}

/// The rule since 2007: from the second Sunday of March to the first Sunday of November, both at two in
/// the night, so that the day of a change begins in the time that then ends.
fn begins_in_summer_time(day: NaiveDate) -> Option<bool> {
    let forward = NaiveDate::from_weekday_of_month_opt(day.year(), 3, Weekday::Sun, 2)?;
    let back = NaiveDate::from_weekday_of_month_opt(day.year(), 11, Weekday::Sun, 1)?;
    Some(forward < day && day <= back)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_begin_at_seven_or_eight() {
        for (day, expected) in [
            ("2026-01-01", "2026-01-01T08:00:00+00:00"),
            ("2026-03-08", "2026-03-08T08:00:00+00:00"),
            ("2026-03-09", "2026-03-09T07:00:00+00:00"),
            ("2026-08-15", "2026-08-15T07:00:00+00:00"),
            ("2026-11-01", "2026-11-01T07:00:00+00:00"),
            ("2026-11-02", "2026-11-02T08:00:00+00:00"),
            ("2026-12-01", "2026-12-01T08:00:00+00:00"),
            ("2025-11-02", "2025-11-02T07:00:00+00:00"),
            ("2025-11-03", "2025-11-03T08:00:00+00:00"),
        ] {
            assert_eq!(midnight(day.parse().unwrap()).map(|at| at.to_rfc3339()).as_deref(), Some(expected), "{day}");
        }
    }
}
