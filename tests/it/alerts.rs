//! Alerts with the real binary and real receivers on this machine: nothing is lost, nothing is told twice but after
//! a crash or a lost answer (reliability.md guarantee 11; section 8, "Alert ledger").

mod mail_server;

use crate::fault_server::{FaultServer, Seen, Step, answer};
use mail_server::MailServer;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const AS_OF: &str = "2026-11-19T06:00:00Z";
const HEADER: &str = "request_id,endpoint_id,timestamp,output_units,unit_price,percent_discount,cost_subtotal,cost_discount,cost_total,cost_estimate_nano_usd,auth_method,api_key_id,login_username";
const HOOK: &str = "T0canary1/B0canary2/zQ7xVw9Lm2Tr5";
const SIGNING: &str = "signing-canary-zQ7xVw9Lm2";

/// A job with as many fal accounts as wanted, each with one call of 5 USD that fal has not billed: one alert each.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(accounts: usize, alerts: &str) -> World {
        let world = World { dir: tempfile::tempdir().unwrap() };
        world.secret("hook", &format!("https://hooks.example/services/{HOOK}"));
        world.secret("signing", SIGNING);
        world.secret("routing", "routing-canary-Kx82mQ0pL5");
        world.job(accounts, alerts);
        world.ledger(accounts, "ok");
        for number in 0..accounts {
            let row = format!("req-{number},fal-ai/flux/dev,2026-11-16T07:14:22Z,1,0.025,,0.025,0,0.025,,,key-{number},\n");
            fs::write(world.path(&format!("page-{number}.csv")), format!("{HEADER}\n{row}")).unwrap();
        }
        world
    }

    fn job(&self, accounts: usize, alerts: &str) {
        let mut job = format!(
            "name = \"nightly\"\nas_of = \"{AS_OF}\"\noutput = \"out\"\nstate = \"state\"\n\n[window]\nfrom = \"2026-11-16\"\nto = \"2026-11-19\"\n\n\
             [[ledger]]\nname = \"app\"\nfiles = [\"ledger.csv\"]\n\n[alerts]\ndrift_above = \"1\"\n{alerts}\n"
        );
        for number in 0..accounts {
            write!(
                job,
                "[[source]]\nprovider = \"fal\"\naccount = \"acme-{number:02}\"\nsettle_days = 0\n\n[[source.pull]]\n\
                 files = [\"page-{number}.csv\"]\ncovers = [\"2026-11-16\", \"2026-11-19\"]\n\n"
            )
            .unwrap();
        }
        fs::write(self.path("job.toml"), job).unwrap();
    }

    /// The call that fal has not billed has this status: `ok` should have been billed, `error` not.
    fn ledger(&self, accounts: usize, status: &str) {
        let mut rows = "request_id,attempt,started_at,provider,model,provider_request_id,account,api_key_id,team,status,images,expected_cost\n".to_string();
        for number in 0..accounts {
            let call = |day: u8, id: &str, status: &str, cost: &str| {
                format!(
                    "call-{day}-{number},1,2026-11-{day}T07:14:20Z,fal,fal-ai/flux/dev,{id}-{number},acme-{number:02},key-{number},growth,{status},1,{cost}\n"
                )
            };
            rows.push_str(&call(16, "req", "ok", "0.025"));
            rows.push_str(&call(17, "lost", status, &format!("5.{number:02}")));
        }
        fs::write(self.path("ledger.csv"), rows).unwrap();
    }

    /// What fal has not billed each account for: nothing where the call had failed anyway.
    fn unbilled(&self, costs: &[Option<&str>]) {
        self.ledger(costs.len(), "ok");
        let text = fs::read_to_string(self.path("ledger.csv")).unwrap();
        let mut rows: Vec<String> = text.lines().map(str::to_string).collect();
        for (number, cost) in costs.iter().enumerate() {
            let known = format!(",ok,1,5.{number:02}");
            let row = rows.iter_mut().find(|row| row.contains("lost-") && row.ends_with(&known)).unwrap();
            *row = row.replace(&known, &cost.map_or(format!(",error,1,5.{number:02}"), |cost| format!(",ok,1,{cost}")));
        }
        fs::write(self.path("ledger.csv"), rows.join("\n") + "\n").unwrap();
    }

    fn secret(&self, name: &str, value: &str) {
        fs::write(self.path(name), format!("{value}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
        command.current_dir(self.dir.path()).args(arguments);
        command
    }

    fn tieout(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs the job; its exit code and the counts of alerts.
    fn run(&self, more: &[&str]) -> (i32, Value) {
        let output = self.tieout(&[&["run", "job.toml", "--json", "--quiet"], more].concat());
        let object: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), object["alerts"].clone())
    }

    /// Everything that the job has written, and no secret in it.
    fn assert_no_secret(&self) {
        for folder in ["out", "state"] {
            for (path, bytes) in tree(&self.path(folder)) {
                for secret in [HOOK, SIGNING, "routing-canary-Kx82mQ0pL5"] {
                    for part in secret.as_bytes().windows(8) {
                        assert!(!bytes.windows(8).any(|found| found == part), "{} holds a secret", path.display());
                    }
                }
            }
        }
    }
}

