//! fal: one row per request (billing events, as API pages or as the same columns in CSV) and bucketed
//! usage as a control. Money is what fal charged; nothing here prices with a book.

mod events;
mod figures;
mod lists;
mod requests;
mod usage;

use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Columns, Measures, Page, Report, fields};
use crate::domain::names::Named;
use crate::domain::period::{Days, parse_instant};
use crate::domain::price::Quoted;
use crate::domain::usage::Line;
use chrono::{DateTime, Datelike, Utc};
use serde_json::Value;

/// `GET /v1/models/billing-events` and its organization twin.
const EVENTS: Report = Report { name: "billing_events", measures: Measures::Money, rank: 0 };
/// The same events as a warehouse keeps them.
const EVENTS_CSV: Report = Report { name: "billing_events_csv", measures: Measures::Money, rank: 1 };
/// `GET /v1/models/usage`.
const USAGE: Report = Report { name: "usage", measures: Measures::Money, rank: 2 };
/// `GET /v1/organization/usage`: the rows of all teams and products.
const ORGANIZATION: Report = Report { name: "organization_usage", measures: Measures::Money, rank: 3 };
/// `GET /v1/account/billing` with its credits. It does not say when: the file's name does.
const BALANCE: Report = Report { name: "balance", measures: Measures::Balance, rank: 0 };
/// `GET /v1/models/pricing` for the endpoints that the job names.
const PRICING: Report = Report { name: "pricing", measures: Measures::Prices, rank: 0 };
/// `GET /v1/keys`.
const KEYS: Report = Report { name: "keys", measures: Measures::Names, rank: 0 };
static REPORTS: [Report; 7] = [EVENTS, EVENTS_CSV, USAGE, ORGANIZATION, BALANCE, PRICING, KEYS];

const HINT: &str = "save billing events or usage (time_series) of fal's platform API, or export the events as CSV";

pub struct Fal;

impl Adapter for Fal {
    fn name(&self) -> &'static str {
        "fal"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// Freshness is not documented; request records were once backfilled after 15 hours, so a week is
    /// taken again (fal sheet section 4, trap 6).
    fn settle_days(&self) -> u32 {
        7
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let name = if is_json(page.bytes) {
            match fields::json(page.bytes) {
                Ok(value) => Shape::of(&value).ok()?.report().name,
                Err(_) => meant(page.bytes)?,
            }
        } else {
            let table = fields::Table::new(page.bytes).ok()?;
            (table.has("request_id") && table.has("endpoint_id")).then_some(EVENTS_CSV.name)?
        };
        REPORTS.iter().find(|report| report.name == name)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if !is_json(page.bytes) {
            return events::csv(page.bytes, out);
        }
        let value = fields::json(page.bytes)?;
        let shape = Shape::of(&value)?;
        whole(&value)?;
        match shape {
            Shape::Events(rows) => events::json(rows, out),
            Shape::Usage(buckets) | Shape::Organization(buckets) => usage::json(buckets, page.group_by, out),
            Shape::Keys => lists::keys(&value).map(|_| ()),
            Shape::Prices => lists::prices(&value).map(|_| ()),
            Shape::Balance(credits) => lists::balance(credits, fields::named_day(page.file), out),
        }
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        lists::keys(&fields::json(page.bytes)?)
    }

    fn prices(&self, page: &Page<'_>) -> Result<Vec<Quoted>, BadPage> {
        lists::prices(&fields::json(page.bytes)?)
    }

