//! Requests that both sides know but that do not agree at first sight: several lines or rows of one
//! id, another day, another account, another amount.

use super::facts::{Facts, NO_AMOUNT, amount};
use super::matching::{Grain, Key, Match, Piece, batch_number};
use super::results::Reason;
use super::symbols::NONE;
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::meter;
use std::collections::BTreeMap;

/// An entry as pieces, one for each meter; its whole cost stands with the first, its reasoning with the
/// output that it is part of.
pub fn pieces_of(facts: &Facts, index: u32) -> Vec<Piece> {
    let entry = &facts.entries[index as usize];
    let whole = Piece {
        kind: entry.kind,
        day: entry.day,
        meter: NONE,
        quantity: 0,
        cost: entry.cost,
        book_cost: amount(entry.book_cost).unwrap_or_default(),
        reasoning: if entry.reasoning == NO_AMOUNT { 0 } else { entry.reasoning },
        count: 1,
        unpriced: entry.unpriced,
        entry: index,
    };
    let parts = facts.parts_of(entry);
    if parts.is_empty() {
        return vec![whole];
    }
    let output = facts.symbols.find(meter::OUTPUT_TOKENS);
    let of_output = parts.iter().position(|part| Some(part.meter) == output).unwrap_or(0);
    let rest = Piece { cost: Amount::ZERO, book_cost: Amount::ZERO, ..whole };
    let piece = |(place, part): (usize, &super::facts::Part)| Piece {
        meter: part.meter,
        quantity: part.quantity,
        reasoning: if place == of_output { whole.reasoning } else { 0 },
        ..if place == 0 { whole } else { rest }
    };
    parts.iter().enumerate().map(piece).collect()
}

/// The key of a single line, for what stands alone.
pub fn line_match(facts: &Facts, grain: Grain, line: u32) -> Match {
    let kind = facts.charge_kind(&facts.lines[line as usize]);
    let key = Key {
        sub_account: kind.sub_account,
        api_key_id: kind.api_key_id,
        model: kind.model,
        service_tier: kind.service_tier,
        batch: batch_number(kind.batch),
        meter: kind.meter,
    };
    let day = facts.lines[line as usize].day;
    let mut found = Match::new(grain, kind.provider, kind.account, kind.currency, day, key);
    found.lines.push(line);
    found
}

/// The key of a single entry, for what stands alone.
pub fn entry_match(facts: &Facts, grain: Grain, index: u32) -> Match {
    let entry = &facts.entries[index as usize];
    let kind = facts.entry_kind(entry);
    let pieces = pieces_of(facts, index);
    let meter = if pieces.len() == 1 { pieces[0].meter } else { NONE };
    let key = Key {
        sub_account: kind.sub_account,
        api_key_id: kind.api_key_id,
        model: kind.model,
        service_tier: kind.service_tier,
        batch: batch_number(kind.batch),
        meter,
    };
    let mut found = Match::new(grain, kind.provider, kind.account, kind.currency, entry.day, key);
    found.pieces = pieces;
    found
}

/// Account, day, currency: what is not equal here is never summed.
type Place<'a> = (&'a str, i32, Currency);

/// Turns the lines and entries of one request into matches that together hold each of them once, one
/// match for each account, day and currency. `pair` is the number that the halves of a two-sided item share.
pub fn resolve(facts: &Facts, lines: &[u32], entries: &[u32], pair: u32) -> Vec<Match> {
    let (mut lines, mut entries) = (lines.to_vec(), entries.to_vec());
    lines.sort_by_key(|index| facts.line_order(*index));
    entries.sort_by_key(|index| facts.entry_order(*index));
    let duplicate = |index: &u32| facts.entries[*index as usize].duplicate;
    let mut matches = Vec::new();
    // One call under several request ids: all but the first are duplicates, unless the provider
    // billed exactly as much as all of them together.
    let all_billed = billed(facts, &lines) == expected(facts, &entries);
    let (kept, twice): (Vec<u32>, Vec<u32>) = entries.iter().partition(|index| all_billed || !duplicate(index));
    let (kept, twice) = if kept.is_empty() { (twice, kept) } else { (kept, twice) };
    for index in twice {
        let mut copy = entry_match(facts, Grain::Request, index);
        copy.known = Some(Reason::DuplicateInLedger);
        matches.push(copy);
    }
    let (lines, again) = split_second_charges(facts, &lines, &expected(facts, &kept));
    let bearers: Vec<Piece> = kept.iter().flat_map(|index| pieces_of(facts, *index)).collect();
    for index in again {
        let mut copy = line_match(facts, Grain::Request, index);
        copy.known = Some(Reason::DuplicateAtProvider);
        copy.bearers.clone_from(&bearers);
        matches.push(copy);
    }
    let mut places = by_place(facts, &lines, &kept);
    let differences: Vec<Amount> = places.values().map(|found| difference(facts, found)).collect();
    // What one place has too much another has too little.
    let two_sided = differences.iter().any(|difference| difference.is_negative())
        && differences.iter().any(|difference| *difference > Amount::ZERO);
    let reason = apart_by(places.keys());
    for found in places.values_mut() {
        found.bearers.clone_from(&bearers);
        found.known = reason.filter(|_| two_sided);
        found.pair = found.known.map(|_| pair);
    }
    matches.extend(places.into_values());
    matches
}

