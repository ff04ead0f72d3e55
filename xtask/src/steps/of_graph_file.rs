//! The steps that a graph file declares: the one place that knows all kinds.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::config::GraphFile;
use engine::graph::Graph;
use engine::step::{Kind, StepId};

use super::Step;
use super::check::CheckStep;
use super::cluster::{self, ClusterStep};
use super::command::CommandStep;
use super::image::{ImageStep, stage_of};
use super::local_secrets::LocalSecrets;
use super::manifests::ManifestsStep;
use super::release::ReleaseStep;
use super::secrets::{Origin, SecretsStep, User};
use super::variables::SecretValues;
use crate::run::Steps;

/// What the steps are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The cluster runs what the working tree says.
    Deploy,
    /// Images with a `[dev.NAME]` table follow their sources.
    Dev,
}

/// A step for each table of the file. `graph` says what stands behind a check, and of which images the stage that is
/// synced is a step of its own.
pub fn of_graph_file(file: &GraphFile, graph: &Graph, mode: Mode) -> Steps {
    let none = BTreeMap::new();
    let dev = if mode == Mode::Dev { &file.dev } else { &none };
    let secrets: Arc<dyn SecretValues> = Arc::new(LocalSecrets::of(file));
    let mut steps = Steps::new();
    let mut add = |step: Arc<dyn Step>| {
        steps.insert(step.id().clone(), step);
    };
    if let Some(cluster) = &file.cluster {
        add(Arc::new(ClusterStep::new(cluster::Definition::from(cluster))));
    }
    for (name, image) in &file.images {
        let step = || ImageStep::new(name, image.clone(), Arc::clone(&secrets));
        match dev.get(name) {
            Some(dev) if graph.contains(&stage_of(name)) => {
                add(Arc::new(step()));
                add(Arc::new(step().synced(dev).beside()));
            }
            Some(dev) => add(Arc::new(step().synced(dev))),
            None => add(Arc::new(step())),
        }
    }
    for (name, definition) in &file.secrets {
        let used = file.releases.iter().filter(|(_, release)| release.secrets.contains(name));
        let users = used.map(|(step, release)| User {
            namespace: release.namespace.clone(),
            release: release.name.clone(),
            step: StepId::new(Kind::Release, step.as_str()),
        });
        add(Arc::new(SecretsStep::new(name, definition.clone(), users.collect())));
    }
    let origins: BTreeMap<String, Origin> =
        file.secrets.iter().map(|(name, definition)| (name.clone(), Origin::of(definition))).collect();
    for (name, release) in &file.releases {
        add(Arc::new(ReleaseStep::new(name, release.clone(), origins.clone()).synced(dev, graph)));
    }
    for (name, manifests) in &file.manifests {
        add(Arc::new(ManifestsStep::new(name, manifests.clone())));
    }
    for (name, check) in &file.checks {
        let needs = graph.dependencies(&StepId::new(Kind::Check, name.as_str()));
        let behind = needs.iter().map(|dependency| dependency.step.clone()).collect();
        add(Arc::new(CheckStep::new(name, check.clone(), behind, Arc::clone(&secrets))));
    }
    for (name, command) in &file.commands {
        add(Arc::new(CommandStep::new(name, command.clone(), Arc::clone(&secrets))));
    }
    steps
}
