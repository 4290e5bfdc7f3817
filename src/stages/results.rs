//! What the stages hand on: plain rows, one type for each published table.

use super::frozen::Frozen;
use super::savings::rows::Savings;
use crate::domain::ledger::Funding;
use crate::domain::ledger_findings::Finding;
use crate::domain::money::{Amount, Currency};
use crate::domain::names::ShownName;
use crate::domain::schema::Schema;
use crate::domain::spike::Spike;
use crate::domain::usage::{ChargeCategory, CostBasis};
use chrono::NaiveDate;
use rust_decimal::Decimal;

/// Which rule of the ladder placed a share (contract 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Basis {
    Request,
    BucketShare,
    Label,
    KeyOwner,
    SubAccountOwner,
    AccountOwner,
    SharedRule,
    Unattributed,
}

impl Basis {
    pub const fn name(self) -> &'static str {
        match self {
            Basis::Request => "request",
            Basis::BucketShare => "bucket_share",
            Basis::Label => "label",
            Basis::KeyOwner => "key_owner",
            Basis::SubAccountOwner => "sub_account_owner",
            Basis::AccountOwner => "account_owner",
            Basis::SharedRule => "shared_rule",
            Basis::Unattributed => "unattributed",
        }
    }
}

/// The team of shares that no rule could place.
pub const UNATTRIBUTED: &str = "unattributed";

/// A row of `attribution.csv`. Empty texts are unknown.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribution {
    pub charge_date: NaiveDate,
    pub provider: String,
    pub account: String,
    pub sub_account: String,
    pub api_key_id: String,
    pub team: String,
    pub cost_centre: String,
    pub feature: String,
    pub client: String,
    pub model: String,
    pub service_tier: String,
    pub meter: String,
    pub category: ChargeCategory,
    pub funding: Option<Funding>,
    pub basis: Basis,
    pub cost_basis: CostBasis,
    pub requests: u64,
    pub consumed_quantity: Option<Amount>,
    pub consumed_unit: String,
    pub list_cost: Option<Amount>,
    pub contracted_cost: Option<Amount>,
    pub billed_cost: Amount,
    pub currency: Currency,
    pub reporting_cost: Amount,
    pub fx_rate: Decimal,
    pub settled: bool,
    /// Only where the charge is of an hour or a request.
    pub local_date: Option<NaiveDate>,
}

/// Why provider and ledger differ (contract 4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    MissingInLedger,
    MissingAtProvider,
    UnknownKey,
    BilledFailure,
    DuplicateInLedger,
    DuplicateAtProvider,
    RetryDoubleCharge,
    CutOff,
    Timing,
    Quantity,
    CacheClass,
    ReasoningTokens,
    Price,
    StalePrice,
    Discount,
    Tier,
    Model,
    Funding,
    Unpriced,
    Fx,
    UnitSuspect,
    NonUsage,
    Rounding,
    Unexplained,
}

