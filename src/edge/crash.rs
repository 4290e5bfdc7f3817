//! Places between the steps of fetching and of the commit protocol where a test can end the process or let it panic
//! (reliability.md section 8, "Crash enumeration").

/// Ends the process at once, without any cleaning up, when `TIEOUT_CRASH_AT` names this point, and panics as a bug
/// would when `TIEOUT_PANIC_AT` does. Does nothing in release builds.
#[allow(clippy::panic)] // A test asks for it, in a debug build.
pub(super) fn point(name: &str) {
    #[cfg(debug_assertions)]
    {
        let named = |variable| std::env::var_os(variable).is_some_and(|at| at == name);
        if named("TIEOUT_CRASH_AT") {
            std::process::abort();
        }
        if named("TIEOUT_PANIC_AT") {
            panic!("a bug at {name}");
        }
    }
    #[cfg(not(debug_assertions))]
    let _ = name;
}
