//! A native ledger in a SQLite file: opened read-only, never created, never taken for immutable, and streamed
//! row by row from one statement, which is one consistent snapshot (reliability.md section 7, item 8).

mod packed;

pub use packed::read;

use super::ledger::{listed, missing_columns, unreadable};
use super::ledger_cells::{COLUMNS, missing};
use super::ledger_query::{Query, quoted, statement};
use crate::domain::fault::{ExitCode, Fault};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use std::path::Path;
use std::time::Duration;

const QUERY: &str = include_str!("../../sql/native.sqlite.sql");

/// The statement that reads a native ledger, once its table has been seen to have what it needs. A locked
/// database is waited for as long as `wait`.
pub fn native(path: &Path, table: &str, wait: Duration) -> Result<Query, Fault> {
    let table = identifier(path, table)?;
    runtime(path)?.block_on(async {
        let mut database = open(path, wait).await?;
        let found = columns(&mut database, path, table).await?;
        let by_row_id = has_row_ids(&mut database, table, &found).await.map_err(|error| fault(path, &error))?;
        database.close().await.map_err(|error| fault(path, &error))?;
        Ok(query(table, &found, by_row_id))
    })
}

/// The table's name, which becomes part of a statement and so must be a plain one.
fn identifier<'t>(path: &Path, table: &'t str) -> Result<&'t str, Fault> {
    let plain = table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain && table.bytes().next().is_some_and(|first| !first.is_ascii_digit()) {
        return Ok(table);
    }
    let what = format!("{table:?} cannot be the name of the ledger's table");
    let hint = "use letters, digits and underscores, and no digit first; a view can give any table such a name";
    Err(Fault::new(ExitCode::Config, path.display().to_string(), what, hint))
}

fn query(table: &str, found: &[String], by_row_id: bool) -> Query {
    // SQLite compares names of columns without case.
    let there = |name: &str| found.iter().any(|column| column.eq_ignore_ascii_case(name));
    let columns: Vec<&'static str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| there(name)).collect();
    let mut sql = statement(QUERY).replace("{columns}", &columns.join(", ")).replace("{table}", &quoted(table));
    if !by_row_id {
        sql = sql.replace("{page}", "TRUE").replace("{at}", "0");
    }
    Query { sql, undated: None, columns, by_day: false }
}

/// Whether the name is that of a table whose rows have ids, and nothing hides them.
async fn has_row_ids(database: &mut SqliteConnection, table: &str, found: &[String]) -> Result<bool, sqlx::Error> {
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND wr = 0 AND name = ?1 COLLATE NOCASE",
    )
    .bind(table)
    .fetch_one(database)
    .await?;
    Ok(tables == 1 && !found.iter().any(|column| column.eq_ignore_ascii_case("_rowid_") || column.eq_ignore_ascii_case("_at")))
}

fn runtime(path: &Path) -> Result<tokio::runtime::Runtime, Fault> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| unreadable(path, &error))
}

async fn open(path: &Path, wait: Duration) -> Result<SqliteConnection, Fault> {
    // SQLite says the same of a file that is missing, forbidden or a folder; and it would take a name like
    // `:memory:` or `file:…` for something else than a file.
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    // Closed again before SQLite opens it: closing a file drops all locks that a process holds on it.
    let metadata = std::fs::File::open(&absolute).and_then(|file| file.metadata());
    if !metadata.map_err(|error| unreadable(path, &error))?.is_file() {
        let hint = "`sqlite` of the ledger in the job file names the database file itself";
        return Err(Fault::new(ExitCode::Config, path.display().to_string(), "is not a file", hint));
    }
    let options = SqliteConnectOptions::new()
        .filename(&absolute)
        .read_only(true)
        .create_if_missing(false)
        .immutable(false)
        .busy_timeout(wait)
        .pragma("query_only", "ON");
    options.connect().await.map_err(|error| fault(path, &error))
}

/// The columns of the table or view. This is the first read: what is no database shows here.
async fn columns(database: &mut SqliteConnection, path: &Path, table: &str) -> Result<Vec<String>, Fault> {
    let place = path.display().to_string();
    let wide: i64 = sqlx::query_scalar("SELECT length(CAST('a' AS BLOB)) FROM (SELECT count(*) FROM sqlite_schema)")
        .fetch_one(&mut *database)
        .await
        .map_err(|error| fault(path, &error))?;
    if wide != 1 {
        let hint = "copy it into a UTF-8 database: `sqlite3 ledger.db .dump | sqlite3 new.db`, without the encoding pragma";
        return Err(Fault::new(ExitCode::Data, place, "the database keeps its texts as UTF-16, which is not read", hint));
    }
    // The wider of the two column lists: the other leaves out generated columns.
    let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1")
        .bind(table)
        .fetch_all(&mut *database)
        .await
        .map_err(|error| fault(path, &error))?;
    if columns.is_empty() {
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name")
                .fetch_all(&mut *database)
                .await
                .map_err(|error| fault(path, &error))?;
        let what = format!("no table or view {table:?}; found: {}", listed(&tables));
        let hint = "correct `table` of the ledger in the job file, or create a view of that name over what is there";
        return Err(Fault::new(ExitCode::Data, place, what, hint));
    }
    let missing = missing(|name| columns.iter().any(|column| column.eq_ignore_ascii_case(name)));
    if !missing.is_empty() {
        return Err(missing_columns(format!("{place}: {table}"), &missing, &columns));
    }
    Ok(columns)
}

/// What SQLite refuses, by its primary result code (reliability.md section 5, ledger rows).
fn fault(path: &Path, error: &sqlx::Error) -> Fault {
    let place = path.display().to_string();
    let (code, message) = match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or(1);
            (code & 0xff, error.message().chars().take(200).collect::<String>())
        }
        sqlx::Error::Io(error) => return unreadable(path, error),
        other => {
            let what = format!("cannot be read: {}", other.to_string().chars().take(200).collect::<String>());
            return Fault::new(
                ExitCode::IoErr,
                place,
                what,
                "run again; if it stays, check the file with `PRAGMA integrity_check`",
            );
        }
    };
    let (exit, what, hint) = match code {
        3 | 23 => (ExitCode::NoPerm, "permission denied".to_string(), "let the user that runs this read the file and its folder"),
        5 | 6 => (
            ExitCode::TempFail,
            "the database stayed locked by another process".to_string(),
            "run again when the writer is done, or let it write in WAL mode, which does not lock readers out",
        ),
        7 | 9 | 17 => (ExitCode::TempFail, format!("the read was interrupted: {message}"), "run again"),
        8 | 14 => (
            ExitCode::CantCreate,
            format!("the database cannot be opened read-only where it is: {message}"),
            "a database in WAL mode needs its -shm file beside it: allow writing to the folder, keep the writer \
             running, or name a copy made with `VACUUM INTO`",
        ),
        10 | 13 => (ExitCode::IoErr, format!("cannot be read: {message}"), "check the disk, then run again"),
        11 => (
            ExitCode::Data,
            format!("the database is damaged: {message}"),
            "check it with `PRAGMA integrity_check` and restore it from a copy",
        ),
        26 => (
            ExitCode::Data,
            "not a SQLite database".to_string(),
            "`sqlite` of the ledger names a SQLite file; CSV and Parquet go under `files`",
        ),
        _ => (ExitCode::Data, format!("the ledger cannot be queried: {message}"), "run the view or table by hand and mend it"),
    };
    Fault::new(exit, place, what, hint)
}

#[cfg(test)]
mod tests;
