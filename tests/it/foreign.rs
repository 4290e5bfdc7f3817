//! Ledgers of other systems: what stands in their rows, in our columns, with every known fault named.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use tieout::adapters::ADAPTERS;
use tieout::domain::ledger::LedgerLine;
use tieout::domain::ledger_findings::{Finding, Note};
use tieout::domain::money::Amount;
use tieout::domain::period::{Days, parse_day};
use tieout::edge::ledger;
use tieout::job::{self, LedgerSource};

const KINDS: [&str; 5] = ["bifrost", "helicone", "langfuse", "litellm", "newapi"];

pub fn fixtures(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/ledgers").join(kind)
}

fn september() -> Days {
    Days { from: parse_day("2026-09-01").unwrap(), to: parse_day("2026-10-01").unwrap() }
}

/// The ledger that a `[[ledger]]` section of that kind with `place` describes, with what stands in the
/// kind's `ledger.toml`.
pub fn source(kind: &str, place: &str) -> LedgerSource {
    source_with(kind, place, &fs::read_to_string(fixtures(kind).join("ledger.toml")).unwrap())
}

pub fn source_with(kind: &str, place: &str, settings: &str) -> LedgerSource {
    let text = format!(
        "name = \"t\"\noutput = \"/out\"\nstate = \"/state\"\n[[ledger]]\nname = \"{kind}\"\nkind = \"{kind}\"\n{place}\n{settings}\n\
         [[source]]\nprovider = \"openai\"\naccount = \"a\"\n[[source.pull]]\nfiles = [\"x\"]\n"
    );
    job::parse(Path::new("/job.toml"), &text, ADAPTERS).unwrap().ledgers.remove(0)
}

/// The section's line for a file.
pub fn file(path: &Path) -> String {
    format!("files = [\"{}\"]", path.display())
}

/// Every row that is handed on, one to a line. Rows without `numbers` can be compared across sources.
pub fn dump(source: &LedgerSource, numbers: bool) -> String {
    let mut lines = Vec::new();
    ledger::read(source, september(), &mut |line| lines.push(shown(&line, numbers))).unwrap();
    if !numbers {
        lines.sort();
    }
    lines.concat()
}

fn shown(line: &LedgerLine<'_>, numbers: bool) -> String {
    let mut out = String::new();
    let number = |row: u32| if numbers { format!("{row} ") } else { String::new() };
    match line {
        LedgerLine::Entry(e) => {
            let text = |out: &mut String, name: &str, value: Option<&str>| {
                if let Some(value) = value {
                    write!(out, " {name}={value}").unwrap();
                }
            };
            let amount = |out: &mut String, name: &str, value: Option<Amount>| {
                text(out, name, value.map(|value| value.to_string()).as_deref());
            };
            write!(out, "{}{}#{} {}", number(e.row), e.request_id, e.attempt, e.started_at.format("%FT%T%.3f")).unwrap();
            write!(out, " {}/{} {}", e.provider, e.model, e.status.name()).unwrap();
            text(&mut out, "provider_id", e.provider_request_id);
            text(&mut out, "account", e.account);
            text(&mut out, "key", e.api_key_id);
            text(&mut out, "team", e.team);
            text(&mut out, "user", e.user_id);
            text(&mut out, "feature", e.feature);
            text(&mut out, "client", e.client);
            text(&mut out, "funding", e.funding.map(|funding| funding.name()));
            text(&mut out, "tier", e.service_tier);
            text(&mut out, "batch", e.batch.map(|batch| if batch { "true" } else { "false" }));
            for (meter, quantity) in e.meters {
                write!(out, " {meter}={quantity}").unwrap();
            }
            amount(&mut out, "reasoning", e.reasoning_tokens);
            amount(&mut out, "charged", e.credits_charged);
            text(&mut out, "unit", e.credit_unit);
            amount(&mut out, "cost", e.expected_cost);
            for note in e.notes {
                write!(out, " [{}]", noted(note)).unwrap();
            }
        }
        LedgerLine::Quarantined(row) => {
            let day = row.day.map_or("-".to_string(), |day| day.to_string());
            write!(out, "{}set aside {day}: {}", number(row.row), row.reason).unwrap();
        }
        LedgerLine::LeftOut(row) => write!(out, "left out {} {} [{}]", row.day, row.request_id, noted(&row.note)).unwrap(),
    }
    out.push('\n');
    out
}

fn noted(note: &Note) -> String {
    if note.amount.is_zero() { note.finding.name().to_string() } else { format!("{} {}", note.finding.name(), note.amount) }
}

pub fn compare(golden: &Path, found: &str) {
    if std::env::var_os("BLESS").is_some() {
        fs::write(golden, found).unwrap();
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    assert_eq!(found, expected, "{}", golden.display());
}

#[test]
fn rows_come_out_in_our_columns_with_their_faults_named() {
    let mut cases = 0;
    for kind in KINDS {
        let mut files: Vec<PathBuf> = fs::read_dir(fixtures(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files {
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "ledger.toml" || name.ends_with(".rows.txt") || name.ends_with(".sql") || name == "README.md" {
                continue;
            }
            cases += 1;
            let golden = path.with_file_name(format!("{name}.rows.txt"));
            compare(&golden, &dump(&source(kind, &file(&path)), true));
        }
    }
    assert!(cases >= 12, "{cases}");
}

#[test]
fn the_form_of_the_file_changes_nothing() {
    for (kind, files) in [
        ("litellm", &["sample.jsonl", "copy.csv", "object-storage.jsonl.gz"][..]),
        ("helicone", &["sample.jsonl", "document.json", "clickhouse.csv"]),
        ("langfuse", &["sample.jsonl", "trace.json"]),
    ] {
        let rows: Vec<String> = files.iter().map(|name| dump(&source(kind, &file(&fixtures(kind).join(name))), false)).collect();
        assert_eq!(rows[0].lines().count(), 3);
        for (other, name) in rows.iter().zip(files) {
            assert_eq!(*other, rows[0], "{kind}/{name}");
        }
    }
}

/// Every finding that a row can show is shown by some row of the fixtures.
#[test]
fn every_finding_has_a_row_that_shows_it() {
    let mut all = String::new();
    for kind in KINDS {
        for entry in fs::read_dir(fixtures(kind)).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().ends_with(".rows.txt") {
                all += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let shown =
        |finding: &Finding| all.contains(&format!("[{}]", finding.name())) || all.contains(&format!("[{} ", finding.name()));
    // Two ledgers at once show the one, see the scenario of a gateway and an application, and local times the other.
    let elsewhere = [Finding::InAnotherLedger, Finding::AmbiguousTime];
    let missing: Vec<&str> =
        Finding::ALL.iter().filter(|f| !elsewhere.contains(f) && !shown(f)).map(|finding| finding.name()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
