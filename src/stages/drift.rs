//! Verdicts into rows of `drift.csv`: stable ids, evidence, and one row per slice for rounding.

use super::classify::{Quantities, Verdict};
use super::facts::{FETCHED, Facts, NO_AMOUNT};
use super::matching::{ANY, Grain, Match, Piece};
use super::reference::Reference;
use super::results::{Drift, Reason};
use super::symbols::Sym;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::period::day_of;
use chrono::NaiveDate;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Days on which drift items were first seen, by id.
pub type FirstSeen = BTreeMap<String, NaiveDate>;

/// The reconciling items of all matches that do not agree.
pub fn rows(facts: &Facts, reference: &Reference, matches: &[Match], verdicts: &[Verdict], seen: &FirstSeen) -> Vec<Drift> {
    let today = reference.business_date();
    let mut rows = Vec::new();
    let mut rounding: BTreeMap<(Sym, Sym, i32, Currency), Drift> = BTreeMap::new();
    let mut pairs: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (m, verdict) in matches.iter().zip(verdicts) {
        let Some(reason) = verdict.reason else { continue };
        let row = row(facts, reference, m, verdict, reason);
        if reason == Reason::Rounding {
            let slice = (m.provider, m.account, m.day, m.currency);
            let sum = rounding.entry(slice).or_insert_with(|| rounding_row(&row));
            add(sum, &row);
            continue;
        }
        if let Some(pair) = verdict.pair {
            pairs.entry(pair).or_default().push(rows.len());
        }
        rows.push(row);
    }
    for row in rounding.into_values() {
        rows.push(Drift { evidence: format!("{} matches within the sources' own precision", row.items), ..row });
    }
    tell_apart(&mut rows);
    for (_, members) in pairs.into_iter().filter(|(_, members)| members.len() > 1) {
        let mut ids: Vec<String> = members.iter().map(|at| rows[*at].drift_id.clone()).collect();
        ids.sort();
        let pair_id = id_of(&ids);
        for at in members {
            rows[at].pair_id.clone_from(&pair_id);
        }
    }
    for row in &mut rows {
        row.first_seen = seen.get(&row.drift_id).copied().unwrap_or(today);
        row.age_days = (today - row.charge_date).num_days();
    }
    rows
}

fn row(facts: &Facts, reference: &Reference, m: &Match, verdict: &Verdict, reason: Reason) -> Drift {
    let text = |sym: Sym| if sym == ANY { String::new() } else { facts.symbols.text(sym).to_string() };
    let meters = meters(verdict);
    let one_meter = if meters.len() == 1 { meters.first().copied() } else { None };
    let quantity = |side: &Quantities| match one_meter {
        Some(meter) => side.get(&meter).copied(),
        // Several meters have no one figure.
        None => None,
    };
    let model = if m.key.model != ANY { m.key.model } else { one_model(facts, m).unwrap_or(ANY) };
    Drift {
        drift_id: id_of(&identity(facts, m)),
        charge_date: day_of(m.day),
        provider: text(m.provider),
        account: text(m.account),
        sub_account: text(m.key.sub_account),
        api_key_id: text(m.key.api_key_id),
        team: one_team(facts, reference, m),
        model: text(model),
        meter: one_meter.map_or_else(|| text(m.key.meter), text),
        grain: m.grain.name(),
        reason,
        provider_quantity: verdict.provider_quantities.as_ref().and_then(quantity),
        ledger_quantity: quantity(&verdict.ledger_quantities),
        provider_cost: verdict.billed,
        ledger_cost: verdict.expected,
        quantity_variance: verdict.quantity_variance,
        price_variance: verdict.price_variance,
        other_variance: verdict.other_variance,
        difference: verdict.difference,
        currency: m.currency,
        first_seen: reference.business_date(),
        age_days: 0,
        pair_id: String::new(),
        restated: false,
        items: items(facts, m),
        evidence: evidence(facts, m),
    }
}

fn meters(verdict: &Verdict) -> Vec<Sym> {
    let provider = verdict.provider_quantities.iter().flat_map(Quantities::keys);
    let mut meters: Vec<Sym> = provider.chain(verdict.ledger_quantities.keys()).copied().collect();
    meters.sort_unstable();
    meters.dedup();
    meters
}

