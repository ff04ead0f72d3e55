//! What helm leaves in the cluster is listed before a teardown, with the command that removes it.

use crate::project::Project;

const STRAY: &str = r#"{"apiVersion": "batch/v1", "kind": "Job",
    "metadata": {"name": "long-ago", "annotations": {"helm.sh/hook": "pre-upgrade"}},
    "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10.1"}]}}}}"#;

#[test]
fn definitions_of_kinds_and_jobs_of_forgotten_hooks_are_listed_as_staying() {
    let project = Project::fixture("widget", "mends-test");
    project.run(&["deploy"]).expect_success();
    project.write("job.json", STRAY);
    let job = project.path("job.json").display().to_string();
    project.cluster.kubectl(&["apply", "--filename", &job]);
    let listed = project.run_human(&["teardown", "--dry-run"]).expect_success().stdout;
    for words in [
        "Keeping CustomResourceDefinition widgets.mends.example.org ",
        "kubectl delete customresourcedefinition widgets.mends.example.org",
        "Keeping Job long-ago in namespace mends-test ",
        "kubectl --namespace mends-test delete job long-ago",
    ] {
        assert!(listed.contains(words), "{words:?} is not said:\n{listed}");
    }
    project.run(&["teardown", "--data"]).expect_success();
    let left = project.cluster.kubectl(&["get", "jobs", "--output=name"]);
    assert_eq!(left.trim(), "job.batch/long-ago", "it stays, as it was said");
    project.cluster.kubectl(&["delete", "namespace", "mends-test"]);
    project.cluster.kubectl(&["delete", "customresourcedefinition", "widgets.mends.example.org"]);
}
