//! No byte that the program writes has a secret in it, and no other origin gets one (guarantee 15).

use super::world::{ANTHROPIC_KEY, OPENAI_KEY, World, openai_costs};
use crate::fault_server::{answer, json};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const COSTS: &str = "/v1/organization/costs";
const LOUD: [(&str, &str); 3] = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "full"), ("RUST_LIB_BACKTRACE", "1")];

/// The forms in which a canary is looked for.
fn forms(key: &str) -> Vec<Vec<u8>> {
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = key.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let base64 = |before: &str| {
        let text = STANDARD_NO_PAD.encode(format!("{before}{key}"));
        text.as_bytes()[4..text.len() - 4].to_vec()
    };
    let mut forms = vec![key.into(), hex.clone().into(), hex.to_uppercase().into(), percent.into()];
    forms.extend(["Bearer ", "Bearer: ", "key:xx "].map(base64));
    forms.push(URL_SAFE_NO_PAD.encode(key).into_bytes());
    // Parts of at least eight characters count as well.
    forms.extend(key.as_bytes().windows(8).map(<[u8]>::to_vec));
    forms
}

pub(super) fn assert_clean(what: &str, bytes: &[u8]) {
    for key in [OPENAI_KEY, ANTHROPIC_KEY] {
        for form in forms(key) {
            assert!(!bytes.windows(form.len()).any(|part| part == form), "{what} has {}", String::from_utf8_lossy(&form));
        }
    }
}

/// Everything in a folder but the key files themselves, pages unpacked.
pub(super) fn assert_folder_clean(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            assert_folder_clean(&path);
        } else if path.is_file() && path.extension().is_none_or(|end| end != "key") {
            let bytes = fs::read(&path).unwrap();
            assert_clean(&path.display().to_string(), &bytes);
            if path.extension().is_some_and(|end| end == "zst") {
                assert_clean(&path.display().to_string(), &zstd::decode_all(bytes.as_slice()).unwrap());
            }
        }
    }
}

#[test]
fn no_canary_is_found_anywhere() {
    let echo = format!("{{\"error\":\"bad key {OPENAI_KEY} ({})\"}}", STANDARD_NO_PAD.encode(OPENAI_KEY));
    let json_type = [("content-type", "application/json"), ("x-echo", OPENAI_KEY)];
    let page = openai_costs().replace("proj_a", &format!("proj-{OPENAI_KEY}"));
    for (name, bad) in [
        ("401", answer(401, &json_type, echo.as_bytes())),
        ("404", answer(404, &json_type, echo.as_bytes())),
        ("500", answer(500, &json_type, echo.as_bytes())),
        ("html", answer(200, &[("content-type", "text/html")], echo.as_bytes())),
        ("no page", answer(200, &json_type, echo.as_bytes())),
        ("in a page", json(&page)),
        ("redirect", answer(302, &[("location", &format!("https://elsewhere.example.test/?key={OPENAI_KEY}"))], b"")),
        ("good", json(openai_costs())),
    ] {
        let world = World::new(&["openai", "anthropic"], "tries = 2");
        world.fail(COSTS, vec![bad]);
        for arguments in [&["--json"][..], &[][..]] {
            let ran = world.tieout("run", arguments, &LOUD);
            assert_eq!(ran.code, if name == "good" { 0 } else { 10 }, "{name}: {}", ran.err);
            assert_clean(&format!("{name}: stdout"), ran.out.as_bytes());
            assert_clean(&format!("{name}: stderr"), ran.err.as_bytes());
        }
        assert_folder_clean(world.dir.path());
        for seen in world.server.seen() {
            // Each key goes to its own place, as a header and nothing else.
            assert_clean(name, seen.target.as_bytes());
            assert_clean(name, &seen.body);
            let foreign = if seen.path() == COSTS { ANTHROPIC_KEY } else { OPENAI_KEY };
            assert!(seen.headers.iter().all(|(_, value)| !value.contains(foreign)), "{name}: {seen:?}");
            assert_eq!(seen.headers.iter().filter(|(_, value)| value.contains("cnry")).count(), 1, "{name}: {seen:?}");
        }
    }
}

