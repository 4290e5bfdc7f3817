//! Exact figures that must come out to the last digit (seed-economics.md section 3, providers' own price
//! examples), through public functions. Nothing here is rounded unless it says so.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use tieout::domain::fx::{Rate, Rates, convert};
use tieout::domain::money::{Amount, Currency, SCALE, sum};
use tieout::domain::names::Names;
use tieout::domain::period::{Days, parse_day, parse_instant};
use tieout::domain::price::{Asked, Band, Discount, PriceBook, PriceRow, UnitPrice};
use tieout::domain::teams::{SharedMethod, SharedRule, TeamMap};
use tieout::domain::usage::{Charge, ChargeCategory, Line, Measures, meter};
use tieout::stages::drift::FirstSeen;
use tieout::stages::entries::EntryReader;
use tieout::stages::facts::ReportInfo;
use tieout::stages::lines::LineReader;
use tieout::stages::reference::Reference;
use tieout::stages::results::Basis;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn day(text: &str) -> NaiveDate {
    parse_day(text).unwrap()
}

fn days(from: &str, to: &str) -> Days {
    Days { from: day(from), to: day(to) }
}

fn row(days: Days, per: u64, meters: &[(&str, &str)]) -> PriceRow {
    let meters = meters.iter().map(|(name, price)| (name.to_string(), decimal(price))).collect();
    PriceRow { days, per, meters, bands: Vec::new(), tiers: BTreeMap::new() }
}

fn book(model: &str, rows: Vec<PriceRow>) -> PriceBook {
    PriceBook {
        provider: "p".to_string(),
        currency: Currency::USD,
        checked: day("2026-11-01"),
        models: BTreeMap::from([(model.to_string(), rows)]),
        discounts: Vec::new(),
    }
}

fn asked<'a>(model: &'a str, meter: &'a str) -> Asked<'a> {
    Asked {
        model,
        meter,
        service_tier: None,
        batch: false,
        context: Amount::ZERO,
        account: "acc",
        api_key_id: None,
        day: day("2026-11-17"),
    }
}

/// The cost of several meters of one model, as text.
fn cost(book: &PriceBook, model: &str, usage: &[(&str, i64)]) -> String {
    let costs = usage.iter().map(|(meter, count)| {
        let price: UnitPrice = book.price(asked(model, meter)).unwrap();
        price.cost(Amount::whole(*count)).unwrap()
    });
    sum(costs).unwrap().to_string()
}

#[test]
fn tv01_a_thousand_generations_cost_a_third_less_on_ones_own_key() {
    let (credit, own, count) = (amount("0.06"), amount("0.04"), Amount::whole(1_000));
    let (credits, byok) = (count.times(credit).unwrap(), count.times(own).unwrap());
    let saving = credits.checked_sub(byok).unwrap();
    assert_eq!([credits, byok, saving].map(|figure| figure.with_places(2)), ["60.00", "40.00", "20.00"]);
    assert_eq!(saving.ratio(byok).unwrap().to_string(), "0.5");
    assert_eq!(saving.ratio(credits).unwrap().to_string(), "0.333333333333333333");
}

#[test]
fn tv02_one_generation_saves_two_cents_and_not_a_binary_fraction_less() {
    let saving = amount("0.06").checked_sub(amount("0.04")).unwrap();
    assert_eq!(saving.to_string(), "0.02");
    assert_eq!(saving.times(Amount::whole(1_000)).unwrap().to_string(), "20");
}

#[test]
fn tv03_what_fell_back_to_credits_is_saving_missed() {
    let (credit, own) = (amount("0.06"), amount("0.04"));
    let (on_key, fallback) = (Amount::whole(700), Amount::whole(300));
    let paid = own.times(on_key).unwrap().checked_add(credit.times(fallback).unwrap()).unwrap();
    let all_credits = credit.times(Amount::whole(1_000)).unwrap();
    assert_eq!(paid.with_places(2), "46.00");
    assert_eq!(all_credits.checked_sub(paid).unwrap().with_places(2), "14.00");
    assert_eq!(credit.checked_sub(own).unwrap().times(fallback).unwrap().with_places(2), "6.00");
}

#[test]
fn tv07_a_multiple_is_not_a_markup() {
    let (credit, own) = (amount("0.30"), amount("0.04"));
    let saving = credit.checked_sub(own).unwrap();
    assert_eq!(credit.ratio(own).unwrap().to_string(), "7.5");
    assert_eq!(saving.ratio(own).unwrap().to_string(), "6.5");
    assert_eq!(saving.to_string(), "0.26");
}

