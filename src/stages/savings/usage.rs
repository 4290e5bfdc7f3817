//! The usage that really happened, as savings compare it: one entry per month, team, client, provider account,
//! model and funding, day by day. What a bill of the job shows counts as billed; an account without a bill in
//! the job counts as the ledger recorded it, at book price (contract 4.6).

use crate::domain::fault::{ExitCode, Fault};
use crate::domain::fx::{Rates, convert};
use crate::domain::ledger::{Funding, Status};
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::period::{day_of, month_start};
use crate::domain::price::{Asked, UnitPrice};
use crate::domain::teams::Owned;
use crate::domain::usage::{ChargeCategory, meter};
use crate::stages::drift::team_of_kind;
use crate::stages::facts::{Aside, Entry, Facts, amount};
use crate::stages::reference::Reference;
use crate::stages::results::{Attribution, UNATTRIBUTED};
use crate::stages::symbols::{NONE, Sym};
use chrono::NaiveDate;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Whose usage it is, and who paid for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UsageKey {
    /// First day of the month.
    pub month: NaiveDate,
    pub team: String,
    pub provider: String,
    pub model: String,
    pub client: String,
    pub account: String,
    /// `None`: neither ledger nor team map tells.
    pub funding: Option<Funding>,
}

/// What was used under one key, by day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    pub key: UsageKey,
    pub days: BTreeMap<NaiveDate, UsageDay>,
}

/// One UTC day. Money is in the reporting currency, at the rate of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageDay {
    /// Calls that ended well; `None` where neither ledger nor provider counts them.
    pub calls: Option<u64>,
    /// Quantity by meter.
    pub meters: BTreeMap<String, Amount>,
    /// What the provider billed; 0 where the job reads no bill of the account.
    pub billed: Amount,
    /// The same usage at list price; `None` as soon as a part of it has no price.
    pub list: Option<Amount>,
    /// The same at the account's contracted price, where the price book has one.
    pub contracted: Option<Amount>,
    /// What a provider without a bill in the job is thought to charge: the aggregator's estimate or the
    /// ledger's expectation, never part of a billed total (contract 3.3).
    pub estimated: Amount,
    /// Why the day cannot be compared, whatever the plan.
    pub left_out: Option<LeftOut>,
    /// What the platform debited, by unit.
    pub charged: BTreeMap<String, Amount>,
    /// Rows of the attribution, or rows of the ledger where there is no bill.
    pub rows: u64,
    /// Why calls fell back to credits, where the ledger has the attempt on the own key.
    pub fallback_causes: BTreeSet<&'static str>,
}

impl UsageDay {
    /// Nothing yet, and all of it priced.
    fn priced() -> UsageDay {
        UsageDay { list: Some(Amount::ZERO), contracted: Some(Amount::ZERO), ..UsageDay::default() }
    }
}

/// Where own keys of a team are billed in a month: month, team, provider.
type OnKeys = BTreeSet<(NaiveDate, String, String)>;

/// Why usage cannot be compared whatever the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftOut {
    /// The ledger has calls that no bill shows yet.
    NotBilled,
    /// Served on a key of another provider that the job reads: counted there.
    CountedUpstream,
    /// Nobody estimates what the provider behind the aggregator charges.
    UpstreamUnknown,
}