fn tree(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(tree(&path)),
            false => files.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    files
}

fn webhook(name: &str, server: &FaultServer) -> String {
    format!(
        "[[alerts.channel]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"{}/{name}\"\nsecret = \"file:signing\"\nallow_private = true\n\n",
        server.url()
    )
}

fn accepting() -> FaultServer {
    FaultServer::start(|_| answer(200, &[], b"ok"))
}

fn keys(seen: &[Seen]) -> Vec<String> {
    seen.iter().map(|seen| seen.header("idempotency-key").unwrap().to_string()).collect()
}

fn body(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.body).unwrap()
}

#[test]
fn every_kind_of_channel_is_told_once_and_a_second_run_tells_nobody() {
    let (server, mail) = (accepting(), MailServer::start(&[]));
    let local = |path: &str| format!("{}/{path}", server.url());
    let channels = format!(
        "{webhook}[[alerts.channel]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"file:chat\"\nallow_private = true\n\n\
         [[alerts.channel]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{pager}\"\nsecret = \"file:routing\"\nallow_private = true\n\n\
         [[alerts.channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {port}\nfrom = \"tieout@acme.example\"\n\
         to = [\"oncall@acme.example\"]\nallow_private = true\n\n\
         [[alerts.channel]]\nname = \"terminal\"\nkind = \"stdout\"\n\n",
        webhook = webhook("hook", &server),
        pager = local("v2/enqueue"),
        port = mail.port(),
    );
    let world = World::new(1, &channels);
    world.secret("chat", &local(&format!("services/{HOOK}")));
    let output = world.tieout(&["run", "job.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let title = "fal acme-00: 5.00 USD of drift by missing at provider in 1 items";
    assert!(printed.starts_with(&format!("ALERT {title}\n")) && printed.contains("\nWhat to do: ask the provider"), "{printed}");

    let at = |path: &str| -> Vec<Seen> { server.seen().into_iter().filter(|seen| seen.path().starts_with(path)).collect() };
    let [hook] = at("/hook").try_into().unwrap();
    let told = body(&hook);
    let key = told["notices"][0]["key"].as_str().unwrap().to_string();
    assert_eq!(hook.header("idempotency-key"), Some(format!("{key}.1.hook").as_str()));
    assert!(hook.header("webhook-signature").unwrap().starts_with("v1,") && hook.header("tieout-may-repeat").is_none());
    assert_eq!((&told["job"], &told["count"], &told["notices"][0]["amount"]), (&"nightly".into(), &1.into(), &"5".into()));

    let [chat] = at("/services").try_into().unwrap();
    assert!(body(&chat)["text"].as_str().unwrap().contains(&key), "{}", body(&chat));
    let [pager] = at("/v2").try_into().unwrap();
    let event = body(&pager);
    assert_eq!((&event["event_action"], &event["dedup_key"]), (&"trigger".into(), &key.as_str().into()));
    assert_eq!((&event["payload"]["severity"], &event["payload"]["summary"]), (&"warning".into(), &title.into()));
    assert_eq!(event["routing_key"], "routing-canary-Kx82mQ0pL5");
    let [letter] = mail.letters().try_into().unwrap();
    assert!(letter.contains(&format!("Message-ID: <{key}.1.mail@acme.example>")), "{letter}");
    assert!(letter.contains(&format!("Subject: {title}")) && letter.contains("To: oncall@acme.example"), "{letter}");

    let before = (server.seen().len(), mail.letters().len());
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["firing"], &counts["new"], &counts["sent"]), (0, &1.into(), &0.into(), &0.into()));
    assert_eq!((server.seen().len(), mail.letters().len()), before);
    world.assert_no_secret();
    let published: Value = serde_json::from_slice(&fs::read(world.path("out/latest/alerts.json")).unwrap()).unwrap();
    assert_eq!((&published["alerts"][0]["key"], &published["alerts"][0]["state"]), (&key.as_str().into(), &"firing".into()));
}

