//! The fetched side of a run: pull, hand on what is stored, and say what came of it. Only connects.

use super::Options;
use super::reference::Loaded;
use super::snapshot::Fetched;
use crate::adapters;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger::LedgerLine;
use crate::domain::money::{Amount, Currency};
use crate::domain::period::Days;
use crate::edge::http::deadline;
use crate::edge::ledger;
use crate::edge::log::Progress;
use crate::edge::pull::{self, Moments, Pull, Pulled, SliceKey, Tried};
use crate::edge::state::State;
use crate::edge::state::slices::{Landing, Owner, Stored, VersionStep};
use crate::job::{Kind, LedgerSource};
use crate::stages::fetched::{SliceName, mark, restate};
use crate::stages::results::{Outcome, Restatement, SliceStatus};
use crate::stages::spikes::Seen;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// What a run fetches with.
pub struct Fetching {
    pub moments: Moments,
    pub landing: Landing,
    secrets: pull::Secrets,
    until: Instant,
}

impl Fetching {
    /// Reads the secrets that the run needs: before any network call.
    ///
    /// # Errors
    /// The first secret that cannot be read (78).
    pub fn prepare(loaded: &Loaded, options: &Options, now: DateTime<Utc>) -> Result<Fetching, Fault> {
        let reference = &loaded.reference;
        let secrets = if options.offline { Default::default() } else { pull::secrets(&loaded.job)? };
        let moments = moments(loaded, now);
        let business_date = reference.business_date();
        let landing = Landing { as_of: reference.as_of, business_date, accept_shrink: options.accept_shrink };
        Ok(Fetching { moments, landing, secrets, until: deadline(Instant::now(), options.deadline) })
    }

    /// Asks for what is due, for so long at most. What a provider does wrong is in what came of it.
    ///
    /// # Errors
    /// What settings, state and disk say.
    pub fn ask(&self, loaded: &Loaded, most: Duration, state: &mut State, progress: &Progress) -> Result<Pulled, Fault> {
        let (job, run_id) = (&loaded.job, state.run_id().to_string());
        let until = self.until.min(deadline(Instant::now(), most));
        let pull = Pull { job, moments: self.moments, landing: self.landing, until, run_id: &run_id };
        pull::pull(&pull, &self.secrets, state, progress)
    }

    /// Fetches what is due, unless the run is offline.
    ///
    /// # Errors
    /// When nothing at all can be used, or the run insists on all: the fault that stands for the others
    /// (reliability.md section 2). What settings, state and disk say.
    pub fn pull(&self, loaded: &Loaded, options: &Options, state: &mut State, progress: &Progress) -> Result<Pulled, Fault> {
        let job = &loaded.job;
        let mut pulled = match options.offline {
            true => Pulled::default(),
            false => self.ask(loaded, options.deadline, state, progress)?,
        };
        let has_files = job.sources.iter().any(|source| !source.pulls.is_empty());
        let nothing = pulled.usable == 0 && !has_files;
        if let Some(worst) = pull::worst(&pulled.faults).filter(|_| nothing || options.require_complete) {
            let more = pulled.faults.len() - 1;
            let more = if more == 0 { String::new() } else { format!(", and {more} more") };
            return Err(Fault { what: format!("{}{more}", worst.what), ..worst });
        }
        pulled.unfetched.extend(pull::overdue(job, &self.moments, state)?);
        Ok(pulled)
    }

