//! Spend that is far outside a series' own history: the words that detector, reports and alerts share
//! (contract 4.7 and 4.8, "Spikes").

use super::calendar::Calendar;
use super::money::{Amount, Currency, SCALE};
use super::period::Days;
use chrono::{DateTime, Utc};

/// What a series sums over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Total,
    Provider,
    Team,
    Key,
    Model,
}

/// What stands behind the name of a series that the ledger does not have, and only the provider's report by the hour, or
/// by the day.
pub const BY_HOURS: &str = ", by the provider's hours";
pub const BY_DAYS: &str = ", by the provider's days";

/// A series of spend. Names that its scope does not fix are empty; a team, key or model is always one of a
/// provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesKey {
    pub scope: Scope,
    pub currency: Currency,
    pub provider: String,
    pub team: String,
    pub api_key_id: String,
    pub model: String,
}

impl SeriesKey {
    /// All spend in a currency.
    pub fn total(currency: Currency) -> SeriesKey {
        SeriesKey {
            scope: Scope::Total,
            currency,
            provider: String::new(),
            team: String::new(),
            api_key_id: String::new(),
            model: String::new(),
        }
    }

    /// A series of a provider; `name` is the team, key or model that `scope` speaks of.
    pub fn of(scope: Scope, currency: Currency, provider: &str, name: &str) -> SeriesKey {
        let mut key = SeriesKey { scope, provider: provider.to_string(), ..SeriesKey::total(currency) };
        match scope {
            Scope::Team => key.team = name.to_string(),
            Scope::Key => key.api_key_id = name.to_string(),
            Scope::Model => key.model = name.to_string(),
            Scope::Total | Scope::Provider => {}
        }
        key
    }

    /// As `spikes.csv` writes it: `total`, `provider fal`, `provider fal, team studio`.
    pub fn name(&self) -> String {
        match self.scope {
            Scope::Total => "total".to_string(),
            Scope::Provider => format!("provider {}", self.provider),
            Scope::Team => format!("provider {}, team {}", self.provider, self.team),
            Scope::Key => format!("provider {}, key {}", self.provider, self.api_key_id),
            Scope::Model => format!("provider {}, model {}", self.provider, self.model),
        }
    }
}

/// Which way a series has to leave its baseline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Up,
    Down,
    Both,
}

/// When an hour is a spike: all of score, ratio and money must be reached (contract 4.7), or a score that
/// stands alone. No rate is negative. The defaults are those of contract 4.8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Deviations from the baseline, in units of the series' own usual deviation.
    pub score: Amount,
    /// Actual ÷ expected. A baseline of 0 passes every ratio.
    pub ratio: Amount,
    /// Actual − expected, in units of the series an hour.
    pub money: Amount,
    /// How odd an hour must be where that alone decides, in usual distances of the series; then nothing above
    /// is asked, nor anything below but the direction. `None` for spend.
    pub score_alone: Option<Amount>,
    pub direction: Direction,
    /// Hours after which a new level that has not gone away is the baseline.
    pub adapt_hours: u32,
    /// What an outage of up to two days left out may come after it without being a spike.
    pub catch_up: bool,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds {
            score: Amount::whole(6),
            ratio: Amount::whole(3),
            money: Amount::whole(5),
            score_alone: None,
            direction: Direction::Up,
            adapt_hours: 168,
            catch_up: true,
        }
    }
}

impl Thresholds {
    /// For series of anything. No ratio and no amount means the same for all of them, so how odd an hour is
    /// decides alone, up and down.
    pub fn for_any_series() -> Thresholds {
        Thresholds {
            score_alone: Some(Amount::from_atto(75 * 10i128.pow(SCALE - 1))),
            direction: Direction::Both,
            ..Thresholds::default()
        }
    }
}

/// A limit on spend in a calendar month of UTC days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Empty is every provider.
    pub provider: String,
    /// Empty is every team.
    pub team: String,
    pub amount: Amount,
    pub currency: Currency,
}

/// What a job says about spikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub thresholds: Thresholds,
    pub calendar: Calendar,
    /// Quiet hours after which an incident is over.
    pub resolve_hours: u32,
    /// Days without a call after which a key is dormant.
    pub dormant_days: u32,
    /// Days after which a key must have been replaced; `None` is no limit.
    pub rotate_days: Option<u32>,
    pub budgets: Vec<Budget>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            thresholds: Thresholds::default(),
            calendar: Calendar::default(),
            resolve_hours: 6,
            dormant_days: 14,
            rotate_days: None,
            budgets: Vec::new(),
        }
    }
}

