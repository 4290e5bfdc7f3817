//! What was newest of each account in the run before, from its manifest: so that who stands still is noticed.

use super::reference::Loaded;
use crate::domain::period::parse_day;
use crate::edge::manifest::newest_fact;
use crate::stages::frozen::{Newest, newest};
use crate::stages::results::Outcome;
use serde_json::{Value, json};

/// The newest of every account, followed from the last published run.
pub fn follow(loaded: &Loaded, outcome: &Outcome) -> Vec<Newest> {
    let business_date = loaded.reference.business_date();
    let (date, before) = match newest_fact(&loaded.job.output, "newest") {
        Some((name, list)) => (Some(name.business_date), list.as_array().into_iter().flatten().filter_map(from_json).collect()),
        None => (None, Vec::new()),
    };
    newest(&outcome.coverage, &before, date, business_date)
}

/// As the manifest carries it.
pub fn to_json(newest: &[Newest]) -> Value {
    let one = |one: &Newest| {
        json!({
            "provider": one.provider, "account": one.account, "day": one.day.to_string(), "rows": one.rows,
            "since": one.since.to_string(), "runs": one.runs,
        })
    };
    newest.iter().map(one).collect()
}

fn from_json(value: &Value) -> Option<Newest> {
    let text = |field: &str| value.get(field)?.as_str().map(str::to_string);
    Some(Newest {
        provider: text("provider")?,
        account: text("account")?,
        day: parse_day(&text("day")?)?,
        rows: text("rows")?,
        since: parse_day(&text("since")?)?,
        runs: u32::try_from(value.get("runs")?.as_u64()?).ok()?,
    })
}
