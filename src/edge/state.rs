//! The state store: which runs were published, and since when each reconciling item is open
//! (reliability.md section 3). SQLite, one connection, behind the lock; it never repairs what it does not
//! understand. What is lost here is made again from the published runs, see [`super::recover`].

pub mod alerts;
pub mod slices;

use super::lock::Lock;
use super::manifest::RunName;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::parse_day;
use alerts::{Outbox, Queue};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// What made each version of the store out of the one before, the first out of nothing.
const STEPS: [&str; 3] = [
    include_str!("../../sql/state.sql"),
    include_str!("../../sql/state-2-slices.sql"),
    include_str!("../../sql/state-3-alerts.sql"),
];
/// `user_version` after the last of [`STEPS`].
const VERSION: u32 = STEPS.len() as u32;
/// `application_id` of the store.
const APPLICATION: u32 = 1_953_461_620;
/// The kind of a run that reconciles; the other is `watch`.
pub const NIGHTLY: &str = "nightly";
pub const WATCH: &str = "watch";
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const BUSY: Duration = Duration::from_secs(5);

/// A row of the table `run`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    pub name: RunName,
    pub run_id: String,
    pub content_sha256: String,
    /// False while the run is only prepared: it was cut off before or after its commit point.
    pub published: bool,
    pub complete: bool,
    pub exit_code: u8,
    /// When a run last made this revision, or found nothing to add to it.
    pub succeeded_at: DateTime<Utc>,
}

/// The opened store, with the lock. Blocking: not to be used inside an async runtime.
#[derive(Debug)]
pub struct State {
    store: Store,
    run_id: String,
    /// `nightly` or `watch`: each has runs of its own.
    kind: &'static str,
    // Last, so that the database is closed before another runner can come in.
    lock: Lock,
}

