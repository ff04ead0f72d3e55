//! What changed is built, upgraded and rolled out, and nothing else.

use crate::project::{NAMESPACE, Project};

#[test]
fn a_backend_file_rebuilds_that_image_alone_and_leaves_the_frontends_pods() {
    let project = Project::deployed();
    let (frontend, backend) = (project.cluster.pods("frontend"), project.cluster.pods("backend"));
    project.write("backend/app/marker.py", "MARKER = 1\n");
    let ran = project.run(&["deploy"]).expect_success();
    ran.expect_reason("image:backend", "app/marker.py is new")
        .expect_reason("release:todo", "backend.image.tag")
        .expect_done(&["check:backend", "check:frontend", "image:backend", "release:todo"]);
    assert_eq!(project.cluster.pods("frontend"), frontend, "the frontend's pods are the same");
    assert_ne!(project.cluster.pods("backend"), backend, "the backend's are others");
    std::fs::remove_file(project.path("backend/app/marker.py")).unwrap();
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn what_a_dockerignore_hides_does_nothing() {
    let project = Project::deployed();
    project.write("backend/tests/hidden.txt", "nothing that an image has\n");
    project.write("frontend/node_modules/hidden.txt", "nothing that an image has\n");
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn a_changed_values_key_is_named_and_rolls_only_who_reads_it() {
    let project = Project::deployed();
    let frontend = project.cluster.pods("frontend");
    project.edit(
        "xtask.toml",
        "[release.todo.set.frontend]",
        "[release.todo.set.config]\nENVIRONMENT = \"changed\"\n\n[release.todo.set.frontend]",
    );
    let explained = project.run_human(&["explain", "release:todo"]).expect_success();
    assert!(explained.stdout.contains("config.ENVIRONMENT added: changed"), "{}", explained.stdout);
    project.run(&["deploy"]).expect_success().expect_reason("release:todo", "config.ENVIRONMENT");
    assert!(project.cluster.ask_backend("/api/health").contains("changed"), "the app sees it");
    assert_eq!(project.cluster.pods("frontend"), frontend, "no pod of the frontend reads it");
}

#[test]
fn two_checkouts_of_the_same_thing_share_what_was_done() {
    let project = Project::deployed();
    let second = project.second_checkout();
    let revision = project.cluster.helm(&["list", "--output", "json"]);
    let ran = second.run(&["deploy"]).expect_success();
    assert!(!ran.done().contains(&"image:backend"), "the image is there: {:?}", ran.done());
    assert_eq!(project.cluster.helm(&["list", "--output", "json"]), revision, "no revision was made in {NAMESPACE}");
}
