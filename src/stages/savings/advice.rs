//! Stay, switch or split: what a team should do, how sure that is, and what would change it.

use super::groups::Group;
use super::price::{GroupMonth, Span, too_large};
use super::rows::{Advice, Compared, Turning};
use crate::domain::fault::Fault;
use crate::domain::money::Amount;
use crate::domain::period::{Days, month_start};
use crate::domain::plan::break_even::{Change, changed};
use crate::domain::plan::compare::Asked;
use crate::domain::plan::{Comparison, LIST_COST, PlanError, Portion, Range, Route, UsageLine, compare};
use chrono::{Months, NaiveDate};
use std::collections::{BTreeMap, BTreeSet};

/// What a month says of a row, for the months beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Byok,
    Credits,
    /// The interval has both signs, or both routes cost the same.
    Open,
}

/// Which route is cheaper with hours counted; the whole interval must agree.
pub fn better(all_in: Range) -> Better {
    if all_in.low > Amount::ZERO {
        Better::Byok
    } else if all_in.high < Amount::ZERO {
        Better::Credits
    } else {
        Better::Open
    }
}

/// Own keys for some models and credits for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    pub on_keys: Vec<String>,
    pub on_credits: Vec<String>,
    /// What both routes together cost then, hours counted, at the dear end of all ranges.
    pub cost: Amount,
    /// The same for credits alone and for own keys alone.
    pub credits_alone: Amount,
    pub byok_alone: Amount,
}

impl Split {
    /// What it costs less than the route that is taken now; on neither, than the better one. `None` only if it does
    /// not fit.
    pub fn saves(&self, now: Option<Route>) -> Option<Amount> {
        let alone = match now {
            Some(Route::Credits) => self.credits_alone,
            Some(Route::Byok) => self.byok_alone,
            None => self.credits_alone.min(self.byok_alone),
        };
        alone.checked_sub(self.cost)
    }
}

/// Both routes for a group's month as far as it is a function of volume: its own mix of usage, at its pace for the
/// whole month, under the terms of its last days. `None` beyond what the plan sells.
///
/// # Errors
/// A figure that does not fit (70).
pub(super) fn whole_month(group: &Group, month: &GroupMonth) -> Result<Option<Comparison>, Fault> {
    let Some(last) = month.spans.last() else { return Ok(None) };
    let lines: Vec<UsageLine> = month.spans.iter().flat_map(|span| span.lines.clone()).collect();
    let end = group.month.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
    let whole = (end - group.month).num_days();
    let covered = (group.days.to - group.days.from).num_days();
    let pace = Amount::whole(whole).ratio(Amount::whole(covered.max(1))).ok_or_else(too_large)?;
    let scaled = changed(&last.credits, &last.byok, &lines, Change::Volume, pace).ok_or_else(too_large)?;
    let asked = Asked { credits_days: Portion::WHOLE, byok_days: Portion::WHOLE, ..last.asked.clone() };
    match compare(&scaled.0, &scaled.1, &scaled.2, &asked) {
        Ok(comparison) => Ok(Some(comparison)),
        Err(PlanError::Beyond { .. }) => Ok(None),
        Err(_) => Err(too_large()),
    }
}

/// From which volume own keys are cheaper for a group's month. `None` without usage in the plan's unit.
///
/// # Errors
/// A figure that does not fit (70).
pub fn turning(group: &Group, month: &GroupMonth) -> Result<Option<Turning>, Fault> {
    let Some(comparison) = whole_month(group, month)? else { return Ok(None) };
    let found = comparison.break_even(false).map_err(|_| too_large())?;
    Ok(found.map(|found| Turning { volume: found.volumes(), when: found.words(), distance: found.distance() }))
}

/// The split of a group's month by model that costs less than either route alone, if there is one: own keys for
/// what they serve cheaper before fees, credits for the rest. Both routes' fees are paid then. A model goes one way
/// for all teams and clients of the group.
///
/// # Errors
/// A figure that does not fit (70).
pub fn split(group: &Group, month: &GroupMonth) -> Result<Option<Split>, Fault> {
    let mut sides: BTreeMap<bool, BTreeSet<String>> = BTreeMap::new();
    let mut saved: BTreeMap<(&str, &str), Amount> = BTreeMap::new();
    for (leaf, figures) in &month.leaves {
        let sum = saved.entry((&leaf.provider, &leaf.model)).or_default();
        *sum = sum.checked_add(figures.usage_saving).ok_or_else(too_large)?;
    }
    let saves = |at: usize| {
        let leaf = group.lines.get(at).map(|line| &line.leaf);
        let sum = leaf.and_then(|leaf| saved.get(&(leaf.provider.as_str(), leaf.model.as_str())));
        sum.is_some_and(|sum| *sum > Amount::ZERO)
    };
    for at in month.spans.iter().flat_map(|span| &span.members) {
        let model = group.lines.get(*at).map(|line| format!("{} {}", line.leaf.provider, line.leaf.model));
        sides.entry(saves(*at)).or_default().extend(model);
    }
    let (Some(on_keys), Some(on_credits)) = (sides.get(&true), sides.get(&false)) else { return Ok(None) };
    let mut costs = [Amount::ZERO; 3];
    for span in &month.spans {
        let Some(found) = split_span(span, &saves)? else { return Ok(None) };
        for (sum, cost) in costs.iter_mut().zip(found) {
            *sum = sum.checked_add(cost).ok_or_else(too_large)?;
        }
    }
    let [both, credits, byok] = costs;
    let names = |side: &BTreeSet<String>| side.iter().cloned().collect();
    let cheaper = both < credits && both < byok;
    Ok(cheaper.then(|| Split {
        on_keys: names(on_keys),
        on_credits: names(on_credits),
        cost: both,
        credits_alone: credits,
        byok_alone: byok,
    }))
}

