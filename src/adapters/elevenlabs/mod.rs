//! ElevenLabs: workspace analytics (credits and money by product, model and key), single conversations,
//! character statistics and the history of generations. Credits are quantities here, never money: what
//! a credit is worth depends on the plan.

mod analytics;
mod character_stats;
mod columns;
mod conversation;
mod figures;
mod grid;
mod history;
mod names;
mod requests;
mod table;

use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use columns::Columns;
use serde_json::Value;
use table::Table;

/// `POST /v1/workspace/analytics/query/usage-by-product-over-time` with a column of money: all products. Booked.
const ANALYTICS: Report = Report { name: "analytics", measures: Measures::Money, rank: 0 };
/// `GET /v1/convai/conversations/{id}`: money of single calls, which the analytics have as well.
const CONVERSATION: Report = Report { name: "conversation", measures: Measures::Money, rank: 1 };
/// An analytics answer that has credits and no money.
const ANALYTICS_CREDITS: Report = Report { name: "analytics_credits", measures: Measures::Quantity, rank: 0 };
/// `GET /v1/usage/character-stats`, deprecated: all products, one breakdown.
const CHARACTER_STATS: Report = Report { name: "character_stats", measures: Measures::Quantity, rank: 1 };
/// `GET /v1/history`: credits of single calls. It leaves out transcription, music, sound effects, deleted and
/// unlogged calls, so it is booked only where nothing complete is there.
const HISTORY: Report = Report { name: "history", measures: Measures::Quantity, rank: 2 };
/// `GET /v1/service-accounts`: their keys, which analytics show by hash.
const SERVICE_ACCOUNTS: Report = Report { name: "service_accounts", measures: Measures::Names, rank: 0 };
static REPORTS: [Report; 6] = [ANALYTICS, CONVERSATION, ANALYTICS_CREDITS, CHARACTER_STATS, HISTORY, SERVICE_ACCOUNTS];

const HINT: &str = "save the answer of the workspace analytics query (usage-by-product-over-time) as it came";

pub struct ElevenLabs;