fn one_model(facts: &Facts, m: &Match) -> Option<Sym> {
    let mut models = m.pieces.iter().map(|piece| facts.entry_kinds.all()[piece.kind as usize].model);
    let first = models.next()?;
    models.all(|model| model == first).then_some(first)
}

/// The team of a ledger kind through the map; empty where the row has none.
pub fn team_of(facts: &Facts, reference: &Reference, piece: &Piece) -> String {
    team_of_kind(facts, reference, piece.kind, day_of(piece.day))
}

/// The team of a kind of ledger entry on a day; empty where the row has none.
pub fn team_of_kind(facts: &Facts, reference: &Reference, kind: u32, day: NaiveDate) -> String {
    use crate::domain::teams::Owned;
    let kind = &facts.entry_kinds.all()[kind as usize];
    let provider = facts.symbols.text(kind.provider);
    let owner = |owned: Owned, name: Sym| {
        let name = facts.symbols.text(name);
        reference.teams.owner(owned, provider, name, day).map(|owner| owner.team.clone())
    };
    let team = facts.symbols.text(kind.team);
    owner(Owned::LedgerTeam, kind.team)
        .or_else(|| (!team.is_empty()).then(|| team.to_string()))
        .or_else(|| owner(Owned::Feature, kind.feature))
        .or_else(|| owner(Owned::Client, kind.client))
        .unwrap_or_default()
}

fn one_team(facts: &Facts, reference: &Reference, m: &Match) -> String {
    let mut kinds: Vec<&Piece> = m.pieces.iter().chain(&m.bearers).collect();
    kinds.sort_by_key(|piece| piece.kind);
    kinds.dedup_by_key(|piece| piece.kind);
    let mut teams: Vec<String> = kinds.into_iter().map(|piece| team_of(facts, reference, piece)).collect();
    teams.sort();
    teams.dedup();
    if teams.len() == 1 { teams.remove(0) } else { String::new() }
}

/// What stays the same about an item from night to night: never its amounts or its reason.
fn identity(facts: &Facts, m: &Match) -> Vec<String> {
    let text = |sym: Sym| if sym == ANY { "*".to_string() } else { facts.symbols.text(sym).to_string() };
    let mut parts = vec![text(m.provider), text(m.account), day_of(m.day).to_string(), m.currency.to_string()];
    if m.grain == Grain::Request {
        let request = m.lines.first().map(|line| facts.lines[*line as usize].request);
        let entry = m.pieces.first().map(|piece| &facts.entries[piece.entry as usize]);
        parts.push(facts.requests.text(request.or(entry.map(|entry| entry.request)).unwrap_or_default()).to_string());
        // The two halves of a pair, and copies, share the provider's id.
        parts.push(
            entry.filter(|_| m.lines.is_empty()).map_or_else(String::new, |entry| facts.calls.text(entry.call).to_string()),
        );
    } else {
        parts.extend(m.key.dims().into_iter().take(4).map(text));
        parts.push(m.key.batch.to_string());
        parts.push(text(m.key.meter));
        let sku = m.lines.first().map(|line| facts.charge_kind(&facts.lines[*line as usize]).sku);
        parts.push(if m.pieces.is_empty() { text(sku.unwrap_or_default()) } else { String::new() });
    }
    parts.push(m.known.map_or("", Reason::name).to_string());
    parts
}

fn id_of(parts: &[String]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Items that look the same from outside are numbered by their amounts, so that ids stay unique.
fn tell_apart(rows: &mut [Drift]) {
    let mut by_id: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        by_id.entry(row.drift_id.clone()).or_default().push(at);
    }
    for (id, mut members) in by_id.into_iter().filter(|(_, members)| members.len() > 1) {
        members.sort_by(|a, b| {
            // Evidence names the first row that was read: it decides only between rows that are equal but for it.
            let key = |at: &usize| {
                let row = &rows[*at];
                let amounts = (row.difference, row.provider_cost, row.quantity_variance, row.price_variance);
                let names = (&row.team, &row.sub_account, &row.api_key_id, &row.model, &row.meter, row.reason);
                (amounts, names, (row.provider_quantity, row.ledger_quantity, row.items), &row.evidence)
            };
            key(a).cmp(&key(b))
        });
        for (place, at) in members.into_iter().enumerate().skip(1) {
            rows[at].drift_id = format!("{id}-{}", place + 1);
        }
    }
}