impl State {
    /// Takes the lock, then opens `state.db`, or makes it when there is none. The directory must exist
    /// ([`super::preflight::directories`]).
    ///
    /// # Errors
    /// [`ExitCode::Locked`] when another run has the lock; [`ExitCode::State`] when the store is corrupt, of a
    /// newer version or another program's: it is left as it is; [`ExitCode::CantCreate`] or [`ExitCode::IoErr`]
    /// when it cannot be opened or read.
    pub fn open(dir: &Path, run_id: &str) -> Result<State, Fault> {
        let lock = Lock::take(dir, run_id)?;
        let path = dir.join("state.db");
        let mut options = OpenOptions::new();
        // SQLite would make it readable by everyone.
        match options.write(true).create_new(true).mode(0o600).open(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let what = format!("cannot be made: {error}");
                return Err(Fault::new(ExitCode::CantCreate, path.display().to_string(), what, "check the state directory"));
            }
            _ => {}
        }
        Ok(State { store: Store::open(path)?, run_id: run_id.to_string(), kind: NIGHTLY, lock })
    }

    /// From here on it speaks of the runs of this kind, `nightly` or `watch`. Alerts are shared.
    pub fn of_kind(self, kind: &'static str) -> State {
        State { kind, ..self }
    }

    /// The run that holds the lock.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// See [`Lock::is_ours`].
    pub fn is_locked_by_us(&self) -> bool {
        self.lock.is_ours()
    }

    /// All runs, oldest business date and revision first.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn runs(&mut self) -> Result<Vec<RunRow>, Fault> {
        self.store.runs(self.kind)
    }

    /// The first business date on which each reconciling item was published, by `drift_id`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn first_seen(&mut self) -> Result<HashMap<String, NaiveDate>, Fault> {
        let rows = self.store.query(sqlx::query("SELECT drift_id, first_seen FROM open_item"))?;
        let read = |row: &SqliteRow| {
            let day: String = row.try_get("first_seen").ok()?;
            Some((row.try_get("drift_id").ok()?, parse_day(&day)?))
        };
        rows.iter().map(|row| read(row).ok_or_else(|| self.store.corrupt("table open_item"))).collect()
    }

    /// Records a run that is about to be published, with the alerts that go out with it, held until then.
    pub(super) fn prepare(&mut self, row: &RunRow, outbox: &Outbox) -> Result<(), Fault> {
        let insert = sqlx::query(
            "INSERT INTO run (kind, business_date, revision, run_id, content_sha256, state, complete, exit_code, succeeded_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        );
        let insert = insert
            .bind(self.kind)
            .bind(row.name.business_date.to_string())
            .bind(i64::from(row.name.revision))
            .bind(row.run_id.clone())
            .bind(row.content_sha256.clone())
            .bind(if row.published { "published" } else { "prepared" })
            .bind(row.complete)
            .bind(i64::from(row.exit_code))
            .bind(instant(row.succeeded_at));
        let mut changes = alerts::insert(outbox, Some(alerts::holder(self.kind, row.name)));
        changes.insert(0, insert);
        self.store.change(changes)
    }

    /// Marks a prepared run as published, lets its alerts go and keeps the first day of each of its items, in one
    /// transaction.
    pub(super) fn published(&mut self, name: RunName, items: &[(String, NaiveDate)]) -> Result<(), Fault> {
        let update = sqlx::query("UPDATE run SET state = 'published' WHERE kind = ? AND business_date = ? AND revision = ?");
        let update = update.bind(self.kind).bind(name.business_date.to_string()).bind(i64::from(name.revision));
        let pairs = items.iter().map(|(id, day)| serde_json::json!([id, day.to_string()]));
        // One statement however many items; the earliest day stands, in whatever order nights are published.
        let keep = sqlx::query(
            "INSERT INTO open_item (drift_id, first_seen) SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true \
             ON CONFLICT (drift_id) DO UPDATE SET first_seen = excluded.first_seen \
             WHERE excluded.first_seen < first_seen",
        );
        let keep = keep.bind(pairs.collect::<serde_json::Value>().to_string());
        let mut changes = alerts::release(self.kind, name);
        changes.extend([update, keep]);
        self.store.change(changes)
    }

    /// Drops a prepared run that never came to be, and the alerts that it held.
    pub(super) fn forget(&mut self, name: RunName) -> Result<(), Fault> {
        let delete = sqlx::query("DELETE FROM run WHERE kind = ? AND business_date = ? AND revision = ? AND state = 'prepared'");
        let delete = delete.bind(self.kind).bind(name.business_date.to_string()).bind(i64::from(name.revision));
        self.store.change(vec![alerts::drop_held(self.kind, name), delete])
    }

    /// Notes that a run found nothing to add to this revision.
    pub(super) fn confirmed(&mut self, name: RunName, at: DateTime<Utc>) -> Result<(), Fault> {
        let update = sqlx::query("UPDATE run SET succeeded_at = ? WHERE kind = ? AND business_date = ? AND revision = ?");
        let update = update.bind(instant(at)).bind(self.kind).bind(name.business_date.to_string()).bind(i64::from(name.revision));
        self.store.change(vec![update])
    }
}

/// The recorded runs, for commands that only look: without the lock, changing nothing. Empty when there is no
/// store.
///
/// # Errors
/// As [`State::open`], but for the lock.
pub fn recorded_runs(dir: &Path, kind: &'static str) -> Result<Vec<RunRow>, Fault> {
    let path = dir.join("state.db");
    // An empty file is a store that its maker did not live to fill.
    match fs::metadata(&path) {
        Ok(meta) if meta.len() > 0 => Store::open(path)?.runs(kind),
        _ => Ok(Vec::new()),
    }
}

/// How many messages wait, as [`recorded_runs`] looks.
///
/// # Errors
/// As [`recorded_runs`].
pub fn recorded_queue(dir: &Path, as_of: DateTime<Utc>) -> Result<Queue, Fault> {
    let path = dir.join("state.db");
    match fs::metadata(&path) {
        Ok(meta) if meta.len() > 0 => Store::open(path)?.queue(as_of, None),
        _ => Ok(Queue::default()),
    }
}

type Query = sqlx::query::Query<'static, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>;

