//! What runs when: the schedule of a run, driven by hand. Every step is stale; a test says when its work is done.

#![allow(clippy::expect_used, reason = "a test ends where something is not as it has to be")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::digest::Digest;
use engine::failure::{Class, Failure};
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt, Stored};
use engine::run::{Effect, Job, Judgement, Limits, Outcome, Performed, Planned, Pool, Run, State};
use engine::step::{Kind, StepId};
use engine::verdict::Observation;

const LIMITS: Limits = Limits { builds: 2, cluster: 1, requests: 16 };

fn id(name: &str) -> StepId {
    StepId::new(Kind::Command, name)
}

/// A step with what it needs, its pool, and the seconds until everything behind it is done.
fn step(name: &str, needs: &[&str], pool: Pool, seconds: u64) -> Planned {
    let needs = needs.iter().map(|need| id(need)).collect();
    Planned { step: id(name), needs, pool, priority: Duration::from_secs(seconds), forced: false }
}

/// A run whose steps go as far as their work, and stay there until told.
struct Driven {
    run: Run,
    needs: BTreeMap<StepId, Vec<StepId>>,
    at_work: BTreeSet<String>,
    /// The declared inputs of all steps, as they are now.
    inputs: &'static str,
    /// What steps made last time, by which they may be found fresh.
    receipts: BTreeMap<String, Receipt>,
    /// Steps in the order in which their work began.
    began: Vec<String>,
}

impl Driven {
    fn new(steps: Vec<Planned>) -> Self {
        Self::after(steps, BTreeMap::new())
    }

    fn after(steps: Vec<Planned>, receipts: BTreeMap<String, Receipt>) -> Self {
        let needs = steps.iter().map(|planned| (planned.step.clone(), planned.needs.clone())).collect();
        let run = Run::new(steps, LIMITS);
        let mut driven = Self { run, needs, at_work: BTreeSet::new(), inputs: "", receipts, began: Vec::new() };
        driven.go_on();
        driven
    }

    /// Carries out everything but work.
    fn go_on(&mut self) {
        loop {
            let effects = self.run.take_effects();
            if effects.is_empty() {
                return;
            }
            for (step, effect) in effects {
                let manifest = self.manifest(&step);
                let outcome = match effect {
                    Effect::Judge => Outcome::Judged(Box::new(self.judgement(&step, manifest))),
                    Effect::Lock => Outcome::Locked { changed_hands: false },
                    Effect::Gather => Outcome::Gathered(Box::new(manifest)),
                    Effect::Perform(job) => {
                        let Job { manifest, .. } = *job;
                        self.at_work.insert(manifest.step().name.clone());
                        self.began.push(manifest.step().name.clone());
                        continue;
                    }
                    Effect::Record(receipt) => {
                        self.receipts.insert(step.name.clone(), *receipt);
                        Outcome::Done
                    }
                    Effect::Mark(_) | Effect::Refresh(_) | Effect::Unlock => Outcome::Done,
                };
                self.run.complete(&step, outcome);
            }
        }
    }

    /// The outputs of what it needs are its inputs.
    fn manifest(&self, step: &StepId) -> Manifest {
        let mut manifest = Manifest::new(step.clone());
        manifest.value(Source::Definition, "inputs", self.inputs);
        for need in &self.needs[step] {
            let output = self.run.output(need).expect("it has ended well");
            manifest.digest(Source::Upstream, need.to_string(), output.digest);
        }
        manifest
    }

    fn judgement(&self, step: &StepId, manifest: Manifest) -> Judgement {
        let receipt = self.receipts.get(&step.name).cloned();
        let observation = receipt.is_some().then(Observation::as_recorded);
        let stored = receipt.map_or(Stored::Nothing, |receipt| Stored::Receipt(Box::new(receipt)));
        Judgement { manifest, stored, adopted: false, observation }
    }

    /// The work of `name` ends, having made `what` in a second.
    fn finish(&mut self, name: &str, what: &str) {
        assert!(self.at_work.remove(name), "{name} is not at work");
        let output = Output { facts: serde_json::Value::Null, digest: Digest::of_bytes(what.as_bytes()) };
        let performed = Performed {
            output,
            observed: serde_json::Value::Null,
            summary: String::new(),
            finished_ms: 0,
            took: Duration::from_secs(1),
        };
        self.run.complete(&id(name), Outcome::Performed(Box::new(performed)));
        self.go_on();
    }

    fn fail(&mut self, name: &str, class: Class) {
        assert!(self.at_work.remove(name), "{name} is not at work");
        self.run.complete(&id(name), Outcome::Failed(Box::new(Failure::new(class, "it did not work"))));
        self.go_on();
    }

    #[track_caller]
    fn expect_at_work(&self, names: &[&str]) {
        assert_eq!(self.at_work.iter().map(String::as_str).collect::<Vec<_>>(), names);
    }

