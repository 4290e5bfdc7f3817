//! The whole night on one screen, and the other commands. Only connects; every rule is in its room.

pub mod alerts;
pub mod backtest;
pub mod fetched;
mod from_ledger;
mod lists;
mod newest;
pub mod price_findings;
pub mod price_import;
pub mod reference;
pub mod snapshot;
mod watch;
pub mod whatif;

use crate::domain::beside::beside;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::schema::{Change, Schema};
use crate::edge::alerts::{DeadMan, Ready};
use crate::edge::log::Progress;
use crate::edge::manifest::sha256;
use crate::edge::publish::{Publication, may_publish, publish};
use crate::edge::recover::recover;
use crate::edge::state::State;
use crate::edge::{self, ledger, pages, preflight, pull, verify};
use crate::job::{Job, Kind};
use crate::report::{self, laws, text};
use crate::stages;
use crate::stages::drift::FirstSeen;
use crate::stages::facts::Facts;
use crate::stages::results::{Outcome, SliceStatus};
use chrono::{DateTime, Utc};
use fetched::Fetching;
use reference::{Asked, Loaded, load};
use serde_json::{Map, Value, json};
use snapshot::{Fetched, Snapshot};
use std::path::Path;
use std::time::Duration;

/// How a run is to be done.
#[derive(Clone, Debug)]
pub struct Options {
    pub asked: Asked,
    pub backfill: bool,
    pub dry_run: bool,
    /// Only what the state already holds.
    pub offline: bool,
    /// Publish nothing unless every slice is there.
    pub require_complete: bool,
    /// Unsettled slices make the run partial.
    pub require_settled: bool,
    /// Slices that shrank, or look off by a unit, are taken as they are.
    pub accept_shrink: bool,
    /// Nothing is fetched for longer.
    pub deadline: Duration,
    /// Stdout is for one JSON object alone.
    pub json: bool,
    /// Findings that make the run end with 11.
    pub fail_on: Vec<FailOn>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            asked: Asked::default(),
            backfill: false,
            dry_run: false,
            offline: false,
            require_complete: false,
            require_settled: false,
            accept_shrink: false,
            deadline: Duration::from_secs(2 * 3600),
            json: false,
            fail_on: Vec::new(),
        }
    }
}

/// What `--fail-on` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOn {
    /// A difference above the job's materiality.
    Drift,
    /// An open incident.
    Spike,
    /// Usage without a price.
    Unpriced,
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
    /// Counts of alerts: firing, new, sent, queued, quiet, refused.
    pub alerts: Map<String, Value>,
}

/// The whole night: fetch, read, match, classify, attribute, check the laws, publish, tell.
///
/// # Errors
/// The first fault that keeps the run from publishing; nothing is published then. What earlier runs have left in
/// the outbox is sent all the same.
pub fn run(job: &Path, options: &Options, now: DateTime<Utc>, run_id: &str, progress: &Progress) -> Result<Done, Fault> {
    let loaded = load(job, &options.asked, now)?;
    let job = &loaded.job;
    let fetching = Fetching::prepare(&loaded, options, now)?;
    preflight::directories(&job.output, &job.state, run_id)?;
    let channels = edge::alerts::ready(&job.alerts)?;
    let dead_man = DeadMan::new(job.alerts.dead_man.as_ref().filter(|_| !options.dry_run), run_id)?;
    let mut state = State::open(&job.state, run_id)?.of_kind(job.kind.name());
    let warn = |said: Option<String>| said.into_iter().for_each(|said| progress.line(&format!("warning: {said}")));
    warn(dead_man.started());
    let receivers = Receivers { channels: &channels, now };
    let mut ended = match job.kind {
        Kind::Nightly => night(&loaded, options, &fetching, now, &mut state, progress),
        Kind::Watch => watch::watch(&loaded, options, &fetching, &receivers, &mut state, progress),
    };
    if !options.dry_run {
        ended = tell(&loaded, options, &receivers, &mut state, progress, ended);
    }
    warn(dead_man.ended(ended.as_ref().map_or_else(|fault| fault.code, |(done, _)| done.code)));
    ended.map(|(done, _)| done)
}

