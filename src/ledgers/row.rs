//! A row as a foreign ledger has it, and the same row in the columns of every ledger.

use super::routes::Upstream;
use super::values::shown;
use crate::domain::ledger_columns::{COLUMNS, Column};
use crate::domain::ledger_findings::{Finding, Note};
use crate::domain::money::Amount;
use std::borrow::Cow;

/// The texts of a row, one for each field of its kind. Objects and lists are JSON.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a>(pub &'a [Option<Cow<'a, str>>]);

impl Raw<'_> {
    /// A field's text without the blanks around it; an empty one is no value.
    pub fn text(&self, field: usize) -> Option<&str> {
        self.0.get(field)?.as_deref().map(str::trim).filter(|text| !text.is_empty())
    }
}

/// A row in the columns of every ledger, with its notes.
#[derive(Clone, Debug)]
pub struct Row {
    cells: [Option<String>; COLUMNS.len()],
    pub notes: Vec<Note>,
}

impl Default for Row {
    fn default() -> Self {
        Row { cells: [const { None }; COLUMNS.len()], notes: Vec::new() }
    }
}

impl Row {
    pub(super) fn clear(&mut self) {
        self.cells.fill(None);
        self.notes.clear();
    }

    /// The texts in the order of [`COLUMNS`].
    pub fn cells(&self) -> impl Iterator<Item = Option<&str>> {
        self.cells.iter().map(Option::as_deref)
    }

    pub(super) fn get(&self, column: Column) -> Option<&str> {
        self.cells.get(column as usize)?.as_deref()
    }

    pub(super) fn set(&mut self, column: Column, text: impl Into<String>) {
        self.set_if(column, Some(text));
    }

    pub(super) fn set_if(&mut self, column: Column, text: Option<impl Into<String>>) {
        if let Some(cell) = self.cells.get_mut(column as usize) {
            *cell = text.map(Into::into);
        }
    }

    /// A quantity or money; zero quantities are no quantities.
    pub(super) fn amount(&mut self, column: Column, amount: Option<Amount>) {
        self.set_if(column, amount.map(|amount| amount.to_string()));
    }

    /// Who served the call, as the job's routes and the ledger's own words say.
    pub(super) fn upstream(&mut self, upstream: Upstream<'_>) {
        self.set_if(Column::Provider, upstream.provider);
        self.set_if(Column::Account, upstream.account);
        self.set_if(Column::ApiKeyId, upstream.api_key_id);
        self.set_if(Column::Funding, upstream.funding);
    }

    pub(super) fn note(&mut self, finding: Finding) {
        self.note_of(finding, Amount::ZERO);
    }

    pub(super) fn note_of(&mut self, finding: Finding, amount: Amount) {
        self.notes.push(Note { finding, amount });
    }

    /// What the row expects to be charged, 0 if nothing.
    pub(super) fn cost(&self) -> Amount {
        self.get(Column::ExpectedCost).and_then(|text| Amount::parse(text).ok()).unwrap_or_default()
    }

    /// The cost of an answered call, rounded to 12 decimals with a note where that took something away.
    ///
    /// # Errors
    /// A text that is no number.
    pub(super) fn money(&mut self, field: &str, text: Option<&str>) -> Result<Option<Amount>, String> {
        let Some(text) = text else { return Ok(None) };
        let read = Amount::read(text).map_err(|error| format!("{field}: {error}"))?;
        let rounded = read.amount.rounded(12);
        let noise = read.amount.checked_sub(rounded).unwrap_or_default();
        if !noise.is_zero() || read.residue != 0 {
            self.note_of(Finding::FloatNoise, noise);
        }
        Ok(Some(rounded))
    }

    /// The note of a row that a later version replaces.
    pub(super) fn superseded(&self) -> Note {
        Note { finding: Finding::Superseded, amount: self.cost() }
    }

    /// The provider, or why nobody knows it.
    ///
    /// # Errors
    /// No route names it.
    pub(super) fn needs_provider(&self, field: &str, found: Option<&str>) -> Result<(), String> {
        if self.get(Column::Provider).is_some() {
            return Ok(());
        }
        Err(format!("{field}: no [[ledger.route]] says which provider {} is", found.map_or("nothing".to_string(), shown)))
    }
}
