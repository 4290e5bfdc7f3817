//! What an adapter asks a provider's API for, as plain data: `edge` carries it out. No secret is ever in here.

use super::BadPage;
use crate::domain::period::Days;
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use std::collections::BTreeMap;

/// The account that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Account<'a> {
    /// As the job names it.
    pub name: &'a str,
    /// What else the provider needs to know, from `[source.api]` of the job: a project, a dataset, the ids of
    /// keys. Never a secret.
    pub settings: &'a BTreeMap<String, String>,
}

impl Account<'_> {
    /// A setting, where the job gives it.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The words of a setting, which stand apart by commas or white space.
    pub fn words(&self, name: &str) -> Vec<&str> {
        let parts = self.setting(name).unwrap_or_default().split(|letter: char| letter == ',' || letter.is_whitespace());
        parts.filter(|part| !part.is_empty()).collect()
    }

    /// A setting without which nothing can be asked.
    ///
    /// # Errors
    /// The setting's name and what it is.
    pub fn needed(&self, name: &str, meaning: &str) -> Result<&str, BadPage> {
        self.setting(name).ok_or_else(|| {
            BadPage::new(
                format!("{name}: expected {meaning}, found nothing"),
                format!("add `{name}` to this source's api section"),
            )
        })
    }

    /// Whether the lists of keys, projects or workspaces are asked for too: only where the setting `names` says
    /// so, because they may need a right that costs and usage do not.
    ///
    /// # Errors
    /// A value that is neither `yes` nor `no`.
    pub fn wants_names(&self) -> Result<bool, BadPage> {
        match self.setting("names") {
            None | Some("no") => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(BadPage::new(
                format!("names: expected \"yes\" or \"no\", found {other:?}"),
                "write names = \"yes\" or leave it out",
            )),
        }
    }

    /// Which of the reports that can be asked for are wanted: those that the setting `reports` names, else
    /// those marked true.
    ///
    /// # Errors
    /// A name that is none of them.
    pub fn chosen(&self, known: &[(&'static str, bool)]) -> Result<Vec<&'static str>, BadPage> {
        let named = self.words("reports");
        if let Some(other) = named.iter().find(|name| known.iter().all(|(known, _)| known != *name)) {
            let all: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(BadPage::new(
                format!("reports: {other:?} is none that can be asked for"),
                format!("known are {}", all.join(", ")),
            ));
        }
        let wanted = |name: &str, unasked: bool| if named.is_empty() { unasked } else { named.contains(&name) };
        Ok(known.iter().filter(|(name, unasked)| wanted(name, *unasked)).map(|(name, _)| *name).collect())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    /// A question that needs a body; it changes nothing at the provider.
    Post,
}

/// How the secret is shown. The value is known to `edge` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer <secret>`.
    Bearer,
    /// `<name>: <secret>`.
    Header(&'static str),
    /// `Authorization: <word> <secret>`.
    Authorization(&'static str),
    /// The secret is a service account's key file; a token for this scope is fetched with it.
    ServiceAccount { scope: &'static str },
}

/// One question: the first page of a chain, or one that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name of the [`super::Report`] that the answer is a page of.
    pub report: &'static str,
    /// The UTC days that the whole chain speaks for.
    pub days: Days,
    /// `https://host`, without a path. The job's `base_url` replaces it.
    pub origin: &'static str,
    pub method: Method,
    /// From `/` on, already percent-encoded.
    pub path: String,
    /// In this order, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Further headers, such as a version.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: Option<String>,
    pub auth: Auth,
    /// What the answer is grouped by: handed to [`super::Adapter::parse`] with each page.
    pub group_by: Vec<String>,
    /// How the page is written.
    pub form: Form,
    /// What tells this chain from others of the same report and first day, `[a-z0-9-]`: part of its pages' file name.
    pub part: Option<String>,
    /// False where the provider cannot be asked for days: then an answer may also hold rows of other days.
    pub bounded: bool,
    /// What is asked next in the same chain, once this question has no more pages: the lists of what a list named.
    /// Nothing of it is sent with this question.
    pub then: Vec<Request>,
}

impl Request {
    /// A question without a body for JSON.
    pub fn get(report: &'static str, days: Days, origin: &'static str, path: impl Into<String>, auth: Auth) -> Request {
        Request {
            report,
            days,
            origin,
            method: Method::Get,
            path: path.into(),
            query: Vec::new(),
            headers: Vec::new(),
            body: None,
            auth,
            group_by: Vec::new(),
            form: Form::Json,
            part: None,
            bounded: true,
            then: Vec::new(),
        }
    }

    /// A question with a JSON body.
    pub fn post(
        report: &'static str,
        days: Days,
        origin: &'static str,
        path: impl Into<String>,
        auth: Auth,
        body: &serde_json::Value,
    ) -> Request {
        Request { method: Method::Post, body: Some(body.to_string()), ..Request::get(report, days, origin, path, auth) }
    }

    /// With a parameter in the query, after those that are there.
    pub fn with(mut self, name: &str, value: impl ToString) -> Request {
        self.query.push((name.to_string(), value.to_string()));
        self
    }

    /// With a parameter for each value.
    pub fn with_each(self, name: &str, values: &[&str]) -> Request {
        values.iter().fold(self, |request, value| request.with(name, value))
    }

    /// The first of some questions, with the others to follow it.
    pub fn one_by_one(questions: Vec<Request>) -> Option<Request> {
        let mut questions = questions.into_iter();
        let first = questions.next()?;
        Some(Request { then: questions.collect(), ..first })
    }

    /// The same question with one parameter of another value: the next page.
    pub fn turned(&self, name: &str, value: impl ToString) -> Request {
        let mut request = self.clone();
        request.query.retain(|(other, _)| other != name);
        request.with(name, value)
    }
}

/// Full hours up to the last one that is over: what is asked for between the nights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// The first UTC day, from its midnight on.
    pub from: NaiveDate,
    /// The end of the last hour: a full one.
    pub until: DateTime<Utc>,
}

impl Hours {
    /// The UTC days that they lie in; the last may not be over. None where no hour is over.
    pub fn days(&self) -> Days {
        let last = (self.until - Duration::seconds(1)).date_naive();
        Days { from: self.from, to: last.succ_opt().unwrap_or(last).max(self.from) }
    }

    /// The end of the hours of some of the days: a window that is closed, so that nothing arrives in it while it is paged.
    pub fn end_of(&self, days: Days) -> DateTime<Utc> {
        midnight(days.to).min(self.until)
    }
}

/// The days in pieces of at most so many, first to last: a window that the provider answers at once.
pub fn pieces(days: Days, most: u32) -> Vec<Days> {
    let mut found = Vec::new();
    let mut from = days.from;
    while from < days.to {
        let to = (from + Duration::days(i64::from(most.max(1)))).min(days.to);
        found.push(Days { from, to });
        from = to;
    }
    found
}

/// The last of the days: the one that a list of what is there now speaks for.
pub fn last_day(days: Days) -> Days {
    Days { from: days.to.pred_opt().unwrap_or(days.from), to: days.to }
}

/// The first instant of a UTC day.
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The first instant of a UTC day as RFC 3339.
pub fn rfc3339(day: NaiveDate) -> String {
    instant(midnight(day))
}

/// An instant as RFC 3339 with `Z`.
pub fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The form of an answer: its content type is checked, and the end of its file's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Csv,
}

/// How fast and how far back a provider may be asked (its sheet under "limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least time between two requests of one account.
    pub pause_ms: u32,
    /// Days before the as-of day that are asked again each night, because the provider may still change them.
    pub trailing_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pause_ms: 200, trailing_days: 35 }
    }
}

