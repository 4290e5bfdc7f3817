//! Savings end to end and by law: what `run` writes to `savings.csv`, what `whatif` supposes, and properties that
//! hold for any usage (contract 4.6, 4.8).

use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use tieout::domain::agreement::Agreement;
use tieout::domain::fx::Rates;
use tieout::domain::ledger::Funding;
use tieout::domain::money::{Amount, Currency, sum};
use tieout::domain::names::Names;
use tieout::domain::period::{Days, month_start, parse_day, parse_instant};
use tieout::domain::plan::{ALWAYS, Component, Plan, Range, Rate, RateTier, Route, Terms};
use tieout::domain::teams::TeamMap;
use tieout::stages::reference::Reference;
use tieout::stages::savings::rows::{ALL, Advice, Compared, Saving, Savings};
use tieout::stages::savings::suppose::Supposed;
use tieout::stages::savings::usage::{Usage, UsageDay, UsageKey};
use tieout::stages::savings::{SavingsTerms, curves, of_usage};

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

pub fn days(from: &str, to: &str) -> Days {
    Days { from: parse_day(from).unwrap(), to: parse_day(to).unwrap() }
}

pub fn reference(window: Days) -> Reference {
    Reference {
        names: Names::default(),
        teams: TeamMap::default(),
        books: BTreeMap::new(),
        rates: Rates::default(),
        reporting_currency: Currency::USD,
        time_zone: chrono_tz::UTC,
        as_of: parse_instant("2026-12-05").unwrap(),
        window,
    }
}

/// Credits at a price for each image; own keys at list price and a flat fee a month.
fn plan(credit: &str, fee: &str) -> Plan {
    let tiers = vec![RateTier { from: Amount::ZERO, price: Range::exactly(amount(credit)) }];
    let rate =
        Rate { provider: None, model: None, meter: "images".to_string(), per: 1, tiers, graduated: false, in_credits: false };
    Plan {
        name: "p".to_string(),
        currency: Currency::USD,
        unit: "images".to_string(),
        checked: parse_day("2026-11-18").unwrap(),
        credits: vec![Terms { rates: vec![rate], percent: None, ..Terms::free(Route::Credits) }],
        byok: vec![Terms { flat_fee: Range::exactly(amount(fee)), ..Terms::free(Route::Byok) }],
    }
}

pub fn agreement(plan: Plan) -> Agreement {
    Agreement {
        plan,
        team: None,
        provider: None,
        account: None,
        days: ALWAYS,
        credits_offer: None,
        byok_offer: None,
        signed_up: None,
        route: None,
        switch: None,
        pool: None,
    }
}

pub fn used(team: &str, model: &str, day: &str, funding: Funding, images: i64, list: &str) -> Usage {
    let day = parse_day(day).unwrap();
    let key = UsageKey {
        month: month_start(day),
        team: team.to_string(),
        provider: "fal".to_string(),
        model: model.to_string(),
        client: String::new(),
        account: "a".to_string(),
        funding: Some(funding),
    };
    let list = amount(list);
    let on_day = UsageDay {
        calls: Some(images as u64),
        meters: BTreeMap::from([("images".to_string(), Amount::whole(images))]),
        billed: list,
        list: Some(list),
        contracted: Some(list),
        rows: 1,
        ..UsageDay::default()
    };
    Usage { key, days: BTreeMap::from([(day, on_day)]) }
}

pub fn terms(agreements: Vec<Agreement>) -> SavingsTerms {
    SavingsTerms { agreements, ..SavingsTerms::default() }
}

pub fn row<'a>(savings: &'a Savings, team: &str, provider: &str, model: &str) -> &'a Saving {
    let mut rows = savings.rows.iter();
    rows.find(|row| (row.team.as_str(), row.provider.as_str(), row.model.as_str()) == (team, provider, model)).unwrap()
}

pub fn figures(saving: &Saving) -> &Compared {
    saving.compared.as_ref().unwrap()
}

