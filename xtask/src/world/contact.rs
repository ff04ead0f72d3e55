//! Whether the API server can be reached, for what watches it for hours: trying goes on, and it is told once that it is
//! away and once that it is back.

use std::time::Duration;

use engine::failure::Failure;

use super::World;
use super::backoff::Backoff;

/// How long after a failed attempt the next is made: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// How it stands with the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contact {
    /// It does not answer; told once.
    Lost(Failure),
    /// It answers again.
    Back,
}

/// Attempts, one after the other, to keep something that ends only by failing.
#[derive(Debug)]
pub struct Attempts {
    failed: usize,
    backoff: Backoff,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { failed: 0, backoff: Backoff::between(PAUSES.0, PAUSES.1) }
    }
}

impl Attempts {
    /// The present attempt works; what there is to be told of that.
    pub fn worked(&mut self) -> Option<Contact> {
        let told = self.failed > 1;
        self.failed = 0;
        self.backoff.reset();
        told.then_some(Contact::Back)
    }

    /// The present attempt has failed; what there is to be told of that. The end of one that worked is nothing yet:
    /// watches end now and then.
    pub fn failed(&mut self, why: Failure) -> Option<Contact> {
        self.failed += 1;
        (self.failed == 2).then_some(Contact::Lost(why))
    }

    /// Waits until the next attempt is due, and finds out where the API server is by then.
    pub async fn pause(&mut self, world: &World) {
        if self.failed > 1 {
            self.backoff.pause().await;
        }
        world.look_again().await;
    }
}

#[cfg(test)]
mod tests {
    use engine::failure::Failure;

    use super::{Attempts, Contact};

    #[test]
    fn that_it_is_away_and_that_it_is_back_is_told_once_each() {
        let mut attempts = Attempts::default();
        let mut told = Vec::new();
        for works in [true, false, true, false, false, false, true, false, true, false, false] {
            let news = if works { attempts.worked() } else { attempts.failed(Failure::step("gone")) };
            told.push(match news {
                Some(Contact::Lost(_)) => "lost",
                Some(Contact::Back) => "back",
                None => "",
            });
        }
        assert_eq!(told, ["", "", "", "", "lost", "", "back", "", "", "", "lost"]);
    }
}
