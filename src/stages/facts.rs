//! The normalised snapshot: provider lines and ledger entries as columns of numbers, with dictionaries
//! for everything that repeats (kinds). Rows are appended while pages and ledgers stream by; nothing
//! else of the input is kept.

use super::ids::Ids;
use super::symbols::{Sym, Symbols};
use super::texts::Texts;
use crate::domain::ledger::{Funding, Status};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::day_of;
use crate::domain::usage::{ChargeCategory, CostBasis, Measures, Precision};
use hashbrown::HashMap;
use std::hash::Hash;

/// Everything about a provider line but its day, amounts and request: one entry per distinct combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChargeKind {
    /// Index into [`Facts::sources`].
    pub source: u16,
    /// Index into [`Facts::reports`].
    pub report: u16,
    pub provider: Sym,
    pub account: Sym,
    pub sub_account: Sym,
    pub api_key_id: Sym,
    pub label: Sym,
    pub model: Sym,
    pub service_tier: Sym,
    pub batch: Option<bool>,
    pub sku: Sym,
    pub meter: Sym,
    pub currency: Currency,
    pub category: ChargeCategory,
    pub basis: CostBasis,
    pub precision: Precision,
}

/// Everything about a ledger entry but its day, amounts and ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntryKind {
    /// Index into [`Facts::ledgers`].
    pub ledger: u16,
    pub provider: Sym,
    pub account: Sym,
    pub sub_account: Sym,
    pub api_key_id: Sym,
    pub model: Sym,
    pub service_tier: Sym,
    pub batch: Option<bool>,
    pub team: Sym,
    pub feature: Sym,
    pub client: Sym,
    pub funding: Option<Funding>,
    pub status: Status,
    pub currency: Currency,
}

/// Numbers for distinct combinations.
#[derive(Clone)]
pub struct Kinds<K> {
    numbers: HashMap<K, u32>,
    kinds: Vec<K>,
}

impl<K> Default for Kinds<K> {
    fn default() -> Self {
        Kinds { numbers: HashMap::new(), kinds: Vec::new() }
    }
}

impl<K: Copy + Eq + Hash> Kinds<K> {
    pub fn number(&mut self, kind: K) -> u32 {
        if let Some(number) = self.numbers.get(&kind) {
            return *number;
        }
        let number = self.kinds.len() as u32;
        self.kinds.push(kind);
        self.numbers.insert(kind, number);
        number
    }

    pub fn all(&self) -> &[K] {
        &self.kinds
    }
}

/// The name of every page that was fetched, whatever it is called where it lies.
pub const FETCHED: &str = "";
/// "Not there" in a column of amounts. No amount reaches it (see the limits in `domain::money`).
pub const NO_AMOUNT: i128 = i128::MIN;
/// "Not there" in a column of days.
pub const NO_DAY: i32 = i32::MIN;

/// An amount column's value.
pub fn amount(stored: i128) -> Option<Amount> {
    (stored != NO_AMOUNT).then(|| Amount::from_atto(stored))
}

/// The stored form of an amount that may be absent.
pub fn stored(amount: Option<Amount>) -> i128 {
    amount.map_or(NO_AMOUNT, Amount::atto)
}

/// One provider line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: u32,
    /// Charge date, days since 1970.
    pub day: i32,
    /// Start and end of the charge period, Unix seconds.
    pub start: i64,
    pub end: i64,
    /// Local date in the reporting zone where the period is shorter than a day, else [`NO_DAY`].
    pub local_day: i32,
    /// Number in [`Facts::requests`]; 0 where the report is coarser.
    pub request: Sym,
    pub quantity: i128,
    pub cost: i128,
    pub list_cost: i128,
    pub requests: u32,
    /// Usage that ought to have a cost and has none, because neither the provider nor a book prices it:
    /// an unknown that stands in the books with 0 and is a finding.
    pub unpriced: bool,
    /// Index into [`Facts::pages`].
    pub page: u32,
    pub row: u32,
}

/// One ledger entry. Its meters are `parts[part_start..part_start + part_count]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub kind: u32,
    /// UTC day of `started_at`.
    pub day: i32,
    pub start: i64,
    /// Number of `provider_request_id` in [`Facts::requests`]; 0 where there is none.
    pub request: Sym,
    /// Number of our own `request_id` in [`Facts::calls`]; equal ids have the number of the first of them.
    pub call: Sym,
    pub attempt: u32,
    /// What the ledger expects the provider to charge; 0 unless the status is ok.
    pub cost: Amount,
    /// Quantity × book price whatever the status: what a failed call would cost. Absent without a price.
    pub book_cost: i128,
    pub reasoning: i128,
    pub part_start: u32,
    pub part_count: u16,
    /// The status is ok and neither the ledger nor a book has a price.
    pub unpriced: bool,
    /// An earlier call of the same provider has the same provider request id.
    pub duplicate: bool,
    pub row: u32,
}

