//! The bucket match: what has no request id in common is compared by day, at the dimensions that both
//! sides have. A dimension that one side does not report is summed over, never guessed (contract 4.3).

use super::facts::{Facts, NO_AMOUNT};
use super::frame::{amounts, broken, days, frame, numbers, read_amounts, read_days, read_numbers};
use super::linked::pieces_of;
use super::matching::{ANY, Grain, Key, Match, Piece, batch_number};
use super::reference::Reference;
use super::symbols::{NONE, Sym};
use crate::domain::fault::Fault;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::period::day_of;
use crate::domain::price::{Asked, UnitPrice};
use crate::domain::usage::meter;
use hashbrown::{HashMap, HashSet};
use polars::prelude::*;
use std::collections::BTreeMap;

/// Provider, account, day.
pub type Slice = (Sym, Sym, i32);
type Dims = [Sym; 6];
const METER: usize = 5;

#[derive(Default)]
struct Node {
    lines: Vec<u32>,
    pieces: Vec<Piece>,
}

/// Compares the lines and entries that are given, slice by slice.
///
/// # Errors
/// Only the frame engine's own (70).
pub fn match_buckets(facts: &Facts, reference: &Reference, lines: &[u32], entries: &[u32]) -> Result<Vec<Match>, Fault> {
    let mut slices: BTreeMap<(Slice, Currency), HashMap<Dims, Node>> = BTreeMap::new();
    let requests = facts.symbols.find(meter::REQUESTS).unwrap_or(ANY);
    let said = said_by_reports(facts, lines);
    for index in lines {
        let line = &facts.lines[*index as usize];
        let kind = facts.charge_kind(line);
        let mut dims = kind_dims(kind);
        let reported = said.get(&(kind.source, kind.report, kind.meter)).copied().unwrap_or([true; 6]);
        for (dim, said) in dims.iter_mut().zip(reported) {
            if !said {
                *dim = ANY;
            }
        }
        // A call billed as a whole stands against all meters of the ledger.
        if dims[METER] == requests {
            dims[METER] = ANY;
        }
        let slice = ((kind.provider, kind.account, line.day), kind.currency);
        slices.entry(slice).or_default().entry(dims).or_default().lines.push(*index);
    }
    let said = said_by_ledger(facts, entries);
    for piece in sum_pieces(facts, reference, entries)? {
        let kind = &facts.entry_kinds.all()[piece.kind as usize];
        let mut dims = [
            kind.sub_account,
            kind.api_key_id,
            kind.model,
            kind.service_tier,
            batch_number(kind.batch),
            if piece.meter == NONE { ANY } else { piece.meter },
        ];
        let reported = said.get(&(kind.provider, kind.account)).copied().unwrap_or([true; 6]);
        for (dim, said) in dims.iter_mut().zip(reported) {
            if !said {
                *dim = ANY;
            }
        }
        let slice = ((kind.provider, kind.account, piece.day), kind.currency);
        slices.entry(slice).or_default().entry(dims).or_default().pieces.push(piece);
    }
    let mut matches = Vec::new();
    for ((slice, currency), nodes) in slices {
        matches.extend(components(facts, slice, currency, nodes));
    }
    Ok(matches)
}

fn kind_dims(kind: &super::facts::ChargeKind) -> Dims {
    let tier = kind.service_tier;
    [kind.sub_account, kind.api_key_id, kind.model, tier, batch_number(kind.batch), kind.meter]
}

/// Which dimensions a report breaks a meter down by: those that any of its lines has.
fn said_by_reports(facts: &Facts, lines: &[u32]) -> HashMap<(u16, u16, Sym), [bool; 6]> {
    let kinds: HashSet<u32> = lines.iter().map(|index| facts.lines[*index as usize].kind).collect();
    let mut said: HashMap<(u16, u16, Sym), [bool; 6]> = HashMap::new();
    let mut meters: HashSet<(u16, u16)> = HashSet::new();
    for kind in kinds.iter().map(|kind| &facts.charge_kinds.all()[*kind as usize]) {
        let entry = said.entry((kind.source, kind.report, kind.meter)).or_default();
        for (said, dim) in entry.iter_mut().zip(kind_dims(kind)) {
            *said |= dim != NONE;
        }
        if kind.meter != NONE {
            meters.insert((kind.source, kind.report));
        }
    }
    // A line without a meter in a report that names meters is of no known meter, not of all.
    for ((source, report, _), said) in &mut said {
        said[METER] |= meters.contains(&(*source, *report));
    }
    said
}

