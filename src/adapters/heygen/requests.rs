//! What HeyGen is asked: its three lists of jobs, newest first, until they are older than the window (the
//! provider's sheet, section 1). No list can be asked for days.

use super::super::request::{Account, Auth, Hours, Limits, Request, last_day, midnight};
use super::super::{BadPage, Page, fields};
use super::{BALANCE, LIPSYNCS, TRANSLATIONS, VIDEOS, jobs, made};
use crate::domain::period::Days;

const ORIGIN: &str = "https://api.heygen.com";
const ROWS: u32 = 100;

pub(super) const LIMITS: Limits = Limits {
    // Limits of reading are not published (section 5).
    pause_ms: 500,
    // Status and duration fill in after a job was made (section 1).
    trailing_days: 7,
};

pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    // Only an account with a wallet in dollars has a balance that can be read, so that is asked on demand.
    let known = [(VIDEOS.name, true), (TRANSLATIONS.name, true), (LIPSYNCS.name, true), (BALANCE.name, false)];
    let chosen = account.chosen(&known)?;
    let path = |report: &str| match report {
        report if report == VIDEOS.name => "/v3/videos",
        report if report == TRANSLATIONS.name => "/v3/video-translations",
        _ => "/v3/lipsyncs",
    };
    let ask = |report: &'static str| {
        if report == BALANCE.name {
            return Request::get(report, last_day(days), ORIGIN, "/v3/users/me", Auth::Header("x-api-key"));
        }
        let request = Request::get(report, days, ORIGIN, path(report), Auth::Header("x-api-key"));
        Request { bounded: false, ..request.with("limit", ROWS) }
    };
    Ok(chosen.into_iter().map(ask).collect())
}

/// The lists: each of their jobs has its instant.
pub(super) fn hourly(account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
    let asked = requests(account, hours.days())?.into_iter();
    let lists = [VIDEOS.name, TRANSLATIONS.name, LIPSYNCS.name];
    Ok(asked.filter(|request| lists.contains(&request.report)).collect())
}

/// Goes on while the oldest job of the page was made inside the window, or when nobody can tell.
pub(super) fn next(asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
    if asked.report == BALANCE.name {
        return Ok(None);
    }
    let Some(token) = fields::cursor(page.bytes, "has_more", "next_token")? else { return Ok(None) };
    let answer = fields::json(page.bytes)?;
    let oldest = jobs(&answer)?.iter().filter_map(|job| made(job).ok()).min();
    let past = oldest.is_some_and(|oldest| oldest < midnight(asked.days.from));
    Ok((!past).then(|| asked.turned("token", token)))
}

#[cfg(test)]
mod tests {
    use super::super::super::Adapter;
    use super::super::HeyGen;
    use super::*;
    use crate::adapters::request::tests::{asked, asked_hourly, days, settings, url};

    #[test]
    fn the_three_lists_are_asked_from_their_newest_job() {
        let urls = asked(&HeyGen, &[], days("2026-11-01", "2026-11-19"));
        let root = "GET https://api.heygen.com/v3";
        assert_eq!(
            urls,
            [
                format!("{root}/videos?limit=100"),
                format!("{root}/video-translations?limit=100"),
                format!("{root}/lipsyncs?limit=100")
            ]
        );
    }

    #[test]
    fn the_balance_is_asked_on_demand() {
        let urls = asked(&HeyGen, &[("reports", "balance")], days("2026-11-01", "2026-11-19"));
        assert_eq!(urls, ["GET https://api.heygen.com/v3/users/me"]);
    }

    #[test]
    fn the_lists_have_instants_and_the_balance_has_none() {
        let reports = |pairs| asked_hourly(&HeyGen, pairs).iter().map(|request| request.report).collect::<Vec<_>>();
        assert_eq!(reports(&[]), ["videos", "video_translations", "lipsyncs"]);
        assert_eq!(reports(&[("reports", "videos balance")]), ["videos"]);
    }

    #[test]
    fn paging_ends_with_the_first_job_before_the_window() {
        let settings = settings(&[]);
        let asked = &HeyGen.requests(&Account { name: "a", settings: &settings }, days("2026-11-18", "2026-11-19")).unwrap()[0];
        // 2026-11-18 begins at 1794960000.
        let page = |oldest: u32| {
            format!(
                r#"{{"data":[{{"id":"a","status":"completed","duration":1,"created_at":1794993151}},
                   {{"id":"b","status":"completed","duration":1,"created_at":{oldest}}}],"has_more":true,"next_token":"t2"}}"#
            )
        };
        let next = |text: &str| HeyGen.next(asked, &Page { file: "p", bytes: text.as_bytes(), group_by: &[] });
        assert_eq!(next(&page(1_794_960_000)).unwrap().as_ref().map(url), Some(format!("{}&token=t2", url(asked))));
        assert_eq!(next(&page(1_794_959_999)), Ok(None));
        assert_eq!(next(r#"{"data":[],"has_more":false,"next_token":null}"#), Ok(None));
        assert!(next(r#"{"data":[],"has_more":true,"next_token":null}"#).is_err());
    }
}
