//! Parquet files as pages of typed columns, and those as CSV, exact to the last digit. Types that cannot
//! be written exactly are refused, never converted.

use super::{Content, EachPage, Input, unreadable};
use crate::adapters::columns::{Cells, Columns, TextColumn, Values, WholeColumn};
use crate::domain::fault::{ExitCode, Fault};
use crate::domain::period::from_count;
use chrono::SecondsFormat;
use polars::prelude::*;
use std::fmt::{self, Write};
use std::fs::File;
use std::path::Path;

/// Rows of one page.
const PAGE_ROWS: usize = 100_000;

/// Hands on the file's rows as pages named `<shown>#<n>`; a file without rows is one page with the header
/// alone.
pub(super) fn pages(path: &Path, shown: &str, sha256: &str, each: &mut EachPage<'_>) -> Result<(), Fault> {
    let file = File::open(path).map_err(|error| unreadable(shown, &error))?;
    let metadata = guarded(shown, || ParquetReader::new(file).get_metadata().cloned())?;
    let groups: Vec<usize> = metadata.row_groups.iter().map(|group| group.num_rows()).collect();
    let file_rows = groups.iter().sum();
    let mut number = 0;
    for (offset, length) in batches(&groups) {
        let file = File::open(path).map_err(|error| unreadable(shown, &error))?;
        let frame = guarded(shown, || {
            let mut reader = ParquetReader::new(file).with_slice(Some((offset, length)));
            reader.set_metadata(metadata.clone());
            reader.finish()
        })?;
        if frame.height() != length {
            let what = format!("expected {length} rows from row {}, found {}", offset + 1, frame.height());
            return Err(Fault::new(ExitCode::Data, shown, what, "write the file again: it is cut short"));
        }
        let mut from = 0;
        loop {
            number += 1;
            let mut rows = frame.slice(from as i64, PAGE_ROWS);
            rows.rechunk_mut_par();
            texts_of_dictionaries(&mut rows, shown)?;
            let columns = columns(&rows, shown)?;
            let page = format!("{shown}#{number}");
            each(Input { file: shown, sha256, page: &page, content: Content::Columns(&columns), file_rows })?;
            from += PAGE_ROWS;
            if from >= length {
                break;
            }
        }
    }
    Ok(())
}

/// Runs a step of the Parquet reader. It panics on some damaged files instead of returning an error, and
/// a damaged file must not end the program: that panic is a fault of the file.
fn guarded<T>(shown: &str, step: impl FnOnce() -> PolarsResult<T>) -> Result<T, Fault> {
    let what = match std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("not a readable Parquet file: {error}"),
        Err(_) => "not a readable Parquet file: it is damaged".to_string(),
    };
    Err(Fault::new(ExitCode::Data, shown, what, "write the file again, or export it as CSV"))
}

/// First row and length of what is read at a time: whole row groups, so that none is decoded twice,
/// as many as fit into one page.
fn batches(groups: &[usize]) -> Vec<(usize, usize)> {
    let mut batches: Vec<(usize, usize)> = Vec::new();
    let mut offset = 0;
    for rows in groups {
        match batches.last_mut() {
            Some((_, length)) if *length + rows <= PAGE_ROWS => *length += rows,
            _ => batches.push((offset, *rows)),
        }
        offset += rows;
    }
    if batches.is_empty() {
        batches.push((0, 0));
    }
    batches
}

/// Texts that the writer kept as a dictionary become texts.
fn texts_of_dictionaries(rows: &mut DataFrame, shown: &str) -> Result<(), Fault> {
    let kept = |column: &Column| column.dtype().is_categorical() || column.dtype().is_enum();
    let places: Vec<usize> = (0..rows.width()).filter(|at| rows.columns().get(*at).is_some_and(kept)).collect();
    for at in places {
        guarded(shown, || rows.try_apply_at_idx(at, |column| column.cast(&DataType::String)).map(|_| ()))?;
    }
    Ok(())
}

/// The rows as typed columns, borrowed from the frame.
fn columns<'f>(frame: &'f DataFrame, shown: &str) -> Result<Columns<'f>, Fault> {
    let header = frame.columns().iter().map(|column| column.name().as_str()).collect();
    let typed = |column: &'f Column| {
        let cells = typed_cells(column.as_materialized_series());
        cells.ok_or_else(|| refused(shown, column.name(), column.dtype()))
    };
    let cells = frame.columns().iter().map(typed).collect::<Result<_, _>>()?;
    Ok(Columns { header, cells, rows: frame.height() })
}

