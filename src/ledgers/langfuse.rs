//! Langfuse's observations, from scheduled exports, either table, or a trace as it is downloaded. Only
//! generations and embeddings are calls; overlapping exports repeat rows, and detail keys may be parts of
//! input and output or stand beside them.

use super::routes::{provider, provider_of_model, upstream};
use super::values::{digits, json, map, micros, shown, sum, tag, text_at, texts};
use super::{Kind, Memory, Raw, Read, Row, Settings, Version, digest, fields};
use crate::domain::ledger_columns::Column;
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::money::Amount;
use crate::domain::period::parse_instant;
use crate::domain::usage::Precision;
use serde_json::Value;

fields! {
    Id "id" ["span_id"]
    ProjectId "project_id" ["projectId"]
    Type "type"
    StartTime "start_time" ["startTime"]
    EndTime "end_time" ["endTime"]
    Metadata "metadata"
    Level "level"
    Model "provided_model_name" ["providedModelName", "model"]
    Usage "usage_details" ["usageDetails"]
    Costs "cost_details" ["costDetails"]
    Total "total_cost" ["totalCost", "calculated_total_cost", "calculatedTotalCost"]
    UpdatedAt "updated_at" ["updatedAt"]
    EventAt "event_ts"
    IsDeleted "is_deleted"
    UserId "user_id" ["userId"]
    Tags "tags"
}

pub const KIND: Kind = Kind {
    name: "langfuse",
    fields: FIELDS,
    required: &["id", "type", "start_time", "provided_model_name", "usage_details", "total_cost"],
    time: "start_time",
    table: None,
    // A decimal of 12 places that a float was cut to.
    precision: Precision::Cut(12),
    lists: &["observations", "data"],
    version: Some(version),
    read,
};

/// The types that are calls; the others are structure.
const CALLS: [&str; 2] = ["GENERATION", "EMBEDDING"];

fn version(raw: &Raw<'_>) -> Option<Version> {
    let text = |field: F| raw.text(field as usize);
    let written = text(F::EventAt).or(text(F::UpdatedAt)).and_then(micros);
    Some(Version { id: digest((text(F::ProjectId), text(F::Id)?)), version: written.unwrap_or(i64::MIN) })
}

fn read(raw: &Raw<'_>, _: &mut Memory, settings: &Settings, row: &mut Row) -> Result<Read, String> {
    let text = |field: F| raw.text(field as usize);
    row.set_if(Column::RequestId, text(F::Id));
    row.set(Column::Attempt, "1");
    row.set_if(Column::StartedAt, text(F::StartTime));
    row.set_if(Column::FinishedAt, text(F::EndTime));
    let costs = Details::of("cost_details", text(F::Costs))?;
    let total = row.money("total_cost", text(F::Total))?.or(costs.total);
    if !text(F::Type).is_some_and(|kind| CALLS.contains(&kind.to_ascii_uppercase().as_str())) {
        let costed = total.filter(|total| !total.is_zero());
        return Ok(costed.map_or(Read::NotACall, |amount| Read::LeftOut(Note { finding: Finding::CostOnParent, amount })));
    }
    row.amount(Column::ExpectedCost, total);
    if text(F::IsDeleted).is_some_and(|flag| flag == "1" || flag == "true") {
        return Ok(Read::LeftOut(Note { finding: Finding::Deleted, amount: row.cost() }));
    }
    let metadata = json("metadata", text(F::Metadata))?;
    serve(raw, settings, &metadata, row)?;
    let tags = texts(&json("tags", text(F::Tags))?);
    let label = |name: &str| text_at(&metadata, &[name]).or_else(|| tag(&tags, name).map(str::to_string));
    row.set_if(Column::UserId, text(F::UserId));
    row.set_if(Column::Feature, label("feature"));
    row.set_if(Column::Client, label("client"));
    let team = label("team").or(text(F::ProjectId).map(str::to_string));
    if team.is_none() {
        row.note(Finding::NoTeam);
    }
    row.set_if(Column::Team, team);
    row.set_if(Column::ProviderRequestId, text_at(&metadata, &["provider_request_id"]));
    let tokens = tokens(raw, row)?;
    if text(F::EndTime).is_none() {
        row.note(Finding::Unfinished);
    }
    let hit = text_at(&metadata, &["cache_hit"]).is_some_and(|hit| hit.eq_ignore_ascii_case("true"));
    let failed = text(F::Level).is_some_and(|level| level.eq_ignore_ascii_case("ERROR"));
    row.set(
        Column::Status,
        if hit {
            "cache_hit"
        } else if failed {
            "error"
        } else {
            "ok"
        },
    );
    let costed = total.filter(|total| !total.is_zero());
    match (hit, failed, total, costed) {
        (true, _, _, Some(cost)) => row.note_of(Finding::CacheHitCosted, cost),
        (true, ..) => {}
        (_, true, _, Some(cost)) => row.note_of(Finding::FailureCosted, cost),
        (_, true, ..) if !tokens => row.note(Finding::FailureUnmeasured),
        (_, true, ..) => {}
        (_, _, None, _) => row.note(Finding::Unpriced),
        _ => {}
    }
    parts_of_cost(&costs, total, row);
    Ok(Read::Call)
}

