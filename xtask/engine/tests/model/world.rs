//! The simulated world: inputs, artifacts, receipts and locks, and runs that act on them stage by stage.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::digest::Digest;
use engine::failure::Failure;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt, Stored, choose, decode, encode};
use engine::run::{Effect, End, Judgement, Limits, Outcome, Performed, Planned, Pool, Run, Transition};
use engine::step::{Kind, StepId};
use engine::verdict::{Difference, Observation};

use crate::history::{Act, Altered};

/// How many steps there are.
pub const STEPS: usize = 5;
/// How many values an input can have.
pub const VALUES: u8 = 4;

/// A step that cannot check what it reads while it reads it, as commands and charts cannot.
const CARELESS: usize = 1;

/// A step of which only a label is looked at, and that says nothing of a run which was killed half-way.
pub const POORLY_OBSERVED: usize = 3;

/// What each step needs: two chains that meet.
const NEEDS: [&[usize]; STEPS] = [&[], &[], &[0], &[0, 1], &[2, 3]];

/// Two checkouts of the same project that act on the same world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checkout {
    Here,
    There,
}

/// What the runs have come across.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub performed: usize,
    pub waited: usize,
    pub adopted: usize,
    /// Receipts that were written anew because of what was seen.
    pub refreshed: usize,
}

/// How an undisturbed run ended.
#[derive(Debug, Default)]
pub struct Ended {
    pub performed: Vec<usize>,
    pub failed: Vec<Failure>,
}

/// What a step made: everything about it.
type Artifact = String;

struct Process {
    checkout: Checkout,
    run: Run,
    /// Effects that are under way, with how far they are.
    pending: Vec<(usize, Effect, Stage)>,
    outputs: BTreeMap<usize, Output>,
    /// What lay beside each lock when its step was judged.
    marks: BTreeMap<usize, Digest>,
}

/// How far an effect is. Other runs and people act between any two stages.
#[derive(Clone)]
enum Stage {
    Begun,
    MarkRead,
    Gathered(Manifest),
    Loaded(Box<(Manifest, Stored, bool)>),
    HalfMade,
}

/// See the module.
pub struct Simulation {
    inputs: BTreeMap<(Checkout, usize), u8>,
    /// How often anything was written: what inodes' change times show.
    writes: u64,
    artifacts: BTreeMap<usize, Artifact>,
    /// What a look at a poorly observed step shows: what its last whole run made.
    labels: BTreeMap<usize, Artifact>,
    /// How often each artifact was written to in no way that matters.
    touches: BTreeMap<usize, u64>,
    /// Everything that an artifact ever was.
    former: BTreeMap<usize, Vec<Artifact>>,
    receipts: BTreeMap<(Checkout, usize), Vec<u8>>,
    shared: BTreeMap<usize, Vec<u8>>,
    locks: BTreeMap<usize, u64>,
    processes: BTreeMap<u64, Process>,
    started: u64,
    seen: Seen,
}

fn id(step: usize) -> StepId {
    StepId::new(Kind::Command, step.to_string())
}

fn index(step: &StepId) -> usize {
    step.name.parse().expect("steps are named by their number")
}

/// What a step makes of its input and of what it needs; `build` is deterministic, as ours has to be.
fn artifact(step: usize, input: u8, needs: &[Digest]) -> Artifact {
    format!("{step}: {} {needs:?}", visible(input))
}

/// Some edits leave no trace in what is made: that is where a run is cut off early.
fn visible(input: u8) -> u8 {
    input % 2
}

fn output(artifact: &Artifact) -> Output {
    Output { facts: serde_json::Value::String(artifact.clone()), digest: Digest::of_bytes(artifact.as_bytes()) }
}

impl Simulation {
    pub fn new() -> Self {
        let inputs = [Checkout::Here, Checkout::There].into_iter().flat_map(|c| (0..STEPS).map(move |s| ((c, s), 0)));
        Self {
            inputs: inputs.collect(),
            writes: 0,
            artifacts: BTreeMap::new(),
            labels: BTreeMap::new(),
            touches: BTreeMap::new(),
            former: BTreeMap::new(),
            receipts: BTreeMap::new(),
            shared: BTreeMap::new(),
            locks: BTreeMap::new(),
            processes: BTreeMap::new(),
            started: 0,
            seen: Seen::default(),
        }
    }

    pub fn seen(&self) -> Seen {
        self.seen
    }

