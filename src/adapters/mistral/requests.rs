//! What Mistral's admin API is asked: the usage of each calendar month, of the organization and of each
//! workspace that the job names, and the lists of names (the provider's sheet, section 1).

use super::super::BadPage;
use super::super::request::{Account, Auth, Limits, Request, last_day};
use super::{API_KEYS, USAGE, WORKSPACE_NAMES, WORKSPACES, workspace};
use crate::domain::period::{Days, month_start};
use chrono::{Datelike, Months, NaiveDate};

const ORIGIN: &str = "https://api.mistral.ai";
const ZONES: [&str; 3] = ["global", "us", "eu"];

pub(super) const LIMITS: Limits = Limits {
    // Limits are not documented; one call for a workspace and month is safe (section 6).
    pause_ms: 1000,
    // The lag of the running figures is not documented: the month before is read again too (section 0).
    trailing_days: 62,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    let workspaces = account.words("workspaces");
    if let Some(other) = workspaces.iter().find(|id| workspace(&format!("workspace-{id}")) != Some(**id)) {
        let what = format!("workspaces: expected the ids of workspaces, found {other:?}");
        return Err(BadPage::new(what, "take them from GET /v1/admin/workspaces: 0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10"));
    }
    let auth = auth(account)?;
    let chosen = account.chosen(&[(USAGE.name, true), (WORKSPACES.name, !workspaces.is_empty())])?;
    let mut found = Vec::new();
    let now = last_day(days);
    for (month, days) in months(days) {
        let of = |report: &'static str| {
            let request = Request::get(report, days, ORIGIN, "/v1/admin/usage", auth);
            // One month is the only window: the days after the last one asked come with it.
            Request { bounded: false, ..request.with("month", month.month()).with("year", month.year()) }
        };
        if chosen.contains(&USAGE.name) {
            found.push(zoned(of(USAGE.name), account)?);
        }
        for id in workspaces.iter().filter(|_| chosen.contains(&WORKSPACES.name)) {
            let request = of(WORKSPACES.name).with("workspace_id", id);
            found.push(zoned(Request { part: Some(format!("workspace-{id}")), ..request }, account)?);
        }
    }
    if account.wants_names()? {
        let list = |report: &'static str, path: &str| Request::get(report, now, ORIGIN, path, auth);
        found.push(list(WORKSPACE_NAMES.name, "/v1/admin/workspaces").with("is_archived", true).with("page", 1));
        found.push(list(API_KEYS.name, "/v1/admin/api-keys").with("limit", super::names::KEYS_A_PAGE));
    }
    Ok(found)
}

/// Sources differ on how the key is shown (the sheet, section 1): the documented header, unless the job says `bearer`.
fn auth(account: &Account<'_>) -> Result<Auth, BadPage> {
    match account.setting("auth") {
        None | Some("x-api-key") => Ok(Auth::Header("x-api-key")),
        Some("bearer") => Ok(Auth::Bearer),
        Some(other) => {
            let what = format!("auth: expected \"x-api-key\" or \"bearer\", found {other:?}");
            Err(BadPage::new(what, "leave it out: an Admin API key goes into x-api-key"))
        }
    }
}

fn zoned(request: Request, account: &Account<'_>) -> Result<Request, BadPage> {
    match account.setting("api_zone") {
        None => Ok(request),
        Some(zone) if ZONES.contains(&zone) => Ok(request.with("api_zone", zone)),
        Some(other) => Err(BadPage::new(format!("api_zone: expected one of global, us, eu, found {other:?}"), "or leave it out")),
    }
}

/// The months that days lie in, each with its days up to the last one asked.
fn months(days: Days) -> Vec<(NaiveDate, Days)> {
    let mut found = Vec::new();
    let mut month = month_start(days.from);
    while month < days.to {
        let Some(next) = month.checked_add_months(Months::new(1)) else { break };
        found.push((month, Days { from: month, to: next.min(days.to) }));
        month = next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::Adapter;
    use super::super::Mistral;
    use super::*;
    use crate::adapters::request::tests::{asked, days, settings};

    const ID: &str = "0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10";

    #[test]
    fn every_month_of_the_window_is_asked_as_a_whole() {
        let urls = asked(&Mistral, &[], days("2026-10-08", "2026-11-19"));
        let root = "GET https://api.mistral.ai/v1/admin/usage";
        assert_eq!(urls, [format!("{root}?month=10&year=2026"), format!("{root}?month=11&year=2026")]);
        let settings = settings(&[]);
        let requests = Mistral.requests(&Account { name: "a", settings: &settings }, days("2026-10-08", "2026-11-19")).unwrap();
        assert_eq!((requests[0].days, requests[0].auth), (days("2026-10-01", "2026-11-01"), Auth::Header("x-api-key")));
        assert_eq!((requests[1].days, requests[1].bounded), (days("2026-11-01", "2026-11-19"), false));
    }

    #[test]
    fn workspaces_are_asked_one_by_one_beside_the_organization() {
        let urls = asked(&Mistral, &[("workspaces", ID), ("api_zone", "eu")], days("2026-11-01", "2026-11-19"));
        let root = "GET https://api.mistral.ai/v1/admin/usage?month=11&year=2026";
        assert_eq!(urls, [format!("{root}&api_zone=eu"), format!("{root}&workspace_id={ID}&api_zone=eu")]);
        let settings = settings(&[("workspaces", ID), ("auth", "bearer")]);
        let requests = Mistral.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap();
        assert_eq!((requests[1].part.as_deref(), requests[1].auth), (Some(format!("workspace-{ID}").as_str()), Auth::Bearer));
    }

    #[test]
    fn a_setting_that_cannot_be_meant_is_refused() {
        for pair in [("workspaces", "growth"), ("api_zone", "asia"), ("auth", "basic")] {
            let settings = settings(&[pair]);
            let bad =
                Mistral.requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19")).unwrap_err();
            assert!(bad.what.starts_with(pair.0), "{bad:?}");
        }
    }
}
