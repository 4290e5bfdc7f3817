//! Flagged hours into incidents: what belongs together is one, with who made it and what it will cost.

use super::hours::{Billed, Cell, HOUR, TeamNumber, Teams, plus, within};
use super::id_of;
use super::replay::{Judged, Point, replay};
use super::series::{Evidence, Seen, Series, instant, of_cells, seen_until, until};
use super::verdict::Baseline;
use crate::domain::money::{Amount, Currency};
use crate::domain::spike::{Contributor, Scope, Settings, Spike, SpikeRule, SpikeState};
use crate::stages::facts::Facts;
use crate::stages::reference::Reference;
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;

/// Contributors that are named.
pub(super) const TOP: usize = 5;
/// The part of an incident, of a hundred, that one team, key or model must have made to be named as its own.
const NEARLY_ALL: i128 = 80;
/// The run rate is the middle one of the last hot hours.
const RATE_HOURS: usize = 6;

/// A run of flagged steps in one series.
struct Heat {
    series: usize,
    /// First flagged step, end of the last one; Unix seconds.
    from: i64,
    to: i64,
    excess: Amount,
}

/// Heat of one provider and currency that overlaps in time.
struct Cluster {
    provider: String,
    currency: Currency,
    from: i64,
    to: i64,
    evidence: Evidence,
    heats: Vec<Heat>,
}

/// All incidents of the rule that compares with a baseline.
pub(super) fn incidents(
    facts: &Facts,
    reference: &Reference,
    settings: &Settings,
    (ledger, billed): (&[Cell], &Billed),
    seen: &Seen,
) -> Vec<Spike> {
    let series = of_cells(facts, reference, settings, (ledger, billed), seen);
    let judged: Vec<(Vec<Point>, Vec<Judged>)> = series
        .iter()
        .map(|series| {
            let points: Vec<Point> = series.points().collect();
            let judged = replay(&settings.thresholds, &settings.calendar, series.step_seconds, points.iter().copied());
            (points, judged)
        })
        .collect();
    let quiet = i64::from(settings.resolve_hours) * HOUR;
    let mut heats: Vec<Heat> = Vec::new();
    for (number, (series, (points, judged))) in series.iter().zip(&judged).enumerate() {
        heats.extend(heats_of(number, series, points, judged, quiet));
    }
    let clusters = cluster(&series, heats, quiet);
    let mut teams = Teams::new(facts, reference);
    let mut makers = |cluster: &Cluster, from: i64, to: i64| {
        let of = |(evidence, _): &(Evidence, &[Cell])| *evidence == cluster.evidence;
        match billed.lists().into_iter().find(of) {
            Some((_, cells)) => at_provider(facts, cluster, within(cells, from, to), &mut teams),
            None => in_ledger(facts, cluster, within(ledger, from, to), &mut teams),
        }
    };
    let mut found = Vec::new();
    for cluster in &clusters {
        let Some(head) = head(cluster, &series) else { continue };
        let Some((of, (points, judged))) = series.get(head.series).zip(judged.get(head.series)) else { continue };
        let inside = || points.iter().zip(judged).filter(|(point, _)| (head.from..head.to).contains(&point.at.timestamp()));
        let actual = inside().filter_map(|(point, _)| point.value).fold(Amount::ZERO, plus);
        let expected = inside().map(|(_, judged)| judged.expected).fold(Amount::ZERO, plus);
        let score = inside().map(|(_, judged)| judged.score).max();
        let baseline = inside().map(|(_, judged)| judged.baseline).min().unwrap_or(Baseline::WarmingUp);
        let step = of.step_seconds;
        // Quiet is what was seen to be quiet: a night does not see the hours after its last day, nor anybody those that a
        // provider has not told yet.
        let now = seen_until(seen, cluster.evidence, &cluster.provider, until(reference));
        let open = now - head.to < quiet.max(2 * step - HOUR);
        let state = if open { SpikeState::Open } else { SpikeState::Resolved };
        let parts = makers(cluster, head.from, head.to);
        let total = parts.values().copied().fold(Amount::ZERO, plus);
        let only = |place: usize| only(&parts, place, total);
        let mut contributors: Vec<Contributor> = parts
            .iter()
            .map(|([team, api_key_id, model, client], amount)| Contributor {
                team: team.clone(),
                api_key_id: api_key_id.clone(),
                model: model.clone(),
                client: client.clone(),
                amount: *amount,
            })
            .collect();
        contributors.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.cmp(b)));
        contributors.truncate(TOP);
        let named = |own: &str, place: usize| if own.is_empty() { only(place) } else { own.to_string() };
        let until = settings.calendar.next_business_morning(reference.as_of.max(instant(head.to)));
        let projected = open.then(|| projected(actual, inside().filter_map(|(point, _)| point.value), step, head.to, until));
        let opened_at = instant(head.from);
        found.push(Spike {
            spike_id: id_of(&[SpikeRule::Spike.name(), cluster.currency.code(), &cluster.provider, &opened_at.to_rfc3339()]),
            rule: SpikeRule::Spike,
            series: cluster.evidence.named(of.key.name()),
            provider: cluster.provider.clone(),
            team: named(&of.key.team, 0),
            api_key_id: named(&of.key.api_key_id, 1),
            model: named(&of.key.model, 2),
            opened_at,
            detected_at: instant(head.from + step),
            last_seen_at: instant(head.to),
            state,
            expected,
            actual,
            excess: actual.checked_sub(expected).unwrap_or(actual),
            ratio: if expected.is_zero() { None } else { actual.ratio(expected) },
            score,
            projected: projected.flatten(),
            projected_until: open.then_some(until),
            contributors,
            baseline: format!("{}; {}", words(baseline), cluster.evidence.name()),
            provisional: cluster.evidence.is_expected(),
            currency: cluster.currency,
        });
    }
    found
}

