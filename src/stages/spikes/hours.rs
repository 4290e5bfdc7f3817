//! Usage by the hour: what the ledger expects and what providers billed, summed once, so that series, incidents and
//! rules look at some cells and not at every row.

use super::series::Evidence;
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::day_of;
use crate::domain::teams::Owned;
use crate::domain::usage::{ChargeCategory, CostBasis};
use crate::stages::drift::team_of_kind;
use crate::stages::facts::{Facts, Line, NO_AMOUNT};
use crate::stages::reference::Reference;
use crate::stages::symbols::{NONE, Sym};
use hashbrown::HashMap;

pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 86_400;

/// Amounts are limited where they are read, so a sum that does not fit is a bug elsewhere; it stays as it was.
pub(super) fn plus(sum: Amount, more: Amount) -> Amount {
    sum.checked_add(more).unwrap_or(sum)
}

/// One kind of row in one step of time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// Start of the step, Unix seconds.
    pub at: i64,
    /// Entry kind, or charge kind.
    pub kind: u32,
    pub amount: Amount,
    pub calls: u32,
    /// Calls that ended as an error or a timeout.
    pub failed: u32,
}

/// A row of a step: order and number of its kind, its index.
type Row = (u32, u32, u32);

/// Rows by step of time while they come, which they mostly do in order of it.
#[derive(Default)]
struct Steps {
    steps: Vec<(i64, Vec<Row>)>,
    places: HashMap<i64, usize>,
    last: usize,
}

impl Steps {
    fn push(&mut self, at: i64, order: &[u32], kind: u32, row: usize) {
        if self.steps.get(self.last).is_none_or(|(last, _)| *last != at) {
            self.last = *self.places.entry(at).or_insert_with(|| {
                self.steps.push((at, Vec::new()));
                self.steps.len() - 1
            });
        }
        if let Some((_, rows)) = self.steps.get_mut(self.last) {
            rows.push((order.get(kind as usize).copied().unwrap_or(0), kind, row as u32));
        }
    }

    /// By step, within one by the order that each kind has. `add` puts a row into its cell.
    fn cells(mut self, add: impl Fn(&mut Cell, usize)) -> Vec<Cell> {
        self.steps.sort_unstable_by_key(|(at, _)| *at);
        let mut cells: Vec<Cell> = Vec::new();
        for (at, mut rows) in self.steps {
            rows.sort_unstable();
            for (_, kind, row) in rows {
                match cells.last_mut() {
                    Some(cell) if cell.at == at && cell.kind == kind => add(cell, row as usize),
                    _ => {
                        let mut cell = Cell { at, kind, amount: Amount::ZERO, calls: 0, failed: 0 };
                        add(&mut cell, row as usize);
                        cells.push(cell);
                    }
                }
            }
        }
        cells
    }
}

/// The ledger by hour and names of its callers, in this order, up to the last full hour.
pub(super) fn of_ledger(facts: &Facts, callers: &Callers<'_>, until: i64) -> Vec<Cell> {
    let mut steps = Steps::default();
    for (row, entry) in facts.entries.iter().enumerate().filter(|(_, entry)| !entry.duplicate && entry.start < until) {
        steps.push(entry.start.div_euclid(HOUR) * HOUR, &callers.of_entry, entry.kind, row);
    }
    steps.cells(|cell, row| {
        let Some(entry) = facts.entries.get(row) else { return };
        let status = facts.entry_kind(entry).status;
        cell.calls += 1;
        cell.failed += u32::from(matches!(status, Status::Error | Status::Timeout));
        if status == Status::Ok {
            cell.amount = plus(cell.amount, entry.cost);
        }
    })
}

/// What providers billed by time and names, in this order.
pub(super) struct Billed {
    /// Lines of at most an hour, by the hour.
    pub hours: Vec<Cell>,
    /// The same of quantities at book price.
    pub priced: Vec<Cell>,
    /// Longer ones, by the day.
    pub days: Vec<Cell>,
    /// Lines of more than a day (and the hour by which a changed clock makes one longer), by their first day.
    pub longer: Vec<Cell>,
}

impl Billed {
    /// The lists of which series are made, with what they are.
    pub fn lists(&self) -> [(Evidence, &[Cell]); 3] {
        let (hours, priced, days) = (&self.hours, &self.priced, &self.days);
        [(Evidence::ProviderHours, hours), (Evidence::PricedHours, priced), (Evidence::ProviderDays, days)]
    }
}

/// What shows a line of a basis and length: its hour, or its day.
pub(super) fn evidence_of(basis: CostBasis, seconds: i64) -> Evidence {
    match basis {
        _ if seconds > HOUR => Evidence::ProviderDays,
        CostBasis::Computed => Evidence::PricedHours,
        _ => Evidence::ProviderHours,
    }
}

/// Usage that providers billed, by the hour where their report is so fine, else by the day.
pub(super) fn of_providers(facts: &Facts, callers: &Callers<'_>, until: i64) -> Billed {
    let [mut hours, mut priced, mut days, mut longer] = [(); 4].map(|()| Steps::default());
    let is_known = |line: &Line| line.cost != NO_AMOUNT && line.start < until;
    for (row, line) in facts.lines.iter().enumerate().filter(|(_, line)| is_known(line)) {
        let kind = facts.charge_kind(line);
        if kind.category != ChargeCategory::Usage {
            continue;
        }
        let length = line.end - line.start;
        let (hour, day) = (line.start.div_euclid(HOUR) * HOUR, i64::from(line.day) * DAY);
        let (steps, at) = match evidence_of(kind.basis, length) {
            Evidence::PricedHours => (&mut priced, hour),
            Evidence::ProviderHours | Evidence::Ledger => (&mut hours, hour),
            Evidence::ProviderDays if length <= DAY + HOUR => (&mut days, day),
            Evidence::ProviderDays => (&mut longer, day),
        };
        steps.push(at, &callers.of_charge, line.kind, row);
    }
    let add = |cell: &mut Cell, row: usize| {
        let Some(line) = facts.lines.get(row) else { return };
        cell.calls += 1;
        cell.amount = plus(cell.amount, Amount::from_atto(line.cost));
    };
    let [hours, priced, days, longer] = [hours, priced, days, longer].map(|steps| steps.cells(add));
    Billed { hours, priced, days, longer }
}

