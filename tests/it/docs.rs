//! What the documents point to is there.

use std::path::{Path, PathBuf};

const PAGES: [&str; 10] = [
    "docs/alerts.md",
    "docs/faults.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/guarantees.md",
    "docs/decisions.md",
    "docs/ledgers.md",
    "jobs/README.md",
    "docs/plans.md",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for page in PAGES {
        let text = read(page);
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            links += 1;
            let folder = Path::new(page).parent().unwrap();
            assert!(root().join(folder).join(target).exists(), "{page} links to {link}");
        }
    }
    assert!(links > 5, "{links}");
}

/// Tests that a line names: `file.rs`: `name`, `name`; `other.rs`: `name`.
fn named(line: &str) -> Vec<(PathBuf, String)> {
    let (mut file, mut tests) = (PathBuf::new(), Vec::new());
    for quoted in line.split('`').skip(1).step_by(2) {
        if quoted.ends_with(".rs") {
            let inside = Path::new("tests/it").join(quoted);
            file = if root().join(&inside).is_file() { inside } else { quoted.into() };
        } else {
            tests.push((file.clone(), quoted.to_string()));
        }
    }
    tests
}

#[test]
fn pages_name_tests_that_exist() {
    for (page, least) in [("docs/guarantees.md", 50), ("docs/faults.md", 50)] {
        let text = read(page);
        let of_line = |line: &str| match line.strip_prefix("| ") {
            Some(row) => row.rsplit(" | ").next().map(named).unwrap_or_default(),
            None if line.trim_start().starts_with("- `") => named(line),
            None => Vec::new(),
        };
        let tests: Vec<(PathBuf, String)> = text.lines().flat_map(of_line).collect();
        for (file, name) in &tests {
            let file = file.to_str().unwrap();
            assert!(root().join(file).is_file(), "{page}: {file} is not there");
            assert!(read(file).contains(&format!("fn {name}(")), "{page}: {file} has no test {name}");
        }
        assert!(tests.len() > least, "{page} names {}", tests.len());
    }
}

/// No test of the providers' faults is forgotten in the table.
#[test]
fn every_test_of_a_fault_stands_in_the_table() {
    let page = read("docs/faults.md");
    let beside = ["fetched_pages_read_as_the_same_pages_from_disk", "child"];
    for file in ["books", "content", "fields", "limits", "panics", "status", "times"] {
        let text = read(&format!("tests/it/faults/{file}.rs"));
        for test in text.split("#[test]").skip(1) {
            let name = test.split("fn ").nth(1).and_then(|rest| rest.split('(').next()).unwrap();
            assert!(beside.contains(&name) || page.contains(&format!("`{name}`")), "{file}.rs: {name} is not in docs/faults.md");
        }
    }
}

/// The exit codes that units and manifests never try again are those that reliability.md section 2 does not let be
/// tried again, and what is published all the same.
#[test]
fn units_and_manifests_retry_what_may_pass_and_nothing_else() {
    let published_or_final = "2 10 11 12 65 70 72 73 76 77 78";
    for unit in ["tieout-nightly", "tieout-watch"] {
        let service = read(&format!("jobs/systemd/{unit}.service"));
        assert!(service.contains(&format!("\nRestartPreventExitStatus={published_or_final}\n")), "{unit}");
        assert!(service.contains("\nRestart=on-failure\n") && service.contains("\nType=oneshot\n"), "{unit}");
        assert!(read(&format!("jobs/systemd/{unit}.timer")).contains("\nOnCalendar="), "{unit}");
    }
    assert!(read("jobs/systemd/tieout-nightly.timer").contains("\nPersistent=true\n"));
    let jobs = read("jobs/kubernetes/cronjobs.yaml");
    let list = format!("values: [{}]", published_or_final.replace(' ', ", "));
    for (line, times) in
        [(list.as_str(), 2), ("concurrencyPolicy: Forbid", 2), ("restartPolicy: Never", 2), ("startingDeadlineSeconds: ", 2)]
    {
        assert_eq!(jobs.matches(line).count(), times, "{line}");
    }
}

/// What is shipped to be copied is read without a fault.
#[test]
fn the_watch_job_is_in_order() {
    let file = root().join("jobs/watch.toml");
    let job = tieout::job::parse(&file, &read("jobs/watch.toml"), tieout::adapters::ADAPTERS).unwrap();
    assert_eq!((job.kind, job.alerts.channels.len()), (tieout::job::Kind::Watch, 1));
    // With every comment sign before a key taken out it is still in order.
    let text = read("jobs/watch.toml");
    let all = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(key) if key.contains(" = ") || key.starts_with('[') => key.to_string(),
        _ => line.to_string(),
    });
    let all = all.collect::<Vec<_>>().join("\n");
    let job = tieout::job::parse(&file, &all, tieout::adapters::ADAPTERS).unwrap();
    assert_eq!((job.sources.len(), job.alerts.channels.len(), job.alerts.dead_man.is_some()), (2, 4, true));
}

/// Every finding that a row can show is explained, by its name.
#[test]
fn every_ledger_finding_is_in_the_documentation() {
    let text = read("docs/ledgers.md");
    let missing: Vec<&str> = tieout::domain::ledger_findings::Finding::ALL
        .iter()
        .map(|finding| finding.name())
        .filter(|name| !text.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
