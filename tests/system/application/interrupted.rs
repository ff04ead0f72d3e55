//! Ctrl-C at any time: exit code 130, no process left behind, and the next run goes on from there.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::marker::Marker;
use crate::project::Project;
use crate::running::Running;

/// Stops a deploy at the first event that `is_it`.
#[track_caller]
fn stopped(signal: Signal, word: &str, is_it: impl Fn(&Value) -> bool) {
    let project = Project::deployed();
    let marker = Marker::new(word);
    marker.write_into(&project);
    let mut running = Running::start(&project, &["deploy"]);
    running.until(word, is_it);
    let traces = running.traces();
    assert!(!traces.left().is_empty(), "a run that goes on is seen");
    running.signal(signal);
    let ran = running.ended().expect_code(130);
    assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
    assert_eq!(ran.steps("failed"), Vec::<&str>::new(), "to be stopped is no failure:\n{}", ran.stdout);
    assert!(ran.stdout.contains("\"event\":\"run-finished\""), "its end is told:\n{}", ran.stdout);

    project.run(&["deploy"]).expect_success();
    marker.expect_answered(&project);
    project.run(&["deploy"]).expect_all_fresh();
}

fn progress_of(event: &Value, step: &str) -> bool {
    event["event"] == "progress" && event["step"] == step
}

#[test]
fn while_it_looks_at_what_is_there() {
    stopped(Signal::INT, "looking", |event| event["event"] == "run-started");
}

#[test]
fn while_an_image_is_built() {
    stopped(Signal::INT, "building", |event| progress_of(event, "image:backend"));
}

#[test]
fn while_helm_runs() {
    stopped(Signal::INT, "helm-runs", |event| progress_of(event, "release:todo") && event["text"] == "helm upgrade");
}

#[test]
fn while_pods_become_ready() {
    stopped(Signal::INT, "settling", |event| progress_of(event, "release:todo") && event["text"] != "helm upgrade");
}

#[test]
fn by_the_end_of_a_terminal() {
    stopped(Signal::HUP, "hung-up", |event| progress_of(event, "release:todo") && event["text"] != "helm upgrade");
}

/// Says that it was asked to end, and goes on.
const STUBBORN: &str = "mkfifo told\ntrap 'echo told >told' TERM\necho ready >ready\nwhile :; do sleep 1; done\n";

#[test]
fn a_second_time_it_kills_what_does_not_end() {
    let graph = "project = \"stubborn\"\n\n[command.stubborn]\nrun = [\"sh\", \"stubborn.sh\"]\n\
                 inputs = [\"stubborn.sh\"]\noutputs = [\"out\"]\n";
    let project = Project::of_files("stubborn", "none", &[("xtask.toml", graph), ("stubborn.sh", STUBBORN)]);
    let pipe = project.path("ready");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo can be run").success());
    let running = Running::start(&project, &["deploy"]);
    std::fs::read_to_string(&pipe).unwrap();
    let traces = running.traces();
    running.signal(Signal::INT);
    assert_eq!(std::fs::read_to_string(project.path("told")).unwrap(), "told\n", "it was asked to end");
    assert!(!traces.left().is_empty(), "and does not");
    running.signal(Signal::INT);
    let ran = running.ended().expect_code(130);
    // Who only waits for the end of its children tells of its own.
    assert!(!ran.stdout.contains("run-finished"), "nothing was waited for:\n{}", ran.stdout);
    assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
}

#[test]
fn while_it_waits_for_another_run() {
    let project = Project::deployed();
    let other = project.second_checkout();
    let marker = Marker::new("waiting");
    marker.write_into(&project);
    marker.write_into(&other);
    let mut first = Running::start(&project, &["deploy"]);
    first.until("the image is built", |event| progress_of(event, "image:backend"));
    let mut second = Running::start(&other, &["deploy"]);
    second.until("it waits", |event| event["event"] == "waiting");
    let traces = second.traces();
    second.signal(Signal::INT);
    second.ended().expect_code(130);
    assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
    first.ended().expect_success();
    marker.expect_answered(&project);
}
