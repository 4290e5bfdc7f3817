//! Small worlds and what the run makes of them: fixtures/scenarios/<what happens>/ with a job, its inputs,
//! the story in `story.txt`, and the published files under `expected/`. BLESS=1 rewrites `expected/`; the
//! difference is then reviewed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The files whose bytes a scenario fixes; the others say the same in another form. A scenario about one of those
/// has it in `expected/` too.
const FILES: [&str; 4] = ["attribution.csv", "coverage.csv", "drift.csv", "reconciliation.csv"];

fn copy_flat(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Runs the scenario in a copy of its folder; its exit code, and what it published.
fn run(scenario: &Path, world: &Path) -> Vec<(String, String)> {
    copy_flat(scenario, world);
    let output =
        Command::new(env!("CARGO_BIN_EXE_tieout")).args(["run", "job.toml", "--quiet"]).current_dir(world).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let mut found = vec![("exit.txt".to_string(), format!("exit {}\n{told}", output.status.code().unwrap()))];
    let further = std::fs::read_dir(scenario.join("expected")).into_iter().flatten();
    let further = further.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let further = further.filter(|name| name != "exit.txt" && !FILES.contains(&name.as_str()));
    for file in FILES.into_iter().map(str::to_string).chain(further) {
        found.push((file.clone(), std::fs::read_to_string(world.join("out/latest").join(file)).unwrap_or_default()));
    }
    found
}

#[test]
fn every_scenario_publishes_what_its_story_says() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/scenarios"));
    let mut scenarios: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    scenarios.sort();
    assert!(scenarios.len() >= 8, "only {} scenarios are left", scenarios.len());
    let mut failures = String::new();
    for scenario in scenarios {
        assert!(scenario.join("story.txt").is_file(), "{} has no story", scenario.display());
        let world = tempfile::tempdir().unwrap();
        for (file, found) in run(&scenario, world.path()) {
            let beside = scenario.join("expected").join(&file);
            if std::env::var_os("BLESS").is_some() {
                std::fs::create_dir_all(beside.parent().unwrap()).unwrap();
                std::fs::write(&beside, &found).unwrap();
            }
            let expected = std::fs::read_to_string(&beside).unwrap_or_default();
            if expected != found {
                writeln!(failures, "{}\n--- expected\n{expected}--- found\n{found}", beside.display()).unwrap();
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
