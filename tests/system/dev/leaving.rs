//! The end of a loop: pods run built images, whoever has deployed them before and whatever has become of the files.

use std::fs;

use serde_json::Value;

use super::Loop;
use super::live::{self, save};
use crate::project::Project;

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
