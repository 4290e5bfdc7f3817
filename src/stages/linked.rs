//! Requests that both sides know but that do not agree at first sight: several lines or rows of one
//! id, another day, another account, another amount.

use super::facts::{Entry, Facts, Line, NO_AMOUNT, amount, stored};
use super::matching::{Grain, Key, Match, Piece, batch_number};
use super::results::Reason;
use super::symbols::NONE;
use crate::domain::money::{Amount, sum};
use crate::domain::usage::meter;

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

/// Turns the lines and entries of one request into matches that together hold each of them once.
/// `pair` is the number that two halves of a two-sided item share; it is used up when returned by them.
pub fn resolve(facts: &Facts, lines: &[u32], entries: &[u32], pair: u32) -> Vec<Match> {
    let line = |index: u32| -> &Line { &facts.lines[index as usize] };
    let entry = |index: u32| -> &Entry { &facts.entries[index as usize] };
    let billed = sum(lines.iter().filter_map(|index| amount(line(*index).cost))).unwrap_or_default();
    let expected = sum(entries.iter().map(|index| entry(*index).cost)).unwrap_or_default();
    let mut matches = Vec::new();
    // One call under several request ids: all but the first are duplicates, unless the provider
    // billed exactly as much as all of them together.
    let (kept, twice): (Vec<u32>, Vec<u32>) = entries.iter().partition(|index| billed == expected || !entry(**index).duplicate);
    let (kept, twice) = if kept.is_empty() { (twice, kept) } else { (kept, twice) };
    for index in twice {
        let mut copy = entry_match(facts, Grain::Request, index);
        copy.known = Some(Reason::DuplicateInLedger);
        matches.push(copy);
    }
    let expected = sum(kept.iter().map(|index| entry(*index).cost)).unwrap_or_default();
    let (lines, again) = split_second_charges(facts, lines, billed, expected);
    let bearers: Vec<Piece> = kept.iter().flat_map(|index| pieces_of(facts, *index)).collect();
    for index in again {
        let mut copy = line_match(facts, Grain::Request, index);
        copy.known = Some(Reason::DuplicateAtProvider);
        copy.bearers.clone_from(&bearers);
        matches.push(copy);
    }
    let Some(first) = lines.first().copied() else { return matches };
    let mut provider = line_match(facts, Grain::Request, first);
    provider.lines = lines;
    let Some(ledger) = kept.first().copied() else {
        matches.push(provider);
        return matches;
    };
    let own = entry_match(facts, Grain::Request, ledger);
    let apart = if own.account != provider.account {
        Some(Reason::Funding)
    } else if own.day != provider.day {
        Some(Reason::CutOff)
    } else {
        None
    };
    let Some(reason) = apart else {
        provider.currency = own.currency;
        provider.pieces = bearers;
        matches.push(provider);
        return matches;
    };
    provider.bearers.clone_from(&bearers);
    let mut other = Match { pieces: bearers, ..own };
    for half in [&mut provider, &mut other] {
        half.known = Some(reason);
        half.pair = Some(pair);
    }
    matches.extend([provider, other]);
    matches
}

/// Equal charges beyond the first, where the first alone is what the ledger expects.
fn split_second_charges(facts: &Facts, lines: &[u32], billed: Amount, expected: Amount) -> (Vec<u32>, Vec<u32>) {
    let money: Vec<u32> = lines.iter().copied().filter(|index| facts.lines[*index as usize].cost != NO_AMOUNT).collect();
    let all_alike = money.len() > 1
        && billed != expected
        && money.iter().all(|index| facts.lines[*index as usize].cost == stored(Some(expected)));
    if !all_alike {
        return (lines.to_vec(), Vec::new());
    }
    let again: Vec<u32> = money[1..].to_vec();
    (lines.iter().copied().filter(|index| !again.contains(index)).collect(), again)
}
