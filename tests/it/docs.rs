//! What the documents point to is there.

use std::path::{Path, PathBuf};

const PAGES: [&str; 9] = [
    "docs/alerts.md",
    "docs/ledgers.md",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/guarantees.md",
    "docs/decisions.md",
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

/// `docs/guarantees.md` names a test as `file`: `name`.
#[test]
fn guarantees_name_tests_that_exist() {
    let text = read("docs/guarantees.md");
    let mut tests = 0;
    for line in text.lines().filter(|line| line.trim_start().starts_with("- `")) {
        let quoted: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        let (file, names) = quoted.split_first().unwrap();
        assert!(root().join(file).is_file(), "{file} is not there");
        for name in names {
            tests += 1;
            assert!(read(file).contains(&format!("fn {name}(")), "{file} has no test {name}");
        }
    }
    assert!(tests > 10, "{tests}");
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
        Some(key) if key.contains(" = ") || key.starts_with("[[") => key.to_string(),
        _ => line.to_string(),
    });
    let all = all.collect::<Vec<_>>().join("\n");
    let job = tieout::job::parse(&file, &all, tieout::adapters::ADAPTERS).unwrap();
    assert_eq!((job.alerts.channels.len(), job.alerts.dead_man.is_some()), (4, true));
}
