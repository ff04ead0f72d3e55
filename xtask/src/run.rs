//! Carries the engine's effects out: side by side, with locks and receipts on disk, until every step has ended.
//!
//! What has to be done is the engine's decision ([`engine::run::Run`]); how is the steps'. Between the two there is
//! only this loop.

mod hold;
mod looks;
#[cfg(test)]
mod tests;
mod times;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use engine::digest::Digest;
use engine::event::{Event, Tally};
use engine::failure::Failure;
use engine::graph::Graph;
use engine::lock::{Held, Locks};
use engine::manifest::Manifest;
use engine::receipt::{Receipt, Receipts, Stored, choose};
use engine::run::{Effect, End, Job, Judgement, Limits, Outcome, Performed, Planned, Run, State, Transition};
use engine::step::StepId;
use engine::verdict::{Reason, Verdict, judge};
use tokio::task::JoinSet;

use crate::context::Context;
use crate::steps::Step;
use crate::workspace::Workspace;
use looks::Looks;
use times::Times;

pub use hold::{acquire, hold, turn, wait_for};

/// How long a cancelled step may take to end its children and undo what is half done.
const GRACE: Duration = Duration::from_secs(10);

/// The steps of a graph.
pub type Steps = BTreeMap<StepId, Arc<dyn Step>>;

/// What became of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Each step's end, in the order of the plan.
    pub states: Vec<(StepId, State)>,
    /// What failed, in the order in which it did.
    pub failures: Vec<Failure>,
}

impl Summary {
    /// How many steps ended how.
    pub fn tally(&self) -> Tally {
        let count = |state: State| self.states.iter().filter(|(_, other)| *other == state).count();
        Tally {
            ran: count(State::Done),
            fresh: count(State::Fresh),
            failed: count(State::Failed),
            skipped: count(State::Skipped),
            cancelled: count(State::Cancelled),
        }
    }
}

/// The plan for all steps of `graph`: what takes longest to the end of the run goes first, by the last runs' times,
/// and by `guess` for steps that have not run yet.
pub fn plan(
    graph: &Graph,
    steps: &Steps,
    workspace: &Workspace,
    guess: &dyn Fn(&StepId) -> Duration,
    forced: &dyn Fn(&StepId) -> bool,
) -> Vec<Planned> {
    let times = Times::read(&workspace.times());
    let priorities = graph.priorities(&|step| times.of(step).unwrap_or_else(|| guess(step)));
    let plan = graph.order().iter().filter_map(|step| {
        Some(Planned {
            step: step.clone(),
            needs: graph.dependencies(step).iter().map(|dependency| dependency.step.clone()).collect(),
            pool: steps.get(step)?.pool(),
            priority: priorities.get(step).copied().unwrap_or_default(),
            forced: forced(step),
        })
    });
    plan.collect()
}

/// Runs `plan` to its end.
pub async fn execute(cx: &Context, steps: &Steps, plan: Vec<Planned>, locks: &Locks) -> Summary {
    execute_watched(cx, steps, plan, locks, &mut |_, _| {}).await
}