#[test]
fn tv22_markup_on_a_month_of_tokens() {
    let book = book("m", vec![row(days("2026-11-01", "2026-12-01"), 1_000_000, &[(meter::INPUT_TOKENS, "3")])]);
    let raw = amount(&cost(&book, "m", &[(meter::INPUT_TOKENS, 30 * 1_000_000)]));
    assert_eq!(raw.with_places(2), "90.00");
    assert_eq!(raw.times(amount("0.05")).unwrap().with_places(2), "4.50");
    assert_eq!(raw.times(amount("0.10")).unwrap().with_places(2), "9.00");
}

#[test]
fn tv23_discount_and_markup_are_told_apart() {
    let mut book = book("m", vec![row(days("2026-11-01", "2026-12-01"), 1, &[(meter::BUILDS, "100")])]);
    let off = decimal("0.22");
    book.discounts = vec![Discount { days: days("2026-11-01", "2026-12-01"), account: None, api_key_id: None, model: None, off }];
    let price = book.price(asked("m", meter::BUILDS)).unwrap();
    let (list, byok) = (price.list_cost(Amount::ONE).unwrap(), price.cost(Amount::ONE).unwrap());
    let credits = list.times(amount("1.05")).unwrap();
    assert_eq!([list, byok, credits].map(|figure| figure.with_places(2)), ["100.00", "78.00", "105.00"]);
    let (discount, markup) = (list.checked_sub(byok).unwrap(), credits.checked_sub(list).unwrap());
    assert_eq!([discount, markup].map(|figure| figure.with_places(2)), ["22.00", "5.00"]);
    assert_eq!(credits.checked_sub(byok), discount.checked_add(markup));
}

#[test]
fn tv24_a_deposit_fee_has_a_minimum() {
    let (rate, minimum) = (amount("0.055"), amount("0.80"));
    let fee = |deposit: i64| rate.times(Amount::whole(deposit)).unwrap().max(minimum).with_places(2);
    let fees = [5, 14, 15, 100, 1_000].map(fee);
    assert_eq!(fees, ["0.80", "0.80", "0.825", "5.50", "55.00"]);
    assert_eq!(minimum.ratio(rate).unwrap().to_string(), "14.545454545454545455");
}

#[test]
fn tv28_and_tv29_proration_keeps_the_whole() {
    let managed = amount("149").mul_div(12, 30).unwrap();
    let fee = amount("20").mul_div(18, 30).unwrap();
    assert_eq!([managed, fee].map(|figure| figure.with_places(2)), ["59.60", "12.00"]);
    assert_eq!(sum([managed, fee, amount("60")]).unwrap().with_places(2), "131.60");
    let parts = amount("49").split(&[Amount::whole(10), Amount::whole(21)], 2).unwrap();
    assert_eq!(parts, [amount("15.81"), amount("33.19")]);
    assert_eq!(amount("49").mul_div(10, 31).unwrap().to_string(), "15.806451612903225806");
}

#[test]
fn tv32_an_invoice_over_three_teams() {
    let parts = amount("100").split(&[Amount::ONE; 3], 2).unwrap();
    assert_eq!(parts.iter().map(|part| part.with_places(2)).collect::<Vec<_>>(), ["33.34", "33.33", "33.33"]);
    let shares = shared_even("100", &["growth", "audio", "studio"]);
    // Ties go by team name, whatever order the map names them in.
    let expected = [("audio", "33.333333333333333334"), ("growth", "33.333333333333333333"), ("studio", "33.333333333333333333")];
    assert_eq!(shares, expected.map(|(team, share)| (team.to_string(), amount(share))));
    assert_eq!(sum(shares.into_iter().map(|(_, share)| share)), Some(amount("100")));
}

