//! A route's cost as named components that sum exactly (contract 4.6).

use super::MissingRate;
use crate::domain::money::{Amount, SCALE, sum};
use std::collections::BTreeMap;

/// What a difference between two routes is made of (contract 4.6), in the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Component {
    /// Price of credits, or of a bundle, over list cost.
    Markup,
    /// What filling the balance costs.
    DepositFee,
    /// Contracted against list price.
    Discount,
    /// What a minimum spend takes beyond the usage.
    Minimum,
    /// A subscription at a provider, over the list cost of what it covers.
    SubscriptionStep,
    FlatFee,
    /// Credits that expired; an idle balance is no cost.
    IdleOrExpired,
    /// What an aggregator takes for usage on own keys.
    ByokPlatformFee,
    Fx,
    /// Hours × wage: in the all-in figures only.
    OpsHours,
    Other,
}

impl Component {
    pub const ALL: [Component; 11] = [
        Component::Markup,
        Component::DepositFee,
        Component::Discount,
        Component::Minimum,
        Component::SubscriptionStep,
        Component::FlatFee,
        Component::IdleOrExpired,
        Component::ByokPlatformFee,
        Component::Fx,
        Component::OpsHours,
        Component::Other,
    ];

    /// The column's name.
    pub const fn name(self) -> &'static str {
        match self {
            Component::Markup => "markup",
            Component::DepositFee => "deposit_fee",
            Component::Discount => "discount",
            Component::Minimum => "minimum",
            Component::SubscriptionStep => "subscription_step",
            Component::FlatFee => "flat_fee",
            Component::IdleOrExpired => "idle_or_expired",
            Component::ByokPlatformFee => "byok_platform_fee",
            Component::Fx => "fx",
            Component::OpsHours => "ops_hours",
            Component::Other => "other",
        }
    }
}

/// What a route costs: the list cost of the usage, and what comes on top or goes off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub base: Amount,
    /// Signed; what is zero is left out.
    pub parts: BTreeMap<Component, Amount>,
}

/// Why a plan has no figure for some usage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// More than the plan sells: an unknown, never the price of its largest tier.
    #[error("the plan has no price for {volume} units a month: its last tier ends at {last}")]
    Beyond { volume: Amount, last: Amount },
    #[error("a figure has more digits than an amount can hold")]
    Overflow,
    #[error(transparent)]
    Rate(#[from] MissingRate),
}

impl Cost {
    pub fn part(&self, component: Component) -> Amount {
        self.parts.get(&component).copied().unwrap_or_default()
    }

    /// Money paid: everything but the hours. `None` only if it does not fit.
    pub fn cash(&self) -> Option<Amount> {
        let parts = self.parts.iter().filter(|(component, _)| **component != Component::OpsHours);
        sum(parts.map(|(_, amount)| *amount).chain([self.base]))
    }

    /// Money paid and hours × wage.
    pub fn all_in(&self) -> Option<Amount> {
        sum(self.parts.values().copied().chain([self.base]))
    }

    /// The sum of two costs, component by component.
    pub fn checked_add(&self, other: &Cost) -> Option<Cost> {
        let mut total = Cost { base: self.base.checked_add(other.base)?, parts: self.parts.clone() };
        for (component, amount) in &other.parts {
            let part = total.part(*component).checked_add(*amount)?;
            total.parts.insert(*component, part);
        }
        total.parts.retain(|_, amount| !amount.is_zero());
        Some(total)
    }

    /// Shares base and every component in proportion to weights, so that the shares sum exactly
    /// ([`Amount::split`]). `None` where no weight is above 0.
    pub fn split(&self, weights: &[Amount]) -> Option<Vec<Cost>> {
        let mut shares: Vec<Cost> =
            self.base.split(weights, SCALE)?.into_iter().map(|base| Cost { base, ..Cost::default() }).collect();
        for (component, amount) in &self.parts {
            for (share, part) in shares.iter_mut().zip(amount.split(weights, SCALE)?) {
                if !part.is_zero() {
                    share.parts.insert(*component, part);
                }
            }
        }
        Some(shares)
    }
}

/// The components of `credits − byok`, each with its sign; what is zero is left out. `None` only if one does
/// not fit. The bases are the list cost of the same usage on both sides, so that the parts are the whole
/// difference.
pub fn difference(credits: &Cost, byok: &Cost) -> Option<BTreeMap<Component, Amount>> {
    let mut parts = BTreeMap::new();
    for component in Component::ALL {
        let part = credits.part(component).checked_sub(byok.part(component))?;
        if !part.is_zero() {
            parts.insert(component, part);
        }
    }
    Some(parts)
}
