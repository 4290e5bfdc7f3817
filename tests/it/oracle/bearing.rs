//! Who bears what: the ladder of contract 4.5, line by line.

use super::decimals::split;
use super::matching::{Group, Piece};
use super::reading::{Booked, Books, Used, price};
use crate::worlds::World;
use chrono::{Datelike, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};
use tieout::domain::ledger::{Funding, Status};
use tieout::domain::money::{Amount, Currency};
use tieout::domain::teams::{Owned, Owner, SharedMethod};
use tieout::domain::usage::{Precision, meter};
use tieout::stages::results::Basis;

/// Day, provider, account, currency, team, basis.
pub type Place = (NaiveDate, &'static str, &'static str, Currency, String, Basis);

/// What a share carries besides its amount. Empty team: nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bearer {
    team: String,
    feature: Option<&'static str>,
    client: Option<&'static str>,
    funding: Option<Funding>,
    basis: Basis,
}

/// A share of a line: one of the rows that lines of a kind are summed in before nobody's are spread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    /// Everything about the line but its amounts.
    kind: String,
    line: usize,
    bearer: Bearer,
}

/// The billed cost of every team by basis, spread over the ladder.
pub fn bear(world: &World, books: &Books, groups: &[Group]) -> BTreeMap<Place, i128> {
    let mut shares: Vec<(Share, i128)> = Vec::new();
    for group in groups {
        for line in group.lines.iter().copied().filter(|line| books.lines[*line].cost().is_some()) {
            let meter = meter_of(books, group, line);
            let kind = kind_of(world, &books.lines[line], meter);
            for (bearer, cost) in of_line(world, books, group, line) {
                let bearer = ladder(world, &books.lines[line], bearer);
                shares.push((Share { kind: kind.clone(), line, bearer }, cost));
            }
        }
    }
    let mut places: BTreeMap<Place, i128> = BTreeMap::new();
    let mut add = |line: &Booked, team: &str, basis: Basis, cost: i128| {
        let place = (line.day(), line.provider, line.account, line.charge.currency, team.to_string(), basis);
        *places.entry(place).or_default() += cost;
    };
    let mut nobodys: BTreeMap<(String, Bearer), (usize, i128)> = BTreeMap::new();
    for (share, cost) in &shares {
        if share.bearer.team.is_empty() {
            nobodys.entry((share.kind.clone(), share.bearer.clone())).or_insert((share.line, 0)).1 += cost;
        } else {
            add(&books.lines[share.line], &share.bearer.team, share.bearer.basis, *cost);
        }
    }
    for (line, cost) in nobodys.into_values() {
        let line = &books.lines[line];
        let parts = shared(world, books, &shares, line);
        let weights: Vec<i128> = parts.iter().map(|(_, weight)| *weight).collect();
        match split(cost, &weights) {
            Some(costs) => parts.iter().zip(costs).for_each(|((team, _), cost)| add(line, team, Basis::SharedRule, cost)),
            None => add(line, "unattributed", Basis::Unattributed, cost),
        }
    }
    places.retain(|_, sum| *sum != 0);
    places
}

/// A line without a named meter counts what the ledger counts, if that is one thing.
fn meter_of(books: &Books, group: &Group, line: usize) -> Option<&'static str> {
    let own = books.lines[line].charge.meter;
    let ledger = ledger_quantities(books, group);
    let known = named(provider_quantities(books, group).unwrap_or_default(), &ledger);
    match ledger.keys().next() {
        Some(one) if own.is_none() && ledger.len() == 1 && known.contains_key(one) => *one,
        _ => own,
    }
}

fn kind_of(world: &World, line: &Booked, meter: Option<&str>) -> String {
    let mut kind = line.charge.clone();
    let local = (kind.end - kind.start < chrono::Duration::days(1))
        .then(|| kind.start.with_timezone(&world.reference().time_zone).date_naive());
    (kind.row, kind.quantity, kind.cost, kind.list_cost, kind.requests, kind.request_id) = (0, None, None, None, None, None);
    // What attribution.csv does not tell apart.
    (kind.sku, kind.label, kind.meter, kind.precision) = (None, None, None, Precision::Exact);
    kind.batch = kind.batch.filter(|batch| *batch);
    kind.service_tier = kind.service_tier.filter(|tier| kind.batch.is_none() || *tier != "standard");
    let day = line.day();
    (kind.start, kind.end) = Default::default();
    format!("{} {} {day} {local:?} {meter:?} {kind:?}", line.provider, line.account)
}

