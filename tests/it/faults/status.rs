//! Statuses, waits and connections.

use super::world::{OPENAI_KEY, World, healthy, openai_costs};
use super::{Case, check, drawn, gaps, plain};
use crate::fault_server::{FaultServer, Step, answer, certificate, head, json};
use std::time::Duration;

const COSTS: &str = "/v1/organization/costs";

#[test]
fn a_refused_key_is_shown_once() {
    let world = World::new(&["openai"], "");
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for status in [401, 403] {
        check(&Case {
            name: "refused",
            limits: "",
            answers: vec![answer(status, &[], b"{\"error\":\"Incorrect API key: cnry-7Kq2vXw9LmT4\"}")],
            code: 77,
            says: if status == 401 {
                "key refused (HTTP 401), secret \"openai.key\""
            } else {
                "key refused (HTTP 403), secret \"openai.key\""
            },
            requests: 1,
        });
    }
}

/// Neither for another report, nor for another account that has it too; another key is tried.
#[test]
fn a_refused_key_is_not_shown_again_in_the_run() {
    let world = World::new(&["openai", "anthropic"], "");
    let source = |account: &str, key: &str| {
        format!(
            "[[source]]\nprovider = \"openai\"\naccount = \"{account}\"\n[source.api]\nsecret = \"file:{key}\"\n\
             base_url = \"{}\"\nsettings = {{ reports = \"costs,usage_completions\" }}\n",
            world.server.url()
        )
    };
    world.write_key("other.key", "cnry-Xb5nWd9TgU2e");
    let more = format!("{}{}", source("beta", "openai.key"), source("gamma", "other.key"));
    world.change_job("reports = \"costs\"", "reports = \"costs,usage_completions\"");
    let job = std::fs::read_to_string(world.path("job.toml")).unwrap();
    std::fs::write(world.path("job.toml"), format!("{job}{more}")).unwrap();
    world.fail(COSTS, vec![plain(401)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 10, "{}", ran.err);
    for (account, secret) in [("acme", "openai.key"), ("beta", "openai.key"), ("gamma", "other.key")] {
        let said = format!("warning: openai/{account}/costs: key refused (HTTP 401), secret \"{secret}\"");
        assert!(ran.err.contains(&said), "{said}: {}", ran.err);
    }
    let shown: Vec<String> =
        world.server.seen().iter().filter_map(|seen| seen.header("authorization").map(str::to_string)).collect();
    assert_eq!(shown, [format!("Bearer {OPENAI_KEY}"), "Bearer cnry-Xb5nWd9TgU2e".to_string()]);
}

#[test]
fn what_cannot_get_better_is_not_retried() {
    for (status, says) in [(404, "HTTP 404"), (400, "HTTP 400"), (422, "HTTP 422")] {
        check(&Case::new(says, vec![plain(status)], says));
    }
}

#[test]
fn what_may_pass_is_retried_until_the_tries_are_used_up() {
    for (status, says) in [
        (408, "HTTP 408"),
        (425, "HTTP 425"),
        (429, "HTTP 429"),
        (500, "HTTP 500"),
        (502, "HTTP 502"),
        (503, "HTTP 503"),
        (504, "HTTP 504"),
        (529, "HTTP 529"),
    ] {
        check(&Case { name: says, limits: "", answers: vec![plain(status)], code: 75, says, requests: 6 });
    }
    check(&Case { name: "conflict", limits: "", answers: vec![plain(409)], code: 76, says: "HTTP 409", requests: 3 });
}

/// Waits are drawn up to a ceiling that doubles with each try: without that, three runs would not wait as long as drawn.
#[test]
fn the_waits_between_tries_grow() {
    for _ in 0..3 {
        let world = World::new(&["openai"], "tries = 5\nbackoff_ms = 100\nbackoff_max_ms = 800");
        world.fail(COSTS, vec![plain(503)]);
        let ran = world.run(&["--json"]);
        assert_eq!(ran.code, 75, "{}", ran.err);
        let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        let gaps = gaps(&world.server.seen());
        assert_eq!(gaps.len(), 4);
        for (tried, gap) in (1..).zip(gaps) {
            let wait = drawn(told["run_id"].as_str().unwrap(), tried, 100, 800);
            assert!(gap >= wait && gap < wait + Duration::from_secs(5), "{gap:?} after try {tried}, drawn {wait:?}");
        }
    }
}

#[test]
fn a_passing_fault_costs_nothing() {
    let reset = vec![Step::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Reset];
    for fault in [plain(503), plain(429), plain(409), reset, vec![Step::Close], vec![Step::Hang]] {
        let world = World::new(&["openai"], "");
        world.fail(COSTS, vec![fault.clone(), fault.clone(), json(openai_costs())]);
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (0, 3), "{fault:?}: {}", ran.err);
        let clean = World::new(&["openai"], "");
        assert_eq!(clean.run(&[]).code, 0);
        assert!(world.reports() == clean.reports(), "{fault:?}");
    }
}

