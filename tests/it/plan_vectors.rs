//! The sources' own figures (seed-economics.md section 3, TV01 to TV32), through the shipped plans and the
//! comparison of routes. Where a source contradicts itself (section 4), both of its figures stand here.

use std::path::Path;
use tieout::domain::fx::Rates;
use tieout::domain::money::{Amount, Currency};
use tieout::domain::period::{Days, parse_day};
use tieout::domain::plan::compare::Both;
use tieout::domain::plan::prepaid::{Draw, Lot, PoolMonth, draw_down};
use tieout::domain::plan::{
    Asked, Choice, Comparison, Component, Cost, Deposit, Ladder, Minimum, Plan, PlanError, Portion, Range, Rate, RateTier, Route,
    Settlement, Terms, Tier, UsageLine, compare,
};
use tieout::domain::usage::meter;

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

pub fn shipped(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("jobs/plans").join(format!("{name}.toml"));
    let text = std::fs::read_to_string(&path).unwrap();
    tieout::job::plans::parse(&path.display().to_string(), &text).unwrap()
}

fn terms(plan: &Plan, route: Route, offer: Option<&str>, day: &str) -> Terms {
    plan.terms(route, offer, None, parse_day(day).unwrap()).unwrap().clone()
}

/// Calls of one provider, without a price in any book.
pub fn used(unit: &str, count: i64) -> UsageLine {
    let meters = if unit == meter::REQUESTS { Vec::new() } else { vec![(unit.to_string(), Amount::whole(count))] };
    UsageLine {
        provider: "p".to_string(),
        model: "m".to_string(),
        requests: Amount::whole(count),
        meters,
        ..UsageLine::default()
    }
}

/// Usage with a list cost.
pub fn listed(requests: &str, list: &str) -> UsageLine {
    UsageLine { list_cost: Some(amount(list)), requests: amount(requests), ..used(meter::REQUESTS, 0) }
}

pub fn rate(unit: &str, price: Range) -> Rate {
    Rate {
        provider: None,
        model: None,
        meter: unit.to_string(),
        per: 1,
        tiers: vec![RateTier { from: Amount::ZERO, price }],
        graduated: false,
        in_credits: false,
    }
}

fn one(text: &str) -> Range {
    Range::exactly(amount(text))
}

fn november(name: &str, count: i64) -> Comparison {
    let plan = shipped(name);
    let (credits, byok) = (terms(&plan, Route::Credits, None, "2026-11-15"), terms(&plan, Route::Byok, None, "2026-11-15"));
    compare(&credits, &byok, &[used(&plan.unit, count)], &Asked::month(&plan.unit)).unwrap()
}

fn money(cost: &Cost) -> String {
    cost.cash().unwrap().with_places(2)
}

/// Low and high end, as money.
fn ends(both: &Both) -> [String; 2] {
    [money(&both.low), money(&both.high)]
}

fn saving(comparison: &Comparison) -> [String; 2] {
    let range = comparison.saving().unwrap();
    [range.low.with_places(2), range.high.with_places(2)]
}

fn break_even(comparison: &Comparison) -> (String, String) {
    let found = comparison.break_even(false).unwrap().unwrap();
    (found.volumes(), found.words())
}

#[test]
fn tv01_tv02_moodnode_saves_its_margin_and_nothing_else() {
    let month = november("moodnode", 1_000);
    assert_eq!((ends(&month.credits)[0].as_str(), ends(&month.byok)[0].as_str()), ("60.00", "40.00"));
    assert_eq!(saving(&month), ["20.00", "20.00"]);
    let components = month.components().unwrap();
    assert_eq!(components.into_iter().collect::<Vec<_>>(), [(Component::Markup, amount("20"))]);
    assert_eq!(amount("20").ratio(amount("40")).unwrap().to_string(), "0.5");
    assert_eq!(saving(&november("moodnode", 1)), ["0.02", "0.02"]);
    // "Under a few hundred generations credits are fine": not for want of a saving, there is one from the first image.
    assert_eq!(break_even(&month), ("none".to_string(), "always".to_string()));
}

