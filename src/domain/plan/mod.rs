//! Plans: what a platform takes for usage on its credits, and for usage on one's own keys. Plain data,
//! dated; every pricing shape S1 to S34 of seed-economics.md section 2 that is a price is a value of it.
//!
//! [`compare()`] says what both routes cost for usage that happened, [`break_even`] from which volume
//! one of them is cheaper. Nothing here knows a platform's name: that is data.

pub mod break_even;
pub mod compare;
pub mod cost;
pub mod curve;
pub mod fraction;
pub mod ladder;
pub mod prepaid;
pub mod prorate;
mod routes;
pub mod sums;

pub use break_even::{BreakEven, Region};
pub use compare::{Asked, Comparison, LineCosts, compare};
pub use cost::{Component, Cost, PlanError};
pub use ladder::{Choice, Ladder, Pack, RateTier, Tier};
pub use prorate::{Portion, Settlement};

use super::fx::{Rates, convert};
use super::money::{Amount, Currency};
use super::period::Days;
use super::usage::meter;
use chrono::NaiveDate;

/// The unit of a plan whose volume is money at list price.
pub const LIST_COST: &str = "list_cost";

/// One platform's plan (contract 3.4).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub name: String,
    /// Currency of every money figure of the plan.
    pub currency: Currency,
    /// What its volume is counted in: a meter (`images`, `video_seconds`, `builds`), [`meter::REQUESTS`] for
    /// calls, or [`LIST_COST`] for money at list price.
    pub unit: String,
    /// Day on which a person last compared the figures with what the platform publishes.
    pub checked: NaiveDate,
    /// Terms of using the platform's credits, by offer and day.
    pub credits: Vec<Terms>,
    /// Terms of using one's own keys.
    pub byok: Vec<Terms>,
}

/// How usage is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    Credits,
    Byok,
}

/// A figure that the source gives as a range: both ends equal where it does not. `low` is never above `high`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub low: Amount,
    pub high: Amount,
}

/// Which end of every range of a route is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    Low,
    High,
}

impl Range {
    /// A figure that is known.
    pub const fn exactly(amount: Amount) -> Range {
        Range { low: amount, high: amount }
    }

    pub const fn at(self, bound: Bound) -> Amount {
        match bound {
            Bound::Low => self.low,
            Bound::High => self.high,
        }
    }
}

/// What one route costs, over some days and for who signed up over some days. All money is in the plan's
/// currency; what stands "a month" is for a calendar month and is cut by days where the route is in use for
/// a part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    pub route: Route,
    /// `None` is the offer that everybody gets; a named one must be asked for by name.
    pub offer: Option<String>,
    /// Days on which the terms are in force.
    pub days: Days,
    /// Days on which one must have signed up to get them (S25).
    pub signed_up: Days,
    /// A month, whatever is used (S2, S6).
    pub flat_fee: Range,
    /// Prices for units; the first that fits a line holds (S1, S7, S19, S20, S21).
    pub rates: Vec<Rate>,
    /// Part of the list cost that comes on top: the markup of credits (S5), the fee of an aggregator on own
    /// keys. With credits, `None` means that list cost is not passed through: a line without a rate has no price.
    pub percent: Option<Range>,
    /// What `percent` is not taken of, each calendar month.
    pub allowance: Option<Allowance>,
    /// A bundle a month that covers the plan's unit (S4).
    pub subscription: Option<Ladder>,
    /// Whole packs of the plan's unit (L2), an alternative to a subscription.
    pub pack: Option<Pack>,
    /// What filling the balance costs (S13).
    pub deposit: Option<Deposit>,
    /// Least spend a calendar month (S10).
    pub minimums: Vec<Minimum>,
    /// Subscriptions at providers (S26).
    pub steps: Vec<Step>,
    /// Negotiated discounts on list price (S16), where the price book has no contracted price. The last that fits holds.
    pub discounts: Vec<OwnDiscount>,
    /// Price of one credit (S21): of rates in credits, and of credits that a ledger row was debited.
    pub credit_price: Option<Range>,
    /// Hours a month that running this route takes (S9).
    pub ops_hours: Range,
    /// Money an hour, where the plan states it; a job's wage goes before.
    pub wage: Option<Amount>,
    /// What a fixed fee or subscription gives a month besides inference (S32): taken off its price, never below 0.
    pub value: Amount,
    /// Part that the bank takes for paying in this plan's currency.
    pub fx: Amount,
    /// Capital that must stay in the balance (S14): held, no cost.
    pub minimum_balance: Amount,
    /// Days after which bought credits expire (S12).
    pub expires_days: Option<u32>,
    /// What becomes of unused credits when a team leaves the route (S18).
    pub unused: Settlement,
}