/// Who made it: team, key, model and client, by what the ledger has.
type Makers = BTreeMap<[String; 4], Amount>;

fn in_ledger(facts: &Facts, cluster: &Cluster, cells: &[Cell], teams: &mut Teams<'_>) -> Makers {
    let mut sums: BTreeMap<(u32, TeamNumber), Amount> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| !cell.amount.is_zero()) {
        let entry = facts.entry_kinds.all()[cell.kind as usize];
        let own = cluster.provider.is_empty() || facts.symbols.text(entry.provider) == cluster.provider;
        if own && entry.currency == cluster.currency {
            let sum = sums.entry((cell.kind, teams.of_entry(cell.kind, cell.at))).or_default();
            *sum = plus(*sum, cell.amount);
        }
    }
    let text = |sym| facts.symbols.text(sym).to_string();
    let mut parts = Makers::new();
    for ((kind, team), amount) in sums {
        let entry = facts.entry_kinds.all()[kind as usize];
        let names = [teams.name(team).to_string(), text(entry.api_key_id), text(entry.model), text(entry.client)];
        let sum = parts.entry(names).or_default();
        *sum = plus(*sum, amount);
    }
    parts
}

/// The same by what the provider says, where only it has the spike: the ledger would name who had nothing to do with it.
fn at_provider(facts: &Facts, cluster: &Cluster, cells: &[Cell], teams: &mut Teams<'_>) -> Makers {
    let text = |sym| facts.symbols.text(sym).to_string();
    let mut parts = Makers::new();
    for cell in cells {
        let kind = facts.charge_kinds.all()[cell.kind as usize];
        if kind.currency == cluster.currency && facts.symbols.text(kind.provider) == cluster.provider {
            let team = teams.of_charge(cell.kind, cell.at);
            let names = [teams.name(team).to_string(), text(kind.api_key_id), text(kind.model), String::new()];
            let sum = parts.entry(names).or_default();
            *sum = plus(*sum, cell.amount);
        }
    }
    parts
}

const fn words(baseline: Baseline) -> &'static str {
    match baseline {
        Baseline::Seasonal => "same hour on days of the same kind",
        Baseline::AnyDay => "same hour on any day, for want of more history",
        Baseline::AllHours | Baseline::WarmingUp => "all earlier hours, for want of more history",
    }
}

