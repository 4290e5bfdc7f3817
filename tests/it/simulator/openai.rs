//! OpenAI's organization endpoints: buckets of UTC days, cursors that belong to one question, limits.

use super::{Refusal, Reply, World, account, day_of, midnight, not_found, number, part, part_after, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

const DIMENSIONS: [&str; 9] =
    ["project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "line_item", "size", "source"];
const FAMILIES: [&str; 10] = [
    "completions",
    "embeddings",
    "moderations",
    "images",
    "audio_speeches",
    "audio_transcriptions",
    "vector_stores",
    "code_interpreter_sessions",
    "web_search_calls",
    "file_search_calls",
];

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("openai", seen, "authorization", "Bearer ") else {
        return Err(error(401, "Incorrect API key provided", Value::Null, "invalid_api_key"));
    };
    let report = seen.path().strip_prefix("/v1/organization/").ok_or_else(not_found)?;
    if let Some(projects) = report.strip_prefix("projects") {
        return list(account, projects, seen);
    }
    let family = report.strip_prefix("usage/");
    if seen.method != "GET" || report != "costs" && !family.is_some_and(|family| FAMILIES.contains(&family)) {
        return Err(not_found());
    }
    let bad = |parameter: &str, message: &str| error(400, message, json!(parameter), "invalid_request_error");
    let from = number(seen, "start_time").ok_or_else(|| bad("start_time", "Missing required parameter"))?;
    let to = number(seen, "end_time").ok_or_else(|| bad("end_time", "the simulator has no clock"))?;
    if from % 86_400 != 0 || to % 86_400 != 0 || seen.query("bucket_width").is_some_and(|width| width != "1d") {
        return Err(bad("start_time", "only whole days are simulated"));
    }
    let (limit, most) = (number(seen, "limit").unwrap_or(7), if report == "costs" { 180 } else { 31 });
    if limit > most {
        return Err(bad("limit", "Limit must be less than or equal to the maximum"));
    }
    let groups = seen.queries("group_by[]");
    if groups
        .iter()
        .any(|group| !DIMENSIONS.contains(&group.as_str()) && !["context_level", "vector_store_id"].contains(&group.as_str()))
    {
        return Err(bad("group_by", "unknown dimension"));
    }
    let days: Vec<_> = day_of(from).iter_days().take_while(|day| midnight(*day) < to).collect();
    // Costs are clamped to 31 buckets in silence, whatever the limit.
    let size = usize::try_from(limit).unwrap().min(31).min(world.page_size);
    let question = format!("{report} {from} {to} {groups:?}");
    let (days, next) = part(&days, size, seen.query("page").as_deref(), &question)
        .map_err(|()| bad("page", "the cursor does not belong to this query"))?;
    let bucket = |day: chrono::NaiveDate| {
        let mut results = world.of("openai", account, report, day);
        for row in &mut results {
            for name in DIMENSIONS.iter().filter(|name| !groups.iter().any(|group| group == *name)) {
                if row.get(name).is_some() {
                    row[*name] = Value::Null;
                }
            }
        }
        json!({ "object": "bucket", "start_time": midnight(day), "end_time": midnight(day) + 86_400, "results": results })
    };
    let data: Vec<Value> = days.into_iter().map(bucket).collect();
    Ok(json!({ "object": "page", "data": data, "has_more": next.is_some(), "next_page": next }))
}

/// The projects of an account with their keys.
fn projects(account: &str) -> Vec<(Value, Vec<Value>)> {
    let project = |id: &str, name: &str, status: &str, keys: &[(&str, &str)]| {
        let keys = keys.iter().map(|(id, name)| {
            json!({ "object": "organization.project.api_key", "id": id, "name": name, "redacted_value": "sk-abc...def" })
        });
        let project = json!({ "id": id, "object": "organization.project", "name": name, "status": status });
        (project, keys.collect())
    };
    match account {
        "org-growth" => vec![project("proj_growth", "Growth", "active", &[("key_growth", "growth-prod")])],
        _ => vec![
            project("proj_research", "Research", "active", &[("key_research", "research-prod"), ("key_eval", "evals")]),
            project("proj_support", "Support", "active", &[("key_support", "support-prod")]),
            project("proj_old", "Old demo", "archived", &[("key_old_demo", "old-demo")]),
        ],
    }
}

/// `GET /projects` and `GET /projects/{id}/api_keys`. A project that is archived has no keys any more.
fn list(account: &str, path: &str, seen: &Seen) -> Reply {
    let projects = projects(account);
    let all: Vec<Value> = match path.strip_prefix('/').map(|path| path.strip_suffix("/api_keys").ok_or_else(not_found)) {
        None => projects.into_iter().map(|(project, _)| project).collect(),
        Some(id) => {
            let id = id?;
            let found = projects.into_iter().find(|(project, _)| project["id"] == id && project["status"] == "active");
            found.map(|(_, keys)| keys).ok_or_else(not_found)?
        }
    };
    let limit = number(seen, "limit").unwrap_or(20);
    let size = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let size = size.ok_or_else(|| error(400, "limit: 1 to 100", json!("limit"), "invalid_request_error"))?;
    let (data, has_more) = part_after(&all, "id", seen.query("after").as_deref(), size)
        .map_err(|()| error(400, "No such cursor", json!("after"), "invalid_request_error"))?;
    let end = |entry: Option<&Value>| entry.map_or(Value::Null, |entry| entry["id"].clone());
    Ok(json!({
        "object": "list", "first_id": end(data.first()), "last_id": end(data.last()), "has_more": has_more, "data": data,
    }))
}

fn error(status: u16, message: &str, param: Value, code: &str) -> Refusal {
    refused(status, json!({ "error": { "message": message, "type": "invalid_request_error", "param": param, "code": code } }))
}
