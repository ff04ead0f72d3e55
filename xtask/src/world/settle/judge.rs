//! How long each diagnosis has lasted, and whether that ends the wait.
//!
//! The only place where a diagnosis meets the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::diagnose::diagnosis::{Diagnosis, Patience};
use crate::diagnose::evidence::Identity;

/// When a diagnosis that a look-up refuted is looked at again.
const AGAIN: Duration = Duration::from_secs(1);

/// What makes two diagnoses the same one, seen twice. Titles are no part of it: they name a pod or count.
type Key = (&'static str, Identity);

/// Since when each diagnosis has held without a break.
#[derive(Debug, Default)]
pub struct Judge {
    since: BTreeMap<Key, Instant>,
    refuted: BTreeMap<Key, Instant>,
}

/// What a round of judging came to.
#[derive(Debug, PartialEq, Eq)]
pub struct Round {
    /// Diagnoses whose patience is over.
    pub ripe: Vec<Diagnosis>,
    /// When the next one's will be, if nothing changes.
    pub next: Option<Instant>,
}

impl Judge {
    /// Takes in what is found `now`.
    pub fn round(&mut self, found: Vec<Diagnosis>, now: Instant) -> Round {
        let since = std::mem::take(&mut self.since);
        let mut round = Round { ripe: Vec::new(), next: None };
        for diagnosis in found {
            let Patience::For(patience) = diagnosis.patience else { continue };
            let key = key(&diagnosis);
            let first = since.get(&key).copied().unwrap_or(now);
            self.since.insert(key.clone(), first);
            let due = (first + patience).max(self.refuted.get(&key).copied().unwrap_or(first));
            if due <= now {
                round.ripe.push(diagnosis);
            } else {
                round.next = Some(round.next.map_or(due, |next| next.min(due)));
            }
        }
        round
    }

    /// A look-up has shown that `diagnosis` no longer holds, though the pod's status still says so: the kubelet tries
    /// again by itself.
    pub fn refute(&mut self, diagnosis: &Diagnosis, now: Instant) {
        self.refuted.insert(key(diagnosis), now + AGAIN);
    }
}

fn key(diagnosis: &Diagnosis) -> Key {
    (diagnosis.class, diagnosis.workload.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Judge;
    use crate::diagnose::diagnosis::{Diagnosis, Patience};
    use crate::diagnose::evidence::{Identity, Kind};

    fn diagnosis(patience: Patience) -> Diagnosis {
        Diagnosis::new("test", &Identity::new(Kind::Deployment, "n", "d"), "title").patience(patience)
    }

    #[test]
    fn a_diagnosis_ends_the_wait_only_after_it_held_without_a_break() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let found = || vec![diagnosis(Patience::LONG)];
        let mut judge = Judge::default();
        // (second, is it seen then, does it end the wait)
        for (second, seen, ends) in [
            (0, true, false),
            (9, true, false),
            (10, false, false),
            (11, true, false),
            (20, true, false),
            (21, true, true),
        ] {
            let round = judge.round(if seen { found() } else { Vec::new() }, at(second));
            assert_eq!(!round.ripe.is_empty(), ends, "second {second}");
        }
    }

    #[test]
    fn what_often_heals_never_ends_the_wait() {
        let start = Instant::now();
        let mut judge = Judge::default();
        for hour in 0..3 {
            let round = judge.round(vec![diagnosis(Patience::UntilDeadline)], start + Duration::from_secs(3600 * hour));
            assert!(round.ripe.is_empty() && round.next.is_none());
        }
    }

    #[test]
    fn a_refuted_diagnosis_is_looked_at_again_a_second_later() {
        let start = Instant::now();
        let mut judge = Judge::default();
        assert_eq!(judge.round(vec![diagnosis(Patience::NONE)], start).ripe.len(), 1);
        judge.refute(&diagnosis(Patience::NONE), start);
        let round = judge.round(vec![diagnosis(Patience::NONE)], start);
        assert!(round.ripe.is_empty());
        assert_eq!(round.next, Some(start + Duration::from_secs(1)));
        assert_eq!(judge.round(vec![diagnosis(Patience::NONE)], start + Duration::from_secs(1)).ripe.len(), 1);
    }
}
