//! One row of our own request ledger (contract 3.2).

use super::ledger_findings::Note;
use super::money::{Amount, Currency};
use super::usage::Quarantined;
use chrono::{DateTime, NaiveDate, Utc};

/// How a call ended, as the ledger saw it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    #[default]
    Ok,
    Error,
    Timeout,
    Cancelled,
    CacheHit,
}

impl Status {
    pub fn parse(text: &str) -> Option<Status> {
        Some(match text {
            "ok" => Status::Ok,
            "error" => Status::Error,
            "timeout" => Status::Timeout,
            "cancelled" => Status::Cancelled,
            "cache_hit" => Status::CacheHit,
            _ => return None,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Error => "error",
            Status::Timeout => "timeout",
            Status::Cancelled => "cancelled",
            Status::CacheHit => "cache_hit",
        }
    }
}

/// Who pays the provider for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Funding {
    /// The team's own key.
    Byok,
    /// The platform's prepaid credits.
    Credits,
    /// A key existed, credits paid.
    FallbackCredits,
}

impl Funding {
    pub fn parse(text: &str) -> Option<Funding> {
        Some(match text {
            "byok" => Funding::Byok,
            "credits" => Funding::Credits,
            "fallback_credits" => Funding::FallbackCredits,
            _ => return None,
        })
    }

    pub const fn name(self) -> &'static str {
        match self {
            Funding::Byok => "byok",
            Funding::Credits => "credits",
            Funding::FallbackCredits => "fallback_credits",
        }
    }
}

/// One call that reached a provider, or tried to. Columns and meaning: contract 3.2.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerEntry<'a> {
    /// Row in the source, counted from 1.
    pub row: u32,
    pub request_id: &'a str,
    pub attempt: u32,
    pub started_at: DateTime<Utc>,
    pub provider: &'a str,
    pub model: &'a str,
    pub provider_request_id: Option<&'a str>,
    pub account: Option<&'a str>,
    pub sub_account: Option<&'a str>,
    pub api_key_id: Option<&'a str>,
    pub team: Option<&'a str>,
    pub user_id: Option<&'a str>,
    pub feature: Option<&'a str>,
    pub client: Option<&'a str>,
    pub funding: Option<Funding>,
    pub status: Status,
    pub service_tier: Option<&'a str>,
    pub batch: Option<bool>,
    /// Meter and quantity, zeros left out; input classes disjoint, reasoning not among them.
    pub meters: &'a [(&'a str, Amount)],
    /// Part of the output.
    pub reasoning_tokens: Option<Amount>,
    pub expected_cost: Option<Amount>,
    pub expected_currency: Option<Currency>,
    /// What the provider's answer said that the call cost, in `expected_currency`.
    pub reported_cost: Option<Amount>,
    /// Behind an aggregator: who served the call.
    pub upstream_provider: Option<&'a str>,
    /// The aggregator's estimate of what that costs, in `expected_currency`.
    pub upstream_cost: Option<Amount>,
    /// What the platform debited.
    pub credits_charged: Option<Amount>,
    /// The unit of `credits_charged`: a currency, or the platform's own.
    pub credit_unit: Option<&'a str>,
    /// A digest of the row but for its request id, attempt, and what makes the kind of a row (provider, model, account, key,
    /// team and what else is told of many rows alike), which is compared as it is. The same row read twice is a replay.
    pub content: u64,
    /// What the row shows of its ledger's known faults. Empty for native ledgers.
    pub notes: &'a [Note],
}

/// A row that another one of the same ledger replaces or repeats: counted, never used.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut<'a> {
    pub day: NaiveDate,
    pub request_id: &'a str,
    pub note: Note,
    pub currency: Option<Currency>,
}

/// What a ledger reader hands on: every row of the window is one of the three (contract section 5, law 3).
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "consumed at once; a box would cost an allocation for every row")]
pub enum LedgerLine<'a> {
    Entry(LedgerEntry<'a>),
    Quarantined(Quarantined),
    LeftOut(LeftOut<'a>),
}
