//! A native ledger in a SQLite file: opened read-only, never created, never taken for immutable, and read in one
//! consistent snapshot (reliability.md section 7, item 8).

mod pieces;

pub use pieces::read;

use super::ledger::{listed, missing_columns, unreadable};
use super::ledger_cells::{COLUMNS, missing};
use super::ledger_query::{Query, quoted, statement};
use crate::domain::fault::{ExitCode, Fault};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

const QUERY: &str = include_str!("../../sql/native.sqlite.sql");

/// The statement that reads a native ledger, once its table has been seen to have what it needs. A locked
/// database is waited for as long as `wait`.
pub fn native(path: &Path, table: &str, wait: Duration) -> Result<Query, Fault> {
    let table = identifier(path, table)?;
    let database = open(path, wait)?;
    let found = columns(&database, path, table)?;
    let by_ids = has_row_ids(&database, table, &found).map_err(|error| fault(path, &error))?;
    Ok(query(table, &found, by_ids))
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

fn query(table: &str, found: &[String], by_ids: bool) -> Query {
    // SQLite compares names of columns without case.
    let there = |name: &str| found.iter().any(|column| column.eq_ignore_ascii_case(name));
    let columns: Vec<&'static str> = COLUMNS.iter().map(|(name, _)| *name).filter(|name| there(name)).collect();
    let table = quoted(table);
    let sql = statement(QUERY).replace("{columns}", &columns.join(", "));
    let (sql, ids) = match by_ids {
        // An index would give another order.
        true => (
            sql.replace("{table}", &format!("{table} NOT INDEXED")).replace("{piece}", "_rowid_ BETWEEN ?1 AND ?2")
                + " ORDER BY _rowid_",
            Some(format!("SELECT (SELECT min(_rowid_) FROM {table}), (SELECT max(_rowid_) FROM {table})")),
        ),
        false => (sql.replace("{table}", &table).replace("{piece}", "TRUE"), None),
    };
    Query { sql, ids, undated: None, columns, by_day: false }
}

/// Whether the name is that of a table whose rows have ids, and nothing hides them.
fn has_row_ids(database: &Connection, table: &str, found: &[String]) -> rusqlite::Result<bool> {
    let tables: i64 = database.query_row(
        "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND wr = 0 AND name = ?1 COLLATE NOCASE",
        [table],
        |row| row.get(0),
    )?;
    Ok(tables == 1 && !found.iter().any(|column| column.eq_ignore_ascii_case("_rowid_")))
}

/// A read-only connection.
pub(super) fn open(path: &Path, wait: Duration) -> Result<Connection, Fault> {
    // SQLite says the same of a file that is missing, forbidden or a folder; and it would take a name like
    // `:memory:` or `file:…` for something else than a file.
    let absolute = std::path::absolute(path).map_err(|error| unreadable(path, &error))?;
    // Looked at and not opened: closing a file drops all locks that this process holds on it, and another thread may
    // be reading the same ledger.
    let metadata = std::fs::metadata(&absolute).map_err(|error| unreadable(path, &error))?;
    if !metadata.is_file() {
        let hint = "`sqlite` of the ledger in the job file names the database file itself";
        return Err(Fault::new(ExitCode::Config, path.display().to_string(), "is not a file", hint));
    }
    // A connection is used by one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(&absolute, flags).and_then(|database| {
        database.busy_timeout(wait)?;
        database.execute_batch("PRAGMA query_only = ON")?;
        Ok(database)
    });
    opened.map_err(|error| match std::fs::File::open(&absolute) {
        Err(why) => unreadable(path, &why),
        Ok(_) => fault(path, &error),
    })
}

/// The columns of the table or view. This is the first read: what is no database shows here.
fn columns(database: &Connection, path: &Path, table: &str) -> Result<Vec<String>, Fault> {
    let place = path.display().to_string();
    let failed = |error: rusqlite::Error| fault(path, &error);
    let wide = "SELECT length(CAST('a' AS BLOB)) FROM (SELECT count(*) FROM sqlite_schema)";
    let wide: i64 = database.query_row(wide, (), |row| row.get(0)).map_err(failed)?;
    if wide != 1 {
        let hint = "copy it into a UTF-8 database: `sqlite3 ledger.db .dump | sqlite3 new.db`, without the encoding pragma";
        return Err(Fault::new(ExitCode::Data, place, "the database keeps its texts as UTF-16, which is not read", hint));
    }
    let columns = column_names(database, table).map_err(failed)?;
    if columns.is_empty() {
        let what = format!("no table or view {table:?}; found: {}", listed(&tables(database).map_err(failed)?));
        let hint = "correct `table` of the ledger in the job file, or create a view of that name over what is there";
        return Err(Fault::new(ExitCode::Data, place, what, hint));
    }
    let missing = missing(|name| columns.iter().any(|column| column.eq_ignore_ascii_case(name)));
    if !missing.is_empty() {
        return Err(missing_columns(format!("{place}: {table}"), &missing, &columns));
    }
    Ok(columns)
}

/// Names of the columns of a table or view; none where there is no such thing.
pub(super) fn column_names(database: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    // The wider of the two column lists: the other leaves out generated columns.
    let mut list = database.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1")?;
    list.query_map([table], |row| row.get(0))?.collect()
}

/// Names of all tables and views.
pub(super) fn tables(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut list = database.prepare("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name")?;
    list.query_map((), |row| row.get(0))?.collect()
}

/// What SQLite refuses, by its primary result code (reliability.md section 5, ledger rows).
pub(super) fn fault(path: &Path, error: &rusqlite::Error) -> Fault {
    let place = path.display().to_string();
    let rusqlite::Error::SqliteFailure(failure, message) = error else {
        let what = format!("the ledger cannot be queried: {}", shortened(&error.to_string()));
        return Fault::new(ExitCode::Data, place, what, "run the view or table by hand and mend it");
    };
    let code = failure.extended_code & 0xff;
    let message = message.as_ref().map_or_else(|| shortened(&failure.to_string()), |message| shortened(message));
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

fn shortened(message: &str) -> String {
    message.chars().take(200).collect()
}

#[cfg(test)]
mod tests;