/// Everything that was used in the window.
///
/// # Errors
/// No rate to the reporting currency on a day (65).
pub fn usage(facts: &Facts, reference: &Reference, attribution: &[Attribution]) -> Result<Vec<Usage>, Fault> {
    let mut all = Gathered::default();
    let mut on_keys = OnKeys::new();
    for share in attribution.iter().filter(|share| share.category == ChargeCategory::Usage) {
        all.billed(share);
        if share.funding == Some(Funding::Byok) {
            on_keys.insert((month_start(share.charge_date), share.team.clone(), share.provider.clone()));
        }
    }
    let sources: BTreeSet<(Sym, Sym)> = facts.sources.iter().map(|source| (source.provider, source.account)).collect();
    let asides: HashMap<u32, &Aside> = facts.asides.iter().map(|aside| (aside.entry, aside)).collect();
    let failed = failed_on_own_key(facts);
    let mut bearers: HashMap<(u32, i32), (String, Option<Funding>)> = HashMap::new();
    for (index, entry) in facts.entries.iter().enumerate() {
        let kind = facts.entry_kind(entry);
        if kind.status != Status::Ok || entry.duplicate {
            continue;
        }
        let day = day_of(entry.day);
        let known = bearers.entry((entry.kind, entry.day));
        let (team, funding) = known.or_insert_with(|| bearer(facts, reference, entry.kind, day)).clone();
        let text = |sym: Sym| facts.symbols.text(sym).to_string();
        let aside = asides.get(&(index as u32)).copied();
        let behind = aside.map_or("", |aside| facts.symbols.text(aside.upstream_provider));
        let is_counted = on_keys.contains(&(month_start(day), team.clone(), behind.to_string()));
        let key = UsageKey {
            month: month_start(day),
            team,
            provider: text(kind.provider),
            model: text(kind.model),
            client: text(kind.client),
            account: text(kind.account),
            funding,
        };
        let mut recorded = recorded(facts, reference, entry, aside, is_counted)?;
        recorded.is_billed = sources.contains(&(kind.provider, kind.account));
        if funding == Some(Funding::FallbackCredits) {
            recorded.fallback_cause = Some(failed.get(&entry.call).map_or("no cause recorded", |status| cause(*status)));
        }
        all.record(key, day, recorded);
    }
    Ok(all.finish())
}

/// Team and funding of ledger rows of a kind, by the rules of the attribution ladder that need no bill.
fn bearer(facts: &Facts, reference: &Reference, number: u32, day: NaiveDate) -> (String, Option<Funding>) {
    let kind = &facts.entry_kinds.all()[number as usize];
    let text = |sym: Sym| facts.symbols.text(sym);
    let owner = |owned: Owned, name: Sym| {
        (name != NONE).then(|| reference.teams.owner(owned, text(kind.provider), text(name), day)).flatten()
    };
    let key = owner(Owned::ApiKey, kind.api_key_id);
    let funding = kind.funding.or(key.and_then(|key| key.funding));
    let named = team_of_kind(facts, reference, number, day);
    if !named.is_empty() {
        return (named, funding);
    }
    let sub_account = || owner(Owned::SubAccount, kind.sub_account);
    let found = key.or_else(sub_account).or_else(|| owner(Owned::Account, kind.account));
    (found.map_or(UNATTRIBUTED.to_string(), |owner| owner.team.clone()), funding)
}

/// How the first attempt on an own key ended, of calls that have one which did not end well.
fn failed_on_own_key(facts: &Facts) -> HashMap<Sym, Status> {
    let mut failed: HashMap<Sym, (u32, Status)> = HashMap::new();
    for entry in &facts.entries {
        let kind = facts.entry_kind(entry);
        if kind.funding == Some(Funding::Byok) && kind.status != Status::Ok {
            let first = failed.entry(entry.call).or_insert((entry.attempt, kind.status));
            if entry.attempt < first.0 {
                *first = (entry.attempt, kind.status);
            }
        }
    }
    failed.into_iter().map(|(call, (_, status))| (call, status)).collect()
}

const fn cause(status: Status) -> &'static str {
    match status {
        Status::Timeout => "the own key timed out",
        Status::Cancelled => "the call on the own key was cancelled",
        _ => "the own key was refused",
    }
}

/// What one ledger row says.
struct Recorded {
    meters: Vec<(String, Amount)>,
    list: Option<Amount>,
    contracted: Option<Amount>,
    expected: Option<Amount>,
    upstream: Option<Upstream>,
    charged: Option<(String, Amount)>,
    is_billed: bool,
    fallback_cause: Option<&'static str>,
}

struct Upstream {
    is_counted: bool,
    estimate: Option<Amount>,
}

