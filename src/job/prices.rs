//! Price book text into a [`PriceBook`]. Prices are read from their digits; rows of one model never
//! overlap, so that one price is in force on a day.

use super::Job;
use super::checked::{currency, meter, provider};
use super::keys::{PRICES, PRICES_BAND, PRICES_DISCOUNT, PRICES_PRICE, PRICES_TOP};
use super::nearest::did_you_mean;
use super::toml_at::{self, Origin, Section, Value, quoted};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use crate::domain::price::{Band, Discount, PriceBook, PriceRow};
use chrono::NaiveDate;
use rust_decimal::Decimal;
use std::collections::BTreeMap;
use std::path::PathBuf;

const PER_MAX: u64 = 1_000_000_000;
const TOKENS_MAX: u64 = 1_000_000_000_000;
// Together 26 of the 28 digits that a decimal holds: tier and batch may both apply.
const PRICE_DECIMALS_MAX: usize = 12;
const TIER_DECIMALS_MAX: usize = 4;
const PERCENT_DECIMALS_MAX: usize = 4;

/// A row with what its neighbours need to know.
struct Dated {
    row: PriceRow,
    line: usize,
    open: bool,
}

/// Reads a price book.
///
/// # Errors
/// The first thing that is wrong, with exit code 65, the line, and what to write instead.
pub fn parse(file: &str, text: &str) -> Result<PriceBook, Fault> {
    let origin = Origin { file, text, code: ExitCode::Data, keys: &PRICES };
    let table = toml_at::parse(&origin)?;
    let top = Section::root(&origin, &table, &PRICES_TOP)?;
    let provider = provider(&top.need("provider")?)?.to_string();
    let currency = currency(&top.need("currency")?)?;
    let checked = top.need("checked")?.day()?;
    top.text("source")?;
    let mut dated: BTreeMap<String, Vec<Dated>> = BTreeMap::new();
    for section in top.some_sections("price", &PRICES_PRICE)? {
        let model = section.need("model")?.text()?;
        let row = price(&section)?;
        dated.entry(model.to_string()).or_default().push(Dated { row, line: section.line(), open: section.get("to").is_none() });
    }
    let mut models = BTreeMap::new();
    for (model, rows) in dated {
        let rows =
            in_order(&model, rows).map_err(|(line, what, hint)| Fault::new(origin.code, format!("{file}:{line}"), what, hint))?;
        models.insert(model, rows);
    }
    let known: Vec<&str> = models.keys().map(String::as_str).collect();
    let discounts = top.sections("discount", &PRICES_DISCOUNT)?;
    let discounts = discounts.iter().map(|section| discount(section, &known)).collect::<Result<Vec<_>, _>>()?;
    Ok(PriceBook { provider, currency, checked, models, discounts })
}

/// Refuses two books of one provider: which price is in force would depend on their order.
///
/// # Errors
/// The second book, at the job's line that names it.
pub fn one_for_each_provider(job: &Job, books: &[(PathBuf, PriceBook)]) -> Result<(), Fault> {
    let mut seen: BTreeMap<&str, &PathBuf> = BTreeMap::new();
    for (path, book) in books {
        if let Some(first) = seen.insert(&book.provider, path) {
            let (second, first) = (quoted(&path.display().to_string()), quoted(&first.display().to_string()));
            let what = format!("prices: {second} has prices of {}, and so has {first}", book.provider);
            return Err(Fault::new(ExitCode::Data, job.place_of(path), what, "move all rows to one book"));
        }
    }
    Ok(())
}

/// The books that nobody compared with their source within the job's `prices_max_age_days`, in words. They
/// are findings of `check` and no mistakes: an old price may still be the one in force.
pub fn too_old(job: &Job, books: &[(PathBuf, PriceBook)], day: NaiveDate) -> Vec<String> {
    let limit = job.prices_max_age_days;
    let aged = books.iter().filter_map(|(path, book)| {
        let age = u64::try_from((day - book.checked).num_days()).ok().filter(|age| *age > limit)?;
        Some(format!(
            "{}: prices checked on {}, {age} days ago, more than {limit}: compare them with the published ones and write the day",
            path.display(),
            book.checked
        ))
    });
    aged.collect()
}

