//! Time buckets and paging, which every report shares: which instants a row covers, which whole days
//! a page speaks for, and whether the page is whole.

use super::super::BadPage;
use super::super::fields::{self, Row, Table};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{Days, from_unix, parse_instant};
use crate::domain::usage::{Line, Quarantined};
use chrono::{DateTime, Duration, NaiveTime, Utc};
use serde_json::Value;

/// The columns of an export that do not depend on the report.
pub const TIME_COLUMNS: [&str; 4] = ["start_time", "end_time", "start_time_iso", "end_time_iso"];

/// Start, and end excluded.
type Span = (DateTime<Utc>, DateTime<Utc>);

/// One bucket of a page.
pub struct Bucket<'v> {
    pub start: DateTime<Utc>,
    /// Excluded. A bucket is clipped at either end of what was asked for.
    pub end: DateTime<Utc>,
    pub results: &'v [Value],
}

/// All result rows of a page, for finding out what it is.
pub fn results(page: &Value) -> impl Iterator<Item = &Value> {
    list(page, "data").iter().flat_map(|bucket| list(bucket, "results"))
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The buckets of a page.
///
/// # Errors
/// An answer that is an error or no page at all, a bucket without times or results, and a page that
/// says there is more without saying where.
pub fn read(page: &Value) -> Result<Vec<Bucket<'_>>, BadPage> {
    if let Some(error) = page.get("error") {
        let message = fields::text(error, "message").unwrap_or("no message");
        let what = format!("the answer is an error: {}", message.chars().take(200).collect::<String>());
        return Err(BadPage::new(what, "ask again once its cause is removed"));
    }
    if fields::text(page, "object") != Some("page") {
        let what = format!("object: expected \"page\", found {}", fields::found(page.get("object")));
        return Err(BadPage::new(what, "is this an answer of the organization costs or usage endpoints?"));
    }
    let more = match page.get("has_more") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(more)) => *more,
        other => {
            let what = format!("has_more: expected true or false, found {}", fields::found(other));
            return Err(BadPage::new(what, "save the page again"));
        }
    };
    if more && fields::text(page, "next_page").is_none_or(str::is_empty) {
        let what = format!("has_more is true, but next_page: expected a cursor, found {}", fields::found(page.get("next_page")));
        return Err(BadPage::new(what, "fetch the pages again: what follows this one cannot be found"));
    }
    let data = fields::array(page, "data")?;
    data.iter().enumerate().map(|(index, value)| bucket(value, index)).collect()
}

fn bucket(value: &Value, index: usize) -> Result<Bucket<'_>, BadPage> {
    let bad = |what: String| BadPage::new(format!("data[{index}].{what}"), "save the page again");
    let time = |key: &str| match fields::quantity(value, key).map_err(bad)? {
        Some(seconds) => instant(seconds).ok_or_else(|| bad(format!("{key}: expected a Unix time, found {seconds}"))),
        None => Err(bad(format!("{key}: expected a Unix time, found nothing"))),
    };
    let (start, end) = (time("start_time")?, time("end_time")?);
    within_a_day(start, end).map_err(bad)?;
    let results = fields::array(value, "results").map_err(|fault| bad(fault.what))?;
    Ok(Bucket { start, end, results })
}

fn instant(seconds: Amount) -> Option<DateTime<Utc>> {
    let atto = seconds.atto();
    let whole = atto % Amount::ONE.atto() == 0;
    whole.then(|| i64::try_from(atto / Amount::ONE.atto()).ok()).flatten().and_then(from_unix)
}

/// Buckets are cut at UTC midnights and never longer than a day; a row of another shape could not be
/// put on a day.
fn within_a_day(start: DateTime<Utc>, end: DateTime<Utc>) -> Result<(), String> {
    if end > start && midnight_after(start).is_some_and(|midnight| end <= midnight) {
        return Ok(());
    }
    Err(format!("end_time: expected a later instant of the day of {}, found {}", start.format("%FT%TZ"), end.format("%FT%TZ")))
}

fn midnight_after(instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
    Some(instant.date_naive().succ_opt()?.and_time(NaiveTime::MIN).and_utc())
}

/// Hands on the whole UTC days that the spans fill together. A clipped bucket at either end fills no
/// day, so its day is not spoken for.
pub fn covers(spans: impl Iterator<Item = Span>, out: &mut dyn FnMut(Line<'_>)) {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::new();
    for (start, end) in spans {
        match joined.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => joined.push((start, end)),
        }
    }
    for (start, end) in joined {
        let starts_day = start.time() == NaiveTime::MIN;
        let from = if starts_day { Some(start.date_naive()) } else { start.date_naive().succ_opt() };
        if let Some(from) = from.filter(|from| *from < end.date_naive()) {
            out(Line::Covers(Days { from, to: end.date_naive() }));
        }
    }
}

/// What a reader of one data row needs: the row's number, its bucket and its fields.
pub struct CsvRow<'r, 't> {
    pub number: u32,
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub fields: &'r Row<'t>,
}

