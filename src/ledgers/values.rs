//! Values inside the texts of a row: numbers by their digits, JSON objects, maps as column stores print them.

use crate::domain::money::Amount;
use crate::domain::period::parse_instant;
use serde_json::Value;

/// A text for a message, at most 40 characters.
pub fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// A number by its digits.
///
/// # Errors
/// A text that is no number.
pub fn digits(field: &str, text: &str) -> Result<Amount, String> {
    Amount::parse(text).map_err(|error| format!("{field}: {error}"))
}

/// A number that may be absent.
///
/// # Errors
/// As [`digits`].
pub fn number(field: &str, text: Option<&str>) -> Result<Option<Amount>, String> {
    text.map(|text| digits(field, text)).transpose()
}

/// A text as a JSON value, also where the JSON was written as a JSON text once more. Nothing is null.
///
/// # Errors
/// A text that is no JSON.
pub fn json(field: &str, text: Option<&str>) -> Result<Value, String> {
    let Some(text) = text else { return Ok(Value::Null) };
    let bad = || format!("{field}: expected JSON, found {}", shown(text));
    match serde_json::from_str(text).map_err(|_| bad())? {
        Value::String(inner) if inner.trim().is_empty() => Ok(Value::Null),
        Value::String(inner) => serde_json::from_str(&inner).map_err(|_| bad()),
        value => Ok(value),
    }
}

/// What stands at a path of members.
pub fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// The text or number at a path.
pub fn text_at(value: &Value, path: &[&str]) -> Option<String> {
    plain(at(value, path)?)
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_string()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The number at the first of the paths that has one.
pub fn number_at(value: &Value, paths: &[&[&str]]) -> Option<Amount> {
    paths.iter().find_map(|path| Amount::parse(&text_at(value, path)?).ok())
}

/// The value after `label:` among tags.
pub fn tag<'t>(tags: &'t [String], label: &str) -> Option<&'t str> {
    tags.iter().find_map(|tag| tag.strip_prefix(label)?.strip_prefix(':')).map(str::trim).filter(|text| !text.is_empty())
}

/// The texts of a JSON list.
pub fn texts(value: &Value) -> Vec<String> {
    value.as_array().map_or(Vec::new(), |list| list.iter().filter_map(plain).collect())
}

/// A map's entries: a JSON object, a JSON list of `{key, value}`, or `{'key':'value'}` as column stores print.
///
/// # Errors
/// A text that is none of these.
pub fn map(field: &str, text: Option<&str>) -> Result<Vec<(String, String)>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let quoted;
    let text = if text.starts_with("{'") {
        quoted = json_quotes(text);
        &quoted
    } else {
        text
    };
    let entry = |value: &Value| Some((text_at(value, &["key"])?, text_at(value, &["value"])?));
    match json(field, Some(text))? {
        Value::Null => Ok(Vec::new()),
        Value::Object(members) => Ok(members.iter().filter_map(|(key, value)| Some((key.clone(), plain(value)?))).collect()),
        Value::Array(entries) => Ok(entries.iter().filter_map(entry).collect()),
        _ => Err(format!("{field}: expected a map, found {}", shown(text))),
    }
}

/// `{'a':'it\'s'}` with the quotes of JSON.
fn json_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => out.push('"'),
            '"' => out.push_str("\\\""),
            '\\' => match letters.next() {
                Some('\'') => out.push('\''),
                Some(next) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Microseconds of an instant since 1970: what versions are compared by.
pub fn micros(text: &str) -> Option<i64> {
    parse_instant(text).map(|at| at.timestamp_micros())
}

/// `a - b`, which is not negative; `None` where it would be.
pub fn less(a: Amount, b: Amount) -> Option<Amount> {
    a.checked_sub(b).filter(|rest| !rest.is_negative())
}

/// The sum of quantities; far below what could overflow, because each passed a limit.
pub fn sum(quantities: &[Option<Amount>]) -> Amount {
    crate::domain::money::sum(quantities.iter().flatten().copied()).unwrap_or_default()
}

/// A universally unique id, in hexadecimal with or without dashes: not an id of a provider's answer.
pub fn is_unique_id(text: &str) -> bool {
    let digits = text.bytes().filter(|byte| *byte != b'-');
    matches!(text.len(), 32 | 36) && digits.clone().count() == 32 && digits.into_iter().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_come_in_three_forms() {
        let wanted = vec![("Team".to_string(), "it's".to_string()), ("n".to_string(), "3".to_string())];
        for text in [
            r#"{"Team":"it's","n":3}"#,
            r#"[{"key":"Team","value":"it's"},{"key":"n","value":3}]"#,
            r"{'Team':'it\'s','n':3}",
            r#""{\"Team\":\"it's\",\"n\":3}""#,
        ] {
            assert_eq!(map("properties", Some(text)).as_ref(), Ok(&wanted), "{text}");
        }
        assert_eq!(map("properties", Some("{}")), Ok(Vec::new()));
        assert!(map("properties", Some("{'a'")).is_err());
    }

    #[test]
    fn unique_ids_are_told_from_answers() {
        assert!(is_unique_id("7b1d2a90-55c1-4bb2-9b1e-0e2f3f0a6d44"));
        assert!(is_unique_id("d41d8cd98f00b204e9800998ecf8427e"));
        assert!(!is_unique_id("msg_01HqZ8rT4vXb2nKd9Wc3Lm7P"));
        assert!(!is_unique_id("chatcmpl-CxQ2p7Vb1sCxQ2p7Vb1sCxQ2p"));
    }
}
