//! Publishing, recovering and verifying on a real file system; crashes are in `tests/it/crash.rs`.

use super::manifest::{RunName, verify_run};
use super::preflight::directories;
use super::publish::{Publication, Published, publish};
use super::recover::recover;
use super::state::alerts::Outbox;
use super::state::{NIGHTLY, State};
use super::verify::{Verified, status, verify};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::parse_day;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Map;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

struct Place {
    _dir: tempfile::TempDir,
    out: PathBuf,
    state: PathBuf,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let (out, state) = (dir.path().join("out"), dir.path().join("state"));
    directories(&out, &state, "test").unwrap();
    Place { _dir: dir, out, state }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

fn files(content: &str) -> Vec<(String, Vec<u8>)> {
    let drift = format!("\u{feff}drift_id,first_seen,status\r\n\"{content}\",2026-11-18,\"open\"\r\n");
    vec![
        ("drift.csv".to_string(), drift.into_bytes()),
        ("coverage.csv".to_string(), b"status\r\n\"complete\"\r\n\"missing\"\r\n\"complete\"\r\n".to_vec()),
        ("summary.txt".to_string(), content.as_bytes().to_vec()),
    ]
}

static NOTHING: Outbox = Outbox { told: Vec::new(), messages: Vec::new() };

fn publication<'a>(files: &'a [(String, Vec<u8>)], date: &str) -> Publication<'a> {
    Publication {
        files,
        proof: &|| Ok(()),
        business_date: parse_day(date).unwrap(),
        complete: true,
        exit_code: 0,
        published_at: at(0),
        facts: Map::new(),
        outbox: &NOTHING,
        backfill: false,
    }
}

impl Place {
    fn state(&self) -> State {
        State::open(&self.state, "run").unwrap()
    }

    fn publish(&self, date: &str, content: &str) -> Result<Published, Fault> {
        publish(&self.out, &mut self.state(), &publication(&files(content), date))
    }

    fn run(&self, name: &str) -> PathBuf {
        self.out.join("runs").join(name)
    }

    /// Names in the output directory and its runs, with what the pointers say.
    fn tree(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (dir, under) in [(self.out.clone(), ""), (self.out.join("runs"), "runs/")] {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let target = fs::read_link(entry.path()).map_or(String::new(), |to| format!(" -> {}", to.display()));
                names.push(format!("{under}{}{target}", entry.file_name().to_string_lossy()));
            }
        }
        names.sort();
        names
    }

    fn latest(&self) -> Option<String> {
        fs::read_to_string(self.out.join("latest/summary.txt")).ok()
    }
}

fn name(text: &str) -> RunName {
    RunName::parse(text).unwrap()
}

#[test]
fn publishes_revisions_and_moves_the_pointers() {
    let place = place();
    let first = place.publish("2026-11-18", "one").unwrap();
    assert_eq!(first, Published { name: name("2026-11-18.r1"), new: true, warnings: vec![] });
    let same = place.publish("2026-11-18", "one").unwrap();
    assert_eq!(same, Published { name: name("2026-11-18.r1"), new: false, warnings: vec![] });
    assert_eq!(place.publish("2026-11-18", "two").unwrap().name, name("2026-11-18.r2"));
    let partial = files("three");
    let partial = Publication { complete: false, exit_code: 10, ..publication(&partial, "2026-11-19") };
    publish(&place.out, &mut place.state(), &partial).unwrap();
    assert_eq!(
        place.tree(),
        [
            "LATEST.txt",
            "latest -> runs/2026-11-19.r1",
            "latest-complete -> runs/2026-11-18.r2",
            "runs",
            "runs/2026-11-18.r1",
            "runs/2026-11-18.r2",
            "runs/2026-11-19.r1",
        ]
    );
    assert_eq!(fs::read_to_string(place.out.join("LATEST.txt")).unwrap(), "2026-11-19.r1\n");
    let manifest = verify_run(&place.run("2026-11-19.r1")).unwrap();
    assert_eq!((manifest.complete, manifest.exit_code, manifest.files.len()), (false, 10, 3));
    assert_eq!(fs::metadata(place.run("2026-11-19.r1")).unwrap().permissions().mode() & 0o777, 0o750);
    let bytes: usize = ["one", "two", "three"].into_iter().flat_map(files).map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(verify(&place.out).unwrap(), Verified { runs: 3, files: 9, bytes: bytes as u64 });
    assert_eq!(verify(&place.out.join("latest")).unwrap().runs, 1);
    assert_eq!(place.state().first_seen().unwrap().len(), 3);
}

