//! Which lines and rows belong together: every line against every row, then whatever is connected.

use super::reading::{Booked, Books, Slice, Used, by_meter};
use crate::worlds::World;
use std::collections::{BTreeMap, BTreeSet};
use tieout::domain::money::Currency;
use tieout::domain::teams::Owned;
use tieout::domain::usage::meter;

/// A ledger row's part of one meter; `None` stands against all meters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub entry: usize,
    pub meter: Option<&'static str>,
    pub quantity: i128,
    pub cost: i128,
    pub book: i128,
}

/// Lines and rows that stand for each other.
#[derive(Clone, Debug, Default)]
pub struct Group {
    pub by_request: bool,
    /// Not usage, or billed on a key that nobody knows.
    pub apart: bool,
    pub lines: Vec<usize>,
    pub pieces: Vec<Piece>,
    /// Rows of the same request in another slice, who bear the lines where there is none in this.
    pub elsewhere: Vec<Piece>,
}

/// One request on both sides: indexes of lines and entries.
pub type Request = (Vec<usize>, Vec<usize>);

/// Nested loops: the requests that both sides know.
pub fn requests(books: &Books) -> Vec<Request> {
    let mut requests: BTreeMap<(&str, &str), Request> = BTreeMap::new();
    for (l, line) in books.lines.iter().enumerate() {
        for (e, entry) in books.entries.iter().enumerate() {
            let id = line.charge.request_id.filter(|_| line.is_usage());
            if let Some(id) = id.filter(|id| entry.row.provider_request_id == Some(id) && entry.row.provider == line.provider) {
                let request = requests.entry((line.provider, id)).or_default();
                request.0.push(l);
                request.1.push(e);
            }
        }
    }
    let once = |mut places: Vec<usize>| {
        places.sort_unstable();
        places.dedup();
        places
    };
    requests.into_values().map(|(lines, entries)| (once(lines), once(entries))).collect()
}

