//! What OpenAI's organization endpoints are asked: costs and every usage family, in UTC days (the provider's
//! sheet, section 2).

use super::super::BadPage;
use super::super::request::{Account, Auth, Hours, Limits, Request, midnight};
use crate::domain::period::Days;
use chrono::NaiveDate;

const ORIGIN: &str = "https://api.openai.com";
/// Costs by key are refused before 2025-12-06 (the sheet, section 6, "floor"): day 20,428 since 1970.
const KEYS_FROM: Option<NaiveDate> = NaiveDate::from_ymd_opt(2025, 12, 6);

/// An endpoint of one kind of figure.
struct Endpoint {
    report: &'static str,
    /// Behind `/v1/organization/`.
    path: &'static str,
    group_by: &'static [&'static str],
    /// Buckets a page, as published; a page may have fewer, so only `next_page` tells where it ends.
    limit: u32,
}

const KEYED: [&str; 3] = ["project_id", "api_key_id", "model"];

static ENDPOINTS: [Endpoint; 11] = [
    Endpoint { report: "costs", path: "costs", group_by: &["project_id", "line_item", "api_key_id"], limit: 180 },
    usage("usage_completions", "completions", &["project_id", "api_key_id", "model", "batch", "service_tier"]),
    usage("usage_embeddings", "embeddings", &KEYED),
    usage("usage_moderations", "moderations", &KEYED),
    usage("usage_images", "images", &["project_id", "api_key_id", "model", "size", "source"]),
    usage("usage_audio_speeches", "audio_speeches", &KEYED),
    usage("usage_audio_transcriptions", "audio_transcriptions", &KEYED),
    usage("usage_vector_stores", "vector_stores", &["project_id"]),
    usage("usage_code_interpreter_sessions", "code_interpreter_sessions", &["project_id"]),
    usage("usage_web_searches", "web_search_calls", &["project_id", "api_key_id", "model", "context_level"]),
    usage("usage_file_searches", "file_search_calls", &["project_id", "api_key_id", "vector_store_id"]),
];

const fn usage(report: &'static str, path: &'static str, group_by: &'static [&'static str]) -> Endpoint {
    Endpoint { report, path, group_by, limit: 31 }
}

pub(super) const LIMITS: Limits = Limits {
    // Numbers are not published; many small requests met limits (the sheet, section 8, trap 4).
    pause_ms: 500,
    trailing_days: 35,
};

/// One chain for each endpoint, or two for costs where the window begins before costs knew keys.
pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let known: Vec<(&'static str, bool)> = ENDPOINTS.iter().map(|endpoint| (endpoint.report, true)).collect();
    let chosen = account.chosen(&known)?;
    let mut found = Vec::new();
    for endpoint in ENDPOINTS.iter().filter(|endpoint| chosen.contains(&endpoint.report)) {
        let floor = KEYS_FROM.filter(|_| endpoint.report == "costs").map_or(days.from, |floor| floor.clamp(days.from, days.to));
        for (days, keyed) in [(Days { from: days.from, to: floor }, false), (Days { from: floor, to: days.to }, true)] {
            if days.from < days.to {
                found.push(request(endpoint, days, keyed));
            }
        }
    }
    if account.wants_names()? {
        // Last: a key that may not read them has brought everything else by then.
        found.push(super::names::request(days, ORIGIN));
    }
    Ok(found)
}

/// Usage by the hour; costs are told by the day only (the sheet, section 2). A page has at most 168 hours.
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    let usage = requests(account, hours.days())?.into_iter().filter(|request| request.report.starts_with("usage_"));
    let by_hour =
        |request: Request| request.turned("end_time", hours.until.timestamp()).turned("bucket_width", "1h").turned("limit", 168);
    Ok(usage.map(by_hour).collect())
}

