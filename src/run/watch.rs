//! The run between the nights: the ledger up to the last full hour, incidents, alerts, and nothing else.

use super::reference::Loaded;
use super::snapshot::{self, Fetched, Snapshot};
use super::{Done, Night, Options, alerts};
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::ledger;
use crate::edge::log::Progress;
use crate::edge::publish::{Publication, may_publish, publish};
use crate::edge::recover::recover;
use crate::edge::state::State;
use crate::report::{alerts::digest, csv, spikes};
use crate::stages;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Looks at the ledger, publishes `spikes.csv` and `alerts.json` where they changed, and tells.
///
/// # Errors
/// As [`super::run`].
pub(super) fn watch(
    loaded: &Loaded,
    options: &Options,
    now: DateTime<Utc>,
    state: &mut State,
    progress: &Progress,
) -> Result<(Done, Night), Fault> {
    let (job, reference) = (&loaded.job, &loaded.reference);
    for warning in recover(&job.output, state)? {
        progress.line(&format!("warning: {warning}"));
    }
    if !options.dry_run {
        may_publish(&job.output, state, reference.business_date(), options.backfill)?;
    }
    for source in &job.ledgers {
        ledger::check(source)?;
    }
    let Snapshot { facts, inputs, .. } = snapshot::read(loaded, &Fetched::new(), progress)?;
    let stage = progress.stage("spikes", None);
    let found = stages::spikes::spikes(&facts, reference, &job.spikes);
    stage.done(&format!("{} incidents", found.len()));

    let plan = alerts::Plan::new(loaded, &found, None, state.told()?, options.backfill);
    let table = spikes::table(&found);
    let files = vec![(table.file.to_string(), csv::render(&table, job.byte_order_mark)), plan.file()];
    let code = if alerts::fails(&plan, &options.fail_on) { ExitCode::Findings } else { ExitCode::Ok };
    let mut done = Done {
        code,
        name: None,
        new: false,
        run_id: state.run_id().to_string(),
        summary: digest(&plan.alerts, alerts::head(loaded), reference.as_of),
        slices: Map::new(),
        alerts: Map::new(),
    };
    if options.dry_run {
        return Ok((done, Night { plan, outcome: None }));
    }
    let publication = Publication {
        files: &files,
        business_date: reference.business_date(),
        complete: true,
        exit_code: code as u8,
        published_at: now,
        facts: manifest(loaded, &inputs, &plan),
        outbox: &plan.outbox,
        backfill: options.backfill,
    };
    let published = publish(&job.output, state, &publication)?;
    for warning in &published.warnings {
        progress.line(&format!("warning: {warning}"));
    }
    (done.name, done.new) = (Some(published.name.to_string()), published.new);
    Ok((done, Night { plan, outcome: None }))
}

fn manifest(loaded: &Loaded, inputs: &[(String, String)], plan: &alerts::Plan) -> Map<String, Value> {
    let reference = &loaded.reference;
    let inputs: Vec<Value> = inputs.iter().map(|(file, sha256)| json!({ "file": file, "sha256": sha256 })).collect();
    let mut facts = Map::new();
    facts.insert("job".into(), json!(loaded.job.name));
    facts.insert("as_of".into(), json!(reference.as_of.to_rfc3339_opts(SecondsFormat::Secs, true)));
    let window = json!({ "from": reference.window.from.to_string(), "to": reference.window.to.to_string() });
    facts.insert("window".into(), window);
    facts.insert("config_sha256".into(), json!(loaded.config_sha256));
    facts.insert("inputs".into(), json!(inputs));
    facts.insert("alerts".into(), plan.told());
    facts
}
