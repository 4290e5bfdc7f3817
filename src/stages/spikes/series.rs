//! Series of spend from the snapshot (contract 4.7): what the ledger expects by the hour, fresh, and what
//! providers say by the hour or day, true. Currencies are never added.

use super::replay::Point;
use crate::domain::ledger::Status;
use crate::domain::money::Amount;
use crate::domain::period::{day_number, day_of};
use crate::domain::spike::{Scope, SeriesKey, Settings};
use crate::domain::teams::Owned;
use crate::domain::usage::ChargeCategory;
use crate::stages::drift::team_of_kind;
use crate::stages::facts::{Facts, NO_AMOUNT};
use crate::stages::reference::Reference;
use crate::stages::symbols::{NONE, Sym};
use chrono::{DateTime, Utc};
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeMap, BTreeSet};

pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 86_400;

/// Where a series comes from. The order is that in which they are believed to open an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// The request ledger, at once.
    Ledger,
    /// A provider's report by request or hour.
    ProviderHours,
    /// A provider's report by day.
    ProviderDays,
}

impl Evidence {
    pub const fn name(self) -> &'static str {
        match self {
            Evidence::Ledger => "ledger by hour",
            Evidence::ProviderHours => "provider by hour",
            Evidence::ProviderDays => "provider by day",
        }
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

/// Amounts are limited where they are read, so a sum that does not fit is a bug elsewhere; it stays as it was.
pub(super) fn plus(sum: Amount, more: Amount) -> Amount {
    sum.checked_add(more).unwrap_or(sum)
}

/// One kind of ledger entry in one hour.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub amount: Amount,
    pub calls: u64,
    /// Calls that ended as an error or a timeout.
    pub failed: u64,
}

/// The ledger by kind of entry and hour, up to the last full hour.
pub(super) fn ledger_cells(facts: &Facts, until: i64) -> BTreeMap<(u32, i64), Cell> {
    let mut cells: HashMap<(u32, i64), Cell> = HashMap::new();
    for entry in facts.entries.iter().filter(|entry| !entry.duplicate && entry.start < until) {
        let cell = cells.entry((entry.kind, entry.start.div_euclid(HOUR) * HOUR)).or_default();
        let status = facts.entry_kind(entry).status;
        cell.calls += 1;
        cell.failed += u64::from(matches!(status, Status::Error | Status::Timeout));
        if status == Status::Ok {
            cell.amount = plus(cell.amount, entry.cost);
        }
    }
    cells.into_iter().collect()
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
    let mut sums = Sums { totals: HashMap::new() };
    let cells = ledger_cells(facts, until);
    let mut teams = Teams::default();
    for ((kind, at), cell) in &cells {
        if cell.amount.is_zero() {
            continue;
        }
        let parts = facts.entry_kinds.all()[*kind as usize];
        let team = teams.of(facts, reference, *kind, *at);
        sums.add(
            facts,
            Evidence::Ledger,
            *at,
            [parts.provider, parts.api_key_id, parts.model],
            &team,
            parts.currency,
            cell.amount,
        );
    }
    provider_sums(facts, reference, until, &mut sums);
    let known_days = known_days(facts, reference);
    let from = reference.window.from.and_time(chrono::NaiveTime::MIN).and_utc().timestamp();
    // The ledger speaks from its first row on; before, nothing is known.
    let first = cells.keys().map(|(_, at)| *at).min().unwrap_or(from).max(from);
    let mut found = Vec::new();
    let sorted: BTreeMap<_, _> = sums.totals.into_iter().collect();
    for ((key, evidence), values) in sorted {
        let step = if evidence == Evidence::ProviderDays { DAY } else { HOUR };
        let least = settings.thresholds.money.mul_div(i128::from(step / HOUR), 1).unwrap_or(settings.thresholds.money);
        if values.values().all(|value| *value < least) {
            continue;
        }
        let start = if evidence == Evidence::Ledger { first } else { from };
        let steps = (until - start).div_euclid(step).max(0);
        let value = |at: i64| {
            let value = values.get(&at).copied();
            let known = evidence == Evidence::Ledger
                || key.scope == Scope::Total
                || known_days.contains(&(key.provider.clone(), at.div_euclid(DAY)));
            value.or(known.then_some(Amount::ZERO))
        };
        let values = (0..steps).map(|number| value(start + number * step)).collect();
        found.push(Series { key, evidence, step_seconds: step, start, values });
    }
    found
}

