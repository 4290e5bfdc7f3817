//! Normalises ledger rows: one name per model, the account that a row left out, what the ledger expects
//! the provider to charge, replays dropped (contract 4.8).

use super::facts::{Entry, EntryKind, Facts, LedgerInfo, Part, stored};
use super::reference::{Namer, Reference};
use super::results::{Coverage, Quarantine, SliceStatus};
use super::symbols::{NONE, Sym};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::fx::convert;
use crate::domain::ledger::{LedgerEntry, Status};
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::names::NameKind;
use crate::domain::period::day_number;
use crate::domain::price::Asked;
use crate::domain::usage::{Quarantined, meter};
use chrono::NaiveDate;
use hashbrown::HashMap;
use std::collections::BTreeMap;

#[derive(Default)]
struct Count {
    read: u64,
    duplicates: u64,
    quarantined: u64,
}

/// Appends ledgers to the facts of the provider side.
pub struct EntryReader<'r> {
    reference: &'r Reference,
    facts: Facts,
    /// The digest of each entry's row.
    contents: Vec<u64>,
    /// First entry of each call, by call number; and all entries of calls that have several.
    first_of_call: Vec<u32>,
    more_of_call: HashMap<Sym, Vec<u32>>,
    /// First entry of each provider request id, and the further ones of ids that have several.
    first_of_request: Vec<u32>,
    more_of_request: HashMap<Sym, Vec<u32>>,
    /// The one account of a provider, and the account of a key that provider lines know.
    only_account: HashMap<Sym, Option<Sym>>,
    account_of_key: HashMap<(Sym, Sym), Option<Sym>>,
    /// The one currency that an account is billed in.
    billed_in: HashMap<(Sym, Sym), Option<Currency>>,
    namer: Namer,
    counts: BTreeMap<(u16, Option<NaiveDate>), Count>,
    quarantine: Vec<Quarantine>,
}

/// What is known of the ledger side besides its entries.
pub struct LedgerSide {
    pub coverage: Vec<Coverage>,
    pub quarantine: Vec<Quarantine>,
}

fn one_or_none<V: PartialEq>(slot: &mut Option<V>, value: V) {
    if slot.as_ref().is_some_and(|known| *known != value) {
        *slot = None;
    }
}

impl<'r> EntryReader<'r> {
    pub fn new(reference: &'r Reference, facts: Facts) -> Self {
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
        EntryReader {
            reference,
            facts,
            contents: Vec::new(),
            first_of_call: vec![u32::MAX],
            more_of_call: HashMap::new(),
            first_of_request: Vec::new(),
            more_of_request: HashMap::new(),
            only_account,
            account_of_key,
            billed_in,
            namer: Namer::default(),
            counts: BTreeMap::new(),
            quarantine: Vec::new(),
        }
    }

    /// The rows that follow come from this ledger; its number is what [`Self::push`] takes.
    pub fn open_ledger(&mut self, ledger: LedgerInfo) -> u16 {
        self.facts.ledgers.push(ledger);
        self.facts.ledgers.len() as u16 - 1
    }

    /// Sets a row aside.
    pub fn set_aside(&mut self, ledger: u16, row: Quarantined) {
        if row.day.is_some_and(|day| !self.reference.window.contains(day)) {
            return;
        }
        let count = self.counts.entry((ledger, row.day)).or_default();
        count.read += 1;
        count.quarantined += 1;
        let name = self.facts.ledgers[usize::from(ledger)].name.clone();
        self.quarantine.push(Quarantine {
            charge_date: row.day,
            provider: "ledger".to_string(),
            account: name.clone(),
            endpoint: "request_ledger".to_string(),
            file: name,
            row: u64::from(row.row),
            reason: row.reason,
            amount: row.amount,
            currency: row.currency,
        });
    }

    /// Takes one row.
    ///
    /// # Errors
    /// A price in a currency that the provider does not bill in, on a day without a rate (65).
    pub fn push(&mut self, ledger: u16, row: &LedgerEntry<'_>) -> Result<(), Fault> {
        let date = row.started_at.date_naive();
        if !self.reference.window.contains(date) {
            return Ok(());
        }
        let call = self.facts.calls.number(row.request_id);
        if let Some(twin) = self.twin(call, ledger, row) {
            if self.contents[twin] == row.content {
                let count = self.counts.entry((ledger, Some(date))).or_default();
                count.read += 1;
                count.duplicates += 1;
                return Ok(());
            }
            let reason = format!(
                "request_id, attempt: {:?} attempt {} stands in row {} with other content",
                row.request_id, row.attempt, self.facts.entries[twin].row
            );
            let (amount, currency) = (row.expected_cost, row.expected_currency);
            self.set_aside(ledger, Quarantined { row: row.row, day: Some(date), reason, amount, currency });
            return Ok(());
        }
        let entry = self.entry(ledger, call, row, date)?;
        self.counts.entry((ledger, Some(date))).or_default().read += 1;
        let index = self.facts.entries.len() as u32;
        self.remember(call, entry.request, index);
        self.facts.entries.push(entry);
        self.contents.push(row.content);
        Ok(())
    }

