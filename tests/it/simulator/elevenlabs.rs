//! ElevenLabs' workspace analytics: columns with units, rows of the asked milliseconds; and the keys of service accounts.

use super::{Refusal, Reply, World, account, day_of, not_found, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};

pub fn reply(world: &World, seen: &Seen) -> Reply {
    let Some(account) = account("elevenlabs", seen, "xi-api-key", "") else {
        return Err(error(401, "invalid_api_key", "Invalid API key"));
    };
    if (seen.method.as_str(), seen.path()) == ("GET", "/v1/service-accounts") {
        let key = json!({ "name": "support-prod", "hint": "...9aZ", "key_id": "k1", "service_account_user_id": "sa1",
            "hashed_xi_api_key": "9b74c9897bac770ffc029102a200c5de", "is_disabled": false });
        let account =
            |id: &str, name: &str, keys: &[Value]| json!({ "service_account_user_id": id, "name": name, "api-keys": keys });
        return Ok(json!({ "service-accounts": [account("sa0", "unused", &[]), account("sa1", "support", &[key])] }));
    }
    if (seen.method.as_str(), seen.path()) != ("POST", "/v1/workspace/analytics/query/usage-by-product-over-time") {
        return Err(not_found());
    }
    let missing =
        || refused(422, json!({ "detail": [{ "loc": ["body", "start_time"], "msg": "Field required", "type": "missing" }] }));
    let body: Value = serde_json::from_slice(&seen.body).map_err(|_| missing())?;
    let time = |name: &str| body[name].as_i64().ok_or_else(missing);
    let (from, to) = (time("start_time")?, time("end_time")?);
    // Seconds for milliseconds would be a day in January 1970.
    if from < 1_577_836_800_000 || from % 86_400_000 != 0 || body["interval_seconds"] != 86_400 || body["time_zone"] != "UTC" {
        return Err(error(400, "invalid_request", "only whole UTC days since 2020 are simulated"));
    }
    let rows = world.between("elevenlabs", account, "rows", day_of(from / 1000), day_of(to / 1000));
    Ok(json!({
        "columns": ["product_type", "model", "hashed_xi_api_key", "timestamp", "total_usage", "total_minutes", "total_cost", "usage_count"],
        "column_types": ["String", "String", "String", "DateTime", "Int", "Float", "Float", "Int"],
        "column_units": [null, null, null, null, "credits", "min", "usd", null],
        "rows": rows,
    }))
}

fn error(status: u16, code: &str, message: &str) -> Refusal {
    refused(status, json!({ "detail": { "status": code, "message": message } }))
}