/// Teams of ledger kinds by day.
#[derive(Default)]
pub(super) struct Teams {
    known: HashMap<(u32, i64), String>,
}

impl Teams {
    /// The ledger's team through the map, else the key's owner; `unattributed` where neither says.
    pub fn of(&mut self, facts: &Facts, reference: &Reference, kind: u32, at: i64) -> String {
        let day = at.div_euclid(DAY);
        let team = || {
            let date = day_of(i32::try_from(day).unwrap_or(0));
            let team = team_of_kind(facts, reference, kind, date);
            let parts = facts.entry_kinds.all()[kind as usize];
            let text = |sym: Sym| facts.symbols.text(sym);
            let owner = || reference.teams.owner(Owned::ApiKey, text(parts.provider), text(parts.api_key_id), date);
            if team.is_empty() { owner().map_or(String::new(), |owner| owner.team.clone()) } else { team }
        };
        self.known.entry((kind, day)).or_insert_with(team).clone()
    }
}

struct Sums {
    totals: HashMap<(SeriesKey, Evidence), BTreeMap<i64, Amount>>,
}

impl Sums {
    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        facts: &Facts,
        evidence: Evidence,
        at: i64,
        [provider, api_key_id, model]: [Sym; 3],
        team: &str,
        currency: crate::domain::money::Currency,
        amount: Amount,
    ) {
        let text = |sym: Sym| facts.symbols.text(sym);
        let provider = text(provider);
        let mut keys = vec![SeriesKey::total(currency), SeriesKey::of(Scope::Provider, currency, provider, "")];
        if !team.is_empty() {
            keys.push(SeriesKey::of(Scope::Team, currency, provider, team));
        }
        for (scope, name) in [(Scope::Key, api_key_id), (Scope::Model, model)] {
            if name != NONE {
                keys.push(SeriesKey::of(scope, currency, provider, text(name)));
            }
        }
        for key in keys {
            let sum = self.totals.entry((key, evidence)).or_default().entry(at).or_default();
            *sum = plus(*sum, amount);
        }
    }
}

/// Usage that providers billed, by the hour where their report is so fine, else by the day. A total over
/// providers would mix both, so only the ledger has one.
fn provider_sums(facts: &Facts, reference: &Reference, until: i64, sums: &mut Sums) {
    for line in facts.lines.iter().filter(|line| line.cost != NO_AMOUNT && line.start < until) {
        let kind = facts.charge_kind(line);
        if kind.category != ChargeCategory::Usage || line.end - line.start > DAY + HOUR {
            continue;
        }
        let hourly = line.end - line.start <= HOUR;
        let (evidence, step) = if hourly { (Evidence::ProviderHours, HOUR) } else { (Evidence::ProviderDays, DAY) };
        let at = if hourly { line.start.div_euclid(step) * step } else { i64::from(line.day) * DAY };
        let text = |sym: Sym| facts.symbols.text(sym);
        let owner = reference.teams.owner(Owned::ApiKey, text(kind.provider), text(kind.api_key_id), day_of(line.day));
        let team = owner.map_or("", |owner| owner.team.as_str());
        let amount = Amount::from_atto(line.cost);
        sums.add(facts, evidence, at, [kind.provider, kind.api_key_id, kind.model], team, kind.currency, amount);
    }
    sums.totals.retain(|(key, evidence), _| *evidence == Evidence::Ledger || key.scope != Scope::Total);
}

/// Days on which a provider's silence is known to be one: its reports have lines on them or on both sides of
/// them, and they are over.
fn known_days(facts: &Facts, reference: &Reference) -> HashSet<(String, i64)> {
    let mut seen: BTreeMap<Sym, BTreeSet<i32>> = BTreeMap::new();
    for line in &facts.lines {
        seen.entry(facts.charge_kind(line).provider).or_default().insert(line.day);
    }
    let mut known = HashSet::new();
    for (provider, days) in seen {
        let (Some(first), Some(last)) = (days.first(), days.last()) else { continue };
        let first = (*first).max(day_number(reference.window.from));
        for day in first..=(*last).min(day_number(reference.window.to)) {
            known.insert((facts.symbols.text(provider).to_string(), i64::from(day)));
        }
    }
    known
}
