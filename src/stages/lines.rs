//! Normalises what adapters read: one name per model, one day per line, every row used once. Chooses
//! which report of the same money is booked; the others become control totals (contract 3.3).

use super::facts::{ChargeKind, Facts, Line, NO_DAY, ReportInfo, SourceInfo, stored};
use super::reference::Reference;
use super::results::{Control, Coverage, Quarantine, SliceStatus};
use super::symbols::{NONE, Sym};
use crate::domain::money::{Amount, Currency};
use crate::domain::names::NameKind;
use crate::domain::period::{day_number, day_of};
use crate::domain::usage::{self, Charge, ChargeCategory, CostBasis, Precision};
use chrono::NaiveDate;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Where the lines that are being read come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageMark {
    source: u16,
    report: u16,
    pull: u16,
    page: u32,
}

/// One report row: its lines are `first..` up to the next row's.
struct RowMark {
    mark: PageMark,
    row: u32,
    day: i32,
    first: u32,
}

/// A slice: source, report, day.
type Slice = (u16, u16, i32);

#[derive(Default)]
struct Count {
    read: u64,
    duplicates: u64,
    quarantined: u64,
}

/// Rows of one content: how often the current page has it, and the most that any page had.
struct Repeat {
    first: usize,
    page: u32,
    in_page: u32,
    most: u32,
}

/// Collects pages, then books them.
pub struct LineReader<'r> {
    reference: &'r Reference,
    facts: Facts,
    mark: PageMark,
    rows: Vec<RowMark>,
    /// The latest pull that speaks for a slice.
    covered: HashMap<Slice, u16>,
    quarantined: Vec<(PageMark, Option<i32>, Quarantine)>,
    /// Estimates and rounding residues, which are never booked.
    controls: BTreeMap<(String, String, NaiveDate, Currency), Amount>,
    residue: BTreeMap<(String, String, Currency), i128>,
    names: HashMap<(NameKind, Sym, Sym, i32), Sym>,
}

