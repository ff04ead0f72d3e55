//! The steps that a graph file declares: the one place that knows all kinds.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::config::GraphFile;

use super::Step;
use super::cluster::{self, ClusterStep};
use super::command::CommandStep;
use super::image::ImageStep;
use super::local_secrets::LocalSecrets;
use super::secrets::SecretsStep;
use super::variables::SecretValues;
use crate::run::Steps;

/// A step for each table of the file.
pub fn of_graph_file(file: &GraphFile) -> Steps {
    let secrets: Arc<dyn SecretValues> = Arc::new(LocalSecrets::of(file));
    let mut steps = Steps::new();
    let mut add = |step: Arc<dyn Step>| {
        steps.insert(step.id().clone(), step);
    };
    if let Some(cluster) = &file.cluster {
        add(Arc::new(ClusterStep::new(cluster::Definition::from(cluster))));
    }
    for (name, image) in &file.images {
        add(Arc::new(ImageStep::new(name, image.clone(), Arc::clone(&secrets))));
    }
    for (name, definition) in &file.secrets {
        add(Arc::new(SecretsStep::new(name, definition.clone(), namespaces_using(file, name))));
    }
    for (name, command) in &file.commands {
        add(Arc::new(CommandStep::new(name, command.clone(), Arc::clone(&secrets))));
    }
    steps
}

/// The namespaces of the releases that use the secrets step `name`.
fn namespaces_using(file: &GraphFile, name: &str) -> BTreeSet<String> {
    let users = file.releases.values().filter(|release| release.secrets.iter().any(|used| used == name));
    users.map(|release| release.namespace.clone()).collect()
}
