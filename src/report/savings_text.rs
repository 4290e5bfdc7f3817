//! Savings in the summary, in words, for somebody who has never seen a plan: who saved on own keys, who would,
//! who should stay on credits, what fell back, and from which volume each of it turns.

use super::layout::{WIDTH, grid, name, wrap};
use super::text::money;
use crate::domain::money::{Amount, sum};
use crate::domain::plan::Range;
use crate::stages::savings::advice::{Better, better, switching_day, turning_words};
use crate::stages::savings::rows::{ALL, Advice, ClientSaving, Compared, Saving, Savings};
use chrono::NaiveDate;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// The answers take no more lines than this, so that they end within the first ten of the page.
const LINES_MAX: usize = 7;
/// Most rows of the table; the rest is counted and in the CSV file.
const TOP: usize = 12;

/// The answers, in at most seven lines; none where nothing is compared. `None` only if a sum does not fit.
pub(super) fn answers(savings: &Savings) -> Option<Vec<String>> {
    if savings.currency.is_none() || savings.rows.is_empty() {
        return Some(Vec::new());
    }
    // Fewer names where there are many, until the answers fit; the last try always does.
    for top in [6, 4, 3, 2, 1] {
        let lines = lines(savings, top)?;
        if lines.len() <= LINES_MAX {
            return Some(lines);
        }
    }
    Some(lines(savings, 1)?.into_iter().take(LINES_MAX).collect())
}

fn lines(savings: &Savings, top: usize) -> Option<Vec<String>> {
    let currency = savings.currency.map(|currency| currency.to_string()).unwrap_or_default();
    let latest = latest(savings)?;
    let (mut saved, mut would, mut stay) = (ByTeam::new(), ByTeam::new(), ByTeam::new());
    for (row, compared) in by_provider(savings) {
        if !compared.actual_byok.is_zero() {
            add(&mut saved, row, compared.realised()?)?;
        }
        let all_in = compared.all_in()?;
        match (better(all_in), row.advice) {
            _ if row.period_start != latest => {}
            (_, Some(Advice::Split)) => add(&mut would, row, row.split_saves.unwrap_or_default())?,
            (Better::Byok, Some(Advice::Switch)) => add(&mut would, row, all_in.low)?,
            (Better::Credits, Some(_)) => add(&mut stay, row, -all_in.high)?,
            _ => {}
        }
    }
    let fell = savings.fallbacks.iter().map(|fell| {
        let calls = if fell.calls == 1 { "1 call".to_string() } else { format!("{} calls", fell.calls) };
        format!("{} {calls} ({}), {} dearer, {}", name(&fell.team), name(&fell.provider), money(fell.missed), fell.cause)
    });
    let mut turns: BTreeSet<String> = BTreeSet::new();
    for row in savings.rows.iter().filter(|row| row.period_start == latest && row.model == ALL) {
        if let (Some(turning), Some(compared)) = (&row.break_even, &row.compared) {
            turns.insert(format!("{} {}", name(&row.plan), turning_words(turning, &compared.unit, &currency)));
        }
    }
    let month = latest.format("%Y-%m");
    let answers = [
        ("Saved on own keys", ordered(saved), "nobody"),
        (&*format!("Would save by switching to own keys, in {month}"), ordered(would), "nobody"),
        (&*format!("Should stay on credits, which save in {month}"), ordered(stay), "nobody"),
        ("Fell back to credits despite a key", fell.collect(), "nothing"),
        ("Own keys are cheaper at", turns.into_iter().collect(), "no volume is known"),
    ];
    let mut lines = Vec::new();
    for (question, found, none) in answers {
        let mut shown: Vec<String> = found.iter().take(top).cloned().collect();
        if found.len() > top {
            shown.push(format!("{} more in savings.csv", found.len() - top));
        }
        let answer = if shown.is_empty() { none.to_string() } else { shown.join("; ") };
        let wrapped = wrap(&format!("{question}: {answer}."), WIDTH - 2);
        lines.extend(wrapped.into_iter().enumerate().map(|(at, line)| if at == 0 { line } else { format!("  {line}") }));
    }
    Some(lines)
}

/// What each team saves, and the providers where it does.
type ByTeam<'a> = BTreeMap<&'a str, (Amount, BTreeSet<String>)>;

fn add<'a>(teams: &mut ByTeam<'a>, row: &'a Saving, amount: Amount) -> Option<()> {
    let (sum, providers) = teams.entry(&row.team).or_default();
    *sum = sum.checked_add(amount)?;
    let part = if row.advice == Some(Advice::Split) { " for some models" } else { "" };
    providers.insert(format!("{}{part}", name(&row.provider)));
    Some(())
}

/// The largest first.
fn ordered(teams: ByTeam<'_>) -> Vec<String> {
    let mut teams: Vec<_> = teams.into_iter().collect();
    teams.sort_by_key(|(team, (amount, _))| (Reverse(*amount), *team));
    let text = |(team, (amount, providers)): (&str, (Amount, BTreeSet<String>))| {
        let providers: Vec<String> = providers.into_iter().collect();
        format!("{} {} ({})", name(team), money(amount), providers.join(", "))
    };
    teams.into_iter().map(text).collect()
}

