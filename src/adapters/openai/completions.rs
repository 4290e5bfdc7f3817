//! Tokens of chat completions and responses, from the API's pages and the console's export. Classes
//! are made disjoint here: cached and cache-write tokens are no part of `input_tokens` any more.

use super::super::BadPage;
use super::super::fields;
use super::buckets::{Bucket, CsvRow};
use super::line_item::{
    CACHE_READ_AUDIO_TOKENS, CACHE_READ_IMAGE_TOKENS, INPUT_AUDIO_TOKENS, INPUT_IMAGE_TOKENS, OUTPUT_AUDIO_TOKENS,
    OUTPUT_IMAGE_TOKENS,
};
use super::usage::{dimension, requests, started, whole};
use crate::domain::money::{Amount, Currency, sum};
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use serde_json::Value;

pub const OBJECT: &str = "organization.usage.completions.result";

/// The modalities of a class: field and meter, text first. Text counts under the plain meter.
type Modalities = [(&'static str, &'static str); 3];

const INPUT: Modalities = [
    ("input_text_tokens", meter::INPUT_TOKENS),
    ("input_audio_tokens", INPUT_AUDIO_TOKENS),
    ("input_image_tokens", INPUT_IMAGE_TOKENS),
];
const CACHED: Modalities = [
    ("input_cached_text_tokens", meter::CACHE_READ_TOKENS),
    ("input_cached_audio_tokens", CACHE_READ_AUDIO_TOKENS),
    ("input_cached_image_tokens", CACHE_READ_IMAGE_TOKENS),
];
const OUTPUT: Modalities = [
    ("output_text_tokens", meter::OUTPUT_TOKENS),
    ("output_audio_tokens", OUTPUT_AUDIO_TOKENS),
    ("output_image_tokens", OUTPUT_IMAGE_TOKENS),
];

/// Reads a count of the row by name.
type Get<'g> = &'g dyn Fn(&str) -> Result<Option<Amount>, String>;

/// Hands on the rows of a page.
pub fn json(buckets: &[Bucket<'_>], out: &mut dyn FnMut(Line<'_>)) {
    let mut row = 0;
    for bucket in buckets {
        for value in bucket.results {
            row += 1;
            let charge = json_charge(value, row, bucket);
            let charges = charge.and_then(|charge| charges(charge, &|name| fields::quantity(value, name)));
            hand_on(row, bucket.start.date_naive(), charges, out);
        }
    }
}

fn json_charge<'v>(value: &'v Value, row: u32, bucket: &Bucket<'_>) -> Result<Charge<'v>, String> {
    let mut charge = started(value, OBJECT, row, bucket)?;
    charge.service_tier = dimension(value, "service_tier")?.map(tier);
    charge.batch = match value.get("batch") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(batch)) => Some(*batch),
        other => return Err(format!("batch: expected true or false, found {}", fields::found(other))),
    };
    Ok(charge)
}

