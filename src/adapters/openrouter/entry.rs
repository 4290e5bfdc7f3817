//! What all reports share: the checks on their figures, and one row's figures into charges.

use super::{BadPage, fields};
use crate::domain::money::{Amount, Currency, MONEY_LIMIT, Read};
use crate::domain::period::{Days, parse_instant};
use crate::domain::usage::{Charge, CostBasis, Line, Precision, Quarantined, meter};
use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde_json::Value;
use std::borrow::Cow;

/// The figures of one row. What names the row (period, model, key, …) stands in the charge beside it.
pub struct Figures {
    /// Credits charged: inference on credits, and the fee on own keys.
    pub usage: Read,
    /// Inference on the customer's own keys, estimated at list price.
    pub estimate: Option<Read>,
    pub requests: Option<u64>,
    pub tokens: Tokens,
    /// How the source writes its amounts.
    pub precision: Precision,
}

/// Token counts in our disjoint classes. Reasoning is part of the output and may even exceed what the
/// provider calls completion; it is not counted apart.
pub struct Tokens {
    pub input: Option<Amount>,
    pub cache_read: Option<Amount>,
    pub output: Option<Amount>,
}

impl Tokens {
    /// From counts as OpenRouter keeps them: cached ones are part of the prompt. Where the report has no
    /// cached count the whole prompt is input.
    pub fn split(
        prompt: Option<Amount>,
        (cached_field, cached): (&str, Option<Amount>),
        output: Option<Amount>,
    ) -> Result<Tokens, String> {
        let input = match (prompt, cached) {
            (Some(prompt), Some(cached)) if cached > prompt => {
                return Err(format!("{cached_field}: expected at most the prompt's {prompt} tokens, found {cached}"));
            }
            (Some(prompt), Some(cached)) => prompt.checked_sub(cached),
            (prompt, _) => prompt,
        };
        Ok(Tokens { input, cache_read: cached, output })
    }
}

/// Hands on the charges of one row: its money with the number of calls, the estimate apart, and
/// quantities without money for the tokens, since the report has one amount for all of them.
pub fn hand_on(shared: &Charge<'_>, figures: &Figures, out: &mut dyn FnMut(Line<'_>)) {
    out(Line::Charge(Charge {
        meter: Some(meter::REQUESTS),
        quantity: figures.requests.and_then(|requests| i64::try_from(requests).ok()).map(Amount::whole),
        requests: figures.requests,
        cost: Some(figures.usage.amount),
        residue: figures.usage.residue,
        precision: figures.precision,
        ..shared.clone()
    }));
    if let Some(estimate) = figures.estimate.filter(|estimate| !estimate.amount.is_zero()) {
        out(Line::Charge(Charge {
            meter: Some(meter::REQUESTS),
            cost: Some(estimate.amount),
            residue: estimate.residue,
            basis: CostBasis::Estimated,
            precision: figures.precision,
            ..shared.clone()
        }));
    }
    let Tokens { input, cache_read, output } = figures.tokens;
    for (name, count) in [(meter::INPUT_TOKENS, input), (meter::CACHE_READ_TOKENS, cache_read), (meter::OUTPUT_TOKENS, output)] {
        if let Some(count) = count.filter(|count| !count.is_zero()) {
            out(Line::Charge(Charge { meter: Some(name), quantity: Some(count), ..shared.clone() }));
        }
    }
}

/// Sets a row aside, with its day and its amount where they can be read.
pub fn set_aside(row: u32, reason: String, when: Option<&str>, amount: Option<Amount>, out: &mut dyn FnMut(Line<'_>)) {
    let day = when.and_then(parse_instant).map(|instant| instant.date_naive());
    // One beyond the limit would spoil the sum of what is set aside.
    let amount = amount.filter(|amount| amount.abs() < MONEY_LIMIT);
    // OpenRouter's money is US dollars throughout; no field says so.
    let currency = amount.map(|_| Currency::USD);
    out(Line::Quarantined(Quarantined { row, day, reason, amount, currency }));
}

/// Refuses an export that ends within a row: what followed it is gone too.
pub fn refuse_cut(fault_of_last_row: Option<String>, bytes: &[u8]) -> Result<(), BadPage> {
    match fault_of_last_row {
        Some(fault) if !bytes.ends_with(b"\n") => {
            Err(BadPage::new(format!("last row: {fault}, and no end of line"), "export the file again: it is cut short"))
        }
        _ => Ok(()),
    }
}

/// Money that must be there: not negative, since no negative amounts are documented, and below the
/// limit that keeps sums exact.
pub fn money(field: &str, read: Option<Read>) -> Result<Read, String> {
    let read = read.ok_or_else(|| format!("{field}: expected a number, found nothing"))?;
    optional_money(field, Some(read)).map(|_| read)
}

/// Like [`money`], where the report may leave it out.
pub fn optional_money(field: &str, read: Option<Read>) -> Result<Option<Read>, String> {
    match read {
        Some(read) if read.amount.is_negative() => Err(format!("{field}: expected 0 or more, found {}", read.amount)),
        Some(read) if read.amount >= MONEY_LIMIT => Err(format!("{field}: {} is too large to be true", read.amount)),
        other => Ok(other),
    }
}

/// A count: whole and not negative.
pub fn count(field: &str, amount: Option<Amount>) -> Result<Option<Amount>, String> {
    match amount {
        Some(amount) if amount.is_negative() || amount.rounded(0) != amount => {
            Err(format!("{field}: expected a whole number, 0 or more, found {amount}"))
        }
        other => Ok(other),
    }
}

/// A count of calls.
pub fn calls(field: &str, amount: Option<Amount>) -> Result<Option<u64>, String> {
    let count = count(field, amount)?;
    Ok(count.and_then(|count| u64::try_from(count.atto() / Amount::ONE.atto()).ok()))
}

/// A name: text, or a number taken by its digits (ids). `None` when absent, null or empty.
pub fn name<'v>(value: &'v Value, key: &str) -> Result<Option<&'v str>, String> {
    let text = match value.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim(),
        Some(Value::Number(number)) => number.as_str(),
        other => return Err(format!("{key}: expected a text, found {}", fields::found(other))),
    };
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// An instant that must be there.
pub fn instant(field: &str, text: Option<&str>) -> Result<DateTime<Utc>, String> {
    let text = text.ok_or_else(|| format!("{field}: expected a time, found nothing"))?;
    parse_instant(text).ok_or_else(|| format!("{field}: expected a time, found {:?}", excerpt(text)))
}

