//! Job files into a validated [`Job`]; unknown keys are refused with the nearest known one named.

use crate::domain::money::Currency;
use crate::domain::period::Days;
use crate::domain::usage::Precision;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use std::path::PathBuf;

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
    pub output: PathBuf,
    pub state: PathBuf,
    pub ledgers: Vec<LedgerSource>,
    pub sources: Vec<Source>,
    pub teams: Option<PathBuf>,
    pub prices: Vec<PathBuf>,
    pub names: Option<PathBuf>,
    pub fx: Option<PathBuf>,
    /// A byte order mark in the CSV files that people open.
    pub byte_order_mark: bool,
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

/// One request ledger.
#[derive(Clone, Debug)]
pub struct LedgerSource {
    pub name: String,
    pub place: LedgerPlace,
    /// How the ledger writes `expected_cost`.
    pub precision: Precision,
    /// Currency of `expected_cost` where a row has none.
    pub currency: Currency,
}

/// Where a native ledger is.
#[derive(Clone, Debug)]
pub enum LedgerPlace {
    /// A SQLite file with the table or view `request_ledger`.
    Sqlite { path: PathBuf, table: String },
    /// CSV or Parquet files with the same columns, by pattern.
    Files(Vec<String>),
}

/// One provider account.
#[derive(Clone, Debug)]
pub struct Source {
    /// A name of [`crate::adapters::ADAPTERS`].
    pub provider: String,
    pub account: String,
    pub settle_days: u32,
    pub pulls: Vec<Pull>,
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
