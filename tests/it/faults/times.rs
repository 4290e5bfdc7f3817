//! Days on which clocks change and days that are rare: books stay in UTC days, and a time that is not one is told
//! (reliability.md section 5).

use super::world::{ROW, World, openai_page};
use chrono::{Duration, NaiveDate, NaiveTime};
use std::fmt::Write;
use std::fs;

/// A job over these days with saved costs of one row a day, and this ledger.
fn world(days: [&str; 2], zone: &str, cost: &str, ledger: &str) -> World {
    let world = World::new(&["openai"], "");
    let [from, to] = days.map(|day| day.parse::<NaiveDate>().unwrap());
    let days: Vec<NaiveDate> = from.iter_days().take_while(|day| *day < to).collect();
    let start = |day: &NaiveDate| day.and_time(NaiveTime::MIN).and_utc().timestamp();
    let row = (ROW.0, ROW.1, cost);
    let buckets: Vec<_> = days.iter().map(|day| (start(day), vec![row])).collect();
    fs::write(world.path("costs.json"), openai_page(&buckets, None)).unwrap();
    fs::write(world.path("ledger.csv"), ledger).unwrap();
    let job = format!(
        "name = \"night\"\nas_of = \"{to}T06:00:00Z\"\noutput = \"out\"\nstate = \"state\"\ntime_zone = \"{zone}\"\n\
         [window]\nfrom = \"{from}\"\nto = \"{to}\"\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n\
         [[source]]\nprovider = \"openai\"\naccount = \"acme\"\nsettle_days = 0\n[[source.pull]]\nfiles = [\"costs.json\"]\n\
         group_by = [\"project_id\", \"line_item\", \"api_key_id\"]\n"
    );
    fs::write(world.path("job.toml"), job).unwrap();
    world
}

const HEADER: &str =
    "request_id,attempt,started_at,provider,model,account,sub_account,api_key_id,team,status,input_tokens,expected_cost\n";

fn call(id: &str, at: &str, cost: &str) -> String {
    format!("{id},1,{at},openai,gpt-5.4,acme,proj_a,key_a,growth,ok,1000000,{cost}\n")
}

/// A ledger in local times: what never was is set aside, what came twice is the earlier one and counted.
#[test]
fn local_times_are_read_where_clocks_change() {
    for (zone, days, never, twice, booked) in [
        ("Europe/Berlin", ["2026-03-28", "2026-03-31"], Some("2026-03-29 02:30:00"), None, ""),
        ("Europe/Berlin", ["2026-10-24", "2026-10-27"], None, Some("2026-10-25 02:30:00"), "2026-10-25"),
        ("America/New_York", ["2026-03-07", "2026-03-10"], Some("2026-03-08T02:00:00"), None, ""),
        ("America/New_York", ["2026-10-31", "2026-11-03"], None, Some("2026-11-01T01:59:59"), "2026-11-01"),
        // By half an hour.
        ("Australia/Lord_Howe", ["2026-10-03", "2026-10-06"], Some("2026-10-04 02:15:00"), None, ""),
        ("Australia/Lord_Howe", ["2026-04-04", "2026-04-07"], None, Some("2026-04-05 01:45:00"), "2026-04-04"),
        // By two hours: the earlier of the two lies on the day before in UTC.
        ("Antarctica/Troll", ["2026-10-24", "2026-10-27"], None, Some("2026-10-25 01:30"), "2026-10-24"),
    ] {
        let mut ledger = HEADER.to_string();
        never.iter().for_each(|at| ledger.push_str(&call("r-never", at, "1")));
        twice.iter().for_each(|at| ledger.push_str(&call("r-twice", at, "1")));
        let world = world(days, zone, "\"2.5\"", &ledger);
        world.change_job("files = [\"ledger.csv\"]\n", &format!("files = [\"ledger.csv\"]\ntime_zone = \"{zone}\"\n"));
        let ran = world.run(&[]);
        assert_eq!(ran.code, 0, "{zone}: {}", ran.err);
        let aside: Vec<String> = world.said("quarantine.csv", &["reason"]);
        let findings = world.said("ledger_findings.csv", &["finding", "rows"]);
        match never {
            Some(at) => {
                let expected = format!("expected a time of {zone}, where clocks were set forward over this one, found {at:?}");
                assert!(aside.len() == 1 && aside[0].contains(&expected), "{zone}: {aside:?}");
                assert_eq!(findings, [""; 0], "{zone}");
            }
            None => {
                assert_eq!((aside, findings), (vec![], vec!["ambiguous_time 1".to_string()]), "{zone}");
                let ledger = world.said("reconciliation.csv", &["charge_date", "ledger_total"]);
                assert!(ledger.contains(&format!("{booked} 1")), "{zone}: {ledger:?}");
            }
        }
        // With an offset there is nothing to ask, and without a zone times are UTC.
        let told = HEADER.to_string() + &call("r-1", &format!("{}T02:30:00+01:00", days[0]), "1");
        fs::write(world.path("ledger.csv"), told).unwrap();
        assert_eq!(world.run(&[]).code, 0);
        assert!(world.said("reconciliation.csv", &["charge_date", "ledger_total"]).contains(&format!("{} 1", days[0])));
        assert!(!world.report("summary.txt").contains("Known faults of ledgers"), "{}", world.report("summary.txt"));
    }
    let world = world(
        ["2026-03-28", "2026-03-31"],
        "Europe/Berlin",
        "\"2.5\"",
        &(HEADER.to_string() + &call("r", "2026-03-29 02:30:00", "1")),
    );
    assert_eq!(world.run(&[]).code, 0);
    assert_eq!(world.said("quarantine.csv", &["reason"]), [""; 0], "without a zone of the ledger's own it is UTC");
}