/// Hands on one row of an export; the file as a whole is never refused for it.
pub fn csv_row(row: &CsvRow<'_, '_>, out: &mut dyn FnMut(Line<'_>)) -> Result<(), BadPage> {
    let charges = csv_charge(row).and_then(|charge| charges(charge, &|name| row.fields.quantity(name)));
    hand_on(row.number, row.start.date_naive(), charges, out);
    Ok(())
}

fn csv_charge<'r>(row: &CsvRow<'r, '_>) -> Result<Charge<'r>, String> {
    let mut charge = Charge::new(row.number, row.start, row.end, Currency::USD);
    charge.sub_account = row.fields.text("project_id");
    charge.api_key_id = row.fields.text("api_key_id");
    charge.label = row.fields.text("user_id");
    charge.model = row.fields.text("model");
    charge.service_tier = row.fields.text("service_tier").map(tier);
    charge.batch = match row.fields.text("batch") {
        None => None,
        Some(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Some(text) => return Err(format!("batch: expected TRUE or FALSE, found {text:?}")),
    };
    Ok(charge)
}

/// Our word for a tier. A call asked for as `fast` is served and priced as `priority`.
fn tier(name: &str) -> &str {
    match name {
        "default" => "standard",
        "fast" => "priority",
        other => other,
    }
}

fn hand_on(row: u32, day: chrono::NaiveDate, charges: Result<Vec<Charge<'_>>, String>, out: &mut dyn FnMut(Line<'_>)) {
    match charges {
        Ok(charges) if charges.is_empty() => out(Line::Nothing { row, day }),
        Ok(charges) => charges.into_iter().for_each(|charge| out(Line::Charge(charge))),
        Err(reason) => out(Line::Quarantined(Quarantined { row, day: Some(day), reason, amount: None, currency: None })),
    }
}

/// One charge for each token class with tokens, from a charge that has the row's dimensions.
///
/// # Errors
/// A count that is missing, not whole or below 0, or classes that do not add up to their total.
fn charges<'a>(charge: Charge<'a>, get: Get<'_>) -> Result<Vec<Charge<'a>>, String> {
    let needed = |name: &str| whole(name, get(name)?);
    let optional = |name: &str| get(name)?.map(|count| whole(name, Some(count))).transpose();
    let input = needed("input_tokens")?;
    let output = needed("output_tokens")?;
    let calls = requests(get("num_model_requests")?)?;
    let cached = optional("input_cached_tokens")?.unwrap_or_default();
    let written = optional("input_cache_write_tokens")?.unwrap_or_default();
    let uncached = uncached(input, cached, written, optional("input_uncached_tokens")?)?;
    let mut classes = split(uncached, INPUT, &optional)?;
    classes.extend(split(cached, CACHED, &optional)?);
    classes.push((meter::CACHE_WRITE_5M_TOKENS, written));
    classes.extend(split(output, OUTPUT, &optional)?);
    classes.retain(|(_, count)| !count.is_zero());
    let mut calls = Some(calls);
    let of_class =
        |(meter, count)| Charge { meter: Some(meter), quantity: Some(count), requests: calls.take(), ..charge.clone() };
    Ok(classes.into_iter().map(of_class).collect())
}

/// Uncached input. Older answers do not have it; where it is there, the classes must make the total.
fn uncached(input: Amount, cached: Amount, written: Amount, uncached: Option<Amount>) -> Result<Amount, String> {
    let too_large = || "input_tokens: the classes are too large to add".to_string();
    let cache = sum([cached, written]).ok_or_else(too_large)?;
    let Some(uncached) = uncached else {
        return match input.checked_sub(cache).filter(|rest| !rest.is_negative()) {
            Some(rest) => Ok(rest),
            None => {
                Err(format!("input_tokens: expected at least {cache} (cached {cached}, cache write {written}), found {input}"))
            }
        };
    };
    let classes = sum([cache, uncached]).ok_or_else(too_large)?;
    if classes == input {
        return Ok(uncached);
    }
    let parts = format!("cached {cached}, cache write {written}, uncached {uncached}");
    Err(format!("input_tokens: expected {classes} ({parts}), found {input}"))
}

/// A class by modality where that is complete, else as a whole: older answers have audio only, and
/// what is left would be a guess.
fn split(
    total: Amount,
    fields: Modalities,
    count: &dyn Fn(&str) -> Result<Option<Amount>, String>,
) -> Result<Vec<(&'static str, Amount)>, String> {
    let mut parts = Vec::with_capacity(fields.len());
    for (field, meter) in fields {
        parts.push((meter, count(field)?.unwrap_or_default()));
    }
    if sum(parts.iter().map(|(_, count)| *count)) == Some(total) {
        return Ok(parts);
    }
    let [(_, plain), ..] = fields;
    Ok(vec![(plain, total)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Amount;
    use crate::domain::period::{Days, from_unix, parse_day};
    use crate::domain::price::{Asked, PriceBook, PriceRow};
    use serde_json::json;

    fn read(row: &Value) -> Result<Vec<(String, String)>, String> {
        let start = from_unix(1_793_491_200).unwrap();
        let charges = charges(Charge::new(1, start, start, Currency::USD), &|name| fields::quantity(row, name))?;
        let shown = |charge: &Charge<'_>| (charge.meter.unwrap().to_string(), charge.quantity.unwrap().to_string());
        Ok(charges.iter().map(shown).collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(meter, count)| (meter.to_string(), count.to_string())).collect()
    }

    #[test]
    fn a_row_at_list_price_costs_what_was_billed() {
        let row = json!({"input_tokens": 9126, "input_cached_tokens": 4864, "output_tokens": 3197, "num_model_requests": 1});
        let (from, to) = (parse_day("2026-01-01").unwrap(), parse_day("2027-01-01").unwrap());
        let prices = [("input_tokens", "1.25"), ("cache_read_tokens", "0.125"), ("output_tokens", "10")];
        let meters = prices.map(|(meter, price)| (meter.to_string(), price.parse().unwrap())).into();
        let row_of_book = PriceRow { days: Days { from, to }, per: 1_000_000, meters, bands: vec![], tiers: [].into() };
        let book = PriceBook {
            provider: "openai".into(),
            currency: Currency::USD,
            checked: from,
            models: [("gpt-5".to_string(), vec![row_of_book])].into(),
            discounts: vec![],
        };
        let read = read(&row).unwrap();
        assert_eq!(read, pairs(&[("input_tokens", "4262"), ("cache_read_tokens", "4864"), ("output_tokens", "3197")]));
        let cost = |(meter, count): &(String, String)| {
            let asked = Asked {
                model: "gpt-5",
                meter,
                service_tier: Some("standard"),
                batch: false,
                context: Amount::ZERO,
                account: "",
                api_key_id: None,
                day: from,
            };
            book.price(asked).unwrap().cost(Amount::parse(count).unwrap()).unwrap()
        };
        assert_eq!(sum(read.iter().map(cost)).unwrap().to_string(), "0.0379055");
    }

    #[test]
    fn a_complete_split_counts_by_modality_and_an_incomplete_one_as_a_whole() {
        let row = json!({"input_tokens": 5000, "input_cached_tokens": 1800, "input_cache_write_tokens": 200,
            "input_uncached_tokens": 3000, "output_tokens": 1000, "input_text_tokens": 2500, "input_audio_tokens": 300,
            "input_image_tokens": 200, "input_cached_text_tokens": 1500, "input_cached_audio_tokens": 100,
            "input_cached_image_tokens": 200, "output_text_tokens": 800, "output_audio_tokens": 100, "num_model_requests": 5});
        assert_eq!(
            read(&row).unwrap(),
            pairs(&[
                ("input_tokens", "2500"),
                ("input_audio_tokens", "300"),
                ("input_image_tokens", "200"),
                ("cache_read_tokens", "1500"),
                ("cache_read_audio_tokens", "100"),
                ("cache_read_image_tokens", "200"),
                ("cache_write_5m_tokens", "200"),
                ("output_tokens", "1000"),
            ])
        );
    }

    #[test]
    fn classes_that_do_not_make_their_total_are_refused_with_both_figures() {
        let row = |input: u32, uncached: Option<u32>| {
            json!({"input_tokens": input, "input_cached_tokens": 60, "input_uncached_tokens": uncached,
                "output_tokens": 1, "num_model_requests": 1})
        };
        let reason = "input_tokens: expected 100 (cached 60, cache write 0, uncached 40), found 101";
        assert_eq!(read(&row(101, Some(40))).unwrap_err(), reason);
        let reason = "input_tokens: expected at least 60 (cached 60, cache write 0), found 50";
        assert_eq!(read(&row(50, None)).unwrap_err(), reason);
        assert!(read(&row(100, Some(40))).is_ok());
    }
}