fn price(section: &Section<'_>) -> Result<PriceRow, Fault> {
    section.need("from")?;
    let days = section.days()?;
    let per = section.get("per").map_or(Ok(1), |value| value.whole(1..=PER_MAX))?;
    let meters = meters(&section.need("meters")?)?;
    let tiers = section.get("tiers").map_or(Ok(BTreeMap::new()), |value| tiers(&value))?;
    let bands = section.get("bands").map_or(Ok(Vec::new()), |value| bands(&value, &meters))?;
    Ok(PriceRow { days, per, meters, bands, tiers })
}

fn meters(value: &Value<'_>) -> Result<BTreeMap<String, Decimal>, Fault> {
    let mut meters = BTreeMap::new();
    for (name, value) in value.pairs()? {
        meters.insert(meter(name, &value)?.to_string(), value.decimal(PRICE_DECIMALS_MAX)?);
    }
    Ok(meters)
}

fn tiers(value: &Value<'_>) -> Result<BTreeMap<String, Decimal>, Fault> {
    let mut tiers = BTreeMap::new();
    for (name, value) in value.pairs()? {
        if matches!(name, "standard" | "default" | "on_demand") {
            let hint = "take it out; where this tier costs something else, change the prices";
            return Err(value.fault(format!("tiers: {name} is the tier that the prices are for, its multiplier is 1"), hint));
        }
        tiers.insert(name.to_string(), value.decimal(TIER_DECIMALS_MAX)?);
    }
    Ok(tiers)
}

fn bands(value: &Value<'_>, row: &BTreeMap<String, Decimal>) -> Result<Vec<Band>, Fault> {
    let mut bands: Vec<Band> = Vec::new();
    let known: Vec<&str> = row.keys().map(String::as_str).collect();
    for section in value.sections(&PRICES_BAND)? {
        let tokens = section.need("above_input_tokens")?;
        let above = tokens.whole(1..=TOKENS_MAX)?;
        let above = i64::try_from(above).map(Amount::whole).map_err(|_| tokens.expected("a whole number"))?;
        if let Some(before) = bands.last().filter(|before| above <= before.above) {
            let what = format!("above_input_tokens: {above} is not above the band before it, {}", before.above);
            return Err(tokens.fault(what, "write the bands in ascending order"));
        }
        let table = section.need("meters")?;
        let meters = meters(&table)?;
        if let Some(unknown) = meters.keys().find(|name| !row.contains_key(*name)) {
            let what = format!("meters: {} has no price outside the band", quoted(unknown));
            return Err(table.fault(what, did_you_mean(unknown, &known)));
        }
        bands.push(Band { above, meters });
    }
    Ok(bands)
}

/// The rows of one model by day; an open end closes where the next row begins.
fn in_order(model: &str, mut rows: Vec<Dated>) -> Result<Vec<PriceRow>, (usize, String, String)> {
    rows.sort_by_key(|dated| (dated.row.days.from, dated.line));
    let mut next: Option<(NaiveDate, usize)> = None;
    for dated in rows.iter_mut().rev() {
        if let Some((from, line)) = next {
            let begins = dated.row.days.from;
            if dated.open {
                dated.row.days.to = from;
            }
            if begins >= from || dated.row.days.to > from {
                let what = format!("price of {} from {from} overlaps the row on line {}", quoted(model), dated.line);
                let hint = match begins >= from {
                    true => "both rows begin on the same day: take one of them out".to_string(),
                    false => format!("end the row on line {} with to = \"{from}\", or take its \"to\" out", dated.line),
                };
                return Err((line, what, hint));
            }
        }
        next = Some((dated.row.days.from, dated.line));
    }
    Ok(rows.into_iter().map(|dated| dated.row).collect())
}

fn discount(section: &Section<'_>, models: &[&str]) -> Result<Discount, Fault> {
    section.need("from")?;
    let days = section.days()?;
    let percent = section.need("percent")?;
    let off = percent.decimal(PERCENT_DECIMALS_MAX)?;
    if off.is_zero() || off > Decimal::ONE_HUNDRED {
        return Err(percent.expected("more than 0 and at most 100"));
    }
    let off = off.checked_div(Decimal::ONE_HUNDRED).ok_or_else(|| percent.expected("more than 0 and at most 100"))?;
    if let Some((value, model)) = section.get("model").map(|value| Ok((value, value.text()?))).transpose()?
        && !models.contains(&model)
    {
        return Err(value.fault(format!("model: this book has no price of {}", quoted(model)), did_you_mean(model, models)));
    }
    let text = |key: &str| section.text(key).map(|text| text.map(str::to_string));
    Ok(Discount { days, account: text("account")?, api_key_id: text("api_key_id")?, model: text("model")?, off })
}

#[cfg(test)]
mod tests;