#[test]
fn tv03_moodnode_fallback_is_a_saving_missed() {
    let plan = shipped("moodnode");
    let lines = [used("images", 700), used("images", 300)];
    let (credits, byok) = (terms(&plan, Route::Credits, None, "2026-11-15"), terms(&plan, Route::Byok, None, "2026-11-15"));
    let month = compare(&credits, &byok, &lines, &Asked::month("images")).unwrap();
    let parts: Vec<_> = month.lines.iter().map(|line| line.clone().unwrap()).collect();
    let (on_key, fell_back) = (&parts[0], &parts[1]);
    let paid = on_key.byok_low.cash().unwrap().checked_add(fell_back.credits_low.cash().unwrap()).unwrap();
    let all_credits = month.credits.low.cash().unwrap();
    assert_eq!((money(&on_key.byok_low), money(&fell_back.credits_low)), ("28.00".to_string(), "18.00".to_string()));
    assert_eq!(paid.with_places(2), "46.00");
    assert_eq!(all_credits.checked_sub(paid).unwrap().with_places(2), "14.00");
    let missed = fell_back.credits_low.cash().unwrap().checked_sub(fell_back.byok_low.cash().unwrap()).unwrap();
    assert_eq!(missed.with_places(2), "6.00");
}

#[test]
fn tv04_to_tv06_aniavatar_is_a_range() {
    for (count, credits, byok, saved) in [
        (50, ["29.00", "49.00"], ["2.00", "4.00"], ["25.00", "47.00"]),
        (200, ["49.00", "99.00"], ["8.00", "16.00"], ["33.00", "91.00"]),
        (500, ["99.00", "199.00"], ["20.00", "40.00"], ["59.00", "179.00"]),
    ] {
        let month = november("aniavatar", count);
        assert_eq!(
            (ends(&month.credits), ends(&month.byok), saving(&month)),
            (credits.map(String::from), byok.map(String::from), saved.map(String::from))
        );
        // The low end of the saving is all markup: the dearer provider price is the base of both routes.
        let components = month.components().unwrap();
        assert_eq!(components.into_iter().collect::<Vec<_>>(), [(Component::Markup, amount(saved[0]))]);
    }
    // The table ends at 500: more has no price there, and none is made up.
    let plan = shipped("aniavatar");
    let (credits, byok) = (terms(&plan, Route::Credits, None, "2026-11-15"), terms(&plan, Route::Byok, None, "2026-11-15"));
    let beyond = compare(&credits, &byok, &[used("images", 501)], &Asked::month("images"));
    assert_eq!(beyond, Err(PlanError::Beyond { volume: Amount::whole(501), last: Amount::whole(500) }));
}

#[test]
fn tv07_aniavatar_by_the_image() {
    let plan = shipped("aniavatar");
    let credits = terms(&plan, Route::Credits, Some("per-image"), "2026-11-15");
    let own = Terms { rates: vec![rate("images", one("0.04"))], ..Terms::free(Route::Byok) };
    let image = compare(&credits, &own, &[used("images", 1)], &Asked::month("images")).unwrap();
    let (dear, raw) = (image.credits.low.cash().unwrap(), image.byok.low.cash().unwrap());
    assert_eq!(dear.ratio(raw).unwrap().to_string(), "7.5");
    assert_eq!(image.saving().unwrap().low.ratio(raw).unwrap().to_string(), "6.5");
    assert_eq!(saving(&image), ["0.26", "0.26"]);
}

#[test]
fn tv08_euros_are_not_added_to_dollars() {
    let euros =
        Terms { rates: vec![rate("images", Range { low: amount("0.04"), high: amount("0.10") })], ..Terms::free(Route::Byok) };
    let day = parse_day("2026-11-30").unwrap();
    let none = euros.in_currency(&Rates::default(), Currency::EUR, Currency::USD, day).unwrap_err();
    assert_eq!(none.to_string(), "no rate from EUR to USD for 2026-11-30 or the 7 days before it");
    let mut rates = Rates::default();
    rates.rates.insert((Currency::EUR, Currency::USD, parse_day("2026-11-27").unwrap()), "1.10".parse().unwrap());
    let dollars = euros.in_currency(&rates, Currency::EUR, Currency::USD, day).unwrap();
    let credits = Terms { rates: vec![rate("images", one("0.30"))], ..Terms::free(Route::Credits) };
    let month = compare(&credits, &dollars, &[used("images", 10)], &Asked::month("images")).unwrap();
    assert_eq!(ends(&month.byok), ["0.44", "1.10"]);
}

