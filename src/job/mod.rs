//! Job files into a validated [`Job`], and the texts of the files it names into prices, teams, names and
//! rates; unknown keys are refused with the nearest known one named.
//!
//! Every function here takes a text and returns a value: files are read in `edge`.

mod agreements;
pub mod alerts;
pub mod api;
mod checked;
pub mod fx;
pub mod keys;
mod ledgers;
pub mod names;
mod nearest;
mod parse;
pub mod plans;
pub mod price_import;
pub mod prices;
pub mod purchases;
pub mod secret;
mod spikes;
pub mod teams;
#[cfg(test)]
mod testing;
mod toml_at;

pub use agreements::{PlanUse, SavingsFiles};
pub use api::{Api, PullLimits};
pub use parse::parse;

use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Currency;
use crate::domain::period::Days;
use crate::domain::spike::Settings;
use crate::domain::usage::Precision;
use crate::ledgers::{Kind as LedgerKind, Settings as LedgerSettings};
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A validated job (contract 3.1). All paths are absolute or relative to the working directory: the
/// job file's own folder is already in them.
#[derive(Clone, Debug)]
pub struct Job {
    /// The job file, for messages.
    pub file: PathBuf,
    pub name: String,
    pub reporting_currency: Currency,
    /// Zone of `local_date`.
    pub time_zone: Tz,
    /// The moment the run speaks for, where the job fixes it (demos, replays); else the clock or `--as-of`.
    pub as_of: Option<DateTime<Utc>>,
    pub window: Window,
    pub limits: PullLimits,
    pub output: PathBuf,
    pub state: PathBuf,
    pub ledgers: Vec<LedgerSource>,
    pub sources: Vec<Source>,
    pub teams: Option<PathBuf>,
    pub prices: Vec<PathBuf>,
    /// Days since a book's `checked` day up to which it is not named as old. Default 90.
    pub prices_max_age_days: u64,
    pub names: Option<PathBuf>,
    pub fx: Option<PathBuf>,
    pub savings: SavingsFiles,
    /// Which plan holds for whom and when.
    pub plans: Vec<PlanUse>,
    /// A byte order mark in the CSV files that people open.
    pub byte_order_mark: bool,
    pub kind: Kind,
    pub alerts: alerts::Alerts,
    pub spikes: Settings,
    /// Where the job file names its files.
    pub named: NamedFiles,
}

/// What a run of the job does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Reconciles whole UTC days.
    #[default]
    Nightly,
    /// Looks for incidents up to the last full hour, and nothing else.
    Watch,
}

impl Kind {
    /// As the job and the state store write it.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Nightly => "nightly",
            Kind::Watch => "watch",
        }
    }
}

/// The UTC days a run reconciles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Days before the as-of day, where `from` is not given. Default 35.
    pub trailing_days: u32,
    pub from: Option<NaiveDate>,
    /// Excluded.
    pub to: Option<NaiveDate>,
}

impl Default for Window {
    fn default() -> Self {
        Window { trailing_days: 35, from: None, to: None }
    }
}

/// One request ledger.
#[derive(Clone, Debug)]
pub struct LedgerSource {
    pub name: String,
    pub place: LedgerPlace,
    /// How the ledger writes `expected_cost`.
    pub precision: Precision,
    /// Currency of `expected_cost` where a row has none.
    pub currency: Currency,
    /// Whose form the rows have; `None` is our own.
    pub kind: Option<&'static LedgerKind>,
    /// What only a foreign kind needs.
    pub settings: LedgerSettings,
    /// Where times without an offset are from; `None` is UTC. Only of our own kind.
    pub time_zone: Option<Tz>,
}

/// Where a ledger is.
#[derive(Clone, Debug)]
pub enum LedgerPlace {
    /// A SQLite file with the ledger's table or view.
    Sqlite { path: PathBuf, table: String },
    /// A PostgreSQL database with the table or view, with or without its schema before a dot.
    Postgres { server: Postgres, table: String },
    /// CSV, JSON or Parquet files with the ledger's columns, by pattern.
    Files(Vec<String>),
}

