//! A helm that somebody else has under way is waited for, and never has the rug pulled from under it; one of ours that
//! was killed is nobody's and holds nobody up.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::project::Project;
use crate::running::Running;

/// A hook that comes to its end when the test says so.
const UNTIL_TOLD: &str = "import os, time\nwhile not os.path.exists('/tmp/go'): time.sleep(0.1)";

fn tiny() -> Project {
    let project = Project::fixture("tiny", "mends-test");
    project.run(&["deploy"]).expect_success();
    project
}

/// Returns once the hook's pod runs: the record is pending since before that.
fn until_hook_runs(project: &Project) {
    project.cluster.kubectl(&["wait", "job/migrate", "--for=create", "--timeout=60s"]);
    let pod = "job-name=migrate";
    project.cluster.kubectl(&["wait", "pod", "--selector", pod, "--for=create", "--timeout=60s"]);
    project.cluster.kubectl(&["wait", "pod", "--selector", pod, "--for=condition=ready", "--timeout=60s"]);
}

/// What helm says of each revision, the oldest first.
fn history(project: &Project) -> Vec<String> {
    let text = project.cluster.helm(&["history", "tiny", "--output", "json"]);
    let revisions: Vec<Value> = serde_json::from_str(&text).expect("helm prints JSON");
    revisions.iter().map(|revision| revision["status"].as_str().unwrap_or_default().to_owned()).collect()
}

fn waits_for_somebody_else(event: &Value) -> bool {
    let holder = event["holder"].as_str().unwrap_or_default();
    event["event"] == "waiting" && holder.contains("a helm of somebody else, which has been upgrading it for ")
}

#[test]
fn an_upgrade_by_hand_is_waited_for_and_not_called_failed() {
    let project = tiny();
    let mut helm = std::process::Command::new("helm")
        .args(["--kube-context", &project.cluster.context, "--namespace", "mends-test", "upgrade", "tiny"])
        .arg(project.path("chart"))
        .args(["--set", "greeting=by hand", "--set-string"])
        .arg(format!("hook={}", UNTIL_TOLD.replace(',', "\\,")))
        .stdout(Stdio::null())
        .spawn()
        .expect("helm is there");
    until_hook_runs(&project);
    assert_eq!(history(&project), ["deployed", "pending-upgrade"]);

    // Who does not want to wait may go.
    project.write("values.yaml", "greeting: changed\n");
    let mut stopped = Running::start(&project, &["deploy"]);
    stopped.until("it waits", waits_for_somebody_else);
    stopped.signal(Signal::INT);
    stopped.ended().expect_code(130);
    assert_eq!(history(&project), ["deployed", "pending-upgrade"], "nobody has touched it");

    let mut waiting = Running::start(&project, &["deploy"]);
    waiting.until("it waits", waits_for_somebody_else);
    project.cluster.kubectl(&["exec", "job/migrate", "--", "touch", "/tmp/go"]);
    assert!(helm.wait().expect("helm ends").success(), "helm came to its end undisturbed");
    waiting.ended().expect_success();
    assert_eq!(history(&project), ["superseded", "superseded", "deployed"]);
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_helm_of_a_killed_run_is_waited_for_by_nobody() {
    let project = tiny();
    let hook = UNTIL_TOLD.replace('\n', "\\n");
    project.write("values.yaml", &format!("greeting: changed\nhook: \"{hook}\"\n"));
    let running = Running::start(&project, &["deploy"]);
    until_hook_runs(&project);
    running.killed();

    project.write("values.yaml", "greeting: changed again\n");
    let ran = project.run(&["deploy"]).expect_success();
    assert!(!ran.events.iter().any(waits_for_somebody_else), "{}", ran.stdout);
    let newest = history(&project).pop();
    assert_eq!(newest.as_deref(), Some("deployed"));
    assert!(!history(&project).iter().any(|status| status.starts_with("pending")), "{:?}", history(&project));
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}
