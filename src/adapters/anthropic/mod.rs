//! Anthropic: the cost report, the message usage report, the Claude Code report and the two console
//! exports. Must never take cents for dollars: the API writes cents, the exports write dollars.

mod buckets;
mod claude_code;
mod console;
mod cost;
mod names;
mod numbers;
mod requests;
mod usage;
mod words;

use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use serde_json::Value;

/// The Anthropic API and its console, for an organisation with an admin key.
pub struct Anthropic;

/// `GET /v1/organizations/cost_report`: all money, by day, workspace and description. Booked.
const COST: Report = Report { name: "cost_report", measures: Measures::Money, rank: 0 };
/// `GET /v1/organizations/usage_report/messages`: tokens and searches. It has no number of requests.
const USAGE: Report = Report { name: "usage_report/messages", measures: Measures::Quantity, rank: 0 };
/// The console's cost export: the same money as [`COST`], per key and rounded to the cent.
const CONSOLE_COST: Report = Report { name: "console_cost", measures: Measures::Money, rank: 1 };
/// The console's token export: the same quantities as [`USAGE`].
const CONSOLE_USAGE: Report = Report { name: "console_usage", measures: Measures::Quantity, rank: 1 };
/// `GET /v1/organizations/usage_report/claude_code`: estimates that overlap [`COST`]. Never booked.
const CLAUDE_CODE: Report = Report { name: "claude_code", measures: Measures::Estimate, rank: 0 };

/// The cost report asked for without descriptions: sums of the same money, of a day or of a workspace and day.
const COST_TOTAL: Report = Report { name: "cost_report_total", measures: Measures::Money, rank: 2 };
/// `GET /v1/organizations/workspaces` and `/api_keys`: names by id.
const WORKSPACES: Report = Report { name: "workspaces", measures: Measures::Names, rank: 0 };
const API_KEYS: Report = Report { name: "api_keys", measures: Measures::Names, rank: 0 };

static REPORTS: [Report; 8] = [COST, USAGE, CONSOLE_COST, CONSOLE_USAGE, CLAUDE_CODE, COST_TOTAL, WORKSPACES, API_KEYS];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Cost,
    CostTotal,
    Usage,
    ConsoleCost,
    ConsoleUsage,
    ClaudeCode,
}

impl Adapter for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// 3: buckets are revised in place, and pullers re-pull at least the last three days (the
    /// provider's sheet, section 5, "Restatement").
    fn settle_days(&self) -> u32 {
        3
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let kind = if is_json(page.bytes) {
            let answer = fields::json(page.bytes).ok()?;
            if let Some(report) = names::report(&answer) {
                return Some(report);
            }
            json_kind(&answer, page)?
        } else {
            console::kind(&fields::Table::new(page.bytes).ok()?)?
        };
        Some(match kind {
            Kind::Cost => &COST,
            Kind::CostTotal => &COST_TOTAL,
            Kind::Usage => &USAGE,
            Kind::ConsoleCost => &CONSOLE_COST,
            Kind::ConsoleUsage => &CONSOLE_USAGE,
            Kind::ClaudeCode => &CLAUDE_CODE,
        })
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if !is_json(page.bytes) {
            return console::read(page, out);
        }
        let answer = fields::json(page.bytes)?;
        refuse_error(&answer)?;
        if answer.get("last_id").is_some() {
            // The reports' pages have a cursor of another name.
            return names::read(&answer).map(|_| ());
        }
        let data = fields::array(&answer, "data")?;
        buckets::check_cursor(&answer)?;
        let kind = json_kind(&answer, page);
        if kind == Some(Kind::ClaudeCode) {
            claude_code::read(data, out);
            return Ok(());
        }
        let buckets = buckets::read(data)?;
        let read_row = match kind {
            Some(Kind::Cost | Kind::CostTotal) => cost::row,
            Some(Kind::Usage) => usage::row,
            // Nothing to read: the days of an empty page are known, whichever report it is.
            _ if buckets.iter().all(|bucket| bucket.results.is_empty()) => cost::row,
            _ => return Err(unknown_rows(&buckets)),
        };
        for (row, (bucket, value)) in (1..).zip(buckets.iter().flat_map(|b| b.results.iter().map(move |value| (b, value)))) {
            read_row(value, buckets::Place { row, start: bucket.start, end: bucket.end }, out);
        }
        for days in buckets::whole_days(&buckets) {
            out(Line::Covers(days));
        }
        Ok(())
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        let answer = fields::json(page.bytes)?;
        refuse_error(&answer)?;
        names::read(&answer)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        if [WORKSPACES.name, API_KEYS.name].contains(&asked.report) {
            return Ok(fields::cursor(page.bytes, "has_more", "last_id")?.map(|cursor| asked.turned("after_id", cursor)));
        }
        Ok(fields::cursor(page.bytes, "has_more", "next_page")?.map(|cursor| asked.turned("page", cursor)))
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    bytes.starts_with(b"{") || bytes.starts_with(b"[")
}

