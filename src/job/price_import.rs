//! Public price maps into the text of a price book. A figure is read from its digits; what a price book
//! cannot say is named with its model and the reason, never guessed and never dropped in silence.

mod genai;
mod litellm;

use super::prices;
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::money::Amount;
use chrono::NaiveDate;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Units that one price of an imported book buys.
const PER: i64 = 1_000_000;
// Meters that adapters of several providers have.
const INPUT_AUDIO_TOKENS: &str = "input_audio_tokens";
const OUTPUT_AUDIO_TOKENS: &str = "output_audio_tokens";
const CACHE_READ_AUDIO_TOKENS: &str = "cache_read_audio_tokens";
// As the reader of price books has them.
const PRICE_DECIMALS_MAX: usize = 12;
const PRICE_LIMIT: Amount = Amount::whole(1_000_000_000);

/// The form of a public price map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `model_prices_and_context_window.json` of LiteLLM: dollars for one unit, without dates.
    Litellm,
    /// `prices/data.json` of genai-prices: dollars for a million tokens, some with first days.
    GenaiPrices,
}

/// What the map does not say itself.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// The provider as ledgers and sources name it.
    pub provider: &'a str,
    /// First UTC day of prices that have none in the map.
    pub from: NaiveDate,
    pub checked: NaiveDate,
}

/// Something of the map that is not in the book.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    pub model: String,
    /// The key as the map writes it.
    pub what: String,
    pub why: String,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.model.escape_debug(), self.what.escape_debug(), self.why)
    }
}

/// A price book, and what is not in it, by model and key.
#[derive(Clone, Debug)]
pub struct Imported {
    /// TOML that [`prices::parse`] has read.
    pub book: String,
    pub left_out: Vec<LeftOut>,
}

/// Prices of one model from one day on.
struct Row {
    model: String,
    from: NaiveDate,
    to: Option<NaiveDate>,
    meters: BTreeMap<&'static str, Amount>,
    /// Input tokens to exceed → meters that differ.
    bands: BTreeMap<u64, BTreeMap<&'static str, Amount>>,
    tiers: BTreeMap<&'static str, Amount>,
}

impl Row {
    fn new(model: &str, from: NaiveDate) -> Self {
        Row { model: model.to_string(), from, to: None, meters: BTreeMap::new(), bands: BTreeMap::new(), tiers: BTreeMap::new() }
    }

    /// A band of a price book speaks for the whole call, one of a map for its own key: what a lower band
    /// changed stays changed in the higher ones. A band of a meter without a price is taken out.
    fn settle_bands(&mut self, out: &mut Draft) {
        let mut so_far: BTreeMap<&'static str, Amount> = BTreeMap::new();
        for (above, meters) in &mut self.bands {
            meters.retain(|meter, _| {
                let known = self.meters.contains_key(meter);
                if !known {
                    out.leave(&self.model, meter, format!("a price above {above} tokens, but none below"));
                }
                known
            });
            so_far.extend(meters.iter().map(|(meter, price)| (*meter, *price)));
            meters.clone_from(&so_far);
        }
        self.bands.retain(|_, meters| !meters.is_empty());
    }
}

/// What was found so far.
#[derive(Default)]
struct Draft {
    rows: Vec<Row>,
    left_out: BTreeSet<LeftOut>,
}

impl Draft {
    fn leave(&mut self, model: &str, what: &str, why: impl Into<String>) {
        self.left_out.insert(LeftOut { model: model.to_string(), what: what.to_string(), why: why.into() });
    }
}

