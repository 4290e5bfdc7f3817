//! The catalogue of bad input, fixtures/errors/: one folder for each mistake, with the exit code and the
//! exact text on stderr in `expected.txt`.
//!
//! `command.txt` has the arguments (default `check job.toml`). `setup.sh` puts the folder into a state that
//! cannot be committed, such as a file in place of a directory. Files under `expected/` are published files of
//! which every line must be there; a folder without it must have published nothing. BLESS=1 rewrites
//! `expected.txt`; the difference is then reviewed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Runs the case in a copy of its folder; the exit code and stderr as `expected.txt` has them.
fn outcome(case: &Path, world: &Path) -> String {
    copy(case, world);
    if case.join("setup.sh").is_file() {
        let status = Command::new("bash").args(["-eu", "setup.sh"]).current_dir(world).status().unwrap();
        assert!(status.success(), "{}: setup.sh failed", case.display());
    }
    let arguments = std::fs::read_to_string(case.join("command.txt")).unwrap_or_else(|_| "check job.toml".to_string());
    let output =
        Command::new(env!("CARGO_BIN_EXE_tieout")).args(arguments.split_whitespace()).current_dir(world).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    format!("exit {}\n{stderr}", output.status.code().unwrap())
}

/// Every line that the case expects in published files, or that nothing is published at all.
fn published_faults(case: &Path, world: &Path) -> String {
    let mut faults = String::new();
    let latest = world.join("out/latest");
    let expected = case.join("expected");
    if !expected.is_dir() {
        if latest.exists() && !case.join("published-before").exists() {
            writeln!(faults, "something was published").unwrap();
        }
        return faults;
    }
    for entry in std::fs::read_dir(expected).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let found = std::fs::read_to_string(latest.join(name)).unwrap_or_default();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            if !found.lines().any(|other| other.trim_end_matches('\r') == line) {
                writeln!(faults, "{name:?} lacks the line\n  {line}\nit has\n{found}").unwrap();
            }
        }
    }
    faults
}

#[test]
fn every_mistake_ends_with_its_documented_code_and_message() {
    let catalogue = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/errors"));
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&catalogue).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 30, "the catalogue has shrunk to {}", cases.len());
    let mut failures = String::new();
    for case in cases {
        let world = tempfile::tempdir().unwrap();
        let found = outcome(&case, world.path());
        let file = case.join("expected.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if expected.trim_end() != found.trim_end() {
            writeln!(failures, "{}\n--- expected\n{expected}\n--- found\n{found}", case.display()).unwrap();
        }
        let faults = published_faults(&case, world.path());
        if !faults.is_empty() {
            writeln!(failures, "{}\n{faults}", case.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
