//! Totals by provider, account, day and currency: the rows of `reconciliation.csv`, and which slices
//! are there at all.

use super::classify::Verdict;
use super::facts::{EntryKind, Facts, amount};
use super::matching::{Agreed, Match};
use super::pools::Covered;
use super::reference::Reference;
use super::results::{Coverage, Drift, Reason, Reconciliation, SliceStatus, Tie};
use super::symbols::Sym;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{day_number, day_of};
use hashbrown::HashSet;
use std::collections::{BTreeMap, BTreeSet};

type Slice = (Sym, Sym, i32);

/// The slices for which a source has money, from what the provider side covered.
pub fn covered(facts: &Facts, days: &BTreeSet<(u16, i32)>) -> Covered {
    let slice = |(source, day): &(u16, i32)| {
        let source = &facts.sources[usize::from(*source)];
        (source.provider, source.account, *day)
    };
    Covered { slices: days.iter().map(slice).collect() }
}

/// The slices that are settled at the moment that the run speaks for.
pub fn settled(facts: &Facts, reference: &Reference) -> HashSet<Slice> {
    let mut settled = HashSet::new();
    for source in &facts.sources {
        for day in reference.window.iter().filter(|day| reference.settled(*day, source.settle_days)) {
            settled.insert((source.provider, source.account, day_number(day)));
        }
    }
    settled
}

#[derive(Default)]
struct Totals {
    billed: Amount,
    expected: Amount,
    matched: Amount,
    reasons: [Amount; 24],
}

fn plus(total: &mut Amount, value: Amount) {
    *total = total.checked_add(value).unwrap_or(*total);
}

/// Sums of rows by kind and day: fewer than rows by far. One may come in several parts where rows are not in order of time.
pub(super) fn by_kind(kinds: usize, rows: impl Iterator<Item = (u32, i32, Amount)>) -> Vec<((u32, i32), Amount)> {
    let mut last: Vec<Option<(i32, Amount)>> = vec![None; kinds];
    let mut sums = Vec::new();
    for (kind, day, amount) in rows {
        let Some(own) = last.get_mut(kind as usize) else { continue };
        match own {
            Some((known, sum)) if *known == day => plus(sum, amount),
            _ => sums.extend(own.replace((day, amount)).map(|(day, sum)| ((kind, day), sum))),
        }
    }
    let left = (0..).zip(last).filter_map(|(kind, own)| own.map(|(day, sum)| ((kind, day), sum)));
    sums.extend(left);
    sums
}

/// One row for each covered slice and currency, and for each day that the ledger has but no source.
pub fn reconcile(
    facts: &Facts,
    settled: &HashSet<Slice>,
    covered: &Covered,
    agreed: &[Agreed],
    matches: &[Match],
    verdicts: &[Verdict],
    drift: &[Drift],
) -> Vec<Reconciliation> {
    let mut totals: BTreeMap<(Slice, Currency), Totals> = BTreeMap::new();
    let billed = facts.lines.iter().filter_map(|line| Some((line.kind, line.day, amount(line.cost)?)));
    for ((kind, day), sum) in by_kind(facts.charge_kinds.all().len(), billed) {
        let kind = &facts.charge_kinds.all()[kind as usize];
        plus(&mut totals.entry(((kind.provider, kind.account, day), kind.currency)).or_default().billed, sum);
    }
    let expected = facts.entries.iter().map(|entry| (entry.kind, entry.day, entry.cost));
    for ((kind, day), sum) in by_kind(facts.entry_kinds.all().len(), expected) {
        let kind = &facts.entry_kinds.all()[kind as usize];
        plus(&mut totals.entry(((kind.provider, kind.account, day), kind.currency)).or_default().expected, sum);
    }
    for sum in agreed {
        let kind = &facts.charge_kinds.all()[sum.charge_kind as usize];
        let slice = (kind.provider, kind.account, sum.day);
        plus(&mut totals.entry((slice, kind.currency)).or_default().matched, sum.cost);
    }
    for (m, verdict) in matches.iter().zip(verdicts) {
        if matches!(verdict.reason, None | Some(Reason::Rounding)) {
            let slice = (m.provider, m.account, m.day);
            plus(&mut totals.entry((slice, m.currency)).or_default().matched, verdict.billed);
        }
    }
    for row in drift {
        let (Some(provider), Some(account)) = (facts.symbols.find(&row.provider), find_or_none(facts, &row.account)) else {
            continue;
        };
        let slice = (provider, account, day_number(row.charge_date));
        let totals = totals.entry((slice, row.currency)).or_default();
        if let Some(place) = Reason::ALL.iter().position(|reason| *reason == row.reason) {
            plus(&mut totals.reasons[place], row.difference);
        }
    }
    // A covered slice without a single row is a known zero and says so.
    let present: HashSet<Slice> = totals.keys().map(|(slice, _)| *slice).collect();
    for slice in covered.slices.iter().filter(|slice| !present.contains(*slice)) {
        totals.entry((*slice, currency_of(facts, slice.0, slice.1))).or_default();
    }
    totals.into_iter().map(|((slice, currency), totals)| row(facts, settled, covered, slice, currency, totals)).collect()
}

