//! OpenAI: pages of the organization costs and usage endpoints, and the console's cost and
//! completions-usage CSV exports. Money comes from costs only; usage counts what the money was for.

mod buckets;
mod completions;
mod costs;
mod line_item;
mod names;
mod requests;
mod usage;

use super::fields::{self, Table};
use super::request::{Account, Hours, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report};
use crate::domain::names::Named;
use crate::domain::period::Days;
use crate::domain::usage::Line;
use serde_json::Value;

/// See the module.
pub struct OpenAi;

const fn money(name: &'static str, rank: u8) -> Report {
    Report { name, measures: Measures::Money, rank }
}

const fn quantity(name: &'static str) -> Report {
    Report { name, measures: Measures::Quantity, rank: 0 }
}

/// The API's cost page is booked before the console's export of the same money, and both before rows
/// that nobody grouped: those repeat the grouped ones as one sum a day (contract 3.3). A console
/// export of completions is the same report as the API's page: the later pull of a day stands.
static REPORTS: [Report; 14] = [
    money("costs", 0),
    money("costs_csv", 1),
    money("costs_total", 2),
    quantity("usage_completions"),
    quantity("usage_embeddings"),
    quantity("usage_moderations"),
    quantity("usage_images"),
    quantity("usage_audio_speeches"),
    quantity("usage_audio_transcriptions"),
    quantity("usage_vector_stores"),
    quantity("usage_code_interpreter_sessions"),
    quantity("usage_web_searches"),
    quantity("usage_file_searches"),
    Report { name: names::REPORT, measures: Measures::Names, rank: 0 },
];

