//! Bifrost's table `logs`: one row for each attempt, with the provider key that it used. A cost that is not
//! there was not priced; rows left `processing` belong to calls that a crash cut off.

use super::routes::{provider, upstream};
use super::values::{json, less, number_at, shown, sum, text_at, texts};
use super::{Kind, Memory, Raw, Read, Row, Settings, digest, fields};
use crate::domain::ledger_columns::Column;
use crate::domain::ledger_findings::Finding;
use crate::domain::period::parse_instant;
use crate::domain::usage::Precision;

fields! {
    Id "id"
    Parent "parent_request_id"
    ProviderRequestId "provider_request_id"
    Timestamp "timestamp"
    Provider "provider"
    Model "model"
    Retries "number_of_retries"
    Fallback "fallback_index"
    KeyId "selected_key_id"
    KeyName "selected_key_name"
    UserId "user_id"
    TeamId "team_id"
    TeamName "team_name"
    TeamIds "team_ids"
    CustomerId "customer_id"
    Usage "token_usage"
    Cost "cost"
    Status "status"
    CacheDebug "cache_debug"
    Metadata "metadata"
}

pub const KIND: Kind = Kind {
    name: "bifrost",
    fields: FIELDS,
    required: &["id", "timestamp", "provider", "model", "status", "cost", "selected_key_id"],
    time: "timestamp",
    table: Some("logs"),
    // Read from a binary float and rounded here.
    precision: Precision::Rounded(12),
    lists: &["logs", "data"],
    version: None,
    read,
};

fn read(raw: &Raw<'_>, memory: &mut Memory, settings: &Settings, row: &mut Row) -> Result<Read, String> {
    let text = |field: F| raw.text(field as usize);
    row.set_if(Column::StartedAt, text(F::Timestamp));
    row.set_if(Column::RequestId, text(F::Id));
    let day = text(F::Timestamp).and_then(parse_instant).map(|at| at.date_naive());
    let word = text(F::Provider).map(provider);
    let names = [text(F::KeyId), text(F::KeyName), text(F::Provider)];
    row.upstream(upstream(&settings.routes, &names, day, word.as_deref()));
    row.needs_provider("provider", text(F::Provider))?;
    let prefix = text(F::Provider).map(|word| format!("{word}/"));
    let model = text(F::Model).map(|model| prefix.and_then(|prefix| model.strip_prefix(&prefix)).unwrap_or(model));
    row.set_if(Column::Model, model);
    row.set_if(Column::ProviderRequestId, text(F::ProviderRequestId));
    row.set_if(Column::UserId, text(F::UserId));
    row.set_if(Column::Client, text(F::CustomerId));
    let metadata = json("metadata", text(F::Metadata))?;
    row.set_if(Column::Feature, text_at(&metadata, &["feature"]));
    team(raw, row)?;
    attempt(raw, memory, row)?;
    let tokens = tokens(raw, row)?;
    if text(F::Retries).is_some_and(|retries| retries != "0") {
        row.note(Finding::RetriedElsewhere);
    }
    let hit = text_at(&json("cache_debug", text(F::CacheDebug))?, &["cache_hit"]).as_deref() == Some("true");
    let status = match text(F::Status) {
        _ if hit => "cache_hit",
        Some("success") => "ok",
        Some("error") => "error",
        Some("cancelled") => "cancelled",
        Some("processing") => {
            row.note(Finding::NoFinalStatus);
            "timeout"
        }
        other => {
            return Err(format!("status: expected processing, success or error, found {}", shown(other.unwrap_or_default())));
        }
    };
    row.set(Column::Status, status);
    let cost = row.money("cost", text(F::Cost))?;
    row.amount(Column::ExpectedCost, cost.filter(|_| status != "cache_hit"));
    let costed = cost.filter(|cost| !cost.is_zero());
    match (status, cost, costed) {
        ("ok", None, _) => row.note(Finding::Unpriced),
        ("ok", ..) => {}
        // A lookup in the cache has a price of its own, so a hit may cost something; no provider bills the answer.
        ("cache_hit", _, Some(cost)) => row.note_of(Finding::CacheHitCosted, cost),
        ("cache_hit", ..) => {}
        (_, _, Some(cost)) => row.note_of(Finding::FailureCosted, cost),
        _ if !tokens => row.note(Finding::FailureUnmeasured),
        _ => {}
    }
    Ok(Read::Call)
}

