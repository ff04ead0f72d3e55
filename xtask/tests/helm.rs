//! Every helm on releases of every helm, on a real cluster, with a chart that is nothing but two pods.
//!
//! `XTASK_TEST_CONTEXT` names the cluster. `XTASK_TEST_HELMS` is a list, as in `PATH`, of folders with a helm each;
//! without it the one on `PATH` is tried on its own releases.

#![allow(clippy::expect_used, clippy::panic, reason = "a test ends at the first thing that is not as it should be")]

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const GRAPH: &str = r#"
project = "helm-test"

[cluster]
driver = "context"
context = "CONTEXT"
identity = "UID"

[secrets.keys]
from = "values-local.yaml"
key = "secrets"
generate = { A = "hex:32", B = "hex:32" }
object = "helm-test-keys"

[release.pair]
chart = "chart"
namespace = "NAMESPACE"
values = ["values-local.yaml"]
secrets = ["keys"]
timeout = "2m"
"#;

const TEMPLATE: &str = r#"
{{- range $name, $key := dict "reads-a" "A" "reads-b" "B" }}
apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ $name }}, labels: { app.kubernetes.io/instance: {{ $.Release.Name }} } }
spec:
  replicas: 1
  selector: { matchLabels: { app: {{ $name }} } }
  template:
    metadata: { labels: { app: {{ $name }} } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: app
          image: registry.k8s.io/pause:3.10.1
          resources: { requests: { cpu: "0.01", memory: 8Mi } }
          env:
            - { name: MODE, value: {{ if eq $key "A" }}{{ $.Values.mode }}{{ else }}same{{ end }} }
            - { name: KEY, valueFrom: { secretKeyRef: { name: {{ $.Values.secrets.existingSecret }}, key: {{ $key }} } } }
---
{{- end }}
"#;

/// A folder with the project, and the namespace that it is deployed to.
struct Project {
    folder: tempfile::TempDir,
    namespace: String,
}

impl Project {
    fn new(case: usize) -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("there is room for a folder"),
            namespace: format!("release-helm-{}-{case}", std::process::id()),
        };
        let uid = project.kubectl(&["get", "namespace", "kube-system", "--output", "jsonpath={.metadata.uid}"]);
        let graph = GRAPH.replace("CONTEXT", &context()).replace("UID", &uid).replace("NAMESPACE", &project.namespace);
        project.write("xtask.toml", &graph);
        project.write("chart/Chart.yaml", "apiVersion: v2\nname: pair\nversion: 0.1.0\n");
        project.write("chart/values.yaml", "mode: one\n");
        project.write("chart/templates/pair.yaml", TEMPLATE);
        project.write("values-local.yaml.example", "mode: one\nsecrets:\n  A: \"\"\n  B: \"\"\n");
        project
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("the folder can be made");
        fs::write(path, text).expect("the file can be written");
    }

    /// Runs the tool with the helm in `helm` and returns what it said.
    fn xtask(&self, helm: &Path, arguments: &[&str]) -> String {
        let mut folders = vec![helm.to_owned()];
        folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("PATH", std::env::join_paths(folders).expect("folders' names have no colons"))
            .stdin(Stdio::null())
            .output()
            .expect("the binary runs");
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(output.status.success(), "xtask {arguments:?} with {}:\n{text}", helm.display());
        text
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        let output = Command::new("kubectl")
            .args(["--context", &context(), "--namespace", &self.namespace])
            .args(arguments)
            .output()
            .expect("kubectl is there");
        assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn list(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "--output", "json"]);
        let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The names of the ReplicaSets of one of the two Deployments.
    fn replica_sets(&self, deployment: &str) -> BTreeSet<String> {
        let of = |set: &Value| set["metadata"]["ownerReferences"][0]["name"] == deployment;
        let sets = self.list("replicasets").into_iter().filter(of);
        sets.filter_map(|set| set["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Nothing is left of a test that failed; after one that did not, there is no such namespace.
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &context(), "delete", "namespace", &self.namespace, "--ignore-not-found"]);
        let _ = kubectl.stdout(Stdio::null()).status();
    }
}

fn context() -> String {
    std::env::var("XTASK_TEST_CONTEXT").expect("XTASK_TEST_CONTEXT names the kubeconfig context of a cluster for tests")
}

fn helms() -> Vec<PathBuf> {
    let named: Option<OsString> = std::env::var_os("XTASK_TEST_HELMS");
    named.map_or_else(|| vec![PathBuf::from("/nonexistent")], |list| std::env::split_paths(&list).collect())
}

#[test]
fn every_helm_goes_on_from_what_every_helm_has_left() {
    let helms = helms();
    let pairs = helms.iter().flat_map(|first| helms.iter().map(move |second| (first, second)));
    for (case, (first, second)) in pairs.enumerate() {
        let project = Project::new(case);
        project.xtask(first, &["deploy"]);

        // A value and a secret that change together make one new ReplicaSet, and none for the pods that read neither.
        let before = (project.replica_sets("reads-a"), project.replica_sets("reads-b"));
        let local = fs::read_to_string(project.path("values-local.yaml")).expect("the first run has made it");
        let edited: String = local
            .replace("mode: one", "mode: two")
            .lines()
            .map(|line| {
                if line.starts_with("  A:") { "  A: \"another value of A\"\n".to_owned() } else { format!("{line}\n") }
            })
            .collect();
        fs::write(project.path("values-local.yaml"), edited).expect("the file can be written");
        project.xtask(second, &["deploy"]);
        let after = (project.replica_sets("reads-a"), project.replica_sets("reads-b"));
        assert_eq!(after.0.difference(&before.0).count(), 1, "{before:?} became {after:?}");
        assert_eq!(after.1, before.1, "pods that read neither stay");

        // What was changed by hand is named and put back.
        project.kubectl(&["set", "env", "deployment/reads-a", "BY_HAND=1"]);
        project.kubectl(&["scale", "deployment/reads-b", "--replicas=2"]);
        let said = project.xtask(second, &["deploy", "--verbose"]);
        assert!(
            said.contains("Deployment reads-a spec.template.spec.containers[app].env[BY_HAND] added by hand"),
            "{said}"
        );
        assert!(said.contains("Deployment reads-b spec.replicas changed by hand: 1 → 2"), "{said}");
        let deployments = project.list("deployments");
        assert!(deployments.iter().all(|deployment| deployment["spec"]["replicas"] == 1));
        assert!(!deployments.iter().any(|deployment| deployment.to_string().contains("BY_HAND")));

        // A record that a killed helm has left pending is in nobody's way.
        let records = project.kubectl(&["get", "secrets", "--selector=owner=helm,status=deployed", "--output=name"]);
        project.kubectl(&["label", "--overwrite", records.trim(), "status=pending-upgrade"]);
        let said = project.xtask(second, &["deploy", "--verbose"]);
        assert!(said.contains("was left pending-upgrade by a helm that did not end"), "{said}");
        assert!(project.xtask(second, &["deploy"]).contains("Fresh"));

        project.xtask(second, &["teardown", "--data"]);
        let namespaces = project.kubectl(&["get", "namespaces", "--output=name"]);
        assert!(!namespaces.contains(&project.namespace), "nothing is left");
    }
}