/// Hands on the lines of a row, or says why the file as a whole cannot be used.
pub type ReadRow = fn(&CsvRow<'_, '_>, &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage>;

/// Reads every data row of an export with `read`. Rows with only times are empty buckets. An export is one
/// range without holes, so it speaks for all days from its first bucket to its last.
///
/// # Errors
/// What `read` refuses, a file that is not CSV, or one that ends within a row.
pub fn csv_rows(bytes: &[u8], table: &mut Table<'_>, read: ReadRow, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let is_value = |name: &&String| !TIME_COLUMNS.contains(&name.as_str()) && !name.starts_with("organization_");
    let values: Vec<String> = table.header().iter().filter(is_value).cloned().collect();
    let mut range: Option<Span> = None;
    let mut bad = Ok(());
    let mut last_fault = None;
    table.for_each(|row, fault| {
        if bad.is_err() {
            return;
        }
        last_fault = fault.clone().map(|fault| format!("row {}: {fault}", row.number));
        let times = csv_times(&row);
        if let Some(reason) = fault {
            // Which field is missing cannot be told, so no amount is read; only times that agree are sure.
            range = times.as_ref().map_or(range, |times| Some(widened(range, *times)));
            let day = times.ok().map(|(start, _)| start.date_naive());
            let row = Quarantined { row: row.number, day, reason, amount: None, currency: None };
            out(Line::Quarantined(row));
            return;
        }
        match times {
            Err(reason) => {
                let amount = row.quantity("amount_value").ok().flatten();
                let currency = row.text("amount_currency").and_then(|code| Currency::parse(code).ok());
                out(Line::Quarantined(Quarantined { row: row.number, day: None, reason, amount, currency }));
            }
            Ok((start, end)) => {
                range = Some(widened(range, (start, end)));
                if values.iter().all(|name| row.text(name).is_none()) {
                    out(Line::Nothing { row: row.number, day: start.date_naive() });
                } else {
                    bad = read(&CsvRow { number: row.number, start, end, fields: &row }, out);
                }
            }
        }
    })?;
    bad?;
    if let Some(fault) = last_fault.filter(|_| bytes.last() != Some(&b'\n')) {
        return Err(BadPage::new(format!("{fault}, and the file ends there"), "export the file again: it is cut short"));
    }
    covers(range.into_iter(), out);
    Ok(())
}

fn widened(range: Option<Span>, (start, end): Span) -> Span {
    range.map_or((start, end), |(from, to)| (from.min(start), to.max(end)))
}

fn csv_times(row: &Row<'_>) -> Result<Span, String> {
    let start = csv_time(row, "start_time", "start_time_iso")?;
    let end = csv_time(row, "end_time", "end_time_iso")?;
    within_a_day(start, end)?;
    Ok((start, end))
}

/// The Unix time. Where the text form beside it names another instant, fields have moved.
fn csv_time(row: &Row<'_>, unix: &str, iso: &str) -> Result<DateTime<Utc>, String> {
    let seconds = row.quantity(unix)?.ok_or_else(|| format!("{unix}: expected a Unix time, found nothing"))?;
    let time = instant(seconds).ok_or_else(|| format!("{unix}: expected a Unix time, found {seconds}"))?;
    match row.text(iso) {
        // A whole second is all that the Unix form can show.
        Some(text) if parse_instant(text).is_none_or(|other| (other - time).abs() >= Duration::seconds(1)) => {
            Err(format!("{iso}: expected {} as in {unix}, found {text:?}", time.format("%FT%TZ")))
        }
        _ => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(spans: &[(&str, &str)]) -> Vec<String> {
        let at = |text: &str| parse_instant(text).unwrap();
        let mut found = Vec::new();
        covers(spans.iter().map(|(start, end)| (at(start), at(end))), &mut |line| {
            if let Line::Covers(days) = line {
                found.push(format!("{} {}", days.from, days.to));
            }
        });
        found
    }

    #[test]
    fn only_whole_days_are_covered() {
        assert_eq!(covered(&[("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-03")]), ["2026-11-01 2026-11-03"]);
        assert_eq!(covered(&[("2026-11-01T17:31", "2026-11-02"), ("2026-11-02", "2026-11-03")]), ["2026-11-02 2026-11-03"]);
        assert_eq!(covered(&[("2026-11-01", "2026-11-02"), ("2026-11-02", "2026-11-02T09:12")]), ["2026-11-01 2026-11-02"]);
        assert_eq!(covered(&[("2026-11-01T17:31", "2026-11-01T20:00")]), [""; 0]);
        assert_eq!(covered(&[("2026-11-01T12:00", "2026-11-02"), ("2026-11-01", "2026-11-01T12:00")]), ["2026-11-01 2026-11-02"]);
        assert_eq!(
            covered(&[("2026-11-01", "2026-11-02"), ("2026-11-03", "2026-11-04")]),
            ["2026-11-01 2026-11-02", "2026-11-03 2026-11-04"]
        );
    }
}
