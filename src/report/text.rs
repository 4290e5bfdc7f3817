//! `summary.txt`: the night on one page, for somebody who opens it for the first time. Coverage stands first,
//! because no other figure means anything without it (reliability.md section 1, guarantee 6).

use super::csv::visible;
use super::layout::{WIDTH, grid, name, wrap};
use super::savings_text;
use super::spikes;
use super::tables::{explained_ratio, is_explained, too_large, unexplained};
use crate::domain::fault::Fault;
use crate::domain::ledger_findings::Finding;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::domain::schema::Change;
use crate::stages::results::{Outcome, Reason, SliceStatus, UNATTRIBUTED};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Most lines of a list; the rest is counted and in the CSV file.
const TOP: usize = 12;

/// The page, at most 100 characters wide, money rounded to two decimals. Says nothing that changes from one
/// run over the same data to the next: no time of the run, no run id.
///
/// # Errors
/// A sum that does not fit.
pub fn summary(outcome: &Outcome, job: &str, window: Days) -> Result<String, Fault> {
    let last = window.to.pred_opt().unwrap_or(window.to);
    let mut page = format!("tieout: {}, charges of {} to {last} (UTC days)\n", name(job), window.from);
    page.push_str("Money is rounded to 2 decimals on this page; the CSV files carry every digit.\n");
    let answers = savings_text::answers(&outcome.savings).ok_or_else(|| too_large("summary.txt"))?;
    if !answers.is_empty() {
        page.push_str(&format!("Coverage: {}\n", verdict(outcome)));
        page.push_str(&answers.iter().map(|line| format!("{line}\n")).collect::<String>());
    }
    let mut next = Vec::new();
    coverage(&mut page, &mut next, outcome);
    news(&mut page, outcome);
    explained(&mut page, outcome).ok_or_else(|| too_large("summary.txt"))?;
    drift(&mut page, &mut next, outcome).ok_or_else(|| too_large("summary.txt"))?;
    spikes::section(&mut page, &mut next, &outcome.spikes);
    teams(&mut page, &mut next, outcome).ok_or_else(|| too_large("summary.txt"))?;
    savings_text::section(&mut page, &outcome.savings).ok_or_else(|| too_large("summary.txt"))?;
    heading(&mut page, "WHAT TO DO NEXT");
    if next.is_empty() {
        next.push("Nothing: every slice is complete and nothing is open.".to_string());
    }
    for (number, step) in next.iter().enumerate() {
        let mut lines = wrap(step, WIDTH - 4).into_iter();
        page.push_str(&format!("{:>2}. {}\n", number + 1, lines.next().unwrap_or_default()));
        for line in lines {
            page.push_str(&format!("    {line}\n"));
        }
    }
    Ok(page)
}

fn heading(page: &mut String, title: &str) {
    page.push_str(&format!("\n{title}\n"));
}

/// An amount in two decimals with thousands apart, for people.
pub(super) fn money(amount: Amount) -> String {
    let plain = amount.rounded(2).with_places(2);
    let (sign, digits) = plain.strip_prefix('-').map_or(("", plain.as_str()), |digits| ("-", digits));
    let (whole, cents) = digits.split_once('.').unwrap_or((digits, "00"));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}.{cents}")
}

/// A ratio in percent, cut and not rounded: 100.00 is said of nothing less.
fn percent(ratio: Amount) -> String {
    let step = 10i128.pow(14);
    let cut = Amount::from_atto(ratio.atto().div_euclid(step) * step * 100);
    cut.with_places(2)
}

#[derive(Default)]
struct Slices {
    days: BTreeSet<chrono::NaiveDate>,
    by_status: BTreeMap<SliceStatus, u64>,
    rows: u64,
    duplicates: u64,
    quarantined: u64,
    basis: BTreeSet<String>,
}

