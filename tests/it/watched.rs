//! Watch jobs that ask providers, with the real binary and a server in the providers' place: what the ledger never
//! saw is caught within the hour, a provider that is down costs the ledger's verdict nothing, and neither kind of run
//! changes a figure of the other.

use crate::fault_server::{Answer, FaultServer, Seen, Step, answer, json};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const START: &str = "2026-10-08T00:00:00Z";
/// A Friday, 20:00 in Berlin.
const LEAK: &str = "2026-11-13T19:00:00Z";
const OVER: &str = "2026-11-16T08:00:00Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What the providers are asked to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    /// Nothing is answered.
    Silent,
    /// Nothing can be reached.
    Failing,
}

struct World {
    dir: tempfile::TempDir,
    providers: FaultServer,
    hook: FaultServer,
    mood: Arc<Mutex<Mood>>,
}

/// The product's key, an image every hour; and from the leak on the key that is in no ledger: a million tokens an hour.
fn openai(hour: DateTime<Utc>) -> Vec<(&'static str, u64)> {
    let mut used = vec![("key_product", 20_000)];
    if at(LEAK) <= hour && hour < at(OVER) {
        used.push(("key_leaked", 1_000_000));
    }
    used
}

fn usage(seen: &Seen) -> Value {
    let number = |name: &str| seen.query(name).unwrap().parse::<i64>().unwrap();
    let width = match seen.query("bucket_width").as_deref() {
        Some("1h") => 3_600,
        Some("1d") => 86_400,
        other => panic!("{other:?}"),
    };
    let all: Vec<i64> = (number("start_time")..number("end_time")).step_by(width).collect();
    let first = seen.query("page").map_or(0, |page| page.strip_prefix("page_").unwrap().parse().unwrap());
    let page: Vec<i64> = all.iter().copied().skip(first).take(number("limit") as usize).collect();
    let bucket = |start: &i64| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for second in (*start..start + width as i64).step_by(3_600) {
            openai(DateTime::from_timestamp(second, 0).unwrap())
                .iter()
                .for_each(|(key, tokens)| *sums.entry(key).or_default() += tokens);
        }
        let row = |(key, tokens): (&&str, &u64)| {
            json!({
                "object": "organization.usage.completions.result", "input_tokens": tokens, "output_tokens": 0,
                "num_model_requests": 1, "project_id": "proj", "api_key_id": key, "model": "gpt-6.1-sol", "batch": false,
                "service_tier": "default",
            })
        };
        json!({
            "object": "bucket", "start_time": start, "end_time": start + width as i64,
            "results": sums.iter().map(row).collect::<Vec<_>>(),
        })
    };
    let next = first + page.len();
    let more = next < all.len();
    json!({
        "object": "page", "data": page.iter().map(bucket).collect::<Vec<_>>(), "has_more": more,
        "next_page": more.then(|| format!("page_{next}")),
    })
}

/// 10 USD a million, a day at a time.
fn costs(seen: &Seen) -> Value {
    let number = |name: &str| seen.query(name).unwrap().parse::<i64>().unwrap();
    let bucket = |start: i64| {
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for second in (start..start + 86_400).step_by(3_600) {
            openai(DateTime::from_timestamp(second, 0).unwrap())
                .iter()
                .for_each(|(key, tokens)| *sums.entry(key).or_default() += tokens);
        }
        let row = |(key, tokens): (&&str, &u64)| {
            let cents = tokens / 1_000;
            json!({
                "object": "organization.costs.result",
                "amount": { "value": format!("{}.{:02}", cents / 100, cents % 100), "currency": "usd" },
                "line_item": "gpt-6.1-sol, input", "project_id": "proj", "api_key_id": key,
            })
        };
        json!({
            "object": "bucket", "start_time": start, "end_time": start + 86_400,
            "results": sums.iter().map(row).collect::<Vec<_>>(),
        })
    };
    let data: Vec<Value> = (number("start_time")..number("end_time")).step_by(86_400).map(bucket).collect();
    json!({ "object": "page", "data": data, "has_more": false, "next_page": null })
}

