//! Books what was read: later pulls over earlier ones, each row once, the finest report of the same
//! money; the others become control totals (contract 3.3).

use super::facts::{ChargeKind, Facts, Line, NO_AMOUNT, NO_DAY, ReportInfo, amount};
use super::lines::{Gathered, RowMark, Slice};
use super::reference::Reference;
use super::results::{Control, Coverage, Quarantine};
use super::symbols::{NONE, Sym};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{ChargeCategory, CostBasis, Measures, Precision};
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Rows of a slice.
#[derive(Default)]
pub struct Count {
    pub read: u64,
    pub duplicates: u64,
    pub quarantined: u64,
}

/// Rows of one content: how often the current page has it, and the most that any page had.
struct Repeat {
    first: usize,
    page: u32,
    in_page: u32,
    most: u32,
}

/// What is known of the provider side besides its lines.
pub struct ProviderSide {
    /// Days for which a source has money, by source index.
    pub covered: BTreeSet<(u16, i32)>,
    pub coverage: Vec<Coverage>,
    pub quarantine: Vec<Quarantine>,
    pub controls: Vec<Control>,
}

/// What two equal rows have in common at first sight: slice, request, start, quantity, cost, kind.
type Looks = (Slice, Sym, i64, i128, i128, u32);

/// Sums by slice and currency, with the basis of their first line.
pub type Sums = BTreeMap<(Slice, Currency), (Amount, CostBasis)>;
/// Source, day and what is measured → the rank that is booked.
pub type Booked = HashMap<(u16, i32, Measures), u8>;

/// Books everything that was gathered.
pub fn book(reference: &Reference, gathered: Gathered) -> (Facts, ProviderSide) {
    gathered.book(reference)
}

