//! What a run plans by the times of the last ones, and what it leaves of receipts and marks, on a real disk.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use engine::digest::Digest;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::graph;
use engine::lock::Locks;
use engine::manifest::{Manifest, Source};
use engine::receipt::{Output, Receipt, Stored};
use engine::run::{Job, Planned, Pool, State};
use engine::step::{Kind, StepId};
use engine::verdict::Observation;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;

use super::times::{Times, keep};
use super::{Steps, execute, plan};
use crate::context::Context;
use crate::steps::{Belonging, Made, Mode, Scope, Step, of_graph_file};
use crate::workspace::Workspace;
use crate::world::World;

fn id(name: &str) -> StepId {
    StepId::new(Kind::Command, name)
}

/// A receipt of a success that took so many seconds.
fn receipt(name: &str, seconds: u64) -> Receipt {
    let mut manifest = Manifest::new(id(name));
    manifest.value(Source::Definition, "run", "true");
    Receipt {
        manifest,
        output: Some(Output { facts: Value::Null, digest: Digest::of_bytes(b"made") }),
        observed: json!("as it was"),
        finished_ms: 1,
        took: Duration::from_secs(seconds),
    }
}

fn marked(receipt: Receipt) -> Receipt {
    Receipt { output: None, ..receipt }
}

#[test]
fn what_took_longest_goes_first_by_the_last_runs_times() {
    let folder = TempDir::new().unwrap();
    let commands = ["a", "b", "c"].map(|name| format!("[command.{name}]\nrun = [\"true\"]\n"));
    let text = format!("project = \"demo\"\n{}after = [\"command:a\"]\n", commands.concat());
    let (file, graph) = graph::parse(&text, Path::new("xtask.toml")).unwrap();
    let steps = of_graph_file(&file, &graph, Mode::Deploy);
    let workspace = Workspace::at(folder.path());
    let seconds = || {
        let planned = plan(&graph, &steps, &workspace, &|_| Duration::from_secs(5), &|_| false);
        let of = |name: &str| planned.iter().find(|planned| planned.step == id(name)).map(|it| it.priority.as_secs());
        ["a", "b", "c"].map(|name| of(name).unwrap())
    };
    let took = |times: &[(&str, u64)]| {
        let took = times.iter().map(|(name, seconds)| (id(name), Duration::from_secs(*seconds))).collect();
        keep(&workspace.times(), took, |step| steps.contains_key(step));
    };
    assert_eq!(seconds(), [10, 5, 5], "what has never run is guessed; `a` has `c` behind it");
    took(&[("b", 60), ("c", 1), ("gone", 7)]);
    assert_eq!(seconds(), [6, 60, 1]);
    assert_eq!(Times::read(&workspace.times()).of(&id("gone")), None, "steps that are no more are forgotten");
    took(&[("c", 2)]);
    assert_eq!(seconds(), [7, 60, 2], "of what has not run again the last time counts");
    std::fs::write(workspace.times(), "{\"command:a\": ").unwrap();
    assert_eq!(seconds(), [10, 5, 5], "damaged");
}

/// A step whose look at the world finds that it has moved in no way that matters; `meanwhile` happens during the look.
struct Moved {
    id: StepId,
    in_checkout: bool,
    meanwhile: Box<dyn Fn() + Send + Sync>,
}

#[async_trait]
impl Step for Moved {
    fn id(&self) -> &StepId {
        &self.id
    }

    fn pool(&self) -> Pool {
        Pool::Requests
    }

    fn lock_name(&self, _: &Context) -> Result<String, Failure> {
        Ok("moved".to_owned())
    }

    fn is_done_in_checkout(&self) -> bool {
        self.in_checkout
    }

    async fn gather(&self, _: &Context) -> Result<Manifest, Failure> {
        Ok(receipt(&self.id.name, 1).manifest)
    }

    fn understands(&self, _: &Receipt) -> bool {
        true
    }

    async fn observe(&self, _: &Context, _: &Receipt) -> Result<Observation, Failure> {
        (self.meanwhile)();
        Ok(Observation { refreshed: Some(json!("moved")), ..Observation::as_recorded() })
    }

