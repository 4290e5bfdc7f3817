//! Ledgers in a real PostgreSQL: the same reports as from every other source, and every fault of
//! reliability.md section 5 with its documented code, the old report standing and the next run right.

use crate::cluster::{Database, PASSWORD, cluster, runtime};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, Row};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn tieout(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Published files but the manifest, which alone may know where things came from.
fn published(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder.join("out/latest/")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        if name != "MANIFEST.json" {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// The rows of the demo's ledger as texts, in the order that their content decides.
fn demo_rows() -> (Vec<String>, Vec<Vec<Option<String>>>) {
    let (columns, mut rows) = runtime().block_on(async {
        let path = root().join("fixtures/demo/ledger.db");
        let mut ledger = SqliteConnectOptions::new().filename(path).read_only(true).connect().await.unwrap();
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info('request_ledger')").fetch_all(&mut ledger).await.unwrap();
        let texts: Vec<String> = columns.iter().map(|name| format!("CAST({name} AS TEXT)")).collect();
        let query = format!("SELECT {} FROM request_ledger", texts.join(", "));
        let rows = sqlx::query(AssertSqlSafe(query)).fetch_all(&mut ledger).await.unwrap();
        let cells = |row: &sqlx::sqlite::SqliteRow| (0..columns.len()).map(|n| row.get::<Option<String>, _>(n)).collect();
        (columns.clone(), rows.iter().map(cells).collect::<Vec<Vec<Option<String>>>>())
    });
    // The columns of the demo stand in the order of the contract, which is that of a row of COPY text.
    let line = |row: &Vec<Option<String>>| {
        let cells: Vec<&str> = row.iter().map(|cell| cell.as_deref().unwrap_or_default()).collect();
        (cells[2].to_string(), cells.join("\t"))
    };
    rows.sort_by_key(line);
    (columns, rows)
}

fn csv_of(columns: &[String], rows: &[Vec<Option<String>>]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns).unwrap();
    for row in rows {
        writer.write_record(row.iter().map(|cell| cell.as_deref().unwrap_or_default())).unwrap();
    }
    writer.into_inner().unwrap()
}

fn inserts(columns: &[String], rows: &[Vec<Option<String>>]) -> String {
    let literal =
        |cell: &Option<String>| cell.as_ref().map_or("NULL".to_string(), |text| format!("'{}'", text.replace('\'', "''")));
    let row = |row: &Vec<Option<String>>| format!("({})", row.iter().map(literal).collect::<Vec<_>>().join(","));
    let values: Vec<String> = rows.iter().map(row).collect();
    format!("INSERT INTO request_ledger ({}) VALUES {};", columns.join(","), values.join(","))
}

/// The demo's columns in PostgreSQL, with the types one would choose.
fn table(columns: &[String]) -> String {
    let typed = |name: &String| {
        let kind = match name.as_str() {
            "attempt" => "integer NOT NULL",
            "started_at" => "timestamptz NOT NULL",
            "batch" => "boolean",
            "input_tokens"
            | "cache_read_tokens"
            | "cache_write_5m_tokens"
            | "cache_write_1h_tokens"
            | "output_tokens"
            | "reasoning_tokens"
            | "images"
            | "web_searches" => "bigint",
            "video_seconds" | "expected_cost" | "upstream_cost" => "numeric",
            _ => "text",
        };
        format!("{name} {kind}")
    };
    let columns: Vec<String> = columns.iter().map(typed).collect();
    format!("CREATE TABLE request_ledger ({});", columns.join(", "))
}

fn demo_job(folder: &Path, place: &str) {
    let demo = fs::read_to_string(root().join("jobs/demo.toml")).unwrap();
    let at = |path: &str| format!("\"{}/", root().join(path).display());
    let job = demo
        .replace("\"../out/demo\"", "\"out\"")
        .replace("\"../out/demo-state\"", "\"state\"")
        .replace("sqlite = \"../fixtures/demo/ledger.db\"", place)
        .replace("\"../fixtures/", &at("fixtures"))
        .replace("\"demo/", &at("jobs/demo"))
        .replace("\"plans/", &at("jobs/plans"))
        .replace("\"prices/", &at("jobs/prices"));
    assert!(job.contains(place), "{job}");
    fs::write(folder.join("job.toml"), job).unwrap();
}

#[test]
fn the_same_world_through_every_engine_gives_the_same_bytes() {
    let (columns, rows) = demo_rows();
    let world = tempfile::tempdir().unwrap();
    let path = |name: &str| world.path().join(name);

    fs::write(path("ledger.csv"), csv_of(&columns, &rows)).unwrap();
    let series = columns.iter().enumerate().map(|(number, name)| {
        let cells: Vec<Option<&str>> = rows.iter().map(|row| row[number].as_deref()).collect();
        polars::prelude::Column::new(name.as_str().into(), cells)
    });
    let mut frame = polars::prelude::DataFrame::new(rows.len(), series.collect()).unwrap();
    polars::prelude::ParquetWriter::new(fs::File::create(path("ledger.parquet")).unwrap()).finish(&mut frame).unwrap();
    runtime().block_on(async {
        let options = SqliteConnectOptions::new().filename(path("ledger.db")).create_if_missing(true);
        let mut ledger = options.connect().await.unwrap();
        let script = format!("CREATE TABLE request_ledger ({}); {}", columns.join(","), inserts(&columns, &rows));
        ledger.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap();
    });
    // A table has no order: these two were filled from both ends, and one has an index.
    let mut backwards = rows.clone();
    backwards.reverse();
    let plain = cluster().database(&format!("{}{}", table(&columns), inserts(&columns, &rows)));
    let script = format!("{}{}", table(&columns), inserts(&columns, &backwards));
    let indexed = cluster().database(&format!("{script} CREATE INDEX ON request_ledger (started_at); ANALYZE;"));
    plain.grant("request_ledger");
    indexed.grant("request_ledger");

    let mut first = None;
    for place in [
        format!("sqlite = \"{}\"", path("ledger.db").display()),
        format!("files = [\"{}\"]", path("ledger.csv").display()),
        format!("files = [\"{}\"]", path("ledger.parquet").display()),
        plain.place(""),
        indexed.place(""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        demo_job(folder.path(), &place);
        let output = tieout(folder.path(), &["run", "job.toml", "--quiet"]);
        assert_eq!(output.status.code(), Some(0), "{place}: {}", told(&output));
        let files = published(folder.path());
        let expected = first.get_or_insert_with(|| files.clone());
        for (name, bytes) in &files {
            let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert_eq!(shown(bytes), shown(&expected[name]), "{name} through {place}");
        }
        assert_eq!(files.len(), expected.len());
    }
}

/// A small world: one account billed 6.60 for a call of 2026-11-16 that the ledger knows.
struct World {
    folder: tempfile::TempDir,
    database: Database,
}

const TABLE: &str = "CREATE TABLE request_ledger (request_id text, attempt integer, started_at timestamptz, provider text, \
    model text, account text, team text, images integer, expected_cost numeric); \
    INSERT INTO request_ledger SELECT 'r' || n, 1, '2026-11-16 09:00:00Z'::timestamptz + n * interval '1 second', 'fal', \
    'fal-ai/flux/dev', 'acme', 'growth', 1, 0.05 FROM generate_series(1, 20) n;";

impl World {
    fn new(script: &str) -> World {
        let database = cluster().database(script);
        let folder = tempfile::tempdir().unwrap();
        let page = fs::read_to_string(root().join("fixtures/scenarios/later-pull-replaces/monday.csv")).unwrap();
        fs::write(folder.path().join("page.csv"), page).unwrap();
        World { folder, database }
    }

    fn job(&self, table: &str, more: &str) {
        let job = format!(
            "name = \"pg\"\nas_of = \"2026-11-19T06:00:00Z\"\noutput = \"out\"\nstate = \"state\"\n\
             [window]\nfrom = \"2026-11-15\"\n\
             [[ledger]]\nname = \"app\"\ntable = \"{table}\"\n{}\n\
             [[source]]\nprovider = \"fal\"\naccount = \"acme\"\nsettle_days = 0\n[[source.pull]]\nfiles = [\"page.csv\"]\n\
             covers = [\"2026-11-15\", \"2026-11-19\"]\n",
            self.database.place(more)
        );
        fs::write(self.folder.path().join("job.toml"), job).unwrap();
    }

    fn run(&self) -> Output {
        let output = tieout(self.folder.path(), &["run", "job.toml", "--quiet"]);
        assert!(!told(&output).contains(PASSWORD));
        output
    }

    /// The names of published runs with what the pointers say.
    fn runs(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder.path().join("out/runs"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.push(fs::read_link(self.folder.path().join("out/latest")).unwrap().display().to_string());
        names.sort();
        names
    }

    fn ledger_total(&self) -> Vec<String> {
        column(self.folder.path(), "reconciliation.csv", "ledger_total")
    }
}

fn column(folder: &Path, file: &str, name: &str) -> Vec<String> {
    let bytes = fs::read(folder.join("out/latest").join(file)).unwrap();
    let mut reader = csv::Reader::from_reader(bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes));
    let index = reader.headers().unwrap().iter().position(|header| header == name).unwrap();
    reader.records().map(|record| record.unwrap()[index].to_string()).collect()
}

#[test]
fn every_fault_has_its_code_the_old_report_stands_and_the_next_run_is_right() {
    let world = World::new(TABLE);
    world.database.grant("request_ledger");
    world.job("request_ledger", "");
    let output = world.run();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let (runs, files) = (world.runs(), published(world.folder.path()));
    assert_eq!(world.ledger_total().iter().filter(|total| *total == "1").count(), 1, "{:?}", world.ledger_total());

    let role = &world.database.role;
    let steps: [(&str, String, String, &str, i32, &str); 8] = [
        (
            "privilege",
            format!("REVOKE SELECT ON request_ledger FROM {role}"),
            format!("GRANT SELECT ON request_ledger TO {role}"),
            "",
            77,
            "column request_id: the role may not read it",
        ),
        (
            "privilege for one column",
            format!(
                "REVOKE SELECT ON request_ledger FROM {role}; GRANT SELECT (request_id, attempt, started_at, provider, model) ON request_ledger TO {role}"
            ),
            format!("GRANT SELECT ON request_ledger TO {role}"),
            "",
            77,
            "column account: the role may not read it",
        ),
        (
            "column",
            "ALTER TABLE request_ledger RENAME model TO modell".to_string(),
            "ALTER TABLE request_ledger RENAME modell TO model".to_string(),
            "",
            65,
            "required column missing: model; found: request_id, attempt, started_at, provider, modell",
        ),
        (
            "type",
            "ALTER TABLE request_ledger ALTER expected_cost TYPE double precision".to_string(),
            "ALTER TABLE request_ledger ALTER expected_cost TYPE numeric".to_string(),
            "",
            65,
            "column expected_cost: a binary float cannot hold money or a quantity exactly",
        ),
        (
            "another type",
            "ALTER TABLE request_ledger ALTER images TYPE boolean USING true".to_string(),
            "ALTER TABLE request_ledger ALTER images TYPE integer USING 1".to_string(),
            "",
            65,
            "column images: expected numeric, an integer, or text, found boolean",
        ),
        (
            "table",
            "ALTER TABLE request_ledger RENAME TO ledger_old".to_string(),
            "ALTER TABLE ledger_old RENAME TO request_ledger".to_string(),
            "",
            65,
            "no table or view \"request_ledger\"; found: public.ledger_old",
        ),
        (
            "row level security",
            "ALTER TABLE request_ledger ENABLE ROW LEVEL SECURITY".to_string(),
            "ALTER TABLE request_ledger DISABLE ROW LEVEL SECURITY".to_string(),
            "",
            77,
            "query would be affected by row-level security policy",
        ),
        (
            "password",
            format!("ALTER ROLE {role} PASSWORD 'another'"),
            format!("ALTER ROLE {role} PASSWORD '{PASSWORD}'"),
            "",
            77,
            "login refused: password authentication failed",
        ),
    ];
    for (name, broken, mended, more, code, what) in steps {
        world.database.execute(&broken);
        world.job("request_ledger", more);
        for command in ["check", "run"] {
            let output = tieout(world.folder.path(), &[command, "job.toml"]);
            // What only reading shows, `check` says only where it is to read.
            if command == "run" || name != "row level security" {
                assert_eq!(output.status.code(), Some(code), "{name}, {command}: {}", told(&output));
                assert!(told(&output).contains(what), "{name}, {command}: {}", told(&output));
            }
        }
        let output = tieout(world.folder.path(), &["check", "job.toml", "--online"]);
        assert_eq!(output.status.code(), Some(code), "{name}, check --online: {}", told(&output));
        assert!(told(&output).contains(what), "{name}, check --online: {}", told(&output));
        assert_eq!((world.runs(), published(world.folder.path())), (runs.clone(), files.clone()), "{name}");
        world.database.execute(&mended);
        let output = world.run();
        assert_eq!(output.status.code(), Some(0), "after {name}: {}", told(&output));
        assert_eq!((world.runs(), published(world.folder.path())), (runs.clone(), files.clone()), "after {name}");
    }
}

#[test]
fn a_server_or_database_that_is_not_there() {
    let world = World::new(TABLE);
    world.database.grant("request_ledger");
    let mended = |from: &str, to: &str| {
        world.job("request_ledger", "");
        let job = fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
        assert!(job.contains(from));
        fs::write(world.folder.path().join("job.toml"), job.replace(from, to)).unwrap();
        world.run()
    };
    let port = world.database.place("").split("port = ").nth(1).unwrap().split(',').next().unwrap().to_string();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let database = world.database.name.clone();
    for (from, to, code, what) in [
        (format!("port = {port}"), format!("port = {closed}"), 75, "no connection: connection refused"),
        (format!("database = \"{database}\""), "database = \"nowhere\"".to_string(), 65, "there is no such database"),
        ("password\"".to_string(), "passwort\"".to_string(), 78, "cannot be read: No such file"),
    ] {
        let output = mended(&from, &to);
        assert_eq!(output.status.code(), Some(code), "{to}: {}", told(&output));
        assert!(told(&output).contains(what), "{to}: {}", told(&output));
        assert!(!world.folder.path().join("out/latest").exists());
    }
    assert_eq!(mended("name = \"pg\"", "name = \"pg\"").status.code(), Some(0));
}

struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A view of which every row takes a while.
const SLOW: &str =
    "CREATE VIEW slow AS SELECT l.* FROM request_ledger l, LATERAL (SELECT pg_sleep(0.1 + 0 * length(l.request_id))) s;";

#[test]
fn a_backend_killed_in_the_middle_of_the_read_is_asked_again_and_else_left_for_later() {
    let world = World::new(&format!("{TABLE}{SLOW}"));
    world.database.grant("request_ledger");
    world.database.grant("slow");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let (runs, files) = (world.runs(), published(world.folder.path()));
    for (kills_max, code) in [(1, 0), (u32::MAX, 75)] {
        world.job("slow", "");
        let (done, kills) = (AtomicBool::new(false), AtomicU32::new(0));
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                runtime().block_on(async {
                    let mut admin = world.database.admin().await;
                    while !done.load(Ordering::Relaxed) && kills.load(Ordering::Relaxed) < kills_max {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        let killed = sqlx::query(
                            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tieout' \
                             AND datname = current_database() AND query LIKE 'COPY%' AND state = 'active' \
                             AND query_start < clock_timestamp() - interval '200 ms'",
                        );
                        let killed = killed.fetch_all(&mut admin).await.unwrap();
                        kills.fetch_add(killed.len() as u32, Ordering::Relaxed);
                    }
                });
            });
            let _end = SetAtEnd(&done);
            world.run()
        });
        assert!(kills.load(Ordering::Relaxed) >= 1);
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        if code == 75 {
            assert!(told(&output).contains("the database went away"), "{}", told(&output));
        }
        assert_eq!((world.runs(), published(world.folder.path())), (runs.clone(), files.clone()));
    }
}