/// The first `rows` rows as a CSV page.
pub fn csv_page(columns: &Columns<'_>, rows: usize, shown: &str) -> Result<Vec<u8>, Fault> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let in_memory = |error: &dyn fmt::Display| Fault::new(ExitCode::Internal, shown, error.to_string(), "");
    writer.write_record(&columns.header).map_err(|error| in_memory(&error))?;
    let mut text = String::new();
    for row in 0..columns.rows.min(rows) {
        for (cell, column) in columns.cells.iter().zip(&columns.header) {
            text.clear();
            let plain = write_cell(cell, row, &mut text).map_err(|_| {
                let what = "expected a date, found one that no calendar has".to_string();
                Fault::new(
                    ExitCode::Data,
                    format!("{shown}: column {column}"),
                    what,
                    "correct the value and write the file again",
                )
            })?;
            writer.write_field(plain.unwrap_or(&text)).map_err(|error| in_memory(&error))?;
        }
        writer.write_record(None::<&[u8]>).map_err(|error| in_memory(&error))?;
    }
    writer.into_inner().map_err(|error| in_memory(&error))
}

fn refused(shown: &str, column: &str, kind: &DataType) -> Fault {
    let place = format!("{shown}: column {column}");
    if matches!(kind, DataType::Float32 | DataType::Float64) {
        let hint = "write amounts and quantities as DECIMAL or as text; leave the column out if nobody needs it";
        return Fault::new(ExitCode::Data, place, "expected exact numbers, found binary floats: they cannot be money", hint);
    }
    let hint = "write it as text, or leave the column out";
    Fault::new(ExitCode::Data, place, format!("expected text, numbers or dates, found {kind}"), hint)
}

/// The cells of a column that lies in one piece; `None` for a type that has no exact form.
pub fn typed_cells(series: &Series) -> Option<Cells<'_>> {
    Some(match series.dtype() {
        DataType::String => match series.str().ok()?.downcast_iter().collect::<Vec<_>>().as_slice() {
            [] => Cells::Nothing,
            [one] => Cells::Text(Box::new(OnePiece(one))),
            _ => return None,
        },
        DataType::Boolean => Cells::Truth(series.bool().ok()?.iter().collect()),
        DataType::Decimal(_, scale) => Cells::Decimal(values(series.decimal().ok()?.physical())?, u32::try_from(*scale).ok()?),
        DataType::Date => Cells::Day(series.date().ok()?.physical().iter().collect()),
        DataType::Datetime(unit, _) => {
            let second = match unit {
                TimeUnit::Nanoseconds => 1_000_000_000,
                TimeUnit::Microseconds => 1_000_000,
                TimeUnit::Milliseconds => 1_000,
            };
            Cells::Instant(values(series.datetime().ok()?.physical())?, second)
        }
        DataType::Null => Cells::Nothing,
        DataType::Int8 => Cells::Whole(whole(series.i8().ok()?)?),
        DataType::Int16 => Cells::Whole(whole(series.i16().ok()?)?),
        DataType::Int32 => Cells::Whole(whole(series.i32().ok()?)?),
        DataType::Int64 => Cells::Whole(whole(series.i64().ok()?)?),
        DataType::UInt8 => Cells::Whole(whole(series.u8().ok()?)?),
        DataType::UInt16 => Cells::Whole(whole(series.u16().ok()?)?),
        DataType::UInt32 => Cells::Whole(whole(series.u32().ok()?)?),
        DataType::UInt64 => Cells::Whole(whole(series.u64().ok()?)?),
        DataType::Int128 => Cells::Whole(whole(series.i128().ok()?)?),
        _ => return None,
    })
}

/// The texts of a column that lies in one piece: none has to be looked for at every cell.
struct OnePiece<'s>(&'s <StringType as PolarsDataType>::Array);

impl TextColumn for OnePiece<'_> {
    fn text(&self, row: usize) -> Option<&str> {
        StaticArray::get(self.0, row)
    }
}

/// The whole numbers of a column that lies in one piece.
fn whole<'s, T: PolarsNumericType<Native: Into<i128>>>(column: &'s ChunkedArray<T>) -> Option<Box<dyn WholeColumn + 's>> {
    Some(Box::new(values(column)?))
}

/// The values of a column that lies in one piece.
fn values<T: PolarsNumericType>(column: &ChunkedArray<T>) -> Option<Values<'_, T::Native>> {
    let array = match column.downcast_iter().collect::<Vec<_>>().as_slice() {
        [] => return Some(Values::new(&[], None)),
        [one] => *one,
        _ => return None,
    };
    let present = array.validity().filter(|validity| validity.unset_bits() > 0).map(|validity| validity.iter().collect());
    Some(Values::new(array.values().as_slice(), present))
}

