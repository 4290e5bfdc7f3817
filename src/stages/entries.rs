//! Normalises ledger rows: one name per model, what the ledger expects the provider to charge, replays
//! dropped (contract 4.8). What only the provider side can add is added when both are read (see `sides`).

use super::alike::Alike;
use super::facts::{Aside, Entry, EntryKind, Facts, LedgerInfo, Part, amount, room, stored};
use super::ids::Repeats;
use super::ledger_findings::Findings;
use super::overlap;
use super::reference::{Namer, Reference};
use super::results::{Coverage, LedgerFinding, Quarantine, SliceStatus};
use super::sides;
use super::slices::by_kind;
use super::symbols::{NONE, Sym};
use crate::domain::beside::beside;
use crate::domain::fault::Fault;
use crate::domain::ledger::{Funding, LedgerEntry, LeftOut, Status};
use crate::domain::ledger_findings::Note;
use crate::domain::money::{Amount, Currency};
use crate::domain::names::NameKind;
use crate::domain::period::{day_at, day_number, day_of};
use crate::domain::usage::Quarantined;
use chrono::NaiveDate;
use hashbrown::DefaultHashBuilder;
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Range;

#[derive(Clone, Default)]
struct Count {
    read: u64,
    duplicates: u64,
    quarantined: u64,
}

/// Collects ledgers, apart from the provider side until both are read. A copy can meet another provider side.
#[derive(Clone)]
pub struct EntryReader<'r> {
    reference: &'r Reference,
    /// The days of the window, by number.
    window: Range<i32>,
    facts: Facts,
    /// The digest of each entry's row, its words included.
    contents: Vec<u64>,
    /// Hash of each entry's call with the entry's index: neighbours, once sorted, are copies or attempts of a call.
    call_marks: Vec<u64>,
    hasher: DefaultHashBuilder,
    namer: Namer,
    /// Kinds by the words of a row, and by what else makes one.
    kinds: Alike<Rest>,
    meters: Vec<(String, Sym)>,
    counts: BTreeMap<(u16, Option<NaiveDate>), Count>,
    /// Rows read of the present ledger and day, which are not in the counts yet: neighbours are mostly of one day.
    read: ((u16, i32), u64),
    quarantine: Vec<Quarantine>,
    /// Entry and note of what rows showed, until it is settled which rows are entries.
    noted: Vec<(u32, Note)>,
    findings: Findings,
}