#[test]
fn broken_connections_are_retried() {
    let body = openai_costs();
    let whole = answer(200, &[("content-type", "application/json")], body.as_bytes());
    let Some(Step::Bytes(bytes)) = whole.first() else { panic!() };
    let cut = bytes[..bytes.len() - 10].to_vec();
    let mut chunks = head(200, &[("content-type", "application/json")]);
    chunks.extend(format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()).bytes());
    for (name, steps, says) in [
        ("reset", vec![Step::Reset], "tried 6 times"),
        ("truncated", vec![Step::Bytes(cut), Step::Close], "the answer was cut off, tried 6 times"),
        ("no last chunk", vec![Step::Bytes(chunks), Step::Close], "the answer was cut off, tried 6 times"),
    ] {
        check(&Case { name, limits: "", answers: vec![steps], code: 75, says, requests: 6 });
    }
}

#[test]
fn nobody_there_and_no_such_name_are_75() {
    for (url, says) in [
        ("http://127.0.0.1:9", "openai/costs: the connection was refused, tried 6 times"),
        ("https://tieout.invalid", "openai/costs: the provider's name was not found (DNS), tried 6 times"),
    ] {
        let alone = World::new(&["openai"], "");
        assert_eq!(alone.run(&[]).code, 0);
        let before = alone.reports();
        alone.change_job(&alone.server.url(), url);
        alone.server.forget();
        let ran = alone.run(&[]);
        assert_eq!((ran.code, alone.server.connections()), (75, 1), "{url}: {}", ran.err);
        assert!(ran.err.contains(says), "{url}: {}", ran.err);
        assert_eq!((alone.reports(), alone.runs().len()), (before, 1), "{url}");

        let beside = World::new(&["openai", "anthropic"], "");
        let there = beside.server.url();
        let of_openai = |url: &str| format!("secret = \"file:openai.key\"\nbase_url = \"{url}\"");
        beside.change_job(&of_openai(&there), &of_openai(url));
        let ran = beside.run(&[]);
        assert!(ran.code == 10 && ran.err.contains(says), "{url}: {}", ran.err);
        beside.change_job(&of_openai(url), &of_openai(&there));
        let clean = World::new(&["openai", "anthropic"], "");
        assert_eq!((beside.run(&[]).code, clean.run(&[]).code), (0, 0));
        assert!(beside.reports() == clean.reports(), "{url}");
    }
}

