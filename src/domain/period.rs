//! Periods and buckets in UTC: start included, end excluded (contract 4.2).

use chrono::{DateTime, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use std::ops::Range;

/// A span of UTC days: `from` included, `to` excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Days {
    pub from: NaiveDate,
    pub to: NaiveDate,
}

impl Days {
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.from <= day && day < self.to
    }

    /// The numbers of its days, by [`day_number`].
    pub fn numbers(&self) -> Range<i32> {
        day_number(self.from)..day_number(self.to)
    }

    pub fn iter(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let to = self.to;
        self.from.iter_days().take_while(move |day| *day < to)
    }
}

/// Days since 1970-01-01, the form in which frames carry a day.
pub fn day_number(day: NaiveDate) -> i32 {
    (day - NaiveDate::default()).num_days() as i32
}

/// The UTC day of an instant as its [`day_number`], without a calendar.
pub fn day_at(instant: DateTime<Utc>) -> i32 {
    instant.timestamp().div_euclid(86_400) as i32
}

/// The day of a [`day_number`].
pub fn day_of(number: i32) -> NaiveDate {
    NaiveDate::default() + Duration::days(i64::from(number))
}

/// The first day of the day's month.
pub fn month_start(day: NaiveDate) -> NaiveDate {
    use chrono::Datelike;
    day.with_day(1).unwrap_or(day)
}

/// Settled: `settle_days` × 24 h have passed since the end of the UTC day (contract 4.8).
pub fn is_settled(day: NaiveDate, settle_days: u32, as_of: DateTime<Utc>) -> bool {
    let end = day.and_time(chrono::NaiveTime::MIN).and_utc() + Duration::days(1);
    end + Duration::hours(24 * i64::from(settle_days)) <= as_of
}

/// Reads an instant: RFC 3339, or one of the zoneless forms that exports use, which are UTC
/// (`2026-11-18 09:00:00.123`, `2026-11-18T09:00`, `2026-11-18 09:00:00 UTC`, `2026-11-18`).
pub fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    if let Some(instant) = plain_instant(text.as_bytes()) {
        return Some(instant);
    }
    let text = text.trim();
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.with_timezone(&Utc));
    }
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix('Z')).unwrap_or(text);
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"] {
        if let Ok(instant) = NaiveDateTime::parse_from_str(text, form) {
            return Some(instant.and_utc());
        }
    }
    if let Ok(instant) = DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(instant.with_timezone(&Utc));
    }
    parse_day(text).map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc())
}

/// A time that says of no zone which it is, read as that of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    Once(DateTime<Utc>),
    /// Clocks were set back over it, so it came twice: the earlier one.
    Twice(DateTime<Utc>),
    /// Clocks were set forward over it: there was no such time.
    Never(NaiveDate),
}

/// Reads a time without an offset as that of a zone; `None` where the text has an offset or is no time.
pub fn parse_local(text: &str, zone: Tz) -> Option<Local> {
    let text = text.trim();
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let local = local.or_else(|| parse_day(text).map(|day| day.and_time(NaiveTime::MIN)))?;
    Some(match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Local::Once(at.with_timezone(&Utc)),
        LocalResult::Ambiguous(earlier, _) => Local::Twice(earlier.with_timezone(&Utc)),
        LocalResult::None => Local::Never(local.date()),
    })
}

/// The two forms that nearly all exports use, `YYYY-MM-DDThh:mm:ss` and `YYYY-MM-DD hh:mm:ss`, with up to
/// nine decimals and UTC written as `Z`, `+00:00`, ` UTC` or not at all: an instant for every row of a
/// large export. Whatever else there is stays with the general parser.
fn plain_instant(text: &[u8]) -> Option<DateTime<Utc>> {
    let number = |from: usize, to: usize| {
        text.get(from..to)?
            .iter()
            .try_fold(0u32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
    };
    let is = |at: usize, bytes: &[u8]| text.get(at).is_some_and(|byte| bytes.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let decimals = if is(19, b".") { text.get(20..)?.iter().take_while(|byte| byte.is_ascii_digit()).count() } else { 0 };
    let end = if decimals == 0 { 19 } else { 20 + decimals };
    if decimals > 9 || !matches!(text.get(end..)?, b"" | b"Z" | b"+00:00" | b" UTC") {
        return None;
    }
    let nanos = if decimals == 0 { 0 } else { number(20, end)? * 10u32.pow(9 - decimals as u32) };
    let day = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(5, 7)?, number(8, 10)?)?;
    day.and_hms_nano_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?, nanos).map(|instant| instant.and_utc())
}

/// Reads `YYYY-MM-DD`.
pub fn parse_day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").ok()
}

