//! What of a world is booked: each row once, the latest pull, the finest money; and what the ledger
//! expects of each of its rows.

use super::decimals::mul_div;
use super::overlap;
use crate::worlds::{ACCOUNTS, Page, Row, World};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};
use tieout::domain::ledger::Status;
use tieout::domain::money::{Amount, Currency};
use tieout::domain::price::PriceRow;
use tieout::domain::usage::{Charge, ChargeCategory, CostBasis, Line, Measures};

/// A booked provider line.
#[derive(Clone, Debug)]
pub struct Booked {
    pub provider: &'static str,
    pub account: &'static str,
    pub report: &'static str,
    /// File and row, for comparison with what the stages booked.
    pub origin: (String, u32),
    pub charge: Charge<'static>,
}

impl Booked {
    pub fn day(&self) -> NaiveDate {
        self.charge.start.date_naive()
    }

    pub fn cost(&self) -> Option<i128> {
        self.charge.cost.map(Amount::atto)
    }

    pub fn is_usage(&self) -> bool {
        self.charge.category == ChargeCategory::Usage
    }

    pub fn slice(&self) -> Slice {
        (self.provider, self.account, self.day())
    }
}

pub type Slice = (&'static str, &'static str, NaiveDate);

/// A ledger row that is used.
#[derive(Clone, Debug)]
pub struct Used {
    pub row: Row,
    /// The account it belongs to; empty if nothing tells.
    pub account: &'static str,
    pub currency: Currency,
    pub cost: i128,
    /// What the book says, where the ledger's own figure is not to be used.
    pub book: Option<i128>,
    /// A later row of another call under the same id.
    pub duplicate: bool,
}

impl Used {
    pub fn slice(&self) -> Slice {
        (self.row.provider, self.account, self.row.started_at.date_naive())
    }
}

/// Everything that is booked, and how rows were counted.
pub struct Books {
    pub lines: Vec<Booked>,
    pub entries: Vec<Used>,
    /// Slices for which there is money.
    pub covered: BTreeSet<Slice>,
    pub pages: Counts,
    pub ledger: Counts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub read: u64,
    pub duplicates: u64,
    pub quarantined: u64,
}

struct ReportRow<'w> {
    page: &'w Page,
    number: u32,
    day: NaiveDate,
    charges: Vec<Charge<'static>>,
}

/// Books a world.
pub fn books(world: &World) -> Books {
    let mut pages = Counts::default();
    let mut rows: Vec<ReportRow<'_>> = Vec::new();
    let mut latest: BTreeMap<(usize, &str, NaiveDate), usize> = BTreeMap::new();
    for page in &world.pages {
        let mut speaks = |day: NaiveDate| {
            let pull = latest.entry((page.source, page.report.name, day)).or_default();
            *pull = (*pull).max(page.pull);
        };
        let mut own: BTreeMap<u32, (Option<NaiveDate>, Vec<Charge<'static>>, bool)> = BTreeMap::new();
        for line in &page.lines {
            match line {
                Line::Covers(days) => days.iter().filter(|day| world.window.contains(*day)).for_each(&mut speaks),
                Line::Nothing { row, day } => {
                    own.entry(*row).or_default().0 = Some(*day);
                }
                Line::Quarantined(aside) => {
                    let row = own.entry(aside.row).or_default();
                    row.0 = aside.day;
                    row.2 = true;
                }
                Line::Charge(charge) => {
                    let row = own.entry(charge.row).or_default();
                    row.0 = Some(charge.start.date_naive());
                    if charge.basis != CostBasis::Estimated {
                        row.1.push(Charge { row: 0, ..charge.clone() });
                    }
                }
            }
        }
        for (number, (day, charges, aside)) in own {
            if day.is_some_and(|day| !world.window.contains(day)) {
                continue;
            }
            pages.read += 1;
            if let Some(day) = day {
                speaks(day);
            }
            if aside {
                pages.quarantined += 1;
            } else if let Some(day) = day {
                rows.push(ReportRow { page, number, day, charges });
            }
        }
    }
    let mut accepted: Vec<&ReportRow<'_>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let slice = (row.page.source, row.page.report.name, row.day);
        if latest[&slice] > row.page.pull || is_repeat(&rows[..at], row) {
            pages.duplicates += 1;
        } else {
            accepted.push(row);
        }
    }
    let rank_of = |source: usize, day: NaiveDate, measures: Measures| {
        let reports = world.pages.iter().map(|page| &page.report).filter(|report| report.measures == measures);
        reports.filter(|report| latest.contains_key(&(source, report.name, day))).map(|report| report.rank).min()
    };
    let mut lines = Vec::new();
    for row in &accepted {
        let report = &row.page.report;
        if rank_of(row.page.source, row.day, report.measures) == Some(report.rank) {
            let source = &world.sources[row.page.source];
            lines.extend(row.charges.iter().map(|charge| Booked {
                provider: source.provider,
                account: source.account,
                report: report.name,
                origin: (row.page.file.clone(), row.number),
                charge: charge.clone(),
            }));
        }
    }
    lines.extend(gaps(world, &accepted));
    let mut covered = BTreeSet::new();
    for (source, named) in world.sources.iter().enumerate() {
        for day in world.window.iter().filter(|day| rank_of(source, *day, Measures::Money).is_some()) {
            covered.insert((named.provider, named.account, day));
        }
    }
    let mut ledger = Counts::default();
    let entries = entries(world, &mut ledger);
    Books { lines, entries, covered, pages, ledger }
}

