//! `MANIFEST.json`: what a run directory holds, to the byte, and the only place where run ids and times
//! stand (reliability.md sections 1 and 3). Verification reads it back and trusts nothing in it.

use super::recover::on_disk;
use crate::domain::fault::{ExitCode, Fault};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::path::Path;

pub(super) const FILE: &str = "MANIFEST.json";
/// Version of the manifest's own form.
const VERSION: u64 = 1;
/// Hash of the manifest without this field, which stands last.
const SELF: &str = "manifest_sha256";

/// The name of a published run: business date and revision, in the order of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    pub business_date: NaiveDate,
    /// Counted from 1 within the business date.
    pub revision: u32,
}

impl RunName {
    /// Reads `2026-11-18.r1`; nothing else, so that no name from outside can choose a path.
    pub fn parse(text: &str) -> Option<RunName> {
        let (date, revision) = text.split_once(".r")?;
        let business_date = NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()?;
        let name = RunName { business_date, revision: revision.parse().ok()? };
        (name.revision > 0 && name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.r{}", self.business_date, self.revision)
    }
}

/// One file of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    pub name: String,
    pub bytes: u64,
    /// Lines below the header, of CSV files.
    pub rows: Option<u64>,
    pub sha256: String,
}

/// What a manifest says about its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub name: RunName,
    pub run_id: String,
    pub complete: bool,
    pub exit_code: u8,
    pub published_at: DateTime<Utc>,
    pub content_sha256: String,
    pub files: Vec<FileEntry>,
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The entries of report files, by name.
pub(super) fn entries(files: &[(String, Vec<u8>)]) -> Vec<FileEntry> {
    let entry = |(name, bytes): &(String, Vec<u8>)| FileEntry {
        name: name.clone(),
        bytes: bytes.len() as u64,
        // Our CSV files have one line for each row: control characters in cells are written as escapes.
        rows: name.ends_with(".csv").then(|| bytes.iter().filter(|byte| **byte == b'\n').count().saturating_sub(1) as u64),
        sha256: sha256(bytes),
    };
    let mut entries: Vec<FileEntry> = files.iter().map(entry).collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries
}