    fn parse_columns(&self, report: &Report, columns: &Columns<'_>, out: &mut dyn FnMut(Line<'_>)) -> bool {
        *report == EVENTS_CSV && events::columns(columns, out)
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        Ok(fields::cursor(page.bytes, "has_more", "next_cursor")?.map(|cursor| asked.turned("cursor", cursor)))
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

/// What a JSON page is, with the list that holds its rows.
enum Shape<'v> {
    Events(&'v [Value]),
    Usage(&'v [Value]),
    Organization(&'v [Value]),
    Keys,
    Prices,
    Balance(&'v Value),
}

impl<'v> Shape<'v> {
    /// Tells by the names of the lists and of the first row's fields.
    fn of(value: &'v Value) -> Result<Shape<'v>, BadPage> {
        if let Some(error) = value.get("error") {
            let kind = word(error, "type").unwrap_or("error");
            return Err(BadPage::new(
                format!("error: the answer is an error ({kind}), not a report"),
                "ask again: cost reports need an admin key of the account",
            ));
        }
        if value.get("billing_events").is_some() {
            return fields::array(value, "billing_events").map(|rows| Shape::Events(rows));
        }
        if value.get("keys").is_some() {
            return Ok(Shape::Keys);
        }
        if value.get("prices").is_some() {
            return Ok(Shape::Prices);
        }
        if let Some(credits) = lists::credits(value) {
            return Ok(Shape::Balance(credits));
        }
        if value.get("summary").is_some() && value.get("time_series").is_none() {
            return Err(BadPage::new(
                "time_series: expected a list, found only the summary",
                "ask with expand=time_series: a summary does not say which day its money belongs to",
            ));
        }
        if value.get("time_series").is_none() {
            return Err(BadPage::new("expected billing_events or time_series, found neither", HINT));
        }
        let buckets = fields::array(value, "time_series")?;
        let first = buckets.iter().filter_map(|bucket| bucket.get("results")?.as_array()).flatten().next();
        let has = |key: &str| first.is_some_and(|row| row.get(key).is_some());
        if has("app") && !has("endpoint_id") {
            return Err(BadPage::new("results: machine seconds of own apps (serverless usage), not of model endpoints", HINT));
        }
        Ok(if has("username") || has("product") { Shape::Organization(buckets) } else { Shape::Usage(buckets) })
    }

    fn report(&self) -> Report {
        match self {
            Shape::Events(_) => EVENTS,
            Shape::Usage(_) => USAGE,
            Shape::Organization(_) => ORGANIZATION,
            Shape::Keys => KEYS,
            Shape::Prices => PRICING,
            Shape::Balance(_) => BALANCE,
        }
    }
}

/// Which report a page that is no longer JSON was meant to be, so that what is missing can be named.
fn meant(bytes: &[u8]) -> Option<&'static str> {
    let has = |key: &[u8]| bytes.windows(key.len()).any(|window| window == key);
    let found = [(&b"\"billing_events\""[..], EVENTS), (b"\"time_series\"", USAGE)].into_iter().find(|(key, _)| has(key));
    found.map(|(_, report)| report.name)
}

/// Refuses a page that says there is more without saying where: what follows it could never be fetched.
fn whole(value: &Value) -> Result<(), BadPage> {
    match value.get("has_more") {
        Some(Value::Bool(true)) if word(value, "next_cursor").is_none() => Err(BadPage::new(
            format!(
                "next_cursor: expected a cursor, because has_more is true, found {}",
                fields::found(value.get("next_cursor"))
            ),
            "fetch the page again over a closed window (end in the past)",
        )),
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        other => Err(BadPage::new(format!("has_more: expected true or false, found {}", fields::found(other)), HINT)),
    }
}

/// JSON begins with a brace or bracket, also after a byte order mark; everything else is read as CSV.
fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A text that says something; `None` when absent, null or blank.
fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    fields::text(value, key).map(str::trim).filter(|text| !text.is_empty())
}

/// An instant of this century. A garbled year would stretch the days that a page speaks for.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    parse_instant(text).filter(is_of_this_century)
}

fn is_of_this_century(instant: &DateTime<Utc>) -> bool {
    (2000..2100).contains(&instant.year())
}

/// Who made a call, as far as a row says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Caller<'a> {
    api_key_id: Option<&'a str>,
    label: Option<&'a str>,
}

impl<'a> Caller<'a> {
    /// `team` is the team of an organization and always kept. A person's login is kept only where no key
    /// is named (browser traffic has none), and the loose description only where there is nothing else.
    fn new(team: Option<&'a str>, key: Option<&'a str>, login: Option<&'a str>, detail: Option<&'a str>) -> Self {
        let person = if key.is_some() { None } else { login.or(detail) };
        Caller { api_key_id: key, label: team.or(person) }
    }

    /// From a JSON row, with or without `expand=auth_method_structured`.
    fn of(row: &'a Value) -> Self {
        let part = |key: &str| row.get("auth_method_structured").and_then(|auth| word(auth, key));
        let detail = part("detail").or_else(|| word(row, "auth_method"));
        Caller::new(word(row, "username"), part("api_key_id"), part("login_username"), detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn named(bytes: &str) -> Option<&'static str> {
        Fal.identify(&Page { file: "page", bytes: bytes.as_bytes(), group_by: &[] }).map(|report| report.name)
    }

    #[test]
    fn tells_its_reports_apart_by_their_shape() {
        assert_eq!(named(r#"{"billing_events":[]}"#), Some("billing_events"));
        assert_eq!(named(r#"{"time_series":[]}"#), Some("usage"));
        let row = |field: &str| format!(r#"{{"time_series":[{{"results":[]}},{{"results":[{{{field},"unit":"second"}}]}}]}}"#);
        assert_eq!(named(&row(r#""endpoint_id":"a""#)), Some("usage"));
        assert_eq!(named(&row(r#""endpoint_id":"a","username":"b""#)), Some("organization_usage"));
        assert_eq!(named(&row(r#""app":"a""#)), None);
        assert_eq!(named("\u{feff}timestamp,request_id,endpoint_id\n"), Some("billing_events_csv"));
        assert_eq!(named(r#"{"billing_events":[{"cost_total":"#), Some("billing_events"));
        for other in ["", "a,b\n", "{", "[]", r#"{"data":[]}"#, r#"{"summary":[]}"#, r#"{"billing_events":3}"#] {
            assert_eq!(named(other), None, "{other}");
        }
    }

    #[test]
    fn the_finest_report_is_booked() {
        let ranks: Vec<u8> = Fal.reports().iter().map(|report| report.rank).collect();
        assert_eq!(ranks[..4], [0, 1, 2, 3]);
    }

    #[test]
    fn a_person_is_named_only_where_no_key_is() {
        let caller = |auth: Value| json!({ "auth_method_structured": auth });
        for (row, key, label) in [
            (caller(json!({ "detail": "prod", "api_key_id": "k", "login_username": "alice" })), Some("k"), None),
            (caller(json!({ "detail": "User token", "login_username": "alice" })), None, Some("alice")),
            (caller(json!({ "detail": "User token" })), None, Some("User token")),
            (json!({ "auth_method": "prod-team-a" }), None, Some("prod-team-a")),
            (json!({ "username": "team-a", "auth_method_structured": { "api_key_id": "k" } }), Some("k"), Some("team-a")),
            (json!({ "auth_method_structured": null, "username": " " }), None, None),
        ] {
            assert_eq!(Caller::of(&row), Caller { api_key_id: key, label }, "{row}");
        }
    }
}
