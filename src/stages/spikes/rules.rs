//! Rules that need no baseline (contract 4.7): new, dormant, unowned, revoked and old keys, budgets, silence,
//! failed calls. Each looks at the ledger by hour, and at what providers bill on keys that it never saw; none fires on money below the threshold of one hot hour.

mod providers;

use super::hours::{Billed, Caller, Callers, Cell, DAY, HOUR, TeamNumber, Teams, plus};
use super::id_of;
use super::series::{Evidence, Seen, instant, seen_until, until};
use crate::domain::money::{Amount, Currency};
use crate::domain::period::{day_of, month_start};
use crate::domain::spike::{Contributor, Settings, Spike, SpikeRule, SpikeState};
use crate::domain::teams::Owned;
use crate::stages::facts::Facts;
use crate::stages::reference::Reference;
use chrono::{DateTime, Months, NaiveTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

/// A key is old when it was used so long before, a model new on it afterwards.
const OLD_KEY: i64 = 14 * DAY;
/// The run rate of a case is that of its last hours.
const RATE_HOURS: i64 = 6;

/// The use of one hour.
#[derive(Clone, Copy)]
struct Use<'c> {
    /// Index into [`Callers::all`].
    who: u32,
    team: TeamNumber,
    cell: &'c Cell,
    /// Where it comes from.
    evidence: Evidence,
}

impl Use<'_> {
    /// Seconds that it stands for: an hour, or a day of a provider that tells no hours.
    fn step(&self) -> i64 {
        if self.evidence == Evidence::ProviderDays { DAY } else { HOUR }
    }
}

/// What all rules look at: uses in order of time, and of names within an hour.
struct Context<'r, 'f, 'c> {
    reference: &'r Reference,
    settings: &'r Settings,
    until: i64,
    teams: Teams<'f>,
    callers: Callers<'f>,
    uses: Vec<Use<'c>>,
    seen: &'r Seen,
}

pub(super) fn rules(
    facts: &Facts,
    reference: &Reference,
    settings: &Settings,
    callers: Callers<'_>,
    (ledger, billed): (&[Cell], &Billed),
    seen: &Seen,
) -> Vec<Spike> {
    let mut teams = Teams::new(facts, reference);
    let mut uses: Vec<Use<'_>> = Vec::with_capacity(ledger.len());
    let mut used = vec![false; callers.of_entry.len()];
    for cell in ledger {
        let kind = cell.kind as usize;
        if let Some(used) = used.get_mut(kind) {
            *used = true;
        }
        let who = callers.of_entry.get(kind).copied().unwrap_or(0);
        uses.push(Use { who, team: teams.of_entry(cell.kind, cell.at), cell, evidence: Evidence::Ledger });
    }
    let key = |who: &u32| callers.all.get(*who as usize).map(|who| (who.provider, who.api_key_id)).unwrap_or_default();
    let used_keys: BTreeSet<(&str, &str)> =
        callers.of_entry.iter().zip(used).filter(|(_, used)| *used).map(|(who, _)| key(who)).collect();
    // What providers bill on keys that the ledger never saw: a key that leaked is used by nobody of ours.
    let is_leaked = |who: &u32| !key(who).1.is_empty() && !used_keys.contains(&key(who));
    let leaked: Vec<bool> = callers.of_charge.iter().map(is_leaked).collect();
    let own = uses.len();
    let longer = (Evidence::ProviderDays, billed.longer.as_slice());
    let lists = billed.lists().into_iter().chain([longer]);
    for (evidence, cell) in lists.flat_map(|(evidence, cells)| cells.iter().map(move |cell| (evidence, cell))) {
        if leaked.get(cell.kind as usize) == Some(&true) {
            let who = callers.of_charge.get(cell.kind as usize).copied().unwrap_or(0);
            uses.push(Use { who, team: teams.of_charge(cell.kind, cell.at), cell, evidence });
        }
    }
    if uses.len() > own {
        uses.sort_by_key(|one| (one.cell.at, one.who));
    }
    let context = Context { reference, settings, until: until(reference), teams, callers, uses, seen };
    let mut found = keys(&context);
    found.extend(budgets(&context));
    let hours = providers::by_provider(&context);
    found.extend(providers::silences(&context, &hours));
    found.extend(providers::failures(&context, &hours));
    found
}

