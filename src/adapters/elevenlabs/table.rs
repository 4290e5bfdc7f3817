//! The tabular form of analytics answers: columns with their units, and rows as lists or as objects. The
//! order and presence of columns vary (the provider's sheet, section 4, "Column drift"), so nothing here
//! depends on a position.

use crate::adapters::{BadPage, fields};
use serde_json::Value;

pub(super) struct Column<'v> {
    pub name: &'v str,
    pub unit: Option<&'v str>,
    /// Its type is `DateTime`.
    pub is_time: bool,
}

pub(super) struct Table<'v> {
    pub columns: Vec<Column<'v>>,
    pub rows: &'v [Value],
}

impl<'v> Table<'v> {
    /// The table of an answer, as it came or wrapped in `data`; `None` when it has none.
    ///
    /// # Errors
    /// Columns without units, or names that stand twice.
    pub fn of(value: &'v Value) -> Result<Option<Table<'v>>, BadPage> {
        let is_table = |value: &Value| ["columns", "rows"].iter().all(|key| value.get(key).is_some_and(Value::is_array));
        let Some(body) = [Some(value), value.get("data")].into_iter().flatten().find(|value| is_table(value)) else {
            return Ok(None);
        };
        let (names, units) = (fields::array(body, "columns")?, fields::array(body, "column_units")?);
        if names.len() != units.len() {
            return Err(BadPage::new(
                format!("column_units: expected {} as there are columns, found {}", names.len(), units.len()),
                "save the answer again: a figure without its unit cannot be read",
            ));
        }
        let types = body.get("column_types").and_then(Value::as_array);
        let mut columns: Vec<Column<'v>> = Vec::with_capacity(names.len());
        for (at, (name, unit)) in names.iter().zip(units).enumerate() {
            let text = name.as_str().ok_or_else(|| {
                BadPage::new(format!("columns[{at}]: expected a text, found {}", fields::found(Some(name))), super::HINT)
            })?;
            if columns.iter().any(|column| column.name == text) {
                return Err(BadPage::new(
                    format!("columns: {text} stands twice"),
                    "save the answer again, with each column once",
                ));
            }
            let is_time = types.and_then(|types| types.get(at)?.as_str()) == Some("DateTime");
            columns.push(Column { name: text, unit: unit.as_str().map(str::trim), is_time });
        }
        Ok(Some(Table { columns, rows: fields::array(body, "rows")? }))
    }

    /// Where the column stands.
    pub fn at(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// Name and unit of a column that is there.
    pub fn column(&self, at: usize) -> (&'v str, Option<&'v str>) {
        self.columns.get(at).map_or(("", None), |column| (column.name, column.unit))
    }

    /// The name of a column and what a row has there.
    pub fn cell(&self, row: &'v Value, at: Option<usize>) -> (&'v str, Option<&'v Value>) {
        let Some(at) = at else { return ("", None) };
        let (name, _) = self.column(at);
        let cell = match row {
            Value::Array(cells) => cells.get(at),
            row => row.get(name),
        };
        (name, cell)
    }

    /// A list must have as many cells as there are columns: shifted ones would misread money.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn fits(&self, row: &Value) -> Result<(), String> {
        match row {
            Value::Array(cells) if cells.len() == self.columns.len() => Ok(()),
            Value::Array(cells) => Err(format!("row: expected {} cells, found {}", self.columns.len(), cells.len())),
            Value::Object(_) => Ok(()),
            other => Err(format!("row: expected a list of cells, found {}", fields::found(Some(other)))),
        }
    }
}