#[test]
fn tv09_aniavatars_threshold_is_no_break_even_in_money() {
    let flat = Ladder { tiers: vec![Tier { included: None, price: one("29"), overage: None }], choice: Choice::Fits };
    let credits = Terms { subscription: Some(flat), ..Terms::free(Route::Credits) };
    let byok = terms(&shipped("aniavatar"), Route::Byok, None, "2026-11-15");
    let month = compare(&credits, &byok, &[used("images", 50)], &Asked::month("images")).unwrap();
    let found = month.break_even(false).unwrap().unwrap();
    assert_eq!(found.volumes(), "362.5");
    assert_eq!(found.words(), "n < 362.5; at best n < 725");
    assert_eq!(found.distance(), Some(amount("-312.5")));
    // Its own "20 to 30 images a month" lies where own keys have been cheaper all along.
    for stated in 1..=30 {
        assert!(found.certain.holds(amount(&stated.to_string()).into()));
    }
}

#[test]
fn tv10_logicmint_breaks_even_at_exactly_2000() {
    let month = november("logicmint", 2_000);
    assert_eq!((ends(&month.credits)[0].clone(), ends(&month.byok)[0].clone()), ("120.00".to_string(), "120.00".to_string()));
    assert_eq!(break_even(&month), ("2000".to_string(), "n > 2000".to_string()));
    assert_eq!(month.break_even(false).unwrap().unwrap().distance(), Some(Amount::ZERO));
    assert_eq!(saving(&november("logicmint", 2_001)), ["0.01", "0.01"]);
    assert_eq!(saving(&november("logicmint", 1_999)), ["-0.01", "-0.01"]);
}

#[test]
fn tv11_without_a_markup_there_is_no_break_even() {
    let plan = shipped("logicmint");
    let credits = Terms { rates: vec![rate("builds", one("0.05"))], ..Terms::free(Route::Credits) };
    let byok = terms(&plan, Route::Byok, None, "2026-11-15");
    let month = compare(&credits, &byok, &[used("builds", 5_000)], &Asked::month("builds")).unwrap();
    assert_eq!(break_even(&month), ("none".to_string(), "never".to_string()));
    assert_eq!(month.break_even(false).unwrap().unwrap().distance(), None);
}

#[test]
fn tv12_tv13_tv15_kompozys_three_sizes() {
    for (count, managed, byok, saved) in [
        (500, ["49.00", "49.00"], "45.00", ["4.00", "4.00"]),
        (2_000, ["149.00", "149.00"], "120.00", ["29.00", "29.00"]),
        (10_000, ["600.00", "800.00"], "420.00", ["180.00", "380.00"]),
    ] {
        let month = november("kompozy", count);
        assert_eq!(ends(&month.credits), managed);
        assert_eq!(ends(&month.byok), [byok, byok]);
        assert_eq!(saving(&month), saved);
    }
    // Contradiction 3: "saves 20 to 40 %" against its own sizes.
    let part = |saved: &str, of: &str| amount(saved).ratio(amount(of)).unwrap().rounded(4).to_string();
    assert_eq!(
        [part("4", "49"), part("29", "149"), part("180", "600"), part("380", "800")],
        ["0.0816", "0.1946", "0.3", "0.475"]
    );
    // At 500 the flat fee takes most of the markup.
    let components: Vec<_> = november("kompozy", 500).components().unwrap().into_iter().collect();
    assert_eq!(components, [(Component::Markup, amount("24")), (Component::FlatFee, amount("-20"))]);
}

#[test]
fn tv12_and_tv14_the_verdict_hangs_on_the_wage() {
    let plan = shipped("kompozy");
    let managed = terms(&plan, Route::Credits, None, "2026-11-15");
    let all_in = |count: i64, hours: &str, wage: Amount| {
        let byok = Terms { ops_hours: one(hours), ..terms(&plan, Route::Byok, None, "2026-11-15") };
        let asked = Asked { wage: Some(wage), ..Asked::month("requests") };
        let month = compare(&managed, &byok, &[used("requests", count)], &asked).unwrap();
        // The hours are in the all-in figure only.
        assert_eq!(month.saving().unwrap(), november("kompozy", count).saving().unwrap());
        month.all_in_saving().unwrap().low
    };
    assert!(all_in(2_000, "2", amount("14.50")).is_zero());
    let tie = amount("29").ratio(amount("3")).unwrap();
    assert_eq!(tie.to_string(), "9.666666666666666667");
    assert_eq!(all_in(2_000, "3", tie), Amount::from_atto(-1));
    // Contradiction 4: "managed wins" at 500 only once the hours cost more than the 4.00 that cash saves.
    assert!(all_in(500, "2", amount("2")).is_zero());
    assert!(all_in(500, "2", amount("2.01")).is_negative());
    assert!(!all_in(500, "2", amount("1.99")).is_negative());
    // Without a wage nobody knows, and cash and all-in are the same.
    let month = november("kompozy", 500);
    assert_eq!(month.saving(), month.all_in_saving());
}