/// The upstream by the job, by what a framework noted, or by the model's name; the model without its path.
fn serve(raw: &Raw<'_>, settings: &Settings, metadata: &Value, row: &mut Row) -> Result<(), String> {
    let text = |field: F| raw.text(field as usize);
    let path = text(F::Model);
    let model = path.map(|path| if path.contains("/models/") { path.rsplit('/').next().unwrap_or(path) } else { path });
    row.set_if(Column::Model, model);
    let noted = text_at(metadata, &["provider"]).or_else(|| text_at(metadata, &["ls_provider"]));
    let word = noted.as_deref().map(provider).or_else(|| model.and_then(provider_of_model).map(str::to_string));
    let day = text(F::StartTime).and_then(parse_instant).map(|at| at.date_naive());
    let names = [noted.as_deref(), model, text(F::ProjectId)];
    row.upstream(upstream(&settings.routes, &names, day, word.as_deref()));
    row.needs_provider("provided_model_name", model)
}

/// A map of details: its `total`, and the other entries by the class that their key names.
#[derive(Default)]
struct Details {
    total: Option<Amount>,
    input: Option<Amount>,
    output: Option<Amount>,
    cache_read: Option<Amount>,
    written: Option<Amount>,
    written_1h: Option<Amount>,
    reasoning: Option<Amount>,
    /// Entries of none of these classes.
    other: Option<Amount>,
    /// Keys with a dot are parts of input or output, not beside them.
    dotted: bool,
}

impl Details {
    fn of(field: &str, text: Option<&str>) -> Result<Details, String> {
        let mut details = Details::default();
        for (key, value) in map(field, text)? {
            let amount = digits(&format!("{field}: {}", shown(&key)), &value)?;
            details.dotted |= key.contains('.');
            let slot = match key.as_str() {
                "total" => &mut details.total,
                "input" => &mut details.input,
                "output" => &mut details.output,
                key if key.contains("1h") => &mut details.written_1h,
                key if key.contains("creation") || key.contains("cache_write") => &mut details.written,
                key if key.contains("cache") => &mut details.cache_read,
                key if key.contains("reasoning") || key.contains("thought") => &mut details.reasoning,
                key if key.contains("input") => &mut details.input,
                key if key.contains("output") => &mut details.output,
                _ => &mut details.other,
            };
            *slot = Some(sum(&[*slot, Some(amount)]));
        }
        Ok(details)
    }

    fn beside(&self) -> Amount {
        sum(&[self.cache_read, self.written, self.written_1h, self.reasoning])
    }

    fn sum(&self) -> Amount {
        let inner = sum(&[self.input, self.output, self.other]);
        sum(&[Some(inner), Some(self.beside()).filter(|_| !self.dotted)])
    }
}

/// Tokens in disjoint classes. False when there are none.
fn tokens(raw: &Raw<'_>, row: &mut Row) -> Result<bool, String> {
    let usage = Details::of("usage_details", raw.text(F::Usage as usize))?;
    let plain = sum(&[usage.input, usage.output]);
    // `total` tells which convention the writer had: the details are parts, or they stand beside.
    let parts = usage.dotted || (usage.total == Some(plain) && !usage.beside().is_zero());
    let cached = sum(&[usage.cache_read, usage.written, usage.written_1h]);
    let mut input = usage.input;
    let mut output = usage.output;
    if parts {
        let uncached = usage.input.unwrap_or_default().checked_sub(cached).filter(|rest| !rest.is_negative());
        if uncached.is_none() {
            row.note(Finding::CacheOutsideInput);
        }
        input = uncached.or(usage.input);
    } else {
        output = output.or(usage.reasoning).map(|_| sum(&[usage.output, usage.reasoning]));
        let read = usage.cache_read.unwrap_or_default();
        let inclusive = row.get(Column::Provider) != Some("anthropic");
        if inclusive && !read.is_zero() && usage.input.is_some_and(|input| input >= read) {
            row.note_of(Finding::CacheCountedTwice, row.cost());
        }
    }
    let all = if parts { plain } else { usage.sum() };
    match usage.total {
        Some(total) if total > all => row.note(Finding::TokensOutsideClasses),
        Some(total) if total < all => row.note(Finding::TokensDoNotAddUp),
        _ => {}
    }
    row.amount(Column::InputTokens, input);
    row.amount(Column::CacheReadTokens, usage.cache_read);
    row.amount(Column::CacheWrite5mTokens, usage.written);
    row.amount(Column::CacheWrite1hTokens, usage.written_1h);
    row.amount(Column::OutputTokens, output);
    row.amount(Column::ReasoningTokens, usage.reasoning);
    Ok(!sum(&[usage.total, Some(all)]).is_zero())
}

/// What the parts of the cost differ by from its total, and values that a float cut at the last digits.
fn parts_of_cost(costs: &Details, total: Option<Amount>, row: &mut Row) {
    let Some(total) = total else { return };
    let parts = costs.sum();
    if !parts.is_zero() && parts != total {
        row.note_of(Finding::CostOutsideTotal, parts.checked_sub(total).unwrap_or_default());
    }
    // 0.000234449999 was 0.00023445 before it was a float and cut at the twelfth decimal.
    let last = total.atto() / 1_000_000 % 10_000;
    if last == 9_999 {
        row.note_of(Finding::FloatNoise, Amount::from_atto(-1_000_000));
    }
}