#[test]
fn a_lost_answer_costs_one_repeat_with_the_same_key_and_body() {
    for (fault, retried_in_run) in [
        (vec![Step::Reset], true),
        (vec![Step::Close], true),
        (vec![Step::Wait(Duration::from_millis(300)), Step::Close], true),
        (answer(503, &[], b""), true),
        (answer(429, &[("retry-after", "1")], b""), true),
        // Nothing may be asked for before then, and the run does not wait so long.
        (answer(429, &[("retry-after", "3600")], b""), false),
    ] {
        let server = FaultServer::script(vec![fault.clone(), answer(200, &[], b"")]);
        let world = World::new(1, &webhook("hook", &server));
        let (code, counts) = world.run(&[]);
        if retried_in_run {
            assert_eq!((code, &counts["sent"], &counts["queued"]), (0, &1.into(), &0.into()), "{fault:?}");
            let seen = server.seen();
            assert_eq!(seen.len(), 2, "{fault:?}");
            assert_eq!((&seen[0].body, keys(&seen[..1])), (&seen[1].body, keys(&seen[1..])), "{fault:?}");
            assert_eq!(seen[1].header("tieout-may-repeat"), Some("true"));
            assert!(seen[1].at - seen[0].at >= Duration::from_millis(900));
        } else {
            assert_eq!((code, &counts["sent"], &counts["queued"]), (12, &0.into(), &1.into()), "{fault:?}");
            assert_eq!((world.run(&[]).0, server.seen().len()), (12, 1), "{fault:?}");
        }
    }
}

#[test]
fn a_channel_that_is_down_delays_no_other_and_gets_its_alert_later() {
    let (good, bad) = (accepting(), FaultServer::script(vec![answer(500, &[], b""); 3]));
    let world = World::new(1, &(webhook("bad", &bad) + &webhook("good", &good)));
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["sent"], &counts["queued"]), (12, &1.into(), &1.into()));
    assert_eq!((good.seen().len(), bad.seen().len()), (1, 3));
    assert!(good.seen()[0].at < bad.seen()[1].at);
    let status = String::from_utf8(world.tieout(&["status", "job.toml"]).stdout).unwrap();
    assert!(status.contains("alerts: 1 queued, 0 in quiet hours, 0 refused"), "{status}");
    // The published run stands whatever became of its alerts.
    assert_eq!(world.tieout(&["verify", "out"]).status.code(), Some(0));

    let mended = accepting();
    world.job(1, &(webhook("bad", &mended) + &webhook("good", &good)));
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["sent"], &counts["queued"], &counts["new"]), (0, &1.into(), &0.into(), &0.into()));
    assert_eq!((good.seen().len(), mended.seen().len()), (1, 1));
    assert_eq!(mended.seen()[0].body, bad.seen()[0].body);
}

#[test]
fn what_is_refused_for_good_goes_to_the_fallback() {
    for status in [302, 400, 403, 404, 410] {
        let (refusing, fallback) = (FaultServer::start(move |_| answer(status, &[("location", "/other")], b"")), accepting());
        let channels = format!(
            "fallback = \"last\"\n\n{}{}min_severity = \"critical\"\n\n",
            webhook("first", &refusing),
            webhook("last", &fallback).trim_end().to_string() + "\n"
        );
        let world = World::new(1, &channels);
        let (code, counts) = world.run(&[]);
        assert_eq!(
            (code, &counts["sent"], &counts["refused"], &counts["queued"]),
            (12, &1.into(), &1.into(), &0.into()),
            "{status}"
        );
        assert_eq!((refusing.seen().len(), fallback.seen().len()), (1, 1), "{status}");
        assert_eq!(world.run(&[]).0, 0, "{status}");
        assert_eq!((refusing.seen().len(), fallback.seen().len()), (1, 1), "{status}");
    }
}

