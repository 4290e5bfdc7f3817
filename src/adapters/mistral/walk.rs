//! Finds every usage row of a page, wherever it stands: categories nest, and new ones appear.

use super::super::{BadPage, fields};
use serde_json::Value;

/// The categories of the published form.
pub const CATEGORIES: [&str; 9] =
    ["completion", "ocr", "connectors", "audio", "audio_characters", "chat", "libraries_api", "fine_tuning", "vibe_code"];
/// What is no category.
const ABOUT: [&str; 9] =
    ["date", "previous_month", "next_month", "start_date", "end_date", "currency", "currency_symbol", "prices", "vibe_usage"];
/// Holds models or directly their rows; not part of a category's name.
const MODELS: &str = "models";

/// Something on the page that counts.
pub enum Figure<'v> {
    Row(Found<'v>),
    /// `fine_tuning.storage`: a number for the month, without day, unit or price.
    Storage {
        name: &'v str,
        value: &'v Value,
    },
    /// `vibe_usage`, which is said to be always 0, and is not.
    VibeUsage(&'v Value),
}

/// A row and where it stands.
pub struct Found<'v> {
    /// `completion`, `libraries_api.pages`, …
    pub category: String,
    /// `<alias>::<billed model>`, or one name.
    pub name: Option<&'v str>,
    pub group: Option<&'v str>,
    pub value: &'v Value,
}

/// All figures of a page, in the order of their names (the members of a JSON object have no other), and
/// rows of one list in its order.
///
/// # Errors
/// A known category that is no object.
pub fn figures(page: &Value) -> Result<Vec<Figure<'_>>, BadPage> {
    let mut found = Vec::new();
    for (key, value) in page.as_object().into_iter().flatten() {
        let known = CATEGORIES.contains(&key.as_str());
        if key == "vibe_usage" {
            if !matches!(fields::quantity(page, key), Ok(None)) && !is_zero(value) {
                found.push(Figure::VibeUsage(value));
            }
        } else if known && !value.is_object() && !value.is_null() {
            return Err(BadPage::new(
                format!("{key}: expected an object with models, found {}", fields::found(Some(value))),
                "save the page again",
            ));
        } else if !ABOUT.contains(&key.as_str()) {
            descend(value, &mut vec![key], known, &mut found);
        }
    }
    Ok(found)
}

fn is_zero(value: &Value) -> bool {
    let digits = value.as_number().map(|number| number.as_str()).or(value.as_str());
    digits.is_some_and(|digits| crate::domain::money::Amount::parse(digits).is_ok_and(|amount| amount.is_zero()))
}

fn descend<'v>(value: &'v Value, path: &mut Vec<&'v str>, known: bool, found: &mut Vec<Figure<'v>>) {
    let below_models = path.contains(&MODELS);
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                path.push(key);
                descend(value, path, known, found);
                path.pop();
            }
        }
        Value::Array(rows) => {
            for row in rows.iter().filter(|row| known || below_models || is_row(row)) {
                found.push(Figure::Row(placed(path, row)));
            }
        }
        Value::Null => {}
        _ if below_models => found.push(Figure::Row(placed(path, value))),
        _ => {
            if let ["fine_tuning", "storage", name] = path[..] {
                found.push(Figure::Storage { name, value });
            }
        }
    }
}

/// A list outside of all known places holds usage when its rows look like it.
fn is_row(value: &Value) -> bool {
    ["value", "value_paid", "billing_metric"].iter().any(|key| value.get(key).is_some())
}

fn placed<'v>(path: &[&'v str], value: &'v Value) -> Found<'v> {
    let (category, rest) = match path.iter().position(|part| *part == MODELS) {
        Some(at) => (path.get(..at), path.get(at + 1..)),
        None => {
            let at = path.len().saturating_sub(2).max(1);
            (path.get(..at), path.get(at..))
        }
    };
    let (name, group) = match rest.unwrap_or_default() {
        [] => (None, None),
        [only] if path.contains(&MODELS) => (Some(*only), None),
        [only] => (None, Some(*only)),
        [name, .., group] => (Some(*name), Some(*group)),
    };
    Found { category: category.unwrap_or_default().join("."), name, group, value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_nesting_is_walked() {
        let row = || json!([{ "value": 1 }]);
        let page = json!({
            "completion": { "models": { "a::b": { "input": row() } } },
            "libraries_api": { "pages": { "models": { "c": { "input": row() } } } },
            "fine_tuning": { "training": { "ft": { "training": row() } }, "storage": { "ft": 3 } },
            "vibe_code": { "audio": { "models": { "d": row(), "e": 7 } } },
            "robots": { "models": { "f::g": { "input": row() } } },
            "minutes": row(),
            "notes": [{ "text": "no row" }], "total": 5, "vibe_usage": 0.0, "date": "2026-11-01T00:00:00Z",
        });
        let found: Vec<String> = figures(&page)
            .unwrap()
            .iter()
            .map(|figure| match figure {
                Figure::Row(row) => format!("{} {:?} {:?}", row.category, row.name, row.group),
                Figure::Storage { name, .. } => format!("storage {name}"),
                Figure::VibeUsage(_) => "vibe_usage".to_string(),
            })
            .collect();
        assert_eq!(
            found,
            [
                r#"completion Some("a::b") Some("input")"#,
                "storage ft",
                r#"fine_tuning.training Some("ft") Some("training")"#,
                r#"libraries_api.pages Some("c") Some("input")"#,
                "minutes None None",
                r#"robots Some("f::g") Some("input")"#,
                r#"vibe_code.audio Some("d") None"#,
                r#"vibe_code.audio Some("e") None"#,
            ]
        );
        assert!(figures(&json!({ "completion": [] })).is_err());
        assert_eq!(figures(&json!({ "vibe_usage": 3.5 })).unwrap().len(), 1);
    }
}
