use super::*;
use crate::domain::ledger::LedgerLine;
use crate::domain::money::Currency;
use crate::domain::period::{Days, parse_day};
use crate::edge::ledger::canonical;
use crate::edge::ledger_row::Rows;
use std::fs;
use tempfile::TempDir;

const SHORT: Duration = Duration::from_millis(50);
const TABLE: &str = "CREATE TABLE request_ledger (request_id TEXT, attempt INTEGER, started_at, provider TEXT, model TEXT);";

fn ledger(script: &str) -> (TempDir, std::path::PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("ledger.db");
    Connection::open(&path).unwrap().execute_batch(script).unwrap();
    (dir, path)
}

/// Request ids, and reasons of what is set aside, of the days 2026-11-18 and 19.
fn rows_of(path: &Path, table: &str) -> Result<Vec<String>, Fault> {
    let window = Days { from: parse_day("2026-11-18").unwrap(), to: parse_day("2026-11-20").unwrap() };
    let mut found = Vec::new();
    let mut each = |line: LedgerLine<'_>| {
        found.push(match line {
            LedgerLine::Entry(entry) => format!("{} {}", entry.request_id, entry.started_at.to_rfc3339()),
            LedgerLine::Quarantined(row) => format!("{:?} {}", row.day, row.reason),
            LedgerLine::LeftOut(row) => panic!("{row:?}"),
        });
    };
    read_native(path, table, window, &mut each)?;
    Ok(found)
}

