//! Series of spend from the snapshot (contract 4.7): what the ledger expects by the hour, fresh, and what
//! providers say by the hour or day, true. Currencies are never added.

use super::hours::{Billed, Callers, Cell, DAY, HOUR, OfKind, Teams, evidence_of, of_ledger, of_providers, plus};
use super::replay::Point;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::day_number;
use crate::domain::spike::{BY_DAYS, BY_HOURS, Scope, SeriesKey, Settings};
use crate::domain::usage::ChargeCategory;
use crate::stages::facts::{Facts, NO_AMOUNT};
use crate::stages::reference::Reference;
use crate::stages::symbols::{NONE, Sym};
use chrono::{DateTime, Utc};
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

/// Where a series comes from. The order is that in which they are believed to open an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// The request ledger, at once.
    Ledger,
    /// A provider's report by request or hour.
    ProviderHours,
    /// A provider's quantities by request or hour, at book price.
    PricedHours,
    /// A provider's report by day.
    ProviderDays,
}

impl Evidence {
    pub const fn name(self) -> &'static str {
        match self {
            Evidence::Ledger => "ledger by hour",
            Evidence::ProviderHours => "provider by hour",
            Evidence::PricedHours => "provider by hour at book price",
            Evidence::ProviderDays => "provider by day",
        }
    }

    /// Expected rather than billed: what the provider bills confirms it, or not.
    pub const fn is_expected(self) -> bool {
        matches!(self, Evidence::Ledger | Evidence::PricedHours)
    }

    /// The name of a series with where it was seen, unless that is the ledger.
    pub(super) fn named(self, series: String) -> String {
        match self {
            Evidence::Ledger => series,
            Evidence::ProviderHours | Evidence::PricedHours => format!("{series}{BY_HOURS}"),
            Evidence::ProviderDays => format!("{series}{BY_DAYS}"),
        }
    }
}

/// What the run sees of providers, as `fal, by the provider's hours`: who sees days only can neither confirm nor deny
/// what hours have shown, nor the other way round.
pub fn reports_of(facts: &Facts) -> BTreeSet<String> {
    // Of each kind: has lines of a day, of an hour.
    let mut seen = vec![[false; 2]; facts.charge_kinds.all().len()];
    for line in facts.lines.iter().filter(|line| line.cost != NO_AMOUNT && line.end - line.start <= DAY + HOUR) {
        if let Some(seen) = seen.get_mut(line.kind as usize) {
            seen[usize::from(line.end - line.start <= HOUR)] = true;
        }
    }
    let usage = facts.charge_kinds.all().iter().zip(seen).filter(|(kind, _)| kind.category == ChargeCategory::Usage);
    let lengths = usage.flat_map(|(kind, [day, hour])| {
        let own = |length| (kind.provider, evidence_of(kind.basis, length));
        [day.then(|| own(DAY)), hour.then(|| own(HOUR))]
    });
    let told: HashSet<(Sym, Evidence)> = lengths.flatten().collect();
    told.into_iter().map(|(provider, evidence)| evidence.named(facts.symbols.text(provider).to_string())).collect()
}

/// Until when the hours of a provider are known, where that is not the whole time that the run looks at: a report
/// that does not come is no quiet.
pub type Seen = BTreeMap<String, DateTime<Utc>>;

/// The end of what is known by some evidence of a provider.
pub(super) fn seen_until(seen: &Seen, evidence: Evidence, provider: &str, until: i64) -> i64 {
    match seen.get(provider) {
        Some(seen) if evidence != Evidence::Ledger => seen.timestamp().min(until),
        _ => until,
    }
}

/// A series with all its values.
pub struct Series {
    pub key: SeriesKey,
    pub evidence: Evidence,
    pub step_seconds: i64,
    /// Start of the first value, Unix seconds; one value for each step.
    start: i64,
    values: Vec<Option<Amount>>,
}

impl Series {
    /// `ledger by hour: provider fal, team studio, USD`.
    pub fn name(&self) -> String {
        format!("{}: {}, {}", self.evidence.name(), self.key.name(), self.key.currency)
    }

