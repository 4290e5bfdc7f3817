//! What both CSV downloads of the console share: where the header stands, in which currency it is, and
//! numbers with thousands separators. Only unrounded columns are money: about a third of the rows show
//! 0.00 in the rounded ones (Google sheet, "Further observed facts").

use super::super::fields::{Row, Table};
use super::super::{BadPage, Page};
use super::{cost_table, reports, sku, text_of};
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::period::{Days, parse_day};
use crate::domain::usage::{Charge, Line, Precision, Quarantined};
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use std::borrow::Cow;

/// Unrounded columns have six decimals (Google sheet sections 2.2 and 2.3).
pub(super) const PRECISION: Precision = Precision::Rounded(6);
/// Lines in which a header is looked for; a preamble has about ten.
const PREAMBLE_MAX: usize = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    CostTable,
    Reports,
}

/// A download from its header on, with what stood before it.
pub(super) struct Download<'b> {
    pub kind: Kind,
    pub table: Table<'b>,
    /// The currency's code, from a line `Currency` before the header.
    pub currency: Option<String>,
    /// From a line `Invoice date` before the header.
    pub invoice_date: Option<NaiveDate>,
}

/// Finds the header: by the first cell of a cost table, or by its unrounded column. `None` where there is none.
pub(super) fn table(bytes: &[u8]) -> Option<Download<'_>> {
    let mut rest = text_of(bytes);
    let (mut currency, mut invoice_date) = (None, None);
    for _ in 0..PREAMBLE_MAX {
        let end = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let line = Table::new(rest.get(..end)?).ok()?;
        let has = |start: &str| line.header().iter().any(|cell| starts_with(cell, start));
        let first = line.header().first().map(String::as_str).unwrap_or_default();
        let kind = if has("unrounded subtotal") {
            Some(Kind::Reports)
        } else if has("unrounded cost") || first.eq_ignore_ascii_case("billing account name") {
            Some(Kind::CostTable)
        } else {
            None
        };
        if let Some(kind) = kind {
            return Some(Download { kind, table: Table::new(rest).ok()?, currency, invoice_date });
        }
        let second = line.header().get(1).filter(|cell| !cell.is_empty());
        if first.eq_ignore_ascii_case("currency") {
            currency = second.cloned();
        } else if first.eq_ignore_ascii_case("invoice date") {
            invoice_date = second.and_then(|cell| parse_day(cell));
        }
        rest = rest.get(end..).filter(|rest| !rest.is_empty())?;
    }
    None
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start))
}

/// Reads a download.
///
/// # Errors
/// No header, a column that is needed and not there, a currency that cannot be told, a file cut short.
pub(super) fn read(page: &Page<'_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let Some(download) = table(page.bytes) else {
        let found: String = String::from_utf8_lossy(page.bytes).lines().next().unwrap_or_default().chars().take(60).collect();
        return Err(BadPage::new(
            format!("expected the billing export as JSON, or a header with an unrounded cost or subtotal, found {found:?}"),
            "export the billing table from BigQuery as JSON, or download a Cost table or Report from the console as CSV",
        ));
    };
    match download.kind {
        Kind::CostTable => cost_table::read(page, download, out),
        Kind::Reports => reports::read(page, download, out),
    }
}

impl Download<'_> {
    /// Where a column stands; letter case differs between downloads.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.table.header().iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// Likewise, for a column that rows cannot do without.
    ///
    /// # Errors
    /// It is not there.
    pub fn needed(&self, name: &str) -> Result<usize, BadPage> {
        self.column(name).ok_or_else(|| missing(name))
    }

    /// The column of the money, and its currency: from the line before the header, else from the symbol in
    /// the column's name, `Unrounded Cost (€)`.
    ///
    /// # Errors
    /// No such column, no currency, or two that differ.
    pub fn money(&self, name: &str) -> Result<(usize, Currency), BadPage> {
        let at = self.table.header().iter().position(|column| starts_with(column, name)).ok_or_else(|| missing(name))?;
        let header = self.table.header().get(at).map(String::as_str).unwrap_or_default();
        let symbol = header.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(symbol, _)| symbol.trim());
        let shown = symbol.and_then(of_symbol);
        let stated = self.currency.as_deref().map(Currency::parse).transpose();
        let bad = |what: String| BadPage::new(what, "download the file again, with the currency's symbol in the header");
        let stated = stated.map_err(|error| bad(format!("Currency: {error}")))?;
        match (stated, shown) {
            // Dollars of all countries may be shown as $.
            (Some(stated), Some(shown)) if stated != shown && symbol != Some("$") => {
                Err(bad(format!("header: expected {stated} as stated above it, found {header:?}")))
            }
            (Some(currency), _) | (None, Some(currency)) => Ok((at, currency)),
            (None, None) => Err(bad(format!("header: expected a currency, found {header:?}"))),
        }
    }
}

