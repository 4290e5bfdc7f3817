//! Rows of `savings.csv`: each team, provider and model, and the totals above them; and each client's part of them.

use super::SavingsTerms;
use super::advice::{Better, Case, Split, advise, better, split, turning};
use super::groups::{Group, Leaf};
use super::price::{Cause, GroupMonth, LeafMonth, too_large};
use super::rows::{ALL, ClientSaving, Compared, Fallback, Saving, Turning};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::period::Days;
use crate::domain::plan::Route;
use crate::stages::reference::Reference;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// Team, provider and model of a row.
type Place = (String, String, String);

#[derive(Default)]
struct Row {
    compared: Option<Compared>,
    not_comparable: u64,
    not_comparable_cost: Amount,
    causes: BTreeSet<Cause>,
    lately: [Amount; 2],
    plans: BTreeSet<String>,
    /// Groups with the number of their leaves in this row.
    groups: BTreeMap<usize, usize>,
    is_total: bool,
}

/// The row of a leaf and the totals above it.
fn places(leaf: &Leaf) -> [(Place, bool); 5] {
    let place = |team: &str, provider: &str, model: &str| (team.to_string(), provider.to_string(), model.to_string());
    [
        (place(&leaf.team, &leaf.provider, &leaf.model), false),
        (place(&leaf.team, &leaf.provider, ALL), true),
        (place(&leaf.team, ALL, ALL), true),
        (place(ALL, &leaf.provider, ALL), true),
        (place(ALL, ALL, ALL), true),
    ]
}

fn add(row: &mut Row, leaf: &LeafMonth) -> Option<()> {
    row.compared = match (&row.compared, &leaf.compared) {
        (Some(sum), Some(part)) => Some(sum.checked_add(part)?),
        (sum, part) => sum.clone().or(part.clone()),
    };
    row.not_comparable = row.not_comparable.checked_add(leaf.not_comparable)?;
    row.not_comparable_cost = row.not_comparable_cost.checked_add(leaf.not_comparable_cost)?;
    row.causes.extend(&leaf.causes);
    for (sum, part) in row.lately.iter_mut().zip(leaf.lately) {
        *sum = sum.checked_add(part)?;
    }
    Some(())
}

/// The same with the client of the leaf, for rows sorted by team and client.
fn client_places(leaf: &Leaf) -> [((String, String, String, String), bool); 5] {
    places(leaf).map(|((team, provider, model), is_total)| ((team, leaf.client.clone(), provider, model), is_total))
}

/// Everything of a month that is one row, for every row that a leaf is in.
fn gathered<Key: Ord>(
    months: &[(&Group, GroupMonth)],
    terms: &SavingsTerms,
    places: impl Fn(&Leaf) -> [(Key, bool); 5],
) -> Result<BTreeMap<(NaiveDate, Key), Row>, Fault> {
    let mut rows: BTreeMap<(NaiveDate, Key), Row> = BTreeMap::new();
    for (index, (group, month)) in months.iter().enumerate() {
        let plan = group.agreement.and_then(|index| terms.agreements.get(index)).map(|agreement| &agreement.plan.name);
        for (leaf, figures) in &month.leaves {
            for (place, is_total) in places(leaf) {
                let row = rows.entry((group.month, place)).or_default();
                row.is_total = is_total;
                add(row, figures).ok_or_else(too_large)?;
                row.plans.extend(plan.cloned());
                if group.agreement.is_some() {
                    *row.groups.entry(index).or_default() += 1;
                }
            }
        }
    }
    Ok(rows)
}

impl Row {
    fn plan(&self) -> String {
        self.plans.iter().cloned().collect::<Vec<_>>().join("; ")
    }

    /// Why lines of it were not compared.
    fn left_out(&self) -> Option<String> {
        let causes: Vec<&str> = self.causes.iter().map(|cause| cause.words()).collect();
        (!causes.is_empty()).then(|| format!("not comparable: {}", causes.join(", ")))
    }
}

/// Each client's part of every row, the usage without a client among them, so that the parts of a row sum to it.
/// Nothing where no usage has a client. There is no break-even and no advice: a plan is charged for all clients
/// together.
///
/// # Errors
/// A figure that does not fit (70).
pub(super) fn clients(months: &[(&Group, GroupMonth)], terms: &SavingsTerms) -> Result<Vec<ClientSaving>, Fault> {
    if months.iter().flat_map(|(_, month)| month.leaves.keys()).all(|leaf| leaf.client.is_empty()) {
        return Ok(Vec::new());
    }
    let row = |((month, (team, client, provider, model)), row): ((NaiveDate, _), Row)| ClientSaving {
        client,
        saving: Saving {
            period_start: month,
            team,
            provider,
            model,
            plan: row.plan(),
            reason: row.left_out().unwrap_or_default(),
            compared: row.compared,
            not_comparable: row.not_comparable,
            not_comparable_cost: row.not_comparable_cost,
            break_even: None,
            advice: None,
            split_saves: None,
        },
    };
    Ok(gathered(months, terms, client_places)?.into_iter().map(row).collect())
}

