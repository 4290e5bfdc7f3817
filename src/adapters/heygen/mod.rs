//! HeyGen: lists of videos, translations and lip-syncs. They name seconds and no money, so each job is
//! priced by the price book; what the API does not say (engine, avatar, mode) is never guessed here.

mod balance;
mod requests;

use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report, fields};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{Days, from_unix};
use crate::domain::usage::{Charge, CostBasis, Line, Quarantined, meter};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde_json::Value;

/// The HeyGen API, for one workspace.
pub struct HeyGen;

/// `GET /v3/videos`. The three lists are different money: none is a control of another.
const VIDEOS: Report = Report { name: "videos", measures: Measures::Money, rank: 0 };
/// `GET /v3/video-translations`.
const TRANSLATIONS: Report = Report { name: "video_translations", measures: Measures::Money, rank: 0 };
/// `GET /v3/lipsyncs`.
const LIPSYNCS: Report = Report { name: "lipsyncs", measures: Measures::Money, rank: 0 };
/// `GET /v3/users/me` of an account with a wallet in dollars. It does not say when: the file's name does.
const BALANCE: Report = Report { name: "balance", measures: Measures::Balance, rank: 0 };
static REPORTS: [Report; 4] = [VIDEOS, TRANSLATIONS, LIPSYNCS, BALANCE];

const HINT: &str = "save pages of GET /v3/videos, /v3/video-translations or /v3/lipsyncs";
/// The mark of our own tag at the end of a title.
const TAG: &str = "|team=";
const TAG_LENGTH_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Videos,
    Translations,
    Lipsyncs,
}

