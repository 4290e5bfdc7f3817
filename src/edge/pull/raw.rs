//! Pages as they were received, compressed, beside the state store and named by their content
//! (reliability.md section 3). Nobody else may read them.

use super::super::crash;
use super::super::manifest::sha256;
use crate::domain::fault::{ExitCode, Fault};
use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Level 3 of 22: fast, and pages shrink to a tenth.
const LEVEL: i32 = 3;
const UNFINISHED: &str = ".tmp-";

/// The folder `raw` of a state directory.
#[derive(Debug)]
pub struct RawStore {
    folder: PathBuf,
    run_id: String,
    next: AtomicU64,
}

impl RawStore {
    /// Makes the folder where it is missing.
    ///
    /// # Errors
    /// [`ExitCode::CantCreate`] when it cannot be made.
    pub fn open(state: &Path, run_id: &str) -> Result<RawStore, Fault> {
        let folder = state.join("raw");
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                let what = format!("cannot be made: {error}");
                Err(Fault::new(ExitCode::CantCreate, folder.display().to_string(), what, "check the state directory"))
            }
            _ => Ok(RawStore { folder, run_id: run_id.to_string(), next: AtomicU64::new(0) }),
        }
    }

    /// Keeps a page and returns its hash. It is on disk when this returns; the folder is synced by
    /// [`RawStore::sync`].
    ///
    /// # Errors
    /// [`ExitCode::IoErr`] when it cannot be written.
    pub fn keep(&self, page: &[u8]) -> Result<String, Fault> {
        let hash = sha256(page);
        let path = self.path(&hash);
        if path.exists() {
            return Ok(hash);
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let beside = self.folder.join(format!("{UNFINISHED}{}-{number}", self.run_id));
        let write = || {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            let mut encoder = zstd::Encoder::new(file, LEVEL)?;
            encoder.write_all(page)?;
            encoder.finish()?.sync_all()?;
            fs::rename(&beside, &path)
        };
        match write() {
            Ok(()) => {
                crash::point("page-kept");
                Ok(hash)
            }
            Err(error) => {
                let _ = fs::remove_file(&beside);
                let hint = "free some space and check the disk, then run again: what is published stands";
                Err(Fault::new(ExitCode::IoErr, path.display().to_string(), format!("cannot be written: {error}"), hint))
            }
        }
    }

    /// Makes the names of kept pages durable.
    ///
    /// # Errors
    /// [`ExitCode::IoErr`].
    pub fn sync(&self) -> Result<(), Fault> {
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(|error| {
            let what = format!("cannot be synced: {error}");
            Fault::new(ExitCode::IoErr, self.folder.display().to_string(), what, "check the disk, then run again")
        })
    }

    /// Removes what no slice needs. What cannot be removed stays until the next time.
    pub fn clear(&self, kept: &[String]) {
        let kept: HashSet<&str> = kept.iter().map(String::as_str).collect();
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let page = name.strip_suffix(".zst").filter(|hash| hash.len() == 64);
            if name.starts_with(UNFINISHED) || page.is_some_and(|hash| !kept.contains(hash)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    fn path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.zst"))
    }
}

/// A page that was kept.
///
/// # Errors
/// [`ExitCode::State`] when it is gone or not what it was.
pub fn read(state: &Path, hash: &str) -> Result<Vec<u8>, Fault> {
    let path = state.join("raw").join(format!("{hash}.zst"));
    let mut page = Vec::new();
    let read = File::open(&path).and_then(zstd::Decoder::new).and_then(|mut decoder| decoder.read_to_end(&mut page));
    let what = match read {
        Ok(_) if sha256(&page) == hash => return Ok(page),
        Ok(_) => "a fetched page is not what it was".to_string(),
        Err(error) => format!("a fetched page cannot be read: {error}"),
    };
    let hint = "move the state folder away and run again: it is rebuilt from the published runs, and pages are fetched again";
    Err(Fault::new(ExitCode::State, path.display().to_string(), what, hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn pages_are_kept_by_content_until_nothing_needs_them() {
        let state = tempfile::tempdir().unwrap();
        let raw = RawStore::open(state.path(), "run").unwrap();
        let (one, two) = (raw.keep(b"one").unwrap(), raw.keep(b"two").unwrap());
        assert_eq!((raw.keep(b"one").unwrap(), read(state.path(), &two).unwrap()), (one.clone(), b"two".to_vec()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state.path().join("raw")), mode(&raw.path(&one))), (0o700, 0o600));
        fs::write(state.path().join("raw/.tmp-old-1"), "half").unwrap();
        raw.sync().unwrap();
        raw.clear(std::slice::from_ref(&two));
        let left: Vec<_> = fs::read_dir(state.path().join("raw")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [format!("{two}.zst").as_str()]);
        assert_eq!(read(state.path(), &one).unwrap_err().code, ExitCode::State);
        fs::write(raw.path(&two), zstd::encode_all(b"tow".as_slice(), 1).unwrap()).unwrap();
        assert!(read(state.path(), &two).unwrap_err().what.contains("not what it was"));
    }
}
