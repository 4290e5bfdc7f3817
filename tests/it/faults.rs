//! The HTTP and data rows of the fault table (reliability.md section 5), against the real binary: exit code alone
//! and beside a healthy provider, message, number and time of requests; the old report stands, and the next
//! clean run gives the same bytes as if nothing had happened.

mod books;
mod content;
mod fields;
mod guards;
mod limits;
mod names;
mod panics;
mod secrets;
mod status;
mod times;
pub mod world;

use crate::fault_server::{Answer, Seen, answer};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;
use world::World;

/// Published files by name.
type Reports = BTreeMap<String, Vec<u8>>;

/// One way in which a provider may fail.
pub struct Case {
    pub name: &'static str,
    /// What it answers from now on; the last one for ever.
    pub answers: Vec<Answer>,
    /// Further lines of the job's `[limits]`.
    pub limits: &'static str,
    /// The exit code where it is the job's only provider.
    pub code: i32,
    /// In the last line on stderr.
    pub says: &'static str,
    /// How often it is asked.
    pub requests: usize,
}

impl Case {
    /// A provider's answer that breaks its contract, asked for once.
    pub fn new(name: &'static str, answers: Vec<Answer>, says: &'static str) -> Case {
        Case { name, answers, limits: "", code: 76, says, requests: 1 }
    }
}

/// The whole course of one case.
pub fn check(case: &Case) {
    alone(case);
    beside_a_healthy_one(case);
}

/// A world whose provider is asked for a second page at once: what paging waits is another test's matter.
fn hasty(providers: &[&str], limits: &str) -> World {
    let world = World::new(providers, limits);
    world.change_job("settings = {", "pause_ms = 10\nsettings = {");
    world
}

fn alone(case: &Case) {
    let name = case.name;
    let world = hasty(&["openai"], case.limits);
    let first = world.run(&[]);
    assert_eq!(first.code, 0, "{name}: {}", first.err);
    let before = world.reports();
    world.server.forget();
    world.fail("/v1/organization/costs", case.answers.clone());
    let ran = world.run(&["--json"]);
    assert_eq!(ran.code, case.code, "{name}: {}", ran.err);
    let last = ran.err.lines().last().unwrap();
    assert!(last.starts_with("error[") && last.contains(case.says), "{name}: {}", ran.err);
    assert!(last.contains(" openai/costs: ") && last.ends_with("; published nothing; latest is 2026-11-18.r1"), "{name}: {last}");
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&told["code"], &told["published"]), (&case.code.into(), &serde_json::Value::Null), "{name}: {told}");
    let seen = world.server.seen();
    assert_eq!(seen.len(), case.requests, "{name}: {}", ran.err);
    if case.requests > 1 && last.contains(&format!("tried {} times", case.requests)) {
        waited(name, &seen, &told);
    }
    assert_eq!((world.reports(), world.runs()), (before, vec!["2026-11-18.r1".to_string()]), "{name}");
}

/// No try came before its wait was over: full jitter, drawn from the run's id, up to a ceiling that doubles with each
/// try. `told` is what `--json` printed.
fn waited(name: &str, seen: &[Seen], told: &serde_json::Value) {
    for (number, gap) in gaps(seen).into_iter().enumerate() {
        let wait = drawn(told["run_id"].as_str().unwrap(), number as u32 + 1, world::BACKOFF_MS, world::BACKOFF_MAX_MS);
        assert!(gap >= wait, "{name}: {gap:?} before try {}, not {wait:?}", number + 2);
        assert!(gap < wait + Duration::from_secs(5), "{name}: {gap:?} before try {}, far more than {wait:?}", number + 2);
    }
}

/// The wait after so many tries, computed here once more.
fn drawn(run_id: &str, tried: u32, first_ms: u64, longest_ms: u64) -> Duration {
    let ceiling = (first_ms << (tried - 1)).min(longest_ms);
    let digest = Sha256::digest(format!("{run_id} openai {tried}"));
    let draw = u32::from_be_bytes(digest[..4].try_into().unwrap());
    Duration::from_nanos(ceiling * 1_000_000 * u64::from(draw) / u64::from(u32::MAX))
}

fn beside_a_healthy_one(case: &Case) {
    let name = case.name;
    let world = hasty(&["openai", "anthropic"], case.limits);
    world.fail("/v1/organization/costs", case.answers.clone());
    let ran = world.run(&[]);
    assert_eq!(ran.code, 10, "{name}: {}", ran.err);
    assert!(ran.err.contains("warning: openai/costs: ") && ran.err.contains(case.says), "{name}: {}", ran.err);
    let coverage = world.report("coverage.csv");
    let of = |provider: &str, status: &str| {
        coverage.lines().filter(|line| line.contains(provider) && line.contains(&format!("\"{status}\""))).count()
    };
    assert_eq!((of("openai", "missing"), of("anthropic", "complete")), (3, 3), "{name}: {coverage}");
    // What of the other provider was said while one was down is what is said always.
    let partial = world.reports();
    for file in ["attribution.csv", "coverage.csv", "reconciliation.csv"] {
        let rows = of_the_healthy(&partial, file);
        assert!(rows.len() == 3 && rows == of_the_healthy(clean(), file), "{name}: {file}: {rows:?}");
    }
    world.heal();
    let healed = world.run(&[]);
    assert_eq!(healed.code, 0, "{name}: {}", healed.err);
    assert!(world.reports() == *clean(), "{name}: other bytes after the fault");
}

/// The rows about the healthy provider.
fn of_the_healthy(reports: &Reports, file: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(&reports[file]);
    text.lines().filter(|line| line.contains("anthropic")).map(str::to_string).collect()
}

/// What is published where nothing has ever failed.
fn clean() -> &'static Reports {
    static CLEAN: OnceLock<Reports> = OnceLock::new();
    CLEAN.get_or_init(|| {
        let world = World::new(&["openai", "anthropic"], "");
        assert_eq!(world.run(&[]).code, 0);
        world.reports()
    })
}

fn plain(status: u16) -> Answer {
    answer(status, &[("content-type", "application/json")], b"{\"error\":{\"message\":\"no\"}}")
}

/// The times between one request and the next.
fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}