/// The same row served before. A bucket row may stand twice in a page and then counts twice; a request
/// is charged once.
fn is_repeat(before: &[ReportRow<'_>], row: &ReportRow<'_>) -> bool {
    if row.charges.is_empty() {
        return false;
    }
    let same = |other: &&ReportRow<'_>| {
        let alike = (other.page.source, other.page.report.name) == (row.page.source, row.page.report.name);
        alike && other.page.pull == row.page.pull && other.day == row.day && other.charges == row.charges
    };
    let earlier: Vec<_> = before.iter().filter(same).collect();
    if row.charges[0].request_id.is_some() {
        return !earlier.is_empty();
    }
    let on = |file: &str| earlier.iter().filter(|other| other.page.file == file).count();
    let most = earlier.iter().filter(|other| other.page.file != row.page.file).map(|other| on(&other.page.file)).max();
    on(&row.page.file) < most.unwrap_or(0)
}

/// Money that only a coarser report shows, where it is more than rounding; of several the finest stands.
fn gaps(world: &World, accepted: &[&ReportRow<'_>]) -> Vec<Booked> {
    let mut gaps = Vec::new();
    for (index, source) in world.sources.iter().enumerate() {
        let days = world.window.iter().filter(|day| has_fine(world, index, *day));
        for (day, currency) in days.flat_map(|day| [(day, Currency::USD), (day, Currency::EUR)]) {
            let of = |name: &str| {
                let rows = accepted.iter().filter(|row| row.page.source == index && row.page.report.name == name);
                let charges = rows.filter(|row| row.day == day).flat_map(|row| &row.charges);
                charges.filter(|charge| charge.cost.is_some()).collect::<Vec<_>>()
            };
            let sum = |charges: &[&Charge<'_>]| -> i128 {
                charges.iter().filter(|charge| charge.currency == currency).map(|charge| charge.cost.unwrap().atto()).sum()
            };
            let fine = of("costs");
            for (report, sku) in [("daily", "shown by daily only"), ("monthly", "shown by monthly only")] {
                let coarse = of(report);
                let gap = sum(&coarse) - sum(&fine);
                let room: i128 = fine.iter().chain(&coarse).map(|charge| charge.precision.per_line().atto()).sum();
                if gap > room && coarse.iter().any(|charge| charge.currency == currency) {
                    let start = day.and_hms_opt(0, 0, 0).unwrap().and_utc();
                    let mut charge = Charge::new(0, start, start + chrono::Duration::days(1), currency);
                    charge.cost = Some(Amount::from_atto(gap));
                    charge.sku = Some(sku);
                    let origin = (format!("{report} less the finer report"), 0);
                    gaps.push(Booked { provider: source.provider, account: source.account, report, origin, charge });
                    break;
                }
            }
        }
    }
    gaps
}

/// The finest report speaks for the day, also where it has nothing to say.
fn has_fine(world: &World, source: usize, day: NaiveDate) -> bool {
    let mut pages = world.pages.iter().filter(|page| page.source == source && page.report.name == "costs");
    pages.any(|page| {
        page.lines.iter().any(|line| match line {
            Line::Covers(days) => days.contains(day),
            Line::Charge(charge) => charge.start.date_naive() == day,
            Line::Nothing { day: other, .. } => *other == day,
            Line::Quarantined(row) => row.day == Some(day),
        })
    })
}

fn entries(world: &World, counts: &mut Counts) -> Vec<Used> {
    let mut rows: Vec<Row> = Vec::new();
    for row in &world.rows {
        let day = row.started_at.date_naive();
        if !world.window.contains(day) {
            continue;
        }
        counts.read += 1;
        let call = |row: &Row| (row.ledger, row.request_id, row.attempt);
        if let Some(twin) = rows.iter().find(|other| call(other) == call(row)) {
            if *twin == *row {
                counts.duplicates += 1;
            } else {
                counts.quarantined += 1;
            }
            continue;
        }
        rows.push(row.clone());
    }
    let pairs = overlap::pairs(&rows);
    let lost = |at: usize| pairs.iter().any(|(_, loser)| *loser == at);
    let rows: Vec<Row> = (0..rows.len()).filter(|at| !lost(*at)).map(|at| overlap::filled(&rows, at, &pairs)).collect();
    let mut used: Vec<Used> = Vec::new();
    for row in &rows {
        // The first row that names an id stands for the call; ties of time go by our own id.
        let named = |other: &&Row| {
            row.provider_request_id.is_some()
                && (other.provider, other.provider_request_id) == (row.provider, row.provider_request_id)
        };
        let first = rows.iter().filter(named).min_by_key(|other| (other.started_at, other.request_id));
        let duplicate = first.is_some_and(|first| first.request_id != row.request_id);
        used.push(Used { duplicate, ..expect(world, row) });
    }
    counts.duplicates += pairs.len() as u64;
    let unreadable = world.unreadable.iter().filter(|row| row.day.is_none_or(|day| world.window.contains(day))).count() as u64;
    counts.read += unreadable;
    counts.quarantined += unreadable;
    used
}

fn expect(world: &World, row: &Row) -> Used {
    let account = row.account.unwrap_or_else(|| account_of(world, row));
    let written_in = row.expected_currency.unwrap_or(Currency::USD);
    let currency = billed_in(world, row.provider, account).unwrap_or(written_in);
    let ok = row.status == Status::Ok;
    let expected = row.expected_cost.map(|cost| exchange(cost.atto(), written_in, currency));
    let book = if ok && expected.is_some() { None } else { whole_price(world, row, account, currency) };
    let cost = if ok { expected.or(book) } else { None };
    Used { row: row.clone(), account, currency, cost: cost.unwrap_or(0), book, duplicate: false }
}

fn exchange(cost: i128, from: Currency, to: Currency) -> i128 {
    match (from == to, to == Currency::EUR) {
        (true, _) => cost,
        (false, true) => mul_div(cost, 9, 10),
        (false, false) => mul_div(cost, 11, 10),
    }
}

fn read_charges(world: &World) -> impl Iterator<Item = (usize, &Charge<'static>)> {
    let of_page = |page| {
        let Page { source, lines, .. }: &Page = page;
        lines.iter().filter_map(move |line| match line {
            Line::Charge(charge) => Some((*source, charge)),
            _ => None,
        })
    };
    let charges = world.pages.iter().flat_map(of_page).filter(|(_, charge)| charge.basis != CostBasis::Estimated);
    charges.filter(|(_, charge)| world.window.contains(charge.start.date_naive()))
}

/// By the key, if one account uses it; else the provider's only account.
fn account_of(world: &World, row: &Row) -> &'static str {
    let of_provider = |source: usize| world.sources[source].provider == row.provider;
    let by_key: BTreeSet<&str> = read_charges(world)
        .filter(|(source, charge)| of_provider(*source) && charge.api_key_id.is_some() && charge.api_key_id == row.api_key_id)
        .map(|(source, _)| ACCOUNTS[source])
        .collect();
    let all: BTreeSet<&str> =
        (0..world.sources.len()).filter(|source| of_provider(*source)).map(|source| ACCOUNTS[source]).collect();
    let only = |names: BTreeSet<&'static str>| if names.len() == 1 { names.first().copied() } else { None };
    only(by_key).or(only(all)).unwrap_or("")
}

