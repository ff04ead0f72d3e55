//! Pauses between attempts: short at first, doubled each time, and never longer than a limit.

use std::time::Duration;

use super::pause;

/// See the module.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first` and stays at `most`.
    pub fn between(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// An attempt has succeeded.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// How long to wait before the next attempt; the one after it waits longer.
    pub fn grow(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.most);
        now
    }

    /// Waits that long.
    pub async fn pause(&mut self) {
        pause(self.grow()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Backoff;

    #[test]
    fn pauses_grow_up_to_the_limit_and_begin_anew_after_a_success() {
        let milliseconds = |backoff: &mut Backoff| backoff.grow().as_millis();
        let mut backoff = Backoff::between(Duration::from_millis(100), Duration::from_millis(500));
        assert_eq!([(); 4].map(|()| milliseconds(&mut backoff)), [100, 200, 400, 500]);
        backoff.reset();
        assert_eq!(milliseconds(&mut backoff), 100);
    }
}
