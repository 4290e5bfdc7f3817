//! LiteLLM's price map: one object for each model, with dollars for one unit under many keys.

use super::{CACHE_READ_AUDIO_TOKENS, Draft, INPUT_AUDIO_TOKENS, OUTPUT_AUDIO_TOKENS, Row, Terms, decimals, price};
use crate::domain::money::Amount;
use crate::domain::usage::meter;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Key, the modes it has a meter in (any where empty), meter.
const METERS: [(&str, &[&str], &str); 18] = [
    ("input_cost_per_token", &[], meter::INPUT_TOKENS),
    ("output_cost_per_token", &[], meter::OUTPUT_TOKENS),
    ("cache_read_input_token_cost", &[], meter::CACHE_READ_TOKENS),
    ("cache_creation_input_token_cost", &[], meter::CACHE_WRITE_5M_TOKENS),
    ("cache_creation_input_token_cost_above_1hr", &[], meter::CACHE_WRITE_1H_TOKENS),
    ("input_cost_per_audio_token", &[], INPUT_AUDIO_TOKENS),
    ("output_cost_per_audio_token", &[], OUTPUT_AUDIO_TOKENS),
    ("cache_read_input_audio_token_cost", &[], CACHE_READ_AUDIO_TOKENS),
    ("input_cost_per_image_token", &[], "input_image_tokens"),
    ("output_cost_per_image_token", &[], "output_image_tokens"),
    ("cache_read_input_image_token_cost", &[], "cache_read_image_tokens"),
    ("input_cost_per_video_token", &[], "input_video_tokens"),
    ("output_cost_per_image", &["image_generation", "image_edit"], meter::IMAGES),
    ("output_cost_per_second", &["video_generation"], meter::VIDEO_SECONDS),
    ("output_cost_per_video_per_second", &["video_generation"], meter::VIDEO_SECONDS),
    ("input_cost_per_second", &["audio_transcription"], meter::AUDIO_SECONDS),
    ("input_cost_per_character", &["audio_speech"], meter::CHARACTERS),
    ("ocr_cost_per_page", &["ocr"], "pages"),
];
/// Prices of a search by the size of its context, an object.
const SEARCHES: &str = "search_context_cost_per_query";
/// The price of thinking, where the map has one of its own.
const REASONING: &str = "output_cost_per_reasoning_token";
/// Meters of the work as a whole: a row may count it and the tokens, and would cost twice.
const WHOLES: [&str; 4] = [meter::IMAGES, meter::VIDEO_SECONDS, meter::AUDIO_SECONDS, meter::CHARACTERS];
/// Meters that only some calls have, and that a tier often has no price of.
const MEDIA: [&str; 3] = ["audio_tokens", "image_tokens", "video_tokens"];
/// End of a key → service tier.
const TIERS: [(&str, &str); 3] = [("_batches", "batch"), ("_priority", "priority"), ("_flex", "flex")];
const TIER_DECIMALS_MAX: usize = 4;

/// A key taken apart.
struct Key {
    meter: &'static str,
    above: Option<u64>,
    tier: Option<&'static str>,
}

/// Prices of a row: no band or the band → meter → price.
type Cells = BTreeMap<(Option<u64>, &'static str), Amount>;

/// A name of the map with its fields.
type Variant<'a> = (&'a str, &'a Map<String, Value>);

/// Reads the models of a provider; the providers of the map, or nothing where it is no such map.
pub fn read(map: &Value, terms: Terms<'_>, out: &mut Draft) -> Option<BTreeSet<String>> {
    let wanted = named_there(terms.provider);
    let mut known = BTreeSet::new();
    // The plain name goes before the one with the provider in front, whatever their order in the file.
    let mut models: BTreeMap<&str, Vec<Variant<'_>>> = BTreeMap::new();
    for (name, entry) in map.as_object()? {
        let Some(provider) = entry.get("litellm_provider").and_then(Value::as_str).filter(|_| name != "sample_spec") else {
            continue;
        };
        known.insert(provider.to_string());
        if let Some(entry) = entry.as_object().filter(|_| provider == wanted) {
            let model = name.strip_prefix(wanted).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name);
            models.entry(model).or_default().push((name, entry));
        }
    }
    for (model, mut entries) in models {
        entries.sort_by_key(|(name, _)| (name.len(), *name));
        let mut entries = entries.into_iter();
        if let Some((_, entry)) = entries.next() {
            one(model, entry, terms, out);
        }
        for (name, _) in entries {
            out.leave(
                name,
                "the whole entry",
                format!("{model} is in the map without its provider's name too; that one is taken"),
            );
        }
    }
    (!known.is_empty()).then_some(known)
}

/// What LiteLLM calls a provider.
fn named_there(provider: &str) -> &str {
    match provider {
        "google" => "gemini",
        "fal" => "fal_ai",
        "bfl" => "black_forest_labs",
        same => same,
    }
}

