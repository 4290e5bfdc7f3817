//! The case to beat, with the real binary: fal, Friday 20:00 in Berlin, about 6.56 an hour until Monday 09:00 is 400
//! (contract 4.7). Hourly runs and the nights between them share one store and one incident.

use crate::fault_server::{FaultServer, Seen, answer};
use chrono::{DateTime, Datelike, Duration, NaiveDate, NaiveTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
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

/// A weekend's loop: when it began and ended, and where the clock is.
struct Weekend {
    zone: Tz,
    begin: DateTime<Utc>,
    end: DateTime<Utc>,
    holidays: Vec<&'static str>,
}

impl Weekend {
    /// From Friday 20:00 to the next working morning at 9:00, by the local clock.
    fn of(zone: Tz, friday: &str, holidays: &[&'static str], morning: &str) -> Weekend {
        let at = |day: &str, hour| {
            let time = NaiveTime::from_hms_opt(hour, 0, 0).unwrap();
            zone.from_local_datetime(&day.parse::<NaiveDate>().unwrap().and_time(time)).earliest().unwrap().with_timezone(&Utc)
        };
        Weekend { zone, begin: at(friday, 20), end: at(morning, 9), holidays: holidays.to_vec() }
    }

    /// A company that works by day at fal and at all hours at openai, and the loop: 400 over the weekend.
    fn write(&self, dir: &Path, hook: &str) {
        let mut rows = vec!["request_id,attempt,started_at,provider,model,api_key_id,team,status,expected_cost".to_string()];
        let mut call = |at: DateTime<Utc>, who: &str, cents: i64, tail: &str| {
            let (number, at) = (rows.len(), at.format("%Y-%m-%dT%H:%M:%SZ"));
            rows.push(format!("call-{number},1,{at},{who},ok,{}.{:02}{tail}", cents / 100, cents % 100));
        };
        let mixed = |hour: DateTime<Utc>| (hour.timestamp() / 3_600).wrapping_mul(2_654_435_761).rem_euclid(1_000_003) % 60;
        let mut hour = self.begin.date_naive().and_time(NaiveTime::MIN).and_utc() - Duration::days(34);
        while hour < self.end + Duration::hours(30) {
            let local = hour.with_timezone(&self.zone);
            if local.weekday().num_days_from_monday() < 5 && (8..19).contains(&local.hour()) && hour < self.begin {
                call(hour + Duration::minutes(7), "fal,fal-ai/veo3,key-loop,studio", 20 + mixed(hour), "");
            }
            call(hour + Duration::minutes(9), "openai,gpt-5.4,key-growth,growth", 80 + mixed(hour), "");
            hour += Duration::hours(1);
        }
        let mut hour = self.begin;
        while hour < self.end {
            call(hour + Duration::minutes(10), "fal,fal-ai/veo3,key-loop,studio", 655, "7377");
            hour += Duration::hours(1);
        }
        fs::write(dir.join("ledger.csv"), rows.join("\n") + "\n").unwrap();
        let holidays: Vec<String> = self.holidays.iter().map(|day| format!("\"{day}\"")).collect();
        let common = format!(
            "time_zone = \"{}\"\nstate = \"state\"\n\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n\n[spikes]\n\
             holidays = [{}]\n\n[alerts]\n\n[[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{hook}\"\n\
             allow_private = true\nrules = [\"spike\"]\n\n",
            self.zone,
            holidays.join(", ")
        );
        fs::write(dir.join("watch.toml"), format!("name = \"watch\"\nkind = \"watch\"\noutput = \"watch\"\n{common}")).unwrap();
        // The night has a provider whose days never came.
        let page = "request_id,endpoint_id,timestamp,output_units,unit_price,percent_discount,cost_subtotal,cost_discount,cost_total,cost_estimate_nano_usd,auth_method,api_key_id,login_username\n";
        fs::write(dir.join("page.csv"), page).unwrap();
        let source = "[[source]]\nprovider = \"fal\"\naccount = \"acme\"\n\n[[source.pull]]\nfiles = [\"page.csv\"]\n";
        fs::write(dir.join("nightly.toml"), format!("name = \"nightly\"\noutput = \"out\"\n{common}{source}")).unwrap();
    }
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

/// The decisive hours of the same weekend on both Sundays on which the clock is changed, in three zones, one of which
/// changes it by half an hour; in a zone that is half an hour off; at year end; and with a holiday on Monday.
#[test]
fn the_weekend_is_told_once_in_every_zone_and_season() {
    use chrono_tz::{America::New_York, Asia::Kolkata, Australia::Lord_Howe, Europe::Berlin};
    for weekend in [
        Weekend::of(Berlin, "2026-10-23", &[], "2026-10-26"),
        Weekend::of(Berlin, "2026-03-27", &[], "2026-03-30"),
        Weekend::of(New_York, "2026-10-30", &[], "2026-11-02"),
        Weekend::of(New_York, "2026-03-06", &[], "2026-03-09"),
        Weekend::of(Lord_Howe, "2026-10-02", &[], "2026-10-05"),
        Weekend::of(Lord_Howe, "2026-04-03", &[], "2026-04-06"),
        Weekend::of(Kolkata, "2026-11-13", &[], "2026-11-16"),
        Weekend::of(Berlin, "2027-12-31", &[], "2028-01-03"),
        Weekend::of(Berlin, "2026-04-03", &["2026-04-06"], "2026-04-07"),
    ] {
        let Weekend { zone, begin, end, .. } = weekend;
        let place = format!("{zone} {begin}");
        let dir = tempfile::tempdir().unwrap();
        let server = FaultServer::start(|_| answer(200, &[], b""));
        weekend.write(dir.path(), &server.url());
        let told = |job: &str, now: DateTime<Utc>| {
            let before = server.seen().len();
            run(dir.path(), job, now);
            server.seen().split_off(before).iter().map(notice).collect::<Vec<Value>>()
        };
        let text = |notice: &Value, field: &str| notice[field].as_str().unwrap_or_default().to_string();
        // Hours of the ledger are those of UTC: where the clock is half an hour off the first full one is later.
        let full = begin + Duration::minutes(i64::from(60 - begin.minute()) % 60) + Duration::hours(1);
        assert_eq!(told("watch.toml", begin), Vec::<Value>::new(), "{place}: before");
        let [fired] = told("watch.toml", full + Duration::minutes(5)).try_into().unwrap_or_else(|all| panic!("{place}: {all:?}"));
        assert_eq!(
            [text(&fired, "provider"), text(&fired, "team"), text(&fired, "api_key_id")],
            ["fal", "studio", "key-loop"],
            "{place}"
        );
        assert_eq!(text(&fired, "projected_until"), end.format("%Y-%m-%dT%H:%M:%SZ").to_string(), "{place}");
        let projected: i64 = text(&fired, "projected").split('.').next().unwrap().parse().unwrap();
        let bill = 6_557_377 * (end - begin).num_minutes() / 60 / 1_000_000;
        assert!(10 * (projected - bill).abs() <= bill, "{place}: projected {projected}, is {bill}");
        // Around midnight, around the hours in which clocks are changed, and on the last evening; nights between them.
        let sunday = (begin + Duration::hours(28)).date_naive().succ_opt().unwrap().and_time(NaiveTime::MIN).and_utc();
        for (job, now) in [
            ("watch.toml", begin + Duration::hours(5)),
            ("nightly.toml", sunday - Duration::hours(17)),
            ("watch.toml", sunday + Duration::minutes(65)),
            ("watch.toml", sunday + Duration::minutes(125)),
            ("watch.toml", sunday + Duration::minutes(425)),
            ("nightly.toml", end - Duration::hours(3)),
            ("watch.toml", end + Duration::minutes(5)),
        ] {
            assert_eq!(told(job, now), Vec::<Value>::new(), "{place}: {job} at {now}");
        }
        let [ended] = told("watch.toml", end + Duration::hours(7)).try_into().unwrap_or_else(|all| panic!("{place}: {all:?}"));
        assert_eq!((text(&ended, "cause"), &ended["key"]), ("over".to_string(), &fired["key"]), "{place}");
        assert_eq!(told("nightly.toml", end + Duration::hours(24)), Vec::<Value>::new(), "{place}");
    }
}
