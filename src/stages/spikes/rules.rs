//! Rules that need no baseline (contract 4.7): new, dormant, unowned, revoked and old keys, budgets, silence,
//! failed calls. Each looks at the ledger by hour, and at what providers bill on keys that it never saw; none fires on money below the threshold of one hot hour.

use super::id_of;
use super::series::{Cell, DAY, HOUR, Teams, instant, plus};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{day_of, month_start};
use crate::domain::spike::{Contributor, Settings, Spike, SpikeRule, SpikeState};
use crate::domain::teams::Owned;
use crate::domain::usage::ChargeCategory;
use crate::stages::facts::{Facts, NO_AMOUNT};
use crate::stages::reference::Reference;
use chrono::{DateTime, Months, NaiveTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A key is old when it was used so long before, a model new on it afterwards.
const OLD_KEY: i64 = 14 * DAY;
/// Silence is so many times the longest pause of the days before, and never shorter than this.
const PAUSES: i64 = 2;
const SILENCE_MIN: i64 = 6 * HOUR;
/// Days of history and calls on each of them that make a series regular.
const REGULAR_DAYS: usize = 7;
/// Failed calls in an hour that are a surge, of a hundred calls so many failed, and times the usual.
const FAILED_MIN: u64 = 20;
const FAILED_PART: u64 = 50;
const FAILED_TIMES: u64 = 5;

/// The ledger by hour with its names.
struct Use<'f> {
    at: i64,
    provider: &'f str,
    api_key_id: &'f str,
    model: &'f str,
    client: &'f str,
    team: String,
    currency: Currency,
    cell: Cell,
}

pub(super) fn rules(
    facts: &Facts,
    reference: &Reference,
    settings: &Settings,
    cells: &BTreeMap<(u32, i64), Cell>,
    until: i64,
) -> Vec<Spike> {
    let mut teams = Teams::default();
    let mut uses: Vec<Use<'_>> = cells
        .iter()
        .map(|((number, at), cell)| {
            let kind = facts.entry_kinds.all()[*number as usize];
            let text = |sym| facts.symbols.text(sym);
            Use {
                at: *at,
                provider: text(kind.provider),
                api_key_id: text(kind.api_key_id),
                model: text(kind.model),
                client: text(kind.client),
                team: teams.of(facts, reference, *number, *at),
                currency: kind.currency,
                cell: *cell,
            }
        })
        .collect();
    uses.extend(unseen(facts, reference, until, &uses));
    uses.sort_by(|a, b| (a.at, a.provider, a.api_key_id, a.model).cmp(&(b.at, b.provider, b.api_key_id, b.model)));
    let context = Context { reference, settings, until };
    let mut found = keys(&context, &uses);
    found.extend(budgets(&context, &uses));
    found.extend(silences(&context, &uses));
    found.extend(failures(&context, &uses));
    found
}

/// What providers bill on keys that the ledger never saw: a key that leaked is used by nobody of ours.
fn unseen<'f>(facts: &'f Facts, reference: &Reference, until: i64, uses: &[Use<'f>]) -> Vec<Use<'f>> {
    let seen: BTreeSet<(&str, &str)> = uses.iter().map(|one| (one.provider, one.api_key_id)).collect();
    let mut found: BTreeMap<(u32, i64), Use<'f>> = BTreeMap::new();
    for line in facts.lines.iter().filter(|line| line.cost != NO_AMOUNT && line.start < until) {
        let kind = facts.charge_kind(line);
        let text = |sym| facts.symbols.text(sym);
        let (provider, api_key_id) = (text(kind.provider), text(kind.api_key_id));
        if kind.category != ChargeCategory::Usage || api_key_id.is_empty() || seen.contains(&(provider, api_key_id)) {
            continue;
        }
        let at = if line.end - line.start <= HOUR { line.start.div_euclid(HOUR) * HOUR } else { i64::from(line.day) * DAY };
        let owner = reference.teams.owner(Owned::ApiKey, provider, api_key_id, day_of(line.day));
        let one = found.entry((line.kind, at)).or_insert_with(|| Use {
            at,
            provider,
            api_key_id,
            model: text(kind.model),
            client: "",
            team: owner.map_or(String::new(), |owner| owner.team.clone()),
            currency: kind.currency,
            cell: Cell::default(),
        });
        one.cell.amount = plus(one.cell.amount, Amount::from_atto(line.cost));
        one.cell.calls += 1;
    }
    found.into_values().collect()
}

struct Context<'r> {
    reference: &'r Reference,
    settings: &'r Settings,
    until: i64,
}