#[test]
fn many_alerts_at_once_are_one_message() {
    let server = accepting();
    let world = World::new(25, &webhook("hook", &server));
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["firing"], &counts["new"], &counts["sent"]), (0, &25.into(), &25.into(), &1.into()));
    let [seen] = server.seen().try_into().unwrap();
    let told = body(&seen);
    assert_eq!(
        (&told["count"], told["notices"].as_array().unwrap().len(), told["keys"].as_array().unwrap().len()),
        (&25.into(), 10, 25)
    );
    // The worst comes first.
    assert_eq!(told["notices"][0]["amount"], "5.24");
    assert_eq!(world.run(&[]).1["sent"], 0);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn an_end_is_told_and_backfills_and_revisions_tell_nothing() {
    let server = accepting();
    let pager = format!(
        "[[alerts.channel]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}\"\nsecret = \"file:routing\"\nallow_private = true\n\n",
        server.url()
    );
    let world = World::new(1, &pager);
    assert_eq!(world.run(&[]).0, 0);
    // A revision with other figures: the same matter, not a quarter larger.
    fs::write(world.path("ledger.csv"), fs::read_to_string(world.path("ledger.csv")).unwrap().replace("5.00", "6.00")).unwrap();
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["new"], server.seen().len()), (0, &0.into(), 1));
    let (code, counts) = world.run(&["--to", "2026-11-18", "--backfill"]);
    assert_eq!((code, &counts["new"], server.seen().len()), (0, &0.into(), 1));
    // Larger by more than a quarter.
    fs::write(world.path("ledger.csv"), fs::read_to_string(world.path("ledger.csv")).unwrap().replace("6.00", "7.00")).unwrap();
    assert_eq!((world.run(&[]).1["new"].clone(), server.seen().len()), (1.into(), 2));
    // A day later it is told again, because it still fires; an hour later not.
    assert_eq!((world.run(&["--as-of", "2026-11-20T05:00:00Z"]).1["new"].clone(), server.seen().len()), (0.into(), 2));
    assert_eq!((world.run(&["--as-of", "2026-11-20T10:00:00Z"]).1["new"].clone(), server.seen().len()), (1.into(), 3));
    world.ledger(1, "error");
    assert_eq!((world.run(&["--as-of", "2026-11-20T11:00:00Z"]).1["firing"].clone(), server.seen().len()), (0.into(), 4));
    let events: Vec<Value> = server.seen().iter().map(body).collect();
    let actions: Vec<&str> = events.iter().map(|event| event["event_action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["trigger", "trigger", "trigger", "resolve"]);
    assert!(events.iter().all(|event| event["dedup_key"] == events[0]["dedup_key"]));
    assert_eq!((world.run(&["--as-of", "2026-11-20T11:00:00Z"]).1["new"].clone(), server.seen().len()), (0.into(), 4));
}

/// Killed at each step of the publish and of the delivery: the next run tells what is untold, once; only where the
/// answer was lost with the process it is told twice, with the same key.
#[test]
fn a_kill_at_any_step_loses_no_alert() {
    for (point, told_by_both) in [
        ("build-synced", false),
        ("prepared", false),
        ("renamed", false),
        ("pointed", false),
        ("recorded", false),
        ("alert-marked", false),
        ("alert-sent", true),
        ("alert-noted", false),
    ] {
        let server = accepting();
        let world = World::new(1, &webhook("hook", &server));
        let killed = world.command(&["run", "job.toml", "--quiet"]).env("TIEOUT_CRASH_AT", point).output().unwrap();
        assert_eq!(killed.status.signal(), Some(6), "{point}");
        // Killed while it recovers, too, wherever that has something to do.
        for again in ["recover-decided", "recover-adopted"] {
            let _ = world.command(&["run", "job.toml", "--quiet"]).env("TIEOUT_CRASH_AT", again).output().unwrap();
        }
        assert_eq!(world.run(&[]).0, 0, "{point}");
        assert_eq!(world.run(&[]).0, 0, "{point}");
        let seen = server.seen();
        assert_eq!(seen.len(), if told_by_both { 2 } else { 1 }, "{point}");
        assert!(
            seen.iter().all(|one| one.body == seen[0].body && keys(std::slice::from_ref(one)) == keys(&seen[..1])),
            "{point}"
        );
        assert_eq!(
            seen.last().unwrap().header("tieout-may-repeat").is_some(),
            told_by_both || point == "alert-marked",
            "{point}"
        );
    }
}

/// The same where several kinds of channel are told at once: each has it, and one of them perhaps twice.
#[test]
fn a_kill_among_several_channels_costs_at_most_one_repeat() {
    for point in ["alert-marked", "alert-sent", "alert-noted"] {
        let (server, mail) = (accepting(), MailServer::start(&[]));
        let channels = format!(
            "{}[[alerts.channel]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{}/v2/enqueue\"\nsecret = \"file:routing\"\nallow_private = true\n\n\
             [[alerts.channel]]\nname = \"mail\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {}\nfrom = \"tieout@acme.example\"\n\
             to = [\"oncall@acme.example\"]\nallow_private = true\n\n",
            webhook("hook", &server),
            server.url(),
            mail.port(),
        );
        let world = World::new(1, &channels);
        let killed = world.command(&["run", "job.toml", "--quiet"]).env("TIEOUT_CRASH_AT", point).output().unwrap();
        assert_eq!(killed.status.signal(), Some(6), "{point}");
        assert_eq!((world.run(&[]).0, world.run(&[]).0), (0, 0), "{point}");
        let at = |path: &str| server.seen().iter().filter(|seen| seen.path().starts_with(path)).count();
        let told = [at("/hook"), at("/v2"), mail.letters().len()];
        assert!(told.iter().all(|count| (1..=2).contains(count)), "{point}: {told:?}");
        // Channels work side by side: what each had under way when the process ended may have arrived.
        let ids: Vec<String> = mail
            .letters()
            .iter()
            .flat_map(|letter| letter.lines())
            .filter(|line| line.starts_with("Message-ID"))
            .map(str::to_string)
            .collect();
        assert!(ids.iter().all(|id| *id == ids[0]), "{point}: {ids:?}");
    }
}

/// What fires and ends while a channel is away is told when it is back, in that order.
#[test]
fn a_channel_that_comes_back_is_told_the_beginning_before_the_end() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let away = |path: &str| {
        format!(
            "[[alerts.channel]]\nname = \"pager\"\nkind = \"pagerduty\"\nurl = \"{path}\"\nsecret = \"file:routing\"\nallow_private = true\n\n"
        )
    };
    let world = World::new(1, &away(&format!("http://127.0.0.1:{port}")));
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["new"], &counts["queued"]), (12, &1.into(), &1.into()));
    world.ledger(1, "error");
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["new"], &counts["queued"]), (12, &1.into(), &2.into()));
    let back = accepting();
    world.job(1, &away(&back.url()));
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["sent"], &counts["queued"]), (0, &2.into(), &0.into()));
    let actions: Vec<Value> = back.seen().iter().map(|seen| body(seen)["event_action"].clone()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
}

