//! What happens to the cluster while a loop runs: it is said, the port stays open, and the loop carries on.

use std::process::Command;

use serde_json::json;

use super::Loop;
use super::live::{self, NAMESPACE, save};
use crate::cluster::Cluster;
use crate::project::Project;
use crate::turn::Turn;

/// docker of this machine, where the node of a minikube profile is a container by the profile's name.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("docker is there");
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// The name of the one pod.
#[track_caller]
pub fn pod(cluster: &Cluster) -> String {
    let pods = cluster.pods("live");
    assert_eq!(pods.len(), 1, "one pod stays: {pods:?}");
    pods.into_keys().next().expect("there is one")
}

#[test]
#[ignore = "the API server starts anew, which takes minutes"]
fn it_carries_on_when_the_api_server_has_restarted() {
    let _alone = Turn::alone();
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    kill_api_server(&project.cluster);
    development.until_told("contact-lost");
    save(&project, "meanwhile");
    development.until_told("contact-back");
    development.until_answered("/", "meanwhile");
    development.edit("after");
    development.end();
    project.run(&["teardown"]).expect_success();
}

#[test]
#[ignore = "the whole cluster starts anew, which takes minutes"]
fn it_carries_on_when_the_daemon_of_the_node_has_restarted() {
    let _alone = Turn::alone();
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    docker(&["exec", &project.cluster.context, "systemctl", "restart", "docker"]);
    save(&project, "meanwhile");
    development.until_told("lost");
    development.until_answered("/", "meanwhile");
    development.edit("after");
    // A change that needs the daemon and the API server.
    project.edit("app/Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nRUN echo built > /built\n");
    development
        .running
        .until("the new image runs", |event| event["event"] == "done" && event["step"] == "release:live");
    assert_eq!(project.cluster.kubectl(&["exec", "deploy/live", "--", "cat", "/built"]), "built\n");
    development.until_answered("/", "after");
    development.end();
    project.run(&["teardown"]).expect_success();
}

/// Ends the API server, which the kubelet then starts anew.
#[track_caller]
pub fn kill_api_server(cluster: &Cluster) {
    let node = &cluster.context;
    let server =
        ["exec", node, "docker", "ps", "--quiet", "--filter", "label=io.kubernetes.container.name=kube-apiserver"];
    docker(&["exec", node, "docker", "kill", &docker(&server)]);
}

/// Has the one pod evicted, as a node that is drained does.
#[track_caller]
pub fn evict(project: &Project) {
    let pod = pod(&project.cluster);
    let about = json!({"name": pod, "namespace": NAMESPACE});
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": about});
    project.write("eviction.json", &eviction.to_string());
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}/eviction");
    let file = project.path("eviction.json");
    project.cluster.kubectl(&["create", "--raw", &path, "--filename", file.to_str().expect("the path is text")]);
}

/// A node whose processes stand still until this is dropped.
pub struct Paused(String);

impl Paused {
    #[track_caller]
    pub fn new(node: &str) -> Self {
        docker(&["pause", node]);
        Self(node.to_owned())
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["unpause", &self.0]).status();
    }
}

#[test]
fn it_carries_on_when_nothing_has_come_through_the_network_for_a_while() {
    let _alone = Turn::alone();
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    let paused = Paused::new(&project.cluster.context);
    save(&project, "meanwhile");
    development.running.until("the pod does not answer", |event| {
        event["event"] == "lost" && event["why"].as_str().is_some_and(|why| why.contains("has not answered"))
    });
    drop(paused);
    development.until_answered("/", "meanwhile");
    development.edit("after");
    development.end();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn it_carries_on_when_a_pod_was_evicted_and_when_the_namespace_has_vanished() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    evict(&project);
    development.until_told("gone");
    development.until_answering("app", "the next pod has the files");
    development.until_answered("/", "before");
    development.edit("after the pod");

    project.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    development.until_told("gone");
    development
        .running
        .until("it says what is missing", |event| event["event"] == "stale" && event["step"] == "release:live");
    development.until_answering("app", "everything is there again");
    development.until_answered("/", "after the pod");
    development.edit("after the namespace");
    development.end();
    project.run(&["teardown"]).expect_success();
}
