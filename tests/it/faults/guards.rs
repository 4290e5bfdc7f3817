//! What is kept of a night, what replaces it, and what is held back (reliability.md section 3).

use super::plain;
use super::world::{DAYS, ROW, Row, World, openai_costs, openai_page};
use crate::fault_server::{answer, json};
use std::fs;

const COSTS: &str = "/v1/organization/costs";

fn with_first_day(rows: Vec<Row<'_>>) -> String {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    openai_page(&[(first, rows), (second, vec![ROW]), (third, vec![ROW])], None)
}

#[test]
fn a_restated_day_is_a_new_version_with_its_line() {
    let world = World::new(&["openai"], "");
    assert_eq!(world.run(&[]).code, 0);
    assert_eq!(world.report("restatements.csv").lines().count(), 1, "a first version restates nothing");
    world.fail(COSTS, vec![json(with_first_day(vec![("proj_a", "gpt-5.4, input", "3.25")]))]);
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.runs().len()), (0, 2), "{}", ran.err);
    let lines = world.report("restatements.csv");
    let expected = "2026-11-16,\"openai\",\"acme\",\"costs\",2026-11-18,2,1,1,\"USD\",2.5,3.25,0.75";
    assert_eq!(lines.lines().skip(1).map(str::trim_end).collect::<Vec<_>>(), [expected]);
    let drift = world.report("drift.csv");
    let header: Vec<&str> = drift.trim_start_matches('\u{feff}').lines().next().unwrap().trim_end().split(',').collect();
    let at = header.iter().position(|column| column.trim_matches('"') == "restated").unwrap();
    let row = drift.lines().nth(1).unwrap_or_else(|| panic!("{drift}"));
    assert!(at > 0 && row.contains("2026-11-16") && row.contains("true"), "{row}");
    // The same again is nothing new.
    let again = world.run(&[]);
    assert!(again.code == 0 && again.err.contains("nothing new: 2026-11-18.r2 stands"), "{}", again.err);
}

