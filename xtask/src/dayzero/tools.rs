//! The tools that a deploy runs, looked up before anything is done, and got where they are missing.

use engine::config::Driver;
use engine::config::GraphFile;
use engine::event::Level;
use engine::failure::Failure;
use engine::run::Planned;
use engine::step::{Kind as StepKind, StepId};

use super::home::Home;
use super::make::make;
use super::needs::Needs;
use super::{host_engine, node, packages};
use crate::context::Context;
use crate::world::daemon::Daemon;
use crate::world::machine::Machine;
use crate::world::minikube::{self, Profile};
use crate::world::tool::{Kind, Tools};

/// Sees to it that every tool that `plan` will run is there, in a version that will do.
///
/// # Errors
/// When one is missing and cannot be got.
pub async fn prepare(cx: &Context, file: &GraphFile, plan: &[Planned]) -> Result<(), Failure> {
    let tools = Tools::in_folder(&cx.workspace.state());
    let mut missing = Vec::new();
    for kind in needed(file, plan) {
        if let Err(failure) = tools.find(kind, &cx.cancel).await {
            // The recipes are for Linux.
            if cx.cancel.is_cancelled() || !cfg!(target_os = "linux") || !Machine::read()?.tools.install {
                return Err(failure);
            }
            cx.note(&StepId::cluster(), Level::Info, format!("{failure}: getting one for this user"));
            missing.push(kind);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut wanted: Vec<StepId> = missing.iter().map(|kind| StepId::new(StepKind::Command, kind.name())).collect();
    // What asks hosts is there before the first of them is asked.
    packages::ensure(cx, &StepId::cluster(), &Needs::in_any_case(&wanted.iter().collect::<Vec<_>>())).await?;
    if missing.contains(&Kind::Minikube) {
        wanted.extend(for_a_new_node(cx, file).await?);
    }
    make(cx, &Home::open(cx).await?, &wanted).await?;
    for kind in missing {
        tools.find(kind, &cx.cancel).await?;
    }
    Ok(())
}

/// What the cluster step would have made a moment later: whoever lacks minikube has no node either, and compilers
/// and downloads are busier together.
async fn for_a_new_node(cx: &Context, file: &GraphFile) -> Result<Vec<StepId>, Failure> {
    let Some(cluster) = &file.cluster else { return Ok(Vec::new()) };
    if Profile::read(&minikube::Home::find(), &cluster.profile)?.is_some() {
        return Ok(Vec::new());
    }
    host_engine::ensure(cx, &StepId::cluster()).await?;
    let args = Machine::read()?.minikube.start_args.into_iter().chain(cluster.start_args.clone());
    let (args, declared) = (args.collect::<Vec<_>>(), cluster.kubernetes.as_ref().map(ToString::to_string));
    let assembled = node::is_to_be_assembled(cx, &Daemon::of_host()?, declared.as_deref(), &args).await?;
    Ok(if assembled { node::steps() } else { Vec::new() })
}

fn needed(file: &GraphFile, plan: &[Planned]) -> Vec<Kind> {
    let planned = |kind: StepKind| plan.iter().any(|planned| planned.step.kind == kind);
    let minikube = file.cluster.as_ref().is_some_and(|cluster| cluster.driver == Driver::Minikube);
    let mut kinds = Vec::new();
    if minikube && planned(StepKind::Cluster) {
        kinds.push(Kind::Minikube);
    }
    if planned(StepKind::Release) {
        kinds.push(Kind::Helm);
    }
    kinds
}