    #[track_caller]
    fn expect(&self, state: State, names: &[&str]) {
        for name in names {
            assert_eq!(self.run.state(&id(name)), Some(state), "{name}");
        }
    }
}

#[test]
fn a_pool_takes_no_more_than_its_limit_and_pools_do_not_wait_for_each_other() {
    let steps = ["a", "b", "c"].map(|name| step(name, &[], Pool::Builds, 1));
    let others = [("d", Pool::Cluster), ("e", Pool::Cluster), ("f", Pool::Requests), ("g", Pool::Requests)];
    let others = others.map(|(name, pool)| step(name, &[], pool, 1));
    let mut driven = Driven::new(steps.into_iter().chain(others).collect());
    driven.expect_at_work(&["a", "b", "d", "f", "g"]);
    driven.expect(State::Queued, &["c", "e"]);
    driven.finish("d", "d");
    driven.expect_at_work(&["a", "b", "e", "f", "g"]);
    driven.finish("b", "b");
    driven.expect_at_work(&["a", "c", "e", "f", "g"]);
}

#[test]
fn the_longest_way_to_the_end_goes_first_and_the_plans_order_decides_between_equals() {
    let seconds = [("a", 1), ("b", 5), ("c", 9), ("d", 5), ("e", 2)];
    let steps = seconds.map(|(name, seconds)| step(name, &[], Pool::Cluster, seconds));
    let mut driven = Driven::new(steps.to_vec());
    for name in ["c", "b", "d", "e", "a"] {
        driven.expect_at_work(&[name]);
        driven.finish(name, name);
    }
    assert!(driven.run.is_over());
}

#[test]
fn what_waits_for_a_failure_is_skipped_and_the_rest_is_finished() {
    let steps = vec![
        step("a", &[], Pool::Builds, 1),
        step("b", &[], Pool::Builds, 1),
        step("behind-a", &["a"], Pool::Builds, 1),
        step("far-behind-a", &["behind-a", "b"], Pool::Builds, 1),
        step("behind-b", &["b"], Pool::Builds, 1),
    ];
    let mut driven = Driven::new(steps);
    driven.fail("a", Class::Step);
    driven.expect(State::Failed, &["a"]);
    driven.expect(State::Skipped, &["behind-a", "far-behind-a"]);
    driven.expect_at_work(&["b"]);
    driven.finish("b", "b");
    driven.expect_at_work(&["behind-b"]);
    driven.finish("behind-b", "x");
    driven.expect(State::Done, &["b", "behind-b"]);
    assert!(driven.run.is_over());
    assert_eq!(driven.began, ["a", "b", "behind-b"]);
}

#[test]
fn a_step_begins_only_when_all_that_it_needs_has_ended() {
    let steps = vec![
        step("a", &[], Pool::Builds, 1),
        step("b", &[], Pool::Builds, 1),
        step("both", &["a", "b"], Pool::Requests, 1),
    ];
    let mut driven = Driven::new(steps);
    driven.finish("a", "a");
    driven.expect(State::Waiting, &["both"]);
    driven.finish("b", "b");
    driven.expect_at_work(&["both"]);
}

#[test]
fn behind_a_step_that_made_the_same_again_everything_is_fresh() {
    let steps = || vec![step("a", &[], Pool::Builds, 1), step("behind", &["a"], Pool::Builds, 1)];
    let mut first = Driven::new(steps());
    first.finish("a", "same");
    first.finish("behind", "x");
    for (made, state) in [("same", State::Fresh), ("other", State::Running)] {
        // Whatever the first step's inputs are now: it runs.
        let mut receipts = first.receipts.clone();
        receipts.remove("a");
        let mut second = Driven::after(steps(), receipts);
        second.finish("a", made);
        second.expect(state, &["behind"]);
    }
}

#[test]
fn what_is_made_again_because_its_inputs_changed_took_both_times() {
    let mut driven = Driven::new(vec![step("a", &[], Pool::Builds, 1)]);
    driven.inputs = "others";
    driven.finish("a", "of the former inputs");
    driven.expect_at_work(&["a"]);
    driven.finish("a", "of the others");
    driven.expect(State::Done, &["a"]);
    assert_eq!(driven.receipts["a"].took, Duration::from_secs(2));
}

#[test]
fn a_cancelled_run_starts_nothing_and_waits_for_what_is_at_work() {
    let names = ["a", "b", "c"];
    let mut driven = Driven::new(names.map(|name| step(name, &[], Pool::Builds, 1)).to_vec());
    driven.run.cancel();
    driven.expect(State::Cancelled, &["c"]);
    assert!(!driven.run.is_over());
    driven.fail("a", Class::Interrupted);
    driven.finish("b", "b");
    driven.expect(State::Cancelled, &["a", "c"]);
    driven.expect(State::Done, &["b"]);
    assert!(driven.run.is_over());
    assert_eq!(driven.began, ["a", "b"]);
}
