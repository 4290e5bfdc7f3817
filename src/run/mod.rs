//! The whole night on one screen, and the other commands. Only connects; every rule is in its room.

pub mod backtest;
pub mod reference;
pub mod snapshot;

use crate::domain::fault::{ExitCode, Fault};
use crate::edge::log::Progress;
use crate::edge::publish::{Publication, may_publish, publish};
use crate::edge::recover::recover;
use crate::edge::state::State;
use crate::edge::{ledger, pages, preflight, verify};
use crate::job::Job;
use crate::report::{csv, laws, tables, text};
use crate::stages;
use crate::stages::results::{Outcome, SliceStatus};
use chrono::{DateTime, Utc};
use reference::{Asked, Loaded, load};
use serde_json::{Map, Value, json};
use snapshot::Snapshot;
use std::path::Path;

/// How a run is to be done.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub asked: Asked,
    pub backfill: bool,
    pub dry_run: bool,
}

/// What a run came to.
pub struct Done {
    pub code: ExitCode,
    /// `2026-11-18.r1`; `None` after a dry run.
    pub name: Option<String>,
    /// False when that run was there already, with the same content.
    pub new: bool,
    pub run_id: String,
    pub summary: String,
    pub slices: Map<String, Value>,
}

/// The whole night: read, match, classify, attribute, check the laws, publish.
///
/// # Errors
/// The first fault that keeps the run from publishing; nothing is published then.
pub fn run(job: &Path, options: &Options, now: DateTime<Utc>, run_id: &str, progress: &Progress) -> Result<Done, Fault> {
    let loaded = load(job, &options.asked, now)?;
    let (job, window) = (&loaded.job, loaded.reference.window);
    let business_date = loaded.reference.business_date();
    preflight::directories(&job.output, &job.state, run_id)?;
    let mut state = State::open(&job.state, run_id)?;
    for warning in recover(&job.output, &mut state)? {
        progress.line(&format!("warning: {warning}"));
    }
    if !options.dry_run {
        may_publish(&job.output, &mut state, business_date, options.backfill)?;
    }
    for source in &job.ledgers {
        ledger::check(source)?;
    }
    files_are_there(job)?;
    let first_seen = state.first_seen()?.into_iter().collect();

    let snapshot = snapshot::read(&loaded, progress)?;
    let Snapshot { facts, provider, ledger, unusable, inputs } = snapshot;
    let stage = progress.stage("match", None);
    let mut outcome = stages::tie_out(&facts, &loaded.reference, provider, ledger, &first_seen)?;
    stage.done(&format!("{} lines, {} entries, {} drift items", facts.lines.len(), facts.entries.len(), outcome.drift.len()));

    let stage = progress.stage("spikes", None);
    outcome.spikes = stages::spikes::spikes(&facts, &loaded.reference, &job.spikes);
    stages::spikes::settle(&mut outcome);
    stage.done(&format!("{} incidents", outcome.spikes.len()));

    let stage = progress.stage("report", None);
    let summary = text::summary(&outcome, &job.name, window)?;
    let mut files = vec![("summary.txt".to_string(), summary.clone().into_bytes())];
    for table in tables::tables(&outcome, job.reporting_currency)? {
        files.push((table.file.to_string(), csv::render(&table, job.byte_order_mark)));
    }
    laws::check(&files)
        .map_err(|what| Fault::new(ExitCode::Internal, "laws", what, "this is a bug: report it with the job's MANIFEST.json"))?;
    stage.done(&format!("{} files, laws hold", files.len()));

    let complete = unusable.is_empty() && is_complete(&outcome);
    let code = if complete { ExitCode::Ok } else { ExitCode::Partial };
    let mut done = Done { code, name: None, new: false, run_id: run_id.to_string(), summary, slices: slices(&outcome) };
    if options.dry_run {
        return Ok(done);
    }
    let publication = Publication {
        files: &files,
        business_date,
        complete,
        exit_code: code as u8,
        published_at: now,
        facts: manifest_facts(&loaded, &outcome, &inputs),
        backfill: options.backfill,
    };
    let published = publish(&job.output, &mut state, &publication)?;
    for warning in &published.warnings {
        progress.line(&format!("warning: {warning}"));
    }
    (done.name, done.new) = (Some(published.name.to_string()), published.new);
    Ok(done)
}

/// Reads and validates the job, every file it names, and the form of its ledgers.
///
/// # Errors
/// The first mistake, with file and line.
pub fn check(job: &Path, now: DateTime<Utc>) -> Result<Loaded, Fault> {
    let loaded = load(job, &Asked::default(), now)?;
    for source in &loaded.job.ledgers {
        ledger::check(source)?;
    }
    files_are_there(&loaded.job)?;
    Ok(loaded)
}

/// Every path and pattern of the sources names at least one file.
fn files_are_there(job: &Job) -> Result<(), Fault> {
    for pattern in job.sources.iter().flat_map(|source| &source.pulls).flat_map(|pull| &pull.files) {
        pages::matching(pattern)
            .map_err(|fault| if fault.code == ExitCode::Config { job.matches_nothing(pattern) } else { fault })?;
    }
    Ok(())
}

/// Checks published files against their manifests; what it found in one sentence.
///
/// # Errors
/// The first file that is altered, missing or added (74).
pub fn check_published(out: &Path) -> Result<String, Fault> {
    let verified = verify::verify(out)?;
    Ok(format!("{} runs, {} files, {} bytes: all as published", verified.runs, verified.files, verified.bytes))
}

fn is_complete(outcome: &Outcome) -> bool {
    let whole = |status| matches!(status, SliceStatus::Complete | SliceStatus::Provisional);
    outcome.coverage.iter().all(|slice| whole(slice.status))
}

/// How many slices have each status.
fn slices(outcome: &Outcome) -> Map<String, Value> {
    let mut counts = Map::new();
    for slice in &outcome.coverage {
        let count = counts.entry(slice.status.name()).or_insert_with(|| json!(0u64));
        *count = json!(count.as_u64().unwrap_or(0) + 1);
    }
    counts
}

/// What the manifest says about where the figures come from.
fn manifest_facts(loaded: &Loaded, outcome: &Outcome, inputs: &[(String, String)]) -> Map<String, Value> {
    let window = loaded.reference.window;
    let inputs: Vec<Value> = inputs.iter().map(|(file, sha256)| json!({ "file": file, "sha256": sha256 })).collect();
    let slices: Vec<Value> = outcome
        .coverage
        .iter()
        .map(|slice| {
            json!({
                "provider": slice.provider,
                "account": slice.account,
                "endpoint": slice.endpoint,
                "charge_date": slice.charge_date.map(|day| day.to_string()),
                "status": slice.status.name(),
                "rows": slice.rows_read,
            })
        })
        .collect();
    let mut facts = Map::new();
    facts.insert("job".into(), json!(loaded.job.name));
    facts.insert("as_of".into(), json!(loaded.reference.as_of.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
    facts.insert("window".into(), json!({ "from": window.from.to_string(), "to": window.to.to_string() }));
    facts.insert("config_sha256".into(), json!(loaded.config_sha256));
    facts.insert("time_zone_database".into(), json!(chrono_tz::IANA_TZDB_VERSION));
    facts.insert("inputs".into(), json!(inputs));
    facts.insert("slices".into(), json!(slices));
    facts
}
