//! Sends every booked line and every ledger entry to exactly one match: by request, by bucket, or alone.

use super::buckets::{Slice, match_buckets};
use super::facts::{Facts, NO_AMOUNT};
use super::linked::{entry_match, line_match, resolve};
use super::matching::{Agreed, Grain, Match, match_requests};
use super::reference::Reference;
use super::results::Reason;
use super::symbols::{NONE, Sym};
use crate::domain::fault::Fault;
use crate::domain::teams::Owned;
use crate::domain::usage::ChargeCategory;
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;

/// Everything matched: what agrees as sums, the rest one by one.
pub struct Matched {
    pub agreed: Vec<Agreed>,
    pub matches: Vec<Match>,
}

/// Slices for which a source of the job has money. Ledger rows outside are not compared: coverage
/// names the slice as missing.
pub struct Covered {
    pub slices: HashSet<Slice>,
}

impl Covered {
    pub fn has(&self, facts: &Facts, entry: u32) -> bool {
        let entry = &facts.entries[entry as usize];
        let kind = facts.entry_kind(entry);
        self.slices.contains(&(kind.provider, kind.account, entry.day))
    }
}

/// Matches the snapshot.
///
/// # Errors
/// Only the frame engine's own (70).
pub fn match_all(facts: &Facts, reference: &Reference, covered: &Covered) -> Result<Matched, Fault> {
    let requests = match_requests(facts);
    let mut matches = Vec::new();
    let mut pairs = 0;
    for (lines, entries) in &requests.linked {
        let resolved = resolve(facts, lines, entries, pairs);
        pairs += u32::from(resolved.iter().any(|found| found.pair.is_some()));
        for found in resolved {
            // The ledger half of a two-sided item falls away where its slice is missing.
            let first = found.pieces.first().map(|piece| piece.entry);
            if !found.lines.is_empty() || first.is_some_and(|entry| covered.has(facts, entry)) {
                matches.push(found);
            }
        }
    }
    let rest = rest_of_lines(facts, reference, &requests.lone_lines, &mut matches);
    let entries = rest_of_entries(facts, covered, &requests.lone_entries, &mut matches);
    let mut pool = Pool::new(facts, &rest, &entries);
    pool.lines.extend(rest.coarse.iter().copied());
    for line in rest.single {
        if pool.takes_line(facts, line) {
            pool.lines.push(line);
        } else {
            matches.push(line_match(facts, Grain::Request, line));
        }
    }
    for entry in entries {
        if pool.takes_entry(facts, entry) {
            pool.entries.push(entry);
        } else {
            matches.push(entry_match(facts, Grain::Request, entry));
        }
    }
    matches.extend(match_buckets(facts, reference, &pool.lines, &pool.entries)?);
    Ok(Matched { agreed: requests.agreed, matches })
}

/// Lines that no request match took.
struct Rest {
    /// Without a request id: coarser than a request.
    coarse: Vec<u32>,
    /// With a request id that the ledger does not know.
    single: Vec<u32>,
}

/// What may be compared by bucket. A line and a row that both carry ids, but different ones, are two
/// calls and never stand for each other.
struct Pool {
    /// Slices with money coarser than a request.
    coarse: HashSet<Slice>,
    /// Slices with ledger rows that have no provider request id.
    nameless: HashSet<Slice>,
    /// Provider accounts whose money is by request.
    by_request: HashSet<(Sym, Sym)>,
    lines: Vec<u32>,
    entries: Vec<u32>,
}

impl Pool {
    fn new(facts: &Facts, rest: &Rest, entries: &[u32]) -> Pool {
        let mut pool = Pool {
            coarse: HashSet::new(),
            nameless: HashSet::new(),
            by_request: HashSet::new(),
            lines: Vec::new(),
            entries: Vec::new(),
        };
        for index in &rest.coarse {
            let line = &facts.lines[*index as usize];
            if line.cost != NO_AMOUNT {
                pool.coarse.insert(line_slice(facts, *index));
            }
        }
        for index in entries {
            if facts.entries[*index as usize].request == NONE {
                pool.nameless.insert(entry_slice(facts, *index));
            }
        }
        let kinds = facts.charge_kinds.all();
        let mut by_request = vec![false; kinds.len()];
        for line in facts.lines.iter().filter(|line| line.request != NONE && line.cost != NO_AMOUNT) {
            by_request[line.kind as usize] = true;
        }
        let kinds = kinds.iter().zip(by_request).filter(|(_, by_request)| *by_request);
        pool.by_request = kinds.map(|(kind, _)| (kind.provider, kind.account)).collect();
        pool
    }

    fn takes_line(&self, facts: &Facts, index: u32) -> bool {
        self.nameless.contains(&line_slice(facts, index))
    }

