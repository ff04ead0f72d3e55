//! What of day zero's parts is still to be made: told at the beginning, and now and then while it becomes less, for those
//! who see only lines.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use engine::step::StepId;

/// A part is often made in no time; who reads lines wants one now and then.
const QUIET: Duration = Duration::from_secs(20);

/// See the module.
pub(super) struct Remaining {
    missing: BTreeSet<StepId>,
    parts: usize,
    told: Instant,
}

impl Remaining {
    /// Of `parts` parts, `missing` have to be made.
    pub(super) fn new(missing: impl IntoIterator<Item = StepId>, parts: usize, now: Instant) -> Self {
        Self { missing: missing.into_iter().collect(), parts, told: now }
    }

    /// What is said at the beginning; nothing where everything is there.
    pub(super) fn at_first(&self) -> Option<String> {
        let Self { missing, parts, .. } = self;
        (!missing.is_empty()).then(|| format!("{} of {parts} parts have to be made: {}", missing.len(), self.names()))
    }

    /// `step` is there; says what is not, when it is time to.
    pub(super) fn made(&mut self, step: &StepId, now: Instant) -> Option<String> {
        if !self.missing.remove(step) || self.missing.is_empty() || now.duration_since(self.told) < QUIET {
            return None;
        }
        self.told = now;
        Some(format!("{} of {} parts remain: {}", self.missing.len(), self.parts, self.names()))
    }

    /// What is compiled and the image that it goes into share a name.
    fn names(&self) -> String {
        let names: BTreeSet<&str> = self.missing.iter().map(|step| step.name.as_str()).collect();
        names.into_iter().collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use engine::step::{Kind, StepId};

    use super::{QUIET, Remaining};

    #[test]
    fn what_remains_is_told_now_and_then_and_not_when_nothing_does() {
        let step = |kind, name: &str| StepId::new(kind, name);
        let parts = [
            step(Kind::Command, "coredns"),
            step(Kind::Image, "coredns"),
            step(Kind::Command, "kubernetes"),
            step(Kind::Image, "node"),
        ];
        let begun = Instant::now();
        let mut remaining = Remaining::new(parts.clone(), 20, begun);
        assert_eq!(remaining.at_first().unwrap(), "4 of 20 parts have to be made: coredns, kubernetes, node");
        assert_eq!(remaining.made(&parts[0], begun + Duration::from_secs(1)), None, "it was told a moment ago");
        let told = remaining.made(&parts[1], begun + QUIET).unwrap();
        assert_eq!(told, "2 of 20 parts remain: kubernetes, node");
        assert_eq!(remaining.made(&step(Kind::Command, "uv"), begun + QUIET * 9), None, "it was there all the time");
        assert!(remaining.made(&parts[2], begun + QUIET * 2).is_some());
        assert_eq!(remaining.made(&parts[3], begun + QUIET * 3), None);
        assert_eq!(Remaining::new([], 20, begun).at_first(), None);
    }
}