/// Why an incident is there (contract 4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpikeRule {
    /// Score, ratio and money against the series' own history.
    Spike,
    /// A model that an old key never used before.
    NewModel,
    /// A key that had been silent.
    DormantKey,
    /// Spend on a key that nobody owns.
    UnownedKey,
    /// Spend on a key after its last owner's time.
    RevokedKey,
    /// A key older than its rotation limit that still spends.
    OldKey,
    BudgetPassed,
    /// At the month's rate the budget will be passed.
    BudgetProjected,
    /// A series that stopped.
    Silence,
    /// Failed calls at one provider.
    Errors,
}

impl SpikeRule {
    /// As `spikes.csv` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            SpikeRule::Spike => "spike",
            SpikeRule::NewModel => "new_model",
            SpikeRule::DormantKey => "dormant_key",
            SpikeRule::UnownedKey => "unowned_key",
            SpikeRule::RevokedKey => "revoked_key",
            SpikeRule::OldKey => "old_key",
            SpikeRule::BudgetPassed => "budget_passed",
            SpikeRule::BudgetProjected => "budget_projected",
            SpikeRule::Silence => "silence",
            SpikeRule::Errors => "errors",
        }
    }

    /// What somebody on call does about it.
    pub const fn action(self) -> &'static str {
        match self {
            SpikeRule::Spike => "ask the team what runs there; stop the job or lower the key's limit",
            SpikeRule::NewModel => "ask the key's owner whether the model is meant; else revoke the key",
            SpikeRule::DormantKey => "ask the key's owner who uses it; revoke it if nobody knows",
            SpikeRule::UnownedKey => "find who holds the key; revoke it if nobody does",
            SpikeRule::RevokedKey => "delete the key at the provider",
            SpikeRule::OldKey => "replace the key",
            SpikeRule::BudgetPassed => "agree on a new budget or stop the spend",
            SpikeRule::BudgetProjected => "slow down, or agree on a new budget before it is passed",
            SpikeRule::Silence => "see whether the calls stopped or the ledger did",
            SpikeRule::Errors => "look at the provider's status page and at the key's limits",
        }
    }
}

/// Whether an incident goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpikeState {
    Open,
    Resolved,
    /// It stood in provisional figures only and the settled ones do not have it.
    Withdrawn,
}

impl SpikeState {
    pub const fn name(self) -> &'static str {
        match self {
            SpikeState::Open => "open",
            SpikeState::Resolved => "resolved",
            SpikeState::Withdrawn => "withdrawn",
        }
    }
}

/// Who made an incident, largest part first. Names may be empty: unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contributor {
    pub team: String,
    pub api_key_id: String,
    pub model: String,
    pub client: String,
    /// Its spend while the incident lasted.
    pub amount: Amount,
}

/// An incident: a row of `spikes.csv` (contract section 5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spike {
    /// The same for the same incident in every run: from rule, provider, currency, names and `opened_at`.
    pub spike_id: String,
    pub rule: SpikeRule,
    /// The widest series that shows it.
    pub series: String,
    /// Empty where several providers are in it.
    pub provider: String,
    /// The team, key and model that nearly all of it is on; empty where there are several.
    pub team: String,
    pub api_key_id: String,
    pub model: String,
    /// Start of the first hot hour (contract 4.8).
    pub opened_at: DateTime<Utc>,
    /// The first moment at which it could be seen: the end of that hour.
    pub detected_at: DateTime<Utc>,
    /// End of the last hot hour.
    pub last_seen_at: DateTime<Utc>,
    pub state: SpikeState,
    /// What the baseline would have had from `opened_at` to `last_seen_at`, in money.
    pub expected: Amount,
    /// What there was. For `silence` 0, for `errors` failed calls.
    pub actual: Amount,
    /// Actual − expected.
    pub excess: Amount,
    /// Actual ÷ expected; `None` where nothing was expected.
    pub ratio: Option<Amount>,
    /// The highest of its hours; `None` for rules without a baseline.
    pub score: Option<Amount>,
    /// What it will have come to at `projected_until` if it goes on; `None` when it is over.
    pub projected: Option<Amount>,
    /// The next business morning, or the end of the month for budgets.
    pub projected_until: Option<DateTime<Utc>>,
    pub contributors: Vec<Contributor>,
    /// What it was compared with, in words.
    pub baseline: String,
    /// It rests on figures that may still change.
    pub provisional: bool,
    pub currency: Currency,
}

impl Spike {
    /// The UTC days that it touches.
    pub fn days(&self) -> Days {
        let last = (self.last_seen_at - chrono::Duration::seconds(1)).date_naive();
        let from = self.opened_at.date_naive();
        Days { from, to: last.max(from).succ_opt().unwrap_or(last) }
    }
}