#[test]
fn slow_answers_are_cut_and_the_deadline_holds() {
    let drip = |text: &[u8], pause| vec![Step::Drip(text.to_vec(), Duration::from_millis(pause))];
    let body = openai_costs();
    let mut slow = head(200, &[("content-type", "application/json")]);
    slow.extend(format!("content-length: {}\r\n\r\n{body}", body.len()).bytes());
    for (name, steps) in [
        ("no answer", vec![Step::Hang]),
        ("slow headers", drip(b"HTTP/1.1 200 OK\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 60)),
        ("slow body", drip(&slow, 20)),
        ("stalled body", vec![Step::Bytes(slow[..slow.len() - 20].to_vec()), Step::Hang]),
    ] {
        let says = "no answer in time, tried 2 times";
        let limits = "tries = 2\nidle_ms = 400\nrequest_ms = 800";
        check(&Case { name, limits, answers: vec![steps], code: 75, says, requests: 2 });
    }
    let world = World::new(&["openai"], "tries = 20\nidle_ms = 60000\nrequest_ms = 60000");
    world.fail(COSTS, vec![vec![Step::Hang]]);
    let ran = world.run(&["--deadline", "2s"]);
    assert_eq!((ran.code, world.server.seen().len()), (75, 1), "{}", ran.err);
    assert!(ran.took < Duration::from_secs(8) && ran.err.contains("out of time"), "{:?} {}", ran.took, ran.err);
    let world = World::new(&["openai"], "tries = 20\nprovider_ms = 1500\nidle_ms = 60000\nrequest_ms = 60000");
    world.fail(COSTS, vec![vec![Step::Hang]]);
    let ran = world.run(&[]);
    assert!(ran.code == 75 && ran.took < Duration::from_secs(8), "{:?} {}", ran.took, ran.err);
}

#[test]
fn retry_after_is_obeyed_to_the_second() {
    let after = |value: &str| answer(429, &[("retry-after", value), ("content-type", "application/json")], b"{}");
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![after("1"), json(openai_costs())]);
    let ran = world.run(&[]);
    let gap = gaps(&world.server.seen())[0];
    assert!(ran.code == 0 && gap >= Duration::from_secs(1) && gap < Duration::from_secs(4), "{gap:?} {}", ran.err);

    let date = chrono::Utc::now() + chrono::Duration::seconds(2);
    world.server.forget();
    world.fail(COSTS, vec![after(&date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()), json(openai_costs())]);
    let ran = world.run(&[]);
    let gap = gaps(&world.server.seen())[0];
    assert!(ran.code == 0 && gap >= Duration::from_secs(1), "{gap:?} {}", ran.err);

    for value in ["soon", "Wed, 18 Nov 2015 09:00:00 GMT", "-1"] {
        world.server.forget();
        world.fail(COSTS, vec![after(value), json(openai_costs())]);
        let ran = world.run(&[]);
        let gap = gaps(&world.server.seen())[0];
        assert!(ran.code == 0 && gap < Duration::from_secs(1), "{value}: {gap:?} {}", ran.err);
    }
    // A refusal that names a time is a limit, not a refusal.
    world.server.forget();
    world.fail(COSTS, vec![answer(403, &[("retry-after", "1")], b"{}"), json(openai_costs())]);
    assert_eq!((world.run(&[]).code, world.server.seen().len()), (0, 2));
    // Longer than there is time: given up at once, with the moment.
    let case = Case {
        name: "later",
        limits: "",
        answers: vec![after("7200")],
        code: 75,
        says: "to be asked again not before 20",
        requests: 1,
    };
    check(&case);
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = FaultServer::start(healthy);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/v1/organization/costs", elsewhere.url());
        check(&Case {
            name: "redirect",
            limits: "",
            answers: vec![answer(status, &[("location", &to)], b"")],
            code: 76,
            says: "redirected (HTTP 30",
            requests: 1,
        });
    }
    assert!(elsewhere.seen().is_empty() && elsewhere.connections() == 0);
}

#[test]
fn a_certificate_that_nobody_knows_is_78_and_a_known_one_is_fine() {
    let certified = certificate();
    let server = FaultServer::start_tls(&certified, healthy);
    let world = World::new(&["openai"], "loopback_http = false");
    world.write_job(&["openai"], "loopback_http = false", &server.url());
    let bundle = world.path("bundle.pem");
    std::fs::write(&bundle, &certified.pem).unwrap();
    let ran = world.tieout("run", &[], &[("SSL_CERT_FILE", bundle.to_str().unwrap())]);
    assert_eq!((ran.code, server.seen().len()), (0, 1), "{}", ran.err);
    let before = world.reports();

    let empty = world.path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let none = [("SSL_CERT_FILE", empty.to_str().unwrap()), ("SSL_CERT_DIR", "/nonexistent")];
    for (environment, says, hint) in [
        (&[][..], "the server's certificate is not trusted", "SSL_CERT_FILE"),
        (&none[..], "this machine has no certificate authorities to trust", "ca-certificates"),
    ] {
        server.forget();
        let ran = world.tieout("run", &[], environment);
        assert_eq!((ran.code, server.seen().len()), (78, 0), "{}", ran.err);
        let last = ran.err.lines().last().unwrap();
        assert!(last.starts_with("error[CONFIG] openai/costs: ") && last.contains(says), "{}", ran.err);
        assert!(ran.err.contains(hint) && last.ends_with("; published nothing; latest is 2026-11-18.r1"), "{}", ran.err);
        assert_eq!((world.reports(), world.runs().len()), (before.clone(), 1));
    }

    // Beside a provider that is well: its figures are published.
    let beside = World::new(&["openai", "anthropic"], "");
    let of_openai = |url: &str| format!("secret = \"file:openai.key\"\nbase_url = \"{url}\"");
    beside.change_job(&of_openai(&beside.server.url()), &of_openai(&server.url()));
    let ran = beside.run(&[]);
    assert!(ran.code == 10 && ran.err.contains("certificate is not trusted"), "{}", ran.err);
    assert_eq!(beside.rows("attribution.csv").iter().filter(|row| row["provider"] == "anthropic").count(), 3);
}
