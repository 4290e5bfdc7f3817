//! Groq's metrics interface: rates per second that are as even as the days they are made of.

use super::{Reply, World, account, day_of, midnight, not_found, number, refused};
use crate::fault_server::Seen;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub fn reply(world: &World, seen: &Seen) -> Reply {
    // An ordinary key does not see this interface at all.
    let Some(account) = account("groq", seen, "authorization", "Bearer ") else {
        return Err(refused(401, json!({ "error": { "message": "Invalid API Key", "type": "invalid_request_error" } })));
    };
    if (seen.method.as_str(), seen.path()) != ("GET", "/v1/metrics/prometheus/api/v1/query_range") {
        return Err(not_found());
    }
    let bad = || refused(400, json!({ "status": "error", "errorType": "bad_data", "error": "invalid parameter" }));
    let query = seen.query("query").ok_or_else(bad)?;
    let column = match query.as_str() {
        "model_project_id:tokens_in:rate5m" => "input_tokens",
        "model_project_id:tokens_out:rate5m" => "output_tokens",
        _ => return Err(bad()),
    };
    let time = |name: &str| number(seen, name).ok_or_else(bad);
    let (start, end, step) = (time("start")?, time("end")?, time("step")?);
    if step <= 0 || (end - start) / step >= 11_000 {
        return Err(bad());
    }
    let mut series: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut at = start;
    while at <= end {
        // A sample is the average of the five minutes before it.
        for row in world.of("groq", account, "days", day_of(at - 1)) {
            let tokens: i64 = row[column].as_str().unwrap().parse().unwrap();
            let micros = tokens * 1_000_000 / 86_400;
            let model = row["model"].as_str().unwrap().to_string();
            series.entry(model).or_default().push(json!([at, format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)]));
        }
        at += step;
    }
    debug_assert_eq!(midnight(day_of(start)) % 86_400, 0);
    let result: Vec<Value> = series
        .into_iter()
        .map(|(model, values)| json!({ "metric": { "__name__": query, "model": model, "project_id": "project_support" }, "values": values }))
        .collect();
    Ok(json!({ "status": "success", "data": { "resultType": "matrix", "result": result } }))
}
