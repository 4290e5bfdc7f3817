//! What the documents point to is there.

use std::path::{Path, PathBuf};

const PAGES: [&str; 8] = [
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
