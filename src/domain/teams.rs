//! The team map: who bears what, dated (contract 3.4 and 4.5).

use super::ledger::Funding;
use super::money::Amount;
use super::period::Days;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// What an entry of the map recognises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Owned {
    /// A team name as the ledger writes it.
    LedgerTeam,
    Feature,
    Client,
    /// A label or user on the provider's side.
    Label,
    ApiKey,
    SubAccount,
    Account,
}

/// A team with what accounting needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Team {
    pub name: String,
    pub cost_centre: Option<String>,
    pub gl_account: Option<String>,
}

/// Who owns something, over which days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub days: Days,
    pub team: String,
    /// Whose money the key spends, where the map says.
    pub funding: Option<Funding>,
}

/// How a shared cost is spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SharedMethod {
    /// In proportion to the teams' directly attributed cost at the same provider in the same month.
    Proportional,
    /// Equal parts for the named teams.
    Even(Vec<String>),
    /// Agreed shares.
    Fixed(Vec<(String, Amount)>),
}

/// Charges that nobody owns directly and that a written rule spreads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRule {
    pub days: Days,
    /// `None` is every provider.
    pub provider: Option<String>,
    /// Charge categories by their FOCUS names; empty is all.
    pub categories: Vec<String>,
    pub method: SharedMethod,
}

/// The team map. An empty provider in a key means any provider.
#[derive(Clone, Debug, Default)]
pub struct TeamMap {
    pub teams: BTreeMap<String, Team>,
    pub owners: BTreeMap<(Owned, String, String), Vec<Owner>>,
    pub shared: Vec<SharedRule>,
}

impl TeamMap {
    /// Who owned it on that day: an entry for the provider first, then one for any provider.
    pub fn owner(&self, owned: Owned, provider: &str, name: &str, day: NaiveDate) -> Option<&Owner> {
        [provider, ""].iter().find_map(|provider| {
            let owners = self.owners.get(&(owned, provider.to_string(), name.to_string()))?;
            owners.iter().find(|owner| owner.days.contains(day))
        })
    }

    /// The map has, or once had, an entry for this.
    pub fn knows(&self, owned: Owned, provider: &str, name: &str) -> bool {
        [provider, ""].iter().any(|provider| self.owners.contains_key(&(owned, provider.to_string(), name.to_string())))
    }
}
