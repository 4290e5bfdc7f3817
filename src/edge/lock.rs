//! One runner at a time (reliability.md section 1, guarantee 10). The kernel holds the lock and drops it with
//! the process, so a crash leaves none behind.

use crate::domain::fault::{ExitCode, Fault};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most bytes of the holder's note that a message shows.
const NOTE_MAX: u64 = 200;

/// The lock of a state directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes `lock` in the state directory without waiting, and notes process, host and run in it.
    ///
    /// # Errors
    /// [`ExitCode::Locked`] naming the holder when another process has it; [`ExitCode::CantCreate`] when the
    /// file cannot be made or its file system knows no locks.
    pub fn take(dir: &Path, run_id: &str) -> Result<Lock, Fault> {
        let path = dir.join("lock");
        let cannot = |fault: std::io::Error| {
            let hint = "the state directory must be on a local disk and writable";
            Fault::new(ExitCode::CantCreate, path.display().to_string(), format!("cannot take the lock: {fault}"), hint)
        };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let hint = "let it finish; nothing was changed";
                let what = format!("another run holds the lock: {}", holder(&mut file));
                return Err(Fault::new(ExitCode::Locked, path.display().to_string(), what, hint));
            }
            Err(TryLockError::Error(fault)) => return Err(cannot(fault)),
        }
        // For the message only: a note that cannot be written costs nothing.
        let note = format!("process {} on {}, run {run_id}\n", std::process::id(), host());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(note.as_bytes()));
        Ok(Lock { file, path })
    }

    /// The lock file is still the one we hold. Somebody who deletes it lets a second runner in.
    pub fn is_ours(&self) -> bool {
        let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
        match (self.file.metadata(), fs::metadata(&self.path)) {
            (Ok(held), Ok(there)) => identity(held) == identity(there),
            _ => false,
        }
    }
}

impl Drop for Lock {
    /// Gives the lock back itself: a process that is just being started holds a copy of every open file
    /// until it has become another program, and closing ours alone would leave the lock with it so long.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn holder(file: &mut File) -> String {
    let mut note = Vec::new();
    let _ = file.rewind().and_then(|()| file.take(NOTE_MAX).read_to_end(&mut note));
    let note = String::from_utf8_lossy(&note).trim().escape_debug().to_string();
    if note.is_empty() { "it left no name".to_string() } else { note }
}

fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this host".to_string(), |name| name.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_runner_is_turned_away_and_told_by_whom() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path(), "run-1").unwrap();
        let started = std::time::Instant::now();
        let fault = Lock::take(dir.path(), "run-2").unwrap_err();
        assert!(started.elapsed() < std::time::Duration::from_secs(1));
        assert_eq!(fault.code, ExitCode::Locked);
        let expected = format!("process {} on ", std::process::id());
        assert!(fault.what.contains(&expected) && fault.what.contains("run run-1"), "{}", fault.what);
        drop(first);
        assert!(Lock::take(dir.path(), "run-2").is_ok());
    }

    #[test]
    fn of_many_starters_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let barrier = std::sync::Barrier::new(32);
        let taken: Vec<Result<Lock, Fault>> = std::thread::scope(|scope| {
            let start = |_| {
                scope.spawn(|| {
                    barrier.wait();
                    Lock::take(dir.path(), "run")
                })
            };
            let threads: Vec<_> = (0..32).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|lock| lock.is_ok()).count(), 1);
        assert!(taken.iter().filter_map(|lock| lock.as_ref().err()).all(|fault| fault.code == ExitCode::Locked));
    }

    #[test]
    fn a_lock_file_put_in_place_of_ours_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let lock = Lock::take(dir.path(), "run").unwrap();
        assert!(lock.is_ours());
        fs::remove_file(dir.path().join("lock")).unwrap();
        assert!(!lock.is_ours());
        fs::write(dir.path().join("lock"), "").unwrap();
        assert!(!lock.is_ours());
    }

    #[test]
    fn a_lock_that_cannot_be_made_is_73() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lock")).unwrap();
        assert_eq!(Lock::take(dir.path(), "run").unwrap_err().code, ExitCode::CantCreate);
    }
}
