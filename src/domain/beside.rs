//! Two pieces of work side by side.

use std::thread::{ScopedJoinHandle, scope};

/// What both come to, the first on a thread of its own. A panic of either goes on here.
pub fn beside<A: Send, B>(there: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    scope(|scope| {
        let there = scope.spawn(there);
        let here = here();
        (done(there), here)
    })
}

/// What a thread came to. Its panic goes on here.
pub fn done<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_and_a_panic_goes_on() {
        let mut count = 0;
        assert_eq!(beside(|| "there", || count += 1), ("there", ()));
        assert_eq!(count, 1);
        let told = std::panic::catch_unwind(|| beside(|| assert!(std::hint::black_box(false), "told"), || ()));
        assert_eq!(told.unwrap_err().downcast_ref::<&str>(), Some(&"told"));
    }
}
