//! What ElevenLabs is asked: the workspace's analytics by product, model and key, the history of generations
//! where the job names it, and the list of keys (the provider's sheet, section 1).

use super::super::request::{Account, Auth, Hours, Limits, Request, last_day, midnight, pieces};
use super::super::{BadPage, Page, fields};
use super::{ANALYTICS, HISTORY, SERVICE_ACCOUNTS};
use crate::domain::period::Days;
use chrono::{DateTime, Utc};
use serde_json::json;

/// The global host. Data of a residency workspace is only on a host of its own, which the job names.
const ORIGIN: &str = "https://api.elevenlabs.io";
const GROUPS: [&str; 4] = ["product_type", "model", "hashed_xi_api_key", "reporting_workspace_id"];
/// Neither a page nor a largest window is documented: a month of days is small enough (section 1.1).
const ANALYTICS_DAYS: u32 = 31;

pub(super) const LIMITS: Limits = Limits {
    // Limits of these endpoints are not published (section 5).
    pause_ms: 500,
    // Charges keep settling for about two days (section 0, "Freshness").
    trailing_days: 3,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let mut found = in_buckets(account, days, midnight(days.to), 86_400)?;
    if account.wants_names()? {
        let auth = Auth::Header("xi-api-key");
        found.push(Request::get(SERVICE_ACCOUNTS.name, last_day(days), ORIGIN, "/v1/service-accounts", auth));
    }
    Ok(found)
}

/// Both reports are as fine as an hour.
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    in_buckets(account, hours.days(), hours.until, 3_600)
}

/// Analytics in buckets of so many seconds, and the history, until an instant of the last day.
fn in_buckets(account: &Account<'_>, days: Days, until: DateTime<Utc>, seconds: u32) -> Result<Vec<Request>, BadPage> {
    // Both count credits: the history only where no key may read the analytics.
    let chosen = account.chosen(&[(ANALYTICS.name, true), (HISTORY.name, false)])?;
    let auth = Auth::Header("xi-api-key");
    let mut found = Vec::new();
    if chosen.contains(&ANALYTICS.name) {
        for days in pieces(days, ANALYTICS_DAYS) {
            let body = json!({
                "start_time": midnight(days.from).timestamp_millis(),
                "end_time": midnight(days.to).min(until).timestamp_millis(),
                "interval_seconds": seconds,
                "group_by": GROUPS,
                "time_zone": "UTC",
            });
            let path = "/v1/workspace/analytics/query/usage-by-product-over-time";
            let request = Request::post(ANALYTICS.name, days, ORIGIN, path, auth, &body);
            let mut group_by: Vec<String> = GROUPS.iter().map(|name| name.to_string()).collect();
            group_by.push(format!("interval_seconds={seconds}"));
            found.push(Request { group_by, ..request });
        }
    }
    if chosen.contains(&HISTORY.name) {
        let request = Request::get(HISTORY.name, days, ORIGIN, "/v1/history", auth)
            .with("page_size", 1000)
            .with("date_after_unix", midnight(days.from).timestamp())
            .with("date_before_unix", until.timestamp());
        found.push(request);
    }
    Ok(found)
}

/// Only the history has pages.
pub(super) fn next(asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
    if asked.report != HISTORY.name {
        return Ok(None);
    }
    let cursor = fields::cursor(page.bytes, "has_more", "last_history_item_id")?;
    Ok(cursor.map(|cursor| asked.turned("start_after_history_item_id", cursor)))
}

#[cfg(test)]
mod tests {
    use super::super::super::Adapter;
    use super::super::ElevenLabs;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn analytics_are_asked_in_milliseconds_by_utc_days() {
        let settings = settings(&[]);
        let requests =
            ElevenLabs.requests(&Account { name: "a", settings: &settings }, days("2026-10-08", "2026-11-19")).unwrap();
        assert_eq!(requests.len(), 2);
        let path = "POST https://api.elevenlabs.io/v1/workspace/analytics/query/usage-by-product-over-time";
        assert!(requests.iter().all(|request| url(request) == path && request.auth == Auth::Header("xi-api-key")));
        let body: serde_json::Value = serde_json::from_str(requests[1].body.as_deref().unwrap()).unwrap();
        assert_eq!(
            body,
            json!({
                "start_time": 1_794_096_000_000_i64, "end_time": 1_795_046_400_000_i64, "interval_seconds": 86400,
                "group_by": ["product_type", "model", "hashed_xi_api_key", "reporting_workspace_id"], "time_zone": "UTC",
            })
        );
        assert!(requests[1].group_by.contains(&"interval_seconds=86400".to_string()));
    }

    #[test]
    fn both_reports_are_asked_by_the_hour() {
        let requests = asked_hourly(&ElevenLabs, &[("reports", "analytics history")]);
        let body: serde_json::Value = serde_json::from_str(requests[0].body.as_deref().unwrap()).unwrap();
        let expected = (json!(1_794_873_600_000_i64), json!(1_795_028_400_000_i64), json!(3600));
        assert_eq!((body["start_time"].clone(), body["end_time"].clone(), body["interval_seconds"].clone()), expected);
        assert!(requests[0].group_by.contains(&"interval_seconds=3600".to_string()));
        let history =
            "GET https://api.elevenlabs.io/v1/history?page_size=1000&date_after_unix=1794873600&date_before_unix=1795028400";
        assert_eq!((requests.len(), url(&requests[1])), (2, history.to_string()));
    }

    #[test]
    fn the_history_is_asked_in_seconds_and_paged_by_its_last_item() {
        let urls = asked(&ElevenLabs, &[("reports", "history")], days("2026-11-01", "2026-11-19"));
        let first =
            "GET https://api.elevenlabs.io/v1/history?page_size=1000&date_after_unix=1793491200&date_before_unix=1795046400";
        assert_eq!(urls, [first]);
        let settings = settings(&[("reports", "history")]);
        let request =
            &ElevenLabs.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap()[0];
        let next = |text: &str| ElevenLabs.next(request, &Page { file: "p", bytes: text.as_bytes(), group_by: &[] });
        let second = next(r#"{"history":[],"last_history_item_id":"ja9x","has_more":true}"#).unwrap().unwrap();
        assert_eq!(url(&second), format!("{first}&start_after_history_item_id=ja9x"));
        assert_eq!(next(r#"{"history":[],"last_history_item_id":"ja9x","has_more":false}"#), Ok(None));
        assert!(next(r#"{"history":[],"last_history_item_id":null,"has_more":true}"#).is_err());
    }
}