/// `is_counted`: the provider behind an aggregator bills own keys of the team, so the spend is counted there.
fn recorded(
    facts: &Facts,
    reference: &Reference,
    entry: &Entry,
    aside: Option<&Aside>,
    is_counted: bool,
) -> Result<Recorded, Fault> {
    let kind = facts.entry_kind(entry);
    let day = day_of(entry.day);
    let into = |cost: Amount| exchanged(&reference.rates, cost, kind.currency, reference.reporting_currency, day);
    let expected = (!entry.unpriced).then(|| into(entry.cost)).transpose()?;
    let booked =
        |(cost, currency): (Amount, Currency)| exchanged(&reference.rates, cost, currency, reference.reporting_currency, day);
    // An aggregator expects nothing for own keys; its estimate is list cost. No cost is no price.
    let estimate = aside.and_then(|aside| amount(aside.upstream_cost)).map(into).transpose()?;
    let at_list = at_book(facts, reference, entry, UnitPrice::list_cost).map(booked).transpose()?;
    let list = at_list.or(estimate).or(expected.filter(|cost| !cost.is_zero()));
    let contracted = at_book(facts, reference, entry, UnitPrice::cost).map(booked).transpose()?;
    let parts = facts.parts_of(entry).iter();
    let meters = parts.map(|part| (facts.symbols.text(part.meter).to_string(), Amount::from_atto(part.quantity))).collect();
    let behind = aside.filter(|aside| aside.upstream_provider != NONE);
    let upstream = behind.map(|_| Upstream { is_counted, estimate });
    let charged =
        aside.and_then(|aside| amount(aside.credits).map(|credits| (facts.symbols.text(aside.credit_unit).to_string(), credits)));
    Ok(Recorded { meters, list, contracted, expected, upstream, charged, is_billed: false, fallback_cause: None })
}

/// Quantity × price of the book over all meters, in the book's currency; `None` as soon as one has no price.
fn at_book(
    facts: &Facts,
    reference: &Reference,
    entry: &Entry,
    cost: fn(&UnitPrice, Amount) -> Option<Amount>,
) -> Option<(Amount, Currency)> {
    let kind = facts.entry_kind(entry);
    let text = |sym: Sym| facts.symbols.text(sym);
    let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
    let parts = facts.parts_of(entry);
    let inputs = parts.iter().filter(|part| meter::INPUT_CLASSES.contains(&text(part.meter)));
    let context = sum(inputs.map(|part| Amount::from_atto(part.quantity)))?;
    let (mut total, mut currency) = (Amount::ZERO, None);
    for part in parts {
        let asked = Asked {
            model: text(kind.model),
            meter: text(part.meter),
            service_tier: optional(kind.service_tier),
            batch: kind.batch.unwrap_or(false),
            context,
            account: text(kind.account),
            api_key_id: optional(kind.api_key_id),
            day: day_of(entry.day),
        };
        let price = reference.price(text(kind.provider), asked)?;
        total = total.checked_add(cost(&price, Amount::from_atto(part.quantity))?)?;
        currency = Some(price.currency);
    }
    Some((total, currency?))
}

/// An amount in another currency at the rate of a day.
///
/// # Errors
/// No rate for the day (65), with the day that is needed.
pub fn exchanged(rates: &Rates, cost: Amount, from: Currency, to: Currency, day: NaiveDate) -> Result<Amount, Fault> {
    rates.rate(from, to, day).and_then(|rate| convert(cost, rate)).ok_or_else(|| {
        let what = format!("no exchange rate {from} to {to} for {day}");
        Fault::new(ExitCode::Data, "fx", what, format!("add the rate {from} to {to} of {day} to the job's fx file"))
    })
}

/// A day of one key while it is being gathered: what bills say and what the ledger says.
#[derive(Default)]
struct Both {
    billed: Option<UsageDay>,
    provider_calls: u64,
    ledger_calls: u64,
    charged_calls: u64,
    ledger: Option<UsageDay>,
    /// Of byok calls: what the ledger expects.
    expected: Amount,
    upstream: Option<LeftOut>,
    upstream_estimate: Option<Amount>,
    is_billed: bool,
}

#[derive(Default)]
struct Gathered {
    keys: BTreeMap<UsageKey, BTreeMap<NaiveDate, Both>>,
}

fn plus(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap_or(a)
}

