//! Waiting for a child with signs of life: a pipeline that hears nothing for long takes a run for dead.

use std::io;
use std::process::{Child, ExitStatus};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How often whoever reads lines hears of a build: cargo is silent while it compiles one crate.
pub const PULSE: Duration = Duration::from_secs(20);

/// Waits until `child` has ended, and calls `tell` at each `pulse` with how long that takes already.
///
/// # Errors
/// When it cannot be waited for.
pub fn wait(child: &mut Child, pulse: Duration, tell: impl Fn(Duration) + Send) -> io::Result<ExitStatus> {
    let (ended, end) = mpsc::channel::<()>();
    let begun = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            while end.recv_timeout(pulse) == Err(RecvTimeoutError::Timeout) {
                tell(begun.elapsed());
            }
        });
        let status = child.wait();
        drop(ended);
        status
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::Mutex;
    use std::time::Duration;

    use super::wait;

    #[test]
    fn it_tells_again_and_again_until_the_child_has_ended() {
        // It ends when nobody can write to it any more.
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let held = Mutex::new((child.stdin.take(), Vec::new()));
        let status = wait(&mut child, Duration::from_millis(1), |since| {
            let mut held = held.lock().unwrap();
            held.1.push(since);
            if held.1.len() == 3 {
                held.0 = None;
            }
        });
        assert!(status.unwrap().success());
        let told = held.into_inner().unwrap().1;
        assert!(told.len() >= 3 && told.is_sorted(), "{told:?}");
    }
}
