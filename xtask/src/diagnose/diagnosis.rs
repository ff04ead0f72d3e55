//! A diagnosis: what is wrong with a workload, why, and what to type next.
//!
//! It knows how long its condition has to last before waiting on is pointless, but not what time it is.

use std::time::Duration;

use engine::failure::{Excerpt, Failure};

use super::evidence::{Identity, Want};

/// How long a condition has to hold, seen without a break, before it ends the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Patience {
    /// It ends the wait after so long.
    For(Duration),
    /// It often heals: it explains a wait that ran out, and never ends one.
    UntilDeadline,
}

impl Patience {
    /// It will not heal: the wait ends at once.
    pub const NONE: Self = Self::For(Duration::ZERO);
    /// It will not heal unless something else is just being made: a controller gets this long for it.
    pub const SHORT: Self = Self::For(Duration::from_secs(2));
    /// It often heals by itself within this time.
    pub const LONG: Self = Self::For(Duration::from_secs(10));
}

/// What is wrong with one workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The class of failure, a word for tests and reports: `config`, `crash`.
    pub class: &'static str,
    /// The workload that cannot become ready.
    pub workload: Identity,
    /// What is wrong, in one line without a full stop; names the object.
    pub title: String,
    /// Why, outermost first, in the words of the cluster where they help.
    pub causes: Vec<String>,
    /// Last log lines or events.
    pub excerpts: Vec<Excerpt>,
    /// What to do next, most likely first.
    pub help: Vec<String>,
    /// How long it must last to end the wait.
    pub patience: Patience,
    /// What would make the diagnosis more exact, or refute it.
    pub wants: Vec<Want>,
}

impl Diagnosis {
    /// A diagnosis of `workload` that ends the wait at once; `title` names the object.
    pub fn new(class: &'static str, workload: &Identity, title: impl Into<String>) -> Self {
        Self {
            class,
            workload: workload.clone(),
            title: title.into(),
            causes: Vec::new(),
            excerpts: Vec::new(),
            help: Vec::new(),
            patience: Patience::NONE,
            wants: Vec::new(),
        }
    }

    /// With this patience.
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// With a further cause; an empty one is left out.
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        let cause = cause.into();
        if !cause.trim().is_empty() {
            self.causes.push(cause.trim().to_owned());
        }
        self
    }

    /// With lines of output; none are left out.
    pub fn excerpt(mut self, origin: impl Into<String>, lines: Vec<String>) -> Self {
        if !lines.is_empty() {
            self.excerpts.push(Excerpt { lines, origin: origin.into() });
        }
        self
    }

    /// With a further next step.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// With something to look up.
    pub fn wants(mut self, want: Want) -> Self {
        self.wants.push(want);
        self
    }

    /// As the failure of the step that waited; every text goes through `redact`.
    pub fn into_failure(self, redact: &dyn Fn(&str) -> String) -> Failure {
        let mut failure = Failure::step(redact(&self.title));
        failure.causes = self.causes.iter().map(|cause| redact(cause)).collect();
        failure.help = self.help.iter().map(|help| redact(help)).collect();
        for excerpt in self.excerpts {
            let lines = excerpt.lines.iter().map(|line| redact(line)).collect();
            failure = failure.excerpt(redact(&excerpt.origin), lines);
        }
        failure
    }
}