/// Which dimensions the ledgers fill for a provider account.
fn said_by_ledger(facts: &Facts, entries: &[u32]) -> HashMap<(Sym, Sym), [bool; 6]> {
    let kinds: HashSet<u32> = entries.iter().map(|index| facts.entries[*index as usize].kind).collect();
    let mut said: HashMap<(Sym, Sym), [bool; 6]> = HashMap::new();
    for kind in kinds.iter().map(|kind| &facts.entry_kinds.all()[*kind as usize]) {
        let dims = [kind.sub_account, kind.api_key_id, kind.model, kind.service_tier, batch_number(kind.batch)];
        let entry = said.entry((kind.provider, kind.account)).or_default();
        for (said, dim) in entry.iter_mut().zip(dims) {
            *said |= dim != NONE;
        }
        entry[METER] = true;
    }
    said
}

/// Ledger rows by kind, day and meter, summed in one grouping. A row's cost is told apart by meter
/// through book prices; where there are none, it stands against all meters.
fn sum_pieces(facts: &Facts, reference: &Reference, entries: &[u32]) -> Result<Vec<Piece>, Fault> {
    let mut kinds: [Vec<u32>; 5] = Default::default();
    let mut day = Vec::new();
    let mut values: [Vec<i128>; 4] = Default::default();
    for index in entries {
        for piece in split_entry(facts, reference, *index) {
            for (column, value) in
                kinds.iter_mut().zip([piece.kind, piece.meter, u32::from(piece.unpriced), piece.count, piece.entry])
            {
                column.push(value);
            }
            day.push(piece.day);
            let row = [piece.quantity, piece.cost.atto(), piece.book_cost.atto(), piece.reasoning];
            for (column, value) in values.iter_mut().zip(row) {
                column.push(value);
            }
        }
    }
    let [kind, meter, unpriced, count, entry] = kinds;
    let [quantity, cost, book_cost, reasoning] = values;
    let rows = frame(vec![
        numbers("kind", kind),
        numbers("meter", meter),
        numbers("unpriced", unpriced),
        numbers("count", count),
        numbers("entry", entry),
        days("day", day),
        amounts("quantity", quantity),
        amounts("cost", cost),
        amounts("book_cost", book_cost),
        amounts("reasoning", reasoning),
    ])?;
    let by = [col("kind"), col("day"), col("meter"), col("unpriced")];
    let sums = [
        col("count").sum(),
        col("entry").min(),
        col("quantity").sum(),
        col("cost").sum(),
        col("book_cost").sum(),
        col("reasoning").sum(),
    ];
    let order = ["kind", "day", "meter", "unpriced"];
    let summed = rows.lazy().group_by(by).agg(sums).sort(order, SortMultipleOptions::default()).collect().map_err(broken)?;
    let (kind, meter) = (read_numbers(&summed, "kind", 0)?, read_numbers(&summed, "meter", NONE)?);
    let (unpriced, count) = (read_numbers(&summed, "unpriced", 0)?, read_numbers(&summed, "count", 0)?);
    let (entry, day) = (read_numbers(&summed, "entry", 0)?, read_days(&summed, "day", 0)?);
    let (quantity, cost) = (read_amounts(&summed, "quantity")?, read_amounts(&summed, "cost")?);
    let (book_cost, reasoning) = (read_amounts(&summed, "book_cost")?, read_amounts(&summed, "reasoning")?);
    let piece = |at: usize| Piece {
        kind: kind[at],
        day: day[at],
        meter: meter[at],
        quantity: quantity[at],
        cost: Amount::from_atto(cost[at]),
        book_cost: Amount::from_atto(book_cost[at]),
        reasoning: reasoning[at],
        count: count[at],
        unpriced: unpriced[at] == 1,
        entry: entry[at],
    };
    Ok((0..kind.len()).map(piece).collect())
}

