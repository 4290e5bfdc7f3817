//! The run between the nights: the ledger up to the last full hour, what providers tell by the hour, incidents,
//! alerts, and nothing else. The ledger speaks first: no provider is waited for before its alerts are out.

use super::fetched::Fetching;
use super::reference::Loaded;
use super::snapshot::{self, Snapshot};
use super::{Done, Night, Options, Receivers, alerts};
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::ledger;
use crate::edge::log::Progress;
use crate::edge::publish::{Publication, may_publish, publish};
use crate::edge::pull::{self, Pulled};
use crate::edge::recover::recover;
use crate::edge::state::State;
use crate::report::{alerts::digest, csv, spikes};
use crate::stages;
use crate::stages::entries::Settled;
use crate::stages::spikes::Seen;
use crate::stages::spikes::quantities::{self, Unpriced};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Providers are asked for no longer: the next hour asks again, and a night may be waiting.
const ASKED_FOR: Duration = Duration::from_secs(5 * 60);
/// Usage without a price that a warning names.
const NAMED: usize = 3;

/// Looks at the ledger and at what providers told by the hour, publishes `spikes.csv` and `alerts.json` where they
/// changed, and tells. Where providers are to be asked, what is known without them is published and told before.
///
/// # Errors
/// As [`super::run`].
pub(super) fn watch(
    loaded: &Loaded,
    options: &Options,
    fetching: &Fetching,
    receivers: &Receivers<'_>,
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
    for source in &job.sources {
        pull::endpoints(job, source, &fetching.moments)?;
    }
    let entries = snapshot::read_ledgers(loaded, progress)?;
    let hour = Hour { loaded, options, fetching, now: receivers.now };
    if job.sources.is_empty() || options.offline {
        let judged = hour.judge(entries, Some(&Pulled::default()), state, progress)?;
        return hour.publish(judged, state, progress);
    }
    let mut refused = false;
    if !options.dry_run && !options.require_complete {
        let known = hour.judge(entries.clone(), None, state, progress)?;
        if !known.plan.outbox.told.is_empty() {
            let known = hour.publish(known, state, progress)?;
            let (told, _) = super::tell(loaded, options, receivers, state, progress, Ok(known))?;
            refused = told.alerts.get("refused").and_then(Value::as_u64).is_some_and(|count| count > 0);
        }
    }
    let pulled = fetching.ask(loaded, ASKED_FOR, state, progress)?;
    if let Some(worst) = pull::worst(&pulled.faults).filter(|_| options.require_complete) {
        return Err(worst);
    }
    let judged = hour.judge(entries, Some(&pulled), state, progress)?;
    let (mut done, night) = hour.publish(judged, state, progress)?;
    if refused {
        // What was refused in this run counts for it, whichever of its messages it was.
        done.code = ExitCode::Undelivered;
    }
    Ok((done, night))
}

/// What stays the same while an hour is judged twice.
struct Hour<'a> {
    loaded: &'a Loaded,
    options: &'a Options,
    fetching: &'a Fetching,
    now: DateTime<Utc>,
}

/// What an hour came to.
struct Judged {
    plan: alerts::Plan,
    files: Vec<(String, Vec<u8>)>,
    inputs: Vec<(String, String)>,
    seen: Seen,
    code: ExitCode,
}

impl Hour<'_> {
    /// `pulled` is what came of asking; `None` before.
    fn judge(
        &self,
        entries: Settled<'_>,
        pulled: Option<&Pulled>,
        state: &mut State,
        progress: &Progress,
    ) -> Result<Judged, Fault> {
        let Hour { loaded, options, fetching, .. } = self;
        let (job, reference) = (&loaded.job, &loaded.reference);
        let seen = fetching.seen(loaded, state)?;
        let fetched = fetching.stored(loaded, state)?;
        let Snapshot { mut facts, inputs, unusable, .. } = snapshot::read_beside(entries, loaded, &fetched, progress)?;
        let unpriced = quantities::price(&mut facts, reference);
        if let Some(text) = without_price(&unpriced).filter(|_| pulled.is_some()) {
            progress.line(&format!("warning: {text}"));
        }
        let stage = progress.stage("spikes", None);
        let found = stages::spikes::spikes_seen(&facts, reference, &job.spikes, &seen);
        stage.done(&format!("{} incidents", found.len()));

        let reports = stages::spikes::reports_of(&facts);
        let plan = alerts::Plan::new(loaded, (&found, &reports), None, state.told()?, options.backfill);
        let table = spikes::table(&found);
        let files = vec![(table.file.to_string(), csv::render(&table, job.byte_order_mark)), plan.file()];
        let all_seen = |pulled: &Pulled| pulled.faults.is_empty() && seen.values().all(|at| *at >= self.until());
        let whole = unusable.is_empty() && pulled.is_none_or(all_seen);
        let code = match whole {
            false => ExitCode::Partial,
            true if alerts::fails(&plan, &options.fail_on) => ExitCode::Findings,
            true => ExitCode::Ok,
        };
        Ok(Judged { plan, files, inputs, seen, code })
    }

    /// The end of the last full hour.
    fn until(&self) -> DateTime<Utc> {
        self.fetching.moments.hours.unwrap_or_default()
    }

    fn publish(&self, judged: Judged, state: &mut State, progress: &Progress) -> Result<(Done, Night), Fault> {
        let Hour { loaded, options, .. } = self;
        let (job, reference) = (&loaded.job, &loaded.reference);
        let Judged { plan, files, inputs, seen, code } = judged;
        let mut summary = digest(&plan.alerts, alerts::head(loaded), reference.as_of);
        summary.push_str(&sources(loaded, &seen, self.until()));
        let mut done = Done {
            code,
            name: None,
            new: false,
            run_id: state.run_id().to_string(),
            summary,
            slices: slices(&seen, self.until()),
            alerts: Map::new(),
        };
        if options.dry_run {
            return Ok((done, Night { plan, outcome: None }));
        }
        let publication = Publication {
            files: &files,
            // No law speaks of what an hour publishes.
            proof: &|| Ok(()),
            business_date: reference.business_date(),
            // The ledger is what an hour is judged by; a provider that is away is told by the exit code.
            complete: true,
            exit_code: code as u8,
            published_at: self.now,
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
}

/// A missing price is said, and never a zero.
fn without_price(unpriced: &BTreeSet<Unpriced>) -> Option<String> {
    let named = |(provider, model, meter): &Unpriced| format!("{provider} {model} {meter}").replace("  ", " ");
    let names: Vec<String> = unpriced.iter().take(NAMED).map(named).collect();
    let more = unpriced.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(", and {more} more") };
    (!names.is_empty()).then(|| format!("no price book has a price for {}{more}: not watched", names.join(", ")))
}

/// Until when each provider is seen.
fn sources(loaded: &Loaded, seen: &Seen, until: DateTime<Utc>) -> String {
    let zone = loaded.job.time_zone;
    let line = |(provider, at): (&String, &DateTime<Utc>)| {
        let at = match *at {
            at if at >= until => return format!("{provider}: seen up to the last full hour\n"),
            at if at == DateTime::<Utc>::default() => return format!("{provider}: NOT SEEN yet\n"),
            at => at.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z"),
        };
        format!("{provider}: NOT SEEN since {at}\n")
    };
    seen.iter().map(line).collect()
}

/// How many providers are seen up to the last full hour, and how many are not.
fn slices(seen: &Seen, until: DateTime<Utc>) -> Map<String, Value> {
    let whole = seen.values().filter(|at| **at >= until).count();
    let counts = [("complete", whole), ("stale", seen.len() - whole)];
    counts.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_string(), json!(count))).collect()
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