    pub fn play(&mut self, act: &Act) {
        match act {
            Act::Edit { checkout, step, value } => {
                self.inputs.insert((*checkout, *step), *value);
                self.writes += 1;
            }
            Act::Alter { step, to } => self.alter(*step, *to),
            Act::Start { checkout, force } if self.processes.len() < 3 => {
                self.start(*checkout, *force);
            }
            Act::Start { .. } => {}
            Act::Advance { run, effect } => {
                if let Some(process) = self.pick(*run) {
                    self.advance(process, *effect);
                }
            }
            Act::Kill { run } => {
                if let Some(process) = self.pick(*run) {
                    self.kill(process);
                }
            }
            Act::Cancel { run } => {
                if let Some(process) = self.pick(*run).and_then(|process| self.processes.get_mut(&process)) {
                    process.run.cancel();
                }
            }
            Act::Damage { checkout, step, shared, delete } => {
                let bytes = match shared {
                    true => self.shared.get_mut(step),
                    false => self.receipts.get_mut(&(*checkout, *step)),
                };
                if let Some(bytes) = bytes {
                    bytes.truncate(if *delete { 0 } else { bytes.len() / 2 });
                }
            }
        }
    }

    pub fn kill_all(&mut self) {
        for process in self.processes.keys().copied().collect::<Vec<_>>() {
            self.kill(process);
        }
    }

    /// One run to its end while nothing else happens.
    pub fn run_undisturbed(&mut self, checkout: Checkout) -> Ended {
        let process = self.start(checkout, false);
        self.run_to_its_end(process)
    }

    /// A run that has begun, to its end, while nothing else happens.
    pub fn run_to_its_end(&mut self, process: u64) -> Ended {
        let mut ended = Ended::default();
        for _ in 0..10_000 {
            let transitions = self.advance(process, 0);
            for (step, transition) in transitions {
                match transition {
                    Transition::Ended(End::Done(_)) => ended.performed.push(index(&step)),
                    Transition::Ended(End::Failed(failure)) => ended.failed.push(*failure),
                    _ => {}
                }
            }
            if !self.processes.contains_key(&process) {
                return ended;
            }
        }
        panic!("the run does not come to an end");
    }

    pub fn assert_as_from_scratch(&self, checkout: Checkout) {
        let mut outputs: Vec<Digest> = Vec::new();
        for (step, needs) in NEEDS.iter().enumerate() {
            let needs: Vec<Digest> = needs.iter().map(|need| outputs[*need]).collect();
            let expected = artifact(step, self.inputs[&(checkout, step)], &needs);
            assert_eq!(self.artifacts.get(&step), Some(&expected), "step {step} is not what its inputs say");
            outputs.push(output(&expected).digest);
        }
    }

    fn alter(&mut self, step: usize, to: Altered) {
        let versions = self.former.entry(step).or_default();
        match to {
            Altered::Deleted => {
                self.artifacts.remove(&step);
                self.labels.remove(&step);
            }
            Altered::Touched => *self.touches.entry(step).or_default() += 1,
            // Nobody could notice it, so nothing is promised.
            Altered::Edited if step == POORLY_OBSERVED => {}
            Altered::Edited => {
                self.artifacts.insert(step, "edited by hand".into());
            }
            Altered::RolledBack(back) => {
                if let Some(version) = versions.len().checked_sub(back) {
                    self.artifacts.insert(step, versions[version].clone());
                    self.labels.insert(step, versions[version].clone());
                }
            }
        }
    }

    /// Begins a run; its number.
    pub fn start(&mut self, checkout: Checkout, forced: bool) -> u64 {
        let plan = (0..STEPS).map(|step| Planned {
            step: id(step),
            needs: NEEDS[step].iter().map(|need| id(*need)).collect(),
            pool: if step % 2 == 0 { Pool::Builds } else { Pool::Cluster },
            priority: Duration::from_secs((STEPS - step) as u64),
            forced,
        });
        let run = Run::new(plan.collect(), Limits::default());
        self.started += 1;
        let process = Process { checkout, run, pending: Vec::new(), outputs: BTreeMap::new(), marks: BTreeMap::new() };
        self.processes.insert(self.started, process);
        self.collect(self.started);
        self.started
    }

    /// Lets a run go on until it is about to do what `is_it` says to `step`, while nothing else happens.
    pub fn run_until(&mut self, process: u64, step: usize, is_it: fn(&Effect) -> bool) {
        for _ in 0..10_000 {
            let pending = self.processes.get(&process).map_or(&[][..], |process| &process.pending);
            let is_there = |(at, effect, stage): &(usize, Effect, Stage)| {
                *at == step && is_it(effect) && matches!(stage, Stage::Begun)
            };
            if pending.iter().any(is_there) {
                return;
            }
            // What was begun first goes on first.
            self.advance(process, 0);
        }
        panic!("the run never comes to that");
    }

