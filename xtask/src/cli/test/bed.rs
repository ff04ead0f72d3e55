//! The cluster that tests run in: a minikube profile of their own, so that nobody's deployment is touched, with the
//! base images that the application's Dockerfiles name.
//!
//! It comes about as any other cluster does, by a deploy of a graph file, here one of a cluster and an image made of
//! all the bases. No port of the host leads into it.

mod leftovers;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use engine::failure::Failure;
use engine::lock::{Held, Locks};
use tokio_util::sync::CancellationToken;

use crate::cli::isolate::Isolate;
use crate::cli::problem::Problem;
use crate::cli::{Format, Global, deploy};
use crate::report::style::{WARNING, verb};
use crate::run;
use crate::world::kube_client;

/// The variable that tells tests which kubeconfig context is theirs; whoever sets it chooses the minikube profile.
pub const CONTEXT: &str = "XTASK_TEST_CONTEXT";

/// The profile of the tests.
const PROFILE: &str = "xtask-test";

/// An image that needs every base.
const DOCKERFILE: &str = include_str!("bed/Dockerfile");

/// Brings the tests' cluster up, or back, and its base images in; returns its context. What a run that was killed has
/// left there is removed, where the cluster is the one that only tests use; `show` is told of it.
///
/// # Errors
/// When the cluster cannot be started or tidied, or a base image can be neither found nor assembled.
pub async fn prepare(global: &Global, root: &Path, yes: bool, show: &(dyn Fn(&str) + Sync)) -> Result<String, Problem> {
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
    if profile == PROFILE {
        leftovers::remove(&kube_client::client(&profile).await?, leftovers::is_one, show).await?;
    }
    Ok(profile)
}

/// Waits until no other run of tests is at work in the profile, of whichever checkout: what one has deployed there, the
/// other would change. `show` is told who that is. It is this run's until the returned value is dropped.
///
/// # Errors
/// When the lock cannot be taken, or the run is interrupted while it waits.
pub async fn turn(
    locks: &Locks,
    root: &Path,
    cancel: &CancellationToken,
    show: &(dyn Fn(&str) + Sync),
) -> Result<Held, Failure> {
    let profile = profile();
    let lock = locks.named(&format!("tests in {profile}"));
    let holder = format!("`cargo xtask test` in {}, process {}", root.display(), std::process::id());
    if let Some(held) = lock.try_acquire(&holder)? {
        return Ok(held);
    }
    let other = lock.holder().unwrap_or_else(|| "another run".to_owned());
    show(&format!("{}for {profile}, which {other} has", verb(WARNING, "Waiting")));
    run::acquire(lock, holder, cancel).await
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
    use std::sync::Mutex;

    use engine::failure::Class;
    use engine::lock::Locks;
    use tokio_util::sync::CancellationToken;

    use super::{DOCKERFILE, graph_file, turn, write};

    #[test]
    fn the_graph_file_can_be_read_and_has_no_port_that_anybody_else_may_want() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("bases/Dockerfile"), DOCKERFILE).unwrap();
        write(&folder.path().join("xtask.toml"), &graph_file("xtask-test")).unwrap();
        let (file, _) = engine::graph::load(&folder.path().join("xtask.toml")).unwrap();
        assert!(file.cluster.unwrap().ports.is_empty());
    }

    #[tokio::test]
    async fn one_run_at_a_time_is_at_work_in_the_profile_and_others_are_told_which() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::in_folder(folder.path()).unwrap();
        let cancel = CancellationToken::new();
        let first = turn(&locks, Path::new("/first"), &cancel, &|line| panic!("nobody has it: {line}")).await.unwrap();
        let told = Mutex::new(String::new());
        let show = |line: &str| told.lock().unwrap().push_str(line);
        let second = turn(&locks, Path::new("/second"), &cancel, &show);
        tokio::pin!(second);
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(told.lock().unwrap().contains("`cargo xtask test` in /first, process "), "{told:?}");
        drop(first);
        drop(second.await.unwrap());
        let third = turn(&locks, Path::new("/third"), &cancel, &|_| {}).await.unwrap();
        cancel.cancel();
        let interrupted = turn(&locks, Path::new("/fourth"), &cancel, &|_| {}).await.unwrap_err();
        assert_eq!(interrupted.class, Class::Interrupted);
        drop(third);
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
