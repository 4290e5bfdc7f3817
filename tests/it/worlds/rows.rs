//! The calls of a world: what the ledger wrote about each, and what its provider charged for it.

use super::{Account, Call, Mood, Row, World, day, named};
use chrono::{DateTime, Duration, Utc};
use tieout::domain::ledger::{Funding, Status};
use tieout::domain::money::{Amount, Currency, sum};
use tieout::domain::price::Asked;
use tieout::domain::usage::meter;

/// A call that a provider charged for.
#[derive(Clone, Debug)]
pub struct Billed {
    /// Place of the account in the world.
    pub source: usize,
    pub start: DateTime<Utc>,
    pub request_id: &'static str,
    pub sub_account: Option<&'static str>,
    pub api_key_id: Option<&'static str>,
    pub model: &'static str,
    pub service_tier: Option<&'static str>,
    pub batch: Option<bool>,
    /// Meter, quantity, cost.
    pub meters: Vec<(&'static str, Amount, Amount)>,
}

/// Writes the ledger; returns what the providers charged.
pub fn write(world: &mut World, mood: Mood, accounts: &[Account], calls: &[Call], days: i64) -> Vec<Billed> {
    let mut billed = Vec::new();
    for (number, knobs) in calls.iter().enumerate() {
        let (row, charge) = call(world, mood, number, knobs, days);
        ledger_side(world, mood, number, knobs, &row);
        provider_side(world, mood, accounts, knobs, charge, &mut billed);
    }
    billed
}

/// A number of 10^-18 with digits down to the last place.
fn odd(knobs: &Call) -> i128 {
    1 + i128::from(knobs[16]) * 1_000_030_000_700_007 + i128::from(knobs[17]) * 7_000_003
}

/// The call as both sides would have it if all went well.
fn call(world: &World, mood: Mood, number: usize, knobs: &Call, days: i64) -> (Row, Billed) {
    let calm = mood == Mood::DayByDay;
    let source = usize::from(knobs[0]) % world.sources.len();
    let (provider, account) = (world.sources[source].provider, world.sources[source].account);
    let start = day(i64::from(knobs[1]) % days).and_hms_opt(u32::from(knobs[2]) % 24, 30, 0).unwrap().and_utc();
    let model = ["m-a", "m-b", "m-x"][usize::from(knobs[7] % 3)];
    let meters: &[&str] = match knobs[8] % 4 {
        0 => &[meter::INPUT_TOKENS],
        1 => &[meter::INPUT_TOKENS, meter::OUTPUT_TOKENS],
        2 => &[meter::IMAGES],
        _ => &[meter::INPUT_TOKENS, meter::CACHE_READ_TOKENS, meter::OUTPUT_TOKENS],
    };
    let api_key_id = [Some("k-0"), Some("k-1"), Some("k-2"), None][usize::from(knobs[5] % if calm { 2 } else { 4 })];
    let sub_account = [Some("s-0"), Some("s-1"), None][usize::from(knobs[6] % if calm { 2 } else { 3 })];
    let (service_tier, batch) = match knobs[10] % 4 {
        0 if calm => (Some("standard"), Some(false)),
        0 => (None, None),
        1 => (Some("standard"), Some(false)),
        2 => (Some("priority"), Some(false)),
        _ => (Some("standard"), Some(true)),
    };
    let priced = |(place, meter): (usize, &&'static str)| {
        let quantity = Amount::whole(i64::from(knobs[9]) + 1 + place as i64 * i64::from(knobs[18] % 5));
        let asked = Asked {
            model,
            meter,
            service_tier,
            batch: batch.unwrap_or(false),
            context: Amount::ZERO,
            account,
            api_key_id,
            day: start.date_naive(),
        };
        let price = world.books[provider].price(asked);
        let cost = price.and_then(|price| price.cost(quantity));
        let list = price.and_then(|price| price.list_cost(quantity)).unwrap_or_default();
        (*meter, quantity, cost.unwrap_or(Amount::from_atto(odd(knobs) * 13)), list)
    };
    let priced: Vec<_> = meters.iter().enumerate().map(priced).collect();
    let list = sum(priced.iter().map(|(.., list)| *list)).unwrap();
    let meters: Vec<(&str, Amount, Amount)> =
        priced.into_iter().map(|(meter, quantity, cost, _)| (meter, quantity, cost)).collect();
    // Few ids, so that calls of one or two providers run into each other.
    let (known, request_id) = match knobs[11] % 4 {
        0 => (true, named('r', number)),
        1 => (false, named('x', number)),
        _ if calm => (true, named('r', number)),
        _ => (true, named('r', usize::from(knobs[11]) % 5)),
    };
    let total = sum(meters.iter().map(|(_, _, cost)| *cost)).unwrap();
    let expected_cost = match knobs[13] % 7 {
        1 => None,
        2 => Amount::from_atto(total.atto() + odd(knobs)).into(),
        3 => total.times(Amount::whole(100)),
        4 => Some(total.rounded(6)),
        5 => Some(Amount::ZERO),
        6 => Some(list),
        _ => Some(total),
    };
    let status = match knobs[12] % 12 {
        1 => Status::Error,
        2 => Status::Timeout,
        3 => Status::Cancelled,
        4 => Status::CacheHit,
        _ => Status::Ok,
    };
    let row = Row {
        ledger: usize::from(knobs[14] % 11 == 6),
        request_id: named('c', number),
        attempt: 1,
        started_at: start,
        provider,
        model,
        provider_request_id: known.then_some(request_id),
        account: (calm || knobs[14] % 11 != 7).then_some(account),
        sub_account,
        api_key_id,
        team: [Some("growth"), None, Some("Studio"), Some("labs")][usize::from(knobs[3] % 4)],
        feature: [None, Some("f-0"), Some("f-1")][usize::from(knobs[4] % 3)],
        client: (knobs[4] % 5 == 4).then_some("w-0"),
        funding: [None, Some(Funding::Credits), Some(Funding::Byok)][usize::from(knobs[12] / 12 % 3)],
        status,
        service_tier,
        batch,
        reasoning_tokens: (knobs[8] % 4 == 1).then(|| Amount::whole(i64::from(knobs[18] % 5))),
        meters: meters.iter().map(|(meter, quantity, _)| (*meter, *quantity)).collect(),
        expected_cost,
        expected_currency: (!calm && knobs[19] % 5 == 3).then_some(Currency::EUR),
    };
    let charge = Billed { source, start, request_id, sub_account, api_key_id, model, service_tier, batch, meters };
    (row, charge)
}

fn ledger_side(world: &mut World, mood: Mood, number: usize, knobs: &Call, row: &Row) {
    let mut second = row.clone();
    match knobs[14] % 11 {
        1 => return,
        2 => {}
        3 if mood != Mood::Wild => return world.rows.push(second),
        3 => second.team = Some("growth").filter(|team| row.team != Some(team)),
        4 => {
            second.request_id = named('d', number);
            second.started_at += Duration::minutes(i64::from(knobs[16] % 3) - 1);
            second.team = [Some("growth"), None, Some("labs")][usize::from(knobs[17] % 3)];
            second.expected_cost = row.expected_cost.filter(|_| !knobs[18].is_multiple_of(4));
        }
        5 => {
            second.attempt = 2;
            second.started_at += Duration::minutes(1);
            world.rows.push(second);
            return world.rows.push(Row { status: Status::Timeout, ..row.clone() });
        }
        // The other ledger has the call too, not always with the provider's id.
        8 => {
            second.ledger = 1 - row.ledger;
            second.request_id = named('d', number);
            second.started_at += Duration::seconds(i64::from(knobs[16] % 9) - 4);
            second.provider_request_id = row.provider_request_id.filter(|_| !knobs[17].is_multiple_of(3));
            second.team = [Some("growth"), None, Some("labs")][usize::from(knobs[17] % 3)];
        }
        _ => return world.rows.push(second),
    }
    world.rows.push(row.clone());
    world.rows.push(second);
}

fn provider_side(world: &World, mood: Mood, accounts: &[Account], knobs: &Call, charge: Billed, billed: &mut Vec<Billed>) {
    let calm = mood == Mood::DayByDay;
    let mut charge = charge;
    let extra = odd(knobs);
    let first = |charge: &mut Billed, cost: i128| charge.meters[0].2 = Amount::from_atto(charge.meters[0].2.atto() + cost);
    match knobs[15] % 16 {
        1 => return,
        2 => first(&mut charge, extra),
        3 => {
            let (quantity, cost) = (charge.meters[0].1, charge.meters[0].2);
            let more = i128::from(knobs[18] % 4) + 1;
            charge.meters[0].1 = quantity.mul_div(more, 2).unwrap();
            charge.meters[0].2 = cost.mul_div(more, 2).unwrap();
        }
        4 if !calm => charge.start += Duration::days(1),
        5 if !calm => charge.start -= Duration::days(1),
        6 => {
            let again = Billed { start: charge.start + Duration::minutes(7), ..charge.clone() };
            billed.push(again);
        }
        7 => {
            let mut part = charge.clone();
            for (one, other) in charge.meters.iter_mut().zip(&mut part.meters) {
                other.2 = one.2.mul_div(i128::from(knobs[18] % 4), 5).unwrap();
                one.2 = one.2.checked_sub(other.2).unwrap();
                other.1 = Amount::ZERO;
            }
            part.start += Duration::hours(if calm { 0 } else { i64::from(knobs[17] % 24) });
            billed.push(part);
        }
        8 => {
            let other = (charge.source + 1) % world.sources.len();
            if world.sources[other].provider == world.sources[charge.source].provider {
                charge.source = other;
            }
        }
        9 => charge.meters.iter_mut().for_each(|(_, _, cost)| *cost = Amount::ZERO),
        10 => charge.model = "m-other",
        11 => charge.service_tier = Some("priority"),
        12 => charge.api_key_id = Some("k-1"),
        // Thought, and not counted by the ledger.
        14 if charge.meters.len() == 2 => {
            let (_, quantity, cost) = &mut charge.meters[1];
            let more = Amount::whole(i64::from(knobs[18] % 5));
            let price = cost.ratio(*quantity).unwrap();
            *quantity = quantity.checked_add(more).unwrap();
            *cost = price.times(*quantity).unwrap();
        }
        // The provider found more of the input in its cache.
        15 if charge.meters.len() == 3 => {
            for (place, more) in [(0, -1), (1, 1)] {
                let (_, quantity, cost) = &mut charge.meters[place];
                let price = cost.ratio(*quantity).unwrap();
                *quantity = quantity.checked_add(Amount::whole(more)).unwrap();
                *cost = price.times(*quantity).unwrap();
            }
        }
        // A correction within usage: money back.
        13 => first(&mut charge, -extra * 1_000),
        _ => {}
    }
    // An account that rounds.
    if accounts[charge.source][6] % 3 == 1 {
        charge.meters.iter_mut().for_each(|(_, _, cost)| *cost = cost.rounded(6));
    }
    billed.push(charge);
}
