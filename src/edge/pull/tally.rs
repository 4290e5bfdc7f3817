//! What an answer says, day by day, whatever the order of its rows and the cuts of its pages: its digest, rows
//! and money; and what makes it unusable: rows of other days, one row told in two ways, too much quarantine.

use super::super::http::Failure;
use super::super::state::slices::Said;
use crate::adapters::request::Request;
use crate::adapters::{Adapter, BadPage, Page};
use crate::domain::fault::ExitCode;
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::usage::{Charge, Line};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

type Hash = [u8; 16];
/// Day, how often, and money of each distinct row.
type Rows = HashMap<Hash, (NaiveDate, u64, Vec<(Currency, Amount)>)>;

/// One row: its charges, as they follow each other.
#[derive(Clone, Debug)]
struct Row {
    number: u32,
    day: NaiveDate,
    /// Of everything that it says.
    content: Sha256,
    /// Of what it is about, without its figures; `None` where that does not tell it from its neighbours.
    key: Option<Sha256>,
    amounts: Vec<(Currency, Amount)>,
    quarantined: bool,
}

/// What one page says.
#[derive(Default)]
struct PageTally {
    rows: Rows,
    keys: HashMap<Hash, Vec<Hash>>,
    open: Option<Row>,
    outside: Option<(u32, NaiveDate)>,
    uneven: Option<u32>,
    quarantined: Vec<(Option<Currency>, Amount)>,
    /// Row and reason of the first that is quarantined.
    first: Option<(u32, String)>,
    read: u64,
}

/// What an answer says so far.
#[derive(Default)]
pub struct Tally {
    rows: Rows,
    /// Content of each key by the first page that had it.
    keys: HashMap<Hash, Hash>,
    conflict: bool,
    quarantined: Vec<(Option<Currency>, Amount)>,
    first: Option<(u32, String)>,
    read: u64,
}

impl PageTally {
    fn line(&mut self, request: &Request, line: &Line<'_>) {
        match line {
            Line::Charge(charge) => {
                let day = charge.start.date_naive();
                if !request.days.contains(day) {
                    if request.bounded {
                        self.outside.get_or_insert((charge.row, day));
                    }
                    return;
                }
                let seconds = (charge.end - charge.start).num_seconds();
                if (seconds == 3600 || seconds == 86_400) && charge.start.timestamp() % seconds != 0 {
                    self.uneven.get_or_insert(charge.row);
                }
                self.charge(day, charge);
            }
            Line::Quarantined(row) => {
                if self.open.as_ref().is_some_and(|open| open.number == row.row) {
                    // Read whole or not at all.
                    self.open = None;
                }
                if row.day.is_some_and(|day| !request.days.contains(day)) {
                    return;
                }
                self.close();
                self.read += 1;
                self.quarantined.push((row.currency, row.amount.unwrap_or_default().abs()));
                self.first.get_or_insert_with(|| (row.row, row.reason.clone()));
                // A row without a day is said on the first one, so that its coming and going is a change.
                let day = row.day.unwrap_or(request.days.from);
                let content = Sha256::new_with_prefix(format!("{} {:?} {:?}", row.reason, row.amount, row.currency));
                self.open = Some(Row { number: row.row, day, content, key: None, amounts: Vec::new(), quarantined: true });
                self.close();
            }
            Line::Nothing { .. } | Line::Covers(_) => {}
        }
    }

    fn charge(&mut self, day: NaiveDate, charge: &Charge<'_>) {
        let same = self.open.as_ref().is_some_and(|open| open.number == charge.row);
        if !same {
            self.close();
            self.read += 1;
            let key = (charge.request_id.is_some() || charge.start != charge.end).then(Sha256::new);
            let (content, amounts) = (Sha256::new(), Vec::new());
            self.open = Some(Row { number: charge.row, day, content, key, amounts, quarantined: false });
        }
        let Some(open) = &mut self.open else { return };
        let about = Charge { row: 0, quantity: None, cost: None, list_cost: None, requests: None, residue: 0, ..charge.clone() };
        let figures = (charge.quantity, charge.cost, charge.list_cost, charge.requests, charge.residue);
        let about = format!("{about:?}");
        open.content.update(format!("{about} {figures:?}\n"));
        if let Some(key) = &mut open.key {
            key.update(about);
        }
        open.amounts.extend(charge.cost.map(|cost| (charge.currency, cost)));
    }

    fn close(&mut self) {
        let Some(row) = self.open.take() else { return };
        let content = short(row.content);
        self.rows.entry(content).or_insert_with(|| (row.day, 0, row.amounts)).1 += 1;
        if let Some(key) = row.key.filter(|_| !row.quarantined) {
            self.keys.entry(short(key)).or_default().push(content);
        }
    }
}

fn short(hash: Sha256) -> Hash {
    let mut short = Hash::default();
    short.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
    short
}