    fn takes_entry(&self, facts: &Facts, index: u32) -> bool {
        let (provider, account, day) = entry_slice(facts, index);
        facts.entries[index as usize].request == NONE
            || !self.by_request.contains(&(provider, account))
            || self.coarse.contains(&(provider, account, day))
    }
}

fn line_slice(facts: &Facts, index: u32) -> Slice {
    let line = &facts.lines[index as usize];
    let kind = facts.charge_kind(line);
    (kind.provider, kind.account, line.day)
}

fn entry_slice(facts: &Facts, index: u32) -> Slice {
    let entry = &facts.entries[index as usize];
    let kind = facts.entry_kind(entry);
    (kind.provider, kind.account, entry.day)
}

/// Sets apart what is not usage and what was billed on a key that nobody knows; returns the rest.
fn rest_of_lines(facts: &Facts, reference: &Reference, lone: &[u32], matches: &mut Vec<Match>) -> Rest {
    let known = KnownKeys::new(facts, reference);
    let mut apart: BTreeMap<(Reason, i32, u32), Match> = BTreeMap::new();
    let mut rest = Rest { coarse: Vec::new(), single: Vec::new() };
    let mut set_apart = |reason: Reason, index: u32| {
        let line = &facts.lines[index as usize];
        let found = apart.entry((reason, line.day, line.kind)).or_insert_with(|| {
            let mut found = line_match(facts, Grain::Day, index);
            found.lines.clear();
            found.known = Some(reason);
            found
        });
        found.lines.push(index);
    };
    for (index, line) in facts.lines.iter().enumerate() {
        let index = index as u32;
        let kind = facts.charge_kind(line);
        if kind.category != ChargeCategory::Usage {
            set_apart(Reason::NonUsage, index);
        } else if line.request == NONE {
            if line.cost != NO_AMOUNT && !known.knows(line.kind) {
                set_apart(Reason::UnknownKey, index);
            } else {
                rest.coarse.push(index);
            }
        }
    }
    for index in lone {
        if known.knows(facts.lines[*index as usize].kind) {
            rest.single.push(*index);
        } else {
            set_apart(Reason::UnknownKey, *index);
        }
    }
    matches.extend(apart.into_values());
    rest
}

/// Entries that no request match took and whose slice is there. Copies of a call that another entry
/// already stands for are set apart.
fn rest_of_entries(facts: &Facts, covered: &Covered, lone: &[u32], matches: &mut Vec<Match>) -> Vec<u32> {
    let nameless = (0..facts.entries.len() as u32).filter(|index| facts.entries[*index as usize].request == NONE);
    let mut rest = Vec::new();
    let mut copies: BTreeMap<(i32, u32), Match> = BTreeMap::new();
    for index in lone.iter().copied().chain(nameless).filter(|index| covered.has(facts, *index)) {
        let entry = &facts.entries[index as usize];
        if !entry.duplicate {
            rest.push(index);
            continue;
        }
        let mut own = entry_match(facts, Grain::Day, index);
        own.known = Some(Reason::DuplicateInLedger);
        match copies.entry((entry.day, entry.kind)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(own);
            }
            std::collections::btree_map::Entry::Occupied(mut place) => {
                let copies = place.get_mut();
                if copies.key.meter != own.key.meter {
                    copies.key.meter = NONE;
                }
                copies.pieces.append(&mut own.pieces);
            }
        }
    }
    matches.extend(copies.into_values());
    rest
}

/// Keys that the team map or the ledger knows. Where neither knows a single key of a provider, keys
/// are not part of its books and none of them is a suspect.
struct KnownKeys {
    by_kind: HashMap<u32, bool>,
}

impl KnownKeys {
    fn new(facts: &Facts, reference: &Reference) -> KnownKeys {
        let ledger: HashSet<(Sym, Sym)> = facts
            .entry_kinds
            .all()
            .iter()
            .filter(|kind| kind.api_key_id != NONE)
            .map(|kind| (kind.provider, kind.api_key_id))
            .collect();
        let mapped =
            |provider: Sym, key: Sym| reference.teams.knows(Owned::ApiKey, facts.symbols.text(provider), facts.symbols.text(key));
        let mapped_at = |provider: Sym| {
            let provider = facts.symbols.text(provider);
            reference.teams.owners.keys().any(|(owned, at, _)| *owned == Owned::ApiKey && (at.is_empty() || at == provider))
        };
        let by_kind = facts
            .charge_kinds
            .all()
            .iter()
            .enumerate()
            .map(|(number, kind)| {
                let (provider, key) = (kind.provider, kind.api_key_id);
                let keyed = mapped_at(provider) || ledger.iter().any(|(at, _)| *at == provider);
                (number as u32, key == NONE || !keyed || ledger.contains(&(provider, key)) || mapped(provider, key))
            })
            .collect();
        KnownKeys { by_kind }
    }

    fn knows(&self, kind: u32) -> bool {
        self.by_kind.get(&kind).copied().unwrap_or(true)
    }
}
