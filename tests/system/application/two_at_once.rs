//! Two runs of the same thing at once: each step is run by one of them, the other says for whom it waits.

use rustix::process::Signal;
use serde_json::Value;

use crate::marker::{Marker, STALE};
use crate::project::Project;
use crate::ran::Ran;
use crate::running::Running;

/// Runs a deploy in each of two checkouts, which may be the same, the second once the first is building.
#[track_caller]
fn each_step_runs_once(word: &str, project: &Project, other: &Project, environment: &[(&str, &str)]) {
    let marker = Marker::new(word);
    marker.write_into(project);
    marker.write_into(other);
    let mut first = Running::start(project, &["deploy"]);
    let who = format!("process {}", first.pid());
    first.until("the image is built", |event| event["event"] == "progress" && event["step"] == "image:backend");
    // However long the second takes to begin, the first is still at it.
    first.signal(Signal::STOP);
    let mut second = Running::start_with(other, &["deploy"], environment);
    second.until("it waits", |event| event["event"] == "waiting");
    first.signal(Signal::CONT);
    let second = second.ended().expect_success();
    let first = first.ended().expect_success();

    let mut done = [first.done(), second.done()].concat();
    done.sort_unstable();
    let told = |ran: &Ran| ran.stdout.clone();
    assert_eq!(done, STALE, "the first said:\n{}\nthe second:\n{}", told(&first), told(&second));
    let waits = |event: &&Value| event["event"] == "waiting";
    let holders: Vec<&str> = second.events.iter().filter(waits).filter_map(|event| event["holder"].as_str()).collect();
    let folder = project.folder().display().to_string();
    assert!(holders.iter().all(|holder| holder.contains(&who) && holder.contains(&folder)), "{holders:?}");
    marker.expect_answered(project);
    project.run(&["deploy"]).expect_all_fresh();
    let again = Running::start_with(other, &["deploy"], environment).ended();
    again.expect_all_fresh();
}

#[test]
fn in_one_checkout() {
    let project = Project::deployed();
    each_step_runs_once("one-checkout", &project, &project, &[]);
}

#[test]
fn in_two_checkouts() {
    let project = Project::deployed();
    let other = project.second_checkout();
    each_step_runs_once("two-checkouts", &project, &other, &[]);
}

#[test]
fn from_two_home_folders() {
    let project = Project::deployed();
    let other = project.second_checkout();
    let home = tempfile::tempdir().unwrap();
    let kept = |name: &str, default: &str| {
        let of_home = || format!("{}/{default}", std::env::var("HOME").unwrap());
        std::env::var(name).unwrap_or_else(|_| of_home())
    };
    let (kubeconfig, minikube) = (kept("KUBECONFIG", ".kube/config"), kept("MINIKUBE_HOME", ".minikube"));
    let home = home.path().to_str().unwrap();
    let environment = [("HOME", home), ("KUBECONFIG", &kubeconfig), ("MINIKUBE_HOME", &minikube)];
    each_step_runs_once("two-homes", &project, &other, &environment);
}