    async fn perform(&self, _: &Context, _: &Job) -> Result<Made, Failure> {
        Err(Failure::step("there was nothing to do"))
    }

    async fn belongings(&self, _: &Context, _: Scope) -> Result<Vec<Belonging>, Failure> {
        Ok(Vec::new())
    }

    async fn remove(&self, _: &Context, _: Scope) -> Result<(), Failure> {
        Ok(())
    }
}

/// Runs that step in that checkout; how it ends.
async fn run(workspace: &Workspace, locks: &Locks, step: Moved) -> State {
    let (events, _) = unbounded_channel();
    let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
    let world = Arc::new(World::of_context("p"));
    let cx = Context::new(workspace.clone(), "demo".into(), world, gatherer, 1, events);
    let steps = Steps::from([(id("x"), Arc::new(step) as Arc<dyn Step>)]);
    let planned =
        Planned { step: id("x"), needs: Vec::new(), pool: Pool::Requests, priority: Duration::ZERO, forced: false };
    let summary = execute(&cx, &steps, vec![planned], locks).await;
    let [(_, state)] = summary.states.as_slice() else { panic!("one step, not {:?}", summary.states) };
    *state
}

#[tokio::test]
async fn what_was_done_in_a_checkout_that_is_no_more_is_not_done_in_one_in_its_place() {
    for (in_checkout, ends) in [(true, State::Failed), (false, State::Fresh)] {
        let folder = TempDir::new().unwrap();
        let locks = Locks::in_folder(folder.path().join("locks")).unwrap();
        locks.named("moved").acquire("the last run").unwrap().share(&receipt("x", 1)).unwrap();
        let step = Moved { id: id("x"), in_checkout, meanwhile: Box::new(|| ()) };
        // It fails when it is performed.
        assert_eq!(run(&Workspace::at(folder.path()), &locks, step).await, ends, "in the checkout: {in_checkout}");
    }
}

/// Runs a step that is fresh and has moved, while `meanwhile` is done under its lock; the receipts beside the lock and of
/// the checkout then.
async fn refreshed(meanwhile: impl Fn(&Locks) + Send + Sync + 'static) -> [Receipt; 2] {
    let folder = TempDir::new().unwrap();
    let workspace = Workspace::at(folder.path());
    let locks = Locks::in_folder(folder.path().join("locks")).unwrap();
    let before = receipt("x", 1);
    workspace.receipts().store(&before).unwrap();
    locks.named("moved").acquire("the last run").unwrap().share(&before).unwrap();

    let others = locks.clone();
    let step = Moved { id: id("x"), in_checkout: false, meanwhile: Box::new(move || meanwhile(&others)) };
    assert_eq!(run(&workspace, &locks, step).await, State::Fresh);

    let left = [locks.named("moved").shared().bytes.decode(&id("x")), workspace.receipts().load(&id("x"))];
    left.map(|stored| match stored {
        Stored::Receipt(receipt) => *receipt,
        other => panic!("a receipt, not {other:?}"),
    })
}

#[tokio::test]
async fn what_moved_in_no_way_that_matters_is_written_down() {
    let moved = Receipt { observed: json!("moved"), ..receipt("x", 1) };
    assert_eq!(refreshed(|_| {}).await, [moved.clone(), moved]);
}

#[tokio::test]
async fn the_mark_of_a_run_that_was_killed_meanwhile_stays() {
    let mark = marked(receipt("x", 1));
    let killed = mark.clone();
    let left = refreshed(move |locks| locks.named("moved").acquire("another run").unwrap().share(&killed).unwrap());
    assert_eq!(left.await, [mark, receipt("x", 1)]);
}

#[tokio::test]
async fn what_another_run_has_left_meanwhile_stays() {
    let newer = Receipt { finished_ms: 2, ..receipt("x", 1) };
    let theirs = newer.clone();
    let left = refreshed(move |locks| locks.named("moved").acquire("another run").unwrap().share(&theirs).unwrap());
    assert_eq!(left.await, [newer, receipt("x", 1)]);
}
