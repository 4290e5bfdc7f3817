//! Usage by the hour: what the ledger expects and what providers billed, summed once, so that series, incidents and
//! rules look at some cells and not at every row.

use super::series::Evidence;
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::day_of;
use crate::domain::teams::Owned;
use crate::domain::usage::{ChargeCategory, CostBasis};
use crate::stages::drift::team_of_kind;
use crate::stages::facts::{Facts, NO_AMOUNT};
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
    pub calls: u64,
    /// Calls that ended as an error or a timeout.
    pub failed: u64,
}

/// Cells while rows come, which mostly do in order of time: the cells of one step are few.
#[derive(Default)]
struct Steps(HashMap<i64, HashMap<u32, Cell>>);

impl Steps {
    fn at(&mut self, at: i64, kind: u32) -> &mut Cell {
        let new = Cell { at, kind, amount: Amount::ZERO, calls: 0, failed: 0 };
        self.0.entry(at).or_default().entry(kind).or_insert(new)
    }

    /// By step, within one by the order that each kind has.
    fn sorted(self, order: &[u32]) -> Vec<Cell> {
        let mut steps: Vec<(i64, HashMap<u32, Cell>)> = self.0.into_iter().collect();
        steps.sort_unstable_by_key(|(at, _)| *at);
        let mut cells = Vec::with_capacity(steps.iter().map(|(_, cells)| cells.len()).sum());
        for (_, step) in steps {
            let start = cells.len();
            cells.extend(step.into_values());
            if let Some(own) = cells.get_mut(start..) {
                own.sort_unstable_by_key(|cell: &Cell| (order.get(cell.kind as usize).copied(), cell.kind));
            }
        }
        cells
    }
}

/// The ledger by hour and names of its callers, in this order, up to the last full hour.
pub(super) fn of_ledger(facts: &Facts, callers: &Callers<'_>, until: i64) -> Vec<Cell> {
    let mut steps = Steps::default();
    for entry in facts.entries.iter().filter(|entry| !entry.duplicate && entry.start < until) {
        let cell = steps.at(entry.start.div_euclid(HOUR) * HOUR, entry.kind);
        let status = facts.entry_kind(entry).status;
        cell.calls += 1;
        cell.failed += u64::from(matches!(status, Status::Error | Status::Timeout));
        if status == Status::Ok {
            cell.amount = plus(cell.amount, entry.cost);
        }
    }
    steps.sorted(&callers.of_entry)
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
    for line in facts.lines.iter().filter(|line| line.cost != NO_AMOUNT && line.start < until) {
        let kind = facts.charge_kind(line);
        if kind.category != ChargeCategory::Usage {
            continue;
        }
        let length = line.end - line.start;
        let (hour, day) = (line.start.div_euclid(HOUR) * HOUR, i64::from(line.day) * DAY);
        let cell = match evidence_of(kind.basis, length) {
            Evidence::PricedHours => priced.at(hour, line.kind),
            Evidence::ProviderHours | Evidence::Ledger => hours.at(hour, line.kind),
            Evidence::ProviderDays if length <= DAY + HOUR => days.at(day, line.kind),
            Evidence::ProviderDays => longer.at(day, line.kind),
        };
        cell.calls += 1;
        cell.amount = plus(cell.amount, Amount::from_atto(line.cost));
    }
    let [hours, priced, days, longer] = [hours, priced, days, longer].map(|steps| steps.sorted(&callers.of_charge));
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

/// A team by number; 0 is nobody.
pub(super) type TeamNumber = usize;

/// Who bears what is of one kind, by day.
pub(super) struct Teams<'f> {
    facts: &'f Facts,
    reference: &'f Reference,
    /// By kind and day, of entries and of charges.
    entries: HashMap<(u32, i64), TeamNumber>,
    charges: HashMap<(u32, i64), TeamNumber>,
    names: Vec<String>,
}

impl<'f> Teams<'f> {
    pub fn new(facts: &'f Facts, reference: &'f Reference) -> Teams<'f> {
        let names = vec![String::new()];
        Teams { facts, reference, entries: HashMap::new(), charges: HashMap::new(), names }
    }

    /// Of entries: the ledger's team through the map, else the key's owner.
    pub fn of_entry(&mut self, kind: u32, at: i64) -> TeamNumber {
        let day = at.div_euclid(DAY);
        if let Some(known) = self.entries.get(&(kind, day)) {
            return *known;
        }
        let parts = self.facts.entry_kinds.all()[kind as usize];
        let team = team_of_kind(self.facts, self.reference, kind, day_of(i32::try_from(day).unwrap_or(0)));
        let number = if team.is_empty() { self.owner(parts.provider, parts.api_key_id, day) } else { self.number(&team) };
        self.entries.insert((kind, day), number);
        number
    }

    /// Of charges: the key's owner.
    pub fn of_charge(&mut self, kind: u32, at: i64) -> TeamNumber {
        let day = at.div_euclid(DAY);
        if let Some(known) = self.charges.get(&(kind, day)) {
            return *known;
        }
        let parts = self.facts.charge_kinds.all()[kind as usize];
        let number = self.owner(parts.provider, parts.api_key_id, day);
        self.charges.insert((kind, day), number);
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