#[test]
fn tv03_fallback_is_saving_missed_and_realised_counts_what_was_paid() {
    let november = days("2026-11-01", "2026-12-01");
    let usage = [
        used("growth", "m", "2026-11-03", Funding::Byok, 700, "28"),
        used("growth", "m", "2026-11-04", Funding::FallbackCredits, 300, "12"),
    ];
    let savings = of_usage(&usage, &reference(november), &terms(vec![agreement(plan("0.06", "0"))])).unwrap();
    let all = figures(row(&savings, ALL, ALL, ALL));
    let shown = [all.actual_byok, all.actual_credits, all.actual().unwrap(), all.realised().unwrap(), all.missed];
    assert_eq!(shown.map(|figure| figure.with_places(2)), ["28.00", "18.00", "46.00", "14.00", "6.00"]);
    assert_eq!(all.saving().unwrap(), Range::exactly(amount("20")));
    assert_eq!(savings.fallbacks.iter().map(|fell| fell.calls).sum::<u64>(), 300);
}

#[test]
fn tv10_the_break_even_of_a_flat_fee_stands_in_the_row_that_bears_it() {
    let november = days("2026-11-01", "2026-12-01");
    let usage = [used("growth", "m", "2026-11-03", Funding::Credits, 1_000, "50")];
    let savings = of_usage(&usage, &reference(november), &terms(vec![agreement(plan("0.06", "20"))])).unwrap();
    let turning = row(&savings, "growth", "fal", ALL).break_even.clone().unwrap();
    assert_eq!((turning.volume.as_str(), turning.when.as_str()), ("2000", "n > 2000"));
    assert_eq!(turning.distance, Some(Amount::whole(-1_000)));
}

#[test]
fn tv28_a_switch_in_the_middle_of_a_month_cuts_both_fees_by_days() {
    let november = days("2026-11-01", "2026-12-01");
    let mut plan = plan("0", "20");
    plan.credits = vec![Terms { flat_fee: Range::exactly(amount("149")), ..Terms::free(Route::Credits) }];
    let switched = Agreement { route: Some(Route::Byok), switch: parse_day("2026-11-13"), ..agreement(plan) };
    let usage = [used("growth", "m", "2026-11-20", Funding::Byok, 1_000, "60")];
    let savings = of_usage(&usage, &reference(november), &terms(vec![switched])).unwrap();
    let all = figures(row(&savings, ALL, ALL, ALL));
    assert_eq!([all.actual_fees, all.actual().unwrap()].map(|figure| figure.with_places(2)), ["71.60", "131.60"]);
    // Credits all month: 149 and the list price; own keys all month: 20 and the list price.
    assert_eq!(all.saving().unwrap(), Range::exactly(amount("129")));
}

#[test]
fn what_has_no_price_on_the_other_route_is_counted_and_never_zero() {
    let november = days("2026-11-01", "2026-12-01");
    let mut unpriced = used("growth", "m", "2026-11-03", Funding::Credits, 10, "3");
    for day in unpriced.days.values_mut() {
        day.list = None;
    }
    let savings = of_usage(&[unpriced], &reference(november), &terms(vec![agreement(plan("0.06", "0"))])).unwrap();
    let leaf = row(&savings, "growth", "fal", "m");
    assert_eq!((leaf.not_comparable, leaf.not_comparable_cost, &leaf.compared), (1, amount("3"), &None));
    assert!(leaf.reason.contains("a route has no price for it"), "{}", leaf.reason);
}