impl Adapter for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// OpenAI states no finality; pullers in production read three days back on each run, because
    /// rows of those days still change.
    fn settle_days(&self) -> u32 {
        3
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let name = if is_json(page.bytes) { json_report(page)? } else { csv_report(page)? };
        REPORTS.iter().find(|report| report.name == name)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if is_json(page.bytes) { parse_json(page.bytes, out) } else { parse_csv(page.bytes, out) }
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn hourly(&self, account: &Account<'_>, hours: Hours) -> Result<Vec<Request>, BadPage> {
        requests::hourly(account, hours)
    }

    fn names(&self, page: &Page<'_>) -> Result<Vec<Named>, BadPage> {
        names::read(&fields::json(page.bytes)?)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        if asked.report == names::REPORT {
            return names::next(asked, page.bytes);
        }
        Ok(fields::cursor(page.bytes, "has_more", "next_page")?.map(|cursor| asked.turned("page", cursor)))
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

fn is_json(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| matches!(byte, b'{' | b'['))
}

/// What the result rows of a page are.
enum Rows {
    Costs,
    Completions,
    Counted(&'static usage::Family),
    /// Nothing but empty buckets: every report then looks the same.
    None,
}

/// The first row decides; a row of another kind on the same page is set aside when it is read.
fn rows(value: &Value) -> Result<Rows, Option<&str>> {
    let Some(first) = buckets::results(value).next() else { return Ok(Rows::None) };
    match fields::text(first, "object") {
        Some(costs::OBJECT) => Ok(Rows::Costs),
        Some(completions::OBJECT) => Ok(Rows::Completions),
        object => usage::family_of(object.unwrap_or_default()).map(Rows::Counted).ok_or(object),
    }
}

fn json_report(page: &Page<'_>) -> Option<&'static str> {
    let value = fields::json(page.bytes).ok()?;
    if names::is_list(&value) {
        return Some(names::REPORT);
    }
    if fields::text(&value, "object") != Some("page") {
        return None;
    }
    match rows(&value).ok()? {
        Rows::Costs if page.group_by.is_empty() && !costs::any_grouped(&value) => Some("costs_total"),
        Rows::Costs => Some("costs"),
        Rows::Completions => Some("usage_completions"),
        Rows::Counted(family) => Some(family.report),
        Rows::None if page.group_by.iter().any(|name| name == "line_item") => Some("costs"),
        Rows::None => named("costs", page.file),
    }
}

fn csv_report(page: &Page<'_>) -> Option<&'static str> {
    let mut table = Table::new(page.bytes).ok()?;
    if !table.has("start_time") {
        return None;
    }
    if table.has("amount_value") || table.has("amount_currency") {
        let total = page.group_by.is_empty() && costs::only_totals(&mut table).ok()?;
        return Some(if total { "costs_total" } else { "costs_csv" });
    }
    if table.has("input_tokens") && table.has("output_tokens") || table.has("input_cached_tokens") {
        return Some("usage_completions");
    }
    let only_times = table.header().iter().all(|name| buckets::TIME_COLUMNS.contains(&name.as_str()));
    // The console has further usage exports; of those we have never seen a form.
    named("costs_csv", page.file).filter(|name| only_times && matches!(*name, "costs_csv" | "usage_completions"))
}

/// The report that a file's name speaks of, for pages without a single row; `None` when it speaks of
/// none or of several. `costs` is what a name about costs means.
fn named(costs: &'static str, file: &str) -> Option<&'static str> {
    let file = file.to_ascii_lowercase().replace('-', "_");
    let words = [("cost", costs), ("completions", "usage_completions")];
    let families = usage::FAMILIES.iter().map(|family| (family.path, family.report));
    let mut found = words.into_iter().chain(families).filter(|(word, _)| file.contains(word)).map(|(_, report)| report);
    found.next().filter(|_| found.next().is_none())
}

fn parse_json(bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let value = fields::json(bytes)?;
    if names::is_list(&value) {
        return names::read(&value).map(|_| ());
    }
    let buckets = buckets::read(&value)?;
    match rows(&value) {
        Ok(Rows::Costs) => costs::json(&buckets, out)?,
        Ok(Rows::Completions) => completions::json(&buckets, out),
        Ok(Rows::Counted(family)) => usage::json(family, &buckets, out),
        Ok(Rows::None) => {}
        Err(object) => {
            let found = object.map_or("nothing".to_string(), |object| format!("{object:?}"));
            let what = format!("results[0].object: expected a costs or usage result, found {found}");
            return Err(BadPage::new(what, "take the page out of this source: it is a report that is not read here"));
        }
    }
    buckets::covers(buckets.iter().map(|bucket| (bucket.start, bucket.end)), out);
    Ok(())
}

fn parse_csv(bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    if bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        // The reader would take all rows up to the next quote for one field.
        return Err(BadPage::new("a quoted field is never closed", "export the file again: it is cut short or was edited"));
    }
    let mut table = Table::new(bytes)?;
    let costs = table.has("amount_value") || table.has("amount_currency");
    let only_times = table.header().iter().all(|name| buckets::TIME_COLUMNS.contains(&name.as_str()));
    let required: &[&str] = match (costs, only_times) {
        (true, _) => &["start_time", "end_time", "amount_value", "amount_currency"],
        (false, true) => &["start_time", "end_time"],
        (false, false) => &["start_time", "end_time", "input_tokens", "output_tokens", "num_model_requests"],
    };
    if let Some(missing) = required.iter().find(|name| !table.has(name)) {
        let what = format!("header: expected the column {missing}, found none of that name");
        return Err(BadPage::new(what, "export the file again, as cost or as completions usage, with all its columns"));
    }
    let read = if costs { costs::csv_row } else { completions::csv_row };
    buckets::csv_rows(bytes, &mut table, read, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(file: &str, text: &str, group_by: &[&str]) -> Option<&'static str> {
        let group_by: Vec<String> = group_by.iter().map(|name| name.to_string()).collect();
        OpenAi.identify(&Page { file, bytes: text.as_bytes(), group_by: &group_by }).map(|report| report.name)
    }

    const EMPTY: &str = r#"{"object":"page","data":[{"start_time":1793491200,"end_time":1793577600,"results":[]}]}"#;
    const TOTAL: &str = r#"{"object":"page","data":[{"start_time":1793491200,"end_time":1793577600,"results":[
        {"object":"organization.costs.result","amount":{"value":1,"currency":"usd"},"line_item":null,"project_id":null}]}]}"#;

    #[test]
    fn only_the_name_or_the_grouping_tells_a_page_without_rows() {
        assert_eq!(report("costs-2026-11-01.json", EMPTY, &[]), Some("costs"));
        assert_eq!(report("web-search-calls.json", EMPTY, &[]), Some("usage_web_searches"));
        assert_eq!(report("page.json", EMPTY, &["line_item"]), Some("costs"));
        assert_eq!(report("page.json", EMPTY, &["project_id"]), None);
        assert_eq!(report("cost-of-completions.json", EMPTY, &[]), None);
        let times = "start_time,end_time,start_time_iso,end_time_iso\n";
        assert_eq!(report("cost_2026-11-01_2026-11-02.csv", times, &[]), Some("costs_csv"));
        assert_eq!(report("completions_usage_2026-11-01.csv", times, &[]), Some("usage_completions"));
        assert_eq!(report("embeddings_usage.csv", times, &[]), None);
    }

    #[test]
    fn rows_without_any_dimension_are_totals_unless_the_page_was_grouped() {
        assert_eq!(report("page.json", TOTAL, &[]), Some("costs_total"));
        assert_eq!(report("page.json", TOTAL, &["project_id"]), Some("costs"));
    }

    #[test]
    fn what_is_not_ours_is_nobody() {
        for text in ["", "{}", r#"{"object":"list","data":[]}"#, "date,amount\n2026-11-01,5\n", "[1"] {
            assert_eq!(report("costs.json", text, &[]), None, "{text}");
        }
    }
}
