//! OpenRouter's activity by day, analytics by two dimensions, single generations, the balance and lists of names.

use super::{Refusal, Reply, World, account, day, not_found, number, refused};
use crate::fault_server::Seen;
use serde_json::{Map, Number, Value, json};
use std::collections::BTreeMap;

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("openrouter", seen, "authorization", "Bearer ") else {
        return Err(error(401, "No auth credentials found"));
    };
    match (seen.method.as_str(), seen.path()) {
        ("GET", "/api/v1/activity") => {
            let date = seen.query("date").ok_or_else(|| error(400, "the simulator has no clock"))?;
            Ok(json!({ "data": world.of("openrouter", account, "activity", day(&date)) }))
        }
        ("POST", "/api/v1/analytics/query") => analytics(world, account, seen),
        ("GET", "/api/v1/generation") => {
            let id = seen.query("id").ok_or_else(|| error(400, "id: required"))?;
            generation(world, account, &id).ok_or_else(|| error(404, "Generation not found"))
        }
        ("GET", "/api/v1/credits") => Ok(json!({ "data": { "total_credits": 100.5, "total_usage": 25.75 } })),
        ("GET", "/api/v1/workspaces" | "/api/v1/keys" | "/api/v1/byok") => list(seen),
        _ => Err(not_found()),
    }
}

const WORKSPACE: &str = "550e8400-e29b-41d4-a716-446655440001";
const DEFAULT: &str = "550e8400-e29b-41d4-a716-446655440000";

/// Workspaces, keys of one workspace (100 a page, without a count), own keys of one workspace.
fn list(seen: &Seen) -> Reply {
    let offset = usize::try_from(number(seen, "offset").unwrap_or(0)).map_err(|_| error(400, "offset: 0 or more"))?;
    let limit = number(seen, "limit").unwrap_or(50);
    if !(1..=100).contains(&limit) {
        return Err(error(400, "limit: 1 to 100"));
    }
    let workspace = seen.query("workspace_id").unwrap_or_else(|| DEFAULT.to_string());
    let key = |hash: u8, name: &str, disabled: bool| {
        let hash = format!("{hash:02x}").repeat(32);
        json!({ "hash": hash, "name": name, "label": "sk-or-v1-0e6...1c96", "disabled": disabled, "usage": 1.5,
            "workspace_id": workspace })
    };
    let own = |id: &str, provider: &str, name: Value, of: Value| {
        json!({ "id": id, "provider": provider, "name": name, "label": "sk-...AbCd", "disabled": false, "is_fallback": false,
            "sort_order": 0, "workspace_id": of })
    };
    let global = own("11111111-2222-3333-4444-555555555555", "mistral", json!("Support"), Value::Null);
    let (all, size): (Vec<Value>, usize) = match (seen.path(), workspace.as_str()) {
        ("/api/v1/workspaces", _) => {
            let of = |id: &str, name: &str, slug: &str| json!({ "id": id, "name": name, "slug": slug });
            (vec![of(DEFAULT, "Default", "default"), of(WORKSPACE, "Research", "research")], limit as usize)
        }
        // More than a page.
        ("/api/v1/keys", DEFAULT) => {
            let many = (0..100).map(|number| key(number, &format!("developer-{number:03}"), false));
            (many.chain([key(200, "growth-prod", false), key(201, "old-demo", true)]).collect(), 100)
        }
        ("/api/v1/keys", WORKSPACE) => (vec![key(202, "research-prod", false), key(203, "support-prod", false)], 100),
        ("/api/v1/byok", DEFAULT) => (vec![global], limit as usize),
        ("/api/v1/byok", WORKSPACE) => {
            let more = own("66666666-2222-3333-4444-555555555555", "openai", Value::Null, json!(WORKSPACE));
            (vec![global, more], limit as usize)
        }
        _ => return Err(error(400, "workspace_id: unknown")),
    };
    let shown = |entry: &&Value| entry["disabled"] != true || seen.query("include_disabled").as_deref() == Some("true");
    let all: Vec<Value> = all.iter().filter(shown).cloned().collect();
    let part: Vec<Value> = all.iter().skip(offset).take(size).cloned().collect();
    Ok(match seen.path() {
        "/api/v1/keys" => json!({ "data": part }),
        _ => json!({ "data": part, "total_count": all.len() }),
    })
}