#[test]
fn an_older_day_needs_a_backfill_which_never_moves_latest() {
    let place = place();
    place.publish("2026-11-18", "new").unwrap();
    let fault = place.publish("2026-11-17", "old").unwrap_err();
    assert_eq!(fault.code, ExitCode::Config);
    assert!(fault.what.contains("2026-11-18.r1"), "{fault}");
    let old = files("old");
    let backfill = Publication { backfill: true, ..publication(&old, "2026-11-17") };
    let published = publish(&place.out, &mut place.state(), &backfill).unwrap();
    assert_eq!((published.name, published.new), (name("2026-11-17.r1"), true));
    assert_eq!(place.latest().as_deref(), Some("new"));
    assert_eq!(fs::read_to_string(place.out.join("LATEST.txt")).unwrap(), "2026-11-18.r1\n");
    assert!(!publish(&place.out, &mut place.state(), &backfill).unwrap().new);
}

#[test]
fn manifests_alone_carry_times_and_ids() {
    let (a, b) = (place(), place());
    let files = files("same");
    let mut state = State::open(&a.state, "run-a").unwrap();
    publish(&a.out, &mut state, &publication(&files, "2026-11-18")).unwrap();
    let mut state = State::open(&b.state, "run-b").unwrap();
    publish(&b.out, &mut state, &Publication { published_at: at(77), ..publication(&files, "2026-11-18") }).unwrap();
    let run = |place: &Place| verify_run(&place.run("2026-11-18.r1")).unwrap();
    assert_eq!(run(&a).content_sha256, run(&b).content_sha256);
    assert_ne!(run(&a).run_id, run(&b).run_id);
    for (file, bytes) in &files {
        assert_eq!(fs::read(a.run("2026-11-18.r1").join(file)).unwrap(), *bytes);
    }
}

#[test]
fn a_lost_state_is_rebuilt_from_the_manifests() {
    let place = place();
    place.publish("2026-11-17", "a").unwrap();
    place.publish("2026-11-18", "b").unwrap();
    let known = place.state().runs().unwrap();
    fs::remove_file(place.state.join("state.db")).unwrap();
    assert_eq!(recover(&place.out, &mut place.state()).unwrap(), Vec::<String>::new());
    let rebuilt = place.state().runs().unwrap();
    assert_eq!(rebuilt, known);
    let seen: Vec<(String, NaiveDate)> = place.state().first_seen().unwrap().into_iter().collect();
    assert!(seen.contains(&("b".to_string(), parse_day("2026-11-18").unwrap())), "{seen:?}");
    assert!(!place.publish("2026-11-18", "b").unwrap().new);
}

#[test]
fn lost_pointers_are_repaired() {
    let place = place();
    place.publish("2026-11-17", "a").unwrap();
    place.publish("2026-11-18", "b").unwrap();
    fs::remove_file(place.out.join("latest")).unwrap();
    symlink("runs/2026-11-17.r1", place.out.join("latest")).unwrap();
    fs::remove_file(place.out.join("latest-complete")).unwrap();
    fs::write(place.out.join("LATEST.txt"), "x").unwrap();
    assert!(!place.publish("2026-11-18", "b").unwrap().new);
    assert_eq!(place.latest().as_deref(), Some("b"));
    assert_eq!(fs::read_to_string(place.out.join("LATEST.txt")).unwrap(), "2026-11-18.r1\n");
    verify(&place.out).unwrap();
}

