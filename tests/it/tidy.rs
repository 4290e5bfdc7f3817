//! The shape of the source tree, kept by a test: who may import whom, and what stands nowhere.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

fn room(name: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let folder = root().join("src").join(name);
    sources(&folder, &mut found);
    assert!(!found.is_empty(), "room {name} is empty");
    found.sort();
    found.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The part of a file that is not test code.
fn code(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap()
}

fn is_test(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests" || stem == "testing")
}

#[test]
fn rooms_import_only_what_they_may() {
    // Room, and what its code must not name (house rule: the table in the crate documentation).
    let forbidden: [(&str, &[&str]); 6] = [
        (
            "domain",
            &[
                "crate::adapters",
                "crate::edge",
                "crate::stages",
                "crate::report",
                "crate::job",
                "crate::run",
                "polars",
                "sqlx",
                "rusqlite",
                "std::fs",
                "std::net",
                "Utc::now",
                "serde_json",
                "csv::",
            ],
        ),
        (
            "adapters",
            &[
                "crate::edge",
                "crate::stages",
                "crate::report",
                "crate::job",
                "crate::run",
                "polars",
                "sqlx",
                "rusqlite",
                "tokio",
                "std::fs",
                "std::env",
                "std::net",
                "Utc::now",
                "SystemTime",
            ],
        ),
        (
            "ledgers",
            &[
                "crate::adapters",
                "crate::edge",
                "crate::stages",
                "crate::report",
                "crate::job",
                "crate::run",
                "polars",
                "sqlx",
                "rusqlite",
                "tokio",
                "csv::",
                "std::fs",
                "std::env",
                "std::net",
                "Utc::now",
            ],
        ),
        (
            "stages",
            &[
                "crate::adapters",
                "crate::edge",
                "crate::report",
                "crate::job",
                "crate::run",
                "sqlx",
                "rusqlite",
                "tokio",
                "async fn",
                "std::fs",
                "std::env",
                "Utc::now",
            ],
        ),
        (
            "report",
            &[
                "crate::adapters",
                "crate::edge",
                "crate::job",
                "crate::run",
                "polars",
                "sqlx",
                "rusqlite",
                "tokio",
                "std::fs",
                "Utc::now",
            ],
        ),
        (
            "job",
            &[
                "crate::edge",
                "crate::stages",
                "crate::report",
                "crate::run",
                "polars",
                "sqlx",
                "rusqlite",
                "tokio",
                "std::fs",
                "Utc::now",
            ],
        ),
    ];
    let mut faults = Vec::new();
    for (name, words) in forbidden {
        for (path, text) in room(name).iter().filter(|(path, _)| !is_test(path)) {
            for word in words.iter().filter(|word| code(text).contains(**word)) {
                faults.push(format!("{} names {word}", path.display()));
            }
        }
    }
    for (path, text) in room("edge") {
        for word in ["crate::stages", "crate::report", "crate::run"] {
            if code(&text).contains(word) {
                faults.push(format!("{} names {word}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn no_binary_float_in_the_rooms_that_hold_money() {
    let mut faults = Vec::new();
    for name in ["domain", "adapters", "ledgers", "stages", "report", "job"] {
        for (path, text) in room(name) {
            for (number, line) in code(&text).lines().enumerate() {
                let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                if words.into_iter().any(|word| word == "f64" || word == "f32") && !line.trim_start().starts_with("//") {
                    faults.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn only_the_clock_reads_the_clock() {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    for path in found.iter().filter(|path| !path.ends_with("edge/clock.rs") && !is_test(path)) {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(!code(&text).contains("Utc::now"), "{} reads the clock", path.display());
    }
}

#[test]
fn every_adapter_is_listed_and_has_fixtures_and_prices() {
    let list = std::fs::read_to_string(root().join("src/adapters/mod.rs")).unwrap();
    let names: Vec<&str> = tieout::adapters::ADAPTERS.iter().map(|adapter| adapter.name()).collect();
    assert!(names.is_sorted(), "adapters stand in the order of their names: {names:?}");
    for entry in std::fs::read_dir(root().join("src/adapters")).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_string();
        if !["mod", "balance", "fields", "columns", "request", "schema"].contains(&stem.as_str()) {
            assert!(list.contains(&format!("mod {stem};")), "{stem} is not declared");
            assert!(names.contains(&stem.as_str()), "{stem} is not listed");
        }
    }
    for name in names {
        assert!(root().join("fixtures").join(name).join("README.md").is_file(), "{name} has no fixtures");
        let book = root().join("jobs/prices").join(format!("{name}.toml"));
        let text = std::fs::read_to_string(&book).unwrap_or_else(|_| panic!("{name} has no price book"));
        let parsed = tieout::job::prices::parse(&book.display().to_string(), &text);
        assert_eq!(parsed.map(|book| book.provider).map_err(|fault| fault.to_string()), Ok(name.to_string()));
    }
}

#[test]
fn nothing_is_left_unfinished() {
    let mut found = Vec::new();
    sources(&root().join("src"), &mut found);
    // Spelled in two halves, or this file would find itself.
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimple", "mented!"), concat!("to", "do!")];
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        for mark in marks {
            assert!(!text.contains(mark), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn every_ledger_kind_has_fixtures_and_a_page() {
    let page = std::fs::read_to_string(root().join("docs/ledgers.md")).unwrap();
    for kind in tieout::ledgers::KINDS {
        assert!(root().join("fixtures/ledgers").join(kind.name).join("README.md").is_file(), "{kind:?} has no fixtures");
        assert!(page.contains(&format!("\n## {}\n", kind.name)), "{kind:?} is not explained");
    }
}