fn reply(seen: &Seen) -> Answer {
    match seen.path() {
        "/v1/organization/usage/completions" => json(usage(seen).to_string()),
        "/v1/organization/costs" => json(costs(seen).to_string()),
        other => panic!("nobody should ask for {other}"),
    }
}

impl World {
    fn new() -> World {
        let mood = Arc::new(Mutex::new(Mood::Well));
        let now = mood.clone();
        let providers = FaultServer::start(move |seen| match *now.lock().unwrap() {
            Mood::Well => reply(seen),
            Mood::Silent => vec![Step::Hang],
            Mood::Failing => answer(503, &[], b""),
        });
        let world =
            World { dir: tempfile::tempdir().unwrap(), providers, hook: FaultServer::start(|_| answer(200, &[], b"")), mood };
        fs::write(world.path("openai.key"), "admin-key-of-the-tests\n").unwrap();
        fs::set_permissions(world.path("openai.key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(
            world.path("openai.toml"),
            "provider = \"openai\"\ncurrency = \"USD\"\nchecked = \"2026-11-01\"\n\n[[price]]\nmodel = \"gpt-6.1-sol\"\n\
             from = \"2026-01-01\"\nper = 1000000\nmeters = { input_tokens = \"10\", output_tokens = \"30\" }\n",
        )
        .unwrap();
        fs::write(
            world.path("teams.toml"),
            "[[team]]\nname = \"product\"\n\n[[owner]]\nkind = \"api_key\"\nprovider = \"openai\"\nname = \"key_product\"\nteam = \"product\"\n",
        )
        .unwrap();
        let common = format!(
            "time_zone = \"Europe/Berlin\"\nstate = \"state\"\nteams = \"teams.toml\"\nprices = [\"openai.toml\"]\n\n\
             [window]\ntrailing_days = 30\n\n[limits]\nloopback_http = true\ntries = 2\nbackoff_ms = 20\nidle_ms = 1200\n\
             request_ms = 1500\nprovider_ms = 4000\n\n[[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n\n[alerts]\n\n\
             [[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"{}\"\nallow_private = true\n\
             rules = [\"spike\", \"unowned_key\"]\n\n",
            world.hook.url()
        );
        let source = |reports: &str| {
            format!(
                "[[source]]\nprovider = \"openai\"\naccount = \"org\"\n\n[source.api]\nsecret = \"file:openai.key\"\n\
                 base_url = \"{}\"\npause_ms = 0\nsettings = {{ reports = \"{reports}\" }}\n",
                world.providers.url()
            )
        };
        // The same reports as the night's: what of them tells hours is asked for.
        let reports = source("costs usage_completions");
        for (job, head) in [("watch", "kind = \"watch\"\noutput = \"watch\"\n"), ("nightly", "output = \"out\"\n")] {
            fs::write(world.path(&format!("{job}.toml")), format!("name = \"{job}\"\n{head}{common}{reports}")).unwrap();
        }
        fs::write(
            world.path("ledger-only.toml"),
            format!("name = \"watch\"\nkind = \"watch\"\noutput = \"alone\"\n{common}")
                .replace("state = \"state\"", "state = \"state-alone\"")
                .replace(&world.hook.url(), "https://nobody.example"),
        )
        .unwrap();
        world.ledger(&[]);
        world
    }

    /// A call of the product every hour; and the calls of `more`, of fal.
    fn ledger(&self, more: &[(DateTime<Utc>, &str)]) {
        let mut rows = "request_id,attempt,started_at,provider,model,account,api_key_id,team,status,input_tokens,expected_cost\n"
            .to_string();
        let mut hour = at(START);
        while hour < at("2026-11-18T00:00:00Z") {
            let started = (hour + Duration::minutes(7)).format("%Y-%m-%dT%H:%M:%SZ");
            let cost = "0.2";
            writeln!(rows, "call-{started},1,{started},openai,gpt-6.1-sol,org,key_product,product,ok,20000,{cost}").unwrap();
            hour += Duration::hours(1);
        }
        for (started, cost) in more {
            let started = started.format("%Y-%m-%dT%H:%M:%SZ");
            writeln!(rows, "clip-{started},1,{started},fal,fal-ai/veo3,acme,key_clips,studio,ok,,{cost}").unwrap();
        }
        fs::write(self.path("ledger.csv"), rows).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn run(&self, job: &str, as_of: &str, more: &[&str]) -> (i32, Value, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
        command.current_dir(self.dir.path()).args(["run", &format!("{job}.toml"), "--json", "--as-of", as_of]).args(more);
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let object = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{as_of}: {told}"));
        (output.status.code().unwrap(), object, told)
    }

    fn watch(&self, as_of: &str) -> (i32, Value, String) {
        self.run("watch", as_of, &[])
    }

    fn notices(&self) -> Vec<Value> {
        let bodies = self.hook.seen();
        bodies
            .iter()
            .flat_map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["notices"].as_array().unwrap().clone())
            .collect()
    }

    /// What was told, as rule, state and why.
    fn told(&self) -> Vec<String> {
        let field = |notice: &Value, name: &str| notice[name].as_str().unwrap().to_string();
        self.notices().iter().map(|one| ["rule", "state", "cause"].map(|name| field(one, name)).join(" ")).collect()
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()));
    files.filter(|(name, _)| name != "MANIFEST.json").collect()
}