#[test]
fn a_day_that_shrank_is_held_until_it_is_seen_on_a_second_day() {
    let world = World::new(&["openai"], "");
    let other: Row<'_> = ("proj_b", "gpt-5.4, input", "1");
    let third: Row<'_> = ("proj_c", "gpt-5.4, input", "1");
    world.fail(COSTS, vec![json(with_first_day(vec![ROW, other, third]))]);
    assert_eq!(world.run(&[]).code, 0);
    let full = world.report("reconciliation.csv");
    world.fail(COSTS, vec![json(with_first_day(vec![ROW]))]);
    for _ in 0..2 {
        let ran = world.run(&[]);
        assert_eq!(ran.code, 10, "{}", ran.err);
        assert!(ran.err.contains("less than half of what it was"), "{}", ran.err);
        assert_eq!(world.report("reconciliation.csv"), full);
        let coverage = world.report("coverage.csv");
        assert_eq!(coverage.lines().filter(|line| line.contains("\"suspect\"")).count(), 1, "{coverage}");
    }
    let ran = world.run(&["--accept-shrink"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(world.report("reconciliation.csv") != full);
    assert!(
        world.report("restatements.csv").contains("2026-11-16,\"openai\",\"acme\",\"costs\",2026-11-18,2,3,1,\"USD\",4.5,2.5,-2")
    );

    // Empty after there was something: held too, and taken the next day.
    world.fail(COSTS, vec![json(with_first_day(vec![]))]);
    assert_eq!(world.run(&[]).code, 10);
    let ran = world.run(&["--as-of", "2026-11-20T06:00:00Z"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(
        world.report("restatements.csv").contains("2026-11-16,\"openai\",\"acme\",\"costs\",2026-11-19,3,1,0,\"USD\",2.5,0,-2.5")
    );
}

#[test]
fn an_empty_answer_is_a_known_zero_the_first_time() {
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![json(openai_page(&DAYS.map(|(_, start)| (start, vec![])), None))]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let coverage = world.report("coverage.csv");
    assert_eq!(coverage.lines().filter(|line| line.contains("openai") && line.contains("\"complete\"")).count(), 3, "{coverage}");
    // Its days stand there, with nothing billed.
    let days = world.said("reconciliation.csv", &["charge_date", "provider_total", "ledger_total"]);
    assert_eq!(days, ["2026-11-16 0 2.5", "2026-11-17 0 2.5", "2026-11-18 0 2.5"]);
}

#[test]
fn a_wrong_unit_leaves_the_version_before() {
    let hundredfold = openai_costs().replace("\"2.5\"", "250");
    let fresh = World::new(&["openai"], "");
    fresh.fail(COSTS, vec![json(&hundredfold)]);
    let ran = fresh.run(&[]);
    assert_eq!(ran.code, 10, "a first pull is accepted and said to be suspect: {}", ran.err);
    assert!(fresh.report("reconciliation.csv").contains(",250,2.5,"), "{}", fresh.report("reconciliation.csv"));

    let world = World::new(&["openai"], "");
    assert_eq!(world.run(&[]).code, 0);
    let before = world.report("reconciliation.csv");
    world.fail(COSTS, vec![json(&hundredfold)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert!(ran.err.contains("off by one factor from the ledger"), "{}", ran.err);
    assert_eq!(world.report("reconciliation.csv"), before);
    assert_eq!(world.report("coverage.csv").lines().filter(|line| line.contains("\"suspect\"")).count(), 3);
    world.heal();
    let clean = World::new(&["openai"], "");
    assert_eq!((clean.run(&[]).code, world.run(&[]).code), (0, 0));
    assert!(world.reports() == clean.reports());
}

#[test]
fn what_is_fresh_is_not_asked_for_again_and_offline_asks_nobody() {
    let world = World::new(&["openai", "anthropic"], "freshness_minutes = 60");
    assert_eq!(world.run(&[]).code, 0);
    let reports = world.reports();
    world.server.forget();
    let ran = world.run(&[]);
    assert!(ran.code == 0 && ran.err.contains("1 fresh answers used again"), "{}", ran.err);
    fs::remove_file(world.path("openai.key")).unwrap();
    let ran = world.run(&["--offline"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(world.server.seen().is_empty() && world.reports() == reports && world.runs().len() == 1);
    // A day later it is said that nothing was fetched since.
    let ran = world.run(&["--offline", "--as-of", "2026-11-20T06:00:00Z", "--to", "2026-11-19"]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert_eq!(world.report("coverage.csv").lines().filter(|line| line.contains("\"stale\"")).count(), 6);
}

#[test]
fn a_night_that_failed_leaves_the_old_days_marked() {
    let world = World::new(&["openai", "anthropic"], "");
    assert_eq!(world.run(&[]).code, 0);
    let before = world.reports();
    world.fail(COSTS, vec![plain(503)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    let coverage = world.report("coverage.csv");
    assert_eq!(coverage.lines().filter(|line| line.contains("openai") && line.contains("\"stale\"")).count(), 3, "{coverage}");
    assert_eq!(fs::read(world.path("out/latest/attribution.csv")).unwrap(), before["attribution.csv"]);
    assert_eq!(fs::read_link(world.path("out/latest-complete")).unwrap(), std::path::Path::new("runs/2026-11-18.r1"));
    world.heal();
    assert_eq!(world.run(&[]).code, 0);
    assert!(world.reports() == before);
}

#[test]
fn the_run_may_insist_on_all() {
    let world = World::new(&["openai", "anthropic"], "");
    world.fail(COSTS, vec![plain(404)]);
    let ran = world.run(&["--require-complete"]);
    assert_eq!((ran.code, world.runs().len()), (76, 0), "{}", ran.err);
    // Of several faults the refused key speaks.
    world.fail("/v1/organizations/cost_report", vec![plain(401)]);
    let ran = world.run(&[]);
    assert_eq!((ran.code, world.runs().len()), (77, 0), "{}", ran.err);
    let last = ran.err.lines().last().unwrap();
    assert!(last.starts_with("error[NOPERM] anthropic/cost_report: key refused") && last.contains("and 1 more"), "{last}");
}

#[test]
fn what_is_not_settled_is_provisional_and_may_be_refused() {
    let world = World::new(&["openai"], "");
    world.change_job("settle_days = 0", "settle_days = 1");
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let days = |status: &str| {
        let rows = world.rows("coverage.csv");
        let rows = rows.iter().filter(|row| row["provider"] == "openai" && row["status"] == status);
        rows.map(|row| row["charge_date"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (days("complete"), days("provisional")),
        (vec!["2026-11-16".into(), "2026-11-17".into()], vec!["2026-11-18".to_string()])
    );
    assert!(ran.out.contains("slices that are provisional and may still change: 1"), "{}", ran.out);
    let before = world.reports();
    let ran = world.run(&["--require-settled"]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    assert_eq!(world.reports(), before);
    // A day later it is settled.
    assert_eq!(world.run(&["--require-settled", "--as-of", "2026-11-20T06:00:00Z", "--to", "2026-11-19"]).code, 0);
}

#[test]
fn fetched_pages_read_as_the_same_pages_from_disk() {
    let [first, second, third] = DAYS.map(|(_, start)| start);
    let other: Row<'_> = ("proj_b", "gpt-5.4, output", "0.5");
    let one = openai_page(&[(first, vec![ROW, other]), (second, vec![ROW])], Some("p2"));
    let two = openai_page(&[(second, vec![ROW]), (third, vec![other])], None);
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![json(&one), json(&two)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let disk = World::new(&["openai"], "");
    fs::write(disk.path("costs-2026-11-16-001.json"), one).unwrap();
    fs::write(disk.path("costs-2026-11-16-002.json"), two).unwrap();
    let job = fs::read_to_string(disk.path("job.toml")).unwrap();
    let (head, _) = job.split_once("[source.api]").unwrap();
    let pull = "[[source.pull]]\nfiles = [\"costs-*.json\"]\ngroup_by = [\"project_id\", \"line_item\", \"api_key_id\"]\n";
    fs::write(disk.path("job.toml"), format!("{head}{pull}")).unwrap();
    assert_eq!(disk.run(&[]).code, 0);
    assert!(disk.server.seen().is_empty());
    assert!(world.reports() == disk.reports());
}

#[test]
fn a_clock_that_is_off_is_said_and_one_that_is_far_off_ends_the_run() {
    let dated = |hours: i64| {
        let date = chrono::Utc::now() + chrono::Duration::minutes(hours * 60 + 1);
        let date = date.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        answer(200, &[("content-type", "application/json"), ("date", &date)], openai_costs().as_bytes())
    };
    for (hours, code, says) in [
        (0, 0, ""),
        (2, 0, "warning: openai: this machine's clock is 72"),
        (26, 78, "openai/costs: this machine's clock is 26 h off"),
        (-30, 78, "openai/costs: this machine's clock is 29 h off"),
    ] {
        let world = World::new(&["openai"], "");
        assert_eq!(world.run(&[]).code, 0);
        let before = world.reports();
        world.server.forget();
        world.fail(COSTS, vec![dated(hours)]);
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (code, 1), "{hours}: {}", ran.err);
        assert!(ran.err.contains(says) && (hours != 0 || !ran.err.contains("clock")), "{hours}: {}", ran.err);
        assert_eq!((world.reports(), world.runs().len()), (before, 1), "{hours}");
        let beside = World::new(&["openai", "anthropic"], "");
        beside.fail(COSTS, vec![dated(hours)]);
        assert_eq!(beside.run(&[]).code, if code == 0 { 0 } else { 10 }, "{hours}");
    }
}

#[test]
fn a_day_before_the_newest_needs_a_backfill_which_moves_no_pointer() {
    let world = World::new(&["openai"], "");
    assert_eq!(world.run(&[]).code, 0);
    let before = world.reports();
    world.server.forget();
    let older = ["--as-of", "2026-11-18T06:00:00Z"];
    let ran = world.run(&older);
    assert_eq!((ran.code, world.server.seen().len()), (78, 0), "{}", ran.err);
    let last = ran.err.lines().last().unwrap();
    let said = "business date 2026-11-17 is older than the newest published run, 2026-11-18.r1";
    assert!(last.starts_with("error[CONFIG] ") && last.contains(said), "{last}");
    assert!(last.ends_with("; published nothing; latest is 2026-11-18.r1") && ran.err.contains("--backfill"), "{}", ran.err);
    assert_eq!((world.reports(), world.runs().len()), (before.clone(), 1));

    let [first, second, _] = DAYS.map(|(_, start)| start);
    world.fail(COSTS, vec![json(openai_page(&[(first, vec![ROW]), (second, vec![ROW])], None))]);
    let ran = world.run(&[older[0], older[1], "--backfill"]);
    assert_eq!((ran.code, world.runs()), (0, vec!["2026-11-17.r1".to_string(), "2026-11-18.r1".to_string()]), "{}", ran.err);
    for pointer in ["latest", "latest-complete"] {
        assert_eq!(fs::read_link(world.path("out").join(pointer)).unwrap(), std::path::Path::new("runs/2026-11-18.r1"));
    }
    assert_eq!(world.reports(), before);
    world.heal();
    let again = world.run(&[]);
    assert!(again.code == 0 && again.err.contains("nothing new: 2026-11-18.r1 stands"), "{}", again.err);
}

/// A day that is restated tells somebody only if the difference is worth it.
#[test]
fn a_restatement_alerts_above_its_threshold_only() {
    let drift = |world: &World| {
        let alerts: serde_json::Value = serde_json::from_str(&world.report("alerts.json")).unwrap();
        let alerts = alerts["alerts"].as_array().unwrap_or_else(|| panic!("{alerts}")).clone();
        alerts.iter().filter(|alert| alert["rule"] == "drift").count()
    };
    for (amount, alerts) in [("2.6", 0), ("250000", 1)] {
        let world = World::new(&["openai"], "");
        assert_eq!(world.run(&[]).code, 0);
        assert_eq!(drift(&world), 0);
        world.fail(COSTS, vec![json(with_first_day(vec![("proj_a", "gpt-5.4, input", amount)]))]);
        let ran = world.run(&["--accept-shrink"]);
        assert!([0, 10].contains(&ran.code), "{}", ran.err);
        assert_eq!((world.rows("restatements.csv").len(), drift(&world)), (1, alerts), "{amount}");
    }
}

#[test]
fn a_second_runner_asks_nobody() {
    let world = World::new(&["openai"], "");
    let slow = vec![crate::fault_server::Step::Wait(std::time::Duration::from_millis(400))];
    let good = json(openai_costs());
    world.fail(COSTS, vec![[slow, good].concat()]);
    let codes: Vec<i32> = std::thread::scope(|scope| {
        let first = scope.spawn(|| world.run(&[]).code);
        while world.server.seen().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let second = world.run(&[]).code;
        vec![first.join().unwrap(), second]
    });
    assert_eq!((codes, world.server.seen().len()), (vec![0, 20], 1));
}

#[test]
fn an_interrupt_ends_the_fetching_at_once() {
    let world = World::new(&["openai"], "idle_ms = 60000\nrequest_ms = 60000");
    world.fail(COSTS, vec![vec![crate::fault_server::Step::Hang]]);
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_tieout"))
        .args(["run", "job.toml", "--quiet"])
        .current_dir(world.dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while world.server.seen().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // What is in memory is never written out by a crash.
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    let core: Vec<&str> =
        limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    let asked = std::time::Instant::now();
    let killed = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(killed.success() && asked.elapsed() < std::time::Duration::from_secs(10));
    assert_eq!((output.status.code(), world.runs()), (Some(143), vec![]), "{}", String::from_utf8_lossy(&output.stderr));
    world.heal();
    assert_eq!(world.run(&[]).code, 0);
}

#[test]
fn a_crash_while_fetching_loses_nothing_that_has_landed() {
    let clean = World::new(&["openai", "anthropic"], "");
    assert_eq!(clean.run(&[]).code, 0);
    for (point, asked) in [("page-kept", 2), ("answer-landed", 1)] {
        let world = World::new(&["openai", "anthropic"], "freshness_minutes = 60");
        let ran = world.tieout("run", &[], &[("TIEOUT_CRASH_AT", point)]);
        assert_eq!((ran.code, world.runs()), (-1, vec![]), "{point}: {}", ran.err);
        world.server.forget();
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (0, asked), "{point}: {}", ran.err);
        assert!(world.reports() == clean.reports(), "{point}");
        assert_eq!(fs::read_dir(world.path("state/raw")).unwrap().count(), 2, "{point}");
    }
}

#[test]
fn a_report_that_is_no_longer_asked_for_is_no_longer_read() {
    let world = World::new(&["openai", "anthropic"], "");
    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    let usage = "{\"object\":\"page\",\"data\":[],\"has_more\":false,\"next_page\":null}";
    world.fail("/v1/organization/usage/completions", vec![json(usage)]);
    fs::write(world.path("job.toml"), job.replace("\"costs\"", "\"costs,usage_completions\"")).unwrap();
    assert_eq!(world.run(&[]).code, 0);
    assert!(world.report("coverage.csv").contains("usage_completions"));
    fs::write(world.path("job.toml"), job).unwrap();
    assert_eq!(world.run(&["--as-of", "2026-11-20T06:00:00Z", "--to", "2026-11-19"]).code, 0);
    assert!(!world.report("coverage.csv").contains("usage_completions"));
}