/// The shares of a line before the ladder.
fn of_line(world: &World, books: &Books, group: &Group, line: usize) -> Vec<(Bearer, i128)> {
    let cost = books.lines[line].cost().unwrap();
    let pieces = if group.pieces.is_empty() { &group.elsewhere } else { &group.pieces };
    let nobody = Bearer { team: String::new(), feature: None, client: None, funding: None, basis: Basis::Unattributed };
    let (explained, excess) = match (pieces.is_empty(), group.by_request) {
        (true, _) => (0, 1),
        (false, true) => (1, 0),
        (false, false) => explained(world, books, group),
    };
    let parts = split(cost, &[explained, excess]).unwrap();
    let mut shares = Vec::new();
    if explained != 0 {
        let bearers = bearers(world, books, group, pieces, books.lines[line].charge.meter);
        let weights: Vec<i128> = bearers.iter().map(|(_, weight)| *weight).collect();
        let costs = split(parts[0], &weights).unwrap();
        shares.extend(bearers.into_iter().map(|(bearer, _)| bearer).zip(costs));
    }
    if excess != 0 {
        shares.push((nobody, parts[1]));
    }
    shares
}

/// Rows that say who bears a line, by their priced usage, of the line's meter where there is any.
fn bearers(world: &World, books: &Books, group: &Group, pieces: &[Piece], meter: Option<&str>) -> Vec<(Bearer, i128)> {
    let entry = |piece: &Piece| &books.entries[piece.entry];
    let ended_well: Vec<&Piece> = pieces.iter().filter(|piece| entry(piece).row.status == Status::Ok).collect();
    let all = if ended_well.is_empty() { pieces.iter().collect() } else { ended_well };
    let own: Vec<&Piece> = all.iter().copied().filter(|piece| piece.meter == meter).collect();
    let basis = if group.by_request { Basis::Request } else { Basis::BucketShare };
    let measures: [fn(&Piece) -> i128; 4] = [|piece| piece.cost, |piece| piece.book, |piece| piece.quantity, |_| 1];
    for pieces in [own, all] {
        for measure in measures {
            if pieces.iter().any(|piece| measure(piece) > 0) {
                let mut weights: BTreeMap<Bearer, i128> = BTreeMap::new();
                for piece in pieces.iter().filter(|piece| measure(piece) > 0) {
                    *weights.entry(of_entry(world, entry(piece), basis)).or_default() += measure(piece);
                }
                return weights.into_iter().collect();
            }
        }
    }
    Vec::new()
}

fn owner<'w>(world: &'w World, owned: Owned, provider: &str, name: Option<&str>, day: NaiveDate) -> Option<&'w Owner> {
    let of = |provider: &str| {
        let owners = world.teams.owners.get(&(owned, provider.to_string(), name?.to_string()))?;
        owners.iter().find(|owner| owner.days.from <= day && day < owner.days.to)
    };
    of(provider).or_else(|| of(""))
}

/// The ledger's team through the map; else the feature's or the client's.
fn of_entry(world: &World, entry: &Used, basis: Basis) -> Bearer {
    let row = &entry.row;
    let day = row.started_at.date_naive();
    let mapped = |owned: Owned, name: Option<&str>| owner(world, owned, row.provider, name, day).map(|owner| owner.team.clone());
    let team = mapped(Owned::LedgerTeam, row.team)
        .or(row.team.map(str::to_string))
        .or(mapped(Owned::Feature, row.feature))
        .or(mapped(Owned::Client, row.client));
    Bearer { team: team.unwrap_or_default(), feature: row.feature, client: row.client, funding: row.funding, basis }
}

fn ladder(world: &World, line: &Booked, bearer: Bearer) -> Bearer {
    let charge = &line.charge;
    let own = |owned: Owned, name: Option<&str>| owner(world, owned, line.provider, name, line.day());
    let mut bearer = bearer;
    if bearer.team.is_empty() {
        let steps = [
            (Basis::Label, own(Owned::Label, charge.label)),
            (Basis::KeyOwner, own(Owned::ApiKey, charge.api_key_id)),
            (Basis::SubAccountOwner, own(Owned::SubAccount, charge.sub_account)),
            (Basis::AccountOwner, own(Owned::Account, Some(line.account))),
        ];
        bearer.basis = Basis::Unattributed;
        for (basis, owner) in steps.into_iter().rev() {
            if let Some(owner) = owner {
                (bearer.basis, bearer.team) = (basis, owner.team.clone());
            }
        }
    }
    if bearer.funding.is_none() {
        bearer.funding = own(Owned::ApiKey, charge.api_key_id).and_then(|owner| owner.funding);
    }
    bearer
}

type Quantities = BTreeMap<Option<&'static str>, i128>;

fn ledger_quantities(books: &Books, group: &Group) -> Quantities {
    let mut quantities = Quantities::new();
    for piece in &group.pieces {
        if piece.meter.is_some() && books.entries[piece.entry].row.status == Status::Ok {
            *quantities.entry(piece.meter).or_default() += piece.quantity;
        }
    }
    quantities
}

