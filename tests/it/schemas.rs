//! What is new on the pages under fixtures/<provider>/, as fixtures/schemas/<provider>.txt has it: one line for each
//! page with something that its `fields.txt` does not know. BLESS=1 rewrites it; the difference is then reviewed.

use crate::adapters::pages;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use tieout::adapters::schema::Schemas;
use tieout::adapters::{ADAPTERS, Adapter, Measures, Page};
use tieout::domain::schema::{Change, Schema};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

/// The schemas of one page; none for a page that is no report, or that is refused.
fn schemas(adapter: &dyn Adapter, path: &Path) -> Vec<Schema> {
    let bytes = std::fs::read(path).unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let page = Page { file, bytes: &bytes, group_by: &[] };
    let mut schemas = Schemas::default();
    if let Some(report) = adapter.identify(&page).filter(|_| adapter.parse(&page, &mut |_| {}).is_ok()) {
        schemas.page(adapter, report, &bytes);
    }
    schemas.finish()
}

fn lines(file: &str, schemas: &[Schema]) -> String {
    let mut lines = String::new();
    for notice in schemas.iter().flat_map(|schema| &schema.notices) {
        let what = match &notice.what {
            Change::New => "new".to_string(),
            Change::Kind { found, expected } => {
                format!("{} for {}", found.name(), expected.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" or "))
            }
        };
        writeln!(lines, "{file}: {}: {what}", notice.field).unwrap();
    }
    lines
}

#[test]
fn what_is_new_on_a_page_is_named_and_nothing_else() {
    let mut failures = String::new();
    for adapter in ADAPTERS {
        let mut found = String::new();
        for path in pages(&folder().join(adapter.name())) {
            found.push_str(&lines(path.file_name().unwrap().to_str().unwrap(), &schemas(*adapter, &path)));
        }
        let golden = folder().join("schemas").join(format!("{}.txt", adapter.name()));
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all(golden.parent().unwrap()).unwrap();
            std::fs::write(&golden, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        if expected != found {
            writeln!(failures, "{}\n--- expected\n{expected}--- found\n{found}", golden.display()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Every report with figures stands in its provider's list, and the list has no other.
#[test]
fn every_report_has_its_fields() {
    for adapter in ADAPTERS {
        let listed = adapter.fields().lines().filter(|line| !line.starts_with([' ', '#']) && !line.is_empty());
        let listed: Vec<&str> = listed.flat_map(|line| line.split(" @ ").next().unwrap().split(' ')).collect();
        for report in adapter.reports().iter().filter(|report| report.measures != Measures::Names) {
            assert!(listed.contains(&report.name), "{} {} is not listed", adapter.name(), report.name);
        }
        let known = |name: &str| adapter.reports().iter().any(|report| report.name == name);
        assert!(listed.iter().all(|name| known(name)), "{}: {listed:?}", adapter.name());
        for line in adapter.fields().lines().filter(|line| line.starts_with("  ") && !line.starts_with("  | ")) {
            let kinds: Vec<&str> = line.split(' ').skip(3).collect();
            let sound = |kind: &&str| ["text", "number", "flag", "object", "any", "name"].contains(kind);
            assert!(!kinds.is_empty() && kinds.iter().all(sound), "{}: {line:?}", adapter.name());
        }
    }
}

/// The demo's pages have nothing but what is known: the README shows its summary.
#[test]
fn the_demo_has_no_news() {
    for adapter in ADAPTERS {
        let folder = folder().join("demo").join(adapter.name());
        if folder.is_dir() {
            for path in pages(&folder) {
                assert_eq!(lines(&path.display().to_string(), &schemas(*adapter, &path)), "");
            }
        }
    }
}
