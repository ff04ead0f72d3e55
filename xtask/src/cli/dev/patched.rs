//! Which releases runs of this loop may have synced, and by which graph files: one that is renamed, or declared for another
//! cluster, while the loop runs is nothing that the present file knows of, and its pods have to be put back all the same.

use std::collections::{BTreeMap, BTreeSet};

use engine::config::GraphFile;
use engine::receipt::Receipt;
use engine::step::StepId;

use super::alone::synced;
use crate::cli::session::Project;
use crate::workspace::Workspace;

/// A release of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The kubeconfig context.
    pub context: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name in helm.
    pub release: String,
}

/// The releases of `file` whose pods are synced.
pub fn places(file: &GraphFile) -> BTreeSet<Place> {
    let context = file.cluster.as_ref().map_or("", |cluster| cluster.kube_context());
    let place = |release: &engine::config::Release| Place {
        context: context.to_owned(),
        namespace: release.namespace.clone(),
        release: release.name.clone(),
    };
    synced(file).map(place).collect()
}

/// How a release came to be synced.
#[derive(Clone)]
pub struct Former {
    /// The graph file of the last run that may have done it.
    pub project: Project,
    /// What that run knew of the cluster.
    pub cluster: Option<Receipt>,
}

/// See the module.
#[derive(Default)]
pub struct Patched(BTreeMap<Place, Former>);

impl Patched {
    /// A run of `project` has got past the cluster.
    pub fn note(&mut self, project: &Project, isolation: Option<&str>) {
        let workspace = Workspace::at(project.file.root.clone());
        let workspace = isolation.map_or_else(|| workspace.clone(), |name| workspace.clone().isolated(name)).for_dev();
        let cluster = workspace.receipts().load(&StepId::cluster()).receipt().cloned();
        for place in places_of(project, isolation) {
            self.0.insert(place, Former { project: project.clone(), cluster: cluster.clone() });
        }
    }

    /// Whether any run has got past the cluster behind `context`.
    pub fn has_cluster(&self, context: &str) -> bool {
        self.0.keys().any(|place| place.context == context)
    }

    /// What `project` knows nothing of.
    pub fn beside(&self, project: &Project, isolation: Option<&str>) -> Vec<(Place, Former)> {
        let known = places_of(project, isolation);
        let others = self.0.iter().filter(|(place, _)| !known.contains(place));
        others.map(|(place, former)| (place.clone(), former.clone())).collect()
    }
}

fn places_of(project: &Project, isolation: Option<&str>) -> BTreeSet<Place> {
    let mut file = project.file.clone();
    // A name that cannot be one has begun no run.
    if let Some(name) = isolation
        && file.isolate(name, &BTreeMap::new()).is_err()
    {
        return BTreeSet::new();
    }
    places(&file)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{Patched, places};
    use crate::cli::session::Project;

    const FILE: &str = "project = \"p\"\n[cluster]\nprofile = \"p\"\n[image.a]\ncontext = \"a\"\n[dev.a]\ntarget = \"dev\"\n\
        runtime = \"python\"\nsync = { app = \"/app\" }\ncommand = [\"python\"]\n\
        [release.r]\nchart = \"chart\"\nnamespace = \"n\"\nimages = { image = \"a\" }\n\
        [release.other]\nchart = \"chart\"\nnamespace = \"n\"\n";

    fn project(root: &Path, text: &str) -> Project {
        fs::write(root.join("xtask.toml"), text).unwrap();
        let (file, graph) = engine::graph::load(&root.join("xtask.toml")).unwrap();
        Project { file, graph }
    }

    #[test]
    fn a_release_that_the_graph_file_knows_no_more_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir_all(root.join("a/app")).unwrap();
        fs::create_dir_all(root.join("chart")).unwrap();
        fs::write(root.join("a/Dockerfile"), "FROM x AS dev").unwrap();
        fs::write(root.join("chart/Chart.yaml"), "name: r").unwrap();
        let before = project(&root, FILE);
        let mut patched = Patched::default();
        assert!(!patched.has_cluster("p"));
        patched.note(&before, None);
        assert!(patched.has_cluster("p"));
        assert_eq!(places(&before.file).len(), 1, "only what is synced");
        for (from, to, expected) in [
            ("", "", None),
            ("[release.other]", "[release.another]", None),
            // Deployed anew by the same name, it is the present file's.
            ("[release.r]", "[release.s]\nname = \"r\"", None),
            ("[release.r]", "[release.s]", Some("p n r")),
            ("namespace = \"n\"\nimages", "namespace = \"m\"\nimages", Some("p n r")),
            ("profile = \"p\"", "profile = \"q\"", Some("p n r")),
            ("images = { image = \"a\" }", "", Some("p n r")),
        ] {
            let now = project(&root, &FILE.replacen(from, to, 1));
            let found = patched.beside(&now, None);
            let found: Vec<String> = found
                .iter()
                .map(|(place, _)| [&place.context, &place.namespace, &place.release].map(String::as_str).join(" "))
                .collect();
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{from:?} became {to:?}");
        }
        let isolated = patched.beside(&before, Some("mine"));
        assert_eq!(isolated.len(), 1, "that is another deployment");
    }
}
