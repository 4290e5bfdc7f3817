//! Texts that stand for something: currencies, providers, meters.

use super::nearest::{meter_slip, provider_slip};
use super::toml_at::{Value, quoted};
use crate::domain::fault::Fault;
use crate::domain::money::Currency;

/// An ISO 4217 code in capitals.
///
/// # Errors
/// Anything else.
pub fn currency(value: &Value<'_>) -> Result<Currency, Fault> {
    let text = value.text()?;
    let hint = "write an ISO 4217 code of three capitals, such as \"USD\" or \"EUR\"";
    Currency::parse(text)
        .ok()
        .filter(|currency| currency.code() == text)
        .ok_or_else(|| value.fault(format!("{}: unknown currency {}", value.name(), quoted(text)), hint))
}

/// A provider in a reference file. It needs no adapter, since a ledger may know providers that we
/// have no bill of; a near miss of one that has is refused.
///
/// # Errors
/// Not a text, or a slip.
pub fn provider<'a>(value: &Value<'a>) -> Result<&'a str, Fault> {
    let text = value.text()?;
    let near = provider_slip(text).map(|near| format!("did you mean \"{near}\"?"));
    near.map_or(Ok(text), |hint| Err(value.fault(format!("{}: unknown provider {}", value.name(), quoted(text)), hint)))
}

/// A meter by `name`, which stands at `value` as key or as text. Providers have meters of their own;
/// a near miss of a shared one is refused.
///
/// # Errors
/// Not `snake_case`, or a slip.
pub fn meter<'a>(name: &'a str, value: &Value<'_>) -> Result<&'a str, Fault> {
    let small = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let hint = match meter_slip(name) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if small && name.starts_with(|first: char| first.is_ascii_lowercase()) => return Ok(name),
        None => "meters are written like input_tokens: small letters, digits and _".to_string(),
    };
    Err(value.fault(format!("unknown meter {}", quoted(name)), hint))
}
