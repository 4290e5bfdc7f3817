//! The provider's words in ours: service tiers, meters, and the dimensions that several reports share.

use super::fields;
use crate::domain::usage::{Charge, meter};
use serde_json::Value;

/// Cache writes that do not say for how long: they cannot be priced exactly, so they are no meter of
/// the five-minute or the one-hour class.
pub(super) const CACHE_WRITE_TOKENS: &str = "cache_write_tokens";

/// A text field; `None` when absent, null or empty.
///
/// # Errors
/// Something that is not a text stands there.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => Err(format!("{key}: expected a text, found {}", fields::found(other))),
    }
}

/// Service tier and batch. `batch` stands among the tiers and is the standard tier, batched; the cost
/// export's `message` is no tier; of a tier that we do not know nobody can say whether it is batched.
pub(super) fn tier(word: Option<&str>) -> (Option<&str>, Option<bool>) {
    match word {
        None | Some("message") => (None, None),
        Some("batch") => (Some("standard"), Some(true)),
        Some(tier @ ("standard" | "priority" | "priority_on_demand" | "flex" | "flex_discount")) => (Some(tier), Some(false)),
        Some(other) => (Some(other), None),
    }
}

/// What a cost row counts: its token type, else its cost type. Words that we do not know stay as they
/// are, so that they show as lines of their own.
pub(super) fn cost_meter<'v>(cost_type: Option<&'v str>, token_type: Option<&'v str>) -> Option<&'v str> {
    Some(match (token_type, cost_type) {
        (Some("uncached_input_tokens" | "input_no_cache"), _) => meter::INPUT_TOKENS,
        (Some("cache_read_input_tokens" | "input_cache_read"), _) => meter::CACHE_READ_TOKENS,
        (Some("cache_creation.ephemeral_5m_input_tokens" | "input_cache_write_5m"), _) => meter::CACHE_WRITE_5M_TOKENS,
        (Some("cache_creation.ephemeral_1h_input_tokens" | "input_cache_write_1h"), _) => meter::CACHE_WRITE_1H_TOKENS,
        (Some("input_cache_write"), _) => CACHE_WRITE_TOKENS,
        (Some("output_tokens" | "output"), _) => meter::OUTPUT_TOKENS,
        (Some(other), _) => other,
        (None, Some("web_search")) => meter::WEB_SEARCHES,
        (None, Some("code_execution")) => "code_execution",
        (None, Some("session_usage")) => "sessions",
        (None, Some("tokens" | "token") | None) => return None,
        (None, Some(other)) => other,
    })
}

/// The provider's own words for the priced thing, those that are there: `0-200k, us`.
pub(super) fn sku(words: &[Option<&str>]) -> Option<String> {
    let words: Vec<&str> = words.iter().flatten().copied().collect();
    Some(words.join(", ")).filter(|sku| !sku.is_empty())
}

/// The dimensions that cost and usage rows of the API share.
#[derive(Clone, Debug)]
pub(super) struct Dimensions<'v> {
    sub_account: Option<&'v str>,
    model: Option<&'v str>,
    service_tier: Option<&'v str>,
    batch: Option<bool>,
    sku: Option<String>,
}

impl<'v> Dimensions<'v> {
    /// # Errors
    /// A dimension that is neither a text nor null.
    pub fn of(row: &'v Value) -> Result<Self, String> {
        let (service_tier, batch) = tier(text(row, "service_tier")?);
        let words = ["description", "context_window", "inference_geo", "speed"];
        let mut found = [None; 4];
        for (found, key) in found.iter_mut().zip(words) {
            *found = text(row, key)?;
        }
        // A null workspace is the default workspace in a grouped page and every workspace in one that
        // is not grouped; either way there is no id to keep.
        Ok(Dimensions {
            sub_account: text(row, "workspace_id")?,
            model: text(row, "model")?,
            service_tier,
            batch,
            sku: sku(&found),
        })
    }

    /// The charge with these dimensions.
    pub fn on<'c>(&'c self, charge: Charge<'c>) -> Charge<'c> {
        Charge {
            sub_account: self.sub_account,
            model: self.model,
            service_tier: self.service_tier,
            batch: self.batch,
            sku: self.sku.as_deref(),
            ..charge
        }
    }
}
