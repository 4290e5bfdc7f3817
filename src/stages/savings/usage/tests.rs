//! What of a day counts: the bill, what the ledger adds to it, and what is left out.

use super::*;
use crate::domain::period::parse_day;
use crate::domain::usage::CostBasis;
use crate::stages::results::Basis;

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

fn key(funding: Funding) -> UsageKey {
    UsageKey {
        month: parse_day("2026-11-01").unwrap(),
        team: "growth".to_string(),
        provider: "fal".to_string(),
        model: "m".to_string(),
        client: String::new(),
        account: "a".to_string(),
        funding: Some(funding),
    }
}

/// A line of a bill with so many requests, at this list cost.
fn billed(requests: u64, list: Option<&str>) -> Attribution {
    Attribution {
        charge_date: parse_day("2026-11-03").unwrap(),
        provider: "fal".to_string(),
        account: "a".to_string(),
        sub_account: String::new(),
        api_key_id: String::new(),
        team: "growth".to_string(),
        cost_centre: String::new(),
        feature: String::new(),
        client: String::new(),
        model: "m".to_string(),
        service_tier: String::new(),
        meter: String::new(),
        category: ChargeCategory::Usage,
        funding: Some(Funding::Byok),
        basis: Basis::Request,
        cost_basis: CostBasis::Billed,
        requests,
        consumed_quantity: None,
        consumed_unit: String::new(),
        list_cost: list.map(amount),
        contracted_cost: None,
        billed_cost: amount("7"),
        currency: Currency::USD,
        reporting_cost: amount("7"),
        fx_rate: "1".parse().unwrap(),
        settled: true,
        local_date: None,
    }
}

/// A call at list cost 2, on a bill of the job or not.
fn call(is_billed: bool) -> Recorded {
    Recorded {
        meters: vec![("images".to_string(), Amount::ONE)],
        list: Some(amount("2")),
        contracted: Some(amount("1.5")),
        expected: Some(amount("1.8")),
        upstream: None,
        charged: None,
        is_billed,
        fallback_cause: None,
    }
}

fn day(funding: Funding, lines: &[Attribution], calls: Vec<Recorded>) -> UsageDay {
    let mut all = Gathered::default();
    lines.iter().for_each(|line| all.billed(line));
    let date = parse_day("2026-11-03").unwrap();
    calls.into_iter().for_each(|call| all.record(key(funding), date, call));
    let [used] = all.finish().try_into().unwrap();
    used.days[&date].clone()
}

#[test]
fn money_without_a_quantity_takes_the_list_cost_of_the_same_calls_only() {
    let calls = |count: usize| (0..count).map(|_| call(true)).collect::<Vec<_>>();
    for (requests, count, list) in [(0, 2, Some("4")), (2, 2, Some("4")), (3, 2, None), (2, 3, None), (2, 0, None)] {
        let found = day(Funding::Byok, &[billed(requests, None)], calls(count));
        assert_eq!((found.list, found.billed), (list.map(amount), amount("7")), "{requests} billed, {count} in the ledger");
    }
    // A bill that has its own list cost keeps it.
    assert_eq!(day(Funding::Byok, &[billed(2, Some("5"))], calls(2)).list, Some(amount("5")));
}

#[test]
fn half_of_a_days_debits_are_not_its_price() {
    let debited = || Recorded { charged: Some(("credit".to_string(), amount("6"))), ..call(false) };
    let both = day(Funding::Credits, &[], vec![debited(), debited()]);
    assert_eq!(both.charged, BTreeMap::from([("credit".to_string(), amount("12"))]));
    assert_eq!(day(Funding::Credits, &[], vec![debited(), call(false)]).charged, BTreeMap::new());
}

#[test]
fn what_is_behind_an_aggregator_counts_once() {
    let behind = |is_counted, estimate: Option<&str>| Recorded {
        upstream: Some(Upstream { is_counted, estimate: estimate.map(amount) }),
        ..call(false)
    };
    // Its provider bills the team's own keys, so it is counted there, whatever the aggregator estimates.
    let counted = day(Funding::Byok, &[], vec![behind(true, Some("3"))]);
    assert_eq!(counted.left_out, Some(LeftOut::CountedUpstream));
    let estimated = day(Funding::Byok, &[], vec![behind(false, Some("3"))]);
    assert_eq!((estimated.left_out, estimated.estimated), (None, amount("3")));
    assert_eq!(day(Funding::Byok, &[], vec![behind(false, None)]).left_out, Some(LeftOut::UpstreamUnknown));
    // Once one call of a day is counted elsewhere, none of it is counted here.
    assert_eq!(day(Funding::Byok, &[], vec![behind(false, None), behind(true, None)]).left_out, Some(LeftOut::CountedUpstream));
}

#[test]
fn a_bill_that_is_read_decides_what_was_used() {
    // Nobody has billed the call yet.
    assert_eq!(day(Funding::Byok, &[], vec![call(true)]).left_out, Some(LeftOut::NotBilled));
    // No bill is read: the ledger's expectation stands in, on own keys only.
    let own = day(Funding::Byok, &[], vec![call(false)]);
    assert_eq!((own.left_out, own.estimated, own.calls), (None, amount("1.8"), Some(1)));
    assert_eq!(day(Funding::Credits, &[], vec![call(false)]).estimated, Amount::ZERO);
    // The ledger counts the calls where it has any.
    assert_eq!(day(Funding::Byok, &[billed(5, None)], vec![call(true), call(true)]).calls, Some(2));
    assert_eq!(day(Funding::Byok, &[billed(5, None)], Vec::new()).calls, Some(5));
}
