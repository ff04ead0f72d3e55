//! What the cluster never comes to an end with: it is said what is waited for, the wait can be stopped, and it ends with
//! an error that says what holds it.

use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::project::Project;
use crate::running::Running;

/// A namespace that is being removed and does not go, because a finalizer holds an object in it.
struct Held(Project);

impl Held {
    fn let_go(&self) {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &self.0.cluster.context, "--namespace", "down-held", "patch", "configmap", "held"]);
        // It may be gone already.
        let _ = kubectl.args(["--type=merge", "--patch", r#"{"metadata": {"finalizers": null}}"#]).output();
    }

    /// Starts a command and stops it as soon as it says by `event` that it waits for the namespace.
    #[track_caller]
    fn stopped(&self, command: &[&str], event: &str, word: &str) {
        let mut running = Running::start(&self.0, command);
        let waits = |it: &Value| {
            let text = it[word].as_str().unwrap_or_default();
            it["event"] == event && text.contains("namespace down-held, which is being removed")
        };
        running.until("it waits", waits);
        let traces = running.traces();
        running.signal(Signal::INT);
        let ran = running.ended().expect_code(130);
        assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
        assert_eq!(ran.steps("failed"), Vec::<&str>::new(), "to be stopped is no failure:\n{}", ran.stdout);
        assert!(ran.stdout.contains("\"event\":\"run-finished\""), "its end is told:\n{}", ran.stdout);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.let_go();
    }
}

#[test]
fn a_namespace_that_does_not_go_is_told_stops_nobody_from_stopping_and_ends_a_deploy() {
    let held = Held(Project::fixture("held", "down-held"));
    let Held(project) = &held;
    project.run(&["deploy"]).expect_success();
    held.stopped(&["teardown", "--data"], "progress", "text");
    held.stopped(&["deploy"], "waiting", "holder");

    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    for words in [
        "the namespace down-held is being removed and does not go",
        "down.example.org/hold",
        "kubectl get namespace down-held --output yaml",
    ] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }

    held.let_go();
    project.write("values.yaml", "held: false\n");
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("down-held"), "{namespaces}");
}

/// Two definitions whose objects would have the same kind in the same group: the API server never serves the second.
const DEFINITION: &str = r#"apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: PLURAL.down.example.org }
spec:
  group: down.example.org
  scope: Namespaced
  names: { kind: Thing, plural: PLURAL, singular: thing }
  versions:
    - { name: v1, served: true, storage: true, schema: { openAPIV3Schema: { type: object } } }
"#;

#[test]
fn a_definition_that_is_never_served_ends_a_deploy_with_what_is_wrong_with_it() {
    let context = Cluster::of_environment().context;
    let graph = format!(
        "project = \"down-things\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{context}\"\n\n\
         [manifests.things]\nfiles = [\"things/*.yaml\"]\nnamespace = \"down-things\"\n"
    );
    let (first, second) = (DEFINITION.replace("PLURAL", "things"), DEFINITION.replace("PLURAL", "thinges"));
    let files = [("xtask.toml", graph.as_str()), ("things/a.yaml", &first), ("things/b.yaml", &second)];
    let project = Project::of_files("things", &context, &files);
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    project.run(&["teardown", "--data"]).expect_success();
    for words in [
        "the API server does not serve CustomResourceDefinition thinges.down.example.org",
        "is already in use",
        "kubectl describe crd thinges.down.example.org",
    ] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
}
