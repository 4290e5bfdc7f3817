//! The match, finest grain first (contract 4.3): by provider request id through one outer join, the rest
//! by bucket (see `buckets`). What agrees to the last digit leaves here as sums; only the rest becomes
//! [`Match`]es that are looked at one by one.

use super::facts::{Entry, Facts, Line, NO_AMOUNT, NO_DAY, amount};
use super::frame::{amounts, broken, days, frame, keys, numbers, read_amounts, read_days, read_numbers};
use super::results::Reason;
use super::symbols::{NONE, Sym};
use crate::domain::fault::Fault;
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::usage::ChargeCategory;
use hashbrown::HashMap;
use polars::prelude::*;
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

fn key_of(provider: Sym, request: Sym) -> u64 {
    (u64::from(provider) << 32) | u64::from(request)
}

fn line_key(facts: &Facts, line: &Line) -> Option<u64> {
    let kind = facts.charge_kind(line);
    (line.request != NONE && kind.category == ChargeCategory::Usage).then(|| key_of(kind.provider, line.request))
}

fn entry_key(facts: &Facts, entry: &Entry) -> Option<u64> {
    (entry.request != NONE).then(|| key_of(facts.entry_kind(entry).provider, entry.request))
}

/// The narrow place: both sides in, pairs out. Duplicate ids on either side are summed by the join's
/// own grouping and then looked at one by one.
///
/// # Errors
/// Only the frame engine's own (70).
pub fn match_requests(facts: &Facts) -> Result<Requests, Fault> {
    let joined = join(provider_frame(facts)?, ledger_frame(facts)?)?;
    let (lines, entries) = (read_numbers(&joined, "line", u32::MAX)?, read_numbers(&joined, "entry", u32::MAX)?);
    let (line_count, entry_count) = (read_numbers(&joined, "lines", 0)?, read_numbers(&joined, "entries", 0)?);
    let (billed, expected) = (read_amounts(&joined, "billed")?, read_amounts(&joined, "expected")?);
    let (line_day, entry_day) = (read_days(&joined, "line_day", NO_DAY)?, read_days(&joined, "entry_day", NO_DAY)?);
    let odd = read_numbers(&joined, "odd", 0)?;
    let mut clean = Vec::with_capacity(lines.len());
    let mut look: HashMap<u64, usize> = HashMap::new();
    let mut requests = Requests::default();
    for at in 0..lines.len() {
        let (line, entry) = (lines[at], entries[at]);
        if line == u32::MAX || entry == u32::MAX {
            if line_count[at] <= 1 && entry_count[at] <= 1 {
                if line == u32::MAX {
                    requests.lone_entries.push(entry);
                } else {
                    requests.lone_lines.push(line);
                }
                continue;
            }
        } else if line_count[at] == 1 && entry_count[at] == 1 && odd[at] == 0 && billed[at] == expected[at] {
            let charge = facts.charge_kind(&facts.lines[line as usize]);
            let own = facts.entry_kind(&facts.entries[entry as usize]);
            let same_books = (charge.account, charge.currency) == (own.account, own.currency);
            if line_day[at] == entry_day[at] && same_books && !facts.lines[line as usize].unpriced {
                clean.push((line, entry));
                continue;
            }
        }
        let key = if line == u32::MAX {
            entry_key(facts, &facts.entries[entry as usize])
        } else {
            line_key(facts, &facts.lines[line as usize])
        };
        if let Some(key) = key {
            let place = look.len();
            look.entry(key).or_insert(place);
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
    requests.agreed = sum_agreed(facts, &clean)?;
    Ok(requests)
}

fn provider_frame(facts: &Facts) -> Result<DataFrame, Fault> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, line) in facts.lines.iter().enumerate() {
        // Lines that only measure follow their request's money, see `gather`.
        if let Some(key) = line_key(facts, line).filter(|_| line.cost != NO_AMOUNT) {
            columns.0.push(key);
            columns.1.push(index as u32);
            columns.2.push(line.day);
            columns.3.push(line.cost);
        }
    }
    frame(vec![keys("key", columns.0), numbers("line", columns.1), days("line_day", columns.2), amounts("billed", columns.3)])
}

fn ledger_frame(facts: &Facts) -> Result<DataFrame, Fault> {
    let mut columns = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (index, entry) in facts.entries.iter().enumerate() {
        if let Some(key) = entry_key(facts, entry) {
            let odd = facts.entry_kind(entry).status != Status::Ok || entry.unpriced || entry.duplicate;
            columns.0.push(key);
            columns.1.push(index as u32);
            columns.2.push(entry.day);
            columns.3.push(entry.cost.atto());
            columns.4.push(u32::from(odd));
        }
    }
    frame(vec![
        keys("key", columns.0),
        numbers("entry", columns.1),
        days("entry_day", columns.2),
        amounts("expected", columns.3),
        numbers("odd", columns.4),
    ])
}

