//! Findings of `check` about prices, from what a run would read: models without a price, and prices that the provider
//! itself says are others. They are no mistakes of the job.

use super::lists::{self, PriceList};
use super::reference::Loaded;
use super::{fetched, snapshot};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::price::{Asked, Quoted};
use crate::edge::log::Progress;
use crate::stages::unpriced::{Unpriced, unpriced};
use chrono::NaiveDate;
use std::collections::BTreeMap;

/// Compares the price books with the job's saved pages, what earlier runs have fetched, and its ledgers. Data that cannot
/// be read now is one finding.
pub fn of_data(loaded: &Loaded) -> Vec<String> {
    if loaded.reference.books.is_empty() {
        return Vec::new();
    }
    let found = read(loaded).unwrap_or_else(|fault| {
        let place = if fault.place.is_empty() { String::new() } else { format!("{}: ", fault.place) };
        vec![format!("prices are not compared with the data: {place}{}", fault.what)]
    });
    found.into_iter().map(|finding| finding.replace('\n', " ")).collect()
}

fn read(loaded: &Loaded) -> Result<Vec<String>, Fault> {
    let fetched = fetched::recorded(loaded)?;
    let mut found = differing(loaded, &lists::read(loaded, &fetched)?.prices);
    let snapshot = snapshot::read(loaded, &fetched, &Progress::on_stderr(true))?;
    let missing = unpriced(&snapshot.facts, &loaded.reference);
    found.extend(missing.iter().map(|missing| said(loaded, missing)));
    Ok(found)
}

/// Where a price book stands, as the job names it.
fn book_file(loaded: &Loaded, provider: &str) -> String {
    loaded.book_files.get(provider).map_or_else(|| provider.to_string(), |path| path.display().to_string())
}

fn said(loaded: &Loaded, missing: &Unpriced) -> String {
    let Unpriced { provider, model, tier, meters, days, entries, lines } = missing;
    let file = book_file(loaded, provider);
    let tier = if tier.is_empty() { String::new() } else { format!(" at {tier}") };
    let meters = meters.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let (first, last) = (days.first().copied().unwrap_or_default(), days.last().copied().unwrap_or_default());
    let when = if first == last { format!("on {first}") } else { format!("from {first} to {last}") };
    format!(
        "{file}: no price of {model}{tier}: {meters} ({when}; ledger rows: {entries}, report lines: {lines}): add it, or say \
         in the names map what the name stands for"
    )
}

/// Prices of the newest list of each account that are not those of the book.
fn differing(loaded: &Loaded, lists: &[PriceList]) -> Vec<String> {
    let mut newest: BTreeMap<(&str, &str), NaiveDate> = BTreeMap::new();
    for list in lists {
        let day = newest.entry((&list.provider, &list.account)).or_insert(list.day);
        *day = list.day.max(*day);
    }
    // A list of many prices is several pages of one day.
    let is_newest = |list: &&PriceList| newest.get(&(list.provider.as_str(), list.account.as_str())) == Some(&list.day);
    let all = lists.iter().filter(is_newest).flat_map(|list| list.prices.iter().map(move |quoted| (list, quoted)));
    all.filter_map(|(list, quoted)| difference(loaded, list, quoted)).collect()
}

fn difference(loaded: &Loaded, list: &PriceList, quoted: &Quoted) -> Option<String> {
    let book = loaded.reference.books.get(&list.provider)?;
    let model = loaded.reference.model(&list.provider, &quoted.model, list.day);
    let asked = Asked {
        model,
        meter: &quoted.meter,
        service_tier: None,
        batch: false,
        context: Amount::ZERO,
        account: &list.account,
        api_key_id: None,
        day: list.day,
    };
    let known = book.price(asked).and_then(|price| price.cost(Amount::ONE));
    if known == Some(quoted.price) && book.currency == quoted.currency {
        return None;
    }
    let file = book_file(loaded, &list.provider);
    let Quoted { meter, price, currency, .. } = quoted;
    let (provider, account, day) = (&list.provider, &list.account, list.day);
    let in_book = known.map_or_else(|| "no price".to_string(), |known| format!("{known} {}", book.currency));
    Some(format!(
        "{file}: {model}, {meter}: {in_book} in the book, {price} {currency} by {provider} itself for {account} on {day}: add \
         a row from the day on which it changed"
    ))
}