/// An entry as pieces, with its cost split over its meters.
fn split_entry(facts: &Facts, reference: &Reference, index: u32) -> Vec<Piece> {
    let mut pieces = pieces_of(facts, index);
    if pieces.len() < 2 {
        return pieces;
    }
    let entry = &facts.entries[index as usize];
    let kind = facts.entry_kind(entry);
    let text = |sym: Sym| facts.symbols.text(sym);
    let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
    let classes = meter::INPUT_CLASSES.map(|class| facts.symbols.find(class).unwrap_or(ANY));
    let context: i128 = pieces.iter().filter(|piece| classes.contains(&piece.meter)).map(|piece| piece.quantity).sum();
    let provider = text(kind.provider);
    let asked = |piece: &Piece| Asked {
        model: text(kind.model),
        meter: text(piece.meter),
        service_tier: optional(kind.service_tier),
        batch: kind.batch.unwrap_or(false),
        context: Amount::from_atto(context),
        account: text(kind.account),
        api_key_id: optional(kind.api_key_id),
        day: day_of(entry.day),
    };
    let costs_at = |price: &dyn Fn(Asked<'_>) -> Option<UnitPrice>| -> Option<Vec<Amount>> {
        pieces.iter().map(|piece| price(asked(piece))?.cost(Amount::from_atto(piece.quantity))).collect()
    };
    let book = costs_at(&|asked| reference.price(provider, asked));
    // A cost that an earlier price makes was made with it: split by today's, the change of one meter's
    // price would show as a difference in all of them.
    let room = facts.ledgers[usize::from(kind.ledger)].precision.per_line();
    let makes = |costs: &Vec<Amount>| {
        let gap = sum(costs.iter().copied()).and_then(|sum| sum.checked_sub(entry.cost));
        gap.is_some_and(|gap| gap.abs() <= room)
    };
    let mut weights = book.clone();
    if book.as_ref().is_some_and(|book| !makes(book)) && !entry.cost.is_zero() {
        let ages = 0..reference.earlier_prices(provider, asked(&pieces[0])).len();
        let earlier = |age: usize| costs_at(&|asked| reference.earlier_prices(provider, asked).get(age).copied());
        weights = ages.filter_map(earlier).find(makes).or(weights);
    }
    for (piece, cost) in pieces.iter_mut().zip(book.unwrap_or_default()) {
        piece.book_cost = cost;
    }
    match weights.and_then(|weights| entry.cost.split(&weights, crate::domain::money::SCALE)) {
        Some(costs) => {
            for (piece, cost) in pieces.iter_mut().zip(costs) {
                piece.cost = cost;
            }
        }
        None if entry.cost.is_zero() => {}
        None => {
            let whole = Piece { meter: NONE, quantity: 0, count: 0, ..pieces[0] };
            pieces[0].cost = Amount::ZERO;
            pieces.push(whole);
        }
    }
    pieces
}

/// Joins the nodes that agree wherever both say something; each group is a match.
fn components(facts: &Facts, slice: Slice, currency: Currency, nodes: HashMap<Dims, Node>) -> Vec<Match> {
    let mut nodes: Vec<(Dims, Node)> = nodes.into_iter().collect();
    // Symbols are numbered by first sight, so this order is only for a stable walk; rows are sorted later.
    nodes.sort_by_key(|(dims, _)| *dims);
    let mut parents: Vec<usize> = (0..nodes.len()).collect();
    join_compatible(&nodes, &mut parents);
    loosen_lone_entries(&nodes, &mut parents);
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..nodes.len() {
        let root = root_of(&mut parents, at);
        groups.entry(root).or_default().push(at);
    }
    let (provider, account, day) = slice;
    let mut matches = Vec::new();
    for members in groups.into_values() {
        let mut dims = nodes[members[0]].0;
        let mut found = Match::new(Grain::Day, provider, account, currency, day, Key::from_dims(dims));
        for member in members {
            let (other, node) = &mut nodes[member];
            for (dim, other) in dims.iter_mut().zip(other.iter()) {
                if dim != other {
                    *dim = ANY;
                }
            }
            found.lines.append(&mut node.lines);
            found.pieces.append(&mut node.pieces);
        }
        found.key = Key::from_dims(dims);
        let has_money = found.lines.iter().any(|line| facts.lines[*line as usize].cost != NO_AMOUNT);
        if has_money || !found.pieces.is_empty() {
            found.lines.sort_by_key(|index| facts.line_order(*index));
            found.pieces.sort_by_key(|piece| piece_order(facts, piece));
            matches.push(found);
        }
    }
    matches
}