    pub fn points(&self) -> impl Iterator<Item = Point> + '_ {
        let starts = (0..).map(|step| self.start + step * self.step_seconds);
        starts.zip(&self.values).map(|(at, value)| Point { at: instant(at), value: *value })
    }

    /// What it sums to between two instants that lie on its steps.
    pub fn sum(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Amount {
        let values = self.points().filter(|point| from <= point.at && point.at < to).filter_map(|point| point.value);
        values.fold(Amount::ZERO, plus)
    }
}

pub(super) fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// The end of the last hour that is over.
pub(super) fn until(reference: &Reference) -> i64 {
    let end = reference.window.to.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    end.min(reference.as_of.timestamp().div_euclid(HOUR) * HOUR)
}

/// All series that could hold a spike: those of which at least one value reaches the threshold in money.
/// Sorted by key and evidence.
pub fn series_of(facts: &Facts, reference: &Reference, settings: &Settings) -> Vec<Series> {
    let until = until(reference);
    let callers = Callers::of(facts);
    let (ledger, billed) = (of_ledger(facts, &callers, until), of_providers(facts, &callers, until));
    of_cells(facts, reference, settings, (&ledger, &billed), &Seen::new())
}

/// The same of usage summed by the hour, where providers are known for a part of the time.
pub(super) fn of_cells(
    facts: &Facts,
    reference: &Reference,
    settings: &Settings,
    (ledger, billed): (&[Cell], &Billed),
    seen: &Seen,
) -> Vec<Series> {
    let until = until(reference);
    let mut sums = Sums::new(Teams::new(facts, reference));
    sums.of_kind = OfKind::new(facts.entry_kinds.all().len());
    for cell in ledger.iter().filter(|cell| !cell.amount.is_zero()) {
        sums.entry(facts, cell);
    }
    for (evidence, cells) in billed.lists() {
        sums.of_kind = OfKind::new(facts.charge_kinds.all().len());
        for cell in cells {
            sums.charge(facts, evidence, cell);
        }
    }
    let known_days = known_days(facts, reference);
    let from = reference.window.from.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    // The ledger speaks from its first row on; before, nothing is known.
    let first = ledger.first().map_or(from, |cell| cell.at).max(from);
    let mut found = Vec::new();
    for ((key, evidence), values) in sums.by_name(facts) {
        let step = if evidence == Evidence::ProviderDays { DAY } else { HOUR };
        let least = settings.thresholds.money.mul_div(i128::from(step / HOUR), 1).unwrap_or(settings.thresholds.money);
        if values.iter().all(|(_, value)| *value < least) {
            continue;
        }
        let start = if evidence == Evidence::Ledger { first } else { from };
        let steps = (until - start).div_euclid(step).max(0);
        let last = seen_until(seen, evidence, &key.provider, until);
        let known = |at: i64| {
            evidence == Evidence::Ledger
                || key.scope == Scope::Total
                || (at < last && known_days.contains(&(key.provider.as_str(), at.div_euclid(DAY))))
        };
        let mut values = values.into_iter().skip_while(|(at, _)| *at < start).peekable();
        let value = |at: i64| {
            let value = values.next_if(|(own, _)| *own == at).map(|(_, value)| value);
            value.or_else(|| known(at).then_some(Amount::ZERO))
        };
        let values = (0..steps).map(|number| start + number * step).map(value).collect();
        found.push(Series { key, evidence, step_seconds: step, start, values });
    }
    found
}

/// One kind is part of its provider, the total, a team, a key and a model.
const SERIES_MAX: usize = 5;

/// What makes a series, as numbers: scope, currency, provider, and the number of its team, key or model.
type Name = (Scope, Currency, Sym, usize);

/// What one series spent, by the start of each step that has any, oldest first.
type Spent = (Name, Evidence, Vec<(i64, Amount)>);

/// Sums of series while cells come in order of time.
struct Sums<'f> {
    teams: Teams<'f>,
    numbers: HashMap<(Name, Evidence), u32>,
    series: Vec<Spent>,
    /// The series that a kind of the present evidence is part of on a day: its team may change.
    of_kind: OfKind<[Option<u32>; SERIES_MAX]>,
}