/// What the provider measured: beside its money, or apart from it by meter.
fn provider_quantities(books: &Books, group: &Group) -> Option<Quantities> {
    let charges: Vec<_> = group.lines.iter().map(|line| &books.lines[*line].charge).collect();
    let of = |with_money: bool, meter: Option<&str>| -> Option<i128> {
        let own: Vec<Amount> = charges
            .iter()
            .filter(|charge| charge.cost.is_some() == with_money && charge.meter == meter)
            .filter_map(|charge| charge.quantity)
            .collect();
        (!own.is_empty()).then(|| own.into_iter().map(Amount::atto).sum())
    };
    let meters = |with_money: bool| -> BTreeSet<Option<&'static str>> {
        charges.iter().filter(|charge| charge.cost.is_some() == with_money).map(|charge| charge.meter).collect()
    };
    let whole_calls = meters(true).contains(&Some(meter::REQUESTS));
    let mut quantities = Quantities::new();
    for meter in meters(true).into_iter().filter(|own| *own != Some(meter::REQUESTS)) {
        let unmeasured = charges.iter().any(|charge| charge.cost.is_some() && charge.meter == meter && charge.quantity.is_none());
        let quantity = if unmeasured { Some(of(false, meter)?) } else { of(true, meter) };
        quantities.extend(quantity.map(|quantity| (meter, quantity)));
    }
    if whole_calls || quantities.is_empty() {
        for meter in meters(false).into_iter().filter(|own| *own != Some(meter::REQUESTS)) {
            if let Some(quantity) = of(false, meter) {
                quantities.entry(meter).or_insert(quantity);
            }
        }
    }
    (!quantities.is_empty()).then_some(quantities)
}

/// One quantity of no named meter is of the ledger's one.
fn named(provider: Quantities, ledger: &Quantities) -> Quantities {
    match (provider.len(), ledger.len(), provider.get(&None)) {
        (1, 1, Some(unnamed)) => ledger.keys().map(|meter| (*meter, *unnamed)).collect(),
        _ => provider,
    }
}

/// How much of a bucket the ledger explains and how much it does not: in quantity, else in money.
fn explained(world: &World, books: &Books, group: &Group) -> (i128, i128) {
    let cut = |provider: i128, ledger: i128| {
        if ledger >= provider || provider == 0 { (1, 0) } else { (ledger.max(0), provider - ledger.max(0)) }
    };
    let billed: i128 = group.lines.iter().filter_map(|line| books.lines[*line].cost()).sum();
    let by_money = cut(billed, group.pieces.iter().map(|piece| piece.cost).sum());
    let Some(provider) = provider_quantities(books, group) else { return by_money };
    let ledger = ledger_quantities(books, group);
    let provider = named(provider, &ledger);
    let known = |meter: &Option<&str>| ledger.get(meter).copied().unwrap_or(0);
    if provider.len() == 1 {
        return provider.iter().map(|(meter, quantity)| cut(*quantity, known(meter))).next().unwrap();
    }
    // Several meters have no common unit but money, at the price of the first row by its words.
    let entry = |piece: &Piece| &books.entries[piece.entry];
    let words = |piece: &&Piece| {
        let row = &entry(piece).row;
        (row.sub_account, row.api_key_id, row.model, row.service_tier, row.batch)
    };
    let first = group.pieces.iter().min_by_key(words).unwrap();
    let (mut all, mut explained) = (0, 0);
    for (meter, quantity) in &provider {
        let priced = |quantity: i128| {
            let (row, account) = (&entry(first).row, entry(first).account);
            price(world, row, account, meter.unwrap_or(""), row.started_at.date_naive(), quantity)
        };
        match (priced(*quantity), priced(known(meter).min(*quantity))) {
            (Some(whole), Some(part)) => (all, explained) = (all + whole, explained + part),
            _ => return by_money,
        }
    }
    cut(all, explained)
}

/// Who shares what nobody owns, by the narrowest rule for the line.
fn shared(world: &World, books: &Books, shares: &[(Share, i128)], line: &Booked) -> Vec<(String, i128)> {
    let applies = |rule: &&tieout::domain::teams::SharedRule| {
        let category = line.charge.category.name();
        rule.days.contains(line.day())
            && rule.provider.as_deref().is_none_or(|provider| provider == line.provider)
            && (rule.categories.is_empty() || rule.categories.iter().any(|name| name == category))
    };
    let narrow = |rule: &&tieout::domain::teams::SharedRule| (rule.provider.is_some(), !rule.categories.is_empty());
    let Some(rule) = world.teams.shared.iter().filter(applies).max_by_key(narrow) else { return Vec::new() };
    let mut parts: BTreeMap<String, i128> = BTreeMap::new();
    match &rule.method {
        SharedMethod::Even(teams) => parts.extend(teams.iter().map(|team| (team.clone(), 1))),
        SharedMethod::Fixed(fixed) => parts.extend(fixed.iter().map(|(team, share)| (team.clone(), share.atto()))),
        SharedMethod::Proportional => {
            let month = |day: NaiveDate| (day.year(), day.month());
            for (share, cost) in shares.iter().filter(|(share, _)| !share.bearer.team.is_empty()) {
                let other = &books.lines[share.line];
                if other.provider == line.provider && month(other.day()) == month(line.day()) {
                    *parts.entry(share.bearer.team.clone()).or_default() += cost;
                }
            }
            parts.retain(|_, total| *total > 0);
        }
    }
    parts.into_iter().collect()
}