fn read_native(path: &Path, table: &str, window: Days, each: &mut dyn FnMut(LedgerLine<'_>)) -> Result<(), Fault> {
    let query = native(path, table, SHORT)?;
    let mut rows = Rows::new(window, Currency::USD, each);
    read(path, &query, window, SHORT, &mut canonical(&query, &mut rows))
}

fn fault_of(path: &Path, table: &str) -> Fault {
    let fault = rows_of(path, table).unwrap_err();
    assert_eq!(native(path, table, SHORT).map(|_| ()), Err(fault.clone()), "check and read must see the same");
    fault
}

#[test]
fn the_query_names_the_columns_that_are_there_in_the_order_of_the_contract() {
    let all: Vec<String> = COLUMNS.iter().rev().map(|(name, _)| name.to_uppercase()).collect();
    let whole = query("request_ledger", &all, true);
    assert_eq!(whole.columns, COLUMNS.map(|(name, _)| name));
    assert!(whole.sql.starts_with("SELECT request_id, attempt, started_at,"), "{}", whole.sql);
    assert!(whole.sql.contains("FROM \"request_ledger\" NOT INDEXED WHERE _rowid_ BETWEEN"), "{}", whole.sql);
    let few = query("request_ledger", &["model".to_string(), "other".to_string()], false);
    assert_eq!((few.columns, few.ids), (vec!["model"], None));
    assert!(few.sql.starts_with("SELECT model FROM \"request_ledger\" WHERE TRUE"), "{}", few.sql);
}

/// Rows without ids, gaps between ids, many pieces, texts that hold anything.
#[test]
fn rows_come_in_the_order_of_their_ids_whoever_read_them() {
    let insert = "INSERT INTO request_ledger (rowid, request_id, attempt, started_at, provider, model)";
    let (_dir, path) = ledger(&format!(
        "{TABLE} CREATE TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT i FROM n;
         {insert} SELECT i * 1000 - 4000000, 'r' || i, 1, '2026-11-18', 'fal', 'm' FROM n;
         UPDATE request_ledger SET request_id = 'u' || char(31) || 'nit' WHERE request_id = 'r4500';
         UPDATE request_ledger SET request_id = 'r' || char(30) || 'ow' WHERE request_id = 'r4501';
         UPDATE request_ledger SET request_id = 'n' || char(0) || 'ul' WHERE request_id = 'r8999';
         UPDATE request_ledger SET request_id = NULL WHERE request_id = 'r0';
         CREATE VIEW seen AS SELECT * FROM request_ledger;
         CREATE TABLE unnumbered (request_id TEXT, attempt INTEGER, started_at, provider TEXT, model TEXT, i INTEGER PRIMARY KEY) WITHOUT ROWID;
         INSERT INTO unnumbered SELECT *, row_number() OVER (ORDER BY rowid) FROM request_ledger ORDER BY rowid;"
    ));
    let rows = rows_of(&path, "request_ledger").unwrap();
    assert_eq!(rows.len(), 9000);
    assert_eq!(rows[0], "Some(2026-11-18) request_id: expected a text, found nothing");
    assert_eq!(rows[4499], "r4499 2026-11-18T00:00:00+00:00");
    assert_eq!(rows[4500], "u\u{1f}nit 2026-11-18T00:00:00+00:00");
    assert_eq!(rows[4501], "r\u{1e}ow 2026-11-18T00:00:00+00:00");
    assert_eq!(rows[8999], "n\u{0}ul 2026-11-18T00:00:00+00:00");
    assert_eq!(rows_of(&path, "seen").unwrap(), rows);
    assert_eq!(rows_of(&path, "unnumbered").unwrap(), rows);
}

#[test]
fn the_window_is_exact_whatever_form_an_instant_has_and_no_row_vanishes() {
    let times = [
        ("before", "'2026-11-17T23:59:59.999Z'"),
        ("first", "'2026-11-18T00:00:00Z'"),
        ("space", "'2026-11-18 00:00'"),
        ("offset-in", "'2026-11-20T01:00:00+02:00'"),
        ("offset-out", "'2026-11-18T01:00:00+02:00'"),
        ("last", "'2026-11-19T23:59:59.999999Z'"),
        ("after", "'2026-11-20T00:00:00Z'"),
        ("long-ago", "'2020-01-01T00:00:00Z'"),
        ("unix", "1795118400"),
        ("unix-ms", "1795118400123"),
        ("unix-old", "1577836800"),
        ("null", "NULL"),
        ("european", "'18/11/2026'"),
        ("compact", "20261118"),
        ("no-such-day", "'2020-02-31T00:00:00Z'"),
        ("no-such-hour", "'2026-11-18T99:00:00Z'"),
        ("no-such-hour-long-ago", "'2020-11-18T99:00:00Z'"),
    ];
    let values = times.map(|(id, at)| format!("INSERT INTO request_ledger VALUES ('{id}', 1, {at}, 'fal', 'm');"));
    let (_dir, path) = ledger(&format!("{TABLE}{}", values.concat()));
    let expected = "started_at: expected an instant like 2026-11-18T09:00:00Z or a Unix time, found";
    assert_eq!(
        rows_of(&path, "request_ledger").unwrap(),
        [
            "first 2026-11-18T00:00:00+00:00".to_string(),
            "space 2026-11-18T00:00:00+00:00".to_string(),
            "offset-in 2026-11-19T23:00:00+00:00".to_string(),
            "last 2026-11-19T23:59:59.999999+00:00".to_string(),
            "unix 2026-11-19T20:00:00+00:00".to_string(),
            "unix-ms 2026-11-19T20:00:00.123+00:00".to_string(),
            format!("None {expected} nothing (request_id \"null\")"),
            format!("None {expected} \"18/11/2026\" (request_id \"european\")"),
            format!("None {expected} \"20261118\" (request_id \"compact\")"),
            format!("None {expected} \"2020-02-31T00:00:00Z\" (request_id \"no-such-day\")"),
            format!("Some(2026-11-18) {expected} \"2026-11-18T99:00:00Z\" (request_id \"no-such-hour\")"),
        ]
    );
}

#[test]
fn reads_a_view_generated_columns_and_names_in_any_case() {
    let (_dir, path) = ledger(
        "CREATE TABLE calls (ID TEXT, at TEXT, vendor TEXT, attempt INTEGER GENERATED ALWAYS AS (1) VIRTUAL);
         INSERT INTO calls VALUES ('r1', '2026-11-18 10:00:00', 'fal');
         CREATE VIEW \"ledger_view\" AS SELECT id AS REQUEST_ID, attempt, at AS started_at, vendor AS provider, 'm' AS model FROM calls;
         CREATE TABLE made (request_id TEXT, started_at TEXT, provider TEXT, model TEXT, attempt INTEGER AS (1) STORED);
         INSERT INTO made VALUES ('r2', '2026-11-18 10:00:00', 'fal', 'm');",
    );
    assert_eq!(rows_of(&path, "ledger_view").unwrap(), ["r1 2026-11-18T10:00:00+00:00"]);
    assert_eq!(rows_of(&path, "made").unwrap(), ["r2 2026-11-18T10:00:00+00:00"]);
}

#[test]
fn amounts_of_every_storage_class_and_bytes_that_are_not_text() {
    let (_dir, path) = ledger(
        "CREATE TABLE request_ledger (request_id TEXT, attempt, started_at TEXT, provider TEXT, model, expected_cost);
         INSERT INTO request_ledger VALUES ('text', '1', '2026-11-18', 'fal', 'm', '0.10');
         INSERT INTO request_ledger VALUES ('real', 1, '2026-11-18', 'fal', 'm', 0.1);
         INSERT INTO request_ledger VALUES ('whole', 1, '2026-11-18', 'fal', 5, 3);
         INSERT INTO request_ledger VALUES ('noise', 1, '2026-11-18', 'fal', 0.5, 0.1 + 0.2);
         INSERT INTO request_ledger VALUES ('small', 1, '2026-11-18', 'fal', 'm', 1e-5);
         INSERT INTO request_ledger VALUES ('bytes', 1, '2026-11-18', 'fal', x'ff00', 0.1);",
    );
    let window = Days { from: parse_day("2026-11-18").unwrap(), to: parse_day("2026-11-19").unwrap() };
    let mut found = Vec::new();
    let mut each = |line: LedgerLine<'_>| {
        found.push(match line {
            LedgerLine::Entry(entry) => format!("{} {} {:?}", entry.request_id, entry.model, entry.expected_cost),
            LedgerLine::Quarantined(row) => format!("{} {:?}", row.reason, row.amount),
            LedgerLine::LeftOut(row) => panic!("{row:?}"),
        });
    };
    read_native(&path, "request_ledger", window, &mut each).unwrap();
    assert_eq!(
        found,
        [
            "text m Some(0.1)",
            "real m Some(0.1)",
            "whole 5 Some(3)",
            "noise 0.5 Some(0.3)",
            "small m Some(0.00001)",
            "model: expected a text, found bytes that are not UTF-8 (request_id \"bytes\") Some(0.1)"
        ]
    );
}