fn request(endpoint: &Endpoint, days: Days, keyed: bool) -> Request {
    let group_by: Vec<&str> = endpoint.group_by.iter().copied().filter(|name| keyed || *name != "api_key_id").collect();
    let path = format!("/v1/organization/{}{}", if endpoint.report == "costs" { "" } else { "usage/" }, endpoint.path);
    let request = Request::get(endpoint.report, days, ORIGIN, path, Auth::Bearer)
        .with("start_time", midnight(days.from).timestamp())
        .with("end_time", midnight(days.to).timestamp())
        .with("bucket_width", "1d")
        .with("limit", endpoint.limit)
        .with_each("group_by[]", &group_by);
    Request { group_by: group_by.iter().map(|name| name.to_string()).collect(), ..request }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::OpenAi;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn costs_and_usage_are_asked_by_whole_utc_days() {
        let urls = asked(&OpenAi, &[], days("2026-11-01", "2026-11-19"));
        assert_eq!(urls.len(), 11);
        assert_eq!(
            urls[0],
            "GET https://api.openai.com/v1/organization/costs?start_time=1793491200&end_time=1795046400&bucket_width=1d\
             &limit=180&group_by[]=project_id&group_by[]=line_item&group_by[]=api_key_id"
        );
        assert_eq!(
            urls[1],
            "GET https://api.openai.com/v1/organization/usage/completions?start_time=1793491200&end_time=1795046400\
             &bucket_width=1d&limit=31&group_by[]=project_id&group_by[]=api_key_id&group_by[]=model&group_by[]=batch\
             &group_by[]=service_tier"
        );
        assert!(urls[9].contains("/usage/web_search_calls?") && urls[10].contains("/usage/file_search_calls?"), "{urls:#?}");
        assert!(urls[7].ends_with(
            "/usage/vector_stores?start_time=1793491200&end_time=1795046400&bucket_width=1d&limit=31&group_by[]=project_id"
        ));
    }

    #[test]
    fn the_job_may_name_the_reports() {
        let urls = asked(&OpenAi, &[("reports", "usage_completions, costs")], days("2026-11-01", "2026-11-02"));
        assert_eq!(urls.len(), 2);
        let settings = settings(&[("reports", "cost")]);
        let bad = OpenAi.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-02")).unwrap_err();
        assert!(bad.what.contains("\"cost\"") && bad.hint.contains("usage_images"), "{bad:?}");
    }

    #[test]
    fn usage_is_asked_by_the_hour_and_costs_are_not() {
        let urls: Vec<String> = asked_hourly(&OpenAi, &[]).iter().map(url).collect();
        assert_eq!(urls.len(), 10);
        assert_eq!(
            urls[0],
            "GET https://api.openai.com/v1/organization/usage/completions?start_time=1794873600&group_by[]=project_id\
             &group_by[]=api_key_id&group_by[]=model&group_by[]=batch&group_by[]=service_tier&end_time=1795028400\
             &bucket_width=1h&limit=168"
        );
        assert_eq!(asked_hourly(&OpenAi, &[("reports", "costs usage_images"), ("names", "yes")]).len(), 1);
        assert_eq!(asked_hourly(&OpenAi, &[("reports", "costs")]), []);
    }

    #[test]
    fn days_before_costs_knew_keys_are_asked_without_them() {
        let urls = asked(&OpenAi, &[("reports", "costs")], days("2025-12-04", "2025-12-08"));
        assert_eq!(urls.len(), 2);
        assert!(urls[0].contains("end_time=1764979200") && !urls[0].contains("api_key_id"), "{urls:?}");
        assert!(urls[1].contains("start_time=1764979200") && urls[1].ends_with("group_by[]=api_key_id"), "{urls:?}");
    }

    #[test]
    fn the_next_page_is_the_same_question_with_its_cursor() {
        let settings = settings(&[]);
        let first = &OpenAi.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-02")).unwrap()[0];
        let next =
            |asked: &Request, text: &str| OpenAi.next(asked, &Page { file: "costs", bytes: text.as_bytes(), group_by: &[] });
        let page = |cursor: &str| format!(r#"{{"object":"page","data":[],"has_more":true,"next_page":{cursor}}}"#);
        let second = next(first, &page("\"page_2=\"")).unwrap().unwrap();
        assert_eq!(url(&second), format!("{}&page=page_2=", url(first)));
        let third = next(&second, &page("\"page_3\"")).unwrap().unwrap();
        assert_eq!(url(&third), format!("{}&page=page_3", url(first)));
        assert_eq!(next(&third, r#"{"object":"page","data":[],"has_more":false,"next_page":"page_4"}"#), Ok(None));
        assert!(next(first, &page("null")).unwrap_err().what.starts_with("next_page: expected a cursor"));
    }
}