/// Uses that one rule counts together.
struct Case<'u> {
    rule: SpikeRule,
    uses: Vec<&'u Use<'u>>,
}

impl Context<'_> {
    /// The incident of a case; none where its money is below that of one hot hour.
    fn spike(&self, case: &Case<'_>, series: String, model: &str, baseline: &str) -> Option<Spike> {
        let (first, last) = (case.uses.first()?, case.uses.last()?);
        let actual = case.uses.iter().map(|one| one.cell.amount).fold(Amount::ZERO, plus);
        if actual < self.settings.thresholds.money || actual.is_zero() {
            return None;
        }
        let opened_at = instant(first.at);
        let same_team = case.uses.iter().all(|one| one.team == first.team);
        let open = self.until - last.at <= DAY;
        Some(Spike {
            spike_id: id_of(&[
                case.rule.name(),
                first.currency.code(),
                first.provider,
                first.api_key_id,
                model,
                &opened_at.to_rfc3339(),
            ]),
            rule: case.rule,
            series,
            provider: first.provider.to_string(),
            team: if same_team { first.team.clone() } else { String::new() },
            api_key_id: first.api_key_id.to_string(),
            model: model.to_string(),
            opened_at,
            detected_at: instant(first.at + HOUR),
            last_seen_at: instant(last.at + HOUR),
            state: if open { SpikeState::Open } else { SpikeState::Resolved },
            expected: Amount::ZERO,
            actual,
            excess: actual,
            ratio: None,
            score: None,
            projected: None,
            projected_until: None,
            contributors: contributors(&case.uses),
            baseline: baseline.to_string(),
            provisional: false,
            currency: first.currency,
        })
    }
}

fn contributors(uses: &[&Use<'_>]) -> Vec<Contributor> {
    let mut parts: BTreeMap<[&str; 4], Amount> = BTreeMap::new();
    for one in uses.iter().filter(|one| !one.cell.amount.is_zero()) {
        let sum = parts.entry([&one.team, one.api_key_id, one.model, one.client]).or_default();
        *sum = plus(*sum, one.cell.amount);
    }
    let mut found: Vec<Contributor> = parts
        .into_iter()
        .map(|([team, api_key_id, model, client], amount)| Contributor {
            team: team.to_string(),
            api_key_id: api_key_id.to_string(),
            model: model.to_string(),
            client: client.to_string(),
            amount,
        })
        .collect();
    found.sort_by(|a, b| b.amount.cmp(&a.amount).then_with(|| a.cmp(b)));
    found.truncate(super::incidents::TOP);
    found
}

/// New model, dormant, unowned, revoked and old: one key at a time.
fn keys(context: &Context<'_>, uses: &[Use<'_>]) -> Vec<Spike> {
    let mut by_key: BTreeMap<(&str, &str, Currency), Vec<&Use<'_>>> = BTreeMap::new();
    for one in uses.iter().filter(|one| !one.api_key_id.is_empty()) {
        by_key.entry((one.provider, one.api_key_id, one.currency)).or_default().push(one);
    }
    let teams = &context.reference.teams;
    // Where the map knows no key at all, not owning one says nothing.
    let maps_keys = teams.owners.keys().any(|(owned, ..)| *owned == Owned::ApiKey);
    let mut found = Vec::new();
    for ((provider, key, _), uses) in by_key {
        let series = || format!("provider {provider}, key {key}");
        let owner = |at: i64| {
            let day = day_of(i32::try_from(at.div_euclid(DAY)).unwrap_or(0));
            teams.owner(Owned::ApiKey, provider, key, day)
        };
        let known = teams.knows(Owned::ApiKey, provider, key);
        let outside: Vec<&Use<'_>> = uses.iter().filter(|one| owner(one.at).is_none()).copied().collect();
        if known {
            let case = Case { rule: SpikeRule::RevokedKey, uses: outside };
            found.extend(context.spike(&case, series(), "", "the days of its owners in the team map"));
        } else if maps_keys && outside.iter().all(|one| one.team.is_empty()) {
            let case = Case { rule: SpikeRule::UnownedKey, uses: outside };
            found.extend(context.spike(&case, series(), "", "the team map"));
        }
        found.extend(new_models(context, &uses, provider, key));
        found.extend(awake(context, &uses, series()));
        found.extend(old_key(context, &uses, provider, key));
    }
    found
}