#[test]
fn a_plans_curve_meets_where_break_even_says() {
    let november = reference(days("2026-11-01", "2026-12-01"));
    let usage = [used("growth", "m", "2026-11-03", Funding::Credits, 1_000, "50")];
    let found = curves(&usage, &november, &terms(vec![agreement(plan("0.06", "20"))]), 4).unwrap();
    let [curve] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(
        (curve.team.as_str(), curve.provider.as_str(), curve.plan.as_str(), curve.unit.as_str()),
        (ALL, ALL, "p", "images")
    );
    assert_eq!((curve.period_start, curve.volume), (parse_day("2026-11-01").unwrap(), Amount::whole(1_000)));
    // From 0 to twice the crossing in four parts; 0.06 an image against 0.05 and 20.
    let exactly = |text: &str| Range::exactly(amount(text));
    let points = curve.points.iter().map(|point| (point.volume, point.credits, point.byok)).collect::<Vec<_>>();
    let expected = [(0, "0", "20"), (1_000, "60", "70"), (2_000, "120", "120"), (3_000, "180", "170"), (4_000, "240", "220")];
    assert_eq!(points, expected.map(|(volume, credits, byok)| (Amount::whole(volume), exactly(credits), exactly(byok))));
    // Half a month at the same pace is the same month.
    let half = reference(days("2026-11-01", "2026-11-16"));
    let usage = [used("growth", "m", "2026-11-03", Funding::Credits, 500, "25")];
    let again = curves(&usage, &half, &terms(vec![agreement(plan("0.06", "20"))]), 4).unwrap();
    assert_eq!(again, found);
    assert_eq!(curves(&usage, &half, &terms(Vec::new()), 4).unwrap(), []);
}

/// Heavy images on keys and light ones on credits, where running keys takes an hour a month: what the split saves counts it.
#[test]
fn a_split_is_weighed_with_its_hours() {
    let november = days("2026-11-01", "2026-12-01");
    let mut plan = plan("0.02", "5");
    plan.byok[0].ops_hours = Range::exactly(Amount::ONE);
    let tiers = vec![RateTier { from: Amount::ZERO, price: Range::exactly(amount("0.30")) }];
    let heavy = Rate { model: Some("heavy".to_string()), tiers, ..plan.credits[0].rates[0].clone() };
    plan.credits[0].rates.insert(0, heavy);
    let of = |funding, wage: &str| {
        let usage =
            [used("studio", "heavy", "2026-11-03", funding, 100, "20"), used("studio", "light", "2026-11-04", funding, 100, "4")];
        let terms = SavingsTerms { wage: Some(amount(wage)), ..terms(vec![agreement(plan.clone())]) };
        of_usage(&usage, &reference(november), &terms).unwrap()
    };
    // Credits 32, keys 29 and an hour, both 27 and an hour.
    for (funding, wage, advice, saves) in [
        (Funding::Credits, "1", Advice::Split, Some("4")),
        (Funding::Byok, "1", Advice::Split, Some("2")),
        (Funding::Credits, "4", Advice::Split, Some("1")),
        (Funding::Credits, "5", Advice::Stay, None),
    ] {
        let savings = of(funding, wage);
        let row = row(&savings, "studio", "fal", ALL);
        assert_eq!((row.advice, row.split_saves), (Some(advice), saves.map(amount)), "{funding:?} {wage}: {}", row.reason);
        if let Some(split) = row.split_saves {
            assert!(
                split > Amount::ZERO && row.reason.contains("own keys for fal heavy, credits for fal light"),
                "{}",
                row.reason
            );
        }
    }
    let reason = row(&of(Funding::Credits, "4"), "studio", "fal", ALL).reason.clone();
    assert!(reason.contains("31.00 USD together, 1.00 less than the better route alone"), "{reason}");
}

