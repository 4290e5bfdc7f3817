//! The console's log export: one row a generation. Its columns vary between exports, so it is read by
//! name only.

use super::entry::{self, Figures, Span, Tokens};
use super::{BadPage, fields};
use crate::domain::money::Currency;
use crate::domain::usage::{Charge, Line, Precision};

/// Reads the export.
///
/// # Errors
/// Copies without ids or times, whose rows cannot be dated or told from duplicates, and copies that are
/// cut short.
pub fn read(table: &mut fields::Table<'_>, bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    for (column, use_of_it) in [("generation_id", "told from a duplicate"), ("created_at", "dated")] {
        if !table.has(column) {
            return Err(BadPage::new(
                format!("header: expected the column {column}, found none; its rows cannot be {use_of_it}"),
                "export the logs again with all columns",
            ));
        }
    }
    let mut span = Span::default();
    let mut last_fault = None;
    table.for_each(|row, fault| {
        last_fault.clone_from(&fault);
        if let Some(fault) = fault {
            // Shifted columns: neither day nor amount can be believed.
            return entry::set_aside(row.number, fault, None, None, out);
        }
        let when = row.text("created_at");
        span.add_text(when);
        if let Err(reason) = read_one(&row, out) {
            let amount = row.quantity("cost_total").ok().flatten();
            entry::set_aside(row.number, reason, when, amount, out);
        }
    })?;
    entry::refuse_cut(last_fault, bytes)?;
    if let Some(days) = span.days() {
        out(Line::Covers(days));
    }
    Ok(())
}

fn read_one(row: &fields::Row<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), String> {
    let id = row.text("generation_id").ok_or("generation_id: expected a generation's id, found nothing")?;
    let created = entry::instant("created_at", row.text("created_at"))?;
    let count = |column: &str| entry::count(column, row.quantity(column)?);
    let figures = Figures {
        // `cost_cache` and `cost_web_search` are parts of it and never added.
        usage: entry::money("cost_total", row.number("cost_total")?)?,
        estimate: entry::optional_money("byok_usage_inference", row.number("byok_usage_inference")?)?,
        requests: Some(1),
        tokens: Tokens::split(count("tokens_prompt")?, ("tokens_cached", count("tokens_cached")?), count("tokens_completion")?)?,
        precision: Precision::Cut(6),
    };
    let model = row.text("model_permaslug").map(|model| entry::with_variant(model, row.text("variant")));
    let mut charge = Charge::new(row.number, created, created, Currency::USD);
    charge.api_key_id = row.text("api_key_name");
    charge.label = row.text("user");
    charge.model = model.as_deref();
    charge.sku = row.text("provider_name");
    charge.request_id = Some(id);
    entry::hand_on(&charge, &figures, out);
    Ok(())
}