/// Writes the value of a row into `out`, or returns it where it is text already. Null is an empty cell.
fn write_cell<'c>(cells: &'c Cells<'_>, row: usize, out: &mut String) -> Result<Option<&'c str>, fmt::Error> {
    match cells {
        Cells::Text(values) => return Ok(Some(values.text(row).unwrap_or_default())),
        Cells::Truth(values) => {
            if let Some(value) = values.get(row).copied().flatten() {
                write!(out, "{value}")?;
            }
        }
        Cells::Whole(values) => {
            if let Some(value) = values.whole(row) {
                write!(out, "{value}")?;
            }
        }
        Cells::Decimal(values, scale) => {
            if let Some(value) = values.get(row) {
                decimal(value, *scale, out)?;
            }
        }
        Cells::Day(values) => {
            if let Some(days) = values.get(row).copied().flatten() {
                let day = from_count(i64::from(days) * 86_400, 1).ok_or(fmt::Error)?;
                write!(out, "{}", day.date_naive())?;
            }
        }
        Cells::Instant(values, second) => {
            if let Some(count) = values.get(row) {
                let instant = from_count(count, *second).ok_or(fmt::Error)?;
                out.push_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            }
        }
        Cells::Nothing => {}
    }
    Ok(None)
}

/// All digits, `scale` of them after the point.
fn decimal(value: i128, scale: u32, out: &mut String) -> fmt::Result {
    let sign = if value < 0 { "-" } else { "" };
    let digits = value.unsigned_abs();
    match 10u128.checked_pow(scale) {
        Some(1) => write!(out, "{sign}{digits}"),
        Some(unit) => write!(out, "{sign}{}.{:0places$}", digits / unit, digits % unit, places = scale as usize),
        None => Err(fmt::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::pages::for_each_page;

    fn write(frame: &mut DataFrame, group: Option<usize>) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.parquet");
        let file = File::create(&path).unwrap();
        ParquetWriter::new(file).with_row_group_size(group).finish(frame).unwrap();
        (folder, path.to_str().unwrap().to_string())
    }

    fn read(path: &str) -> Result<Vec<(String, String)>, Fault> {
        let mut pages = Vec::new();
        for_each_page(&[path.to_string()], &mut |input| {
            let name = input.page.rsplit('/').next().unwrap().to_string();
            let Content::Columns(columns) = input.content else { panic!("{name}: not typed") };
            pages.push((name, String::from_utf8(csv_page(columns, usize::MAX, input.page)?).unwrap()));
            Ok(())
        })?;
        Ok(pages)
    }

    fn cast(name: &str, values: &[i64], kind: DataType) -> Column {
        Series::new(name.into(), values).cast(&kind).unwrap().into()
    }

    fn units(name: &str, values: &[Option<i128>], precision: usize, scale: usize) -> Column {
        let values: Int128Chunked = values.iter().copied().collect();
        values.into_decimal_unchecked(precision, scale).into_series().with_name(name.into()).into()
    }

    #[test]
    fn every_exact_type_keeps_its_digits() {
        let at = 1_794_986_062_000_001i64; // 2026-11-18T07:14:22.000001Z
        let mut frame = DataFrame::new_infer_height(vec![
            Column::new("text".into(), [Some("a, \"b\""), None]),
            units("cost", &[Some(4_194_304), Some(-5)], 38, 8),
            units("wide", &[Some(12_345_678_901_234_567_890_123_456_789), None], 38, 18),
            units("whole_units", &[Some(7), None], 10, 0),
            Column::new("nano".into(), [Some(u64::MAX), None]),
            Column::new("small".into(), [Some(-3i8), Some(4)]),
            Column::new("ok".into(), [Some(true), None]),
            cast("day", &[20_775, -1], DataType::Date),
            cast("micros", &[at, -1], DataType::Datetime(TimeUnit::Microseconds, None)),
            cast("millis", &[at / 1000, 0], DataType::Datetime(TimeUnit::Milliseconds, None)),
            cast("nanos", &[at * 1000 + 9, 0], DataType::Datetime(TimeUnit::Nanoseconds, None)),
        ])
        .unwrap();
        let (_folder, path) = write(&mut frame, None);
        let pages = read(&path).unwrap();
        assert_eq!(pages.len(), 1);
        assert_eq!(pages[0].0, "events.parquet#1");
        assert_eq!(
            pages[0].1,
            "text,cost,wide,whole_units,nano,small,ok,day,micros,millis,nanos\n\
             \"a, \"\"b\"\"\",0.04194304,12345678901.234567890123456789,7,18446744073709551615,-3,true,2026-11-18,\
             2026-11-18T07:14:22.000001Z,2026-11-18T07:14:22Z,2026-11-18T07:14:22.000001009Z\n\
             ,-0.00000005,,,,4,,1969-12-31,1969-12-31T23:59:59.999999Z,1970-01-01T00:00:00Z,1970-01-01T00:00:00Z\n"
        );
    }

    #[test]
    fn floats_and_lists_are_refused_by_name() {
        let mut floats = DataFrame::new_infer_height(vec![Column::new("cost_total".into(), [0.1f64])]).unwrap();
        let (_folder, path) = write(&mut floats, None);
        let fault = read(&path).unwrap_err();
        assert_eq!((fault.code, fault.place), (ExitCode::Data, format!("{path}: column cost_total")));
        assert!(fault.what.contains("binary floats"), "{}", fault.what);
        let list = Series::new("tags".into(), [Series::new("".into(), ["a"])]);
        let mut lists = DataFrame::new_infer_height(vec![list.into()]).unwrap();
        let (_folder, path) = write(&mut lists, None);
        assert!(read(&path).unwrap_err().place.ends_with("column tags"));
    }

    #[test]
    fn pages_have_at_most_their_rows_and_lose_none() {
        for group in [7_000, 100_000, 150_000, 1_000_000] {
            let ids: Vec<i64> = (0..250_001).collect();
            let mut frame = DataFrame::new_infer_height(vec![Column::new("id".into(), &ids)]).unwrap();
            let (_folder, path) = write(&mut frame, Some(group));
            let pages = read(&path).unwrap();
            let mut next = 0i64;
            for (index, (name, page)) in pages.iter().enumerate() {
                assert_eq!(*name, format!("events.parquet#{}", index + 1));
                let mut lines = page.lines();
                assert_eq!(lines.next(), Some("id"));
                assert!(page.lines().count() <= PAGE_ROWS + 1, "{group}");
                for line in lines {
                    assert_eq!(line, next.to_string());
                    next += 1;
                }
            }
            assert_eq!(next, 250_001, "{group}");
        }
    }

    #[test]
    fn a_file_without_rows_is_a_header() {
        let mut frame = DataFrame::new_infer_height(vec![Column::new("id".into(), Vec::<i64>::new())]).unwrap();
        let (_folder, path) = write(&mut frame, None);
        assert_eq!(read(&path).unwrap(), [("events.parquet#1".to_string(), "id\n".to_string())]);
    }

    #[test]
    fn batches_are_whole_row_groups() {
        assert_eq!(batches(&[]), [(0, 0)]);
        assert_eq!(batches(&[60_000, 40_000, 1]), [(0, 100_000), (100_000, 1)]);
        assert_eq!(batches(&[300_000, 5, 6]), [(0, 300_000), (300_000, 11)]);
    }

    #[test]
    fn texts_kept_as_a_dictionary_are_texts() {
        let words = Series::new("model".into(), [Some("b"), None, Some("a"), Some("b")]);
        let kind = DataType::from_categories(Categories::global());
        let mut frame = DataFrame::new_infer_height(vec![words.cast(&kind).unwrap().into()]).unwrap();
        let (_folder, path) = write(&mut frame, None);
        assert_eq!(read(&path).unwrap()[0].1, "model\nb\n\"\"\na\nb\n");
    }

    #[test]
    fn a_damaged_file_is_a_fault() {
        let mut frame = DataFrame::new_infer_height(vec![Column::new("id".into(), [1i64, 2, 3])]).unwrap();
        let (_folder, path) = write(&mut frame, None);
        let whole = std::fs::read(&path).unwrap();
        let footer = whole.len() - 8 - u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
        let mut refused = 0;
        for at in footer..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            std::fs::write(&path, &damaged).unwrap();
            // Never a panic: the reader's own are turned into faults.
            if let Err(fault) = read(&path) {
                assert_eq!((fault.code, fault.place.starts_with(&path)), (ExitCode::Data, true), "{at}");
                refused += 1;
            }
        }
        assert!(refused > 10, "{refused}");
        for length in [0, 4, 12, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path).unwrap_err().code, ExitCode::Data, "{length}");
        }
    }
}