/// The pieces of a row that is compared as a whole: its cost stands with its first meter.
fn whole(books: &Books, entry: usize) -> Vec<Piece> {
    let used = &books.entries[entry];
    let first = |at: usize, amount: i128| if at == 0 { amount } else { 0 };
    let piece = |(at, (meter, quantity)): (usize, &(&'static str, tieout::domain::money::Amount))| Piece {
        entry,
        meter: Some(meter),
        quantity: quantity.atto(),
        cost: first(at, used.cost),
        book: first(at, used.book.unwrap_or(0)),
    };
    used.row.meters.iter().enumerate().map(piece).collect()
}

/// Every booked line in exactly one group; every row of a covered slice likewise, but copies of a call.
pub fn groups(world: &World, books: &Books) -> Vec<Group> {
    let requests = requests(books);
    let mut groups = Vec::new();
    for (lines, entries) in &requests {
        groups.extend(of_request(books, lines, entries));
    }
    let met_lines: BTreeSet<usize> = requests.iter().flat_map(|(lines, _)| lines.iter().copied()).collect();
    let met_entries: BTreeSet<usize> = requests.iter().flat_map(|(_, entries)| entries.iter().copied()).collect();
    let alone = |line: usize| Group { lines: vec![line], ..Group::default() };
    let mut rest: Vec<usize> = Vec::new();
    for (l, line) in books.lines.iter().enumerate() {
        if !line.is_usage() || (line.cost().is_some() && !met_lines.contains(&l) && !knows_key(world, books, line)) {
            groups.push(Group { apart: true, ..alone(l) });
        } else if !met_lines.contains(&l) {
            rest.push(l);
        }
    }
    let open = |e: &usize| {
        let entry = &books.entries[*e];
        !met_entries.contains(e) && !entry.duplicate && books.covered.contains(&entry.slice())
    };
    let rows: Vec<usize> = (0..books.entries.len()).filter(open).collect();
    // A line and a row that both carry ids, but different ones, are two calls.
    let is_coarse = |line: &Booked| line.charge.request_id.is_none();
    let coarse: BTreeSet<Slice> = rest
        .iter()
        .map(|l| &books.lines[*l])
        .filter(|line| is_coarse(line) && line.cost().is_some())
        .map(Booked::slice)
        .collect();
    let nameless: BTreeSet<Slice> =
        rows.iter().map(|e| &books.entries[*e]).filter(|e| e.row.provider_request_id.is_none()).map(Used::slice).collect();
    let by_request = |entry: &Used| {
        let named = |line: &&Booked| !is_coarse(line) && line.cost().is_some();
        books.lines.iter().filter(named).any(|line| (line.provider, line.account) == (entry.row.provider, entry.account))
    };
    let mut pool_lines = Vec::new();
    for l in rest {
        let line = &books.lines[l];
        if is_coarse(line) || nameless.contains(&line.slice()) {
            pool_lines.push(l);
        } else {
            groups.push(Group { by_request: true, ..alone(l) });
        }
    }
    let in_pool = |e: &usize| {
        let entry = &books.entries[*e];
        entry.row.provider_request_id.is_none() || !by_request(entry) || coarse.contains(&entry.slice())
    };
    let pool_rows: Vec<usize> = rows.into_iter().filter(in_pool).collect();
    groups.extend(buckets(world, books, &pool_lines, &pool_rows));
    groups
}

/// The rows of one request against its lines, slice by slice.
fn of_request(books: &Books, lines: &[usize], entries: &[usize]) -> Vec<Group> {
    let sums = |amounts: Vec<(Currency, i128)>| {
        let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
        for (currency, amount) in amounts {
            *sums.entry(currency).or_default() += amount;
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    };
    let expected =
        |entries: &[usize]| sums(entries.iter().map(|e| (books.entries[*e].currency, books.entries[*e].cost)).collect());
    let money: Vec<usize> = lines.iter().copied().filter(|l| books.lines[*l].cost().is_some()).collect();
    let cost = |l: &usize| (books.lines[*l].charge.currency, books.lines[*l].cost().unwrap());
    let billed = sums(money.iter().map(cost).collect());
    // One call under several of our ids is one call, unless the provider billed as much as all of them.
    let copies = billed != expected(entries);
    let kept: Vec<usize> = entries.iter().copied().filter(|e| !copies || !books.entries[*e].duplicate).collect();
    let bearers: Vec<Piece> = kept.iter().flat_map(|e| whole(books, *e)).collect();
    let mut groups = Vec::new();
    let once = expected(&kept);
    let again = money.len() > 1 && billed != once && money.iter().all(|l| sums(vec![cost(l)]) == once);
    let mut slices: BTreeMap<(&str, chrono::NaiveDate, Currency), Group> = BTreeMap::new();
    for l in lines {
        let line = &books.lines[*l];
        let slice = (line.account, line.day(), line.charge.currency);
        if again && money[1..].contains(l) {
            let elsewhere = bearers.clone();
            groups.push(Group { by_request: true, lines: vec![*l], elsewhere, ..Group::default() });
        } else {
            slices.entry(slice).or_default().lines.push(*l);
        }
    }
    // Rows without money stand beside the lines wherever those are.
    let free = kept.iter().all(|e| books.entries[*e].cost == 0);
    if let (true, Some(first)) = (free, slices.values_mut().next()) {
        first.pieces = bearers.clone();
    }
    for e in kept.into_iter().filter(|_| !free) {
        let entry = &books.entries[e];
        let slice = (entry.account, entry.row.started_at.date_naive(), entry.currency);
        slices.entry(slice).or_default().pieces.extend(whole(books, e));
    }
    groups.extend(slices.into_values().map(|group| Group { by_request: true, elsewhere: bearers.clone(), ..group }));
    groups
}

fn knows_key(world: &World, books: &Books, line: &Booked) -> bool {
    let Some(key) = line.charge.api_key_id else { return true };
    let in_ledger = |key: Option<&str>| {
        books.entries.iter().any(|entry| {
            entry.row.provider == line.provider && entry.row.api_key_id.is_some_and(|own| key.is_none_or(|key| key == own))
        })
    };
    let in_map = |key: Option<&str>| {
        world.teams.owners.keys().any(|(owned, provider, name)| {
            let here = provider.is_empty() || provider == line.provider;
            *owned == Owned::ApiKey && here && key.is_none_or(|key| key == name)
        })
    };
    // Where nobody knows any key, keys are not part of the books.
    !(in_ledger(None) || in_map(None)) || in_ledger(Some(key)) || in_map(Some(key))
}

/// What a side says about one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// Never filled: summed over.
    Any,
    /// Filled elsewhere, but not here.
    Empty,
    Is(&'static str),
}

fn agree(a: &Said, b: &Said) -> bool {
    *a == Said::Any || *b == Said::Any || a == b
}

struct Item {
    slice: (Slice, Currency),
    dims: Vec<Said>,
    line: Option<usize>,
    piece: Option<Piece>,
}

fn yes_no(batch: Option<bool>) -> Option<&'static str> {
    batch.map(|batch| if batch { "yes" } else { "no" })
}

fn line_dims(line: &Booked) -> [Option<&'static str>; 6] {
    let charge = &line.charge;
    let tier = charge.service_tier;
    [charge.sub_account, charge.api_key_id, charge.model, tier, yes_no(charge.batch), charge.meter]
}

fn row_dims(entry: &Used) -> [Option<&'static str>; 5] {
    let row = &entry.row;
    [row.sub_account, row.api_key_id, Some(row.model), row.service_tier, yes_no(row.batch)]
}

fn buckets(world: &World, books: &Books, lines: &[usize], rows: &[usize]) -> Vec<Group> {
    let mut items = Vec::new();
    for l in lines {
        let line = &books.lines[*l];
        let alike = |other: &&usize| {
            let other = &books.lines[**other];
            (other.slice().0, other.account, other.report) == (line.provider, line.account, line.report)
        };
        let peers: Vec<&Booked> = lines.iter().filter(alike).map(|other| &books.lines[*other]).collect();
        let of_meter = |dim: usize| {
            let same = peers.iter().filter(|other| other.charge.meter == line.charge.meter);
            same.into_iter().any(|other| line_dims(other)[dim].is_some())
        };
        let mut dims: Vec<Said> = Vec::new();
        for (dim, value) in line_dims(line).into_iter().enumerate() {
            // A report that names meters names them throughout.
            let said = if dim == 5 { peers.iter().any(|other| other.charge.meter.is_some()) } else { of_meter(dim) };
            dims.push(if said { value.map_or(Said::Empty, Said::Is) } else { Said::Any });
        }
        // A call billed as a whole stands against all meters.
        if dims[5] == Said::Is(meter::REQUESTS) {
            dims[5] = Said::Any;
        }
        items.push(Item { slice: (line.slice(), line.charge.currency), dims, line: Some(*l), piece: None });
    }
    for e in rows {
        let entry = &books.entries[*e];
        let peers = || {
            rows.iter()
                .map(|e| &books.entries[*e])
                .filter(|other| (other.row.provider, other.account) == (entry.row.provider, entry.account))
        };
        let mut dims: Vec<Said> = Vec::new();
        for (dim, value) in row_dims(entry).into_iter().enumerate() {
            let said = peers().any(|other| row_dims(other)[dim].is_some());
            dims.push(if said { value.map_or(Said::Empty, Said::Is) } else { Said::Any });
        }
        for (meter, quantity, cost, book) in by_meter(world, entry) {
            let mut dims = dims.clone();
            dims.push(meter.map_or(Said::Any, Said::Is));
            let piece = Some(Piece { entry: *e, meter, quantity, cost, book });
            items.push(Item { slice: (entry.slice(), entry.currency), dims, line: None, piece });
        }
    }
    let mut part: Vec<usize> = (0..items.len()).collect();
    let join = |part: &mut Vec<usize>, a: usize, b: usize| {
        let (from, to) = (part[a], part[b]);
        part.iter_mut().filter(|one| **one == from).for_each(|one| *one = to);
    };
    for a in 0..items.len() {
        for b in 0..a {
            let agreed = items[a].dims.iter().zip(&items[b].dims).all(|(x, y)| agree(x, y));
            if items[a].slice == items[b].slice && agreed {
                join(&mut part, a, b);
            }
        }
    }
    // A row that leaves empty what others fill, and that no line stands against, takes what agrees otherwise.
    let is_lone = |at: usize| !(0..items.len()).any(|other| part[other] == part[at] && items[other].line.is_some());
    let loose: Vec<usize> = (0..items.len()).filter(|at| items[*at].dims.contains(&Said::Empty) && is_lone(*at)).collect();
    for at in loose {
        for other in 0..items.len() {
            let loosely = |(own, other): (&Said, &Said)| *own == Said::Empty || agree(own, other);
            let agreed = items[at].dims.iter().zip(&items[other].dims).all(loosely);
            if items[other].line.is_some() && items[at].slice == items[other].slice && agreed {
                join(&mut part, at, other);
            }
        }
    }
    let mut groups: BTreeMap<usize, Group> = BTreeMap::new();
    for (item, part) in items.into_iter().zip(part) {
        let group = groups.entry(part).or_default();
        group.lines.extend(item.line);
        group.pieces.extend(item.piece);
    }
    groups.into_values().collect()
}
