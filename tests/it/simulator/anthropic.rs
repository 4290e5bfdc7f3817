//! Anthropic's cost and usage reports: at most five dimensions, at most 31 buckets, a version in the header.

use super::{Refusal, Reply, World, account, day, midnight, not_found, number, part, part_after, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

const USAGE_BY: [&str; 5] = ["api_key_id", "workspace_id", "model", "service_tier", "context_window"];

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("anthropic", seen, "x-api-key", "") else {
        return Err(error(401, "authentication_error", "invalid x-api-key"));
    };
    if seen.header("anthropic-version") != Some("2023-06-01") {
        return Err(error(400, "invalid_request_error", "anthropic-version: header is required"));
    }
    let report = seen.path().strip_prefix("/v1/organizations/").ok_or_else(not_found)?;
    if ["workspaces", "api_keys"].contains(&report) && seen.method == "GET" {
        return list(report, seen);
    }
    if seen.method != "GET" || !["cost_report", "usage_report/messages"].contains(&report) {
        return Err(not_found());
    }
    let bad = |message: &str| error(400, "invalid_request_error", message);
    let time = |name: &str| seen.query(name).filter(|text| text.ends_with("T00:00:00Z")).map(|text| day(&text));
    let from = time("starting_at").ok_or_else(|| bad("starting_at: Field required"))?;
    let to = time("ending_at").ok_or_else(|| bad("ending_at: the simulator has no clock"))?;
    let limit = number(seen, "limit").unwrap_or(7);
    if limit > 31 || to <= from {
        return Err(bad("limit: Input should be less than or equal to 31"));
    }
    let groups = seen.queries("group_by[]");
    let known: &[&str] = if report == "cost_report" { &["workspace_id", "description"] } else { &USAGE_BY };
    if groups.len() > 5 || groups.iter().any(|group| !known.contains(&group.as_str())) {
        return Err(bad("Cannot specify more than 5 group_by[] dimensions."));
    }
    let days: Vec<_> = from.iter_days().take_while(|day| *day < to).collect();
    let size = usize::try_from(limit).unwrap().min(world.page_size);
    let question = format!("{report} {from} {to} {groups:?}");
    let (days, next) = part(&days, size, seen.query("page").as_deref(), &question).map_err(|()| bad("page: invalid"))?;
    let bucket = |day: chrono::NaiveDate| {
        let at =
            |day: chrono::NaiveDate| chrono::DateTime::from_timestamp(midnight(day), 0).unwrap().format("%FT%TZ").to_string();
        let end = day.succ_opt().unwrap();
        json!({ "starting_at": at(day), "ending_at": at(end), "results": world.of("anthropic", account, report, day) })
    };
    let data: Vec<Value> = days.into_iter().map(bucket).collect();
    Ok(json!({ "data": data, "has_more": next.is_some(), "next_page": next }))
}

/// The lists of names. Few entries a page, so that there is more than one.
fn list(report: &str, seen: &Seen) -> Reply {
    let bad = |message: &str| error(400, "invalid_request_error", message);
    let workspace = |id: &str, name: &str| json!({ "id": id, "type": "workspace", "name": name, "archived_at": null });
    let key = |id: &str, name: &str, workspace: Value| {
        json!({ "id": id, "type": "api_key", "name": name, "workspace_id": workspace, "status": "active",
            "partial_key_hint": "sk-ant-api03-R2D...igAA" })
    };
    let all = if report == "workspaces" {
        vec![workspace("wrkspc_research", "Research"), workspace("wrkspc_support", "Support"), workspace("wrkspc_old", "Old")]
    } else {
        vec![
            key("apikey_research", "research-prod", json!("wrkspc_research")),
            key("apikey_support", "support-prod", json!("wrkspc_support")),
            key("apikey_default", "scratch", Value::Null),
        ]
    };
    if !number(seen, "limit").is_some_and(|limit| (1..=1000).contains(&limit)) {
        return Err(bad("limit: 1 to 1000"));
    }
    let (data, has_more) = part_after(&all, "id", seen.query("after_id").as_deref(), 2).map_err(|()| bad("after_id: unknown"))?;
    let end = |entry: Option<&Value>| entry.map_or(Value::Null, |entry| entry["id"].clone());
    Ok(json!({ "first_id": end(data.first()), "last_id": end(data.last()), "has_more": has_more, "data": data }))
}

fn error(status: u16, kind: &str, message: &str) -> Refusal {
    refused(status, json!({ "type": "error", "error": { "type": kind, "message": message }, "request_id": "req_sim" }))
}