#[test]
fn spend_on_a_key_that_no_ledger_has_is_told_within_the_hour_and_once() {
    let world = World::new();
    let (code, ..) = world.watch("2026-11-13T19:05:00Z");
    assert_eq!((code, world.told()), (0, Vec::new()));
    // Hours of the whole window once, and of costs nothing.
    let asked = world.providers.seen();
    assert!(asked.iter().all(|seen| seen.path().ends_with("/usage/completions")), "{asked:?}");
    assert!(asked.iter().all(|seen| seen.query("bucket_width").as_deref() == Some("1h")));
    assert_eq!(asked[0].query("start_time").unwrap(), at("2026-10-15T00:00:00Z").timestamp().to_string());
    assert_eq!(asked[0].query("end_time").unwrap(), at("2026-11-13T19:00:00Z").timestamp().to_string());

    let (code, object, told) = world.watch("2026-11-13T20:05:00Z");
    assert_eq!((code, object["slices"].clone()), (0, json!({ "complete": 1 })), "{told}");
    // From then on yesterday and today are asked again.
    let again: Vec<Seen> = world.providers.seen().split_off(asked.len());
    assert_eq!(again.len(), 1, "{again:?}");
    assert_eq!(again[0].query("start_time").unwrap(), at("2026-11-12T00:00:00Z").timestamp().to_string());
    assert_eq!(
        again[0].query("end_time").unwrap(),
        at(LEAK).checked_add_signed(Duration::hours(1)).unwrap().timestamp().to_string()
    );
    let mut first = world.told();
    first.sort();
    assert_eq!(first, ["spike firing new", "unowned_key firing new"]);
    let spike = world.notices().into_iter().find(|one| one["rule"] == "spike").unwrap();
    assert_eq!((&spike["provider"], &spike["spent"], &spike["provisional"]), (&"openai".into(), &"10.2".into(), &true.into()));
    let spikes = fs::read_to_string(world.path("watch/latest/spikes.csv")).unwrap();
    assert!(spikes.contains("provider by hour at book price") && spikes.contains("key_leaked"), "{spikes}");

    // The night has its costs by the day, for the same matter; neither it nor the hours after tell it again.
    let (code, ..) = world.run("nightly", "2026-11-14T06:20:00Z", &[]);
    assert_eq!(code, 0);
    assert_eq!(world.watch("2026-11-14T07:05:00Z").0, 0);
    assert_eq!(world.told().len(), 2, "{:?}", world.notices());
    // Over and quiet, it ends once.
    assert_eq!(world.watch("2026-11-16T15:05:00Z").0, 0);
    let ends = |world: &World| world.told().iter().filter(|told| told.as_str() == "spike resolved over").count();
    assert_eq!((ends(&world), world.told().len()), (1, 3), "{:?}", world.told());
    assert_eq!(world.watch("2026-11-16T16:05:00Z").0, 0);
    assert_eq!(world.told().len(), 3);
}