/// One call an hour, all alike: neither a day of 23 nor one of 25 hours is a spike, nor does it split a UTC day.
#[test]
fn days_of_23_and_25_hours_split_no_bucket_and_are_no_spike() {
    for (zone, change) in [
        ("Europe/Berlin", "2026-03-29"),
        ("Europe/Berlin", "2026-10-25"),
        ("America/New_York", "2026-03-08"),
        ("America/New_York", "2026-11-01"),
        ("Australia/Lord_Howe", "2026-04-05"),
        ("Australia/Lord_Howe", "2026-10-04"),
    ] {
        let change: NaiveDate = change.parse().unwrap();
        let [from, to] = [change - Duration::days(15), change + Duration::days(4)].map(|day| day.to_string());
        let ledger = |spike: u32| {
            let mut text = HEADER.to_string();
            for hour in 0..19 * 24 {
                let at = (change - Duration::days(15)).and_time(NaiveTime::MIN).and_utc() + Duration::hours(hour);
                let hot = at.date_naive() == change && (10..14).contains(&(hour % 24));
                let cost = if hot { spike } else { 1 };
                text.push_str(&call(&format!("r-{hour}"), &at.format("%FT%TZ").to_string(), &cost.to_string()));
            }
            text
        };
        let world = world([&from, &to], zone, "24", &ledger(1));
        let mut events = "request_id,endpoint_id,timestamp,output_units,unit_price,cost_total\n".to_string();
        for (number, hour) in [0, 23, 24, 47].into_iter().enumerate() {
            let at = change.and_time(NaiveTime::MIN).and_utc() + Duration::hours(hour - 12);
            writeln!(events, "f-{number},fal-ai/flux/dev,{},1,0.5,0.5", at.format("%FT%TZ")).unwrap();
        }
        fs::write(world.path("events.csv"), events).unwrap();
        let fal = "[[source]]\nprovider = \"fal\"\naccount = \"acme\"\n[[source.pull]]\nfiles = [\"events.csv\"]\n";
        let job = fs::read_to_string(world.path("job.toml")).unwrap();
        fs::write(world.path("job.toml"), format!("{job}{fal}")).unwrap();
        let ran = world.run(&[]);
        assert!([0, 10].contains(&ran.code), "{zone}: {}", ran.err);
        assert_eq!(world.said("spikes.csv", &["rule", "opened_at"]), [""; 0], "{zone}");
        let days = world.rows("reconciliation.csv");
        let days: Vec<_> = days.iter().filter(|row| row["provider"] == "openai").collect();
        assert_eq!(days.len(), 19, "{zone}");
        for day in days {
            assert_eq!(
                (day["provider_total"].as_str(), day["ledger_total"].as_str()),
                ("24", "24"),
                "{zone} {}",
                day["charge_date"]
            );
        }
        // A call stands on its UTC day, with the local one beside it.
        let tz: chrono_tz::Tz = zone.parse().unwrap();
        for row in world.rows("attribution.csv").iter().filter(|row| row["provider"] == "fal") {
            let day: NaiveDate = row["charge_date"].parse().unwrap();
            let local: NaiveDate = row["local_date"].parse().unwrap();
            let hours = [0, 23, 24, 47].map(|hour| change.and_time(NaiveTime::MIN).and_utc() + Duration::hours(hour - 12));
            assert!(
                hours.iter().any(|at| at.date_naive() == day && at.with_timezone(&tz).date_naive() == local),
                "{zone} {row:?}"
            );
        }
        // What is a spike on any other day is one on this day too.
        fs::write(world.path("ledger.csv"), ledger(100)).unwrap();
        assert!([0, 10].contains(&world.run(&[]).code));
        let spikes = world.said("spikes.csv", &["rule", "opened_at"]);
        assert!(spikes.iter().any(|spike| spike.starts_with(&format!("spike {change}T10:00"))), "{zone}: {spikes:?}");
    }
}

/// Leap days, the turn of a year and its week 53, the first day of Unix time and the last that 32 bits hold.
#[test]
fn rare_days_are_days_like_others() {
    for (from, months) in [
        ("2024-02-28", &["2024-02", "2024-03"][..]),
        ("2028-02-28", &["2028-02", "2028-03"]),
        ("2100-02-27", &["2100-02", "2100-03"]),
        ("2026-12-30", &["2026-12", "2027-01"]),
        ("1970-01-01", &["1970-01"]),
        ("2038-01-18", &["2038-01"]),
    ] {
        let first: NaiveDate = from.parse().unwrap();
        let days: Vec<NaiveDate> = first.iter_days().take(3).collect();
        let mut ledger = HEADER.to_string();
        for day in &days {
            ledger.push_str(&call(&format!("r-{day}"), &format!("{day}T23:59:59.999Z"), "2.5"));
        }
        let to = (first + Duration::days(3)).to_string();
        let world = world([from, &to], "Europe/Berlin", "\"2.5\"", &ledger);
        let ran = world.run(&[]);
        assert_eq!(ran.code, 0, "{from}: {}", ran.err);
        let expected: Vec<String> = days.iter().map(|day| format!("{day} 2.5 2.5 tied")).collect();
        assert_eq!(world.said("reconciliation.csv", &["charge_date", "provider_total", "ledger_total", "status"]), expected);
        let mut found: Vec<String> = world.said("team_month.csv", &["period_start"]);
        found.dedup();
        let expected: Vec<String> = months.iter().map(|month| format!("{month}-01")).collect();
        assert_eq!(found, expected, "{from}");
        assert_eq!(world.runs(), [format!("{}.r1", days[2])]);
    }
}
