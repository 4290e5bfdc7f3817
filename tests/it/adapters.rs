//! Every page under fixtures/<provider>/ beside the lines that its adapter reads from it.
//!
//! `page.json` has its expected reading in `page.json.lines.csv`; a page that must be refused has its
//! message in `page.json.error.txt`. `page.json.group_by` (names, one a line) says what a page was
//! grouped by. BLESS=1 rewrites the expectations; the difference is then reviewed.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use tieout::adapters::{ADAPTERS, Adapter, Measures, Page};
use tieout::domain::usage::{Charge, Line};

fn text(value: Option<&str>) -> String {
    value.map(|text| format!("{text:?}")).unwrap_or_default()
}

fn shown<T: std::fmt::Debug>(value: Option<T>) -> String {
    value.map(|value| format!("{value:?}")).unwrap_or_default()
}

/// One line of a golden file: only the fields that are there.
fn charge_line(charge: &Charge<'_>) -> String {
    let mut line = format!("{},charge,{},{}", charge.row, charge.start.format("%FT%TZ"), charge.end.format("%FT%TZ"));
    let fields = [
        ("account", text(charge.account)),
        ("sub_account", text(charge.sub_account)),
        ("key", text(charge.api_key_id)),
        ("label", text(charge.label)),
        ("model", text(charge.model)),
        ("tier", text(charge.service_tier)),
        ("batch", shown(charge.batch)),
        ("sku", text(charge.sku)),
        ("meter", text(charge.meter)),
        ("quantity", shown(charge.quantity)),
        ("requests", shown(charge.requests)),
        ("cost", shown(charge.cost)),
        ("list_cost", shown(charge.list_cost)),
        ("residue", if charge.residue == 0 { String::new() } else { charge.residue.to_string() }),
        ("request_id", text(charge.request_id)),
    ];
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        write!(line, ",{name}={value}").unwrap();
    }
    write!(line, ",{},{},{},{:?}", charge.currency, charge.category.name(), charge.basis.name(), charge.precision).unwrap();
    line
}

/// What the adapter makes of a page, one line each; Err is the page's fault.
fn read(adapter: &dyn Adapter, path: &Path) -> Result<String, String> {
    let bytes = std::fs::read(path).unwrap();
    let file = path.file_name().unwrap().to_str().unwrap();
    let group_by: Vec<String> = std::fs::read_to_string(path.with_file_name(format!("{file}.group_by")))
        .map(|names| names.lines().map(str::to_string).collect())
        .unwrap_or_default();
    let page = Page { file, bytes: &bytes, group_by: &group_by };
    let report = adapter.identify(&page).map_or("none", |report| report.name);
    let mut lines = format!("report {report}\n");
    let result = adapter.parse(&page, &mut |line| {
        let shown = match &line {
            Line::Charge(charge) => charge_line(charge),
            Line::Quarantined(row) => format!(
                "{},quarantined,{},{:?},{}{}",
                row.row,
                shown(row.day),
                row.reason,
                shown(row.amount),
                row.currency.map(|currency| format!(" {currency}")).unwrap_or_default()
            ),
            Line::Nothing { row, day } => format!("{row},nothing,{day}"),
            Line::Covers(days) => format!("covers,{},{}", days.from, days.to),
        };
        writeln!(lines, "{shown}").unwrap();
    });
    // A list has no lines but what it lists.
    let listed = adapter.identify(&page).map(|report| report.measures).filter(|measures| measures.is_list());
    let result = result.and_then(|()| {
        if listed == Some(Measures::Names) {
            for named in adapter.names(&page)? {
                writeln!(lines, "name,{},{:?},{:?}", named.kind.name(), named.id, named.name).unwrap();
            }
        }
        if listed == Some(Measures::Prices) {
            for quoted in adapter.prices(&page)? {
                writeln!(lines, "price,{:?},{},{},{}", quoted.model, quoted.meter, quoted.price, quoted.currency).unwrap();
            }
        }
        Ok(())
    });
    match result {
        Ok(()) => Ok(lines),
        Err(bad) => Err(format!("report {report}\n{}\nhint: {}\n", bad.what, bad.hint)),
    }
}

fn is_expectation(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_str().unwrap();
    name == "README.md" || [".lines.csv", ".error.txt", ".group_by"].iter().any(|end| name.ends_with(end))
}

/// The pages of a folder, in the order of their names.
pub fn pages(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths.filter(|path| path.is_file() && !is_expectation(path)).collect();
    paths.sort();
    paths
}

/// Holds every page of a folder to its golden: how many there are, and what differs.
pub fn pages_against_goldens(adapter: &dyn Adapter, folder: &Path) -> (usize, String) {
    let mut failures = String::new();
    let paths = pages(folder);
    for path in &paths {
        let (end, other, found) = match read(adapter, path) {
            Ok(lines) => (".lines.csv", ".error.txt", lines),
            Err(message) => (".error.txt", ".lines.csv", message),
        };
        let beside = |end: &str| PathBuf::from(format!("{}{end}", path.display()));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(beside(end), &found).unwrap();
            let _ = std::fs::remove_file(beside(other));
        }
        let expected = std::fs::read_to_string(beside(end)).unwrap_or_default();
        if expected != found {
            writeln!(failures, "{}\n--- expected\n{expected}--- found\n{found}", path.display()).unwrap();
        }
    }
    (paths.len(), failures)
}

#[test]
fn every_page_reads_as_its_golden_says() {
    let mut failures = String::new();
    for adapter in ADAPTERS {
        let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures")).join(adapter.name());
        let (pages, differences) = pages_against_goldens(*adapter, &folder);
        assert!(pages > 0, "{} has no fixtures", adapter.name());
        failures.push_str(&differences);
    }
    assert!(failures.is_empty(), "{failures}");
}
