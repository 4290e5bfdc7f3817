//! fal's platform API: billing events and usage by day with opaque cursors, and what is no charge: the balance, prices
//! and keys.

use super::{Refusal, Reply, World, account, day, not_found, number, part, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

/// The id of the key that asks: the part before the colon.
pub const KEY_ID: &str = "3f0c9a1e-77aa-4d55-9a5c-0c8a9b1f2d31";

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("fal", seen, "authorization", "Key ") else {
        return Err(error(401, "authorization_error", "Access denied"));
    };
    let bad = |message: &str| error(400, "validation_error", message);
    if seen.method != "GET" {
        return Err(not_found());
    }
    match seen.path() {
        "/v1/account/billing" if seen.query("expand").as_deref() == Some("credits") => {
            return Ok(json!({ "username": account, "credits": { "current_balance": 24.5, "currency": "USD" } }));
        }
        "/v1/keys" => return keys(world, account, seen),
        "/v1/models/pricing" => return prices(seen),
        _ => {}
    }
    let time = |name: &str| seen.query(name).map(|text| day(&text)).ok_or_else(|| bad("the simulator has no clock"));
    let (from, to) = (time("start")?, time("end")?);
    if (to - from).num_days() > 90 {
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

fn keys(world: &World, account: &str, seen: &Seen) -> Reply {
    let key =
        |id: &str, alias: &str| json!({ "key_id": id, "alias": alias, "scope": "API", "created_at": "2026-03-02T12:00:00Z" });
    let all = match account {
        "acme" => vec![key("fal-growth", "growth-prod"), key(KEY_ID, "tieout"), key("fal-old", "old-demo")],
        _ => vec![key("fal-studio", "studio-prod")],
    };
    // Few keys a page, so that there is more than one.
    let size = world.page_size.min(2);
    let (keys, next) = part(&all, size, seen.query("cursor").as_deref(), "keys")
        .map_err(|()| error(400, "validation_error", "cursor: not of this query"))?;
    Ok(json!({ "keys": keys, "next_cursor": next, "has_more": next.is_some() }))
}

/// Prices of 1 to 50 endpoints, named in one parameter or in several.
fn prices(seen: &Seen) -> Reply {
    let asked = seen.queries("endpoint_id").join(",");
    let asked: Vec<&str> = asked.split(',').filter(|endpoint| !endpoint.is_empty()).collect();
    if asked.is_empty() || asked.len() > 50 {
        return Err(error(400, "validation_error", "endpoint_id: 1 to 50 endpoints"));
    }
    let known = [("fal-ai/flux/dev", 0.025, "image"), ("fal-ai/flux-pro/kontext", 0.05, "image"), ("fal-ai/veo3", 0.4, "second")];
    let mut prices = Vec::new();
    for endpoint in asked {
        let (_, price, unit) = known.iter().find(|(known, ..)| *known == endpoint).ok_or_else(not_found)?;
        prices.push(json!({ "endpoint_id": endpoint, "unit_price": price, "unit": unit, "currency": "USD" }));
    }
    Ok(json!({ "prices": prices, "next_cursor": null, "has_more": false }))
}

fn error(status: u16, kind: &str, message: &str) -> Refusal {
    refused(status, json!({ "error": { "type": kind, "message": message, "request_id": "req-sim" } }))
}