/// Which report a JSON page is, by the rows it has; an empty page by its grouping, its bucket width or
/// its file name.
fn json_kind(answer: &Value, page: &Page<'_>) -> Option<Kind> {
    let data = answer.get("data")?.as_array()?;
    if data.iter().any(claude_code::is_entry) {
        return Some(Kind::ClaudeCode);
    }
    // Other providers' pages also have `data`; only these have `starting_at` or, when empty, a bare cursor.
    let bare = data.is_empty() && answer.get("has_more").is_some() && answer.get("object").is_none();
    if !bare && !data.iter().any(|bucket| bucket.get("starting_at").is_some()) {
        return None;
    }
    let rows = || data.iter().filter_map(|bucket| bucket.get("results")?.as_array()).flatten();
    let grouped = |names: &[&str]| page.group_by.iter().any(|name| names.contains(&name.as_str()));
    if rows().next().is_some() {
        let kind = rows().find_map(row_kind).filter(|_| !data.iter().any(is_analytics))?;
        // Without a single description the rows are sums over what another grouping of the report has one by one.
        let summed = page.group_by.is_empty() && rows().all(|row| matches!(row.get("description"), None | Some(Value::Null)));
        return Some(if kind == Kind::Cost && summed { Kind::CostTotal } else { kind });
    }
    let named = |part: &str| page.file.to_ascii_lowercase().contains(part);
    if grouped(&["description"]) {
        Some(Kind::Cost)
    } else if grouped(&usage::GROUPS) || buckets::shorter_than_a_day(data) {
        Some(Kind::Usage)
    } else if named("claude_code") || named("claude-code") {
        Some(Kind::ClaudeCode).filter(|_| bare)
    } else if named("cost") {
        Some(Kind::Cost)
    } else if named("usage") || named("messages") {
        Some(Kind::Usage)
    } else {
        None
    }
}

fn row_kind(row: &Value) -> Option<Kind> {
    let has = |key: &str| row.get(key).is_some();
    if has("amount") || has("cost_type") {
        Some(Kind::Cost)
    } else if has("uncached_input_tokens") || has("cache_creation") || has("output_tokens") {
        Some(Kind::Usage)
    } else {
        None
    }
}

/// Rows of the Claude Enterprise analytics reports: another product whose spend is not API spend. One
/// field alone does not tell, because the API's own rows may gain fields.
fn is_analytics(bucket: &Value) -> bool {
    let rows = bucket.get("results").and_then(Value::as_array);
    rows.is_some_and(|rows| rows.iter().any(|row| ["product", "list_amount"].iter().all(|key| row.get(key).is_some())))
}

fn unknown_rows(buckets: &[buckets::Bucket<'_>]) -> BadPage {
    let fields: Vec<&str> = buckets
        .iter()
        .flat_map(|b| b.results)
        .filter_map(Value::as_object)
        .flatten()
        .map(|(key, _)| key.as_str())
        .take(6)
        .collect();
    BadPage::new(
        format!("data: expected rows of the cost or the usage report, found rows with {}", fields.join(", ")),
        "save pages of cost_report or usage_report/messages; the Claude Enterprise analytics reports are another product",
    )
}

/// The API's own error, saved in place of a page. Its message may repeat a key, so only its type is shown.
fn refuse_error(answer: &Value) -> Result<(), BadPage> {
    if fields::text(answer, "type") != Some("error") {
        return Ok(());
    }
    let kind = answer.get("error").and_then(|error| fields::text(error, "type")).unwrap_or("unknown");
    let kind: String = kind.chars().take(40).collect();
    Err(BadPage::new(format!("expected a page, found the API's error {kind:?}"), "pull the page again once the error is mended"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: [&[u8]; 5] = [
        include_bytes!("../../../fixtures/anthropic/basic-cost.json"),
        include_bytes!("../../../fixtures/anthropic/basic-usage.json"),
        include_bytes!("../../../fixtures/anthropic/basic-claude-code.json"),
        include_bytes!("../../../fixtures/anthropic/basic-console-cost.csv"),
        include_bytes!("../../../fixtures/anthropic/basic-console-usage.csv"),
    ];

    /// Lines that are not coverage, or none for a refused page.
    fn rows(bytes: &[u8]) -> Option<usize> {
        let page = Page { file: "page", bytes, group_by: &[] };
        let mut rows = 0;
        let _ = Anthropic.identify(&page);
        Anthropic.parse(&page, &mut |line| rows += usize::from(!matches!(line, Line::Covers(_)))).ok().map(|()| rows)
    }

    #[test]
    fn each_report_is_known_by_its_shape() {
        let names = PAGES.map(|bytes| Anthropic.identify(&Page { file: "page", bytes, group_by: &[] }).map(|report| report.name));
        let expected = ["cost_report", "usage_report/messages", "claude_code", "console_cost", "console_usage"];
        assert_eq!(names, expected.map(Some));
    }

    #[test]
    fn damaged_pages_never_panic_and_cut_ones_are_never_read_whole() {
        for page in PAGES {
            let whole = rows(page).unwrap();
            for end in 0..page.trim_ascii_end().len() {
                let read = rows(&page[..end]);
                assert!(read.is_none() || (page[0] != b'{' && read <= Some(whole)), "cut at {end}");
            }
            for at in (0..page.len()).step_by(3) {
                for byte in [b'9', b'-', 0xff] {
                    let mut damaged = page.to_vec();
                    damaged[at] = byte;
                    let _ = rows(&damaged);
                }
            }
        }
    }
}
