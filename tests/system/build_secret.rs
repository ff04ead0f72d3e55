//! Secrets that a build mounts: a changed one builds anew, also where the layer cache knows every line, be it from another
//! checkout's build.

use std::collections::BTreeSet;

use engine::digest::Digest;

use crate::application::secret::files_with;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::project::Project;

/// An image with a layer that tells which secret its build has seen, and a file on top.
const DOCKERFILE: &str = "FROM python:3.13-slim\n\
    RUN --mount=type=secret,id=token python -c \"import hashlib; \
    print(hashlib.sha256(open('/run/secrets/token', 'rb').read()).hexdigest())\" > /seen\n\
    COPY note /\n";

const FIRST: &str = "first-token-of-the-build-that-nobody-else-has-ever-written";
const SECOND: &str = "second-token-of-the-build-that-nobody-else-has-ever-written";

/// The images of the project, by their ids.
fn images(daemon: &Daemon) -> BTreeSet<String> {
    let label = "label=dev.xtask.project=build-secret";
    let ids = daemon.docker(&["image", "ls", "--all", "--quiet", "--no-trunc", "--filter", label]);
    ids.lines().map(str::to_owned).collect()
}

/// What a build of the image has seen that is not among `before`, and its id.
fn seen(daemon: &Daemon, before: &BTreeSet<String>) -> (String, String) {
    let now = images(daemon);
    let [id] = now.difference(before).collect::<Vec<_>>()[..] else { panic!("{before:?} became {now:?}") };
    (daemon.docker(&["run", "--rm", "--network=none", id, "cat", "/seen"]), id.clone())
}

fn digest(text: &str) -> String {
    Digest::of_bytes(text.as_bytes()).to_string()
}

/// A checkout with the value `secret`, of which nothing is known.
fn checkout(name: &str, secret: &str) -> Project {
    let context = Cluster::of_environment().context;
    let graph = format!(
        "project = \"build-secret\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{context}\"\n\n\
         [image.app]\ncontext = \"app\"\nbuild-secrets = {{ token = {{ file = \"token\" }} }}\n"
    );
    let files = [("xtask.toml", &*graph), ("app/Dockerfile", DOCKERFILE), ("app/note", "first"), ("token", secret)];
    Project::of_files(name, &context, &files)
}

#[test]
fn a_changed_one_rebuilds_and_is_kept_in_no_layer() {
    let project = checkout("build-secret", FIRST);
    let daemon = Daemon::of(&project);
    let before = images(&daemon);
    project.run(&["deploy"]).expect_success();
    let (first, _) = seen(&daemon, &before);
    assert_eq!(first, digest(FIRST));
    project.run(&["deploy"]).expect_all_fresh();

    project.write("token", SECOND);
    let before = images(&daemon);
    let ran = project.run(&["deploy"]).expect_success().expect_reason("image:app", "build-secrets.token");
    assert_eq!(ran.done(), ["image:app"]);
    let (second, newer) = seen(&daemon, &before);
    assert_eq!(second, digest(SECOND));
    project.run(&["deploy"]).expect_all_fresh();

    let history = daemon.docker(&["image", "history", "--no-trunc", &newer]);
    let about = daemon.docker(&["image", "inspect", &newer]);
    for secret in [FIRST, SECOND] {
        assert!(!history.contains(secret), "the image's history has it");
        assert!(!about.contains(secret), "the image's settings have it");
        assert!(!daemon.saved(&newer).contains(secret), "a layer has it");
        assert_eq!(files_with(&project.path(".xtask"), secret), Vec::<String>::new());
    }
    project.run(&["teardown"]).expect_success();
}

#[test]
fn what_another_checkout_built_with_another_one_is_not_taken() {
    let (one, other) = (checkout("build-secret", FIRST), checkout("build-secret-other", SECOND));
    let daemon = Daemon::of(&one);
    for (project, secret) in [(&one, FIRST), (&other, SECOND), (&one, FIRST), (&other, SECOND)] {
        // What is above the secret's layer changes, so that this layer comes out of the cache.
        let note = std::fs::read_to_string(project.path("app/note")).expect("it is there");
        project.write("app/note", &format!("{note}, then another for {}", &secret[..5]));
        let before = images(&daemon);
        project.run(&["deploy"]).expect_success();
        assert_eq!(seen(&daemon, &before).0, digest(secret));
    }
    one.run(&["teardown"]).expect_success();
}
