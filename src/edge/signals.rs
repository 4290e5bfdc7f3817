//! Interrupts: before the commit point the process ends at once and nothing is published; from there on
//! the publish is finished first (reliability.md section 3).

use crate::domain::fault::ExitCode;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the run of this process is past its commit point.
static COMMITTED: Mutex<bool> = Mutex::new(false);

/// Whether somebody asked this process to end after its run was published: what can be left to the next run, is.
static ASKED: AtomicBool = AtomicBool::new(false);

/// See [`ASKED`].
pub(super) fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// Keeps interrupts waiting while it lives.
#[must_use]
pub struct Commit(MutexGuard<'static, bool>);

/// From here until the guard is dropped the process is not interrupted.
pub fn hold() -> Commit {
    Commit(COMMITTED.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Commit {
    /// The run is published: an interrupt that came meanwhile no longer changes its exit code.
    pub fn done(mut self) {
        *self.0 = true;
    }
}

/// The signal "file too large", which kills without a message unless it is handled.
const FILE_SIZE: i32 = 25;

/// Starts listening. Without it interrupts still end the process, only with the system's own code.
pub fn prepare() {
    let _ = std::thread::Builder::new().name("signals".to_string()).spawn(listen);
}

fn listen() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
            return;
        };
        // Held for the life of the process: a write past the limit then fails with an error, which is reported.
        let _file_size = signal(SignalKind::from_raw(FILE_SIZE));
        loop {
            let code = tokio::select! {
                _ = interrupt.recv() => ExitCode::Interrupted,
                _ = terminate.recv() => ExitCode::Terminated,
            };
            let committed = COMMITTED.lock().unwrap_or_else(PoisonError::into_inner);
            ASKED.store(true, Ordering::Relaxed);
            if !*committed {
                let _ = writeln!(std::io::stderr(), "error[{}] interrupted; published nothing", code.name());
                std::process::exit(i32::from(code as u8));
            }
        }
    });
}