impl Terms {
    /// Terms that charge nothing beyond list price, for ever: where tests and `whatif` start from.
    pub fn free(route: Route) -> Terms {
        Terms {
            route,
            offer: None,
            days: ALWAYS,
            signed_up: ALWAYS,
            flat_fee: Range::default(),
            rates: Vec::new(),
            percent: Some(Range::default()),
            allowance: None,
            subscription: None,
            pack: None,
            deposit: None,
            minimums: Vec::new(),
            steps: Vec::new(),
            discounts: Vec::new(),
            credit_price: None,
            ops_hours: Range::default(),
            wage: None,
            value: Amount::ZERO,
            fx: Amount::ZERO,
            minimum_balance: Amount::ZERO,
            expires_days: None,
            unused: Settlement::Forfeit,
        }
    }
}

impl Terms {
    /// Some figure is a range, so that the two ends of the cost differ.
    pub fn has_ranges(&self) -> bool {
        let ladders = self.subscription.iter().chain(self.steps.iter().map(|step| &step.ladder));
        let tiers = ladders.flat_map(|ladder| &ladder.tiers).flat_map(|tier| [Some(tier.price), tier.overage]).flatten();
        let rates = self.rates.iter().flat_map(|rate| &rate.tiers).map(|tier| tier.price);
        let alone =
            [Some(self.flat_fee), self.percent, self.pack.map(|pack| pack.price), self.credit_price, Some(self.ops_hours)];
        alone.into_iter().flatten().chain(tiers).chain(rates).any(|range| range.low != range.high)
    }
}

/// Every day of the calendar.
pub const ALWAYS: Days = Days { from: NaiveDate::MIN, to: NaiveDate::MAX };

/// A price for units of one meter.
#[derive(Clone, Debug, PartialEq)]
pub struct Rate {
    /// `None` fits every provider.
    pub provider: Option<String>,
    /// `None` fits every model (S15: one price, several upstream costs).
    pub model: Option<String>,
    /// What is counted; [`meter::REQUESTS`] for calls.
    pub meter: String,
    /// Units that one price buys.
    pub per: u64,
    /// Prices by volume, ascending, the first from 0.
    pub tiers: Vec<RateTier>,
    /// Each tier's price for the units inside it only; else for all units once the tier is reached.
    pub graduated: bool,
    /// Prices are in credits, see [`Terms::credit_price`].
    pub in_credits: bool,
}

/// What a calendar month has free of the percentage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// So many calls; those beyond are taken at the month's average list cost.
    Requests(Amount),
    /// So much list cost.
    ListCost(Amount),
}

/// A fee on every deposit. Without a history of purchases one deposit a month is taken (contract 4.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Part of the deposit.
    pub part: Amount,
    /// Least fee.
    pub minimum: Amount,
}

impl Deposit {
    /// The fee of one deposit, nothing for none; `None` only if it does not fit.
    pub fn fee(&self, deposit: Amount) -> Option<Amount> {
        if deposit.is_zero() {
            return Some(Amount::ZERO);
        }
        self.part.times(deposit).map(|fee| fee.max(self.minimum))
    }
}

/// Least spend a calendar month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minimum {
    /// Whose bill it is; `None`: all usage of the route together.
    pub provider: Option<String>,
    pub amount: Amount,
}

/// A subscription at a provider: what it includes is not paid again.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub provider: String,
    /// What it includes; lines of the provider with this meter are covered.
    pub meter: String,
    pub ladder: Ladder,
}

/// A negotiated discount of an account or key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnDiscount {
    pub provider: Option<String>,
    pub account: Option<String>,
    pub api_key_id: Option<String>,
    /// The part taken off: 0.22 for 22 %.
    pub off: Amount,
}