fn one(model: &str, entry: &Map<String, Value>, terms: Terms<'_>, out: &mut Draft) {
    let mode = entry.get("mode").and_then(Value::as_str).unwrap_or_default();
    let mut cells = Cells::new();
    let mut variants: BTreeMap<&'static str, Cells> = BTreeMap::new();
    let keys: BTreeMap<&String, &Value> = entry.iter().filter(|(key, value)| is_money(key) && !value.is_null()).collect();
    let mut priced = false;
    for (name, value) in keys {
        priced = true;
        if name == SEARCHES && value.is_object() {
            match one_price(value) {
                Ok(price) => {
                    cells.insert((None, meter::WEB_SEARCHES), price);
                }
                Err(why) => out.leave(model, name, why),
            }
            continue;
        }
        if name == REASONING && entry.get("output_cost_per_token") == Some(value) {
            // Reasoning is output, and costs the same.
            continue;
        }
        let Some(key) = taken_apart(name, mode) else {
            out.leave(model, name, "a price book has no meter or rule for it");
            continue;
        };
        match price(value, 1) {
            Ok(price) => {
                let cells = key.tier.map_or(&mut cells, |tier| variants.entry(tier).or_default());
                cells.insert((key.above, key.meter), price);
            }
            Err(why) => {
                if let Some(tier) = key.tier {
                    variants.entry(tier).or_default();
                }
                out.leave(model, name, why);
            }
        }
    }
    if !priced {
        out.leave(model, "the whole entry", "it has no price");
    }
    take_out(model, &mut cells, &mut variants, out);
    let mut row = Row::new(model, terms.from);
    for ((above, meter), price) in &cells {
        match above {
            None => row.meters.insert(meter, *price),
            Some(above) => row.bands.entry(*above).or_default().insert(meter, *price),
        };
    }
    row.settle_bands(out);
    for (tier, prices) in variants {
        match multiplier(&cells, &prices) {
            Ok(multiplier) => {
                row.tiers.insert(tier, multiplier);
            }
            Err(why) => out.leave(model, &format!("tier {tier}"), why),
        }
    }
    if !row.meters.is_empty() {
        out.rows.push(row);
    }
}

/// What a search costs where the size of its context makes no difference.
fn one_price(by_size: &Value) -> Result<Amount, String> {
    let [low, medium, high] = ["low", "medium", "high"].map(|size| by_size.get(format!("search_context_size_{size}")));
    match low.filter(|_| low == medium && medium == high) {
        Some(all) => price(all, 1),
        None => Err("it depends on the size of the context, which no row says".to_string()),
    }
}

/// Takes out what would make a book wrong: a price of the whole beside one of its tokens, and prices of media that a tier
/// has not, where it has the others, because a tier of a book changes every price.
fn take_out(model: &str, cells: &mut Cells, variants: &mut BTreeMap<&'static str, Cells>, out: &mut Draft) {
    let priced = |cells: &Cells, meter: &str| cells.keys().any(|(_, known)| *known == meter);
    let by_tokens = priced(cells, meter::INPUT_TOKENS) || priced(cells, meter::OUTPUT_TOKENS);
    let wholes = WHOLES.into_iter().filter(|meter| by_tokens && priced(cells, meter));
    let mut without: BTreeMap<&str, String> =
        wholes.map(|meter| (meter, "it is priced by tokens too, and a row with both would cost twice".to_string())).collect();
    for (tier, prices) in &*variants {
        for (_, meter) in cells.keys().filter(|(_, meter)| MEDIA.iter().any(|kind| meter.ends_with(kind))) {
            if !prices.is_empty() && !priced(prices, meter) {
                without.entry(meter).or_insert_with(|| format!("tier {tier} has no price of it, which it would change too"));
            }
        }
    }
    for (meter, why) in without {
        cells.retain(|(_, other), _| *other != meter);
        variants.values_mut().for_each(|prices| prices.retain(|(_, other), _| *other != meter));
        out.leave(model, meter, why);
    }
}

/// Keys that say what something costs, whatever they are called.
fn is_money(key: &str) -> bool {
    ["cost", "pric", "multiplier", "uplift", "provider_specific_entry"].iter().any(|part| key.contains(part))
}

fn taken_apart(name: &str, mode: &str) -> Option<Key> {
    let (rest, tier) =
        TIERS.iter().find_map(|(end, tier)| name.strip_suffix(end).map(|rest| (rest, Some(*tier)))).unwrap_or((name, None));
    let (base, above) = match rest.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_")) {
        None => (rest, None),
        Some((base, thousands)) => {
            (base, Some(thousands.parse::<u64>().ok().filter(|t| (1..=1_000_000_000).contains(t))? * 1000))
        }
    };
    let (_, _, meter) = METERS.iter().find(|(key, only, _)| *key == base && (only.is_empty() || only.contains(&mode)))?;
    Some(Key { meter, above, tier })
}

/// The one multiplier of a tier. A price book multiplies every price of a row by it, so every one of them
/// must have its price in the tier: nothing is taken to cost what the map does not say.
fn multiplier(cells: &Cells, prices: &Cells) -> Result<Amount, String> {
    let mut found: Option<Amount> = None;
    // A call of a tool costs the same in every tier.
    for (place @ (above, meter), base) in cells.iter().filter(|((_, meter), _)| meter::unit(meter) != "calls") {
        let at = above.map(|above| format!(" above {above} tokens")).unwrap_or_default();
        let Some(price) = prices.get(place) else {
            return Err(format!("it has no price of {meter}{at}, which it would change too"));
        };
        let ratio =
            price.ratio(*base).filter(|ratio| decimals(*ratio) <= TIER_DECIMALS_MAX && base.times(*ratio) == Some(*price));
        let Some(ratio) = ratio else { return Err(format!("{price} is no multiple of {base} ({meter}{at}) with 4 decimals")) };
        if *found.get_or_insert(ratio) != ratio {
            return Err(format!("its prices are no single multiple of the standard ones: {meter}{at} is times {ratio}"));
        }
    }
    if prices.keys().any(|place| !cells.contains_key(place)) {
        return Err("it has prices of what has no standard price".to_string());
    }
    found.ok_or_else(|| "no standard price to multiply".to_string())
}
