//! Usage that is counted in one figure a row: embeddings, moderations, images, speech, transcription,
//! storage, code interpreter, web and file search. Completions have a file of their own.

use super::super::fields;
use super::buckets::Bucket;
use super::line_item::FILE_SEARCH_CALLS;
use crate::domain::money::{Amount, Currency};
use crate::domain::usage::{Charge, Line, Quarantined, meter};
use serde_json::Value;

/// A usage endpoint whose rows count one thing.
pub struct Family {
    pub report: &'static str,
    pub object: &'static str,
    /// The endpoint's last part as file names have it; two endpoints are not named as their objects.
    pub path: &'static str,
    /// The field that is billed, and what it counts.
    field: &'static str,
    meter: &'static str,
    /// Whether `num_model_requests` are calls of this report. A web search's calls are rows of
    /// completions already, and would be counted twice.
    has_requests: bool,
    /// Dimensions that only this family has; together they are its sku.
    sku: &'static [&'static str],
}

const fn family(
    report: &'static str,
    object: &'static str,
    path: &'static str,
    field: &'static str,
    meter: &'static str,
) -> Family {
    Family { report, object, path, field, meter, has_requests: true, sku: &[] }
}

pub static FAMILIES: [Family; 9] = [
    family("usage_embeddings", "organization.usage.embeddings.result", "embeddings", "input_tokens", meter::INPUT_TOKENS),
    family("usage_moderations", "organization.usage.moderations.result", "moderations", "input_tokens", meter::INPUT_TOKENS),
    Family {
        sku: &["source", "size"],
        ..family("usage_images", "organization.usage.images.result", "images", "images", meter::IMAGES)
    },
    family("usage_audio_speeches", "organization.usage.audio_speeches.result", "audio_speeches", "characters", meter::CHARACTERS),
    family(
        "usage_audio_transcriptions",
        "organization.usage.audio_transcriptions.result",
        "audio_transcriptions",
        "seconds",
        meter::AUDIO_SECONDS,
    ),
    Family {
        has_requests: false,
        ..family(
            "usage_vector_stores",
            "organization.usage.vector_stores.result",
            "vector_stores",
            "usage_bytes",
            "vector_store_bytes",
        )
    },
    Family {
        has_requests: false,
        ..family(
            "usage_code_interpreter_sessions",
            "organization.usage.code_interpreter_sessions.result",
            "code_interpreter_sessions",
            "num_sessions",
            "code_interpreter_sessions",
        )
    },
    // `num_requests` are the searches; they are what is billed.
    Family {
        has_requests: false,
        sku: &["context_level"],
        ..family(
            "usage_web_searches",
            "organization.usage.web_searches.result",
            "web_search",
            "num_requests",
            meter::WEB_SEARCHES,
        )
    },
    Family {
        has_requests: false,
        sku: &["vector_store_id"],
        ..family(
            "usage_file_searches",
            "organization.usage.file_searches.result",
            "file_search",
            "num_requests",
            FILE_SEARCH_CALLS,
        )
    },
];

/// The family whose rows have this `object`.
pub fn family_of(object: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.object == object)
}

/// Hands on the rows of a page.
pub fn json(family: &Family, buckets: &[Bucket<'_>], out: &mut dyn FnMut(Line<'_>)) {
    let mut row = 0;
    for bucket in buckets {
        let day = bucket.start.date_naive();
        for value in bucket.results {
            row += 1;
            let sku = sku(family, value);
            match charge(family, value, row, bucket, &sku) {
                Ok(charge) if charge.quantity.is_some_and(Amount::is_zero) => out(Line::Nothing { row, day }),
                Ok(charge) => out(Line::Charge(charge)),
                Err(reason) => {
                    out(Line::Quarantined(Quarantined { row, day: Some(day), reason, amount: None, currency: None }));
                }
            }
        }
    }
}

fn sku(family: &Family, value: &Value) -> String {
    let parts = family.sku.iter().filter_map(|name| fields::text(value, name).map(|text| format!("{name}={text}")));
    parts.collect::<Vec<_>>().join(" ")
}

fn charge<'a>(family: &Family, value: &'a Value, row: u32, bucket: &Bucket<'_>, sku: &'a str) -> Result<Charge<'a>, String> {
    let mut charge = started(value, family.object, row, bucket)?;
    charge.sku = Some(sku).filter(|sku| !sku.is_empty());
    charge.meter = Some(family.meter);
    charge.quantity = Some(whole(family.field, fields::quantity(value, family.field)?)?);
    if family.has_requests {
        charge.requests = Some(requests(fields::quantity(value, "num_model_requests")?)?);
    }
    Ok(charge)
}

/// A charge with the dimensions that all usage rows have.
///
/// # Errors
/// The row is another report's, or a dimension is not text.
pub fn started<'a>(value: &'a Value, object: &str, row: u32, bucket: &Bucket<'_>) -> Result<Charge<'a>, String> {
    if fields::text(value, "object") != Some(object) {
        return Err(format!("object: expected {object:?}, found {}", fields::found(value.get("object"))));
    }
    let mut charge = Charge::new(row, bucket.start, bucket.end, Currency::USD);
    charge.sub_account = dimension(value, "project_id")?;
    charge.api_key_id = dimension(value, "api_key_id")?;
    charge.label = dimension(value, "user_id")?;
    charge.model = dimension(value, "model")?;
    Ok(charge)
}

/// A grouping field: `None` when absent, null or blank. Null is both "not grouped by this" and "not
/// attributed"; which of the two, only the question that was asked can tell.
///
/// # Errors
/// Something other than text, named by field.
pub fn dimension<'v>(value: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        other => Err(format!("{key}: expected text, found {}", fields::found(other))),
    }
}

/// A count that must be there.
///
/// # Errors
/// Nothing, less than 0, or not whole.
pub fn whole(name: &str, count: Option<Amount>) -> Result<Amount, String> {
    match count {
        None => Err(format!("{name}: expected a whole number, found nothing")),
        Some(count) if count.is_negative() => Err(format!("{name}: expected 0 or more, found {count}")),
        Some(count) if count.atto() % Amount::ONE.atto() != 0 => Err(format!("{name}: expected a whole number, found {count}")),
        Some(count) => Ok(count),
    }
}

/// `num_model_requests`.
///
/// # Errors
/// As [`whole`].
pub fn requests(count: Option<Amount>) -> Result<u64, String> {
    let count = whole("num_model_requests", count)?;
    u64::try_from(count.atto() / Amount::ONE.atto()).map_err(|_| format!("num_model_requests: {count} is too large"))
}