/// The connection with the runtime that it needs.
#[derive(Debug)]
struct Store {
    path: PathBuf,
    runtime: Runtime,
    db: SqliteConnection,
}

impl Store {
    fn open(path: PathBuf) -> Result<Store, Fault> {
        inspect(&path)?;
        let runtime = Builder::new_current_thread().enable_time().build();
        let internal = |error: std::io::Error| {
            Fault::new(ExitCode::IoErr, path.display().to_string(), format!("cannot start its thread: {error}"), "run again")
        };
        let runtime = runtime.map_err(internal)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Extra)
            .foreign_keys(true)
            .busy_timeout(BUSY);
        let db = runtime.block_on(options.connect()).map_err(|error| fault(&path, &error))?;
        let mut store = Store { path, runtime, db };
        let mut problems = store.texts(sqlx::query("PRAGMA quick_check"))?;
        problems.retain(|problem| problem != "ok");
        if let Some(problem) = problems.first() {
            return Err(store.corrupt(problem));
        }
        let version = store.number(sqlx::query("PRAGMA user_version"))?;
        if version == 0 && store.number(sqlx::query("SELECT count(*) FROM sqlite_schema"))? != 0 {
            return Err(store.corrupt("it has tables but no version"));
        }
        let known = usize::try_from(version).unwrap_or(usize::MAX);
        store.bring_up(STEPS.get(known..).unwrap_or_default())?;
        Ok(store)
    }

    /// Takes the steps that an older store lacks, all of them or none.
    fn bring_up(&mut self, steps: &[&'static str]) -> Result<(), Fault> {
        if steps.is_empty() {
            return Ok(());
        }
        let made = self.runtime.block_on(async {
            let mut transaction = self.db.begin_with("BEGIN IMMEDIATE").await?;
            for step in steps {
                sqlx::raw_sql(*step).execute(&mut *transaction).await?;
            }
            // VERSION is a number of this code.
            sqlx::raw_sql(AssertSqlSafe(format!("PRAGMA user_version = {VERSION}"))).execute(&mut *transaction).await?;
            transaction.commit().await
        });
        made.map_err(|error| fault(&self.path, &error))
    }

    /// Carries out all of the changes or none.
    fn change(&mut self, changes: Vec<Query>) -> Result<(), Fault> {
        let changed = self.runtime.block_on(async {
            let mut transaction = self.db.begin_with("BEGIN IMMEDIATE").await?;
            for change in changes {
                change.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        });
        changed.map_err(|error| fault(&self.path, &error))
    }

    fn query(&mut self, query: Query) -> Result<Vec<SqliteRow>, Fault> {
        self.runtime.block_on(query.fetch_all(&mut self.db)).map_err(|error| fault(&self.path, &error))
    }

    fn texts(&mut self, query: Query) -> Result<Vec<String>, Fault> {
        let rows = self.query(query)?;
        rows.iter().map(|row| row.try_get(0).map_err(|error| fault(&self.path, &error))).collect()
    }

    fn number(&mut self, query: Query) -> Result<i64, Fault> {
        let rows = self.query(query)?;
        let number = rows.first().and_then(|row| row.try_get(0).ok());
        number.ok_or_else(|| self.corrupt("a pragma gave no number"))
    }

    fn runs(&mut self, kind: &'static str) -> Result<Vec<RunRow>, Fault> {
        let query = sqlx::query(
            "SELECT business_date, revision, run_id, content_sha256, state, complete, exit_code, succeeded_at \
             FROM run WHERE kind = ? ORDER BY business_date, revision",
        );
        let rows = self.query(query.bind(kind))?;
        rows.iter().map(|row| run_row(row).ok_or_else(|| self.corrupt("table run"))).collect()
    }

    fn corrupt(&self, what: &str) -> Fault {
        corrupt(&self.path, what)
    }
}

fn run_row(row: &SqliteRow) -> Option<RunRow> {
    let text = |column: &str| row.try_get::<String, _>(column).ok();
    let number = |column: &str| row.try_get::<i64, _>(column).ok();
    Some(RunRow {
        name: RunName { business_date: parse_day(&text("business_date")?)?, revision: u32::try_from(number("revision")?).ok()? },
        run_id: text("run_id")?,
        content_sha256: text("content_sha256")?,
        published: text("state")? == "published",
        complete: number("complete")? == 1,
        exit_code: u8::try_from(number("exit_code")?).ok()?,
        succeeded_at: DateTime::parse_from_rfc3339(&text("succeeded_at")?).ok()?.with_timezone(&Utc),
    })
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Looks at the file's header before SQLite may touch it: a file that is not ours stays untouched to the byte.
fn inspect(path: &Path) -> Result<(), Fault> {
    // After a crash the header may be half written until SQLite has rolled it back.
    if fs::metadata(path.with_extension("db-journal")).is_ok_and(|meta| meta.len() > 0) {
        return Ok(());
    }
    let mut header = Vec::new();
    let read = File::open(path).and_then(|file| file.take(100).read_to_end(&mut header));
    if let Err(error) = read {
        let what = format!("cannot be read: {error}");
        return Err(Fault::new(ExitCode::CantCreate, path.display().to_string(), what, "check the state directory"));
    }
    if header.is_empty() {
        return Ok(());
    }
    let word = |at: usize| header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes);
    if !header.starts_with(MAGIC) {
        return Err(corrupt(path, "it is not a database"));
    }
    if word(68) != Some(APPLICATION) {
        return Err(corrupt(path, "it is another program's database"));
    }
    match word(60) {
        Some(1..=VERSION) => Ok(()),
        Some(version) if version > VERSION => {
            let what = format!("was written by a newer tieout (state version {version}, this one knows {VERSION})");
            Err(Fault::new(ExitCode::State, path.display().to_string(), what, "run that version again, or a later one"))
        }
        _ => Err(corrupt(path, "it has no known version")),
    }
}

fn corrupt(path: &Path, what: &str) -> Fault {
    let hint = "it was left as it is; move it away and run again: it is rebuilt from the published runs";
    Fault::new(ExitCode::State, path.display().to_string(), format!("the state store is damaged: {what}"), hint)
}

/// The exit code of what SQLite says: its primary result code is the last byte.
fn fault(path: &Path, error: &sqlx::Error) -> Fault {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok()).map(|code| code & 0xff);
    let place = path.display().to_string();
    match code {
        // BUSY, LOCKED
        Some(5 | 6) => Fault::new(ExitCode::TempFail, place, "another program has the state store open", "run again"),
        // PERM, READONLY, CANTOPEN
        Some(3 | 8 | 14) => {
            Fault::new(ExitCode::CantCreate, place, format!("cannot be written: {error}"), "check the state directory")
        }
        // IOERR, FULL
        Some(10 | 13) => {
            Fault::new(ExitCode::IoErr, place, error.to_string(), "free some space and check the disk, then run again")
        }
        _ => corrupt(path, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str) -> RunRow {
        RunRow {
            name: RunName::parse(name).unwrap(),
            run_id: "run".to_string(),
            content_sha256: "0".repeat(64),
            published: false,
            complete: true,
            exit_code: 0,
            succeeded_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
        }
    }

    fn day(text: &str) -> NaiveDate {
        parse_day(text).unwrap()
    }

    #[test]
    fn keeps_runs_and_the_earliest_day_of_each_item() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path(), "run").unwrap();
        for name in ["2026-11-18.r10", "2026-11-18.r9", "2026-11-17.r1"] {
            state.prepare(&row(name), &Outbox::default()).unwrap();
        }
        assert!(state.prepare(&row("2026-11-17.r1"), &Outbox::default()).is_err());
        let name = RunName::parse("2026-11-18.r9").unwrap();
        let item = |id: &str, text: &str| (id.to_string(), day(text));
        state.published(name, &[item("a", "2026-11-18"), item("b", "2026-11-17")]).unwrap();
        state.published(name, &[item("a", "2026-11-16"), item("b", "2026-11-19")]).unwrap();
        state.forget(name).unwrap();
        state.forget(RunName::parse("2026-11-18.r10").unwrap()).unwrap();
        let later = DateTime::from_timestamp(1_800_000_500, 0).unwrap();
        state.confirmed(name, later).unwrap();
        drop(state);

        let mut state = State::open(dir.path(), "run").unwrap();
        let runs = state.runs().unwrap();
        assert_eq!(runs, [row("2026-11-17.r1"), RunRow { published: true, succeeded_at: later, ..row("2026-11-18.r9") }]);
        let seen = state.first_seen().unwrap();
        assert_eq!(seen, HashMap::from([item("a", "2026-11-16"), item("b", "2026-11-17")]));
        assert_eq!(recorded_runs(dir.path(), NIGHTLY).unwrap(), runs);
        assert_eq!(recorded_runs(&dir.path().join("nowhere"), NIGHTLY).unwrap(), []);
    }

    #[test]
    fn runs_with_the_pragmas_of_the_contract() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path(), "run").unwrap();
        for (pragma, expected) in [
            ("SELECT journal_mode FROM pragma_journal_mode", "delete"),
            ("SELECT CAST(synchronous AS TEXT) FROM pragma_synchronous", "3"),
            ("SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys", "1"),
            ("SELECT CAST(timeout AS TEXT) FROM pragma_busy_timeout", "5000"),
            ("SELECT CAST(user_version AS TEXT) FROM pragma_user_version", &VERSION.to_string()),
        ] {
            assert_eq!(state.store.texts(sqlx::query(pragma)).unwrap(), [expected], "{pragma}");
        }
        let strict = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND strict = 1 ORDER BY name";
        assert_eq!(
            state.store.texts(sqlx::query(strict)).unwrap(),
            ["alert", "delivery", "fetch", "held", "open_item", "page", "payload", "run", "slice"]
        );
    }

    #[test]
    fn what_is_damaged_newer_or_foreign_is_72_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mut state = State::open(dir.path(), "run").unwrap();
        let many: Vec<_> = (0..2000).map(|n| (format!("item-{n:05}"), day("2026-11-18"))).collect();
        state.prepare(&row("2026-11-18.r1"), &Outbox::default()).unwrap();
        state.published(row("2026-11-18.r1").name, &many).unwrap();
        drop(state);
        let path = dir.path().join("state.db");
        let sound = fs::read(&path).unwrap();
        let with = |at: usize, bytes: &[u8]| {
            let mut broken = sound.clone();
            broken[at..at + bytes.len()].copy_from_slice(bytes);
            broken
        };
        let middle = sound.len() / 2 / 4096 * 4096;
        for (broken, said) in [
            (b"not a database at all".to_vec(), "not a database"),
            (with(60, &[0, 0, 0, 99]), "newer tieout"),
            (with(60, &[0, 0, 0, 0]), "no known version"),
            (with(68, &[0, 0, 0, 0]), "another program's"),
            (with(middle, &[0xff; 64]), "damaged"),
            (with(4096, &[0; 4096]), "damaged"),
            (sound[..8192].to_vec(), "damaged"),
        ] {
            fs::write(&path, &broken).unwrap();
            let fault = State::open(dir.path(), "run").and_then(|mut state| state.runs()).unwrap_err();
            assert_eq!(fault.code, ExitCode::State, "{fault}");
            assert!(fault.what.contains(said), "{fault} should say {said}");
            assert_eq!(fs::read(&path).unwrap(), broken);
        }
        fs::write(&path, &sound).unwrap();
        assert_eq!(State::open(dir.path(), "run").unwrap().first_seen().unwrap().len(), 2000);
    }

    #[test]
    fn an_empty_file_becomes_a_store_and_a_directory_does_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.db"), "").unwrap();
        assert_eq!(State::open(dir.path(), "run").unwrap().runs().unwrap(), []);
        fs::remove_file(dir.path().join("state.db")).unwrap();
        fs::create_dir(dir.path().join("state.db")).unwrap();
        assert_eq!(State::open(dir.path(), "run").unwrap_err().code, ExitCode::CantCreate);
    }
}
