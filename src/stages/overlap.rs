//! Several ledgers of one job may have logged the same call, such as a gateway and the application behind it.
//! The ledger that stands first in the job has the call; the others' rows are counted and left out.

use super::facts::{Entry, EntryKind, Facts};
use super::ledger_findings::Findings;
use super::symbols::{NONE, Sym};
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::period::day_of;
use chrono::NaiveDate;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeSet;

/// Seconds that two clocks and the way between them may put between the starts of one call.
const APART_MAX: i64 = 5;

/// An entry that another ledger's entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Same {
    winner: u32,
    loser: u32,
}

/// Pairs of entries of different ledgers that are one call, each loser once: by the provider's request id;
/// else, where one of them has no such id, by provider, model, equal quantities with tokens among them, and
/// starts at most 5 seconds apart, one to one and the nearest first in the order of time.
fn find(facts: &Facts) -> Vec<Same> {
    if facts.ledgers.len() < 2 {
        return Vec::new();
    }
    let mut same = by_id(facts);
    let taken: BTreeSet<u32> = same.iter().map(|pair| pair.loser).collect();
    same.extend(by_content(facts, &taken));
    same
}

fn by_id(facts: &Facts) -> Vec<Same> {
    let mut first: HashMap<(Sym, Sym), u32> = HashMap::new();
    let named = || (0..).zip(&facts.entries).filter(|(_, entry)| entry.request != NONE);
    let key = |entry: &Entry| (facts.entry_kind(entry).provider, entry.request);
    let order = |index: u32| (ledger(facts, index), facts.entry_order(index));
    for (index, entry) in named() {
        let slot = first.entry(key(entry)).or_insert(index);
        if order(index) < order(*slot) {
            *slot = index;
        }
    }
    let pair = |(loser, entry): (u32, &Entry)| {
        let winner = *first.get(&key(entry))?;
        (ledger(facts, loser) > ledger(facts, winner)).then_some(Same { winner, loser })
    };
    named().filter_map(pair).collect()
}

fn ledger(facts: &Facts, index: u32) -> u16 {
    facts.entries.get(index as usize).map_or(u16::MAX, |entry| facts.entry_kind(entry).ledger)
}

/// What entries of one call have in common.
#[derive(PartialEq, Eq, Hash)]
struct Content {
    provider: Sym,
    model: Sym,
    /// Meters and quantities, sorted.
    parts: Vec<(Sym, i128)>,
}

fn by_content(facts: &Facts, taken: &BTreeSet<u32>) -> Vec<Same> {
    let mut alike: HashMap<Content, Vec<u32>> = HashMap::new();
    for (index, entry) in (0..).zip(&facts.entries).filter(|(index, _)| !taken.contains(index)) {
        let mut parts: Vec<(Sym, i128)> = facts.parts_of(entry).iter().map(|part| (part.meter, part.quantity)).collect();
        // Two calls for one image each are alike and still two calls.
        if parts.iter().any(|(meter, _)| facts.symbols.text(*meter).ends_with("_tokens")) {
            parts.sort();
            let kind = facts.entry_kind(entry);
            alike.entry(Content { provider: kind.provider, model: kind.model, parts }).or_default().push(index);
        }
    }
    let mut same = Vec::new();
    for mut entries in alike.into_values().filter(|entries| entries.len() > 1) {
        entries.sort_by_key(|index| facts.entry_order(*index));
        same.extend(pairs(facts, &entries));
    }
    same
}

/// Pairs among entries that are alike, in the order of time.
fn pairs(facts: &Facts, entries: &[u32]) -> Vec<Same> {
    let start = |index: u32| facts.entries.get(index as usize).map_or(0, |entry| entry.start);
    let named = |index: u32| facts.entries.get(index as usize).is_some_and(|entry| entry.request != NONE);
    let mut lost: HashSet<u32> = HashSet::new();
    // One call stands once in a ledger, so it is paired with one entry of each other ledger.
    let mut paired: HashSet<(u32, u16)> = HashSet::new();
    let mut same = Vec::new();
    let mut window = 0;
    for loser in entries.iter().copied() {
        while entries.get(window).is_some_and(|index| start(*index) + APART_MAX < start(loser)) {
            window += 1;
        }
        let near = entries.iter().copied().skip(window).take_while(|index| start(*index) <= start(loser) + APART_MAX);
        let fitting = near.filter(|winner| {
            let both_named = named(*winner) && named(loser);
            let free = !lost.contains(winner) && !paired.contains(&(*winner, ledger(facts, loser)));
            free && ledger(facts, *winner) < ledger(facts, loser) && !both_named
        });
        let order = |winner: &u32| (ledger(facts, *winner), (start(*winner) - start(loser)).abs(), facts.entry_order(*winner));
        if let Some(winner) = fitting.min_by_key(order) {
            same.push(Same { winner, loser });
            lost.insert(loser);
            paired.insert((winner, ledger(facts, loser)));
        }
    }
    same
}

/// Takes the entries out that another ledger's stand for, and says of which ledger and day they were. What the
/// winner does not say is taken from the other: the provider's request id, who bears the call, whose money it was.
pub(super) fn settle(facts: &mut Facts, findings: &mut Findings) -> Vec<(u16, Option<NaiveDate>)> {
    let mut same = find(facts);
    // What is taken from whom must not hang on the order of reading.
    same.sort_by_key(|pair| facts.entry_order(pair.loser));
    let mut left_out = Vec::with_capacity(same.len());
    for pair in &same {
        let at = |index: u32| facts.entries.get(index as usize).copied();
        let (Some(winner), Some(loser)) = (at(pair.winner), at(pair.loser)) else { continue };
        let (own, other) = (*facts.entry_kind(&winner), *facts.entry_kind(&loser));
        let day = day_of(loser.day);
        let note = Note { finding: Finding::InAnotherLedger, amount: loser.cost };
        findings.add(other.ledger, day, note, other.currency, facts.calls.text(loser.call));
        left_out.push((other.ledger, Some(day)));
        let or = |own: Sym, other: Sym| if own == NONE { other } else { own };
        let kind = EntryKind {
            team: or(own.team, other.team),
            feature: or(own.feature, other.feature),
            client: or(own.client, other.client),
            funding: own.funding.or(other.funding),
            ..own
        };
        let number = facts.entry_kinds.number(kind);
        if let Some(winner) = facts.entries.get_mut(pair.winner as usize) {
            winner.kind = number;
            winner.request = or(winner.request, loser.request);
        }
    }
    take_out(facts, &same);
    left_out
}

fn take_out(facts: &mut Facts, same: &[Same]) {
    let mut losers: Vec<u32> = same.iter().map(|pair| pair.loser).collect();
    if losers.is_empty() {
        return;
    }
    losers.sort_unstable();
    let mut index = 0;
    facts.entries.retain(|_| {
        index += 1;
        losers.binary_search(&(index - 1)).is_err()
    });
    // What only the others had, such as a key, is not in the ledgers any more.
    let kinds = std::mem::take(&mut facts.entry_kinds);
    for entry in &mut facts.entries {
        if let Some(kind) = kinds.all().get(entry.kind as usize) {
            entry.kind = facts.entry_kinds.number(*kind);
        }
    }
    facts.asides.retain_mut(|aside| match losers.binary_search(&aside.entry) {
        Ok(_) => false,
        Err(before) => {
            aside.entry -= before as u32;
            true
        }
    });
}