#[test]
fn tv16_the_founding_price_loses_at_500() {
    let plan = shipped("kompozy");
    let managed = terms(&plan, Route::Credits, None, "2026-11-15");
    let founding =
        |signed_up: &str| plan.terms(Route::Byok, Some("founding"), parse_day(signed_up), parse_day("2026-11-15").unwrap());
    assert_eq!(founding("2026-09-01"), None);
    let founding = founding("2026-08-31").unwrap();
    for (count, byok, saved) in
        [(500, "64.00", ["-15.00", "-15.00"]), (2_000, "139.00", ["10.00", "10.00"]), (10_000, "439.00", ["161.00", "361.00"])]
    {
        let month = compare(&managed, founding, &[used("requests", count)], &Asked::month("requests")).unwrap();
        assert_eq!((ends(&month.byok)[0].as_str(), saving(&month)), (byok, saved.map(String::from)));
    }
}

#[test]
fn tv17_tv18_kompozys_markup_is_not_what_it_says() {
    let mut implied = Vec::new();
    for (count, api) in [(500, "25"), (2_000, "100"), (10_000, "400")] {
        let month = november("kompozy", count);
        for end in [&month.credits.low, &month.credits.high] {
            let over = |less: &str| end.cash().unwrap().checked_sub(amount(less)).unwrap().ratio(amount(api)).unwrap();
            implied.push((over(api).to_string(), over(&amount(api).checked_add(amount("20")).unwrap().to_string()).to_string()));
        }
    }
    let expected = [("0.96", "0.16"), ("0.96", "0.16"), ("0.49", "0.29"), ("0.49", "0.29"), ("0.5", "0.45"), ("1", "0.95")];
    assert_eq!(implied, expected.map(|(gross, net)| (gross.to_string(), net.to_string())));
    // Contradiction 2: stated is 20 to 40 %; only the size of 2,000, net of the fee, lies inside.
    let plan = shipped("kompozy");
    let stated = terms(&plan, Route::Credits, Some("marked-up"), "2026-11-15");
    let byok = terms(&plan, Route::Byok, None, "2026-11-15");
    let cost = |api: &str| ends(&compare(&stated, &byok, &[listed("1", api)], &Asked::month("requests")).unwrap().credits);
    assert_eq!([cost("25"), cost("100"), cost("400")], [["50.00", "55.00"], ["140.00", "160.00"], ["500.00", "580.00"]]);
}

#[test]
fn tv19_kompozys_two_break_evens_disagree() {
    let tier = |included: i64, price: &str| Tier { included: Some(Amount::whole(included)), price: one(price), overage: None };
    let line = Ladder { tiers: vec![tier(500, "49"), tier(2_000, "149")], choice: Choice::Line };
    let managed = Terms { subscription: Some(line), ..Terms::free(Route::Credits) };
    // Where managed credits cost 80: own keys that cost a little less than 80, at any volume.
    let eighty = Terms { flat_fee: one("80"), rates: vec![rate("requests", one("0"))], ..Terms::free(Route::Byok) };
    let month = compare(&managed, &eighty, &[used("requests", 965)], &Asked::month("requests")).unwrap();
    assert_eq!(money(&month.credits.low), "80.00");
    assert_eq!(break_even(&month), ("965".to_string(), "n > 965 (up to 2000)".to_string()));
    // Stated are both 2,000 generations and 80 a month. From its own sizes there is no break-even in money at all,
    // and with the founding fee there are two.
    assert_eq!(break_even(&november("kompozy", 2_000)), ("none".to_string(), "always (up to 10000)".to_string()));
    let plan = shipped("kompozy");
    let managed = terms(&plan, Route::Credits, None, "2026-11-15");
    let founding = terms(&plan, Route::Byok, Some("founding"), "2026-11-15");
    let month = compare(&managed, &founding, &[used("requests", 400)], &Asked::month("requests")).unwrap();
    assert_eq!(break_even(&month), ("200;500".to_string(), "n < 200 or n > 500 (up to 10000)".to_string()));
    assert_eq!(month.break_even(false).unwrap().unwrap().distance(), Some(amount("-100")));
    // With an hour at 14.50 it is the stated 2,000 at which two hours eat the saving of that size.
    let asked = Asked { wage: Some(amount("14.50")), ..Asked::month("requests") };
    let byok = Terms { ops_hours: one("2"), ..terms(&plan, Route::Byok, None, "2026-11-15") };
    let month = compare(&managed, &byok, &[used("requests", 2_000)], &asked).unwrap();
    let all_in = month.break_even(true).unwrap().unwrap();
    assert_eq!(
        (all_in.volumes(), all_in.words()),
        ("500;2000".to_string(), "500 < n < 2000 or n > 2000 (up to 10000)".to_string())
    );
}

