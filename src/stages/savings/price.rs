//! One agreement's month, priced on both routes and as it was paid, and shared down to teams, providers and
//! models: what a line causes is its own, fees and minimums go by list cost (see `domain::plan::compare`), so
//! that the parts sum to the whole exactly.

use super::SavingsTerms;
use super::groups::{DayLine, Group, Leaf};
use super::rows::{Compared, Fallback};
use super::usage::{LeftOut, exchanged};
use crate::domain::agreement::Agreement;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::Funding;
use crate::domain::money::{Amount, Currency, SCALE, sum};
use crate::domain::period::Days;
use crate::domain::plan::sums::{Priced, priced};
use crate::domain::plan::{
    Asked, Comparison, Component, Cost, LineCosts, PlanError, Portion, Range, Route, Terms, UsageLine, compare,
};
use crate::stages::reference::Reference;
use crate::stages::results::UNATTRIBUTED;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// What a leaf's usage of a month came to.
#[derive(Clone, Debug, Default)]
pub struct LeafMonth {
    pub compared: Option<Compared>,
    pub not_comparable: u64,
    pub not_comparable_cost: Amount,
    pub causes: BTreeSet<Cause>,
    /// Usage without fees: what credits cost more than own keys, at the ends of `saving_low`.
    pub usage_saving: Amount,
    /// List cost that own keys and that credits carried in the last seven days of the window.
    pub lately: [Amount; 2],
}

/// Why lines were not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    NoPlan,
    NoTerms,
    UnknownFunding,
    NoPrice,
    BeyondTiers,
    NotBilled,
    CountedUpstream,
    UpstreamUnknown,
}

impl Cause {
    pub const fn words(self) -> &'static str {
        match self {
            Cause::NoPlan => "no plan is in force",
            Cause::NoTerms => "the plan has no terms for the day",
            Cause::UnknownFunding => "nobody says who paid",
            Cause::NoPrice => "a route has no price for it",
            Cause::BeyondTiers => "more than the plan sells",
            Cause::NotBilled => "no bill shows it yet",
            Cause::CountedUpstream => "counted at the provider behind",
            Cause::UpstreamUnknown => "the provider behind has no cost",
        }
    }
}

/// A day or more under the same terms of both routes, in the reporting currency.
pub struct Span {
    pub days: Days,
    pub credits: Terms,
    pub byok: Terms,
    /// Indexes of the group's lines that can be compared, and the lines as the plan prices them.
    pub members: Vec<usize>,
    pub lines: Vec<UsageLine>,
    pub all: Comparison,
    pub asked: Asked,
}

/// A group's month.
#[derive(Default)]
pub struct GroupMonth {
    pub leaves: BTreeMap<Leaf, LeafMonth>,
    pub spans: Vec<Span>,
    /// Flat fees and subscriptions that the plan charged, for the tie-out to invoices.
    pub fees: Amount,
    /// What was paid on credits, line by line: day, credits that the platform debited, money.
    pub drawn: Vec<(NaiveDate, Option<Amount>, Amount)>,
    pub fallbacks: Vec<Fallback>,
}

/// What history says about a group's credits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bought {
    /// Purchases in the month, and their fees; `None` where there is no history.
    pub deposits: Option<(u32, Amount)>,
    /// Worth of the credits that expired.
    pub expired: Amount,
    /// What was invoiced for fees and subscriptions.
    pub invoiced: Option<Amount>,
}

pub(super) fn too_large() -> Fault {
    Fault::new(ExitCode::Internal, "savings", "a sum has more digits than an amount can hold", "report this as a bug")
}

fn plan_fault(error: PlanError) -> Fault {
    match error {
        PlanError::Rate(missing) => {
            let hint = format!("add the rate {} to {} of {} to the job's fx file", missing.from, missing.to, missing.day);
            Fault::new(ExitCode::Data, "fx", missing.to_string(), hint)
        }
        _ => too_large(),
    }
}

