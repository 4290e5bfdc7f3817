//! Compares pages with the fields that this version knows of each report, so that a field which a provider adds, or
//! which turns from number to text, is named instead of passed over (reliability.md section 5).
//!
//! What is known stands in each provider's `fields.txt`:
//!
//! ```text
//! costs costs_total                    reports; `@ . data` after them: the places where these fields may stand
//!   data.results.amount.value number   a field and what may stand in it; lists do not count as a step
//!   usage.* number                     any name: the names are data
//!   columns name                       texts that are names: each is a field in it
//!   settings any                       not looked into
//!   | amount_value                     a column of its table; `Cost (*)` is any currency's
//! ```
//!
//! Null may stand everywhere. A page's own fields decide nothing here: what the adapter does with a page is its business.

use super::{Adapter, Report};
use crate::domain::schema::{Change, Kind, Notice, Schema};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Most new fields of a report that are named; the others are counted.
const NAMED_MAX: usize = 20;
/// Most characters of a name that a page has made up.
const NAME_MAX: usize = 80;
/// Rows of a table that are searched for its header: exports may say other things before it.
const HEADER_ROWS: usize = 30;
const ANY: &str = "*";
/// What the JSON reader hands a number on as, so that its digits survive.
const NUMBER: &str = "$serde_json::private::Number";

/// Kinds as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kinds(u8);

impl Kinds {
    fn with(self, kind: Kind) -> Kinds {
        Kinds(self.0 | 1 << kind as u8)
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    fn list(self) -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| self.has(*kind)).collect()
    }
}

/// A field, known before any page is looked at.
#[derive(Clone, Debug, Default)]
struct Field {
    path: String,
    /// Places of its members by name.
    members: BTreeMap<String, usize>,
    expected: Kinds,
    seen: Kinds,
    /// Its inside is nobody's business.
    is_any: bool,
    /// Its texts are names.
    is_name: bool,
}

/// A report's known fields, with what pages have shown of them.
#[derive(Clone, Debug)]
struct Known {
    /// The first is the page itself.
    fields: Vec<Field>,
    /// In small letters, with whether a page had it.
    columns: BTreeMap<String, bool>,
    new: BTreeSet<String>,
    more: BTreeSet<String>,
}

/// The reports of a run as their pages come.
#[derive(Debug, Default)]
pub struct Schemas(BTreeMap<(&'static str, &'static str), Option<Known>>);

impl Schemas {
    /// Looks at a page that was read.
    pub fn page(&mut self, adapter: &dyn Adapter, report: &Report, bytes: &[u8]) {
        let Some(known) = self.known(adapter, report) else { return };
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        match bytes.trim_ascii_start().first() {
            Some(b'{' | b'[') => known.json(bytes),
            _ => known.table(bytes),
        }
    }

    /// Looks at the names of a typed export's columns.
    pub fn columns(&mut self, adapter: &dyn Adapter, report: &Report, header: &[&str]) {
        if let Some(known) = self.known(adapter, report) {
            known.header(header.iter().copied());
        }
    }

    fn known(&mut self, adapter: &dyn Adapter, report: &Report) -> Option<&mut Known> {
        let known = || Known::of(adapter.fields(), report.name);
        self.0.entry((adapter.name(), report.name)).or_insert_with(known).as_mut()
    }

    /// What the pages of each report looked like.
    pub fn finish(self) -> Vec<Schema> {
        let known = self.0.into_iter().filter_map(|(name, known)| Some((name, known?)));
        known.map(|((provider, report), known)| known.schema(provider, report)).collect()
    }
}

