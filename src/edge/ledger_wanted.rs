//! Which columns a reader of ledger files looks for, and rows as it hands them on: texts, whatever the kind
//! of ledger and the form of the file.

use super::ledger::{listed, missing_columns};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::ledger_columns::{COLUMNS, Column, REQUIRED};
use crate::ledgers::Kind;
use std::borrow::Cow;

/// The columns of one kind of ledger.
#[derive(Clone, Copy, Debug)]
pub struct Wanted(pub Option<&'static Kind>);

/// Takes a row: its texts by column, or why it has none that one could trust.
pub type EachRow<'f> = dyn FnMut(Result<&[Option<Cow<'_, str>>], String>) + 'f;

impl Wanted {
    pub fn len(self) -> usize {
        self.0.map_or(COLUMNS.len(), |kind| kind.fields.len())
    }

    /// The index of a column by its name, or by another name that exports of the system have for it.
    pub fn index(self, name: &str) -> Option<usize> {
        match self.0 {
            None => COLUMNS.iter().position(|(column, _)| *column == name),
            Some(kind) => {
                let exact = kind.fields.iter().position(|field| field.name == name);
                exact.or_else(|| kind.fields.iter().position(|field| field.others.contains(&name)))
            }
        }
    }

    /// # Errors
    /// 65 without a column that the kind needs.
    pub fn are_there(self, place: &str, names: &[String]) -> Result<(), Fault> {
        match self.0 {
            None => self.have(place, &REQUIRED.map(Column::name), names),
            Some(kind) => self.have(place, kind.required, names),
        }
    }

    /// The same of a JSON row, which may leave out what is null: ids and times never are.
    ///
    /// # Errors
    /// 65 without one of them.
    pub fn never_null_are_there(self, place: &str, names: &[String]) -> Result<(), Fault> {
        match self.0 {
            None => self.have(place, &REQUIRED.map(Column::name), names),
            Some(kind) => self.have(place, kind.required.get(..2).unwrap_or(kind.required), names),
        }
    }

    fn have(self, place: &str, required: &[&str], names: &[String]) -> Result<(), Fault> {
        let has = |index: Option<usize>| index.is_some() && names.iter().any(|name| self.index(name) == index);
        let missing: Vec<&str> = required.iter().copied().filter(|name| !has(self.index(name))).collect();
        match (missing.is_empty(), self.0) {
            (true, _) => Ok(()),
            (false, None) => Err(missing_columns(place.to_string(), &missing, names)),
            (false, Some(kind)) => {
                let what =
                    format!("not a ledger of kind {}: missing {}; found: {}", kind.name, missing.join(", "), listed(names));
                let hint = format!("export the rows with {}, or correct `kind`", kind.required.join(", "));
                Err(Fault::new(ExitCode::Data, place, what, hint))
            }
        }
    }

    /// A value of several lines is no sign of a quote left open.
    pub fn may_span_lines(self, index: usize) -> bool {
        self.0.is_some() || index == Column::ExtraMeters as usize
    }

    /// No row is longer; rows of other systems carry prompts beside what we read.
    pub fn row_bytes_max(self) -> usize {
        if self.0.is_some() { 1 << 24 } else { 1 << 20 }
    }

    /// Members of a JSON document that hold the rows.
    pub fn lists(self) -> &'static [&'static str] {
        self.0.map_or(&["data"], |kind| kind.lists)
    }
}