fn missing(name: &str) -> BadPage {
    BadPage::new(
        format!("header: expected the column {name:?}, found none of that name"),
        "download the file again with all its columns",
    )
}

/// The currency of a symbol. Several currencies share `¥`, so it needs the line before the header.
fn of_symbol(symbol: &str) -> Option<Currency> {
    let code = match symbol {
        "$" | "US$" => "USD",
        "€" => "EUR",
        "£" => "GBP",
        "₹" => "INR",
        "₩" => "KRW",
        "A$" => "AUD",
        "CA$" => "CAD",
        "R$" => "BRL",
        code => code,
    };
    Currency::parse(code).ok()
}

/// A number as the console writes it: `"1,050.25"`. A comma anywhere but between groups of three is not
/// one of thousands.
///
/// # Errors
/// The fault, named by field, expectation and finding.
pub(super) fn number(field: &str, text: Option<&str>) -> Result<Option<Read>, String> {
    let Some(text) = text else { return Ok(None) };
    let digits = ungrouped(text).ok_or_else(|| format!("{field}: expected a number, found {text:?}"))?;
    Amount::read(&digits).map(Some).map_err(|error| format!("{field}: {error}"))
}

fn ungrouped(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(',') {
        return Some(Cow::Borrowed(text));
    }
    let (whole, decimals) = text.split_once('.').map_or((text, None), |(whole, decimals)| (whole, Some(decimals)));
    let mut groups = whole.strip_prefix('-').unwrap_or(whole).split(',');
    let first = groups.next()?;
    let good = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
    (good && !decimals.is_some_and(|decimals| decimals.contains(','))).then(|| Cow::Owned(text.replace(',', "")))
}

/// Which columns say what was used. What is not there is not said.
#[derive(Clone, Copy)]
pub(super) struct Used {
    service: Option<usize>,
    service_id: Option<usize>,
    pub sku: Option<usize>,
    sku_id: Option<usize>,
    project_id: Option<usize>,
    project: Option<usize>,
    amount: Option<usize>,
    unit: Option<usize>,
}

impl Used {
    pub fn of(download: &Download<'_>) -> Used {
        Used {
            service: download.column("Service description"),
            service_id: download.column("Service ID"),
            sku: download.column("SKU description"),
            sku_id: download.column("SKU ID"),
            project_id: download.column("Project ID"),
            project: download.column("Project name"),
            amount: download.column("Usage amount"),
            unit: download.column("Usage unit"),
        }
    }

    /// The provider's own words for the priced thing.
    pub fn words<'r>(&self, row: &'r Row<'_>) -> Option<&'r str> {
        row.at(self.sku).or_else(|| row.at(self.sku_id)).or_else(|| row.at(self.service))
    }

    /// Whether nothing is named: a line of sums.
    pub fn is_blank(&self, row: &Row<'_>) -> bool {
        [self.service, self.service_id, self.sku, self.sku_id, self.project_id, self.project]
            .into_iter()
            .all(|column| row.at(column).is_none())
    }

    pub fn item(&self, row: &Row<'_>) -> sku::Item {
        let is_read = sku::is_read(row.at(self.service_id), row.at(self.service));
        row.at(self.sku).filter(|_| is_read).map(sku::read).unwrap_or_default()
    }

    /// What was used, where SKU and unit say what it counts.
    ///
    /// # Errors
    /// The fault, named by field, expectation and finding.
    pub fn quantity(&self, row: &Row<'_>, item: &sku::Item) -> Result<Option<Amount>, String> {
        let amount = number("Usage amount", row.at(self.amount))?.map(|read| read.amount);
        Ok(amount.filter(|_| item.meter.is_some_and(|meter| sku::counts(meter, row.at(self.unit)))))
    }

    /// The charge with what both downloads say of a row.
    pub fn charge<'r>(&self, row: &'r Row<'_>, item: &'r sku::Item, (start, end): Span, currency: Currency) -> Charge<'r> {
        Charge {
            sub_account: row.at(self.project_id).or_else(|| row.at(self.project)),
            model: item.model.as_deref(),
            service_tier: item.tier,
            batch: item.batch,
            sku: self.words(row),
            meter: item.meter,
            precision: PRECISION,
            ..Charge::new(row.number, start, end, currency)
        }
    }
}

/// Start, and end excluded.
pub(super) type Span = (DateTime<Utc>, DateTime<Utc>);

/// A console day, in this century.
pub(super) fn day(text: &str) -> Option<NaiveDate> {
    parse_day(text).filter(|day| (2000..2100).contains(&day.year()))
}