/// What is known of the provider side besides its lines.
pub struct ProviderSide {
    /// Days for which a source has money, by source index.
    pub covered: BTreeSet<(u16, i32)>,
    pub coverage: Vec<Coverage>,
    pub quarantine: Vec<Quarantine>,
    pub controls: Vec<Control>,
}

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
            facts,
            mark: PageMark { source: 0, report: 0, pull: 0, page: 0 },
            rows: Vec::new(),
            covered: HashMap::new(),
            quarantined: Vec::new(),
            controls: BTreeMap::new(),
            residue: BTreeMap::new(),
            names: HashMap::new(),
        }
    }

    /// The lines that follow come from this page. A later `pull` replaces an earlier one for the days
    /// that both speak for.
    pub fn open_page(&mut self, source: usize, report: ReportInfo, pull: usize, file: &str) {
        let known = self.facts.reports.iter().position(|other| *other == report);
        let report = known.unwrap_or_else(|| {
            self.facts.reports.push(report);
            self.facts.reports.len() - 1
        });
        self.mark =
            PageMark { source: source as u16, report: report as u16, pull: pull as u16, page: self.facts.pages.len() as u32 };
        self.facts.pages.push(file.to_string());
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
        let pull = self.covered.entry((self.mark.source, self.mark.report, day)).or_insert(self.mark.pull);
        *pull = (*pull).max(self.mark.pull);
    }

    /// False when the row's day is outside the window: it belongs to no slice of this run.
    fn open_row(&mut self, row: u32, day: i32) -> bool {
        if !self.reference.window.contains(day_of(day)) {
            return false;
        }
        let same = self.rows.last().is_some_and(|last| last.row == row && last.mark == self.mark);
        if !same {
            self.cover(day);
            self.rows.push(RowMark { mark: self.mark, row, day, first: self.facts.lines.len() as u32 });
        }
        true
    }

    fn set_aside(&mut self, row: usage::Quarantined) {
        let day = row.day.map(day_number);
        if row.day.is_some_and(|day| !self.reference.window.contains(day)) {
            return;
        }
        // A row is read whole or not at all: what it already gave is taken back.
        if let Some(last) = self.rows.last().filter(|last| last.row == row.row && last.mark == self.mark) {
            self.facts.lines.truncate(last.first as usize);
            self.rows.pop();
        }
        let source = &self.facts.sources[usize::from(self.mark.source)];
        let quarantine = Quarantine {
            charge_date: row.day,
            provider: self.facts.symbols.text(source.provider).to_string(),
            account: self.facts.symbols.text(source.account).to_string(),
            endpoint: self.facts.reports[usize::from(self.mark.report)].name.to_string(),
            file: self.facts.pages[self.mark.page as usize].clone(),
            row: u64::from(row.row),
            reason: row.reason,
            amount: row.amount,
            currency: row.currency,
        };
        if let Some(day) = day {
            self.cover(day);
        }
        self.quarantined.push((self.mark, day, quarantine));
    }

    fn charge(&mut self, charge: &Charge<'_>) {
        let date = charge.start.date_naive();
        let day = day_number(date);
        if !self.open_row(charge.row, day) {
            return;
        }
        let source = self.facts.sources[usize::from(self.mark.source)].clone();
        if charge.basis == CostBasis::Estimated || charge.residue != 0 {
            self.beside(charge, &source, date);
        }
        if charge.basis == CostBasis::Estimated {
            return;
        }
        let provider = source.provider;
        let model = self.named(NameKind::Model, provider, charge.model, date);
        let api_key_id = self.named(NameKind::ApiKey, provider, charge.api_key_id, date);
        let sub_account = self.named(NameKind::SubAccount, provider, charge.sub_account, date);
        let meter = match charge.meter {
            Some(meter) => self.facts.symbols.number(meter),
            None => self.meter_of(provider, model, date),
        };
        let kind = ChargeKind {
            source: self.mark.source,
            report: self.mark.report,
            provider,
            account: charge.account.map_or(source.account, |account| self.facts.symbols.number(account)),
            sub_account,
            api_key_id,
            label: self.facts.symbols.optional(charge.label),
            model,
            service_tier: self.facts.symbols.optional(charge.service_tier),
            batch: charge.batch,
            sku: self.facts.symbols.optional(charge.sku),
            meter,
            currency: charge.currency,
            category: charge.category,
            basis: charge.basis,
            precision: charge.precision,
        };
        let (start, end) = (charge.start.timestamp(), charge.end.timestamp());
        let local_day = if end - start < 86_400 {
            day_number(charge.start.with_timezone(&self.reference.time_zone).date_naive())
        } else {
            NO_DAY
        };
        let line = Line {
            kind: self.facts.charge_kinds.number(kind),
            day,
            start,
            end,
            local_day,
            request: self.facts.requests.optional(charge.request_id),
            quantity: stored(charge.quantity),
            cost: stored(charge.cost),
            list_cost: stored(charge.list_cost),
            requests: charge.requests.unwrap_or(0).try_into().unwrap_or(u32::MAX),
            page: self.mark.page,
            row: charge.row,
        };
        self.facts.lines.push(line);
    }

    /// Amounts that are reported beside the books: estimates, and what rounding removed.
    fn beside(&mut self, charge: &Charge<'_>, source: &SourceInfo, day: NaiveDate) {
        let provider = self.facts.symbols.text(source.provider);
        let account = self.facts.symbols.text(source.account).to_string();
        let report = self.facts.reports[usize::from(self.mark.report)].name;
        if charge.basis == CostBasis::Estimated {
            let key = (format!("{provider}/{report} estimated"), account.clone(), day, charge.currency);
            let sum = self.controls.entry(key).or_default();
            *sum = sum.checked_add(charge.cost.unwrap_or_default()).unwrap_or(*sum);
        }
        if charge.residue != 0 {
            let sum = self.residue.entry((format!("{provider}/{report} residue"), account, charge.currency)).or_default();
            *sum = sum.saturating_add(charge.residue);
        }
    }

    /// The one name of a key, workspace or model on a day.
    fn named(&mut self, kind: NameKind, provider: Sym, name: Option<&str>, day: NaiveDate) -> Sym {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return NONE };
        let raw = self.facts.symbols.number(name);
        let key = (kind, provider, raw, day_number(day));
        if let Some(found) = self.names.get(&key) {
            return *found;
        }
        let provider = self.facts.symbols.text(provider);
        let resolved = match kind {
            NameKind::Model => self.reference.model(provider, name, day),
            kind => self.reference.names.resolve(kind, provider, name, day).unwrap_or(name),
        };
        let resolved = self.facts.symbols.number(resolved);
        self.names.insert(key, resolved);
        resolved
    }

    /// The meter of a model whose report does not say what it counts.
    fn meter_of(&mut self, provider: Sym, model: Sym, day: NaiveDate) -> Sym {
        let key = (NameKind::Meter, provider, model, day_number(day));
        if let Some(found) = self.names.get(&key) {
            return *found;
        }
        let (provider, name) = (self.facts.symbols.text(provider), self.facts.symbols.text(model));
        let meter = self.reference.names.resolve(NameKind::Meter, provider, name, day);
        let meter = self.facts.symbols.optional(meter);
        self.names.insert(key, meter);
        meter
    }

    /// Books what was read: later pulls over earlier ones, each row once, the finest money only.
    pub fn finish(mut self) -> (Facts, ProviderSide) {
        let mut counts: BTreeMap<Slice, Count> = BTreeMap::new();
        for slice in self.covered.keys() {
            counts.entry(*slice).or_default();
        }
        let keep = self.rows_to_keep(&mut counts);
        let booked = self.booked_reports();
        let mut sums: BTreeMap<(Slice, Currency), (Amount, CostBasis)> = BTreeMap::new();
        let mut tolerances: HashMap<Slice, i128> = HashMap::new();
        let lines = std::mem::take(&mut self.facts.lines);
        let mut kept = Vec::with_capacity(lines.len());
        let mut models: BTreeMap<(Slice, Currency, Sym), Amount> = BTreeMap::new();
        for (index, row) in self.rows.iter().enumerate() {
            if !keep[index] {
                continue;
            }
            let end = self.rows.get(index + 1).map_or(lines.len(), |next| next.first as usize);
            let slice = (row.mark.source, row.mark.report, row.day);
            let report = &self.facts.reports[usize::from(row.mark.report)];
            let is_booked = booked.get(&(row.mark.source, row.day, report.money)).is_some_and(|rank| *rank == report.rank);
            for line in &lines[row.first as usize..end] {
                let kind = self.facts.charge_kind(line);
                if let Some(cost) = super::facts::amount(line.cost) {
                    let sum = sums.entry((slice, kind.currency)).or_insert((Amount::ZERO, kind.basis));
                    sum.0 = sum.0.checked_add(cost).unwrap_or(sum.0);
                    *tolerances.entry(slice).or_default() += kind.precision.per_line().atto();
                    // One entry per row would be one per request: only coarse reports are told apart by model.
                    if self.facts.reports.len() > 1 {
                        let sum = models.entry((slice, kind.currency, kind.model)).or_default();
                        *sum = sum.checked_add(cost).unwrap_or(*sum);
                    }
                }
                if is_booked {
                    kept.push(*line);
                }
            }
        }
        self.facts.lines = kept;
        self.book_gaps(&booked, &sums, &models, &tolerances);
        let side = self.sides(&booked, counts, &sums);
        (self.facts, side)
    }

    /// For each row: is it the only, or the first, of its kind? Counts what is not.
    fn rows_to_keep(&mut self, counts: &mut BTreeMap<Slice, Count>) -> Vec<bool> {
        let lines = &self.facts.lines;
        let lines_of = |index: usize| {
            let end = self.rows.get(index + 1).map_or(lines.len(), |next| next.first as usize);
            &lines[self.rows[index].first as usize..end]
        };
        let mut seen = vec![0u32; self.facts.requests.len()];
        for index in 0..self.rows.len() {
            if let Some(request) = lines_of(index).first().map(|line| line.request).filter(|request| *request != NONE) {
                seen[request as usize] += 1;
            }
        }
        let mut pages: HashMap<(u16, u16, u16), BTreeSet<u32>> = HashMap::new();
        for row in &self.rows {
            pages.entry((row.mark.source, row.mark.report, row.mark.pull)).or_default().insert(row.mark.page);
        }
        let same = |a: &Line, b: &Line| Line { page: 0, row: 0, ..*a } == Line { page: 0, row: 0, ..*b };
        // Rows that might be repeats, by slice and content.
        let mut repeats: HashMap<(Slice, Sym, i64, i128, i128, u32), Vec<Repeat>> = HashMap::new();
        let mut keep = Vec::with_capacity(self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            let slice = (row.mark.source, row.mark.report, row.day);
            let count = counts.entry(slice).or_default();
            count.read += 1;
            if self.covered.get(&slice).is_some_and(|latest| *latest > row.mark.pull) {
                count.duplicates += 1;
                keep.push(false);
                continue;
            }
            let own = lines_of(index);
            let Some(first) = own.first() else {
                keep.push(true);
                continue;
            };
            let several = pages.get(&(row.mark.source, row.mark.report, row.mark.pull)).is_some_and(|pages| pages.len() > 1);
            let candidate = if first.request == NONE { several } else { seen[first.request as usize] > 1 };
            if !candidate {
                keep.push(true);
                continue;
            }
            let key = (slice, first.request, first.start, first.quantity, first.cost, first.kind);
            let group = repeats.entry(key).or_default();
            let is_same = |other: usize| {
                let other = lines_of(other);
                other.len() == own.len() && other.iter().zip(own).all(|(a, b)| same(a, b))
            };
            let known = match group.iter_mut().find(|repeat| is_same(repeat.first)) {
                Some(known) => known,
                None => {
                    group.push(Repeat { first: index, page: row.mark.page, in_page: 0, most: 0 });
                    let last = group.len() - 1;
                    &mut group[last]
                }
            };
            // A request is charged once. A bucket row may stand twice in one page and is then added
            // twice, but what a second page repeats is the same row served again.
            if known.page != row.mark.page && first.request == NONE {
                (known.page, known.in_page) = (row.mark.page, 0);
            }
            known.in_page += 1;
            let is_repeat = known.in_page <= known.most || (first.request != NONE && known.in_page > 1);
            known.most = known.most.max(known.in_page);
            count.duplicates += u64::from(is_repeat);
            keep.push(!is_repeat);
        }
        for (mark, day, _) in &self.quarantined {
            if let Some(day) = day {
                let count = counts.entry((mark.source, mark.report, *day)).or_default();
                count.read += 1;
                count.quarantined += 1;
            }
        }
        keep
    }

    /// The lowest rank that speaks for a source and day, for money and for quantity.
    fn booked_reports(&self) -> HashMap<(u16, i32, bool), u8> {
        let mut booked: HashMap<(u16, i32, bool), u8> = HashMap::new();
        for (source, report, day) in self.covered.keys() {
            let report = &self.facts.reports[usize::from(*report)];
            let rank = booked.entry((*source, *day, report.money)).or_insert(report.rank);
            *rank = (*rank).min(report.rank);
        }
        booked
    }

    /// Where the booked report misses money that a coarser one of the same account shows, the gap is a
    /// line of its own (contract 4.8): by model where the models explain it, else as a whole.
    fn book_gaps(
        &mut self,
        booked: &HashMap<(u16, i32, bool), u8>,
        sums: &BTreeMap<(Slice, Currency), (Amount, CostBasis)>,
        models: &BTreeMap<(Slice, Currency, Sym), Amount>,
        tolerances: &HashMap<Slice, i128>,
    ) {
        let mut gaps = Vec::new();
        for ((slice, currency), (coarse, basis)) in sums {
            let (source, report, day) = *slice;
            let info = &self.facts.reports[usize::from(report)];
            let Some(rank) = booked.get(&(source, day, true)).filter(|rank| info.money && info.rank > **rank) else { continue };
            let fine = |with: &ReportInfo| with.money && with.rank == *rank;
            let finest: Vec<u16> =
                (0..self.facts.reports.len() as u16).filter(|report| fine(&self.facts.reports[usize::from(*report)])).collect();
            let of = |report: &u16| sums.get(&((source, *report, day), *currency)).map_or(0, |sum| sum.0.atto());
            let booked_sum: i128 = finest.iter().map(of).sum();
            let tolerance: i128 =
                finest.iter().chain([&report]).filter_map(|report| tolerances.get(&(source, *report, day))).sum();
            let gap = coarse.atto() - booked_sum;
            if gap <= tolerance {
                continue;
            }
            let mut parts: Vec<(Sym, i128)> = Vec::new();
            for ((model_slice, model_currency, model), amount) in models {
                if model_slice == slice && model_currency == currency {
                    let fine: i128 = finest
                        .iter()
                        .filter_map(|report| models.get(&((source, *report, day), *currency, *model)))
                        .map(|amount| amount.atto())
                        .sum();
                    if amount.atto() != fine {
                        parts.push((*model, amount.atto() - fine));
                    }
                }
            }
            let explained = parts.iter().all(|(_, part)| *part > 0) && parts.iter().map(|(_, part)| part).sum::<i128>() == gap;
            let parts = if explained { parts } else { vec![(NONE, gap)] };
            gaps.extend(parts.into_iter().map(|(model, part)| (*slice, *currency, *basis, model, part)));
        }
        // Two coarser reports of one day show the same gap: the first stands.
        let mut done = BTreeSet::new();
        for ((source, report, day), currency, basis, model, part) in gaps {
            let first = done.iter().find(|(s, d, c, _)| (*s, *d, *c) == (source, day, currency)).map(|(_, _, _, r)| *r);
            if first.is_some_and(|first| first != report) {
                continue;
            }
            done.insert((source, day, currency, report));
            let info = self.facts.sources[usize::from(source)].clone();
            let name = self.facts.reports[usize::from(report)].name;
            let sku = self.facts.symbols.number(&format!("shown by {name} only"));
            let kind = ChargeKind {
                source,
                report,
                provider: info.provider,
                account: info.account,
                sub_account: NONE,
                api_key_id: NONE,
                label: NONE,
                model,
                service_tier: NONE,
                batch: None,
                sku,
                meter: NONE,
                currency,
                category: ChargeCategory::Usage,
                basis,
                precision: Precision::Exact,
            };
            let start = i64::from(day) * 86_400;
            self.facts.pages.push(format!("{name} less the finer report"));
            self.facts.lines.push(Line {
                kind: self.facts.charge_kinds.number(kind),
                day,
                start,
                end: start + 86_400,
                local_day: NO_DAY,
                request: NONE,
                quantity: super::facts::NO_AMOUNT,
                cost: part,
                list_cost: super::facts::NO_AMOUNT,
                requests: 0,
                page: self.facts.pages.len() as u32 - 1,
                row: 0,
            });
        }
    }

    /// Coverage, quarantine and control totals of the provider side.
    fn sides(
        &mut self,
        booked: &HashMap<(u16, i32, bool), u8>,
        counts: BTreeMap<Slice, Count>,
        sums: &BTreeMap<(Slice, Currency), (Amount, CostBasis)>,
    ) -> ProviderSide {
        let name = |sym: Sym| self.facts.symbols.text(sym).to_string();
        let mut coverage = Vec::new();
        let mut controls: Vec<Control> = Vec::new();
        for (slice, count) in &counts {
            let (source, report, day) = *slice;
            let info = &self.facts.sources[usize::from(source)];
            let report = &self.facts.reports[usize::from(report)];
            let is_booked = booked.get(&(source, day, report.money)) == Some(&report.rank);
            let settled = self.reference.settled(day_of(day), info.settle_days);
            let amounts: Vec<_> = sums.range((*slice, Currency::MIN)..).take_while(|((other, _), _)| other == slice).collect();
            let basis = match amounts.first() {
                _ if !report.money => String::new(),
                _ if !is_booked => "control".to_string(),
                Some((_, (_, basis))) => basis.name().to_string(),
                None => CostBasis::Billed.name().to_string(),
            };
            let row = Coverage {
                charge_date: Some(day_of(day)),
                provider: name(info.provider),
                account: name(info.account),
                endpoint: report.name.to_string(),
                cost_basis: basis,
                status: if settled { SliceStatus::Complete } else { SliceStatus::Provisional },
                rows_read: count.read,
                rows_used: count.read - count.duplicates - count.quarantined,
                duplicates: count.duplicates,
                quarantined: count.quarantined,
                amount: None,
                currency: None,
            };
            if amounts.is_empty() {
                coverage.push(row.clone());
            }
            for (place, ((_, currency), (amount, _))) in amounts.iter().enumerate() {
                // A slice of two currencies has two amounts but its rows only once.
                let rows =
                    if place == 0 { (row.rows_read, row.rows_used, row.duplicates, row.quarantined) } else { (0, 0, 0, 0) };
                coverage.push(Coverage {
                    amount: Some(*amount),
                    currency: Some(*currency),
                    rows_read: rows.0,
                    rows_used: rows.1,
                    duplicates: rows.2,
                    quarantined: rows.3,
                    ..row.clone()
                });
                if report.money && !is_booked {
                    controls.push(Control {
                        source: format!("{}/{}", name(info.provider), report.name),
                        account: name(info.account),
                        charge_date: Some(day_of(day)),
                        amount: *amount,
                        currency: *currency,
                    });
                }
            }
        }
        let covered: BTreeSet<(u16, i32)> = booked.keys().filter(|(_, _, money)| *money).map(|(s, d, _)| (*s, *d)).collect();
        coverage.extend(self.missing(&covered));
        let mut unknown: BTreeMap<(u16, u16), u64> = BTreeMap::new();
        for (mark, day, _) in &self.quarantined {
            if day.is_none() {
                *unknown.entry((mark.source, mark.report)).or_default() += 1;
            }
        }
        for ((source, report), rows) in unknown {
            let info = &self.facts.sources[usize::from(source)];
            coverage.push(Coverage {
                charge_date: None,
                provider: name(info.provider),
                account: name(info.account),
                endpoint: self.facts.reports[usize::from(report)].name.to_string(),
                cost_basis: String::new(),
                status: SliceStatus::Complete,
                rows_read: rows,
                rows_used: 0,
                duplicates: 0,
                quarantined: rows,
                amount: None,
                currency: None,
            });
        }
        for ((source, account, day, currency), amount) in &self.controls {
            let (source, account) = (source.clone(), account.clone());
            controls.push(Control { source, account, charge_date: Some(*day), amount: *amount, currency: *currency });
        }
        for ((source, account, currency), residue) in &self.residue {
            let amount = Amount::from_atto(*residue).mul_div(1, 10i128.pow(18)).unwrap_or_default();
            controls.push(Control {
                source: source.clone(),
                account: account.clone(),
                charge_date: None,
                amount,
                currency: *currency,
            });
        }
        let quarantine = std::mem::take(&mut self.quarantined).into_iter().map(|(_, _, row)| row).collect();
        ProviderSide { covered, coverage, quarantine, controls }
    }

    /// A coverage row for each day of the window on which a source has no money at all.
    fn missing(&self, covered: &BTreeSet<(u16, i32)>) -> Vec<Coverage> {
        let mut rows = Vec::new();
        for (index, source) in self.facts.sources.iter().enumerate() {
            let seen = self.covered.keys().filter(|(s, _, _)| usize::from(*s) == index);
            let endpoint = seen
                .map(|(_, report, _)| &self.facts.reports[usize::from(*report)])
                .filter(|report| report.money)
                .min_by_key(|report| (report.rank, report.name))
                .map_or("none", |report| report.name);
            for day in self.reference.window.iter() {
                if !covered.contains(&(index as u16, day_number(day))) {
                    rows.push(Coverage {
                        charge_date: Some(day),
                        provider: self.facts.symbols.text(source.provider).to_string(),
                        account: self.facts.symbols.text(source.account).to_string(),
                        endpoint: endpoint.to_string(),
                        cost_basis: String::new(),
                        status: SliceStatus::Missing,
                        rows_read: 0,
                        rows_used: 0,
                        duplicates: 0,
                        quarantined: 0,
                        amount: None,
                        currency: None,
                    });
                }
            }
        }
        rows
    }
}
