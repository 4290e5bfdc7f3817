//! LiteLLM's table `LiteLLM_SpendLogs`: one row for each logged call. Its prompt counts include cached tokens,
//! its cost 0 also means "could not price", and its keys are hashes that rotate and vanish.

use super::routes::{provider, upstream};
use super::values::{at, is_unique_id, json, less, number, number_at, sum, tag, text_at, texts};
use super::{Kind, Memory, Raw, Read, Row, Settings, digest, fields};
use crate::domain::ledger_columns::Column;
use crate::domain::ledger_findings::Finding;
use crate::domain::money::Amount;
use crate::domain::period::parse_instant;
use crate::domain::usage::Precision;
use serde_json::Value;

fields! {
    RequestId "request_id"
    CallType "call_type"
    ApiKey "api_key"
    Spend "spend"
    TotalTokens "total_tokens"
    PromptTokens "prompt_tokens"
    CompletionTokens "completion_tokens"
    StartTime "startTime" ["start_time"]
    EndTime "endTime" ["end_time"]
    Model "model"
    ModelId "model_id"
    Provider "custom_llm_provider"
    ApiBase "api_base"
    User "user"
    Metadata "metadata"
    CacheHit "cache_hit"
    Tags "request_tags"
    TeamId "team_id"
    EndUser "end_user"
    SessionId "session_id"
    Status "status"
    LiveKeyTeam "live_key_team"
    SuccessorTeam "successor_team"
    DeletedKeyTeam "deleted_key_team"
    KeyState "key_state"
}

pub const KIND: Kind = Kind {
    name: "litellm",
    fields: FIELDS,
    required: &["request_id", "startTime", "model", "custom_llm_provider", "spend", "prompt_tokens", "completion_tokens"],
    time: "startTime",
    table: Some("LiteLLM_SpendLogs"),
    // Read from a binary float and rounded here.
    precision: Precision::Rounded(12),
    lists: &["data"],
    version: None,
    read,
};

/// Calls whose answer has output.
const ANSWERS: [&str; 8] = [
    "completion",
    "acompletion",
    "text_completion",
    "atext_completion",
    "anthropic_messages",
    "responses",
    "aresponses",
    "agenerate_content",
];
/// Calls that fetch an answer which was billed when it was made.
const READS: [&str; 2] = ["get_responses", "aget_responses"];

fn read(raw: &Raw<'_>, memory: &mut Memory, settings: &Settings, row: &mut Row) -> Result<Read, String> {
    let text = |field: F| raw.text(field as usize);
    let call_type = text(F::CallType).unwrap_or_default();
    row.set_if(Column::RequestId, text(F::RequestId));
    row.set(Column::Attempt, "1");
    row.set_if(Column::StartedAt, text(F::StartTime));
    row.set_if(Column::FinishedAt, text(F::EndTime));
    row.set_if(Column::UserId, text(F::User));
    let metadata = json("metadata", text(F::Metadata))?;
    let tags = texts(&json("request_tags", text(F::Tags))?);
    row.set_if(Column::Feature, tag(&tags, "feature"));
    row.set_if(Column::Client, text(F::EndUser).or(tag(&tags, "client")));
    serve(raw, settings, &metadata, row);
    row.needs_provider("custom_llm_provider", text(F::Provider))?;
    owner(raw, &metadata, row);

    let usage = Usage::of(raw, &metadata, row)?;
    let hit = text(F::CacheHit).is_some_and(|hit| hit.eq_ignore_ascii_case("true")) || is_hit_id(text(F::RequestId));
    let status = status(text(F::Status).map(str::to_string).or(text_at(&metadata, &["status"])).as_deref(), &metadata, hit)?;
    row.set(Column::Status, status);
    if call_type.contains("batch") {
        row.set(Column::Batch, "true");
        if row.get(Column::Team).is_none() && text(F::User).is_none() {
            row.note(Finding::BatchWithoutOwner);
        }
    }
    cost(raw, &metadata, &usage, status, row)?;
    if status != "cache_hit" {
        // No provider knows a hit in the proxy's own cache.
        id(text(F::RequestId), row);
    }
    if status == "ok" && ANSWERS.contains(&call_type) && usage.output.is_zero() && !usage.prompt.is_zero() {
        row.note(Finding::AnswerNotCounted);
    }
    copies(raw, &usage, memory, row);
    Ok(Read::Call)
}

