//! The laws of contract section 5, recomputed from the bytes about to be published: with the CSV parser,
//! exact decimals and nothing that made the figures. A broken law stops the publish.

use super::savings::CLIENTS;
use super::savings_laws;
use crate::domain::beside::beside;
use crate::domain::money::{Amount, sum};
use crate::stages::results::Reason;
use csv::ByteRecord;
use std::collections::BTreeMap;

/// Parts of a key that lie between the cells; no cell holds it.
pub(super) const BETWEEN: char = '\u{1f}';

pub(super) type Sums = BTreeMap<String, Amount>;

/// Checks that, slice by slice (provider, account, currency and day):
/// 1. the attribution sums to the provider's total,
/// 2. provider minus ledger is the difference, the reasons sum to it, and so do the reconciling items of each
///    reason; the three variances of an item sum to its difference,
/// 3. rows read = used + duplicates + quarantined, and `quarantine.csv` has those rows,
/// 4. what a spike has beyond its baseline is actual minus expected; `team_month.csv` carries the attribution's
///    money, and its rounded rows sum to the rounded total; the components of `savings.csv` sum to the saving and its
///    rows to the rows of totals, and the clients of `savings_clients.csv`, where it is, to the row of `savings.csv`
///    whose parts they are; `prepaid.csv` rolls forward,
/// 5. the control totals differ from their sources by nothing.
///
/// Slices without a provider total are missing and outside laws 1 and 2 (contract 4.8).
///
/// # Errors
/// The first broken law: file, slice and both figures. Also a file or column that is not there, and a cell
/// that is not what its column holds.
pub fn check(files: &[(String, Vec<u8>)]) -> Result<(), String> {
    let slices = reconciled(&Sheet::open(files, "reconciliation.csv")?)?;
    // The two long files are read side by side.
    let (drift, attribution) = beside(|| items(&Sheet::open(files, "drift.csv")?, &slices), || attributions(files, &slices));
    attribution?;
    drift?;
    excess(&Sheet::open(files, "spikes.csv")?)?;
    rows(&Sheet::open(files, "coverage.csv")?, &Sheet::open(files, "quarantine.csv")?)?;
    control_totals(&Sheet::open(files, "control_totals.csv")?)?;
    let savings = Sheet::open(files, "savings.csv")?;
    savings_laws::compared(&savings)?;
    if files.iter().any(|(name, _)| name == CLIENTS) {
        savings_laws::by_client(&Sheet::open(files, CLIENTS)?, &savings)?;
    }
    savings_laws::rolls_forward(&Sheet::open(files, "prepaid.csv")?)
}

fn attributions(files: &[(String, Vec<u8>)], slices: &Slices) -> Result<(), String> {
    let attribution = Sheet::open(files, "attribution.csv")?;
    attributed(&attribution, slices)?;
    months(&Sheet::open(files, "team_month.csv")?, &attribution)
}

/// A parsed file with its columns by name.
pub(super) struct Sheet {
    pub(super) file: &'static str,
    columns: Vec<String>,
    pub(super) rows: Vec<ByteRecord>,
}

impl Sheet {
    pub(super) fn open(files: &[(String, Vec<u8>)], file: &'static str) -> Result<Sheet, String> {
        let (_, bytes) = files.iter().find(|(name, _)| name == file).ok_or(format!("{file}: not among the files"))?;
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let mut reader = csv::Reader::from_reader(bytes);
        let header = reader.headers().map_err(|fault| format!("{file}: {fault}"))?;
        let columns = header.iter().map(str::to_string).collect();
        let rows = reader.into_byte_records().collect::<Result<_, _>>().map_err(|fault| format!("{file}: {fault}"))?;
        Ok(Sheet { file, columns, rows })
    }

    pub(super) fn column(&self, name: &str) -> Result<usize, String> {
        let found = self.columns.iter().position(|column| column == name);
        found.ok_or_else(|| format!("{}: no column {name}", self.file))
    }

    pub(super) fn columns<const N: usize>(&self, names: [&str; N]) -> Result<[usize; N], String> {
        let mut found = [0; N];
        for (place, name) in found.iter_mut().zip(names) {
            *place = self.column(name)?;
        }
        Ok(found)
    }

    pub(super) fn text<'a>(&self, row: &'a ByteRecord, column: usize) -> Result<&'a str, String> {
        let cell = row.get(column).unwrap_or_default();
        std::str::from_utf8(cell).map_err(|_| format!("{}: {}: not UTF-8", self.file, self.place(row)))
    }

    /// The cells as one key.
    pub(super) fn key(&self, row: &ByteRecord, columns: &[usize]) -> Result<String, String> {
        let mut key = String::with_capacity(64);
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                key.push(BETWEEN);
            }
            key.push_str(self.text(row, *column)?);
        }
        Ok(key)
    }

    pub(super) fn number(&self, row: &ByteRecord, column: usize) -> Result<Option<Amount>, String> {
        let text = self.text(row, column)?;
        if text.is_empty() {
            return Ok(None);
        }
        // Published sums may have more digits than a source is allowed to send.
        let fault = || format!("{}: {}: {text:?} is not a number", self.file, self.place(row));
        exact(text).map(Some).ok_or_else(fault)
    }

    pub(super) fn amount(&self, row: &ByteRecord, column: usize) -> Result<Amount, String> {
        let empty = || format!("{}: {}: an empty cell where a number is due", self.file, self.place(row));
        self.number(row, column)?.ok_or_else(empty)
    }

    fn place(&self, row: &ByteRecord) -> String {
        row.position().map_or(String::new(), |position| format!("line {}", position.line()))
    }
}