#[test]
fn a_query_or_a_lock_that_takes_too_long_is_left_for_later() {
    let world = World::new(&format!("{TABLE}{SLOW}"));
    world.database.grant("request_ledger");
    world.database.grant("slow");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let (runs, files) = (world.runs(), published(world.folder.path()));

    world.job("slow", ", statement_seconds = 1");
    let output = world.run();
    assert_eq!(output.status.code(), Some(75), "{}", told(&output));
    assert!(told(&output).contains("canceling statement due to statement timeout (SQLSTATE 57014)"), "{}", told(&output));

    runtime().block_on(async {
        let mut migration = world.database.admin().await;
        migration.execute("BEGIN").await.unwrap();
        migration.execute("LOCK TABLE request_ledger IN ACCESS EXCLUSIVE MODE").await.unwrap();
        world.job("request_ledger", ", lock_seconds = 1");
        let output = world.run();
        assert_eq!(output.status.code(), Some(75), "{}", told(&output));
        assert!(told(&output).contains("a lock was not given in time"), "{}", told(&output));
    });
    assert_eq!((world.runs(), published(world.folder.path())), (runs.clone(), files.clone()));
    assert_eq!(world.run().status.code(), Some(0));
    assert_eq!((world.runs(), published(world.folder.path())), (runs, files));
}