/// How a PostgreSQL database is reached. Every field is the job's: nothing is taken from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Postgres {
    /// A name or address, or the folder of a socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub user: String,
    /// `None` where the server asks for no password.
    pub password: Option<secret::SecretRef>,
    pub tls: Tls,
    /// PEM file of an authority that is trusted beside the public ones.
    pub tls_ca: Option<PathBuf>,
    /// How long one query may take.
    pub statement_seconds: u32,
    /// How long a lock is waited for.
    pub lock_seconds: u32,
}

/// What is demanded of an encrypted connection; it never falls back to a weaker form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not encrypted.
    Disable,
    /// Encrypted, to whomever it may be.
    Require,
    /// To whoever has a certificate of an authority that is trusted, whatever host it names.
    VerifyCa,
    /// To the host that is named, by a certificate of an authority that is trusted.
    VerifyFull,
}

/// One provider account.
#[derive(Clone, Debug)]
pub struct Source {
    /// A name of [`crate::adapters::ADAPTERS`].
    pub provider: String,
    pub account: String,
    pub settle_days: u32,
    pub pulls: Vec<Pull>,
    /// How the provider itself is asked; `None` for files alone.
    pub api: Option<Api>,
    /// The request ledger also says what the calls cost, for a provider that has no report of it (contract 3.3).
    pub costs_from_ledger: bool,
}

/// Files that were taken together: where two pulls cover the same day of the same report, the later
/// one in the job file stands alone for that day.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Paths or patterns, pages in the order of their names.
    pub files: Vec<String>,
    /// The report, where the file cannot tell (see [`crate::adapters::Adapter::identify`]).
    pub report: Option<String>,
    pub group_by: Vec<String>,
    /// Days that the files speak for, beyond what they show themselves.
    pub covers: Option<Days>,
}

/// Where the job file names a file or pattern: key and line, so that a fault of that file can point there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFiles {
    places: BTreeMap<String, (String, usize)>,
}

impl NamedFiles {
    /// The first place stands.
    fn add(&mut self, path: &str, key: &str, line: usize) {
        self.places.entry(path.to_string()).or_insert_with(|| (key.to_string(), line));
    }
}

impl Job {
    /// `file:line` of the value that names this file or pattern; the job file alone when none does.
    pub fn place_of(&self, path: &Path) -> String {
        let line = path.to_str().and_then(|path| self.named.places.get(path)).map(|(_, line)| *line);
        line.map_or(self.file.display().to_string(), |line| format!("{}:{line}", self.file.display()))
    }

    /// The fault of a named file that cannot be read (reliability.md section 5: local input is code 65).
    pub fn unreadable(&self, path: &Path, error: io::ErrorKind) -> Fault {
        let (why, hint) = match error {
            io::ErrorKind::NotFound => ("no such file", "a relative path starts at the job file's folder"),
            io::ErrorKind::PermissionDenied => ("permission denied", "let the user that runs this read it"),
            io::ErrorKind::IsADirectory => ("it is a folder", "name the file in it"),
            io::ErrorKind::InvalidData => ("it is not UTF-8 text", "save it as UTF-8"),
            _ => ("reading failed", "try to open it with another program"),
        };
        self.named_fault(path, why, hint)
    }

    /// The fault of a pattern that no file fits.
    pub fn matches_nothing(&self, pattern: &str) -> Fault {
        self.named_fault(Path::new(pattern), "no file fits", "a relative pattern starts at the job file's folder")
    }

    /// A fault of a section `[[plan]]`, placed at its header.
    pub fn plan_fault(&self, used: &PlanUse, what: impl Into<String>, hint: &str) -> Fault {
        Fault::new(ExitCode::Config, format!("{}:{}", self.file.display(), used.line), what, hint)
    }

    fn named_fault(&self, path: &Path, why: &str, hint: &str) -> Fault {
        let key = path.to_str().and_then(|path| self.named.places.get(path)).map_or("file", |(key, _)| key);
        let what = format!("{key}: {}: {why}", toml_at::quoted(&path.display().to_string()));
        Fault::new(ExitCode::Data, self.place_of(path), what, hint)
    }
}