impl<'f> Sums<'f> {
    fn new(teams: Teams<'f>) -> Sums<'f> {
        Sums { teams, numbers: HashMap::new(), series: Vec::new(), of_kind: OfKind::new(0) }
    }

    fn entry(&mut self, facts: &Facts, cell: &Cell) {
        let kind = facts.entry_kinds.all()[cell.kind as usize];
        let names = |sums: &mut Sums<'_>| {
            let team = sums.teams.of_entry(cell.kind, cell.at);
            (kind.currency, kind.provider, team, kind.api_key_id, kind.model)
        };
        self.add(Evidence::Ledger, cell, names);
    }

    fn charge(&mut self, facts: &Facts, evidence: Evidence, cell: &Cell) {
        let kind = facts.charge_kinds.all()[cell.kind as usize];
        let names = |sums: &mut Sums<'_>| {
            let team = sums.teams.of_charge(cell.kind, cell.at);
            (kind.currency, kind.provider, team, kind.api_key_id, kind.model)
        };
        self.add(evidence, cell, names);
    }

    fn add(&mut self, evidence: Evidence, cell: &Cell, names: impl Fn(&mut Self) -> (Currency, Sym, usize, Sym, Sym)) {
        let day = cell.at.div_euclid(DAY);
        let numbers = self.of_kind.get(cell.kind, day).unwrap_or_else(|| {
            let (currency, provider, team, api_key_id, model) = names(self);
            let parts = [(Scope::Team, team), (Scope::Key, api_key_id as usize), (Scope::Model, model as usize)];
            let [team, key, model] = parts.map(|(scope, name)| (name != 0).then_some((scope, currency, provider, name)));
            // A total over providers would mix hours and days, so only the ledger has one.
            let total = (evidence == Evidence::Ledger).then_some((Scope::Total, currency, NONE, 0));
            let own = [Some((Scope::Provider, currency, provider, 0)), total, team, key, model];
            let numbers = own.map(|name| name.map(|name| self.number(name, evidence)));
            self.of_kind.set(cell.kind, day, numbers);
            numbers
        });
        for number in numbers.into_iter().flatten() {
            let Some((_, _, values)) = self.series.get_mut(number as usize) else { continue };
            match values.last_mut() {
                Some((at, sum)) if *at == cell.at => *sum = plus(*sum, cell.amount),
                _ => values.push((cell.at, cell.amount)),
            }
        }
    }

    fn number(&mut self, name: Name, evidence: Evidence) -> u32 {
        *self.numbers.entry((name, evidence)).or_insert_with(|| {
            self.series.push((name, evidence, Vec::new()));
            self.series.len() as u32 - 1
        })
    }

    /// The values of each series, in the order of the names.
    fn by_name(self, facts: &Facts) -> BTreeMap<(SeriesKey, Evidence), Vec<(i64, Amount)>> {
        let Sums { teams, series, .. } = self;
        let text = |sym: Sym| facts.symbols.text(sym);
        let key = |(scope, currency, provider, name): Name| match scope {
            Scope::Total => SeriesKey::total(currency),
            Scope::Provider => SeriesKey::of(scope, currency, text(provider), ""),
            Scope::Team => SeriesKey::of(scope, currency, text(provider), teams.name(name)),
            Scope::Key | Scope::Model => SeriesKey::of(scope, currency, text(provider), text(name as Sym)),
        };
        series.into_iter().map(|(name, evidence, values)| ((key(name), evidence), values)).collect()
    }
}

/// Days on which a provider's silence is known to be one: its reports have lines on them or on both sides of
/// them, and they are over.
fn known_days<'f>(facts: &'f Facts, reference: &Reference) -> HashSet<(&'f str, i64)> {
    // Lines of a kind come mostly day by day.
    let mut last = vec![None; facts.charge_kinds.all().len()];
    let mut seen: BTreeMap<Sym, BTreeSet<i32>> = BTreeMap::new();
    for line in &facts.lines {
        if let Some(last) = last.get_mut(line.kind as usize).filter(|last| **last != Some(line.day)) {
            *last = Some(line.day);
            seen.entry(facts.charge_kind(line).provider).or_default().insert(line.day);
        }
    }
    let mut known = HashSet::new();
    for (provider, days) in seen {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { continue };
        let first = (*first).max(day_number(reference.window.from));
        for day in first..=(*last).min(day_number(reference.window.to)) {
            known.insert((facts.symbols.text(provider), i64::from(day)));
        }
    }
    known
}