impl Gathered {
    /// Books what was read: later pulls over earlier ones, each row once, the finest money only.
    fn book(mut self, reference: &Reference) -> (Facts, ProviderSide) {
        let mut counts: BTreeMap<Slice, Count> = BTreeMap::new();
        for slice in self.covered.keys() {
            counts.entry(*slice).or_default();
        }
        let keep = self.rows_to_keep(&mut counts);
        let booked = self.booked_reports();
        let mut sums = Sums::new();
        let mut tolerances: HashMap<Slice, i128> = HashMap::new();
        // Slices with a line of more than their day: a month dated to its first day, a day of another zone.
        let mut longer: BTreeSet<Slice> = BTreeSet::new();
        let mut lines = std::mem::take(&mut self.facts.lines);
        // What is booked moves to the front: a line never has more before it than it had.
        let mut kept = 0;
        let mut models: BTreeMap<(Slice, Currency, Sym), Amount> = BTreeMap::new();
        let mut index = 0;
        for run in self.rows.chunk_by(|a, b| a.slice() == b.slice()) {
            let Some(slice) = run.first().map(RowMark::slice) else { continue };
            let report = &self.facts.reports[usize::from(slice.1)];
            let is_booked = booked.get(&(slice.0, slice.2, report.measures)) == Some(&report.rank);
            // By currency: there is mostly one.
            let mut own_sums: Vec<(Currency, Amount, CostBasis)> = Vec::new();
            let mut tolerance = None;
            for row in run {
                let end = self.rows.get(index + 1).map_or(lines.len(), |next| next.first as usize);
                index += 1;
                if !keep[index - 1] {
                    continue;
                }
                let own = row.first as usize..end;
                // A row of a money report of which nothing has a cost is priced by nobody.
                let unpriced = report.is_money() && lines[own.clone()].iter().all(|line| line.cost == NO_AMOUNT);
                for at in own {
                    let line = &lines[at];
                    let kind = self.facts.charge_kind(line);
                    let midnight = i64::from(line.day) * 86_400;
                    if line.start < midnight || line.end > midnight + 86_400 {
                        longer.insert(slice);
                    }
                    if let Some(cost) = amount(line.cost) {
                        match own_sums.iter_mut().find(|(currency, ..)| *currency == kind.currency) {
                            Some((_, sum, _)) => *sum = sum.checked_add(cost).unwrap_or(*sum),
                            None => own_sums.push((kind.currency, cost, kind.basis)),
                        }
                        *tolerance.get_or_insert(0) += kind.precision.of_requests(line.requests).atto();
                        // One entry per row would be one per request: only coarse reports are told apart by model.
                        if self.facts.reports.len() > 1 {
                            let sum = models.entry((slice, kind.currency, kind.model)).or_default();
                            *sum = sum.checked_add(cost).unwrap_or(*sum);
                        }
                    }
                    if is_booked {
                        if kept < at {
                            lines[kept] = lines[at];
                        }
                        if unpriced {
                            lines[kept] = Line { cost: 0, unpriced: true, ..lines[kept] };
                        }
                        kept += 1;
                    }
                }
            }
            for (currency, own, basis) in own_sums {
                let sum = sums.entry((slice, currency)).or_insert((Amount::ZERO, basis));
                sum.0 = sum.0.checked_add(own).unwrap_or(sum.0);
            }
            if let Some(own) = tolerance {
                *tolerances.entry(slice).or_default() += own;
            }
        }
        lines.truncate(kept);
        self.facts.lines = lines;
        self.book_gaps(&booked, &sums, &models, &tolerances, &longer);
        let side = self.sides(reference, &booked, counts, &sums);
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
        for row in self.rows.chunk_by(|a, b| a.mark == b.mark).filter_map(<[RowMark]>::first) {
            pages.entry((row.mark.source, row.mark.report, row.mark.pull)).or_default().insert(row.mark.page);
        }
        let same = |a: &Line, b: &Line| Line { page: 0, row: 0, ..*a } == Line { page: 0, row: 0, ..*b };
        // Rows that might be repeats, by slice and content.
        let mut repeats: HashMap<Looks, Vec<Repeat>> = HashMap::new();
        let mut keep = Vec::with_capacity(self.rows.len());
        for run in self.rows.chunk_by(|a, b| a.slice() == b.slice() && a.mark.pull == b.mark.pull) {
            let Some((slice, pull)) = run.first().map(|row| (row.slice(), row.mark.pull)) else { continue };
            let count = counts.entry(slice).or_default();
            count.read += run.len() as u64;
            if self.covered.get(&slice).is_some_and(|latest| *latest > pull) {
                count.duplicates += run.len() as u64;
                keep.resize(keep.len() + run.len(), false);
                continue;
            }
            let keyed = self.facts.reports[usize::from(slice.1)].keyed;
            let several = keyed && pages.get(&(slice.0, slice.1, pull)).is_some_and(|pages| pages.len() > 1);
            for row in run {
                let index = keep.len();
                let own = lines_of(index);
                let Some(first) = own.first() else {
                    keep.push(true);
                    continue;
                };
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
    fn booked_reports(&self) -> Booked {
        let mut booked = Booked::new();
        for (source, report, day) in self.covered.keys() {
            let report = &self.facts.reports[usize::from(*report)];
            if report.measures.is_beside() {
                continue;
            }
            let rank = booked.entry((*source, *day, report.measures)).or_insert(report.rank);
            *rank = (*rank).min(report.rank);
        }
        booked
    }

    /// Where the booked report misses money that a coarser one of the same account shows, the gap is a
    /// line of its own (contract 4.8): by model where the models explain it, else as a whole. Lines of more
    /// than a day cannot be compared by day, and show no gap.
    fn book_gaps(
        &mut self,
        booked: &Booked,
        sums: &Sums,
        models: &BTreeMap<(Slice, Currency, Sym), Amount>,
        tolerances: &HashMap<Slice, i128>,
        longer: &BTreeSet<Slice>,
    ) {
        let mut gaps = Vec::new();
        for ((slice, currency), (coarse, basis)) in sums {
            let (source, report, day) = *slice;
            let info = &self.facts.reports[usize::from(report)];
            let Some(rank) = booked.get(&(source, day, Measures::Money)).filter(|rank| info.is_money() && info.rank > **rank)
            else {
                continue;
            };
            let fine = |with: &ReportInfo| with.is_money() && with.rank == *rank;
            let finest: Vec<u16> =
                (0..self.facts.reports.len() as u16).filter(|report| fine(&self.facts.reports[usize::from(*report)])).collect();
            if finest.iter().chain([&report]).any(|report| longer.contains(&(source, *report, day))) {
                continue;
            }
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
        // Two coarser reports of one day show the same gap: the finer of them stands.
        gaps.sort_by_key(|((_, report, _), ..)| {
            let report = &self.facts.reports[usize::from(*report)];
            (report.rank, report.name)
        });
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
                quantity: NO_AMOUNT,
                cost: part,
                list_cost: NO_AMOUNT,
                requests: 0,
                unpriced: false,
                page: self.facts.pages.len() as u32 - 1,
                row: 0,
            });
        }
    }
}
