//! One step's way through a run, as a state machine that performs nothing itself.
//!
//! It hands out one [`Effect`] at a time and is told what came of it. Whoever carries the effects out (the tool
//! on a real cluster, the model test on a simulated one) may be killed between any two of them.

use std::time::Duration;

use crate::digest::Digest;
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::receipt::{Output, Receipt, Stored};
use crate::verdict::{Observation, Verdict, judge};

/// How often a step is run again because its inputs changed while it ran, before that is its failure.
const MOST_ATTEMPTS: u8 = 3;

/// What has to be done next for a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Gather the inputs, load the receipt, then observe the world against it, in this order.
    Judge,
    /// Take the step's lock, waiting for whoever holds it.
    Lock,
    /// Store a receipt without output: from here on the world may be half changed.
    Mark(Box<Receipt>),
    /// Change the world.
    Perform(Box<Job>),
    /// Gather the inputs again.
    Gather,
    /// Store the receipt of a success.
    Record(Box<Receipt>),
    /// Store a receipt whose observation moved in no way that matters, or that another checkout has left. Only if the
    /// lock is free, and what lies beside it is what did when the step was judged: else somebody has worked on the step
    /// since, and may have been killed before the end, which nothing but that mark tells.
    Refresh(Box<Receipt>),
    /// Give the lock back.
    Unlock,
}

/// What a step is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The inputs that the output has to be made of.
    pub manifest: Manifest,
    /// Why it runs.
    pub verdict: Verdict,
    /// What is known of an earlier run.
    pub previous: Option<Receipt>,
}

/// What [`Effect::Judge`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The inputs.
    pub manifest: Manifest,
    /// The receipt.
    pub stored: Stored,
    /// The receipt comes from another worktree that shares the step's lock.
    pub adopted: bool,
    /// The world against the receipt; `None` without a receipt.
    pub observation: Option<Observation>,
}

/// What [`Effect::Perform`] made.
#[derive(Debug, Clone, PartialEq)]
pub struct Performed {
    /// What later steps see.
    pub output: Output,
    /// What has to be as it is now for the step to stay fresh.
    pub observed: serde_json::Value,
    /// One line for people: `3f9c1a77b2d0, 212 MB`.
    pub summary: String,
    /// When it ended: milliseconds since 1970.
    pub finished_ms: u64,
    /// How long it took; with the attempts before it, of which nothing was kept, once it has ended.
    pub took: Duration,
}

/// What came of an effect.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of [`Effect::Judge`].
    Judged(Box<Judgement>),
    /// Of [`Effect::Lock`]: whether another run may have worked on the step since it was judged.
    Locked {
        /// What is shared beside the lock is not what it was at the judgement.
        changed_hands: bool,
    },
    /// Of [`Effect::Perform`].
    Performed(Box<Performed>),
    /// Of [`Effect::Gather`].
    Gathered(Box<Manifest>),
    /// Of [`Effect::Mark`], [`Effect::Record`], [`Effect::Refresh`] and [`Effect::Unlock`].
    Done,
    /// Of any effect that did not work.
    Failed(Box<Failure>),
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// Nothing had to be done.
    Fresh(Output),
    /// It ran.
    Done(Box<Performed>),
    /// It failed.
    Failed(Box<Failure>),
}

/// What the machine wants.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Next {
    Do(Effect),
    /// It has to run and wants a place in its pool; [`Machine::admitted`] goes on.
    Queue(Verdict),
    End(End),
}

#[derive(Debug, Clone)]
enum Phase {
    Judging,
    Queued,
    Locking,
    JudgingLocked,
    Marking,
    Performing,
    Verifying(Box<Performed>),
    Recording(End),
    Refreshing(End),
    Unlocking(End),
    Over,
}

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    phase: Phase,
    forced: bool,
    attempts: u8,
    /// What they took.
    spent: Duration,
    /// What the attempt before made while its inputs were written and ended as they were.
    suspect: Option<Digest>,
    /// What it runs for, once that is known.
    job: Option<Box<Job>>,
}

impl Machine {
    pub(super) fn new(forced: bool) -> Self {
        Self { phase: Phase::Judging, forced, attempts: 0, spent: Duration::ZERO, suspect: None, job: None }
    }

    /// A place in the pool is free.
    pub(super) fn admitted(&mut self) -> Effect {
        debug_assert!(matches!(self.phase, Phase::Queued), "only a queued step is admitted");
        self.phase = Phase::Locking;
        Effect::Lock
    }

