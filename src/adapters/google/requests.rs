//! What BigQuery is asked: one query of the billing export over the days, and the pages of its answer (the
//! provider's sheet, section 1.2). The query's text is in sql/.

use super::super::request::{Account, Auth, Limits, Method, Request, midnight};
use super::super::{BadPage, Page, fields};
use super::EXPORT;
use crate::domain::period::Days;
use chrono::NaiveDate;
use serde_json::{Value, json};

const ORIGIN: &str = "https://bigquery.googleapis.com";
const SCOPE: &str = "https://www.googleapis.com/auth/bigquery.readonly";
const QUERY: &str = include_str!("../../../sql/google-billing-export.sql");
/// The Gemini API and Vertex AI by id, because their names change (the sheet, section 1.4).
const SERVICES: [&str; 2] = ["AEFD-7695-64FA", "C7E2-9256-1C43"];
const ROWS: u32 = 10_000;
/// How long an answer may wait for the query to end; after that it is asked for again.
const WAIT_MS: u32 = 20_000;
const TIMES: &str = "ISO8601_STRING";

pub(super) const LIMITS: Limits = Limits {
    pause_ms: 500,
    // Rows of an old hour keep arriving, and re-reading 45 days replaces them (section 1.1).
    trailing_days: 45,
};

/// One query. Settings: `project` that runs it, `table` as `project.dataset.table`; `location` outside the US and
/// EU, `services` (`all` for every service), `partitions = "none"` for a view.
pub(super) fn requests(account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
    account.chosen(&[(EXPORT.name, true)])?;
    let project = named("project", account.needed("project", "the project that runs the query")?, &[])?;
    let table = named("table", account.needed("table", "the export's table as project.dataset.table")?, &['.'])?;
    if table.split('.').count() != 3 || table.split('.').any(str::is_empty) {
        let what = format!("table: expected project.dataset.table, found {table:?}");
        return Err(BadPage::new(what, "the table's name begins with gcp_billing_export_"));
    }
    let partitions = match account.setting("partitions") {
        None => "_PARTITIONTIME >= TIMESTAMP_TRUNC(@from, DAY)",
        Some("none") => "TRUE",
        Some(other) => {
            let what = format!("partitions: expected \"none\", found {other:?}");
            return Err(BadPage::new(what, "leave it out, unless the table is a view"));
        }
    };
    let services = match account.words("services")[..] {
        [] => SERVICES.to_vec(),
        ["all"] => Vec::new(),
        ref named => named.to_vec(),
    };
    let query = QUERY.replace("{table}", &format!("`{table}`")).replace("{partitions}", partitions);
    let mut body = json!({
        "query": query,
        "useLegacySql": false,
        "maxResults": ROWS,
        "timeoutMs": WAIT_MS,
        "formatOptions": { "timestampOutputFormat": TIMES },
        "parameterMode": "NAMED",
        "queryParameters": [time("from", days.from), time("to", days.to), list("services", &services)],
    });
    if let (Some(location), Some(body)) = (account.setting("location"), body.as_object_mut()) {
        body.insert("location".to_string(), Value::from(named("location", location, &[])?));
    }
    let path = format!("/bigquery/v2/projects/{project}/queries");
    Ok(vec![Request::post(EXPORT.name, days, ORIGIN, path, Auth::ServiceAccount { scope: SCOPE }, &body)])
}

/// A name that goes into a path or a query: nothing in it may end what it stands in.
fn named<'a>(setting: &str, name: &'a str, more: &[char]) -> Result<&'a str, BadPage> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_' || more.contains(&letter);
    if name.chars().all(fits) {
        return Ok(name);
    }
    Err(BadPage::new(format!("{setting}: expected letters, digits, - and _, found {name:?}"), "write it without quotes"))
}

fn time(name: &str, day: NaiveDate) -> Value {
    let value = midnight(day).format("%Y-%m-%d %H:%M:%S+00:00").to_string();
    json!({ "name": name, "parameterType": { "type": "TIMESTAMP" }, "parameterValue": { "value": value } })
}

fn list(name: &str, values: &[&str]) -> Value {
    let values: Vec<Value> = values.iter().map(|value| json!({ "value": value })).collect();
    json!({
        "name": name,
        "parameterType": { "type": "ARRAY", "arrayType": { "type": "STRING" } },
        "parameterValue": { "arrayValues": values },
    })
}

/// A query that has not ended answers with its job and without rows.
pub(super) fn has_ended(bytes: &[u8]) -> bool {
    fields::json(bytes).map_or(true, |answer| answer.get("jobComplete") != Some(&Value::Bool(false)))
}