/// The bucket of `width` that starts at an instant; it must lie on the width's grid in UTC.
pub fn bucket(field: &str, start: DateTime<Utc>, width: Duration) -> Result<(DateTime<Utc>, DateTime<Utc>), String> {
    let seconds = width.num_seconds();
    let end = start.checked_add_signed(width).filter(|_| seconds > 0 && start.timestamp() % seconds == 0);
    end.filter(|_| start.timestamp_subsec_nanos() == 0).map(|end| (start, end)).ok_or_else(|| {
        let unit = if width == Duration::days(1) { "UTC day" } else { "bucket" };
        format!("{field}: expected the start of a {unit}, found {}", start.format("%FT%TZ"))
    })
}

/// `model:variant`. The plain variant has no name, and a suffix that is there already stays alone:
/// the same model costs nothing as `:free` and money without.
pub fn with_variant<'m>(model: &'m str, variant: Option<&str>) -> Cow<'m, str> {
    match variant {
        None | Some("" | "standard") => Cow::Borrowed(model),
        Some(_) if model.contains(':') => Cow::Borrowed(model),
        Some(variant) => Cow::Owned(format!("{model}:{variant}")),
    }
}

/// The dated name of a model where the report gives it, with the variant that only the other name has.
pub fn permaslug<'m>(model: Option<&'m str>, permaslug: Option<&'m str>) -> Option<Cow<'m, str>> {
    match (model, permaslug) {
        (Some(model), Some(permaslug)) => Some(with_variant(permaslug, model.split_once(':').map(|(_, variant)| variant))),
        (model, permaslug) => permaslug.or(model).map(Cow::Borrowed),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(40).collect()
}

/// The first and the last day that a report's rows have. An answer or export is one range of days
/// without gaps, so that a day between without rows is a known zero.
#[derive(Clone, Copy, Default)]
pub struct Span {
    ends: Option<(NaiveDate, NaiveDate)>,
}

impl Span {
    pub fn add(&mut self, day: NaiveDate) {
        self.ends = Some(self.ends.map_or((day, day), |(first, last)| (first.min(day), last.max(day))));
    }

    /// Adds the day of a time, where it can be read.
    pub fn add_text(&mut self, when: Option<&str>) {
        if let Some(instant) = when.and_then(parse_instant) {
            self.add(instant.date_naive());
        }
    }

    pub fn days(self) -> Option<Days> {
        let (from, last) = self.ends?;
        Some(Days { from, to: last.succ_opt()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variants_are_part_of_the_model() {
        assert_eq!(with_variant("a/b", Some("free")), "a/b:free");
        assert_eq!(with_variant("a/b", Some("standard")), "a/b");
        assert_eq!(with_variant("a/b:free", Some("free")), "a/b:free");
        assert_eq!(with_variant("a/b", None), "a/b");
        assert_eq!(permaslug(Some("a/b:free"), Some("a/b-2025-01-02")).unwrap(), "a/b-2025-01-02:free");
        assert_eq!(permaslug(Some("a/b"), None).unwrap(), "a/b");
        assert_eq!(permaslug(None, None), None);
    }

    #[test]
    fn counts_are_whole() {
        let amount = |text: &str| Some(Amount::parse(text).unwrap());
        assert_eq!(calls("requests", amount("12.0")), Ok(Some(12)));
        assert!(calls("requests", amount("1.5")).is_err());
        assert!(calls("requests", amount("-1")).is_err());
    }

    #[test]
    fn cached_tokens_leave_the_input() {
        let whole = |number| Some(Amount::whole(number));
        let tokens = Tokens::split(whole(10), ("cached", whole(4)), None).unwrap();
        assert_eq!((tokens.input, tokens.cache_read, tokens.output), (whole(6), whole(4), None));
        assert!(Tokens::split(whole(10), ("cached", whole(11)), None).is_err());
        assert_eq!(Tokens::split(whole(10), ("cached", None), None).unwrap().input, whole(10));
    }

    #[test]
    fn a_bucket_must_start_where_buckets_start() {
        let at = |text: &str| parse_instant(text).unwrap();
        assert!(bucket("date", at("2026-11-18"), Duration::days(1)).is_ok());
        assert!(bucket("date", at("2026-11-18T10:00:00Z"), Duration::days(1)).is_err());
        assert!(bucket("date", DateTime::<Utc>::MAX_UTC, Duration::days(1)).is_err());
    }
}
