//! What a provider's report says, in our words: [`Charge`] and the other [`Line`]s an adapter reads
//! from a page.

use super::money::{Amount, Currency};
use super::period::Days;
use chrono::{DateTime, NaiveDate, Utc};

/// What is counted. A constant for each meter that ledgers and providers share; adapters may use
/// further names of their own, spelled alike (`snake_case`, the counted thing first).
pub mod meter {
    pub const INPUT_TOKENS: &str = "input_tokens";
    pub const CACHE_READ_TOKENS: &str = "cache_read_tokens";
    pub const CACHE_WRITE_5M_TOKENS: &str = "cache_write_5m_tokens";
    pub const CACHE_WRITE_1H_TOKENS: &str = "cache_write_1h_tokens";
    pub const OUTPUT_TOKENS: &str = "output_tokens";
    pub const IMAGES: &str = "images";
    pub const MEGAPIXELS: &str = "megapixels";
    pub const VIDEO_SECONDS: &str = "video_seconds";
    pub const AUDIO_SECONDS: &str = "audio_seconds";
    pub const CHARACTERS: &str = "characters";
    pub const PROVIDER_CREDITS: &str = "provider_credits";
    pub const WEB_SEARCHES: &str = "web_searches";
    pub const BUILDS: &str = "builds";
    /// One call, where a provider bills the call as a whole.
    pub const REQUESTS: &str = "requests";

    /// The classes that together are a call's input; a provider and a ledger may cut them differently.
    pub const INPUT_CLASSES: [&str; 4] = [INPUT_TOKENS, CACHE_READ_TOKENS, CACHE_WRITE_5M_TOKENS, CACHE_WRITE_1H_TOKENS];

    /// The unit that a meter is counted in; a meter we do not know is its own unit.
    pub fn unit(meter: &str) -> &str {
        match meter {
            meter if meter.ends_with("_tokens") => "tokens",
            VIDEO_SECONDS | AUDIO_SECONDS => "seconds",
            PROVIDER_CREDITS => "credits",
            WEB_SEARCHES => "calls",
            meter if meter.ends_with("_calls") => "calls",
            meter if meter.ends_with("_sessions") => "sessions",
            other => other,
        }
    }
}

/// FOCUS ChargeCategory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeCategory {
    #[default]
    Usage,
    Purchase,
    Tax,
    Credit,
    Adjustment,
}

impl ChargeCategory {
    pub const fn name(self) -> &'static str {
        match self {
            ChargeCategory::Usage => "Usage",
            ChargeCategory::Purchase => "Purchase",
            ChargeCategory::Tax => "Tax",
            ChargeCategory::Credit => "Credit",
            ChargeCategory::Adjustment => "Adjustment",
        }
    }
}

/// Where a cost comes from (contract 3.3). A computed cost is never presented as billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CostBasis {
    /// The provider's own money, or its own price × its own quantity.
    #[default]
    Billed,
    /// Money in the response, kept by the ledger.
    Captured,
    /// Quantity × price book.
    Computed,
    /// A figure that a person entered from an invoice or a console.
    Manual,
    /// An aggregator's estimate of spend on the customer's own keys: never in a billed total.
    Estimated,
}

impl CostBasis {
    pub const fn name(self) -> &'static str {
        match self {
            CostBasis::Billed => "billed",
            CostBasis::Captured => "captured",
            CostBasis::Computed => "computed",
            CostBasis::Manual => "manual",
            CostBasis::Estimated => "estimated",
        }
    }
}

/// What a report measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measures {
    /// What was billed, with or without quantities.
    Money,
    /// Quantities without money, to be joined to the money of another report.
    Quantity,
    /// Estimates that overlap what other reports bill: shown beside the books, never in them.
    Estimate,
    /// What is left on a prepaid account: no charge. Shown beside the books, to check them against what it fell by.
    Balance,
    /// Nothing: a list of the names that keys, projects or workspaces have. It is read before all other reports.
    Names,
    /// Nothing: a list of the unit prices that the account has now. `check` compares the price book with it.
    Prices,
}

impl Measures {
    /// Whether it has no figures of any day: nothing of it is booked, covered or missing.
    pub const fn is_list(self) -> bool {
        matches!(self, Measures::Names | Measures::Prices)
    }

    /// Whether its figures are shown beside the books and never in them.
    pub const fn is_beside(self) -> bool {
        matches!(self, Measures::Estimate | Measures::Balance)
    }
}

