//! HeyGen's lists, newest first, without any filter of days; and the wallet.

use super::{Refusal, Reply, World, account, day, not_found, number, part, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("heygen", seen, "x-api-key", "") else {
        return Err(error(401, "unauthorized", "Invalid API key"));
    };
    if (seen.method.as_str(), seen.path()) == ("GET", "/v3/users/me") {
        let wallet = json!({ "currency": "usd", "remaining_balance": 182.4417, "auto_reload": null });
        return Ok(json!({ "data": { "username": account, "billing_type": "wallet", "wallet": wallet, "subscription": null,
            "usage_based": null } }));
    }
    let list = seen.path().strip_prefix("/v3/").filter(|list| ["videos", "video-translations", "lipsyncs"].contains(list));
    let list = list.filter(|_| seen.method == "GET").ok_or_else(not_found)?;
    let limit = number(seen, "limit").unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(error(400, "invalid_parameter", "limit: 1 to 100"));
    }
    let mut rows = world.between("heygen", account, list, day("2026-01-01"), day("2027-01-01"));
    rows.sort_by_key(|row: &Value| std::cmp::Reverse(row["created_at"].as_i64()));
    // Few rows a page, so that the demo has more than one.
    let size = usize::try_from(limit).unwrap().min(world.page_size).min(4);
    let (data, next) = part(&rows, size, seen.query("token").as_deref(), list)
        .map_err(|()| error(400, "invalid_parameter", "token: not of this list"))?;
    Ok(json!({ "data": data, "has_more": next.is_some(), "next_token": next }))
}

fn error(status: u16, code: &str, message: &str) -> Refusal {
    refused(status, json!({ "error": { "code": code, "message": message, "param": null } }))
}
