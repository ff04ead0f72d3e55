//! `ci`: its deployment is its own and goes however the run ended; its reports can be read at any moment.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quick_junit::Report;
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::project::Project;
use crate::ran::Ran;
use crate::running::{Random, Running};

/// The project's name and its namespace.
const NAME: &str = "ci-test";

const CHECK: &str = r#"
[release.small.isolated]
greeting = "hello from ${project}"

[check.small]
service = "small:8000"
release = "small"
get     = "/page.html"
text    = "hello"
timeout = "1s"

[ci]
run = [["cat", "app/page.html"]]
"#;

/// A hook before a release's removal that never ends: its job does not begin.
const HANGS: &str = r#"{"apiVersion": "batch/v1", "kind": "Job",
    "metadata": {"name": "hangs", "annotations": {"helm.sh/hook": "pre-delete"}},
    "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10.1"}]}}}}"#;

/// The small fixture with a check, and commands for the pipeline.
fn small() -> Project {
    let project = Project::fixture("small", NAME);
    project.edit("xtask.toml", "luck-small", NAME);
    project.edit("xtask.toml", "luck-test", NAME);
    let graph_file = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    project.write("xtask.toml", &format!("{graph_file}{CHECK}"));
    project
}

/// Both reports, which can be read.
#[track_caller]
fn reports(project: &Project) -> (Value, Report) {
    reports_in(&project.path(".xtask/ci"))
}

#[track_caller]
fn reports_in(folder: &Path) -> (Value, Report) {
    let json = fs::read_to_string(folder.join("ci.json")).expect("there is a JSON report");
    let junit = fs::read_to_string(folder.join("junit.xml")).expect("there is a JUnit report");
    let report = Report::deserialize_from_str(&junit).unwrap_or_else(|error| panic!("{error}:\n{junit}"));
    (serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}:\n{json}")), report)
}

/// The names of the cases that stand so.
fn cases(json: &Value, state: &str) -> Vec<String> {
    let cases = json["cases"].as_array().expect("a report has cases").iter();
    let standing = cases.filter(|case| case["state"] == state);
    standing.map(|case| case["name"].as_str().unwrap_or_default().to_owned()).collect()
}

/// What there is of runs in the cluster and in the daemon.
fn left(project: &Project) -> (Vec<String>, String) {
    let list = project.cluster.get(&["namespaces", "--selector", "app.kubernetes.io/managed-by=xtask"]);
    let namespaces = list["items"].as_array().cloned().unwrap_or_default();
    let names = namespaces.iter().filter_map(|namespace| namespace["metadata"]["name"].as_str());
    let ours = names.filter(|name| name.starts_with("ci-test-ci-")).map(str::to_owned).collect();
    let images = Daemon::of(project).docker(&["image", "ls", "--quiet", "--filter", "reference=ci-test-ci-*/*"]);
    (ours, images)
}

#[track_caller]
fn expect_nothing_left(project: &Project) {
    assert_eq!(left(project), (Vec::new(), String::new()), "a run has left something");
    let known = fs::read_dir(project.path(".xtask/isolated")).expect("runs have been here").count();
    assert_eq!(known, 0, "something is still known of a run");
}

fn progress_of(event: &Value, step: &str) -> bool {
    event["event"] == "progress" && event["step"] == step
}

