//! What a deploy would have to get for this machine: foreseen by the tables that a deploy goes by.

use std::fs;

use engine::config::{Daemon as Place, GraphFile};
use engine::failure::Failure;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::reach::{self, Asked};
use super::{Finding, PATIENCE, Wanted};
use crate::dayzero::needs::{self, Needs, There};
use crate::dayzero::{bases, node};
use crate::world::daemon::Daemon;
use crate::world::tool_folder;

/// See the module.
pub(super) struct Foreseen {
    /// What the recipes behind it need; nothing where there are none.
    pub(super) needs: Needs,
    /// Whether a node's images are made.
    pub(super) images: bool,
    /// What a node lacks and is not made, for this machine's owner has said so.
    refused: Vec<&'static str>,
}

/// `lacking` are the tools that a deploy runs and that are not here, by the names of their recipes.
pub(super) async fn foresee(
    wanted: &Wanted<'_>,
    reached: &[Asked],
    lacking: &[&'static str],
    cancel: &CancellationToken,
) -> Result<Foreseen, Failure> {
    // The recipes are for Linux.
    let of_a_node = match cfg!(target_os = "linux") && is_a_node_assembled(wanted, reached).await {
        true => needs::missing_for_a_node(&tool_folder::root()),
        false => Vec::new(),
    };
    let images = wanted.installs && !of_a_node.is_empty();
    let (mut recipes, refused) = match wanted.installs {
        true => ([lacking, &of_a_node].concat(), Vec::new()),
        false => (Vec::new(), of_a_node),
    };
    if wanted.installs && are_bases_assembled(wanted, reached).await && !recipes.contains(&needs::TREE) {
        recipes.push(needs::TREE);
    }
    // Without curl nobody was asked; a deploy has that installed before it looks who answers.
    if reached.is_empty() {
        return Ok(Foreseen { needs: Needs::with(&recipes, There::EVERYTHING), images, refused });
    }
    let there = There {
        helm: reach::answers(reached, reach::OF_HELM),
        minikube: reach::answers(reached, reach::OF_MINIKUBE),
        // A deploy runs none.
        kubectl: true,
        go: reach::answers(reached, reach::OF_GO) || needs::has_go(cancel).await?,
        npm: reach::answers(reached, reach::OF_NODEJS) || needs::has_npm(),
        layer: needs::has_layer(),
    };
    Ok(Foreseen { needs: Needs::with(&recipes, there), images, refused })
}

/// Whether a node has to be made of what nobody may get here.
pub(super) fn node(foreseen: &Foreseen) -> Option<Finding> {
    let refused = foreseen.refused.join(", ");
    let found = format!("{refused} would have to be downloaded or compiled, which `install = false` forbids");
    let finding = Finding::short("node", found, "the table [tools] in this machine's settings");
    let mend = "allow it there, or name a node image to pull by `start-args` in the table [minikube]";
    (!refused.is_empty()).then(|| finding.mend(mend))
}

/// Whether there is no node yet, and minikube gets none by itself.
async fn is_a_node_assembled(wanted: &Wanted<'_>, reached: &[Asked]) -> bool {
    let Some(cluster) = wanted.minikube().filter(|_| !wanted.made && !wanted.has_a_node_image) else { return false };
    let declared = cluster.kubernetes.as_ref().map(ToString::to_string);
    let declared = declared.as_deref();
    let has_its_own = match Daemon::of_host() {
        Ok(host) => timeout(PATIENCE, node::has_its_own(&host, declared)).await.ok().and_then(Result::ok),
        Err(_) => None,
    };
    // An engine that is silent now may have the node's image: then nobody is told that it has not.
    !has_its_own.unwrap_or_else(|| node::has_its_archive(declared)) && !reach::gives_a_node(reached).await
}

/// Whether an image is built on one that is assembled where no registry gives it.
pub(super) fn builds_on_bases(file: &GraphFile) -> bool {
    let in_node = file.images.values().filter(|image| image.daemon == Place::Cluster && image.platform.is_none());
    in_node.filter_map(|image| fs::read_to_string(file.root.join(&image.dockerfile)).ok()).any(|text| {
        let stages = buildkit::Dockerfile::parse(&text).stages;
        stages.iter().any(|stage| bases::in_catalogue(&stage.base).is_some())
    })
}

/// Whether a new node has to get such bases, their registry is silent, and nobody has named another. Without curl it is
/// not asked.
async fn are_bases_assembled(wanted: &Wanted<'_>, reached: &[Asked]) -> bool {
    if wanted.minikube().is_none() || wanted.made || !wanted.builds_on_bases || reached.is_empty() {
        return false;
    }
    let mirrors = match Daemon::of_host() {
        Ok(host) => timeout(PATIENCE, bases::mirrors(&host)).await.unwrap_or_default(),
        Err(_) => Vec::new(),
    };
    !reach::answers(reached, reach::OF_BASES) && mirrors.is_empty()
}