/// The upstream, and the model without the prefix that names it again.
fn serve(raw: &Raw<'_>, settings: &Settings, metadata: &Value, row: &mut Row) {
    let text = |field: F| raw.text(field as usize);
    let word = text(F::Provider).map(provider);
    let day = text(F::StartTime).and_then(parse_instant).map(|at| at.date_naive());
    let names = [text(F::ModelId), text(F::ApiBase), text(F::Provider)];
    row.upstream(upstream(&settings.routes, &names, day, word.as_deref()));
    let funding = text_at(metadata, &["spend_logs_metadata", "funding"]);
    if funding.as_deref().is_some_and(|word| crate::domain::ledger::Funding::parse(word).is_some()) {
        row.set_if(Column::Funding, funding);
    }
    let prefix = text(F::Provider).map(|word| format!("{word}/"));
    let model = text(F::Model).map(|model| prefix.and_then(|prefix| model.strip_prefix(&prefix)).unwrap_or(model));
    row.set_if(Column::Model, model);
    row.set_if(Column::ServiceTier, text_at(metadata, &["cost_breakdown", "service_tier"]));
    for (column, name) in [(Column::ImageSize, "size"), (Column::ImageQuality, "quality")] {
        row.set_if(column, text_at(metadata, &["spend_logs_metadata", name]));
    }
}

/// The team: the row's own, the one noted at the time, the key's, its successor's, the deleted key's.
fn owner(raw: &Raw<'_>, metadata: &Value, row: &mut Row) {
    let text = |field: F| raw.text(field as usize).map(str::to_string);
    let noted = || text_at(metadata, &["user_api_key_team_id"]);
    let keys = || text(F::LiveKeyTeam).or(text(F::SuccessorTeam)).or(text(F::DeletedKeyTeam));
    let team = text(F::TeamId).or_else(noted).or_else(keys).or_else(|| text_at(metadata, &["user_api_key_team_alias"]));
    match raw.text(F::KeyState as usize) {
        Some("rotated") => row.note(Finding::KeyRotated),
        Some("deleted") => row.note(Finding::KeyDeleted),
        Some("unknown") => row.note(Finding::KeyUnknown),
        _ => {}
    }
    if team.is_none() {
        row.note(Finding::NoTeam);
    }
    row.set_if(Column::Team, team);
}

/// Tokens as the proxy counts them: the prompt includes what was read from and written to a cache.
struct Usage {
    prompt: Amount,
    output: Amount,
    total: Amount,
    cache_read: Amount,
}

impl Usage {
    fn of(raw: &Raw<'_>, metadata: &Value, row: &mut Row) -> Result<Usage, String> {
        let count = |field: F, name| Ok::<_, String>(number(name, raw.text(field as usize))?.unwrap_or_default());
        let prompt = count(F::PromptTokens, "prompt_tokens")?;
        let output = count(F::CompletionTokens, "completion_tokens")?;
        let total = count(F::TotalTokens, "total_tokens")?;
        let both = |paths: &[&[&str]]| {
            let within = |name| at(metadata, &[name]).and_then(|usage| number_at(usage, paths));
            within("usage_object").or_else(|| within("additional_usage_values"))
        };
        let read = both(&[&["cache_read_input_tokens"], &["prompt_tokens_details", "cached_tokens"]]);
        let written = both(&[&["cache_creation_input_tokens"], &["prompt_tokens_details", "cache_creation_tokens"]]);
        let hour = both(&[
            &["cache_creation", "ephemeral_1h_input_tokens"],
            &["prompt_tokens_details", "cache_creation_token_details", "ephemeral_1h_input_tokens"],
        ]);
        let reasoning = both(&[&["completion_tokens_details", "reasoning_tokens"]]);
        // What nobody says the life of is written for five minutes, the provider's default.
        let short = less(written.unwrap_or_default(), hour.unwrap_or_default()).unwrap_or_default();
        let cached = sum(&[read, written]);
        let input = match less(prompt, cached) {
            Some(input) => input,
            None => {
                row.note(Finding::CacheOutsideInput);
                prompt
            }
        };
        if !total.is_zero() && total != sum(&[Some(prompt), Some(output)]) {
            row.note(Finding::TokensDoNotAddUp);
        }
        row.amount(Column::InputTokens, Some(input));
        row.amount(Column::CacheReadTokens, read);
        row.amount(Column::CacheWrite5mTokens, Some(short));
        row.amount(Column::CacheWrite1hTokens, hour);
        row.amount(Column::OutputTokens, Some(output));
        row.amount(Column::ReasoningTokens, reasoning);
        Ok(Usage { prompt, output, total, cache_read: read.unwrap_or_default() })
    }
}