/// The lines and entries of a request where they belong.
fn by_place<'a>(facts: &'a Facts, lines: &[u32], entries: &[u32]) -> BTreeMap<Place<'a>, Match> {
    let mut places: BTreeMap<Place<'a>, Match> = BTreeMap::new();
    let place = |found: &Match| (facts.symbols.text(found.account), found.day, found.currency);
    for index in lines {
        let own = line_match(facts, Grain::Request, *index);
        places.entry(place(&own)).or_insert_with(|| Match { lines: Vec::new(), ..own }).lines.push(*index);
    }
    // Rows without money stand beside the lines wherever those are: no total depends on it.
    let free = entries.iter().all(|index| facts.entries[*index as usize].cost.is_zero());
    if let (true, Some(first)) = (free, places.values_mut().next()) {
        first.pieces = entries.iter().flat_map(|index| pieces_of(facts, *index)).collect();
        return places;
    }
    for index in entries {
        let own = entry_match(facts, Grain::Request, *index);
        let pieces = own.pieces.clone();
        places.entry(place(&own)).or_insert_with(|| Match { pieces: Vec::new(), ..own }).pieces.extend(pieces);
    }
    places
}

fn difference(facts: &Facts, found: &Match) -> Amount {
    found.billed(facts).checked_sub(found.expected()).unwrap_or_default()
}

/// Why one request stands in several places, in the order of contract 4.8.
fn apart_by<'a, 'p: 'a>(places: impl Iterator<Item = &'a Place<'p>>) -> Option<Reason> {
    let places: Vec<&Place<'_>> = places.collect();
    let (account, day, currency) = places.first()?;
    if places.iter().any(|place| place.0 != *account) {
        return Some(Reason::Funding);
    }
    if places.iter().any(|place| place.1 != *day) {
        return Some(Reason::CutOff);
    }
    places.iter().any(|place| place.2 != *currency).then_some(Reason::Fx)
}

/// Sums by currency, without those that come to nothing.
type Sums = BTreeMap<Currency, i128>;

fn sums(amounts: impl Iterator<Item = (Currency, Amount)>) -> Sums {
    let mut sums = Sums::new();
    for (currency, amount) in amounts {
        *sums.entry(currency).or_default() += amount.atto();
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

fn billed(facts: &Facts, lines: &[u32]) -> Sums {
    let lines = lines.iter().map(|index| &facts.lines[*index as usize]);
    sums(lines.filter_map(|line| Some((facts.charge_kind(line).currency, amount(line.cost)?))))
}

fn expected(facts: &Facts, entries: &[u32]) -> Sums {
    let entries = entries.iter().map(|index| &facts.entries[*index as usize]);
    sums(entries.map(|entry| (facts.entry_kind(entry).currency, entry.cost)))
}

/// Equal charges beyond the first, where the first alone is what the ledger expects.
fn split_second_charges(facts: &Facts, lines: &[u32], expected: &Sums) -> (Vec<u32>, Vec<u32>) {
    let money: Vec<u32> = lines.iter().copied().filter(|index| facts.lines[*index as usize].cost != NO_AMOUNT).collect();
    let all_alike =
        money.len() > 1 && billed(facts, lines) != *expected && money.iter().all(|index| billed(facts, &[*index]) == *expected);
    if !all_alike {
        return (lines.to_vec(), Vec::new());
    }
    let again: Vec<u32> = money[1..].to_vec();
    (lines.iter().copied().filter(|index| !again.contains(index)).collect(), again)
}
