//! The match, finest grain first (contract 4.3): by provider request id in one full outer join, the rest
//! by bucket (see `buckets`). What agrees to the last digit leaves here as sums; only the rest becomes
//! [`Match`]es that are looked at one by one.

use super::facts::{Entry, Facts, Line, NO_AMOUNT, amount};
use super::results::Reason;
use super::symbols::{NONE, Sym};
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::usage::ChargeCategory;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// How fine a match is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grain {
    Request,
    Day,
}

impl Grain {
    pub const fn name(self) -> &'static str {
        match self {
            Grain::Request => "request",
            Grain::Day => "day",
        }
    }
}

/// A dimension that one side did not report: summed over, never guessed.
pub const ANY: Sym = Sym::MAX;

/// What a bucket match is made on besides provider, account and day. [`ANY`] where summed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub sub_account: Sym,
    pub api_key_id: Sym,
    pub model: Sym,
    pub service_tier: Sym,
    /// 0 not said, 1 no, 2 yes.
    pub batch: Sym,
    pub meter: Sym,
}

impl Key {
    pub const fn dims(self) -> [Sym; 6] {
        [self.sub_account, self.api_key_id, self.model, self.service_tier, self.batch, self.meter]
    }

    pub const fn from_dims(dims: [Sym; 6]) -> Key {
        let [sub_account, api_key_id, model, service_tier, batch, meter] = dims;
        Key { sub_account, api_key_id, model, service_tier, batch, meter }
    }
}

/// The batch dimension as a number.
pub fn batch_number(batch: Option<bool>) -> Sym {
    batch.map_or(0, |batch| 1 + Sym::from(batch))
}

/// A sum of ledger rows of one kind, day and meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Entry kind.
    pub kind: u32,
    pub day: i32,
    pub meter: Sym,
    pub quantity: i128,
    /// What the ledger expects; 0 for calls that did not end well.
    pub cost: Amount,
    /// What the calls would cost by the book, whatever their status.
    pub book_cost: Amount,
    pub reasoning: i128,
    /// Rows in it. A row with several meters counts in each.
    pub count: u32,
    pub unpriced: bool,
    /// One of the entries, for evidence.
    pub entry: u32,
}

/// Provider side, ledger side, or both, at one key.
#[derive(Clone, Debug)]
pub struct Match {
    pub grain: Grain,
    pub provider: Sym,
    pub account: Sym,
    pub currency: Currency,
    /// The charge date; the ledger's day where the provider has nothing.
    pub day: i32,
    pub key: Key,
    /// Indexes of provider lines: money, and quantities without money.
    pub lines: Vec<u32>,
    pub pieces: Vec<Piece>,
    /// Ledger rows that say who bears the lines though they are not compared with them: the other half
    /// of a two-sided item, or the one row of a call that was billed twice.
    pub bearers: Vec<Piece>,
    /// The reason, where the way the match was made already tells it.
    pub known: Option<Reason>,
    /// Two halves of one item carry the same number.
    pub pair: Option<u32>,
}

impl Match {
    /// A match of nothing yet.
    pub fn new(grain: Grain, provider: Sym, account: Sym, currency: Currency, day: i32, key: Key) -> Match {
        Match {
            grain,
            provider,
            account,
            currency,
            day,
            key,
            lines: Vec::new(),
            pieces: Vec::new(),
            bearers: Vec::new(),
            known: None,
            pair: None,
        }
    }

    /// What the provider billed in it.
    pub fn billed(&self, facts: &Facts) -> Amount {
        let costs = self.lines.iter().filter_map(|line| amount(facts.lines[*line as usize].cost));
        sum(costs).unwrap_or_default()
    }

