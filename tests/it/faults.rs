//! The HTTP and data rows of the fault table (reliability.md section 5), against the real binary: exit code alone
//! and beside a healthy provider, message, number and time of requests; the old report stands, and the next
//! clean run gives the same bytes as if nothing had happened.

mod content;
mod guards;
mod limits;
mod names;
mod secrets;
mod status;
pub mod world;

use crate::fault_server::{Answer, Seen, answer};
use std::time::Duration;
use world::World;

/// One way in which a provider may fail.
pub struct Case {
    pub name: &'static str,
    /// What it answers from now on; the last one for ever.
    pub answers: Vec<Answer>,
    /// The exit code where it is the job's only provider.
    pub code: i32,
    /// In the last line on stderr.
    pub says: &'static str,
    /// How often it is asked.
    pub requests: usize,
}

/// The whole course of one case.
pub fn check(case: &Case) {
    alone(case);
    beside_a_healthy_one(case);
}

fn alone(case: &Case) {
    let name = case.name;
    let world = World::new(&["openai"], "");
    let first = world.run(&[]);
    assert_eq!(first.code, 0, "{name}: {}", first.err);
    let before = world.reports();
    world.server.forget();
    world.fail("/v1/organization/costs", case.answers.clone());
    let ran = world.run(&[]);
    assert_eq!(ran.code, case.code, "{name}: {}", ran.err);
    let last = ran.err.lines().last().unwrap();
    assert!(last.starts_with("error[") && last.contains(case.says), "{name}: {}", ran.err);
    assert!(last.contains(" openai/costs: ") && last.ends_with("; published nothing; latest is 2026-11-18.r1"), "{name}: {last}");
    assert_eq!(world.server.seen().len(), case.requests, "{name}: {}", ran.err);
    assert_eq!((world.reports(), world.runs()), (before, vec!["2026-11-18.r1".to_string()]), "{name}");
}

fn beside_a_healthy_one(case: &Case) {
    let name = case.name;
    let world = World::new(&["openai", "anthropic"], "");
    world.fail("/v1/organization/costs", case.answers.clone());
    let ran = world.run(&[]);
    assert_eq!(ran.code, 10, "{name}: {}", ran.err);
    assert!(ran.err.contains("warning: openai/costs: ") && ran.err.contains(case.says), "{name}: {}", ran.err);
    let coverage = world.report("coverage.csv");
    let of = |provider: &str, status: &str| {
        coverage.lines().filter(|line| line.contains(provider) && line.contains(&format!("\"{status}\""))).count()
    };
    assert_eq!((of("openai", "missing"), of("anthropic", "complete")), (3, 3), "{name}: {coverage}");
    world.heal();
    let healed = world.run(&[]);
    assert_eq!(healed.code, 0, "{name}: {}", healed.err);
    let clean = World::new(&["openai", "anthropic"], "");
    assert_eq!(clean.run(&[]).code, 0);
    // What of the other provider was said while one was down is what is said always.
    let rows = |text: String| text.lines().filter(|line| line.contains("anthropic")).map(str::to_string).collect::<Vec<_>>();
    assert_eq!(rows(coverage), rows(clean.report("coverage.csv")), "{name}");
    assert!(world.reports() == clean.reports(), "{name}: other bytes after the fault");
}

fn plain(status: u16) -> Answer {
    answer(status, &[("content-type", "application/json")], b"{\"error\":{\"message\":\"no\"}}")
}

/// The times between one request and the next.
fn gaps(seen: &[Seen]) -> Vec<Duration> {
    seen.windows(2).map(|pair| pair[1].at - pair[0].at).collect()
}
