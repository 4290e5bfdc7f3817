//! Rules that look at a provider as a whole: silence, failed calls.

use super::super::hours::{DAY, HOUR, plus};
use super::super::id_of;
use super::super::series::instant;
use super::Context;
use crate::domain::money::{Amount, Currency};
use crate::domain::spike::{Spike, SpikeRule, SpikeState};
use std::collections::{BTreeMap, BTreeSet};

/// Silence is so many times the longest pause of the days before, and never shorter than this.
const PAUSES: i64 = 2;
const SILENCE_MIN: i64 = 6 * HOUR;
/// Days of history and calls on each of them that make a series regular.
const REGULAR_DAYS: usize = 7;
/// Failed calls in an hour that are a surge, of a hundred calls so many failed, and times the usual.
const FAILED_MIN: u64 = 20;
const FAILED_PART: u64 = 50;
const FAILED_TIMES: u64 = 5;

/// What was used of a provider in an hour.
pub(super) struct ProviderHour {
    at: i64,
    calls: u64,
    failed: u64,
    /// Of the last use by name in it.
    currency: Currency,
}

/// The hours of each provider in which it was used, in order of time.
pub(super) type Hours<'f> = BTreeMap<&'f str, Vec<ProviderHour>>;

pub(super) fn by_provider<'f>(context: &Context<'_, 'f, '_>) -> Hours<'f> {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    let of_who: Vec<usize> = context
        .callers
        .all
        .iter()
        .map(|who| {
            let next = numbers.len();
            *numbers.entry(who.provider).or_insert(next)
        })
        .collect();
    let mut hours: Vec<Vec<ProviderHour>> = numbers.iter().map(|_| Vec::new()).collect();
    for one in &context.uses {
        let Some(own) = of_who.get(one.who as usize).and_then(|number| hours.get_mut(*number)) else { continue };
        let (calls, failed, currency) = (u64::from(one.cell.calls), u64::from(one.cell.failed), context.of(one).currency);
        match own.last_mut() {
            Some(hour) if hour.at == one.cell.at => {
                hour.calls += calls;
                hour.failed += failed;
                hour.currency = currency;
            }
            _ => own.push(ProviderHour { at: one.cell.at, calls, failed, currency }),
        }
    }
    let own = |(name, number): (&'f str, usize)| Some((name, std::mem::take(hours.get_mut(number)?)));
    numbers.into_iter().filter_map(own).filter(|(_, hours)| !hours.is_empty()).collect()
}

/// Providers that were called every day and are not any more, while the ledger goes on with others.
pub(super) fn silences(context: &Context<'_, '_, '_>, hours: &Hours<'_>) -> Vec<Spike> {
    let mut found = Vec::new();
    for (provider, own) in hours {
        let Some(last) = own.last().map(|hour| hour.at) else { continue };
        let recent: Vec<i64> = own.iter().map(|hour| hour.at).filter(|at| *at >= last - 14 * DAY).collect();
        let days: BTreeSet<i64> = recent.iter().map(|at| at.div_euclid(DAY)).collect();
        let longest = recent.iter().zip(recent.iter().skip(1)).map(|(a, b)| b - a).max().unwrap_or(0);
        let quiet = context.until - (last + HOUR);
        if days.len() < REGULAR_DAYS || quiet < SILENCE_MIN || quiet < PAUSES * longest {
            continue;
        }
        // If the ledger has nothing of anybody, the ledger is silent and not the provider.
        let others = hours.iter().any(|(other, hours)| other != provider && hours.last().is_some_and(|hour| hour.at > last));
        if !others {
            continue;
        }
        let currency = own.last().map_or(Currency::USD, |hour| hour.currency);
        let opened_at = instant(last + HOUR);
        found.push(Spike {
            spike_id: id_of(&[SpikeRule::Silence.name(), provider, &opened_at.to_rfc3339()]),
            rule: SpikeRule::Silence,
            series: format!("provider {provider}"),
            provider: provider.to_string(),
            team: String::new(),
            api_key_id: String::new(),
            model: String::new(),
            opened_at,
            detected_at: opened_at + chrono::Duration::seconds(SILENCE_MIN.max(PAUSES * longest)),
            last_seen_at: instant(context.until),
            state: SpikeState::Open,
            expected: Amount::ZERO,
            actual: Amount::ZERO,
            excess: Amount::ZERO,
            ratio: None,
            score: None,
            projected: None,
            projected_until: None,
            contributors: Vec::new(),
            baseline: format!("longest pause of 14 days: {} hours", longest / HOUR - 1),
            provisional: true,
            currency,
        });
    }
    found
}

/// Hours in which most calls to a provider failed, and far more than usual.
pub(super) fn failures(context: &Context<'_, '_, '_>, hours: &Hours<'_>) -> Vec<Spike> {
    let mut found: Vec<Spike> = Vec::new();
    for (provider, hours) in hours {
        let mut known: Vec<u64> = Vec::new();
        let mut run: Option<usize> = None;
        for ProviderHour { at, failed, calls, .. } in hours {
            let usual = known.get(known.len() / 2).copied().unwrap_or(0);
            let surge = *failed >= FAILED_MIN && failed * 100 >= calls * FAILED_PART && *failed >= usual * FAILED_TIMES;
            if !surge {
                let place = known.partition_point(|other| other < failed);
                known.insert(place, *failed);
                continue;
            }
            let end = instant(at + HOUR);
            let count = Amount::whole(i64::try_from(*failed).unwrap_or(i64::MAX));
            let expected = Amount::whole(i64::try_from(usual).unwrap_or(0));
            let open = context.until - (at + HOUR) < i64::from(context.settings.resolve_hours) * HOUR;
            let state = if open { SpikeState::Open } else { SpikeState::Resolved };
            let goes_on =
                |spike: &&mut Spike| at - spike.last_seen_at.timestamp() < i64::from(context.settings.resolve_hours) * HOUR;
            if let Some(spike) = run.and_then(|place| found.get_mut(place)).filter(goes_on) {
                spike.last_seen_at = end;
                spike.actual = plus(spike.actual, count);
                spike.expected = plus(spike.expected, expected);
                spike.excess = spike.actual.checked_sub(spike.expected).unwrap_or(spike.actual);
                spike.ratio = if spike.expected.is_zero() { None } else { spike.actual.ratio(spike.expected) };
                spike.state = state;
                continue;
            }
            run = Some(found.len());
            let currency = hours.first().map_or(Currency::USD, |hour| hour.currency);
            found.push(Spike {
                spike_id: id_of(&[SpikeRule::Errors.name(), provider, &instant(*at).to_rfc3339()]),
                rule: SpikeRule::Errors,
                series: format!("provider {provider}"),
                provider: provider.to_string(),
                team: String::new(),
                api_key_id: String::new(),
                model: String::new(),
                opened_at: instant(*at),
                detected_at: end,
                last_seen_at: end,
                state,
                expected,
                actual: count,
                excess: count.checked_sub(expected).unwrap_or(count),
                ratio: if expected.is_zero() { None } else { count.ratio(expected) },
                score: None,
                projected: None,
                projected_until: None,
                contributors: Vec::new(),
                baseline: "failed calls in an hour with calls".to_string(),
                provisional: false,
                currency,
            });
        }
    }
    found
}
