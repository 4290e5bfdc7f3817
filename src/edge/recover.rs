//! Brings output and state together after whatever cut the last run off (reliability.md section 3, step 2).
//! Every step can itself be killed and repeated; nothing published is ever edited.

use super::crash;
use super::manifest::{self, Manifest, RunName, verify_run};
use super::publish::{io_fault, sync_directory};
use super::state::alerts::{Outbox, from_json};
use super::state::{RunRow, State};
use crate::domain::alert::Told;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::parse_day;
use chrono::NaiveDate;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Prefix of everything that is not published yet, in `OUT` and in `OUT/runs`.
pub(super) const UNFINISHED: &str = ".tmp-";

/// Clears away what was not finished, completes what was past its commit point, takes published runs into a
/// state that does not know them (a lost state is so rebuilt), and repairs the pointers. Returns warnings.
///
/// # Errors
/// [`ExitCode::IoErr`] when the output cannot be read or written, and what [`State`] says.
pub fn recover(out: &Path, state: &mut State) -> Result<Vec<String>, Fault> {
    let runs = out.join("runs");
    for dir in [out, &runs] {
        clear(dir)?;
        crash::point("recover-cleared");
    }
    let mut warnings = Vec::new();
    for row in state.runs()?.iter().filter(|row| !row.published) {
        let made = verify_run(&runs.join(row.name.to_string()));
        match made.ok().filter(|made| made.content_sha256 == row.content_sha256) {
            Some(_) => state.published(row.name, &first_seen(&runs, row.name)?)?,
            None => state.forget(row.name)?,
        }
        crash::point("recover-decided");
    }
    adopt(&runs, state, &mut warnings)?;
    crash::point("recover-adopted");
    point(out, state, None, &mut warnings)?;
    Ok(warnings)
}

/// Names of the run directories, whatever their state.
pub(super) fn on_disk(runs: &Path) -> Result<BTreeSet<RunName>, Fault> {
    let fault = |error| io_fault(runs, "cannot be listed", &error);
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(runs).map_err(fault)? {
        names.extend(entry.map_err(fault)?.file_name().to_str().and_then(RunName::parse));
    }
    Ok(names)
}