/// The last month that has a comparison.
fn latest(savings: &Savings) -> Option<NaiveDate> {
    savings.rows.iter().filter(|row| row.compared.is_some()).map(|row| row.period_start).max().or(Some(NaiveDate::MIN))
}

/// Rows of one team and one provider.
fn by_provider(savings: &Savings) -> impl Iterator<Item = (&Saving, &Compared)> {
    let rows = savings.rows.iter().filter(|row| row.team != ALL && row.provider != ALL && row.model == ALL);
    rows.filter_map(|row| Some((row, row.compared.as_ref()?)))
}

/// Money, or both ends of it.
fn span(range: Range) -> String {
    if range.low == range.high { money(range.low) } else { format!("{}..{}", money(range.low), money(range.high)) }
}

/// The section further down: each team and provider in the last month, and what is left out. `None` only if a
/// sum does not fit.
pub(super) fn section(page: &mut String, savings: &Savings) -> Option<()> {
    let Some(currency) = savings.currency.filter(|_| !savings.rows.is_empty()) else { return Some(()) };
    let latest = latest(savings)?;
    page.push_str(&format!("\nCREDITS AGAINST OWN KEYS: {}, as far as it is over, in {currency}\n", latest.format("%Y-%m")));
    page.push_str("What the same usage costs on credits and on own keys, fees included, and what was paid. The last\n");
    page.push_str("column is the volume n of a whole month, in the plan's unit, at which own keys are cheaper.\n");
    let mut rows: Vec<(Amount, Vec<String>)> = Vec::new();
    for (row, compared) in by_provider(savings).filter(|(row, _)| row.period_start == latest) {
        let saving = compared.all_in()?;
        let turning = row.break_even.as_ref();
        rows.push((
            saving.low.abs().max(saving.high.abs()),
            vec![
                name(&row.team),
                name(&row.provider),
                span(compared.all_credits),
                span(compared.all_byok),
                money(compared.actual()?),
                span(saving),
                row.advice.map_or("", Advice::name).to_string(),
                turning.map_or(String::new(), |turning| turning.when.clone()),
            ],
        ));
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let more = rows.len().saturating_sub(TOP);
    let rows: Vec<Vec<String>> = rows.into_iter().take(TOP).map(|(_, row)| row).collect();
    if rows.is_empty() {
        page.push_str("Nothing could be compared.\n");
    } else {
        let columns = ["team", "provider", "credits", "own keys", "paid", "keys save", "advice", "cheaper on keys"];
        page.push_str(&grid(&columns, &["credits", "own keys", "paid", "keys save"], &rows));
        if more > 0 {
            page.push_str(&format!("and {more} more: savings.csv\n"));
        }
        let last = switching_day(crate::domain::period::Days { from: latest, to: latest.succ_opt()? });
        page.push_str(&format!("A switch is advised for {last}, the start of the next month.\n"));
    }
    let leaves = || savings.rows.iter().filter(|row| row.model != ALL && row.not_comparable > 0);
    let left: u64 = leaves().map(|row| row.not_comparable).sum();
    if left > 0 {
        let cost = sum(leaves().map(|row| row.not_comparable_cost))?;
        let causes: BTreeSet<&str> = leaves()
            .filter_map(|row| row.reason.split("not comparable: ").nth(1))
            .flat_map(|causes| causes.split(", "))
            .collect();
        let causes = causes.into_iter().collect::<Vec<_>>().join("; ");
        let text = format!(
            "Not compared in these days: {left} lines of usage, billed {} {currency}: {causes}. savings.csv names them by model.",
            money(cost)
        );
        for line in wrap(&text, WIDTH) {
            page.push_str(&format!("{line}\n"));
        }
    }
    clients(page, savings, latest)
}

/// What each team's clients cost in a month; nothing where no usage has a client.
fn clients(page: &mut String, savings: &Savings, month: NaiveDate) -> Option<()> {
    let named = savings.clients.iter().filter(|row| !row.client.is_empty());
    let of_team = |row: &Saving| row.period_start == month && row.team != ALL && row.provider == ALL;
    let mut rows: Vec<(Amount, Vec<String>)> = Vec::new();
    for ClientSaving { client, saving: row } in named.filter(|row| of_team(&row.saving)) {
        let Some(compared) = &row.compared else { continue };
        let paid = compared.actual()?;
        let figures = [span(compared.all_credits), span(compared.all_byok), money(paid), span(compared.all_in()?)];
        rows.push((paid, [name(client), name(&row.team)].into_iter().chain(figures).collect()));
    }
    if rows.is_empty() {
        return Some(());
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    page.push_str("\nThe same by client, with its part of the fees:\n");
    let shown: Vec<Vec<String>> = rows.iter().take(TOP).map(|(_, row)| row.clone()).collect();
    let columns = ["client", "team", "credits", "own keys", "paid", "keys save"];
    page.push_str(&grid(&columns, &["credits", "own keys", "paid", "keys save"], &shown));
    if rows.len() > TOP {
        page.push_str(&format!("and {} more: savings_clients.csv\n", rows.len() - TOP));
    }
    Some(())
}
