//! BigQuery's REST API with the billing export behind it: a token for a signed claim, a query that takes a while,
//! pages of cells.

use super::{Refusal, Reply, World, day, not_found, number, part, refused};
use crate::fault_server::Seen;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const ACCOUNT: &str = "01AB23-CD45EF-678901";

pub fn reply(world: &World, seen: &Seen) -> Reply {
    if seen.path() == "/token" {
        return token(seen);
    }
    if seen.header("authorization") != Some(&format!("Bearer {}", access())) {
        return Err(error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."));
    }
    let job = seen.path().strip_prefix("/bigquery/v2/projects/acme-jobs/queries").ok_or_else(not_found)?;
    match (seen.method.as_str(), job.strip_prefix('/')) {
        ("POST", None) if job.is_empty() => start(seen),
        ("GET", Some(job)) => results(world, seen, job),
        _ => Err(not_found()),
    }
}

fn error(status: u16, code: &str, message: &str) -> Refusal {
    refused(status, json!({ "error": { "code": status, "message": message, "status": code } }))
}

fn access() -> String {
    super::key("google", "access")
}

/// A token for a claim that the key of the fixture has signed.
fn token(seen: &Seen) -> Reply {
    let denied = || refused(400, json!({ "error": "invalid_grant", "error_description": "Invalid JWT Signature." }));
    let body = Seen { target: format!("/?{}", String::from_utf8_lossy(&seen.body)), ..seen.clone() };
    if body.query("grant_type").as_deref() != Some("urn:ietf:params:oauth:grant-type:jwt-bearer") {
        return Err(denied());
    }
    let assertion = body.query("assertion").ok_or_else(denied)?;
    let (signed, signature) = assertion.rsplit_once('.').ok_or_else(denied)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| denied())?;
    let claim = signed.split_once('.').and_then(|(_, claim)| URL_SAFE_NO_PAD.decode(claim).ok()).ok_or_else(denied)?;
    let claim: Value = serde_json::from_slice(&claim).map_err(|_| denied())?;
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public_key());
    key.verify(signed.as_bytes(), &signature).map_err(|_| denied())?;
    let lasts = claim["exp"].as_i64().zip(claim["iat"].as_i64()).map(|(exp, iat)| exp - iat);
    if claim["scope"] != "https://www.googleapis.com/auth/bigquery.readonly"
        || !lasts.is_some_and(|lasts| (1..=3600).contains(&lasts))
    {
        return Err(denied());
    }
    Ok(json!({ "access_token": access(), "expires_in": 3599, "token_type": "Bearer" }))
}

/// A key file as Google hands it out, with this token address. Its key was made for these tests and opens nothing.
pub fn key_file(token_uri: &str) -> String {
    let pem = include_str!("../../../fixtures/simulator/service-account.pem");
    json!({
        "type": "service_account", "project_id": "acme-jobs", "private_key_id": "simulated", "private_key": pem,
        "client_email": "tieout@acme-jobs.iam.gserviceaccount.com", "token_uri": token_uri,
    })
    .to_string()
}

fn public_key() -> Vec<u8> {
    use ring::signature::KeyPair;
    let pem = include_str!("../../../fixtures/simulator/service-account.pem");
    let base: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(base).unwrap();
    ring::signature::RsaKeyPair::from_pkcs8(&der).unwrap().public_key().as_ref().to_vec()
}

/// The query has not ended yet. The job's name says what was asked.
fn start(seen: &Seen) -> Reply {
    let bad = |message: &str| error(400, "INVALID_ARGUMENT", message);
    let body: Value = serde_json::from_slice(&seen.body).map_err(|_| bad("not JSON"))?;
    let query = body["query"].as_str().unwrap_or_default();
    if !query.contains("gcp_billing_export_v1_01AB23_CD45EF_678901") || body["useLegacySql"] != false {
        return Err(bad("Not found: Table"));
    }
    let parameter = |name: &str| {
        let all = body["queryParameters"].as_array()?;
        let value = &all.iter().find(|parameter| parameter["name"] == name)?["parameterValue"]["value"];
        value.as_str().map(|text| day(text).format("%Y%m%d").to_string())
    };
    let (from, to) = parameter("from").zip(parameter("to")).ok_or_else(|| bad("Query parameter not found"))?;
    let job = format!("job_{from}_{to}");
    Ok(
        json!({ "kind": "bigquery#queryResponse", "jobReference": { "projectId": "acme-jobs", "jobId": job, "location": "EU" }, "jobComplete": false }),
    )
}

