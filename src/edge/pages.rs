//! The files of one pull, one at a time: nothing but the current file, or the current rows of a Parquet
//! file, is held in memory.

mod parquet;

pub use parquet::csv_page;
pub(super) use parquet::typed_cells;

use crate::adapters::Columns;
use crate::domain::fault::{ExitCode, Fault};
use glob::MatchOptions;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

const FILES: &str = "check `files` in the job file; a relative path starts at the job file's folder";

/// Receives a page.
pub type EachPage<'c> = dyn FnMut(Input<'_>) -> Result<(), Fault> + 'c;

/// One page as it is handed on.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The file's path as written.
    pub file: &'a str,
    /// SHA-256 of the whole file, in hex.
    pub sha256: &'a str,
    /// The file's path, with `#<n>` where the file is several pages.
    pub page: &'a str,
    pub content: Content<'a>,
    /// Rows of the whole file, where the file says it; else 0.
    pub file_rows: usize,
}

/// What stands on a page.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// The file as it is.
    Bytes(&'a [u8]),
    /// Rows of a Parquet file; [`csv_page`] writes them as CSV.
    Columns(&'a Columns<'a>),
}

/// Reads every file that the paths and patterns name, in the order of their names and each once, and hands
/// it to `each`. A `.parquet` file is handed on as typed pages of at most 100,000 rows, named `<file>#1`,
/// `<file>#2`, …. Files whose names begin with a dot are not matched by `*`.
///
/// # Errors
/// CONFIG when a path or pattern names no file; IOERR when a file cannot be read; DATA when a Parquet
/// file is damaged or has a column that is no text, whole number, decimal or date (a binary float cannot
/// be money); what `each` returns.
pub fn for_each_page(files: &[String], each: &mut EachPage<'_>) -> Result<(), Fault> {
    let mut paths = Vec::new();
    for pattern in files {
        paths.extend(matching(pattern)?);
    }
    paths.sort();
    paths.dedup();
    for path in paths {
        let shown = path.display().to_string();
        if path.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet")) {
            let sha256 = digest(&path).map_err(|error| unreadable(&shown, &error))?;
            parquet::pages(&path, &shown, &sha256, each)?;
        } else {
            let bytes = std::fs::read(&path).map_err(|error| unreadable(&shown, &error))?;
            let sha256 = hex(Sha256::digest(&bytes).as_slice());
            each(Input { file: &shown, sha256: &sha256, page: &shown, content: Content::Bytes(&bytes), file_rows: 0 })?;
        }
    }
    Ok(())
}

/// SHA-256 of a file that is never in memory as a whole.
fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut part = vec![0; 1 << 18];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(hex(hash.finalize().as_slice())),
            length => hash.update(part.get(..length).unwrap_or_default()),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The files of one path or pattern. A path that exists is itself, whatever characters it has.
pub fn matching(pattern: &str) -> Result<Vec<PathBuf>, Fault> {
    let config = |what: String, hint: &str| Fault::new(ExitCode::Config, pattern, what, hint);
    if Path::new(pattern).is_dir() {
        return Err(config("is a folder, not a file".to_string(), "name the files in it: folder/*.json"));
    }
    if Path::new(pattern).exists() {
        return Ok(vec![PathBuf::from(pattern)]);
    }
    let options = MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, case_sensitive: true };
    let matches = glob::glob_with(pattern, options).map_err(|error| config(format!("not a pattern: {error}"), FILES))?;
    let mut paths = Vec::new();
    for path in matches {
        let path = path.map_err(|error| unreadable(&error.path().display().to_string(), error.error()))?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(config("no such file, and no file matches it as a pattern".to_string(), FILES));
    }
    Ok(paths)
}

fn unreadable(place: &str, error: &std::io::Error) -> Fault {
    let (code, hint) = match error.kind() {
        ErrorKind::NotFound => (ExitCode::Config, FILES),
        ErrorKind::PermissionDenied => (ExitCode::IoErr, "let the user that runs the job read the file"),
        _ => (ExitCode::IoErr, "check the disk or share that the file is on, then run again"),
    };
    Fault::new(code, place, format!("cannot be read: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn pages(files: &[String]) -> Result<Vec<(String, String)>, Fault> {
        let mut pages = Vec::new();
        for_each_page(files, &mut |input| {
            let name = Path::new(input.page).file_name().unwrap().to_str().unwrap().to_string();
            let Content::Bytes(bytes) = input.content else { panic!("{name}: typed") };
            assert_eq!((input.file, input.sha256), (input.page, hex(Sha256::digest(bytes).as_slice()).as_str()));
            pages.push((name, String::from_utf8(bytes.to_vec()).unwrap()));
            Ok(())
        })?;
        Ok(pages)
    }

    fn folder(names: &[&str]) -> (tempfile::TempDir, impl Fn(&str) -> String) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), format!("in {name}")).unwrap();
        }
        let root = folder.path().to_str().unwrap().to_string();
        (folder, move |name: &str| format!("{root}/{name}"))
    }

    #[test]
    fn files_come_once_and_by_name() {
        let (folder, at) = folder(&["b.json", "a.json", "c.csv", ".hidden.json", "odd[1].json"]);
        fs::create_dir(folder.path().join("sub.json")).unwrap();
        let read = pages(&[at("c.csv"), at("*.json"), at("a.json")]).unwrap();
        let names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a.json", "b.json", "c.csv", "odd[1].json"]);
        assert_eq!(read[0].1, "in a.json");
        assert_eq!(pages(&[at("odd[1].json")]).unwrap().len(), 1);
    }

    #[test]
    fn a_page_is_named_as_written() {
        let (_folder, at) = folder(&["a.json"]);
        let mut names = Vec::new();
        for_each_page(&[at("./a.*")], &mut |input| {
            names.push(input.page.to_string());
            Ok(())
        })
        .unwrap();
        assert_eq!(names.len(), 1);
        assert!(names[0].ends_with("a.json") && names[0].starts_with(&at("")), "{names:?}");
    }

    #[test]
    fn a_pattern_without_a_file_is_a_fault_of_the_job() {
        let (folder, at) = folder(&["a.json"]);
        for pattern in [at("*.csv"), at("b.json"), at("a[.json"), folder.path().to_str().unwrap().to_string()] {
            let fault = pages(&[at("a.json"), pattern.clone()]).unwrap_err();
            assert_eq!((fault.code, fault.place), (ExitCode::Config, pattern));
        }
    }

    #[test]
    fn what_the_caller_refuses_ends_the_reading() {
        let (_folder, at) = folder(&["a.json", "b.json"]);
        let mut seen = 0;
        let fault = Fault::new(ExitCode::Data, "a.json", "no", "");
        let result = for_each_page(&[at("*.json")], &mut |_| {
            seen += 1;
            Err(fault.clone())
        });
        assert_eq!((result, seen), (Err(fault), 1));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nothing_is_named() {
        let (folder, at) = folder(&["a.json"]);
        std::os::unix::fs::symlink(folder.path().join("gone"), folder.path().join("b.json")).unwrap();
        let fault = pages(&[at("*.json")]).unwrap_err();
        assert_eq!((fault.code, fault.place), (ExitCode::Config, at("b.json")));
    }
}
