//! Spikes (contract 4.7): series, their replay through the detector, incidents, and rules without a baseline.

mod bar;
pub mod detector;
pub mod grade;
mod hours;
mod incidents;
mod likeness;
pub mod oddity;
pub mod quantities;
pub mod replay;
mod rules;
pub mod series;
mod tail;
pub mod verdict;

pub use series::{Seen, reports_of};

use crate::domain::beside::beside;
use crate::domain::money::Amount;
use crate::domain::spike::{Settings, Spike, SpikeRule, SpikeState};
use crate::stages::facts::Facts;
use crate::stages::reference::Reference;
use crate::stages::results::{Outcome, Reconciliation, Tie};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Every incident of the window up to the last full hour, oldest first. A pure function of its arguments: the
/// same snapshot gives the same incidents with the same ids, whichever job reads it.
pub fn spikes(facts: &Facts, reference: &Reference, settings: &Settings) -> Vec<Spike> {
    spikes_seen(facts, reference, settings, &Seen::new())
}

/// The same where some providers' reports are known for a part of the time only.
pub fn spikes_seen(facts: &Facts, reference: &Reference, settings: &Settings, seen: &Seen) -> Vec<Spike> {
    let until = series::until(reference);
    let callers = hours::Callers::of(facts);
    let (ledger, billed) = (hours::of_ledger(facts, &callers, until), hours::of_providers(facts, &callers, until));
    let (rules, mut found) = beside(
        || rules::rules(facts, reference, settings, callers, (&ledger, &billed), seen),
        || incidents::incidents(facts, reference, settings, (&ledger, &billed), seen),
    );
    found.extend(rules);
    found.sort_by(|a, b| (a.opened_at, a.rule, &a.spike_id).cmp(&(b.opened_at, b.rule, &b.spike_id)));
    found
}

fn id_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// What providers say of the ledger's incidents: once every day of one is settled it is no longer provisional,
/// and it is withdrawn if the provider billed less than half of its excess on those days. A slice that is
/// missing says nothing.
pub fn settle(outcome: &mut Outcome) {
    let slices = &outcome.reconciliation;
    for spike in outcome.spikes.iter_mut().filter(|spike| spike.provisional && spike.rule == SpikeRule::Spike) {
        let days = spike.days();
        let own = |slice: &&Reconciliation| {
            days.contains(slice.charge_date)
                && slice.currency == spike.currency
                && (spike.provider.is_empty() || slice.provider == spike.provider)
        };
        let (mut billed, mut seen) = (Amount::ZERO, BTreeSet::new());
        let mut open = false;
        for slice in slices.iter().filter(own) {
            open |= matches!(slice.status, Tie::Provisional | Tie::Missing);
            billed = hours::plus(billed, slice.provider_total.unwrap_or_default());
            seen.insert(slice.charge_date);
        }
        if open || !days.iter().all(|day| seen.contains(&day)) {
            continue;
        }
        spike.provisional = false;
        if billed.checked_sub(spike.expected).is_some_and(|more| more < Amount::from_atto(spike.excess.atto() / 2)) {
            spike.state = SpikeState::Withdrawn;
            (spike.projected, spike.projected_until) = (None, None);
        }
    }
}