/// A tax line that nobody owns, through all stages, under an even rule.
fn shared_even(total: &str, teams: &[&str]) -> Vec<(String, Amount)> {
    let month = days("2026-11-01", "2026-12-01");
    let method = SharedMethod::Even(teams.iter().map(|team| team.to_string()).collect());
    let rule = SharedRule { days: month, provider: None, categories: vec!["Tax".to_string()], method };
    let reference = Reference {
        names: Names::default(),
        teams: TeamMap { shared: vec![rule], ..TeamMap::default() },
        books: BTreeMap::new(),
        rates: Rates::default(),
        reporting_currency: Currency::USD,
        time_zone: chrono_tz::UTC,
        as_of: parse_instant("2026-12-05").unwrap(),
        window: month,
    };
    let mut lines = LineReader::new(&reference, &[("p", "acc", 1)]);
    lines.open_page(0, ReportInfo { name: "invoice", measures: Measures::Money, rank: 0, keyed: true }, 0, "invoice.csv");
    let start = parse_instant("2026-11-30").unwrap();
    let charge = Charge::new(1, start, start + chrono::Duration::days(1), Currency::USD);
    lines.push(Line::Charge(Charge { category: ChargeCategory::Tax, cost: Some(amount(total)), ..charge }));
    let (facts, provider) = lines.finish();
    let (facts, ledger) = EntryReader::new(&reference).settle().finish(facts).unwrap();
    let outcome = tieout::stages::tie_out(&facts, &reference, provider, ledger, &FirstSeen::new()).unwrap();
    assert!(outcome.attribution.iter().all(|row| row.basis == Basis::SharedRule));
    let mut shares: Vec<_> = outcome.attribution.into_iter().map(|row| (row.team, row.billed_cost)).collect();
    shares.sort();
    shares
}

#[test]
fn cached_prompts_cost_what_the_providers_examples_say() {
    let month = days("2026-11-01", "2026-12-01");
    let written = [(meter::INPUT_TOKENS, "3"), (meter::CACHE_WRITE_5M_TOKENS, "3.75"), (meter::OUTPUT_TOKENS, "15")];
    let book_a = book("a", vec![row(month, 1_000_000, &written)]);
    let usage = [(meter::INPUT_TOKENS, 3), (meter::CACHE_WRITE_5M_TOKENS, 12_304), (meter::OUTPUT_TOKENS, 550)];
    assert_eq!(cost(&book_a, "a", &usage), "0.054399");
    // 9,126 tokens of prompt, 4,864 of them from the cache: the classes are disjoint.
    let read = [(meter::INPUT_TOKENS, "1.25"), (meter::CACHE_READ_TOKENS, "0.125"), (meter::OUTPUT_TOKENS, "10")];
    let book_o = book("o", vec![row(month, 1_000_000, &read)]);
    let usage = [(meter::INPUT_TOKENS, 9_126 - 4_864), (meter::CACHE_READ_TOKENS, 4_864), (meter::OUTPUT_TOKENS, 3_197)];
    assert_eq!(cost(&book_o, "o", &usage), "0.0379055");
}

#[test]
fn a_band_prices_the_whole_call_and_only_beyond_its_edge() {
    let mut dated =
        row(days("2026-11-01", "2026-12-01"), 1_000_000, &[(meter::INPUT_TOKENS, "1.25"), (meter::OUTPUT_TOKENS, "10")]);
    let band = |above: i64, price: &str| Band {
        above: Amount::whole(above),
        meters: BTreeMap::from([(meter::INPUT_TOKENS.to_string(), decimal(price))]),
    };
    dated.bands = vec![band(200_000, "2.5"), band(500_000, "4")];
    dated.tiers = BTreeMap::from([("batch".to_string(), decimal("0.5"))]);
    let book = book("m", vec![dated]);
    let at = |meter: &str, context: i64, batch: bool| {
        let price = book.price(Asked { context: Amount::whole(context), batch, ..asked("m", meter) }).unwrap();
        price.cost(Amount::whole(300_000)).unwrap().to_string()
    };
    assert_eq!(at(meter::INPUT_TOKENS, 200_000, false), "0.375");
    assert_eq!(at(meter::INPUT_TOKENS, 200_001, false), "0.75");
    assert_eq!(at(meter::INPUT_TOKENS, 500_001, false), "1.2");
    assert_eq!(at(meter::INPUT_TOKENS, 500_001, true), "0.6");
    // A meter that the band does not name keeps its price.
    assert_eq!(at(meter::OUTPUT_TOKENS, 500_001, false), "3");
}

