//! One thing that happened in a run. Reporters turn the stream of them into terminal lines, JSON or a journal.
//!
//! Steps tell events and print nothing; reporters read them and decide nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::step::StepId;
use crate::verdict::Reason;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A run begins.
    RunStarted {
        /// Its number in this workspace.
        run: u64,
        /// The command: `deploy`.
        command: String,
        /// How many steps it looks at.
        steps: usize,
    },
    /// A step has to run.
    Stale {
        /// Which.
        step: StepId,
        /// Why; the first reason explains.
        reasons: Vec<Reason>,
    },
    /// A step begins to run.
    Started {
        /// Which.
        step: StepId,
    },
    /// A step waits for another run.
    Waiting {
        /// Which.
        step: StepId,
        /// For whom, in their own words.
        holder: String,
    },
    /// Where a running step is; the next one replaces it.
    Progress {
        /// Which.
        step: StepId,
        /// `[builder 4/7] RUN pnpm build`.
        text: String,
    },
    /// A line that something a step runs has printed.
    Output {
        /// Which.
        step: StepId,
        /// The line, redacted.
        line: String,
    },
    /// Something a person should know although all goes on.
    Note {
        /// The step that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// How much it matters.
        level: Level,
        /// One line.
        text: String,
    },
    /// A step was fresh.
    Fresh {
        /// Which.
        step: StepId,
    },
    /// A step succeeded.
    Done {
        /// Which.
        step: StepId,
        /// What it made, in one line.
        summary: String,
        /// How long it ran.
        took: Duration,
    },
    /// A step failed.
    Failed {
        /// Which.
        step: StepId,
        /// Why, and what to do.
        failure: Failure,
    },
    /// A step will not run, because one that it needs has failed.
    Skipped {
        /// Which.
        step: StepId,
        /// The one that failed.
        because_of: StepId,
    },
    /// A step will not run or was stopped, because the run was.
    Cancelled {
        /// Which.
        step: StepId,
    },
    /// A run has ended.
    RunFinished {
        /// What became of its steps.
        tally: Tally,
        /// How long it took.
        took: Duration,
        /// What the person wanted to know: where the app answers, what is deployed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        headline: Option<String>,
    },
}

/// How much a note matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Good to know.
    Info,
    /// Probably not what was meant.
    Warning,
}

/// How many steps ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Ran and succeeded.
    pub ran: usize,
    /// Had nothing to do.
    pub fresh: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped behind a failure.
    pub skipped: usize,
    /// Cancelled.
    pub cancelled: usize,
}

impl Tally {
    /// Whether no step had anything to do.
    pub fn is_all_fresh(&self) -> bool {
        self.ran + self.failed + self.skipped + self.cancelled == 0
    }
}