/// What a match says of its first row may not depend on the order in which rows were read.
fn piece_order<'a>(facts: &'a Facts, piece: &Piece) -> impl Ord + use<'a> {
    (facts.entry_kind_order(piece.kind), facts.symbols.text(piece.meter), piece.unpriced)
}

fn root_of(parents: &mut [usize], mut at: usize) -> usize {
    while parents[at] != at {
        parents[at] = parents[parents[at]];
        at = parents[at];
    }
    at
}

/// Unites nodes whose dimensions are equal wherever neither says [`ANY`].
fn join_compatible(nodes: &[(Dims, Node)], parents: &mut [usize]) {
    let mask = |dims: &Dims| dims.map(|dim| dim == ANY);
    let mut by_mask: BTreeMap<[bool; 6], Vec<usize>> = BTreeMap::new();
    for (at, (dims, _)) in nodes.iter().enumerate() {
        by_mask.entry(mask(dims)).or_default().push(at);
    }
    let masks: Vec<[bool; 6]> = by_mask.keys().copied().collect();
    for (place, one) in masks.iter().enumerate() {
        for other in &masks[place..] {
            if one == other && one.iter().all(|any| !any) {
                continue;
            }
            let project = |dims: &Dims| {
                let mut left = *dims;
                for (at, dim) in left.iter_mut().enumerate() {
                    if one[at] || other[at] {
                        *dim = ANY;
                    }
                }
                left
            };
            for (from, to) in [(one, other), (other, one)] {
                let firsts: HashMap<Dims, usize> = by_mask[from].iter().rev().map(|at| (project(&nodes[*at].0), *at)).collect();
                for at in &by_mask[to] {
                    if let Some(first) = firsts.get(&project(&nodes[*at].0)) {
                        unite(parents, *first, *at);
                    }
                }
            }
        }
    }
}

fn unite(parents: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root_of(parents, a), root_of(parents, b));
    parents[a.max(b)] = a.min(b);
}

/// A ledger row that leaves a dimension empty which other rows fill is first compared as it stands; when
/// the provider has no such line, it is compared with all that agree otherwise.
fn loosen_lone_entries(nodes: &[(Dims, Node)], parents: &mut [usize]) {
    let mut has_lines: HashSet<usize> = HashSet::new();
    for (at, (_, node)) in nodes.iter().enumerate() {
        if !node.lines.is_empty() {
            has_lines.insert(root_of(parents, at));
        }
    }
    let with_lines: Vec<usize> = (0..nodes.len()).filter(|at| !nodes[*at].1.lines.is_empty()).collect();
    let lone = |at: usize, parents: &mut [usize]| !has_lines.contains(&root_of(parents, at));
    let loose: Vec<usize> = (0..nodes.len()).filter(|at| nodes[*at].0.contains(&NONE) && lone(*at, parents)).collect();
    for at in loose {
        let own = nodes[at].0;
        let says = |dim: Sym| dim != ANY && dim != NONE;
        let agrees = |other: &Dims| own.iter().zip(other).all(|(a, b)| a == b || !says(*a) || *b == ANY);
        for other in with_lines.iter().copied() {
            if agrees(&nodes[other].0) {
                unite(parents, at, other);
            }
        }
    }
}
