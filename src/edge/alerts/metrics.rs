//! `metrics.prom` (reliability.md section 6): a few figures for a monitor that reads text files, always whole.

use crate::domain::fault::Fault;
use crate::edge::publish::{io_fault, sync_directory};
use chrono::{DateTime, Utc};
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "metrics.prom";

/// What a monitor is told of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub job: String,
    pub exit_code: u8,
    /// When a run of the job last succeeded.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// Age in seconds of the end of the newest day that every source has settled.
    pub settled_age_seconds: Option<i64>,
    /// Per cent of the money whose difference is explained, as decimal text, by currency.
    pub explained_percent: Vec<(String, String)>,
    pub queued: u64,
    pub firing: u64,
}

/// Writes the file into the output folder, beside first and then over.
///
/// # Errors
/// It cannot be written (74).
pub fn write(out: &Path, metrics: &Metrics, run_id: &str) -> Result<(), Fault> {
    let path = out.join(FILE);
    let beside = out.join(format!(".tmp-{FILE}-{run_id}"));
    let made = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&beside)?;
        file.write_all(text(metrics).as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    made().map_err(|error| io_fault(&path, "cannot be written", &error))?;
    sync_directory(out)
}

fn text(metrics: &Metrics) -> String {
    let job = metrics.job.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut text = String::new();
    let mut gauge = |name: &str, help: &str, values: Vec<(String, String)>| {
        if values.is_empty() {
            return;
        }
        let _ = write!(text, "# HELP tieout_{name} {help}\n# TYPE tieout_{name} gauge\n");
        for (labels, value) in values {
            let _ = writeln!(text, "tieout_{name}{{job=\"{job}\"{labels}}} {value}");
        }
    };
    let one = |value: Option<String>| value.map(|value| (String::new(), value)).into_iter().collect::<Vec<_>>();
    let succeeded = metrics.succeeded_at.map(|at| at.timestamp().to_string());
    gauge("last_success_timestamp_seconds", "When a run last succeeded (exit code 0 or 11).", one(succeeded));
    let age = metrics.settled_age_seconds.map(|age| age.to_string());
    gauge("settled_age_seconds", "Age of the newest day that every source has settled.", one(age));
    let explained = metrics.explained_percent.iter();
    let explained = explained.map(|(currency, percent)| (format!(",currency=\"{currency}\""), percent.clone())).collect();
    gauge("explained_percent", "Money whose difference between provider and ledger is explained.", explained);
    gauge("alerts_queued", "Alerts that wait to be sent.", one(Some(metrics.queued.to_string())));
    gauge("alerts_firing", "Alerts that fire.", one(Some(metrics.firing.to_string())));
    gauge("exit_code", "Exit code of the last run.", one(Some(metrics.exit_code.to_string())));
    text
}
