//! `team_month.csv`: what each team owes for a month, exact and rounded so that the rounded parts sum to
//! the rounded whole (contract 4.1 and section 5, law 4).

use super::tables::{currency, number, text, too_large};
use super::{Cell, Table};
use crate::domain::fault::Fault;
use crate::domain::ledger::Funding;
use crate::domain::money::{Amount, Currency, SCALE};
use crate::domain::period::month_start;
use crate::stages::results::Attribution;
use chrono::{Months, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};

/// Decimals of the rounded column, whatever the currency.
pub(super) const PLACES: u32 = 2;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    month: NaiveDate,
    provider: &'a str,
    currency: Currency,
    // Ties of the largest remainder go by team name, so the team stands before the funding.
    team: &'a str,
    funding: Option<Funding>,
}

#[derive(Default)]
struct Part<'a> {
    cost_centres: BTreeSet<&'a str>,
    requests: u64,
    billed: Amount,
}

/// One row per month × team × provider × funding × currency. `share_ratio` is the row's part of all
/// that the month cost in that currency, empty where that is 0; `prior_month` is empty where the data
/// has no such row for the month before, and then `change` is too. A team whose cost centre changed
/// within the month shows both, joined by `;`.
///
/// # Errors
/// A sum that does not fit.
pub(super) fn table(rows: &[Attribution]) -> Result<Table, Fault> {
    let too_large = || too_large("team_month.csv");
    let parts = parts(rows).ok_or_else(too_large)?;
    let rounded = rounded(&parts).ok_or_else(too_large)?;
    let mut months: BTreeMap<(NaiveDate, Currency), Amount> = BTreeMap::new();
    for (key, part) in &parts {
        let total = months.entry((key.month, key.currency)).or_default();
        *total = total.checked_add(part.billed).ok_or_else(too_large)?;
    }
    let row = |(key, part): (&Key<'_>, &Part<'_>)| {
        let whole = months.get(&(key.month, key.currency)).copied().unwrap_or_default();
        let prior = key.month.checked_sub_months(Months::new(1)).and_then(|month| parts.get(&Key { month, ..*key }));
        let change = match prior {
            Some(prior) => Some(part.billed.checked_sub(prior.billed).ok_or_else(too_large)?),
            None => None,
        };
        Ok(vec![
            Cell::Date(key.month),
            text(key.team),
            text(&part.cost_centres.iter().copied().collect::<Vec<_>>().join(";")),
            text(key.provider),
            key.funding.map_or(Cell::Empty, |funding| text(funding.name())),
            Cell::Count(part.requests),
            Cell::Number(part.billed),
            Cell::Rounded(rounded.get(key).copied().unwrap_or_default(), PLACES as u8),
            currency(key.currency),
            number(part.billed.ratio(whole)),
            number(prior.map(|prior| prior.billed)),
            number(change),
        ])
    };
    Ok(Table {
        file: "team_month.csv",
        columns: vec![
            "period_start",
            "team",
            "cost_centre",
            "provider",
            "funding",
            "requests",
            "billed_cost",
            "billed_cost_rounded",
            "currency",
            "share_ratio",
            "prior_month",
            "change",
        ],
        rows: parts.iter().map(row).collect::<Result<_, Fault>>()?,
        for_people: true,
    })
}

fn parts(rows: &[Attribution]) -> Option<BTreeMap<Key<'_>, Part<'_>>> {
    let mut parts: BTreeMap<Key<'_>, Part<'_>> = BTreeMap::new();
    for row in rows {
        let key = Key {
            month: month_start(row.charge_date),
            provider: &row.provider,
            currency: row.currency,
            team: &row.team,
            funding: row.funding,
        };
        let part = parts.entry(key).or_default();
        part.billed = part.billed.checked_add(row.billed_cost)?;
        part.requests = part.requests.checked_add(row.requests)?;
        if !row.cost_centre.is_empty() {
            part.cost_centres.insert(&row.cost_centre);
        }
    }
    Some(parts)
}

/// The rounded parts of each provider, month and currency.
fn rounded<'a>(parts: &BTreeMap<Key<'a>, Part<'a>>) -> Option<BTreeMap<Key<'a>, Amount>> {
    let mut groups: BTreeMap<_, Vec<(Key<'a>, Amount)>> = BTreeMap::new();
    for (key, part) in parts {
        groups.entry((key.month, key.provider, key.currency)).or_default().push((*key, part.billed));
    }
    let mut rounded = BTreeMap::new();
    for group in groups.into_values() {
        let amounts: Vec<Amount> = group.iter().map(|(_, amount)| *amount).collect();
        rounded.extend(group.iter().map(|(key, _)| *key).zip(largest_remainder(&amounts, PLACES)?));
    }
    Some(rounded)
}

/// Each amount at `places` decimals so that they sum to the rounded sum: all are rounded down, the units
/// left go one each to the largest remainders, ties to the earlier (finance-conventions.md section 5).
/// No amount moves by a whole unit or more, and negative ones are welcome. None on overflow.
pub(super) fn largest_remainder(amounts: &[Amount], places: u32) -> Option<Vec<Amount>> {
    let step = 10i128.pow(SCALE.saturating_sub(places));
    let mut total = Amount::ZERO;
    let mut floors = Vec::with_capacity(amounts.len());
    let mut remainders = Vec::with_capacity(amounts.len());
    let mut left = 0i128;
    for (index, amount) in amounts.iter().enumerate() {
        total = total.checked_add(*amount)?;
        let units = amount.atto().div_euclid(step);
        left = left.checked_sub(units)?;
        floors.push(units);
        remainders.push((amount.atto().rem_euclid(step), index));
    }
    left = left.checked_add(total.rounded(places).atto() / step)?;
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in remainders.iter().take(usize::try_from(left).ok()?) {
        *floors.get_mut(*index)? += 1;
    }
    floors.into_iter().map(|units| units.checked_mul(step).map(Amount::from_atto)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::sum;

    fn amounts(texts: &[&str]) -> Vec<Amount> {
        texts.iter().map(|text| Amount::parse(text).unwrap()).collect()
    }

    #[test]
    fn rounded_parts_sum_to_the_rounded_whole() {
        for (parts, expected) in [
            (vec!["33.335", "33.335", "33.33"], vec!["33.34", "33.33", "33.33"]),
            (vec!["0.004", "0.004", "0.004"], vec!["0.01", "0", "0"]),
            (vec!["-0.005", "0.005"], vec!["0", "0"]),
            (vec!["-1.004", "-2.004"], vec!["-1", "-2.01"]),
            (vec!["0", "0.005", "0"], vec!["0", "0.01", "0"]),
            (vec!["1.239"], vec!["1.24"]),
        ] {
            let parts = amounts(&parts);
            let rounded = largest_remainder(&parts, 2).unwrap();
            assert_eq!(sum(rounded.iter().copied()), sum(parts.iter().copied()).map(|total| total.rounded(2)));
            for (part, rounded) in parts.iter().zip(&rounded) {
                assert!(part.checked_sub(*rounded).unwrap().abs() < Amount::parse("0.01").unwrap());
            }
            assert_eq!(rounded, amounts(&expected), "{parts:?}");
        }
        assert_eq!(largest_remainder(&[], 2), Some(vec![]));
    }
}
