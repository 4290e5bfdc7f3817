//! new-api's and one-api's table `logs`: what a relay charged in quota. The charge is the price to the user;
//! what the provider is expected to bill are the same tokens at the raw ratios, without the group's ratio.

use super::routes::{provider, upstream};
use super::values::{at, digits, json, less, number, number_at, shown, sum, text_at, texts};
use super::{Kind, Memory, Raw, Read, Row, Settings, digest, fields};
use crate::domain::ledger_columns::Column;
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::money::Amount;
use crate::domain::period::from_unix;
use crate::domain::usage::Precision;
use serde_json::Value;

fields! {
    Id "id"
    UserId "user_id"
    CreatedAt "created_at"
    Type "type"
    Username "username"
    TokenName "token_name"
    ModelName "model_name"
    Quota "quota"
    PromptTokens "prompt_tokens"
    CompletionTokens "completion_tokens"
    ChannelId "channel_id" ["channel"]
    Group "group"
    Other "other"
    ChannelType "channel_type"
    QuotaPerUnit "quota_per_unit"
}

pub const KIND: Kind = Kind {
    name: "newapi",
    fields: FIELDS,
    required: &["id", "created_at", "type", "model_name", "quota", "prompt_tokens", "completion_tokens", "channel_id"],
    time: "created_at",
    table: Some("logs"),
    // Computed here from tokens and ratios.
    precision: Precision::Exact,
    lists: &["data", "items"],
    version: None,
    read,
};

/// The types of channels whose provider a job can have as a source.
const CHANNELS: [(&str, &str); 9] = [
    ("1", "openai"),
    ("3", "azure"),
    ("14", "anthropic"),
    ("20", "openrouter"),
    ("24", "gemini"),
    ("33", "bedrock"),
    ("41", "vertex_ai"),
    ("42", "mistral"),
    ("55", "openai"),
];

fn read(raw: &Raw<'_>, memory: &mut Memory, settings: &Settings, row: &mut Row) -> Result<Read, String> {
    let text = |field: F| raw.text(field as usize);
    row.set_if(Column::RequestId, text(F::Id));
    row.set(Column::Attempt, "1");
    row.set_if(Column::StartedAt, text(F::CreatedAt));
    row.set_if(Column::Team, text(F::Username));
    row.set_if(Column::Feature, text(F::TokenName));
    row.set_if(Column::UserId, text(F::UserId));
    let status = match text(F::Type).unwrap_or("2") {
        "2" => "ok",
        "5" => "error",
        "6" => "refund",
        "1" | "3" | "4" => return Ok(Read::NotACall),
        other => return Err(format!("type: expected 1 to 6, found {}", shown(other))),
    };
    let unit = match settings.quota_per_unit {
        Some(unit) => unit,
        None => number("quota_per_unit", text(F::QuotaPerUnit))?
            .filter(|unit| *unit > Amount::ZERO)
            .ok_or("quota_per_unit: neither the ledger nor the job says how much quota a dollar buys")?,
    };
    let other = json("other", text(F::Other))?;
    let quota = digits("quota", text(F::Quota).unwrap_or("0"))?;
    let charged = quota.ratio(unit).ok_or("quota: too large")?;
    if status == "refund" || quota.is_negative() || at(&other, &["quota_delta"]).is_some() {
        return Ok(Read::LeftOut(correction(raw, &other, status, charged, memory)));
    }
    serve(raw, settings, &other, row);
    row.needs_provider("channel_id", text(F::ChannelId))?;
    row.set(Column::Status, status);
    row.set(Column::CreditsCharged, charged.to_string());
    row.set(Column::CreditUnit, "USD");
    let tokens = Tokens::of(raw, &other, row)?;
    if text(F::Username).is_none() {
        row.note(Finding::NoTeam);
    }
    if at(&other, &["admin_info", "use_channel"]).is_some_and(|channels| texts(channels).len() > 1) {
        row.note(Finding::RetriedElsewhere);
    }
    if status == "error" {
        row.note(if tokens.none() { Finding::FailureUnmeasured } else { Finding::FailureCosted });
        return Ok(Read::Call);
    }
    charge(&other, &tokens, quota, unit, row);
    Ok(Read::Call)
}

/// A correction of what was charged before. Nothing keeps a retried one from being posted twice.
fn correction(raw: &Raw<'_>, other: &Value, status: &str, charged: Amount, memory: &mut Memory) -> Note {
    let amount = if status == "refund" && !charged.is_negative() { Amount::from_atto(-charged.atto()) } else { charged };
    let task = text_at(other, &["task_id"]);
    let twice = task.is_some_and(|task| {
        let id = digest(raw.text(F::Id as usize));
        memory.first(digest((task, status, charged.atto())), id) != id
    });
    Note { finding: if twice { Finding::PostedTwice } else { Finding::Correction }, amount }
}