#[test]
fn nothing_is_taken_from_the_environment_but_what_cannot_be_taken_back_is_refused() {
    let world = World::new(TABLE);
    world.database.grant("request_ledger");
    world.job("request_ledger", "");
    let run = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tieout"));
        command.args(["check", "job.toml"]).envs(variables.iter().copied()).current_dir(world.folder.path());
        let output = command.output().unwrap();
        (output.status.code(), told(&output))
    };
    let others = [
        ("PGHOST", "nowhere.invalid"),
        ("PGHOSTADDR", "192.0.2.1"),
        ("PGPORT", "1"),
        ("PGUSER", "postgres"),
        ("PGPASSWORD", "wrong"),
        ("PGDATABASE", "postgres"),
        ("PGSSLMODE", "verify-full"),
        ("PGSSLROOTCERT", "/nowhere.pem"),
        ("PGAPPNAME", "other"),
    ];
    assert_eq!(run(&others).0, Some(0), "{}", run(&others).1);
    let (code, told) = run(&[("PGOPTIONS", "-c statement_timeout=0")]);
    assert_eq!(code, Some(78));
    assert!(told.contains("PGOPTIONS is set in the environment and would change the connection"), "{told}");
}

#[test]
fn a_connection_is_as_encrypted_as_the_job_says_or_there_is_none() {
    let world = World::new(TABLE);
    world.database.grant("request_ledger");
    let Some(ca) = &world.database.cluster.ca else {
        return eprintln!("TIEOUT_TEST_PG names a server whose certificate is not ours: not tested");
    };
    let trusted = format!(", tls_ca = \"{}\"", ca.display());
    for (more, host, code, what) in [
        (format!(", tls = \"verify-full\"{trusted}"), "localhost", 0, ""),
        (", tls = \"require\"".to_string(), "127.0.0.1", 0, ""),
        (format!(", tls = \"verify-full\"{trusted}"), "127.0.0.1", 78, "certificate"),
        (", tls = \"verify-full\"".to_string(), "localhost", 78, "certificate"),
        (", tls = \"verify-full\", tls_ca = \"/nowhere.pem\"".to_string(), "localhost", 78, "tls_ca cannot be read"),
    ] {
        world.job("request_ledger", &more);
        let job = fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
        fs::write(world.folder.path().join("job.toml"), job.replace("host = \"localhost\"", &format!("host = \"{host}\"")))
            .unwrap();
        let output = tieout(world.folder.path(), &["check", "job.toml"]);
        assert_eq!(output.status.code(), Some(code), "{more}: {}", told(&output));
        assert!(told(&output).contains(what), "{more}: {}", told(&output));
    }
    // What the server really saw: none of this was sent in the clear.
    world.database.execute(&format!(
        "CREATE VIEW seen AS SELECT * FROM request_ledger \
         WHERE (SELECT 1 / ssl::int FROM pg_stat_ssl WHERE pid = pg_backend_pid()) = 1; GRANT SELECT ON seen TO {}",
        world.database.role
    ));
    world.job("seen", &format!(", tls = \"verify-full\"{trusted}"));
    assert_eq!(world.run().status.code(), Some(0));
    world.job("seen", "");
    assert_eq!(world.run().status.code(), Some(65), "in the clear the view divides by zero");
}

