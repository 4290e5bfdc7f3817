//! Places between the steps of the commit protocol where a test can kill the process
//! (reliability.md section 8, "Crash enumeration").

/// Ends the process at once, without any cleaning up, when `TIEOUT_CRASH_AT` names this point. Does nothing
/// in release builds.
pub(super) fn point(name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var_os("TIEOUT_CRASH_AT").is_some_and(|at| at == name) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
