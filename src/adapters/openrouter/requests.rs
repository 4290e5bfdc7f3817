//! What OpenRouter is asked: activity by day, analytics by key and model, the balance, single generations whose ids
//! the job names, and lists of names (the provider's sheet, section 2).

use super::super::BadPage;
use super::super::request::{Account, Auth, Hours, Limits, Request, instant, last_day, midnight, pieces, rfc3339};
use super::{ACTIVITY, ANALYTICS, CREDITS, GENERATION, names};
use crate::domain::period::Days;
use chrono::{DateTime, Duration, Utc};
use serde_json::json;

const ORIGIN: &str = "https://openrouter.ai";
/// Activity reaches back so many completed days (the sheet, section 2.1).
const ACTIVITY_DAYS: i64 = 30;
/// The longest range in which every metric can be asked (section 2.3).
const ANALYTICS_DAYS: u32 = 31;
/// Without `truncated` an answer has fewer rows than this.
const ROWS_MAX: u32 = 10_000;

pub(super) const LIMITS: Limits = Limits {
    // 64 analytics queries a minute; other rates are not published (section 4).
    pause_ms: 1000,
    trailing_days: 3,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let ids = account.words("generations");
    let chosen = chosen(account)?;
    let mut found = Vec::new();
    if chosen.contains(&ACTIVITY.name) {
        let from = days.from.max(days.to - Duration::days(ACTIVITY_DAYS));
        for day in (Days { from, to: days.to }).iter() {
            let days = Days { from: day, to: day + Duration::days(1) };
            let request = Request::get(ACTIVITY.name, days, ORIGIN, "/api/v1/activity", Auth::Bearer);
            found.push(request.with("date", day.format("%Y-%m-%d")).with("group_by", "workspace"));
        }
    }
    if chosen.contains(&ANALYTICS.name) {
        found.extend(pieces(days, ANALYTICS_DAYS).into_iter().map(|days| analytics(days, midnight(days.to), "day")));
    }
    if chosen.contains(&GENERATION.name) {
        if ids.is_empty() {
            return Err(BadPage::new(
                "generations: expected the ids of calls (gen-…), found none",
                "name them in this source's api section, or leave the report `generation` out",
            ));
        }
        for (number, id) in ids.into_iter().enumerate() {
            let request = Request::get(GENERATION.name, days, ORIGIN, "/api/v1/generation", Auth::Bearer).with("id", id);
            // A generation is of the day it was made, which only the answer tells.
            found.push(Request { part: Some(format!("{:06}", number + 1)), bounded: false, ..request });
        }
    }
    if chosen.contains(&CREDITS.name) {
        found.push(Request::get(CREDITS.name, last_day(days), ORIGIN, "/api/v1/credits", Auth::Bearer));
    }
    if account.wants_names()? {
        found.push(names::request(days, ORIGIN));
    }
    Ok(found)
}

fn chosen(account: &Account<'_>) -> Result<Vec<&'static str>, BadPage> {
    let has_ids = !account.words("generations").is_empty();
    account.chosen(&[(ACTIVITY.name, true), (ANALYTICS.name, true), (GENERATION.name, has_ids), (CREDITS.name, true)])
}

/// Analytics by the hour, a day at a time, so that no answer has more rows than fit.
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    if !chosen(account)?.contains(&ANALYTICS.name) {
        return Ok(Vec::new());
    }
    Ok(pieces(hours.days(), 1).into_iter().map(|day| analytics(day, hours.end_of(day), "hour")).collect())
}

fn analytics(days: Days, end: DateTime<Utc>, granularity: &str) -> Request {
    let body = json!({
        "metrics": [
            "credits_usage", "byok_usage", "byok_request_count", "tokens_prompt", "tokens_completion", "reasoning_tokens",
            "cached_tokens", "request_count",
        ],
        "dimensions": ["api_key_id", "model"],
        "granularity": granularity,
        "time_range": { "start": rfc3339(days.from), "end": instant(end) },
        "limit": ROWS_MAX,
    });
    let request = Request::post(ANALYTICS.name, days, ORIGIN, "/api/v1/analytics/query", Auth::Bearer, &body);
    Request { group_by: vec!["api_key_id".to_string(), "model".to_string()], ..request }
}

#[cfg(test)]
mod tests {
    use super::super::super::Adapter;
    use super::super::OpenRouter;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn activity_is_asked_by_day_and_no_further_back_than_thirty_days() {
        let urls = asked(&OpenRouter, &[("reports", "activity")], days("2026-10-08", "2026-11-19"));
        assert_eq!(urls.len(), 30);
        assert_eq!(urls[0], "GET https://openrouter.ai/api/v1/activity?date=2026-10-20&group_by=workspace");
        assert_eq!(urls[29], "GET https://openrouter.ai/api/v1/activity?date=2026-11-18&group_by=workspace");
    }

    #[test]
    fn analytics_are_asked_by_key_and_model_over_a_month_at_most() {
        let settings = settings(&[("reports", "analytics")]);
        let requests =
            OpenRouter.requests(&Account { name: "a", settings: &settings }, days("2026-10-08", "2026-11-19")).unwrap();
        assert_eq!(
            requests.iter().map(|request| request.days.from.to_string()).collect::<Vec<_>>(),
            ["2026-10-08", "2026-11-08"]
        );
        assert_eq!(url(&requests[1]), "POST https://openrouter.ai/api/v1/analytics/query");
        let body: serde_json::Value = serde_json::from_str(requests[1].body.as_deref().unwrap()).unwrap();
        assert_eq!(body["time_range"], json!({ "start": "2026-11-08T00:00:00Z", "end": "2026-11-19T00:00:00Z" }));
        assert_eq!(
            (&body["dimensions"], &body["granularity"], &body["limit"]),
            (&json!(["api_key_id", "model"]), &json!("day"), &json!(10000))
        );
        assert!(body["metrics"].as_array().unwrap().contains(&json!("credits_usage")));
    }

    #[test]
    fn analytics_are_asked_by_the_hour_a_day_at_a_time() {
        let requests = asked_hourly(&OpenRouter, &[]);
        let bodies: Vec<serde_json::Value> =
            requests.iter().map(|request| serde_json::from_str(request.body.as_deref().unwrap()).unwrap()).collect();
        assert!(bodies.iter().all(|body| body["granularity"] == "hour"), "{bodies:?}");
        assert_eq!(
            bodies.iter().map(|body| body["time_range"].clone()).collect::<Vec<_>>(),
            [
                json!({ "start": "2026-11-17T00:00:00Z", "end": "2026-11-18T00:00:00Z" }),
                json!({ "start": "2026-11-18T00:00:00Z", "end": "2026-11-18T19:00:00Z" }),
            ]
        );
        assert_eq!(asked_hourly(&OpenRouter, &[("reports", "activity")]), []);
    }

    #[test]
    fn generations_are_asked_by_the_ids_that_the_job_has() {
        let urls =
            asked(&OpenRouter, &[("reports", "generation"), ("generations", "gen-1 gen-2")], days("2026-11-18", "2026-11-19"));
        let root = "GET https://openrouter.ai/api/v1/generation";
        assert_eq!(urls, [format!("{root}?id=gen-1"), format!("{root}?id=gen-2")]);
        let settings = settings(&[("reports", "generation")]);
        let bad = OpenRouter.requests(&Account { name: "a", settings: &settings }, days("2026-11-18", "2026-11-19")).unwrap_err();
        assert!(bad.what.starts_with("generations: "), "{bad:?}");
    }
}
