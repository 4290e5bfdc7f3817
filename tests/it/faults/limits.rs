//! Answers larger than any good one: cut at the caps, with memory bounded (guarantee 12).

use super::world::{World, openai_costs};
use super::{Case, check};
use crate::fault_server::{Step, answer, chunked, head};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

const COSTS: &str = "/v1/organization/costs";
const JSON: (&str, &str) = ("content-type", "application/json");
const MEMORY_MAX: u64 = 512 << 20;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Runs the job in a process to which the kernel gives no more than [`MEMORY_MAX`] of memory to write to (a limit of the
/// address space would count the program's own text, which is large in a test build), and watches the most that
/// it ever held; with its exit code and stderr.
fn watched(world: &World) -> (u64, i32, String) {
    let limited = format!("ulimit -d {} && exec \"$0\" run job.toml", MEMORY_MAX >> 10);
    let mut child = Command::new("sh")
        .args(["-c", &limited, env!("CARGO_BIN_EXE_tieout")])
        .current_dir(world.dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let [status, limits] = ["status", "limits"].map(|file| format!("/proc/{}/{file}", child.id()));
    let is_limit =
        |line: &str| line.starts_with("Max data size") && line.split_whitespace().nth(3) == Some(&MEMORY_MAX.to_string());
    let (mut peak, mut in_force) = (0, false);
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0);
        peak = peak.max(kib << 10);
        in_force |= std::fs::read_to_string(&limits).unwrap_or_default().lines().any(is_limit);
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output().unwrap();
    assert!(in_force, "the kernel has no limit for this process");
    (peak, output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn two_gibibytes_and_an_endless_body_stay_within_memory() {
    // 128 members of 16 MiB each: 2 GiB of white space, which is good JSON as far as it goes.
    let member = gzip(&vec![b' '; 16 << 20]);
    let mut bomb = head(200, &[JSON, ("content-encoding", "gzip")]);
    bomb.extend(format!("content-length: {}\r\n\r\n", member.len() * 128).bytes());
    let bomb = vec![Step::Bytes(bomb), Step::Repeat(member, 128)];
    let mut endless = head(200, &[JSON]);
    endless.extend(b"transfer-encoding: chunked\r\n\r\n");
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 0x10000], b"\r\n".to_vec()].concat();
    let endless = vec![Step::Bytes(endless), Step::Repeat(chunk, u64::MAX)];
    for (name, steps, says) in
        [("bomb", bomb, "body is larger than 268435456 bytes"), ("endless", endless, "body is larger than 67108864 bytes")]
    {
        let world = World::new(&["openai"], "request_ms = 300000\nidle_ms = 60000\nprovider_ms = 300000");
        world.fail(COSTS, vec![steps]);
        let (peak, code, err) = watched(&world);
        assert_eq!((code, world.server.seen().len()), (76, 1), "{name}: {err}");
        assert!(err.contains(says), "{name}: {err}");
        println!("{name}: at most {} MiB", peak >> 20);
        assert!(peak > 0 && peak < MEMORY_MAX, "{name}: {} MiB", peak >> 20);
    }
}

#[test]
fn what_is_too_large_is_not_asked_for_again() {
    let announced =
        vec![Step::Bytes([head(200, &[JSON]), b"content-length: 99999999999\r\n\r\n{".to_vec()].concat()), Step::Hang];
    let endless = vec![Step::Bytes(b"HTTP/1.1 200 OK\r\nx-long: ".to_vec()), Step::Repeat(vec![b'a'; 4096], u64::MAX)];
    let line = format!("x-{}: {}\r\n", "n", "v".repeat(8000));
    let many =
        vec![Step::Bytes([head(200, &[JSON]), line.repeat(10).into_bytes(), b"content-length: 2\r\n\r\n{}".to_vec()].concat())];
    for (name, steps, says) in [
        ("announced", announced, "body is larger than 67108864 bytes"),
        ("endless header", endless, "headers are larger than"),
        ("many headers", many, "headers is larger than 65536 bytes"),
    ] {
        check(&Case::new(name, vec![steps], says));
    }
}

#[test]
fn only_gzip_is_read_and_only_whole() {
    let body = openai_costs();
    let packed = gzip(body.as_bytes());
    let world = World::new(&["openai"], "");
    world.fail(COSTS, vec![answer(200, &[JSON, ("content-encoding", "gzip")], &packed)]);
    let ran = world.run(&[]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(world.server.seen()[0].header("accept-encoding"), Some("gzip"));
    let clean = World::new(&["openai"], "");
    assert_eq!(clean.run(&[]).code, 0);
    assert!(world.reports() == clean.reports());
    // In single bytes it is the same page.
    let bytes: Vec<&[u8]> = packed.chunks(1).collect();
    world.fail(COSTS, vec![chunked(200, &[JSON, ("content-encoding", "gzip")], &bytes, None)]);
    assert_eq!(world.run(&[]).code, 0);
    let half = answer(200, &[JSON, ("content-encoding", "gzip")], &packed[..packed.len() / 2]);
    check(&Case::new("half", vec![half], "compressed body is damaged"));
    let other = answer(200, &[JSON, ("content-encoding", "br")], b"{}");
    check(&Case::new("br", vec![other], "compressed in an unknown way"));
    let unframed = vec![Step::Bytes([head(200, &[JSON]), format!("\r\n{body}").into_bytes()].concat()), Step::Close];
    check(&Case::new("no length", vec![unframed], "does not say how long it is"));
}