impl Known {
    /// `None` for a report that the list does not have.
    fn of(list: &str, report: &str) -> Option<Known> {
        let mut known =
            Known { fields: vec![Field::default()], columns: BTreeMap::new(), new: BTreeSet::new(), more: BTreeSet::new() };
        let (mut listed, mut places) = (false, None);
        for line in list.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let Some(entry) = line.strip_prefix("  ") else {
                let (reports, at) = line.split_once(" @ ").unwrap_or((line, "."));
                places = reports.split(' ').any(|name| name == report).then(|| at.split(' ').collect::<Vec<_>>());
                listed |= places.is_some();
                continue;
            };
            let Some(places) = &places else { continue };
            match entry.strip_prefix("| ") {
                Some(column) => _ = known.columns.insert(column.to_lowercase(), false),
                None => places.iter().for_each(|place| known.list(place, entry)),
            }
        }
        listed.then_some(known)
    }

    /// Takes a line of the list: a field's path and what may stand in it.
    fn list(&mut self, place: &str, entry: &str) {
        let mut words = entry.split(' ');
        let path = words.next().unwrap_or_default();
        let steps = place.split('.').chain(path.split('.')).filter(|step| !step.is_empty());
        let at = steps.fold(0, |at, step| self.member(at, step));
        let Some(field) = self.fields.get_mut(at) else { return };
        for word in words {
            match word {
                "any" => field.is_any = true,
                "name" => field.is_name = true,
                kind => {
                    field.expected = Kind::ALL.into_iter().filter(|known| known.name() == kind).fold(field.expected, Kinds::with)
                }
            }
        }
    }

    /// The member of a field, made where it is not there yet.
    fn member(&mut self, at: usize, name: &str) -> usize {
        let next = self.fields.len();
        let Some(field) = self.fields.get_mut(at) else { return at };
        if at > 0 && !field.is_name {
            field.expected = field.expected.with(Kind::Object);
        }
        let path = if field.path.is_empty() { name.to_string() } else { format!("{}.{name}", field.path) };
        let place = *field.members.entry(name.to_string()).or_insert(next);
        if place == next {
            self.fields.push(Field { path, ..Field::default() });
        }
        place
    }

    /// Where a name that a page has leads; `None` where it is not to be looked into.
    fn step(&mut self, at: usize, name: &str) -> Option<usize> {
        let field = self.fields.get(at)?;
        match field.members.get(name).or_else(|| field.members.get(ANY)) {
            Some(place) => Some(*place).filter(|place| self.fields.get(*place).is_some_and(|field| !field.is_any)),
            // An object where none is expected: that is said, and what is in it is not.
            None if field.members.is_empty() && at > 0 => None,
            None => {
                let name: String = name.chars().take(NAME_MAX).collect();
                let path = if field.path.is_empty() { name } else { format!("{}.{name}", field.path) };
                self.add(path);
                None
            }
        }
    }

    fn add(&mut self, path: String) {
        if self.new.contains(&path) {
            return;
        }
        // The same ones are named whatever the order of the pages.
        self.new.insert(path);
        if self.new.len() > NAMED_MAX
            && let Some(last) = self.new.pop_last()
            && self.more.len() < 10 * NAMED_MAX
        {
            self.more.insert(last);
        }
    }

    fn see(&mut self, at: usize, kind: Kind) {
        if let Some(field) = self.fields.get_mut(at) {
            field.seen = field.seen.with(kind);
        }
    }

    /// One JSON value or several after each other. What is no JSON is not this module's to say.
    fn json(&mut self, bytes: &[u8]) {
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        while reader.end().is_err() {
            if (Look { known: self, at: 0 }).deserialize(&mut reader).is_err() {
                return;
            }
        }
    }

    /// The header is the row with the most names that are known.
    fn table(&mut self, bytes: &[u8]) {
        let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(bytes);
        let rows: Vec<csv::StringRecord> = reader.records().take(HEADER_ROWS).filter_map(Result::ok).collect();
        let names = |row: &csv::StringRecord| row.iter().filter(|name| self.column(name.trim()).is_some()).count();
        let most = rows.iter().map(names).max().unwrap_or_default();
        if let Some(header) = rows.iter().find(|row| most > 0 && names(row) == most) {
            self.header(header.iter().map(str::trim));
        }
    }

    fn header<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        if self.columns.is_empty() {
            return;
        }
        for name in names.filter(|name| !name.is_empty()) {
            match self.column(name) {
                Some(column) => _ = self.columns.insert(column, true),
                None => self.add(name.chars().take(NAME_MAX).collect()),
            }
        }
    }

    /// The known column that a name is.
    fn column(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let fits = |known: &&String| {
            let around = known.split_once(ANY);
            around.is_some_and(|(before, after)| name.starts_with(before) && name.ends_with(after))
        };
        self.columns.get_key_value(&name).map(|(known, _)| known).or_else(|| self.columns.keys().find(fits)).cloned()
    }

    fn schema(self, provider: &'static str, report: &'static str) -> Schema {
        let mut fields = Vec::new();
        let mut notices: Vec<Notice> = self.new.iter().map(|field| Notice { field: field.clone(), what: Change::New }).collect();
        for field in self.fields.iter().skip(1).filter(|field| field.seen != Kinds::default()) {
            let seen = field.seen.list();
            let names: Vec<&str> = seen.iter().map(|kind| kind.name()).collect();
            fields.push(format!("{} {}", field.path, names.join(" ")));
            for found in seen.into_iter().filter(|kind| field.expected != Kinds::default() && !field.expected.has(*kind)) {
                let what = Change::Kind { found, expected: field.expected.list() };
                notices.push(Notice { field: field.path.clone(), what });
            }
        }
        fields.extend(self.columns.into_iter().filter(|(_, seen)| *seen).map(|(name, _)| format!("| {name}")));
        fields.extend(self.new.into_iter().map(|name| format!("{name} new")));
        fields.sort();
        notices.sort();
        Schema { provider, report, fields, notices, more: self.more.len() as u64 }
    }
}