/// Who calls what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Caller<'f> {
    pub provider: &'f str,
    pub api_key_id: &'f str,
    pub model: &'f str,
    pub client: &'f str,
    pub currency: Currency,
}

/// Every distinct caller once, in the order of their names, and which one each kind of entry and charge is of.
pub(super) struct Callers<'f> {
    pub all: Vec<Caller<'f>>,
    pub of_entry: Vec<u32>,
    pub of_charge: Vec<u32>,
}

impl<'f> Callers<'f> {
    pub fn of(facts: &'f Facts) -> Callers<'f> {
        let text = |sym| facts.symbols.text(sym);
        let entries = facts.entry_kinds.all().iter().map(|kind| Caller {
            provider: text(kind.provider),
            api_key_id: text(kind.api_key_id),
            model: text(kind.model),
            client: text(kind.client),
            currency: kind.currency,
        });
        let charges = facts.charge_kinds.all().iter().map(|kind| Caller {
            provider: text(kind.provider),
            api_key_id: text(kind.api_key_id),
            model: text(kind.model),
            client: "",
            currency: kind.currency,
        });
        let (entries, charges): (Vec<_>, Vec<_>) = (entries.collect(), charges.collect());
        let mut all: Vec<Caller<'f>> = entries.iter().chain(&charges).copied().collect();
        all.sort_unstable();
        all.dedup();
        let places = |of: &[Caller<'f>]| of.iter().map(|one| all.binary_search(one).unwrap_or(0) as u32).collect();
        Callers { of_entry: places(&entries), of_charge: places(&charges), all }
    }
}

/// Cells of a span of time, of cells in order of time.
pub(super) fn within(cells: &[Cell], from: i64, to: i64) -> &[Cell] {
    let place = |at: i64| cells.partition_point(|cell| cell.at < at);
    cells.get(place(from)..place(to)).unwrap_or_default()
}

/// What is known of each kind on the last day that was asked for: cells come in order of time.
pub(super) struct OfKind<V>(Vec<Option<(i64, V)>>);

impl<V: Copy> OfKind<V> {
    pub fn new(kinds: usize) -> OfKind<V> {
        OfKind(vec![None; kinds])
    }

    pub fn get(&self, kind: u32, day: i64) -> Option<V> {
        let (known, value) = (*self.0.get(kind as usize)?)?;
        (known == day).then_some(value)
    }

    pub fn set(&mut self, kind: u32, day: i64, value: V) {
        if let Some(known) = self.0.get_mut(kind as usize) {
            *known = Some((day, value));
        }
    }
}

/// A team by number; 0 is nobody.
pub(super) type TeamNumber = usize;

/// Who bears what is of one kind, by day.
pub(super) struct Teams<'f> {
    facts: &'f Facts,
    reference: &'f Reference,
    entries: OfKind<TeamNumber>,
    charges: OfKind<TeamNumber>,
    names: Vec<String>,
}

impl<'f> Teams<'f> {
    pub fn new(facts: &'f Facts, reference: &'f Reference) -> Teams<'f> {
        let (entries, charges) = (OfKind::new(facts.entry_kinds.all().len()), OfKind::new(facts.charge_kinds.all().len()));
        Teams { facts, reference, entries, charges, names: vec![String::new()] }
    }

    /// Of entries: the ledger's team through the map, else the key's owner.
    pub fn of_entry(&mut self, kind: u32, at: i64) -> TeamNumber {
        let day = at.div_euclid(DAY);
        if let Some(known) = self.entries.get(kind, day) {
            return known;
        }
        let parts = self.facts.entry_kinds.all()[kind as usize];
        let team = team_of_kind(self.facts, self.reference, kind, day_of(i32::try_from(day).unwrap_or(0)));
        let number = if team.is_empty() { self.owner(parts.provider, parts.api_key_id, day) } else { self.number(&team) };
        self.entries.set(kind, day, number);
        number
    }

    /// Of charges: the key's owner.
    pub fn of_charge(&mut self, kind: u32, at: i64) -> TeamNumber {
        let day = at.div_euclid(DAY);
        if let Some(known) = self.charges.get(kind, day) {
            return known;
        }
        let parts = self.facts.charge_kinds.all()[kind as usize];
        let number = self.owner(parts.provider, parts.api_key_id, day);
        self.charges.set(kind, day, number);
        number
    }

    fn owner(&mut self, provider: Sym, key: Sym, day: i64) -> TeamNumber {
        if key == NONE {
            return 0;
        }
        let text = |sym: Sym| self.facts.symbols.text(sym);
        let date = day_of(i32::try_from(day).unwrap_or(0));
        let team = self.reference.teams.owner(Owned::ApiKey, text(provider), text(key), date).map(|owner| &owner.team);
        team.map_or(0, |team| self.number(team))
    }

    fn number(&mut self, team: &str) -> TeamNumber {
        self.names.iter().position(|name| name == team).unwrap_or_else(|| {
            self.names.push(team.to_string());
            self.names.len() - 1
        })
    }

    /// Empty for nobody.
    pub fn name(&self, number: TeamNumber) -> &str {
        self.names.get(number).map_or("", String::as_str)
    }
}
