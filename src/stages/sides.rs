//! Puts the ledger side to the provider side: one set of numbers, and what a ledger row alone cannot say:
//! the account that it left out, the currency that the provider bills in, and the book price of that account.

use super::entries::one_or_none;
use super::facts::{Entry, EntryKind, Facts, Part, stored};
use super::ids::Repeats;
use super::reference::Reference;
use super::symbols::{NONE, Sym};
use crate::domain::beside::beside;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::fx::convert;
use crate::domain::ledger::Status;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::period::day_of;
use crate::domain::price::Asked;
use crate::domain::usage::meter;
use chrono::NaiveDate;
use hashbrown::HashMap;

/// What provider lines say about rows of the ledger.
struct Billing {
    /// The one account of a provider, and the account of a key that provider lines know.
    only_account: HashMap<Sym, Option<Sym>>,
    account_of_key: HashMap<(Sym, Sym), Option<Sym>>,
    /// The one currency that an account is billed in.
    billed_in: HashMap<(Sym, Sym), Option<Currency>>,
}

impl Billing {
    fn of(facts: &Facts) -> Billing {
        let mut only_account: HashMap<Sym, Option<Sym>> = HashMap::new();
        for source in &facts.sources {
            one_or_none(only_account.entry(source.provider).or_insert(Some(source.account)), source.account);
        }
        let mut account_of_key: HashMap<(Sym, Sym), Option<Sym>> = HashMap::new();
        let mut billed_in: HashMap<(Sym, Sym), Option<Currency>> = HashMap::new();
        for kind in facts.charge_kinds.all() {
            let account = (kind.provider, kind.account);
            one_or_none(billed_in.entry(account).or_insert(Some(kind.currency)), kind.currency);
            if kind.api_key_id != NONE {
                let key = (kind.provider, kind.api_key_id);
                one_or_none(account_of_key.entry(key).or_insert(Some(kind.account)), kind.account);
            }
        }
        Billing { only_account, account_of_key, billed_in }
    }

    /// The kind with its account, and in the currency that the account is billed in.
    fn complete(&self, kind: EntryKind) -> EntryKind {
        let by_key = || self.account_of_key.get(&(kind.provider, kind.api_key_id)).copied().flatten();
        let only = || self.only_account.get(&kind.provider).copied().flatten();
        let account = if kind.account == NONE { by_key().or_else(only).unwrap_or(NONE) } else { kind.account };
        let currency = self.billed_in.get(&(kind.provider, account)).copied().flatten().unwrap_or(kind.currency);
        EntryKind { account, currency, ..kind }
    }
}

/// Appends the ledgers' facts to those of the provider side. In `ledger` the currency of a kind is the one
/// that its rows are written in, and rows that need a book price are unpriced or did not end well; `repeats`
/// are the provider request ids that several of its entries have.
///
/// # Errors
/// An expected cost in a currency that the provider does not bill in, on a day without a rate (65).
pub(super) fn join(reference: &Reference, provider: Facts, ledger: Facts, repeats: &Repeats) -> Result<Facts, Fault> {
    let mut facts = provider;
    let mut requests = std::mem::take(&mut facts.requests);
    let Facts { symbols, requests: theirs, calls, ledgers, entry_kinds, mut entries, mut parts, mut asides, .. } = ledger;
    // The ids are most of the work, and nothing else needs them.
    let absorb = || requests.absorb(&theirs, repeats);
    let (numbers, priced) = beside(absorb, || {
        let billing = Billing::of(&facts);
        let symbols: Vec<Sym> = (0..symbols.len()).map(|at| facts.symbols.number(symbols.text(at as Sym))).collect();
        let symbol = |sym: Sym| symbols.get(sym as usize).copied().unwrap_or(NONE);
        let kinds: Vec<(u32, Currency)> = entry_kinds
            .all()
            .iter()
            .map(|kind| {
                let own = EntryKind {
                    provider: symbol(kind.provider),
                    account: symbol(kind.account),
                    sub_account: symbol(kind.sub_account),
                    api_key_id: symbol(kind.api_key_id),
                    model: symbol(kind.model),
                    service_tier: symbol(kind.service_tier),
                    team: symbol(kind.team),
                    feature: symbol(kind.feature),
                    client: symbol(kind.client),
                    ..*kind
                };
                (facts.entry_kinds.number(billing.complete(own)), kind.currency)
            })
            .collect();
        for part in &mut parts {
            part.meter = symbol(part.meter);
        }
        for aside in &mut asides {
            (aside.upstream_provider, aside.credit_unit) = (symbol(aside.upstream_provider), symbol(aside.credit_unit));
        }
        (facts.calls, facts.ledgers, facts.parts, facts.asides) = (calls, ledgers, parts, asides);
        entries.iter_mut().try_for_each(|entry| {
            let (kind, written_in) = kinds[entry.kind as usize];
            entry.kind = kind;
            price(reference, &facts, entry, written_in)
        })
    });
    priced?;
    for entry in &mut entries {
        entry.request = numbers[entry.request as usize];
    }
    (facts.requests, facts.entries) = (requests, entries);
    Ok(facts)
}