/// How a source writes its amounts: what a difference within its own precision may come to
/// (contract 4.8, "Rounding tolerance").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// All digits are there.
    #[default]
    Exact,
    /// Rounded to so many decimals: half a unit in the last place for each line.
    Rounded(u8),
    /// Cut to so many decimals: up to a whole unit in the last place for each line.
    Cut(u8),
}

impl Precision {
    /// The most that a line standing for so many requests may be off: an aggregate of cut amounts has lost
    /// up to a unit with each of them, one that was rounded as a whole was rounded once.
    pub fn of_requests(self, requests: u32) -> Amount {
        let times = if matches!(self, Precision::Cut(_)) { requests.max(1) } else { 1 };
        Amount::from_atto(self.per_line().atto() * i128::from(times))
    }

    /// The most that one line may be off.
    pub fn per_line(self) -> Amount {
        let unit = |places: u8| Amount::from_atto(10i128.pow(18u32.saturating_sub(u32::from(places))));
        match self {
            Precision::Exact => Amount::ZERO,
            Precision::Rounded(places) => Amount::from_atto(unit(places).atto() / 2),
            Precision::Cut(places) => unit(places),
        }
    }
}

/// One row of a provider's cost or usage report; a report row with several meters is several charges.
///
/// A field that the report does not carry is `None`. Empty is not zero: a charge without a cost
/// measures quantity only, and one without a quantity bills money only.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge<'a> {
    /// Data row in the page, counted from 1; all charges of one report row share it.
    pub row: u32,
    /// Charge period, UTC. Its first day is the charge date.
    pub start: DateTime<Utc>,
    /// End of the charge period, excluded. Equal to `start` for a single request.
    pub end: DateTime<Utc>,
    /// The provider's own account, where a row names it; else the source's account stands.
    pub account: Option<&'a str>,
    /// The provider's project or workspace.
    pub sub_account: Option<&'a str>,
    /// Which key made the call: id, or the name that the names map resolves. Never the key.
    pub api_key_id: Option<&'a str>,
    /// A label or user on the provider's side, which a team map may know.
    pub label: Option<&'a str>,
    pub model: Option<&'a str>,
    /// `standard`, `priority`, `flex`, …: as the provider names it, without batch.
    pub service_tier: Option<&'a str>,
    pub batch: Option<bool>,
    /// The provider's own words for the priced thing (line item, description), for evidence.
    pub sku: Option<&'a str>,
    /// A name from [`meter`]; `None` when the report does not say what it counts.
    pub meter: Option<&'a str>,
    pub quantity: Option<Amount>,
    /// Calls that this row stands for, where the report says.
    pub requests: Option<u64>,
    /// As charged.
    pub cost: Option<Amount>,
    /// At list price, where the report says.
    pub list_cost: Option<Amount>,
    /// What rounding to 18 decimals took from `cost`, in 10^-36.
    pub residue: i128,
    pub currency: Currency,
    pub category: ChargeCategory,
    pub basis: CostBasis,
    pub precision: Precision,
    /// The provider's id of the single call, where the report is that fine.
    pub request_id: Option<&'a str>,
}

impl<'a> Charge<'a> {
    /// A usage charge with nothing known yet but its row, period and currency.
    pub fn new(row: u32, start: DateTime<Utc>, end: DateTime<Utc>, currency: Currency) -> Self {
        Charge {
            row,
            start,
            end,
            account: None,
            sub_account: None,
            api_key_id: None,
            label: None,
            model: None,
            service_tier: None,
            batch: None,
            sku: None,
            meter: None,
            quantity: None,
            requests: None,
            cost: None,
            list_cost: None,
            residue: 0,
            currency,
            category: ChargeCategory::Usage,
            basis: CostBasis::Billed,
            precision: Precision::Exact,
            request_id: None,
        }
    }
}

/// A row set aside, with what is wrong and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Data row in the page, counted from 1.
    pub row: u32,
    /// The UTC day it belongs to, where that could be read.
    pub day: Option<NaiveDate>,
    /// Field, what was expected, what was found.
    pub reason: String,
    /// Its amount, where that could be read.
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
}

/// What an adapter reads from a page. Every data row ends as at least one `Charge`, as `Quarantined`
/// or as `Nothing`; that is how rows are counted (contract section 5, law 3).
// A line lives on the stack from the adapter to the reader; boxing the charge would cost an allocation per row.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    Charge(Charge<'a>),
    Quarantined(Quarantined),
    /// A row that carries no charge: an empty bucket, a totals row that repeats the others.
    Nothing {
        row: u32,
        day: NaiveDate,
    },
    /// The page speaks for these days, also where it has no row for them.
    Covers(Days),
}