#[test]
fn a_client_bears_its_part_of_a_fee_by_list_cost() {
    let november = days("2026-11-01", "2026-12-01");
    let of = |client: &str, mut usage: Usage| {
        usage.key.client = client.to_string();
        usage
    };
    let usage = [
        of("northwind", used("studio", "m", "2026-11-03", Funding::Byok, 600, "15")),
        of("brightside", used("studio", "m", "2026-11-03", Funding::Byok, 200, "5")),
        of("", used("studio", "n", "2026-11-03", Funding::Byok, 400, "10")),
    ];
    let savings = of_usage(&usage, &reference(november), &terms(vec![agreement(plan("0.06", "6"))])).unwrap();
    let all = |client: &str| {
        let rows = savings.clients.iter().filter(|row| row.client == client && row.saving.team == ALL);
        rows.map(|row| figures(&row.saving)).find(|compared| compared.actual_fees != Amount::ZERO).unwrap()
    };
    for (client, fee, saving) in [("northwind", "3", "18"), ("brightside", "1", "6"), ("", "2", "12")] {
        assert_eq!(all(client).actual_fees, amount(fee), "{client}");
        assert_eq!(all(client).saving().unwrap(), Range::exactly(amount(saving)), "{client}");
    }
    let of_plans = |row: &Saving| row.break_even.is_some() || row.advice.is_some();
    assert!(savings.clients.iter().all(|row| !of_plans(&row.saving)) && savings.rows.iter().any(of_plans));
    // Twice as much for one client changes no other's usage.
    let doubled = Supposed { client: Some("northwind".to_string()), scale: Some(Amount::whole(2)), ..Supposed::default() };
    let scaled = doubled.usage(&usage).unwrap();
    let images = |usage: &[Usage], client: &str| {
        let of_client = usage.iter().filter(|used| used.key.client == client);
        sum(of_client.flat_map(|used| used.days.values().map(|day| day.meters["images"]))).unwrap()
    };
    assert_eq!(["northwind", "brightside", ""].map(|client| images(&scaled, client)), [1_200, 200, 400].map(Amount::whole));
    let without = [used("studio", "m", "2026-11-03", Funding::Byok, 600, "15")];
    assert!(of_usage(&without, &reference(november), &terms(vec![agreement(plan("0.06", "6"))])).unwrap().clients.is_empty());
}

fn any_usage() -> impl Strategy<Value = Vec<Usage>> {
    let one = (0..3usize, 0..3usize, 1..31u32, (0..3usize, 0..3usize), 1..5_000i64, 1..900_000i64);
    proptest::collection::vec(one, 1..20).prop_map(|lines| {
        let mut all: BTreeMap<UsageKey, Usage> = BTreeMap::new();
        for (team, model, day, (funding, client), images, list) in lines {
            let funding = [Funding::Byok, Funding::Credits, Funding::FallbackCredits][funding];
            let list = Amount::from_atto(i128::from(list) * 10i128.pow(14)).to_string();
            let team = ["a", "b", "c"][team];
            let mut one = used(team, ["x", "y", "z"][model], &format!("2026-11-{day:02}"), funding, images, &list);
            one.key.client = ["", "acme", "brightside"][client].to_string();
            all.entry(one.key.clone()).or_insert(Usage { key: one.key.clone(), days: BTreeMap::new() }).days.extend(one.days);
        }
        all.into_values().collect()
    })
}

