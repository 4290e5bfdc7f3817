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