fn new_models(context: &Context<'_>, uses: &[&Use<'_>], provider: &str, key: &str) -> Vec<Spike> {
    let Some(first) = uses.first() else { return Vec::new() };
    let models: BTreeSet<&str> = uses.iter().map(|one| one.model).filter(|model| !model.is_empty()).collect();
    let case = |model: &str| {
        let own: Vec<&Use<'_>> = uses.iter().filter(|one| one.model == model).copied().collect();
        let start = own.first().map(|one| one.at).filter(|at| at - first.at >= OLD_KEY)?;
        // The first two days tell; after that the model belongs to the key.
        let new: Vec<&Use<'_>> = own.into_iter().filter(|one| one.at - start < 2 * DAY).collect();
        let series = format!("provider {provider}, key {key}, model {model}");
        context.spike(&Case { rule: SpikeRule::NewModel, uses: new }, series, model, "models that the key used before")
    };
    models.into_iter().filter_map(case).collect()
}

/// The two days after each pause that makes a key dormant.
fn awake(context: &Context<'_>, uses: &[&Use<'_>], series: String) -> Vec<Spike> {
    let pause = i64::from(context.settings.dormant_days) * DAY;
    let mut found = Vec::new();
    for (before, after) in uses.iter().zip(uses.iter().skip(1)) {
        if after.at - before.at < pause {
            continue;
        }
        let woken: Vec<&Use<'_>> = uses.iter().filter(|one| (0..2 * DAY).contains(&(one.at - after.at))).copied().collect();
        let baseline = format!("no call for {} days", (after.at - before.at) / DAY);
        found.extend(context.spike(&Case { rule: SpikeRule::DormantKey, uses: woken }, series.clone(), "", &baseline));
    }
    found
}

/// Spend on a key after the limit of its age, which counts from the `from` of its owner in the team map.
fn old_key(context: &Context<'_>, uses: &[&Use<'_>], provider: &str, key: &str) -> Option<Spike> {
    let limit = i64::from(context.settings.rotate_days?) * DAY;
    let last = uses.last()?;
    let day = day_of(i32::try_from(last.at.div_euclid(DAY)).unwrap_or(0));
    let from = context.reference.teams.owner(Owned::ApiKey, provider, key, day)?.days.from;
    let born = from.and_time(NaiveTime::MIN).and_utc().timestamp();
    let late: Vec<&Use<'_>> = uses.iter().filter(|one| one.at - born >= limit).copied().collect();
    // An entry without `from` says nothing of the key's age.
    let dated = from > chrono::NaiveDate::default();
    let series = format!("provider {provider}, key {key}");
    let baseline = format!("in use since {from}, limit {} days", context.settings.rotate_days?);
    dated.then(|| context.spike(&Case { rule: SpikeRule::OldKey, uses: late }, series, "", &baseline)).flatten()
}

