//! Which step may do what, when: the schedule of a run.
//!
//! A pure state machine like the steps' own: it hands out effects and is told what came of them. It has no clock,
//! no threads and no idea what an image is. A step's states change here and nowhere else:
//!
//! ```text
//! Waiting ─> Judging ─┬─> Fresh
//!    │                └─> Queued ─> Running ─┬─> Done
//!    │                       │               ├─> Failed
//!    └─> Skipped             └─> Cancelled <─┘
//! ```
//!
//! A step is judged only when all that it needs has ended well, and against their outputs: where an upstream step
//! ran but made the same output, the steps behind it find themselves fresh (early cutoff).

mod machine;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::receipt::Output;
use crate::step::StepId;
use crate::verdict::Verdict;
use machine::{Machine, Next};

pub use machine::{Effect, End, Job, Judgement, Outcome, Performed};

/// What a running step occupies. Steps of one pool run side by side up to the pool's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pool {
    /// Building: processor and disk.
    Builds,
    /// Changing the cluster.
    Cluster,
    /// Asking: costs next to nothing.
    Requests,
}

/// How many steps of each pool may run at once.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of [`Pool::Builds`].
    pub builds: usize,
    /// Of [`Pool::Cluster`].
    pub cluster: usize,
    /// Of [`Pool::Requests`].
    pub requests: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { builds: 2, cluster: 4, requests: 16 }
    }
}

impl Limits {
    const fn of(self, pool: Pool) -> usize {
        match pool {
            Pool::Builds => self.builds,
            Pool::Cluster => self.cluster,
            Pool::Requests => self.requests,
        }
    }
}

/// A step of the run.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Which.
    pub step: StepId,
    /// The steps of this run that have to end well before it is judged.
    pub needs: Vec<StepId>,
    /// What it occupies while it runs.
    pub pool: Pool,
    /// How long the run takes from its start to the end of all that waits for it, by the last runs' times:
    /// the longest goes first.
    pub priority: Duration,
    /// Run it whatever the verdict.
    pub forced: bool,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// For steps that it needs.
    Waiting,
    /// Inputs and world are being looked at.
    Judging,
    /// Stale; waiting for a place in its pool.
    Queued,
    /// It has a place: waiting for its lock or changing the world.
    Running,
    /// Nothing had to be done.
    Fresh,
    /// It ran and succeeded.
    Done,
    /// It did not succeed.
    Failed,
    /// A step that it needs did not succeed.
    Skipped,
    /// The run was told to stop first.
    Cancelled,
}

impl State {
    /// Nothing follows.
    pub const fn is_end(self) -> bool {
        matches!(self, Self::Fresh | Self::Done | Self::Failed | Self::Skipped | Self::Cancelled)
    }
}

/// Something that happened to a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Transition {
    /// It was found stale.
    Stale(Verdict),
    /// It got a place in its pool.
    Started,
    /// It ended.
    Ended(End),
    /// It will not run because of another step.
    Skipped {
        /// The step that failed.
        because_of: StepId,
    },
    /// It will not run because the run was told to stop.
    Cancelled,
}

struct Node {
    planned: Planned,
    needs: Vec<usize>,
    needed_by: Vec<usize>,
    unmet: usize,
    state: State,
    machine: Machine,
    output: Option<Output>,
}

/// A run of some steps of a graph.
pub struct Run {
    nodes: Vec<Node>,
    index: BTreeMap<StepId, usize>,
    limits: Limits,
    ready: Vec<(usize, Effect)>,
    transitions: Vec<(StepId, Transition)>,
    cancelled: bool,
    open: usize,
}

impl Run {
    /// A run of `steps`. What a step needs but is not among them is taken to be as it should.
    ///
    /// The needs must not form a cycle, which the graph rules out; steps of a cycle would never start.
    pub fn new(steps: Vec<Planned>, limits: Limits) -> Self {
        let index: BTreeMap<_, _> = steps.iter().enumerate().map(|(i, planned)| (planned.step.clone(), i)).collect();
        let mut nodes: Vec<Node> = steps
            .into_iter()
            .map(|planned| {
                let needs: Vec<usize> = planned.needs.iter().filter_map(|need| index.get(need).copied()).collect();
                let machine = Machine::new(planned.forced);
                let (unmet, state) = (needs.len(), State::Waiting);
                Node { planned, needs, needed_by: Vec::new(), unmet, state, machine, output: None }
            })
            .collect();
        for position in 0..nodes.len() {
            for need in nodes[position].needs.clone() {
                nodes[need].needed_by.push(position);
            }
        }
        let open = nodes.len();
        let mut run = Self { nodes, index, limits, ready: Vec::new(), transitions: Vec::new(), cancelled: false, open };
        for position in 0..run.nodes.len() {
            run.judge_if_ready(position);
        }
        run
    }

