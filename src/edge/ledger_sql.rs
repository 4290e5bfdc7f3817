//! The statements of `sql/` for ledgers of other systems, with the names filled in that a database has.

use super::ledger_query::{Query, quoted};
use crate::ledgers::Kind;

/// Which engine a statement is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Postgres,
    Sqlite,
}

/// The statement of a kind, where there is one.
pub fn template(kind: &Kind, engine: Engine) -> Option<&'static str> {
    Some(match (kind.name, engine) {
        ("bifrost", Engine::Postgres) => include_str!("../../sql/bifrost.postgres.sql"),
        ("bifrost", Engine::Sqlite) => include_str!("../../sql/bifrost.sqlite.sql"),
        ("litellm", Engine::Postgres) => include_str!("../../sql/litellm.postgres.sql"),
        ("newapi", Engine::Postgres) => include_str!("../../sql/newapi.postgres.sql"),
        ("newapi", Engine::Sqlite) => include_str!("../../sql/newapi.sqlite.sql"),
        _ => return None,
    })
}

/// Other tables that the statement names: `{=name}`.
pub fn helpers(template: &str) -> Vec<&str> {
    let mut names: Vec<&str> =
        template.split("{=").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| *name != "name");
    names
}

/// Columns of other tables that statements name: what stands for a table that is not there has all of them.
const HELPER_COLUMNS: [&str; 8] = ["token", "team_id", "active_token_id", "deleted_at", "id", "type", "key", "value"];
/// Names that a statement gives to fields: theirs can hold capitals and reserved words.
const NAMES: [&str; 32] = [
    "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "f8", "f9", "f10", "f11", "f12", "f13", "f14", "f15", "f16", "f17", "f18",
    "f19", "f20", "f21", "f22", "f23", "f24", "f25", "f26", "f27", "f28", "f29", "f30", "f31",
];
/// What readers of databases call the time that they order by.
const TIME: &str = "started_at";

/// The statement, and the field of each of its columns.
pub struct Filled {
    pub query: Query,
    pub fields: Vec<usize>,
}

/// Fills in a statement. `has` are expressions for columns of the table as text, by the name of the field;
/// `there` are the other tables that exist. A schema before the dot of `table` goes for all of them.
pub fn fill(kind: &Kind, template: &str, table: &str, has: &[(String, String)], there: &[&str]) -> Filled {
    let time = kind.time;
    let alias = |index: usize, name: &str| if name == time { TIME } else { NAMES.get(index).copied().unwrap_or(TIME) };
    let mut columns = Vec::new();
    let mut names = Vec::new();
    let mut fields = Vec::new();
    for (index, field) in kind.fields.iter().enumerate() {
        if let Some((_, expression)) = has.iter().find(|(name, _)| name == field.name) {
            let alias = alias(index, field.name);
            columns.push(format!("{expression} AS {alias}"));
            names.push(alias);
            fields.push(index);
        }
    }
    let lines: Vec<&str> = template.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
    let mut sql = lines.join("\n").replace("{columns}", &columns.join(", ")).replace("{table}", &quoted(table));
    // What the statement adds, in the order in which it does.
    let mut added: Vec<(usize, usize, &'static str)> = Vec::new();
    for (index, field) in kind.fields.iter().enumerate() {
        let mark = format!("{{{}}}", field.name);
        if let Some(at) = sql.find(&mark) {
            added.push((at, index, alias(index, field.name)));
        }
    }
    added.sort_unstable();
    for (_, index, alias) in added {
        if let Some(field) = kind.fields.get(index) {
            sql = sql.replace(&format!("{{{}}}", field.name), alias);
        }
        names.push(alias);
        fields.push(index);
    }
    let schema = table.rsplit_once('.').map(|(schema, _)| format!("{schema}.")).unwrap_or_default();
    for name in helpers(template) {
        let is_there = there.contains(&name);
        let nothing: Vec<String> = HELPER_COLUMNS.iter().map(|column| format!("NULL AS {column}")).collect();
        let stands = match is_there {
            true => quoted(&format!("{schema}{name}")),
            false => format!("(SELECT {} WHERE 1 = 0)", nothing.join(", ")),
        };
        sql = sql.replace(&format!("{{={name}}}"), &stands);
        sql = sql.replace(&format!("{{?{name}}}"), if is_there { "(1 = 1)" } else { "(1 = 0)" });
    }
    Filled { query: Query { sql, ids: None, undated: None, columns: names, by_day: true }, fields }
}
