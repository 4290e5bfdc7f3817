//! Random small worlds: a few provider accounts, a few days, a ledger of up to 40 calls, and everything
//! that may go wrong between them. A world is plain input; what is right about it says the oracle.

mod pages;
mod rows;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use proptest::prelude::*;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use tieout::domain::fx::Rates;
use tieout::domain::ledger::{Funding, LedgerEntry, Status};
use tieout::domain::money::{Amount, Currency};
use tieout::domain::names::Names;
use tieout::domain::period::Days;
use tieout::domain::price::{Discount, PriceBook, PriceRow};
use tieout::domain::teams::{Owned, Owner, SharedMethod, SharedRule, TeamMap};
use tieout::domain::usage::{Line, Precision, Quarantined, meter};
use tieout::stages::booking::ProviderSide;
use tieout::stages::drift::FirstSeen;
use tieout::stages::entries::{EntryReader, LedgerSide};
use tieout::stages::facts::{Facts, LedgerInfo, ReportInfo};
use tieout::stages::lines::LineReader;
use tieout::stages::reference::Reference;
use tieout::stages::results::Outcome;

pub const PROVIDERS: [&str; 2] = ["aster", "borea"];
/// Names of accounts by their place in the world.
pub const ACCOUNTS: [&str; 3] = ["acc-0", "acc-1", "acc-2"];
pub const LEDGERS: [&str; 2] = ["main", "edge"];
/// Knobs of a call, an account and an extra line. At 0 a knob does nothing out of the ordinary.
pub type Call = [u8; 20];
pub type Account = [u8; 20];
pub type Extra = [u8; 5];

/// Texts `prefix-0`, `prefix-1`, …, for ids that live as long as the test.
pub fn named(prefix: char, number: usize) -> &'static str {
    static NAMES: LazyLock<BTreeMap<char, Vec<String>>> = LazyLock::new(|| {
        let all = |prefix: char| (prefix, (0..160).map(|number| format!("{prefix}-{number}")).collect());
        "cdrx".chars().map(all).collect()
    });
    &NAMES[&prefix][number]
}

#[derive(Clone, Debug)]
pub struct Source {
    pub provider: &'static str,
    pub account: &'static str,
    pub settle_days: u32,
}

#[derive(Clone, Debug)]
pub struct Page {
    pub source: usize,
    pub report: ReportInfo,
    pub pull: usize,
    pub file: String,
    pub lines: Vec<Line<'static>>,
}

/// A ledger row with its own meters.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub ledger: usize,
    pub request_id: &'static str,
    pub attempt: u32,
    pub started_at: DateTime<Utc>,
    pub provider: &'static str,
    pub model: &'static str,
    pub provider_request_id: Option<&'static str>,
    pub account: Option<&'static str>,
    pub sub_account: Option<&'static str>,
    pub api_key_id: Option<&'static str>,
    pub team: Option<&'static str>,
    pub feature: Option<&'static str>,
    pub client: Option<&'static str>,
    pub funding: Option<Funding>,
    pub status: Status,
    pub service_tier: Option<&'static str>,
    pub batch: Option<bool>,
    pub meters: Vec<(&'static str, Amount)>,
    pub reasoning_tokens: Option<Amount>,
    pub expected_cost: Option<Amount>,
    pub expected_currency: Option<Currency>,
}

impl Row {
    pub fn entry(&self, row: u32) -> LedgerEntry<'_> {
        let text = format!("{self:?}");
        LedgerEntry {
            row,
            request_id: self.request_id,
            attempt: self.attempt,
            started_at: self.started_at,
            provider: self.provider,
            model: self.model,
            provider_request_id: self.provider_request_id,
            account: self.account,
            sub_account: self.sub_account,
            api_key_id: self.api_key_id,
            team: self.team,
            user_id: None,
            feature: self.feature,
            client: self.client,
            funding: self.funding,
            status: self.status,
            service_tier: self.service_tier,
            batch: self.batch,
            meters: &self.meters,
            reasoning_tokens: self.reasoning_tokens,
            expected_cost: self.expected_cost,
            expected_currency: self.expected_currency,
            reported_cost: None,
            upstream_provider: None,
            upstream_cost: None,
            credits_charged: None,
            credit_unit: None,
            notes: &[],
            content: text
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)),
        }
    }
}

#[derive(Clone, Debug)]
pub struct World {
    pub sources: Vec<Source>,
    pub pages: Vec<Page>,
    pub rows: Vec<Row>,
    /// Ledger rows that could not be read.
    pub unreadable: Vec<Quarantined>,
    /// Decimals that ledgers round to.
    pub ledger_precision: Precision,
    pub teams: TeamMap,
    pub books: BTreeMap<String, PriceBook>,
    pub as_of: DateTime<Utc>,
    pub window: Days,
}