/// What a group adds to the row that holds all of it.
struct Known {
    turning: Option<Turning>,
    split: Option<Split>,
}

/// All rows, month by month.
///
/// # Errors
/// A figure that does not fit (70).
pub(super) fn rows(months: &[(&Group, GroupMonth)], terms: &SavingsTerms, reference: &Reference) -> Result<Vec<Saving>, Fault> {
    let rows: BTreeMap<(NaiveDate, Place), Row> = gathered(months, terms, places)?;
    let mut known = Vec::new();
    for (group, month) in months {
        known.push(Known { turning: turning(group, month)?, split: split(group, month)? });
    }
    let mut verdicts: BTreeMap<&Place, Vec<Better>> = BTreeMap::new();
    for ((_, place), row) in &rows {
        if let Some(compared) = &row.compared {
            verdicts.entry(place).or_default().push(better(compared.all_in().ok_or_else(too_large)?));
        }
    }
    let mut found = Vec::new();
    for ((month, place), row) in &rows {
        let whole = one_group(row, months);
        let mut saving = Saving {
            period_start: *month,
            team: place.0.clone(),
            provider: place.1.clone(),
            model: place.2.clone(),
            plan: row.plan(),
            compared: row.compared.clone(),
            not_comparable: row.not_comparable,
            not_comparable_cost: row.not_comparable_cost,
            break_even: whole.and_then(|index| known.get(index)).and_then(|known| known.turning.clone()),
            advice: None,
            split_saves: None,
            reason: String::new(),
        };
        let mut reasons = Vec::new();
        if let Some(compared) = row.compared.as_ref().filter(|_| row.is_total && (place.0 != ALL || whole.is_some())) {
            let verdict = better(compared.all_in().ok_or_else(too_large)?);
            let all = verdicts.get(place).map_or(&[][..], Vec::as_slice);
            let days = Days { from: (*month).max(reference.window.from), to: last_day(months, *month, reference) };
            let case = Case {
                compared,
                now: route_now(row, compared),
                split: whole.and_then(|index| known.get(index)).and_then(|known| known.split.as_ref()),
                turning: saving.break_even.as_ref(),
                agree: (all.iter().filter(|other| **other == verdict).count(), all.len()),
                days,
                currency: reference.reporting_currency.code(),
                unit: &compared.unit,
            };
            let (advice, reason) = advise(&case).ok_or_else(too_large)?;
            saving.advice = Some(advice);
            saving.split_saves = match case.split {
                Some(split) => Some(split.saves(case.now).ok_or_else(too_large)?),
                None => None,
            };
            reasons.push(reason);
        }
        reasons.extend(row.left_out());
        saving.reason = reasons.join("; ");
        found.push(saving);
    }
    Ok(found)
}

/// The end of a month's days in the window.
fn last_day(months: &[(&Group, GroupMonth)], month: NaiveDate, reference: &Reference) -> NaiveDate {
    let ends = months.iter().filter(|(group, _)| group.month == month).map(|(group, _)| group.days.to);
    ends.max().unwrap_or(reference.window.to)
}

/// The one group whose whole usage the row is.
fn one_group(row: &Row, months: &[(&Group, GroupMonth)]) -> Option<usize> {
    let mut groups = row.groups.iter();
    let (Some((index, leaves)), None) = (groups.next(), groups.next()) else { return None };
    (months.get(*index)?.1.leaves.len() == *leaves).then_some(*index)
}

/// The route that usage mostly took in the window's last week, else in the month.
fn route_now(row: &Row, compared: &Compared) -> Option<Route> {
    let [byok, credits] = row.lately;
    let sides =
        if byok.is_zero() && credits.is_zero() { [compared.actual_byok, compared.actual_credits] } else { [byok, credits] };
    match sides[0].cmp(&sides[1]) {
        std::cmp::Ordering::Greater => Some(Route::Byok),
        std::cmp::Ordering::Less => Some(Route::Credits),
        std::cmp::Ordering::Equal => None,
    }
}

/// What fell back to credits though a key existed, by month, team, provider and cause.
///
/// # Errors
/// A sum that does not fit (70).
pub(super) fn fallbacks(months: &[(&Group, GroupMonth)]) -> Result<Vec<Fallback>, Fault> {
    let mut sums: BTreeMap<(NaiveDate, String, String, String), Fallback> = BTreeMap::new();
    for fell in months.iter().flat_map(|(_, month)| &month.fallbacks) {
        let key = (fell.month, fell.team.clone(), fell.provider.clone(), fell.cause.clone());
        match sums.get_mut(&key) {
            None => {
                sums.insert(key, fell.clone());
            }
            Some(sum) => {
                sum.calls = sum.calls.saturating_add(fell.calls);
                sum.paid = sum.paid.checked_add(fell.paid).ok_or_else(too_large)?;
                sum.missed = sum.missed.checked_add(fell.missed).ok_or_else(too_large)?;
            }
        }
    }
    Ok(sums.into_values().collect())
}
