//! Ledgers in a real PostgreSQL: every fault of reliability.md section 5 with its documented code, the old report
//! standing and the next run right.

use crate::cluster::{Database, PASSWORD, cluster, runtime};
use crate::ledger_world::{BETA, World, root, tieout, told};
use sqlx::{AssertSqlSafe, Executor};
use std::fs;
use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Deref;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// A world whose ledger is in a database of its own.
struct Served {
    world: World,
    database: Database,
}

impl Deref for Served {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Served {
    fn new(script: &str) -> Served {
        Served { world: World::new(), database: cluster().database(script) }
    }

    fn job(&self, table: &str, more: &str) {
        self.world.job(table, &self.database.place(more), "");
    }
}

fn table() -> String {
    crate::ledger_world::TABLE
        .replace("{time}", "timestamptz")
        .replace("{amount}", "numeric")
        .replace("{at}", "'2026-11-16 09:00:00Z'::timestamptz + n * interval '1 second'")
        .replace("{cost}", "0.05")
        .replace("{calls}", "generate_series(1, 20) n")
}

#[test]
fn every_fault_has_its_code_the_old_report_stands_and_the_next_run_is_right() {
    let world = Served::new(&table());
    world.database.grant("request_ledger");
    world.job("request_ledger", "");
    let output = world.run();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));
    let before = world.stands();
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
        assert_eq!(world.stands(), before, "{name}");
        world.database.execute(&mended);
        let output = world.run();
        assert_eq!(output.status.code(), Some(0), "after {name}: {}", told(&output));
        assert_eq!(world.stands(), before, "after {name}");
    }
}

#[test]
fn a_server_or_database_that_is_not_there() {
    let world = Served::new(&table());
    world.database.grant("request_ledger");
    let mended = |from: &str, to: &str| {
        world.job("request_ledger", "");
        world.edit(from, to);
        world.run()
    };
    let port = world.database.port();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
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
    let world = Served::new(&format!("{}{SLOW}", table()));
    world.database.grant("request_ledger");
    world.database.grant("slow");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let before = world.stands();
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
        assert_eq!(world.stands(), before);
    }
}