    /// How many ledger rows it has of each kind and day. A row with several meters counts in each of
    /// their pieces, and once here.
    pub fn row_counts(&self) -> BTreeMap<(u32, i32), u32> {
        let mut by_meter: BTreeMap<(u32, i32, Sym), u32> = BTreeMap::new();
        for piece in &self.pieces {
            *by_meter.entry((piece.kind, piece.day, piece.meter)).or_default() += piece.count;
        }
        let mut rows: BTreeMap<(u32, i32), u32> = BTreeMap::new();
        for ((kind, day, _), count) in by_meter {
            let most = rows.entry((kind, day)).or_default();
            *most = (*most).max(count);
        }
        rows
    }

    /// What the ledger expected.
    pub fn expected(&self) -> Amount {
        sum(self.pieces.iter().map(|piece| piece.cost)).unwrap_or_default()
    }
}

/// Requests whose one line and one row agree to the last digit, summed.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    pub charge_kind: u32,
    pub entry_kind: u32,
    pub day: i32,
    pub local_day: i32,
    pub requests: u32,
    pub quantity: i128,
    pub list_cost: i128,
    pub cost: Amount,
}

/// The outcome of the request match.
#[derive(Default)]
pub struct Requests {
    pub agreed: Vec<Agreed>,
    /// Lines and entries of one request that need a look.
    pub linked: Vec<(Vec<u32>, Vec<u32>)>,
    /// Lines with a request id that no entry has.
    pub lone_lines: Vec<u32>,
    /// Entries with a provider request id that no line has.
    pub lone_entries: Vec<u32>,
}

/// A provider and its request.
type Request = (Sym, Sym);

fn request_of_line(facts: &Facts, line: &Line) -> Option<Request> {
    let kind = facts.charge_kind(line);
    (line.request != NONE && kind.category == ChargeCategory::Usage).then_some((kind.provider, line.request))
}

fn request_of_entry(facts: &Facts, entry: &Entry) -> Option<Request> {
    (entry.request != NONE).then(|| (facts.entry_kind(entry).provider, entry.request))
}

/// What stands on one request: the first of each side, and how many there are.
#[derive(Clone, Copy, Default)]
struct Place {
    provider: Sym,
    line: u32,
    lines: u32,
    entry: u32,
    entries: u32,
}

/// A place for every request of either side. Requests are numbered from 1 without gaps (see `symbols`), so
/// the number is the place; only where two providers gave out the same id is there a second one.
struct Places {
    first: Vec<Place>,
    others: HashMap<Request, Place>,
}

impl Places {
    fn of(facts: &Facts) -> Places {
        let mut places = Places { first: vec![Place::default(); facts.requests.len()], others: HashMap::new() };
        for (index, line) in facts.lines.iter().enumerate() {
            // Lines that only measure follow their request's money, see `gather`.
            if let Some(request) = request_of_line(facts, line).filter(|_| line.cost != NO_AMOUNT) {
                let place = places.at(request);
                place.line = if place.lines == 0 { index as u32 } else { place.line };
                place.lines += 1;
            }
        }
        for (index, entry) in facts.entries.iter().enumerate() {
            if let Some(request) = request_of_entry(facts, entry) {
                let place = places.at(request);
                place.entry = if place.entries == 0 { index as u32 } else { place.entry };
                place.entries += 1;
            }
        }
        places
    }

    fn at(&mut self, request: Request) -> &mut Place {
        let (provider, number) = request;
        let first = &mut self.first[number as usize];
        if first.provider == NONE {
            first.provider = provider;
        }
        if first.provider == provider {
            first
        } else {
            self.others.entry(request).or_insert(Place { provider, ..Place::default() })
        }
    }
}