fn any_agreements() -> impl Strategy<Value = Vec<Agreement>> {
    (0..200u32, 0..60u32, 0..100u32, 1..31u32, 0..3usize, any::<bool>()).prop_map(|(credit, fee, wider, day, route, of_team)| {
        let mut plan = plan(&format!("0.{credit:03}"), &fee.to_string());
        let high = plan.byok[0].flat_fee.low.checked_add(Amount::whole(i64::from(wider))).unwrap();
        plan.byok[0].flat_fee.high = high;
        plan.byok[0].ops_hours = Range { low: Amount::ONE, high: Amount::whole(2) };
        plan.byok[0].wage = Some(Amount::whole(7));
        let whole = Agreement {
            route: [None, Some(Route::Byok), Some(Route::Credits)][route],
            switch: [None, parse_day(&format!("2026-11-{day:02}")), None][route],
            ..agreement(plan.clone())
        };
        let mut all = vec![whole];
        if of_team {
            all.push(Agreement { team: Some("a".to_string()), ..agreement(plan) });
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Components sum to the saving; the rows of parts, with their shares of what is charged once, sum to the whole;
    /// interval ends are ordered.
    #[test]
    fn components_sum_and_parts_and_shared_parts_equal_the_whole(usage in any_usage(), agreements in any_agreements()) {
        let november = days("2026-11-01", "2026-12-01");
        let savings = of_usage(&usage, &reference(november), &terms(agreements)).unwrap();
        let mut parts = Compared::default();
        for saving in &savings.rows {
            let Some(compared) = &saving.compared else { continue };
            let (cash, all_in) = (compared.saving().unwrap(), compared.all_in().unwrap());
            let hours = Component::ALL.iter().position(|component| *component == Component::OpsHours).unwrap();
            let components = compared.components.iter().enumerate().filter(|(at, _)| *at != hours).map(|(_, part)| *part);
            prop_assert_eq!(sum(components).unwrap(), cash.low);
            prop_assert_eq!(sum(compared.components).unwrap(), all_in.low);
            prop_assert!(cash.low <= cash.high && all_in.low <= all_in.high);
            if saving.model != ALL {
                parts = parts.checked_add(compared).unwrap();
            }
        }
        let whole = row(&savings, ALL, ALL, ALL).compared.clone().unwrap();
        for (part, whole) in [
            (parts.all_credits.low, whole.all_credits.low),
            (parts.all_byok.high, whole.all_byok.high),
            (parts.actual().unwrap(), whole.actual().unwrap()),
            (parts.missed, whole.missed),
        ] {
            prop_assert_eq!(part, whole);
        }
        // What own keys were billed is what the usage says, whatever was shared.
        let on_keys = usage.iter().filter(|used| used.key.funding == Some(Funding::Byok));
        let billed = sum(on_keys.flat_map(|used| used.days.values().map(|day| day.billed))).unwrap();
        prop_assert_eq!(whole.actual_byok, billed);
    }

    /// The clients of every row, those of totals too, sum to it in every figure.
    #[test]
    fn clients_sum_to_the_row_whose_parts_they_are(usage in any_usage(), agreements in any_agreements()) {
        let november = days("2026-11-01", "2026-12-01");
        let savings = of_usage(&usage, &reference(november), &terms(agreements)).unwrap();
        prop_assert_eq!(savings.clients.is_empty(), usage.iter().all(|used| used.key.client.is_empty()));
        if savings.clients.is_empty() {
            return Ok(());
        }
        let about = |row: &Saving| (row.period_start, row.team.clone(), row.provider.clone(), row.model.clone());
        for whole in &savings.rows {
            let parts = || savings.clients.iter().map(|row| &row.saving).filter(|row| about(row) == about(whole));
            let compared = parts().filter_map(|row| row.compared.clone()).reduce(|a, b| a.checked_add(&b).unwrap());
            prop_assert_eq!(&compared, &whole.compared);
            prop_assert_eq!(parts().map(|row| row.not_comparable).sum::<u64>(), whole.not_comparable);
            prop_assert_eq!(sum(parts().map(|row| row.not_comparable_cost)).unwrap(), whole.not_comparable_cost);
        }
    }

    #[test]
    fn scaling_by_one_changes_nothing(usage in any_usage(), agreements in any_agreements()) {
        let reference = reference(days("2026-11-01", "2026-12-01"));
        let terms = terms(agreements);
        let same = Supposed { scale: Some(Amount::ONE), ..Supposed::default() };
        let changed = of_usage(&same.usage(&usage).unwrap(), &reference, &same.terms(&terms)).unwrap();
        prop_assert!(changed == of_usage(&usage, &reference, &terms).unwrap());
    }

    #[test]
    fn a_plan_equal_to_raw_rates_saves_nothing(usage in any_usage()) {
        let reference = reference(days("2026-11-01", "2026-12-01"));
        let raw = Plan {
            credits: vec![Terms::free(Route::Credits)],
            byok: vec![Terms::free(Route::Byok)],
            unit: "list_cost".to_string(),
            ..plan("0", "0")
        };
        let savings = of_usage(&usage, &reference, &terms(vec![agreement(raw)])).unwrap();
        for compared in savings.rows.iter().filter_map(|row| row.compared.as_ref()) {
            prop_assert_eq!(compared.saving().unwrap(), Range::default());
            prop_assert_eq!(compared.realised().unwrap(), Amount::ZERO);
        }
    }
}

fn tieout(arguments: &[&str]) -> Output {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/demo.toml");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    command.args(["whatif", demo.to_str().unwrap(), "--quiet"]).args(arguments).output().unwrap()
}

#[test]
fn whatif_shows_both_sides_and_money_as_strings() {
    let output = tieout(&["--scale", "2x", "--month", "2026-11", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = found["rows"].as_array().unwrap();
    let studio = rows.iter().find(|row| row["team"] == "studio" && row["provider"] == "fal" && row["model"] == "ALL").unwrap();
    let figure = |side: &str, name: &str| amount(studio[side][name].as_str().unwrap());
    let doubled = figure("as_is", "all_credits_low").checked_add(figure("as_is", "all_credits_low"));
    assert_eq!(Some(figure("if", "all_credits_low")), doubled);
    assert!(rows.iter().all(|row| row["period_start"] == "2026-11-01"));

    let text = String::from_utf8(tieout(&["--fee", "0", "--month", "2026-11"]).stdout).unwrap();
    assert!(text.contains("as is") && text.contains("support"), "{text}");
    let csv = String::from_utf8(tieout(&["--scale", "1", "--csv"]).stdout).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let changes: Vec<String> = reader.records().map(|row| row.unwrap()[7].to_string()).collect();
    assert!(changes.len() > 100 && changes.iter().all(|change| change == "0" || change.is_empty()), "{changes:?}");
}

#[test]
fn whatif_shows_one_client_and_scales_it_alone() {
    let json = |arguments: &[&str]| {
        let output = tieout(&[arguments, &["--month", "2026-11", "--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        found["rows"].as_array().unwrap().iter().find(|row| row["team"] == "studio" && row["model"] == "ALL").unwrap().clone()
    };
    let figure = |row: &serde_json::Value, side: &str| amount(row[side]["all_credits_low"].as_str().unwrap());
    let [northwind, brightside] = ["northwind", "brightside"].map(|client| json(&["--client", client, "--scale", "2"]));
    for (client, row) in [("northwind", &northwind), ("brightside", &brightside)] {
        assert_eq!(row["client"], client);
        assert_eq!(Some(figure(row, "if")), figure(row, "as_is").checked_add(figure(row, "as_is")));
    }
    assert!(json(&["--scale", "2"])["client"].is_null());
    let text = String::from_utf8(tieout(&["--client", "northwind", "--fee", "0"]).stdout).unwrap();
    assert!(text.starts_with("The same usage of northwind as it is and as supposed"), "{text}");
    let csv = String::from_utf8(tieout(&["--client", "northwind", "--csv"]).stdout).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(reader.headers().unwrap().iter().next_back(), Some("client"));
    assert!(reader.records().all(|row| row.unwrap().iter().next_back() == Some("northwind")));
    // A plan is switched for a team, not for one of its clients.
    assert_eq!(tieout(&["--client", "northwind", "--switch-date", "2026-11-10"]).status.code(), Some(2));
}

#[test]
fn whatif_names_what_it_cannot_suppose() {
    for (arguments, said) in [
        (["--scale", "two"], "--scale: \"two\" is no number of at least 0"),
        (["--team", "nobody"], "--team: \"nobody\" used nothing in these days"),
        (["--month", "soon"], "--month: \"soon\" is no month"),
        (
            ["--client", "nobody"],
            "--client: \"nobody\" used nothing in these days\n\nhint: clients that did: brightside, northwind",
        ),
    ] {
        let output = tieout(&arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
