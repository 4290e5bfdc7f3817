//! A ledger in a JSON file: a row on each line, or a document with a list of rows that is read row by row
//! and never held as a whole.

use super::ledger_files::{broken, open};
use super::ledger_wanted::{EachRow, Wanted};
use crate::domain::fault::{ExitCode, Fault};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::rc::Rc;

const BUFFER_BYTES: usize = 1 << 16;

/// Hands on the rows of a file with a row on each line. A line that is no JSON is one row that cannot be read.
pub fn lines(path: &Path, wanted: Wanted, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, open(path)?);
    let mut line = Vec::new();
    let mut sink = Sink::new(path, wanted, each);
    let mut number = 0_u64;
    loop {
        line.clear();
        let limit = wanted.row_bytes_max() as u64 + 1;
        let count = (&mut reader).take(limit).read_until(b'\n', &mut line).map_err(|error| broken(path, &error))?;
        if count == 0 {
            return sink.fault.map_or(Ok(()), Err);
        }
        number += 1;
        let ended = line.last() == Some(&b'\n');
        if !ended && line.len() > wanted.row_bytes_max() {
            return Err(too_long(path, wanted, number));
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let mut from = serde_json::Deserializer::from_slice(text);
        let read = RowSeed { sink: &mut sink, document: false }.deserialize(&mut from).and_then(|()| from.end());
        if let Err(error) = read {
            if !ended && error.is_eof() {
                let what = format!("line {number} ends in the middle of a row: the file is cut short");
                return Err(Fault::new(ExitCode::Data, path.display().to_string(), what, "export the file again"));
            }
            let why = if error.is_data() { error.to_string() } else { "expected JSON".to_string() };
            sink.bad(format!("row: {}", without_place(&why)));
        }
        if let Some(fault) = sink.fault.take() {
            return Err(fault);
        }
    }
}

/// Hands on the rows of a document: those of its list, of the list in one of its known members, or the
/// documents themselves where several stand one after the other.
pub fn document(path: &Path, wanted: Wanted, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let left = Rc::new(Cell::new(0));
    let source = Guarded { source: open(path)?, left: left.clone() };
    let mut from = serde_json::Deserializer::from_reader(BufReader::with_capacity(BUFFER_BYTES, source));
    let mut sink = Sink::new(path, wanted, each);
    sink.left = Some(left);
    let mut documents = 0_u64;
    loop {
        sink.renew();
        sink.started = false;
        let read = RowSeed { sink: &mut sink, document: true }.deserialize(&mut from);
        if let Some(fault) = sink.fault.take() {
            return Err(fault);
        }
        match read {
            Ok(()) => documents += 1,
            Err(error) if error.is_eof() && !sink.started && documents > 0 => return Ok(()),
            Err(error) if error.is_io() => {
                let kind = error.io_error_kind().unwrap_or(io::ErrorKind::Other);
                if kind == io::ErrorKind::FileTooLarge {
                    return Err(too_long(path, wanted, sink.rows + 1));
                }
                return Err(broken(path, &kind.into()));
            }
            Err(error) => {
                let what = format!("cannot be read as JSON after row {}: {error}", sink.rows);
                return Err(Fault::new(ExitCode::Data, path.display().to_string(), what, "export the file again"));
            }
        }
    }
}

/// Verifies that the first row has what every row has.
pub fn check(path: &Path, wanted: Wanted) -> Result<(), Fault> {
    let mut line = Vec::new();
    let mut reader = BufReader::new(open(path)?).take(wanted.row_bytes_max() as u64);
    while reader.read_until(b'\n', &mut line).map_err(|error| broken(path, &error))? > 0 {
        if !line.iter().all(u8::is_ascii_whitespace) {
            let mut sink_each = |_: Result<&[Option<Cow<'_, str>>], String>| {};
            let mut sink = Sink::new(path, wanted, &mut sink_each);
            let mut from = serde_json::Deserializer::from_slice(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line));
            // What is no JSON is told by the read, which says where.
            let _ = RowSeed { sink: &mut sink, document: true }.deserialize(&mut from);
            return sink.fault.map_or(Ok(()), Err);
        }
        line.clear();
    }
    Ok(())
}

fn too_long(path: &Path, wanted: Wanted, row: u64) -> Fault {
    let what = format!("row {row} is longer than {} MiB", wanted.row_bytes_max() >> 20);
    Fault::new(ExitCode::Data, path.display().to_string(), what, "export without prompts and answers: they are not read")
}

