//! Carries out steps of day zero's graph inside another run, which tells of them as of its own.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::event::Level;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::graph;
use engine::lock::Locks;
use engine::step::{Kind, StepId};
use serde::de::DeserializeOwned;

use super::build_cache::{self, BuildCache};
use super::home::Home;
use super::needs::Needs;
use super::remaining::Remaining;
use super::{packages, reach};
use crate::context::Context;
use crate::run::{self, Outlook, Summary};
use crate::steps;
use crate::workspace::Workspace;
use crate::world::World;
use crate::world::daemon::Daemon;
use crate::world::machine::Machine;

/// How many runs are kept of day zero.
const RUNS_KEPT: usize = 5;

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
/// The first failure of a step; too little space to begin; or the user has said that nothing is to be got.
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
    let missing = forecasts.iter().filter(|forecast| forecast.outlook != Outlook::Fresh);
    let missing: Vec<&StepId> = missing.map(|forecast| &forecast.step).collect();
    if !missing.is_empty() && !Machine::read()?.tools.install {
        return Err(not_allowed(&missing));
    }
    packages::ensure(cx, &StepId::cluster(), &Needs::in_any_case(&missing)).await?;
    let needs = Needs::of(cx, &missing).await?;
    needs.require_space(home.root(), engines_folder().await.as_deref())?;
    packages::ensure(cx, &StepId::cluster(), &needs.packages).await?;
    reach::tell_recipes(home.root()).await?;
    let host = Daemon::of_host();
    let builds = missing.iter().any(|step| step.kind == Kind::Image);
    let cache = match &host {
        Ok(host) if builds => Some(BuildCache::open(home.root(), host).await?),
        // What a run that was killed has left can wait for an engine that answers.
        Ok(host) if build_cache::is_open(home.root()) => BuildCache::open(home.root(), host).await.ok(),
        _ => None,
    };
    let mut remaining = Remaining::new(missing.iter().copied().cloned(), plan.len(), Instant::now());
    let tell = |text: Option<String>| {
        text.into_iter().for_each(|text| cx.note(&StepId::cluster(), Level::Info, text));
    };
    tell(remaining.at_first());
    let watch = &mut |step: &StepId, _| tell(remaining.made(step, Instant::now()));
    let Summary { failures, .. } = run::execute_watched(&own, &steps, plan, &locks, watch).await;
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure.help("what has been made so far is kept: the same command carries on from there"));
    }
    if own.cancel.is_cancelled() {
        return Err(Failure::interrupted());
    }
    if let Some(cache) = cache {
        cache.remove_own().await?;
    }
    // Whatever was made in this run: one that was killed may have come to its last step and not to this.
    home.forget_caches()?;
    Ok(Made { cx: own })
}

/// The error for what is missing on a machine whose owner has said `install = false`.
fn not_allowed(missing: &[&StepId]) -> Failure {
    let names: BTreeSet<&str> = missing.iter().map(|step| step.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let failure = Failure::environment(format!("{} would have to be downloaded or compiled", names.join(", ")))
        .because("this machine's settings say `install = false` in the table [tools]")
        .help("allow it there, or install what is missing yourself");
    if missing.iter().any(|step| step.kind == Kind::Image) {
        return failure.help("or give minikube a node image to pull, by `start-args` in the table [minikube] there");
    }
    failure
}

/// Where the host's engine keeps images, if that is on this machine.
pub async fn engines_folder() -> Option<PathBuf> {
    let host = Daemon::of_host().ok().filter(|host| matches!(host, Daemon::Socket(_)))?;
    let folder = host.connect().await.ok()?.info().await.ok()?.docker_root_dir?;
    // Behind a socket there may be a virtual machine, too.
    Some(PathBuf::from(folder)).filter(|folder| folder.is_dir())
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
