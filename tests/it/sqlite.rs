//! Ledgers in a SQLite file, read by the real binary: the ledger rows of reliability.md section 5 with their documented
//! codes, the old report standing and the next run right; and writers in another process.

use crate::ledger_world::{TABLE, World, tieout, told};
use rusqlite::Connection;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PLACE: &str = "sqlite = \"ledger.db\"";

fn table() -> String {
    TABLE
        .replace("{time}", "text")
        .replace("{amount}", "text")
        .replace("{at}", "strftime('%Y-%m-%dT%H:%M:%SZ', '2026-11-16 09:00:00', n || ' seconds')")
        .replace("{cost}", "'0.05'")
        .replace("{calls}", "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 20) SELECT n FROM c)")
}

/// A world whose ledger is a file beside the job.
fn world(script: &str) -> World {
    let world = World::new();
    Connection::open(world.path("ledger.db")).unwrap().execute_batch(script).unwrap();
    world.job("request_ledger", PLACE, "");
    world
}

#[test]
fn every_fault_has_its_code_the_old_report_stands_and_the_next_run_is_right() {
    let world = world(&table());
    let output = world.run();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let before = world.stands();
    assert_eq!(world.ledger_total().iter().filter(|total| *total == "1").count(), 1, "{:?}", world.ledger_total());
    let (ledger, kept) = (world.path("ledger.db"), world.path("kept.db"));
    fs::copy(&ledger, &kept).unwrap();
    let altered = |script: &'static str| {
        let ledger = ledger.clone();
        Box::new(move || Connection::open(&ledger).unwrap().execute_batch(script).unwrap()) as Box<dyn Fn()>
    };
    /// What it is called, what it does, the code and the words that tell of it.
    type Step<'a> = (&'static str, Box<dyn Fn() + 'a>, i32, &'static str);
    let steps: [Step; 8] = [
        ("column", altered("ALTER TABLE request_ledger RENAME model TO modell"), 65, "required column missing: model; found: "),
        ("table", altered("ALTER TABLE request_ledger RENAME TO old"), 65, "no table or view \"request_ledger\"; found: old"),
        (
            "view",
            altered(
                "ALTER TABLE request_ledger RENAME TO old; CREATE VIEW request_ledger AS SELECT *, no_such(model) AS x FROM old",
            ),
            65,
            "no such function: no_such",
        ),
        ("file", Box::new(|| fs::remove_file(&ledger).unwrap()), 78, "ledger.db: no such file"),
        (
            "folder",
            Box::new(|| {
                fs::remove_file(&ledger).unwrap();
                fs::create_dir(&ledger).unwrap();
            }),
            78,
            "ledger.db: is not a file",
        ),
        ("text", Box::new(|| fs::write(&ledger, "request_id,attempt\n".repeat(100)).unwrap()), 65, "not a SQLite database"),
        (
            "damage",
            Box::new(|| {
                let mut bytes = fs::read(&ledger).unwrap();
                bytes[100..].fill(0xa5);
                fs::write(&ledger, bytes).unwrap();
            }),
            65,
            "the database is damaged",
        ),
        (
            "WAL where it cannot be opened",
            Box::new(|| {
                let database = Connection::open(&ledger).unwrap();
                database.execute_batch("PRAGMA journal_mode = WAL").unwrap();
                drop(database);
                // Where nobody may make a file beside it, not even root.
                fs::create_dir(ledger.with_file_name("ledger.db-wal")).unwrap();
            }),
            73,
            "the database cannot be opened read-only where it is",
        ),
    ];
    for (name, broken, code, what) in steps {
        broken();
        for command in ["check", "run"] {
            let output = tieout(world.folder.path(), &[command, "job.toml"]);
            assert_eq!(output.status.code(), Some(code), "{name}, {command}: {}", told(&output));
            assert!(told(&output).contains(what), "{name}, {command}: {}", told(&output));
        }
        assert_eq!(world.stands(), before, "{name}");
        let _ = fs::remove_file(&ledger);
        let _ = fs::remove_dir(&ledger);
        let _ = fs::remove_dir(ledger.with_file_name("ledger.db-wal"));
        fs::copy(&kept, &ledger).unwrap();
        let output = world.run();
        assert_eq!(output.status.code(), Some(0), "after {name}: {}", told(&output));
        assert_eq!(world.stands(), before, "after {name}");
    }
}

/// The two rows of a pair stand at the two ends of a large table, and a writer moves costs from the one to the other all
/// the time. A second source reads the same ledger at the same time: what it opens and closes must not free the file.
#[test]
fn pairs_that_are_written_together_are_never_read_apart() {
    for mode in ["DELETE", "WAL"] {
        let script = format!(
            "PRAGMA journal_mode = {mode}; \
             CREATE TABLE request_ledger (request_id text, attempt integer, started_at text, provider text, model text, \
             account text, expected_cost text); \
             CREATE TABLE n AS WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c LIMIT 200000) SELECT n FROM c; \
             INSERT INTO request_ledger SELECT 'a-' || n, 1, '2026-11-1' || (5 + n % 4) || 'T10:00:00Z', 'fal', 'm', 'acme', '7' \
             FROM n LIMIT 200; \
             INSERT INTO request_ledger SELECT 'long ago ' || n, 1, '2020-01-01T00:00:00Z', 'fal', 'm', 'acme', '7' FROM n; \
             INSERT INTO request_ledger SELECT 'b' || substr(request_id, 2), 1, started_at, 'fal', 'm', 'acme', '7' \
             FROM request_ledger LIMIT 200;"
        );
        let world = world(&script);
        world.job("request_ledger", PLACE, "[[source]]\nprovider = \"groq\"\naccount = \"other\"\ncosts = \"ledger\"\n");
        let done = AtomicBool::new(false);
        let written = std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let database = Connection::open(world.path("ledger.db")).unwrap();
                database.busy_timeout(Duration::from_secs(60)).unwrap();
                database.execute_batch("PRAGMA synchronous = OFF").unwrap();
                let mut written = 0;
                while !done.load(Ordering::Relaxed) {
                    let [one, other] = [written % 15, 14 - written % 15];
                    database
                        .execute_batch(&format!(
                            "BEGIN IMMEDIATE; \
                             UPDATE request_ledger SET expected_cost = '{one}' WHERE rowid <= 200; \
                             UPDATE request_ledger SET expected_cost = '{other}' WHERE rowid > 200200; COMMIT"
                        ))
                        .unwrap();
                    written += 1;
                    std::thread::sleep(Duration::from_millis(1));
                }
                written
            });
            let reads = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for _ in 0..5 {
                    let output = world.run();
                    assert_eq!(output.status.code(), Some(0), "{mode}: {}", told(&output));
                    let totals = world.totals();
                    let days = totals.iter().filter(|((account, _), total)| account == "acme" && *total == "700").count();
                    assert_eq!(days, 4, "{mode}: {totals:?}");
                }
            }));
            done.store(true, Ordering::Relaxed);
            let written = writer.join().unwrap();
            reads.unwrap();
            written
        });
        assert!(written > 20, "{mode}: the writer wrote {written} times");
    }
}
