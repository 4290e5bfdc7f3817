//! Looking at what was published, changing nothing: `verify` and `status` (contract section 2).

use super::manifest::{self, Manifest, RunName, verify_run};
use super::publish::io_fault;
use super::recover::{UNFINISHED, pointed};
use super::state::recorded_runs;
use crate::domain::fault::{ExitCode, Fault};
use chrono::{DateTime, Duration, Utc};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// What `verify` went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    pub runs: u64,
    /// Report files, without the manifests.
    pub files: u64,
    pub bytes: u64,
}

/// Checks every published run of an output directory against its manifest, and that the pointers name runs that
/// are there; or one run directory alone.
///
/// # Errors
/// [`ExitCode::IoErr`] naming the file that was altered, is missing or was added (guarantee 17), or saying that
/// nothing is published here.
pub fn verify(out: &Path) -> Result<Verified, Fault> {
    if out.join(manifest::FILE).exists() {
        return Ok(count(&[verify_run(out)?]));
    }
    let runs = out.join("runs");
    let unreadable = |error| io_fault(&runs, "cannot be listed", &error);
    let fault = |path: &Path, what: &str| {
        let hint = "give the output directory of a job, or one run directory";
        Fault::new(ExitCode::IoErr, path.display().to_string(), what, hint)
    };
    if !runs.is_dir() {
        return Err(fault(out, "nothing is published here: it has no directory runs"));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&runs).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        match RunName::parse(&name) {
            Some(name) => names.push(name),
            None if name.starts_with(UNFINISHED) => {}
            None => return Err(fault(&runs.join(name), "was added: it is no published run")),
        }
    }
    names.sort();
    let made: Vec<Manifest> = names.iter().map(|name| verify_run(&runs.join(name.to_string()))).collect::<Result<_, Fault>>()?;
    for pointer in ["latest", "latest-complete"] {
        let path = out.join(pointer);
        let there = fs::symlink_metadata(&path).is_ok();
        let names_a_run = pointed(out, pointer).is_some_and(|name| names.contains(&name));
        if (there || (pointer == "latest" && !names.is_empty())) && !names_a_run {
            return Err(fault(&path, "does not name a published run: the next run repairs it"));
        }
    }
    Ok(count(&made))
}

fn count(made: &[Manifest]) -> Verified {
    let files = made.iter().flat_map(|manifest| &manifest.files);
    let (count, bytes) = files.fold((0, 0), |(count, bytes), file| (count + 1, bytes + file.bytes));
    Verified { runs: made.len() as u64, files: count, bytes }
}

/// A published run, as `status` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    pub name: RunName,
    pub complete: bool,
    pub exit_code: u8,
    /// When a run last made it, or found nothing to add to it.
    pub succeeded_at: DateTime<Utc>,
}

/// What is known of the last runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// `None` before the first publish.
    pub latest: Option<RunStatus>,
    pub latest_complete: Option<RunStatus>,
    /// Slices of the newest run by status, from its `coverage.csv`.
    pub coverage: BTreeMap<String, u64>,
    /// Reconciling items of the newest run that ask for somebody, from its `drift.csv`.
    pub open_items: u64,
}

impl Status {
    /// No complete run within `max_age`: what `status --max-age` answers with its exit code. A run that
    /// was published incomplete (exit 10) does not count as success (guarantee 18).
    pub fn is_overdue(&self, now: DateTime<Utc>, max_age: Duration) -> bool {
        self.latest_complete.as_ref().is_none_or(|run| now - run.succeeded_at > max_age)
    }
}

/// Reads pointers, manifests and, where it can, the state store; takes no lock.
///
/// # Errors
/// [`ExitCode::IoErr`] when the run that a pointer names is not what was published, and what the state store
/// says when it is damaged.
pub fn status(out: &Path, state: &Path, kind: &'static str) -> Result<Status, Fault> {
    let recorded = recorded_runs(state, kind)?;
    let run = |pointer: &str| {
        let Some(name) = pointed(out, pointer) else { return Ok(None) };
        let made = verify_run(&out.join("runs").join(name.to_string()))?;
        let confirmed = recorded.iter().find(|row| row.name == name).map(|row| row.succeeded_at);
        Ok(Some(RunStatus {
            name,
            complete: made.complete,
            exit_code: made.exit_code,
            succeeded_at: confirmed.map_or(made.published_at, |at| at.max(made.published_at)),
        }))
    };
    let latest = run("latest")?;
    let mut status = Status { latest_complete: run("latest-complete")?, ..Status::default() };
    if let Some(latest) = &latest {
        let dir = out.join("runs").join(latest.name.to_string());
        status.coverage = by_status(&dir.join("coverage.csv"))?;
        status.open_items = by_status(&dir.join("drift.csv"))?.get("open").copied().unwrap_or(0);
    }
    status.latest = latest;
    Ok(status)
}

/// How many rows of a published file have which `status`. A file that the run does not have counts nothing.
fn by_status(path: &Path) -> Result<BTreeMap<String, u64>, Fault> {
    let mut counts = BTreeMap::new();
    if !path.exists() {
        return Ok(counts);
    }
    let bytes = fs::read(path).map_err(|error| io_fault(path, "cannot be read", &error))?;
    let mut reader = csv::Reader::from_reader(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes));
    let column = reader.headers().ok().and_then(|header| header.iter().position(|name| name == "status"));
    for row in reader.records().filter_map(Result::ok) {
        if let Some(status) = column.and_then(|column| row.get(column)) {
            *counts.entry(status.to_string()).or_default() += 1;
        }
    }
    Ok(counts)
}

/// The name of the newest published run.
pub fn latest(out: &Path) -> Option<String> {
    pointed(out, "latest").map(|name| name.to_string())
}

/// Reads an age such as `26h`, `90m` or `2d`. None for anything else.
pub fn parse_age(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    match unit {
        's' => Duration::try_seconds(number),
        'm' => Duration::try_minutes(number),
        'h' => Duration::try_hours(number),
        'd' => Duration::try_days(number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_and_judged() {
        assert_eq!(parse_age("26h"), Some(Duration::hours(26)));
        assert_eq!(parse_age("90m"), Some(Duration::minutes(90)));
        for bad in ["", "h", "26", "-1h", "1.5h", "26 h", "9223372036854775807d", "2é"] {
            assert_eq!(parse_age(bad), None, "{bad}");
        }
        let at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let name = RunName::parse("2026-11-18.r1").unwrap();
        let run = RunStatus { name, complete: true, exit_code: 0, succeeded_at: at };
        let status = Status { latest_complete: Some(run), ..Status::default() };
        assert!(!status.is_overdue(at + Duration::hours(26), Duration::hours(26)));
        assert!(status.is_overdue(at + Duration::hours(26) + Duration::seconds(1), Duration::hours(26)));
        assert!(Status::default().is_overdue(at, Duration::hours(26)));
    }
}