/// What makes the kind of an entry besides words and day: ledger, batch, funding, status, currency.
type Rest = (u16, Option<bool>, Option<Funding>, Status, Currency);

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
            window: reference.window.numbers(),
            facts: Facts::default(),
            contents: Vec::new(),
            call_marks: Vec::new(),
            hasher: DefaultHashBuilder::default(),
            namer: Namer::default(),
            kinds: Alike::default(),
            meters: Vec::new(),
            counts: BTreeMap::new(),
            read: Default::default(),
            quarantine: Vec::new(),
            noted: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// The rows that follow come from this ledger; its number is what [`Self::push`] takes.
    pub fn open_ledger(&mut self, ledger: LedgerInfo) -> u16 {
        self.facts.ledgers.push(ledger);
        self.facts.ledgers.len() as u16 - 1
    }

    /// Makes room for the rows of a ledger.
    pub fn expect(&mut self, rows: usize) {
        let rows = room(rows);
        let facts = &mut self.facts;
        facts.entries.reserve(rows);
        facts.parts.reserve(rows);
        facts.calls.expect(rows);
        facts.requests.expect(rows);
        self.contents.reserve(rows);
        self.call_marks.reserve(rows);
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
        let day = day_at(row.started_at);
        if !self.window.contains(&day) {
            return;
        }
        let index = self.facts.entries.len() as u32;
        let call = self.facts.calls.push(row.request_id);
        self.call_marks.push(self.hasher.hash_one(row.request_id) >> 32 << 32 | u64::from(index));
        let entry = self.entry(ledger, call, row, day);
        if self.read.0 != (ledger, day) {
            self.count();
            self.read.0 = (ledger, day);
        }
        self.read.1 += 1;
        self.facts.entries.push(entry);
        self.contents.push(row.content ^ self.kinds.hash());
        self.noted.extend(row.notes.iter().map(|note| (index, *note)));
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

    /// Puts the rows read into the counts.
    fn count(&mut self) {
        let ((ledger, day), rows) = std::mem::take(&mut self.read);
        if rows > 0 {
            self.counts.entry((ledger, Some(day_of(day)))).or_default().read += rows;
        }
    }

    /// Gives the attempts of a call one number, drops replays and sets aside rows that contradict an earlier
    /// one, whichever ledger rows are read first.
    fn settle_calls(&mut self) {
        let mut marks = std::mem::take(&mut self.call_marks);
        marks.sort_unstable();
        let mut dropped = Vec::new();
        for alike in marks.chunk_by(|a, b| a >> 32 == b >> 32).filter(|alike| alike.len() > 1) {
            // Within equal hashes the order of reading.
            let alike: Vec<u32> = alike.iter().map(|mark| *mark as u32).collect();
            let before = dropped.len();
            for (place, index) in alike.iter().enumerate() {
                if self.is_repeat(*index, alike.get(..place).unwrap_or_default(), dropped.get(before..).unwrap_or_default()) {
                    dropped.push(*index);
                }
            }
        }
        if dropped.is_empty() {
            return;
        }
        dropped.sort_unstable();
        let mut index = 0;
        self.facts.entries.retain(|_| {
            index += 1;
            dropped.binary_search(&(index - 1)).is_err()
        });
        let stays = |entry: &mut u32| match dropped.binary_search(entry) {
            Ok(_) => false,
            Err(before) => {
                *entry -= before as u32;
                true
            }
        };
        self.facts.asides.retain_mut(|aside| stays(&mut aside.entry));
        self.noted.retain_mut(|(entry, _)| stays(entry));
    }

    /// Compares an entry with those before it whose calls have the same hash, of which some were dropped. True
    /// when it is to be dropped too.
    fn is_repeat(&mut self, index: u32, before: &[u32], dropped: &[u32]) -> bool {
        let facts = &mut self.facts;
        let entry = facts.entries[index as usize];
        let id = facts.calls.text(entry.call);
        let same = |other: &&u32| facts.calls.text(facts.entries[**other as usize].call) == id;
        let Some(first) = before.iter().find(same) else { return false };
        let call = facts.entries[*first as usize].call;
        let ledger = facts.entry_kind(&entry).ledger;
        let is_twin = |other: &&u32| {
            let other = &facts.entries[**other as usize];
            other.attempt == entry.attempt && other.call == call && facts.entry_kind(other).ledger == ledger
        };
        let twin = before.iter().filter(|other| !dropped.contains(other)).find(is_twin).copied();
        let kind = *facts.entry_kind(&entry);
        facts.entries[index as usize].call = call;
        let Some(twin) = twin else { return false };
        let date = day_of(entry.day);
        let count = self.counts.entry((ledger, Some(date))).or_default();
        let is_same = self.contents[twin as usize] == self.contents[index as usize];
        if is_same && self.facts.entries[twin as usize].kind == entry.kind {
            count.duplicates += 1;
            return true;
        }
        count.read -= 1;
        let reason = format!(
            "request_id, attempt: {:?} attempt {} stands in row {} with other content",
            self.facts.calls.text(call),
            entry.attempt,
            self.facts.entries[twin as usize].row
        );
        let amount = amount(entry.book_cost).or((kind.status == Status::Ok && !entry.unpriced).then_some(entry.cost));
        let currency = amount.map(|_| kind.currency);
        self.set_aside(ledger, Quarantined { row: entry.row, day: Some(date), reason, amount, currency });
        true
    }

    /// The number of a row's kind.
    fn kind(&mut self, ledger: u16, row: &LedgerEntry<'_>, day: i32) -> u32 {
        let optional = [row.api_key_id, row.sub_account, row.account, row.service_tier, row.team, row.feature, row.client];
        let [api_key_id, sub_account, account, service_tier, team, feature, client] = optional.map(Option::unwrap_or_default);
        let words = [row.provider, row.model, api_key_id, sub_account, account, service_tier, team, feature, client];
        let currency = row.expected_currency.unwrap_or(self.facts.ledgers[usize::from(ledger)].currency);
        let rest = (ledger, row.batch, row.funding, row.status, currency);
        if let Some(known) = self.kinds.find(&words, day, &rest) {
            return known;
        }
        let date = day_of(day);
        let symbols = &mut self.facts.symbols;
        let provider = symbols.number(row.provider);
        let mut named = |kind, name| self.namer.name(symbols, self.reference, kind, (provider, NONE), Some(name), date);
        let kind = EntryKind {
            ledger,
            provider,
            model: named(NameKind::Model, row.model),
            api_key_id: named(NameKind::ApiKey, api_key_id),
            sub_account: named(NameKind::SubAccount, sub_account),
            account: symbols.number(account),
            service_tier: symbols.number(service_tier),
            batch: row.batch,
            team: symbols.number(team),
            feature: symbols.number(feature),
            client: symbols.number(client),
            funding: row.funding,
            status: row.status,
            currency,
        };
        let number = self.facts.entry_kinds.number(kind);
        self.kinds.keep(rest, number);
        number
    }

    /// The number of a meter's name; the first few that come are most of them.
    fn meter(&mut self, name: &str) -> Sym {
        const FEW: usize = 4;
        if let Some((_, number)) = self.meters.iter().find(|(known, _)| known == name) {
            return *number;
        }
        let number = self.facts.symbols.number(name);
        if self.meters.len() < FEW {
            self.meters.push((name.to_string(), number));
        }
        number
    }

    /// The entry as far as the row alone tells it; `sides` does the rest.
    fn entry(&mut self, ledger: u16, call: Sym, row: &LedgerEntry<'_>, day: i32) -> Entry {
        let kind = self.kind(ledger, row, day);
        let part_start = self.facts.parts.len() as u32;
        for (meter, quantity) in row.meters {
            let meter = self.meter(meter);
            self.facts.parts.push(Part { meter, quantity: quantity.atto() });
        }
        let billable = row.status == Status::Ok;
        let request = row.provider_request_id.map_or(NONE, |id| self.facts.requests.push(id));
        Entry {
            kind,
            day,
            start: row.started_at.timestamp(),
            request,
            call,
            attempt: row.attempt,
            cost: row.expected_cost.filter(|_| billable).unwrap_or_default(),
            // What a failed call was expected to cost counts nowhere, but is shown if the row is set aside.
            book_cost: stored(row.expected_cost.filter(|_| !billable)),
            reasoning: stored(row.reasoning_tokens),
            part_start,
            part_count: row.meters.len() as u16,
            unpriced: billable && row.expected_cost.is_none(),
            duplicate: row.notes.iter().any(|note| note.finding.is_copy()),
            row: row.row,
        }
    }

    /// Ends the reading: which rows are calls of their own, and which share a provider's id.
    pub fn settle(mut self) -> Settled<'r> {
        self.count();
        let mut requests = std::mem::take(&mut self.facts.requests);
        let (repeats, ()) = beside(|| requests.settle(), || self.settle_calls());
        self.facts.requests = requests;
        Settled { read: self, repeats }
    }
}

