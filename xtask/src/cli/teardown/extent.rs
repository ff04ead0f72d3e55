//! How far a teardown reaches: what of the graph is in the cluster, and whether that is asked for, goes with the cluster
//! or cannot be there.

use std::collections::BTreeSet;

use engine::config::{Daemon, GraphFile};
use engine::failure::Failure;
use engine::step::{Kind, StepId};

use crate::cli::session::Session;
use crate::steps::cluster::{ClusterStep, Definition, Presence};
use crate::steps::{Scope, Step as _};

/// What becomes of the cluster, and so of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// It stays, and what is in it is asked for.
    Stays,
    /// It goes with all that is in it, which need not answer for that.
    Goes,
    /// There is none, so there is nothing in it.
    Absent,
}

impl Cluster {
    /// Looks at the session's cluster. Where the graph has none, what is asked is elsewhere, and stays to be asked.
    ///
    /// # Errors
    /// When it stays, and nothing in it can be looked at: with what helps.
    pub async fn look(session: &Session, scope: Scope) -> Result<Self, Failure> {
        let Some(cluster) = &session.project.file.cluster else { return Ok(Self::Stays) };
        let step = ClusterStep::new(Definition::from(cluster));
        // One that goes need not even run.
        if step.belongings(&session.cx, scope).await?.iter().any(|belonging| belonging.kept.is_none()) {
            return Ok(Self::Goes);
        }
        match step.presence(&session.cx).await? {
            Presence::Answers => Ok(Self::Stays),
            Presence::Absent => Ok(Self::Absent),
            Presence::Silent(failure) => Err(failure),
        }
    }
}

/// Whether what a step makes is in the cluster, and goes with it.
pub fn is_in_cluster(file: &GraphFile, step: &StepId) -> bool {
    match step.kind {
        Kind::Release | Kind::Secrets | Kind::Manifests | Kind::Check => file.cluster.is_some(),
        Kind::Image => file.images.get(&step.name).is_some_and(|image| image.daemon == Daemon::Cluster),
        Kind::Cluster | Kind::Command => false,
    }
}

/// The namespaces into which a step puts things, and which it makes for that.
pub fn namespaces_of(file: &GraphFile, step: &StepId) -> BTreeSet<String> {
    let releases = file.releases.iter().filter(|(name, release)| match step.kind {
        Kind::Release => **name == step.name,
        Kind::Secrets => release.secrets.contains(&step.name),
        _ => false,
    });
    let manifests = file.manifests.get(&step.name).filter(|_| step.kind == Kind::Manifests);
    let namespaces = releases.map(|(_, release)| &release.namespace);
    namespaces.chain(manifests.map(|manifests| &manifests.namespace)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use engine::config::GraphFile;
    use engine::step::{Kind, StepId};

    use super::{is_in_cluster, namespaces_of};

    const GRAPH: &str = r#"
project = "shop"
[cluster]
driver = "minikube"
profile = "shop"
[image.web]
context = "web"
[image.tools]
context = "tools"
daemon = "host"
[secrets.shop]
from = "secrets.yaml"
object = "shop-secrets"
[release.shop]
chart = "chart"
namespace = "front"
secrets = ["shop"]
[release.beside]
chart = "chart"
namespace = "side"
secrets = ["shop"]
[manifests.quota]
files = ["quota.yaml"]
namespace = "front"
[command.lint]
run = ["true"]
"#;

    #[test]
    fn what_is_in_the_cluster_goes_with_it_and_namespaces_are_those_of_the_step() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["web/Dockerfile", "tools/Dockerfile", "chart/Chart.yaml", "quota.yaml", "secrets.yaml"] {
            std::fs::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let (file, _) = engine::graph::parse(GRAPH, &folder.path().join("xtask.toml")).unwrap();
        let check = |file: &GraphFile, kind: Kind, name: &str, inside: bool, namespaces: &[&str]| {
            let step = if kind == Kind::Cluster { StepId::cluster() } else { StepId::new(kind, name) };
            assert_eq!(is_in_cluster(file, &step), inside, "{step}");
            assert_eq!(namespaces_of(file, &step).into_iter().collect::<Vec<_>>(), namespaces, "{step}");
        };
        check(&file, Kind::Cluster, "", false, &[]);
        check(&file, Kind::Image, "web", true, &[]);
        check(&file, Kind::Image, "tools", false, &[]);
        check(&file, Kind::Secrets, "shop", true, &["front", "side"]);
        check(&file, Kind::Release, "shop", true, &["front"]);
        check(&file, Kind::Release, "beside", true, &["side"]);
        check(&file, Kind::Manifests, "quota", true, &["front"]);
        check(&file, Kind::Command, "lint", false, &[]);
    }
}