/// Uses that one rule counts together.
struct Case<'c> {
    rule: SpikeRule,
    uses: Vec<Use<'c>>,
}

impl<'f> Context<'_, 'f, '_> {
    fn of(&self, one: &Use<'_>) -> Caller<'f> {
        self.callers.all.get(one.who as usize).copied().unwrap_or(Caller {
            provider: "",
            api_key_id: "",
            model: "",
            client: "",
            currency: Currency::USD,
        })
    }

    /// The incident of a case; none where its money is below that of one hot hour.
    fn spike(&self, case: &Case<'_>, series: String, model: &str, baseline: &str) -> Option<Spike> {
        let (first, last) = (case.uses.first()?, case.uses.last()?);
        let who = self.of(first);
        let actual = case.uses.iter().map(|one| one.cell.amount).fold(Amount::ZERO, plus);
        if actual < self.settings.thresholds.money || actual.is_zero() {
            return None;
        }
        let opened_at = instant(first.cell.at);
        let same_team = case.uses.iter().all(|one| one.team == first.team);
        let until = seen_until(self.seen, last.evidence, who.provider, self.until);
        let open = until - last.cell.at <= DAY;
        let end = last.cell.at + last.step();
        let morning = self.settings.calendar.next_business_morning(self.reference.as_of.max(instant(end)));
        let projected = open.then(|| projected(case, actual, (end.max(until), morning))).flatten();
        Some(Spike {
            spike_id: id_of(&[
                case.rule.name(),
                who.currency.code(),
                who.provider,
                who.api_key_id,
                model,
                &opened_at.to_rfc3339(),
            ]),
            rule: case.rule,
            series: last.evidence.named(series),
            provider: who.provider.to_string(),
            team: if same_team { self.teams.name(first.team).to_string() } else { String::new() },
            api_key_id: who.api_key_id.to_string(),
            model: model.to_string(),
            opened_at,
            detected_at: instant(first.cell.at + first.step()),
            last_seen_at: instant(end),
            state: if open { SpikeState::Open } else { SpikeState::Resolved },
            expected: Amount::ZERO,
            actual,
            excess: actual,
            ratio: None,
            score: None,
            projected,
            projected_until: projected.map(|_| morning),
            contributors: self.contributors(&case.uses),
            baseline: baseline.to_string(),
            provisional: false,
            currency: who.currency,
        })
    }

    fn contributors(&self, uses: &[Use<'_>]) -> Vec<Contributor> {
        let mut sums: BTreeMap<(TeamNumber, u32), Amount> = BTreeMap::new();
        for one in uses.iter().filter(|one| !one.cell.amount.is_zero()) {
            let sum = sums.entry((one.team, one.who)).or_default();
            *sum = plus(*sum, one.cell.amount);
        }
        let mut parts: BTreeMap<[&str; 4], Amount> = BTreeMap::new();
        for ((team, who), amount) in sums {
            let Some(who) = self.callers.all.get(who as usize) else { continue };
            let sum = parts.entry([self.teams.name(team), who.api_key_id, who.model, who.client]).or_default();
            *sum = plus(*sum, amount);
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
}

/// What a case will have come to by a moment, if it goes on as in the middle one of its last hours, quiet ones among
/// them. `None` where the last of it is known by the day only.
fn projected(case: &Case<'_>, so_far: Amount, (seen, until): (i64, DateTime<Utc>)) -> Option<Amount> {
    let (first, last) = (case.uses.first()?, case.uses.last()?);
    if last.step() != HOUR {
        return None;
    }
    let from = (seen - RATE_HOURS * HOUR).max(first.cell.at);
    let mut hours: BTreeMap<i64, Amount> = (from..seen).step_by(HOUR as usize).map(|at| (at, Amount::ZERO)).collect();
    for one in case.uses.iter().filter(|one| one.step() == HOUR) {
        if let Some(sum) = hours.get_mut(&one.cell.at) {
            *sum = plus(*sum, one.cell.amount);
        }
    }
    let mut last: Vec<Amount> = hours.into_values().collect();
    last.sort_unstable();
    let rate = *last.get(last.len().saturating_sub(1) / 2)?;
    let seconds = (until.timestamp() - seen).max(0);
    so_far.checked_add(rate.mul_div(i128::from(seconds), i128::from(HOUR))?)
}

/// New model, dormant, unowned, revoked and old: one key at a time.
fn keys(context: &Context<'_, '_, '_>) -> Vec<Spike> {
    let mut numbers: BTreeMap<(&str, &str, Currency), usize> = BTreeMap::new();
    let mut groups: Vec<Vec<Use<'_>>> = Vec::new();
    let of_who: Vec<Option<usize>> = context
        .callers
        .all
        .iter()
        .map(|who| {
            let key = (who.provider, who.api_key_id, who.currency);
            let new = || {
                groups.push(Vec::new());
                groups.len() - 1
            };
            (!who.api_key_id.is_empty()).then(|| *numbers.entry(key).or_insert_with(new))
        })
        .collect();
    let mut starts: Vec<Option<i64>> = vec![None; of_who.len()];
    for one in &context.uses {
        let group = of_who.get(one.who as usize).copied().flatten();
        if let Some((uses, start)) = group.and_then(|group| groups.get_mut(group)).zip(starts.get_mut(one.who as usize)) {
            uses.push(*one);
            start.get_or_insert(one.cell.at);
        }
    }
    let mut models: BTreeMap<usize, BTreeMap<&str, i64>> = BTreeMap::new();
    for ((who, group), start) in context.callers.all.iter().zip(&of_who).zip(starts) {
        if let Some((group, start)) = group.zip(start) {
            let first = models.entry(group).or_default().entry(who.model).or_insert(start);
            *first = start.min(*first);
        }
    }
    let teams = &context.reference.teams;
    // Where the map knows no key at all, not owning one says nothing.
    let maps_keys = teams.owners.keys().any(|(owned, ..)| *owned == Owned::ApiKey);
    let mut found = Vec::new();
    for ((provider, key, _), group) in numbers {
        let Some(uses) = groups.get(group).filter(|uses| !uses.is_empty()) else { continue };
        let series = || format!("provider {provider}, key {key}");
        let known = teams.knows(Owned::ApiKey, provider, key);
        // Uses come in order of time: an owner is asked for once a day.
        let mut owned = (i64::MIN, false);
        let mut is_owned = |at: i64| {
            let day = at.div_euclid(DAY);
            if owned.0 != day {
                let owner = teams.owner(Owned::ApiKey, provider, key, day_of(i32::try_from(day).unwrap_or(0)));
                owned = (day, owner.is_some());
            }
            owned.1
        };
        let outside: Vec<Use<'_>> = uses.iter().filter(|one| !is_owned(one.cell.at)).copied().collect();
        if known {
            let case = Case { rule: SpikeRule::RevokedKey, uses: outside };
            found.extend(context.spike(&case, series(), "", "the days of its owners in the team map"));
        } else if maps_keys && outside.iter().all(|one| context.teams.name(one.team).is_empty()) {
            let case = Case { rule: SpikeRule::UnownedKey, uses: outside };
            found.extend(context.spike(&case, series(), "", "the team map"));
        }
        found.extend(new_models(context, uses, models.remove(&group).unwrap_or_default(), (provider, key)));
        found.extend(awake(context, uses, series()));
        found.extend(old_key(context, uses, provider, key));
    }
    found
}

/// `starts` has the first use of each model on the key.
fn new_models(
    context: &Context<'_, '_, '_>,
    uses: &[Use<'_>],
    mut starts: BTreeMap<&str, i64>,
    (provider, key): (&str, &str),
) -> Vec<Spike> {
    let Some(first) = uses.first() else { return Vec::new() };
    // Those that are new on an old key.
    starts.retain(|model, start| !model.is_empty() && *start - first.cell.at >= OLD_KEY);
    let case = |(model, start): (&str, i64)| {
        // The first two days tell; after that the model belongs to the key.
        let is_new = |one: &&Use<'_>| (start..start + 2 * DAY).contains(&one.cell.at) && context.of(one).model == model;
        let new: Vec<Use<'_>> = uses.iter().filter(is_new).copied().collect();
        let series = format!("provider {provider}, key {key}, model {model}");
        context.spike(&Case { rule: SpikeRule::NewModel, uses: new }, series, model, "models that the key used before")
    };
    starts.into_iter().filter_map(case).collect()
}

/// The two days after each pause that makes a key dormant.
fn awake(context: &Context<'_, '_, '_>, uses: &[Use<'_>], series: String) -> Vec<Spike> {
    let pause = i64::from(context.settings.dormant_days) * DAY;
    let mut found = Vec::new();
    for (before, after) in uses.iter().zip(uses.iter().skip(1)) {
        if after.cell.at - before.cell.at < pause {
            continue;
        }
        let woken: Vec<Use<'_>> =
            uses.iter().filter(|one| (0..2 * DAY).contains(&(one.cell.at - after.cell.at))).copied().collect();
        let baseline = format!("no call for {} days", (after.cell.at - before.cell.at) / DAY);
        found.extend(context.spike(&Case { rule: SpikeRule::DormantKey, uses: woken }, series.clone(), "", &baseline));
    }
    found
}

/// Spend on a key after the limit of its age, which counts from the `from` of its owner in the team map.
fn old_key(context: &Context<'_, '_, '_>, uses: &[Use<'_>], provider: &str, key: &str) -> Option<Spike> {
    let limit = i64::from(context.settings.rotate_days?) * DAY;
    let last = uses.last()?;
    let day = day_of(i32::try_from(last.cell.at.div_euclid(DAY)).unwrap_or(0));
    let from = context.reference.teams.owner(Owned::ApiKey, provider, key, day)?.days.from;
    let born = from.and_time(NaiveTime::MIN).and_utc().timestamp();
    let late: Vec<Use<'_>> = uses.iter().filter(|one| one.cell.at - born >= limit).copied().collect();
    // An entry without `from` says nothing of the key's age.
    let dated = from > chrono::NaiveDate::default();
    let series = format!("provider {provider}, key {key}");
    let baseline = format!("in use since {from}, limit {} days", context.settings.rotate_days?);
    dated.then(|| context.spike(&Case { rule: SpikeRule::OldKey, uses: late }, series, "", &baseline)).flatten()
}

/// The month that the run speaks for, against each budget.
fn budgets(context: &Context<'_, '_, '_>) -> Vec<Spike> {
    let today = instant(context.until - 1).date_naive();
    let start = month_start(today);
    let Some(end) = start.checked_add_months(Months::new(1)) else { return Vec::new() };
    let [from, to] = [start, end].map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let days_known = context.reference.window.from <= start;
    let case = |budget: &crate::domain::spike::Budget| {
        let is_own = |one: &&Use<'_>| {
            let who = context.of(one);
            one.cell.at >= from.timestamp()
                && who.currency == budget.currency
                && (budget.provider.is_empty() || who.provider == budget.provider)
                && (budget.team.is_empty() || context.teams.name(one.team) == budget.team)
        };
        let own: Vec<Use<'_>> = context.uses.iter().filter(is_own).copied().collect();
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
        let opened_at = passed_at.map_or(from, |one| instant(one.cell.at));
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
            contributors: context.contributors(&own),
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
