//! Mistral: pages of the admin usage report, one calendar month each. A page has quantities and its own
//! unit prices; the cost of a row is what the two come to, so it is the provider's own money.

mod month;
mod names;
mod prices;
mod requests;
mod rows;
mod walk;

use super::request::{Account, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::money::Currency;
use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use month::Month;
use serde_json::Value;

/// The pages of single workspaces. Rows do not name their workspace, so the file's name does.
const WORKSPACES: Report = Report { name: "usage_by_workspace", measures: Measures::Money, rank: 0 };
/// The whole organization: booked where it stands alone, else the control over its workspaces.
const USAGE: Report = Report { name: "usage", measures: Measures::Money, rank: 1 };
/// `GET /v1/admin/workspaces`: what the ids in the pages of workspaces are called.
const WORKSPACE_NAMES: Report = Report { name: "workspaces", measures: Measures::Names, rank: 0 };
/// `GET /v1/admin/api-keys`: usage has no keys, but ledgers may have them.
const API_KEYS: Report = Report { name: "api_keys", measures: Measures::Names, rank: 0 };
static REPORTS: [Report; 4] = [WORKSPACES, USAGE, WORKSPACE_NAMES, API_KEYS];

const HINT: &str = "save the answer of GET /v1/admin/usage for one calendar month";

/// See the module.
pub struct Mistral;

impl Adapter for Mistral {
    fn name(&self) -> &'static str {
        "mistral"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// The figures run through the month; neither their lag nor how long they are restated is
    /// documented, so a week is taken (Mistral sheet section 0, "Freshness").
    fn settle_days(&self) -> u32 {
        7
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let value = fields::json(page.bytes).ok()?;
        if let Some(report) = names::report(&value) {
            return Some(report);
        }
        foreign(&value).is_none().then_some(if workspace(page.file).is_some() { &REPORTS[0] } else { &REPORTS[1] })
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        let value = fields::json(page.bytes)?;
        if names::report(&value).is_some() {
            return names::read(&value).map(|_| ());
        }
        if let Some(bad) = foreign(&value) {
            return Err(bad);
        }
        let month = Month::of(&value)?;
        let prices = prices::read(&value)?;
        let found = walk::figures(&value)?;
        let mut last = None;
        if !found.is_empty() {
            let page = rows::PageFacts { currency: currency(&value)?, month, prices: &prices, workspace: workspace(page.file) };
            for (number, figure) in (1..).zip(&found) {
                last = last.max(rows::hand_on(number, figure, &page, out));
            }
        }
        if let Some(days) = month.and_then(|month| month.spoken_for(last)) {
            out(Line::Covers(days));
        }
        Ok(())
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        names::read(&fields::json(page.bytes)?)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        // A month of usage is one page.
        if is_list(asked.report) { names::next(asked, page.bytes) } else { Ok(None) }
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

fn is_list(report: &str) -> bool {
    [WORKSPACE_NAMES.name, API_KEYS.name].contains(&report)
}

/// Why a page is not a usage report; `None` when it is one.
fn foreign(value: &Value) -> Option<BadPage> {
    let has = |key: &str| value.get(key).is_some();
    let category = walk::CATEGORIES.iter().any(|name| value.get(name).is_some_and(Value::is_object));
    let (priced, dated) = (has("prices"), has("start_date"));
    if category && (has("currency") || priced || dated) || priced && dated {
        return None;
    }
    if has("error") || has("detail") || fields::text(value, "object") == Some("error") {
        let message = fields::text(value, "message").unwrap_or("no message");
        let what = format!("the answer is an error: {}", message.chars().take(200).collect::<String>());
        return Some(BadPage::new(what, "ask again: the usage report needs an Admin API key of the organization"));
    }
    if has("limits") {
        return Some(BadPage::new(
            "limits: this is the spend limit, one running sum of the month that belongs to no day",
            "take it out of this source and compare its total_usage with the month's sum by hand",
        ));
    }
    let other = [("tokens_limits_by_model", "the rate limits"), ("wallet_amount", "the credit balance")];
    Some(match other.into_iter().find(|(key, _)| has(key)) {
        Some((key, what)) => BadPage::new(format!("{key}: expected a usage report, found {what}"), HINT),
        None => BadPage::new("expected a usage report (completion, prices, start_date), found none of its fields", HINT),
    })
}

/// The currency is the organization's own, dollars or euros. Without it no row of the page is money, and a
/// page of only set-aside rows would still take the place of an earlier good one.
fn currency(value: &Value) -> Result<Currency, BadPage> {
    let hint = "save the page again; where the organization has no currency yet, take the page out of this source";
    match value.get("currency") {
        None | Some(Value::Null) => Err(BadPage::new("currency: expected a code like EUR, found nothing", hint)),
        Some(Value::String(text)) if text.trim().is_empty() => {
            Err(BadPage::new("currency: expected a code like EUR, found an empty text", hint))
        }
        Some(Value::String(text)) => Currency::parse(text).map_err(|error| BadPage::new(format!("currency: {error}"), hint)),
        other => Err(BadPage::new(format!("currency: expected a code like EUR, found {}", fields::found(other)), hint)),
    }
}

/// The workspace that the page was asked for: `usage-2026-11-workspace-<uuid>.json`.
fn workspace(file: &str) -> Option<&str> {
    const MARK: &str = "workspace-";
    const UUID: usize = 36;
    let id = file.get(file.rfind(MARK)? + MARK.len()..)?.get(..UUID)?;
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    id.bytes().enumerate().all(fits).then_some(id)
}

/// A text field that says something.
///
/// # Errors
/// Something other than a text stands there.
fn word<'v>(value: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => Err(format!("{key}: expected a text, found {}", fields::found(other))),
    }
}

#[cfg(test)]
mod tests;
