//! `prices import`: a public price map as a price book.

use crate::cli::{Import, PriceMap};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::parse_day;
use crate::job::price_import::{self, Format, Imported, Terms};
use chrono::NaiveDate;
use std::fs;

/// Reads the map that is named and writes the provider's prices as a price book.
///
/// # Errors
/// A day that is none (2); a file that cannot be read, is not the map or has no price of the provider (65).
pub fn import(typed: &Import, today: NaiveDate) -> Result<Imported, Fault> {
    let checked = day("--checked", &typed.checked, today)?;
    let from = day("--from", &typed.from, checked)?;
    let shown = typed.file.display().to_string();
    let text = fs::read_to_string(&typed.file).map_err(|error| {
        let what = format!("the price map cannot be read: {error}");
        Fault::new(ExitCode::Data, &shown, what, "name the map's JSON file")
    })?;
    let format = match typed.map {
        PriceMap::Litellm => Format::Litellm,
        PriceMap::GenaiPrices => Format::GenaiPrices,
    };
    price_import::import(format, &shown, &text, Terms { provider: &typed.provider, from, checked })
}

fn day(option: &str, text: &Option<String>, default: NaiveDate) -> Result<NaiveDate, Fault> {
    let Some(text) = text else { return Ok(default) };
    let bad = || Fault::new(ExitCode::Usage, "", format!("{option}: {text:?} is no day"), "write it like 2026-11-15");
    parse_day(text).ok_or_else(bad)
}