#[test]
fn tv20_tv21_a_podcast_and_a_weekend() {
    assert_eq!(Amount::whole(30).times(Amount::whole(4)), Some(Amount::whole(120)));
    let at = |text: &str| tieout::domain::period::parse_instant(text).unwrap();
    let hours = (at("2026-11-16T09:00:00Z") - at("2026-11-13T20:00:00Z")).num_hours();
    assert_eq!(hours, 61);
    assert_eq!(amount("400").ratio(Amount::whole(hours)).unwrap().rounded(3).to_string(), "6.557");
    // One such weekend is what the largest size pays its providers in a whole month.
    let api = november("kompozy", 10_000).byok.low.base;
    assert_eq!(api, amount("400"));
}

#[test]
fn tv22_flo2_markup_on_a_month_of_tokens() {
    let plan = shipped("flo2");
    let (credits, byok) = (terms(&plan, Route::Credits, None, "2026-11-15"), terms(&plan, Route::Byok, None, "2026-11-15"));
    let month = compare(&credits, &byok, &[listed("30", "90")], &Asked::month("list_cost")).unwrap();
    assert_eq!((ends(&month.byok), saving(&month)), (["90.00", "90.00"].map(String::from), ["4.50", "9.00"].map(String::from)));
    assert_eq!(break_even(&month), ("none".to_string(), "always".to_string()));
}

#[test]
fn tv23_discount_and_markup_are_reported_apart() {
    let credits = Terms { percent: Some(one("0.05")), ..Terms::free(Route::Credits) };
    let line = UsageLine { contracted_cost: Some(amount("78")), ..listed("1", "100") };
    let month = compare(&credits, &Terms::free(Route::Byok), &[line], &Asked::month("list_cost")).unwrap();
    assert_eq!((ends(&month.credits)[0].as_str(), ends(&month.byok)[0].as_str()), ("105.00", "78.00"));
    let components: Vec<_> = month.components().unwrap().into_iter().collect();
    assert_eq!(components, [(Component::Markup, amount("5")), (Component::Discount, amount("22"))]);
    assert_eq!(saving(&month), ["27.00", "27.00"]);
}

#[test]
fn tv24_openrouters_deposit_fee_has_a_minimum() {
    let credits = terms(&shipped("openrouter"), Route::Credits, None, "2026-11-15");
    let fee = |list: &str| {
        let month = compare(&credits, &Terms::free(Route::Byok), &[listed("1", list)], &Asked::month("list_cost")).unwrap();
        month.credits.low.part(Component::DepositFee).with_places(2)
    };
    let fees = ["0", "5", "14", "15", "100", "1000"].map(fee);
    assert_eq!(fees, ["0.00", "0.80", "0.80", "0.825", "5.50", "55.00"]);
    assert_eq!(amount("0.80").ratio(amount("0.055")).unwrap().to_string(), "14.545454545454545455");
    // Two deposits in the month: the minimum counts twice.
    let twice = Asked { deposits: 2, ..Asked::month("list_cost") };
    let month = compare(&credits, &Terms::free(Route::Byok), &[listed("1", "15")], &twice).unwrap();
    assert_eq!(month.credits.low.part(Component::DepositFee).with_places(2), "1.60");
    assert_eq!(credits.deposit.and_then(|deposit: Deposit| deposit.fee(amount("15"))), Some(amount("0.825")));
    // Against own keys with a fixed fee of 0.80 the crossing is the exact fraction.
    let fixed = Terms { flat_fee: one("0.80"), ..Terms::free(Route::Byok) };
    let month = compare(&credits, &fixed, &[listed("1", "20")], &Asked::month("list_cost")).unwrap();
    assert_eq!(break_even(&month), ("14.545454545454545455".to_string(), "n > 14.545455".to_string()));
}

