//! When the graph is run again although no file has changed: something out there is not as it was.

use std::time::{Duration, Instant};

use engine::failure::Class;
use engine::run::State;
use engine::step::Kind;

use crate::run::Summary;
use crate::world::backoff::Backoff;

/// Between attempts at what may mend itself: at first, and at most.
const SOON: Duration = Duration::from_secs(2);
const SELDOM: Duration = Duration::from_secs(60);

/// Between attempts at what an edit mends most likely, which may cost much: at first, and at most.
const PATIENT: Duration = Duration::from_secs(30);
const RARELY: Duration = Duration::from_secs(600);

/// After a pod was lost, before it is looked whether more was.
const SETTLED: Duration = Duration::from_secs(5);

/// What may mend a run that has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MendedBy {
    /// Nothing but an edit: what is wrong stands in the workspace's files.
    Edit,
    /// An edit, most likely: a build or a command did not like what it was given. But it may have missed a network, a
    /// registry or room on the node's disk, and does not say so in words that are known here.
    EditOrTime,
    /// Whatever happens out there: the API server, the daemon or the cluster was not as it should be.
    Time,
}

impl MendedBy {
    /// What may mend the run of which `summary` tells.
    pub fn of(summary: &Summary) -> Self {
        let failed = || summary.states.iter().filter(|(_, state)| *state == State::Failed).map(|(step, _)| step.kind);
        let made_of_files = |kind: Kind| matches!(kind, Kind::Image | Kind::Command | Kind::Secrets);
        let any = |class: Class| summary.failures.iter().any(|failure| failure.class == class);
        if any(Class::Environment) || failed().any(|kind| !made_of_files(kind)) {
            Self::Time
        } else if !summary.failures.is_empty() && summary.failures.iter().all(|failure| failure.class == Class::Usage) {
            Self::Edit
        } else if failed().any(|kind| kind == Kind::Secrets) {
            // What is wrong with their file is a matter of usage; this is what the API server did not want.
            Self::Time
        } else {
            Self::EditOrTime
        }
    }
}

/// See the module.
pub struct Retry {
    at: Option<Instant>,
    /// Between runs that failed by what may mend itself.
    soon: Backoff,
    /// Between the others.
    patient: Backoff,
}

impl Retry {
    /// Not at all, yet.
    pub fn never() -> Self {
        Self { at: None, soon: Backoff::between(SOON, SELDOM), patient: Backoff::between(PATIENT, RARELY) }
    }

    /// The moment, if there is one.
    pub const fn at(&self) -> Option<Instant> {
        self.at
    }

    /// The moment has come; whether it is run now. While a run is under way it is not: what that fails with has to be told
    /// first, and when the next one is due follows from that.
    pub fn due(&mut self, running: bool) -> bool {
        self.at = running.then(|| Instant::now() + SETTLED);
        !running
    }

    /// A run has succeeded.
    pub fn succeeded(&mut self) {
        self.soon.reset();
        self.patient.reset();
    }

    /// A pod has gone. One that was replaced is nothing; a Deployment, a namespace or a node that has gone is found by
    /// looking.
    pub fn when_settled(&mut self) {
        self.at.get_or_insert(Instant::now() + SETTLED);
    }

    /// The API server was away, and what waits for it need not wait for long.
    pub fn soon(&mut self) {
        self.soon.reset();
        let soon = Instant::now() + SOON;
        self.at = Some(self.at.map_or(soon, |at| at.min(soon)));
    }

    /// A run has failed; returns how long the next one waits, if it is run again without an edit.
    pub fn later(&mut self, mended: MendedBy) -> Option<Duration> {
        let wait = match mended {
            MendedBy::Edit => return None,
            MendedBy::EditOrTime => self.patient.grow(),
            MendedBy::Time => self.soon.grow(),
        };
        self.at = Some(Instant::now() + wait);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use engine::failure::{Class, Failure};
    use engine::run::State;
    use engine::step::{Kind, StepId};

    use super::{MendedBy, Retry};
    use crate::run::Summary;

    #[test]
    fn what_may_have_failed_by_something_out_there_is_tried_again() {
        use Class::{Cluster, Environment, Step, Usage};
        use Kind::{Check, Command, Image, Release, Secrets};
        for (failed, expected) in [
            // No network in a RUN, no room in the daemon: they say it in words of their own.
            ([(Image, Step)].as_slice(), MendedBy::EditOrTime),
            (&[(Command, Step)], MendedBy::EditOrTime),
            (&[(Image, Usage), (Command, Step)], MendedBy::EditOrTime),
            // No daemon, no registry.
            (&[(Image, Environment)], MendedBy::Time),
            (&[(Command, Environment), (Image, Step)], MendedBy::Time),
            // A namespace that is going, an API server that is not ready.
            (&[(Secrets, Step)], MendedBy::Time),
            (&[(Release, Step)], MendedBy::Time),
            (&[(Check, Step)], MendedBy::Time),
            (&[(Kind::Cluster, Cluster)], MendedBy::Time),
            // A value that is missing in a file.
            (&[(Secrets, Usage)], MendedBy::Edit),
            (&[(Image, Usage)], MendedBy::Edit),
        ] {
            let states = failed.iter().map(|(kind, _)| (StepId::new(*kind, "x"), State::Failed));
            let fine = [(StepId::new(Image, "y"), State::Done), (StepId::new(Release, "y"), State::Skipped)];
            let failures = failed.iter().map(|(_, class)| Failure::new(*class, "it failed")).collect();
            let summary = Summary { states: states.chain(fine).collect(), failures };
            assert_eq!(MendedBy::of(&summary), expected, "{failed:?}");
        }
    }

    #[test]
    fn no_run_follows_one_that_is_under_way_only_because_time_has_passed() {
        let mut retry = Retry::never();
        retry.soon();
        assert!(!retry.due(true));
        assert!(retry.at().is_some_and(|at| at > Instant::now()), "it is asked again later");
        assert_eq!(
            retry.later(MendedBy::Time).map(|wait| wait.as_secs()),
            Some(2),
            "once that has failed, with patience"
        );
        assert!(retry.due(false));
        assert_eq!(retry.at(), None);
    }

    #[test]
    fn what_costs_much_and_hardly_mends_itself_is_tried_seldom() {
        let mut retry = Retry::never();
        let mut waits = |mended: MendedBy| [(); 3].map(|()| retry.later(mended).map(|wait| wait.as_secs()));
        assert_eq!(waits(MendedBy::Edit), [None, None, None]);
        assert_eq!(waits(MendedBy::Time), [Some(2), Some(4), Some(8)]);
        assert_eq!(waits(MendedBy::EditOrTime), [Some(30), Some(60), Some(120)]);
        retry.soon();
        assert_eq!(retry.later(MendedBy::Time).map(|wait| wait.as_secs()), Some(2));
        retry.succeeded();
        assert_eq!(retry.later(MendedBy::EditOrTime).map(|wait| wait.as_secs()), Some(30));
    }
}