/// What a replica says when the primary takes back rows that are being read.
#[test]
fn a_read_that_collides_with_a_change_is_asked_again_and_else_left_for_later() {
    let torn = "CREATE FUNCTION torn(id text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
        IF NOT pg_try_advisory_xact_lock_shared(7) THEN \
            RAISE EXCEPTION 'canceling statement due to conflict with recovery' USING ERRCODE = '40001'; \
        END IF; RETURN id; END $$; \
        CREATE VIEW replica AS SELECT torn(request_id) AS request_id, attempt, started_at, provider, model, account, team, \
        images, expected_cost FROM request_ledger;";
    let world = Served::new(&format!("{}{torn}", table()));
    world.database.grant("request_ledger");
    world.database.grant("replica");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let before = world.stands();
    world.job("replica", "");
    for (held, code) in [(Duration::from_secs(2), 0), (Duration::from_secs(60), 75)] {
        let done = AtomicBool::new(false);
        let output = std::thread::scope(|scope| {
            let (ready, waiting) = std::sync::mpsc::channel();
            let done = &done;
            let database = &world.database;
            scope.spawn(move || {
                runtime().block_on(async {
                    let mut change = database.admin().await;
                    change.execute("SELECT pg_advisory_lock(7)").await.unwrap();
                    ready.send(()).unwrap();
                    let start = std::time::Instant::now();
                    while !done.load(Ordering::Relaxed) && start.elapsed() < held {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                });
            });
            waiting.recv().unwrap();
            let _end = SetAtEnd(done);
            world.run()
        });
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        if code == 75 {
            assert!(told(&output).contains("the read collided with a change: canceling statement"), "{}", told(&output));
        }
        assert_eq!(world.stands(), before);
    }
}

/// Forwards connections to a port, and cuts each off after so many bytes of what the server says.
fn cut_off(server: u16, after: usize) -> u16 {
    let listener = TcpListener::bind("localhost:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, mut server) = (client.unwrap(), TcpStream::connect(("localhost", server)).unwrap());
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut (&mut server).take(after as u64), &mut client);
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    port
}

/// More than is kept until it is whole is handed on as it comes: then nothing can be asked for again.
#[test]
fn a_connection_that_breaks_within_a_large_day_ends_the_read() {
    let wide = "CREATE VIEW wide AS SELECT request_id, attempt, started_at, provider, model, account, team, images, expected_cost, \
        repeat('x', 10000000) AS user_id FROM request_ledger;";
    let world = Served::new(&format!("{}{wide}", table()));
    world.database.grant("request_ledger");
    world.database.grant("wide");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let before = world.stands();
    let port = world.database.port();
    for (after, code) in [(180_000_000, 75), (usize::MAX, 0)] {
        world.job("wide", "");
        world.edit(&format!("port = {port}"), &format!("port = {}", cut_off(port, after)));
        let output = world.run();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        if code == 75 {
            assert!(told(&output).contains("the database went away"), "{}", told(&output));
        }
        assert_eq!(world.stands(), before);
    }
}

#[test]
fn a_query_or_a_lock_that_takes_too_long_is_left_for_later() {
    let world = Served::new(&format!("{}{SLOW}", table()));
    world.database.grant("request_ledger");
    world.database.grant("slow");
    world.job("request_ledger", "");
    assert_eq!(world.run().status.code(), Some(0));
    let before = world.stands();

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
    assert_eq!(world.stands(), before);
    assert_eq!(world.run().status.code(), Some(0));
    assert_eq!(world.stands(), before);
}

#[test]
fn nothing_is_taken_from_the_environment_but_what_cannot_be_taken_back_is_refused() {
    let world = Served::new(&table());
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
    let world = Served::new(&table());
    world.database.grant("request_ledger");
    let Some(ca) = &world.database.cluster.ca else {
        return eprintln!("TIEOUT_TEST_PG names a server whose certificate is not ours: not tested");
    };
    let trusted = format!(", tls_ca = \"{}\"", ca.display());
    let other = world.folder.path().join("other.pem");
    fs::write(&other, crate::cluster::authority().1.pem()).unwrap();
    for (more, host, code, what) in [
        (format!(", tls = \"verify-full\"{trusted}"), "localhost", 0, ""),
        (", tls = \"require\"".to_string(), "127.0.0.1", 0, ""),
        (format!(", tls = \"verify-full\"{trusted}"), "127.0.0.1", 78, "certificate"),
        // A certificate for another host, and one of an authority that is not named.
        (format!(", tls = \"verify-ca\"{trusted}"), "127.0.0.1", 0, ""),
        (format!(", tls = \"verify-ca\", tls_ca = \"{}\"", other.display()), "127.0.0.1", 78, "certificate"),
        (", tls = \"verify-full\"".to_string(), "localhost", 78, "certificate"),
        (", tls = \"verify-full\", tls_ca = \"/nowhere.pem\"".to_string(), "localhost", 78, "tls_ca cannot be read"),
    ] {
        world.job("request_ledger", &more);
        world.edit("host = \"localhost\"", &format!("host = \"{host}\""));
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
    let world = Served::new(
        "CREATE TABLE request_ledger (request_id text, attempt integer, started_at timestamptz, provider text, \
         model text, account text, expected_cost numeric); CREATE INDEX ON request_ledger (started_at);",
    );
    world.database.grant("request_ledger");
    world.world.job("request_ledger", &world.database.place(""), BETA);
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
        let mut totals = Vec::new();
        for _ in 0..6 {
            let output = world.run();
            assert_eq!(output.status.code(), Some(0), "{}", told(&output));
            let of = world.totals();
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
    let world =
        Served::new(&format!("{} CREATE TABLE prompts (prompt text); REVOKE CREATE ON SCHEMA public FROM PUBLIC;", table()));
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
