//! What a native ledger's table or view in PostgreSQL has: columns, types and privileges, before any row is read.

use super::connect::bounded;
use crate::domain::fault::{ExitCode, Fault};
use crate::edge::ledger::{listed, missing_columns};
use crate::edge::ledger_cells::{COLUMNS, Column, Holds, missing};
use crate::edge::ledger_query::{Query, quoted, statement};
use crate::job::Postgres;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

const QUERY: &str = include_str!("../../../sql/native.postgres.sql");
const CATALOG: &str = include_str!("../../../sql/columns.postgres.sql");
const TABLES: &str = include_str!("../../../sql/tables.postgres.sql");
/// Rows of these have no day; every other row of a column of times has one.
const UNDATED: &str = "started_at IS NULL OR started_at IN ('infinity', '-infinity')";
const DATED: &str = "started_at >= {from} AND started_at < {to}";
/// Times as text: a day wider on both sides, because an offset can move an instant by most of a day; and
/// whatever does not begin like a day, which the reader sets aside or makes out.
const TEXTS: &str = "(started_at COLLATE \"C\" >= {before} AND started_at COLLATE \"C\" < {after}) \
                     OR started_at IS NULL OR started_at !~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}'";

/// A column as the catalog has it.
pub struct Found {
    pub name: String,
    /// As SQL writes the type.
    shown: String,
    /// Base type and its category, of a domain those below it.
    pub kind: String,
    category: String,
    not_null: bool,
    pub readable: bool,
}

/// The columns of the table; errors of the driver apart from what the catalog says.
pub async fn find(server: &Postgres, database: &mut PgConnection, table: &str) -> Result<Vec<Found>, sqlx::Error> {
    let statement = CATALOG.replace("{table}", &literal(table));
    let rows = bounded(server, sqlx::raw_sql(AssertSqlSafe(statement)).fetch_all(database)).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        found.push(Found {
            name: row.try_get_unchecked(0)?,
            shown: row.try_get_unchecked(1)?,
            kind: row.try_get_unchecked(2)?,
            category: row.try_get_unchecked(3)?,
            not_null: row.try_get_unchecked::<String, _>(4)? == "true",
            readable: row.try_get_unchecked::<String, _>(5)? == "true",
        });
    }
    Ok(found)
}

/// Tables and views that there are, for the message that ours is not among them.
pub async fn tables(server: &Postgres, database: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let rows = bounded(server, sqlx::raw_sql(TABLES).fetch_all(database)).await?;
    rows.iter().map(|row| row.try_get_unchecked(0)).collect()
}

fn literal(table: &str) -> String {
    format!("'{}'", quoted(table).replace('\'', "''"))
}

/// The statement that reads the table.
///
/// # Errors
/// 65 without the table or a required column, and for a column of a type that cannot be read exactly; 77 for
/// columns that the role may not read.
pub fn native(place: &str, table: &str, found: &[Found], tables: &[String]) -> Result<Query, Fault> {
    if found.is_empty() {
        let what = format!("no table or view {table:?}; found: {}", listed(tables));
        let hint = "correct `table` of the ledger in the job file, or create a view of that name over what is there";
        return Err(Fault::new(ExitCode::Data, place, what, hint));
    }
    let place = format!("{place}: {table}");
    let missing = missing(|name| found.iter().any(|column| column.name == name));
    if !missing.is_empty() {
        let names: Vec<String> = found.iter().map(|column| column.name.clone()).collect();
        return Err(missing_columns(place, &missing, &names));
    }
    let mut columns = Vec::new();
    let mut expressions = Vec::new();
    for (name, holds) in COLUMNS {
        let Some(column) = found.iter().find(|column| column.name == name) else { continue };
        if !column.readable {
            let what = format!("column {name}: the role may not read it");
            let hint = "grant SELECT on the whole ledger, or give the role a view without what it may not see";
            return Err(Fault::new(ExitCode::NoPerm, place, what, hint));
        }
        expressions.push(expression(&place, column, holds)?);
        columns.push(name);
    }
    let started = found.iter().find(|column| column.name == Column::StartedAt.name());
    let dated = started.is_some_and(|column| column.category == "D");
    let text = started.is_some_and(|column| column.category == "S");
    let span = match (dated, text) {
        (true, _) => DATED,
        (_, true) => TEXTS,
        // A Unix time may be seconds or milliseconds: the reader tells.
        _ => "true",
    };
    let of = |span: &str| {
        statement(QUERY).replace("{columns}", &expressions.join(", ")).replace("{table}", &quoted(table)).replace("{span}", span)
    };
    let may_be_undated = dated && !started.is_some_and(|column| column.not_null && column.kind == "date");
    Ok(Query { sql: of(span), ids: None, undated: may_be_undated.then(|| of(UNDATED)), columns, by_day: dated })
}

/// How a column is read, as text that loses nothing.
fn expression(place: &str, column: &Found, holds: Holds) -> Result<String, Fault> {
    let name = quoted(&column.name);
    let (kind, category) = (column.kind.as_str(), column.category.as_str());
    let text = category == "S";
    let whole = matches!(kind, "int2" | "int4" | "int8");
    let (fits, wanted) = match holds {
        Holds::Text => (whole || category == "E" || matches!(kind, "uuid" | "json" | "jsonb"), "text"),
        Holds::Number => (whole || kind == "numeric", "numeric, an integer, or text"),
        Holds::Instant => {
            (whole || matches!(kind, "timestamptz" | "timestamp" | "date"), "a timestamp, a date, a Unix time or text")
        }
        Holds::Flag => (whole || kind == "bool", "boolean, 0 and 1, or text"),
    };
    if fits || text {
        return Ok(match kind {
            // COPY writes t and f, the type's own text is longer and clearer.
            "bool" => format!("{name}::text AS {name}"),
            // Without its zone, which is UTC for the session: the reader knows that form.
            "timestamptz" => format!("({name} AT TIME ZONE 'UTC') AS {name}"),
            _ => name,
        });
    }
    let place = place.to_string();
    let float = matches!(kind, "float4" | "float8");
    let (what, hint) = if float && holds == Holds::Number {
        (
            format!("column {}: a binary float cannot hold money or a quantity exactly", column.name),
            "store numeric or text, or cast it in a view: `expected_cost::numeric`".to_string(),
        )
    } else {
        let what = format!("column {}: expected {wanted}, found {}", column.name, column.shown);
        (what, "cast the column in a view, and name the view as `table`".to_string())
    };
    Err(Fault::new(ExitCode::Data, place, what, hint))
}