/// The same; `done` is told of each step that has ended well, whether it was fresh or ran, right after everybody else.
pub async fn execute_watched(
    cx: &Context,
    steps: &Steps,
    plan: Vec<Planned>,
    locks: &Locks,
    done: &mut (dyn FnMut(&StepId, State) + Send),
) -> Summary {
    let hands = Hands::new(cx, locks, Looks::begin(cx, steps, &plan));
    let mut run = Run::new(plan, Limits::default());
    let mut tasks = JoinSet::new();
    let mut steps_of_tasks = BTreeMap::new();
    let mut told = Told { failures: Vec::new(), took: BTreeMap::new(), done };
    let mut cancelled = false;
    loop {
        for (step, transition) in run.take_transitions() {
            told.tell(cx, step, transition);
        }
        for (id, effect) in run.take_effects() {
            match steps.get(&id) {
                Some(step) => {
                    let (step, hands, name) = (step.clone(), hands.clone(), id.clone());
                    let task = tasks.spawn(async move {
                        let outcome = hands.carry_out(&*step, effect).await;
                        (name, outcome)
                    });
                    steps_of_tasks.insert(task.id().to_string(), id);
                }
                None => run.complete(&id, failed(Failure::step(format!("{id} is planned but not in the graph")))),
            }
        }
        if run.is_over() && tasks.is_empty() {
            for (step, transition) in run.take_transitions() {
                told.tell(cx, step, transition);
            }
            break;
        }
        tokio::select! {
            ended = tasks.join_next_with_id() => match ended {
                Some(Ok((task, (step, outcome)))) => {
                    steps_of_tasks.remove(&task.to_string());
                    run.complete(&step, outcome);
                }
                Some(Err(error)) => {
                    if let Some(step) = steps_of_tasks.remove(&error.id().to_string()) {
                        let failure = Failure::step(format!("{step} ended by a defect of this tool"))
                            .because(error)
                            .help("please report it with the folder .xtask/runs of this run");
                        run.complete(&step, failed(failure));
                    }
                }
                // Nothing runs and nothing is over: only a cycle could do that, and the graph has none.
                None => run.cancel(),
            },
            () = cx.cancel.cancelled(), if !cancelled => {
                cancelled = true;
                run.cancel();
            }
        }
    }
    times::keep(&cx.workspace.times(), told.took, |step| steps.contains_key(step));
    let states = run.states().map(|(step, state)| (step.clone(), state)).collect();
    Summary { states, failures: told.failures }
}

/// What a run would do with a step.
#[derive(Debug, Clone, PartialEq)]
pub enum Outlook {
    /// Nothing.
    Fresh,
    /// Run it, for these reasons.
    Stale(Vec<Reason>),
    /// Judge it once these have run: it is fresh if they make the same as last time.
    Behind(Vec<StepId>),
    /// It cannot be judged.
    Unknown(Failure),
    /// Run it, and it would fail.
    Broken(Failure),
}

/// A step with what a run would do with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Which step.
    pub step: StepId,
    /// What a run would do.
    pub outlook: Outlook,
    /// Its receipt, if it has one.
    pub receipt: Option<Receipt>,
    /// Its inputs now, where they could be read.
    pub manifest: Option<Manifest>,
}

/// Judges the steps of `plan` without changing anything, each against what the steps before it made last.
pub async fn forecast(cx: &Context, steps: &Steps, plan: &[Planned], locks: &Locks) -> Vec<Forecast> {
    let hands = Hands::new(cx, locks, Looks::begin(cx, steps, plan));
    let mut forecasts: Vec<Forecast> = Vec::new();
    for planned in plan {
        let Some(step) = steps.get(&planned.step) else { continue };
        let not_fresh = |need: &&StepId| {
            forecasts.iter().any(|forecast| forecast.step == **need && forecast.outlook != Outlook::Fresh)
        };
        let behind: Vec<StepId> = planned.needs.iter().filter(not_fresh).cloned().collect();
        let unknown = planned.needs.iter().any(|need| steps.contains_key(need) && cx.output(need).is_none());
        if unknown && !behind.is_empty() {
            // Without their outputs every input would look as if it had gone.
            let outlook = Outlook::Behind(behind);
            forecasts.push(Forecast { step: planned.step.clone(), outlook, receipt: None, manifest: None });
            continue;
        }
        let forecast = match hands.judge(&**step).await {
            Ok(Judgement { manifest, stored, observation, .. }) => {
                let receipt = stored.receipt().cloned();
                if let Some(output) = receipt.as_ref().and_then(|receipt| receipt.output.clone()) {
                    cx.set_output(&planned.step, output);
                }
                let outlook = match judge(&manifest, &stored, observation.as_ref(), planned.forced) {
                    Verdict::Stale(reasons) => Outlook::Stale(reasons),
                    Verdict::Fresh if behind.is_empty() => Outlook::Fresh,
                    Verdict::Fresh => Outlook::Behind(behind),
                };
                Forecast { step: planned.step.clone(), outlook, receipt, manifest: Some(manifest) }
            }
            Err(failure) => {
                // What a step needs to be judged may be made only by a step before it.
                let outlook = if behind.is_empty() { Outlook::Unknown(failure) } else { Outlook::Behind(behind) };
                Forecast { step: planned.step.clone(), outlook, receipt: None, manifest: None }
            }
        };
        forecasts.push(forecast);
    }
    forecasts
}