/// Prices a group.
///
/// # Errors
/// No rate from the plan's currency for the last day of a span (65); a sum that does not fit (70).
pub fn price(group: &Group, terms: &SavingsTerms, reference: &Reference, bought: Bought) -> Result<GroupMonth, Fault> {
    let mut month = GroupMonth::default();
    let lately = reference.window.to - chrono::Duration::days(7);
    for line in &group.lines {
        let leaf = month.leaves.entry(line.leaf.clone()).or_default();
        if line.day >= lately
            && let Some(funding) = line.funding
        {
            let weight = line.line.list_cost.unwrap_or(line.billed);
            let side = leaf.lately.get_mut(usize::from(funding != Funding::Byok)).ok_or_else(too_large)?;
            *side = side.checked_add(weight).ok_or_else(too_large)?;
        }
    }
    let Some(agreement) = group.agreement.and_then(|index| terms.agreements.get(index)) else {
        for line in &group.lines {
            leave_out(&mut month, line, Cause::NoPlan).ok_or_else(too_large)?;
        }
        return Ok(month);
    };
    let spans = spans(agreement, group.days);
    for line in group.lines.iter().filter(|line| !spans.iter().any(|(days, both)| both.is_some() && days.contains(line.day))) {
        leave_out(&mut month, line, Cause::NoTerms).ok_or_else(too_large)?;
    }
    let mut bought = bought;
    for (days, both) in spans {
        let Some((credits, byok)) = both else { continue };
        let currency = (agreement.plan.currency, reference.reporting_currency);
        let last = days.to.pred_opt().unwrap_or(days.from);
        let into = |terms: &Terms| {
            terms.in_currency(&reference.rates, currency.0, currency.1, last).map_err(|rate| plan_fault(rate.into()))
        };
        let mut credits_terms = into(credits)?;
        let byok_terms = into(byok)?;
        let on: Vec<usize> = (0..group.lines.len()).filter(|at| days.contains(group.lines[*at].day)).collect();
        money_as_credits(&mut credits_terms, group, &on, currency, reference, last)?;
        let asked = Asked {
            unit: agreement.plan.unit.clone(),
            credits_days: Portion::of(days),
            byok_days: Portion::of(days),
            wage: terms.wage,
            deposits: bought.deposits.map_or(1, |(count, _)| count.max(1)),
            expired: std::mem::take(&mut bought.expired),
        };
        one_span(&mut month, group, agreement, (days, credits_terms, byok_terms), &on, &asked, &bought)?;
        // Purchases and invoices are of the month: they count once.
        bought.deposits = bought.deposits.map(|(count, _)| (count, Amount::ZERO));
        bought.invoiced = bought.invoiced.map(|_| Amount::ZERO);
    }
    Ok(month)
}

type BothTerms<'a> = Option<(&'a Terms, &'a Terms)>;

/// The days cut wherever the terms of one route change.
fn spans(agreement: &Agreement, days: Days) -> Vec<(Days, BothTerms<'_>)> {
    let of = |route, offer: &Option<String>| agreement.plan.spans(route, offer.as_deref(), agreement.signed_up, days);
    let byok = of(Route::Byok, &agreement.byok_offer);
    let mut cut = Vec::new();
    for (a, credits) in of(Route::Credits, &agreement.credits_offer) {
        for (b, byok) in &byok {
            let days = Days { from: a.from.max(b.from), to: a.to.min(b.to) };
            if days.from < days.to {
                cut.push((days, credits.zip(*byok)));
            }
        }
    }
    cut
}

/// Debits that are money need no price of a credit.
fn money_as_credits(
    credits: &mut Terms,
    group: &Group,
    on: &[usize],
    (plan, reporting): (Currency, Currency),
    reference: &Reference,
    day: NaiveDate,
) -> Result<(), Fault> {
    let is_money = |at: &usize| group.lines.get(*at).is_some_and(|line| line.credit_unit == plan.code());
    if credits.credit_price.is_none() && on.iter().any(is_money) {
        credits.credit_price = Some(Range::exactly(exchanged(&reference.rates, Amount::ONE, plan, reporting, day)?));
    }
    Ok(())
}

