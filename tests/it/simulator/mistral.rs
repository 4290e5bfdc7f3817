//! Mistral's admin usage: one calendar month, of the organization or of a workspace; and the lists of names.

use super::{Reply, World, account, day, not_found, number, refused};
use crate::fault_server::Seen;
use chrono::{Months, NaiveDate};
use serde_json::{Value, json};

pub const WORKSPACE: &str = "0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f10";

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("mistral", seen, "x-api-key", "") else {
        return Err(refused(
            401,
            json!({ "object": "error", "message": "Unauthorized", "type": "authentication_error", "code": "1" }),
        ));
    };
    match (seen.method.as_str(), seen.path()) {
        ("GET", "/v1/admin/usage") => {}
        ("GET", "/v1/admin/workspaces") => return workspaces(seen),
        ("GET", "/v1/admin/api-keys") => return keys(seen),
        _ => return Err(not_found()),
    }
    let invalid =
        || refused(422, json!({ "detail": [{ "type": "missing", "loc": ["query", "month"], "msg": "Field required" }] }));
    let (year, month) = (number(seen, "year").ok_or_else(invalid)?, number(seen, "month").ok_or_else(invalid)?);
    let first = NaiveDate::from_ymd_opt(year as i32, month as u32, 1).ok_or_else(invalid)?;
    let next = first + Months::new(1);
    // All that the organization has is in one workspace.
    let known = seen.query("workspace_id").is_none_or(|id| id == WORKSPACE);
    let rows = if known { world.between("mistral", account, "usage", first, next) } else { Vec::new() };
    let group = |name: &str| -> Vec<Value> { rows.iter().filter(|row| row["billing_group"] == name).cloned().collect() };
    let models = if rows.is_empty() {
        json!({})
    } else {
        json!({ "mistral-small-latest::mistral-small-2603": { "input": group("input"), "output": group("output") } })
    };
    let last = next.pred_opt().unwrap();
    let months = |month: NaiveDate| month.format("%Y-%m").to_string();
    let price = |group: &str, price: &str| {
        json!({ "event_type": "api_tokens", "billing_metric": "mistral-small-2603", "billing_group": group, "api_zone": "global",
            "service_tier": "standard", "price": price })
    };
    // The running month is the last one that the world has.
    let is_over = next <= day("2026-11-01");
    Ok(json!({
        "completion": { "models": models },
        "ocr": { "models": {} }, "connectors": { "models": {} }, "audio": { "models": {} }, "audio_characters": { "models": {} },
        "vibe_usage": 0,
        "date": format!("{first}T00:00:00Z"), "previous_month": months(first - Months::new(1)),
        "next_month": if is_over { json!(months(next)) } else { Value::Null },
        "start_date": format!("{first}T00:00:00Z"), "end_date": format!("{last}T23:59:59.999Z"), "currency": "USD",
        "prices": [price("input", "1.50E-7"), price("output", "0.0000006000")],
    }))
}

/// Pages are counted, and one has two, so that there is more than one.
fn workspaces(seen: &Seen) -> Reply {
    let of =
        |uuid: &str, name: &str| json!({ "uuid": uuid, "name": name, "description": null, "icon": null, "is_default": false });
    let mut all = vec![of(WORKSPACE, "ws-research"), of("0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f11", "growth")];
    if seen.query("is_archived").as_deref() == Some("true") {
        all.push(of("0b5c7a9e-3a0e-4c55-9f1e-3d0a7c1e2f12", "old"));
    }
    let page = number(seen, "page").unwrap_or(1);
    let start = usize::try_from(page - 1).map_err(|_| refused(422, json!({ "detail": [] })))? * 2;
    let items: Vec<Value> = all.iter().skip(start).take(2).cloned().collect();
    Ok(json!({ "object": "list", "items": items, "total": all.len(), "page": page, "page_size": 2 }))
}

/// As many as were asked for, from an offset on; nothing says how many there are.
fn keys(seen: &Seen) -> Reply {
    let of = |number: usize| {
        json!({ "key_id": format!("8d2f0000-0000-4000-8000-{number:012}"), "key": null, "name": format!("developer-{number:03}"),
            "hidden_key": "HQSx...Q9aZ", "workspace_id": WORKSPACE, "workspace_name": "ws-research", "product": "API" })
    };
    let at = |name: &str, without: usize| number(seen, name).map_or(without, |number| number as usize);
    let keys: Vec<Value> = (0..101).map(of).skip(at("offset", 0)).take(at("limit", 100)).collect();
    Ok(json!({ "keys": keys }))
}
