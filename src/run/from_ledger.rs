//! Costs of a provider that has no report of them, taken from the request ledger (contract 3.3): what the answer
//! to a call said is captured, else quantity × price book is computed. Never presented as billed.

use super::reference::Loaded;
use crate::domain::fault::Fault;
use crate::domain::ledger::{LedgerEntry, LedgerLine, Status};
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, CostBasis, Line, Measures, meter};
use crate::edge::ledger;
use crate::job::Source;
use crate::stages::facts::ReportInfo;
use crate::stages::lines::LineReader;

/// The ledger as a report: behind everything that the provider itself says.
const REPORT: ReportInfo = ReportInfo { name: "request_ledger", measures: Measures::Money, rank: u8::MAX, keyed: true };

/// Hands on what the calls of a source cost, as the ledgers say; they speak for the whole window.
///
/// # Errors
/// A ledger that cannot be read.
pub fn read(loaded: &Loaded, source: &Source, number: usize, order: usize, lines: &mut LineReader<'_>) -> Result<(), Fault> {
    let window = loaded.reference.window;
    for ledger in &loaded.job.ledgers {
        lines.open_page(number, REPORT, order, &ledger.name);
        lines.push(Line::Covers(window));
        let only = loaded.job.sources.iter().filter(|other| other.provider == source.provider).count() == 1;
        ledger::read(ledger, window, &mut |line| {
            // What cannot be read is set aside on the ledger's own side.
            let LedgerLine::Entry(entry) = line else { return };
            let account = entry.account.map_or(only, |account| account == source.account);
            if entry.provider == source.provider && account && window.contains(entry.started_at.date_naive()) {
                charges(&entry, entry.expected_currency.unwrap_or(ledger.currency), &mut |charge| {
                    lines.push(Line::Charge(charge))
                });
            }
        })?;
    }
    Ok(())
}

/// What a call cost: one charge with the money that the answer named, or one for each meter to be priced.
fn charges<'a>(entry: &LedgerEntry<'a>, currency: Currency, out: &mut dyn FnMut(Charge<'a>)) {
    if entry.reported_cost.is_none() && entry.status != Status::Ok {
        return;
    }
    let shared = Charge {
        sub_account: entry.sub_account,
        api_key_id: entry.api_key_id,
        model: Some(entry.model),
        service_tier: entry.service_tier,
        batch: entry.batch,
        request_id: entry.provider_request_id,
        basis: if entry.reported_cost.is_some() { CostBasis::Captured } else { CostBasis::Computed },
        ..Charge::new(entry.row, entry.started_at, entry.started_at, currency)
    };
    let call = Charge { meter: Some(meter::REQUESTS), quantity: Some(Amount::ONE), requests: Some(1), ..shared.clone() };
    let measured = |first: bool, part: &(&'a str, Amount)| Charge {
        meter: Some(part.0),
        quantity: Some(part.1),
        requests: first.then_some(1),
        ..shared.clone()
    };
    match (entry.reported_cost, entry.meters) {
        (Some(cost), [only]) => out(Charge { cost: Some(cost), ..measured(true, only) }),
        (Some(cost), several) => {
            out(Charge { cost: Some(cost), ..call });
            several.iter().for_each(|part| out(measured(false, part)));
        }
        (None, []) => out(call),
        (None, several) => {
            // Credits are another measure of the same work: they are priced only where nothing else is there.
            let work = several.iter().filter(|(meter, _)| several.len() == 1 || *meter != meter::PROVIDER_CREDITS);
            for (place, part) in work.enumerate() {
                out(measured(place == 0, part));
            }
        }
    }
}
