//! TOML with the line of every value. A key that is not listed in [`super::keys`] is refused with the
//! nearest known one; a value of the wrong type with an example of the right one.

use super::keys::{FileKeys, Key, Keys};
use super::nearest::{did_you_mean, nearest};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::{Days, parse_day};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use std::ops::RangeInclusive;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Longer texts are a mistake, never a name.
const TEXT_CHARS_MAX: usize = 500;

/// Where faults of a file are placed, and the exit code they carry.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    pub file: &'a str,
    pub text: &'a str,
    pub code: ExitCode,
    pub keys: &'static FileKeys,
}

impl Origin<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
    }

    fn fault(&self, line: usize, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        Fault::new(self.code, format!("{}:{line}", self.file), what, hint)
    }
}

/// Parses the text.
///
/// # Errors
/// What is not TOML, with its line.
pub fn parse<'a>(origin: &Origin<'a>) -> Result<DeTable<'a>, Fault> {
    DeTable::parse(origin.text).map(Spanned::into_inner).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let at = origin.text.get(span.clone()).filter(|at| !at.trim().is_empty() && !at.contains('\n'));
        let what =
            format!("not valid TOML: {}{}", error.message(), at.map_or(String::new(), |at| format!(", at {}", quoted(at))));
        let hint = "texts stand in quotes, a key stands once in its section, every bracket is closed";
        origin.fault(origin.line(span.start), what, hint)
    })
}

/// A table whose keys are all known.
#[derive(Clone, Copy, Debug)]
pub struct Section<'a> {
    origin: &'a Origin<'a>,
    table: &'a DeTable<'a>,
    keys: &'static Keys,
    line: usize,
}

impl<'a> Section<'a> {
    /// The whole document.
    ///
    /// # Errors
    /// The first unknown key.
    pub fn root(origin: &'a Origin<'a>, table: &'a DeTable<'a>, keys: &'static Keys) -> Result<Self, Fault> {
        Section { origin, table, keys, line: 1 }.checked()
    }

    fn checked(self) -> Result<Self, Fault> {
        let unknown = self.table.keys().filter(|key| self.keys.find(key.get_ref()).is_none());
        let Some(first) = unknown.min_by_key(|key| key.span().start) else { return Ok(self) };
        let name = first.get_ref().as_ref();
        let what = format!("unknown key {}", quoted(name));
        Err(self.origin.fault(self.origin.line(first.span().start), what, self.remedy(name)))
    }

    fn remedy(&self, name: &str) -> String {
        let here: Vec<&str> = self.keys.keys.iter().map(|key| key.name).collect();
        if let Some(near) = nearest(name, &here) {
            return format!("did you mean \"{near}\"?");
        }
        let elsewhere = self.origin.keys.sections.iter().find(|section| section.find(name).is_some());
        match elsewhere {
            Some(section) => format!("\"{name}\" belongs to {}", section.title),
            None => format!("known keys here: {}", here.join(", ")),
        }
    }

    /// Line of the section's header.
    pub fn line(&self) -> usize {
        self.line
    }

    /// A fault of the section as a whole, placed at its header.
    pub fn fault(&self, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        self.origin.fault(self.line, what, hint)
    }

