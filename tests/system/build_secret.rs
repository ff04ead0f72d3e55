//! Secrets that a build mounts: a changed one builds anew, also where the layer cache knows every line.

use engine::digest::Digest;

use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::project::Project;
use crate::secret::files_with;

/// An image whose only layer tells which secret its build has seen.
const DOCKERFILE: &str = "FROM python:3.13-slim\n\
    RUN --mount=type=secret,id=token python -c \"import hashlib; \
    print(hashlib.sha256(open('/run/secrets/token', 'rb').read()).hexdigest())\" > /seen\n";

const FIRST: &str = "first-token-of-the-build-that-nobody-else-has-ever-written";
const SECOND: &str = "second-token-of-the-build-that-nobody-else-has-ever-written";

/// What the image that is there now has seen, and its id.
fn seen(daemon: &Daemon) -> (String, String) {
    let id =
        daemon.docker(&["image", "ls", "--quiet", "--no-trunc", "--filter", "label=dev.xtask.project=build-secret"]);
    let id = id.lines().next().expect("an image of the project").to_owned();
    (daemon.docker(&["run", "--rm", "--network=none", &id, "cat", "/seen"]), id)
}

fn digest(text: &str) -> String {
    Digest::of_bytes(text.as_bytes()).to_string()
}

#[test]
fn a_changed_one_rebuilds_and_is_kept_in_no_layer() {
    let context = Cluster::of_environment().context;
    let graph = format!(
        "project = \"build-secret\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{context}\"\n\n\
         [image.app]\ncontext = \"app\"\nbuild-secrets = {{ token = {{ file = \"token\" }} }}\n"
    );
    let project = Project::of_files(
        "build-secret",
        &context,
        &[("xtask.toml", &graph), ("app/Dockerfile", DOCKERFILE), ("token", FIRST)],
    );
    project.run(&["deploy"]).expect_success();
    let daemon = Daemon::of(&project);
    let (first, id) = seen(&daemon);
    assert_eq!(first, digest(FIRST));
    project.run(&["deploy"]).expect_all_fresh();

    project.write("token", SECOND);
    let ran = project.run(&["deploy"]).expect_success().expect_reason("image:app", "build-secrets.token");
    assert_eq!(ran.done(), ["image:app"]);
    let (second, newer) = seen(&daemon);
    assert_eq!(second, digest(SECOND));
    assert_ne!(newer, id);
    project.run(&["deploy"]).expect_all_fresh();

    let history = daemon.docker(&["image", "history", "--no-trunc", &newer]);
    let about = daemon.docker(&["image", "inspect", &newer]);
    for secret in [FIRST, SECOND] {
        assert!(!history.contains(secret), "the image's history has it");
        assert!(!about.contains(secret), "the image's settings have it");
        assert_eq!(files_with(&project.path(".xtask"), secret), Vec::<String>::new());
    }
    project.run(&["teardown"]).expect_success();
}