fn without_place(error: &str) -> &str {
    error.split(" at line ").next().unwrap_or(error)
}

/// Where rows go, and what went wrong with one that must stop the reading.
struct Sink<'s, 'e> {
    path: &'s Path,
    wanted: Wanted,
    each: &'s mut EachRow<'e>,
    rows: u64,
    started: bool,
    fault: Option<Fault>,
    left: Option<Rc<Cell<usize>>>,
}

impl<'s, 'e> Sink<'s, 'e> {
    fn new(path: &'s Path, wanted: Wanted, each: &'s mut EachRow<'e>) -> Self {
        Sink { path, wanted, each, rows: 0, started: false, fault: None, left: None }
    }

    /// A new row may be as long as any.
    fn renew(&self) {
        if let Some(left) = &self.left {
            left.set(self.wanted.row_bytes_max() + BUFFER_BYTES);
        }
    }

    fn bad(&mut self, reason: String) {
        self.rows += 1;
        (self.each)(Err(reason));
    }

    fn row(&mut self, texts: &[Option<Cow<'_, str>>], names: &[String]) {
        if self.rows == 0 {
            self.fault = self.wanted.never_null_are_there(&self.path.display().to_string(), names).err();
        }
        self.rows += 1;
        if self.fault.is_none() {
            (self.each)(Ok(texts));
        }
    }
}

/// Reads one value: a row, or a document of rows.
struct RowSeed<'s, 'k, 'e> {
    sink: &'s mut Sink<'k, 'e>,
    document: bool,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the columns of a row")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        self.sink.started = true;
        let wanted = self.sink.wanted;
        let mut texts: Vec<Option<Cow<'_, str>>> = vec![None; wanted.len()];
        let mut given: Vec<(usize, String)> = Vec::new();
        // Only the first row is asked for its names.
        let mut names = Vec::new();
        let mut listed = false;
        while let Some(name) = map.next_key::<String>()? {
            if self.document && wanted.lists().contains(&name.as_str()) {
                listed = true;
                map.next_value_seed(ListSeed { sink: self.sink })?;
                continue;
            }
            match wanted.index(&name) {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(index) => {
                    let text = text(map.next_value()?);
                    if given.iter().any(|(known, other)| *known == index && *other == name) {
                        return Err(M::Error::custom(format!("{name}: expected once, found twice")));
                    }
                    if let Some(place) = texts.get_mut(index).filter(|place| place.is_none()) {
                        *place = text.map(Cow::Owned);
                    }
                    given.push((index, name.clone()));
                }
            }
            if self.sink.rows == 0 {
                names.push(name);
            }
        }
        if !listed {
            self.sink.row(&texts, &names);
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, seq: S) -> Result<(), S::Error> {
        self.sink.started = true;
        if !self.document {
            return Err(S::Error::custom("expected an object, found a list"));
        }
        ListSeed { sink: self.sink }.visit_seq(seq)
    }
}

/// Reads a list of rows.
struct ListSeed<'s, 'k, 'e> {
    sink: &'s mut Sink<'k, 'e>,
}

impl<'de> DeserializeSeed<'de> for ListSeed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ListSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of rows")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<(), S::Error> {
        loop {
            self.sink.renew();
            if seq.next_element_seed(RowSeed { sink: self.sink, document: false })?.is_none() || self.sink.fault.is_some() {
                // What is left of a list that is given up is not looked at.
                return if self.sink.fault.is_some() { Err(S::Error::custom("given up")) } else { Ok(()) };
            }
        }
    }

    /// A page around its rows: `{"data": {"items": [...]}}`.
    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let lists = self.sink.wanted.lists();
        while let Some(name) = map.next_key::<String>()? {
            if lists.contains(&name.as_str()) {
                map.next_value_seed(ListSeed { sink: self.sink })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// A value as the text of a cell. Objects and lists stay JSON.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        other => Some(other.to_string()),
    }
}

/// Lets no row grow without end.
struct Guarded {
    source: Box<dyn Read>,
    left: Rc<Cell<usize>>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let left = self.left.get().checked_sub(count).ok_or(io::ErrorKind::FileTooLarge)?;
        self.left.set(left);
        Ok(count)
    }
}