#[test]
fn pages_are_kept_for_nobody_else() {
    let world = World::new(&["openai"], "");
    assert_eq!(world.run(&[]).code, 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&world.path("state")), mode(&world.path("state/raw"))), (0o700, 0o700));
    for entry in fs::read_dir(world.path("state/raw")).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
}

#[test]
fn a_secret_that_cannot_be_read_ends_the_run_before_any_question() {
    let world = World::new(&["openai"], "");
    let key = world.path("openai.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    for command in ["run", "check"] {
        let ran = world.tieout(command, &[], &[]);
        assert_eq!(ran.code, 78, "{command}: {}", ran.err);
        assert!(ran.err.contains("job.toml:") && ran.err.contains("secret \"openai.key\": others may read it"), "{}", ran.err);
    }
    fs::remove_file(&key).unwrap();
    let ran = world.run(&[]);
    assert!(ran.code == 78 && ran.err.contains("secret \"openai.key\": cannot be read"), "{}", ran.err);
    assert_eq!(world.server.connections(), 0);

    let job = fs::read_to_string(world.path("job.toml")).unwrap();
    for (reference, code) in [("env:TIEOUT_TEST_KEY", 0), ("cred:openai_admin", 0), ("cred:other", 78), (OPENAI_KEY, 78)] {
        fs::write(world.path("job.toml"), job.replace("file:openai.key", reference)).unwrap();
        fs::write(world.path("openai_admin"), OPENAI_KEY).unwrap();
        let folder = world.dir.path().to_str().unwrap();
        let ran = world.tieout("run", &[], &[("TIEOUT_TEST_KEY", OPENAI_KEY), ("CREDENTIALS_DIRECTORY", folder)]);
        assert_eq!(ran.code, code, "{reference}: {}", ran.err);
        assert_clean("stderr", ran.err.as_bytes());
    }
}

#[test]
fn check_online_tries_each_credential_and_names_the_one_that_fails() {
    let world = World::new(&["openai", "anthropic"], "");
    let ran = world.tieout("check", &["--online"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("openai/costs: secret \"openai.key\" works"), "{}", ran.out);
    assert_eq!(world.server.seen().len(), 2);
    assert!(ran.out.contains("ledger \"app\": 2 rows of 2026-11-18 are read, 0 are set aside"), "{}", ran.out);
    assert!(world.runs().is_empty() && !world.path("state").exists());
    world.fail("/v1/organizations/cost_report", vec![answer(401, &[], ANTHROPIC_KEY.as_bytes())]);
    let ran = world.tieout("check", &["--online"], &[]);
    assert_eq!(ran.code, 77, "{}", ran.err);
    assert!(ran.err.contains("anthropic/cost_report: key refused (HTTP 401), secret \"anthropic.key\""), "{}", ran.err);
    assert_clean("stderr", ran.err.as_bytes());
    // What works is said all the same, and of several faults each.
    assert!(ran.out.contains("openai/costs: secret \"openai.key\" works"), "{}", ran.out);
    world.fail(COSTS, vec![answer(500, &[], b"")]);
    let ran = world.tieout("check", &["--online"], &[]);
    assert_eq!(ran.code, 77, "{}", ran.err);
    assert!(ran.err.contains("openai/costs: HTTP 500, tried 6 times"), "{}", ran.err);
    assert!(ran.err.lines().last().unwrap().starts_with("error[NOPERM] anthropic/cost_report: key refused"), "{}", ran.err);
    assert!(ran.out.contains("ledger \"app\": 2 rows"), "{}", ran.out);
    assert_eq!(world.tieout("check", &[], &[]).code, 0);

    // A ledger that breaks off where only a read finds it.
    world.heal();
    let whole = fs::read_to_string(world.path("ledger.csv")).unwrap();
    fs::write(world.path("ledger.csv"), format!("{whole}r-9,1,\"2026-11-18T10:00:00Z,openai,m\n")).unwrap();
    assert_eq!(world.tieout("check", &[], &[]).code, 0);
    let ran = world.tieout("check", &["--online"], &[]);
    assert_eq!(ran.code, 65, "{}", ran.err);
    assert!(ran.err.contains("(ledger \"app\")") && ran.out.contains("openai.key\" works"), "{} {}", ran.err, ran.out);
}
