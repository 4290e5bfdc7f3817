//! Local hours, business days and holidays (contract 4.2: weekend and business hours are local).

use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use std::collections::BTreeSet;

/// When people work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub time_zone: Tz,
    /// Local days on which nobody works, besides Saturdays and Sundays.
    pub holidays: BTreeSet<NaiveDate>,
    /// Local hour, 0 to 23, at which somebody looks.
    pub morning_hour: u32,
}

impl Default for Calendar {
    fn default() -> Self {
        Calendar { time_zone: Tz::UTC, holidays: BTreeSet::new(), morning_hour: 9 }
    }
}

/// Days that have their own daily pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DayKind {
    Work,
    /// Saturdays, Sundays and holidays.
    Free,
}

/// Where an instant lies in local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalHour {
    pub day: NaiveDate,
    /// 0 to 23. On the day with 25 hours one of them comes twice, on the one with 23 one is missing.
    pub hour: u32,
    pub kind: DayKind,
}

impl Calendar {
    pub fn is_free(&self, day: NaiveDate) -> bool {
        matches!(day.weekday(), Weekday::Sat | Weekday::Sun) || self.holidays.contains(&day)
    }

    pub fn local(&self, instant: DateTime<Utc>) -> LocalHour {
        let local = instant.with_timezone(&self.time_zone);
        let day = local.date_naive();
        LocalHour { day, hour: local.hour(), kind: if self.is_free(day) { DayKind::Free } else { DayKind::Work } }
    }

    /// The first start of a working day after the instant.
    pub fn next_business_morning(&self, after: DateTime<Utc>) -> DateTime<Utc> {
        let mut day = self.local(after).day;
        // A list of holidays may fill a year; nobody waits longer than that.
        for _ in 0..400 {
            if !self.is_free(day)
                && let Some(morning) = self.morning(day).filter(|morning| *morning > after)
            {
                return morning;
            }
            day = day.succ_opt().unwrap_or(day);
        }
        after + Duration::days(1)
    }

    /// The morning of a local day; an hour later where the clock jumps over it.
    fn morning(&self, day: NaiveDate) -> Option<DateTime<Utc>> {
        let local = day.and_time(NaiveTime::from_hms_opt(self.morning_hour, 0, 0)?);
        let found = self.time_zone.from_local_datetime(&local).earliest();
        let found = found.or_else(|| self.time_zone.from_local_datetime(&(local + Duration::hours(1))).earliest());
        found.map(|morning| morning.with_timezone(&Utc))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn calendar(zone: Tz, holidays: &[&str]) -> Calendar {
        Calendar { time_zone: zone, holidays: holidays.iter().map(|day| day.parse().unwrap()).collect(), morning_hour: 9 }
    }

    #[test]
    fn the_next_business_morning_is_local_and_skips_free_days() {
        let berlin = calendar(chrono_tz::Europe::Berlin, &["2026-12-25", "2026-04-06"]);
        // Friday evening to Monday morning.
        assert_eq!(berlin.next_business_morning(at("2026-11-13T20:00:00Z")), at("2026-11-16T08:00:00Z"));
        // Christmas on a Friday.
        assert_eq!(berlin.next_business_morning(at("2026-12-24T20:00:00Z")), at("2026-12-28T08:00:00Z"));
        // Easter Monday, in summer time.
        assert_eq!(berlin.next_business_morning(at("2026-04-03T18:00:00Z")), at("2026-04-07T07:00:00Z"));
        // On a working day before and after its morning.
        assert_eq!(berlin.next_business_morning(at("2026-11-17T07:59:59Z")), at("2026-11-17T08:00:00Z"));
        assert_eq!(berlin.next_business_morning(at("2026-11-17T08:00:00Z")), at("2026-11-18T08:00:00Z"));
        let new_york = calendar(chrono_tz::America::New_York, &[]);
        assert_eq!(new_york.next_business_morning(at("2026-10-31T00:00:00Z")), at("2026-11-02T14:00:00Z"));
        let kolkata = calendar(chrono_tz::Asia::Kolkata, &[]);
        assert_eq!(kolkata.next_business_morning(at("2026-11-13T14:30:00Z")), at("2026-11-16T03:30:00Z"));
    }

    #[test]
    fn the_hour_that_comes_twice_is_one_local_hour() {
        let berlin = calendar(chrono_tz::Europe::Berlin, &[]);
        let [first, second] = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"].map(|text| berlin.local(at(text)));
        assert_eq!(first, second);
        assert_eq!((first.hour, first.kind), (2, DayKind::Free));
        let free_year = Calendar {
            holidays: (1..=400).map(|day| at("2026-01-01T00:00:00Z").date_naive() + Duration::days(day)).collect(),
            ..berlin
        };
        assert_eq!(free_year.next_business_morning(at("2026-01-01T12:00:00Z")), at("2026-01-02T12:00:00Z"));
    }
}
