//! `deploy --pull`: base images as their registries have them now, from a registry inside the node.

use std::process::Command;

use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::project::Project;

const REGISTRY: &str = include_str!("pull/registry.py");

/// A registry, for as long as it is kept.
struct Registry<'a> {
    daemon: &'a Daemon,
    container: String,
    port: String,
}

impl<'a> Registry<'a> {
    fn start(daemon: &'a Daemon) -> Self {
        let run = ["run", "--detach", "--rm", "--network=host", "python:3.13-slim", "python", "-c", REGISTRY];
        let container = daemon.docker(&run);
        let mut registry = Self { daemon, container, port: String::new() };
        // Asking fails, and ends the test, once the container has ended.
        let said = (0..2000).map(|_| daemon.docker(&["logs", &registry.container])).find(|port| !port.is_empty());
        registry.port = said.expect("the registry says its port");
        registry
    }

    /// An image of one file `content`, in the daemon and in the registry under the same name.
    fn push(&self, project: &Project, content: &str) -> String {
        let name = format!("127.0.0.1:{}/base:1", self.port);
        project.write("base/content", content);
        let archive = project.path("base.tar");
        let folder = project.path("base");
        let packed = Command::new("tar").arg("-cf").arg(&archive).arg("-C").arg(folder).arg("content").status();
        assert!(packed.expect("tar is there").success());
        let id = self.daemon.docker(&["import", archive.to_str().expect("a readable path"), &name]);
        self.daemon.docker(&["push", "--quiet", &name]);
        id
    }
}

impl Drop for Registry<'_> {
    fn drop(&mut self) {
        self.daemon.docker(&["stop", "--time=0", &self.container]);
    }
}

/// The file of the base, in the image that is there now.
fn content(daemon: &Daemon, image: &str) -> String {
    let container = daemon.docker(&["create", image, "nothing"]);
    let archive = daemon.docker(&["cp", &format!("{container}:/content"), "-"]);
    daemon.docker(&["rm", &container]);
    archive
}

#[test]
fn bases_are_asked_for_at_their_registry_and_only_then() {
    let context = Cluster::of_environment().context;
    let graph = format!(
        "project = \"pull\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{context}\"\n\n[image.app]\ncontext = \"app\"\n"
    );
    let files = [("xtask.toml", &*graph), ("app/Dockerfile", ""), ("app/note", "a note")];
    let project = Project::of_files("pull", &context, &files);
    let daemon = Daemon::of(&project);
    let registry = Registry::start(&daemon);
    let first = registry.push(&project, "the first");
    let base = format!("127.0.0.1:{}/base:1", registry.port);
    project.write("app/Dockerfile", &format!("FROM {base}\nCOPY note /\n"));
    project.run(&["deploy"]).expect_success();

    // Somebody pushes a newer one from elsewhere.
    registry.push(&project, "the second");
    daemon.docker(&["tag", &first, &base]);
    project.run(&["deploy"]).expect_all_fresh();
    let ran = project.run(&["deploy", "--pull"]).expect_success().expect_reason("image:app", &base);
    assert_eq!(ran.done(), ["image:app"]);
    let newest = daemon.docker(&["image", "ls", "--quiet", "--filter", "label=dev.xtask.project=pull"]);
    let contents: Vec<String> = newest.lines().map(|image| content(&daemon, image)).collect();
    assert!(contents.iter().any(|content| content.contains("the second")), "{contents:?}");
    project.run(&["deploy", "--pull"]).expect_all_fresh();

    drop(registry);
    let ran = project.run_human(&["deploy", "--pull"]).expect_code(3);
    for words in [&*format!("app/Dockerfile:1: the registry of {base} did not give it"), "leave out --pull"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown"]).expect_success();
    daemon.docker(&["image", "rm", "--force", &base]);
}
