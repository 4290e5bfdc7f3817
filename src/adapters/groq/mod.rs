//! Groq, which has no cost report: figures that a person copied from the console (`manual_csv`), the
//! console's own daily answer (`activity`), and the rates of the metrics interface as estimates. Nothing of
//! it is presented as billed (Groq sheet section 0).

mod activity;
mod figures;
mod manual;
mod metrics;
mod requests;

use super::request::{Account, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::period::Days;
use crate::domain::usage::Line;
use serde_json::Value;

const MANUAL: Report = Report { name: "manual_csv", measures: Measures::Money, rank: 0 };
const ACTIVITY: Report = Report { name: "activity", measures: Measures::Money, rank: 1 };
const METRICS: Report = Report { name: "query_range", measures: Measures::Estimate, rank: 0 };
static REPORTS: [Report; 3] = [MANUAL, ACTIVITY, METRICS];

const HINT: &str = "give the manual CSV of this program's form, the console's activity, or an answer of query_range";

/// See the module.
pub struct Groq;

impl Adapter for Groq {
    fn name(&self) -> &'static str {
        "groq"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// The spend counter lags 10 to 15 minutes, and the time zone of console days is not confirmed: a day
    /// later the day is over everywhere (Groq sheet sections 0 and 3).
    fn settle_days(&self) -> u32 {
        1
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let name = if is_json(page.bytes) {
            match Shape::of(&fields::json(page.bytes).ok()?).ok()? {
                Shape::Activity([]) if !page.file.to_ascii_lowercase().contains(ACTIVITY.name) => return None,
                Shape::Activity(_) => ACTIVITY.name,
                Shape::Metrics(_) => METRICS.name,
            }
        } else {
            let table = fields::Table::new(page.bytes).ok()?;
            (table.has("period_start") && table.has("cost_usd")).then_some(MANUAL.name)?
        };
        REPORTS.iter().find(|report| report.name == name)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if !is_json(page.bytes) {
            return manual::read(page.bytes, out);
        }
        let value = fields::json(page.bytes)?;
        match Shape::of(&value)? {
            Shape::Activity(rows) => activity::read(rows, out),
            Shape::Metrics(series) => metrics::read(series, out),
        }
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

/// What a JSON page is, with the list that holds its rows.
enum Shape<'v> {
    Activity(&'v [Value]),
    Metrics(&'v [Value]),
}

impl<'v> Shape<'v> {
    fn of(value: &'v Value) -> Result<Shape<'v>, BadPage> {
        if value.get("error").is_some() {
            let error = value.get("error").and_then(|error| fields::text(error, "message")).or(fields::text(value, "error"));
            let what: String = error.unwrap_or("no message").chars().take(200).collect();
            return Err(BadPage::new(format!("the answer is an error: {what}"), "ask again once its cause is removed"));
        }
        if value.get("choices").is_some() || value.get("x_groq").is_some() {
            let what = "choices: this is the answer to a single call, which belongs in the request ledger";
            return Err(BadPage::new(what, HINT));
        }
        if fields::text(value, "status") == Some("success") {
            let data = value.get("data").unwrap_or(&Value::Null);
            if fields::text(data, "resultType") != Some("matrix") {
                let what = format!("data.resultType: expected \"matrix\", found {}", fields::found(data.get("resultType")));
                return Err(BadPage::new(what, "ask with query_range: other answers have no samples over time"));
            }
            return fields::array(data, "result").map(|series| Shape::Metrics(series));
        }
        if fields::text(value, "object") != Some("list") {
            let what = format!("object: expected \"list\", found {}", fields::found(value.get("object")));
            return Err(BadPage::new(what, HINT));
        }
        let rows = fields::array(value, "data")?;
        if rows.first().is_some_and(|row| !activity::is_row(row)) {
            return Err(BadPage::new(
                "data[0]: expected a model's day with num_requests and cost, found another kind of list",
                HINT,
            ));
        }
        Ok(Shape::Activity(rows))
    }
}

/// JSON begins with a brace or bracket, also after a byte order mark; everything else is read as CSV.
fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests;
