//! Verbs: pure, synchronous functions from the snapshot to rows. No adapters, no I/O, no async.

pub mod alerts;
mod alike;
pub mod attribute;
pub mod booking;
pub mod buckets;
pub mod classify;
pub mod drift;
pub mod entries;
pub mod facts;
pub mod fetched;
mod figures;
mod frame;
pub mod frozen;
pub mod ids;
mod ledger_findings;
pub mod lines;
pub mod linked;
pub mod matching;
mod overlap;
pub mod pools;
mod provider_slices;
pub mod reference;
pub mod results;
pub mod savings;
pub mod siblings;
mod sides;
pub mod slices;
pub mod spikes;
pub mod symbols;
pub mod texts;
mod units;
pub mod unpriced;

use crate::domain::fault::Fault;
use booking::ProviderSide;
use classify::{Judge, Verdict};
use drift::FirstSeen;
use entries::LedgerSide;
use facts::Facts;
use reference::Reference;
use results::Outcome;

/// Everything after reading: match, classify, attribute, total. A pure function of its arguments.
///
/// # Errors
/// A missing exchange rate (65), or the frame engine's own (70).
pub fn tie_out(
    facts: &Facts,
    reference: &Reference,
    provider: ProviderSide,
    ledger: LedgerSide,
    first_seen: &FirstSeen,
) -> Result<Outcome, Fault> {
    let covered = slices::covered(facts, &provider.covered);
    let settled = slices::settled(facts, reference);
    let matched = pools::match_all(facts, reference, &covered)?;
    let judge = Judge::new(facts, reference, &settled, &matched.matches);
    let mut verdicts: Vec<Verdict> = matched.matches.iter().map(|m| judge.verdict(m)).collect();
    let next_pair = verdicts.iter().filter_map(|verdict| verdict.pair).max().map_or(0, |pair| pair + 1);
    siblings::explain(facts, &matched.matches, &mut verdicts, next_pair);
    let drift = drift::rows(facts, reference, &matched.matches, &verdicts, first_seen);
    let attribution = attribute::attribute(facts, &judge, &matched.agreed, &matched.matches, &verdicts)?;
    let reconciliation = slices::reconcile(facts, &settled, &covered, &matched.agreed, &matched.matches, &verdicts, &drift);
    let mut coverage = provider.coverage;
    coverage.extend(ledger.coverage);
    coverage.extend(slices::unsourced(facts));
    let suspects = units::suspects(facts, &matched.agreed, &matched.matches, &verdicts);
    units::mark(facts, &suspects, &mut coverage);
    let mut quarantine = provider.quarantine;
    quarantine.extend(ledger.quarantine);
    Ok(Outcome {
        attribution,
        drift,
        reconciliation,
        coverage,
        quarantine,
        ledger_findings: ledger.findings,
        controls: provider.controls,
        ..Outcome::default()
    })
}