/// A receiver that says nothing is given up after its time, three times, and holds up nobody.
#[test]
fn a_channel_that_hangs_delays_no_other() {
    let (good, bad) = (accepting(), FaultServer::start(|_| vec![Step::Hang]));
    let world = World::new(1, &(webhook("bad", &bad) + &webhook("good", &good)));
    let started = std::time::Instant::now();
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["sent"], &counts["queued"]), (12, &1.into(), &1.into()));
    let took = started.elapsed();
    assert!(took < Duration::from_secs(90), "{took:?}");
    let told = good.seen()[0].at;
    assert!(told < bad.seen()[0].at + Duration::from_secs(10) && started + took - told > Duration::from_secs(10), "{took:?}");
}

/// A receiver that accepts, is late, drops what came, or resets the connection after it; a program that is killed
/// between any two steps: what arrives is what would have arrived without all that, with no more repeats than answers
/// were lost and runs were killed (reliability.md section 8, "Alert ledger").
#[test]
fn whatever_goes_wrong_every_alert_arrives_and_repeats_are_counted() {
    const POINTS: [&str; 6] = ["prepared", "renamed", "recorded", "alert-marked", "alert-sent", "alert-noted"];
    // Accounts by round: what fal has not billed, or nothing. Matters begin, grow by more than a quarter, end, come back.
    let rounds: [[Option<&str>; 4]; 4] = [
        [Some("5.00"), Some("5.10"), None, None],
        [Some("9.00"), Some("5.10"), Some("5.20"), None],
        [None, Some("5.10"), Some("8.00"), Some("5.30")],
        [Some("5.00"), None, Some("8.00"), Some("5.30")],
    ];
    let settings = |server: &FaultServer| format!("group_above = 100\n\n{}", webhook("hook", server));
    let counted = |seen: &[Seen]| {
        let mut counts: std::collections::BTreeMap<String, usize> = Default::default();
        keys(seen).into_iter().for_each(|key| *counts.entry(key).or_default() += 1);
        counts
    };
    let calm = accepting();
    let oracle = World::new(4, &settings(&calm));
    for round in &rounds {
        oracle.unbilled(round);
        assert_eq!(oracle.run(&[]).0, 0);
    }
    let expected = counted(&calm.seen());
    assert!(expected.len() >= 8 && expected.values().all(|count| *count == 1), "{expected:?}");
    for seed in [1u64, 2] {
        let mixed = move |number: u64, of: u64| (number.wrapping_mul(2_654_435_761).wrapping_add(seed * 40_503) >> 7) % of;
        let lost = std::sync::Arc::new(std::sync::Mutex::new((0u64, 0usize)));
        let count = lost.clone();
        let moody = FaultServer::start(move |_| {
            let mut lost = count.lock().unwrap();
            lost.0 += 1;
            let steps = match mixed(lost.0, 6) {
                0 => vec![Step::Close],
                1 => vec![Step::Reset],
                2 => [vec![Step::Wait(Duration::from_millis(150))], answer(200, &[], b"")].concat(),
                _ => return answer(200, &[], b""),
            };
            lost.1 += usize::from(steps.len() == 1);
            steps
        });
        let world = World::new(4, &settings(&moody));
        let mut kills = 0;
        for (number, round) in rounds.iter().enumerate() {
            world.unbilled(round);
            let point = POINTS[usize::try_from(mixed(number as u64 + 100, POINTS.len() as u64)).unwrap()];
            let killed = world.command(&["run", "job.toml", "--quiet"]).env("TIEOUT_CRASH_AT", point).output().unwrap();
            kills += usize::from(killed.status.signal() == Some(6));
            // Until nothing waits any more.
            let tries = (0..10).take_while(|_| world.run(&[]).1["queued"] != 0).count();
            assert!(tries < 10, "seed {seed}: round {number} never ends");
        }
        let arrived = counted(&moody.seen());
        let (expected, found): (Vec<&String>, Vec<&String>) = (expected.keys().collect(), arrived.keys().collect());
        assert_eq!(found, expected, "seed {seed}");
        let repeats: usize = arrived.values().map(|count| count - 1).sum();
        let lost = lost.lock().unwrap().1;
        assert!(kills > 0 && lost > 0 && repeats <= lost + kills, "seed {seed}: {repeats} repeats, {lost} lost, {kills} killed");
    }
}

