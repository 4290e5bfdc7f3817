//! What Anthropic's admin reports are asked: cost and message usage by UTC day, and the Claude Code report
//! where the job names it (the provider's sheet, section 2).

use super::super::BadPage;
use super::super::request::{Account, Auth, Hours, Limits, Request, instant, last_day, rfc3339};
use super::{API_KEYS, CLAUDE_CODE, COST, USAGE, WORKSPACES};
use crate::domain::period::Days;
use chrono::Duration;

const ORIGIN: &str = "https://api.anthropic.com";
/// The most dimensions that one answer may have; `inference_geo` and `speed` are left to the cost report,
/// whose rows name the model's price anyway (the sheet, sections 2.1 and 7, trap 5).
const USAGE_BY: [&str; 5] = ["api_key_id", "workspace_id", "model", "service_tier", "context_window"];
const COST_BY: [&str; 2] = ["workspace_id", "description"];
/// Costs are refused when no day of the window is complete yet, so it begins at least so many days back.
const COST_DAYS_MIN: i64 = 3;

pub(super) const LIMITS: Limits = Limits {
    // Once a minute is fine for ever, bursts are allowed for paging (the sheet, section 5).
    pause_ms: 1000,
    trailing_days: 35,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    // Estimates that overlap the cost report: one request for each day, so only on demand.
    let chosen = account.chosen(&[(COST.name, true), (USAGE.name, true), (CLAUDE_CODE.name, false)])?;
    let mut found = Vec::new();
    for report in chosen {
        if report == COST.name {
            let days = Days { from: days.from.min(days.to - Duration::days(COST_DAYS_MIN)), to: days.to };
            let request = bucketed(COST.name, "cost_report", days, &COST_BY);
            found.push(request.with("bucket_width", "1d").with("limit", 31).with_each("group_by[]", &COST_BY));
        } else if report == USAGE.name {
            // Wide grouping over many days was refused; a week a page is the default (the sheet, section 5).
            let request = bucketed(USAGE.name, "usage_report/messages", days, &USAGE_BY);
            found.push(request.with("bucket_width", "1d").with("limit", 7).with_each("group_by[]", &USAGE_BY));
        } else {
            for day in days.iter() {
                let days = Days { from: day, to: day + Duration::days(1) };
                let request = get(CLAUDE_CODE.name, "usage_report/claude_code", days);
                found.push(request.with("starting_at", day.format("%Y-%m-%d")).with("limit", 1000));
            }
        }
    }
    if account.wants_names()? {
        let now = last_day(days);
        found.push(get(WORKSPACES.name, "workspaces", now).with("include_archived", true).with("limit", 1000));
        found.push(get(API_KEYS.name, "api_keys", now).with("limit", 1000));
    }
    Ok(found)
}

/// Message usage by the hour; costs are told by the day only. A page has a day of hours (the sheet, section 2.1).
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    let usage = requests(account, hours.days())?.into_iter().filter(|request| request.report == USAGE.name);
    let by_hour =
        |request: Request| request.turned("ending_at", instant(hours.until)).turned("bucket_width", "1h").turned("limit", 24);
    Ok(usage.map(by_hour).collect())
}

fn get(report: &'static str, path: &str, days: Days) -> Request {
    let request = Request::get(report, days, ORIGIN, format!("/v1/organizations/{path}"), Auth::Header("x-api-key"));
    Request { headers: vec![("anthropic-version", "2023-06-01".to_string())], ..request }
}

fn bucketed(report: &'static str, path: &str, days: Days, group_by: &[&str]) -> Request {
    let request = get(report, path, days).with("starting_at", rfc3339(days.from)).with("ending_at", rfc3339(days.to));
    Request { group_by: group_by.iter().map(|name| name.to_string()).collect(), ..request }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::Anthropic;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn cost_and_usage_are_asked_with_all_dimensions() {
        let urls = asked(&Anthropic, &[], days("2026-11-01", "2026-11-19"));
        assert_eq!(
            urls,
            [
                "GET https://api.anthropic.com/v1/organizations/cost_report?starting_at=2026-11-01T00:00:00Z\
                 &ending_at=2026-11-19T00:00:00Z&bucket_width=1d&limit=31&group_by[]=workspace_id&group_by[]=description",
                "GET https://api.anthropic.com/v1/organizations/usage_report/messages?starting_at=2026-11-01T00:00:00Z\
                 &ending_at=2026-11-19T00:00:00Z&bucket_width=1d&limit=7&group_by[]=api_key_id&group_by[]=workspace_id\
                 &group_by[]=model&group_by[]=service_tier&group_by[]=context_window",
            ]
        );
        let settings = settings(&[]);
        let all = Anthropic.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap();
        for request in all {
            assert_eq!(request.auth, Auth::Header("x-api-key"));
            assert_eq!(request.headers, [("anthropic-version", "2023-06-01".to_string())]);
        }
    }

    #[test]
    fn message_usage_alone_is_asked_by_the_hour() {
        let urls: Vec<String> = asked_hourly(&Anthropic, &[]).iter().map(url).collect();
        assert_eq!(
            urls,
            ["GET https://api.anthropic.com/v1/organizations/usage_report/messages?starting_at=2026-11-17T00:00:00Z\
              &group_by[]=api_key_id&group_by[]=workspace_id&group_by[]=model&group_by[]=service_tier&group_by[]=context_window\
              &ending_at=2026-11-18T19:00:00Z&bucket_width=1h&limit=24"]
        );
    }

    #[test]
    fn a_short_window_of_costs_begins_earlier() {
        let urls = asked(&Anthropic, &[("reports", "cost_report")], days("2026-11-18", "2026-11-19"));
        assert!(urls[0].contains("starting_at=2026-11-16T00:00:00Z&ending_at=2026-11-19T00:00:00Z"), "{urls:?}");
    }

    #[test]
    fn claude_code_is_asked_day_by_day_and_only_on_demand() {
        let urls = asked(&Anthropic, &[("reports", "claude_code")], days("2026-11-17", "2026-11-19"));
        let root = "GET https://api.anthropic.com/v1/organizations/usage_report/claude_code";
        assert_eq!(
            urls,
            [format!("{root}?starting_at=2026-11-17&limit=1000"), format!("{root}?starting_at=2026-11-18&limit=1000")]
        );
    }

    #[test]
    fn the_next_page_is_the_same_question_with_its_cursor() {
        let settings = settings(&[]);
        let first =
            &Anthropic.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap()[1];
        let next = |text: &str| Anthropic.next(first, &Page { file: "page", bytes: text.as_bytes(), group_by: &[] });
        let second = next(r#"{"data":[],"has_more":true,"next_page":"page_Mj"}"#).unwrap().unwrap();
        assert_eq!(url(&second), format!("{}&page=page_Mj", url(first)));
        assert_eq!(next(r#"{"data":[],"has_more":false,"next_page":null}"#), Ok(None));
        assert!(next(r#"{"data":[],"has_more":true,"next_page":null}"#).is_err());
    }
}