fn error(status: u16, message: &str) -> Refusal {
    refused(status, json!({ "error": { "code": status, "message": message } }))
}

/// Millionths, as the log writes them.
fn micros(text: &Value) -> i64 {
    let (whole, part) = text.as_str().unwrap().split_once('.').unwrap_or((text.as_str().unwrap(), ""));
    format!("{whole}{part:0<6}").parse().unwrap()
}

fn amount(micros: i64) -> Value {
    Value::Number(format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).parse::<Number>().unwrap())
}

fn count(text: &Value) -> i64 {
    text.as_str().unwrap().parse().unwrap()
}

fn analytics(world: &World, account: &str, seen: &Seen) -> Reply {
    let body: Value = serde_json::from_slice(&seen.body).map_err(|_| error(400, "not JSON"))?;
    if body["dimensions"].as_array().is_none_or(|dimensions| dimensions.len() > 2) || body["granularity"] != "day" {
        return Err(error(400, "at most two dimensions"));
    }
    let time = |name: &str| body["time_range"][name].as_str().map(day).ok_or_else(|| error(400, "time_range: required"));
    let (from, to) = (time("start")?, time("end")?);
    if (to - from).num_days() > 31 {
        return Err(error(400, "range too long"));
    }
    // Money, estimate, own-key calls, tokens in, out, reasoning, cached, calls.
    let mut sums: BTreeMap<(String, String, String), [i64; 8]> = BTreeMap::new();
    for row in world.between("openrouter", account, "logs", from, to) {
        let word = |name: &str| row[name].as_str().unwrap().to_string();
        let key = (day(&word("created_at")).to_string(), word("api_key_name"), word("model_permaslug"));
        let estimate = micros(&row["byok_usage_inference"]);
        let figures = [
            micros(&row["cost_total"]),
            estimate,
            i64::from(estimate > 0),
            count(&row["tokens_prompt"]),
            count(&row["tokens_completion"]),
            count(&row["tokens_reasoning"]),
            count(&row["tokens_cached"]),
            1,
        ];
        let sum = sums.entry(key).or_default();
        sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
    }
    let names =
        ["byok_request_count", "tokens_prompt", "tokens_completion", "reasoning_tokens", "cached_tokens", "request_count"];
    let row = |((date, key, model), figures): ((String, String, String), [i64; 8])| {
        let mut row = Map::new();
        row.insert("created_at__day".to_string(), json!(format!("{date}T00:00:00.000Z")));
        row.insert("api_key_id".to_string(), json!(key));
        row.insert("model".to_string(), json!(model));
        row.insert("credits_usage".to_string(), amount(figures[0]));
        row.insert("byok_usage".to_string(), amount(figures[1]));
        for (name, figure) in names.iter().zip(&figures[2..]) {
            row.insert(name.to_string(), json!(figure.to_string()));
        }
        Value::Object(row)
    };
    let rows: Vec<Value> = sums.into_iter().map(row).collect();
    let metadata = json!({ "query_time_ms": 4, "row_count": rows.len(), "truncated": false });
    Ok(json!({ "data": { "data": rows, "metadata": metadata, "warnings": [] } }))
}

fn generation(world: &World, account: &str, id: &str) -> Option<Value> {
    let (from, to) = (day("2026-01-01"), day("2027-01-01"));
    let row = world.between("openrouter", account, "logs", from, to).into_iter().find(|row| row["generation_id"] == id)?;
    let (cost, estimate) = (micros(&row["cost_total"]), micros(&row["byok_usage_inference"]));
    Some(json!({ "data": {
        "id": id, "created_at": format!("{}Z", row["created_at"].as_str()?.replace(' ', "T")), "model": row["model_permaslug"],
        "provider_name": row["provider_name"], "is_byok": estimate > 0, "total_cost": amount(cost), "usage": amount(cost),
        "upstream_inference_cost": amount(estimate), "native_tokens_prompt": count(&row["tokens_prompt"]),
        "native_tokens_completion": count(&row["tokens_completion"]), "native_tokens_reasoning": 0, "native_tokens_cached": 0,
        "streamed": true, "cancelled": false,
    } }))
}