    /// One stage more of what the run is about to do to `step`.
    pub fn go_on(&mut self, process: u64, step: usize) {
        let pending = self.processes.get(&process).map_or(&[][..], |process| &process.pending);
        let choice = pending.iter().position(|(at, _, _)| *at == step).expect("it has something to do");
        self.advance(process, choice);
    }

    fn pick(&self, number: usize) -> Option<u64> {
        let running: Vec<u64> = self.processes.keys().copied().collect();
        (!running.is_empty()).then(|| running[number % running.len()])
    }

    /// The kernel gives back a killed process's locks; everything else stays as it is.
    pub fn kill(&mut self, process: u64) {
        self.processes.remove(&process);
        self.locks.retain(|_, holder| *holder != process);
    }

    /// Takes new effects and transitions of a run; lets it go when it is over.
    fn collect(&mut self, number: u64) -> Vec<(StepId, Transition)> {
        let Some(process) = self.processes.get_mut(&number) else { return Vec::new() };
        let transitions = process.run.take_transitions();
        for (step, transition) in &transitions {
            let made = match transition {
                Transition::Ended(End::Fresh(output)) => output.clone(),
                Transition::Ended(End::Done(performed)) => performed.output.clone(),
                _ => continue,
            };
            process.outputs.insert(index(step), made);
        }
        let effects = process.run.take_effects();
        process.pending.extend(effects.into_iter().map(|(step, effect)| (index(&step), effect, Stage::Begun)));
        if process.run.is_over() && process.pending.is_empty() {
            self.kill(number);
        }
        transitions
    }

    /// One stage of one pending effect of a run.
    fn advance(&mut self, number: u64, choice: usize) -> Vec<(StepId, Transition)> {
        let Some(process) = self.processes.get_mut(&number) else { return Vec::new() };
        if process.pending.is_empty() {
            return self.collect(number);
        }
        let choice = choice % process.pending.len();
        let (step, effect, stage) = process.pending.remove(choice);
        match self.stage(number, step, &effect, stage) {
            Ok(outcome) => {
                if let Some(process) = self.processes.get_mut(&number) {
                    process.run.complete(&id(step), outcome);
                }
                self.collect(number)
            }
            Err(stage) => {
                if let Some(process) = self.processes.get_mut(&number) {
                    process.pending.push((step, effect, stage));
                }
                Vec::new()
            }
        }
    }