    /// The effects that can be carried out now, side by side and in any order; each is handed out once.
    pub fn take_effects(&mut self) -> Vec<(StepId, Effect)> {
        self.admit();
        std::mem::take(&mut self.ready)
            .into_iter()
            .map(|(position, effect)| (self.nodes[position].planned.step.clone(), effect))
            .collect()
    }

    /// Tells what came of the effect that `step` was handed last.
    pub fn complete(&mut self, step: &StepId, outcome: Outcome) {
        let Some(&position) = self.index.get(step) else { return };
        match self.nodes[position].machine.advance(outcome) {
            Next::Do(effect) => self.ready.push((position, effect)),
            Next::Queue(verdict) => {
                self.nodes[position].state = State::Queued;
                self.tell(position, Transition::Stale(verdict));
                if self.cancelled {
                    self.end(position, State::Cancelled);
                    self.tell(position, Transition::Cancelled);
                }
            }
            Next::End(end) => self.ended(position, end),
        }
    }

    /// Starts nothing any more. Steps that run go on until their effects are told to have ended.
    pub fn cancel(&mut self) {
        self.cancelled = true;
        for position in 0..self.nodes.len() {
            if matches!(self.nodes[position].state, State::Waiting | State::Queued) {
                self.end(position, State::Cancelled);
                self.tell(position, Transition::Cancelled);
            }
        }
    }

    /// What happened since the last call, in order.
    pub fn take_transitions(&mut self) -> Vec<(StepId, Transition)> {
        std::mem::take(&mut self.transitions)
    }

    /// Every step has ended.
    pub fn is_over(&self) -> bool {
        self.open == 0
    }

    /// Where a step is.
    pub fn state(&self, step: &StepId) -> Option<State> {
        self.index.get(step).map(|position| self.nodes[*position].state)
    }

    /// All steps with their states, in the order of the plan.
    pub fn states(&self) -> impl Iterator<Item = (&StepId, State)> {
        self.nodes.iter().map(|node| (&node.planned.step, node.state))
    }

    /// What a step made, once it has ended well.
    pub fn output(&self, step: &StepId) -> Option<&Output> {
        self.index.get(step).and_then(|position| self.nodes[*position].output.as_ref())
    }

    /// Gives places in the pools to queued steps, longest way to the end first.
    fn admit(&mut self) {
        let mut queued: Vec<usize> =
            (0..self.nodes.len()).filter(|position| self.nodes[*position].state == State::Queued).collect();
        // The plan's order decides between equals, so that a run is repeatable.
        queued.sort_by_key(|position| std::cmp::Reverse(self.nodes[*position].planned.priority));
        for position in queued {
            let pool = self.nodes[position].planned.pool;
            let same = |node: &&Node| node.state == State::Running && node.planned.pool == pool;
            if self.nodes.iter().filter(same).count() < self.limits.of(pool) {
                self.nodes[position].state = State::Running;
                let effect = self.nodes[position].machine.admitted();
                self.ready.push((position, effect));
                self.tell(position, Transition::Started);
            }
        }
    }

    fn ended(&mut self, position: usize, end: End) {
        let (state, output) = match &end {
            End::Fresh(output) => (State::Fresh, Some(output.clone())),
            End::Done(performed) => (State::Done, Some(performed.output.clone())),
            End::Failed(failure) if failure.class == crate::failure::Class::Interrupted => (State::Cancelled, None),
            End::Failed(_) => (State::Failed, None),
        };
        self.nodes[position].output = output;
        self.end(position, state);
        let transition = if state == State::Cancelled { Transition::Cancelled } else { Transition::Ended(end) };
        self.tell(position, transition);
        if matches!(state, State::Fresh | State::Done) {
            for behind in self.nodes[position].needed_by.clone() {
                self.nodes[behind].unmet -= 1;
                self.judge_if_ready(behind);
            }
        } else {
            self.skip_behind(position);
        }
    }

    fn judge_if_ready(&mut self, position: usize) {
        let node = &mut self.nodes[position];
        if node.unmet == 0 && node.state == State::Waiting {
            node.state = State::Judging;
            self.ready.push((position, Effect::Judge));
        }
    }

    fn skip_behind(&mut self, failed: usize) {
        let because_of = self.nodes[failed].planned.step.clone();
        let mut behind = self.nodes[failed].needed_by.clone();
        while let Some(position) = behind.pop() {
            if self.nodes[position].state == State::Waiting {
                self.end(position, State::Skipped);
                self.tell(position, Transition::Skipped { because_of: because_of.clone() });
                behind.extend(&self.nodes[position].needed_by);
            }
        }
    }

    fn end(&mut self, position: usize, state: State) {
        self.nodes[position].state = state;
        self.open -= 1;
    }

    fn tell(&mut self, position: usize, transition: Transition) {
        let step = self.nodes[position].planned.step.clone();
        self.transitions.push((step, transition));
    }
}

/// The failures of a run, worst first, for its exit code.
pub fn worst(failures: &[Failure]) -> Option<&Failure> {
    failures.iter().max_by_key(|failure| failure.class.exit_code())
}
