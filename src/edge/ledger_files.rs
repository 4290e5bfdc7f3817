//! The files of a ledger: patterns into paths, the form by the ending of the name, and the bytes behind a
//! compression as they come.

use super::ledger::unreadable;
use crate::domain::fault::{ExitCode, Fault};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Csv,
    /// A document with a list of rows, or rows one after the other.
    Json,
    /// A row on each line.
    JsonLines,
    Parquet,
}

/// A file of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerFile {
    pub path: PathBuf,
    pub form: Form,
}

/// What names of files say about them, for messages.
const ENDINGS: &str = ".csv, .json, .jsonl, .ndjson, each also with .gz or .zst behind it, or .parquet";

/// The files of the patterns in the order of the patterns and then of their names, each once.
///
/// # Errors
/// 78 for a pattern without a file and for a file of another ending.
pub fn files(ledger: &str, patterns: &[String]) -> Result<Vec<LedgerFile>, Fault> {
    let mut files: Vec<LedgerFile> = Vec::new();
    for pattern in patterns {
        let before = files.len();
        let paths = matches(ledger, pattern)?;
        let none = paths.is_empty();
        for path in paths {
            let Some(form) = form(&path) else {
                let what = format!("ledger {ledger:?}: a file that is none of {ENDINGS}");
                let hint = format!("narrow the pattern {pattern:?}, or give the file the ending of what it is");
                return Err(Fault::new(ExitCode::Config, path.display().to_string(), what, hint));
            };
            if !files.iter().any(|known| known.path == path) {
                files.push(LedgerFile { path, form });
            }
        }
        if none {
            let what = format!("ledger {ledger:?}: no file matches");
            let hint = "correct `files` of the ledger in the job file, or export the ledger first";
            return Err(Fault::new(ExitCode::Config, pattern.clone(), what, hint));
        }
        if let Some(added) = files.get_mut(before..) {
            added.sort_by(|a, b| a.path.cmp(&b.path));
        }
    }
    Ok(files)
}

fn form(path: &Path) -> Option<Form> {
    let name = path.file_name()?.to_str()?.to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst"));
    let (_, ending) = plain.unwrap_or(&name).rsplit_once('.')?;
    match ending {
        "csv" => Some(Form::Csv),
        "json" => Some(Form::Json),
        "jsonl" | "ndjson" => Some(Form::JsonLines),
        // Its columns are compressed already, and its end must be read before its beginning.
        "parquet" if plain.is_none() => Some(Form::Parquet),
        _ => None,
    }
}

fn matches(ledger: &str, pattern: &str) -> Result<Vec<PathBuf>, Fault> {
    // A file may be named like a pattern: `ledger[1].csv`.
    if Path::new(pattern).is_file() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let found = glob::glob(pattern).map_err(|error| {
        let what = format!("ledger {ledger:?}: not a pattern: {}", error.msg);
        Fault::new(ExitCode::Config, pattern, what, "in a pattern `*` is any part of a name and `**` any folders")
    })?;
    let mut paths = Vec::new();
    for path in found {
        let path = path.map_err(|error| unreadable(error.path(), error.error()))?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}

/// The bytes of a file, unpacked where its name says that they are packed.
///
/// # Errors
/// As [`unreadable`].
pub fn open(path: &Path) -> Result<Box<dyn Read>, Fault> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    Ok(match ending.as_deref() {
        // Several packed pieces one after the other are one file.
        Some("gz") => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(file))),
        Some("zst") => Box::new(zstd::Decoder::new(file).map_err(|error| broken(path, &error))?),
        _ => Box::new(file),
    })
}

/// A file whose bytes cannot be read, or not be unpacked.
pub fn broken(path: &Path, error: &io::Error) -> Fault {
    let packed = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz") || ending.eq_ignore_ascii_case("zst"));
    let system = error.raw_os_error().is_some();
    if !packed || system {
        return unreadable(path, error);
    }
    let what = "cannot be unpacked: it is cut short or damaged";
    Fault::new(ExitCode::Data, path.display().to_string(), what, "copy or export the file again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_form() {
        let form = |name: &str| form(Path::new(name));
        assert_eq!(form("a/ledger.csv"), Some(Form::Csv));
        assert_eq!(form("2026-11-18.CSV.GZ"), Some(Form::Csv));
        assert_eq!(form("x.jsonl.zst"), Some(Form::JsonLines));
        assert_eq!(form("x.ndjson"), Some(Form::JsonLines));
        assert_eq!(form("x.json"), Some(Form::Json));
        assert_eq!(form("x.parquet"), Some(Form::Parquet));
        for other in ["x.parquet.gz", "x.gz", "x", "csv", "x.txt.gz", ".zst"] {
            assert_eq!(form(other), None, "{other}");
        }
    }
}