    /// The value at a key; `None` when absent.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let value = self.table.get(name)?;
        let example = self.keys.find(name)?;
        Some(Value { origin: self.origin, name: example.name, example: Some(example), value })
    }

    /// The value at a key.
    ///
    /// # Errors
    /// The key is absent.
    pub fn need(&self, name: &str) -> Result<Value<'a>, Fault> {
        self.get(name).ok_or_else(|| {
            let example = self.keys.find(name).map_or("", |key| key.example);
            let within = if self.keys.title.starts_with('[') { format!(" in {}", self.keys.title) } else { String::new() };
            self.fault(format!("missing key \"{name}\"{within}"), format!("add it, for example: {name} = {example}"))
        })
    }

    /// The sections of a list `[[name]]`; none when absent.
    ///
    /// # Errors
    /// Not a list of sections, or the first unknown key in one.
    pub fn sections(&self, name: &str, keys: &'static Keys) -> Result<Vec<Section<'a>>, Fault> {
        self.get(name).map_or(Ok(Vec::new()), |value| value.sections(keys))
    }

    /// The sections of a list `[[name]]`.
    ///
    /// # Errors
    /// As [`Section::sections`]; and no section at all.
    pub fn some_sections(&self, name: &str, keys: &'static Keys) -> Result<Vec<Section<'a>>, Fault> {
        let sections = self.sections(name, keys)?;
        if sections.is_empty() {
            let owner = if self.keys.title.starts_with('[') { format!(" under {}", self.keys.title) } else { String::new() };
            let hint = format!("add a section {} with: {}", keys.title, required(keys));
            return Err(self.fault(format!("no {}{owner}", keys.title), hint));
        }
        Ok(sections)
    }

    /// Text at a key; `None` when absent.
    ///
    /// # Errors
    /// As [`Value::text`].
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, Fault> {
        self.get(name).map(|value| value.text()).transpose()
    }

    /// `from` and `to` as days; open ends reach to the calendar's.
    ///
    /// # Errors
    /// Not days, or `to` not after `from`.
    pub fn days(&self) -> Result<Days, Fault> {
        let from = self.get("from").map(|value| value.day()).transpose()?.unwrap_or(NaiveDate::MIN);
        let Some(end) = self.get("to") else { return Ok(Days { from, to: NaiveDate::MAX }) };
        let to = end.day()?;
        if to <= from {
            return Err(end.fault(
                format!("to: {to} is not after from, {from}"),
                "\"to\" is excluded: for a single day write the day after it",
            ));
        }
        Ok(Days { from, to })
    }
}

fn required(keys: &Keys) -> String {
    let names: Vec<&str> = keys
        .keys
        .iter()
        .filter(|key| key.default == "required" || key.default.starts_with("required unless"))
        .map(|key| key.name)
        .collect();
    names.join(", ")
}

/// A value with its place.
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    origin: &'a Origin<'a>,
    /// The key, for messages.
    name: &'a str,
    example: Option<&'static Key>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub fn line(&self) -> usize {
        self.origin.line(self.value.span().start)
    }

    /// The key that it stands at.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// `file:line` of the value.
    pub fn place(&self) -> String {
        format!("{}:{}", self.origin.file, self.line())
    }

    /// A fault placed at the value.
    pub fn fault(&self, what: impl Into<String>, hint: impl Into<String>) -> Fault {
        self.origin.fault(self.line(), what, hint)
    }

    /// `name: expected …, found …`, with the key's example as the remedy.
    pub fn expected(&self, what: &str) -> Fault {
        let hint = self.example.map_or(String::new(), |key| format!("for example: {} = {}", key.name, key.example));
        self.expected_with(what, hint)
    }

    /// `name: expected …, found …`.
    pub fn expected_with(&self, what: &str, hint: impl Into<String>) -> Fault {
        self.fault(format!("{}: expected {what}, found {}", self.name, found(self.value.get_ref())), hint)
    }

    /// A text: not empty, without space around it, without control characters.
    ///
    /// # Errors
    /// Anything else.
    pub fn text(&self) -> Result<&'a str, Fault> {
        let Some(text) = self.value.get_ref().as_str() else { return Err(self.expected("text in quotes")) };
        if text.is_empty() || text.chars().count() > TEXT_CHARS_MAX {
            return Err(self.expected(&format!("a text of 1 to {TEXT_CHARS_MAX} characters")));
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            let hint = "names are compared letter by letter: take these characters out";
            return Err(self.expected_with("a text without space around it and without control characters", hint));
        }
        Ok(text)
    }

    /// # Errors
    /// Anything but `true` and `false`.
    pub fn flag(&self) -> Result<bool, Fault> {
        self.value.get_ref().as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// A whole number in a range.
    ///
    /// # Errors
    /// Anything else.
    pub fn whole(&self, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let number =
            self.value.get_ref().as_integer().and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.expected(&format!("a whole number from {} to {}", range.start(), range.end())))
    }

    /// A UTC day, as text or as a TOML date.
    ///
    /// # Errors
    /// Anything but `YYYY-MM-DD` from 1970 on.
    pub fn day(&self) -> Result<NaiveDate, Fault> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(day) => day.to_string(),
            _ => String::new(),
        };
        // The length rules out what a lenient reader takes for a day: `2026-1-5`, `+12026-01-05`.
        let day = parse_day(&text).filter(|day| text.len() == 10 && *day >= NaiveDate::default());
        day.ok_or_else(|| self.expected("a day that exists, as YYYY-MM-DD"))
    }

    /// An instant with its offset, as text or as a TOML date-time.
    ///
    /// # Errors
    /// Anything but RFC 3339: without an offset the moment would depend on the machine.
    pub fn instant(&self) -> Result<DateTime<Utc>, Fault> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Datetime(instant) => instant.to_string(),
            _ => String::new(),
        };
        let instant = DateTime::parse_from_rfc3339(&text).map(|instant| instant.with_timezone(&Utc));
        instant.map_err(|_| self.expected("an instant with its offset (RFC 3339)"))
    }

    /// A decimal in quotes, not negative, below 1,000,000,000, with at most so many decimals.
    ///
    /// The bounds keep the product of price, tier, batch and discount within the 28 digits that a
    /// decimal holds, so that it is exact (house-style.md section 7).
    ///
    /// # Errors
    /// A bare number, whose digits a TOML reader may change; a sign, an exponent, a separator; too many digits.
    pub fn decimal(&self, decimals_max: usize) -> Result<Decimal, Fault> {
        let text = match self.value.get_ref() {
            DeValue::String(text) => text.as_ref(),
            DeValue::Integer(number) => return Err(self.unquoted(&number.to_string())),
            DeValue::Float(number) => return Err(self.unquoted(&number.to_string())),
            _ => return Err(self.expected_with("a number in quotes", "for example: \"2.50\"")),
        };
        if let Some(number) = text.strip_prefix('-').filter(|number| plain(number)) {
            return Err(self.expected_with("a number that is not negative", format!("write \"{number}\", or leave it out")));
        }
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if !plain(text) {
            let hint = "digits and one decimal point: no sign, exponent, separator or currency";
            return Err(self.expected_with("a plain number", hint));
        }
        if decimals.len() > decimals_max || whole.trim_start_matches('0').len() > 9 {
            let hint = "write it with fewer digits";
            return Err(self.expected_with(&format!("a number below 1000000000 with at most {decimals_max} decimals"), hint));
        }
        Decimal::from_str_exact(text).map_err(|_| self.expected_with("a plain number", "for example: \"2.50\""))
    }

    fn unquoted(&self, digits: &str) -> Fault {
        let hint = format!("write it in quotes: \"{digits}\"; without them digits may be lost");
        self.expected_with("a number in quotes", hint)
    }

    /// The values of a list.
    ///
    /// # Errors
    /// Not a list.
    pub fn list(&self) -> Result<Vec<Value<'a>>, Fault> {
        let DeValue::Array(items) = self.value.get_ref() else { return Err(self.expected("a list")) };
        Ok(items.iter().map(|value| Value { value, ..*self }).collect())
    }

    /// The texts of a list, each once.
    ///
    /// # Errors
    /// Not a list of texts, or one that stands twice.
    pub fn texts(&self) -> Result<Vec<(&'a str, Value<'a>)>, Fault> {
        let mut texts: Vec<(&str, Value<'_>)> = Vec::new();
        for value in self.list()? {
            let text = value.text()?;
            if texts.iter().any(|(other, _)| *other == text) {
                return Err(value.fault(format!("{}: {} stands twice", self.name, quoted(text)), "take one of them out"));
            }
            texts.push((text, value));
        }
        Ok(texts)
    }

    /// As [`Value::texts`], with at least one.
    ///
    /// # Errors
    /// As [`Value::texts`]; and an empty list.
    pub fn some_texts(&self) -> Result<Vec<(&'a str, Value<'a>)>, Fault> {
        let texts = self.texts()?;
        if texts.is_empty() { Err(self.expected("a list with at least one entry")) } else { Ok(texts) }
    }

    /// A table with keys of the file's own choice, in the order of the file; at least one.
    ///
    /// # Errors
    /// Not a table, or an empty one.
    pub fn pairs(&self) -> Result<Vec<(&'a str, Value<'a>)>, Fault> {
        let DeValue::Table(table) = self.value.get_ref() else { return Err(self.expected("a table")) };
        let mut pairs: Vec<(usize, &str, &Spanned<DeValue<'_>>)> =
            table.iter().map(|(key, value)| (key.span().start, key.get_ref().as_ref(), value)).collect();
        pairs.sort_by_key(|(at, ..)| *at);
        if pairs.is_empty() {
            return Err(self.expected("a table with at least one entry"));
        }
        Ok(pairs.into_iter().map(|(_, name, value)| (name, Value { name, example: None, value, ..*self })).collect())
    }

    /// A single section `[name]`.
    ///
    /// # Errors
    /// Not a table, or the first unknown key in it.
    pub fn section(&self, keys: &'static Keys) -> Result<Section<'a>, Fault> {
        let DeValue::Table(table) = self.value.get_ref() else {
            return Err(self.expected_with("a section", format!("write it as a section with the header {}", keys.title)));
        };
        Section { origin: self.origin, table, keys, line: self.line() }.checked()
    }

    /// The sections of a list.
    ///
    /// # Errors
    /// Not a list of tables, or the first unknown key in one.
    pub fn sections(&self, keys: &'static Keys) -> Result<Vec<Section<'a>>, Fault> {
        let DeValue::Array(items) = self.value.get_ref() else {
            let hint = format!("there may be several: each starts with the header {}", keys.title);
            return Err(self.expected_with("a list of sections", hint));
        };
        items.iter().map(|value| Value { value, ..*self }.section(keys)).collect()
    }

    /// One of a few words.
    ///
    /// # Errors
    /// Another word, with the nearest known one.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Result<T, Fault> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        found.ok_or_else(|| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(format!("{}: unknown {} {}", self.name, self.name, quoted(text)), did_you_mean(text, &known))
        })
    }
}

/// Digits with at most one point among them.
fn plain(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    let points = text.bytes().filter(|byte| *byte == b'.').count();
    digits > 0 && points <= 1 && digits + points == text.len() && !text.starts_with('.') && !text.ends_with('.')
}

/// A text in quotes for messages: escaped, never longer than 60 characters.
pub fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let more = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{short}{more}"))
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.is_empty() => "an empty text".to_string(),
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string().chars().take(60).collect(),
        DeValue::Float(number) => number.to_string().chars().take(60).collect(),
        DeValue::Boolean(flag) => flag.to_string(),
        DeValue::Datetime(instant) => instant.to_string(),
        DeValue::Array(items) if items.is_empty() => "an empty list".to_string(),
        DeValue::Array(_) => "a list".to_string(),
        DeValue::Table(_) => "a table".to_string(),
    }
}
