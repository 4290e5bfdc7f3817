//! A run directory, whole or not at all (reliability.md section 3, steps 4 to 8): built beside, synced,
//! read back, and put in place by one rename. A reader of `latest` sees the old run or the new one.

use super::crash;
use super::manifest::{self, FileEntry, Manifest, RunName, verify_run};
use super::recover::{UNFINISHED, on_disk, open_items, point, pointed, recover};
use super::signals;
use super::state::alerts::Outbox;
use super::state::{RunRow, State};
use crate::domain::beside::{done, each};
use crate::domain::fault::{ExitCode, Fault};
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What a run has to publish.
#[derive(Clone)]
pub struct Publication<'a> {
    /// Report files with their bytes; the manifest is added here.
    pub files: &'a [(String, Vec<u8>)],
    /// Whether the files are sound: asked while they are written, and no run is put in place before it says so.
    pub proof: &'a (dyn Fn() -> Result<(), Fault> + Sync),
    /// The day that the run speaks for.
    pub business_date: NaiveDate,
    /// No slice is missing, stale or suspect: `latest-complete` may name it.
    pub complete: bool,
    pub exit_code: u8,
    /// The clock's time, for the manifest alone.
    pub published_at: DateTime<Utc>,
    /// The run's own fields of the manifest: window, configuration hash, slices, totals.
    pub facts: Map<String, Value>,
    /// The alerts that go out with it.
    pub outbox: &'a Outbox,
    /// Allows a business date before the newest published one; `latest` then stays.
    pub backfill: bool,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The run that holds the content.
    pub name: RunName,
    /// False when that run was there already and nothing was published.
    pub new: bool,
    pub warnings: Vec<String>,
}

/// Publishes under `out/runs`, or finds that the newest revision of the business date has the same content.
/// The directories have passed [`super::preflight::directories`].
///
/// # Errors
/// [`ExitCode::Config`] for a business date before the newest published one without `backfill`;
/// what the proof says; [`ExitCode::IoErr`] when a file cannot be written, synced or read back; [`ExitCode::Locked`] when the lock or
/// `latest` is no longer ours; and what [`State`] says. Before the commit point the old run stands; after it
/// the message names the run that landed.
pub fn publish(out: &Path, state: &mut State, publication: &Publication<'_>) -> Result<Published, Fault> {
    if let Some((name, _)) = publication.files.iter().find(|(name, _)| !manifest::is_file_name(name)) {
        let what = format!("{name:?} cannot be the name of a report file");
        return Err(Fault::new(ExitCode::Internal, "publish", what, "report this as a bug"));
    }
    let mut warnings = recover(out, state)?;
    let seen = pointed(out, "latest");
    may_publish(out, state, publication.business_date, publication.backfill)?;

    std::thread::scope(|scope| {
        // Both read the files only, and most of the time here goes by waiting for the disk.
        let proof = scope.spawn(publication.proof);
        let items = scope.spawn(|| items(publication));
        let files = manifest::entries(publication.files);
        let content = manifest::content_sha256(&files);
        let newest = state.runs()?.into_iter().rfind(|row| row.name.business_date == publication.business_date);
        if let Some(same) = newest.filter(|row| row.content_sha256 == content) {
            match verify_run(&out.join("runs").join(same.name.to_string())) {
                Ok(_) => {
                    done(proof)?;
                    state.confirmed(same.name, publication.published_at)?;
                    state.enqueue(publication.outbox)?;
                    return Ok(Published { name: same.name, new: false, warnings });
                }
                // What was tampered with is not edited: a sound revision goes beside it.
                Err(fault) => warnings.push(format!("{}: {}", fault.place, fault.what)),
            }
        }
        let name = next_name(out, state, publication.business_date)?;
        let building = out.join("runs").join(format!("{UNFINISHED}{}", state.run_id()));
        let manifest = Manifest {
            name,
            run_id: state.run_id().to_string(),
            complete: publication.complete,
            exit_code: publication.exit_code,
            published_at: publication.published_at,
            content_sha256: content,
            files,
        };
        let built = build(&building, publication, &manifest).and_then(|()| done(proof));
        let items = done(items);
        let whole = signals::hold();
        let committed = built
            .and_then(|()| prepare(state, &manifest, publication.outbox))
            .and_then(|()| commit(out, state, &building, name, seen));
        if let Err(fault) = committed {
            // Give the space back at once; what cannot be removed now the next run clears away.
            let _ = fs::remove_dir_all(&building);
            return Err(fault);
        }
        // From here on the run is published, whatever happens.
        let finished = finish(out, state, name, &items, &mut warnings);
        whole.done();
        finished?;
        Ok(Published { name, new: true, warnings })
    })
}

/// Id and first day of each reconciling item.
fn items(publication: &Publication<'_>) -> Vec<(String, NaiveDate)> {
    let drift = publication.files.iter().find(|(file, _)| file == "drift.csv");
    drift.map_or_else(Vec::new, |(_, bytes)| open_items(bytes))
}

/// Whether a run of this business date may publish; asked once before the work and again before publishing.
///
/// # Errors
/// [`ExitCode::Config`] when a later business date is published and this is no backfill.
pub fn may_publish(out: &Path, state: &mut State, business_date: NaiveDate, backfill: bool) -> Result<(), Fault> {
    let newest = newest(out, state)?;
    match newest.filter(|newest| newest.business_date > business_date && !backfill) {
        Some(newest) => {
            let what = format!("business date {business_date} is older than the newest published run, {newest}");
            let hint = "check the clock and --as-of; to publish an older day on purpose add --backfill";
            Err(Fault::new(ExitCode::Config, out.display().to_string(), what, hint))
        }
        None => Ok(()),
    }
}