impl Adapter for HeyGen {
    fn name(&self) -> &'static str {
        "heygen"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// 7: status and duration fill in after a job was made, so lists are read again with an overlap of
    /// seven days (the provider's sheet, section 1).
    fn settle_days(&self) -> u32 {
        7
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let answer = fields::json(page.bytes).ok()?;
        if balance::of(&answer, page.file).is_some() {
            return Some(&BALANCE);
        }
        Some(match kind(answer.get("data")?.as_array()?, page.file)? {
            Kind::Videos => &VIDEOS,
            Kind::Translations => &TRANSLATIONS,
            Kind::Lipsyncs => &LIPSYNCS,
        })
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        let answer = fields::json(page.bytes)?;
        if let Some((wallet, day)) = balance::of(&answer, page.file) {
            return balance::read(wallet, day, out);
        }
        let rows = jobs(&answer)?;
        check_cursor(&answer)?;
        let Some(kind) = kind(rows, page.file) else {
            // An empty page of an unknown list has nothing to read; the job names its report.
            return if rows.is_empty() { Ok(()) } else { Err(foreign(rows)) };
        };
        let mut span: Option<(NaiveDate, NaiveDate)> = None;
        for (row, job) in (1..).zip(rows) {
            let at = made(job);
            let day = at.as_ref().ok().map(|at| at.date_naive());
            if let Some(day) = day {
                let (first, last) = span.unwrap_or((day, day));
                span = Some((first.min(day), last.max(day)));
            }
            out(match read(row, kind, job, at) {
                Ok(line) => line,
                Err(reason) => Line::Quarantined(Quarantined { row, day, reason, amount: None, currency: None }),
            });
        }
        // A list has no date filter: a page is one stretch of time, from its last job to its first.
        if let Some((from, to)) = span.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
            out(Line::Covers(Days { from, to }));
        }
        Ok(())
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        requests::next(asked, page)
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

/// The rows of a list, or what the page is instead.
fn jobs(answer: &Value) -> Result<&Vec<Value>, BadPage> {
    if let Some(error) = answer.get("error").filter(|error| !error.is_null()) {
        let code = fields::found(error.get("code"));
        return Err(BadPage::new(format!("error: the answer is an error ({code}), not a list"), "pull the page again"));
    }
    let data = answer.get("data");
    let has = |key: &str| data.and_then(|data| data.get(key)).is_some();
    if ["billing_type", "wallet", "usage_based", "remaining_quota"].into_iter().any(has) {
        return Err(BadPage::new("data: an account with its balance, not a list: a balance is not a charge", HINT));
    }
    if has("videos") {
        return Err(BadPage::new("data.videos: the list of the older API (v1), not of v3", HINT));
    }
    if data.is_some_and(Value::is_object) {
        return Err(BadPage::new("data: a single job or another object, not a list", HINT));
    }
    fields::array(answer, "data")
}

/// Refuses a page that says there is more without saying where: what follows it could never be fetched.
fn check_cursor(answer: &Value) -> Result<(), BadPage> {
    let token = answer.get("next_token");
    let told = fields::text(answer, "next_token").is_some_and(|token| !token.trim().is_empty());
    match answer.get("has_more") {
        Some(Value::Bool(true)) if !told => Err(BadPage::new(
            format!("next_token: expected a token, because has_more is true, found {}", fields::found(token)),
            "pull the list again from its first page",
        )),
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        other => Err(BadPage::new(format!("has_more: expected true or false, found {}", fields::found(other)), HINT)),
    }
}

/// Which list it is, by fields that only its rows have; by the file's name where the rows do not tell.
fn kind(rows: &[Value], file: &str) -> Option<Kind> {
    let any = |keys: &[&str]| rows.iter().any(|row| keys.iter().any(|key| row.get(key).is_some()));
    if any(&["input_language", "translate_audio_only"]) {
        return Some(Kind::Translations);
    }
    if any(&["folder_id", "video_page_url", "gif_url", "completed_at", "failure_code"]) {
        return Some(Kind::Videos);
    }
    let file = file.to_ascii_lowercase();
    let named = [
        (Kind::Translations, ["translation", "video_translate"]),
        (Kind::Lipsyncs, ["lipsync", "lip-sync"]),
        (Kind::Videos, ["videos", "video-list"]),
    ];
    let by_name = || named.iter().find(|(_, words)| words.iter().any(|word| file.contains(word))).map(|(kind, _)| *kind);
    if rows.is_empty() {
        return by_name();
    }
    match any(&["duration"]) && any(&["status"]) {
        // A translation without its languages looks the same; only a file that says so is one.
        true if any(&["callback_id"]) => Some(by_name().unwrap_or(Kind::Lipsyncs)),
        true => by_name(),
        false => None,
    }
}

fn foreign(rows: &[Value]) -> BadPage {
    let any = |key: &str| rows.iter().any(|row| row.get(key).is_some());
    if any("event_type") {
        return BadPage::new("data: events of webhooks, which name no duration", HINT);
    }
    if any("duration") && any("status") {
        return BadPage::new(
            "data: rows that may be videos, translations or lip-syncs, and nothing tells which",
            "save the answer as it came, or name the file after its list: videos, video-translations or lipsyncs",
        );
    }
    BadPage::new("data: rows that are no videos, translations or lip-syncs (status with duration)", HINT)
}

/// What a job comes to. Its cost is left to the price book: seconds × price of the product.
fn read<'a>(row: u32, kind: Kind, job: &'a Value, at: Result<DateTime<Utc>, String>) -> Result<Line<'a>, String> {
    if !job.is_object() {
        return Err(format!("expected a job, found {}", fields::found(Some(job))));
    }
    let id = word(job, "id").ok_or_else(|| format!("id: expected a job's id, found {}", fields::found(job.get("id"))))?;
    let status = word(job, "status");
    let at = at?;
    match status {
        Some("completed") => {}
        // Failed jobs are not charged (the provider's sheet, section 4).
        Some("failed") => return Ok(Line::Nothing { row, day: at.date_naive() }),
        Some("pending" | "processing" | "running") => {
            return Err(format!("status: not finished yet: expected \"completed\", found {}", fields::found(job.get("status"))));
        }
        _ => return Err(format!("status: expected \"completed\" or \"failed\", found {}", fields::found(job.get("status")))),
    }
    let seconds = fields::quantity(job, "duration")?;
    let seconds = seconds.ok_or("duration: expected the seconds of a completed job, found nothing")?;
    if seconds.is_negative() {
        return Err(format!("duration: expected zero seconds or more, found {seconds}"));
    }
    let product = product(kind, job)?;
    if seconds == Amount::ZERO {
        return Ok(Line::Nothing { row, day: at.date_naive() });
    }
    Ok(Line::Charge(Charge {
        // Titles may hold anything; of them only our own tag is kept.
        label: word(job, "title").and_then(tag).or_else(|| word(job, "folder_id")),
        model: Some(product),
        meter: Some(meter::VIDEO_SECONDS),
        quantity: Some(seconds),
        requests: Some(1),
        basis: CostBasis::Computed,
        request_id: Some(id),
        ..Charge::new(row, at, at, Currency::USD)
    }))
}

/// The product as far as the page tells it; the names map says which priced one a workspace makes.
fn product(kind: Kind, job: &Value) -> Result<&'static str, String> {
    let audio_only = match job.get("translate_audio_only") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(audio_only)) => *audio_only,
        other => return Err(format!("translate_audio_only: expected true or false, found {}", fields::found(other))),
    };
    Ok(match kind {
        // The list of videos shows translated ones too. They are not made by an avatar, and may stand in
        // the list of translations as well: under a name of their own nothing prices them by mistake.
        Kind::Videos if word(job, "output_language").is_some() => "translated_video",
        Kind::Videos => "video",
        // The one mode that a row names, with a price of its own.
        Kind::Translations if audio_only => "video_translation_audio_only",
        Kind::Translations => "video_translation",
        Kind::Lipsyncs => "lipsync",
    })
}