/// Finds which of the steps that would run would fail, as far as can be found without changing anything.
pub async fn rehearse(cx: &Context, steps: &Steps, forecasts: &mut [Forecast]) {
    for forecast in forecasts {
        let Some(step) = steps.get(&forecast.step) else { continue };
        if cx.output(&forecast.step).is_none()
            && let Some(stand_in) = step.stand_in(cx)
        {
            cx.set_output(&forecast.step, stand_in);
        }
        if matches!(forecast.outlook, Outlook::Stale(_) | Outlook::Behind(_))
            && let Err(failure) = step.rehearse(cx).await
        {
            forecast.outlook = Outlook::Broken(failure);
        }
    }
}

/// What a run remembers of what has become of its steps.
struct Told<'a> {
    failures: Vec<Failure>,
    took: BTreeMap<StepId, Duration>,
    done: &'a mut (dyn FnMut(&StepId, State) + Send),
}

impl Told<'_> {
    fn tell(&mut self, cx: &Context, step: StepId, transition: Transition) {
        let well = match &transition {
            Transition::Ended(End::Fresh(_)) => Some((step.clone(), State::Fresh)),
            Transition::Ended(End::Done(_)) => Some((step.clone(), State::Done)),
            _ => None,
        };
        let event = match transition {
            Transition::Stale(verdict) => Event::Stale { step, reasons: verdict.reasons().to_vec() },
            Transition::Started => Event::Started { step },
            Transition::Skipped { because_of } => Event::Skipped { step, because_of },
            Transition::Cancelled => Event::Cancelled { step },
            Transition::Ended(End::Fresh(output)) => {
                cx.set_output(&step, output);
                Event::Fresh { step }
            }
            Transition::Ended(End::Done(performed)) => {
                cx.set_output(&step, performed.output);
                self.took.insert(step.clone(), performed.took);
                Event::Done { step, summary: performed.summary, took: performed.took }
            }
            Transition::Ended(End::Failed(failure)) => {
                self.failures.push((*failure).clone());
                Event::Failed { step, failure: *failure }
            }
        };
        cx.tell(event);
        if let Some((step, state)) = well {
            (self.done)(&step, state);
        }
    }
}

fn failed(failure: Failure) -> Outcome {
    Outcome::Failed(Box::new(failure))
}

/// What carries effects out.
#[derive(Clone)]
struct Hands {
    cx: Context,
    receipts: Receipts,
    locks: Locks,
    held: Arc<Mutex<BTreeMap<StepId, Grip>>>,
    looks: Looks,
}

/// A step's lock, from its judgement on.
#[derive(Default)]
struct Grip {
    /// What lay beside the lock when the step was judged.
    mark: Option<Digest>,
    held: Option<Held>,
}

impl Hands {
    fn new(cx: &Context, locks: &Locks, looks: Looks) -> Self {
        Self { cx: cx.clone(), receipts: cx.workspace.receipts(), locks: locks.clone(), held: Arc::default(), looks }
    }

    async fn carry_out(&self, step: &dyn Step, effect: Effect) -> Outcome {
        let outcome = match effect {
            Effect::Judge => self.judge(step).await.map(|judgement| Outcome::Judged(Box::new(judgement))),
            Effect::Lock => self.lock(step).await,
            Effect::Mark(receipt) | Effect::Record(receipt) => self.store(step, &receipt),
            Effect::Perform(job) => self.perform(step, &job).await,
            Effect::Gather => step.gather(&self.cx).await.map(|manifest| Outcome::Gathered(Box::new(manifest))),
            Effect::Refresh(receipt) => self.refresh(step, &receipt),
            Effect::Unlock => {
                self.grip(step, |grip| grip.held = None);
                Ok(Outcome::Done)
            }
        };
        outcome.unwrap_or_else(failed)
    }

