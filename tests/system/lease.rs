//! Runs on several machines exclude each other by the namespace's Lease.

use serde_json::json;

use crate::project::Project;
use crate::running::Running;

/// Another machine's name for itself: host, process, boot and what it is at.
const HOLDER: &str = "far-away/4711/5d2f.1/release:tiny";

/// Writes the Lease as that machine would.
fn renew(project: &Project, count: u32) {
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "xtask"},
        "spec": {
            "holderIdentity": HOLDER, "leaseDurationSeconds": 15,
            // Its clock is an hour behind.
            "renewTime": format!("2026-01-01T00:00:{count:02}.000000Z"),
        },
    });
    project.write("lease.json", &lease.to_string());
    let file = project.path("lease.json").display().to_string();
    project.cluster.kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file]);
}

#[test]
fn who_renews_it_is_waited_for_and_who_has_stopped_is_not() {
    let project = Project::fixture("tiny", "mends-test");
    project.run(&["deploy"]).expect_success();
    renew(&project, 0);
    project.write("values.yaml", "greeting: changed\n");
    let mut waiting = Running::start(&project, &["deploy"]);
    waiting.until("it waits for the other machine", |event| {
        event["event"] == "waiting" && event["holder"] == "process 4711 on far-away"
    });
    // For longer than the Lease lasts: it is renewed all the time.
    for count in 1..=5 {
        let again = std::time::Instant::now() + std::time::Duration::from_secs(4);
        waiting.until_moment(again);
        renew(&project, count);
    }
    let revisions = project.cluster.helm(&["history", "tiny", "--output", "json"]);
    assert!(!revisions.contains("\"revision\":2"), "nothing was upgraded meanwhile: {revisions}");

    // From now on nobody renews it.
    waiting.ended().expect_success();
    let greeting = project.cluster.get(&["deployment", "tiny"]).to_string();
    assert!(greeting.contains("\"changed\""), "{greeting}");
    let leases = project.cluster.kubectl(&["get", "leases", "--output=name"]);
    assert_eq!(leases, "", "it was given back");
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}