/// What the ledger expects in the currency that the provider bills in, and what the book says where the
/// ledger does not, or where the call did not end well.
fn price(reference: &Reference, facts: &Facts, entry: &mut Entry, written_in: Currency) -> Result<(), Fault> {
    let kind = facts.entry_kind(entry);
    if kind.status == Status::Ok && !entry.unpriced {
        if written_in != kind.currency {
            entry.cost = exchanged(reference, facts, entry, written_in, kind.currency)?;
        }
        return Ok(());
    }
    let book_cost = book_cost(reference, facts, kind, facts.parts_of(entry), day_of(entry.day));
    entry.book_cost = stored(book_cost);
    if let (Status::Ok, Some(cost)) = (kind.status, book_cost) {
        (entry.cost, entry.unpriced) = (cost, false);
    }
    Ok(())
}

fn exchanged(reference: &Reference, facts: &Facts, entry: &Entry, from: Currency, to: Currency) -> Result<Amount, Fault> {
    let day = day_of(entry.day);
    let rate = reference.rates.rate(from, to, day);
    rate.and_then(|rate| convert(entry.cost, rate)).ok_or_else(|| {
        let provider = facts.symbols.text(facts.entry_kind(entry).provider);
        Fault::new(
            ExitCode::Data,
            format!("ledger row {}", entry.row),
            format!("no exchange rate {from} to {to} for {day}, and {provider} bills in {to}"),
            format!("add the rate {from} to {to} of {day} to the job's fx file"),
        )
    })
}

/// Quantity × book price over all meters; `None` as soon as one has no price.
fn book_cost(reference: &Reference, facts: &Facts, kind: &EntryKind, parts: &[Part], day: NaiveDate) -> Option<Amount> {
    if parts.is_empty() {
        return None;
    }
    let text = |sym: Sym| facts.symbols.text(sym);
    let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
    let provider = text(kind.provider);
    let currency = reference.books.get(provider)?.currency;
    let inputs = parts.iter().filter(|part| meter::INPUT_CLASSES.contains(&text(part.meter)));
    let context = sum(inputs.map(|part| Amount::from_atto(part.quantity)))?;
    let mut total = Amount::ZERO;
    for part in parts {
        let price = reference.price(
            provider,
            Asked {
                model: text(kind.model),
                meter: text(part.meter),
                service_tier: optional(kind.service_tier),
                batch: kind.batch.unwrap_or(false),
                context,
                account: text(kind.account),
                api_key_id: optional(kind.api_key_id),
                day,
            },
        )?;
        total = total.checked_add(price.cost(Amount::from_atto(part.quantity))?)?;
    }
    if currency == kind.currency {
        return Some(total);
    }
    reference.rates.rate(currency, kind.currency, day).and_then(|rate| convert(total, rate))
}