fn leave_out(month: &mut GroupMonth, line: &DayLine, cause: Cause) -> Option<()> {
    let leaf = month.leaves.entry(line.leaf.clone()).or_default();
    leaf.not_comparable += 1;
    leaf.not_comparable_cost = leaf.not_comparable_cost.checked_add(line.billed)?;
    leaf.causes.insert(cause);
    Some(())
}

fn one_span(
    month: &mut GroupMonth,
    group: &Group,
    agreement: &Agreement,
    (days, credits, byok): (Days, Terms, Terms),
    on: &[usize],
    asked: &Asked,
    bought: &Bought,
) -> Result<(), Fault> {
    let (mut members, mut lines) = (Vec::new(), Vec::new());
    for at in on {
        let Some(line) = group.lines.get(*at) else { continue };
        let cause = match (line.left_out, line.funding) {
            (Some(LeftOut::NotBilled), _) => Some(Cause::NotBilled),
            (Some(LeftOut::CountedUpstream), _) => Some(Cause::CountedUpstream),
            (Some(LeftOut::UpstreamUnknown), _) => Some(Cause::UpstreamUnknown),
            (None, None) => Some(Cause::UnknownFunding),
            (None, Some(_)) => None,
        };
        let as_priced = as_priced(line, &credits, &asked.unit);
        let both = priced(&credits, &asked.unit, &as_priced).is_some() && priced(&byok, &asked.unit, &as_priced).is_some();
        match cause.or((!both).then_some(Cause::NoPrice)) {
            Some(cause) => leave_out(month, line, cause).ok_or_else(too_large)?,
            None => {
                members.push(*at);
                lines.push(as_priced);
            }
        }
    }
    let all = match compare(&credits, &byok, &lines, asked) {
        Ok(all) => all,
        Err(PlanError::Beyond { .. }) => {
            for line in members.iter().filter_map(|at| group.lines.get(*at)) {
                leave_out(month, line, Cause::BeyondTiers).ok_or_else(too_large)?;
            }
            return Ok(());
        }
        Err(error) => return Err(plan_fault(error)),
    };
    share_routes(month, group, agreement, &members, &lines, &all).ok_or_else(too_large)?;
    let paid = |route| Asked {
        credits_days: Portion::of(agreement.pays(Route::Credits, days)),
        byok_days: Portion::of(agreement.pays(Route::Byok, days)),
        expired: if route == Route::Credits { asked.expired } else { Amount::ZERO },
        ..asked.clone()
    };
    for route in [Route::Credits, Route::Byok] {
        let own =
            |at: &usize| group.lines.get(*at).is_some_and(|line| (line.funding == Some(Funding::Byok)) == (route == Route::Byok));
        let (at, of_route): (Vec<usize>, Vec<UsageLine>) =
            members.iter().zip(&lines).filter(|(at, _)| own(at)).map(|(at, line)| (*at, line.clone())).unzip();
        let paid = match compare(&credits, &byok, &of_route, &paid(route)) {
            // What a part of a bundle does not cover, the whole one does.
            Err(PlanError::Beyond { .. }) => compare(&credits, &byok, &of_route, asked),
            other => other,
        };
        let paid = paid.map_err(plan_fault)?;
        let terms = if route == Route::Credits { &credits } else { &byok };
        let paid = Paid { route, terms, unit: &asked.unit, at: &at, lines: &of_route, paid: &paid };
        paid_fees(month, group, agreement, &members, &paid, bought).ok_or_else(too_large)?;
    }
    month.spans.push(Span { days, credits, byok, members, lines, all, asked: asked.clone() });
    Ok(())
}