#[test]
fn tv25_to_tv27_openrouters_fee_and_allowances() {
    let plan = shipped("openrouter");
    let credits = terms(&plan, Route::Credits, None, "2026-11-15");
    let free = Asked::month("list_cost");
    let fee = |offer: Option<&str>, day: &str, requests: &str, list: &str| {
        let byok = terms(&plan, Route::Byok, offer, day);
        let month = compare(&credits, &byok, &[listed(requests, list)], &free).unwrap();
        month.byok.low.part(Component::ByokPlatformFee).to_string()
    };
    // TV25: 19.00 upstream is 0.95 of fee, 19.95 in all, before what buying the credits for the fee costs.
    assert_eq!(fee(None, "2025-09-30", "10", "19"), "0.95");
    let byok = Terms { deposit: None, ..terms(&plan, Route::Byok, None, "2025-09-30") };
    let month = compare(&credits, &byok, &[listed("10", "19")], &free).unwrap();
    assert_eq!(money(&month.byok.low), "19.95");
    // TV26: inside the allowance nothing but the provider's own charge, and no deposit either.
    let byok = terms(&plan, Route::Byok, None, "2026-11-15");
    let month = compare(&credits, &byok, &[listed("1", "0.0360795")], &free).unwrap();
    assert_eq!(month.byok.low.cash(), Some(amount("0.0360795")));
    // TV27: on credits the upstream cost is the whole cost, never twice it.
    let bare = Terms { deposit: None, ..credits.clone() };
    let month = compare(&bare, &byok, &[listed("1", "0.0036")], &free).unwrap();
    assert_eq!(month.credits.low.cash(), Some(amount("0.0036")));
    // The allowance by day: none, by calls, by list cost; and another for an enterprise.
    assert_eq!(fee(None, "2025-10-01", "1000000", "40000"), "0");
    assert_eq!(fee(None, "2025-10-01", "2000000", "40000"), "1000");
    assert_eq!(fee(None, "2026-08-09", "2000000", "40000"), "1000");
    assert_eq!(fee(None, "2026-08-10", "2000000", "40000"), "750");
    assert_eq!(fee(None, "2026-08-10", "2000000", "25000"), "0");
    assert_eq!(fee(Some("enterprise"), "2026-08-10", "1", "210000"), "500");
    let november = plan.spans(
        Route::Byok,
        None,
        None,
        Days { from: parse_day("2026-08-01").unwrap(), to: parse_day("2026-09-01").unwrap() },
    );
    assert_eq!(
        november.iter().map(|(days, _)| Portion::of(*days)).collect::<Vec<_>>(),
        [Portion { from: 0, to: 9, of: 31 }, Portion { from: 9, to: 31, of: 31 }]
    );
}

#[test]
fn tv28_tv29_a_switch_in_the_middle_of_a_month() {
    let (before, after) = (Portion { from: 0, to: 12, of: 30 }, Portion { from: 12, to: 30, of: 30 });
    let managed = Ladder { tiers: vec![Tier { included: None, price: one("149"), overage: None }], choice: Choice::Fits };
    let credits = Terms { subscription: Some(managed), unused: Settlement::Refund, ..Terms::free(Route::Credits) };
    let byok = Terms { flat_fee: one("20"), ..Terms::free(Route::Byok) };
    let asked = Asked { credits_days: before, byok_days: after, ..Asked::month("requests") };
    // Sixty of usage after the switch; the subscription before it.
    let first = compare(&credits, &byok, &[UsageLine { list_cost: Some(Amount::ZERO), ..listed("5", "0") }], &asked).unwrap();
    let second = compare(&credits, &byok, &[listed("5", "60")], &asked).unwrap();
    let managed = first.credits.low.cash().unwrap();
    let own = second.byok.low.cash().unwrap();
    assert_eq!((managed.with_places(2), own.with_places(2)), ("59.60".to_string(), "72.00".to_string()));
    assert_eq!(managed.checked_add(own).unwrap().with_places(2), "131.60");
    let refund = credits.unused.settle(after.share(amount("149"), 2).unwrap());
    assert_eq!(refund.refunded.with_places(2), "89.40");
    // TV29.
    let (ten, rest) = (Portion { from: 0, to: 10, of: 31 }, Portion { from: 10, to: 31, of: 31 });
    let parts = [ten, rest].map(|days| days.share(amount("49"), 2).unwrap().with_places(2));
    assert_eq!(parts, ["15.81", "33.19"]);
    let exact = [ten, rest].map(|days| days.share(amount("49"), 18).unwrap().to_string());
    assert_eq!(exact, ["15.806451612903225806", "33.193548387096774194"]);
}