/// Whether the figures can be relied on, in one sentence.
fn verdict(outcome: &Outcome) -> String {
    let all = |status: SliceStatus| outcome.coverage.iter().filter(|slice| slice.status == status).count();
    let (missing, stale, suspect) = (all(SliceStatus::Missing), all(SliceStatus::Stale), all(SliceStatus::Suspect));
    let provisional = all(SliceStatus::Provisional);
    if missing + stale + suspect > 0 {
        format!("INCOMPLETE: {missing} missing, {stale} stale, {suspect} suspect. Totals are lower bounds until those arrive.")
    } else if provisional > 0 {
        format!("Complete so far; slices that are provisional and may still change: {provisional}.")
    } else if outcome.coverage.is_empty() {
        "INCOMPLETE: nothing was read.".to_string()
    } else {
        "Complete: every slice is there and settled.".to_string()
    }
}

fn coverage(page: &mut String, next: &mut Vec<String>, outcome: &Outcome) {
    heading(page, "COVERAGE: what this page rests on, in slices (one report of one account over one day)");
    let mut sources: BTreeMap<&str, Slices> = BTreeMap::new();
    for slice in &outcome.coverage {
        let slices = sources.entry(&slice.provider).or_default();
        slices.days.extend(slice.charge_date);
        *slices.by_status.entry(slice.status).or_default() += 1;
        slices.rows = slices.rows.saturating_add(slice.rows_read);
        slices.duplicates = slices.duplicates.saturating_add(slice.duplicates);
        slices.quarantined = slices.quarantined.saturating_add(slice.quarantined);
        if !slice.cost_basis.is_empty() {
            slices.basis.insert(name(&slice.cost_basis));
        }
    }
    let of = |status: SliceStatus| move |slices: &Slices| slices.by_status.get(&status).copied().unwrap_or(0);
    let all = |status: SliceStatus| sources.values().map(of(status)).sum::<u64>();
    let (missing, stale, suspect) = (all(SliceStatus::Missing), all(SliceStatus::Stale), all(SliceStatus::Suspect));
    let quarantined: u64 = sources.values().fold(0, |sum, slices| sum.saturating_add(slices.quarantined));
    page.push_str(&format!("{}\n\n", verdict(outcome)));
    let rows: Vec<Vec<String>> = sources
        .iter()
        .map(|(provider, slices)| {
            let mut row = vec![name(provider), slices.days.len().to_string()];
            let statuses = [SliceStatus::Complete, SliceStatus::Provisional, SliceStatus::Missing];
            row.extend(statuses.iter().map(|status| of(*status)(slices).to_string()));
            row.push((of(SliceStatus::Stale)(slices) + of(SliceStatus::Suspect)(slices)).to_string());
            row.extend([slices.rows.to_string(), slices.quarantined.to_string()]);
            row.push(slices.basis.iter().cloned().collect::<Vec<_>>().join(" "));
            row
        })
        .collect();
    let columns = ["provider", "days", "complete", "provis.", "missing", "held", "rows", "set aside", "cost basis"];
    page.push_str(&grid(&columns, &["days", "complete", "provis.", "missing", "held", "rows", "set aside"], &rows));
    if missing > 0 {
        next.push(format!("Slices missing: {missing}. Load them; coverage.csv names them (status missing)."));
    }
    if stale + suspect > 0 {
        let held = stale + suspect;
        next.push(format!("Slices stale or suspect: {held}. Check them before trusting their days; coverage.csv names them."));
    }
    if quarantined > 0 {
        next.push(format!("Rows that could not be read: {quarantined}. quarantine.csv says what is wrong and where."));
    }
    for frozen in &outcome.frozen {
        let whose = [&frozen.provider, &frozen.account].map(|name| self::name(name)).join(" ");
        let whose = if frozen.provider.is_empty() { "Everything".to_string() } else { whose };
        let (runs, since) = (frozen.runs, frozen.since);
        next.push(format!("{whose}: nothing new in {runs} runs, since {since}. See whether its export or API stands still."));
    }
    let kinds: BTreeSet<Finding> = outcome.ledger_findings.iter().map(|found| found.finding).collect();
    if !kinds.is_empty() {
        let rows = outcome.ledger_findings.iter().fold(0u64, |sum, found| sum.saturating_add(found.rows));
        let found = kinds.len();
        next.push(format!("Known faults of ledgers: {found} kinds on {rows} rows. ledger_findings.csv says how each was used."));
    }
}

