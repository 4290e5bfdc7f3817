//! A process killed between any two steps of the commit protocol leaves the old run or the new one, and the next
//! run ends as if nothing had happened (reliability.md guarantees 1 and 7; section 8, "Crash enumeration").

use chrono::DateTime;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tieout::domain::period::parse_day;
use tieout::edge::preflight::directories;
use tieout::edge::publish::{Publication, Published, publish};
use tieout::edge::recover::recover;
use tieout::edge::state::State;
use tieout::edge::state::alerts::Outbox;
use tieout::edge::verify::verify;

const ABORTED: i32 = 6;
static NOTHING: Outbox = Outbox { told: Vec::new(), messages: Vec::new() };

struct Place {
    dir: tempfile::TempDir,
}

fn publish_in(dir: &Path, date: &str, content: &str) -> Published {
    let drift = format!("drift_id,first_seen\r\n\"{content}\",{date}\r\n");
    let files = [("drift.csv".to_string(), drift.into_bytes()), ("summary.txt".to_string(), content.into())];
    let publication = Publication {
        files: &files,
        proof: &|| Ok(()),
        business_date: parse_day(date).unwrap(),
        complete: true,
        exit_code: 0,
        published_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        facts: Default::default(),
        outbox: &NOTHING,
        backfill: false,
    };
    publish(&dir.join("out"), &mut State::open(&dir.join("state"), "run").unwrap(), &publication).unwrap()
}

impl Place {
    /// With one run published.
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        directories(&dir.path().join("out"), &dir.path().join("state"), "run").unwrap();
        publish_in(dir.path(), "2026-11-18", "old");
        Place { dir }
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn state(&self) -> State {
        State::open(&self.dir.path().join("state"), "run").unwrap()
    }

    fn latest(&self) -> String {
        fs::read_to_string(self.out().join("latest/summary.txt")).unwrap()
    }

    /// Names in the output directory and its runs, with what the pointers say.
    fn tree(&self) -> Vec<String> {
        let mut names = Vec::new();
        for dir in [self.out(), self.out().join("runs")] {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let target = fs::read_link(entry.path()).map_or(String::new(), |to| format!(" -> {}", to.display()));
                names.push(format!("{}{target}", entry.file_name().to_string_lossy()));
            }
        }
        names.sort();
        names
    }

    /// Publishes the next night in a process of its own; true when that was killed at the point.
    fn killed_at(&self, point: &str) -> bool {
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--ignored", "--test-threads=1"])
            .env("CRASH_TEST_DIR", self.dir.path())
            .env("TIEOUT_CRASH_AT", point)
            .output()
            .unwrap();
        let killed = done.status.signal() == Some(ABORTED);
        assert!(killed || done.status.success(), "{point}: {}", String::from_utf8_lossy(&done.stdout));
        killed
    }
}

#[test]
#[ignore = "the crash tests start it in a process of its own"]
fn child() {
    let dir = PathBuf::from(std::env::var_os("CRASH_TEST_DIR").unwrap());
    publish_in(&dir, "2026-11-19", "new");
}

#[test]
fn a_crash_anywhere_leaves_the_old_run_or_the_new_one() {
    let reference = Place::new();
    publish_in(reference.dir.path(), "2026-11-19", "new");
    for (point, landed) in [
        ("build-started", false),
        ("build-file", false),
        ("build-synced", false),
        ("prepared", false),
        ("renamed", true),
        ("runs-synced", true),
        ("pointer-beside", true),
        ("pointer-moved", true),
        ("pointer-text", true),
        ("pointed", true),
        ("recorded", true),
    ] {
        let place = Place::new();
        assert!(place.killed_at(point), "{point} is passed");
        assert_eq!(place.out().join("runs/2026-11-19.r1").exists(), landed, "{point}");
        let latest = place.latest();
        assert!(latest == "old" || (landed && latest == "new"), "{point}: {latest}");
        // The recovery is killed as well, wherever it has something to do.
        for point in ["recover-cleared", "recover-decided", "recover-adopted", "pointer-beside", "pointer-text"] {
            place.killed_at(point);
        }
        let published = publish_in(place.dir.path(), "2026-11-19", "new");
        assert_eq!((published.name.to_string().as_str(), published.warnings.len()), ("2026-11-19.r1", 0), "{point}");
        assert_eq!(place.tree(), reference.tree(), "{point}");
        assert_eq!(place.latest(), "new");
        assert_eq!(place.state().runs().unwrap().iter().filter(|row| row.published).count(), 2, "{point}");
        assert_eq!(place.state().first_seen().unwrap(), reference.state().first_seen().unwrap(), "{point}");
        verify(&place.out()).unwrap();
    }
}

#[test]
fn the_rebuilding_of_a_lost_state_can_be_cut_off() {
    let place = Place::new();
    let known = place.state().runs().unwrap();
    fs::remove_file(place.dir.path().join("state/state.db")).unwrap();
    assert!(place.killed_at("recover-adopting"));
    assert_eq!(recover(&place.out(), &mut place.state()).unwrap(), Vec::<String>::new());
    assert_eq!(place.state().runs().unwrap(), known);
    assert_eq!(place.state().first_seen().unwrap()["old"], parse_day("2026-11-18").unwrap());
}
