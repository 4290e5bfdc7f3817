//! What the providers know: rows by provider, account, report and UTC day, as the demo's saved pages have them.

use super::day;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of one report of one account by UTC day, in the provider's own form.
pub type ByDay = BTreeMap<NaiveDate, Vec<Value>>;

#[derive(Clone, Default)]
pub struct World {
    shelves: BTreeMap<(String, String, String), ByDay>,
    /// The most that a page has, whatever is asked for: buckets or rows.
    pub page_size: usize,
}

impl World {
    /// The world of the demo. Days that two of its pages have are there once.
    pub fn demo() -> World {
        let mut world = World { page_size: 20, ..World::default() };
        for (account, prefix) in [("org-acme", "acme"), ("org-growth", "growth")] {
            for (report, name) in [("costs", "costs"), ("usage/completions", "completions")] {
                world.buckets("openai", account, report, &files(&format!("openai/{prefix}-{name}-*")), "start_time");
            }
        }
        world.buckets("anthropic", "acme", "cost_report", &files("anthropic/cost-*"), "starting_at");
        world.buckets("anthropic", "acme", "usage_report/messages", &files("anthropic/usage-*"), "starting_at");
        world.rows("openrouter", "acme", "activity", &files("openrouter/activity-*"), "data", "date");
        for path in files("openrouter/logs-*") {
            world.logs(&path);
        }
        for account in ["acme", "acme-studio"] {
            world.rows(
                "fal",
                account,
                "billing-events",
                &files(&format!("fal/{account}-events*")),
                "billing_events",
                "timestamp",
            );
        }
        world.buckets("fal", "acme-studio", "usage", &files("fal/acme-studio-usage*"), "bucket");
        for path in files("google/*.jsonl") {
            for line in text(&path).lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                let at = day(row["usage_start_time"].as_str().unwrap());
                world.shelf("google", "01AB23-CD45EF-678901", "rows").entry(at).or_default().push(row);
            }
        }
        for path in files("elevenlabs/*.json") {
            for row in page(&path)["rows"].as_array().unwrap() {
                let at = day(row[3].as_str().unwrap());
                world.shelf("elevenlabs", "acme", "rows").entry(at).or_default().push(row.clone());
            }
        }
        for path in files("mistral/usage-2026-??.json") {
            let page = page(&path);
            for group in ["input", "output"] {
                let model = &page["completion"]["models"]["mistral-small-latest::mistral-small-2603"];
                for row in model[group].as_array().unwrap() {
                    let at = day(row["timestamp"].as_str().unwrap());
                    world.shelf("mistral", "acme", "usage").entry(at).or_default().push(row.clone());
                }
            }
        }
        for path in files("heygen/*.json") {
            for row in page(&path)["data"].as_array().unwrap() {
                let at = super::day_of(row["created_at"].as_i64().unwrap());
                world.shelf("heygen", "acme", "videos").entry(at).or_default().push(row.clone());
            }
        }
        for path in files("groq/*.csv") {
            for row in table(&path) {
                let at = day(row["period_start"].as_str().unwrap());
                world.shelf("groq", "org_acme", "days").entry(at).or_default().push(row);
            }
        }
        world
    }

    /// The rows of a report, to be changed.
    pub fn shelf(&mut self, provider: &str, account: &str, report: &str) -> &mut ByDay {
        self.shelves.entry((provider.to_string(), account.to_string(), report.to_string())).or_default()
    }

    /// The rows of a day.
    pub fn of(&self, provider: &str, account: &str, report: &str, day: NaiveDate) -> Vec<Value> {
        let shelf = self.shelves.get(&(provider.to_string(), account.to_string(), report.to_string()));
        shelf.and_then(|shelf| shelf.get(&day)).cloned().unwrap_or_default()
    }

    /// All rows of the days from the first to before the last.
    pub fn between(&self, provider: &str, account: &str, report: &str, from: NaiveDate, to: NaiveDate) -> Vec<Value> {
        let days = from.iter_days().take_while(|day| *day < to);
        days.flat_map(|day| self.of(provider, account, report, day)).collect()
    }

    /// Pages of buckets: a later page's bucket stands.
    fn buckets(&mut self, provider: &str, account: &str, report: &str, paths: &[PathBuf], start: &str) {
        for path in paths {
            let page = page(path);
            let list = ["data", "time_series"].iter().find_map(|key| page[key].as_array()).unwrap();
            for bucket in list {
                let at = match &bucket[start] {
                    Value::Number(seconds) => super::day_of(seconds.as_i64().unwrap()),
                    text => day(text.as_str().unwrap()),
                };
                let rows = bucket["results"].as_array().unwrap().clone();
                self.shelf(provider, account, report).insert(at, rows);
            }
        }
    }

    /// Pages of rows: a row that two pages have is there once.
    fn rows(&mut self, provider: &str, account: &str, report: &str, paths: &[PathBuf], list: &str, time: &str) {
        for path in paths {
            for row in page(path)[list].as_array().unwrap() {
                let shelf = self.shelf(provider, account, report).entry(day(row[time].as_str().unwrap())).or_default();
                if !shelf.contains(row) {
                    shelf.push(row.clone());
                }
            }
        }
    }

    /// The log export, whose rows are single generations. A row that nobody can read is none.
    fn logs(&mut self, path: &Path) {
        for row in table(path) {
            let shelf = self.shelf("openrouter", "acme", "logs").entry(day(row["created_at"].as_str().unwrap())).or_default();
            if !shelf.contains(&row) {
                shelf.push(row);
            }
        }
    }
}

fn files(pattern: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/demo");
    let mut found: Vec<PathBuf> = glob::glob(root.join(pattern).to_str().unwrap()).unwrap().map(Result::unwrap).collect();
    found.sort();
    assert!(!found.is_empty(), "{pattern}");
    found
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn page(path: &Path) -> Value {
    serde_json::from_str(&text(path)).unwrap()
}

/// The rows of a CSV file that have as many fields as its header.
fn table(path: &Path) -> Vec<Value> {
    let text = text(path);
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let records = reader.records().map(Result::unwrap).filter(|record| record.len() == header.len());
    let row = |record: csv::StringRecord| {
        let pairs = header.iter().zip(record.iter()).map(|(name, cell)| (name.to_string(), json!(cell)));
        Value::Object(pairs.collect())
    };
    records.map(row).collect()
}