#[test]
fn a_published_file_that_was_touched_is_named_and_never_edited() {
    let place = place();
    place.publish("2026-11-18", "one").unwrap();
    let run = place.run("2026-11-18.r1");
    let tampered = |change: &dyn Fn(&Path), undo: &dyn Fn(&Path), file: &str, said: &str| {
        change(&run);
        let fault = verify(&place.out).unwrap_err();
        assert_eq!(fault.code, ExitCode::IoErr);
        assert!(fault.place.ends_with(file) && fault.what.contains(said), "{fault}");
        undo(&run);
        verify(&place.out).unwrap();
    };
    let summary = |run: &Path| run.join("summary.txt");
    let rewrite = |run: &Path| fs::write(summary(run), "one").unwrap();
    tampered(&|run| fs::write(summary(run), "two").unwrap(), &rewrite, "summary.txt", "altered");
    tampered(&|run| fs::write(summary(run), "one ").unwrap(), &rewrite, "summary.txt", "altered");
    tampered(&|run| fs::remove_file(summary(run)).unwrap(), &rewrite, "summary.txt", "cannot be read");
    let elsewhere = place.out.parent().unwrap().join("copy");
    fs::write(&elsewhere, "one").unwrap();
    tampered(
        &|run| {
            fs::remove_file(summary(run)).unwrap();
            symlink(&elsewhere, summary(run)).unwrap();
        },
        &|run| {
            fs::remove_file(summary(run)).unwrap();
            rewrite(run);
        },
        "summary.txt",
        "not a plain file",
    );
    let extra = |run: &Path| run.join("extra.csv");
    let (add, drop_it) = (|run: &Path| fs::write(extra(run), "").unwrap(), |run: &Path| fs::remove_file(extra(run)).unwrap());
    tampered(&add, &drop_it, "extra.csv", "added");
    let manifest = fs::read_to_string(run.join("MANIFEST.json")).unwrap();
    let forged = manifest.replace("\"complete\": true", "\"complete\": false");
    assert_ne!(manifest, forged);
    let restore = |run: &Path| fs::write(run.join("MANIFEST.json"), &manifest).unwrap();
    tampered(&|run| fs::write(run.join("MANIFEST.json"), &forged).unwrap(), &restore, "MANIFEST.json", "altered");
    tampered(&|run| fs::remove_file(run.join("MANIFEST.json")).unwrap(), &restore, "MANIFEST.json", "cannot be read");
    let moved = |from: &str, to: &str| fs::rename(place.run(from), place.run(to)).unwrap();
    tampered(
        &|_| moved("2026-11-18.r1", "2026-11-18.r7"),
        &|_| moved("2026-11-18.r7", "2026-11-18.r1"),
        "MANIFEST.json",
        "another run",
    );
    tampered(
        &|_| fs::create_dir(place.run("stray")).unwrap(),
        &|_| fs::remove_dir(place.run("stray")).unwrap(),
        "stray",
        "added",
    );
    fs::write(summary(&run), "tampered").unwrap();
    let again = place.publish("2026-11-18", "one").unwrap();
    assert_eq!((again.name, again.new, again.warnings.len()), (name("2026-11-18.r2"), true, 1));
    assert!(again.warnings[0].contains("summary.txt"), "{:?}", again.warnings);
    assert_eq!(fs::read_to_string(summary(&run)).unwrap(), "tampered");
    assert_eq!(place.latest().as_deref(), Some("one"));
}

#[test]
fn a_deleted_run_is_published_again_under_a_new_revision() {
    let place = place();
    place.publish("2026-11-17", "a").unwrap();
    place.publish("2026-11-18", "b").unwrap();
    fs::remove_dir_all(place.run("2026-11-18.r1")).unwrap();
    let again = place.publish("2026-11-18", "b").unwrap();
    assert_eq!((again.name, again.new), (name("2026-11-18.r2"), true));
    assert!(again.warnings.iter().any(|warning| warning.contains("2026-11-18.r1")), "{:?}", again.warnings);
    assert_eq!(place.latest().as_deref(), Some("b"));
}