/// Usage that happened: one request, or one bucket of them with everything in common that is named here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageLine {
    pub provider: String,
    pub model: String,
    pub account: String,
    pub api_key_id: Option<String>,
    pub requests: Amount,
    /// Quantities by meter, each meter once.
    pub meters: Vec<(String, Amount)>,
    /// At the provider's list price, in the currency of the comparison; `None` is an unknown, never a zero.
    pub list_cost: Option<Amount>,
    /// At the contracted price of the price book.
    pub contracted_cost: Option<Amount>,
    /// Credits that the platform did debit for it, where known.
    pub credits: Option<Amount>,
}

impl UsageLine {
    /// How much of a unit the line has: a meter, calls, or list cost. Zero where it has none of it.
    pub fn quantity(&self, unit: &str) -> Amount {
        match unit {
            LIST_COST => self.list_cost.unwrap_or_default(),
            meter::REQUESTS => self.requests,
            meter => self.meters.iter().find(|(name, _)| name == meter).map_or(Amount::ZERO, |(_, quantity)| *quantity),
        }
    }
}

impl Plan {
    /// The terms in force on a day, for an offer, and for who signed up on a day (unknown: any day fits).
    pub fn terms(&self, route: Route, offer: Option<&str>, signed_up: Option<NaiveDate>, day: NaiveDate) -> Option<&Terms> {
        let terms = match route {
            Route::Credits => &self.credits,
            Route::Byok => &self.byok,
        };
        terms.iter().find(|terms| {
            let mine = signed_up.is_none_or(|day| terms.signed_up.contains(day));
            terms.offer.as_deref() == offer && mine && terms.days.contains(day)
        })
    }

    /// The terms of some days: one entry for each run of days under the same terms, `None` where the plan has none.
    pub fn spans(
        &self,
        route: Route,
        offer: Option<&str>,
        signed_up: Option<NaiveDate>,
        days: Days,
    ) -> Vec<(Days, Option<&Terms>)> {
        let mut spans: Vec<(Days, Option<&Terms>)> = Vec::new();
        for day in days.iter() {
            let next = day.succ_opt().unwrap_or(day);
            let terms = self.terms(route, offer, signed_up, day);
            match spans.last_mut() {
                Some((span, same)) if same.map(std::ptr::from_ref) == terms.map(std::ptr::from_ref) => span.to = next,
                _ => spans.push((Days { from: day, to: next }, terms)),
            }
        }
        spans
    }
}

/// A rate of exchange that is not there. Shown with the day that is needed; ends a command with 65.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no rate from {from} to {to} for {day} or the 7 days before it")]
pub struct MissingRate {
    pub from: Currency,
    pub to: Currency,
    pub day: NaiveDate,
}

impl Terms {
    /// The same terms in another currency, at the rate of a day: the last day of the span that is compared.
    ///
    /// # Errors
    /// No rate for the day.
    pub fn in_currency(&self, rates: &Rates, from: Currency, to: Currency, day: NaiveDate) -> Result<Terms, MissingRate> {
        let rate = rates.rate(from, to, day).ok_or(MissingRate { from, to, day })?;
        if from == to {
            return Ok(self.clone());
        }
        // Plan figures are below 10^9 and rates too, so that the product always fits.
        let money = |amount: &mut Amount| *amount = convert(*amount, rate).unwrap_or(*amount);
        let range = |range: &mut Range| {
            money(&mut range.low);
            money(&mut range.high);
        };
        let mut terms = self.clone();
        range(&mut terms.flat_fee);
        for tier in terms.rates.iter_mut().filter(|rate| !rate.in_credits).flat_map(|rate| &mut rate.tiers) {
            range(&mut tier.price);
        }
        if let Some(Allowance::ListCost(amount)) = &mut terms.allowance {
            money(amount);
        }
        let ladders = terms.subscription.iter_mut().chain(terms.steps.iter_mut().map(|step| &mut step.ladder));
        for tier in ladders.flat_map(|ladder| &mut ladder.tiers) {
            range(&mut tier.price);
            tier.overage.iter_mut().for_each(range);
        }
        terms.pack.iter_mut().for_each(|pack| range(&mut pack.price));
        terms.deposit.iter_mut().for_each(|deposit| money(&mut deposit.minimum));
        terms.minimums.iter_mut().for_each(|minimum| money(&mut minimum.amount));
        terms.credit_price.iter_mut().for_each(range);
        terms.wage.iter_mut().for_each(money);
        money(&mut terms.value);
        money(&mut terms.minimum_balance);
        Ok(terms)
    }
}
