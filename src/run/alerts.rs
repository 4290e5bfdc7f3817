//! The alerts of a run: found, laid out, published with it, and sent after it (reliability.md section 6).

use super::FailOn;
use super::reference::Loaded;
use crate::domain::alert::{Alert, AlertRule, AlertState, Notice, Told};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::spike::{Spike, SpikeRule};
use crate::edge::alerts::metrics::{self, Metrics};
use crate::edge::alerts::{Delivered, Delivery, Ready, deliver};
use crate::edge::log::Progress;
use crate::edge::state::State;
use crate::edge::state::alerts::{Outbox, to_json};
use crate::report::alerts::{Letterhead, file, message};
use crate::report::tables::explained_percent;
use crate::stages::alerts::{Sight, alerts, due, kept, parcels};
use crate::stages::results::{Outcome, SliceStatus};
use chrono::{DateTime, Duration, NaiveDate, NaiveTime, Utc};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Mutex;

/// What a run has to tell.
#[derive(Default)]
pub struct Plan {
    pub alerts: Vec<Alert>,
    pub outbox: Outbox,
    /// What stands as told after this run, for the manifest.
    told: Vec<Told>,
}

impl Plan {
    /// `reports` are what the run sees of providers themselves; `outcome` is `None` in a run that only watches. A `silent` run (a backfill) tells nobody, and ends nothing.
    pub fn new(
        loaded: &Loaded,
        (spikes, reports): (&[Spike], &BTreeSet<String>),
        outcome: Option<&Outcome>,
        told: Vec<Told>,
        silent: bool,
    ) -> Plan {
        let (job, as_of) = (&loaded.job, loaded.reference.as_of);
        let settings = &job.alerts.settings;
        let since = loaded.reference.window.from.and_time(NaiveTime::MIN).and_utc();
        let until = loaded.reference.window.to.and_time(NaiveTime::MIN).and_utc().min(as_of);
        let sight = Sight { spikes, outcome, since, until, as_of, reports };
        let alerts = alerts(&sight, settings, &told);
        let notices = if silent { Vec::new() } else { due(&alerts, &told, settings, &sight) };
        let head = head(loaded);
        let outbox = Outbox {
            told: notices.iter().map(|notice: &Notice| notice.told(as_of)).collect(),
            messages: parcels(&notices, settings, as_of).iter().map(|parcel| message(parcel, head)).collect(),
        };
        let mut now: BTreeMap<String, Told> = told.into_iter().map(|told| (told.key.clone(), told)).collect();
        now.extend(outbox.told.iter().map(|told| (told.key.clone(), told.clone())));
        Plan { alerts, outbox, told: kept(now.into_values().collect(), &sight) }
    }

    /// The published file.
    pub fn file(&self) -> (String, Vec<u8>) {
        ("alerts.json".to_string(), file(&self.alerts))
    }

    /// What the manifest keeps, so that a lost state sends nothing again.
    pub fn told(&self) -> Value {
        self.told.iter().map(to_json).collect()
    }

    pub fn firing(&self) -> u64 {
        self.alerts.iter().filter(|alert| alert.state == AlertState::Firing).count() as u64
    }
}

/// Where and for whom messages are written.
pub fn head(loaded: &Loaded) -> Letterhead<'_> {
    Letterhead { job: &loaded.job.name, zone: loaded.job.time_zone }
}

/// Sends what waits, of this run and of earlier ones.
///
/// # Errors
/// What [`State`] says.
pub fn send(
    loaded: &Loaded,
    channels: &[Ready],
    state: &mut State,
    now: DateTime<Utc>,
    json: bool,
    progress: &Progress,
) -> Result<Delivered, Fault> {
    // With --json stdout holds one object and nothing else.
    let (stdout, stderr) = (Mutex::new(std::io::stdout()), Mutex::new(std::io::stderr()));
    let out: &Mutex<dyn Write + Send> = if json { &stderr } else { &stdout };
    let warn = |text: &str| progress.line(&format!("warning: {text}"));
    let fallback = loaded.job.alerts.settings.fallback.as_deref();
    deliver(state, &Delivery { channels, fallback, now, as_of: loaded.reference.as_of, out, warn: &warn })
}

/// The code with what delivery came to: 12 stands above 10 and 11 (reliability.md section 2).
pub fn code(code: ExitCode, delivered: &Delivered) -> ExitCode {
    let undelivered = delivered.left.queued > 0 || delivered.refused > 0;
    if undelivered && matches!(code, ExitCode::Ok | ExitCode::Partial | ExitCode::Findings) {
        ExitCode::Undelivered
    } else {
        code
    }
}

/// Whether something fires that `--fail-on` names.
pub fn fails(plan: &Plan, fail_on: &[FailOn]) -> bool {
    let named = |rule: AlertRule| match rule {
        AlertRule::Drift => fail_on.contains(&FailOn::Drift),
        AlertRule::Unpriced => fail_on.contains(&FailOn::Unpriced),
        AlertRule::Spike(SpikeRule::Spike) => fail_on.contains(&FailOn::Spike),
        _ => false,
    };
    plan.alerts.iter().any(|alert| alert.state == AlertState::Firing && named(alert.rule))
}

/// Counts for `--json`.
pub fn counts(plan: &Plan, delivered: &Delivered) -> Map<String, Value> {
    let counts = json!({
        "firing": plan.firing(),
        "new": plan.outbox.told.len(),
        "sent": delivered.sent,
        "queued": delivered.left.queued,
        "quiet": delivered.left.quiet,
        "refused": delivered.refused,
    });
    counts.as_object().cloned().unwrap_or_default()
}

/// Writes `metrics.prom`.
///
/// # Errors
/// It cannot be written (74).
pub fn measure(
    loaded: &Loaded,
    outcome: Option<&Outcome>,
    plan: &Plan,
    delivered: &Delivered,
    code: ExitCode,
    state: &mut State,
    now: DateTime<Utc>,
) -> Result<(), Fault> {
    let succeeded = matches!(code, ExitCode::Ok | ExitCode::Findings);
    let before = state.runs()?.into_iter().filter(|row| row.complete).map(|row| row.succeeded_at).max();
    let metrics = Metrics {
        job: loaded.job.name.clone(),
        exit_code: code as u8,
        succeeded_at: if succeeded { Some(now) } else { before },
        settled_age_seconds: outcome.and_then(newest_settled).map(|day| {
            let end = day.and_time(NaiveTime::MIN).and_utc() + Duration::days(1);
            (loaded.reference.as_of - end).num_seconds()
        }),
        explained_percent: outcome.map(explained_percent).unwrap_or_default(),
        queued: delivered.left.queued,
        firing: plan.firing(),
    };
    let run_id = state.run_id().to_string();
    metrics::write(&loaded.job.output, &metrics, &run_id)
}

/// The newest day of which every slice is complete.
fn newest_settled(outcome: &Outcome) -> Option<NaiveDate> {
    let (mut whole, mut broken) = (BTreeSet::new(), BTreeSet::new());
    for slice in outcome.coverage.iter().filter(|slice| slice.provider != "ledger") {
        let days = if slice.status == SliceStatus::Complete { &mut whole } else { &mut broken };
        days.extend(slice.charge_date);
    }
    whole.difference(&broken).max().copied()
}