/// One meter of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub meter: Sym,
    pub quantity: i128,
}

/// What only some entries carry, kept apart so that the others need no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aside {
    /// Index into [`Facts::entries`].
    pub entry: u32,
    /// Behind an aggregator: who served the call, and the estimate of what that costs.
    pub upstream_provider: Sym,
    pub upstream_cost: i128,
    /// What the platform debited, and its unit.
    pub credits: i128,
    pub credit_unit: Sym,
}

/// A provider account of the job.
#[derive(Clone, Debug)]
pub struct SourceInfo {
    pub provider: Sym,
    pub account: Sym,
    pub settle_days: u32,
}

/// A report that pages of the snapshot came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportInfo {
    pub name: &'static str,
    pub measures: Measures,
    pub rank: u8,
    /// A row that stands on two pages is one row; else every row counts.
    pub keyed: bool,
}

impl ReportInfo {
    /// Its costs are billed money.
    pub fn is_money(&self) -> bool {
        self.measures == Measures::Money
    }
}

/// The normalised snapshot.
#[derive(Clone, Default)]
pub struct Facts {
    /// Names of everything: providers, accounts, models, meters, teams.
    pub symbols: Symbols,
    /// Provider request ids.
    pub requests: Ids,
    /// Our own request ids, one for each entry that was read.
    pub calls: Texts,
    pub sources: Vec<SourceInfo>,
    pub reports: Vec<ReportInfo>,
    pub ledgers: Vec<LedgerInfo>,
    /// Page files, for evidence.
    pub pages: Vec<String>,
    pub charge_kinds: Kinds<ChargeKind>,
    pub entry_kinds: Kinds<EntryKind>,
    /// Booked lines: money of the finest report, quantities without money.
    pub lines: Vec<Line>,
    pub entries: Vec<Entry>,
    pub parts: Vec<Part>,
    /// In the order of their entries.
    pub asides: Vec<Aside>,
}

/// A ledger of the job.
#[derive(Clone, Debug)]
pub struct LedgerInfo {
    pub name: String,
    pub precision: Precision,
    pub currency: Currency,
}

/// Rows for which room is made at once; more come with the usual doubling. A file may have many rows outside
/// the window.
const ROOM_ROWS: usize = 1 << 22;

/// Makes room for rows that a file says it has: what grows by doubling is copied, and its pages are cleared twice.
pub(super) fn room(rows: usize) -> usize {
    rows.min(ROOM_ROWS)
}

impl Facts {
    pub fn charge_kind(&self, line: &Line) -> &ChargeKind {
        &self.charge_kinds.all()[line.kind as usize]
    }

    pub fn entry_kind(&self, entry: &Entry) -> &EntryKind {
        &self.entry_kinds.all()[entry.kind as usize]
    }

    pub fn parts_of(&self, entry: &Entry) -> &[Part] {
        let start = entry.part_start as usize;
        &self.parts[start..start + usize::from(entry.part_count)]
    }

    /// An order of entries that does not depend on the order in which they were read.
    pub fn entry_order(&self, index: u32) -> impl Ord + use<'_> {
        let entry = &self.entries[index as usize];
        (entry.start, self.calls.text(entry.call), entry.attempt, self.entry_kind(entry).ledger)
    }

    /// An order of lines that does not depend on the order in which they were read.
    pub fn line_order(&self, index: u32) -> impl Ord + use<'_> {
        let line = &self.lines[index as usize];
        let kind = self.charge_kind(line);
        let dims = [kind.sub_account, kind.api_key_id, kind.model, kind.service_tier, kind.meter, kind.label, kind.sku];
        let report = self.reports.get(usize::from(kind.report)).map(|report| report.name);
        (line.day, line.start, line.end, dims.map(|dim| self.symbols.text(dim)), kind.batch, report, line.cost, line.quantity)
    }

    /// An order of entry kinds that does not depend on the order in which they were first read.
    pub fn entry_kind_order(&self, kind: u32) -> impl Ord + use<'_> {
        let kind = &self.entry_kinds.all()[kind as usize];
        let dims = [kind.sub_account, kind.api_key_id, kind.model, kind.service_tier].map(|dim| self.symbols.text(dim));
        let bearer = [kind.team, kind.feature, kind.client].map(|name| self.symbols.text(name));
        (dims, kind.batch, bearer, kind.funding, kind.status, kind.ledger)
    }

    /// Where a line came from: `costs-2026-11.json row 12`, or `costs of 2026-11-18` where it was fetched.
    pub fn origin(&self, line: &Line) -> String {
        let page = self.pages.get(line.page as usize).map_or("computed", String::as_str);
        if page == FETCHED {
            let report = self.reports.get(usize::from(self.charge_kind(line).report)).map_or("computed", |report| report.name);
            return format!("{report} of {}", day_of(line.day));
        }
        format!("{page} row {}", line.row)
    }
}