    /// What is stored for each source of the job.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn stored(&self, loaded: &Loaded, state: &mut State) -> Result<Fetched, Fault> {
        let mut fetched = Fetched::new();
        for (number, owner) in owners(loaded) {
            fetched.push((number, stored(loaded, number, &owner, &self.moments, state)?));
        }
        Ok(fetched)
    }

    /// Until when each provider's hours are known: to the end of what all of its accounts and reports have brought.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn seen(&self, loaded: &Loaded, state: &mut State) -> Result<Seen, Fault> {
        let mut seen = Seen::new();
        for (number, owner) in owners(loaded) {
            let Some(source) = loaded.job.sources.get(number) else { continue };
            let slices = state.slices(&owner, self.moments.window)?;
            for report in pull::endpoints(&loaded.job, source, &self.moments)? {
                let until = slices.iter().filter(|slice| slice.endpoint == report).map(|slice| {
                    let end = slice.day.and_time(NaiveTime::MIN).and_utc() + chrono::Duration::days(1);
                    pull::full_hour(slice.as_of).min(end)
                });
                let until = until.max().unwrap_or_default();
                seen.entry(owner.provider.clone()).and_modify(|known| *known = until.min(*known)).or_insert(until);
            }
        }
        Ok(seen)
    }

    /// Goes back to the version before for slices that this run has fetched and that are off by a unit
    /// (reliability.md section 3, "Unit guard"). True when something was held back: then read again.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn hold_back(&self, loaded: &Loaded, outcome: &Outcome, state: &mut State, progress: &Progress) -> Result<bool, Fault> {
        let mut held = 0u32;
        let owners: BTreeSet<Owner> = owners(loaded).into_iter().map(|(_, owner)| owner).collect();
        for slice in outcome.coverage.iter().filter(|slice| slice.status == SliceStatus::Suspect) {
            let owner = Owner { provider: slice.provider.clone(), account: slice.account.clone() };
            if let Some(day) = slice.charge_date.filter(|_| owners.contains(&owner) && !self.landing.accept_shrink) {
                held += u32::from(state.hold_back(&owner, &slice.endpoint, day, &self.landing)?);
            }
        }
        if held > 0 {
            progress.line(&format!("warning: {held} slices are off by one factor from the ledger; the versions before stand"));
        }
        Ok(held > 0)
    }

    /// Completes the outcome with what the state knows of the slices.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn tell(&self, loaded: &Loaded, pulled: &Pulled, outcome: &mut Outcome, state: &mut State) -> Result<(), Fault> {
        let mut held = BTreeSet::new();
        for (_, owner) in owners(loaded) {
            for (endpoint, day) in state.held(&owner, self.moments.window)? {
                held.insert(name(&(owner.clone(), endpoint, day)));
            }
        }
        mark(outcome, &pulled.unfetched.iter().map(name).collect(), &held);
        let steps = state.version_steps(self.moments.window)?;
        restate(outcome, steps.iter().flat_map(restatements).collect());
        Ok(())
    }
}

/// What earlier runs have fetched, for commands that only look. Nothing where the job fetches nothing.
///
/// # Errors
/// The state cannot be read, or a run is under way.
pub fn recorded(loaded: &Loaded) -> Result<Fetched, Fault> {
    let state = &loaded.job.state;
    let owners = owners(loaded);
    if owners.is_empty() || !state.join("state.db").exists() {
        return Ok(Fetched::new());
    }
    let mut state = State::open(state, "looking")?.of_kind(loaded.job.kind.name());
    let moments = moments(loaded, loaded.reference.as_of);
    owners.into_iter().map(|(number, owner)| Ok((number, stored(loaded, number, &owner, &moments, &mut state)?))).collect()
}

/// The moments of a run: between the nights what is told by the hour is asked for, up to the last full one.
pub fn moments(loaded: &Loaded, now: DateTime<Utc>) -> Moments {
    let reference = &loaded.reference;
    let hours = (loaded.job.kind == Kind::Watch).then(|| pull::full_hour(reference.as_of));
    Moments { window: reference.window, as_of: reference.as_of, now, hours }
}

/// What is stored of the reports that the job asks for: one that it no longer asks for is no longer read.
fn stored(loaded: &Loaded, number: usize, owner: &Owner, moments: &Moments, state: &mut State) -> Result<Vec<Stored>, Fault> {
    let window = loaded.reference.window;
    let Some(source) = loaded.job.sources.get(number) else { return Ok(Vec::new()) };
    let wanted = pull::endpoints(&loaded.job, source, moments)?;
    let is_list = |answer: &Stored| adapters::is_list(&owner.provider, &answer.endpoint);
    let mut answers = state.stored(owner, window)?;
    if wanted.iter().any(|report| adapters::is_list(&owner.provider, report)) {
        // Older lists stay: what was deleted since keeps its name.
        let ever = Days { from: NaiveDate::default(), to: window.to };
        answers.retain(|answer| !is_list(answer));
        answers.extend(state.stored(owner, ever)?.into_iter().filter(is_list));
    }
    answers.retain(|answer| wanted.contains(answer.endpoint.as_str()));
    Ok(answers)
}