/// The results of the job from the page's cursor on, or once more from their beginning while it runs.
pub(super) fn next(asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
    let answer = fields::json(page.bytes)?;
    let running = answer.get("jobComplete") == Some(&Value::Bool(false));
    let cursor = fields::text(&answer, "pageToken").filter(|cursor| !cursor.is_empty());
    if !running && cursor.is_none() {
        return Ok(None);
    }
    let job = answer.get("jobReference").unwrap_or(&Value::Null);
    let id = fields::text(job, "jobId").ok_or_else(|| {
        let what =
            format!("jobReference.jobId: expected a job, because there is more, found {}", fields::found(job.get("jobId")));
        BadPage::new(what, "run again")
    })?;
    let root = asked.path.split_once("/queries").map_or(asked.path.as_str(), |(root, _)| root);
    let mut request =
        Request::get(asked.report, asked.days, asked.origin, format!("{root}/queries/{}", named("jobId", id, &[])?), asked.auth)
            .with("maxResults", ROWS)
            .with("timeoutMs", WAIT_MS)
            .with("formatOptions.timestampOutputFormat", TIMES);
    if let Some(location) = fields::text(job, "location") {
        request = request.with("location", location);
    }
    if let Some(cursor) = cursor {
        request = request.with("pageToken", cursor);
    }
    Ok(Some(Request { method: Method::Get, group_by: asked.group_by.clone(), ..request }))
}

#[cfg(test)]
mod tests {
    use super::super::super::Adapter;
    use super::super::Google;
    use super::*;
    use crate::adapters::request::tests::{days, settings, url};

    const TABLE: (&str, &str) = ("table", "acme-billing.costs.gcp_billing_export_v1_01AB23_CD45EF_678901");

    fn first(pairs: &[(&str, &str)]) -> Result<Request, BadPage> {
        let settings = settings(pairs);
        Google
            .requests(&Account { name: "a", settings: &settings }, days("2026-11-01", "2026-11-19"))
            .map(|mut all| all.remove(0))
    }

    #[test]
    fn the_export_is_queried_by_usage_time_and_service() {
        let request = first(&[("project", "acme-jobs"), TABLE, ("location", "europe-west3")]).unwrap();
        assert_eq!(url(&request), "POST https://bigquery.googleapis.com/bigquery/v2/projects/acme-jobs/queries");
        assert_eq!(request.auth, Auth::ServiceAccount { scope: "https://www.googleapis.com/auth/bigquery.readonly" });
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap()).unwrap();
        let query = body["query"].as_str().unwrap();
        assert!(query.contains("FROM `acme-billing.costs.gcp_billing_export_v1_01AB23_CD45EF_678901`\n"), "{query}");
        assert!(query.contains("_PARTITIONTIME >= TIMESTAMP_TRUNC(@from, DAY)") && !query.contains('{'), "{query}");
        assert_eq!((&body["useLegacySql"], &body["location"]), (&json!(false), &json!("europe-west3")));
        assert_eq!(body["formatOptions"], json!({ "timestampOutputFormat": "ISO8601_STRING" }));
        let parameters = &body["queryParameters"];
        assert_eq!(parameters[0]["parameterValue"], json!({ "value": "2026-11-01 00:00:00+00:00" }));
        assert_eq!(parameters[1]["parameterValue"], json!({ "value": "2026-11-19 00:00:00+00:00" }));
        let services = json!({ "arrayValues": [{ "value": "AEFD-7695-64FA" }, { "value": "C7E2-9256-1C43" }] });
        assert_eq!(parameters[2]["parameterValue"], services);
    }

    #[test]
    fn no_setting_can_change_the_query() {
        for (pairs, setting) in [
            (vec![TABLE], "project"),
            (vec![("project", "p")], "table"),
            (vec![("project", "p"), ("table", "a.b")], "table"),
            (vec![("project", "p"), ("table", "a.b.c` WHERE TRUE --")], "table"),
            (vec![("project", "p/../q"), TABLE], "project"),
            (vec![("project", "p"), TABLE, ("partitions", "TRUE OR 1")], "partitions"),
            (vec![("project", "p"), TABLE, ("location", "eu\"")], "location"),
        ] {
            let bad = first(&pairs).unwrap_err();
            assert!(bad.what.starts_with(setting), "{bad:?}");
        }
    }

    #[test]
    fn a_query_that_runs_is_asked_again_and_no_page() {
        let asked = first(&[("project", "acme-jobs"), TABLE]).unwrap();
        let page = |text: &'static str| Page { file: "p", bytes: text.as_bytes(), group_by: &[] };
        let running = page(
            r#"{"kind":"bigquery#queryResponse","jobComplete":false,"jobReference":{"projectId":"acme-jobs","jobId":"job_1","location":"EU"}}"#,
        );
        assert!(!Google.is_page(&asked, &running));
        let again = Google.next(&asked, &running).unwrap().unwrap();
        let results = "GET https://bigquery.googleapis.com/bigquery/v2/projects/acme-jobs/queries/job_1?maxResults=10000&timeoutMs=20000\
                       &formatOptions.timestampOutputFormat=ISO8601_STRING&location=EU";
        assert_eq!((url(&again), again.body.as_deref(), again.auth), (results.to_string(), None, asked.auth));
        let first = page(r#"{"jobComplete":true,"jobReference":{"jobId":"job_1","location":"EU"},"pageToken":"BFQ","rows":[]}"#);
        assert!(Google.is_page(&again, &first));
        let second = Google.next(&again, &first).unwrap().unwrap();
        assert_eq!(url(&second), format!("{results}&pageToken=BFQ"));
        assert_eq!(Google.next(&second, &page(r#"{"jobComplete":true,"rows":[]}"#)), Ok(None));
        assert!(Google.next(&second, &page(r#"{"jobComplete":true,"pageToken":"x"}"#)).is_err());
    }
}