#[test]
fn a_lost_state_is_rebuilt_without_telling_anything_again() {
    let server = accepting();
    let world = World::new(2, &webhook("hook", &server));
    assert_eq!((world.run(&[]).0, server.seen().len()), (0, 2));
    fs::remove_file(world.path("state/state.db")).unwrap();
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["firing"], &counts["new"], server.seen().len()), (0, &2.into(), &0.into(), 2));
    // What it told before it still ends, with the next number.
    world.ledger(2, "error");
    assert_eq!((world.run(&[]).0, server.seen().len()), (0, 4));
    assert!(keys(&server.seen()[2..]).iter().all(|key| key.ends_with(".2.hook")));
}

/// Three nights without a new row of an account that the ledger goes on calling: its export stands still.
#[test]
fn an_account_that_brings_nothing_new_is_told_to_stand_still() {
    let server = accepting();
    let world = World::new(2, &webhook("hook", &server).replace("allow_private", "rules = [\"frozen\"]\nallow_private"));
    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    let job = job.replace(&format!("as_of = \"{AS_OF}\"\n"), "").replace("to = \"2026-11-19\"\n", "");
    fs::write(world.path("job.toml"), job.replace("\"2026-11-19\"]", "\"2026-12-01\"]")).unwrap();
    let rows: Vec<String> = fs::read_to_string(world.path("ledger.csv")).unwrap().lines().map(str::to_string).collect();
    let mut ledger = rows.join("\n");
    let mut billed = [HEADER.to_string(), HEADER.to_string()];
    for day in 16..=24 {
        for (number, page) in billed.iter_mut().enumerate() {
            let time = format!("2026-11-{day}T09:00:00Z");
            ledger.push_str(&format!(
                "\nmore-{day}-{number},1,{time},fal,fal-ai/flux/dev,more-{day}-{number},acme-{number:02},key-{number},growth,ok,1,0.025"
            ));
            // The first account's export ends with the 18th; somebody looks after it on the 23rd.
            if number == 1 || day <= 18 || day == 23 {
                page.push_str(&format!("\nmore-{day}-{number},fal-ai/flux/dev,{time},1,0.025,,0.025,0,0.025,,,key-{number},"));
            }
        }
    }
    fs::write(world.path("ledger.csv"), ledger + "\n").unwrap();
    let until = |page: &str, day: u32| -> String {
        page.lines()
            .filter(|row| !row.starts_with("more-") || row[5..7].parse::<u32>().unwrap() <= day)
            .fold(String::new(), |all, row| all + row + "\n")
    };
    let told = || server.seen().iter().map(|seen| body(seen)["notices"][0].clone()).collect::<Vec<Value>>();
    for (date, firing) in [(18, 0), (19, 0), (20, 0), (21, 1), (22, 1), (24, 0)] {
        for (number, page) in billed.iter().enumerate() {
            fs::write(world.path(&format!("page-{number}.csv")), until(page, date - 1)).unwrap();
        }
        for _ in 0..2 {
            world.run(&["--as-of", &format!("2026-11-{date}T06:00:00Z")]);
        }
        let published: Value = serde_json::from_slice(&fs::read(world.path("out/latest/alerts.json")).unwrap()).unwrap();
        let frozen = published["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["rule"] == "frozen" && one["state"] == "firing")
            .count();
        assert_eq!(frozen, firing, "{date}: {published}");
        let summary = fs::read_to_string(world.path("out/latest/summary.txt")).unwrap();
        assert_eq!(summary.contains("fal acme-00: nothing new in "), firing == 1, "{date}: {summary}");
    }
    let told: Vec<String> =
        told().iter().map(|one| ["title", "state"].map(|field| one[field].as_str().unwrap().to_string()).join(" | ")).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0], "fal acme-00: nothing new in 3 runs, since 2026-11-18 | firing");
    assert!(told[1].starts_with("Frozen at fal acme-00") && told[1].ends_with("| resolved"), "{told:?}");
}