    /// The earlier entry of the same ledger, call and attempt.
    fn twin(&self, call: Sym, ledger: u16, row: &LedgerEntry<'_>) -> Option<usize> {
        let first = *self.first_of_call.get(call as usize)?;
        let more = self.more_of_call.get(&call).map_or(&[][..], Vec::as_slice);
        let same = |index: &u32| {
            let entry = self.facts.entries.get(*index as usize);
            entry.is_some_and(|e| e.attempt == row.attempt && self.facts.entry_kind(e).ledger == ledger)
        };
        [first].iter().chain(more).copied().find(same).map(|index| index as usize)
    }

    fn remember(&mut self, call: Sym, request: Sym, index: u32) {
        match self.first_of_call.get(call as usize) {
            None => self.first_of_call.push(index),
            Some(_) => self.more_of_call.entry(call).or_default().push(index),
        }
        if request == NONE {
            return;
        }
        let at = request as usize;
        if self.first_of_request.len() <= at {
            self.first_of_request.resize(at + 1, u32::MAX);
        }
        if self.first_of_request[at] == u32::MAX {
            self.first_of_request[at] = index;
        } else {
            self.more_of_request.entry(request).or_default().push(index);
        }
    }

    /// Of several calls with one id of one provider the earliest stands, whatever order they were read in.
    fn mark_duplicates(&mut self) {
        let mut duplicates = Vec::new();
        for (request, more) in &self.more_of_request {
            let mut all: Vec<u32> = more.iter().chain(self.first_of_request.get(*request as usize)).copied().collect();
            let facts = &self.facts;
            let provider = |index: u32| facts.entry_kind(&facts.entries[index as usize]).provider;
            all.sort_by_key(|index| (provider(*index), facts.entry_order(*index)));
            for same in all.chunk_by(|a, b| provider(*a) == provider(*b)) {
                let call = |index: u32| facts.entries[index as usize].call;
                duplicates.extend(same.iter().copied().filter(|index| call(*index) != call(same[0])));
            }
        }
        for index in duplicates {
            self.facts.entries[index as usize].duplicate = true;
        }
    }

    fn entry(&mut self, ledger: u16, call: Sym, row: &LedgerEntry<'_>, date: NaiveDate) -> Result<Entry, Fault> {
        let provider = self.facts.symbols.number(row.provider);
        let (namer, symbols) = (&mut self.namer, &mut self.facts.symbols);
        let mut named = |kind, name| namer.name(symbols, self.reference, kind, provider, name, date);
        let model = named(NameKind::Model, Some(row.model));
        let api_key_id = named(NameKind::ApiKey, row.api_key_id);
        let sub_account = named(NameKind::SubAccount, row.sub_account);
        let account = match row.account {
            Some(account) => self.facts.symbols.number(account),
            None => {
                let by_key = self.account_of_key.get(&(provider, api_key_id)).copied().flatten();
                by_key.or_else(|| self.only_account.get(&provider).copied().flatten()).unwrap_or(NONE)
            }
        };
        let info = &self.facts.ledgers[usize::from(ledger)];
        let written_in = row.expected_currency.unwrap_or(info.currency);
        let currency = self.billed_in.get(&(provider, account)).copied().flatten().unwrap_or(written_in);
        let symbols = &mut self.facts.symbols;
        let kind = EntryKind {
            ledger,
            provider,
            account,
            sub_account,
            api_key_id,
            model,
            service_tier: symbols.optional(row.service_tier),
            batch: row.batch,
            team: symbols.optional(row.team),
            feature: symbols.optional(row.feature),
            client: symbols.optional(row.client),
            funding: row.funding,
            status: row.status,
            currency,
        };
        let part_start = self.facts.parts.len() as u32;
        for (meter, quantity) in row.meters {
            let meter = self.facts.symbols.number(meter);
            self.facts.parts.push(Part { meter, quantity: quantity.atto() });
        }
        let billable = row.status == Status::Ok;
        let expected = match row.expected_cost {
            Some(cost) if written_in != currency => Some(self.exchanged(cost, written_in, currency, date, row)?),
            cost => cost,
        };
        let book_cost = if billable && expected.is_some() { None } else { self.book_cost(&kind, row, date) };
        let cost = expected.or(book_cost).filter(|_| billable);
        let request = self.facts.requests.optional(row.provider_request_id);
        Ok(Entry {
            kind: self.facts.entry_kinds.number(kind),
            day: day_number(date),
            start: row.started_at.timestamp(),
            request,
            call,
            attempt: row.attempt,
            cost: cost.unwrap_or(Amount::ZERO),
            book_cost: stored(book_cost),
            reasoning: stored(row.reasoning_tokens),
            part_start,
            part_count: row.meters.len() as u16,
            unpriced: billable && cost.is_none(),
            duplicate: false,
            row: row.row,
        })
    }

