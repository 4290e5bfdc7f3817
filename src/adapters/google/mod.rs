//! Google (Gemini and Veo): the Cloud Billing export to BigQuery, and the console's Cost table and Reports
//! as CSV. There is no usage or cost endpoint: the export is queried over BigQuery's
//! REST API. What models were billed stands only in the words of SKUs.

mod console;
mod cost_table;
mod export;
mod pacific;
mod reports;
mod requests;
mod rest;
mod sku;

use super::request::{Account, Limits, Request};
use super::{Adapter, BadPage, Measures, Page, Report};
use crate::domain::money::{Amount, MONEY_LIMIT, Read};
use crate::domain::period::Days;
use crate::domain::usage::Line;

/// Rows of `gcp_billing_export_v1_…` or its detailed twin.
const EXPORT: Report = Report { name: "bq_export", measures: Measures::Money, rank: 0 };
/// The console's Reports page, by Pacific days.
const REPORTS_CSV: Report = Report { name: "reports", measures: Measures::Money, rank: 1 };
/// The console's Cost table, one row for a month.
const COST_TABLE: Report = Report { name: "cost_table", measures: Measures::Money, rank: 2 };
static REPORTS: [Report; 3] = [EXPORT, REPORTS_CSV, COST_TABLE];

/// See the module.
pub struct Google;

impl Adapter for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn reports(&self) -> &'static [Report] {
        &REPORTS
    }

    fn fields(&self) -> &'static str {
        include_str!("fields.txt")
    }

    /// One usage may stand in many equal rows of the export: dropping any of them loses money (Google sheet section 5,
    /// "Duplicate-looking rows").
    fn rows_are_keyed(&self, report: &Report) -> bool {
        *report != EXPORT
    }

    /// Rows arrive within hours, at times after two days, without any promise, and rows of an old hour
    /// keep arriving (Google sheet sections 0 and 1.1).
    fn settle_days(&self) -> u32 {
        3
    }

    fn identify(&self, page: &Page<'_>) -> Option<&'static Report> {
        let name = if is_json(page.bytes) {
            export::is_export(page).then_some(EXPORT.name)?
        } else {
            match console::table(page.bytes)?.kind {
                console::Kind::CostTable => COST_TABLE.name,
                console::Kind::Reports => REPORTS_CSV.name,
            }
        };
        REPORTS.iter().find(|report| report.name == name)
    }

    fn parse(&self, page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
        if is_json(page.bytes) { export::read(page.bytes, out) } else { console::read(page, out) }
    }

    fn requests(&self, account: &Account<'_>, days: Days) -> Result<Vec<Request>, BadPage> {
        requests::requests(account, days)
    }

    fn next(&self, asked: &Request, page: &Page<'_>) -> Result<Option<Request>, BadPage> {
        requests::next(asked, page)
    }

    fn is_page(&self, _asked: &Request, page: &Page<'_>) -> bool {
        requests::has_ended(page.bytes)
    }

    fn limits(&self) -> Limits {
        requests::LIMITS
    }
}

/// The bytes after a byte order mark and white space.
fn text_of(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start()
}

fn is_json(bytes: &[u8]) -> bool {
    matches!(text_of(bytes).first(), Some(b'{' | b'['))
}

/// An amount that is small enough to be money.
///
/// # Errors
/// The fault, named by field, expectation and finding.
fn money(field: &str, read: Read) -> Result<Read, String> {
    if read.amount.abs() >= MONEY_LIMIT {
        return Err(format!("{field}: expected less than {MONEY_LIMIT}, found {}", read.amount));
    }
    Ok(read)
}

/// Refuses an amount below zero: none is documented but for credits, adjustments and corrections.
///
/// # Errors
/// The fault, named by field, expectation and finding.
fn not_negative(field: &str, amount: Amount) -> Result<(), String> {
    if amount.is_negative() { Err(format!("{field}: expected 0 or more, found {amount}")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(file: &str, text: &str) -> Option<&'static str> {
        Google.identify(&Page { file, bytes: text.as_bytes(), group_by: &[] }).map(|report| report.name)
    }

    const ROW: &str = r#"{"usage_start_time":"2026-11-18 09:00:00 UTC","cost":1,"sku":{"id":"a"}}"#;

    #[test]
    fn tells_its_reports_apart_by_their_shape() {
        assert_eq!(named("page", ROW), Some("bq_export"));
        assert_eq!(named("page", &format!("{ROW}\n{ROW}\n")), Some("bq_export"));
        assert_eq!(named("page", &format!(" [{ROW},\n{ROW}]")), Some("bq_export"));
        assert_eq!(named("page", &format!("[{ROW},{{\"cost\":")), Some("bq_export"), "cut short");
        let schema = r#"{"schema":{"fields":[{"name":"usage_start_time"},{"name":"cost"}]},"totalRows":"0"}"#;
        assert_eq!(named("page", schema), Some("bq_export"));
        assert_eq!(named("page", "\u{feff}Invoice number,5\n\nBilling account name,Unrounded Cost ($)\n"), Some("cost_table"));
        assert_eq!(named("page", "\u{feff}SKU ID,UNROUNDED SUBTOTAL (€)\n"), Some("reports"));
    }

    #[test]
    fn only_the_name_tells_an_empty_list() {
        assert_eq!(named("gcp_billing_export_v1_01AB23.json", "[]"), Some("bq_export"));
        assert_eq!(named("rows.json", "[]"), None);
    }

    #[test]
    fn what_is_not_ours_is_nobody() {
        for text in
            ["", "{}", "[1]", "{", r#"{"object":"page","data":[]}"#, r#"[{"cost":1}]"#, "a,b\n", "start_time,amount_value\n"]
        {
            assert_eq!(named("gcp.json", text), None, "{text}");
        }
    }

    #[test]
    fn a_page_cut_anywhere_makes_nothing_panic_and_no_money_of_its_own() {
        let pages: [&[u8]; 4] = [
            include_bytes!("../../../fixtures/google/basic.jsonl"),
            include_bytes!("../../../fixtures/google/rest-iso.json"),
            include_bytes!("../../../fixtures/google/cost-table.csv"),
            include_bytes!("../../../fixtures/google/reports.csv"),
        ];
        for page in pages {
            let read = |bytes: &[u8]| {
                let mut costs = Vec::new();
                let page = Page { file: "page", bytes, group_by: &[] };
                Google.identify(&page);
                let result = Google.parse(&page, &mut |line| {
                    if let Line::Charge(charge) = line {
                        costs.push(charge.cost);
                    }
                });
                (costs, result.is_ok())
            };
            let (whole, good) = read(page);
            assert!(good && !whole.is_empty());
            for end in (0..page.len() - 2).step_by(7) {
                let (costs, good) = read(&page[..end]);
                assert!(!good || whole.starts_with(&costs), "cut at {end}: {costs:?}");
            }
        }
    }
}