/// The list of what was told stays as long as the figures that it is about, and no longer.
#[test]
fn what_is_over_and_out_of_sight_leaves_the_manifest() {
    let server = accepting();
    let world = World::new(2, &webhook("hook", &server));
    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    let job = job.replace(&format!("as_of = \"{AS_OF}\"\n"), "").replace("to = \"2026-11-19\"\n", "");
    let job = job
        .replace("[\"2026-11-16\", \"2026-11-19\"]", "[\"2026-11-01\", \"2027-02-01\"]")
        .replace("from = \"2026-11-16\"\n", "trailing_days = 10\n");
    fs::write(world.path("job.toml"), job).unwrap();
    let listed = || {
        let manifest = fs::read(world.path("out/latest/MANIFEST.json")).unwrap();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap();
        manifest["alerts"].as_array().unwrap().len()
    };
    let run = |as_of: &str| world.run(&["--as-of", as_of]).1["new"].clone();
    assert_eq!((run("2026-11-19T06:00:00Z"), listed()), (2.into(), 2));
    // The days are over and out of the window: an end is told, and kept while it may be needed.
    assert_eq!((run("2026-12-05T06:00:00Z"), listed(), server.seen().len()), (2.into(), 2, 4));
    assert_eq!((run("2026-12-20T06:00:00Z"), listed()), (0.into(), 2));
    assert_eq!((run("2027-01-20T06:00:00Z"), listed()), (0.into(), 0));
    // Nor does a state that is lost tell anything again.
    fs::remove_file(world.path("state/state.db")).unwrap();
    assert_eq!((run("2027-01-20T06:00:00Z"), run("2027-01-21T06:00:00Z"), server.seen().len()), (0.into(), 0.into(), 4));
}

