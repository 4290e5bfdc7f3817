//! Work side by side on threads of its own.

use std::thread::{ScopedJoinHandle, scope};

/// What both come to, the first on a thread of its own. A panic of either goes on here.
pub fn beside<A: Send, B>(there: impl FnOnce() -> A + Send, here: impl FnOnce() -> B) -> (A, B) {
    scope(|scope| {
        let there = scope.spawn(there);
        let here = here();
        (done(there), here)
    })
}

/// What each comes to, in their order, each on a thread of its own. A panic of one goes on here.
pub fn each<T: Send, R: Send>(all: impl IntoIterator<Item = T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    scope(|scope| {
        let work = &work;
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(move || work(one))).collect();
        threads.into_iter().map(done).collect()
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
    fn all_is_done_in_order_and_a_panic_goes_on() {
        let mut count = 0;
        assert_eq!(beside(|| "there", || count += 1), ("there", ()));
        assert_eq!(count, 1);
        assert_eq!(each([3, 1, 2], |number| number * 2), [6, 2, 4]);
        let told = std::panic::catch_unwind(|| beside(|| assert!(std::hint::black_box(false), "told"), || ()));
        assert_eq!(told.unwrap_err().downcast_ref::<&str>(), Some(&"told"));
    }
}