/// The first day of every world.
pub fn day(number: i64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 16).unwrap() + Duration::days(number)
}

pub fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

impl World {
    pub fn reference(&self) -> Reference {
        let mut rates = Rates::default();
        for number in -1..6 {
            rates.rates.insert((Currency::EUR, Currency::USD, day(number)), decimal("1.1"));
            rates.rates.insert((Currency::USD, Currency::EUR, day(number)), decimal("0.9"));
        }
        Reference {
            names: Names::default(),
            teams: self.teams.clone(),
            books: self.books.clone(),
            rates,
            reporting_currency: Currency::USD,
            time_zone: chrono_tz::Europe::Berlin,
            as_of: self.as_of,
            window: self.window,
        }
    }

    /// Reads the world as a run would.
    pub fn read(&self, reference: &Reference) -> (Facts, ProviderSide, LedgerSide) {
        let sources: Vec<_> = self.sources.iter().map(|source| (source.provider, source.account, source.settle_days)).collect();
        let mut reader = LineReader::new(reference, &sources);
        for page in &self.pages {
            reader.open_page(page.source, page.report.clone(), page.pull, &page.file);
            for line in &page.lines {
                reader.push(line.clone());
            }
        }
        let (facts, provider) = reader.finish();
        let mut reader = EntryReader::new(reference);
        let ledgers = LEDGERS.map(|name| {
            let precision = self.ledger_precision;
            reader.open_ledger(LedgerInfo { name: name.to_string(), precision, currency: Currency::USD })
        });
        for (place, row) in self.rows.iter().enumerate() {
            reader.push(ledgers[row.ledger], &row.entry(place as u32 + 1));
        }
        for row in &self.unreadable {
            reader.set_aside(ledgers[0], row.clone());
        }
        let (facts, ledger) = reader.settle().finish(facts).unwrap();
        (facts, provider, ledger)
    }

    /// All stages.
    pub fn run(&self) -> Outcome {
        let reference = self.reference();
        let (facts, provider, ledger) = self.read(&reference);
        tieout::stages::tie_out(&facts, &reference, provider, ledger, &FirstSeen::new()).unwrap()
    }
}

/// What a world must not have, for laws that hold only without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Everything may happen.
    Wild,
    /// No row that contradicts an earlier one: which of the two stands is the order of the file.
    Consistent,
    /// Nothing that a day tells about another.
    DayByDay,
}

/// A knob: mostly at rest.
fn knob() -> impl Strategy<Value = u8> {
    prop_oneof![3 => Just(0u8), 2 => any::<u8>()]
}

pub fn world(mood: Mood) -> impl Strategy<Value = World> {
    let accounts = prop::collection::vec(prop::array::uniform20(knob()), 1..=3);
    let calls = prop::collection::vec(prop::array::uniform20(knob()), 0..=40);
    let extras = prop::collection::vec(prop::array::uniform5(any::<u8>()), 0..=6);
    let rest = prop::array::uniform6(any::<u8>());
    (accounts, calls, extras, rest)
        .prop_map(move |(accounts, calls, extras, rest)| assemble(mood, &accounts, &calls, &extras, rest))
}

fn assemble(mood: Mood, accounts: &[Account], calls: &[Call], extras: &[Extra], rest: [u8; 6]) -> World {
    let days = i64::from(rest[0] % 4) + 1;
    let calm = mood == Mood::DayByDay;
    let sources: Vec<Source> = accounts
        .iter()
        .enumerate()
        .map(|(place, knobs)| Source {
            provider: PROVIDERS[usize::from(knobs[0] % 2)],
            account: ACCOUNTS[place],
            settle_days: u32::from(knobs[1] % 3),
        })
        .collect();
    let mut world = World {
        sources,
        pages: Vec::new(),
        rows: Vec::new(),
        unreadable: Vec::new(),
        ledger_precision: [Precision::Exact, Precision::Rounded(6)][usize::from(rest[1] % 2)],
        teams: teams(rest[2], rest[3], calm),
        books: books(),
        as_of: day(days + i64::from(rest[4] % 4)).and_hms_opt(3, 0, 0).unwrap().and_utc(),
        window: Days { from: day(0), to: day(days) },
    };
    let billed = rows::write(&mut world, mood, accounts, calls, days);
    pages::write(&mut world, mood, accounts, &billed, extras, days);
    if rest[5] % 4 == 1 {
        for date in [Some(day(0)), None, Some(day(-1))] {
            let reason = "team: not text".to_string();
            world.unreadable.push(Quarantined { row: 99, day: date, reason, amount: None, currency: None });
        }
    }
    world
}