impl Reason {
    /// Every reason, in the order of the columns of `reconciliation.csv`.
    pub const ALL: [Reason; 24] = [
        Reason::MissingInLedger,
        Reason::MissingAtProvider,
        Reason::UnknownKey,
        Reason::BilledFailure,
        Reason::DuplicateInLedger,
        Reason::DuplicateAtProvider,
        Reason::RetryDoubleCharge,
        Reason::CutOff,
        Reason::Timing,
        Reason::Quantity,
        Reason::CacheClass,
        Reason::ReasoningTokens,
        Reason::Price,
        Reason::StalePrice,
        Reason::Discount,
        Reason::Tier,
        Reason::Model,
        Reason::Funding,
        Reason::Unpriced,
        Reason::Fx,
        Reason::UnitSuspect,
        Reason::NonUsage,
        Reason::Rounding,
        Reason::Unexplained,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Reason::MissingInLedger => "missing_in_ledger",
            Reason::MissingAtProvider => "missing_at_provider",
            Reason::UnknownKey => "unknown_key",
            Reason::BilledFailure => "billed_failure",
            Reason::DuplicateInLedger => "duplicate_in_ledger",
            Reason::DuplicateAtProvider => "duplicate_at_provider",
            Reason::RetryDoubleCharge => "retry_double_charge",
            Reason::CutOff => "cut_off",
            Reason::Timing => "timing",
            Reason::Quantity => "quantity",
            Reason::CacheClass => "cache_class",
            Reason::ReasoningTokens => "reasoning_tokens",
            Reason::Price => "price",
            Reason::StalePrice => "stale_price",
            Reason::Discount => "discount",
            Reason::Tier => "tier",
            Reason::Model => "model",
            Reason::Funding => "funding",
            Reason::Unpriced => "unpriced",
            Reason::Fx => "fx",
            Reason::UnitSuspect => "unit_suspect",
            Reason::NonUsage => "non_usage",
            Reason::Rounding => "rounding",
            Reason::Unexplained => "unexplained",
        }
    }

    /// The audit assertion that the reason touches; empty for `unexplained`.
    pub const fn assertion(self) -> &'static str {
        match self {
            Reason::MissingInLedger
            | Reason::MissingAtProvider
            | Reason::UnknownKey
            | Reason::BilledFailure
            | Reason::NonUsage => "completeness",
            Reason::DuplicateInLedger | Reason::DuplicateAtProvider | Reason::RetryDoubleCharge => "occurrence",
            Reason::CutOff | Reason::Timing => "cut-off",
            Reason::Quantity | Reason::CacheClass | Reason::ReasoningTokens | Reason::UnitSuspect | Reason::Rounding => {
                "accuracy"
            }
            Reason::Price | Reason::StalePrice | Reason::Discount | Reason::Unpriced | Reason::Fx => "valuation",
            Reason::Tier | Reason::Model | Reason::Funding => "classification",
            Reason::Unexplained => "",
        }
    }

    /// What to do about it, in one clause.
    pub const fn action(self) -> &'static str {
        match self {
            Reason::MissingInLedger => "find the caller that bypasses the ledger",
            Reason::MissingAtProvider => "ask the provider, or correct the ledger row",
            Reason::UnknownKey => "find who holds this key; revoke it if nobody does",
            Reason::BilledFailure => "check whether the provider owes a refund for failed calls",
            Reason::DuplicateInLedger => "make the ledger write each call once",
            Reason::DuplicateAtProvider => "ask the provider for a refund of the second charge",
            Reason::RetryDoubleCharge => "use idempotency keys, or accept the retry's cost",
            Reason::CutOff => "none: it clears with the neighbouring day",
            Reason::Timing => "wait until the day is settled",
            Reason::Quantity => "compare the usage object of one call with what the ledger stored",
            Reason::CacheClass => "record cached and written tokens as the provider counts them",
            Reason::ReasoningTokens => "count reasoning tokens as part of output",
            Reason::Price => "check the price book against the provider's price list",
            Reason::StalePrice => "load the current price into the ledger's price table",
            Reason::Discount => "check which account or key the contracted rate covers",
            Reason::Tier => "record the tier that served the call",
            Reason::Model => "add the model name to the names map",
            Reason::Funding => "correct the ledger's funding, or the key's entry in the team map",
            Reason::Unpriced => "add the price to the price book",
            Reason::Fx => "load the provider's exchange rate",
            Reason::UnitSuspect => "check the unit: cents, credits or thousands taken for another",
            Reason::NonUsage => "book it as a fee, tax or credit",
            Reason::Rounding => "none: within the sources' own precision",
            Reason::Unexplained => "look at the rows behind it",
        }
    }
}

/// A row of `drift.csv`: one reconciling item, provider minus ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    pub drift_id: String,
    pub charge_date: NaiveDate,
    pub provider: String,
    pub account: String,
    pub sub_account: String,
    pub api_key_id: String,
    /// The ledger's team, where there is just one.
    pub team: String,
    pub model: String,
    pub meter: String,
    /// `request`, `hour` or `day`.
    pub grain: &'static str,
    pub reason: Reason,
    pub provider_quantity: Option<Amount>,
    pub ledger_quantity: Option<Amount>,
    pub provider_cost: Amount,
    pub ledger_cost: Amount,
    pub quantity_variance: Amount,
    pub price_variance: Amount,
    pub other_variance: Amount,
    pub difference: Amount,
    pub currency: Currency,
    pub first_seen: NaiveDate,
    pub age_days: i64,
    /// Both rows of a two-sided item carry the same; empty otherwise.
    pub pair_id: String,
    pub restated: bool,
    /// Lines and rows in it.
    pub items: u64,
    pub evidence: String,
}

/// How a slice of `reconciliation.csv` stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    Tied,
    Explained,
    Unexplained,
    Provisional,
    Missing,
}

impl Tie {
    pub const fn name(self) -> &'static str {
        match self {
            Tie::Tied => "tied",
            Tie::Explained => "explained",
            Tie::Unexplained => "unexplained",
            Tie::Provisional => "provisional",
            Tie::Missing => "missing",
        }
    }
}

