//! `GET /generation`: one call's money and its native tokens, the finest there is.

use super::entry::{self, Figures, Span, Tokens};
use super::fields;
use crate::domain::money::Currency;
use crate::domain::usage::{Charge, Line, Precision};
use serde_json::Value;

/// The objects that may be generations: an answer's `data`, or the members of a list of them.
pub fn records(answers: &[Value]) -> impl Iterator<Item = &Value> {
    answers.iter().flat_map(members).map(|record| record.get("data").filter(|data| data.is_object()).unwrap_or(record))
}

fn members(answer: &Value) -> &[Value] {
    let list = answer.as_array().or_else(|| answer.get("data").and_then(Value::as_array));
    list.map_or(std::slice::from_ref(answer), Vec::as_slice)
}

/// A generation has its own kind of id and counts tokens as the serving provider does; a chat answer
/// has the id only.
pub fn is_generation(record: &Value) -> bool {
    let native = |record: &serde_json::Map<String, Value>| record.keys().any(|key| key.starts_with("native_tokens_"));
    fields::text(record, "id").is_some_and(|id| id.starts_with("gen-")) && record.as_object().is_some_and(native)
}

/// Reads one generation or many. A list is what was pulled for a range of days and covers it; a single
/// answer is the lookup of one id and speaks for no day.
pub fn read(answers: &[Value], out: &mut dyn FnMut(Line<'_>)) {
    let mut span = Span::default();
    for (row, record) in (1..).zip(records(answers)) {
        let when = fields::text(record, "created_at");
        span.add_text(when);
        if let Err(reason) = read_one(row, record, out) {
            let amount = fields::number(record, "usage").ok().flatten().map(|read| read.amount);
            entry::set_aside(row, reason, when, amount, out);
        }
    }
    let single = matches!(answers, [answer] if answer.get("data").is_some_and(Value::is_object));
    if let Some(days) = span.days().filter(|_| !single) {
        out(Line::Covers(days));
    }
}

fn read_one(row: u32, record: &Value, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    if let Some(error) = record.get("error") {
        return Err(format!("error: expected a generation, found error {}", fields::found(error.get("code"))));
    }
    let id = entry::name(record, "id")?.ok_or("id: expected a generation's id, found nothing")?;
    let created = entry::instant("created_at", fields::text(record, "created_at"))?;
    let count = |key: &str| entry::count(key, fields::quantity(record, key)?);
    let tokens = Tokens::split(
        count("native_tokens_prompt")?,
        ("native_tokens_cached", count("native_tokens_cached")?),
        count("native_tokens_completion")?,
    )?;
    let is_byok = match record.get("is_byok") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_byok)) => *is_byok,
        other => return Err(format!("is_byok: expected true or false, found {}", fields::found(other))),
    };
    // Without own keys the upstream cost is part of `usage` or repeats it; adding it doubles the money.
    let estimate = match is_byok {
        true => entry::optional_money("upstream_inference_cost", fields::number(record, "upstream_inference_cost")?)?,
        false => None,
    };
    // Both names are documented for the credits charged.
    let usage = match fields::number(record, "usage")? {
        Some(usage) => Some(usage),
        None => fields::number(record, "total_cost")?,
    };
    let figures =
        Figures { usage: entry::money("usage", usage)?, estimate, requests: Some(1), tokens, precision: Precision::Exact };
    let served = served(record);
    let dated = served.map(|attempt| entry::name(attempt, "model_permaslug")).transpose()?.flatten();
    let model = entry::permaslug(entry::name(record, "model")?, dated);
    let mut charge = Charge::new(row, created, created, Currency::USD);
    charge.sub_account = entry::name(record, "workspace_id")?;
    charge.label = entry::name(record, "external_user")?;
    charge.model = model.as_deref();
    charge.service_tier = entry::name(record, "service_tier")?.map(|tier| if tier == "default" { "standard" } else { tier });
    charge.sku = entry::name(record, "provider_name")?;
    charge.request_id = Some(id);
    entry::hand_on(&charge, &figures, out);
    Ok(())
}

/// The attempt that served the call: the last one with status 200 among those before it that failed.
fn served(record: &Value) -> Option<&Value> {
    let attempts = record.get("provider_responses")?.as_array()?;
    attempts.iter().rev().find(|attempt| attempt.get("status").and_then(Value::as_u64) == Some(200))
}
