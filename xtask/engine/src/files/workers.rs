//! Runs the same work on a few threads at once. What there is to do, the work finds out by itself.

use std::thread;

/// Threads that look at the disk. More gain little: a file system answers about two at once.
pub(super) const WORKERS: usize = 2;

/// Runs `work` on up to `workers` threads, this one among them, and returns what each gave back.
/// Where the system has no thread to spare, fewer do all of it.
pub(super) fn share<T: Send>(workers: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let others: Vec<_> =
            (1..workers).filter_map(|_| thread::Builder::new().spawn_scoped(scope, &work).ok()).collect();
        let mut results = vec![work()];
        results.extend(others.into_iter().map(|other| match other.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }));
        results
    })
}
