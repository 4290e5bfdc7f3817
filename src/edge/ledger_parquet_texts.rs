//! A Parquet file as texts, for ledgers of other systems: whatever type a column is stored in, its values as
//! an export to text would write them, maps and lists as JSON. A binary float becomes the shortest digits that
//! stand for it, as in an export to text.

use super::ledger::unreadable;
use super::ledger_parquet::{guarded, reader, unusable};
use super::ledger_wanted::{EachRow, Wanted};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::from_count;
use chrono::SecondsFormat;
use polars::prelude::{AnyValue, ParallelStrategy, SerReader, TimeUnit};
use serde_json::Value;
use std::borrow::Cow;
use std::fs::File;
use std::path::Path;

/// Rows in memory at a time.
const BATCH_ROWS: usize = 1 << 15;

/// Hands on the rows of the file.
pub fn read(path: &Path, wanted: Wanted, each: &mut EachRow<'_>) -> Result<(), Fault> {
    let (file, columns) = open(path, wanted)?;
    let names: Vec<String> = columns.iter().map(|(name, _)| name.clone()).collect();
    let total =
        guarded(path, || Ok(reader(&file)?.get_metadata()?.row_groups.iter().map(|group| group.num_rows()).sum::<usize>()))?;
    let mut start = 0;
    while start < total {
        let count = BATCH_ROWS.min(total - start);
        let frame = guarded(path, || {
            let reader = reader(&file)?.with_columns(Some(names.clone())).with_slice(Some((start, count)));
            reader.read_parallel(ParallelStrategy::Columns).set_rechunk(true).finish()
        })?;
        let mut texts: Vec<Option<Cow<'_, str>>> = vec![None; wanted.len()];
        for row in 0..frame.height() {
            texts.fill(None);
            for (name, index) in &columns {
                let column = frame.column(name).map_err(|error| unusable(path, &error.to_string()))?;
                let value = column.get(row).map_err(|error| unusable(path, &error.to_string()))?;
                let text = text(&value).map_err(|()| {
                    let what = format!("column {name}: values of type {} have no text", column.dtype());
                    Fault::new(ExitCode::Data, path.display().to_string(), what, "cast the column in the export")
                })?;
                if let Some(place) = texts.get_mut(*index).filter(|place| place.is_none()) {
                    *place = text.map(Cow::Owned);
                }
            }
            each(Ok(&texts));
        }
        start += count;
    }
    Ok(())
}

/// Reads the footer and verifies the columns.
pub fn check(path: &Path, wanted: Wanted) -> Result<(), Fault> {
    open(path, wanted).map(|_| ())
}

/// The file, and the columns that it has with their indexes.
fn open(path: &Path, wanted: Wanted) -> Result<(File, Vec<(String, usize)>), Fault> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let schema = guarded(path, || reader(&file)?.schema())?;
    let names: Vec<String> = schema.iter_names().map(|name| name.to_string()).collect();
    wanted.are_there(&path.display().to_string(), &names)?;
    let columns = names.into_iter().filter_map(|name| wanted.index(&name).map(|index| (name, index))).collect();
    Ok((file, columns))
}

/// A value as the text of a cell; `Err` for a type that has no text.
fn text(value: &AnyValue<'_>) -> Result<Option<String>, ()> {
    Ok(match json(value)? {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    })
}

fn json(value: &AnyValue<'_>) -> Result<Value, ()> {
    let day = |days: i32| from_count(i64::from(days) * 86_400, 1).map(|at| at.date_naive().to_string());
    Ok(match value {
        AnyValue::Null => Value::Null,
        AnyValue::String(text) => Value::String((*text).to_string()),
        AnyValue::StringOwned(text) => Value::String(text.to_string()),
        AnyValue::Boolean(flag) => Value::Bool(*flag),
        AnyValue::Int8(number) => digits(number),
        AnyValue::Int16(number) => digits(number),
        AnyValue::Int32(number) => digits(number),
        AnyValue::Int64(number) => digits(number),
        AnyValue::Int128(number) => digits(number),
        AnyValue::UInt8(number) => digits(number),
        AnyValue::UInt16(number) => digits(number),
        AnyValue::UInt32(number) => digits(number),
        AnyValue::UInt64(number) => digits(number),
        AnyValue::Float32(number) => digits(number),
        AnyValue::Float64(number) => digits(number),
        AnyValue::Decimal(number, _, scale) => digits(&format!("{number}e-{scale}")),
        AnyValue::Date(days) => Value::String(day(*days).ok_or(())?),
        AnyValue::Datetime(count, unit, _) => instant(*count, *unit)?,
        AnyValue::DatetimeOwned(count, unit, _) => instant(*count, *unit)?,
        AnyValue::List(series) => Value::Array(series.iter().map(|value| json(&value)).collect::<Result<_, _>>()?),
        AnyValue::Struct(..) => json(&value.clone().into_static())?,
        AnyValue::StructOwned(row) => {
            let members = row.1.iter().zip(&row.0).map(|(field, value)| Ok((field.name().to_string(), json(value)?)));
            Value::Object(members.collect::<Result<_, ()>>()?)
        }
        _ => return Err(()),
    })
}

fn instant(count: i64, unit: TimeUnit) -> Result<Value, ()> {
    let per_second = match unit {
        TimeUnit::Nanoseconds => 1_000_000_000,
        TimeUnit::Microseconds => 1_000_000,
        TimeUnit::Milliseconds => 1_000,
    };
    let at = from_count(count, per_second).ok_or(())?;
    Ok(Value::String(at.to_rfc3339_opts(SecondsFormat::AutoSi, true)))
}

/// A number as its digits; what is none, such as NaN, as a text that no reader takes for one.
fn digits(number: &impl ToString) -> Value {
    let text = number.to_string();
    serde_json::from_str(&text).ok().filter(Value::is_number).unwrap_or(Value::String(text))
}
