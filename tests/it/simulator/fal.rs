//! fal's platform API: billing events and usage by day, with opaque cursors.

use super::{Refusal, Reply, World, account, day, not_found, number, part, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("fal", seen, "authorization", "Key ") else {
        return Err(error(401, "authorization_error", "Access denied"));
    };
    let bad = |message: &str| error(400, "validation_error", message);
    let time = |name: &str| seen.query(name).map(|text| day(&text)).ok_or_else(|| bad("the simulator has no clock"));
    let (from, to) = (time("start")?, time("end")?);
    if (to - from).num_days() > 90 || seen.method != "GET" {
        return Err(bad("the window is longer than 90 days"));
    }
    let limit = number(seen, "limit").unwrap_or(1000);
    if limit > 10_000 {
        return Err(bad("limit: at most 10000"));
    }
    let size = usize::try_from(limit).unwrap().min(world.page_size);
    let (cursor, question) = (seen.query("cursor"), format!("{} {from} {to}", seen.path()));
    let foreign = |()| bad("cursor: not of this query");
    match seen.path() {
        "/v1/models/billing-events" => {
            let mut rows = world.between("fal", account, "billing-events", from, to);
            let expanded = seen.query("expand").is_some_and(|expand| expand.contains("auth_method_structured"));
            for row in rows.iter_mut().filter(|_| !expanded) {
                row.as_object_mut().unwrap().remove("auth_method_structured");
            }
            let (rows, next) = part(&rows, size, cursor.as_deref(), &question).map_err(foreign)?;
            Ok(json!({ "billing_events": rows, "has_more": next.is_some(), "next_cursor": next }))
        }
        "/v1/models/usage" => {
            if seen.query("timeframe").as_deref() != Some("day") || seen.query("timezone").as_deref() != Some("UTC") {
                return Err(bad("only UTC days are simulated"));
            }
            let days: Vec<_> = from.iter_days().take_while(|day| *day < to).collect();
            let bucket = |day: &chrono::NaiveDate| json!({ "bucket": format!("{day}T00:00:00+00:00"), "results": world.of("fal", account, "usage", *day) });
            let filled = |bucket: &Value| bucket["results"].as_array().is_some_and(|rows| !rows.is_empty());
            let buckets: Vec<Value> = days.iter().map(bucket).filter(filled).collect();
            let (buckets, next) = part(&buckets, size, cursor.as_deref(), &question).map_err(foreign)?;
            Ok(json!({ "time_series": buckets, "has_more": next.is_some(), "next_cursor": next }))
        }
        _ => Err(not_found()),
    }
}

fn error(status: u16, kind: &str, message: &str) -> Refusal {
    refused(status, json!({ "error": { "type": kind, "message": message, "request_id": "req-sim" } }))
}