fn heats_of(number: usize, series: &Series, points: &[Point], judged: &[Judged], quiet: i64) -> Vec<Heat> {
    let step = series.step_seconds;
    let mut heats: Vec<Heat> = Vec::new();
    for (point, judged) in points.iter().zip(judged).filter(|(_, judged)| judged.flag) {
        let at = point.at.timestamp();
        let excess = point.value.and_then(|value| value.checked_sub(judged.expected)).unwrap_or_default();
        match heats.last_mut() {
            Some(heat) if at - heat.to < quiet => {
                heat.to = at + step;
                heat.excess = plus(heat.excess, excess);
            }
            _ => heats.push(Heat { series: number, from: at, to: at + step, excess }),
        }
    }
    heats
}

/// Heat of one provider that overlaps, or follows before it is quiet, is one incident. The ledger opens it;
/// what the provider reports of the same time confirms it and does not move its start. Heat of the total alone
/// is an incident without a provider; heat of the total that a provider's explains is not one more.
fn cluster(series: &[Series], heats: Vec<Heat>, quiet: i64) -> Vec<Cluster> {
    let mut heats: Vec<(Evidence, bool, Heat)> = heats
        .into_iter()
        .filter_map(|heat| series.get(heat.series).map(|of| (of.evidence, of.key.scope == Scope::Total, heat)))
        .collect();
    heats.sort_by_key(|(evidence, total, heat)| (*total, *evidence, heat.from, heat.series));
    let mut clusters: Vec<Cluster> = Vec::new();
    for (evidence, total, heat) in heats {
        let Some(of) = series.get(heat.series) else { continue };
        let near = |cluster: &Cluster| heat.from < cluster.to + quiet && cluster.from < heat.to + quiet;
        let same = |cluster: &Cluster| total && !cluster.provider.is_empty() || cluster.provider == of.key.provider;
        let known = clusters.iter_mut().find(|cluster| cluster.currency == of.key.currency && same(cluster) && near(cluster));
        match known {
            Some(cluster) if cluster.evidence == evidence && cluster.provider == of.key.provider => {
                cluster.from = cluster.from.min(heat.from);
                cluster.to = cluster.to.max(heat.to);
                cluster.heats.push(heat);
            }
            Some(_) => {}
            None => clusters.push(Cluster {
                provider: of.key.provider.clone(),
                currency: of.key.currency,
                from: heat.from,
                to: heat.to,
                evidence,
                heats: vec![heat],
            }),
        }
    }
    clusters
}

/// The heat that stands for the incident: of the widest series, the one with the most excess, over the time
/// of the whole cluster.
fn head(cluster: &Cluster, series: &[Series]) -> Option<Heat> {
    let rank = |heat: &&Heat| {
        let scope = series.get(heat.series).map(|of| of.key.scope);
        (std::cmp::Reverse(scope), heat.excess, std::cmp::Reverse(heat.series))
    };
    let widest = cluster.heats.iter().max_by_key(rank)?;
    Some(Heat { series: widest.series, from: cluster.from, to: cluster.to, excess: widest.excess })
}

/// The one name at a place that made nearly all of it; empty where nobody did.
fn only(parts: &BTreeMap<[String; 4], Amount>, place: usize, total: Amount) -> String {
    let mut sums: BTreeMap<&str, Amount> = BTreeMap::new();
    for (names, amount) in parts {
        let sum = sums.entry(names.get(place).map_or("", String::as_str)).or_default();
        *sum = plus(*sum, *amount);
    }
    let enough = |sum: &Amount| sum.atto() / NEARLY_ALL >= total.atto() / 100;
    let found = sums.iter().filter(|(_, sum)| !sum.is_zero() && enough(sum)).max_by_key(|(_, sum)| **sum);
    found.map_or(String::new(), |(name, _)| name.to_string())
}

/// What it will have come to: so far, and the run rate until then.
fn projected(so_far: Amount, values: impl Iterator<Item = Amount>, step: i64, seen: i64, until: DateTime<Utc>) -> Option<Amount> {
    let values: Vec<Amount> = values.collect();
    let mut last: Vec<Amount> = values.iter().rev().take(RATE_HOURS).copied().collect();
    last.sort_unstable();
    let rate = *last.get(last.len().saturating_sub(1) / 2)?;
    let seconds = (until.timestamp() - seen).max(0);
    so_far.checked_add(rate.mul_div(i128::from(seconds), i128::from(step.max(1)))?)
}
