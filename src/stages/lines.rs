//! Normalises what adapters read, page by page: one name per model, one day per line. What of it is
//! booked is decided when all is read (see `booking`).

use super::alike::Alike;
use super::booking::ProviderSide;
use super::facts::{ChargeKind, FETCHED, Facts, Line, NO_DAY, ReportInfo, SourceInfo, room, stored};
use super::reference::{Namer, Reference};
use super::results::Quarantine;
use super::symbols::{NONE, Sym, Symbols};
use crate::domain::money::{Amount, Currency};
use crate::domain::names::{NameKind, NameLists};
use crate::domain::period::{day_at, day_number, day_of};
use crate::domain::price::{Asked, UnitPrice};
use crate::domain::usage::{self, Charge, ChargeCategory, CostBasis, Measures, Precision};
use chrono::{DateTime, NaiveDate, Utc};
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where the lines that are being read come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMark {
    pub source: u16,
    pub report: u16,
    pub pull: u16,
    pub page: u32,
}

/// One report row: its lines are `first..` up to the next row's.
pub struct RowMark {
    pub mark: PageMark,
    pub row: u32,
    pub day: i32,
    pub first: u32,
}

impl RowMark {
    pub fn slice(&self) -> Slice {
        (self.mark.source, self.mark.report, self.day)
    }
}

/// A slice: source, report, day.
pub type Slice = (u16, u16, i32);

/// What was read, before anything is booked.
#[derive(Default)]
pub struct Gathered {
    pub facts: Facts,
    pub rows: Vec<RowMark>,
    /// The latest pull that speaks for a slice.
    pub covered: HashMap<Slice, u16>,
    pub quarantined: Vec<(PageMark, Option<i32>, Quarantine)>,
    /// Estimates and rounding residues, which are never booked.
    pub controls: Estimates,
    pub residue: Residues,
    /// What was left on prepaid accounts when a day was over.
    pub balances: Balances,
}

/// What stood before a pull.
#[derive(Default)]
struct Before {
    lines: usize,
    rows: usize,
    quarantined: usize,
    covered: HashMap<Slice, u16>,
    controls: Estimates,
    residue: Residues,
    balances: Balances,
}

/// Balances by source, report, currency and day: what was left, and what was ever paid in where the provider says.
pub type Balances = BTreeMap<(u16, u16, Currency, i32), (Amount, Option<Amount>)>;
/// Sums by what they are, account, day and currency.
pub type Estimates = BTreeMap<(String, String, NaiveDate, Currency), Amount>;
/// Sums by report, account and currency, in 10^-36.
pub type Residues = BTreeMap<(String, String, Currency), i128>;

/// Collects pages, then books them.
pub struct LineReader<'r> {
    reference: &'r Reference,
    /// The days of the window, by number.
    window: Range<i32>,
    /// A quarter of an hour and its local day: no zone of today changes its day within one.
    local: (i64, i32),
    got: Gathered,
    before: Before,
    mark: PageMark,
    namer: Namer,
    /// Kinds by the words of a row, and by what else makes one.
    kinds: Alike<Rest>,
}

/// What makes the kind of a line besides words and day: source, report, batch, currency, category, basis, precision.
type Rest = (u16, u16, Option<bool>, Currency, ChargeCategory, CostBasis, Precision);

impl<'r> LineReader<'r> {
    /// `sources`: provider, account and settle days, in the order of the job.
    pub fn new(reference: &'r Reference, sources: &[(&str, &str, u32)]) -> Self {
        let mut facts = Facts::default();
        for (provider, account, settle_days) in sources {
            let (provider, account) = (facts.symbols.number(provider), facts.symbols.number(account));
            facts.sources.push(SourceInfo { provider, account, settle_days: *settle_days });
        }
        LineReader {
            reference,
            window: reference.window.numbers(),
            local: (i64::MIN, NO_DAY),
            got: Gathered { facts, ..Gathered::default() },
            before: Before::default(),
            mark: PageMark { source: 0, report: 0, pull: 0, page: 0 },
            namer: Namer::default(),
            kinds: Alike::default(),
        }
    }

    /// Takes the providers' lists of names, before any line.
    pub fn with_names(mut self, lists: NameLists) -> Self {
        self.namer = Namer::with(lists);
        self
    }

    /// Marks the place to which [`Self::discard_pull`] goes back.
    pub fn open_pull(&mut self) {
        let got = &self.got;
        self.before = Before {
            lines: got.facts.lines.len(),
            rows: got.rows.len(),
            quarantined: got.quarantined.len(),
            covered: got.covered.clone(),
            controls: got.controls.clone(),
            residue: got.residue.clone(),
            balances: got.balances.clone(),
        };
    }

    /// Forgets everything since [`Self::open_pull`]: a pull with a page that cannot be used is not used
    /// at all, because what its other pages cover cannot be known to be complete.
    pub fn discard_pull(&mut self) {
        let before = std::mem::take(&mut self.before);
        self.got.facts.lines.truncate(before.lines);
        self.got.rows.truncate(before.rows);
        self.got.quarantined.truncate(before.quarantined);
        (self.got.covered, self.got.controls, self.got.residue) = (before.covered, before.controls, before.residue);
        self.got.balances = before.balances;
    }