#[test]
fn pairs_that_are_written_together_are_never_read_apart() {
    let world = World::new(
        "CREATE TABLE request_ledger (request_id text, attempt integer, started_at timestamptz, provider text, \
         model text, account text, expected_cost numeric); CREATE INDEX ON request_ledger (started_at);",
    );
    world.database.grant("request_ledger");
    world.job("request_ledger", "");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (done, world) = (&done, &world);
            scope.spawn(move || {
                runtime().block_on(async {
                    let mut database = world.database.admin().await;
                    for pair in 1.. {
                        if done.load(Ordering::Relaxed) {
                            break;
                        }
                        // Two rows of one moment; then their costs move from one to the other, and back.
                        let at = format!("'2026-11-1{} 1{}:00:00Z'", 5 + pair % 4, pair % 10);
                        let row = |side: &str, account: &str, cost: u32| {
                            format!("('{side}-{writer}-{pair}', 1, {at}, 'fal', 'm', '{account}', {cost})")
                        };
                        let (one, other) = (row("a", "acme", 7), row("b", "beta", 7));
                        let swap = format!(
                            "UPDATE request_ledger SET account = CASE account WHEN 'acme' THEN 'beta' ELSE 'acme' END \
                             WHERE request_id IN ('a-{writer}-{0}', 'b-{writer}-{0}')",
                            pair / 2
                        );
                        let script = format!("BEGIN; INSERT INTO request_ledger VALUES {one}; {swap}; INSERT INTO request_ledger VALUES {other}; COMMIT");
                        database.execute(sqlx::raw_sql(AssertSqlSafe(script))).await.unwrap();
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                });
            });
        }
        // Also when an assertion below fails: the scope waits for the writers.
        let _end = SetAtEnd(&done);
        let job = fs::read_to_string(world.folder.path().join("job.toml")).unwrap();
        let beta = "[[source]]\nprovider = \"fal\"\naccount = \"beta\"\nsettle_days = 0\n[[source.pull]]\nfiles = [\"page.csv\"]\ncovers = [\"2026-11-15\", \"2026-11-19\"]\n";
        fs::write(world.folder.path().join("job.toml"), format!("{job}{beta}")).unwrap();
        let mut totals = Vec::new();
        for _ in 0..6 {
            let output = world.run();
            assert_eq!(output.status.code(), Some(0), "{}", told(&output));
            let days = column(world.folder.path(), "reconciliation.csv", "charge_date");
            let accounts = column(world.folder.path(), "reconciliation.csv", "account");
            let mut of: BTreeMap<(String, String), String> = BTreeMap::new();
            for ((day, account), total) in days.into_iter().zip(accounts).zip(world.ledger_total()) {
                of.insert((account, day), total);
            }
            for ((account, day), total) in of.iter().filter(|((account, _), _)| account == "acme") {
                assert_eq!(of.get(&("beta".to_string(), day.clone())), Some(total), "{account} {day}: {of:?}");
            }
            totals.push(format!("{of:?}"));
        }
        totals.dedup();
        assert!(totals.len() > 3, "the writers wrote nothing between the runs");
    });
}

