//! Ledgers of other systems in a SQLite file, opened as a native one is: read-only, in one snapshot.

use super::ledger::listed;
use super::ledger_sql::{Engine, Filled, fill, helpers, template};
use super::ledger_sqlite::{column_names, fault, open, tables};
use super::ledger_wanted::Wanted;
use crate::domain::fault::{ExitCode, Fault};
use crate::ledgers::Kind;
use std::path::Path;
use std::time::Duration;

/// The statement that reads the rows of a kind, once its tables have been seen to have what is needed.
pub fn statement(path: &Path, kind: &'static Kind, table: &str, wait: Duration) -> Result<Filled, Fault> {
    let place = path.display().to_string();
    let template = template(kind, Engine::Sqlite).ok_or_else(|| {
        let what = format!("a ledger of kind {} is not read from SQLite", kind.name);
        Fault::new(ExitCode::Config, place.clone(), what, "name its PostgreSQL database, or its exports as `files`")
    })?;
    let failed = |error: rusqlite::Error| fault(path, &error);
    let database = open(path, wait)?;
    let names = column_names(&database, table).map_err(failed)?;
    let tables = tables(&database).map_err(failed)?;
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