    fn exchanged(
        &self,
        cost: Amount,
        from: Currency,
        to: Currency,
        day: NaiveDate,
        row: &LedgerEntry<'_>,
    ) -> Result<Amount, Fault> {
        let rate = self.reference.rates.rate(from, to, day);
        rate.and_then(|rate| convert(cost, rate)).ok_or_else(|| {
            Fault::new(
                ExitCode::Data,
                format!("ledger row {}", row.row),
                format!("no exchange rate {from} to {to} for {day}, and {} bills in {to}", row.provider),
                format!("add the rate {from} to {to} of {day} to the job's fx file"),
            )
        })
    }

    /// Quantity × book price over all meters; `None` as soon as one has no price.
    fn book_cost(&self, kind: &EntryKind, row: &LedgerEntry<'_>, day: NaiveDate) -> Option<Amount> {
        if row.meters.is_empty() {
            return None;
        }
        let text = |sym: Sym| self.facts.symbols.text(sym);
        let optional = |sym: Sym| Some(text(sym)).filter(|text| !text.is_empty());
        let provider = text(kind.provider);
        let currency = self.reference.books.get(provider)?.currency;
        let inputs = row.meters.iter().filter(|(name, _)| meter::INPUT_CLASSES.contains(name));
        let context = sum(inputs.map(|(_, quantity)| *quantity))?;
        let mut total = Amount::ZERO;
        for (meter, quantity) in row.meters {
            let price = self.reference.price(
                provider,
                Asked {
                    model: text(kind.model),
                    meter,
                    service_tier: optional(kind.service_tier),
                    batch: kind.batch.unwrap_or(false),
                    context,
                    account: text(kind.account),
                    api_key_id: optional(kind.api_key_id),
                    day,
                },
            )?;
            total = total.checked_add(price.cost(*quantity)?)?;
        }
        if currency == kind.currency {
            return Some(total);
        }
        self.reference.rates.rate(currency, kind.currency, day).and_then(|rate| convert(total, rate))
    }

    /// The whole snapshot, and the ledgers' days as slices.
    pub fn finish(mut self) -> (Facts, LedgerSide) {
        self.mark_duplicates();
        let mut totals: BTreeMap<(u16, i32, Currency), Amount> = BTreeMap::new();
        for entry in &self.facts.entries {
            let kind = self.facts.entry_kind(entry);
            let sum = totals.entry((kind.ledger, entry.day, kind.currency)).or_default();
            *sum = sum.checked_add(entry.cost).unwrap_or(*sum);
        }
        let mut coverage = Vec::new();
        for ((ledger, day), count) in &self.counts {
            let name = &self.facts.ledgers[usize::from(*ledger)].name;
            let row = Coverage {
                rows_read: count.read,
                rows_used: count.read - count.duplicates - count.quarantined,
                duplicates: count.duplicates,
                quarantined: count.quarantined,
                ..Coverage::of(*day, "ledger", name, "request_ledger", SliceStatus::Complete)
            };
            let number = day.map_or(super::facts::NO_DAY, day_number);
            let amounts: Vec<_> = totals
                .range((*ledger, number, Currency::MIN)..)
                .take_while(|((l, d, _), _)| (l, *d) == (ledger, number))
                .collect();
            if amounts.is_empty() {
                coverage.push(row.clone());
            }
            for (place, ((_, _, currency), amount)) in amounts.into_iter().enumerate() {
                let mut row = Coverage { amount: Some(*amount), currency: Some(*currency), ..row.clone() };
                if place > 0 {
                    (row.rows_read, row.rows_used, row.duplicates, row.quarantined) = (0, 0, 0, 0);
                }
                coverage.push(row);
            }
        }
        (self.facts, LedgerSide { coverage, quarantine: self.quarantine })
    }
}