/// The line with what its own route tells of a price that the book lacks: what an own key was billed stands in
/// for an unknown list cost where credits have a price of their own, so that nothing is guessed from it.
fn as_priced(line: &DayLine, credits: &Terms, unit: &str) -> UsageLine {
    let mut as_priced = line.line.clone();
    let by_rate =
        || matches!(priced(credits, unit, &line.line), Some(Priced::Rates(_) | Priced::Covered(_) | Priced::Debited(_)));
    if as_priced.list_cost.is_none() && line.funding == Some(Funding::Byok) && by_rate() {
        as_priced.list_cost = as_priced.contracted_cost;
    }
    as_priced
}

/// A cost without the hours and without what comes on top of usage.
fn of_usage(cost: &Cost) -> Option<Amount> {
    sum([cost.base, cost.part(Component::Markup), cost.part(Component::Discount)])
}

/// Adds to every leaf what its lines cost on either route.
fn share_routes(
    month: &mut GroupMonth,
    group: &Group,
    agreement: &Agreement,
    members: &[usize],
    lines: &[UsageLine],
    all: &Comparison,
) -> Option<()> {
    if members.is_empty() {
        // Fees without usage: they stand in a leaf of their own.
        let costs = LineCosts {
            credits_low: all.credits.low.clone(),
            credits_high: all.credits.high.clone(),
            byok_low: all.byok.low.clone(),
            byok_high: all.byok.high.clone(),
        };
        let compared = routes(&costs)?;
        if compared != Compared::default() {
            let leaf = month.leaves.entry(fee_leaf(agreement)).or_default();
            add(leaf, Compared { unit: agreement.plan.unit.clone(), volume: Some(Amount::ZERO), ..compared })?;
        }
        return Some(());
    }
    for ((at, line), costs) in members.iter().zip(lines).zip(&all.lines) {
        let (source, costs) = (group.lines.get(*at)?, costs.as_ref()?);
        let mut compared = routes(costs)?;
        compared.unit = agreement.plan.unit.clone();
        compared.volume = Some(line.quantity(&compared.unit));
        let saved = of_usage(&costs.credits_low)?.checked_sub(of_usage(&costs.byok_high)?)?;
        if source.funding == Some(Funding::FallbackCredits) {
            compared.missed = saved;
            month.fallbacks.push(Fallback {
                month: group.month,
                team: source.leaf.team.clone(),
                provider: source.leaf.provider.clone(),
                cause: source.fallback_cause.clone(),
                calls: source.calls,
                paid: of_usage(&costs.credits_low)?,
                missed: saved,
            });
        }
        let leaf = month.leaves.entry(source.leaf.clone()).or_default();
        leaf.usage_saving = leaf.usage_saving.checked_add(saved)?;
        add(leaf, compared)?;
    }
    Some(())
}

fn add(leaf: &mut LeafMonth, compared: Compared) -> Option<()> {
    leaf.compared = Some(match &leaf.compared {
        Some(before) => before.checked_add(&compared)?,
        None => compared,
    });
    Some(())
}

fn routes(costs: &LineCosts) -> Option<Compared> {
    let mut compared = Compared {
        all_credits: Range { low: costs.credits_low.cash()?, high: costs.credits_high.cash()? },
        all_byok: Range { low: costs.byok_low.cash()?, high: costs.byok_high.cash()? },
        ..Compared::default()
    };
    for (component, part) in Component::ALL.into_iter().zip(&mut compared.components) {
        *part = costs.credits_low.part(component).checked_sub(costs.byok_high.part(component))?;
    }
    let hours = |credits: &Cost, byok: &Cost| credits.part(Component::OpsHours).checked_sub(byok.part(Component::OpsHours));
    let (low, high) = (hours(&costs.credits_low, &costs.byok_high)?, hours(&costs.credits_high, &costs.byok_low)?);
    compared.ops_spread = high.checked_sub(low)?;
    Some(compared)
}

/// Where fees stand that no usage bears.
fn fee_leaf(agreement: &Agreement) -> Leaf {
    Leaf {
        team: agreement.team.clone().unwrap_or(UNATTRIBUTED.to_string()),
        provider: agreement.provider.clone().unwrap_or_default(),
        model: String::new(),
        client: String::new(),
    }
}