/// Reads `-?digits[.digits]` with up to 18 decimals, whatever its length. None for anything else.
fn exact(text: &str) -> Option<Amount> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    if whole.is_empty() || part.is_empty() || part.len() > 18 {
        return None;
    }
    let unit = 10i128.pow(18);
    let (high, low) = whole.split_at_checked(whole.len().saturating_sub(18))?;
    let whole = i128::from(digits_of(high)?) * unit + i128::from(digits_of(low)?);
    let part = digits_of(part)? * 10u64.pow(18 - part.len() as u32);
    let atto = whole.checked_mul(unit)?.checked_add(i128::from(part))?;
    Some(Amount::from_atto(if negative { -atto } else { atto }))
}

/// At most 18 digits, in eight bytes: most of what is read here are numbers. None for anything else.
fn digits_of(text: &str) -> Option<u64> {
    if text.len() > 18 {
        return None;
    }
    text.bytes().try_fold(0u64, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + u64::from(digit - b'0')))
}

fn shown(key: &str) -> String {
    key.split(BETWEEN).collect::<Vec<_>>().join(" ")
}

pub(super) fn overflow() -> String {
    "a sum has more digits than an amount can hold".to_string()
}

pub(super) fn add(sums: &mut Sums, key: String, amount: Amount) -> Result<(), String> {
    let sum = sums.entry(key).or_default();
    *sum = sum.checked_add(amount).ok_or_else(overflow)?;
    Ok(())
}

pub(super) fn same(file: &str, key: &str, what: &str, left: Amount, right: Amount) -> Result<(), String> {
    if left == right { Ok(()) } else { Err(format!("{file}: {}: {what}: {left} is not {right}", shown(key))) }
}

const SLICE: [&str; 4] = ["charge_date", "provider", "account", "currency"];

/// What `reconciliation.csv` says of a slice that is not missing.
struct Slices {
    totals: Sums,
    /// By slice and reason.
    reasons: Sums,
    missing: BTreeMap<String, ()>,
}

fn reconciled(sheet: &Sheet) -> Result<Slices, String> {
    let slice = sheet.columns(SLICE)?;
    let [provider, ledger, difference] = sheet.columns(["provider_total", "ledger_total", "difference"])?;
    let mut reasons = Vec::new();
    for reason in Reason::ALL {
        reasons.push((reason.name(), sheet.column(reason.name())?));
    }
    let mut slices = Slices { totals: Sums::new(), reasons: Sums::new(), missing: BTreeMap::new() };
    for row in &sheet.rows {
        let key = sheet.key(row, &slice)?;
        let Some(total) = sheet.number(row, provider)? else {
            slices.missing.insert(key, ());
            continue;
        };
        let stated = sheet.amount(row, difference)?;
        let gap = total.checked_sub(sheet.amount(row, ledger)?).ok_or_else(overflow)?;
        same(sheet.file, &key, "difference against provider_total - ledger_total", stated, gap)?;
        let mut parts = Vec::with_capacity(reasons.len());
        for (reason, column) in &reasons {
            let part = sheet.amount(row, *column)?;
            parts.push(part);
            if !part.is_zero() {
                add(&mut slices.reasons, format!("{key}{BETWEEN}{reason}"), part)?;
            }
        }
        let explained = sum(parts).ok_or_else(overflow)?;
        same(sheet.file, &key, "sum of the reasons against difference", explained, stated)?;
        add(&mut slices.totals, key, total)?;
    }
    Ok(slices)
}

fn attributed(sheet: &Sheet, slices: &Slices) -> Result<(), String> {
    let slice = sheet.columns(SLICE)?;
    let billed = sheet.column("billed_cost")?;
    let mut sums = Sums::new();
    for row in &sheet.rows {
        add(&mut sums, sheet.key(row, &slice)?, sheet.amount(row, billed)?)?;
    }
    let what = "sum of billed_cost against reconciliation.csv provider_total";
    for (key, total) in &slices.totals {
        same(sheet.file, key, what, sums.remove(key).unwrap_or_default(), *total)?;
    }
    for (key, sum) in sums.iter().filter(|(key, _)| !slices.missing.contains_key(*key)) {
        same(sheet.file, key, "sum of billed_cost of a slice that reconciliation.csv does not have", *sum, Amount::ZERO)?;
    }
    Ok(())
}