/// Reads a value and keeps only what stands where.
struct Look<'k> {
    known: &'k mut Known,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.known.see(self.at, Kind::Flag);
        Ok(())
    }

    /// A whole number; one with decimals or an exponent comes as its digits, see [`NUMBER`].
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.known.see(self.at, Kind::Number);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.known.see(self.at, Kind::Number);
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        if !self.known.fields.get(self.at).is_some_and(|field| field.is_name) {
            self.known.see(self.at, Kind::Text);
        } else if let Some(place) = self.known.step(self.at, text) {
            self.known.see(place, Kind::Text);
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Look { known: &mut *self.known, at: self.at })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_object = true;
        while let Some(step) = map.next_key_seed(Name { known: &mut *self.known, at: self.at })? {
            match step {
                Step::To(place) => map.next_value_seed(Look { known: &mut *self.known, at: place })?,
                Step::Past => map.next_value::<IgnoredAny>().map(|_| ())?,
                Step::Number => {
                    map.next_value::<IgnoredAny>()?;
                    is_object = false;
                }
            }
        }
        self.known.see(self.at, if is_object { Kind::Object } else { Kind::Number });
        Ok(())
    }
}

/// Where a member's name leads.
enum Step {
    To(usize),
    /// Not looked into.
    Past,
    /// No member at all: the digits of a number.
    Number,
}

struct Name<'k> {
    known: &'k mut Known,
    at: usize,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Step;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Step, D::Error> {
        reader.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Step;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Step, E> {
        if name == NUMBER {
            return Ok(Step::Number);
        }
        Ok(self.known.step(self.at, name).map_or(Step::Past, Step::To))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# Known.\ncosts other @ . data\n  rows.amount number\n  rows.note text\n  settings any\n  by.* number\n  \
        columns name\n  columns.day text\n\ncosts\n  | Day\n  | Cost (*)\n";

    fn seen(report: &str, pages: &[&str]) -> (Vec<String>, Vec<String>) {
        let mut known = Known::of(LIST, report).unwrap();
        for page in pages {
            if page.starts_with(['{', '[']) { known.json(page.as_bytes()) } else { known.table(page.as_bytes()) }
        }
        let schema = known.schema("p", "costs");
        let notice = |notice: &Notice| match &notice.what {
            Change::New => notice.field.clone(),
            Change::Kind { found, expected } => format!("{} {} for {expected:?}", notice.field, found.name()),
        };
        (schema.fields, schema.notices.iter().map(notice).collect())
    }

    #[test]
    fn what_is_known_is_no_news() {
        let page = r#"{"rows":[{"amount":1.50,"note":null},{"amount":2e-3,"note":"x"}],"settings":{"a":{"b":1}},"by":{"any name":1},
            "columns":["day"]}"#;
        let (fields, notices) = seen("costs", &[page, &format!("{{\"data\":[{page}]}}"), "\u{feff}x,y\nday,Cost (€)\n1,2\n"]);
        assert_eq!(notices, [""; 0]);
        let at_root = fields.iter().filter(|field| !field.starts_with("data")).map(String::as_str).collect::<Vec<_>>();
        let expected = ["by object", "by.* number", "columns.day text", "rows object", "rows.amount number", "rows.note text"];
        assert_eq!(at_root, [&expected[..], &["| cost (*)", "| day"]].concat());
        assert!(Known::of(LIST, "unlisted").is_none() && Known::of("", "costs").is_none());
    }

    #[test]
    fn news_are_named_once_with_their_place() {
        let page = r#"{"rows":[{"amount":"1.50","tax":{"deep":[1]}},{"amount":true,"tax":2}],"columns":["day","hour"],"rows2":1,"by":[2]}"#;
        let (fields, notices) = seen("other", &[page, page]);
        let expected = [
            "by number for [Object]",
            "columns.hour",
            "rows.amount text for [Number]",
            "rows.amount flag for [Number]",
            "rows.tax",
            "rows2",
        ];
        assert_eq!(notices, expected);
        assert!(fields.contains(&"rows.tax new".to_string()) && fields.contains(&"rows.amount text flag".to_string()));
        assert_eq!(seen("costs", &["Day,Cost ($),Fee\n"]).1, ["Fee"]);
        assert_eq!(seen("other", &["Day,Cost ($),Fee\n", "{\"rows\":", "nothing", "[[[1"]).1, [""; 0]);
    }

    #[test]
    fn a_flood_of_names_is_counted_and_the_same_ones_are_named() {
        let page = |numbers: &mut dyn Iterator<Item = u32>| {
            let members: Vec<String> = numbers.map(|n| format!("\"{}{n:03}\":1", "k".repeat(100))).collect();
            format!("{{{}}}", members.join(","))
        };
        let mut forth = Known::of(LIST, "costs").unwrap();
        forth.json(br#"{"z1":1,"z2":1}"#);
        (0..30).for_each(|n| forth.json(format!("{{\"n{n:02}\":1}}").as_bytes()));
        let mut back = Known::of(LIST, "costs").unwrap();
        (0..30).rev().for_each(|n| back.json(format!("{{\"n{n:02}\":1}}").as_bytes()));
        back.json(br#"{"z2":1,"z1":1,"n00":1}"#);
        let [forth, back] = [forth, back].map(|known| known.schema("p", "costs"));
        assert_eq!((forth.notices.len(), forth.more, &forth), (NAMED_MAX, 12, &back));
        let mut long = Known::of(LIST, "costs").unwrap();
        long.json(page(&mut (0..1000)).as_bytes());
        assert_eq!(long.schema("p", "costs").notices.len(), 1, "cut names are one");
    }
}