/// The upstream by its channel, and the model that was really asked for.
fn serve(raw: &Raw<'_>, settings: &Settings, other: &Value, row: &mut Row) {
    let text = |field: F| raw.text(field as usize);
    let seconds = text(F::CreatedAt).and_then(|text| text.parse().ok());
    let day = seconds.and_then(from_unix).map(|at| at.date_naive());
    let kind = text(F::ChannelType).and_then(|kind| CHANNELS.iter().find(|(number, _)| *number == kind));
    let word = kind.map(|(_, word)| provider(word));
    row.upstream(upstream(&settings.routes, &[text(F::ChannelId), text(F::Group)], day, word.as_deref()));
    row.set_if(Column::Model, text_at(other, &["upstream_model_name"]).or(text(F::ModelName).map(str::to_string)));
}

struct Tokens {
    /// As the formula counts it.
    prompt: Amount,
    output: Amount,
    read: Amount,
    written: Amount,
    /// Anthropic's format: the prompt leaves out what was cached, and the charge is cut instead of rounded.
    exclusive: bool,
}

impl Tokens {
    fn of(raw: &Raw<'_>, other: &Value, row: &mut Row) -> Result<Tokens, String> {
        let count = |field: F, name| Ok::<_, String>(number(name, raw.text(field as usize))?.unwrap_or_default());
        let prompt = count(F::PromptTokens, "prompt_tokens")?;
        let output = count(F::CompletionTokens, "completion_tokens")?;
        let read = number_at(other, &[&["cache_tokens"]]).unwrap_or_default();
        let written = number_at(other, &[&["cache_creation_tokens"]]).unwrap_or_default();
        let exclusive = text_at(other, &["claude"]).as_deref() == Some("true");
        let input = match (exclusive, less(prompt, sum(&[Some(read), Some(written)]))) {
            (true, _) => prompt,
            (false, Some(input)) => input,
            (false, None) => {
                row.note(Finding::CacheOutsideInput);
                prompt
            }
        };
        row.amount(Column::InputTokens, Some(input));
        row.amount(Column::CacheReadTokens, Some(read));
        row.amount(Column::CacheWrite5mTokens, Some(written));
        row.amount(Column::OutputTokens, Some(output));
        Ok(Tokens { prompt, output, read, written, exclusive })
    }

    fn none(&self) -> bool {
        sum(&[Some(self.prompt), Some(self.output), Some(self.read), Some(self.written)]).is_zero()
    }
}

/// The raw cost, and whether the quota is what tokens and ratios give.
fn charge(other: &Value, tokens: &Tokens, quota: Amount, unit: Amount, row: &mut Row) {
    let ratio = |name: &str| number_at(other, &[&[name]]);
    let raw_quota = match ratio("model_price").filter(|price| *price > Amount::ZERO) {
        Some(price) => price.times(unit),
        None => raw_quota(&ratio, tokens),
    };
    let Some(raw_quota) = raw_quota else {
        // Without ratios only the price book knows.
        return row.note(if tokens.none() { Finding::NoUsage } else { Finding::Unpriced });
    };
    row.amount(Column::ExpectedCost, raw_quota.ratio(unit));
    let Some(exact) = raw_quota.times(ratio("group_ratio").unwrap_or(Amount::ONE)) else { return };
    let off = quota.checked_sub(exact).unwrap_or_default();
    let money = |quota: Amount| quota.ratio(unit).unwrap_or_default();
    if quota.is_zero() && exact > Amount::ZERO {
        row.note_of(Finding::Uncharged, money(exact));
    } else if quota == Amount::ONE && exact < Amount::ONE {
        row.note_of(Finding::QuotaFloor, money(off));
    } else if off.abs() >= Amount::ONE {
        // Rounded, cut or raised to a whole number: never a whole one away.
        row.note_of(Finding::QuotaFormula, money(off));
    }
    if tokens.none() && exact.is_zero() {
        row.note(Finding::NoUsage);
    }
}

/// `None` without a model's ratio, or where other ratios take part.
fn raw_quota(ratio: &impl Fn(&str) -> Option<Amount>, tokens: &Tokens) -> Option<Amount> {
    let model = ratio("model_ratio")?;
    if ["audio_ratio", "image_ratio"].into_iter().any(|name| ratio(name).is_some()) {
        return None;
    }
    let weighted = |tokens: Amount, name: &str| tokens.times(ratio(name).unwrap_or(Amount::ONE));
    let cached = sum(&[Some(tokens.read), Some(tokens.written)]);
    let prompt = if tokens.exclusive { tokens.prompt } else { less(tokens.prompt, cached).unwrap_or(tokens.prompt) };
    let read = weighted(tokens.read, "cache_ratio")?;
    let written = weighted(tokens.written, "cache_creation_ratio")?;
    let output = weighted(tokens.output, "completion_ratio")?;
    sum(&[Some(prompt), Some(read), Some(written), Some(output)]).times(model)
}