#[test]
fn tv30_idle_credits_are_held_and_expired_ones_are_lost() {
    let day = |text: &str| parse_day(text).unwrap();
    let lots = [
        Lot { day: day("2025-11-20"), units: amount("5"), expires: Some(day("2026-11-20")), granted: false },
        Lot { day: day("2026-11-02"), units: amount("45"), expires: Some(day("2027-11-02")), granted: false },
    ];
    let november = Days { from: day("2026-11-01"), to: day("2026-12-01") };
    // The older five are untouched until they expire: all use comes after it.
    let pool = draw_down(&lots, &[(day("2026-11-21"), Draw::Use(amount("31.20")))], november).unwrap();
    let expected = PoolMonth {
        opening: amount("5"),
        purchased: amount("45"),
        used: amount("31.20"),
        expired: amount("5"),
        closing: amount("13.80"),
        ..PoolMonth::default()
    };
    assert_eq!(pool, expected);
    let asked = Asked { expired: pool.expired, ..Asked::month("list_cost") };
    let month = compare(&Terms::free(Route::Credits), &Terms::free(Route::Byok), &[listed("1", "31.20")], &asked).unwrap();
    assert_eq!((money(&month.credits.low), saving(&month)[0].as_str()), ("36.20".to_string(), "5.00"));
    assert_eq!(month.components().unwrap().into_iter().collect::<Vec<_>>(), [(Component::IdleOrExpired, amount("5"))]);
}

#[test]
fn tv31_a_minimum_eats_the_saving() {
    let minimum = vec![Minimum { provider: Some("p".to_string()), amount: amount("10") }];
    let byok = Terms { minimums: minimum, ..Terms::free(Route::Byok) };
    let credits = Terms { percent: Some(one("0.5")), ..Terms::free(Route::Credits) };
    let month = compare(&credits, &byok, &[listed("1", "6.40")], &Asked::month("list_cost")).unwrap();
    assert_eq!((money(&month.byok.low), saving(&month)[0].as_str()), ("10.00".to_string(), "-0.40"));
    let components: Vec<_> = month.components().unwrap().into_iter().collect();
    assert_eq!(components, [(Component::Markup, amount("3.2")), (Component::Minimum, amount("-3.6"))]);
    // Credits of 1.5 times the usage reach the minimum at 6.66…, and the usage itself at 10.
    assert_eq!(break_even(&month), ("6.666666666666666667".to_string(), "n > 6.666667".to_string()));
}

#[test]
fn tv32_a_flat_fee_over_three_equal_teams() {
    let byok = Terms { flat_fee: one("100"), ..Terms::free(Route::Byok) };
    let lines = [listed("1", "7"), listed("1", "7"), listed("1", "7")];
    let month = compare(&Terms::free(Route::Credits), &byok, &lines, &Asked::month("list_cost")).unwrap();
    let fees: Vec<String> = month.lines.iter().flatten().map(|line| line.byok_low.part(Component::FlatFee).to_string()).collect();
    assert_eq!(fees, ["33.333333333333333334", "33.333333333333333333", "33.333333333333333333"]);
    let cents = amount("100").split(&[Amount::ONE; 3], 2).unwrap();
    assert_eq!(cents.iter().map(|part| part.with_places(2)).collect::<Vec<_>>(), ["33.34", "33.33", "33.33"]);
}

#[test]
fn contradictions_of_the_sources_stand_beside_what_their_figures_give() {
    // 7: "a few hundred", "20 to 30" and "2,000" are break-evens of three different sets of terms, and no constant.
    let of = |name: &str, count: i64| break_even(&november(name, count)).1;
    assert_eq!(of("moodnode", 300), "always");
    assert_eq!(of("aniavatar", 30), "always (up to 500)");
    assert_eq!(of("logicmint", 300), "n > 2000");
}
