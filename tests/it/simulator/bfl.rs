//! Black Forest Labs: the balance is all that there is.

use super::{Reply, World, account, not_found, refused};
use crate::fault_server::Seen;
use serde_json::json;

pub fn reply(_world: &World, seen: &Seen) -> Reply {
    if account("bfl", seen, "x-key", "").is_none() {
        return Err(refused(403, json!({ "detail": "Not authenticated" })));
    }
    if (seen.method.as_str(), seen.path()) != ("GET", "/v1/credits") {
        return Err(not_found());
    }
    Ok(json!({ "credits": 860.5 }))
}