impl Gathered {
    fn billed(&mut self, share: &Attribution) {
        let key = UsageKey {
            month: month_start(share.charge_date),
            team: share.team.clone(),
            provider: share.provider.clone(),
            model: share.model.clone(),
            client: share.client.clone(),
            account: share.account.clone(),
            funding: share.funding,
        };
        let both = self.keys.entry(key).or_default().entry(share.charge_date).or_default();
        both.provider_calls = both.provider_calls.saturating_add(share.requests);
        let day = both.billed.get_or_insert_with(UsageDay::priced);
        day.rows += 1;
        day.billed = plus(day.billed, share.reporting_cost);
        let into = |cost: Option<Amount>| cost.and_then(|cost| cost.times_decimal(share.fx_rate));
        day.list = day.list.zip(into(share.list_cost)).map(|(sum, cost)| plus(sum, cost));
        day.contracted = day.contracted.zip(into(share.contracted_cost)).map(|(sum, cost)| plus(sum, cost));
        if let Some(quantity) = share.consumed_quantity.filter(|_| !share.meter.is_empty()) {
            let sum = day.meters.entry(share.meter.clone()).or_default();
            *sum = plus(*sum, quantity);
        }
    }

    fn record(&mut self, key: UsageKey, day: NaiveDate, row: Recorded) {
        let both = self.keys.entry(key).or_default().entry(day).or_default();
        both.is_billed = row.is_billed;
        both.ledger_calls += 1;
        let day = both.ledger.get_or_insert_with(UsageDay::priced);
        day.rows += 1;
        day.list = day.list.zip(row.list).map(|(sum, cost)| plus(sum, cost));
        day.contracted = day.contracted.zip(row.contracted).map(|(sum, cost)| plus(sum, cost));
        for (meter, quantity) in row.meters {
            let sum = day.meters.entry(meter).or_default();
            *sum = plus(*sum, quantity);
        }
        if let Some((unit, credits)) = row.charged {
            both.charged_calls += 1;
            let sum = day.charged.entry(unit).or_default();
            *sum = plus(*sum, credits);
        }
        day.fallback_causes.extend(row.fallback_cause);
        both.expected = plus(both.expected, row.expected.unwrap_or_default());
        match row.upstream {
            None => {}
            Some(upstream) if upstream.is_counted => both.upstream = Some(LeftOut::CountedUpstream),
            Some(Upstream { estimate: None, .. }) => {
                both.upstream = both.upstream.or(Some(LeftOut::UpstreamUnknown));
            }
            Some(Upstream { estimate: Some(cost), .. }) => {
                both.upstream_estimate = Some(plus(both.upstream_estimate.unwrap_or_default(), cost));
            }
        }
    }

    fn finish(self) -> Vec<Usage> {
        let finished = self.keys.into_iter().map(|(key, days)| {
            let days = days.into_iter().map(|(day, both)| (day, both.finish(key.funding))).collect();
            Usage { key, days }
        });
        finished.collect()
    }
}

impl Both {
    fn finish(self, funding: Option<Funding>) -> UsageDay {
        let own_key = funding == Some(Funding::Byok);
        let mut ledger = self.ledger.unwrap_or_default();
        if self.charged_calls < self.ledger_calls {
            // Half of a day's debits are not its price.
            ledger.charged.clear();
        }
        let counted = if self.ledger_calls > 0 { self.ledger_calls } else { self.provider_calls };
        let mut day = match self.billed {
            Some(billed) => {
                let meters = if billed.meters.is_empty() { ledger.meters } else { billed.meters };
                // Money without a quantity has no list cost of its own: that of the same calls in the ledger stands in.
                let same_calls = self.ledger_calls > 0 && [0, self.ledger_calls].contains(&self.provider_calls);
                let list = billed.list.or(ledger.list.filter(|_| same_calls));
                UsageDay { meters, list, charged: ledger.charged, fallback_causes: ledger.fallback_causes, ..billed }
            }
            // The bill is read and does not show these calls.
            None if self.is_billed => UsageDay { left_out: Some(LeftOut::NotBilled), ..ledger },
            None if own_key => UsageDay { estimated: self.expected, ..ledger },
            None => ledger,
        };
        day.calls = Some(counted).filter(|calls| *calls > 0);
        if own_key && day.left_out.is_none() {
            // An aggregator bills at most its fee; the spend behind it is another provider's.
            day.left_out = self.upstream;
            if let Some(estimate) = self.upstream_estimate {
                day.estimated = estimate;
            }
        }
        day
    }
}

#[cfg(test)]
mod tests;