/// What was paid on one route.
struct Paid<'a> {
    route: Route,
    terms: &'a Terms,
    unit: &'a str,
    at: &'a [usize],
    lines: &'a [UsageLine],
    paid: &'a Comparison,
}

/// Usage and fees that were paid on a route: the low end on credits, the high end on own keys, as in the low
/// end of the saving.
fn paid_fees(
    month: &mut GroupMonth,
    group: &Group,
    agreement: &Agreement,
    members: &[usize],
    paid: &Paid<'_>,
    bought: &Bought,
) -> Option<()> {
    let credits = paid.route == Route::Credits;
    let mut fees = match credits {
        true => paid.paid.credits.low.cash()?,
        false => paid.paid.byok.high.cash()?,
    };
    let mut invoiceable = match credits {
        true => paid.paid.credits.low.part(Component::FlatFee),
        false => paid.paid.byok.high.part(Component::FlatFee),
    };
    let mut usage: Vec<(Leaf, Amount, Amount)> = Vec::new();
    for ((at, line), costs) in paid.at.iter().zip(paid.lines).zip(&paid.paid.lines) {
        let (source, costs) = (group.lines.get(*at)?, costs.as_ref()?);
        // What a bundle covers is paid with the bundle: a fee.
        let bundled = credits && matches!(priced(paid.terms, paid.unit, line), Some(Priced::Covered(_)));
        let mut own = of_usage(if credits { &costs.credits_low } else { &costs.byok_high })?;
        if bundled {
            invoiceable = invoiceable.checked_add(own)?;
            own = Amount::ZERO;
        }
        fees = fees.checked_sub(own)?;
        if credits {
            month.drawn.push((source.day, line.credits, own));
        }
        usage.push((source.leaf.clone(), own, if credits { Amount::ZERO } else { source.estimated }));
    }
    if credits && let Some((_, deposit_fees)) = bought.deposits {
        fees = fees.checked_sub(paid.paid.credits.low.part(Component::DepositFee))?.checked_add(deposit_fees)?;
    }
    month.fees = month.fees.checked_add(invoiceable)?;
    if let Some(invoiced) = bought.invoiced {
        // An invoice is for both routes: it is booked once, with the first.
        fees = fees.checked_sub(invoiceable)?.checked_add(if credits { invoiced } else { Amount::ZERO })?;
    }
    for (leaf, own, estimated) in usage {
        let leaf = month.leaves.entry(leaf).or_default();
        let mut paid = Compared { unit: agreement.plan.unit.clone(), volume: Some(Amount::ZERO), ..Compared::default() };
        if credits {
            paid.actual_credits = own
        } else {
            paid.actual_byok = own
        }
        paid.estimated_byok = estimated;
        add(leaf, paid)?;
    }
    if fees.is_zero() {
        return Some(());
    }
    let bearers = if paid.at.is_empty() { members } else { paid.at };
    let lines: Vec<&DayLine> = bearers.iter().filter_map(|at| group.lines.get(*at)).collect();
    let weights = |of: fn(&DayLine) -> Amount| lines.iter().map(|line| of(line)).collect::<Vec<_>>();
    let choices = [weights(|line| line.line.list_cost.unwrap_or(line.billed).max(Amount::ZERO)), weights(|_| Amount::ONE)];
    let shares = choices.iter().find_map(|weights| fees.split(weights, SCALE));
    let fee = |fees: Amount| Compared {
        unit: agreement.plan.unit.clone(),
        volume: Some(Amount::ZERO),
        actual_fees: fees,
        ..Compared::default()
    };
    match shares {
        None => add(month.leaves.entry(fee_leaf(agreement)).or_default(), fee(fees)),
        Some(shares) => lines
            .into_iter()
            .zip(shares)
            .try_for_each(|(line, share)| add(month.leaves.entry(line.leaf.clone()).or_default(), fee(share))),
    }
}
