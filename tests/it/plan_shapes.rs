//! Every shape of price in seed-economics.md section 2 as data, with the figure that it must give. Shapes that are
//! no price (keys, caps, spikes, clients) live elsewhere.

use crate::plan_vectors::{amount, listed, used};
use tieout::domain::money::Amount;
use tieout::domain::period::parse_day;
use tieout::domain::plan::{Asked, Comparison, Component, Plan, PlanError, Portion, Route, Settlement, UsageLine, compare};

fn plan(unit: &str, terms: &str) -> Plan {
    let text = format!("name = \"p\"\ncurrency = \"USD\"\nunit = \"{unit}\"\nchecked = 2026-11-18\nsource = \"a test\"\n{terms}");
    tieout::job::plans::parse("plan.toml", &text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

fn try_month(unit: &str, terms: &str, usage: &[UsageLine]) -> Result<Comparison, PlanError> {
    let plan = plan(unit, terms);
    let of = |route: Route| plan.terms(route, None, None, parse_day("2026-11-15").unwrap()).unwrap();
    compare(of(Route::Credits), of(Route::Byok), usage, &Asked::month(unit))
}

/// What credits and own keys cost in November.
fn month(unit: &str, terms: &str, usage: &[UsageLine]) -> [String; 2] {
    let month = try_month(unit, terms, usage).unwrap();
    [&month.credits.low, &month.byok.low].map(|cost| cost.cash().unwrap().to_string())
}

fn with(line: UsageLine, meters: &[(&str, i64)]) -> UsageLine {
    let meters = meters.iter().map(|(meter, count)| (meter.to_string(), Amount::whole(*count))).collect();
    UsageLine { meters, ..line }
}

#[test]
fn flat_fee_and_orchestration() {
    // S2, S6: a fee beside the providers' price, on either side.
    let terms = "[[credits]]\nflat_fee = \"20\"\npercent = \"40\"\n[[byok]]\nflat_fee = \"20\"\n";
    assert_eq!(month("requests", terms, &[listed("500", "25")]), ["55", "45"]);
}

#[test]
fn a_subscription_with_overage() {
    // S4.
    let terms = "[[credits]]\ntier = [{ included = 500, price = \"49\", overage = \"0.10\" }]\n[[byok]]\n";
    let at =
        |count: i64| month("images", terms, &[UsageLine { list_cost: Some(amount("1")), ..used("images", count) }])[0].clone();
    assert_eq!([at(1), at(500), at(501), at(600)], ["49", "49", "49.1", "59"]);
    let cheapest = "[[credits]]\ntier_choice = \"cheapest\"\ntier = [{ included = 500, price = \"49\", overage = \"0.10\" }, \
                    { included = 1000, price = \"79\" }]\n[[byok]]\n";
    let at =
        |count: i64| month("images", cheapest, &[UsageLine { list_cost: Some(amount("1")), ..used("images", count) }])[0].clone();
    assert_eq!([at(500), at(800), at(801), at(1000)], ["49", "79", "79", "79"]);
    assert_eq!(at(700), "69");
}

#[test]
fn tiers_for_all_units_or_for_those_inside() {
    // S7.
    let tiers = "tier = [{ from = 0, price = \"0.05\" }, { from = 10000, price = \"0.04\" }]";
    for (graduated, at_edge) in [("false", "400"), ("true", "500")] {
        let terms = format!("[[credits]]\nrate = [{{ meter = \"images\", graduated = {graduated}, {tiers} }}]\n[[byok]]\n");
        let at = |count: i64| {
            month("images", &terms, &[UsageLine { list_cost: Some(amount("1")), ..used("images", count) }])[0].clone()
        };
        assert_eq!((at(9_999), at(10_000)), ("499.95".to_string(), at_edge.to_string()));
    }
}

#[test]
fn blended_routing_has_one_price_and_many_costs() {
    // S15, S34: one credit price over two upstream models; the effective rate is neither's.
    let terms = "[[credits]]\nrate = [{ meter = \"images\", price = \"0.06\" }]\n[[byok]]\n";
    let image = |list: &str| UsageLine { list_cost: Some(amount(list)), ..used("images", 100) };
    assert_eq!(month("images", terms, &[image("4"), image("2.5")]), ["12", "6.5"]);
}

#[test]
fn a_negotiated_discount_is_an_accounts_or_a_keys() {
    // S16: of one account and key; the book's own contracted price goes before.
    let terms = "[[credits]]\npercent = \"5\"\n[[byok]]\n[[byok.discount]]\naccount = \"a\"\npercent = \"10\"\n\
                 [[byok.discount]]\naccount = \"a\"\napi_key_id = \"k\"\npercent = \"22\"\n";
    let of = |account: &str, key: Option<&str>, contracted: Option<&str>| {
        let line = UsageLine {
            account: account.to_string(),
            api_key_id: key.map(str::to_string),
            contracted_cost: contracted.map(amount),
            ..listed("1", "100")
        };
        month("requests", terms, &[line])[1].clone()
    };
    assert_eq!([of("b", Some("k"), None), of("a", None, None), of("a", Some("k"), Some("100"))], ["100", "90", "78"]);
    assert_eq!(of("a", Some("k"), Some("70")), "70");
}

#[test]
fn video_is_paid_by_the_second_and_builds_by_the_build() {
    // S19, S20: never by tokens; a second meter of the call without a rate leaves the call without a price.
    let terms = "[[credits]]\nrate = [{ provider = \"p\", model = \"veo\", meter = \"video_seconds\", price = \"0.75\" }, \
                 { meter = \"builds\", price = \"2\" }]\n[[byok]]\n";
    let call = |model: &str, meters: &[(&str, i64)]| {
        let line = UsageLine { model: model.to_string(), ..with(listed("1", "3"), meters) };
        let month = try_month("requests", terms, &[line]).unwrap();
        (month.not_comparable(), month.credits.low.cash().unwrap().to_string())
    };
    assert_eq!(call("veo", &[("video_seconds", 8)]), (0, "6".to_string()));
    assert_eq!(call("veo", &[("builds", 3)]), (0, "6".to_string()));
    assert_eq!(call("kling", &[("video_seconds", 8)]), (1, "0".to_string()));
    assert_eq!(call("veo", &[("video_seconds", 8), ("input_tokens", 5)]), (1, "0".to_string()));
}

#[test]
fn credits_are_a_unit_with_a_dated_price() {
    // S21: a promotion halves the price of a credit for two weeks.
    let terms = "[[credits]]\nto = 2026-11-01\ncredit_price = \"0.01\"\nrate = [{ meter = \"images\", price = \"6\", in_credits = true }]\n\
                 [[credits]]\nfrom = 2026-11-01\nto = 2026-11-16\ncredit_price = \"0.005\"\nrate = [{ meter = \"images\", price = \"6\", \
                 in_credits = true }]\n[[credits]]\nfrom = 2026-11-16\ncredit_price = \"0.01\"\n[[byok]]\n";
    let own = UsageLine { list_cost: Some(amount("1")), ..used("images", 100) };
    assert_eq!(month("images", terms, std::slice::from_ref(&own))[0], "3");
    // What the ledger says was debited goes before the rate.
    let debited = UsageLine { credits: Some(amount("500")), ..own };
    assert_eq!(month("images", terms, &[debited])[0], "2.5");
    let spans = plan("images", terms);
    let day = |text: &str| parse_day(text).unwrap();
    let days = tieout::domain::period::Days { from: day("2026-10-20"), to: day("2026-12-01") };
    let prices: Vec<_> = spans
        .spans(Route::Credits, None, None, days)
        .iter()
        .map(|(days, terms)| {
            (days.from.to_string(), terms.and_then(|terms| terms.credit_price).map(|price| price.low.to_string()))
        })
        .collect();
    let expected = [("2026-10-20", "0.01"), ("2026-11-01", "0.005"), ("2026-11-16", "0.01")];
    assert_eq!(prices, expected.map(|(day, price)| (day.to_string(), Some(price.to_string()))));
}

#[test]
fn packs_are_bought_whole() {
    // L2: the last pack is paid for whatever is left of it.
    let terms = "[[credits]]\npack = { units = 1000, price = \"50\" }\n[[byok]]\n";
    let at =
        |count: i64| month("images", terms, &[UsageLine { list_cost: Some(amount("1")), ..used("images", count) }])[0].clone();
    assert_eq!([at(1), at(1_000), at(1_001)], ["50", "50", "100"]);
    // Far beyond any step that is looked at one by one, the two lines around the steps still decide.
    let cheap = UsageLine { list_cost: Some(amount("100")), ..used("images", 10_000) };
    let found = try_month("images", terms, &[cheap]).unwrap().break_even(false).unwrap().unwrap();
    assert_eq!((found.volumes(), found.words()), ("none".to_string(), "always".to_string()));
}

#[test]
fn a_step_at_the_provider_is_not_paid_twice() {
    // S26: 22 a month for 100,000 characters in place of their list price, 0.0003 each beyond.
    let terms = "[[credits]]\npercent = \"0\"\n[[byok]]\nstep = [{ provider = \"p\", meter = \"characters\", tier = [{ included = 100000, \
                 price = \"22\", overage = \"0.0003\" }] }]\n";
    let spoken = |count: i64, list: &str| with(listed("1", list), &[("characters", count)]);
    let at = try_month("requests", terms, &[spoken(120_000, "36"), listed("1", "5")]).unwrap();
    assert_eq!(at.byok.low.cash(), Some(amount("33")));
    assert_eq!(at.components().unwrap().into_iter().collect::<Vec<_>>(), [(Component::SubscriptionStep, amount("8"))]);
    // The call without characters bears nothing of it.
    let shares: Vec<_> = at.lines.iter().flatten().map(|line| line.byok_low.cash().unwrap().to_string()).collect();
    assert_eq!(shares, ["28", "5"]);
}

#[test]
fn the_bank_and_the_value_of_the_rest() {
    // S23, S32: 1.5 % of what is paid; ten of the fee is for storage, and never more than the fee.
    let terms = "[[credits]]\npercent = \"0\"\nflat_fee = \"49\"\nvalue = \"10\"\nfx_percent = \"1.5\"\n[[byok]]\n";
    let at = try_month("requests", terms, &[listed("1", "51")]).unwrap();
    let parts: Vec<_> = at.components().unwrap().into_iter().collect();
    assert_eq!(parts, [(Component::FlatFee, amount("49")), (Component::Fx, amount("1.5")), (Component::Other, amount("-10"))]);
    let generous = terms.replace("value = \"10\"", "value = \"100\"").replace("fx_percent = \"1.5\"\n", "");
    assert_eq!(month("requests", &generous, &[listed("1", "51")]), ["51", "51"]);
}

#[test]
fn a_minimum_of_a_provider_that_is_not_used_costs_nothing() {
    // S10: per provider, and of the whole route.
    let terms = "[[credits]]\npercent = \"0\"\nminimum = [{ amount = \"30\" }]\n[[byok]]\nminimum = [{ provider = \"p\", amount = \"10\" }, \
                 { provider = \"q\", amount = \"7\" }]\n";
    assert_eq!(month("requests", terms, &[listed("1", "6.40")]), ["30", "10"]);
    let other = UsageLine { provider: "q".to_string(), ..listed("1", "8") };
    assert_eq!(month("requests", terms, &[listed("1", "6.40"), other]), ["30", "18"]);
}

#[test]
fn a_trial_ends_and_what_is_held_costs_nothing() {
    // S14, S25: free until a day; a balance that must stay.
    let terms = "[[credits]]\npercent = \"0\"\nminimum_balance = \"500\"\nunused = \"refund\"\n\
                 [[byok]]\nto = 2026-11-15\n[[byok]]\nfrom = 2026-11-15\nflat_fee = \"30\"\n";
    assert_eq!(month("requests", terms, &[listed("1", "6")]), ["6", "36"]);
    let plan = plan("requests", terms);
    assert_eq!((plan.credits[0].minimum_balance, plan.credits[0].unused), (amount("500"), Settlement::Refund));
    // Half of November under the fee.
    let fee = plan.byok[1].flat_fee.low;
    assert_eq!(Portion { from: 14, to: 30, of: 30 }.share(fee, 2), Some(amount("16")));
}

#[test]
fn what_has_no_price_on_a_route_is_counted_and_left_out_of_both() {
    let terms = "[[credits]]\nrate = [{ meter = \"images\", price = \"0.06\" }]\n[[byok]]\nflat_fee = \"1\"\n";
    let priced = UsageLine { list_cost: Some(amount("4")), ..used("images", 100) };
    let lines = [priced, listed("5", "7"), used("images", 3)];
    let at = try_month("images", terms, &lines).unwrap();
    assert_eq!((at.not_comparable(), at.volume), (2, Amount::whole(100)));
    assert_eq!(at.lines.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((at.credits.low.cash(), at.byok.low.cash()), (Some(amount("6")), Some(amount("5"))));
    // Nothing at all to compare: fees remain, and there is no volume that could break even.
    let none = try_month("images", terms, &[]).unwrap();
    assert_eq!((none.byok.low.cash(), none.break_even(false)), (Some(amount("1")), Ok(None)));
}

#[test]
fn huge_and_tiny_figures_are_exact_or_refused() {
    let terms = "[[credits]]\nrate = [{ meter = \"images\", per = 1000000000, price = \"0.000000000001\" }]\n[[byok]]\n";
    let line = UsageLine { list_cost: Some(Amount::from_atto(1)), ..used("images", 999_999_999_999) };
    let at = try_month("images", terms, &[line]).unwrap();
    assert_eq!(at.credits.low.cash().unwrap().to_string(), "0.000000001");
    let long = "[[credits]]\nrate = [{ meter = \"images\", price = \"999999999.999999999999\" }]\n[[byok]]\n";
    let most = UsageLine { list_cost: Some(amount("1")), ..used("images", 999_999_999_999_999_999) };
    assert_eq!(try_month("images", long, &[most]).err(), Some(PlanError::Overflow));
}