/// A row of `reconciliation.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Reconciliation {
    pub charge_date: NaiveDate,
    pub provider: String,
    pub account: String,
    pub currency: Currency,
    /// `None` when the slice is missing; then the row is outside the laws.
    pub provider_total: Option<Amount>,
    pub ledger_total: Amount,
    /// Provider cost of lines whose difference is 0 or rounding.
    pub matched: Amount,
    /// Sum of differences by reason, in the order of [`Reason::ALL`].
    pub reasons: [Amount; 24],
    pub status: Tie,
}

/// Whether a slice can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SliceStatus {
    Complete,
    Provisional,
    Stale,
    Missing,
    Suspect,
}

impl SliceStatus {
    pub const fn name(self) -> &'static str {
        match self {
            SliceStatus::Complete => "complete",
            SliceStatus::Provisional => "provisional",
            SliceStatus::Stale => "stale",
            SliceStatus::Missing => "missing",
            SliceStatus::Suspect => "suspect",
        }
    }
}

/// A row of `coverage.csv`: provider × endpoint × account × UTC day, and the ledger's days.
#[derive(Clone, Debug, PartialEq)]
pub struct Coverage {
    /// `None` for quarantined rows whose day could not be read.
    pub charge_date: Option<NaiveDate>,
    /// `ledger` for a ledger; its name then stands in `account`.
    pub provider: String,
    pub account: String,
    /// The report; its name says also whether it is money or a control total.
    pub endpoint: String,
    pub cost_basis: String,
    pub status: SliceStatus,
    pub rows_read: u64,
    pub rows_used: u64,
    pub duplicates: u64,
    pub quarantined: u64,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
}

impl Coverage {
    /// A slice without any rows yet.
    pub fn of(charge_date: Option<NaiveDate>, provider: &str, account: &str, endpoint: &str, status: SliceStatus) -> Coverage {
        Coverage {
            charge_date,
            provider: provider.to_string(),
            account: account.to_string(),
            endpoint: endpoint.to_string(),
            cost_basis: String::new(),
            status,
            rows_read: 0,
            rows_used: 0,
            duplicates: 0,
            quarantined: 0,
            amount: None,
            currency: None,
        }
    }
}

/// A row of `quarantine.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quarantine {
    pub charge_date: Option<NaiveDate>,
    pub provider: String,
    pub account: String,
    pub endpoint: String,
    pub file: String,
    pub row: u64,
    pub reason: String,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
}

/// A figure carried beside the reports to prove that nothing was lost, or to compare with another
/// report of the same money.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// What was compared: `openai/cost_csv`, `residue`, …
    pub source: String,
    pub account: String,
    pub charge_date: Option<NaiveDate>,
    pub amount: Amount,
    pub currency: Currency,
}

/// What rows of a foreign ledger show of its system's known faults, on one day.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerFinding {
    pub charge_date: NaiveDate,
    pub ledger: String,
    pub finding: Finding,
    pub rows: u64,
    /// Sum of what [`Finding::meaning`] calls the amount.
    pub amount: Amount,
    pub currency: Currency,
    /// Request ids of some of the rows.
    pub examples: String,
}

/// A row of `restatements.csv`: a slice that says something else than before.
#[derive(Clone, Debug, PartialEq)]
pub struct Restatement {
    pub charge_date: NaiveDate,
    pub provider: String,
    pub account: String,
    pub endpoint: String,
    /// The business date of the run that first saw it.
    pub restated_on: NaiveDate,
    /// Versions count from 1; this is the newer of the two.
    pub version: u64,
    /// Before and after.
    pub rows: (u64, u64),
    pub old: Option<Amount>,
    pub new: Option<Amount>,
    pub currency: Option<Currency>,
}

/// Everything the stages say about a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub attribution: Vec<Attribution>,
    pub drift: Vec<Drift>,
    pub reconciliation: Vec<Reconciliation>,
    pub coverage: Vec<Coverage>,
    pub quarantine: Vec<Quarantine>,
    pub ledger_findings: Vec<LedgerFinding>,
    pub controls: Vec<Control>,
    pub savings: Savings,
    pub restatements: Vec<Restatement>,
    /// Spikes of the window, oldest first.
    pub spikes: Vec<Spike>,
    /// What the providers' pages looked like.
    pub schemas: Vec<Schema>,
    /// What ids of keys, projects and workspaces are called.
    pub names: Vec<ShownName>,
    /// Accounts that have brought nothing new for some runs.
    pub frozen: Vec<Frozen>,
}
