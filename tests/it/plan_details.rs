//! Rules of plans where one figure meets another: what a minimum counts, what a percentage is taken of, what is turned
//! into another currency. Each figure can be checked by hand.

use crate::plan_vectors::{amount, listed, used};
use rust_decimal::Decimal;
use tieout::domain::fx::Rates;
use tieout::domain::money::{Amount, Currency};
use tieout::domain::period::parse_day;
use tieout::domain::plan::{Allowance, Asked, Comparison, Component, Plan, Range, Route, UsageLine, compare};

fn plan(terms: &str) -> Plan {
    let text = format!("name = \"p\"\ncurrency = \"USD\"\nunit = \"images\"\nchecked = 2026-11-18\nsource = \"a test\"\n{terms}");
    tieout::job::plans::parse("plan.toml", &text).unwrap_or_else(|fault| panic!("{fault}\n{text}"))
}

fn month(terms: &str, usage: &[UsageLine]) -> Comparison {
    let plan = plan(terms);
    let of = |route: Route| plan.terms(route, None, None, parse_day("2026-11-15").unwrap()).unwrap();
    compare(of(Route::Credits), of(Route::Byok), usage, &Asked::month("images")).unwrap()
}

fn images(provider: &str, count: i64, list: &str) -> UsageLine {
    UsageLine { provider: provider.to_string(), list_cost: Some(amount(list)), ..used("images", count) }
}

#[test]
fn a_minimum_of_credits_counts_the_percentage_that_comes_on_top() {
    let month = month("[[credits]]\npercent = \"30\"\nminimum = [{ amount = \"10\" }]\n[[byok]]\n", &[listed("1", "6")]);
    let parts = [Component::Markup, Component::Minimum].map(|part| month.credits.low.part(part));
    assert_eq!((parts, month.credits.low.cash()), (["1.8", "2.2"].map(amount), Some(amount("10"))));
}

#[test]
fn an_aggregators_fee_is_of_all_list_cost_covered_or_not() {
    let terms = "[[credits]]\npercent = \"0\"\n[[byok]]\npercent = \"5\"\n\
                 [[byok.step]]\nprovider = \"voice\"\nmeter = \"images\"\ntier = [{ included = 100, price = \"22\" }]\n";
    let month = month(terms, &[images("voice", 50, "40"), images("fal", 10, "20")]);
    let parts = [Component::ByokPlatformFee, Component::SubscriptionStep].map(|part| month.byok.low.part(part));
    assert_eq!(parts, ["3", "-18"].map(amount));
}

#[test]
fn what_a_step_covers_has_no_price_where_its_list_cost_is_unknown() {
    let terms = "[[credits]]\nrate = [{ meter = \"images\", price = \"1\" }]\n[[byok]]\nrate = [{ meter = \"images\", price = \"1\" }]\n\
                 [[byok.step]]\nprovider = \"voice\"\nmeter = \"images\"\ntier = [{ included = 100, price = \"22\" }]\n";
    let unlisted = |provider: &str| UsageLine { list_cost: None, ..images(provider, 5, "0") };
    assert_eq!(month(terms, &[unlisted("voice"), unlisted("fal")]).not_comparable(), 1);
}

#[test]
fn a_subscription_with_own_keys_is_shared_by_units() {
    let terms = "[[credits]]\npercent = \"0\"\n[[byok]]\ntier = [{ included = 100, price = \"30\" }]\n";
    let month = month(terms, &[images("a", 10, "50"), images("b", 20, "1")]);
    let fees: Vec<Amount> = month.lines.iter().map(|line| line.as_ref().unwrap().byok_low.part(Component::FlatFee)).collect();
    assert_eq!(fees, ["10", "20"].map(amount));
}

#[test]
fn the_distance_is_to_where_keys_stay_cheaper_as_far_as_there_are_prices() {
    // Up to 50 images keys cost less than 5, up to 100 they do not; then credits cost 60, and more than 500 are not sold.
    let terms = "[[credits]]\ntier = [{ included = 100, price = \"5\" }, { included = 500, price = \"60\" }]\n[[byok]]\n";
    let found = month(terms, &[images("a", 60, "6")]).break_even(false).unwrap().unwrap();
    assert_eq!((found.volumes().as_str(), found.words().as_str()), ("50;100", "n < 50 or n > 100 (up to 500)"));
    assert_eq!(found.distance(), Some(amount("-40")));
}

#[test]
fn every_money_figure_is_turned_into_the_other_currency_and_no_other() {
    let euros = plan(
        "[[credits]]\nflat_fee = \"1\"\ncredit_price = \"2\"\npercent = \"10\"\ndeposit_percent = \"5\"\ndeposit_minimum = \"3\"\nvalue = \"4\"\n\
         minimum_balance = \"5\"\nops_hours = \"6\"\nwage = \"7\"\n\
         rate = [{ meter = \"images\", price = \"8\", in_credits = true }, { meter = \"builds\", price = \"9\" }]\n\
         tier = [{ included = 10, price = \"11\", overage = \"12\" }]\nminimum = [{ amount = \"13\" }]\n\
         [[byok]]\npercent = \"10\"\nfree_list_cost = \"14\"\n\
         [[byok.step]]\nprovider = \"voice\"\nmeter = \"images\"\ntier = [{ included = 15, price = \"16\" }]\n",
    );
    let day = parse_day("2026-11-15").unwrap();
    let eur = Currency::parse("EUR").unwrap();
    let rates = Rates { rates: [((eur, Currency::USD, day), Decimal::TWO)].into() };
    let of = |route| euros.terms(route, None, None, day).unwrap().in_currency(&rates, eur, Currency::USD, day).unwrap();
    let (credits, byok) = (of(Route::Credits), of(Route::Byok));
    let exactly = |figure: i64| Range::exactly(Amount::whole(figure));
    assert_eq!((credits.flat_fee, credits.credit_price, credits.wage), (exactly(2), Some(exactly(4)), Some(Amount::whole(14))));
    let deposit = credits.deposit.unwrap();
    assert_eq!((deposit.minimum, deposit.part), (Amount::whole(6), amount("0.05")));
    assert_eq!([credits.value, credits.minimum_balance, credits.minimums[0].amount], [8, 10, 26].map(Amount::whole));
    assert_eq!((credits.ops_hours, credits.percent), (exactly(6), Some(Range::exactly(amount("0.1")))));
    // A price in credits is none in money.
    assert_eq!([credits.rates[0].tiers[0].price, credits.rates[1].tiers[0].price], [exactly(8), exactly(18)]);
    let tier = credits.subscription.unwrap().tiers[0];
    assert_eq!((tier.included, tier.price, tier.overage), (Some(Amount::whole(10)), exactly(22), Some(exactly(24))));
    assert_eq!(byok.allowance, Some(Allowance::ListCost(Amount::whole(28))));
    assert_eq!(
        (byok.steps[0].ladder.tiers[0].included, byok.steps[0].ladder.tiers[0].price),
        (Some(Amount::whole(15)), exactly(32))
    );
}