/// A hit in the proxy's own cache: its id ends with `_cache_hit` and the time.
fn is_hit_id(id: Option<&str>) -> bool {
    id.and_then(|id| id.rsplit_once("_cache_hit"))
        .is_some_and(|(_, time)| time.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

fn status(word: Option<&str>, metadata: &Value, hit: bool) -> Result<&'static str, String> {
    let class = text_at(metadata, &["error_information", "error_class"]).unwrap_or_default();
    Ok(match word {
        _ if hit => "cache_hit",
        // Old rows have none; failures stood in a table of their own then.
        None | Some("success") => "ok",
        Some("failure") if class.contains("Timeout") => "timeout",
        Some("failure") => "error",
        Some(other) => return Err(format!("status: expected success or failure, found {}", super::values::shown(other))),
    })
}

/// The cost that the ledger expects, and whatever is suspicious about it.
fn cost(raw: &Raw<'_>, metadata: &Value, usage: &Usage, status: &str, row: &mut Row) -> Result<(), String> {
    let spend = row.money("spend", raw.text(F::Spend as usize))?.unwrap_or_default();
    let breakdown = at(metadata, &["cost_breakdown"]);
    let total =
        breakdown.and_then(|costs| number_at(costs, &[&["total_cost"]])).map(|total| total.rounded(12)).unwrap_or_default();
    let call_type = raw.text(F::CallType as usize).unwrap_or_default();
    let media = call_type.contains("image") || call_type.contains("video") || call_type.contains("speech");
    match status {
        "cache_hit" => {
            if !spend.is_zero() {
                row.note_of(Finding::CacheHitCosted, spend);
            }
            return Ok(());
        }
        "ok" => {}
        _ => {
            row.amount(Column::ExpectedCost, Some(spend));
            if !spend.is_zero() {
                row.note_of(Finding::FailureCosted, spend);
            }
            if usage.total.is_zero() {
                row.note(Finding::FailureUnmeasured);
            }
            return Ok(());
        }
    }
    if spend.is_zero() && total > Amount::ZERO {
        row.amount(Column::ExpectedCost, Some(total));
        row.note_of(Finding::RecoveredFromBreakdown, total);
        return Ok(());
    }
    if spend.is_zero() {
        if !usage.total.is_zero() || media {
            row.note(Finding::Unpriced);
        } else {
            row.amount(Column::ExpectedCost, Some(spend));
        }
        return Ok(());
    }
    row.amount(Column::ExpectedCost, Some(spend));
    if row.get(Column::Model).is_none() {
        row.set(Column::Model, "unmodelled");
        row.note_of(Finding::Unmodelled, spend);
    }
    let answered: [&[&str]; 2] = [&["usage_object", "cost"], &["additional_usage_values", "cost"]];
    if number_at(metadata, &answered).is_some_and(|cost| cost.rounded(12) == spend) {
        row.note_of(Finding::UpstreamCostTrusted, spend);
    }
    let sized = row.get(Column::ImageSize).is_some() || row.get(Column::ImageQuality).is_some();
    if call_type.contains("image") && breakdown.is_none() && sized {
        row.note_of(Finding::FlatImagePrice, spend);
    }
    if cached_at_full_price(metadata, usage) {
        row.note_of(Finding::CacheReadAtInputPrice, spend);
    }
    Ok(())
}

/// The whole prompt was priced as uncached although the price entry that the row carries knows better.
fn cached_at_full_price(metadata: &Value, usage: &Usage) -> bool {
    let entry = |name| number_at(metadata, &[&["model_map_information", "model_map_value", name]]);
    let input_cost = number_at(metadata, &[&["cost_breakdown", "input_cost"]]);
    let (Some(input), Some(cached), Some(cost)) =
        (entry("input_cost_per_token"), entry("cache_read_input_token_cost"), input_cost)
    else {
        return false;
    };
    !usage.cache_read.is_zero()
        && cached < input
        && usage.prompt.times(input).is_some_and(|full| full.rounded(12) == cost.rounded(12))
}

/// The row's id where it is the provider's. The proxy's own ids are UUIDs, or digests of an answer.
fn id(id: Option<&str>, row: &mut Row) {
    let Some(id) = id else { return };
    let own = is_unique_id(id.strip_prefix("chatcmpl-").unwrap_or(id));
    let other = row.get(Column::Provider) == Some("anthropic") && !id.starts_with("msg_");
    if own || other {
        row.note(Finding::IdNotProviders);
    } else {
        row.set(Column::ProviderRequestId, id);
    }
}

/// One answer that was logged twice: by both ends of a bridge, or when it was fetched again.
fn copies(raw: &Raw<'_>, usage: &Usage, memory: &mut Memory, row: &mut Row) {
    let text = |field: F| raw.text(field as usize);
    if row.get(Column::Status) != Some("ok") {
        return;
    }
    if text(F::CallType).is_some_and(|call| READS.contains(&call)) && (row.cost() > Amount::ZERO || !usage.total.is_zero()) {
        return row.note_of(Finding::ReadAgain, row.cost());
    }
    // Without the session two calls that look alike may be two.
    let (Some(session), Some(start), Some(id)) = (text(F::SessionId), text(F::StartTime), text(F::RequestId)) else { return };
    if usage.total.is_zero() {
        return;
    }
    let Some(second) = parse_instant(start).map(|at| at.timestamp()) else { return };
    let model = row.get(Column::Model);
    let call = digest((session, text(F::ApiKey), model, usage.prompt.atto(), usage.output.atto(), second));
    if memory.first(call, digest(id)) != digest(id) {
        row.note_of(Finding::Duplicate, row.cost());
    }
}