#[test]
fn a_run_deploys_beside_everything_else_and_takes_it_away_again() {
    let project = small();
    project.run(&["deploy"]).expect_success();
    let before = project.cluster.objects();
    let ran = project.run(&["ci", "--reports", "target/ci", "--deadline", "60m"]).expect_success();
    assert!(ran.steps("done").contains(&"check:small"), "{}", ran.stdout);
    let (json, report) = reports_in(&project.path("target/ci"));
    assert!(!project.path(".xtask/ci").exists(), "they are where they were asked for, and nowhere else");
    assert_eq!(json["state"], "passed");
    assert_eq!((report.failures, report.errors, report.skipped), (0, 0, 0));
    let suites: Vec<_> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(suites, ["commands", "deploy", "teardown"]);
    project.cluster.expect_objects(&before);
    expect_nothing_left(&project);
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_run_that_cannot_begin_leaves_no_report_of_an_earlier_one() {
    let broken = "project = \"none\"\n\n[command.a]\nran = [\"true\"]\n";
    let project = Project::of_files("ci-none", "none", &[("xtask.toml", broken), ("reports/ci.json", "earlier")]);
    project.run(&["ci", "--reports", "reports"]).expect_code(2);
    let (json, junit) = reports_in(&project.path("reports"));
    assert_eq!((json["state"].as_str(), junit.failures), (Some("failed"), 1), "{json}");
    assert!(json.to_string().contains("the graph file has mistakes"), "{json}");
    project.write("xtask.toml", &broken.replace("ran", "run"));
    project.run(&["ci", "--deadline", "100h"]).expect_code(2);
    let (json, _) = reports(&project);
    assert!(json.to_string().contains("a deadline of"), "{json}");
}

#[test]
fn what_fails_is_reported_and_the_deployment_goes_all_the_same() {
    let project = small();
    project.edit("xtask.toml", "text    = \"hello\"", "text    = \"good-bye\"");
    project.run(&["ci"]).expect_code(1);
    let (json, report) = reports(&project);
    assert_eq!((json["state"].as_str(), report.failures), (Some("failed"), 1));
    assert_eq!(cases(&json, "failed"), ["check:small"]);
    assert!(cases(&json, "passed").contains(&"release:small".to_owned()));
    expect_nothing_left(&project);

    project.edit("xtask.toml", "[\"cat\", \"app/page.html\"]", "[\"cat\", \"no-such-page\"]");
    let ran: Ran =
        project.command(&["ci"]).env("GITHUB_ACTIONS", "true").output().map(|o| Ran::new(&["ci"], o)).unwrap();
    let ran = ran.expect_code(1);
    assert!(ran.stderr.contains("::group::cat no-such-page\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("::error title=`cat no-such-page` exited with 1::"), "{}", ran.stderr);
    let (json, _) = reports(&project);
    assert_eq!(cases(&json, "failed"), ["cat no-such-page"]);
    assert!(cases(&json, "skipped").contains(&"release:small".to_owned()), "nothing is deployed after it: {json:#}");
    expect_nothing_left(&project);
}

#[test]
fn a_run_that_is_stopped_or_takes_too_long_takes_its_deployment_away() {
    let project = small();
    let mut running = Running::start(&project, &["ci"]);
    running.until("helm runs", |event| progress_of(event, "release:small"));
    let traces = running.traces();
    running.signal(Signal::TERM);
    running.ended().expect_code(130);
    assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
    let (json, report) = reports(&project);
    assert_eq!((json["state"].as_str(), report.failures), (Some("interrupted"), 1), "it does not look like success");
    expect_nothing_left(&project);

    project.edit("app/Dockerfile", "COPY", "RUN sleep 300\nCOPY");
    project.run(&["ci", "--deadline", "8s"]).expect_code(1);
    let (json, report) = reports(&project);
    assert_eq!((json["state"].as_str(), report.failures), (Some("overdue"), 1));
    expect_nothing_left(&project);
}

#[test]
fn a_run_that_is_killed_leaves_whole_reports_and_the_next_one_cleans_up() {
    let project = small();
    let helm = |event: &Value| progress_of(event, "release:small");
    let settled = |event: &Value| event["event"] == "started" && event["step"] == "check:small";
    let building = |event: &Value| event["event"] == "started" && event["step"] == "image:app";
    let removing = |event: &Value| event["event"] == "run-started" && event["command"] == "teardown";
    type Moment<'a> = (&'a str, &'a dyn Fn(&Value) -> bool);
    let moments: [Moment<'_>; 4] =
        [("an image is built", &building), ("helm runs", &helm), ("it is checked", &settled), ("it goes", &removing)];
    for (moment, is_it) in moments {
        let mut running = Running::start(&project, &["ci"]);
        running.until(moment, is_it);
        running.killed();
        let (json, _) = reports(&project);
        assert_eq!(json["state"], "running", "killed when {moment}, it never ended");
        project.run(&["ci", "--sweep"]).expect_success();
        expect_nothing_left(&project);
    }

    let mut running = Running::start(&project, &["ci"]);
    running.until("it is checked", settled);
    running.killed();
    assert_ne!(left(&project).0, Vec::<String>::new(), "there is something to clean up");
    project.run(&["ci"]).expect_success();
    expect_nothing_left(&project);
}

#[test]
fn what_an_earlier_run_has_left_takes_no_more_than_the_time_of_this_one() {
    let project = small();
    project.write("chart/templates/hangs.yaml", HANGS);
    let mut running = Running::start(&project, &["ci"]);
    running.until("it is checked", |event| event["event"] == "started" && event["step"] == "check:small");
    running.killed();
    let before = left(&project).0;
    let [namespace] = &before[..] else { panic!("{before:?}") };
    let ran = project.run(&["ci", "--deadline", "15s"]).expect_code(1);
    assert_eq!(reports(&project).0["state"], "overdue");
    // helm would have waited for the hook far longer, and then said so.
    assert!(ran.stdout.contains("has left could not be removed: interrupted"), "{}", ran.stdout);
    assert_eq!(left(&project).0, before, "the next run finds it");
    project.cluster.kubectl(&["delete", "namespace", namespace]);
    project.run(&["ci", "--sweep"]).expect_success();
    expect_nothing_left(&project);
}

#[test]
fn runs_killed_at_any_moments_leave_whole_reports_and_one_sweep_finds_them_all() {
    let project = small();
    let begun = Instant::now();
    project.run(&["ci"]).expect_success();
    let whole = u64::try_from(begun.elapsed().as_millis()).expect("it did not take that long");
    let mut random = Random::seeded();
    let rounds = if std::env::var_os("XTASK_SOAK").is_some() { 40 } else { 4 };
    let mut read = 0;
    for round in 0..rounds {
        let before = left(&project);
        let folder = project.path(".xtask/ci");
        let _ = fs::remove_dir_all(&folder);
        let mut running = Running::start(&project, &["ci"]);
        running.until_moment(Instant::now() + Duration::from_millis(random.below(whole)));
        println!("round {round}: killed when the last it had told was {}", running.last());
        let told = running.events().next().is_some();
        running.killed();
        // Both are there before anything is told. Killed earlier, it may have come to neither, or to the first alone.
        if told {
            reports(&project);
            read += 1;
        } else {
            assert_eq!(left(&project), before, "it had not come to deploying anything");
        }
    }
    assert!(read > 0, "no round came so far that there was a report to read");
    project.run(&["ci", "--sweep"]).expect_success();
    expect_nothing_left(&project);
}

#[test]
fn whatever_is_shown_of_a_command_a_run_is_never_silent_for_long() {
    let project = small();
    // It prints all the time, for seconds, and ends before anything is deployed.
    let chatty = "for i in $(seq 40); do echo $i; sleep 0.1; done; exit 1";
    project.edit("xtask.toml", r#"["cat", "app/page.html"]"#, &format!(r#"["sh", "-c", "{chatty}"]"#));
    let sign = |event: &Value| event["event"] == "note" && event["text"].to_string().contains("running: sh -c");
    for flags in [&[][..], &["--quiet"][..]] {
        let mut running = Running::start(&project, &[&["ci", "--heartbeat", "1s"], flags].concat());
        running.until("it says what runs", sign);
        running.until("it says so again", sign);
        running.ended().expect_code(1);
    }
    let ran = project.run_human(&["ci", "--quiet", "--heartbeat", "1s"]).expect_code(1);
    let lines = || ran.stderr.lines().filter(|line| line.contains("Running"));
    assert!(lines().count() > 1 && lines().all(|line| line.contains("sh -c")), "{}", ran.stderr);
    assert!(!ran.stderr.lines().any(|line| line == "7"), "it was to be quiet: {}", ran.stderr);
    // Without: its own lines are signs enough.
    let ran = project.run_human(&["ci", "--heartbeat", "1s"]).expect_code(1);
    assert!(ran.stderr.lines().any(|line| line == "7"), "{}", ran.stderr);
}

#[test]
fn a_run_that_lives_is_left_alone() {
    let project = small();
    let graph_file = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    let hold = "[command.hold]\nrun = [\"cat\", \"gate\"]\nafter = [\"release:small\"]\n";
    project.write("xtask.toml", &format!("{graph_file}\n{hold}"));
    let made = std::process::Command::new("mkfifo").arg(project.path("gate")).status().expect("mkfifo is there");
    assert!(made.success());
    let mut running = Running::start(&project, &["ci"]);
    running.until("it holds on", |event| event["event"] == "started" && event["step"] == "command:hold");
    let deployed = left(&project);
    assert_eq!(deployed.0.len(), 1, "{deployed:?}");
    project.run(&["ci", "--sweep"]).expect_success();
    assert_eq!(left(&project), deployed, "it is still in use");
    project.write("gate", "go on\n");
    running.ended().expect_success();
    expect_nothing_left(&project);
}

#[test]
fn manifests_that_reach_out_of_the_deployment_are_refused() {
    let project = small();
    let graph_file = fs::read_to_string(project.path("xtask.toml")).expect("it is there");
    let manifests = format!("[manifests.notes]\nfiles = [\"notes.yaml\"]\nnamespace = \"{NAME}\"\n");
    project.write("xtask.toml", &format!("{graph_file}\n{manifests}"));
    let notes = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: ci-test-notes, namespace: default }\n";
    project.write("notes.yaml", notes);
    project.run(&["ci"]).expect_code(2);
    let (json, _) = reports(&project);
    assert_eq!(cases(&json, "failed"), ["manifests:notes"]);
    let there =
        ["get", "configmap", "ci-test-notes", "--namespace", "default", "--ignore-not-found", "--output", "name"];
    assert_eq!(project.cluster.kubectl(&there), "", "it would be another deployment's");
    expect_nothing_left(&project);

    project.edit("notes.yaml", ", namespace: default", "");
    project.run(&["ci"]).expect_success();
    expect_nothing_left(&project);
}
