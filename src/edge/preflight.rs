//! Both directories are proven usable before any work is done (reliability.md section 3, step 1).

use crate::domain::fault::{ExitCode, Fault};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Makes `out`, `out/runs` and `state` where they are missing and their parent is there, and proves each by
/// creating, syncing and removing a file in it.
///
/// # Errors
/// [`ExitCode::CantCreate`] naming the directory that is missing with its parent, read-only, not permitted
/// or not a directory; [`ExitCode::IoErr`] when the disk is full or fails.
pub fn directories(out: &Path, state: &Path, run_id: &str) -> Result<(), Fault> {
    directory(out, 0o755)?;
    let runs = out.join("runs");
    directory(&runs, 0o755)?;
    directory(state, 0o700)?;
    for dir in [out, &runs, state] {
        probe(dir, run_id).map_err(|error| fault(dir, "cannot be written", &error))?;
    }
    for pointer in ["latest", "latest-complete"] {
        let pointer = out.join(pointer);
        if fs::symlink_metadata(&pointer).is_ok_and(|meta| !meta.is_symlink()) {
            let what = "is in the way: a link to the newest run belongs here";
            let place = pointer.display().to_string();
            return Err(Fault::new(ExitCode::CantCreate, place, what, "move it away, or give the job another output"));
        }
    }
    Ok(())
}

fn directory(dir: &Path, mode: u32) -> Result<(), Fault> {
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(fault(dir, "cannot be made", &error)),
        // A file, or a link that leads nowhere.
        _ if !dir.is_dir() => Err(fault(dir, "cannot be used", &io::Error::from(ErrorKind::NotADirectory))),
        _ => Ok(()),
    }
}

fn probe(dir: &Path, run_id: &str) -> io::Result<()> {
    let path = dir.join(format!(".tmp-probe-{run_id}"));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = file.write_all(b"probe\n").and_then(|()| file.sync_all());
    match fs::remove_file(&path) {
        // Whoever holds the lock clears such files away.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    written?;
    File::open(dir)?.sync_all()
}

fn fault(dir: &Path, what: &str, error: &io::Error) -> Fault {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    let (code, hint) = if full {
        (ExitCode::IoErr, "free some space and run again")
    } else {
        (ExitCode::CantCreate, "the job's output and state must be directories that this user can write")
    };
    Fault::new(code, dir.display().to_string(), format!("{what}: {error}"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_what_is_missing_and_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let (out, state) = (dir.path().join("out"), dir.path().join("state"));
        directories(&out, &state, "run").unwrap();
        directories(&out, &state, "run").unwrap();
        assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
        assert_eq!(fs::read_dir(out.join("runs")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(&state).unwrap().count(), 0);
    }

    #[test]
    fn names_the_directory_that_cannot_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let good = dir.path().join("good");
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let dangling = dir.path().join("dangling");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &dangling).unwrap();
        let missing = dir.path().join("missing/child");
        for bad in [&file, &dangling, &missing] {
            for (out, state) in [(bad, &good), (&good, bad)] {
                let fault = directories(out, state, "run").unwrap_err();
                assert_eq!(fault.code, ExitCode::CantCreate, "{fault}");
                assert_eq!(fault.place, bad.display().to_string());
            }
        }
        fs::create_dir(good.join("latest")).unwrap();
        let fault = directories(&good, &good, "run").unwrap_err();
        assert_eq!((fault.code, fault.place), (ExitCode::CantCreate, good.join("latest").display().to_string()));
    }
}
