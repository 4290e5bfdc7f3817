//! Names that change: model aliases, SKU meters, key and workspace names, each dated.

use super::period::Days;
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// A model name or alias → the model's one name.
    Model,
    /// A model (or SKU) whose report does not say what it counts → its meter.
    Meter,
    /// A key's display name → its id.
    ApiKey,
    /// A workspace's or project's display name → its id.
    SubAccount,
    /// The display name of a customer's own key that an aggregator holds → its id there.
    OwnKey,
}

impl NameKind {
    pub const fn name(self) -> &'static str {
        match self {
            NameKind::Model => "model",
            NameKind::Meter => "meter",
            NameKind::ApiKey => "api_key",
            NameKind::SubAccount => "sub_account",
            NameKind::OwnKey => "own_key",
        }
    }
}

/// The names map. An entry holds from its first day to before its last.
#[derive(Clone, Debug, Default)]
pub struct Names {
    entries: BTreeMap<(NameKind, String, String), Vec<(Days, String)>>,
}

impl Names {
    /// Adds an entry; false when it overlaps another of the same kind, provider and name.
    pub fn insert(&mut self, kind: NameKind, provider: &str, name: &str, days: Days, stands_for: &str) -> bool {
        let entries = self.entries.entry((kind, provider.to_string(), name.to_string())).or_default();
        if entries.iter().any(|(other, _)| other.from < days.to && days.from < other.to) {
            return false;
        }
        entries.push((days, stands_for.to_string()));
        true
    }

    /// What the name stood for on that day; `None` when the map does not know it.
    pub fn resolve(&self, kind: NameKind, provider: &str, name: &str, day: NaiveDate) -> Option<&str> {
        let entries = self.entries.get(&(kind, provider.to_string(), name.to_string()))?;
        entries.iter().find(|(days, _)| days.contains(day)).map(|(_, stands_for)| stands_for.as_str())
    }
}

/// What name a key, project or workspace had when a list of them was fetched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// [`NameKind::ApiKey`], [`NameKind::SubAccount`] or [`NameKind::OwnKey`].
    pub kind: NameKind,
    pub id: String,
    /// The display name.
    pub name: String,
}

/// A row of `names.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownName {
    pub provider: String,
    pub account: String,
    pub named: Named,
    /// The last day of a list that shows it; on an earlier day than the account's other names it is gone, or has
    /// another name since.
    pub last: NaiveDate,
}

/// The ids that bore a name, each with the first and last day on which a list showed it.
type Bearers = BTreeMap<String, (NaiveDate, NaiveDate)>;

/// Every name that lists of an account's keys, projects and workspaces have ever shown: what is no longer on the
/// latest list keeps its name.
#[derive(Clone, Debug, Default)]
pub struct NameLists {
    /// By provider and account, then by kind and name: ids, each with the first and last day of a list that shows it.
    shown: BTreeMap<(String, String), BTreeMap<(NameKind, String), Bearers>>,
}

impl NameLists {
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// Every name that was ever shown, with the last day of a list that shows it.
    pub fn shown(&self) -> Vec<ShownName> {
        let mut rows = Vec::new();
        for ((provider, account), names) in &self.shown {
            for ((kind, name), ids) in names {
                rows.extend(ids.iter().map(|(id, (_, last))| ShownName {
                    provider: provider.clone(),
                    account: account.clone(),
                    named: Named { kind: *kind, id: id.clone(), name: name.clone() },
                    last: *last,
                }));
            }
        }
        rows
    }

    /// Takes an entry of a list of that day, in any order.
    pub fn insert(&mut self, provider: &str, account: &str, day: NaiveDate, named: Named) {
        let names = self.shown.entry((provider.to_string(), account.to_string())).or_default();
        let (first, last) = names.entry((named.kind, named.name)).or_default().entry(named.id).or_insert((day, day));
        (*first, *last) = ((*first).min(day), (*last).max(day));
    }

    /// The id that bears the name. Of several only the one that bore it on that day, by the lists before and after
    /// it; `None` where that does not tell one, so that nothing is booked on a guess.
    pub fn id(&self, kind: NameKind, provider: &str, account: &str, name: &str, day: NaiveDate) -> Option<&str> {
        let names = self.shown.get(&(provider.to_string(), account.to_string()))?;
        let ids = names.get(&(kind, name.to_string()))?;
        let all: Vec<&str> = ids.keys().map(String::as_str).collect();
        let then: Vec<&str> =
            ids.iter().filter(|(_, (first, last))| (*first..=*last).contains(&day)).map(|(id, _)| id.as_str()).collect();
        match (all.as_slice(), then.as_slice()) {
            ([id], _) | (_, [id]) => Some(id),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_an_id_only_where_the_lists_tell_one() {
        let day = |text: &str| text.parse::<NaiveDate>().unwrap();
        let mut lists = NameLists::default();
        let mut list = |on: &str, entries: &[(&str, &str)]| {
            for (id, name) in entries {
                let named = Named { kind: NameKind::ApiKey, id: id.to_string(), name: name.to_string() };
                lists.insert("openai", "acme", day(on), named);
            }
        };
        // Handed in out of order: key_1 is deleted, and its name given to key_2; key_3 is renamed.
        list("2026-11-05", &[("key_2", "prod"), ("key_3", "eval")]);
        list("2026-11-01", &[("key_1", "prod"), ("key_3", "test"), ("key_4", "gone")]);
        list("2026-11-02", &[("key_1", "prod"), ("key_3", "test")]);
        list("2026-11-06", &[("key_2", "prod"), ("key_3", "eval")]);
        let id = |name: &str, on: &str| lists.id(NameKind::ApiKey, "openai", "acme", name, day(on));
        assert_eq!((id("prod", "2026-11-02"), id("prod", "2026-11-05")), (Some("key_1"), Some("key_2")));
        assert_eq!(id("prod", "2026-11-03"), None, "between the two nobody knows");
        assert_eq!(
            (id("gone", "2026-11-06"), id("test", "2026-11-06"), id("eval", "2026-10-01")),
            (Some("key_4"), Some("key_3"), Some("key_3"))
        );
        assert_eq!(lists.id(NameKind::SubAccount, "openai", "acme", "prod", day("2026-11-02")), None);
        assert_eq!(lists.id(NameKind::ApiKey, "openai", "other", "prod", day("2026-11-02")), None);
    }
}
