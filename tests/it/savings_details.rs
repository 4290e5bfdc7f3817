//! What is paid under plans, exactly: which plan holds, what counts once a month, pools, and what advice rests on. Each
//! figure can be checked by hand.

use crate::savings::{agreement, amount, days, figures, reference, row, terms, used};
use std::collections::BTreeMap;
use tieout::domain::agreement::{Agreement, Invoice, Pool, Purchase};
use tieout::domain::ledger::Funding;
use tieout::domain::money::{Amount, Currency};
use tieout::domain::period::parse_day;
use tieout::domain::plan::{Component, Plan, Range, Route};
use tieout::stages::savings::rows::{ALL, Advice, Savings};
use tieout::stages::savings::suppose::Supposed;
use tieout::stages::savings::usage::Usage;
use tieout::stages::savings::{SavingsTerms, of_usage};

const NOVEMBER: (&str, &str) = ("2026-11-01", "2026-12-01");

fn plan(terms: &str) -> Plan {
    let text = format!("name = \"p\"\ncurrency = \"USD\"\nunit = \"images\"\nchecked = 2026-11-18\nsource = \"a test\"\n{terms}");
    tieout::job::plans::parse("plan.toml", &text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

/// Six cents an image on credits; own keys at list price with a fee a month.
fn by_the_image(fee: &str) -> Plan {
    plan(&format!("[[credits]]\nrate = [{{ meter = \"images\", price = \"0.06\" }}]\n[[byok]]\nflat_fee = \"{fee}\"\n"))
}

fn november(usage: &[Usage], terms: &SavingsTerms) -> Savings {
    of_usage(usage, &reference(days(NOVEMBER.0, NOVEMBER.1)), terms).unwrap()
}

fn fees(savings: &Savings) -> Amount {
    figures(row(savings, ALL, ALL, ALL)).actual_fees
}

#[test]
fn the_narrower_plan_holds_wherever_it_stands_in_the_job() {
    let narrow = Agreement {
        team: Some("a".to_string()),
        ..agreement(plan("[[credits]]\nrate = [{ meter = \"images\", price = \"0.10\" }]\n[[byok]]\n"))
    };
    let wide = agreement(by_the_image("0"));
    let usage = ["a", "b"].map(|team| used(team, "m", "2026-11-03", Funding::Credits, 100, "5"));
    for agreements in [vec![narrow.clone(), wide.clone()], vec![wide, narrow]] {
        let savings = november(&usage, &terms(agreements));
        let credits = ["a", "b"].map(|team| figures(row(&savings, team, "fal", "m")).all_credits.low);
        assert_eq!(credits, ["10", "6"].map(amount));
    }
}

#[test]
fn advice_goes_by_the_route_of_the_last_week() {
    // Keys cost less. Most of the month was on credits, the last week was not.
    let early = used("growth", "m", "2026-11-03", Funding::Credits, 1_000, "50");
    let advice = |last: Funding| {
        let usage = [early.clone(), used("growth", "m", "2026-11-28", last, 100, "5")];
        let savings = november(&usage, &terms(vec![agreement(by_the_image("0"))]));
        row(&savings, "growth", "fal", ALL).advice
    };
    assert_eq!([advice(Funding::Byok), advice(Funding::Credits)], [Some(Advice::Stay), Some(Advice::Switch)]);
}

#[test]
fn a_range_with_both_signs_decides_nothing() {
    // 60 on credits; 50 and 5 to 20 on keys.
    let plan = plan("[[credits]]\nrate = [{ meter = \"images\", price = \"0.06\" }]\n[[byok]]\nflat_fee = [\"5\", \"20\"]\n");
    let savings = november(&[used("growth", "m", "2026-11-03", Funding::Credits, 1_000, "50")], &terms(vec![agreement(plan)]));
    let row = row(&savings, "growth", "fal", ALL);
    assert_eq!(row.advice, Some(Advice::Stay));
    assert!(row.reason.contains("the price ranges do not decide: own keys save between -10.00 and 5.00 USD"), "{}", row.reason);
}

#[test]
fn a_bundle_of_credits_is_paid_as_a_fee() {
    let plan = plan("[[credits]]\ntier = [{ included = 500, price = \"49\" }]\n[[byok]]\n");
    let usage = [used("growth", "m", "2026-11-03", Funding::Credits, 300, "15")];
    let savings = november(&usage, &terms(vec![agreement(plan.clone())]));
    let all = figures(row(&savings, ALL, ALL, ALL));
    assert_eq!([all.actual_credits, all.actual_fees], ["0", "49"].map(amount));
    // Left in the middle of the month: what its days do not include, the whole month did.
    let switched = Agreement { route: Some(Route::Byok), switch: parse_day("2026-11-13"), ..agreement(plan) };
    let all = november(&usage, &terms(vec![switched]));
    assert_eq!(fees(&all), amount("49"));
}

/// Own keys at 20 a month until the 15th, then at 40; credits at a fee of 10 and one on deposits of 5.5 %.
fn two_terms() -> Plan {
    plan(
        "[[credits]]\nflat_fee = \"10\"\nrate = [{ meter = \"images\", price = \"0.06\" }]\ndeposit_percent = \"5.5\"\n\
         [[byok]]\nfrom = 2026-01-01\nflat_fee = \"20\"\n[[byok]]\nfrom = 2026-11-16\nflat_fee = \"40\"\n",
    )
}

fn pool(balances: &[(&str, &str)]) -> Pool {
    Pool {
        name: "pool".to_string(),
        currency: Currency::USD,
        unit: "USD".to_string(),
        opening: amount("7"),
        purchases: vec![Purchase {
            day: parse_day("2026-11-05").unwrap(),
            units: amount("50"),
            price: Some(amount("50")),
            fee: amount("2.75"),
            expires: None,
        }],
        refunds: Vec::new(),
        balances: balances.iter().map(|(day, units)| (parse_day(day).unwrap(), amount(units))).collect(),
    }
}

fn invoice(money: &str) -> Invoice {
    Invoice {
        id: "i".to_string(),
        issuer: "p".to_string(),
        team: None,
        month: parse_day("2026-11-01").unwrap(),
        amount: amount(money),
        currency: Currency::USD,
    }
}

#[test]
fn what_is_of_the_month_counts_once_however_often_terms_change() {
    let usage = [
        used("growth", "m", "2026-11-03", Funding::Credits, 100, "5"),
        used("growth", "m", "2026-11-20", Funding::Credits, 100, "5"),
    ];
    let bought = Agreement { pool: Some("pool".to_string()), ..agreement(two_terms()) };
    let mut terms = SavingsTerms { pools: vec![pool(&[])], ..terms(vec![bought]) };
    // 10 for credits, 10 and 20 for the halves of the month on keys, and the fee of the one purchase.
    assert_eq!(fees(&november(&usage, &terms)), amount("42.75"));
    // The invoice stands in place of all three, once; the deposit's fee is no part of it.
    terms.invoices = vec![invoice("55")];
    assert_eq!(fees(&november(&usage, &terms)), amount("57.75"));
    let ties = november(&usage, &terms).invoices;
    assert_eq!((ties[0].per_invoice, ties[0].per_charges), (Some(amount("55")), Some(amount("40"))));
    // In half a month half of it.
    terms.pools.clear();
    terms.agreements[0].pool = None;
    let half = of_usage(&usage[..1], &reference(days("2026-11-01", "2026-11-16")), &terms).unwrap();
    assert_eq!(fees(&half), amount("27.5").checked_add(amount("0.33")).unwrap());
}

#[test]
fn an_invoice_is_for_the_first_plan_that_it_fits() {
    let of = |provider: &str| Agreement { provider: Some(provider.to_string()), ..agreement(by_the_image("20")) };
    let terms = SavingsTerms { invoices: vec![invoice("33")], ..terms(vec![of("fal"), of("bfl")]) };
    let savings = november(&[used("growth", "m", "2026-11-03", Funding::Byok, 100, "5")], &terms);
    assert_eq!(fees(&savings), amount("53"));
}

#[test]
fn a_pool_begins_with_the_last_balance_that_was_shown() {
    let usage = [used("growth", "m", "2026-11-03", Funding::Credits, 100, "5")];
    let opening = |balances: &[(&str, &str)]| {
        let bought = Agreement { pool: Some("pool".to_string()), ..agreement(by_the_image("0")) };
        let terms = SavingsTerms { pools: vec![pool(balances)], ..terms(vec![bought]) };
        let prepaid = november(&usage, &terms).prepaid.remove(0);
        (prepaid.opening, prepaid.purchased, prepaid.used, prepaid.closing)
    };
    let expected = |open: &str, left: &str| (amount(open), amount("50"), amount("6"), amount(left));
    assert_eq!(opening(&[]), expected("7", "51"));
    assert_eq!(opening(&[("2026-09-30", "99"), ("2026-10-31", "12")]), expected("12", "56"));
}

#[test]
fn a_bill_on_an_own_key_stands_in_for_a_list_cost_that_nobody_knows() {
    let mut unlisted = used("growth", "m", "2026-11-03", Funding::Byok, 100, "5");
    unlisted.days.values_mut().for_each(|day| (day.list, day.contracted) = (None, None));
    let savings = november(&[unlisted], &terms(vec![agreement(by_the_image("0"))]));
    let all = figures(row(&savings, "growth", "fal", "m"));
    assert_eq!([all.all_credits.low, all.all_byok.low, all.actual_byok], ["6", "5", "5"].map(amount));
}

#[test]
fn debits_of_a_call_on_an_own_key_are_no_price_of_it() {
    let plan = plan(
        "[[credits]]\nrate = [{ meter = \"images\", price = \"6\", in_credits = true }]\ncredit_price = \"0.01\"\n[[byok]]\n",
    );
    let debited = |funding| {
        let mut usage = used("growth", "m", "2026-11-03", funding, 100, "5");
        usage.days.values_mut().for_each(|day| day.charged = BTreeMap::from([("credit".to_string(), amount("900"))]));
        let savings = november(&[usage], &terms(vec![agreement(plan.clone())]));
        figures(row(&savings, "growth", "fal", "m")).all_credits.low
    };
    assert_eq!([debited(Funding::Credits), debited(Funding::Byok)], ["9", "6"].map(amount));
}

#[test]
fn a_split_that_does_not_beat_own_keys_is_not_advised() {
    // Credits alone 30 + 2 + 5, keys alone 20 + 4 + 5; both 20 + 2 + 5 + 5.
    let plan = plan(
        "[[credits]]\nflat_fee = \"5\"\nrate = [{ model = \"heavy\", meter = \"images\", price = \"0.30\" }, \
         { meter = \"images\", price = \"0.02\" }]\n[[byok]]\nflat_fee = \"5\"\n",
    );
    let usage = [
        used("studio", "heavy", "2026-11-03", Funding::Credits, 100, "20"),
        used("studio", "light", "2026-11-04", Funding::Credits, 100, "4"),
    ];
    let savings = november(&usage, &terms(vec![agreement(plan)]));
    assert_eq!(row(&savings, "studio", "fal", ALL).advice, Some(Advice::Switch));
}

#[test]
fn the_jobs_wage_goes_before_the_plans() {
    let plan =
        plan("[[credits]]\nrate = [{ meter = \"images\", price = \"0.06\" }]\n[[byok]]\nops_hours = \"3\"\nwage = \"7\"\n");
    let hours = Component::ALL.iter().position(|component| *component == Component::OpsHours).unwrap();
    let of = |wage: Option<&str>| {
        let terms = SavingsTerms { wage: wage.map(amount), ..terms(vec![agreement(plan.clone())]) };
        let savings = november(&[used("growth", "m", "2026-11-03", Funding::Byok, 100, "5")], &terms);
        figures(row(&savings, ALL, ALL, ALL)).components[hours]
    };
    assert_eq!([of(None), of(Some("2"))], ["-21", "-6"].map(amount));
}

#[test]
fn what_is_supposed_changes_what_it_names() {
    let debited = |funding| {
        let mut usage = used("growth", "m", "2026-11-03", funding, 100, "5");
        usage.days.values_mut().for_each(|day| day.charged = BTreeMap::from([("USD".to_string(), amount("9"))]));
        usage
    };
    let supposed = |supposed: &Supposed, funding| {
        let [used] = supposed.usage(&[debited(funding)]).unwrap().try_into().unwrap();
        used.days.into_values().next().unwrap()
    };
    // Who moves to a key is billed at list price, and is debited no more.
    let switch = Supposed { switch: parse_day("2026-11-01"), ..Supposed::default() };
    let moved = supposed(&switch, Funding::Credits);
    assert_eq!((moved.charged, moved.billed), (BTreeMap::new(), amount("5")));
    assert_eq!(supposed(&switch, Funding::Byok).charged.len(), 1);
    // A discount is off what a key was billed, and off nothing else.
    let discount = Supposed { discount: Some(amount("0.2")), ..Supposed::default() };
    let billed = [Funding::Byok, Funding::Credits].map(|funding| supposed(&discount, funding).billed);
    assert_eq!(billed, ["4", "5"].map(amount));
    let own = discount.terms(&terms(vec![agreement(by_the_image("0"))]));
    let usage = discount.usage(&[used("growth", "m", "2026-11-03", Funding::Byok, 100, "5")]).unwrap();
    assert_eq!(figures(row(&november(&usage, &own), ALL, ALL, ALL)).all_byok, Range::exactly(amount("4")));
}
