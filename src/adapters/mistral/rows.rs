//! One usage row into a charge: quantity as consumed, cost from what is charged of it.

use super::super::fields;
use super::month::Month;
use super::prices::{Price, Priced, Quote, cost, quote};
use super::walk::{Figure, Found};
use super::word;
use crate::domain::money::{Amount, Currency, Read};
use crate::domain::period::parse_instant;
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use chrono::{DateTime, Days as DayCount, NaiveDate, NaiveTime, Utc};
use serde_json::Value;
use std::borrow::Cow;

/// What holds for all rows of a page.
pub struct PageFacts<'v> {
    pub currency: Currency,
    pub month: Option<Month>,
    pub prices: &'v [Price<'v>],
    pub workspace: Option<&'v str>,
}

/// Names that say what is counted where a model's name is expected (`libraries_api.pages`).
const NO_MODELS: [&str; 6] = ["pages", "tokens", "audio_seconds", "seconds", "characters", "connectors"];

const PAGES: &str = "pages";

/// Hands on a figure; says on which day its row is.
pub fn hand_on(number: u32, figure: &Figure<'_>, page: &PageFacts<'_>, out: &mut dyn FnMut(Line<'_>)) -> Option<NaiveDate> {
    let set_aside = |reason: String| Quarantined { row: number, day: None, reason, amount: None, currency: None };
    match figure {
        Figure::Row(found) => row(number, found, page, out),
        Figure::Storage { name, value } => {
            match storage(number, name, value, page) {
                Ok(Some(charge)) => out(Line::Charge(charge)),
                Ok(None) => {
                    if let Some(month) = page.month {
                        out(Line::Nothing { row: number, day: month.days.from });
                    }
                }
                Err(reason) => out(Line::Quarantined(set_aside(format!("fine_tuning.storage.{name}: {reason}")))),
            }
            // A figure of the whole month says nothing about how far its days are known.
            None
        }
        Figure::VibeUsage(value) => {
            let reason = format!("vibe_usage: expected 0 in this field of old, found {}", fields::found(Some(value)));
            out(Line::Quarantined(set_aside(reason)));
            None
        }
    }
}

/// What a model takes up in storage over the month. Its unit is not documented and the price table has
/// none for it, so it is a quantity without cost.
fn storage<'v>(number: u32, name: &'v str, value: &Value, page: &PageFacts<'v>) -> Result<Option<Charge<'v>>, String> {
    let Some(quantity) = quantity(&serde_json::json!({ "storage": value }), "storage")? else { return Ok(None) };
    if quantity.is_zero() {
        return Ok(None);
    }
    let days = page.month.map(|month| month.days).ok_or("a number for the month, but the page does not say which month")?;
    Ok(Some(Charge {
        sub_account: page.workspace,
        model: Some(name),
        sku: Some("fine_tuning.storage, no price"),
        meter: Some("fine_tuning_storage"),
        quantity: Some(quantity),
        ..Charge::new(number, midnight(days.from), midnight(days.to), page.currency)
    }))
}

fn row(number: u32, found: &Found<'_>, page: &PageFacts<'_>, out: &mut dyn FnMut(Line<'_>)) -> Option<NaiveDate> {
    let day = day(found.value, page.month);
    let charged = charged(found, page);
    let set_aside = |reason: String, day: Option<NaiveDate>, amount: Option<Amount>| {
        let currency = amount.map(|_| page.currency);
        Line::Quarantined(Quarantined { row: number, day, reason, amount, currency })
    };
    let known = day.as_ref().ok().copied();
    match (charged, day) {
        (Err(reason), _) => out(set_aside(reason, known, None)),
        (Ok(Some(charged)), Err(reason)) => out(set_aside(reason, None, charged.cost.map(|cost| cost.amount))),
        (Ok(None), Err(reason)) => out(set_aside(reason, None, None)),
        (Ok(None), Ok(day)) => out(Line::Nothing { row: number, day }),
        (Ok(Some(charged)), Ok(day)) => {
            let start = midnight(day);
            let end = start.checked_add_days(DayCount::new(1)).unwrap_or(start);
            out(Line::Charge(Charge {
                sub_account: page.workspace,
                model: charged.model,
                service_tier: charged.of.tier,
                sku: Some(&charged.sku),
                meter: charged.meter.as_deref(),
                quantity: Some(charged.quantity),
                cost: charged.cost.map(|cost| cost.amount),
                residue: charged.cost.map_or(0, |cost| cost.residue),
                ..Charge::new(number, start, end, page.currency)
            }));
        }
    }
    known
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The row's UTC day. A row of another month would count again on that month's page.
fn day(row: &Value, month: Option<Month>) -> Result<NaiveDate, String> {
    let text = word(row, "timestamp")?.ok_or("timestamp: expected a day, found nothing")?;
    let found = || fields::found(row.get("timestamp"));
    let day = parse_instant(text).map(|instant| instant.date_naive());
    let day = day.ok_or_else(|| format!("timestamp: expected a day like 2026-11-17, found {}", found()))?;
    match month.map(|month| month.days).filter(|days| !days.contains(day)) {
        Some(days) => Err(format!("timestamp: expected a day from {} to before {}, found {}", days.from, days.to, found())),
        None => Ok(day),
    }
}

/// What a row counts and costs.
struct Charged<'v> {
    of: Priced<'v>,
    model: Option<&'v str>,
    sku: String,
    meter: Option<Cow<'v, str>>,
    quantity: Amount,
    cost: Option<Read>,
}

/// `None` for a row of zeros.
fn charged<'v>(found: &Found<'v>, page: &PageFacts<'_>) -> Result<Option<Charged<'v>>, String> {
    let value = found.value;
    if !value.is_object() {
        return Err(format!("{}: expected a usage row, found {}", found.category, fields::found(Some(value))));
    }
    let consumed = quantity(value, "value")?.ok_or("value: expected a number, found nothing")?;
    let stated = quantity(value, "value_paid")?;
    let paid = stated.unwrap_or(consumed);
    if consumed.is_zero() && paid.is_zero() {
        return Ok(None);
    }
    let (alias, billed) = match found.name.map(|name| name.split_once("::").ok_or(name)) {
        Some(Ok((alias, billed))) => (Some(alias), Some(billed)),
        Some(Err(name)) => (Some(name), Some(name)),
        None => (word(value, "billing_display_name")?, None),
    };
    let stated_of = Priced::read(value)?;
    let of = Priced { metric: stated_of.metric.or(billed), group: stated_of.group.or(found.group), ..stated_of };
    let mut words: Vec<&str> = alias.into_iter().chain([found.category.as_str()]).collect();
    words.extend(of.zone);
    words.extend(word(value, "usage_type")?.filter(|kind| *kind != "usage"));
    if stated.is_none() {
        words.push("value_paid not given");
    }
    let cost = match quote(page.prices, &of) {
        Quote::Price(price) => Some(cost(price, paid)?),
        Quote::Refused(reason) => return Err(reason),
        Quote::Unpriced(why) => {
            words.push(why);
            None
        }
    };
    Ok(Some(Charged {
        of,
        model: of.metric.filter(|metric| !NO_MODELS.contains(metric)).or(billed),
        sku: words.join(", "),
        meter: counted(&found.category, &of),
        quantity: consumed,
        cost,
    }))
}

/// A quantity: zero or more, with at most 18 decimals.
fn quantity(value: &Value, key: &str) -> Result<Option<Amount>, String> {
    match fields::number(value, key)? {
        Some(Read { amount, residue }) if amount.is_negative() || residue != 0 => {
            Err(format!("{key}: expected 0 or more with at most 18 decimals, found {}", fields::found(value.get(key))))
        }
        read => Ok(read.map(|read| read.amount)),
    }
}

/// What a row counts: by its event, else by the category it stands in. `None` when neither says.
fn counted<'v>(category: &str, of: &Priced<'v>) -> Option<Cow<'v, str>> {
    let kind = category.rsplit('.').next().unwrap_or(category);
    let name = match (of.event_type, kind) {
        // A page count, whatever the event's name says of tokens.
        _ if of.metric == Some(PAGES) => PAGES,
        (Some("api_tokens" | "api_libraries_tokens" | "deployment_tokens" | "vibe_tokens"), _)
        | (None, "completion" | "chat" | "tokens" | "training") => return tokens(of.group?),
        (Some("api_pages" | "api_libraries_pages" | "vibe_pages"), _) | (None, "ocr" | "pages") => PAGES,
        (Some("api_audio_seconds" | "api_libraries_audio" | "vibe_audio_seconds"), _) | (None, "audio" | "audio_seconds") => {
            meter::AUDIO_SECONDS
        }
        (Some("api_audio_characters" | "vibe_audio_characters"), _) | (None, "audio_characters") => meter::CHARACTERS,
        (Some("api_connectors" | "vibe_connectors"), _) | (None, "connectors") => "connector_calls",
        (Some("gpu_hour"), _) => "gpu_hours",
        (Some("reserved_instance"), _) => "reserved_instances",
        (Some(other), _) => other,
        (None, _) => return None,
    };
    Some(Cow::Borrowed(name))
}

/// Cached input stands beside input, not within it (Mistral sheet section 2.1, the sample's sum).
fn tokens(group: &str) -> Option<Cow<'_, str>> {
    Some(Cow::Borrowed(match group {
        "input" => meter::INPUT_TOKENS,
        "cached" => meter::CACHE_READ_TOKENS,
        "output" => meter::OUTPUT_TOKENS,
        other => return Some(Cow::Owned(format!("{other}_tokens"))),
    }))
}