/// What the tests of all adapters need to compare questions with what a sheet says.
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::adapters::Adapter;

    pub(crate) fn days(from: &str, to: &str) -> Days {
        Days { from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    pub(crate) fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    /// Method, origin, path and query, not encoded.
    pub(crate) fn url(request: &Request) -> String {
        let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let method = if request.method == Method::Get { "GET" } else { "POST" };
        format!("{method} {}{}{mark}{}", request.origin, request.path, query.join("&"))
    }

    /// The hours of these two days until 19:00 on the second, in the questions of all chains.
    pub(crate) fn asked_hourly(adapter: &dyn Adapter, pairs: &[(&str, &str)]) -> Vec<Request> {
        let settings = settings(pairs);
        let hours = Hours { from: "2026-11-17".parse().unwrap(), until: "2026-11-18T19:00:00Z".parse().unwrap() };
        assert_eq!(hours.days(), days("2026-11-17", "2026-11-19"));
        adapter.hourly(&Account { name: "acme", settings: &settings }, hours).unwrap()
    }

    #[test]
    fn the_day_that_is_not_over_ends_with_its_last_full_hour() {
        let hours = |until: &str| Hours { from: "2026-11-17".parse().unwrap(), until: until.parse().unwrap() };
        let late = hours("2026-11-18T19:00:00Z");
        assert_eq!(late.end_of(days("2026-11-17", "2026-11-18")), midnight("2026-11-18".parse().unwrap()));
        assert_eq!(late.end_of(days("2026-11-18", "2026-11-19")), late.until);
        // Just after midnight the new day has no hour yet.
        assert_eq!(hours("2026-11-18T00:00:00Z").days(), days("2026-11-17", "2026-11-18"));
        assert_eq!(hours("2026-11-17T00:00:00Z").days().iter().count(), 0);
    }

    /// The first requests of all chains.
    pub(crate) fn asked(adapter: &dyn Adapter, pairs: &[(&str, &str)], days: Days) -> Vec<String> {
        let settings = settings(pairs);
        let requests = adapter.requests(&Account { name: "acme", settings: &settings }, days).unwrap();
        requests.iter().map(url).collect()
    }

    #[test]
    fn a_window_is_cut_without_gap_or_overlap() {
        let cut = pieces(days("2026-10-08", "2026-11-19"), 31);
        assert_eq!(cut, [days("2026-10-08", "2026-11-08"), days("2026-11-08", "2026-11-19")]);
        assert_eq!(pieces(days("2026-10-08", "2026-10-08"), 31), []);
    }
}