#[test]
fn a_provider_that_is_down_neither_delays_nor_spoils_what_the_ledger_says() {
    let world = World::new();
    let clips: Vec<(DateTime<Utc>, &str)> =
        (0..4).map(|quarter| (at(LEAK) + Duration::minutes(3 + 15 * quarter), "2.5")).collect();
    world.ledger(&clips);
    assert_eq!(world.watch("2026-11-13T19:05:00Z").0, 0);
    for (mood, hour) in [(Mood::Silent, "2026-11-13T20:05:00Z"), (Mood::Failing, "2026-11-13T21:05:00Z")] {
        world.mood(mood);
        let (code, object, told) = world.watch(hour);
        let ended = Instant::now();
        assert_eq!((code, object["slices"].clone()), (10, json!({ "stale": 1 })), "{mood:?} {told}");
        assert!(told.contains("warning: openai/usage_completions: ") && told.contains("its days stay as they were"), "{told}");
        // Told at once, and not again when the provider was given up.
        let seen = world.hook.seen();
        assert_eq!(world.told(), ["spike firing new"], "{mood:?}");
        assert_eq!(world.notices()[0]["provider"], "fal");
        if mood == Mood::Silent {
            assert!(ended - seen[0].at >= std::time::Duration::from_millis(1_000), "it waited for the provider first");
        }
        let alone = world.run("ledger-only", hour, &[]);
        assert!(matches!(alone.0, 0 | 12), "{}", alone.2);
        assert_eq!(files(&world.path("watch/latest"))["spikes.csv"], files(&world.path("alone/latest"))["spikes.csv"]);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    let output = command
        .current_dir(world.dir.path())
        .args(["run", "watch.toml", "--quiet", "--as-of", "2026-11-13T21:05:00Z"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("openai: NOT SEEN since 2026-11-13 20:00 CET"), "{said}");
    assert_eq!(world.run("watch", "2026-11-13T21:05:00Z", &["--require-complete"]).0, 75);
    // It is back: what it has to say of the hours before is told now.
    world.mood(Mood::Well);
    assert_eq!(world.watch("2026-11-13T22:05:00Z").0, 0);
    let mut told = world.told();
    told.sort();
    assert_eq!(told, ["spike firing new", "spike firing new", "unowned_key firing new"]);
}

#[test]
fn what_a_provider_does_not_tell_is_no_quiet() {
    let world = World::new();
    assert_eq!(world.watch("2026-11-13T20:05:00Z").0, 0);
    let before = world.told();
    assert_eq!(before.len(), 2);
    world.mood(Mood::Failing);
    // Ten hours without a word: the spike is not over, nor withdrawn.
    for hour in ["2026-11-14T00:05:00Z", "2026-11-14T06:05:00Z"] {
        assert_eq!(world.watch(hour).0, 10);
        assert_eq!(world.told(), before);
    }
    assert_eq!(world.run("watch", "2026-11-14T06:05:00Z", &["--offline"]).0, 10);
    world.mood(Mood::Well);
    assert_eq!(world.watch("2026-11-14T07:05:00Z").0, 0);
    assert_eq!(world.told(), before);
}

#[test]
fn nights_are_the_same_with_and_without_hours_between_them() {
    let [alone, watched] = [World::new(), World::new()];
    for day in ["2026-11-14", "2026-11-15"] {
        for hour in ["06:05", "23:50"] {
            assert_eq!(watched.watch(&format!("{day}T{hour}:00Z")).0, 0);
        }
        // Ten minutes after an hour was asked for, the day is over: nothing of it is taken for fresh.
        let next = day.parse::<NaiveDate>().unwrap().succ_opt().unwrap();
        assert_eq!(watched.watch(&format!("{next}T00:05:00Z")).0, 0);
        for world in [&alone, &watched] {
            assert_eq!(world.run("nightly", &format!("{next}T00:10:00Z"), &[]).0, 0);
        }
        let [one, other] = [&alone, &watched].map(|world| files(&world.path("out/latest")));
        let names: Vec<&String> = one.keys().filter(|name| *name != "alerts.json").collect();
        for name in names {
            assert!(one[name] == other[name], "{day} {name}:\n{}", String::from_utf8_lossy(&other[name]));
        }
    }
    let restated = String::from_utf8(files(&watched.path("out/latest"))["restatements.csv"].clone()).unwrap();
    assert_eq!(restated.lines().count(), 1, "{restated}");
}
