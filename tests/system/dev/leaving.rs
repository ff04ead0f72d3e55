//! The end of a loop: pods run built images, whoever has deployed them before and whatever has become of the files.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::Loop;
use super::live::{self, NAMESPACE, save};
use crate::project::Project;

/// Where the release is moved to.
const MOVED: &str = "live-test-moved";

/// What the pods are made from.
fn template(project: &Project) -> Value {
    project.cluster.get(&["deployment", "live"])["spec"]["template"]["spec"].clone()
}

/// Whether they follow the sources.
fn is_synced(project: &Project) -> bool {
    template(project).to_string().contains("xtask-dev")
}

#[test]
fn pods_run_built_images_also_where_only_the_loop_has_deployed_and_where_the_graph_file_is_broken() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("synced");
    assert!(is_synced(&project));
    development.end();
    assert!(!is_synced(&project), "what only the loop has deployed is built as it leaves");
    let built = template(&project);
    project.run(&["deploy"]).expect_success();
    assert_eq!(template(&project), built, "from the files as they were");

    let mut development = Loop::begin(&project, &[]);
    development.edit("synced again");
    let good = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    project.write("xtask.toml", "this is no graph file");
    development.until_told("mistakes");
    assert!(is_synced(&project));
    development.end();
    assert_eq!(template(&project), built, "by the graph file as it was when it was good");
    project.write("xtask.toml", &good);
    project.run(&["teardown"]).expect_success();
}

#[test]
fn a_revision_that_does_not_come_up_is_not_what_the_pods_are_left_with() {
    let project = live::project();
    project.run(&["deploy"]).expect_success();
    let works = template(&project);
    project.write("app/app/__init__.py", "WORD = \"broken\"\nraise RuntimeError(WORD)\n");
    project.run(&["deploy"]).expect_code(1);
    assert_ne!(template(&project), works);
    save(&project, "mended");
    let development = Loop::begin(&project, &[]);
    development.end();
    assert_eq!(template(&project), works, "the last revision that has passed its checks");
    project.run(&["teardown"]).expect_success();
}

#[test]
fn a_release_that_has_moved_meanwhile_is_put_back_where_it_was_and_where_it_is() {
    let project = live::project();
    project.run(&["deploy"]).expect_success();
    let built = template(&project);
    let mut development = Loop::begin(&project, &[]);
    development.edit("synced");
    assert!(is_synced(&project));
    let (here, there) = (format!("namespace = \"{NAMESPACE}\""), format!("namespace = \"{MOVED}\""));
    project.edit("xtask.toml", &here, &there);
    development.until_told("watching");
    let moved = || project.cluster.clone().in_namespace(MOVED).get(&["deployment", "live"]).to_string();
    assert!(moved().contains("xtask-dev"), "it is synced where it is now");
    assert!(is_synced(&project), "and where it was");
    development.end();
    assert_eq!(template(&project), built, "the graph file says nothing of it any more");
    assert!(!moved().contains("xtask-dev"));
    project.run(&["teardown"]).expect_success();
    project.edit("xtask.toml", &there, &here);
    project.run(&["teardown"]).expect_success();
}

#[test]
fn pods_of_the_cluster_that_was_declared_before_are_put_back_though_the_next_one_is_not_there() {
    let project = live::project();
    project.run(&["deploy"]).expect_success();
    let built = template(&project);
    let mut development = Loop::begin(&project, &[]);
    development.edit("synced");
    assert!(is_synced(&project));
    let good = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    let elsewhere = "driver = \"context\"\ncontext = \"a-cluster-that-is-not-there\"\n";
    let minikube = format!("driver  = \"minikube\"\nprofile = \"{}\"\n", project.cluster.context);
    project.edit("xtask.toml", &minikube, elsewhere);
    project.edit("xtask.toml", "context = \"app\"\n", "context = \"app\"\ndaemon = \"host\"\n");
    development.until_told("watching");
    assert!(is_synced(&project), "nothing has touched it");
    development.running.signal(Signal::INT);
    let said = development.running.ended();
    assert!(said.stdout.contains("\"restored\""), "{}", said.stdout);
    assert_eq!(template(&project), built);
    project.write("xtask.toml", &good);
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown"]).expect_success();
}