/// Sums each side by key, then joins the sides in full: one row per request of either side.
fn join(provider: DataFrame, ledger: DataFrame) -> Result<DataFrame, Fault> {
    let provider = provider.lazy().group_by([col("key")]).agg([
        col("line").min(),
        len().alias("lines"),
        col("line_day").min(),
        col("billed").sum(),
    ]);
    let ledger = ledger.lazy().group_by([col("key")]).agg([
        col("entry").min(),
        len().alias("entries"),
        col("entry_day").min(),
        col("expected").sum(),
        col("odd").max(),
    ]);
    let args = JoinArgs::new(JoinType::Full).with_coalesce(JoinCoalesce::CoalesceColumns);
    provider.join(ledger, [col("key")], [col("key")], args).collect().map_err(broken)
}

/// All lines and entries of the wanted requests, in the order of their rows.
fn gather(facts: &Facts, wanted: &HashMap<u64, usize>) -> Vec<(Vec<u32>, Vec<u32>)> {
    let mut groups = vec![(Vec::new(), Vec::new()); wanted.len()];
    if wanted.is_empty() {
        return groups;
    }
    for (index, line) in facts.lines.iter().enumerate() {
        if let Some(place) = line_key(facts, line).and_then(|key| wanted.get(&key)) {
            groups[*place].0.push(index as u32);
        }
    }
    for (index, entry) in facts.entries.iter().enumerate() {
        if let Some(place) = entry_key(facts, entry).and_then(|key| wanted.get(&key)) {
            groups[*place].1.push(index as u32);
        }
    }
    groups.sort();
    groups
}

fn sum_agreed(facts: &Facts, clean: &[(u32, u32)]) -> Result<Vec<Agreed>, Fault> {
    let lines = || clean.iter().map(|(line, _)| &facts.lines[*line as usize]);
    let or_zero = |value: i128| if value == NO_AMOUNT { 0 } else { value };
    let rows = frame(vec![
        numbers("charge_kind", lines().map(|line| line.kind).collect()),
        numbers("entry_kind", clean.iter().map(|(_, entry)| facts.entries[*entry as usize].kind).collect()),
        days("day", lines().map(|line| line.day).collect()),
        days("local_day", lines().map(|line| line.local_day).collect()),
        // Which of the optional figures a line has: sums mix no present with absent ones.
        numbers(
            "has",
            lines().map(|line| u32::from(line.quantity != NO_AMOUNT) + 2 * u32::from(line.list_cost != NO_AMOUNT)).collect(),
        ),
        numbers("requests", lines().map(|line| line.requests.max(1)).collect()),
        amounts("quantity", lines().map(|line| or_zero(line.quantity)).collect()),
        amounts("list_cost", lines().map(|line| or_zero(line.list_cost)).collect()),
        amounts("cost", lines().map(|line| or_zero(line.cost)).collect()),
    ])?;
    let by = [col("charge_kind"), col("entry_kind"), col("day"), col("local_day"), col("has")];
    let sums = [col("requests").sum(), col("quantity").sum(), col("list_cost").sum(), col("cost").sum()];
    let summed = rows.lazy().group_by(by).agg(sums).collect().map_err(broken)?;
    let (charge_kind, entry_kind) = (read_numbers(&summed, "charge_kind", 0)?, read_numbers(&summed, "entry_kind", 0)?);
    let (day, local_day) = (read_days(&summed, "day", 0)?, read_days(&summed, "local_day", NO_DAY)?);
    let (has, requests) = (read_numbers(&summed, "has", 0)?, read_numbers(&summed, "requests", 0)?);
    let (quantity, list_cost) = (read_amounts(&summed, "quantity")?, read_amounts(&summed, "list_cost")?);
    let cost = read_amounts(&summed, "cost")?;
    let row = |at: usize| Agreed {
        charge_kind: charge_kind[at],
        entry_kind: entry_kind[at],
        day: day[at],
        local_day: local_day[at],
        requests: requests[at],
        quantity: if has[at] & 1 == 1 { quantity[at] } else { NO_AMOUNT },
        list_cost: if has[at] & 2 == 2 { list_cost[at] } else { NO_AMOUNT },
        cost: Amount::from_atto(cost[at]),
    };
    Ok((0..cost.len()).map(row).collect())
}