#[test]
fn quiet_hours_hold_what_is_not_urgent_until_the_morning() {
    let server = accepting();
    let quiet = "quiet = { from = \"22:00\", to = \"07:00\", through = \"critical\", escalate_hours = 720 }\n\n";
    let world = World::new(1, &(quiet.to_string() + &webhook("hook", &server)));
    let (code, counts) = world.run(&["--as-of", "2026-11-19T23:30:00Z"]);
    assert_eq!((code, &counts["new"], &counts["quiet"], &counts["queued"]), (0, &1.into(), &1.into(), &0.into()));
    assert_eq!(server.seen().len(), 0);
    assert_eq!(world.run(&["--as-of", "2026-11-20T06:45:00Z"]).1["sent"], 0);
    assert_eq!(world.run(&["--as-of", "2026-11-20T07:00:00Z"]).1["sent"], 1);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn the_dead_man_hears_of_every_run_and_monitors_read_the_figures() {
    let server = accepting();
    let world = World::new(1, "dead_man = \"file:dead\"\nallow_private = true\n");
    world.secret("dead", &format!("{}/ping/canary-9f31c2", server.url()));
    assert_eq!(world.run(&[]).0, 0);
    let paths: Vec<String> = server.seen().iter().map(|seen| seen.path().to_string()).collect();
    assert_eq!(paths, ["/ping/canary-9f31c2/start", "/ping/canary-9f31c2"]);
    assert!(String::from_utf8(server.seen()[1].body.clone()).unwrap().contains("ended with 0 OK"));
    let metrics = fs::read_to_string(world.path("out/metrics.prom")).unwrap();
    for line in [
        "tieout_alerts_queued{job=\"nightly\"} 0",
        "tieout_alerts_firing{job=\"nightly\"} 1",
        "tieout_exit_code{job=\"nightly\"} 0",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
    assert!(metrics.contains("tieout_settled_age_seconds{job=\"nightly\"} 21600"), "{metrics}");
    // A run that fails says so; its code is in the path.
    fs::write(world.path("page-0.csv"), "nothing of the kind\n").unwrap();
    assert_eq!(world.run(&[]).0, 76);
    let paths: Vec<String> = server.seen()[2..].iter().map(|seen| seen.path().to_string()).collect();
    assert_eq!(paths, ["/ping/canary-9f31c2/start", "/ping/canary-9f31c2/76"]);
    // Nobody there: logged, and nothing else.
    drop(server);
    world.ledger(1, "error");
    let row = "req-0,fal-ai/flux/dev,2026-11-16T07:14:22Z,1,0.025,,0.025,0,0.025,,,key-0,\n";
    fs::write(world.path("page-0.csv"), format!("{HEADER}\n{row}")).unwrap();
    let output = world.tieout(&["run", "job.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the dead-man URL was not reached: no connection") && !said.contains("canary"), "{said}");
}

#[test]
fn findings_named_by_fail_on_end_with_11_after_publishing() {
    let world = World::new(1, "");
    assert_eq!(world.run(&["--fail-on", "spike,unpriced"]).0, 0);
    assert_eq!(world.run(&["--fail-on", "drift"]).0, 11);
    assert!(world.path("out/latest/alerts.json").exists());
    // An alert that is not delivered stands above it.
    let server = FaultServer::start(|_| answer(404, &[], b""));
    let world = World::new(1, &webhook("hook", &server));
    assert_eq!(world.run(&["--fail-on", "drift"]).0, 12);
}

#[test]
fn mail_is_sent_again_where_its_answer_was_lost_and_not_where_it_was_refused() {
    let channel = |name: &str, mail: &MailServer| {
        format!(
            "[[alerts.channel]]\nname = \"{name}\"\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {}\nfrom = \"tieout@acme.example\"\n\
             to = [\"oncall@acme.example\"]\nallow_private = true\n\n",
            mail.port()
        )
    };
    for lost in ["", "451 try later"] {
        let mail = MailServer::start(&[lost]);
        let world = World::new(1, &channel("mail", &mail));
        assert_eq!(world.run(&[]).0, 0, "{lost:?}");
        let letters = mail.letters();
        let ids: Vec<&str> =
            letters.iter().flat_map(|letter| letter.lines().filter(|line| line.starts_with("Message-ID"))).collect();
        assert_eq!((ids.len(), ids.first()), (2, ids.last()), "{lost:?}");
        let repeats: Vec<bool> = letters.iter().map(|letter| letter.contains("this may be a repeat")).collect();
        assert_eq!(repeats, [false, true], "{lost:?}");
    }
    let (refusing, last) = (MailServer::start(&["550 no such mailbox"]), MailServer::start(&[]));
    let world = World::new(
        1,
        &format!(
            "fallback = \"last\"\n\n{}{}min_severity = \"critical\"\n\n",
            channel("mail", &refusing),
            channel("last", &last).trim_end().to_string() + "\n"
        ),
    );
    let (code, counts) = world.run(&[]);
    assert_eq!((code, &counts["refused"], refusing.letters().len(), last.letters().len()), (12, &1.into(), 1, 1));
}

#[test]
fn no_alert_goes_where_it_must_not() {
    let private =
        World::new(1, "[[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://169.254.169.254/latest\"\n\n");
    for command in ["check", "run"] {
        let output = private.tieout(&[command, "job.toml"]);
        assert_eq!(output.status.code(), Some(78));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("leads to an address that is not public") && !said.contains("169.254"), "{said}");
    }
    // A name that leads to this machine is found out when it is resolved.
    let server = accepting();
    let port = server.url().rsplit(':').next().unwrap().to_string();
    let named = World::new(
        1,
        &format!("[[alerts.channel]]\nname = \"hook\"\nkind = \"webhook\"\nurl = \"https://localhost.:{port}/x\"\n\n"),
    );
    let (code, counts) = named.run(&[]);
    assert_eq!((code, &counts["queued"], server.connections()), (12, &1.into(), 0));
}
