//! Reads the job file and every reference file that it names.

use crate::adapters::ADAPTERS;
use crate::domain::agreement::{Agreement, Pool};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::{Days, parse_day};
use crate::domain::plan::Plan;
use crate::domain::price::PriceBook;
use crate::domain::teams::TeamMap;
use crate::job::{self, Job, Kind, PlanUse};
use crate::stages::reference::Reference;
use crate::stages::savings::SavingsTerms;
use chrono::{DateTime, Duration, Utc};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the command line says about the days.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub as_of: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// A job with everything that it names, read and checked.
pub struct Loaded {
    pub job: Job,
    pub reference: Reference,
    /// Which plan holds for whom, what was bought and invoiced.
    pub terms: SavingsTerms,
    /// The file of each provider's price book.
    pub book_files: BTreeMap<String, PathBuf>,
    /// Price books that nobody compared with their source for too long, in words.
    pub old_books: Vec<String>,
    /// SHA-256 over the texts of the job and its reference files.
    pub config_sha256: String,
}

/// Reads the job and its reference files. `now` is the clock's time, used where neither the command line
/// nor the job says what moment the run speaks for.
///
/// # Errors
/// [`ExitCode::Config`] for the job file and the command line, [`ExitCode::Data`] for reference files; the
/// first mistake in any of them, with file and line.
pub fn load(file: &Path, asked: &Asked, now: DateTime<Utc>) -> Result<Loaded, Fault> {
    let text = fs::read_to_string(file).map_err(|error| {
        let what = format!("the job file cannot be read: {error}");
        Fault::new(ExitCode::Config, file.display().to_string(), what, "name an existing job file; jobs/README.md describes one")
    })?;
    let job = job::parse(file, &text, ADAPTERS)?;
    let mut hash = Sha256::new();
    hash.update(text.as_bytes());
    let mut read = |path: &PathBuf| {
        let text = fs::read_to_string(path).map_err(|error| job.unreadable(path, error.kind()))?;
        hash.update(text.as_bytes());
        Ok::<_, Fault>((path.display().to_string(), text))
    };
    let mut books: Vec<(PathBuf, PriceBook)> = Vec::new();
    for path in &job.prices {
        let (file, text) = read(path)?;
        books.push((path.clone(), job::prices::parse(&file, &text)?));
    }
    job::prices::one_for_each_provider(&job, &books)?;
    let teams = job.teams.as_ref().map(&mut read).transpose()?;
    let teams = teams.map(|(file, text)| job::teams::parse(&file, &text)).transpose()?;
    let names = job.names.as_ref().map(&mut read).transpose()?;
    let names = names.map(|(file, text)| job::names::parse(&file, &text)).transpose()?;
    let rates = job.fx.as_ref().map(&mut read).transpose()?;
    let rates = rates.map(|(file, text)| job::fx::parse(&file, &text)).transpose()?;
    let purchases = job.savings.purchases.as_ref().map(&mut read).transpose()?;
    let pools = purchases.map_or(Ok(Vec::new()), |(file, text)| job::purchases::parse(&file, &text))?;
    let invoices = job.savings.invoices.as_ref().map(&mut read).transpose()?;
    let invoices = invoices.map_or(Ok(Vec::new()), |(file, text)| job::purchases::parse_invoices(&file, &text))?;
    let mut agreements = Vec::new();
    for used in &job.plans {
        let (file, text) = read(&used.file)?;
        let mut plan = job::plans::parse(&file, &text)?;
        if let Some(path) = &used.byok_file {
            let (file, text) = read(path)?;
            plan = joined(&job, used, plan, job::plans::parse(&file, &text)?)?;
        }
        agreements.push(agreement(&job, used, plan, teams.as_ref(), &pools)?);
    }
    let terms = SavingsTerms { agreements, wage: job.savings.wage, pools, invoices };
    let as_of = as_of(&job, asked, now)?;
    let old_books = job::prices::too_old(&job, &books, as_of.date_naive());
    let book_files = books.iter().map(|(path, book)| (book.provider.clone(), path.clone())).collect();
    let reference = Reference {
        names: names.unwrap_or_default(),
        teams: teams.unwrap_or_default(),
        books: books.into_iter().map(|(_, book)| (book.provider.clone(), book)).collect(),
        rates: rates.unwrap_or_default(),
        reporting_currency: job.reporting_currency,
        time_zone: job.time_zone,
        as_of,
        window: window(&job, asked, as_of)?,
    };
    let config_sha256 = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Loaded { job, reference, terms, book_files, old_books, config_sha256 })
}