impl Tally {
    /// Takes a page, if all of it can be used.
    ///
    /// # Errors
    /// What the adapter refuses, and rows that were not asked for.
    pub fn page(&mut self, adapter: &dyn Adapter, request: &Request, page: &Page<'_>) -> Result<(), BadPage> {
        let mut read = PageTally::default();
        adapter.parse(page, &mut |line| read.line(request, &line))?;
        read.close();
        if let Some((row, day)) = read.outside {
            let what = format!("row {row}: is of {day}, expected a day from {} to before {}", request.days.from, request.days.to);
            return Err(BadPage::new(what, "the provider answers with days that were not asked for"));
        }
        if let Some(row) = read.uneven {
            let hint = "the provider's days or hours are not UTC's: check its settings";
            return Err(BadPage::new(format!("row {row}: its hour or day does not begin on the full one in UTC"), hint));
        }
        self.read += read.read;
        self.quarantined.extend(read.quarantined);
        self.first = self.first.take().or(read.first);
        let keyed =
            adapter.reports().iter().find(|report| report.name == request.report).is_none_or(|r| adapter.rows_are_keyed(r));
        for (content, (day, count, amounts)) in read.rows {
            let known = self.rows.entry(content).or_insert_with(|| (day, 0, amounts));
            // A row that another page has said already is the same row, unless equal rows are all money.
            known.1 = if keyed { known.1.max(count) } else { known.1 + count };
        }
        if !keyed {
            return Ok(());
        }
        for (key, mut contents) in read.keys {
            contents.sort_unstable();
            let mut hash = Sha256::new();
            contents.iter().for_each(|content| hash.update(content));
            let content = short(hash);
            if *self.keys.entry(key).or_insert(content) != content {
                self.conflict = true;
            }
        }
        Ok(())
    }

    /// Two pages say different things of the same row: neither can be believed.
    pub fn conflicts(&self) -> bool {
        self.conflict
    }

    /// Fails when more than `budget` of the rows, or of a currency's money, cannot be read.
    ///
    /// # Errors
    /// [`ExitCode::Protocol`] with the figures.
    pub fn within(&self, budget: Decimal) -> Result<(), Failure> {
        let failure = |what: String| {
            let hint = "if the provider has changed its report, a newer version may read it; else raise limits.quarantine_budget";
            let first = self.first.as_ref().map_or(String::new(), |(row, reason)| format!("; the first is row {row}: {reason}"));
            Err(Failure::new(ExitCode::Protocol, format!("{what}{first}"), hint))
        };
        let unread = self.quarantined.len() as u64;
        if Decimal::from(unread) > budget * Decimal::from(self.read) {
            return failure(format!("{unread} of {} rows cannot be read, more than {budget} of them", self.read));
        }
        let mut money: BTreeMap<Currency, Amount> = BTreeMap::new();
        for (_, count, amounts) in self.rows.values() {
            for (currency, amount) in amounts {
                let total = money.entry(*currency).or_default();
                *total = sum([*total, times(amount.abs(), *count)]).unwrap_or(*total);
            }
        }
        for currency in self.quarantined.iter().filter_map(|(currency, _)| *currency).collect::<BTreeSet<_>>() {
            let unread = sum(self.quarantined.iter().filter(|(other, _)| *other == Some(currency)).map(|(_, amount)| *amount));
            let unread = unread.unwrap_or_default();
            let whole = sum([money.get(&currency).copied().unwrap_or_default(), unread]).unwrap_or(unread);
            if whole.times_decimal(budget).is_none_or(|allowed| unread > allowed) {
                return failure(format!("rows of {unread} {currency} out of {whole} cannot be read, more than {budget} of it"));
            }
        }
        Ok(())
    }

    /// What the answer says of each of these days; nothing is a known zero.
    pub fn days(self, days: &BTreeSet<NaiveDate>) -> BTreeMap<NaiveDate, Said> {
        let mut by_day: BTreeMap<NaiveDate, Vec<(Hash, u64)>> = days.iter().map(|day| (*day, Vec::new())).collect();
        let mut money: BTreeMap<(NaiveDate, Currency), Amount> = BTreeMap::new();
        for (content, (day, count, amounts)) in &self.rows {
            if let Some(rows) = by_day.get_mut(day) {
                rows.push((*content, *count));
                for (currency, amount) in amounts {
                    let total = money.entry((*day, *currency)).or_default();
                    *total = sum([*total, times(*amount, *count)]).unwrap_or(*total);
                }
            }
        }
        let said = |(day, mut rows): (NaiveDate, Vec<(Hash, u64)>)| {
            rows.sort_unstable();
            let mut hash = Sha256::new();
            for (content, count) in &rows {
                hash.update(content);
                hash.update(count.to_be_bytes());
            }
            let amounts = money.range((day, Currency::MIN)..).take_while(|((other, _), _)| *other == day);
            let amounts = amounts.map(|((_, currency), amount)| (currency.code().to_string(), amount.to_string().into()));
            let said = Said {
                digest: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
                rows: rows.iter().map(|(_, count)| count).sum(),
                amounts: serde_json::Value::Object(amounts.collect()).to_string(),
            };
            (day, said)
        };
        by_day.into_iter().map(said).collect()
    }
}

fn times(amount: Amount, count: u64) -> Amount {
    amount.mul_div(i128::from(count), 1).unwrap_or(amount)
}
