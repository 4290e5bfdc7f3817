//! Normalises ledger rows: one name per model, what the ledger expects the provider to charge, replays
//! dropped (contract 4.8). What only the provider side can add is added when both are read (see `sides`).

use super::facts::{Aside, Entry, EntryKind, Facts, LedgerInfo, NO_AMOUNT, Part, stored};
use super::ledger_findings::Findings;
use super::overlap::{self, Same};
use super::reference::{Namer, Reference};
use super::results::{Coverage, LedgerFinding, Quarantine, SliceStatus};
use super::sides;
use super::symbols::{NONE, Sym};
use crate::domain::fault::Fault;
use crate::domain::ledger::{LedgerEntry, LeftOut, Status};
use crate::domain::money::{Amount, Currency};
use crate::domain::names::NameKind;
use crate::domain::period::{day_number, day_of};
use crate::domain::usage::Quarantined;
use chrono::NaiveDate;
use hashbrown::HashMap;
use std::collections::BTreeMap;

#[derive(Default)]
struct Count {
    read: u64,
    duplicates: u64,
    quarantined: u64,
}

/// Collects ledgers, apart from the provider side until both are read.
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
    namer: Namer,
    counts: BTreeMap<(u16, Option<NaiveDate>), Count>,
    quarantine: Vec<Quarantine>,
    findings: Findings,
}

/// What is known of the ledger side besides its entries.
pub struct LedgerSide {
    pub coverage: Vec<Coverage>,
    pub quarantine: Vec<Quarantine>,
    pub findings: Vec<LedgerFinding>,
}

/// Keeps a value while all agree on it.
pub(super) fn one_or_none<V: PartialEq>(slot: &mut Option<V>, value: V) {
    if slot.as_ref().is_some_and(|known| *known != value) {
        *slot = None;
    }
}

