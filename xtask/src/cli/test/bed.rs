//! The cluster that tests run in: a minikube profile of their own, so that nobody's deployment is touched, with the
//! base images that the application's Dockerfiles name.
//!
//! It comes about as any other cluster does, by a deploy of a graph file, here one of a cluster and an image made of
//! all the bases. No port of the host leads into it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use engine::failure::Failure;

use crate::cli::isolate::Isolate;
use crate::cli::problem::Problem;
use crate::cli::{Format, Global, deploy};

/// The variable that tells tests which kubeconfig context is theirs; whoever sets it chooses the minikube profile.
pub const CONTEXT: &str = "XTASK_TEST_CONTEXT";

/// The profile of the tests.
const PROFILE: &str = "xtask-test";

/// An image that needs every base.
const DOCKERFILE: &str = include_str!("bed/Dockerfile");

/// Brings the tests' cluster up, or back, and its base images in; returns its context.
///
/// # Errors
/// When the cluster cannot be started, or a base image can be neither found nor assembled.
pub async fn prepare(global: &Global, root: &Path, yes: bool) -> Result<String, Problem> {
    let profile = profile();
    let folder = root.join("target/test-bed");
    write(&folder.join("bases/Dockerfile"), DOCKERFILE)?;
    let path = folder.join("xtask.toml");
    write(&path, &graph_file(&profile))?;
    let global = Global {
        graph_file: Some(path),
        // What a program reads from this command is about suites.
        format: Format::Human,
        quiet: global.quiet,
        verbose: global.verbose,
        color: global.color,
    };
    let (steps, isolate) = (Vec::new(), Isolate::default());
    let request = deploy::Request { steps, dry_run: false, force: false, pull: false, isolate, yes };
    // It has told why.
    if deploy::run(&global, &request).await? != ExitCode::SUCCESS {
        return Err(Failure::environment("the tests have no cluster to run in").into());
    }
    Ok(profile)
}

/// The minikube profile of the tests.
pub fn profile() -> String {
    std::env::var(CONTEXT).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| PROFILE.to_owned())
}

/// What the cluster in `profile` is declared to be.
pub fn graph_file(profile: &str) -> String {
    format!(
        "project = \"xtask-test\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{profile}\"\nkubernetes = \"1.34\"\n\
         cpus = 2\nmemory = \"4GiB\"\n\n[image.bases]\ncontext = \"bases\"\n"
    )
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(path);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(path, text));
    written.map_err(|error| Failure::io("write", path, &error))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::{DOCKERFILE, graph_file, write};

    #[test]
    fn the_graph_file_can_be_read_and_has_no_port_that_anybody_else_may_want() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("bases/Dockerfile"), DOCKERFILE).unwrap();
        write(&folder.path().join("xtask.toml"), &graph_file("xtask-test")).unwrap();
        let (file, _) = engine::graph::load(&folder.path().join("xtask.toml")).unwrap();
        assert!(file.cluster.unwrap().ports.is_empty());
    }

    #[test]
    fn every_base_of_the_application_is_brought_in() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("");
        let bases = |text: &str| -> BTreeSet<String> {
            let named = buildkit::Dockerfile::parse(text).base_images(&Default::default(), None, "linux/amd64");
            named.into_iter().map(|base| base.name).collect()
        };
        let here = bases(DOCKERFILE);
        for component in ["backend", "frontend"] {
            let text = fs::read_to_string(root.join(component).join("Dockerfile")).unwrap();
            assert!(bases(&text).is_subset(&here), "{component}: {:?} and not only {here:?}", bases(&text));
        }
        let values = fs::read_to_string(root.join("helm/todo-chatbot/values.yaml")).unwrap();
        assert!(here.contains("postgres:17") && values.contains("postgres"));
    }
}