fn clear(dir: &Path) -> Result<(), Fault> {
    let fault = |error| io_fault(dir, "cannot be cleared of an unfinished run", &error);
    for entry in fs::read_dir(dir).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let is_dir = entry.file_type().map_err(fault)?.is_dir();
            let gone = if is_dir { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
            match gone {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(fault(error)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Published runs that the state does not know. Only the newest has items that are still open.
fn adopt(runs: &Path, state: &mut State, warnings: &mut Vec<String>) -> Result<(), Fault> {
    let known: BTreeSet<RunName> = state.runs()?.iter().map(|row| row.name).collect();
    let there = on_disk(runs)?;
    let newest = there.last().copied();
    for name in there.iter().filter(|name| !known.contains(name)) {
        match verify_run(&runs.join(name.to_string())) {
            Ok(manifest) => {
                let items = if Some(*name) == newest { first_seen(runs, *name)? } else { Vec::new() };
                // In two steps: a crash between them leaves a prepared row, which the next start completes.
                state.remember(&told(&runs.join(name.to_string())))?;
                state.prepare(&row(&manifest), &Outbox::default())?;
                crash::point("recover-adopting");
                state.published(*name, &items)?;
            }
            Err(fault) => warnings.push(format!("runs/{name} was left out: {}: {}", fault.place, fault.what)),
        }
    }
    Ok(())
}

fn row(manifest: &Manifest) -> RunRow {
    RunRow {
        name: manifest.name,
        run_id: manifest.run_id.clone(),
        content_sha256: manifest.content_sha256.clone(),
        published: false,
        complete: manifest.complete,
        exit_code: manifest.exit_code,
        succeeded_at: manifest.published_at,
    }
}

/// What the run had told; it is not sent again.
fn told(run: &Path) -> Vec<Told> {
    let list = manifest::fact(run, "alerts").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    list.iter().filter_map(from_json).collect()
}

fn first_seen(runs: &Path, name: RunName) -> Result<Vec<(String, NaiveDate)>, Fault> {
    let path = runs.join(name.to_string()).join("drift.csv");
    match fs::read(&path) {
        Ok(bytes) => Ok(open_items(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io_fault(&path, "cannot be read", &error)),
    }
}

/// Id and first day of each row of a `drift.csv`: the published file is the record, the state its copy.
pub(super) fn open_items(bytes: &[u8]) -> Vec<(String, NaiveDate)> {
    let mut reader = csv::Reader::from_reader(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    let Ok(header) = reader.headers().cloned() else { return Vec::new() };
    let column = |name: &str| header.iter().position(|column| column == name);
    let (Some(id), Some(day)) = (column("drift_id"), column("first_seen")) else { return Vec::new() };
    let rows = reader.into_records().filter_map(Result::ok);
    rows.filter_map(|row| Some((row.get(id)?.to_string(), parse_day(row.get(day)?)?))).collect()
}

/// Lets `latest`, `LATEST.txt` and `latest-complete` name the newest published runs, among them the one that
/// has just landed. A backfill never moves them back, because they go by business date.
pub(super) fn point(out: &Path, state: &mut State, landed: Option<RunName>, warnings: &mut Vec<String>) -> Result<(), Fault> {
    let there = on_disk(&out.join("runs"))?;
    let rows = state.runs()?;
    let published: Vec<&RunRow> = rows.iter().filter(|row| row.published || Some(row.name) == landed).collect();
    if let Some(gone) = published.last().filter(|row| !there.contains(&row.name)) {
        warnings.push(format!("runs/{} was published and is gone", gone.name));
    }
    let newest = published.iter().rev().find(|row| there.contains(&row.name));
    let complete = published.iter().rev().find(|row| row.complete && there.contains(&row.name));
    let Some(newest) = newest else { return Ok(()) };
    let mut moved = link(out, "latest", newest.name, state.run_id())?;
    moved |= note(out, newest.name, state.run_id())?;
    if let Some(complete) = complete {
        moved |= link(out, "latest-complete", complete.name, state.run_id())?;
    }
    if moved { sync_directory(out) } else { Ok(()) }
}

/// What a pointer names now.
pub(super) fn pointed(out: &Path, pointer: &str) -> Option<RunName> {
    let target = fs::read_link(out.join(pointer)).ok()?;
    RunName::parse(target.to_str()?.strip_prefix("runs/")?)
}

/// Makes the link beside the pointer and renames it over, so that a reader never finds none.
fn link(out: &Path, pointer: &str, name: RunName, run_id: &str) -> Result<bool, Fault> {
    if pointed(out, pointer) == Some(name) {
        return Ok(false);
    }
    let beside = out.join(format!("{UNFINISHED}{pointer}-{run_id}"));
    let path = out.join(pointer);
    let swap = || {
        std::os::unix::fs::symlink(format!("runs/{name}"), &beside)?;
        crash::point("pointer-beside");
        fs::rename(&beside, &path)
    };
    swap().map_err(|error| not_moved(&path, name, &error))?;
    crash::point("pointer-moved");
    Ok(true)
}

fn note(out: &Path, name: RunName, run_id: &str) -> Result<bool, Fault> {
    let path = out.join("LATEST.txt");
    let text = format!("{name}\n");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return Ok(false);
    }
    let beside = out.join(format!("{UNFINISHED}LATEST.txt-{run_id}"));
    let write = || {
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        crash::point("pointer-text");
        fs::rename(&beside, &path)
    };
    write().map(|()| true).map_err(|error| not_moved(&path, name, &error))
}

fn not_moved(path: &Path, name: RunName, error: &std::io::Error) -> Fault {
    let what = format!("{name} is published, but this pointer could not be moved to it: {error}");
    Fault::new(ExitCode::IoErr, path.display().to_string(), what, "the next run moves it")
}