    async fn judge(&self, step: &dyn Step) -> Result<Judgement, Failure> {
        let look = async {
            let lock = self.locks.named(&step.lock_name(&self.cx)?);
            // Read before anything else: whoever works on the step from here on leaves another mark.
            let shared = lock.shared();
            self.grip(step, |grip| grip.mark = Some(shared.mark));
            let manifest = step.gather(&self.cx).await?;
            let own = self.receipts.read(step.id());
            let read = own.decode(step.id());
            // They mostly are the same, and reading them is much of what a run costs that finds nothing to do.
            let (left_ms, (mut stored, adopted)) = if own == shared.bytes {
                (read.receipt().map(|left| left.finished_ms), (read, false))
            } else {
                let shared = shared.bytes.decode(step.id());
                let left_ms = shared.receipt().map(|left| left.finished_ms);
                (left_ms, choose(&manifest.key(), step.is_done_in_checkout(), read, shared))
            };
            if stored.receipt().is_some_and(|receipt| receipt.output.is_some() && !step.understands(receipt)) {
                stored = Stored::Damaged("another version of this tool wrote it".to_owned());
            }
            let early = match stored.receipt() {
                Some(receipt) => self.looks.take(step.id(), receipt, left_ms).await,
                None => None,
            };
            if let Stored::Receipt(receipt) = &mut stored {
                self.receipts.attach_listings(&mut receipt.manifest, &manifest);
            }
            let observation = match stored.receipt().filter(|receipt| receipt.output.is_some()) {
                None => None,
                Some(_) if early.is_some() => early,
                Some(receipt) => Some(step.observe(&self.cx, receipt).await?),
            };
            Ok(Judgement { manifest, stored, adopted, observation })
        };
        tokio::select! {
            judgement = look => judgement,
            () = self.cx.cancel.cancelled() => Err(Failure::interrupted()),
        }
    }

    async fn lock(&self, step: &dyn Step) -> Result<Outcome, Failure> {
        let held = hold(&self.cx, &self.locks, step).await?;
        // Whoever held it may have changed what this run has seen, and this step is about to.
        self.looks.forget();
        self.cx.world.forget_observations().await;
        let mark = self.locks.named(&step.lock_name(&self.cx)?).shared().mark;
        let mut changed_hands = false;
        self.grip(step, |grip| {
            changed_hands = grip.mark != Some(mark);
            grip.held = Some(held);
        });
        Ok(Outcome::Locked { changed_hands })
    }

    fn store(&self, step: &dyn Step, receipt: &Receipt) -> Result<Outcome, Failure> {
        let mut shared = Ok(());
        self.grip(step, |grip| {
            if let Some(held) = &grip.held {
                shared = held.share(receipt);
            }
        });
        shared?;
        self.receipts.store(receipt)?;
        Ok(Outcome::Done)
    }

    fn refresh(&self, step: &dyn Step, receipt: &Receipt) -> Result<Outcome, Failure> {
        let lock = self.locks.named(&step.lock_name(&self.cx)?);
        if let Some(held) = lock.try_acquire("a look at what is there")? {
            let mut judged_by = None;
            self.grip(step, |grip| judged_by = grip.mark);
            // The mark of a run that was killed since would be lost, and with it all that tells of what it left.
            if judged_by == Some(lock.shared().mark) {
                held.share(receipt)?;
                self.receipts.store(receipt)?;
            }
        }
        Ok(Outcome::Done)
    }

    async fn perform(&self, step: &dyn Step, job: &Job) -> Result<Outcome, Failure> {
        let begun = Instant::now();
        let stopped = async {
            self.cx.cancel.cancelled().await;
            crate::world::pause(GRACE).await;
        };
        let made = tokio::select! {
            made = step.perform(&self.cx, job) => made?,
            () = stopped => return Err(Failure::interrupted()),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Outcome::Performed(Box::new(Performed {
            output: made.output,
            observed: made.observed,
            summary: self.cx.redactor.redact(&made.summary),
            finished_ms: now.as_millis() as u64,
            took: begun.elapsed(),
        })))
    }

    fn grip(&self, step: &dyn Step, change: impl FnOnce(&mut Grip)) {
        // A poisoned lock means that a step's task panicked, which the loop reports; the grips are still sound.
        let mut held = self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(held.entry(step.id().clone()).or_default());
    }
}
