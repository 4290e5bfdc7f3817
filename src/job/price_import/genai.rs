//! genai-prices' data: providers with models; a model's prices are one object, or several with first days.

use super::{CACHE_READ_AUDIO_TOKENS, Draft, INPUT_AUDIO_TOKENS, OUTPUT_AUDIO_TOKENS, PER, Row, Terms, price};
use crate::domain::period::parse_day;
use crate::domain::usage::meter;
use chrono::NaiveDate;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Key, meter, units that its price is for.
const METERS: [(&str, &str, i64); 12] = [
    ("input_mtok", meter::INPUT_TOKENS, PER),
    ("output_mtok", meter::OUTPUT_TOKENS, PER),
    ("cache_read_mtok", meter::CACHE_READ_TOKENS, PER),
    ("cache_write_mtok", meter::CACHE_WRITE_5M_TOKENS, PER),
    ("cache_write_1h_mtok", meter::CACHE_WRITE_1H_TOKENS, PER),
    ("input_audio_mtok", INPUT_AUDIO_TOKENS, PER),
    ("output_audio_mtok", OUTPUT_AUDIO_TOKENS, PER),
    ("cache_audio_read_mtok", CACHE_READ_AUDIO_TOKENS, PER),
    ("input_image_mtok", "input_image_tokens", PER),
    ("output_image_mtok", "output_image_tokens", PER),
    ("cache_image_read_mtok", "cache_read_image_tokens", PER),
    ("web_searches_kcount", meter::WEB_SEARCHES, 1000),
];

/// Reads the models of a provider; the providers of the data, or nothing where it is no such data.
pub fn read(data: &Value, terms: Terms<'_>, out: &mut Draft) -> Option<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for provider in data.as_array()? {
        let id = provider.get("id")?.as_str()?;
        let models = provider.get("models")?.as_array()?;
        if known.insert(id.to_string()) && id == terms.provider {
            let mut seen = BTreeSet::new();
            for model in models {
                let id = model.get("id")?.as_str()?;
                if seen.insert(id) {
                    one(id, model, terms, out);
                } else {
                    out.leave(id, "the whole entry", "the model is there twice; the first is taken");
                }
            }
        }
    }
    Some(known)
}

fn one(model: &str, entry: &Value, terms: Terms<'_>, out: &mut Draft) {
    if entry.get("match").is_some_and(|rule| rule.get("equals").and_then(Value::as_str) != Some(model)) {
        out.leave(model, "match", "only the model's id is in the book; write other names of it into a names map");
    }
    match entry.get("prices") {
        Some(Value::Object(prices)) => dated(model, vec![(None, prices)], terms, out),
        Some(Value::Array(list)) => {
            let mut entries = Vec::new();
            for entry in list {
                let Some(prices) = entry.get("prices").and_then(Value::as_object) else {
                    out.leave(model, "prices", "an entry without prices");
                    continue;
                };
                match first_day(entry.get("constraint")) {
                    Ok(day) => entries.push((day, prices)),
                    Err(why) => out.leave(model, "constraint", why),
                }
            }
            dated(model, entries, terms, out);
        }
        _ => out.leave(model, "prices", "it has no prices"),
    }
}

fn first_day(constraint: Option<&Value>) -> Result<Option<NaiveDate>, String> {
    let Some(constraint) = constraint.filter(|constraint| !constraint.is_null()) else { return Ok(None) };
    let only_start =
        constraint.as_object().is_some_and(|keys| keys.iter().all(|(key, value)| key == "start_date" || value.is_null()));
    let start = constraint.get("start_date").and_then(Value::as_str).and_then(parse_day).filter(|_| only_start);
    start.map(Some).ok_or_else(|| format!("prices by day only, not by {constraint}"))
}

/// Rows by their first day; of two from one day the later in the data holds, as there.
fn dated(model: &str, entries: Vec<(Option<NaiveDate>, &Map<String, Value>)>, terms: Terms<'_>, out: &mut Draft) {
    let mut by_day: BTreeMap<Option<NaiveDate>, &Map<String, Value>> = BTreeMap::new();
    for (day, prices) in entries {
        if by_day.insert(day, prices).is_some() {
            out.leave(model, "prices", "two entries from the same day; the later one is taken");
        }
    }
    let next = by_day.keys().flatten().next().copied();
    for (day, prices) in by_day {
        let from = match (day, next) {
            (Some(day), _) => day,
            (None, Some(next)) if terms.from >= next => {
                out.leave(
                    model,
                    "prices",
                    format!("the price before {next}: its first day is not given; --from takes an earlier day"),
                );
                continue;
            }
            (None, _) => terms.from,
        };
        let mut row = Row::new(model, from);
        for (name, value) in prices.iter().filter(|(_, value)| !value.is_null()) {
            match METERS.iter().find(|(key, ..)| key == name) {
                None => out.leave(model, name, "a price book has no meter for it"),
                Some((_, meter, is_for)) => figure((meter, *is_for), name, value, &mut row, out),
            }
        }
        if row.meters.is_empty() {
            out.leave(model, "prices", format!("nothing from {from} that a price book can say"));
            // What came before does not hold on.
            if let Some(before) = out.rows.last_mut().filter(|before| before.model == model) {
                before.to = before.to.or(Some(from));
            }
            continue;
        }
        row.settle_bands(out);
        out.rows.push(row);
    }
}

/// A price, or one with others above so many input tokens, which then hold for the whole call.
fn figure((meter, is_for): (&'static str, i64), name: &str, value: &Value, row: &mut Row, out: &mut Draft) {
    let (base, tiers) = match value {
        Value::Object(banded) => (banded.get("base").unwrap_or(&Value::Null), banded.get("tiers").and_then(Value::as_array)),
        plain => (plain, None),
    };
    match price(base, is_for) {
        Ok(price) => {
            row.meters.insert(meter, price);
        }
        Err(why) => out.leave(&row.model, name, why),
    }
    for tier in tiers.into_iter().flatten() {
        let start = tier.get("start").and_then(Value::as_u64).filter(|start| (1..=1_000_000_000_000).contains(start));
        match (start, price(tier.get("price").unwrap_or(&Value::Null), is_for)) {
            (Some(start), Ok(price)) => {
                row.bands.entry(start).or_default().insert(meter, price);
            }
            (None, _) => out.leave(&row.model, name, "a tier without a start"),
            (_, Err(why)) => out.leave(&row.model, name, why),
        }
    }
}