/// Sources with an API, with their places in the job.
fn owners(loaded: &Loaded) -> Vec<(usize, Owner)> {
    let sources = loaded.job.sources.iter().enumerate().filter(|(_, source)| source.api.is_some());
    sources
        .map(|(number, source)| (number, Owner { provider: source.provider.clone(), account: source.account.clone() }))
        .collect()
}

fn name((owner, endpoint, day): &SliceKey) -> SliceName {
    SliceName { provider: owner.provider.clone(), account: owner.account.clone(), endpoint: endpoint.clone(), day: *day }
}

/// One row for each currency that the slice had or has.
fn restatements(step: &VersionStep) -> Vec<Restatement> {
    let read = |text: &str| -> BTreeMap<Currency, Amount> {
        let amounts: BTreeMap<String, String> = serde_json::from_str(text).unwrap_or_default();
        amounts.iter().filter_map(|(code, amount)| Some((Currency::parse(code).ok()?, Amount::parse(amount).ok()?))).collect()
    };
    let (old, new) = (read(&step.amounts.0), read(&step.amounts.1));
    let currencies: BTreeSet<Option<Currency>> = old.keys().chain(new.keys()).copied().map(Some).collect();
    let row = |currency: Option<Currency>| {
        let amount = |of: &BTreeMap<Currency, Amount>| currency.map(|currency| of.get(&currency).copied().unwrap_or_default());
        Restatement {
            charge_date: step.day,
            provider: step.owner.provider.clone(),
            account: step.owner.account.clone(),
            endpoint: step.endpoint.clone(),
            restated_on: step.seen_on,
            version: u64::from(step.version),
            rows: step.rows,
            old: amount(&old),
            new: amount(&new),
            currency,
        }
    };
    if currencies.is_empty() { vec![row(None)] } else { currencies.into_iter().map(row).collect() }
}

/// Tries every credential with one cheap question and every ledger by reading the last day (`check --online`).
///
/// # Errors
/// What keeps it from trying at all: a secret or a setting (78).
pub fn try_online(loaded: &Loaded, now: DateTime<Utc>) -> Result<Vec<Tried>, Fault> {
    let moments = moments(loaded, now);
    let until = deadline(Instant::now(), loaded.job.limits.provider);
    let mut tried = pull::try_credentials(&loaded.job, &moments, &pull::secrets(&loaded.job)?, until)?;
    tried.extend(loaded.job.ledgers.iter().map(|source| try_ledger(loaded, source)));
    Ok(tried)
}

fn try_ledger(loaded: &Loaded, source: &LedgerSource) -> Tried {
    let last = loaded.reference.business_date();
    let (mut rows, mut aside) = (0u64, 0u64);
    ledger::read(source, Days { from: last, to: loaded.reference.window.to }, &mut |line| match line {
        LedgerLine::Quarantined(_) => aside += 1,
        LedgerLine::Entry(_) | LedgerLine::LeftOut(_) => rows += 1,
    })
    .map_err(|fault| Fault { what: format!("{} (ledger {:?})", fault.what, source.name), ..fault })?;
    Ok(format!("ledger {:?}: {rows} rows of {last} are read, {aside} are set aside", source.name))
}

/// The run insists on a complete picture and there is none.
pub fn incomplete(loaded: &Loaded, outcome: &Outcome) -> Fault {
    let whole = |status| matches!(status, SliceStatus::Complete | SliceStatus::Provisional);
    let lacking = outcome.coverage.iter().filter(|slice| !whole(slice.status)).count();
    // What an API has not brought may come with the next run; what a file lacks does not come by itself.
    let code = if owners(loaded).is_empty() { ExitCode::Data } else { ExitCode::TempFail };
    let what = format!("{lacking} slices are missing, stale or suspect, and the run was to be complete");
    Fault::new(code, loaded.job.file.display().to_string(), what, "run without --require-complete to see them in coverage.csv")
}
