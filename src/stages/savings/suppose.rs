//! What `whatif` supposes: the same usage under other terms (contract section 2).

use super::SavingsTerms;
use super::usage::{Usage, UsageDay};
use crate::domain::agreement::Agreement;
use crate::domain::ledger::Funding;
use crate::domain::money::Amount;
use crate::domain::plan::{ALWAYS, OwnDiscount, Plan, Range, Route, Terms};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Everything that may be otherwise; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Supposed {
    /// Only for this team.
    pub team: Option<String>,
    /// More or less usage of this client only. Nothing else is a client's: plans are a team's.
    pub client: Option<String>,
    pub plan: Option<Plan>,
    /// Flat fee of own keys a month, in the plan's currency.
    pub fee: Option<Amount>,
    /// Part that own keys get off list price.
    pub discount: Option<Amount>,
    /// Factor of all usage.
    pub scale: Option<Amount>,
    /// First day on own keys.
    pub switch: Option<NaiveDate>,
    /// Money an hour.
    pub wage: Option<Amount>,
}

impl Supposed {
    fn is_for(&self, team: Option<&str>) -> bool {
        self.team.as_deref().is_none_or(|named| Some(named) == team)
    }

    /// The terms as supposed. A job without agreements gets one with the supposed plan.
    pub fn terms(&self, terms: &SavingsTerms) -> SavingsTerms {
        let mut terms = terms.clone();
        if let (true, Some(plan)) = (terms.agreements.is_empty(), &self.plan) {
            terms.agreements.push(Agreement {
                plan: plan.clone(),
                team: self.team.clone(),
                provider: None,
                account: None,
                days: ALWAYS,
                credits_offer: None,
                byok_offer: None,
                signed_up: None,
                route: None,
                switch: None,
                pool: None,
            });
        }
        for agreement in terms.agreements.iter_mut().filter(|agreement| self.is_for(agreement.team.as_deref())) {
            if let Some(plan) = &self.plan {
                (agreement.plan, agreement.credits_offer, agreement.byok_offer) = (plan.clone(), None, None);
            }
            if let Some(day) = self.switch.filter(|day| agreement.days.contains(*day)) {
                (agreement.route, agreement.switch) = (Some(Route::Byok), Some(day));
            }
            agreement.plan.byok.iter_mut().for_each(|byok| self.own_keys(byok));
        }
        terms.wage = self.wage.or(terms.wage);
        terms
    }

    fn own_keys(&self, byok: &mut Terms) {
        if let Some(fee) = self.fee {
            byok.flat_fee = Range::exactly(fee);
        }
        if let Some(off) = self.discount {
            byok.discounts.push(OwnDiscount { provider: None, account: None, api_key_id: None, off });
        }
    }

    /// The usage as supposed. `None` only if a figure does not fit.
    pub fn usage(&self, usage: &[Usage]) -> Option<Vec<Usage>> {
        let mut all: BTreeMap<_, BTreeMap<NaiveDate, UsageDay>> = BTreeMap::new();
        for used in usage {
            for (date, day) in &used.days {
                let (mut key, mut day) = (used.key.clone(), day.clone());
                if self.is_for(Some(&key.team)) {
                    if let Some(switch) = self.switch {
                        let funding = if *date < switch { Funding::Credits } else { Funding::Byok };
                        if key.funding != Some(funding) {
                            key.funding = Some(funding);
                            turned(&mut day, funding);
                        }
                    }
                    let list = day.list.filter(|_| key.funding == Some(Funding::Byok));
                    if let Some((off, list)) = self.discount.zip(list) {
                        (day.billed, day.estimated) = (list.checked_sub(list.times(off)?)?, Amount::ZERO);
                    }
                    let is_of = self.client.as_ref().is_none_or(|named| *named == key.client);
                    if let Some(factor) = self.scale.filter(|_| is_of) {
                        day = scaled(&day, factor)?;
                    }
                }
                let days = all.entry(key).or_default();
                let merged = match days.get(date) {
                    Some(other) => sum(other, &day)?,
                    None => day,
                };
                days.insert(*date, merged);
            }
        }
        Some(all.into_iter().map(|(key, days)| Usage { key, days }).collect())
    }
}

/// A day that another route pays for: an own key is billed at list price, credits are priced by the plan.
fn turned(day: &mut UsageDay, funding: Funding) {
    day.charged.clear();
    day.fallback_causes.clear();
    day.estimated = Amount::ZERO;
    if funding == Funding::Byok {
        day.billed = day.list.unwrap_or(day.billed);
    }
}

fn scaled(day: &UsageDay, factor: Amount) -> Option<UsageDay> {
    let by = |amount: Amount| amount.times(factor);
    let map = |figures: &BTreeMap<String, Amount>| {
        figures.iter().map(|(name, figure)| Some((name.clone(), by(*figure)?))).collect::<Option<BTreeMap<_, _>>>()
    };
    let optional = |amount: Option<Amount>| match amount {
        Some(amount) => by(amount).map(Some),
        None => Some(None),
    };
    let calls = |calls: u64| {
        let calls = factor.mul_div(i128::from(calls), 1)?.rounded(0).atto() / Amount::ONE.atto();
        u64::try_from(calls).ok()
    };
    Some(UsageDay {
        calls: match day.calls {
            Some(number) => Some(calls(number)?),
            None => None,
        },
        meters: map(&day.meters)?,
        billed: by(day.billed)?,
        list: optional(day.list)?,
        contracted: optional(day.contracted)?,
        estimated: by(day.estimated)?,
        charged: map(&day.charged)?,
        ..day.clone()
    })
}

fn sum(a: &UsageDay, b: &UsageDay) -> Option<UsageDay> {
    let map = |a: &BTreeMap<String, Amount>, b: &BTreeMap<String, Amount>| {
        let mut sums = a.clone();
        for (name, figure) in b {
            let sum = sums.entry(name.clone()).or_default();
            *sum = sum.checked_add(*figure)?;
        }
        Some(sums)
    };
    let both = |a: Option<Amount>, b: Option<Amount>| match a.zip(b) {
        Some((a, b)) => a.checked_add(b).map(Some),
        None => Some(None),
    };
    Some(UsageDay {
        calls: a.calls.zip(b.calls).map(|(a, b)| a.saturating_add(b)),
        meters: map(&a.meters, &b.meters)?,
        billed: a.billed.checked_add(b.billed)?,
        list: both(a.list, b.list)?,
        contracted: both(a.contracted, b.contracted)?,
        estimated: a.estimated.checked_add(b.estimated)?,
        left_out: a.left_out.or(b.left_out),
        charged: map(&a.charged, &b.charged)?,
        rows: a.rows.checked_add(b.rows)?,
        fallback_causes: a.fallback_causes.union(&b.fallback_causes).copied().collect(),
    })
}
