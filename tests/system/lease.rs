//! Runs on several machines exclude each other by the namespace's Lease.

use std::time::{Duration, Instant};

use jiff::{Timestamp, ToSpan as _};
use rustix::process::Signal;
use serde_json::{Value, json};

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

/// Gives the Lease back as that machine would, with what it noted or found noted.
fn give_back(project: &Project) {
    let nobody = r#"{"spec": {"holderIdentity": null}}"#;
    project.cluster.kubectl(&["patch", "lease", "xtask", "--type=merge", "--patch", nobody]);
}

fn waits(event: &Value, step: &str) -> bool {
    event["event"] == "waiting" && event["step"] == step && event["holder"] == "process 4711 on far-away"
}

/// When the Lease may be taken, by what its holder wrote into it.
fn expiry(project: &Project) -> Timestamp {
    let lease = project.cluster.get(&["lease", "xtask"]);
    let renewed: Timestamp = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse().ok()).expect("a time");
    renewed + lease["spec"]["leaseDurationSeconds"].as_i64().expect("a duration").seconds()
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
        let again = Instant::now() + Duration::from_secs(4);
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

/// Stops a run that holds the Lease until that has expired, gives it to another machine, and lets the run go on.
#[track_caller]
fn loses_it(project: &Project, taken: impl Fn(&Project)) {
    project.run(&["deploy"]).expect_success();
    let hook = "import time; time.sleep(600)";
    project.write("values.yaml", &format!("greeting: changed\nhook: \"{hook}\"\n"));
    let mut stopped = Running::start(project, &["deploy"]);
    project.cluster.kubectl(&["wait", "job/migrate", "--for=create", "--timeout=60s"]);
    let holder = project.cluster.get(&["lease", "xtask"])["spec"]["holderIdentity"].clone();
    assert!(holder.as_str().is_some_and(|holder| holder.contains(&format!("/{}/", stopped.pid()))), "{holder}");
    stopped.signal(Signal::STOP);
    let left = expiry(project).duration_since(Timestamp::now());
    stopped.until_moment(Instant::now() + Duration::try_from(left).unwrap_or_default());
    assert!(expiry(project) <= Timestamp::now(), "nobody has renewed it");
    renew(project, 0);
    taken(project);
    let before = project.cluster.get(&["lease", "xtask"]);

    stopped.signal(Signal::CONT);
    let ran = stopped.ended().expect_code(1);
    assert!(ran.stdout.contains("the Lease of namespace mends-test was lost"), "{}{}", ran.stdout, ran.stderr);
    let after = project.cluster.get(&["lease", "xtask"]);
    assert_eq!(after, before, "nothing of it was written or removed");
}

#[test]
fn who_has_lost_it_says_so_and_leaves_it_to_the_new_holder() {
    let project = Project::fixture("tiny", "mends-test");
    loses_it(&project, |_| {});
    // With what the first had begun, the next holder ends it.
    give_back(&project);
    project.write("values.yaml", "greeting: changed again\n");
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();

    // The new holder has dealt with what was noted: it is not removed either.
    loses_it(&project, |project| {
        project.cluster.kubectl(&["annotate", "lease", "xtask", "xtask/begun.helm.tiny-"]);
    });
    // It has not: what is pending would be somebody else's for everybody now.
    project.cluster.helm(&["uninstall", "tiny", "--no-hooks"]);
    project.cluster.kubectl(&["delete", "job", "migrate"]);
    give_back(&project);
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn what_a_person_saves_into_the_secrets_while_a_run_waits_for_it_stays() {
    let project = Project::fixture("small", "mends-lease");
    project.edit("xtask.toml", "luck-small", "mends-lease");
    project.edit("xtask.toml", "luck-test", "mends-lease");
    project.edit("xtask.toml", "require = [\"TOKEN\"]", "require = [\"TOKEN\"]\ngenerate = { MADE = \"hex:16\" }");
    project.write("secrets.yaml", "TOKEN: first\nMADE: before\n");
    project.run(&["deploy", "secrets:small"]).expect_success();

    // The file has lost a value that is found again in the cluster, so the run will write it.
    renew(&project, 0);
    project.write("secrets.yaml", "TOKEN: first\n");
    let mut waiting = Running::start(&project, &["deploy", "secrets:small"]);
    waiting.until("it waits for the other machine", |event| waits(event, "secrets:small"));
    let saved = "TOKEN: second\n# Saved meanwhile.\nMORE: by hand\n";
    project.write("secrets.yaml", saved);
    give_back(&project);
    waiting.ended().expect_success();
    let file = std::fs::read_to_string(project.path("secrets.yaml")).unwrap();
    assert_eq!(file, format!("{saved}MADE: \"before\"\n"));
    let data = project.cluster.get(&["secret", "small-secrets"])["data"].clone();
    let keys: Vec<&String> = data.as_object().expect("a Secret has data").keys().collect();
    assert_eq!(keys, ["MADE", "MORE", "TOKEN"]);
    project.run(&["deploy", "secrets:small"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_changed_secret_waits_for_it_and_so_does_a_removed_one() {
    let project = Project::fixture("small", "mends-lease");
    project.edit("xtask.toml", "luck-small", "mends-lease");
    project.edit("xtask.toml", "luck-test", "mends-lease");
    project.run(&["deploy", "secrets:small"]).expect_success();
    let token = || project.cluster.get(&["secret", "small-secrets"])["data"]["TOKEN"].clone();
    let first = token();

    renew(&project, 0);
    project.write("secrets.yaml", "TOKEN: another\n");
    let mut waiting = Running::start(&project, &["deploy", "secrets:small"]);
    waiting.until("it waits for the other machine", |event| waits(event, "secrets:small"));
    assert_eq!(token(), first, "nothing was written meanwhile");
    give_back(&project);
    waiting.ended().expect_success();
    assert_ne!(token(), first);

    renew(&project, 1);
    let mut waiting = Running::start(&project, &["teardown"]);
    waiting.until("it waits for the other machine", |event| waits(event, "secrets:small"));
    assert_ne!(token(), first, "it is still there");
    give_back(&project);
    waiting.ended().expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("mends-lease"), "{namespaces}");
}