#[test]
fn what_is_not_a_ledger_is_refused_and_never_created() {
    let (dir, path) = ledger("CREATE TABLE calls (id); CREATE TABLE request_ledger (request_id, started_at, provider, cost);");
    let missing = dir.path().join("missing.db");
    let empty = dir.path().join("empty.db");
    let text = dir.path().join("text.db");
    fs::write(&empty, b"").unwrap();
    fs::write(&text, "request_id,attempt\n".repeat(100)).unwrap();
    let (_wide_dir, wide) = ledger(&format!("PRAGMA encoding = 'UTF-16'; {TABLE}"));
    for (path, table, code, place, what) in [
        (missing.as_path(), "request_ledger", ExitCode::Config, "missing.db", "no such file"),
        (dir.path(), "request_ledger", ExitCode::Config, "", "is not a file"),
        (&empty, "request_ledger", ExitCode::Data, "empty.db", "no table or view \"request_ledger\"; found: nothing"),
        (&text, "request_ledger", ExitCode::Data, "text.db", "not a SQLite database"),
        (&wide, "request_ledger", ExitCode::Data, "ledger.db", "the database keeps its texts as UTF-16, which is not read"),
        (&path, "ledger", ExitCode::Data, "ledger.db", "no table or view \"ledger\"; found: calls, request_ledger"),
        (
            &path,
            "request_ledger",
            ExitCode::Data,
            "ledger.db: request_ledger",
            "required columns missing: attempt, model; found: request_id, started_at, provider, cost",
        ),
        (
            &path,
            "a\"; DROP TABLE calls",
            ExitCode::Config,
            "ledger.db",
            "\"a\\\"; DROP TABLE calls\" cannot be the name of the ledger's table",
        ),
    ] {
        let fault = fault_of(path, table);
        assert_eq!((fault.code, fault.what.as_str()), (code, what));
        assert!(fault.place.ends_with(place), "{fault}");
        assert!(!fault.hint.is_empty());
    }
    assert!(!missing.exists());
    assert_eq!(fs::metadata(&empty).unwrap().len(), 0);
}

#[test]
fn a_damaged_database_is_refused() {
    let rows = "INSERT INTO request_ledger SELECT printf('%0500d', value), 1, '2026-11-18', 'fal', 'm' FROM generate;";
    let generate = "CREATE TABLE generate AS WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 500) SELECT value FROM n;";
    let (_dir, path) = ledger(&format!("{TABLE}{generate}{rows}"));
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    for byte in &mut bytes[half..] {
        *byte = 0xa5;
    }
    fs::write(&path, bytes).unwrap();
    let fault = rows_of(&path, "request_ledger").unwrap_err();
    assert_eq!(fault.code, ExitCode::Data);
    assert_eq!(fault.what, "the database is damaged: database disk image is malformed");
}

