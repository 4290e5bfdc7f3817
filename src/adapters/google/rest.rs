//! Answers of BigQuery's REST API: rows are lists of cells beside a schema, and every scalar is text
//! (Google sheet section 1.2). They are turned into the row objects that an export has.

use super::super::BadPage;
use super::super::fields::{self, found};
use serde_json::{Map, Value};

/// Without these a row's net money cannot be told; `credits` among them, because cost stands before them.
const NEEDED: [&str; 7] = ["usage_start_time", "usage_end_time", "service", "sku", "cost", "credits", "currency"];

/// Whether it is such an answer, also one that is an error.
pub(super) fn is_answer(value: &Value) -> bool {
    let kind = fields::text(value, "kind").is_some_and(|kind| kind.starts_with("bigquery#"));
    kind || ["schema", "jobComplete", "jobReference", "error"].iter().any(|key| value.get(key).is_some())
}

/// Whether its schema is that of the billing export.
pub(super) fn is_export(value: &Value) -> bool {
    columns(value).is_some_and(|columns| has(columns, "usage_start_time") && has(columns, "cost"))
}

fn columns(answer: &Value) -> Option<&Vec<Value>> {
    answer.get("schema")?.get("fields")?.as_array()
}

fn has(columns: &[Value], name: &str) -> bool {
    columns.iter().any(|column| fields::text(column, "name") == Some(name))
}

/// Calls `each` with every row as an object, or with what is wrong with it.
///
/// # Errors
/// An error instead of rows, a query that has not ended, rows without a schema, a column that is needed
/// and not there.
pub(super) fn for_each_row(answer: &Value, each: &mut dyn FnMut(Result<Value, String>)) -> Result<(), BadPage> {
    if let Some(error) = answer.get("error") {
        let message: String = fields::text(error, "message").unwrap_or("no message").chars().take(200).collect();
        let hint = "ask again once its cause is removed: the reader needs bigquery.dataViewer on the dataset";
        return Err(BadPage::new(format!("the answer is an error: {message}"), hint));
    }
    if answer.get("jobComplete").is_some_and(|done| *done != Value::Bool(true)) {
        let what = format!("jobComplete: expected true, found {}", found(answer.get("jobComplete")));
        return Err(BadPage::new(what, "the query had not ended: ask for its results again and save those"));
    }
    let Some(columns) = columns(answer) else {
        let what = format!("schema.fields: expected a list, found {}", found(answer.get("schema")));
        return Err(BadPage::new(what, "save the answer of jobs.query or getQueryResults, which have a schema"));
    };
    if let Some(missing) = NEEDED.iter().chain(["cost_type"].iter()).find(|name| !has(columns, name)) {
        let what = format!("schema: expected the column {missing}, found none of that name");
        return Err(BadPage::new(what, "query the rows of the billing export as they are, with all these columns"));
    }
    // An answer without rows has no list of them.
    if answer.get("rows").is_none_or(Value::is_null) {
        return Ok(());
    }
    for row in fields::array(answer, "rows")? {
        each(record(columns, row));
    }
    Ok(())
}

/// `{"f":[{"v":…},…]}` as an object.
fn record(columns: &[Value], row: &Value) -> Result<Value, String> {
    let cells = row.get("f").and_then(Value::as_array);
    let cells = cells.ok_or_else(|| format!("f: expected a list of cells, found {}", found(row.get("f"))))?;
    if cells.len() != columns.len() {
        return Err(format!("f: expected {} cells, found {}", columns.len(), cells.len()));
    }
    let mut object = Map::new();
    for (column, cell) in columns.iter().zip(cells) {
        let name = fields::text(column, "name").unwrap_or_default();
        let value = cell.get("v").ok_or_else(|| format!("{name}: expected a cell, found {}", found(Some(cell))))?;
        object.insert(name.to_string(), cell_value(column, name, value)?);
    }
    Ok(Value::Object(object))
}

fn cell_value(column: &Value, name: &str, value: &Value) -> Result<Value, String> {
    if fields::text(column, "mode") == Some("REPEATED") && !value.is_null() {
        let parts = value.as_array().ok_or_else(|| format!("{name}: expected a list, found {}", found(Some(value))))?;
        let parts = parts.iter().map(|part| scalar_or_record(column, name, part.get("v").unwrap_or(&Value::Null)));
        return parts.collect::<Result<Vec<_>, _>>().map(Value::Array);
    }
    scalar_or_record(column, name, value)
}

fn scalar_or_record(column: &Value, name: &str, value: &Value) -> Result<Value, String> {
    match column.get("fields").and_then(Value::as_array) {
        Some(columns) if !value.is_null() => record(columns, value).map_err(|fault| format!("{name}.{fault}")),
        _ => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn columns() -> Vec<Value> {
        let inner = json!([{ "name": "type", "type": "STRING" }, { "name": "amount", "type": "FLOAT" }]);
        let columns = json!([
            { "name": "cost", "type": "FLOAT" },
            { "name": "project", "type": "RECORD", "mode": "NULLABLE", "fields": [{ "name": "id", "type": "STRING" }] },
            { "name": "credits", "type": "RECORD", "mode": "REPEATED", "fields": inner },
        ]);
        columns.as_array().unwrap().clone()
    }

    #[test]
    fn cells_become_objects() {
        let credit = json!({ "v": { "f": [{ "v": "PROMOTION" }, { "v": "-1.0" }] } });
        let row = json!({ "f": [{ "v": "3.125" }, { "v": { "f": [{ "v": "acme" }] } }, { "v": [credit] }] });
        let expected =
            json!({ "cost": "3.125", "project": { "id": "acme" }, "credits": [{ "type": "PROMOTION", "amount": "-1.0" }] });
        assert_eq!(record(&columns(), &row), Ok(expected));
        let empty = json!({ "f": [{ "v": null }, { "v": null }, { "v": [] }] });
        assert_eq!(record(&columns(), &empty), Ok(json!({ "cost": null, "project": null, "credits": [] })));
    }

    #[test]
    fn cells_of_another_shape_are_a_fault_of_the_row() {
        for (row, reason) in [
            (json!({ "f": [{ "v": "1" }] }), "f: expected 3 cells, found 1"),
            (json!({}), "f: expected a list of cells, found nothing"),
            (json!({ "f": [1, { "v": null }, { "v": [] }] }), "cost: expected a cell, found 1"),
            (json!({ "f": [{ "v": "1" }, { "v": "x" }, { "v": [] }] }), "project.f: expected a list of cells, found nothing"),
            (json!({ "f": [{ "v": "1" }, { "v": null }, { "v": "x" }] }), "credits: expected a list, found \"x\""),
        ] {
            assert_eq!(record(&columns(), &row), Err(reason.to_string()));
        }
    }
}
