//! What somebody is told about, and when it is told again (reliability.md section 6).

use super::calendar::Calendar;
use super::money::{Amount, Currency};
use super::spike::{Contributor, SpikeRule};
use chrono::{DateTime, NaiveTime, Utc};

/// How loudly an alert speaks. The names are those of PagerDuty's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    Info,
    Warning,
    Error,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 4] = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical];

    pub const fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Critical => "critical",
        }
    }

    pub fn parse(text: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|severity| severity.name() == text)
    }
}

/// What an alert is about. The rules of [`super::spike::SpikeRule`] keep their own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertRule {
    /// An incident of `spikes.csv`.
    Spike(SpikeRule),
    /// Slices that did not arrive or are older than they should be.
    MissingSlice,
    /// Slices whose figures are held back because they cannot be true.
    SuspectSlice,
    /// Differences for one reason that pass the job's materiality.
    Drift,
    /// Billed cost that no team owns.
    UnownedSpend,
    /// Usage that nothing prices.
    Unpriced,
    /// Accounts that have brought nothing new for some runs.
    Frozen,
}

impl AlertRule {
    pub const fn name(self) -> &'static str {
        match self {
            AlertRule::Spike(rule) => rule.name(),
            AlertRule::MissingSlice => "missing_slice",
            AlertRule::SuspectSlice => "suspect_slice",
            AlertRule::Drift => "drift",
            AlertRule::UnownedSpend => "unowned_spend",
            AlertRule::Unpriced => "unpriced",
            AlertRule::Frozen => "frozen",
        }
    }

    /// Says that figures cannot be relied on, so that what rests on them is not told.
    pub const fn is_data_quality(self) -> bool {
        matches!(self, AlertRule::MissingSlice | AlertRule::SuspectSlice)
    }
}

/// Whether the matter goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertState {
    Firing,
    Resolved,
}

impl AlertState {
    pub const fn name(self) -> &'static str {
        match self {
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }

    pub fn parse(text: &str) -> Option<AlertState> {
        [AlertState::Firing, AlertState::Resolved].into_iter().find(|state| state.name() == text)
    }
}

/// Who and what it is about. Empty texts are unknown or several.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    pub provider: String,
    pub account: String,
    pub team: String,
    pub api_key_id: String,
    pub model: String,
    /// The reason, for drift; the series, for what `spikes.csv` holds.
    pub detail: String,
}

impl Subject {
    /// May be the same matter: what both name is equal.
    pub fn fits(&self, other: &Subject) -> bool {
        let agree = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        self.provider == other.provider
            && agree(&self.account, &other.account)
            && agree(&self.team, &other.team)
            && agree(&self.api_key_id, &other.api_key_id)
            && agree(&self.model, &other.model)
    }
}

/// A finding that somebody should know of: one entry of `alerts.json`. The times are those of the charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The same for the same matter for ever (reliability.md section 6); 40 hexadecimal digits. What messages carry.
    pub key: String,
    /// The key that these figures alone give, as published; another one than `key` where late figures moved the
    /// start of what was told already. Empty for what the figures no longer have.
    pub id: String,
    pub rule: AlertRule,
    pub subject: Subject,
    pub severity: Severity,
    pub state: AlertState,
    /// Start of the matter.
    pub opened_at: DateTime<Utc>,
    /// Until when it was seen.
    pub last_seen_at: DateTime<Utc>,
    /// What it comes to if nothing is done: the projection where there is one. A new message is due when it grows.
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
    /// Money so far, what was usual, and what it will have come to until when.
    pub spent: Option<Amount>,
    pub expected: Option<Amount>,
    pub projected: Option<(Amount, DateTime<Utc>)>,
    /// Money at the end of the month, at the same rate.
    pub month_end: Option<(Amount, DateTime<Utc>)>,
    /// Slices or items in it, where it is about several.
    pub count: u64,
    /// Who made it, largest first.
    pub contributors: Vec<Contributor>,
    /// It rests on figures that may still change.
    pub provisional: bool,
    /// It is over because the settled figures do not have it.
    pub withdrawn: bool,
    /// What to do, in one clause.
    pub action: String,
    /// The published rows behind it.
    pub rows: String,
    /// Id of the data-quality alert that keeps it from being told; empty otherwise.
    pub inhibited_by: String,
}