fn items(facts: &Facts, m: &Match) -> u64 {
    let lines = m.lines.iter().filter(|line| facts.lines[**line as usize].cost != NO_AMOUNT).count();
    lines as u64 + m.row_counts().values().map(|count| u64::from(*count)).sum::<u64>()
}

/// Where to look: the first line and the first row, with how many more there are.
fn evidence(facts: &Facts, m: &Match) -> String {
    let mut said = Vec::new();
    let first = m.lines.iter().min_by_key(|index| {
        let line = &facts.lines[**index as usize];
        let page = facts.pages.get(line.page as usize);
        // Rows of fetched pages have no place of their own.
        let row = if page.is_some_and(|page| page == FETCHED) { 0 } else { line.row };
        (line.cost == NO_AMOUNT, page, row, facts.line_order(**index))
    });
    if let Some(line) = first.map(|index| &facts.lines[*index as usize]) {
        let request = facts.requests.text(line.request);
        let named = if request.is_empty() { facts.symbols.text(facts.charge_kind(line).sku) } else { request };
        let named = if named.is_empty() { String::new() } else { format!(" ({named})") };
        said.push(format!("{}{named}{}", facts.origin(line), more(m.lines.len())));
    }
    let rows = |piece: &Piece| (facts.entries[piece.entry as usize].row, piece.entry);
    let ledger: Vec<&Piece> = if m.pieces.is_empty() { m.bearers.iter().collect() } else { m.pieces.iter().collect() };
    if let Some(piece) = ledger.iter().min_by_key(|piece| rows(piece)) {
        let entry = &facts.entries[piece.entry as usize];
        let ledger = &facts.ledgers[usize::from(facts.entry_kind(entry).ledger)].name;
        let call = facts.calls.text(entry.call);
        let lines = m.lines.iter().filter(|line| facts.lines[**line as usize].cost != NO_AMOUNT).count() as u64;
        let count = items(facts, m).saturating_sub(lines);
        said.push(format!("{ledger} {call}{}", more(usize::try_from(count).unwrap_or(usize::MAX))));
    }
    said.join("; ")
}

fn more(count: usize) -> String {
    if count > 1 { format!(" and {} more", count - 1) } else { String::new() }
}

fn rounding_row(like: &Drift) -> Drift {
    let slice = [&like.provider, &like.account, &like.charge_date.to_string(), &like.currency.to_string()].map(String::clone);
    let mut identity = slice.to_vec();
    identity.push("rounding".to_string());
    Drift {
        drift_id: id_of(&identity),
        grain: Grain::Day.name(),
        sub_account: String::new(),
        api_key_id: String::new(),
        team: String::new(),
        model: String::new(),
        meter: String::new(),
        provider_quantity: None,
        ledger_quantity: None,
        provider_cost: Amount::ZERO,
        ledger_cost: Amount::ZERO,
        quantity_variance: Amount::ZERO,
        price_variance: Amount::ZERO,
        other_variance: Amount::ZERO,
        difference: Amount::ZERO,
        items: 0,
        evidence: String::new(),
        ..like.clone()
    }
}

fn add(total: &mut Drift, row: &Drift) {
    let plus = |a: Amount, b: Amount| sum([a, b]).unwrap_or(a);
    total.provider_cost = plus(total.provider_cost, row.provider_cost);
    total.ledger_cost = plus(total.ledger_cost, row.ledger_cost);
    total.quantity_variance = plus(total.quantity_variance, row.quantity_variance);
    total.price_variance = plus(total.price_variance, row.price_variance);
    total.other_variance = plus(total.other_variance, row.other_variance);
    total.difference = plus(total.difference, row.difference);
    total.items += 1;
}