/// The instants of the Pacific days from `first` to `last`.
pub(super) fn span(first: NaiveDate, last: NaiveDate) -> Option<Span> {
    Some((super::pacific::midnight(first)?, super::pacific::midnight(last.succ_opt()?)?)).filter(|_| first <= last)
}

/// The first and last day that rows of usage name.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen(pub Option<(NaiveDate, NaiveDate)>);

impl Seen {
    pub fn add(&mut self, first: NaiveDate, last: NaiveDate) {
        self.0 = Some(self.0.map_or((first, last), |(from, to)| (from.min(first), to.max(last))));
    }

    /// A download is one contiguous range.
    pub fn covers(self, out: &mut dyn FnMut(Line<'_>)) {
        if let Some((from, to)) = self.0.and_then(|(first, last)| Some((first, last.succ_opt()?))) {
            out(Line::Covers(Days { from, to }));
        }
    }
}

/// A line that repeats others. It needs a day to be counted on; without one it is set aside.
pub(super) fn repeated<'a>(row: u32, day: Option<NaiveDate>) -> Line<'a> {
    match day {
        Some(day) => Line::Nothing { row, day },
        None => set_aside(row, None, "a line of sums in a file without a dated row".to_string(), None),
    }
}

pub(super) fn set_aside<'a>(row: u32, day: Option<NaiveDate>, reason: String, money: Option<(Amount, Currency)>) -> Line<'a> {
    let (amount, currency) = money.unzip();
    Line::Quarantined(Quarantined { row, day, reason, amount, currency })
}

/// Refuses a file that ends within a row.
///
/// # Errors
/// A quote that is never closed, or a short last row without an end of line.
pub(super) fn refuse_cut(bytes: &[u8], fault_of_last_row: Option<String>) -> Result<(), BadPage> {
    let hint = "download the file again: it is cut short";
    if bytes.iter().filter(|byte| **byte == b'"').count() % 2 == 1 {
        return Err(BadPage::new("a quoted field is never closed", hint));
    }
    match fault_of_last_row {
        Some(fault) if !bytes.ends_with(b"\n") => Err(BadPage::new(format!("last row: {fault}, and no end of line"), hint)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn currency_of(text: &str, column: &str) -> Result<String, String> {
        let download = table(text.as_bytes()).ok_or("no header")?;
        download.money(column).map(|(_, currency)| currency.to_string()).map_err(|bad| bad.what)
    }

    #[test]
    fn thousands_are_read_and_nothing_else_with_a_comma() {
        let read = |text: &str| number("x", Some(text)).map(|read| read.unwrap().amount.to_string());
        for (text, expected) in [
            ("420,000,000", "420000000"),
            ("1,050.25", "1050.25"),
            ("-1,234", "-1234"),
            ("1050", "1050"),
            ("0.000000", "0"),
            ("622,403", "622403"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(expected));
        }
        for text in ["1,5", "1.050,00", "1,0500", ",500", "1,,000", "1234,567", "1,050.2,5", "$5", "NaN", "--1,000", "1,00a"] {
            assert!(read(text).is_err(), "{text}");
        }
        assert_eq!(number("x", None), Ok(None));
    }

    #[test]
    fn the_line_before_the_header_tells_the_currency_better_than_a_symbol() {
        let header = |preamble: &str, symbol: &str| format!("{preamble}Billing account name,Unrounded Cost ({symbol})\n");
        let of = |preamble: &str, symbol: &str| currency_of(&header(preamble, symbol), "unrounded cost");
        assert_eq!(of("", "$").as_deref(), Ok("USD"));
        assert_eq!(of("", "€").as_deref(), Ok("EUR"));
        assert_eq!(of("", "CHF").as_deref(), Ok("CHF"));
        assert_eq!(of("Currency,AUD\n", "$").as_deref(), Ok("AUD"));
        assert_eq!(of("currency,JPY\n\n", "¥").as_deref(), Ok("JPY"));
        assert!(of("", "¥").is_err());
        assert!(of("Currency,USD\n", "€").unwrap_err().starts_with("header: expected USD"));
        assert!(of("Currency,dollars\n", "$").unwrap_err().starts_with("Currency: "));
    }

    #[test]
    fn the_header_stands_after_any_preamble() {
        let text = "Invoice number,5\r\nInvoice date,2026-10-31\r\n\r\nBILLING ACCOUNT NAME,Project ID\r\na,b\r\n";
        let download = table(text.as_bytes()).unwrap();
        assert_eq!((download.kind, download.invoice_date), (Kind::CostTable, parse_day("2026-10-31")));
        assert_eq!(download.column("project id"), Some(1));
        assert!(table("a,b\n".repeat(60).as_bytes()).is_none());
        assert!(table(b"").is_none());
    }
}
