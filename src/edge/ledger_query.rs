//! A statement that gives the rows of a ledger in a database, whatever system keeps it, and how its rows are
//! handed on: as cells in the order of the statement's columns.

use super::ledger_cells::Cell;
use crate::domain::period::Days;
use chrono::NaiveDate;

/// Takes one row: its cells in the order of [`Query::columns`].
pub type EachRow<'f> = dyn FnMut(&[Cell<'_>]) + 'f;

/// A statement of a file in `sql/`, with its names filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// One SELECT that gives [`Self::columns`] by their names. `{from}` and `{to}` stand for the instants at
    /// which the days asked for begin and end, `{before}` and `{after}` for a day more on both sides, where
    /// texts are compared.
    pub sql: String,
    /// SQLite: another SELECT, of the least and the greatest row id. Then the statement has two parameters, the first
    /// and the last row id of a piece, and is read piece by piece.
    pub ids: Option<String>,
    /// PostgreSQL: another SELECT of the same columns, for the rows that lie on no day. They are read last.
    pub undated: Option<String>,
    /// Names of the columns, in the order in which cells are handed on.
    pub columns: Vec<&'static str>,
    /// PostgreSQL: the statement can be asked day by day, without reading everything each time.
    pub by_day: bool,
}

impl Query {
    /// The statement for some days. Days are the only values that ever go into a statement.
    pub fn of_days(&self, days: Days) -> String {
        let instant = |day: NaiveDate| format!("'{day} 00:00:00+00'");
        let text = |day: NaiveDate| format!("'{day}'");
        self.sql
            .replace("{from}", &instant(days.from))
            .replace("{to}", &instant(days.to))
            .replace("{before}", &text(days.from.pred_opt().unwrap_or(days.from)))
            .replace("{after}", &text(days.to.succ_opt().unwrap_or(days.to)))
    }
}

/// A file of `sql/` without its comments, on one line.
pub fn statement(file: &str) -> String {
    file.lines().filter(|line| !line.starts_with("--")).map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Names in quotes as both engines write them, a schema before its dot.
pub fn quoted(name: &str) -> String {
    name.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join(".")
}
