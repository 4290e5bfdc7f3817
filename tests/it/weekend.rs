//! The case to beat, with the real binary: fal, Friday 20:00 in Berlin, about 6.56 an hour until Monday 09:00 is 400
//! (contract 4.7). Hourly runs and the nights between them share one store and one incident.

use crate::fault_server::{FaultServer, Seen, answer};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Five weeks of a steady team with one call every hour, and the weekend's loop with four.
fn calls() -> Vec<(DateTime<Utc>, &'static str)> {
    let mut calls = Vec::new();
    let mut hour = at("2026-10-08T00:00:00Z");
    while hour < at("2026-11-17T00:00:00Z") {
        calls.push((hour + Duration::minutes(7), "0.1"));
        if at("2026-11-13T19:00:00Z") <= hour && hour < at("2026-11-16T08:00:00Z") {
            calls.extend([3, 18, 33, 48].map(|minute| (hour + Duration::minutes(minute), "1.639344")));
        }
        hour += Duration::hours(1);
    }
    calls.sort();
    calls
}

fn write_world(dir: &Path, hook: &str) {
    let mut ledger =
        "request_id,attempt,started_at,provider,model,provider_request_id,account,api_key_id,team,status,images,expected_cost\n"
            .to_string();
    let mut page = "request_id,endpoint_id,timestamp,output_units,unit_price,percent_discount,cost_subtotal,cost_discount,cost_total,cost_estimate_nano_usd,auth_method,api_key_id,login_username\n".to_string();
    for (number, (started, cost)) in calls().into_iter().enumerate() {
        let started = started.format("%Y-%m-%dT%H:%M:%SZ");
        writeln!(ledger, "call-{number},1,{started},fal,fal-ai/veo3,req-{number},acme,key-loop,studio,ok,1,{cost}").unwrap();
        writeln!(page, "req-{number},fal-ai/veo3,{started},1,{cost},,{cost},0,{cost},,,key-loop,").unwrap();
    }
    fs::write(dir.join("ledger.csv"), ledger).unwrap();
    fs::write(dir.join("page.csv"), page).unwrap();
    let common = format!(
        "time_zone = \"Europe/Berlin\"\nstate = \"state\"\n\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n\n\
         [alerts]\n\n[[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{hook}\"\nallow_private = true\nrules = [\"spike\"]\n\n"
    );
    fs::write(dir.join("watch.toml"), format!("name = \"watch\"\nkind = \"watch\"\noutput = \"watch\"\n{common}")).unwrap();
    let source = "[[source]]\nprovider = \"fal\"\naccount = \"acme\"\n\n[[source.pull]]\nfiles = [\"page.csv\"]\n";
    fs::write(dir.join("nightly.toml"), format!("name = \"nightly\"\noutput = \"out\"\n{common}{source}")).unwrap();
}

fn run(dir: &Path, job: &str, as_of: DateTime<Utc>) -> (i32, Value) {
    let as_of = as_of.to_rfc3339();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    let output = command.current_dir(dir).args(["run", job, "--json", "--quiet", "--as-of", &as_of]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let object: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{as_of}: {told}"));
    assert!(matches!(output.status.code(), Some(0 | 10)), "{as_of} {job}: {object} {told}");
    (output.status.code().unwrap(), object)
}

fn notice(seen: &Seen) -> Value {
    let told: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(told["count"], 1);
    told["notices"][0].clone()
}

#[test]
fn the_friday_spike_is_one_alert_and_one_end_through_the_weekend() {
    let dir = tempfile::tempdir().unwrap();
    let server = FaultServer::start(|_| answer(200, &[], b""));
    write_world(dir.path(), &server.url());
    let mut now = at("2026-11-13T18:05:00Z");
    let (mut first_told, mut over) = (None, None);
    let mut slowest = std::time::Duration::ZERO;
    while now < at("2026-11-16T18:00:00Z") {
        let before = server.seen().len();
        let started = std::time::Instant::now();
        run(dir.path(), "watch.toml", now);
        slowest = slowest.max(started.elapsed());
        if now.format("%H").to_string() == "06" {
            run(dir.path(), "nightly.toml", now + Duration::minutes(20));
        }
        match server.seen().len() - before {
            0 => {}
            1 if first_told.is_none() => first_told = Some(now),
            1 if over.is_none() => over = Some(now),
            _ => panic!("told too often by {now}: {:?}", server.seen().last().map(notice)),
        }
        now += Duration::hours(1);
    }
    // The first hourly run after the first full hour.
    assert_eq!(first_told, Some(at("2026-11-13T20:05:00Z")));
    let seen = server.seen();
    assert_eq!(seen.len(), 2, "one alert and one end");
    let (fired, ended) = (notice(&seen[0]), notice(&seen[1]));
    let text = |notice: &Value, field: &str| notice[field].as_str().unwrap_or_default().to_string();
    assert_eq!([text(&fired, "rule"), text(&fired, "state"), text(&fired, "provider")], ["spike", "firing", "fal"]);
    let first = &fired["contributors"][0];
    assert_eq!([text(first, "team"), text(first, "api_key_id")], ["studio", "key-loop"], "{fired}");
    assert_eq!([text(&fired, "opened_at"), text(&fired, "projected_until")], ["2026-11-13T19:00:00Z", "2026-11-16T08:00:00Z"]);
    let projected: u64 = text(&fired, "projected").split('.').next().unwrap().parse().unwrap();
    assert!((360..440).contains(&projected), "{projected}");
    assert_eq!((fired["provisional"].clone(), text(&fired, "cause")), (true.into(), "new".to_string()));
    assert_eq!([text(&ended, "state"), text(&ended, "cause")], ["resolved", "over"]);
    assert_eq!((&ended["key"], text(&ended, "last_seen_at").as_str()), (&fired["key"], "2026-11-16T08:00:00Z"));
    // After six quiet hours.
    assert_eq!(over, Some(at("2026-11-16T14:05:00Z")));
    assert!(slowest < std::time::Duration::from_secs(60), "{slowest:?}");

    // The settled night has it in the books; it tells nobody again, nor does the hour after it.
    run(dir.path(), "nightly.toml", at("2026-11-17T06:20:00Z"));
    run(dir.path(), "watch.toml", at("2026-11-17T07:05:00Z"));
    assert_eq!(server.seen().len(), 2);
    let spikes = fs::read_to_string(dir.path().join("watch/latest/spikes.csv")).unwrap();
    assert!(spikes.contains("2026-11-13T19:00:00Z") && spikes.lines().count() == 2, "{spikes}");
    let mut files: Vec<String> = fs::read_dir(dir.path().join("watch/latest/"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["MANIFEST.json", "alerts.json", "spikes.csv"]);
    for out in ["watch", "out"] {
        let verified = Command::new(env!("CARGO_BIN_EXE_tieout")).current_dir(dir.path()).args(["verify", out]).output().unwrap();
        assert_eq!(verified.status.code(), Some(0), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}