impl<'r> EntryReader<'r> {
    pub fn new(reference: &'r Reference) -> Self {
        EntryReader {
            reference,
            facts: Facts::default(),
            contents: Vec::new(),
            first_of_call: vec![u32::MAX],
            more_of_call: HashMap::new(),
            first_of_request: Vec::new(),
            more_of_request: HashMap::new(),
            namer: Namer::default(),
            counts: BTreeMap::new(),
            quarantine: Vec::new(),
            findings: Findings::default(),
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

    /// Counts a row that another one replaces or repeats.
    pub fn leave_out(&mut self, ledger: u16, row: &LeftOut<'_>) {
        let count = self.counts.entry((ledger, Some(row.day))).or_default();
        count.read += 1;
        count.duplicates += 1;
        let currency = row.currency.unwrap_or(self.facts.ledgers[usize::from(ledger)].currency);
        self.findings.add(ledger, row.day, row.note, currency, row.request_id);
    }

    /// Takes one row.
    pub fn push(&mut self, ledger: u16, row: &LedgerEntry<'_>) {
        let date = row.started_at.date_naive();
        if !self.reference.window.contains(date) {
            return;
        }
        let call = self.facts.calls.number(row.request_id);
        if let Some(twin) = self.twin(call, ledger, row) {
            if self.contents[twin] == row.content {
                let count = self.counts.entry((ledger, Some(date))).or_default();
                count.read += 1;
                count.duplicates += 1;
                return;
            }
            let reason = format!(
                "request_id, attempt: {:?} attempt {} stands in row {} with other content",
                row.request_id, row.attempt, self.facts.entries[twin].row
            );
            let (amount, currency) = (row.expected_cost, row.expected_currency);
            return self.set_aside(ledger, Quarantined { row: row.row, day: Some(date), reason, amount, currency });
        }
        let entry = self.entry(ledger, call, row, date);
        self.counts.entry((ledger, Some(date))).or_default().read += 1;
        let index = self.facts.entries.len() as u32;
        self.remember(call, entry.request, index);
        self.facts.entries.push(entry);
        self.contents.push(row.content);
        for note in row.notes {
            let currency = row.expected_currency.unwrap_or(self.facts.ledgers[usize::from(ledger)].currency);
            self.findings.add(ledger, date, *note, currency, row.request_id);
        }
        if row.upstream_cost.is_some() || row.credits_charged.is_some() {
            let symbols = &mut self.facts.symbols;
            let aside = Aside {
                entry: index,
                upstream_provider: symbols.optional(row.upstream_provider),
                upstream_cost: stored(row.upstream_cost),
                credits: stored(row.credits_charged),
                credit_unit: symbols.optional(row.credit_unit),
            };
            self.facts.asides.push(aside);
        }
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
    fn mark_duplicates(&mut self, same: &[Same]) {
        let mut duplicates = Vec::new();
        let elsewhere = |index: &u32| same.binary_search_by_key(index, |pair| pair.loser).is_ok();
        for (request, more) in &self.more_of_request {
            let all = more.iter().chain(self.first_of_request.get(*request as usize)).copied();
            let mut all: Vec<u32> = all.filter(|index| !elsewhere(index)).collect();
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

    /// The entry as far as the row alone tells it; `sides` does the rest.
    fn entry(&mut self, ledger: u16, call: Sym, row: &LedgerEntry<'_>, date: NaiveDate) -> Entry {
        let provider = self.facts.symbols.number(row.provider);
        let (namer, symbols) = (&mut self.namer, &mut self.facts.symbols);
        let mut named = |kind, name| namer.name(symbols, self.reference, kind, provider, name, date);
        let model = named(NameKind::Model, Some(row.model));
        let api_key_id = named(NameKind::ApiKey, row.api_key_id);
        let sub_account = named(NameKind::SubAccount, row.sub_account);
        let info = &self.facts.ledgers[usize::from(ledger)];
        let symbols = &mut self.facts.symbols;
        let kind = EntryKind {
            ledger,
            provider,
            account: symbols.optional(row.account),
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
            currency: row.expected_currency.unwrap_or(info.currency),
        };
        let part_start = self.facts.parts.len() as u32;
        for (meter, quantity) in row.meters {
            let meter = self.facts.symbols.number(meter);
            self.facts.parts.push(Part { meter, quantity: quantity.atto() });
        }
        let billable = row.status == Status::Ok;
        let request = self.facts.requests.optional(row.provider_request_id);
        Entry {
            kind: self.facts.entry_kinds.number(kind),
            day: day_number(date),
            start: row.started_at.timestamp(),
            request,
            call,
            attempt: row.attempt,
            cost: row.expected_cost.filter(|_| billable).unwrap_or_default(),
            book_cost: NO_AMOUNT,
            reasoning: stored(row.reasoning_tokens),
            part_start,
            part_count: row.meters.len() as u16,
            unpriced: billable && row.expected_cost.is_none(),
            duplicate: row.notes.iter().any(|note| note.finding.is_copy()),
            row: row.row,
        }
    }

    /// The whole snapshot, and the ledgers' days as slices.
    ///
    /// # Errors
    /// An expected cost in a currency that the provider does not bill in, on a day without a rate (65).
    pub fn finish(mut self, provider: Facts) -> Result<(Facts, LedgerSide), Fault> {
        let same = overlap::find(&self.facts);
        self.mark_duplicates(&same);
        for pair in &same {
            let entry = &self.facts.entries[pair.loser as usize];
            let ledger = self.facts.entry_kind(entry).ledger;
            self.counts.entry((ledger, Some(day_of(entry.day)))).or_default().duplicates += 1;
        }
        overlap::settle(&mut self.facts, &same, &mut self.findings);
        let EntryReader { reference, facts, counts, quarantine, findings, .. } = self;
        let facts = sides::join(reference, provider, facts)?;
        let mut totals: BTreeMap<(u16, i32, Currency), Amount> = BTreeMap::new();
        for entry in &facts.entries {
            let kind = facts.entry_kind(entry);
            let sum = totals.entry((kind.ledger, entry.day, kind.currency)).or_default();
            *sum = sum.checked_add(entry.cost).unwrap_or(*sum);
        }
        let mut coverage = Vec::new();
        for ((ledger, day), count) in &counts {
            let name = &facts.ledgers[usize::from(*ledger)].name;
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
        let findings = findings.rows(|ledger| facts.ledgers[usize::from(ledger)].name.clone())?;
        Ok((facts, LedgerSide { coverage, quarantine, findings }))
    }
}
