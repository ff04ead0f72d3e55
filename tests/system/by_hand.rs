//! What people do to a release by hand, with kubectl, is noticed, named and put right, also where nothing is missing
//! and no pod is unwell.

use serde_json::Value;

use crate::project::Project;

/// The namespace of what these tests deploy.
const NAMESPACE: &str = "mends-test";

/// The tiny chart, deployed as it is in its folder.
fn tiny() -> Project {
    let project = Project::fixture("tiny", NAMESPACE);
    project.run(&["deploy"]).expect_success();
    project
}

/// What the pods that serve have in their environment.
fn greetings(project: &Project) -> Vec<Value> {
    let list = project.cluster.get(&["pods", "--selector", "app=tiny"]);
    let pods = list["items"].as_array().cloned().unwrap_or_default();
    let staying = pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    staying.map(|pod| pod["spec"]["containers"][0]["env"][0]["value"].clone()).collect()
}

#[test]
fn what_is_put_back_and_what_the_chart_changes_make_one_rollout() {
    let project = tiny();
    // A test that failed may have left others, without pods.
    let sets = project.cluster.get(&["replicasets"])["items"].as_array().cloned().unwrap_or_default();
    let active = sets.iter().find(|set| set["spec"]["replicas"] == 1).expect("one has the pod");
    let first = active["metadata"]["name"].as_str().expect("it has a name").to_owned();
    // Counts how often it was scaled.
    let generation = || project.cluster.get(&["replicaset", &first])["metadata"]["generation"].clone();
    project.cluster.kubectl(&["set", "env", "deployment/tiny", "DEBUG=1"]);
    project.cluster.kubectl(&["rollout", "status", "deployment/tiny", "--timeout=60s"]);
    let before = generation().as_i64();

    // With nothing else to do, what was put back is rolled out: up, and the other down.
    project.run(&["deploy"]).expect_success().expect_reason("release:tiny", "env[DEBUG] added by hand");
    assert_eq!(greetings(&project), ["hello"]);
    project.cluster.kubectl(&["set", "env", "deployment/tiny", "DEBUG=1"]);
    project.cluster.kubectl(&["rollout", "status", "deployment/tiny", "--timeout=60s"]);
    assert_eq!(generation().as_i64(), before.map(|count| count + 2));

    // With another change it never comes to that.
    project.write("values.yaml", "greeting: changed\n");
    let before = generation();
    let ran = project.run(&["deploy"]).expect_success();
    assert!(ran.stdout.contains("env[DEBUG] added by hand"), "{}", ran.stdout);
    assert_eq!(generation(), before, "no pod was made of what was only put back");
    assert_eq!(greetings(&project), ["changed"]);
    let live = project.cluster.get(&["deployment", "tiny"]);
    assert!(live["spec"]["paused"].is_null() && !live.to_string().contains("xtask/held-back"), "{live}");
    assert!(!live["spec"].to_string().contains("DEBUG"), "{live}");
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_paused_deployment_goes_on_and_runs_what_the_chart_says() {
    let project = tiny();
    project.cluster.kubectl(&["rollout", "pause", "deployment/tiny"]);
    project.write("values.yaml", "greeting: changed\n");
    let ran = project.run(&["deploy"]).expect_success().expect_reason("release:tiny", "greeting");
    assert!(ran.stdout.contains("Deployment tiny spec.paused added by hand"), "{}", ran.stdout);
    assert_eq!(greetings(&project), ["changed"]);
    project.run(&["deploy"]).expect_all_fresh();

    // With nothing else to do, too.
    project.cluster.kubectl(&["rollout", "pause", "deployment/tiny"]);
    project.run(&["deploy"]).expect_success().expect_reason("release:tiny", "spec.paused added by hand");
    assert!(project.cluster.get(&["deployment", "tiny"])["spec"]["paused"].is_null());
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_chart_that_pauses_its_own_rollout_is_told_so() {
    let project = tiny();
    project.write("values.yaml", "greeting: changed\npaused: true\n");
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    for words in ["Deployment tiny is paused", "0 of 1 pods updated", "rollout resume deployment/tiny", "spec.paused"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert_eq!(greetings(&project), ["hello"], "the old pod serves");
    project.write("values.yaml", "greeting: changed\n");
    project.run(&["deploy"]).expect_success();
    assert_eq!(greetings(&project), ["changed"]);
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_label_added_to_the_selector_of_a_service() {
    let project = tiny();
    let patch = r#"{"spec": {"selector": {"by-hand": "1"}}}"#;
    project.cluster.kubectl(&["patch", "service", "tiny", "--patch", patch]);
    project.run(&["deploy"]).expect_success().expect_reason("release:tiny", "spec.selector.by-hand added by hand");
    assert_eq!(project.cluster.get(&["service", "tiny"])["spec"]["selector"], serde_json::json!({"app": "tiny"}));
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}