#[test]
fn a_tier_multiplies_and_an_unknown_one_has_no_price() {
    let mut dated = row(days("2026-11-01", "2026-12-01"), 1_000, &[(meter::INPUT_TOKENS, "0.4")]);
    dated.tiers = BTreeMap::from([("priority".to_string(), decimal("1.75")), ("batch".to_string(), decimal("0.5"))]);
    let book = book("m", vec![dated]);
    let at = |service_tier: Option<&str>, batch: bool| {
        let price = book.price(Asked { service_tier, batch, ..asked("m", meter::INPUT_TOKENS) });
        price.map(|price| price.cost(Amount::whole(10)).unwrap().to_string())
    };
    assert_eq!(at(None, false).as_deref(), Some("0.004"));
    assert_eq!(at(Some("standard"), true).as_deref(), Some("0.002"));
    assert_eq!(at(Some("priority"), false).as_deref(), Some("0.007"));
    assert_eq!(at(Some("priority"), true).as_deref(), Some("0.0035"));
    assert_eq!(at(Some("flex"), false), None);
    assert_eq!(book.price(asked("m", meter::OUTPUT_TOKENS)), None);
    assert_eq!(book.price(asked("other", meter::INPUT_TOKENS)), None);
}

#[test]
fn a_discount_is_due_only_where_and_when_it_was_agreed() {
    let month = days("2026-11-01", "2026-12-01");
    let mut book = book("m", vec![row(month, 1, &[(meter::IMAGES, "0.04")])]);
    let wide = Discount { days: month, account: Some("acc".to_string()), api_key_id: None, model: None, off: decimal("0.1") };
    let narrow = Discount {
        days: days("2026-11-15", "2026-12-01"),
        api_key_id: Some("k".to_string()),
        model: Some("m".to_string()),
        off: decimal("0.25"),
        ..wide.clone()
    };
    book.discounts = vec![wide, narrow];
    let at = |account: &str, api_key_id: Option<&str>, on: &str| {
        let price = book.price(Asked { account, api_key_id, day: day(on), ..asked("m", meter::IMAGES) }).unwrap();
        assert_eq!(price.list, decimal("0.04"));
        price.cost(Amount::whole(100)).unwrap().to_string()
    };
    assert_eq!(at("other", Some("k"), "2026-11-20"), "4");
    assert_eq!(at("acc", None, "2026-11-20"), "3.6");
    assert_eq!(at("acc", Some("k"), "2026-11-20"), "3");
    assert_eq!(at("acc", Some("k"), "2026-11-14"), "3.6");
}

#[test]
fn a_price_is_in_force_from_its_first_day_to_before_its_last() {
    let (early, late) = (days("2026-11-01", "2026-11-16"), days("2026-11-16", "2026-11-18"));
    let image = |days: Days, price: &str| row(days, 1, &[(meter::IMAGES, price)]);
    let book = book("m", vec![image(early, "0.05"), image(late, "0.04")]);
    let on = |text: &str| book.price(Asked { day: day(text), ..asked("m", meter::IMAGES) }).map(|price| price.list);
    assert_eq!([on("2026-10-31"), on("2026-11-18")], [None, None]);
    assert_eq!([on("2026-11-15"), on("2026-11-16"), on("2026-11-17")], ["0.05", "0.04", "0.04"].map(|text| Some(decimal(text))));
    let earlier = book.earlier(asked("m", meter::IMAGES));
    assert_eq!(earlier.iter().map(|price| price.list).collect::<Vec<_>>(), [decimal("0.05")]);
}

#[test]
fn products_are_exact_until_one_rounding_half_away_from_zero() {
    // 10^-18 × 0.5 is half of the last place.
    let last = Amount::from_atto(1);
    assert_eq!(last.times_decimal(decimal("0.5")), Some(last));
    assert_eq!((-last).times_decimal(decimal("0.5")), Some(-last));
    assert_eq!(last.times_decimal(decimal("0.499999")), Some(Amount::ZERO));
    // The product has 256 bits; the result fits.
    let large = amount("1234567890.123456789012345678");
    assert_eq!(large.mul_div(large.atto(), large.atto()), Some(large));
    assert_eq!(large.mul_div(1, 0), None);
    let rate = Rate { rate: decimal("1.0943"), day: day("2026-11-17") };
    assert_eq!(convert(amount("41.283750000000000001"), rate).unwrap().to_string(), "45.176807625000000001");
    assert_eq!(amount("2.675").rounded(2).with_places(2), "2.68");
    assert_eq!(amount("1").split(&[amount("0.1"), amount("0.2")], SCALE).unwrap()[0].to_string(), "0.333333333333333333");
}