    /// The lines that follow come from this page. A later `pull` replaces an earlier one for the days
    /// that both speak for.
    pub fn open_page(&mut self, source: usize, report: ReportInfo, pull: usize, file: &str) {
        let known = self.got.facts.reports.iter().position(|other| *other == report);
        let report = known.unwrap_or_else(|| {
            self.got.facts.reports.push(report);
            self.got.facts.reports.len() - 1
        });
        self.mark =
            PageMark { source: source as u16, report: report as u16, pull: pull as u16, page: self.got.facts.pages.len() as u32 };
        self.got.facts.pages.push(file.to_string());
    }

    /// Like [`Self::open_page`], for a page that was fetched: which pages a report is cut into depends on when it was
    /// fetched and how far back, so what is said of its rows names report and day, never page and row.
    pub fn open_fetched(&mut self, source: usize, report: ReportInfo, pull: usize) {
        self.open_page(source, report, pull, FETCHED);
    }

    /// Makes room for the rows of a file.
    pub fn expect(&mut self, rows: usize) {
        let rows = room(rows);
        self.got.facts.lines.reserve(rows);
        self.got.facts.requests.expect(rows);
        self.got.rows.reserve(rows);
    }

    /// Takes one line of the open page.
    pub fn push(&mut self, line: usage::Line<'_>) {
        match line {
            usage::Line::Charge(charge) => self.charge(&charge),
            usage::Line::Nothing { row, day } => {
                self.open_row(row, day_number(day));
            }
            usage::Line::Covers(days) => {
                let window = self.reference.window;
                for day in days.iter().filter(|day| window.contains(*day)) {
                    self.cover(day_number(day));
                }
            }
            usage::Line::Quarantined(row) => self.set_aside(row),
        }
    }

    fn cover(&mut self, day: i32) {
        let pull = self.got.covered.entry((self.mark.source, self.mark.report, day)).or_insert(self.mark.pull);
        *pull = (*pull).max(self.mark.pull);
    }

    /// The day in the reporting zone.
    fn local_day(&mut self, at: DateTime<Utc>) -> i32 {
        let quarter = at.timestamp().div_euclid(900);
        if self.local.0 != quarter {
            self.local = (quarter, day_number(at.with_timezone(&self.reference.time_zone).date_naive()));
        }
        self.local.1
    }

    /// False when the row's day is outside the window: it belongs to no slice of this run.
    fn open_row(&mut self, row: u32, day: i32) -> bool {
        if !self.window.contains(&day) {
            return false;
        }
        let same = self.got.rows.last().is_some_and(|last| last.row == row && last.mark == self.mark);
        if !same {
            self.cover(day);
            self.got.rows.push(RowMark { mark: self.mark, row, day, first: self.got.facts.lines.len() as u32 });
        }
        true
    }

    fn set_aside(&mut self, row: usage::Quarantined) {
        let day = row.day.map(day_number);
        if row.day.is_some_and(|day| !self.reference.window.contains(day)) {
            return;
        }
        // A row is read whole or not at all: what it already gave is taken back.
        if let Some(last) = self.got.rows.last().filter(|last| last.row == row.row && last.mark == self.mark) {
            self.got.facts.lines.truncate(last.first as usize);
            self.got.rows.pop();
        }
        let source = &self.got.facts.sources[usize::from(self.mark.source)];
        let (page, endpoint) =
            (&self.got.facts.pages[self.mark.page as usize], self.got.facts.reports[usize::from(self.mark.report)].name);
        let fetched = page == FETCHED;
        let quarantine = Quarantine {
            charge_date: row.day,
            provider: self.got.facts.symbols.text(source.provider).to_string(),
            account: self.got.facts.symbols.text(source.account).to_string(),
            endpoint: endpoint.to_string(),
            file: if fetched { endpoint.to_string() } else { page.clone() },
            row: if fetched { 0 } else { u64::from(row.row) },
            reason: row.reason,
            amount: row.amount,
            currency: row.currency,
        };
        if let Some(day) = day {
            self.cover(day);
        }
        self.got.quarantined.push((self.mark, day, quarantine));
    }

