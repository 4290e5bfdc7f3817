//! What fal's platform API is asked: billing events, usage by day to compare them with, and what is no charge: balance,
//! prices, names of keys (the provider's sheet, section 1). Windows are closed, because rows that arrive would shift the pages (section 4, trap 3).

use super::super::BadPage;
use super::super::request::{Account, Auth, Hours, Limits, Request, instant, last_day, pieces, rfc3339};
use super::{BALANCE, EVENTS, KEYS, ORGANIZATION, PRICING, USAGE};
use crate::domain::period::Days;

const ORIGIN: &str = "https://api.fal.ai";
/// The most days that one question may span.
const DAYS_MAX: u32 = 90;
/// The most endpoints that prices are asked for at once.
const ENDPOINTS_MAX: usize = 50;
/// How the key is shown.
const AUTH: Auth = Auth::Authorization("Key");

pub(super) const LIMITS: Limits = Limits {
    // The request rate is not published, so it is kept low (the sheet, section 5).
    pause_ms: 500,
    // Freshness is not documented, and records were backfilled after hours (section 4, trap 6).
    trailing_days: 7,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let priced = account.words("prices");
    let known = [
        (EVENTS.name, true),
        (USAGE.name, true),
        (ORGANIZATION.name, false),
        (BALANCE.name, false),
        (PRICING.name, !priced.is_empty()),
    ];
    let chosen = account.chosen(&known)?;
    let (windows, now) = ([EVENTS.name, USAGE.name, ORGANIZATION.name], last_day(days));
    let mut found = Vec::new();
    for report in chosen.iter().copied().filter(|report| windows.contains(report)) {
        for days in pieces(days, DAYS_MAX) {
            let path = match report {
                report if report == EVENTS.name => "/v1/models/billing-events",
                report if report == USAGE.name => "/v1/models/usage",
                _ => "/v1/organization/usage",
            };
            let request =
                Request::get(report, days, ORIGIN, path, AUTH).with("start", rfc3339(days.from)).with("end", rfc3339(days.to));
            found.push(if report == EVENTS.name {
                // Without the structured form no row names its key.
                request.with("expand", "auth_method_structured").with("limit", 10_000)
            } else {
                let request = request.with("timezone", "UTC").with("timeframe", "day").with("bound_to_timeframe", "false");
                let request = request.with("expand", "time_series,auth_method_structured");
                Request { group_by: vec!["timeframe=day".to_string()], ..request }
            });
        }
    }
    if chosen.contains(&BALANCE.name) {
        found.push(Request::get(BALANCE.name, now, ORIGIN, "/v1/account/billing", AUTH).with("expand", "credits"));
    }
    if chosen.contains(&PRICING.name) {
        if priced.is_empty() {
            let what = "prices: expected the endpoints whose prices are wanted (fal-ai/flux/dev), found none";
            return Err(BadPage::new(what, "name them in this source's api section, or leave the report `pricing` out"));
        }
        for (number, endpoints) in (1..).zip(priced.chunks(ENDPOINTS_MAX)) {
            let request = Request::get(PRICING.name, now, ORIGIN, "/v1/models/pricing", AUTH);
            let number: u32 = number;
            found.push(Request { part: Some(format!("{number:02}")), ..request.with("endpoint_id", endpoints.join(",")) });
        }
    }
    if account.wants_names()? {
        found.push(Request::get(KEYS.name, now, ORIGIN, "/v1/keys", AUTH));
    }
    Ok(found)
}

/// Billing events, until the last full hour.
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    let events = requests(account, hours.days())?.into_iter().filter(|request| request.report == EVENTS.name);
    Ok(events.map(|request| request.turned("end", instant(hours.end_of(request.days)))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::super::{Adapter, Page};
    use super::super::Fal;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn events_and_daily_usage_are_asked_over_a_closed_window() {
        assert_eq!(
            asked(&Fal, &[], days("2026-11-01", "2026-11-19")),
            [
                "GET https://api.fal.ai/v1/models/billing-events?start=2026-11-01T00:00:00Z&end=2026-11-19T00:00:00Z\
                 &expand=auth_method_structured&limit=10000",
                "GET https://api.fal.ai/v1/models/usage?start=2026-11-01T00:00:00Z&end=2026-11-19T00:00:00Z&timezone=UTC\
                 &timeframe=day&bound_to_timeframe=false&expand=time_series,auth_method_structured",
            ]
        );
    }

    #[test]
    fn events_alone_are_asked_up_to_the_hour() {
        let urls: Vec<String> = asked_hourly(&Fal, &[]).iter().map(url).collect();
        assert_eq!(
            urls,
            ["GET https://api.fal.ai/v1/models/billing-events?start=2026-11-17T00:00:00Z&expand=auth_method_structured\
              &limit=10000&end=2026-11-18T19:00:00Z"]
        );
    }

    #[test]
    fn no_question_spans_more_than_ninety_days() {
        let urls = asked(&Fal, &[("reports", "billing_events")], days("2026-08-01", "2026-11-19"));
        let window = |url: &str| url.split_once("start=").unwrap().1.chars().take(45).collect::<String>();
        assert_eq!(
            urls.iter().map(|url| window(url)).collect::<Vec<_>>(),
            ["2026-08-01T00:00:00Z&end=2026-10-30T00:00:00Z", "2026-10-30T00:00:00Z&end=2026-11-19T00:00:00Z"]
        );
    }

    #[test]
    fn the_key_is_shown_as_fal_wants_it_and_the_cursor_is_opaque() {
        let settings = settings(&[("reports", "billing_events")]);
        let first =
            Fal.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap().remove(0);
        assert_eq!(first.auth, Auth::Authorization("Key"));
        let next = |text: &str| Fal.next(&first, &Page { file: "page", bytes: text.as_bytes(), group_by: &[] });
        let second = next(r#"{"billing_events":[],"next_cursor":"Mg==","has_more":true}"#).unwrap().unwrap();
        assert_eq!(url(&second), format!("{}&cursor=Mg==", url(&first)));
        assert_eq!(next(r#"{"billing_events":[],"next_cursor":null,"has_more":false}"#), Ok(None));
        assert!(next(r#"{"billing_events":[],"next_cursor":null,"has_more":true}"#).is_err());
    }
}
