//! What the stages look things up in: names, teams, prices, rates, and the run's window.

use super::symbols::{NONE, Sym, Symbols};
use crate::domain::fx::Rates;
use crate::domain::money::Currency;
use crate::domain::names::{NameKind, NameLists, Names};
use crate::domain::period::{Days, is_settled};
use crate::domain::price::{Asked, PriceBook, UnitPrice};
use crate::domain::teams::TeamMap;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use hashbrown::HashMap;
use std::collections::BTreeMap;

/// The reference files of a job and the moment that the run speaks for.
pub struct Reference {
    pub names: Names,
    pub teams: TeamMap,
    /// By provider.
    pub books: BTreeMap<String, PriceBook>,
    pub rates: Rates,
    pub reporting_currency: Currency,
    pub time_zone: Tz,
    pub as_of: DateTime<Utc>,
    /// The UTC days that are reconciled.
    pub window: Days,
}

impl Reference {
    pub fn price(&self, provider: &str, asked: Asked<'_>) -> Option<UnitPrice> {
        self.books.get(provider)?.price(asked)
    }

    pub fn earlier_prices(&self, provider: &str, asked: Asked<'_>) -> Vec<UnitPrice> {
        self.books.get(provider).map(|book| book.earlier(asked)).unwrap_or_default()
    }

    /// The last day of the window: the day that the run speaks for.
    pub fn business_date(&self) -> NaiveDate {
        self.window.to - chrono::Duration::days(1)
    }

    pub fn settled(&self, day: NaiveDate, settle_days: u32) -> bool {
        is_settled(day, settle_days, self.as_of)
    }

    /// The one name of a model: by the names map; else as it stands if the price book has it; else
    /// without a trailing snapshot date (`-2026-03-17`, `-20260317`) if the book has that; else as it stands.
    pub fn model<'a>(&'a self, provider: &str, name: &'a str, day: NaiveDate) -> &'a str {
        if let Some(model) = self.names.resolve(NameKind::Model, provider, name, day) {
            return model;
        }
        let known = |name: &str| self.books.get(provider).is_some_and(|book| book.models.contains_key(name));
        match without_snapshot(name) {
            Some(short) if !known(name) && known(short) => short,
            _ => name,
        }
    }
}

/// Resolves names while rows stream by; remembers what it resolved.
#[derive(Clone, Default)]
pub struct Namer {
    /// By kind, provider, account, name and day.
    known: HashMap<(NameKind, Sym, Sym, Sym, NaiveDate), Sym>,
    lists: NameLists,
}

impl Namer {
    /// One that also knows what the providers' own lists of keys, projects and workspaces say.
    pub fn with(lists: NameLists) -> Namer {
        Namer { lists, ..Namer::default() }
    }

    /// The one name of a key, workspace or model on a day; as it stands where nothing says otherwise. The job's names map
    /// goes before the providers' lists.
    #[allow(clippy::too_many_arguments)] // Two places call it; a struct would only repeat the names.
    pub fn name(
        &mut self,
        symbols: &mut Symbols,
        reference: &Reference,
        kind: NameKind,
        (provider, account): (Sym, Sym),
        name: Option<&str>,
        day: NaiveDate,
    ) -> Sym {
        let Some(name) = name.filter(|name| !name.is_empty()) else { return NONE };
        let key = (kind, provider, account, symbols.number(name), day);
        if let Some(found) = self.known.get(&key) {
            return *found;
        }
        let provider = symbols.text(provider);
        let resolved = match kind {
            NameKind::Model => reference.model(provider, name, day),
            kind => {
                let listed = || self.lists.id(kind, provider, symbols.text(account), name, day);
                reference.names.resolve(kind, provider, name, day).or_else(listed).unwrap_or(name)
            }
        };
        let resolved = symbols.number(resolved);
        self.known.insert(key, resolved);
        resolved
    }

    /// The meter of a model whose report does not say what it counts; [`NONE`] where nothing says it.
    pub fn meter(&mut self, symbols: &mut Symbols, reference: &Reference, provider: Sym, model: Sym, day: NaiveDate) -> Sym {
        let key = (NameKind::Meter, provider, NONE, model, day);
        if let Some(found) = self.known.get(&key) {
            return *found;
        }
        let meter = reference.names.resolve(NameKind::Meter, symbols.text(provider), symbols.text(model), day);
        let meter = symbols.optional(meter);
        self.known.insert(key, meter);
        meter
    }
}

/// The name before a trailing snapshot date; a snapshot id may lose nothing else.
fn without_snapshot(name: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (rest, last) = name.rsplit_once('-')?;
    if last.len() == 8 && digits(last) && last.starts_with("20") {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    let dated = last.len() == 2 && month.len() == 2 && year.len() == 4 && year.starts_with("20");
    (dated && digits(last) && digits(month) && digits(year)).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::without_snapshot;

    #[test]
    fn only_a_date_is_cut_off() {
        assert_eq!(without_snapshot("gpt-5.2-pro-2025-12-11"), Some("gpt-5.2-pro"));
        assert_eq!(without_snapshot("claude-haiku-4-5-20251001"), Some("claude-haiku-4-5"));
        assert_eq!(without_snapshot("gpt-5.2-pro"), None);
        assert_eq!(without_snapshot("mistral-large-2411"), None);
    }
}
