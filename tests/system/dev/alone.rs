//! Loops that would send their files into the same pods: the second is told of the first.

use std::time::Duration;

use serde_json::json;

use super::Loop;
use super::live;
use crate::project::Project;
use crate::running::Running;

/// How a loop on another machine calls itself.
const OTHER: &str = "far-away/4711/5d2f.1/dev";

/// Renews the Lease as that loop would, for the `count`th time.
fn renew(project: &Project, count: u32) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "xtask-dev-live"},
        "spec": {
            "holderIdentity": OTHER, "leaseDurationSeconds": 15,
            "renewTime": format!("2026-01-01T00:00:{count:02}.000000Z"),
        },
    });
    project.write("lease.json", &lease.to_string());
    let file = project.path("lease.json").display().to_string();
    project.cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file]);
}

/// Waits until the loop holds its Lease.
#[track_caller]
fn until_claimed(development: &mut Loop<'_>) {
    if !development.running.events().any(|event| event["event"] == "claimed") {
        development.until_told("claimed");
    }
}

#[test]
fn a_second_loop_is_told_of_the_first_whoever_and_wherever_it_is() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("first");

    // Of the same user on the same machine: at once, and before it has touched anything.
    let beside = project.beside("live-beside");
    live::save(&beside, "second");
    let said = beside.run_human(&["dev"]).expect_code(1).stderr;
    assert!(said.contains("keeps the pods of live") && said.contains("--isolate"), "{said}");
    development.until_answered("/", "first");

    // The other takes what this one has not renewed, as where this machine has slept: the pods are the other's now.
    until_claimed(&mut development);
    renew(&project, 0);
    let ended = development.running.ended_while(Duration::from_secs(4), |count| renew(&project, count));
    let said = ended.expect_code(1).stderr;
    assert!(said.contains("process 4711 on far-away keeps the pods of live"), "{said}");
    let pods = project.cluster.get(&["deployment", "live"]).to_string();
    assert!(pods.contains("agent.py"), "it has left the pods alone");

    // Nobody begins beside it, and everybody as soon as it has stopped renewing.
    let ended =
        Running::start(&project, &["dev"]).ended_while(Duration::from_secs(4), |count| renew(&project, 20 + count));
    assert!(ended.expect_code(1).stderr.contains("process 4711 on far-away keeps the pods of live"));
    let mut development = Loop::begin(&project, &[]);
    development.edit("after all");
    until_claimed(&mut development);
    development.end();
    let leases = project.cluster.kubectl(&["get", "leases", "--output=name"]);
    assert_eq!(leases, "", "it was given back");
    project.run(&["teardown"]).expect_success();
}
