//! The cluster that tests run in: a minikube profile of their own, so that nobody's deployment is touched, with the
//! base images that the application's Dockerfiles name.

use std::fs;
use std::path::Path;

use engine::failure::{Class, Failure};
use tokio_util::sync::CancellationToken;

use crate::world::World;
use crate::world::daemon::VARIABLES;
use crate::world::process::Command;

/// The variable that tells tests which kubeconfig context is theirs; whoever sets it chooses the cluster.
pub const CONTEXT: &str = "XTASK_TEST_CONTEXT";

/// The profile of the tests.
const PROFILE: &str = "xtask-test";

/// Base images, each after those that it is made with.
const BASES: [&str; 3] = ["python-3.13-slim", "node-22-slim", "postgres-17"];

/// Brings the tests' cluster up, or back, and its base images in; returns its context.
///
/// # Errors
/// When the cluster cannot be started, or a base image can be neither found nor assembled.
pub async fn prepare(root: &Path, cancel: &CancellationToken, say: fn(&str)) -> Result<String, Failure> {
    let context = match std::env::var(CONTEXT) {
        Ok(context) if !context.is_empty() => context,
        _ => {
            start(root, cancel, say).await?;
            PROFILE.to_owned()
        }
    };
    let daemon = World::of_context(&context).node_daemon().await?;
    for base in BASES {
        let mut command = Command::new(root.join("dayzero/bases/assemble")).arg(base).cwd(root);
        command = VARIABLES.into_iter().fold(command, Command::env_remove);
        for (name, value) in daemon.variables(Some(&context)) {
            command = command.env(name, value);
        }
        command.run(cancel, |_, line| say(line)).await?.success(Class::Environment)?;
    }
    Ok(context)
}

/// Starts the profile as any other cluster is: by a deploy of a graph file that declares it.
async fn start(root: &Path, cancel: &CancellationToken, say: fn(&str)) -> Result<(), Failure> {
    let folder = root.join("target/test-bed");
    let path = folder.join("xtask.toml");
    let text = format!("[cluster]\ndriver = \"minikube\"\nprofile = \"{PROFILE}\"\nkubernetes = \"1.34\"\ncpus = 2\n");
    let written = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, text));
    written.map_err(|error| Failure::io("write", &path, &error))?;
    let this = std::env::current_exe()
        .map_err(|error| Failure::environment("could not find this program's own file").because(error))?;
    let command = Command::new(this).args(["deploy", "--graph-file"]).arg(&path).cwd(root);
    command.run(cancel, |_, line| say(line)).await?.success(Class::Environment).map(drop)
}