fn newest(out: &Path, state: &mut State) -> Result<Option<RunName>, Fault> {
    let recorded = state.runs()?.into_iter().filter(|row| row.published).map(|row| row.name).max();
    Ok(recorded.max(on_disk(&out.join("runs"))?.last().copied()))
}

/// The first revision of the day that neither state nor disk has ever had.
fn next_name(out: &Path, state: &mut State, business_date: NaiveDate) -> Result<RunName, Fault> {
    let mut names = on_disk(&out.join("runs"))?;
    names.extend(state.runs()?.iter().map(|row| row.name));
    let last = names.iter().rfind(|name| name.business_date == business_date).map_or(0, |name| name.revision);
    Ok(RunName { business_date, revision: last.saturating_add(1) })
}

/// Writes and syncs every file, the manifest last, and reads all of them back.
fn build(dir: &Path, publication: &Publication<'_>, manifest: &Manifest) -> Result<(), Fault> {
    let fault = |error| io_fault(dir, "cannot be made", &error);
    DirBuilder::new().mode(0o700).create(dir).map_err(fault)?;
    crash::point("build-started");
    let last = (manifest::FILE.to_string(), manifest::render(manifest, &publication.facts));
    // All are written before the first is synced, and all are synced at once: a journal then takes them together.
    let written = each(publication.files.iter().chain([&last]), |(name, bytes)| {
        let path = dir.join(name);
        let file = write(&path, bytes).map_err(|error| io_fault(&path, "cannot be written", &error))?;
        crash::point("build-file");
        Ok((path, file))
    });
    let written = written.into_iter().collect::<Result<Vec<(PathBuf, File)>, Fault>>()?;
    let sync = |(path, file): &(PathBuf, File)| file.sync_all().map_err(|error| io_fault(path, "cannot be written", &error));
    each(&written, sync).into_iter().collect::<Result<(), Fault>>()?;
    // Closed to everyone while it was built; now the group may read. Before the sync, which keeps this too.
    fs::set_permissions(dir, Permissions::from_mode(0o750)).map_err(fault)?;
    sync_directory(dir)?;
    crash::point("build-synced");
    let manifest_entry = manifest::entries(std::slice::from_ref(&last));
    for entry in manifest.files.iter().chain(&manifest_entry) {
        read_back(&dir.join(&entry.name), entry)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn read_back(path: &Path, entry: &FileEntry) -> Result<(), Fault> {
    let bytes = fs::read(path).map_err(|error| io_fault(path, "cannot be read back", &error))?;
    if manifest::sha256(&bytes) == entry.sha256 {
        return Ok(());
    }
    let what = "reads back differently from what was written";
    Err(Fault::new(ExitCode::IoErr, path.display().to_string(), what, "check the disk; nothing was published"))
}

fn prepare(state: &mut State, manifest: &Manifest, outbox: &Outbox) -> Result<(), Fault> {
    let row = RunRow {
        name: manifest.name,
        run_id: manifest.run_id.clone(),
        content_sha256: manifest.content_sha256.clone(),
        published: false,
        complete: manifest.complete,
        exit_code: manifest.exit_code,
        succeeded_at: manifest.published_at,
    };
    state.prepare(&row, outbox)?;
    crash::point("prepared");
    Ok(())
}

/// The commit point: one rename.
fn commit(out: &Path, state: &State, building: &Path, name: RunName, seen: Option<RunName>) -> Result<(), Fault> {
    let runs = out.join("runs");
    let target = runs.join(name.to_string());
    if !state.is_locked_by_us() || pointed(out, "latest") != seen {
        let what = "another run took over while this one worked; nothing was published";
        return Err(Fault::new(ExitCode::Locked, out.display().to_string(), what, "never delete the lock file; run again"));
    }
    // A rename would replace an empty directory; the lock keeps everyone else from making one now.
    if fs::symlink_metadata(&target).is_ok() {
        let what = "is there already; nothing was published";
        return Err(Fault::new(ExitCode::IoErr, target.display().to_string(), what, "run again"));
    }
    fs::rename(building, &target).map_err(|error| io_fault(&target, "cannot be put in place", &error))?;
    crash::point("renamed");
    Ok(())
}

fn finish(
    out: &Path,
    state: &mut State,
    name: RunName,
    items: &[(String, NaiveDate)],
    warnings: &mut Vec<String>,
) -> Result<(), Fault> {
    let landed = |fault: Fault| Fault { what: format!("{name} is published, but: {}", fault.what), ..fault };
    sync_directory(&out.join("runs")).map_err(landed)?;
    crash::point("runs-synced");
    point(out, state, Some(name), warnings)?;
    crash::point("pointed");
    state.published(name, items).map_err(landed)?;
    crash::point("recorded");
    Ok(())
}

pub(super) fn sync_directory(dir: &Path) -> Result<(), Fault> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_fault(dir, "cannot be synced", &error))
}

pub(super) fn io_fault(path: &Path, what: &str, error: &io::Error) -> Fault {
    let hint = "free some space and check the disk, then run again: the last published run stands";
    Fault::new(ExitCode::IoErr, path.display().to_string(), format!("{what}: {error}"), hint)
}