/// The row's team; several in one row are nobody's, because each would be counted with the whole.
fn team(raw: &Raw<'_>, row: &mut Row) -> Result<(), String> {
    let text = |field: F| raw.text(field as usize);
    let mut several = texts(&json("team_ids", text(F::TeamIds))?);
    several.sort();
    several.dedup();
    if several.len() > 1 {
        row.note(Finding::SeveralTeams);
        return Ok(());
    }
    let team = text(F::TeamId).map(str::to_string).or(several.pop()).or(text(F::TeamName).map(str::to_string));
    if team.is_none() {
        row.note(Finding::NoTeam);
    }
    row.set_if(Column::Team, team);
    Ok(())
}

/// The request that the attempt belongs to and its place in it. Where several rows claim the same place, the
/// parent is no request but a session, and they stand under their own ids.
fn attempt(raw: &Raw<'_>, memory: &mut Memory, row: &mut Row) -> Result<(), String> {
    let text = |field: F| raw.text(field as usize);
    let index = text(F::Fallback).unwrap_or("0");
    let bad = || format!("fallback_index: expected a whole number, found {}", shown(index));
    let attempt = index.parse::<u32>().ok().and_then(|index| index.checked_add(1)).ok_or_else(bad)?;
    row.set(Column::Attempt, attempt.to_string());
    let (Some(parent), Some(id)) = (text(F::Parent), text(F::Id)) else { return Ok(()) };
    if memory.first(digest((parent, attempt)), digest(id)) == digest(id) {
        row.set(Column::RequestId, parent);
    } else {
        row.note(Finding::ParentShared);
    }
    // A key of the team's own was tried and credits paid in the end.
    if row.get(Column::Funding) == Some("byok") {
        memory.first(digest((parent, "byok")), 0);
    } else if row.get(Column::Funding) == Some("credits") && attempt > 1 && memory.knows(digest((parent, "byok"))) {
        row.set(Column::Funding, "fallback_credits");
    }
    Ok(())
}

/// The usage block counts as OpenAI does: the prompt includes what was cached. False when it is empty.
fn tokens(raw: &Raw<'_>, row: &mut Row) -> Result<bool, String> {
    let usage = json("token_usage", raw.text(F::Usage as usize))?;
    let prompt = number_at(&usage, &[&["prompt_tokens"]]);
    let output = number_at(&usage, &[&["completion_tokens"]]);
    let total = number_at(&usage, &[&["total_tokens"]]);
    let details = "prompt_tokens_details";
    let read = number_at(&usage, &[&[details, "cached_tokens"], &[details, "cached_read_tokens"]]);
    let written = number_at(&usage, &[&[details, "cached_write_tokens"], &[details, "cache_creation_tokens"]]);
    let input = match less(prompt.unwrap_or_default(), sum(&[read, written])) {
        Some(input) => input,
        None => {
            row.note(Finding::CacheOutsideInput);
            prompt.unwrap_or_default()
        }
    };
    if total.is_some_and(|total| total != sum(&[prompt, output])) {
        row.note(Finding::TokensDoNotAddUp);
    }
    row.amount(Column::InputTokens, prompt.map(|_| input));
    row.amount(Column::CacheReadTokens, read);
    row.amount(Column::CacheWrite5mTokens, written);
    row.amount(Column::OutputTokens, output);
    row.amount(Column::ReasoningTokens, number_at(&usage, &[&["completion_tokens_details", "reasoning_tokens"]]));
    Ok(!sum(&[prompt, output, total]).is_zero())
}