/// The credits of one plan and the own keys of another.
fn joined(job: &Job, used: &PlanUse, plan: Plan, byok: Plan) -> Result<Plan, Fault> {
    if (plan.currency, &plan.unit) != (byok.currency, &byok.unit) {
        let what = format!(
            "byok_file: {} is in {} by {}, {} in {} by {}",
            byok.name, byok.currency, byok.unit, plan.name, plan.currency, plan.unit
        );
        return Err(job.plan_fault(used, what, "two plans are compared in one unit and one currency: write both in the same"));
    }
    Ok(Plan { name: format!("{} / {}", plan.name, byok.name), byok: byok.byok, ..plan })
}

/// The agreement of a section, with every name in it known.
fn agreement(job: &Job, used: &PlanUse, plan: Plan, teams: Option<&TeamMap>, pools: &[Pool]) -> Result<Agreement, Fault> {
    let (used, place) = (used.clone(), used);
    if let Some(team) = used.team.as_ref().filter(|team| !teams.is_some_and(|map| map.teams.contains_key(*team))) {
        return Err(job.plan_fault(place, format!("team: {team:?} is not in the team map"), "add it there, or correct its name"));
    }
    if let Some(pool) = used.pool.as_ref().filter(|name| !pools.iter().any(|pool| pool.name == **name)) {
        let hint = "add it to the purchases file that [savings] names, or correct its name";
        return Err(job.plan_fault(place, format!("pool: {pool:?} is not in the purchases"), hint));
    }
    for (key, offer, terms) in
        [("credits_offer", &used.credits_offer, &plan.credits), ("byok_offer", &used.byok_offer, &plan.byok)]
    {
        let known = |offer: &String| terms.iter().any(|terms| terms.offer.as_ref() == Some(offer));
        if let Some(offer) = offer.as_ref().filter(|offer| !known(offer)) {
            let offers: Vec<&str> = terms.iter().filter_map(|terms| terms.offer.as_deref()).collect();
            let hint = format!("its offers are: {}", if offers.is_empty() { "none".to_string() } else { offers.join(", ") });
            return Err(job.plan_fault(place, format!("{key}: {} has no offer {offer:?}", plan.name), &hint));
        }
    }
    Ok(Agreement {
        plan,
        team: used.team,
        provider: used.provider,
        account: used.account,
        days: used.days,
        credits_offer: used.credits_offer,
        byok_offer: used.byok_offer,
        signed_up: used.signed_up,
        route: used.route,
        switch: used.switch,
        pool: used.pool,
    })
}

fn usage(what: String, hint: &str) -> Fault {
    Fault::new(ExitCode::Usage, "", what, hint)
}

fn as_of(job: &Job, asked: &Asked, now: DateTime<Utc>) -> Result<DateTime<Utc>, Fault> {
    let Some(text) = &asked.as_of else { return Ok(job.as_of.unwrap_or(now)) };
    DateTime::parse_from_rfc3339(text)
        .map(|instant| instant.with_timezone(&Utc))
        .map_err(|_| usage(format!("--as-of: {text:?} is no RFC 3339 instant"), "write it like 2026-11-19T06:00:00Z"))
}

/// The UTC days to reconcile: never a day that is not over at the moment the run speaks for.
fn window(job: &Job, asked: &Asked, as_of: DateTime<Utc>) -> Result<Days, Fault> {
    let day = |option: &str, text: &Option<String>| {
        let read = |text: &String| {
            parse_day(text).ok_or_else(|| usage(format!("{option}: {text:?} is no day"), "write it like 2026-11-19"))
        };
        text.as_ref().map(read).transpose()
    };
    // A run that watches looks at the day that is not over; the last full hour bounds it.
    let watches = job.kind == Kind::Watch;
    let today = as_of.date_naive() + Duration::days(i64::from(watches));
    let to = day("--to", &asked.to)?.or(job.window.to).unwrap_or(today);
    let first = to - Duration::days(i64::from(job.window.trailing_days));
    let from = day("--from", &asked.from)?.or(job.window.from).unwrap_or(first);
    let place = job.file.display().to_string();
    if to > today {
        let what = format!("the window ends with {to}, but {today} is not over yet");
        return Err(Fault::new(ExitCode::Config, place, what, "let it end earlier, or give a later --as-of"));
    }
    if from >= to {
        let what = format!("the window from {from} to {to} holds no day");
        return Err(Fault::new(ExitCode::Config, place, what, "let it begin before it ends; its end is excluded"));
    }
    Ok(Days { from, to })
}