fn results(world: &World, seen: &Seen, job: &str) -> Reply {
    let bad = |message: &str| error(400, "INVALID_ARGUMENT", message);
    if seen.query("location").as_deref() != Some("EU")
        || seen.query("formatOptions.timestampOutputFormat").as_deref() != Some("ISO8601_STRING")
    {
        return Err(error(404, "NOT_FOUND", "Not found: Job acme-jobs"));
    }
    let [_, from, to] = job.split('_').collect::<Vec<_>>()[..] else { return Err(error(404, "NOT_FOUND", "Not found: Job")) };
    let date = |text: &str| chrono::NaiveDate::parse_from_str(text, "%Y%m%d").map_err(|_| bad("Invalid job"));
    let rows = world.between("google", ACCOUNT, "rows", date(from)?, date(to)?);
    let size = usize::try_from(number(seen, "maxResults").unwrap_or(1000)).unwrap().min(world.page_size);
    let (page, next) = part(&rows, size, seen.query("pageToken").as_deref(), job).map_err(|()| bad("Invalid page token"))?;
    let columns = columns();
    let cells: Vec<Value> = page.iter().map(|row| record(&columns, row)).collect();
    let mut answer = json!({
        "kind": "bigquery#getQueryResultsResponse", "schema": { "fields": columns },
        "jobReference": { "projectId": "acme-jobs", "jobId": job, "location": "EU" },
        "totalRows": rows.len().to_string(), "jobComplete": true,
    });
    if !cells.is_empty() {
        answer["rows"] = Value::Array(cells);
    }
    if let Some(next) = next {
        answer["pageToken"] = json!(next);
    }
    Ok(answer)
}

/// The columns of the query in sql/.
fn columns() -> Value {
    let text = |name: &str| json!({ "name": name, "type": "STRING", "mode": "NULLABLE" });
    let float = |name: &str| json!({ "name": name, "type": "FLOAT", "mode": "NULLABLE" });
    let time = |name: &str| json!({ "name": name, "type": "TIMESTAMP", "mode": "NULLABLE" });
    let of = |name: &str, mode: &str, fields: Value| json!({ "name": name, "type": "RECORD", "mode": mode, "fields": fields });
    json!([
        text("billing_account_id"),
        of("service", "NULLABLE", json!([text("id"), text("description")])),
        of("sku", "NULLABLE", json!([text("id"), text("description")])),
        time("usage_start_time"),
        time("usage_end_time"),
        of("project", "NULLABLE", json!([text("id"), text("number")])),
        of("labels", "REPEATED", json!([text("key"), text("value")])),
        float("cost"),
        text("currency"),
        of("usage", "NULLABLE", json!([float("amount"), text("unit")])),
        of("credits", "REPEATED", json!([text("id"), text("full_name"), text("type"), text("name"), float("amount")])),
        of("adjustment_info", "NULLABLE", json!([text("id"), text("description"), text("type"), text("mode")])),
        of("invoice", "NULLABLE", json!([text("month")])),
        text("cost_type"),
        float("cost_at_list"),
    ])
}

/// A row as cells: every scalar is a text.
fn record(columns: &Value, row: &Value) -> Value {
    let cell = |column: &Value| {
        let value = &row[column["name"].as_str().unwrap()];
        let one = |value: &Value| match (column.get("fields"), value) {
            (_, Value::Null) => Value::Null,
            (Some(fields), value) => record(fields, value),
            (None, Value::String(text)) if column["type"] == "TIMESTAMP" => {
                json!(text.replace(' ', "T").replace("TUTC", "Z"))
            }
            (None, Value::String(text)) => json!(text),
            (None, other) => json!(other.to_string()),
        };
        match (column["mode"].as_str(), value) {
            (Some("REPEATED"), Value::Array(parts)) => {
                json!({ "v": parts.iter().map(|part| json!({ "v": one(part) })).collect::<Vec<_>>() })
            }
            (Some("REPEATED"), _) => json!({ "v": [] }),
            (_, value) => json!({ "v": one(value) }),
        }
    };
    json!({ "f": columns.as_array().unwrap().iter().map(cell).collect::<Vec<_>>() })
}