/// When a job was made, else when it was done: whole seconds since 1970.
fn made(job: &Value) -> Result<DateTime<Utc>, String> {
    for key in ["created_at", "completed_at"] {
        let digits = match job.get(key) {
            None | Some(Value::Null) => continue,
            Some(Value::Number(number)) => Some(number.as_str()),
            Some(Value::String(text)) => Some(text.trim()),
            Some(_) => None,
        };
        let whole = |digits: &str| i64::try_from(Amount::parse(digits).ok()?.atto().div_euclid(Amount::ONE.atto())).ok();
        // Milliseconds would lie in a far century.
        let at = digits.and_then(whole).and_then(from_unix).filter(|at| (2000..2100).contains(&at.year()));
        return at.ok_or_else(|| format!("{key}: expected seconds since 1970, found {}", fields::found(job.get(key))));
    }
    Err("created_at: expected seconds since 1970, found nothing".to_string())
}

/// The team in a title that ends with `|team=…`.
fn tag(title: &str) -> Option<&str> {
    let (_, team) = title.rsplit_once(TAG)?;
    let team = team.trim();
    let plain = team.chars().count() <= TAG_LENGTH_MAX && !team.contains(|letter: char| letter == '|' || letter.is_control());
    (!team.is_empty() && plain).then_some(team)
}

fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    fields::text(value, key).map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::price::Asked;

    fn named(file: &str, bytes: &str) -> Option<&'static str> {
        HeyGen.identify(&Page { file, bytes: bytes.as_bytes(), group_by: &[] }).map(|report| report.name)
    }

    #[test]
    fn seconds_times_the_books_price_are_exact() {
        let page = r#"{"data":[{"id":"v","status":"completed","duration":31.48,"created_at":1794993151,"folder_id":null}]}"#;
        let book = crate::job::prices::parse("heygen.toml", include_str!("../../../jobs/prices/heygen.toml")).unwrap();
        let mut costs = Vec::new();
        let page = Page { file: "page.json", bytes: page.as_bytes(), group_by: &[] };
        let result = HeyGen.parse(&page, &mut |line| {
            if let Line::Charge(charge) = line {
                assert_eq!((charge.cost, charge.basis, charge.model), (None, CostBasis::Computed, Some("video")));
                let asked = Asked {
                    model: "avatar-iv-photo",
                    meter: charge.meter.unwrap(),
                    service_tier: None,
                    batch: false,
                    context: Amount::ZERO,
                    account: "",
                    api_key_id: None,
                    day: charge.start.date_naive(),
                };
                costs.push(book.price(asked).unwrap().cost(charge.quantity.unwrap()).unwrap().to_string());
            }
        });
        assert_eq!((result, costs), (Ok(()), vec!["1.574".to_string()]));
    }

    #[test]
    fn lists_are_told_apart_by_their_rows_then_by_the_file() {
        let list = |field: &str| format!(r#"{{"data":[{{"id":"a","status":"completed","duration":1{field}}}]}}"#);
        for (field, expected) in [
            (r#","folder_id":null,"output_language":null"#, Some("videos")),
            (r#","callback_id":null,"input_language":"en""#, Some("video_translations")),
            (r#","translate_audio_only":null"#, Some("video_translations")),
            (r#","callback_id":null"#, Some("lipsyncs")),
            ("", None),
        ] {
            assert_eq!(named("page.json", &list(field)), expected, "{field}");
        }
        assert_eq!(named("heygen-videos-1.json", &list("")), Some("videos"));
        assert_eq!(named("video-translations-1.json", r#"{"data":[]}"#), Some("video_translations"));
        assert_eq!(named("Lipsyncs.json", r#"{"data":[],"has_more":false}"#), Some("lipsyncs"));
        assert_eq!(named("page.json", r#"{"data":[]}"#), None);
        for other in ["", "[]", "{", r#"{"data":{"wallet":{}}}"#, r#"{"data":[{"id":"v","status":"completed"}]}"#] {
            assert_eq!(named("videos.json", other), None, "{other}");
        }
    }

    #[test]
    fn only_a_tag_at_the_end_of_a_title_is_kept() {
        for (title, expected) in [
            ("onboarding-42|team=growth", Some("growth")),
            ("a|team=one|team=two ", Some("two")),
            ("a|team=paid social", Some("paid social")),
            ("a|team=growth|v2", None),
            ("a|team=", None),
            ("team=growth", None),
            ("Letter to a customer", None),
        ] {
            assert_eq!(tag(title), expected, "{title}");
        }
        assert_eq!(tag(&format!("a|team={}", "x".repeat(TAG_LENGTH_MAX + 1))), None);
    }

    #[test]
    fn a_page_cut_anywhere_is_refused() {
        let text = include_str!("../../../fixtures/heygen/translations-basic.json").trim_end();
        for end in 0..text.len() {
            let page = Page { file: "video-translations.json", bytes: &text.as_bytes()[..end], group_by: &[] };
            assert!(HeyGen.parse(&page, &mut |_| ()).is_err(), "{end}");
        }
    }

    #[test]
    fn the_lists_are_money_of_their_own() {
        let lists = HeyGen.reports().iter().filter(|report| report.measures == Measures::Money);
        assert_eq!(lists.map(|report| report.rank).collect::<Vec<_>>(), [0, 0, 0]);
    }
}