/// One hash over the names and hashes of the report files: equal content, equal hash, whenever and by
/// whichever run it was made.
pub(super) fn content_sha256(entries: &[FileEntry]) -> String {
    let mut hash = Sha256::new();
    for entry in entries {
        hash.update(format!("{}\0{}\n", entry.name, entry.sha256));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of the manifest; `facts` are the run's own fields (window, configuration hash, slices, totals).
pub(super) fn render(manifest: &Manifest, facts: &Map<String, Value>) -> Vec<u8> {
    let mut fields = facts.clone();
    let files = manifest
        .files
        .iter()
        .map(|file| serde_json::json!({ "name": file.name, "bytes": file.bytes, "rows": file.rows, "sha256": file.sha256 }));
    let own = [
        ("version", VERSION.into()),
        ("name", manifest.name.to_string().into()),
        ("business_date", manifest.name.business_date.to_string().into()),
        ("revision", manifest.name.revision.into()),
        ("run_id", manifest.run_id.clone().into()),
        ("code_version", env!("CARGO_PKG_VERSION").into()),
        ("complete", manifest.complete.into()),
        ("exit_code", manifest.exit_code.into()),
        ("published_at", manifest.published_at.to_rfc3339_opts(SecondsFormat::Secs, true).into()),
        ("content_sha256", manifest.content_sha256.clone().into()),
        ("files", files.collect::<Vec<Value>>().into()),
    ];
    for (name, value) in own {
        fields.insert(name.to_string(), value);
    }
    fields.remove(SELF);
    let hash = sha256(&pretty(&fields));
    fields.insert(SELF.to_string(), hash.into());
    pretty(&fields)
}

fn pretty(fields: &Map<String, Value>) -> Vec<u8> {
    // A map of plain values always has a form.
    let mut bytes = serde_json::to_vec_pretty(fields).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a manifest that must be exactly as it was written.
fn read(bytes: &[u8]) -> Result<Manifest, String> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(bytes) else {
        return Err("is not a JSON object".to_string());
    };
    if fields.get("version").and_then(Value::as_u64) != Some(VERSION) {
        return Err(format!("is not of version {VERSION}"));
    }
    let stated = fields.remove(SELF);
    if stated.as_ref().and_then(Value::as_str) != Some(&sha256(&pretty(&fields))) {
        return Err("was altered: it does not match its own hash".to_string());
    }
    manifest(&fields).ok_or_else(|| "lacks a field, or a field is not what it should be".to_string())
}

fn manifest(fields: &Map<String, Value>) -> Option<Manifest> {
    let text = |name: &str| fields.get(name).and_then(Value::as_str);
    let files = fields.get("files")?.as_array()?.iter().map(|file| {
        let name = file.get("name")?.as_str()?;
        Some(FileEntry {
            name: is_file_name(name).then(|| name.to_string())?,
            bytes: file.get("bytes")?.as_u64()?,
            rows: file.get("rows")?.as_u64(),
            sha256: file.get("sha256")?.as_str()?.to_string(),
        })
    });
    Some(Manifest {
        name: RunName::parse(text("name")?)?,
        run_id: text("run_id")?.to_string(),
        complete: fields.get("complete")?.as_bool()?,
        exit_code: u8::try_from(fields.get("exit_code")?.as_u64()?).ok()?,
        published_at: DateTime::parse_from_rfc3339(text("published_at")?).ok()?.with_timezone(&Utc),
        content_sha256: text("content_sha256")?.to_string(),
        files: files.collect::<Option<_>>()?,
    })
}

/// A field of a manifest that its run gave it. The manifest has been verified before.
pub(super) fn fact(dir: &Path, name: &str) -> Option<Value> {
    let fields: Value = serde_json::from_slice(&fs::read(dir.join(FILE)).ok()?).ok()?;
    fields.get(name).cloned()
}

/// A field of the newest run that is published in a folder, if its manifest has it.
pub fn newest_fact(out: &Path, name: &str) -> Option<(RunName, Value)> {
    let runs = out.join("runs");
    let run = *on_disk(&runs).ok()?.last()?;
    Some((run, fact(&runs.join(run.to_string()), name)?))
}

/// A plain name of letters, digits, `_`, `-` and inner dots: never a path, never hidden, never the manifest.
pub(super) fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !name.is_empty() && name.len() <= 80 && !name.starts_with('.') && name != FILE && name.bytes().all(plain)
}

/// Checks every file of a run directory against its manifest: nothing altered, missing or added, and the
/// directory has the run's name.
///
/// # Errors
/// [`ExitCode::IoErr`] naming the file (guarantee 17).
pub fn verify_run(dir: &Path) -> Result<Manifest, Fault> {
    let fault = |file: &str, what: String| {
        let hint =
            "the published run is not what was published: restore it from a backup, or run the job again for a new revision";
        Fault::new(ExitCode::IoErr, dir.join(file).display().to_string(), what, hint)
    };
    let load = |file: &str| {
        let path = dir.join(file);
        let meta = fs::symlink_metadata(&path).map_err(|error| fault(file, format!("cannot be read: {error}")))?;
        if !meta.is_file() {
            return Err(fault(file, "is not a plain file".to_string()));
        }
        fs::read(&path).map_err(|error| fault(file, format!("cannot be read: {error}")))
    };
    let manifest = read(&load(FILE)?).map_err(|what| fault(FILE, what))?;
    let here = fs::canonicalize(dir).map_err(|error| fault("", format!("cannot be read: {error}")))?;
    if here.file_name().and_then(|name| name.to_str()) != Some(&manifest.name.to_string()) {
        return Err(fault(FILE, format!("is of another run, {}", manifest.name)));
    }
    if content_sha256(&manifest.files) != manifest.content_sha256 {
        return Err(fault(FILE, "was altered: content_sha256 does not match the files it lists".to_string()));
    }
    for file in &manifest.files {
        let bytes = load(&file.name)?;
        if bytes.len() as u64 != file.bytes || sha256(&bytes) != file.sha256 {
            return Err(fault(&file.name, "was altered: it does not match the manifest".to_string()));
        }
    }
    let unreadable = |error: std::io::Error| fault("", format!("cannot be listed: {error}"));
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name != FILE && manifest.files.iter().all(|file| file.name != name) {
            return Err(fault(&name, "was added: the manifest does not have it".to_string()));
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_runs_are_read_strictly_and_sort_by_number() {
        let name = RunName::parse("2026-11-18.r12").unwrap();
        assert_eq!(name.to_string(), "2026-11-18.r12");
        assert!(RunName::parse("2026-11-18.r2").unwrap() < name);
        for bad in ["2026-11-18", "2026-11-18.r0", "2026-11-18.r01", "2026-1-18.r1", "2026-11-18.r1/..", "../x.r1", ".r1"] {
            assert_eq!(RunName::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_manifest_reads_back_and_notices_any_change() {
        let files = vec![("b.txt".to_string(), b"x".to_vec()), ("a.csv".to_string(), b"h\r\n1\r\n2\r\n".to_vec())];
        let entries = entries(&files);
        assert_eq!(entries.iter().map(|entry| entry.rows).collect::<Vec<_>>(), [Some(2), None]);
        let manifest = Manifest {
            name: RunName::parse("2026-11-18.r1").unwrap(),
            run_id: "run".to_string(),
            complete: false,
            exit_code: 10,
            published_at: DateTime::from_timestamp(1_800_000_000, 0).unwrap(),
            content_sha256: content_sha256(&entries),
            files: entries,
        };
        let mut facts = Map::new();
        facts.insert("totals".to_string(), serde_json::json!({ "USD": "0.1" }));
        let bytes = render(&manifest, &facts);
        assert_eq!(read(&bytes), Ok(manifest));
        let text = String::from_utf8(bytes).unwrap();
        for (from, to) in [("\"0.1\"", "\"0.2\""), ("\"exit_code\": 10", "\"exit_code\": 0"), ("\"a.csv\"", "\"c.csv\"")] {
            assert!(text.contains(from));
            assert!(read(text.replacen(from, to, 1).as_bytes()).unwrap_err().contains("altered"), "{from}");
        }
        assert!(read(b"[]").is_err() && read(b"").is_err() && read(b"{\"version\": 2}").is_err());
    }

    #[test]
    fn no_name_is_a_path() {
        assert!(is_file_name("team_month.csv"));
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "MANIFEST.json", "a b", "ä.csv"] {
            assert!(!is_file_name(bad), "{bad}");
        }
    }
}