/// Dated price books of both providers. `m-x` has no price anywhere.
fn books() -> BTreeMap<String, PriceBook> {
    let row = |from: i64, to: i64, input: &str, tiers: &[(&str, &str)]| PriceRow {
        days: Days { from: day(from), to: day(to) },
        per: 1_000,
        meters: BTreeMap::from([
            (meter::INPUT_TOKENS.to_string(), decimal(input)),
            (meter::CACHE_READ_TOKENS.to_string(), decimal("0.0375")),
            (meter::OUTPUT_TOKENS.to_string(), decimal("1.5")),
            (meter::IMAGES.to_string(), decimal("41.234567890123")),
        ]),
        bands: Vec::new(),
        tiers: tiers.iter().map(|(tier, factor)| (tier.to_string(), decimal(factor))).collect(),
    };
    let tiers = [("batch", "0.5"), ("priority", "2")];
    let book = |provider: &str, earlier: &str, later: &str| PriceBook {
        provider: provider.to_string(),
        currency: Currency::USD,
        checked: day(0),
        models: BTreeMap::from([
            ("m-a".to_string(), vec![row(-9, 1, earlier, &tiers), row(1, 9, later, &tiers)]),
            ("m-b".to_string(), vec![row(-9, 9, "0.7", &[])]),
        ]),
        discounts: vec![Discount {
            days: Days { from: day(1), to: day(9) },
            account: Some("acc-1".to_string()),
            api_key_id: None,
            model: None,
            off: decimal("0.22"),
        }],
    };
    let (aster, borea) = (book("aster", "0.25", "0.3"), book("borea", "0.31", "0.29"));
    BTreeMap::from([("aster".to_string(), aster), ("borea".to_string(), borea)])
}

/// A team map by the bits of `owners`, with one of the ways to share what nobody owns.
fn teams(owners: u8, shared: u8, calm: bool) -> TeamMap {
    let mut map = TeamMap::default();
    let always = Days { from: day(-9), to: day(9) };
    let mut own = |owned: Owned, provider: &str, name: &str, days: Days, team: &str, funding: Option<Funding>| {
        let entry = map.owners.entry((owned, provider.to_string(), name.to_string())).or_default();
        entry.push(Owner { days, team: team.to_string(), funding });
    };
    own(Owned::LedgerTeam, "", "Studio", always, "studio", None);
    if owners & 1 != 0 || calm {
        own(Owned::ApiKey, "aster", "k-0", Days { to: day(2), ..always }, "growth", Some(Funding::Byok));
        own(Owned::ApiKey, "aster", "k-0", Days { from: day(2), ..always }, "studio", Some(Funding::Credits));
        own(Owned::ApiKey, "", "k-1", always, "studio", None);
        own(Owned::ApiKey, "borea", "k-2", always, "labs", None);
    }
    if calm {
        own(Owned::ApiKey, "borea", "k-0", always, "platform", None);
    }
    if owners & 2 != 0 {
        own(Owned::SubAccount, "", "s-0", always, "platform", None);
    }
    if owners & 4 != 0 {
        own(Owned::Account, "borea", "acc-1", always, "labs", None);
        own(Owned::Account, "", "acc-0", Days { from: day(1), ..always }, "growth", None);
    }
    if owners & 8 != 0 {
        own(Owned::Label, "aster", "l-0", always, "labels", None);
        own(Owned::Feature, "", "f-0", always, "features", None);
        own(Owned::Client, "", "w-0", always, "clients", None);
    }
    let rule = |provider: Option<&str>, categories: &[&str], method: SharedMethod| SharedRule {
        days: always,
        provider: provider.map(str::to_string),
        categories: categories.iter().map(|name| name.to_string()).collect(),
        method,
    };
    let even = SharedMethod::Even(["growth", "studio", "labs"].map(str::to_string).to_vec());
    let third = Amount::from_atto(333_333_333_333_333_333);
    let fixed = SharedMethod::Fixed(vec![("studio".to_string(), third), ("growth".to_string(), Amount::ONE)]);
    map.shared = match shared % 6 {
        1 => vec![rule(None, &[], even)],
        2 => vec![rule(None, &["Tax"], fixed)],
        3 if !calm => vec![rule(Some("aster"), &[], SharedMethod::Proportional)],
        4 if !calm => vec![rule(None, &[], SharedMethod::Proportional), rule(Some("borea"), &["Tax", "Usage"], even)],
        _ => Vec::new(),
    };
    map
}