/// Cost of the split, of credits alone and of own keys alone; `None` where a part has no price of its own.
fn split_span(span: &Span, saves: &impl Fn(usize) -> bool) -> Result<Option<[Amount; 3]>, Fault> {
    let lines = |wanted: bool| -> Vec<UsageLine> {
        let of_side = span.members.iter().zip(&span.lines).filter(|(at, _)| saves(**at) == wanted);
        of_side.map(|(_, line)| line.clone()).collect()
    };
    let part = |lines: &[UsageLine]| match compare(&span.credits, &span.byok, lines, &span.asked) {
        Ok(comparison) => Ok(Some(comparison)),
        Err(PlanError::Beyond { .. }) => Ok(None),
        Err(_) => Err(too_large()),
    };
    let (Some(on_keys), Some(on_credits)) = (part(&lines(true))?, part(&lines(false))?) else { return Ok(None) };
    let fits = || {
        let both = on_keys.byok.high.all_in()?.checked_add(on_credits.credits.high.all_in()?)?;
        Some([both, span.all.credits.high.all_in()?, span.all.byok.high.all_in()?])
    };
    fits().map(Some).ok_or_else(too_large)
}

/// What is known for the advice on one row.
pub struct Case<'a> {
    pub compared: &'a Compared,
    /// The route that the usage mostly takes now.
    pub now: Option<Route>,
    pub split: Option<&'a Split>,
    pub turning: Option<&'a Turning>,
    /// Months that agree, of all months of the window that have a comparison.
    pub agree: (usize, usize),
    /// The days compared.
    pub days: Days,
    pub currency: &'a str,
    pub unit: &'a str,
}

/// An amount in two decimals.
pub fn money(amount: Amount) -> String {
    amount.rounded(2).with_places(2)
}

/// An interval of amounts without sign.
fn span_of(range: Range) -> String {
    let (low, high) = (range.low.abs().min(range.high.abs()), range.low.abs().max(range.high.abs()));
    if money(low) == money(high) { money(low) } else { format!("{} to {}", money(low), money(high)) }
}

/// The first day of the month after the last of some days: a switch then cuts no month.
pub fn switching_day(days: Days) -> NaiveDate {
    let last = days.to.pred_opt().unwrap_or(days.from);
    month_start(last).checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX)
}

/// When own keys are cheaper, with the unit where there is a number.
pub fn turning_words(turning: &Turning, unit: &str, currency: &str) -> String {
    if !turning.when.bytes().any(|byte| byte.is_ascii_digit()) {
        return turning.when.clone();
    }
    let unit = if unit == LIST_COST { format!("{currency} of list cost") } else { unit.replace('_', " ") };
    format!("{} {unit} a month", turning.when)
}

/// The advice with its reason. `None` only if a figure does not fit.
pub fn advise(case: &Case<'_>) -> Option<(Advice, String)> {
    let (cash, all_in) = (case.compared.saving()?, case.compared.all_in()?);
    let (verdict, currency) = (better(all_in), case.currency);
    let months = format!("{} of {} months agree", case.agree.0, case.agree.1);
    let day = switching_day(case.days);
    let mut reason = match (verdict, case.now) {
        (Better::Open, _) if all_in.low == all_in.high => "both routes cost the same".to_string(),
        (Better::Open, _) => {
            format!(
                "the price ranges do not decide: own keys save between {} and {} {currency}",
                money(all_in.low),
                money(all_in.high)
            )
        }
        (Better::Byok, Some(Route::Byok)) => format!("own keys cost {} {currency} less than credits; {months}", span_of(all_in)),
        (Better::Credits, Some(Route::Credits)) => {
            format!("credits cost {} {currency} less than own keys; {months}", span_of(all_in))
        }
        (Better::Byok, _) => {
            format!("own keys would cost {} {currency} less than credits, from {day}; {months}", span_of(all_in))
        }
        (Better::Credits, _) => {
            format!("credits would cost {} {currency} less than own keys, from {day}; {months}", span_of(all_in))
        }
    };
    let mut advice = match (verdict, case.now) {
        (Better::Byok, Some(Route::Credits)) | (Better::Credits, Some(Route::Byok)) => Advice::Switch,
        _ => Advice::Stay,
    };
    if let Some(split) = case.split {
        advice = Advice::Split;
        reason = format!(
            "own keys for {}, credits for {}: {} {currency} together, {} less than the better route alone; {months}",
            split.on_keys.join(", "),
            split.on_credits.join(", "),
            money(split.cost),
            money(split.saves(None)?),
        );
    }
    if better(cash) != verdict {
        reason.push_str(&format!(
            "; the hours decide: in cash own keys save {} to {} {currency}",
            money(cash.low),
            money(cash.high)
        ));
    }
    if let Some(turning) = case.turning {
        let unit = if turning.when.contains('n') && turning.when.contains(' ') {
            format!(" {} a month", case.unit)
        } else {
            String::new()
        };
        reason.push_str(&format!("; own keys cheaper: {}{unit}", turning.when));
    }
    Some((advice, reason))
}
