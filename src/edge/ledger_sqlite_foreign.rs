//! Ledgers of other systems in a SQLite file, opened as a native one is: read-only, in one snapshot.

use super::ledger::listed;
use super::ledger_cells::Cell;
use super::ledger_query::EachRow;
use super::ledger_sql::{Engine, Filled, fill, helpers, template};
use super::ledger_sqlite::{fault, open, runtime};
use super::ledger_wanted::Wanted;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::Days;
use crate::ledgers::Kind;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Row};
use std::future::poll_fn;
use std::path::Path;
use std::time::Duration;

/// Hands on the rows of the days, with the field of each cell.
pub fn read(
    path: &Path,
    kind: &'static Kind,
    table: &str,
    wait: Duration,
    days: Days,
    each: &mut dyn FnMut(&[usize], &[Cell<'_>]),
) -> Result<(), Fault> {
    runtime(path)?.block_on(async {
        let mut database = open(path, wait).await?;
        let filled = statement(&mut database, path, kind, table).await?;
        let width = filled.query.columns.len();
        let mut hand_on = |cells: &[Cell<'_>]| each(&filled.fields, cells);
        // Safe: names of letters, digits and underscores in quotes, and days.
        let query = sqlx::query(AssertSqlSafe(filled.query.of_days(days)));
        let mut found = query.fetch(&mut database);
        while let Some(row) = poll_fn(|context| found.as_mut().poll_next(context)).await {
            take(&row.map_err(|error| fault(path, &error))?, width, &mut hand_on);
        }
        drop(found);
        database.close().await.map_err(|error| fault(path, &error))
    })
}

fn take(row: &sqlx::sqlite::SqliteRow, width: usize, each: &mut EachRow<'_>) {
    let cell = |index: usize| match row.try_get::<Option<&[u8]>, _>(index) {
        Ok(None) => Cell::Null,
        Ok(Some(bytes)) => std::str::from_utf8(bytes).map_or(Cell::NotText, Cell::Text),
        Err(_) => Cell::NotText,
    };
    each(&(0..width).map(cell).collect::<Vec<_>>());
}

/// Verifies that the tables have what is needed.
pub fn check(path: &Path, kind: &'static Kind, table: &str, wait: Duration) -> Result<(), Fault> {
    runtime(path)?.block_on(async {
        let mut database = open(path, wait).await?;
        statement(&mut database, path, kind, table).await?;
        database.close().await.map_err(|error| fault(path, &error))
    })
}

async fn statement(database: &mut SqliteConnection, path: &Path, kind: &'static Kind, table: &str) -> Result<Filled, Fault> {
    let place = path.display().to_string();
    let template = template(kind, Engine::Sqlite).ok_or_else(|| {
        let what = format!("a ledger of kind {} is not read from SQLite", kind.name);
        Fault::new(ExitCode::Config, place.clone(), what, "name its PostgreSQL database, or its exports as `files`")
    })?;
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden <> 1")
        .bind(table)
        .fetch_all(&mut *database)
        .await
        .map_err(|error| fault(path, &error))?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name")
        .fetch_all(&mut *database)
        .await
        .map_err(|error| fault(path, &error))?;
    if names.is_empty() {
        let what = format!("no table or view {table:?}; found: {}", listed(&tables));
        return Err(Fault::new(ExitCode::Data, place, what, "correct `table` of the ledger in the job file"));
    }
    Wanted(Some(kind)).are_there(&format!("{place}: {table}"), &names)?;
    let wanted = names.iter().filter(|name| kind.fields.iter().any(|field| field.name == name.as_str()));
    let has: Vec<(String, String)> =
        wanted.map(|name| (name.clone(), format!("CAST(s.\"{}\" AS TEXT)", name.replace('"', "\"\"")))).collect();
    let there: Vec<&str> = helpers(template).into_iter().filter(|name| tables.iter().any(|table| table == name)).collect();
    Ok(fill(kind, template, table, &has, &there))
}