#[test]
fn the_grants_let_a_role_read_the_ledger_and_nothing_else() {
    let world = World::new(&format!("{TABLE} CREATE TABLE prompts (prompt text); REVOKE CREATE ON SCHEMA public FROM PUBLIC;"));
    world.job("request_ledger", "");
    let database = &world.database;
    let grants = fs::read_to_string(root().join("sql/native.postgres.grants.sql")).unwrap();
    // The role is there already, and psql would fill in the names.
    let script: String = grants
        .lines()
        .filter(|line| !line.starts_with("--") && !line.starts_with("CREATE ROLE"))
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace(":\"role\"", &database.role)
        .replace(":\"database\"", &database.name)
        .replace(":\"schema\"", "public")
        .replace(":\"table\"", "request_ledger");
    assert!(grants.contains("NOSUPERUSER") && !script.contains(':'));
    database.execute(&script);
    assert_eq!(world.run().status.code(), Some(0));
    runtime().block_on(async {
        let mut role = database.as_role().await;
        for refused in
            ["INSERT INTO request_ledger (request_id) VALUES ('x')", "SELECT * FROM prompts", "CREATE TABLE mine (n int)"]
        {
            let error = role.execute(refused).await.unwrap_err().to_string();
            assert!(error.contains("permission denied") || error.contains("read-only transaction"), "{refused}: {error}");
        }
    });
}