/// All ledgers, read. Does not need the provider side until it is put to it.
#[derive(Clone)]
pub struct Settled<'r> {
    read: EntryReader<'r>,
    /// Provider request ids that several entries have.
    repeats: Repeats,
}

impl Settled<'_> {
    /// The whole snapshot, and the ledgers' days as slices.
    ///
    /// # Errors
    /// An expected cost in a currency that the provider does not bill in, on a day without a rate (65).
    pub fn finish(self, provider: Facts) -> Result<(Facts, LedgerSide), Fault> {
        let Settled { read, repeats } = self;
        let EntryReader { reference, facts, mut counts, quarantine, noted, mut findings, .. } = read;
        for (index, note) in &noted {
            let entry = &facts.entries[*index as usize];
            let kind = facts.entry_kind(entry);
            findings.add(kind.ledger, day_of(entry.day), *note, kind.currency, facts.calls.text(entry.call));
        }
        let mut facts = sides::join(reference, provider, facts, &repeats)?;
        for loser in overlap::settle(&mut facts, &mut findings) {
            counts.entry(loser).or_default().duplicates += 1;
        }
        let (totals, repeated) = beside(|| totals(&facts), || duplicates(&facts));
        for index in repeated {
            facts.entries[index as usize].duplicate = true;
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

/// What each ledger expects by day and currency.
fn totals(facts: &Facts) -> BTreeMap<(u16, i32, Currency), Amount> {
    let mut totals: BTreeMap<(u16, i32, Currency), Amount> = BTreeMap::new();
    let costs = facts.entries.iter().map(|entry| (entry.kind, entry.day, entry.cost));
    for ((kind, day), cost) in by_kind(facts.entry_kinds.all().len(), costs) {
        let kind = &facts.entry_kinds.all()[kind as usize];
        let sum = totals.entry((kind.ledger, day, kind.currency)).or_default();
        *sum = sum.checked_add(cost).unwrap_or(*sum);
    }
    totals
}

/// Of several calls with one id of one provider the earliest stands, whatever order they were read in: the others.
fn duplicates(facts: &Facts) -> Vec<u32> {
    let mut first = vec![u32::MAX; facts.requests.len()];
    let mut several: BTreeMap<Sym, Vec<u32>> = BTreeMap::new();
    for (index, entry) in facts.entries.iter().enumerate().filter(|(_, entry)| entry.request != NONE) {
        let index = index as u32;
        match &mut first[entry.request as usize] {
            free if *free == u32::MAX => *free = index,
            first => several.entry(entry.request).or_insert_with(|| vec![*first]).push(index),
        }
    }
    let mut duplicates = Vec::new();
    for mut all in several.into_values() {
        let provider = |index: u32| facts.entry_kind(&facts.entries[index as usize]).provider;
        all.sort_by_key(|index| (provider(*index), facts.entry_order(*index)));
        for same in all.chunk_by(|a, b| provider(*a) == provider(*b)) {
            let call = |index: u32| facts.entries[index as usize].call;
            duplicates.extend(same.iter().copied().filter(|index| call(*index) != call(same[0])));
        }
    }
    duplicates
}
