//! Ledgers of other systems in PostgreSQL: the tables that they have, and the statement that reads them.

use super::columns::{self, Found};
use super::connect::{begin, connect, end, place};
use super::faults::fault;
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::ledger::listed;
use crate::edge::ledger_sql::{Engine, Filled, fill, helpers, template};
use crate::edge::ledger_wanted::Wanted;
use crate::job::Postgres;
use crate::ledgers::Kind;
use sqlx::Connection;

/// The statement that reads a ledger of this kind, once its tables have been seen.
///
/// # Errors
/// As [`super::native`].
pub fn foreign(server: &Postgres, kind: &'static Kind, table: &str) -> Result<Filled, Fault> {
    let template = template(kind, Engine::Postgres).ok_or_else(|| {
        let what = format!("a ledger of kind {} is read from files", kind.name);
        Fault::new(ExitCode::Config, place(server), what, "export its rows and name them as `files`")
    })?;
    let schema = table.rsplit_once('.').map(|(schema, _)| format!("{schema}.")).unwrap_or_default();
    let names = helpers(template);
    let (found, tables, beside) = super::runtime(server)?.block_on(async {
        let mut database = connect(server).await?;
        let seen = async {
            begin(&mut database, server).await?;
            let found = columns::find(server, &mut database, table).await?;
            let tables = if found.is_empty() { columns::tables(server, &mut database).await? } else { Vec::new() };
            let mut beside = Vec::new();
            for name in &names {
                beside.push(columns::find(server, &mut database, &format!("{schema}{name}")).await?);
            }
            end(&mut database, server).await?;
            Ok((found, tables, beside))
        };
        let seen = seen.await.map_err(|error| fault(&place(server), &error))?;
        let _ = database.close().await;
        Ok::<_, Fault>(seen)
    })?;
    let shown = place(server);
    if found.is_empty() {
        let what = format!("no table or view {table:?}; found: {}", listed(&tables));
        return Err(Fault::new(ExitCode::Data, shown, what, "correct `table` of the ledger in the job file"));
    }
    let names_found: Vec<String> = found.iter().map(|column| column.name.clone()).collect();
    Wanted(Some(kind)).are_there(&format!("{shown}: {table}"), &names_found)?;
    let mut has = Vec::new();
    for column in found.iter().filter(|column| kind.fields.iter().any(|field| field.name == column.name)) {
        readable(&shown, table, column)?;
        has.push((column.name.clone(), expression(column)));
    }
    let mut there = Vec::new();
    for (name, columns) in names.iter().zip(&beside).filter(|(_, columns)| !columns.is_empty()) {
        let named = columns.iter().filter(|column| NEEDED.contains(&column.name.as_str()));
        named.into_iter().try_for_each(|column| readable(&shown, name, column))?;
        there.push(*name);
    }
    Ok(fill(kind, template, table, &has, &there))
}

/// Columns of other tables that statements read.
const NEEDED: [&str; 8] = ["token", "team_id", "active_token_id", "deleted_at", "id", "type", "key", "value"];

fn readable(place: &str, table: &str, column: &Found) -> Result<(), Fault> {
    if column.readable {
        return Ok(());
    }
    let what = format!("{table}: column {}: the role may not read it", column.name);
    let hint = "grant SELECT on it, see docs/ledgers.md; the teams of keys stand in tables beside the log";
    Err(Fault::new(ExitCode::NoPerm, place, what, hint))
}

/// A column as text that loses nothing.
fn expression(column: &Found) -> String {
    let name = format!("s.\"{}\"", column.name.replace('"', "\"\""));
    match column.kind.as_str() {
        "timestamptz" => format!("({name} AT TIME ZONE 'UTC')::text"),
        _ => format!("{name}::text"),
    }
}
