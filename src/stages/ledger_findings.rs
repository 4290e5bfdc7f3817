//! Counts what rows of foreign ledgers show of their systems' known faults, by ledger, day and finding.

use super::results::LedgerFinding;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::money::{Amount, Currency};
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Request ids that are kept of each count: the first in byte order, whatever the order of reading.
const EXAMPLES: usize = 3;

type Key = (NaiveDate, u16, Finding, Currency);

#[derive(Clone, Default)]
struct Count {
    rows: u64,
    /// `None` when the sum does not fit.
    amount: Option<Amount>,
    examples: BTreeSet<String>,
}

/// The counts so far. Bounded by days, whatever the number of rows.
#[derive(Clone, Default)]
pub(super) struct Findings {
    counts: BTreeMap<Key, Count>,
}

impl Findings {
    pub(super) fn add(&mut self, ledger: u16, day: NaiveDate, note: Note, currency: Currency, request_id: &str) {
        let new = || Count { amount: Some(Amount::ZERO), ..Count::default() };
        let count = self.counts.entry((day, ledger, note.finding, currency)).or_insert_with(new);
        count.rows += 1;
        count.amount = count.amount.and_then(|sum| sum.checked_add(note.amount));
        let last = count.examples.last().map(String::as_str);
        if count.examples.len() < EXAMPLES || last.is_some_and(|last| request_id < last) {
            count.examples.insert(request_id.to_string());
            if count.examples.len() > EXAMPLES {
                count.examples.pop_last();
            }
        }
    }

    /// One row for each count.
    ///
    /// # Errors
    /// A sum that does not fit (70): amounts are limited where they are read, so only a bug can lead there.
    pub(super) fn rows(self, ledger_name: impl Fn(u16) -> String) -> Result<Vec<LedgerFinding>, Fault> {
        let row = |((day, ledger, finding, currency), count): (Key, Count)| {
            let too_large =
                || Fault::new(ExitCode::Internal, "ledger_findings.csv", "a sum does not fit", "report this as a bug");
            Ok(LedgerFinding {
                charge_date: day,
                ledger: ledger_name(ledger),
                finding,
                rows: count.rows,
                amount: count.amount.ok_or_else(too_large)?,
                currency,
                examples: count.examples.into_iter().collect::<Vec<_>>().join(" "),
            })
        };
        self.counts.into_iter().map(row).collect()
    }
}
