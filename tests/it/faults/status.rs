//! Statuses, waits and connections.

use super::world::{World, healthy, openai_costs};
use super::{Case, check, gaps, plain};
use crate::fault_server::{FaultServer, Step, answer, certificate, head, json};
use std::time::Duration;

#[test]
fn a_refused_key_is_shown_once() {
    let world = World::new(&["openai"], "");
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    for status in [401, 403] {
        check(&Case {
            name: "refused",
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

#[test]
fn what_cannot_get_better_is_not_retried() {
    for (status, says) in [(404, "HTTP 404"), (400, "HTTP 400"), (422, "HTTP 422")] {
        check(&Case { name: says, answers: vec![plain(status)], code: 76, says, requests: 1 });
    }
}

#[test]
fn what_may_pass_is_retried_until_the_tries_are_used_up() {
    for (status, says) in [(408, "HTTP 408"), (425, "HTTP 425"), (500, "HTTP 500"), (503, "HTTP 503"), (529, "HTTP 529")] {
        check(&Case { name: says, answers: vec![plain(status)], code: 75, says, requests: 6 });
    }
    check(&Case { name: "conflict", answers: vec![plain(409)], code: 76, says: "HTTP 409", requests: 3 });
}

#[test]
fn a_passing_fault_costs_nothing() {
    let reset = vec![Step::Bytes(b"HTTP/1.1 200 OK\r\n".to_vec()), Step::Reset];
    for fault in [plain(503), plain(429), plain(409), reset, vec![Step::Close], vec![Step::Hang]] {
        let world = World::new(&["openai"], "");
        world.fail("/v1/organization/costs", vec![fault.clone(), fault.clone(), json(openai_costs())]);
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
        check(&Case { name, answers: vec![steps], code: 75, says, requests: 6 });
    }
}

#[test]
fn nobody_there_and_no_such_name_are_75() {
    for (url, says) in [
        ("http://127.0.0.1:9", "openai/costs: the connection was refused, tried 6 times"),
        ("https://tieout.invalid", "openai/costs: the provider's name was not found (DNS), tried 6 times"),
    ] {
        let world = World::new(&["openai"], "");
        world.write_job(&["openai"], "", url);
        let ran = world.run(&[]);
        assert_eq!(ran.code, 75, "{url}: {}", ran.err);
        assert!(ran.err.contains(says), "{url}: {}", ran.err);
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
        let world = World::new(&["openai"], "tries = 2");
        world.fail("/v1/organization/costs", vec![steps]);
        let ran = world.run(&[]);
        assert_eq!((ran.code, world.server.seen().len()), (75, 2), "{name}: {}", ran.err);
        assert!(ran.err.contains("no answer in time, tried 2 times"), "{name}: {}", ran.err);
    }
    let world = World::new(&["openai"], "tries = 20\nidle_ms = 60000\nrequest_ms = 60000");
    world.fail("/v1/organization/costs", vec![vec![Step::Hang]]);
    let ran = world.run(&["--deadline", "2s"]);
    assert_eq!(ran.code, 75, "{}", ran.err);
    assert!(ran.took < Duration::from_secs(8) && ran.err.contains("out of time"), "{:?} {}", ran.took, ran.err);
    let world = World::new(&["openai"], "tries = 20\nprovider_ms = 1500\nidle_ms = 60000\nrequest_ms = 60000");
    world.fail("/v1/organization/costs", vec![vec![Step::Hang]]);
    let ran = world.run(&[]);
    assert!(ran.code == 75 && ran.took < Duration::from_secs(8), "{:?} {}", ran.took, ran.err);
}

#[test]
fn retry_after_is_obeyed_to_the_second() {
    let after = |value: &str| answer(429, &[("retry-after", value), ("content-type", "application/json")], b"{}");
    let world = World::new(&["openai"], "");
    world.fail("/v1/organization/costs", vec![after("1"), json(openai_costs())]);
    let ran = world.run(&[]);
    let gap = gaps(&world.server.seen())[0];
    assert!(ran.code == 0 && gap >= Duration::from_secs(1) && gap < Duration::from_secs(4), "{gap:?} {}", ran.err);

    let date = chrono::Utc::now() + chrono::Duration::seconds(2);
    world.server.forget();
    world
        .fail("/v1/organization/costs", vec![after(&date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()), json(openai_costs())]);
    let ran = world.run(&[]);
    let gap = gaps(&world.server.seen())[0];
    assert!(ran.code == 0 && gap >= Duration::from_secs(1), "{gap:?} {}", ran.err);

    for value in ["soon", "Wed, 18 Nov 2015 09:00:00 GMT", "-1"] {
        world.server.forget();
        world.fail("/v1/organization/costs", vec![after(value), json(openai_costs())]);
        let ran = world.run(&[]);
        let gap = gaps(&world.server.seen())[0];
        assert!(ran.code == 0 && gap < Duration::from_secs(1), "{value}: {gap:?} {}", ran.err);
    }
    // A refusal that names a time is a limit, not a refusal.
    world.server.forget();
    world.fail("/v1/organization/costs", vec![answer(403, &[("retry-after", "1")], b"{}"), json(openai_costs())]);
    assert_eq!((world.run(&[]).code, world.server.seen().len()), (0, 2));
    // Longer than there is time: given up at once, with the moment.
    let case =
        Case { name: "later", answers: vec![after("7200")], code: 75, says: "to be asked again not before 20", requests: 1 };
    check(&case);
}

#[test]
fn no_redirect_is_followed() {
    let elsewhere = FaultServer::start(healthy);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/v1/organization/costs", elsewhere.url());
        check(&Case {
            name: "redirect",
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
    let ran = world.run(&[]);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("certificate is not trusted") && ran.err.contains("SSL_CERT_FILE"), "{}", ran.err);
    assert!(server.seen().is_empty());

    let bundle = world.path("bundle.pem");
    std::fs::write(&bundle, &certified.pem).unwrap();
    let ran = world.tieout("run", &[], &[("SSL_CERT_FILE", bundle.to_str().unwrap())]);
    assert_eq!((ran.code, server.seen().len()), (0, 1), "{}", ran.err);

    let empty = world.path("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let none = [("SSL_CERT_FILE", empty.to_str().unwrap()), ("SSL_CERT_DIR", "/nonexistent")];
    let ran = world.tieout("run", &[], &none);
    assert_eq!(ran.code, 78, "{}", ran.err);
    assert!(ran.err.contains("ca-certificates") || ran.err.contains("not trusted"), "{}", ran.err);
}
