//! Which month a page is of, and which of its days it speaks for.

use super::super::{BadPage, fields};
use super::word;
use crate::domain::period::{Days, parse_instant};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Timelike, Utc};
use serde_json::Value;

/// The month of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Month {
    /// UTC days, from `start_date` to the day after `end_date`.
    pub days: Days,
    /// The first day that the page may not be complete for; `None` when the page does not say.
    open: Option<NaiveDate>,
}

impl Month {
    /// `None` for a page without `start_date` and `end_date`: then nothing is known of its range.
    ///
    /// # Errors
    /// Dates that are no dates, or that are not those of one month: a garbled year would stretch the
    /// days that the page speaks for.
    pub fn of(page: &Value) -> Result<Option<Month>, BadPage> {
        let (Some(start), Some(end)) = (time(page, "start_date")?, time(page, "end_date")?) else { return Ok(None) };
        let from = if start.time() == NaiveTime::MIN { Some(start.date_naive()) } else { start.date_naive().succ_opt() };
        // The last day ends in its last second (23:59:59.999).
        let whole = end.num_seconds_from_midnight() == 86_399;
        let to = if whole { end.date_naive().succ_opt() } else { Some(end.date_naive()) };
        let days = from.zip(to).map(|(from, to)| Days { from, to });
        let fits = |days: &Days| end > start && days.from <= days.to && days.to - days.from <= Duration::days(31);
        let days = days.filter(fits).ok_or_else(|| {
            BadPage::new(
                format!("end_date: expected the end of the month of {}, found {}", start.format("%F"), end.format("%FT%TZ")),
                "save the page again: it has to be of one calendar month",
            )
        })?;
        // `date` names the month by its first day; only a later day is a moment that figures run up to.
        let moment = time(page, "date")?.map(|date| date.date_naive()).filter(|date| *date > days.from);
        let over = matches!(page.get("next_month"), Some(Value::String(month)) if !month.trim().is_empty());
        Ok(Some(Month { days, open: moment.map(|day| day.min(days.to)).or(over.then_some(days.to)) }))
    }

    /// The days that the page speaks for: all of a month that has a next one, of a running month those up
    /// to its last row, because what comes after may not have happened yet.
    pub fn spoken_for(self, last_row: Option<NaiveDate>) -> Option<Days> {
        let after_last = last_row.and_then(|day| day.succ_opt());
        let to = after_last.max(self.open)?.min(self.days.to);
        (self.days.from < to).then_some(Days { from: self.days.from, to })
    }
}

fn time(page: &Value, key: &str) -> Result<Option<DateTime<Utc>>, BadPage> {
    let bad = |what: String| BadPage::new(what, "save the page again");
    let Some(text) = word(page, key).map_err(bad)? else { return Ok(None) };
    let instant = parse_instant(text);
    instant.map(Some).ok_or_else(|| bad(format!("{key}: expected a time, found {}", fields::found(page.get(key)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken_for(page: Value, last_row: Option<&str>) -> String {
        let last_row = last_row.map(|day| day.parse().unwrap());
        let days = Month::of(&page).unwrap().and_then(|month| month.spoken_for(last_row));
        days.map_or("none".to_string(), |days| format!("{} {}", days.from, days.to))
    }

    #[test]
    fn a_running_month_is_known_up_to_its_last_row() {
        let page = |date: &str, next: Value| {
            serde_json::json!({
                "start_date": "2026-11-01T00:00:00Z", "end_date": "2026-11-30T23:59:59.999Z", "date": date, "next_month": next,
            })
        };
        let (first, null) = ("2026-11-01T00:00:00Z", Value::Null);
        assert_eq!(spoken_for(page(first, null.clone()), Some("2026-11-18")), "2026-11-01 2026-11-19");
        assert_eq!(spoken_for(page(first, null.clone()), None), "none");
        assert_eq!(spoken_for(page(first, Value::from("2026-12")), Some("2026-11-18")), "2026-11-01 2026-12-01");
        assert_eq!(spoken_for(page(first, Value::from("2026-12")), None), "2026-11-01 2026-12-01");
        assert_eq!(spoken_for(page("2026-11-20T09:00:00Z", null.clone()), Some("2026-11-18")), "2026-11-01 2026-11-20");
        assert_eq!(spoken_for(page("2026-11-18T09:00:00Z", null.clone()), Some("2026-11-18")), "2026-11-01 2026-11-19");
        assert_eq!(spoken_for(page("2027-01-05T09:00:00Z", null), None), "2026-11-01 2026-12-01");
    }

    #[test]
    fn a_range_that_is_no_month_is_refused() {
        let page = |start: &str, end: &str| Month::of(&serde_json::json!({ "start_date": start, "end_date": end }));
        assert_eq!(page("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z").unwrap().unwrap().days.to, "2026-03-01".parse().unwrap());
        for (start, end) in [
            ("2026-11-01T00:00:00Z", "2027-11-30T23:59:59.999Z"),
            ("2026-11-01T00:00:00Z", "2026-10-31T23:59:59.999Z"),
            ("yesterday", "2026-11-30T23:59:59.999Z"),
            ("2026-11-01T00:00:00Z", "soon"),
        ] {
            assert!(page(start, end).is_err(), "{start} {end}");
        }
    }
}