impl Adapter for ElevenLabs {
    fn name(&self) -> &'static str {
        "elevenlabs"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// Charges keep settling for about two days; the trailing three are read again (the provider's sheet,
    /// section 0, "Freshness", and section 4, "Restatement").
    fn settle_days(&self) -> u32 {
        3
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let value = fields::json(page.bytes).ok()?;
        let name = Shape::of(&value).ok()?.report().name;
        REPORTS.iter().find(|report| report.name == name)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        let value = fields::json(page.bytes)?;
        match Shape::of(&value)? {
            Shape::Analytics(answer) => analytics::read(&answer.0, &answer.1, page.group_by, out),
            Shape::Stats => character_stats::read(&value, page.group_by, out),
            Shape::Names => names::read(&value).map(|_| ()),
            Shape::History => history::read(&value, out),
            Shape::Conversations(conversations) => {
                conversation::read(conversations, out);
                Ok(())
            }
        }
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        names::read(&fields::json(page.bytes)?)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        requests::next(asked, page)
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

/// What a page is.
enum Shape<'v> {
    Analytics(Box<(Table<'v>, Columns)>),
    Stats,
    History,
    Conversations(&'v [Value]),
    Names,
}

impl<'v> Shape<'v> {
    fn of(value: &'v Value) -> Result<Shape<'v>, BadPage> {
        let conversations = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        if conversations.iter().any(conversation::is_conversation) {
            return Ok(Shape::Conversations(conversations));
        }
        if names::is_list(value) {
            return Ok(Shape::Names);
        }
        if value.get("history").is_some_and(Value::is_array) {
            return Ok(Shape::History);
        }
        if value.get("time").is_some_and(Value::is_array) && value.get("usage").is_some_and(Value::is_object) {
            return Ok(Shape::Stats);
        }
        let Some(table) = Table::of(value)? else { return Err(foreign(value)) };
        let columns = Columns::of(&table)?;
        Ok(Shape::Analytics(Box::new((table, columns))))
    }

    fn report(&self) -> Report {
        match self {
            Shape::Analytics(answer) if answer.1.cost.is_some() => ANALYTICS,
            Shape::Analytics(..) => ANALYTICS_CREDITS,
            Shape::Stats => CHARACTER_STATS,
            Shape::History => HISTORY,
            Shape::Conversations(_) => CONVERSATION,
            Shape::Names => SERVICE_ACCOUNTS,
        }
    }
}

/// Says what a page is that has no charges.
fn foreign(value: &Value) -> BadPage {
    let has = |key: &str| value.get(key).is_some();
    if let Some(detail) = value.get("detail") {
        return refused(detail);
    }
    if has("character_limit") && (has("next_character_count_reset_unix") || has("tier")) {
        return BadPage::new(
            "the subscription: plan, balance and next invoice, which are no charges",
            "leave it out: balances are read with prepaid pools in a later version",
        );
    }
    if has("conversations") {
        return BadPage::new(
            "the list of conversations, which has no cost",
            "save the detail of each conversation, or the analytics",
        );
    }
    BadPage::new("not a report of usage: no columns and rows, no history, no time and usage, no conversation", HINT)
}

/// The API's error answer. Used-up credits come with the same status as a bad key.
fn refused(detail: &Value) -> BadPage {
    let first = detail.get(0);
    let (code, message) = match first {
        Some(first) => (fields::text(first, "type"), fields::text(first, "msg")),
        None => (fields::text(detail, "status"), fields::text(detail, "message").or(detail.as_str())),
    };
    let message: String = message.unwrap_or_default().chars().take(120).collect();
    let what = format!("the answer is an error: {} {message}", code.unwrap_or_default());
    let hint = match code {
        Some("quota_exceeded") => "the account's credits are used up; the key is not at fault",
        Some("invalid_api_key" | "missing_permissions") => "ask again with a key that may read the workspace's analytics",
        _ => "ask again",
    };
    BadPage::new(what.split_whitespace().collect::<Vec<_>>().join(" "), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(bytes: &str) -> Option<&'static str> {
        ElevenLabs.identify(&Page { file: "page.json", bytes: bytes.as_bytes(), group_by: &[] }).map(|report| report.name)
    }

    fn table(columns: &str, units: &str) -> String {
        format!(r#"{{"columns":["timestamp",{columns}],"column_units":[null,{units}],"rows":[]}}"#)
    }

    #[test]
    fn tells_its_reports_apart_by_their_shape() {
        assert_eq!(named(&table(r#""total_usage","total_cost""#, r#""credits","usd""#)), Some("analytics"));
        assert_eq!(named(&table(r#""credits_used""#, r#""credits""#)), Some("analytics_credits"));
        let wrapped = format!(r#"{{"data":{}}}"#, table(r#""total_cost""#, r#""eur""#));
        assert_eq!(named(&wrapped), Some("analytics"));
        assert_eq!(named(r#"{"time":[],"usage":{}}"#), Some("character_stats"));
        assert_eq!(named("\u{feff}{\"history\":[]}"), Some("history"));
        let conversation = r#"{"conversation_id":"conv_1","metadata":{"start_time_unix_secs":1794993151}}"#;
        assert_eq!(named(conversation), Some("conversation"));
        assert_eq!(named(&format!("[{conversation}]")), Some("conversation"));
        assert_eq!(named(r#"{"api-keys":[]}"#), Some("service_accounts"));
    }

    #[test]
    fn other_pages_are_refused_with_what_they_are() {
        for (text, what) in [
            ("", "not valid JSON"),
            ("a,b\r\n1,2\r\n", "not valid JSON"),
            ("[]", "not a report"),
            (r#"{"data":[],"has_more":false,"next_page":null}"#, "not a report"),
            (r#"{"billing_events":[]}"#, "not a report"),
            (r#"{"usage":{"total_tokens":3},"time":4}"#, "not a report"),
            (r#"{"tier":"scale","character_limit":1800000}"#, "the subscription"),
            (r#"{"conversations":[],"has_more":false}"#, "the list of conversations"),
            (r#"{"detail":{"status":"quota_exceeded","message":"m"}}"#, "error: quota_exceeded m"),
            (r#"{"detail":[{"type":"missing","msg":"Field required"}]}"#, "error: missing Field required"),
            (r#"{"detail":"Not Found"}"#, "error: Not Found"),
            (&table(r#""response_time_ms""#, r#""ms""#), "a list of requests"),
        ] {
            let page = Page { file: "page.json", bytes: text.as_bytes(), group_by: &[] };
            assert_eq!(ElevenLabs.identify(&page), None, "{text}");
            let bad = ElevenLabs.parse(&page, &mut |line| panic!("{line:?}")).unwrap_err();
            assert!(bad.what.contains(what), "{text}: {}", bad.what);
        }
    }

    #[test]
    fn the_money_of_all_products_is_booked_and_credits_are_not_counted_twice() {
        let ranks = |measures: Measures| {
            let of = ElevenLabs.reports().iter().filter(move |report| report.measures == measures);
            of.map(|report| (report.name, report.rank)).collect::<Vec<_>>()
        };
        assert_eq!(ranks(Measures::Money), [("analytics", 0), ("conversation", 1)]);
        assert_eq!(ranks(Measures::Quantity), [("analytics_credits", 0), ("character_stats", 1), ("history", 2)]);
    }
}