fn billed_in(world: &World, provider: &str, account: &str) -> Option<Currency> {
    let source = world.sources.iter().position(|source| (source.provider, source.account) == (provider, account))?;
    let currencies: BTreeSet<Currency> =
        read_charges(world).filter(|(other, _)| *other == source).map(|(_, charge)| charge.currency).collect();
    if currencies.len() == 1 { currencies.first().copied() } else { None }
}

/// The book price of a meter of a row; `None` is an unknown.
pub fn price(world: &World, row: &Row, account: &str, meter: &str, day: NaiveDate, quantity: i128) -> Option<i128> {
    let rows = world.books[row.provider].models.get(row.model)?;
    let dated = rows.iter().find(|dated| dated.days.from <= day && day < dated.days.to)?;
    price_in(world, dated, row, account, meter, day, quantity)
}

fn price_in(
    world: &World,
    dated: &PriceRow,
    row: &Row,
    account: &str,
    meter: &str,
    day: NaiveDate,
    quantity: i128,
) -> Option<i128> {
    let mut price = *dated.meters.get(meter)?;
    match row.service_tier {
        None | Some("standard") => {}
        Some(tier) => price *= *dated.tiers.get(tier)?,
    }
    if row.batch == Some(true) {
        price *= *dated.tiers.get("batch")?;
    }
    for discount in &world.books[row.provider].discounts {
        if discount.days.contains(day) && discount.account.as_deref() == Some(account) {
            price -= price * discount.off;
        }
    }
    Some(mul_div(quantity, price.mantissa(), 10i128.pow(price.scale()) * i128::from(dated.per)))
}