    /// `Err` is the next stage of an effect that is not done.
    fn stage(&mut self, number: u64, step: usize, effect: &Effect, stage: Stage) -> Result<Outcome, Stage> {
        let process = self.processes.get_mut(&number).expect("only living processes act");
        let checkout = process.checkout;
        match (effect, stage) {
            (Effect::Judge, Stage::Begun) => {
                let mark = Digest::of_bytes(self.shared.get(&step).map_or(&[], Vec::as_slice));
                process.marks.insert(step, mark);
                Err(Stage::MarkRead)
            }
            (Effect::Judge, Stage::MarkRead) => Err(Stage::Gathered(self.gather(number, step))),
            (Effect::Judge, Stage::Gathered(manifest)) => {
                let load = |bytes: Option<&Vec<u8>>| match bytes {
                    Some(bytes) => decode(bytes, &id(step)),
                    None => Stored::Nothing,
                };
                let own = load(self.receipts.get(&(checkout, step)));
                let (stored, adopted) = choose(&manifest.key(), false, own, load(self.shared.get(&step)));
                self.seen.adopted += usize::from(adopted);
                Err(Stage::Loaded(Box::new((manifest, stored, adopted))))
            }
            (Effect::Judge, Stage::Loaded(loaded)) => {
                let (manifest, stored, adopted) = *loaded;
                let receipt = stored.receipt().filter(|receipt| receipt.output.is_some());
                let observation = receipt.map(|receipt| self.observe(step, receipt));
                Ok(Outcome::Judged(Box::new(Judgement { manifest, stored, adopted, observation })))
            }
            (Effect::Lock, stage) => match self.locks.get(&step) {
                Some(holder) if *holder != number => {
                    self.seen.waited += 1;
                    Err(stage)
                }
                _ => {
                    self.locks.insert(step, number);
                    let mark = Digest::of_bytes(self.shared.get(&step).map_or(&[], Vec::as_slice));
                    Ok(Outcome::Locked { changed_hands: process.marks.get(&step) != Some(&mark) })
                }
            },
            // Two writes: a crash may come between them.
            (Effect::Mark(receipt) | Effect::Record(receipt), Stage::Begun) => {
                self.assert_locked(number, step);
                self.shared.insert(step, bytes(receipt));
                Err(Stage::HalfMade)
            }
            (Effect::Mark(receipt) | Effect::Record(receipt), _) => {
                self.receipts.insert((checkout, step), bytes(receipt));
                Ok(Outcome::Done)
            }
            (Effect::Perform(_), Stage::Begun) => {
                self.assert_locked(number, step);
                self.artifacts.insert(step, "half made".into());
                Err(Stage::HalfMade)
            }
            (Effect::Perform(job), _) => {
                self.assert_locked(number, step);
                let now = self.gather(number, step);
                if step != CARELESS && now.key() != job.manifest.key() {
                    // As the build session does: what is sent is what the key describes, or nothing.
                    return Ok(Outcome::Failed(Box::new(Failure::step("changed while it was read"))));
                }
                Ok(self.perform(number, step))
            }
            (Effect::Gather, _) => Ok(Outcome::Gathered(Box::new(self.gather(number, step)))),
            // Two writes under the lock, which is taken if nobody has it and nobody has had it since the judgement.
            (Effect::Refresh(receipt), Stage::Begun) => {
                let mark = Digest::of_bytes(self.shared.get(&step).map_or(&[], Vec::as_slice));
                if self.locks.contains_key(&step) || process.marks.get(&step) != Some(&mark) {
                    return Ok(Outcome::Done);
                }
                self.locks.insert(step, number);
                self.shared.insert(step, bytes(receipt));
                self.seen.refreshed += 1;
                Err(Stage::HalfMade)
            }
            (Effect::Refresh(receipt), _) => {
                self.assert_locked(number, step);
                self.receipts.insert((checkout, step), bytes(receipt));
                self.locks.remove(&step);
                Ok(Outcome::Done)
            }
            (Effect::Unlock, _) => {
                self.assert_locked(number, step);
                self.locks.remove(&step);
                Ok(Outcome::Done)
            }
            (Effect::Judge, Stage::HalfMade) => unreachable!("judging makes nothing"),
        }
    }

    /// Holds what there is against a receipt.
    fn observe(&self, step: usize, receipt: &Receipt) -> Observation {
        let seen = if step == POORLY_OBSERVED { self.labels.get(&step) } else { self.artifacts.get(&step) };
        let Some(artifact) = seen else { return Observation::differs(Difference::Missing("it is gone".into())) };
        if receipt.observed["artifact"] != artifact.as_str() {
            return Observation::differs(Difference::Altered("it is another".into()));
        }
        let now = self.observed(step, artifact);
        Observation { refreshed: (now != receipt.observed).then_some(now), ..Observation::as_recorded() }
    }

    /// What a receipt says was observed.
    fn observed(&self, step: usize, artifact: &Artifact) -> serde_json::Value {
        serde_json::json!({"artifact": artifact, "touches": self.touches.get(&step)})
    }

    fn perform(&mut self, number: u64, step: usize) -> Outcome {
        let process = &self.processes[&number];
        let needs: Vec<Digest> = NEEDS[step].iter().map(|need| process.outputs[need].digest).collect();
        let made = artifact(step, self.inputs[&(process.checkout, step)], &needs);
        self.artifacts.insert(step, made.clone());
        self.labels.insert(step, made.clone());
        self.former.entry(step).or_default().push(made.clone());
        self.seen.performed += 1;
        Outcome::Performed(Box::new(Performed {
            output: output(&made),
            observed: self.observed(step, &made),
            summary: String::new(),
            finished_ms: 0,
            took: Duration::ZERO,
        }))
    }

    fn gather(&self, number: u64, step: usize) -> Manifest {
        let process = &self.processes[&number];
        let mut manifest = Manifest::new(id(step));
        manifest.value(Source::File, "input", self.inputs[&(process.checkout, step)]);
        manifest.stamp(Digest::of_bytes(&self.writes.to_le_bytes()));
        for need in NEEDS[step] {
            manifest.digest(Source::Upstream, need.to_string(), process.outputs[need].digest);
        }
        manifest
    }

    fn assert_locked(&self, number: u64, step: usize) {
        assert_eq!(self.locks.get(&step), Some(&number), "a step is worked on by whoever holds its lock, and no other");
    }
}

fn bytes(receipt: &Receipt) -> Vec<u8> {
    encode(receipt).expect("receipts can be written")
}
