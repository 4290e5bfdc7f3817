//! Whether a body can be a page at all: its type, UTF-8, and for JSON its form, depth and keys
//! (reliability.md section 4). What the page says is the adapter's matter.

use super::body::shown;
use super::{Answer, Failure};
use crate::adapters::request::Form;
use crate::domain::fault::ExitCode;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

const DEPTH_MAX: usize = 64;
/// What the JSON reader hands a number on as, so that its digits survive.
const NUMBER: &str = "$serde_json::private::Number";

/// Checks an answer.
///
/// # Errors
/// [`ExitCode::Protocol`] with what is wrong and an excerpt.
pub fn check(answer: &Answer, form: Form) -> Result<(), Failure> {
    let failure = |what: String| {
        let excerpt = shown(&answer.bytes);
        let excerpt = if excerpt.is_empty() { String::new() } else { format!("; it begins: {excerpt}") };
        let hint = "check base_url; a proxy, a login page or a change of the provider's API looks like this";
        Failure::new(ExitCode::Protocol, format!("{what}{excerpt}"), hint)
    };
    let kind = answer.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let fits = match form {
        Form::Json => kind == "application/json" || kind.ends_with("+json"),
        Form::Csv => ["text/csv", "text/plain", "application/csv", "application/octet-stream"].contains(&kind.as_str()),
    };
    if !fits {
        let kind = if kind.is_empty() { "without a type".to_string() } else { shown(kind.as_bytes()) };
        return Err(failure(format!("the answer is {kind}, expected {}", name(form))));
    }
    let Ok(text) = std::str::from_utf8(&answer.bytes) else {
        return Err(failure("the answer is not UTF-8 text".to_string()));
    };
    if text.trim().is_empty() {
        return Err(failure("the answer is empty".to_string()));
    }
    match form {
        Form::Csv => Ok(()),
        Form::Json => json(text).map_err(failure),
    }
}

fn name(form: Form) -> &'static str {
    match form {
        Form::Json => "application/json",
        Form::Csv => "text/csv",
    }
}

/// One JSON value, not deeper than 64, no key twice in an object.
pub fn json(text: &str) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = Depth(0).deserialize(&mut reader).and_then(|()| reader.end());
    read.map_err(|error| {
        let what = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = what.strip_suffix(&place).unwrap_or(&what).to_string();
        format!("the answer is no sound JSON: {what}{place}")
    })
}

/// Reads a value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn deeper<E: Error>(self) -> Result<Depth, E> {
        if self.0 >= DEPTH_MAX { Err(E::custom(format!("nested deeper than {DEPTH_MAX}"))) } else { Ok(Depth(self.0 + 1)) }
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while list.next_element_seed(deeper)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == NUMBER {
                return map.next_value_seed(Depth(0));
            }
            map.next_value_seed(self.deeper()?)?;
            if !seen.insert(key.clone()) {
                let key: String = key.chars().take(40).collect();
                return Err(A::Error::custom(format!("the key {key:?} stands twice in one object")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_json_passes_and_nothing_else() {
        let nested = |depth: usize| format!("{}1.50{}", "[".repeat(depth), "]".repeat(depth));
        for good in ["{}", " [1, -2.5e400, null, true, \"x\"] ", "{\"a\":{\"a\":1},\"b\":0.1}", &nested(64)] {
            assert_eq!(json(good), Ok(()), "{good}");
        }
        for (bad, said) in [
            ("{\"a\":1,\"b\":2,\"a\":1}", "\"a\" stands twice"),
            (&nested(65), "deeper than 64"),
            (&"[".repeat(100_000), "deeper than 64"),
            (&"{\"a\":".repeat(70), "deeper than 64"),
            ("{\"a\":1", "EOF"),
            ("{} {}", "trailing"),
            ("{\"a\":NaN}", "expected value"),
            ("{\"a\":01}", "invalid number"),
            ("", "EOF"),
        ] {
            let what = json(bad).unwrap_err();
            assert!(what.contains(said), "{what} should say {said}");
        }
    }
}