/// Fields that providers have added, or in which something of another kind stands than they document.
fn news(page: &mut String, outcome: &Outcome) {
    let mut said = [Vec::new(), Vec::new()];
    for schema in &outcome.schemas {
        for notice in &schema.notices {
            let field = format!("{} {}: {}", schema.provider, schema.report, visible(&notice.field));
            match &notice.what {
                Change::New => said[0].push(field),
                Change::Kind { found, expected } => {
                    let expected: Vec<&str> = expected.iter().map(|kind| kind.name()).collect();
                    said[1].push(format!("{field}: {} for {}", found.name(), expected.join(" or ")));
                }
            }
        }
    }
    let unnamed: u64 = outcome.schemas.iter().map(|schema| schema.more).sum();
    let titles = [
        "New fields of providers, which this version does not read (all are in MANIFEST.json):",
        "Fields with another kind of value than documented; numbers count where they are exact:",
    ];
    for (title, (said, unnamed)) in
        titles.into_iter().zip(said.iter().zip([unnamed, 0])).filter(|(_, (said, _))| !said.is_empty())
    {
        page.push_str(&format!("\n{title}\n"));
        for line in said.iter().take(TOP).flat_map(|field| wrap(field, WIDTH - 2)) {
            page.push_str(&format!("  {line}\n"));
        }
        let more = said.len().saturating_sub(TOP) as u64 + unnamed;
        if more > 0 {
            page.push_str(&format!("  and {more} more\n"));
        }
    }
}

#[derive(Default)]
struct Sides {
    provider: Amount,
    ledger: Amount,
    /// Sums of absolute slice figures, so that opposite errors do not cancel.
    unexplained: Amount,
    larger: Amount,
}

fn explained(page: &mut String, outcome: &Outcome) -> Option<()> {
    heading(page, "MONEY EXPLAINED: provider against ledger (days without a provider figure left out)");
    let mut sides: BTreeMap<(&str, Currency), Sides> = BTreeMap::new();
    for slice in &outcome.reconciliation {
        let Some(total) = slice.provider_total else { continue };
        let side = sides.entry((&slice.provider, slice.currency)).or_default();
        side.provider = side.provider.checked_add(total)?;
        side.ledger = side.ledger.checked_add(slice.ledger_total)?;
        side.unexplained = side.unexplained.checked_add(unexplained(slice).abs())?;
        side.larger = side.larger.checked_add(total.abs().max(slice.ledger_total.abs()))?;
    }
    if sides.is_empty() {
        page.push_str("Nothing to compare.\n");
        return Some(());
    }
    let mut rows = Vec::new();
    for ((provider, currency), side) in &sides {
        let ratio = explained_ratio(side.unexplained, side.larger, Amount::ZERO)?;
        rows.push(vec![
            name(provider),
            money(side.provider),
            money(side.ledger),
            money(side.provider.checked_sub(side.ledger)?),
            money(side.unexplained),
            format!("{} %", percent(ratio)),
            currency.to_string(),
        ]);
    }
    let columns = ["provider", "billed", "per ledger", "difference", "unexplained", "explained", "currency"];
    page.push_str(&grid(&columns, &["billed", "per ledger", "difference", "unexplained", "explained"], &rows));
    Some(())
}

#[derive(Default)]
struct Items {
    items: u64,
    net: Amount,
    gross: Amount,
    restated: u64,
}

