//! A teardown leaves the cluster as it was before the first deploy, data apart.

use crate::project::{NAMESPACE, Project};

#[test]
fn only_data_and_the_secrets_that_belong_to_it_stay() {
    let project = Project::deployed();
    let listed = project.run_human(&["teardown", "--dry-run"]).expect_success();
    assert!(listed.stdout.contains("Removing"), "{}", listed.stdout);
    project.run(&["deploy"]).expect_all_fresh();

    project.run(&["teardown"]).expect_success();
    let left =
        project.cluster.kubectl(&["get", "deployments,statefulsets,services,pods,configmaps", "--output", "name"]);
    let ours: Vec<&str> = left.lines().filter(|name| name.contains("todo")).collect();
    assert_eq!(ours, Vec::<&str>::new());
    let claims = project.cluster.kubectl(&["get", "persistentvolumeclaims", "--output", "name"]);
    assert!(claims.contains("data-todo-postgres-0"), "data stays: {claims}");

    // The kept data opens with the kept password.
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output", "name"]);
    assert!(!namespaces.contains(NAMESPACE), "{namespaces}");
}