/// What a night leaves for those who tell of it.
struct Night {
    plan: alerts::Plan,
    /// `None` in a run that only watches.
    outcome: Option<Outcome>,
}

/// Who is told, by the clock of the run.
struct Receivers<'a> {
    channels: &'a [Ready],
    now: DateTime<Utc>,
}

/// Sends what waits, and leaves the figures for monitors.
fn tell(
    loaded: &Loaded,
    options: &Options,
    receivers: &Receivers<'_>,
    state: &mut State,
    progress: &Progress,
    ended: Result<(Done, Night), Fault>,
) -> Result<(Done, Night), Fault> {
    let (channels, now) = (receivers.channels, receivers.now);
    let delivered = alerts::send(loaded, channels, state, now, options.json, progress);
    let (mut done, night) = ended?;
    let delivered = delivered?;
    done.code = alerts::code(done.code, &delivered);
    done.alerts = alerts::counts(&night.plan, &delivered);
    alerts::measure(loaded, night.outcome.as_ref(), &night.plan, &delivered, done.code, state, now)?;
    Ok((done, night))
}

fn night(
    loaded: &Loaded,
    options: &Options,
    fetching: &Fetching,
    now: DateTime<Utc>,
    state: &mut State,
    progress: &Progress,
) -> Result<(Done, Night), Fault> {
    let (job, window) = (&loaded.job, loaded.reference.window);
    let business_date = loaded.reference.business_date();
    for warning in recover(&job.output, state)? {
        progress.line(&format!("warning: {warning}"));
    }
    if !options.dry_run {
        may_publish(&job.output, state, business_date, options.backfill)?;
    }
    for source in &job.ledgers {
        ledger::check(source)?;
    }
    files_are_there(job)?;
    let first_seen = state.first_seen()?.into_iter().collect();

    let pulled = fetching.pull(loaded, options, state, progress)?;
    let mut tied = tie_out(loaded, &fetching.stored(loaded, state)?, &first_seen, progress)?;
    if fetching.hold_back(loaded, &tied.outcome, state, progress)? {
        tied = tie_out(loaded, &fetching.stored(loaded, state)?, &first_seen, progress)?;
    }
    let Tied { facts, mut outcome, unusable, inputs } = tied;
    fetching.tell(loaded, &pulled, &mut outcome, state)?;
    let newest = newest::follow(loaded, &outcome);
    outcome.frozen = stages::frozen::frozen(&newest, &outcome, job.alerts.settings.frozen_runs);
    outcome.savings = stages::savings::savings(&facts, &loaded.reference, &loaded.terms, &outcome.attribution)?;
    stages::spikes::settle(&mut outcome);

    let stage = progress.stage("report", None);
    let summary = text::summary(&outcome, &job.name, window)?;
    let mut files = vec![("summary.txt".to_string(), summary.clone().into_bytes())];
    let (reports, rendered) =
        beside(|| stages::spikes::reports_of(&facts), || report::files(&outcome, job.reporting_currency, job.byte_order_mark));
    files.extend(rendered?);
    stage.done(&format!("{} files", files.len()));
    // The process ends soon. To give hundreds of megabytes back page by page before would only take time.
    std::mem::forget(facts);
    let plan = alerts::Plan::new(loaded, (&outcome.spikes, &reports), Some(&outcome), state.told()?, options.backfill);
    files.push(plan.file());

    let complete = unusable.is_empty() && is_complete(&outcome);
    if options.require_complete && !complete {
        return Err(unusable.into_iter().next().unwrap_or_else(|| fetched::incomplete(loaded, &outcome)));
    }
    let unsettled = outcome.coverage.iter().any(|slice| slice.status == SliceStatus::Provisional);
    let whole = complete && !(options.require_settled && unsettled);
    let code = match whole {
        false => ExitCode::Partial,
        true if alerts::fails(&plan, &options.fail_on) => ExitCode::Findings,
        true => ExitCode::Ok,
    };
    let run_id = state.run_id().to_string();
    let mut done = Done { code, name: None, new: false, run_id, summary, slices: slices(&outcome), alerts: Map::new() };
    let laws_hold = || {
        let hint = "this is a bug: report it with the job's MANIFEST.json";
        laws::check(&files).map_err(|what| Fault::new(ExitCode::Internal, "laws", what, hint))
    };
    if options.dry_run {
        laws_hold()?;
        return Ok((done, Night { plan, outcome: Some(outcome) }));
    }
    let mut facts = manifest_facts(loaded, &outcome, &inputs);
    facts.insert("alerts".into(), plan.told());
    facts.insert("newest".into(), newest::to_json(&newest));
    let publication = Publication {
        files: &files,
        proof: &laws_hold,
        business_date,
        complete,
        exit_code: code as u8,
        published_at: now,
        facts,
        outbox: &plan.outbox,
        backfill: options.backfill,
    };
    let published = publish(&job.output, state, &publication)?;
    for warning in &published.warnings {
        progress.line(&format!("warning: {warning}"));
    }
    (done.name, done.new) = (Some(published.name.to_string()), published.new);
    Ok((done, Night { plan, outcome: Some(outcome) }))
}