fn find_or_none(facts: &Facts, text: &str) -> Option<Sym> {
    if text.is_empty() { Some(super::symbols::NONE) } else { facts.symbols.find(text) }
}

fn currency_of(facts: &Facts, provider: Sym, account: Sym) -> Currency {
    let billed = facts.charge_kinds.all().iter().filter(|kind| (kind.provider, kind.account) == (provider, account));
    let expected = facts.entry_kinds.all().iter().filter(|kind| (kind.provider, kind.account) == (provider, account));
    let ledger = facts.ledgers.first().map(|ledger| ledger.currency);
    // Of several currencies the first by name, whichever was read first.
    let billed = billed.map(|kind| kind.currency).min();
    billed.or_else(|| expected.map(|kind| kind.currency).min()).or(ledger).unwrap_or(Currency::USD)
}

fn row(
    facts: &Facts,
    settled: &HashSet<Slice>,
    covered: &Covered,
    slice: Slice,
    currency: Currency,
    totals: Totals,
) -> Reconciliation {
    let (provider, account, day) = slice;
    let of = |wanted: Reason| Reason::ALL.iter().position(|reason| *reason == wanted).map(|place| totals.reasons[place]);
    let open = Reason::ALL.iter().zip(&totals.reasons).any(|(reason, sum)| *reason != Reason::Rounding && !sum.is_zero());
    let is_covered = covered.slices.contains(&slice);
    let status = if !is_covered {
        Tie::Missing
    } else if !settled.contains(&slice) {
        Tie::Provisional
    } else if of(Reason::Unexplained).is_some_and(|sum| !sum.is_zero()) {
        Tie::Unexplained
    } else if open {
        Tie::Explained
    } else {
        Tie::Tied
    };
    Reconciliation {
        charge_date: day_of(day),
        provider: facts.symbols.text(provider).to_string(),
        account: facts.symbols.text(account).to_string(),
        currency,
        provider_total: is_covered.then_some(totals.billed),
        ledger_total: totals.expected,
        matched: totals.matched,
        reasons: totals.reasons,
        status,
    }
}

/// Coverage rows for what the ledger calls but no source of the job brings: never shown as drift.
pub fn unsourced(facts: &Facts) -> Vec<Coverage> {
    let sourced: HashSet<(Sym, Sym)> = facts.sources.iter().map(|source| (source.provider, source.account)).collect();
    let own = |kind: &EntryKind| !sourced.contains(&(kind.provider, kind.account));
    let unsourced: Vec<bool> = facts.entry_kinds.all().iter().map(own).collect();
    if !unsourced.contains(&true) {
        return Vec::new();
    }
    let mut slices: BTreeSet<Slice> = BTreeSet::new();
    for entry in facts.entries.iter().filter(|entry| unsourced[entry.kind as usize]) {
        let kind = facts.entry_kind(entry);
        slices.insert((kind.provider, kind.account, entry.day));
    }
    let text = |sym: Sym| facts.symbols.text(sym);
    let row = |(provider, account, day): Slice| {
        Coverage::of(Some(day_of(day)), text(provider), text(account), "none", SliceStatus::Missing)
    };
    slices.into_iter().map(row).collect()
}
