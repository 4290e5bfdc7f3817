//! Which plan holds for whom and when, and what was bought and invoiced under it.

use super::money::{Amount, Currency};
use super::period::Days;
use super::plan::{Plan, Route};
use chrono::NaiveDate;

/// A plan in force for a team, provider or account over some days. It is charged once, for everything that
/// it is for: an agreement without a team is one contract of all teams together.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    pub plan: Plan,
    /// `None` is all teams together.
    pub team: Option<String>,
    /// `None` is every provider.
    pub provider: Option<String>,
    /// `None` is every account.
    pub account: Option<String>,
    pub days: Days,
    pub credits_offer: Option<String>,
    pub byok_offer: Option<String>,
    pub signed_up: Option<NaiveDate>,
    /// The route whose fixed fees are paid; `None`: those of both.
    pub route: Option<Route>,
    /// First day of the route; before it the other one was paid for.
    pub switch: Option<NaiveDate>,
    /// The credit pool that its credits come from.
    pub pool: Option<String>,
}

impl Agreement {
    /// It is for this usage on this day.
    pub fn covers(&self, team: &str, provider: &str, account: &str, day: NaiveDate) -> bool {
        self.days.contains(day)
            && self.team.as_deref().is_none_or(|named| named == team)
            && self.provider.as_deref().is_none_or(|named| named == provider)
            && self.account.as_deref().is_none_or(|named| named == account)
    }

    /// How narrow it is: of two that cover the same usage the narrower one holds.
    pub fn narrowness(&self) -> (bool, bool, bool) {
        (self.account.is_some(), self.provider.is_some(), self.team.is_some())
    }

    /// The route of a day, where there is just one: what is paid for where neither ledger nor team map tells.
    pub fn only_route(&self, day: NaiveDate) -> Option<Route> {
        let own = self.route?;
        let other = if own == Route::Byok { Route::Credits } else { Route::Byok };
        Some(if self.switch.is_some_and(|switch| day < switch) { other } else { own })
    }

    /// The days of a span on which a route's fixed fees are paid.
    pub fn pays(&self, route: Route, span: Days) -> Days {
        let span = Days { from: span.from.max(self.days.from), to: span.to.min(self.days.to) };
        let days = match (self.route, self.switch) {
            (None, _) => span,
            (Some(own), None) if own == route => span,
            (Some(_), None) => Days { to: span.from, ..span },
            (Some(own), Some(switch)) if own == route => Days { from: span.from.max(switch), ..span },
            (Some(_), Some(switch)) => Days { to: span.to.min(switch), ..span },
        };
        Days { from: days.from, to: days.to.max(days.from) }
    }
}

/// A balance of credits (contract 3.4, shapes S11 and S12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub currency: Currency,
    /// What the ledger calls a credit of it; the currency's code where credits are money.
    pub unit: String,
    pub opening: Amount,
    /// By day.
    pub purchases: Vec<Purchase>,
    /// Day and units, by day.
    pub refunds: Vec<(NaiveDate, Amount)>,
    /// Day at whose end the platform showed so many units, by day.
    pub balances: Vec<(NaiveDate, Amount)>,
}

/// Credits that were bought or granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    pub day: NaiveDate,
    pub units: Amount,
    /// Without the fee; `None` for granted ones.
    pub price: Option<Amount>,
    pub fee: Amount,
    /// First day on which they can no longer be used.
    pub expires: Option<NaiveDate>,
}

/// What a platform invoiced: fees and subscriptions, without usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    pub id: String,
    /// The plan's name.
    pub issuer: String,
    /// `None`: all teams together.
    pub team: Option<String>,
    /// First day of the month it is for.
    pub month: NaiveDate,
    pub amount: Amount,
    pub currency: Currency,
}