/// The instant of a Unix time in seconds.
pub fn from_unix(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

/// The instant of a count of seconds, or of so many parts of a second, since 1970; `None` for one that no
/// calendar has.
pub fn from_count(count: i64, per_second: i64) -> Option<DateTime<Utc>> {
    let nanos_each = 1_000_000_000_i64.checked_div(per_second)?;
    let nanos = count.checked_rem_euclid(per_second)?.checked_mul(nanos_each)?;
    DateTime::from_timestamp(count.checked_div_euclid(per_second)?, u32::try_from(nanos).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_forms_that_exports_use() {
        let expected = "2026-11-18T09:00:00Z".parse::<DateTime<Utc>>().unwrap();
        for text in [
            "2026-11-18T09:00:00Z",
            "2026-11-18T09:00:00+00:00",
            "2026-11-18T10:00:00+01:00",
            "2026-11-18T09:00:00",
            "2026-11-18 09:00:00.000",
            "2026-11-18 09:00",
            "2026-11-18 09:00:00 UTC",
            "2026-11-18 09:00:00+00",
        ] {
            assert_eq!(parse_instant(text), Some(expected), "{text}");
        }
        assert_eq!(parse_instant("18/11/2026"), None);
    }

    #[test]
    fn the_plain_forms_read_as_the_general_parser_reads_them() {
        for text in [
            "2026-11-18T07:14:22Z",
            "2026-11-18T07:14:22.5Z",
            "2026-11-18T07:14:22.123456789+00:00",
            "2024-02-29T23:59:59.999999Z",
            "0001-01-01T00:00:00Z",
        ] {
            let general = DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc);
            assert_eq!(plain_instant(text.as_bytes()), Some(general), "{text}");
            let spaced = text.replace('T', " ").replace('Z', "").replace("+00:00", " UTC");
            assert_eq!(plain_instant(spaced.as_bytes()), Some(general), "{spaced}");
        }
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-18T24:00:00Z",
            "2026-11-18T07:60:00Z",
            "2026-11-18T07:14:22.Z",
            "2026-11-18T07:14:22 Z",
            "2026-11-18T07:14:2xZ",
            "2026-11-18T07:14:22.1234567890Z",
            "2026-11-18T07:14:22+01:00",
            "2026-11-18T07:14",
            "2026-11-18",
            "2026-11-18T07:14:22é",
            "",
        ] {
            assert_eq!(plain_instant(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_plain_still_reaches_the_general_parser() {
        let at = |text: &str| parse_instant(text).map(|instant| instant.to_rfc3339());
        assert_eq!(at("2026-11-18T07:14:22.1234567890Z").as_deref(), Some("2026-11-18T07:14:22.123456789+00:00"));
        assert_eq!(at("2026-11-18T00:30:00+01:00").as_deref(), Some("2026-11-17T23:30:00+00:00"));
        assert_eq!(at("2026-02-29T00:00:00Z"), None);
        assert_eq!(at("2026-11-18T24:00:00Z"), None);
    }

    #[test]
    fn instants_before_1970_count_backwards() {
        let shown = |count, per_second| from_count(count, per_second).map(|at| at.to_rfc3339());
        assert_eq!(shown(-1, 1_000).as_deref(), Some("1969-12-31T23:59:59.999+00:00"));
        assert_eq!(shown(1_794_986_062, 1).as_deref(), Some("2026-11-18T07:14:22+00:00"));
        assert_eq!((shown(i64::MAX, 1), shown(1, 0)), (None, None));
    }

    #[test]
    fn local_times_are_read_where_clocks_change() {
        let read = |text: &str, zone: Tz| match parse_local(text, zone) {
            None => "no local time".to_string(),
            Some(Local::Once(at)) => at.format("%F %T").to_string(),
            Some(Local::Twice(at)) => format!("{} of two", at.format("%F %T")),
            Some(Local::Never(day)) => format!("never on {day}"),
        };
        use chrono_tz::{America::New_York, Asia::Kolkata, Australia::Lord_Howe, Europe::Berlin};
        for (text, zone, expected) in [
            ("2026-11-18 09:00:00", Berlin, "2026-11-18 08:00:00"),
            ("2026-11-18T09:00", Kolkata, "2026-11-18 03:30:00"),
            ("2026-11-18", Berlin, "2026-11-17 23:00:00"),
            ("2026-03-29 01:59:59.9", Berlin, "2026-03-29 00:59:59"),
            ("2026-03-29 02:30:00", Berlin, "never on 2026-03-29"),
            ("2026-03-29 03:00:00", Berlin, "2026-03-29 01:00:00"),
            ("2026-10-25 02:30:00", Berlin, "2026-10-25 00:30:00 of two"),
            ("2026-10-25 03:00:00", Berlin, "2026-10-25 02:00:00"),
            ("2026-03-08 02:30:00", New_York, "never on 2026-03-08"),
            ("2026-11-01 01:30:00", New_York, "2026-11-01 05:30:00 of two"),
            // Clocks change by half an hour there: from 10:30 to 11:00 ahead of UTC.
            ("2026-10-04 02:15:00", Lord_Howe, "never on 2026-10-04"),
            ("2026-10-04 02:30:00", Lord_Howe, "2026-10-03 15:30:00"),
            ("2026-04-05 01:45:00", Lord_Howe, "2026-04-04 14:45:00 of two"),
            ("2026-04-05 02:00:00", Lord_Howe, "2026-04-04 15:30:00"),
            ("2028-02-29 12:00:00", Berlin, "2028-02-29 11:00:00"),
            ("2027-02-29 12:00:00", Berlin, "no local time"),
            ("2026-11-18 09:00:00Z", Berlin, "no local time"),
            ("2026-11-18 09:00:00+02:00", Berlin, "no local time"),
            ("2026-11-18 09:00:00 UTC", Berlin, "no local time"),
            ("1795118400", Berlin, "no local time"),
        ] {
            assert_eq!(read(text, zone), expected, "{text} in {zone}");
        }
    }

    #[test]
    fn a_day_settles_after_its_end() {
        let day = parse_day("2026-11-17").unwrap();
        let at = |text: &str| parse_instant(text).unwrap();
        assert!(!is_settled(day, 1, at("2026-11-18T23:59:59Z")));
        assert!(is_settled(day, 1, at("2026-11-19T00:00:00Z")));
    }
}