#[test]
fn failures_before_the_commit_point_leave_the_old_run() {
    let place = place();
    place.publish("2026-11-17", "old").unwrap();
    let before = place.tree();
    // The file system refuses to make the same file twice.
    let mut twice = files("new");
    twice.extend(files("new"));
    let fault = publish(&place.out, &mut place.state(), &publication(&twice, "2026-11-18")).unwrap_err();
    assert_eq!(fault.code, ExitCode::IoErr);
    assert_eq!(place.tree(), before);
    let path = [("../escape.csv".to_string(), vec![])];
    let fault = publish(&place.out, &mut place.state(), &publication(&path, "2026-11-18")).unwrap_err();
    assert_eq!(fault.code, ExitCode::Internal);
    assert_eq!(place.tree(), before);

    let mut state = place.state();
    fs::remove_file(place.state.join("lock")).unwrap();
    let new = files("new");
    let fault = publish(&place.out, &mut state, &publication(&new, "2026-11-18")).unwrap_err();
    assert_eq!(fault.code, ExitCode::Locked, "{fault}");
    drop(state);
    assert_eq!(place.tree(), before);
    assert_eq!(place.publish("2026-11-18", "new").unwrap().name, name("2026-11-18.r1"));
}

#[test]
fn what_is_not_sound_is_not_published() {
    let place = place();
    place.publish("2026-11-18", "old").unwrap();
    let before = place.tree();
    let unsound = || Err(Fault::new(ExitCode::Internal, "laws", "broken", "report it"));
    // New content, and the content that is there already.
    for content in ["new", "old"] {
        let files = files(content);
        let publication = Publication { proof: &unsound, ..publication(&files, "2026-11-18") };
        let fault = publish(&place.out, &mut place.state(), &publication).unwrap_err();
        assert_eq!((fault.code, fault.what.as_str()), (ExitCode::Internal, "broken"));
        assert_eq!(place.tree(), before);
    }
    assert_eq!(place.publish("2026-11-18", "new").unwrap().name, name("2026-11-18.r2"));
    verify(&place.out).unwrap();
}

#[test]
fn a_pointer_that_cannot_move_names_the_run_that_landed() {
    let place = place();
    fs::create_dir_all(place.out.join("LATEST.txt/full")).unwrap();
    let fault = place.publish("2026-11-18", "new").unwrap_err();
    assert_eq!(fault.code, ExitCode::IoErr);
    assert!(fault.place.ends_with("LATEST.txt") && fault.what.contains("2026-11-18.r1 is published"), "{fault}");
    fs::remove_dir_all(place.out.join("LATEST.txt")).unwrap();
    assert_eq!(place.publish("2026-11-18", "new").unwrap().name, name("2026-11-18.r1"));
    verify(&place.out).unwrap();
}

#[test]
fn status_tells_of_the_last_runs() {
    let place = place();
    assert_eq!(status(&place.out, &place.state, NIGHTLY).unwrap().latest, None);
    assert_eq!(verify(&place.out).unwrap(), Verified::default());
    assert_eq!(verify(&place.state).unwrap_err().code, ExitCode::IoErr);
    place.publish("2026-11-18", "one").unwrap();
    let partial = files("two");
    let partial = Publication { complete: false, exit_code: 10, ..publication(&partial, "2026-11-19") };
    publish(&place.out, &mut place.state(), &partial).unwrap();
    let told = status(&place.out, &place.state, NIGHTLY).unwrap();
    assert_eq!(told.latest.as_ref().map(|run| (run.name, run.complete)), Some((name("2026-11-19.r1"), false)));
    assert_eq!(told.latest_complete.as_ref().map(|run| run.name), Some(name("2026-11-18.r1")));
    assert_eq!((told.coverage["complete"], told.coverage["missing"], told.open_items), (2, 1, 1));
    // A run that finds nothing to add has succeeded all the same.
    let again = Publication { published_at: at(3600), ..partial };
    assert!(!publish(&place.out, &mut place.state(), &again).unwrap().new);
    let told = status(&place.out, &place.state, NIGHTLY).unwrap();
    assert_eq!(told.latest.map(|run| run.succeeded_at), Some(at(3600)));
    fs::remove_file(place.state.join("state.db")).unwrap();
    assert_eq!(status(&place.out, &place.state, NIGHTLY).unwrap().latest.map(|run| run.succeeded_at), Some(at(0)));
}