/// The month that the run speaks for, against each budget.
fn budgets(context: &Context<'_>, uses: &[Use<'_>]) -> Vec<Spike> {
    let today = instant(context.until - 1).date_naive();
    let start = month_start(today);
    let Some(end) = start.checked_add_months(Months::new(1)) else { return Vec::new() };
    let [from, to] = [start, end].map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let days_known = context.reference.window.from <= start;
    let case = |budget: &crate::domain::spike::Budget| {
        let own: Vec<&Use<'_>> = uses
            .iter()
            .filter(|one| one.at >= from.timestamp() && one.currency == budget.currency)
            .filter(|one| budget.provider.is_empty() || one.provider == budget.provider)
            .filter(|one| budget.team.is_empty() || one.team == budget.team)
            .collect();
        let actual = own.iter().map(|one| one.cell.amount).fold(Amount::ZERO, plus);
        let month_end = at_rate(actual, from, instant(context.until), to)?;
        let mut so_far = Amount::ZERO;
        let passed_at = own.iter().find(|one| {
            so_far = plus(so_far, one.cell.amount);
            so_far > budget.amount
        });
        // Before the window holds the whole month nothing can be projected from it.
        let rule = match passed_at {
            Some(_) => SpikeRule::BudgetPassed,
            None if days_known && month_end > budget.amount && context.until - from.timestamp() >= 3 * DAY => {
                SpikeRule::BudgetProjected
            }
            None => return None,
        };
        let opened_at = passed_at.map_or(from, |one| instant(one.at));
        let whose = [("provider", &budget.provider), ("team", &budget.team)];
        let whose: Vec<String> =
            whose.iter().filter(|(_, name)| !name.is_empty()).map(|(what, name)| format!("{what} {name}")).collect();
        let series = if whose.is_empty() { "total".to_string() } else { whose.join(", ") };
        let id = [rule.name(), budget.currency.code(), &budget.provider, &budget.team, &from.to_rfc3339()];
        Some(Spike {
            spike_id: id_of(&id),
            rule,
            series,
            provider: budget.provider.clone(),
            team: budget.team.clone(),
            api_key_id: String::new(),
            model: String::new(),
            opened_at,
            detected_at: if passed_at.is_some() { opened_at + chrono::Duration::hours(1) } else { instant(context.until) },
            last_seen_at: instant(context.until),
            state: SpikeState::Open,
            expected: budget.amount,
            actual,
            excess: actual.checked_sub(budget.amount)?,
            ratio: actual.ratio(budget.amount),
            score: None,
            projected: Some(month_end),
            projected_until: Some(to),
            contributors: contributors(&own),
            baseline: format!("budget of {start}"),
            provisional: true,
            currency: budget.currency,
        })
    };
    context.settings.budgets.iter().filter_map(case).collect()
}

/// What an amount becomes by the end if it goes on as it did from the start until now.
fn at_rate(amount: Amount, from: DateTime<Utc>, now: DateTime<Utc>, to: DateTime<Utc>) -> Option<Amount> {
    let past = (now - from).num_seconds().max(1);
    amount.mul_div(i128::from((to - from).num_seconds()), i128::from(past))
}

/// Providers that were called every day and are not any more, while the ledger goes on with others.
fn silences(context: &Context<'_>, uses: &[Use<'_>]) -> Vec<Spike> {
    let mut hours: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for one in uses {
        hours.entry(one.provider).or_default().insert(one.at);
    }
    let mut found = Vec::new();
    for (provider, own) in &hours {
        let Some(last) = own.last().copied() else { continue };
        let recent: Vec<i64> = own.range(last - 14 * DAY..).copied().collect();
        let days: BTreeSet<i64> = recent.iter().map(|at| at.div_euclid(DAY)).collect();
        let longest = recent.iter().zip(recent.iter().skip(1)).map(|(a, b)| b - a).max().unwrap_or(0);
        let quiet = context.until - (last + HOUR);
        if days.len() < REGULAR_DAYS || quiet < SILENCE_MIN || quiet < PAUSES * longest {
            continue;
        }
        // If the ledger has nothing of anybody, the ledger is silent and not the provider.
        let others = uses.iter().filter(|one| one.provider != *provider && one.at > last).count();
        if others == 0 {
            continue;
        }
        let Some(like) = uses.iter().rev().find(|one| one.provider == *provider) else { continue };
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
            currency: like.currency,
        });
    }
    found
}

/// Hours in which most calls to a provider failed, and far more than usual.
fn failures(context: &Context<'_>, uses: &[Use<'_>]) -> Vec<Spike> {
    let mut hours: BTreeMap<&str, BTreeMap<i64, (u64, u64)>> = BTreeMap::new();
    for one in uses {
        let (failed, calls) = hours.entry(one.provider).or_default().entry(one.at).or_default();
        *failed += one.cell.failed;
        *calls += one.cell.calls;
    }
    let mut found: Vec<Spike> = Vec::new();
    for (provider, hours) in &hours {
        let mut known: Vec<u64> = Vec::new();
        let mut run: Option<usize> = None;
        for (at, (failed, calls)) in hours {
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
            let Some(like) = uses.iter().find(|one| one.provider == *provider) else { continue };
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
                currency: like.currency,
            });
        }
    }
    found
}
