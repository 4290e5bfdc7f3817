//! Usage by the agreement that it falls under: the level on which fees, tiers and minimums are charged.

use super::usage::{LeftOut, Usage, UsageDay, UsageKey};
use crate::domain::agreement::Agreement;
use crate::domain::ledger::Funding;
use crate::domain::money::Amount;
use crate::domain::period::{Days, month_start};
use crate::domain::plan::{Route, UsageLine};
use chrono::{Months, NaiveDate};
use std::collections::BTreeMap;

/// What fees are shared down to. The leaves of all clients together are a row of `savings.csv` that is no total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leaf {
    pub team: String,
    /// Empty in a leaf that only bears fees.
    pub provider: String,
    pub model: String,
    /// Whom the team works for; empty where the ledger names nobody.
    pub client: String,
}

/// One day of one key's usage, as plans price it.
#[derive(Clone, Debug)]
pub struct DayLine {
    pub leaf: Leaf,
    pub day: NaiveDate,
    pub funding: Option<Funding>,
    pub line: UsageLine,
    /// What was billed, or is thought to be where no bill shows it.
    pub billed: Amount,
    pub estimated: Amount,
    pub calls: u64,
    /// The unit of what the platform debited; empty where it did not say.
    pub credit_unit: String,
    pub left_out: Option<LeftOut>,
    /// Why a call fell back to credits, as far as the ledger tells.
    pub fallback_cause: String,
}

/// The usage of a month under one agreement.
#[derive(Clone, Debug)]
pub struct Group {
    pub month: NaiveDate,
    /// Index into the agreements; `None`: no plan is in force.
    pub agreement: Option<usize>,
    /// Days of the month that are in the window and in the agreement.
    pub days: Days,
    pub lines: Vec<DayLine>,
}

/// The month of a day, cut to the window.
pub fn month_in(window: Days, month: NaiveDate) -> Days {
    let end = month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
    Days { from: month.max(window.from), to: end.min(window.to) }
}

/// Every agreement's groups, month by month, also where nothing was used; and what no agreement is for.
pub fn groups(agreements: &[Agreement], usage: &[Usage], window: Days) -> Vec<Group> {
    let mut lines: BTreeMap<(NaiveDate, Option<usize>), Vec<DayLine>> = BTreeMap::new();
    for used in usage {
        for (day, on_day) in &used.days {
            let key = &used.key;
            let fits = agreements
                .iter()
                .enumerate()
                .filter(|(_, agreement)| agreement.covers(&key.team, &key.provider, &key.account, *day));
            let agreement = fits.max_by_key(|(_, agreement)| agreement.narrowness()).map(|(index, _)| index);
            let funding = key.funding.or(agreement.and_then(|index| agreements.get(index)?.only_route(*day)).map(paid_by));
            lines.entry((key.month, agreement)).or_default().push(day_line(key, funding, *day, on_day));
        }
    }
    for (index, agreement) in agreements.iter().enumerate() {
        let mut month = month_start(window.from);
        while month < window.to {
            if !days_of(agreement, window, month).iter().count().eq(&0) {
                lines.entry((month, Some(index))).or_default();
            }
            month = month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
        }
    }
    let group = |((month, agreement), lines): ((NaiveDate, Option<usize>), Vec<DayLine>)| {
        let in_force = agreement.and_then(|index| agreements.get(index));
        let days = in_force.map_or(month_in(window, month), |agreement| days_of(agreement, window, month));
        Group { month, agreement, days, lines }
    };
    lines.into_iter().map(group).collect()
}

fn days_of(agreement: &Agreement, window: Days, month: NaiveDate) -> Days {
    let days = month_in(window, month);
    let days = Days { from: days.from.max(agreement.days.from), to: days.to.min(agreement.days.to) };
    Days { from: days.from, to: days.to.max(days.from) }
}

const fn paid_by(route: Route) -> Funding {
    match route {
        Route::Credits => Funding::Credits,
        Route::Byok => Funding::Byok,
    }
}

fn day_line(key: &UsageKey, funding: Option<Funding>, day: NaiveDate, used: &UsageDay) -> DayLine {
    let own_key = funding == Some(Funding::Byok);
    let paid = used.billed.checked_add(used.estimated).unwrap_or(used.billed);
    // A debit in two units of one day is none that a plan could price.
    let (credit_unit, credits) = match (used.charged.len(), used.charged.iter().next()) {
        (1, Some((unit, credits))) if !own_key => (unit.clone(), Some(*credits)),
        _ => (String::new(), None),
    };
    DayLine {
        leaf: Leaf {
            team: key.team.clone(),
            provider: key.provider.clone(),
            model: key.model.clone(),
            client: key.client.clone(),
        },
        day,
        funding,
        line: UsageLine {
            provider: key.provider.clone(),
            model: key.model.clone(),
            account: key.account.clone(),
            // Bills and ledger do not both name keys; a discount of a key stands in the price book.
            api_key_id: None,
            requests: Amount::ONE.mul_div(i128::from(used.calls.unwrap_or(0)), 1).unwrap_or_default(),
            meters: used.meters.iter().map(|(meter, quantity)| (meter.clone(), *quantity)).collect(),
            list_cost: used.list,
            // On an own key the bill says what the key costs; a credits row's account is the platform's.
            contracted_cost: own_key.then_some(paid),
            credits,
        },
        billed: used.billed,
        estimated: if own_key { used.estimated } else { Amount::ZERO },
        calls: used.calls.unwrap_or(0),
        credit_unit,
        left_out: used.left_out,
        fallback_cause: used.fallback_causes.iter().copied().collect::<Vec<_>>().join(", "),
    }
}