/// The narrow place: both sides in, pairs out, in full: what stands on one side only is handed on too.
/// Several lines or entries of one id are looked at one by one.
pub fn match_requests(facts: &Facts) -> Requests {
    let places = Places::of(facts);
    let mut agreed = Sums::default();
    let mut requests = Requests::default();
    let mut look: HashMap<Request, usize> = HashMap::new();
    let numbered = places.first.iter().enumerate().map(|(number, place)| ((place.provider, number as Sym), place));
    for (request, place) in numbered.chain(places.others.iter().map(|(request, place)| (*request, place))) {
        match (place.lines, place.entries) {
            (0, 0) => {}
            (1, 0) => requests.lone_lines.push(place.line),
            (0, 1) => requests.lone_entries.push(place.entry),
            (1, 1) if agree(facts, place) => {
                let (line, entry) = (&facts.lines[place.line as usize], &facts.entries[place.entry as usize]);
                agreed.add(line, entry);
            }
            _ => {
                let at = look.len();
                look.insert(request, at);
            }
        }
    }
    requests.linked = gather(facts, &look);
    let mut kept = Vec::new();
    for (lines, entries) in std::mem::take(&mut requests.linked) {
        match (lines.is_empty(), entries.is_empty()) {
            (false, true) => requests.lone_lines.extend(lines),
            (true, false) => requests.lone_entries.extend(entries),
            _ => kept.push((lines, entries)),
        }
    }
    requests.linked = kept;
    requests.lone_lines.sort_unstable();
    requests.lone_entries.sort_unstable();
    requests.agreed = agreed.finish();
    requests
}

/// The one line and the one entry say the same, to the last digit.
fn agree(facts: &Facts, place: &Place) -> bool {
    let (line, entry) = (&facts.lines[place.line as usize], &facts.entries[place.entry as usize]);
    let (billing, own) = (facts.charge_kind(line), facts.entry_kind(entry));
    let plain = own.status == Status::Ok && !entry.unpriced && !entry.duplicate && !line.unpriced;
    let same_books = (billing.account, billing.currency, line.day) == (own.account, own.currency, entry.day);
    plain && same_books && amount(line.cost) == Some(entry.cost)
}

/// All lines and entries of the wanted requests, in the order of their rows.
fn gather(facts: &Facts, wanted: &HashMap<Request, usize>) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut groups = vec![(Vec::new(), Vec::new()); wanted.len()];
    if wanted.is_empty() {
        return groups;
    }
    for (index, line) in facts.lines.iter().enumerate() {
        if let Some(place) = request_of_line(facts, line).and_then(|request| wanted.get(&request)) {
            groups[*place].0.push(index as u32);
        }
    }
    for (index, entry) in facts.entries.iter().enumerate() {
        if let Some(place) = request_of_entry(facts, entry).and_then(|request| wanted.get(&request)) {
            groups[*place].1.push(index as u32);
        }
    }
    groups.sort();
    groups
}

/// Sums of what agrees, by kinds and days, and by which of the optional figures a line has: sums mix no
/// present with absent ones.
#[derive(Default)]
struct Sums(HashMap<(u32, u32, i32, i32, bool, bool), Agreed>);

impl Sums {
    fn add(&mut self, line: &Line, entry: &Entry) {
        let (has_quantity, has_list) = (line.quantity != NO_AMOUNT, line.list_cost != NO_AMOUNT);
        let sum = self.0.entry((line.kind, entry.kind, line.day, line.local_day, has_quantity, has_list)).or_insert(Agreed {
            charge_kind: line.kind,
            entry_kind: entry.kind,
            day: line.day,
            local_day: line.local_day,
            requests: 0,
            quantity: if has_quantity { 0 } else { NO_AMOUNT },
            list_cost: if has_list { 0 } else { NO_AMOUNT },
            cost: Amount::ZERO,
        });
        sum.requests = sum.requests.saturating_add(line.requests.max(1));
        if has_quantity {
            sum.quantity = sum.quantity.saturating_add(line.quantity);
        }
        if has_list {
            sum.list_cost = sum.list_cost.saturating_add(line.list_cost);
        }
        sum.cost = sum.cost.checked_add(amount(line.cost).unwrap_or_default()).unwrap_or(sum.cost);
    }

    fn finish(self) -> Vec<Agreed> {
        self.0.into_values().collect()
    }
}