/// What was last told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub key: String,
    pub rule: String,
    pub subject: Subject,
    pub opened_at: DateTime<Utc>,
    pub generation: u32,
    pub severity: Severity,
    pub amount: Option<Amount>,
    /// Until when the amount was projected, where it was.
    pub projected_until: Option<DateTime<Utc>>,
    pub currency: Option<Currency>,
    pub state: AlertState,
    /// The moment that the run spoke for which told it.
    pub told_at: DateTime<Utc>,
    /// Until when that run had seen the charges.
    pub seen_until: DateTime<Utc>,
}

/// A message that is due: the alert with the number of its telling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub alert: Alert,
    /// Counted from 1.
    pub generation: u32,
    /// Why it is told.
    pub cause: Cause,
    /// Until when the run had seen the charges.
    pub seen_until: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    New,
    /// The severity rose or the amount grew by a quarter.
    Worse,
    /// Nothing changed for a day and nobody was told since.
    Reminder,
    Over,
    /// It had ended and is there again.
    Again,
}

impl Notice {
    /// What was told, as it is remembered.
    pub fn told(&self, at: DateTime<Utc>) -> Told {
        let alert = &self.alert;
        Told {
            key: alert.key.clone(),
            rule: alert.rule.name().to_string(),
            subject: alert.subject.clone(),
            opened_at: alert.opened_at,
            generation: self.generation,
            severity: alert.severity,
            amount: alert.amount,
            projected_until: alert.projected.map(|(_, until)| until),
            currency: alert.currency,
            state: alert.state,
            told_at: at,
            seen_until: self.seen_until,
        }
    }
}

/// What a channel speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelKind {
    Slack,
    PagerDuty,
    Webhook,
    Email,
    Stdout,
}

/// What a job says about alerts (`[alerts]` and `[[alerts.channel]]`, without addresses and secrets).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// Gross differences for one reason below this are no alert.
    pub drift_above: Amount,
    /// Billed cost without a team below this is no alert.
    pub unowned_above: Amount,
    /// Spend from here on is critical.
    pub critical_above: Amount,
    /// Runs in a row without anything new after which an account is told to stand still; 0 is never.
    pub frozen_runs: u32,
    /// Hours after which what still fires is told again.
    pub repeat_hours: u32,
    /// More messages than this of one rule for a channel become one.
    pub group_above: usize,
    pub quiet: Option<Quiet>,
    /// Takes what no other channel takes, and what one refuses for good.
    pub fallback: Option<String>,
    pub routes: Vec<Route>,
    pub calendar: Calendar,
}

impl Default for AlertSettings {
    fn default() -> Self {
        AlertSettings {
            drift_above: Amount::whole(100),
            unowned_above: Amount::whole(100),
            critical_above: Amount::whole(1000),
            frozen_runs: 3,
            repeat_hours: 24,
            group_above: 3,
            quiet: None,
            fallback: None,
            routes: Vec::new(),
            calendar: Calendar::default(),
        }
    }
}

/// Local hours in which only what is urgent is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    pub from: NaiveTime,
    /// Excluded; before `from` where the quiet goes over midnight.
    pub to: NaiveTime,
    /// Saturdays, Sundays and holidays are quiet as a whole.
    pub free_days: bool,
    /// From this severity on it is sent all the same.
    pub through: Severity,
    /// What fires longer than so many hours is sent all the same.
    pub escalate_hours: u32,
}

/// Which alerts a channel takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    pub channel: String,
    pub kind: ChannelKind,
    pub min_severity: Severity,
    /// Empty is every team.
    pub teams: Vec<String>,
    /// Empty is every rule.
    pub rules: Vec<String>,
}

/// What is to be sent to a channel: one or several notices in one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Key and generation of each notice in it.
    pub notices: Vec<(String, u32)>,
    pub channel: String,
    /// The body as it is sent and sent again; secrets are put in when it leaves.
    pub body: String,
    /// The same for the channel that takes what this one refuses for good.
    pub fallback_body: Option<String>,
    /// Not before this moment: quiet hours.
    pub not_before: Option<DateTime<Utc>>,
}
