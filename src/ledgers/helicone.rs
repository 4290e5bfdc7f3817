//! Helicone's table `request_response_rmt`: several versions of a row stand in it until they merge, and whether
//! cached tokens are part of the prompt depends on the provider.

use super::routes::{provider, upstream};
use super::values::{less, map, micros, number, shown, sum};
use super::{Kind, Memory, Raw, Read, Row, Settings, Version, digest, fields};
use crate::domain::ledger_columns::Column;
use crate::domain::ledger_findings::Finding;
use crate::domain::money::Amount;
use crate::domain::period::parse_instant;
use crate::domain::usage::Precision;

fields! {
    RequestId "request_id"
    CreatedAt "request_created_at"
    AnsweredAt "response_created_at"
    UpdatedAt "updated_at"
    Status "status"
    Model "model"
    Provider "provider"
    PromptTokens "prompt_tokens"
    CompletionTokens "completion_tokens"
    CacheWriteTokens "prompt_cache_write_tokens"
    CacheReadTokens "prompt_cache_read_tokens"
    Cost "cost"
    Passthrough "is_passthrough_billing"
    CacheReference "cache_reference_id"
    UserId "user_id"
    OrganizationId "organization_id"
    ProxyKeyId "proxy_key_id"
    TargetUrl "target_url"
    Properties "properties"
}

pub const KIND: Kind = Kind {
    name: "helicone",
    fields: FIELDS,
    required: &["request_id", "request_created_at", "updated_at", "status", "model", "provider", "cost"],
    time: "request_created_at",
    table: None,
    // Whole billionths of a dollar.
    precision: Precision::Rounded(9),
    lists: &["data"],
    version: Some(version),
    read,
};

const NO_REFERENCE: &str = "00000000-0000-0000-0000-000000000000";
/// `cost` counts billionths of a dollar.
const NANO: i128 = 1_000_000_000;

fn version(raw: &Raw<'_>) -> Option<Version> {
    // Not by the sort key: a row whose model changed between writes never merges away.
    let id = digest((raw.text(F::OrganizationId as usize), raw.text(F::RequestId as usize)?));
    Some(Version { id, version: micros(raw.text(F::UpdatedAt as usize)?)? })
}

fn read(raw: &Raw<'_>, _: &mut Memory, settings: &Settings, row: &mut Row) -> Result<Read, String> {
    let text = |field: F| raw.text(field as usize);
    row.set_if(Column::RequestId, text(F::RequestId));
    row.set(Column::Attempt, "1");
    row.set_if(Column::StartedAt, text(F::CreatedAt));
    row.set_if(Column::FinishedAt, text(F::AnsweredAt));
    row.set_if(Column::Model, text(F::Model));
    row.set_if(Column::UserId, text(F::UserId));
    let day = text(F::CreatedAt).and_then(parse_instant).map(|at| at.date_naive());
    let word = text(F::Provider).map(provider);
    row.upstream(upstream(&settings.routes, &[text(F::ProxyKeyId), text(F::TargetUrl), text(F::Provider)], day, word.as_deref()));
    row.needs_provider("provider", text(F::Provider))?;
    match text(F::Passthrough) {
        None => {}
        Some("true" | "1") => row.set(Column::Funding, "credits"),
        Some("false" | "0") => row.set(Column::Funding, "byok"),
        Some(other) => return Err(format!("is_passthrough_billing: expected true or false, found {}", shown(other))),
    }
    let properties = map("properties", text(F::Properties))?;
    for (column, name) in [(Column::Team, "Team"), (Column::Feature, "Feature"), (Column::Client, "Client")] {
        let exact = properties.iter().find(|(key, _)| key == name);
        let found = exact.or_else(|| properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)));
        let value = found.map(|(_, value)| value.trim()).filter(|value| !value.is_empty());
        row.set_if(column, value);
        match (column, value) {
            (Column::Team, None) => row.note(Finding::NoTeam),
            (Column::Team, Some(_)) if exact.is_none() => row.note(Finding::TeamKeyVariant),
            _ => {}
        }
    }
    let total = tokens(raw, row)?;
    let status = match text(F::CacheReference) {
        Some(reference) if reference != NO_REFERENCE => "cache_hit",
        _ => status(text(F::Status), row)?,
    };
    row.set(Column::Status, status);
    cost(raw, status, total, row)?;
    Ok(Read::Call)
}

/// Anthropic's count of the prompt leaves out what was cached; the others' includes it.
fn tokens(raw: &Raw<'_>, row: &mut Row) -> Result<Amount, String> {
    let count = |field: F, name| number(name, raw.text(field as usize));
    let prompt = count(F::PromptTokens, "prompt_tokens")?;
    let output = count(F::CompletionTokens, "completion_tokens")?;
    let read = count(F::CacheReadTokens, "prompt_cache_read_tokens")?;
    let written = count(F::CacheWriteTokens, "prompt_cache_write_tokens")?;
    let exclusive = row.get(Column::Provider) == Some("anthropic");
    let input = match (exclusive, less(prompt.unwrap_or_default(), sum(&[read, written]))) {
        (true, _) => prompt,
        (false, Some(input)) => prompt.map(|_| input),
        (false, None) => {
            row.note(Finding::CacheOutsideInput);
            prompt
        }
    };
    row.amount(Column::InputTokens, input);
    row.amount(Column::CacheReadTokens, read);
    row.amount(Column::CacheWrite5mTokens, written);
    row.amount(Column::OutputTokens, output);
    Ok(sum(&[prompt, output, read, written]))
}

/// The HTTP status; what is none says that there was no final answer.
fn status(text: Option<&str>, row: &mut Row) -> Result<&'static str, String> {
    let text = text.ok_or("status: expected an HTTP status, found nothing")?;
    let code: i64 = text.parse().map_err(|_| format!("status: expected an HTTP status, found {}", shown(text)))?;
    Ok(match code {
        200..300 => "ok",
        408 | 504 => "timeout",
        499 => "cancelled",
        100..600 => "error",
        _ => {
            row.note(Finding::NoFinalStatus);
            "timeout"
        }
    })
}

fn cost(raw: &Raw<'_>, status: &str, tokens: Amount, row: &mut Row) -> Result<(), String> {
    let text = raw.text(F::Cost as usize).unwrap_or("0");
    let nanos: i128 = text.parse().map_err(|_| format!("cost: expected whole billionths of a dollar, found {}", shown(text)))?;
    let cost = Amount::ONE.mul_div(nanos, NANO).ok_or_else(|| format!("cost: {} is too large", shown(text)))?;
    match status {
        "ok" if cost.is_zero() && !tokens.is_zero() => row.note(Finding::Unpriced),
        "ok" => row.amount(Column::ExpectedCost, Some(cost)),
        "cache_hit" if !cost.is_zero() => row.note_of(Finding::CacheHitCosted, cost),
        "cache_hit" => {}
        _ => {
            row.amount(Column::ExpectedCost, Some(cost));
            if !cost.is_zero() {
                row.note_of(Finding::FailureCosted, cost);
            }
            if tokens.is_zero() {
                row.note(Finding::FailureUnmeasured);
            }
        }
    }
    Ok(())
}