#[test]
fn a_locked_database_is_waited_for_and_then_left_for_later() {
    let (_dir, path) = ledger(TABLE);
    let locker = Connection::open(&path).unwrap();
    locker.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let fault = fault_of(&path, "request_ledger");
    assert_eq!((fault.code, fault.what.as_str()), (ExitCode::TempFail, "the database stayed locked by another process"));
    locker.execute_batch("ROLLBACK").unwrap();
    assert_eq!(rows_of(&path, "request_ledger"), Ok(Vec::new()));
}

#[test]
fn the_connection_cannot_write() {
    let (_dir, path) = ledger(TABLE);
    let database = open(&path, SHORT).unwrap();
    let refused = database.execute_batch("DELETE FROM request_ledger").unwrap_err();
    assert!(refused.to_string().contains("readonly"), "{refused}");
    let query_only: i64 = database.query_row("PRAGMA query_only", (), |row| row.get(0)).unwrap();
    assert_eq!(query_only, 1);
}

#[test]
fn reads_beside_a_writer_in_wal_mode() {
    let (_dir, path) = ledger(&format!("PRAGMA journal_mode = WAL; {TABLE}"));
    let writing = Connection::open(&path).unwrap();
    let row = "INSERT INTO request_ledger VALUES ('r1', 1, '2026-11-18', 'fal', 'm')";
    writing.execute_batch(row).unwrap();
    writing.execute_batch("BEGIN IMMEDIATE").unwrap();
    writing.execute_batch(row).unwrap();
    assert_eq!(rows_of(&path, "request_ledger").unwrap(), ["r1 2026-11-18T00:00:00+00:00"], "only what is committed");
}

#[test]
fn two_connections_see_one_snapshot_whoever_commits_in_between() {
    for mode in ["WAL", "DELETE"] {
        let (_dir, path) = ledger(&format!("PRAGMA journal_mode = {mode}; CREATE TABLE counter AS SELECT 0 AS n;"));
        let done = std::sync::atomic::AtomicBool::new(false);
        let count =
            |connection: &Connection| -> i64 { connection.query_row("SELECT n FROM counter", (), |row| row.get(0)).unwrap() };
        let seen = std::thread::scope(|scope| {
            scope.spawn(|| {
                let writing = Connection::open(&path).unwrap();
                writing.execute_batch("PRAGMA synchronous = OFF").unwrap();
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    // Another one may be reading: that is what the test is about.
                    let _ = writing.execute_batch("UPDATE counter SET n = n + 1");
                }
            });
            let look = |_| {
                let first = open(&path, Duration::from_secs(10)).unwrap();
                let second = open(&path, Duration::ZERO).unwrap();
                pieces::snapshot(&first).unwrap();
                let together = pieces::same_snapshot(&first, &second).unwrap();
                let other = if together { &second } else { &first };
                (together, count(&first), count(other))
            };
            // The writer ends before anything is asserted.
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..300).map(look).collect::<Vec<_>>()));
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            seen.unwrap()
        });
        let apart: Vec<_> = seen.iter().filter(|(_, one, other)| one != other).collect();
        assert!(apart.is_empty(), "{mode}: {apart:?}");
        let together: std::collections::BTreeSet<i64> = seen.iter().filter(|one| one.0).map(|one| one.1).collect();
        assert!(together.len() > 10, "{mode}: {together:?}");
    }
}

/// In the older journal modes nobody commits while rows are fetched; while they are judged, anybody may.
#[test]
fn a_writer_does_not_wait_until_rows_are_judged() {
    let (_dir, path) = ledger(&format!(
        "{TABLE} CREATE TABLE n AS WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 90000) SELECT i FROM n;
         INSERT INTO request_ledger SELECT 'r' || i, 1, '2026-11-18', 'fal', 'm' FROM n;"
    ));
    let window = Days { from: parse_day("2026-11-18").unwrap(), to: parse_day("2026-11-20").unwrap() };
    let (mut read, mut written) = (0, None);
    let mut each = |_: LedgerLine<'_>| {
        read += 1;
        written.get_or_insert_with(|| {
            let writing = Connection::open(&path).unwrap();
            writing.busy_timeout(Duration::from_secs(60)).unwrap();
            writing.execute_batch("DELETE FROM request_ledger").unwrap();
        });
    };
    read_native(&path, "request_ledger", window, &mut each).unwrap();
    assert_eq!((read, written), (90_000, Some(())));
    assert_eq!(rows_of(&path, "request_ledger"), Ok(Vec::new()));
}