/// Reads a price map and writes the provider's prices as a price book.
///
/// # Errors
/// Exit code 65: the text is not the map, it has no price of the provider, or the book would not be one.
pub fn import(format: Format, file: &str, text: &str, terms: Terms<'_>) -> Result<Imported, Fault> {
    let map: Value = serde_json::from_str(text).map_err(|error| {
        let what = format!("not JSON: {error}");
        Fault::new(ExitCode::Data, format!("{file}:{}", error.line()), what, "name the map's JSON file as it is published")
    })?;
    let mut draft = Draft::default();
    let (source, known) = match format {
        Format::Litellm => ("LiteLLM, model_prices_and_context_window.json", litellm::read(&map, terms, &mut draft)),
        Format::GenaiPrices => ("genai-prices, prices/data.json", genai::read(&map, terms, &mut draft)),
    };
    let Some(known) = known else {
        let hint = "name model_prices_and_context_window.json for litellm, prices/data.json for genai-prices";
        return Err(Fault::new(ExitCode::Data, file, "not the price map that was said", hint));
    };
    let Draft { mut rows, mut left_out } = draft;
    rows.retain(|row| {
        let plain = !row.model.is_empty() && row.model.trim() == row.model && !row.model.contains(char::is_control);
        if !plain {
            let why = "a price book refuses such a name".to_string();
            left_out.insert(LeftOut { model: row.model.clone(), what: "the whole entry".to_string(), why });
        }
        plain
    });
    if rows.is_empty() {
        let names = known.into_iter().take(20).collect::<Vec<_>>().join(", ");
        let first = left_out.first().map(|first| format!("; first of what is left out: {first}")).unwrap_or_default();
        let what = format!("no price of {} that a price book can say{first}", terms.provider);
        return Err(Fault::new(ExitCode::Data, file, what, format!("providers in it: {names}")));
    }
    rows.sort_by(|a, b| (&a.model, a.from).cmp(&(&b.model, b.from)));
    let book = text_of(&rows, source, terms);
    prices::parse("the imported price book", &book)?;
    Ok(Imported { book, left_out: left_out.into_iter().collect() })
}

/// A price as the map writes it, for [`PER`] units.
fn price(value: &Value, is_for: i64) -> Result<Amount, String> {
    let Value::Number(number) = value else { return Err("not a number".to_string()) };
    let read = Amount::read(&number.to_string()).map_err(|error| error.to_string())?;
    let scaled = read.amount.mul_div(i128::from(PER), i128::from(is_for)).filter(|price| *price < PRICE_LIMIT);
    match scaled {
        Some(price) if price.is_negative() => Err(format!("a price below 0: {number}")),
        Some(price) if price.is_zero() && read.residue == 0 => {
            Err("a price of 0 may also mean that it is not known; add it by hand if it is free".to_string())
        }
        Some(price) if read.residue == 0 && decimals(price) <= PRICE_DECIMALS_MAX => Ok(price),
        Some(_) => Err(format!("more than {PRICE_DECIMALS_MAX} decimals for a million units: {number}")),
        None => Err(format!("too large: {number}")),
    }
}

fn decimals(amount: Amount) -> usize {
    amount.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

fn text_of(rows: &[Row], source: &str, terms: Terms<'_>) -> String {
    let Terms { provider, checked, .. } = terms;
    let mut text = format!(
        "# Imported, in US dollars for a million units. Compare it with the provider's published prices before use.\n\
         provider = {}\ncurrency = \"USD\"\nchecked = \"{checked}\"\nsource = {}\n",
        quoted(provider),
        quoted(source)
    );
    for Row { model, from, to, meters, bands, tiers } in rows {
        text += &format!("\n[[price]]\nmodel = {}\nfrom = \"{from}\"\n", quoted(model));
        if let Some(to) = to {
            text += &format!("to = \"{to}\"\n");
        }
        text += &format!("per = {PER}\nmeters = {}\n", table(meters));
        if !tiers.is_empty() {
            text += &format!("tiers = {}\n", table(tiers));
        }
        let bands: Vec<String> = bands
            .iter()
            .map(|(above, meters)| format!("{{ above_input_tokens = {above}, meters = {} }}", table(meters)))
            .collect();
        if !bands.is_empty() {
            text += &format!("bands = [{}]\n", bands.join(", "));
        }
    }
    text
}

fn table(figures: &BTreeMap<&'static str, Amount>) -> String {
    let pairs: Vec<String> = figures.iter().map(|(name, figure)| format!("{name} = \"{figure}\"")).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// A TOML text on one line, of letters that are no control characters.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted + "\""
}

#[cfg(test)]
mod tests;