fn drift(page: &mut String, next: &mut Vec<String>, outcome: &Outcome) -> Option<()> {
    heading(page, "TOP DRIFT: why provider and ledger differ, largest first (gross: without signs)");
    let mut reasons: BTreeMap<(Reason, Currency), Items> = BTreeMap::new();
    for item in &outcome.drift {
        let sum = reasons.entry((item.reason, item.currency)).or_default();
        sum.items = sum.items.saturating_add(item.items);
        sum.net = sum.net.checked_add(item.difference)?;
        sum.gross = sum.gross.checked_add(item.difference.abs())?;
        sum.restated += u64::from(item.restated);
    }
    if reasons.is_empty() {
        page.push_str("None: both sides agree to the last digit.\n");
        return Some(());
    }
    let mut ordered: Vec<_> = reasons.iter().collect();
    ordered.sort_by_key(|((reason, currency), sum)| (Reverse(sum.gross), *reason, *currency));
    let rows: Vec<Vec<String>> = ordered
        .iter()
        .take(TOP)
        .map(|((reason, currency), sum)| {
            let mut row = vec![reason.name().to_string(), sum.items.to_string(), money(sum.net), money(sum.gross)];
            row.extend([currency.to_string(), reason.action().to_string()]);
            row
        })
        .collect();
    let columns = ["reason", "items", "difference", "gross", "cur", "what to do"];
    page.push_str(&grid(&columns, &["items", "difference", "gross"], &rows));
    if ordered.len() > TOP {
        page.push_str(&format!("and {} more: drift.csv\n", ordered.len() - TOP));
    }
    let open = ordered.iter().filter(|((reason, _), sum)| !is_explained(*reason) && !sum.gross.rounded(2).is_zero());
    for ((reason, currency), sum) in open.take(5) {
        next.push(format!(
            "{} ({} {currency} in {} items): {}. Rows: drift.csv, reason {}.",
            reason.name(),
            money(sum.gross),
            sum.items,
            reason.action(),
            reason.name()
        ));
    }
    Some(())
}

fn teams(page: &mut String, next: &mut Vec<String>, outcome: &Outcome) -> Option<()> {
    heading(page, "SPEND BY TEAM: billed by providers");
    let mut teams: BTreeMap<(Currency, &str), Amount> = BTreeMap::new();
    let mut totals: BTreeMap<Currency, Amount> = BTreeMap::new();
    for share in &outcome.attribution {
        // What nobody owns is a line of its own, also when it is 0.
        teams.entry((share.currency, UNATTRIBUTED)).or_default();
        for sum in [teams.entry((share.currency, &share.team)).or_default(), totals.entry(share.currency).or_default()] {
            *sum = sum.checked_add(share.billed_cost)?;
        }
    }
    if teams.is_empty() {
        page.push_str("No spend in these days.\n");
        return Some(());
    }
    let mut ordered: Vec<_> = teams.iter().collect();
    ordered.sort_by_key(|((currency, team), sum)| (*currency, *team == UNATTRIBUTED, Reverse(**sum), *team));
    let mut rows = Vec::new();
    for ((currency, team), sum) in ordered {
        let total = totals.get(currency).copied().unwrap_or_default();
        let share = sum.ratio(total).map_or(String::new(), |ratio| format!("{} %", percent(ratio)));
        rows.push(vec![name(team), money(*sum), share.clone(), currency.to_string()]);
        if *team == UNATTRIBUTED && !sum.rounded(2).is_zero() {
            next.push(format!(
                "Give {} {currency} an owner ({share} of the spend): add its keys or labels to the team map. \
                 Rows: attribution.csv, team {UNATTRIBUTED}.",
                money(*sum)
            ));
        }
    }
    for (currency, total) in &totals {
        rows.push(vec!["all teams".to_string(), money(*total), String::new(), currency.to_string()]);
    }
    page.push_str(&grid(&["team", "billed", "share", "currency"], &["billed", "share"], &rows));
    Some(())
}