/// What a row's meters would cost by the book rows of its model, the one in force first, then earlier ones.
fn prices_by_age(world: &World, entry: &Used) -> Vec<Option<Vec<i128>>> {
    let (row, day) = (&entry.row, entry.row.started_at.date_naive());
    let empty = Vec::new();
    let dated = world.books[row.provider].models.get(row.model).unwrap_or(&empty);
    let costs = |dated: &PriceRow| {
        let of =
            |(meter, quantity): &(&'static str, Amount)| price_in(world, dated, row, entry.account, meter, day, quantity.atto());
        row.meters.iter().map(of).collect()
    };
    let now = dated.iter().find(|dated| dated.days.contains(day)).and_then(costs);
    let past = dated.iter().rev().filter(|dated| dated.days.to <= day).map(costs);
    std::iter::once(now).chain(past).collect()
}

fn whole_price(world: &World, row: &Row, account: &str, currency: Currency) -> Option<i128> {
    let day = row.started_at.date_naive();
    let prices: Option<Vec<i128>> =
        row.meters.iter().map(|(meter, quantity)| price(world, row, account, meter, day, quantity.atto())).collect();
    prices.map(|prices| exchange(prices.into_iter().sum(), Currency::USD, currency))
}

/// The cost of a row on each of its meters: by book prices, else as a whole on none.
pub fn by_meter(world: &World, entry: &Used) -> Vec<(Option<&'static str>, i128, i128, i128)> {
    let row = &entry.row;
    let ages = prices_by_age(world, entry);
    let prices = ages[0].clone();
    let first_book = |at: usize| if at == 0 { entry.book.unwrap_or(0) } else { 0 };
    let mut pieces: Vec<_> = row.meters.iter().map(|(meter, quantity)| (Some(*meter), quantity.atto(), 0, 0)).collect();
    let several = row.meters.len() > 1;
    for (at, piece) in pieces.iter_mut().enumerate() {
        piece.3 = prices.as_ref().filter(|_| several).map_or_else(|| first_book(at), |prices| prices[at]);
    }
    if !several {
        pieces[0].2 = entry.cost;
        return pieces;
    }
    // A cost that an earlier price makes was made with it.
    let room = world.ledger_precision.per_line().atto();
    let makes = |prices: &&Vec<i128>| (prices.iter().sum::<i128>() - entry.cost).abs() <= room;
    let made_with = prices.as_ref().map(|now| ages.iter().flatten().find(makes).unwrap_or(now));
    match made_with.and_then(|prices| super::decimals::split(entry.cost, prices)) {
        Some(costs) => pieces.iter_mut().zip(costs).for_each(|(piece, cost)| piece.2 = cost),
        None if entry.cost == 0 => {}
        None => pieces.push((None, 0, entry.cost, entry.book.unwrap_or(0))),
    }
    pieces
}