    /// Takes what came of the last effect; says what is next.
    pub(super) fn advance(&mut self, outcome: Outcome) -> Next {
        match (std::mem::replace(&mut self.phase, Phase::Over), outcome) {
            (Phase::Judging, Outcome::Judged(judgement)) => match self.weigh(*judgement) {
                Weighed::Fresh { end, store: None } => Next::End(end),
                Weighed::Fresh { end, store: Some(receipt) } => {
                    self.phase = Phase::Refreshing(end);
                    Next::Do(Effect::Refresh(receipt))
                }
                Weighed::Stale(verdict) => {
                    self.phase = Phase::Queued;
                    Next::Queue(verdict)
                }
            },
            (Phase::Locking, Outcome::Locked { changed_hands: true }) => self.judge_locked(),
            (Phase::Locking, Outcome::Locked { changed_hands: false }) => self.mark(),
            (Phase::JudgingLocked, Outcome::Judged(judgement)) => match self.weigh(*judgement) {
                Weighed::Fresh { end, store: None } => self.unlock(end),
                Weighed::Fresh { end, store: Some(receipt) } => self.record(receipt, end),
                Weighed::Stale(_) => self.mark(),
            },
            (Phase::Marking, Outcome::Done) => match &self.job {
                Some(job) => {
                    self.phase = Phase::Performing;
                    Next::Do(Effect::Perform(job.clone()))
                }
                None => self.unlock(out_of_order()),
            },
            (Phase::Performing, Outcome::Performed(performed)) => {
                self.phase = Phase::Verifying(performed);
                Next::Do(Effect::Gather)
            }
            (Phase::Verifying(performed), Outcome::Gathered(again)) => self.verify(performed, &again),
            (Phase::Recording(end), Outcome::Done) => self.unlock(end),
            // Not stored means judged anew next time: slower, never wrong.
            (Phase::Refreshing(end) | Phase::Unlocking(end), Outcome::Done | Outcome::Failed(_)) => Next::End(end),
            (Phase::Judging | Phase::Locking, Outcome::Failed(failure)) => Next::End(End::Failed(failure)),
            (_, Outcome::Failed(failure)) => self.unlock(End::Failed(failure)),
            _ => Next::End(out_of_order()),
        }
    }

    fn weigh(&mut self, judgement: Judgement) -> Weighed {
        let Judgement { manifest, stored, adopted, observation } = judgement;
        let verdict = judge(&manifest, &stored, observation.as_ref(), self.forced);
        let receipt = match stored {
            Stored::Receipt(receipt) => Some(receipt),
            Stored::Nothing | Stored::Damaged(_) => None,
        };
        match receipt {
            Some(mut receipt) if verdict.is_fresh() => {
                let Some(output) = receipt.output.clone() else {
                    return Weighed::Fresh { end: out_of_order(), store: None };
                };
                let refreshed = observation.and_then(|observation| observation.refreshed);
                let changed = adopted || refreshed.is_some();
                if let Some(observed) = refreshed {
                    receipt.observed = observed;
                }
                Weighed::Fresh { end: End::Fresh(output), store: changed.then_some(receipt) }
            }
            previous => {
                let previous = previous.map(|receipt| *receipt);
                self.job = Some(Box::new(Job { manifest, verdict: verdict.clone(), previous }));
                Weighed::Stale(verdict)
            }
        }
    }

    fn judge_locked(&mut self) -> Next {
        self.phase = Phase::JudgingLocked;
        Next::Do(Effect::Judge)
    }

    fn mark(&mut self) -> Next {
        let Some(job) = &self.job else { return self.unlock(out_of_order()) };
        // The former manifest stays, so that a run after a failure still says what changed since the last success.
        let receipt = match &job.previous {
            Some(previous) => Receipt { output: None, ..previous.clone() },
            None => Receipt {
                manifest: job.manifest.clone(),
                output: None,
                observed: serde_json::Value::Null,
                finished_ms: 0,
                took: Duration::ZERO,
            },
        };
        self.attempts += 1;
        self.phase = Phase::Marking;
        Next::Do(Effect::Mark(Box::new(receipt)))
    }

    /// The inputs may have changed while the step ran: then what it made says nothing about them.
    fn verify(&mut self, mut performed: Box<Performed>, again: &Manifest) -> Next {
        self.spent += performed.took;
        performed.took = self.spent;
        let Some(job) = &self.job else { return self.unlock(out_of_order()) };
        let same = again.key() == job.manifest.key();
        // What makes the same twice is made of its inputs as they are, and writes them anew itself.
        let own_doing = same && self.suspect == Some(performed.output.digest);
        self.suspect = same.then_some(performed.output.digest);
        if again.held_still_since(&job.manifest) || own_doing {
            let receipt = Receipt {
                manifest: job.manifest.clone(),
                output: Some(performed.output.clone()),
                observed: performed.observed.clone(),
                finished_ms: performed.finished_ms,
                took: performed.took,
            };
            self.record(Box::new(receipt), End::Done(performed))
        } else if self.attempts < MOST_ATTEMPTS {
            self.forced = false;
            self.judge_locked()
        } else {
            let changes = again.changes_since(&job.manifest);
            let what = changes.first().map_or("files were written and put back".to_owned(), ToString::to_string);
            let failure = Failure::step(format!("{} never held still: {what}", job.manifest.step()))
                .because(format!("its inputs changed during each of {MOST_ATTEMPTS} runs in a row"))
                .help("wait until whatever writes these files is done, then run the same command again");
            self.unlock(End::Failed(Box::new(failure)))
        }
    }

    fn record(&mut self, receipt: Box<Receipt>, end: End) -> Next {
        self.phase = Phase::Recording(end);
        Next::Do(Effect::Record(receipt))
    }

    fn unlock(&mut self, end: End) -> Next {
        self.phase = Phase::Unlocking(end);
        Next::Do(Effect::Unlock)
    }
}

enum Weighed {
    /// `store`: the receipt to write, when it is not the one on disk.
    Fresh {
        end: End,
        store: Option<Box<Receipt>>,
    },
    Stale(Verdict),
}

/// An outcome that does not answer the effect: the caller's mistake, told rather than guessed around.
fn out_of_order() -> End {
    let failure = Failure::step("a step was told of something that it had not asked for")
        .help("this is a defect of the tool: please report it with the folder .xtask/runs of this run");
    End::Failed(Box::new(failure))
}