fn items(sheet: &Sheet, slices: &Slices) -> Result<(), String> {
    let slice = sheet.columns(SLICE)?;
    let [id, reason, difference] = sheet.columns(["drift_id", "reason", "difference"])?;
    let variances = sheet.columns(["quantity_variance", "price_variance", "other_variance"])?;
    let mut sums = Sums::new();
    for row in &sheet.rows {
        let stated = sheet.amount(row, difference)?;
        let mut parts = Amount::ZERO;
        for column in variances {
            parts = parts.checked_add(sheet.amount(row, column)?).ok_or_else(overflow)?;
        }
        if parts != stated {
            let id = sheet.text(row, id)?;
            return same(sheet.file, id, "sum of the variances against difference", parts, stated);
        }
        let key = sheet.key(row, &slice)?;
        if !slices.missing.contains_key(&key) {
            add(&mut sums, format!("{key}{BETWEEN}{}", sheet.text(row, reason)?), stated)?;
        }
    }
    let what = "sum of difference against the reason's column of reconciliation.csv";
    for (key, column) in &slices.reasons {
        same(sheet.file, key, what, sums.remove(key).unwrap_or_default(), *column)?;
    }
    for (key, sum) in &sums {
        same(sheet.file, key, what, *sum, Amount::ZERO)?;
    }
    Ok(())
}

fn excess(sheet: &Sheet) -> Result<(), String> {
    let [id, expected, actual, excess] = sheet.columns(["spike_id", "expected", "actual", "excess"])?;
    for row in &sheet.rows {
        let beyond = sheet.amount(row, actual)?.checked_sub(sheet.amount(row, expected)?).ok_or_else(overflow)?;
        let stated = sheet.amount(row, excess)?;
        same(sheet.file, sheet.text(row, id)?, "excess against actual - expected", stated, beyond)?;
    }
    Ok(())
}

fn rows(coverage: &Sheet, quarantine: &Sheet) -> Result<(), String> {
    const ENDPOINT: [&str; 4] = ["charge_date", "provider", "account", "endpoint"];
    let slice = coverage.columns(ENDPOINT)?;
    let [read, used, duplicates, quarantined] = coverage.columns(["rows_read", "rows_used", "duplicates", "quarantined"])?;
    let mut set_aside = Sums::new();
    for row in &coverage.rows {
        let key = coverage.key(row, &slice)?;
        let count = |column| coverage.amount(row, column);
        let ends = sum([count(used)?, count(duplicates)?, count(quarantined)?]).ok_or_else(overflow)?;
        same(coverage.file, &key, "rows_read against rows_used + duplicates + quarantined", count(read)?, ends)?;
        add(&mut set_aside, key, count(quarantined)?)?;
    }
    let slice = quarantine.columns(ENDPOINT)?;
    let mut listed = Sums::new();
    for row in &quarantine.rows {
        add(&mut listed, quarantine.key(row, &slice)?, Amount::ONE)?;
    }
    let what = "rows against coverage.csv quarantined";
    for (key, count) in &set_aside {
        same(quarantine.file, key, what, listed.remove(key).unwrap_or_default(), *count)?;
    }
    for (key, count) in &listed {
        same(quarantine.file, key, what, *count, Amount::ZERO)?;
    }
    Ok(())
}

/// The first day of the month of a written date.
fn month(date: &str) -> String {
    format!("{}-01", date.get(..7).unwrap_or(date))
}

fn months(sheet: &Sheet, attribution: &Sheet) -> Result<(), String> {
    let [date, provider, currency, billed] = attribution.columns(["charge_date", "provider", "currency", "billed_cost"])?;
    let mut charged = Sums::new();
    for row in &attribution.rows {
        let rest = attribution.key(row, &[provider, currency])?;
        let key = format!("{}{BETWEEN}{rest}", month(attribution.text(row, date)?));
        add(&mut charged, key, attribution.amount(row, billed)?)?;
    }
    let slice = sheet.columns(["period_start", "provider", "currency"])?;
    let [billed, rounded] = sheet.columns(["billed_cost", "billed_cost_rounded"])?;
    let (mut exact, mut cents) = (Sums::new(), Sums::new());
    for row in &sheet.rows {
        let key = sheet.key(row, &slice)?;
        add(&mut exact, key.clone(), sheet.amount(row, billed)?)?;
        add(&mut cents, key, sheet.amount(row, rounded)?)?;
    }
    for (key, sum) in &exact {
        let source = charged.remove(key).unwrap_or_default();
        same(sheet.file, key, "sum of billed_cost against attribution.csv", *sum, source)?;
        let cents = cents.get(key).copied().unwrap_or_default();
        same(sheet.file, key, "sum of billed_cost_rounded against the rounded total", cents, source.rounded(2))?;
    }
    for (key, sum) in &charged {
        same(sheet.file, key, "billed_cost against attribution.csv", Amount::ZERO, *sum)?;
    }
    Ok(())
}

fn control_totals(sheet: &Sheet) -> Result<(), String> {
    let name = sheet.columns(["file", "column", "currency"])?;
    let difference = sheet.column("difference")?;
    for row in &sheet.rows {
        if let Some(off) = sheet.number(row, difference)? {
            same(sheet.file, &sheet.key(row, &name)?, "difference", off, Amount::ZERO)?;
        }
    }
    Ok(())
}