/// What a snapshot came to.
struct Tied {
    facts: Facts,
    outcome: Outcome,
    unusable: Vec<Fault>,
    inputs: Vec<(String, String)>,
}

/// Reads the snapshot and ties it out; spikes are looked for meanwhile, because neither needs the other.
fn tie_out(loaded: &Loaded, fetched: &Fetched, first_seen: &FirstSeen, progress: &Progress) -> Result<Tied, Fault> {
    let Snapshot { facts, names, provider, ledger, unusable, inputs, schemas } = snapshot::read(loaded, fetched, progress)?;
    let spikes = || {
        let stage = progress.stage("spikes", None);
        let spikes = stages::spikes::spikes(&facts, &loaded.reference, &loaded.job.spikes);
        stage.done(&format!("{} incidents", spikes.len()));
        spikes
    };
    let matched = || {
        let stage = progress.stage("match", None);
        let outcome = stages::tie_out(&facts, &loaded.reference, provider, ledger, first_seen);
        let drift = outcome.as_ref().map_or(0, |outcome| outcome.drift.len());
        stage.done(&format!("{} lines, {} entries, {drift} drift items", facts.lines.len(), facts.entries.len()));
        outcome
    };
    let (spikes, outcome) = beside(spikes, matched);
    let mut outcome = outcome?;
    outcome.schemas = schemas;
    outcome.names = names;
    outcome.spikes = spikes;
    Ok(Tied { facts, outcome, unusable, inputs })
}

/// Reads and validates the job, every file it names, and the form of its ledgers.
///
/// # Errors
/// The first mistake, with file and line.
pub fn check(job: &Path, now: DateTime<Utc>) -> Result<Loaded, Fault> {
    let loaded = load(job, &Asked::default(), now)?;
    pull::secrets(&loaded.job)?;
    let moments = fetched::moments(&loaded, now);
    for source in &loaded.job.sources {
        pull::endpoints(&loaded.job, source, &moments)?;
    }
    for source in &loaded.job.ledgers {
        ledger::check(source)?;
    }
    files_are_there(&loaded.job)?;
    edge::alerts::check(&loaded.job.alerts)?;
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
    facts.insert("schemas".into(), outcome.schemas.iter().map(schema).collect());
    facts
}

/// How the pages of a report looked, with what was new about them.
fn schema(schema: &Schema) -> Value {
    let new = schema.notices.iter().filter(|notice| notice.what == Change::New).map(|notice| json!(notice.field));
    let changed = schema.notices.iter().filter_map(|notice| match &notice.what {
        Change::New => None,
        Change::Kind { found, expected } => {
            let expected: Vec<&str> = expected.iter().map(|kind| kind.name()).collect();
            Some(json!({ "field": notice.field, "expected": expected, "found": found.name() }))
        }
    });
    json!({
        "provider": schema.provider,
        "report": schema.report,
        "fields": schema.fields.len(),
        "sha256": sha256(schema.fields.join("\n").as_bytes()),
        "new_fields": new.collect::<Vec<Value>>(),
        "new_fields_not_named": schema.more,
        "other_kinds": changed.collect::<Vec<Value>>(),
    })
}