    fn charge(&mut self, charge: &Charge<'_>) {
        let day = day_at(charge.start);
        if !self.open_row(charge.row, day) {
            return;
        }
        let source = self.got.facts.sources[usize::from(self.mark.source)].clone();
        let report = &self.got.facts.reports[usize::from(self.mark.report)];
        if report.measures == Measures::Balance {
            let key = (self.mark.source, self.mark.report, charge.currency, day);
            charge.cost.and_then(|left| self.got.balances.insert(key, (left, charge.list_cost)));
            return;
        }
        let estimated = charge.basis == CostBasis::Estimated || report.measures == Measures::Estimate;
        if estimated || charge.residue != 0 {
            self.beside(charge, &source, day_of(day), estimated);
        }
        if estimated {
            return;
        }
        let mut kind = self.kind(charge, &source, day);
        let (mut cost, mut list_cost) = (charge.cost, charge.list_cost);
        if charge.basis == CostBasis::Computed && cost.is_none() {
            let asked = self.got.facts.charge_kinds.all()[kind as usize];
            let price = book_price(self.reference, &self.got.facts.symbols, &asked, day_of(day));
            if let Some(price) = price {
                kind = self.got.facts.charge_kinds.number(ChargeKind { currency: price.currency, ..asked });
            }
            let at = |of: fn(&UnitPrice, Amount) -> Option<Amount>| price.zip(charge.quantity).and_then(|(p, q)| of(&p, q));
            cost = at(UnitPrice::cost);
            list_cost = at(UnitPrice::list_cost);
        }
        let (start, end) = (charge.start.timestamp(), charge.end.timestamp());
        let local_day = if end - start < 86_400 { self.local_day(charge.start) } else { NO_DAY };
        let line = Line {
            kind,
            day,
            start,
            end,
            local_day,
            request: charge.request_id.map_or(NONE, |id| self.got.facts.requests.push(id)),
            quantity: stored(charge.quantity),
            cost: stored(cost),
            list_cost: stored(list_cost),
            requests: charge.requests.unwrap_or(0).try_into().unwrap_or(u32::MAX),
            unpriced: false,
            page: self.mark.page,
            row: charge.row,
        };
        self.got.facts.lines.push(line);
    }

    /// The number of a row's kind, before a book's price says in which currency its cost is computed.
    fn kind(&mut self, charge: &Charge<'_>, source: &SourceInfo, day: i32) -> u32 {
        let optional =
            [charge.model, charge.api_key_id, charge.sub_account, charge.label, charge.service_tier, charge.sku, charge.meter];
        let words = optional.map(Option::unwrap_or_default);
        let PageMark { source: number, report, .. } = self.mark;
        let Charge { batch, currency, category, basis, precision, .. } = *charge;
        let rest = (number, report, batch, currency, category, basis, precision);
        if let Some(known) = self.kinds.find(&words, day, &rest) {
            return known;
        }
        let date = day_of(day);
        let [model, api_key_id, sub_account, label, service_tier, sku, meter] = words;
        let (provider, account) = (source.provider, source.account);
        let (namer, symbols) = (&mut self.namer, &mut self.got.facts.symbols);
        let mut named = |kind, name| namer.name(symbols, self.reference, kind, (provider, account), Some(name), date);
        let model = named(NameKind::Model, model);
        let api_key_id = named(NameKind::ApiKey, api_key_id);
        let sub_account = named(NameKind::SubAccount, sub_account);
        let meter = match meter {
            "" => self.namer.meter(symbols, self.reference, provider, model, date),
            meter => symbols.number(meter),
        };
        let kind = ChargeKind {
            source: number,
            report,
            provider,
            // The job's name of the account stands, so that all its reports agree.
            account,
            sub_account,
            api_key_id,
            label: symbols.number(label),
            model,
            service_tier: symbols.number(service_tier),
            batch,
            sku: symbols.number(sku),
            meter,
            currency,
            category,
            basis,
            precision,
        };
        let known = self.got.facts.charge_kinds.number(kind);
        self.kinds.keep(rest, known);
        known
    }

    /// Amounts that are reported beside the books: estimates, and what rounding removed.
    fn beside(&mut self, charge: &Charge<'_>, source: &SourceInfo, day: NaiveDate, estimated: bool) {
        let provider = self.got.facts.symbols.text(source.provider);
        let account = self.got.facts.symbols.text(source.account).to_string();
        let report = self.got.facts.reports[usize::from(self.mark.report)].name;
        if let Some(cost) = charge.cost.filter(|_| estimated) {
            let key = (format!("{provider}/{report} estimated"), account.clone(), day, charge.currency);
            let sum = self.got.controls.entry(key).or_default();
            *sum = sum.checked_add(cost).unwrap_or(*sum);
        }
        if charge.residue != 0 {
            let sum = self.got.residue.entry((format!("{provider}/{report} residue"), account, charge.currency)).or_default();
            *sum = sum.saturating_add(charge.residue);
        }
    }

    /// Books what was read: later pulls over earlier ones, each row once, the finest money only.
    pub fn finish(mut self) -> (Facts, ProviderSide) {
        let facts = &mut self.got.facts;
        let repeats = facts.requests.settle();
        if !repeats.is_empty() {
            facts.lines.iter_mut().for_each(|line| line.request = repeats.first(line.request));
        }
        super::booking::book(self.reference, self.got)
    }
}

/// The book's price for a line whose provider has no cost data (contract 3.3, `computed`).
pub(super) fn book_price(reference: &Reference, symbols: &Symbols, kind: &ChargeKind, day: NaiveDate) -> Option<UnitPrice> {
    let text = |sym: Sym| symbols.text(sym);
    let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
    let asked = Asked {
        model: text(kind.model),
        meter: text(kind.meter),
        service_tier: optional(kind.service_tier),
        batch: kind.batch.unwrap_or(false),
        context: Amount::ZERO,
        account: text(kind.account),
        api_key_id: optional(kind.api_key_id),
        day,
    };
    reference.price(text(kind.provider), asked)
}
