//! The cluster itself goes, and comes back by a deploy: stopped, or deleted and made anew under the same name.
//!
//! Makes and deletes a minikube profile of its own, which takes minutes:
//! `cargo test -p xtask --test system -- --ignored --test-threads=1 cluster_gone`. Flags that minikube needs on this
//! machine come from the user's settings, as in every run.

use std::process::Command;

use rustix::process::Signal;

use crate::project::Project;
use crate::running::Running;

/// All that the graph file deploys. The pods that it checks are Kubernetes' own, and take their time to come to rest.
const OURS: [&str; 2] = ["deploy", "release:app"];

const PROFILE: &str = "xtask-cluster-gone";

/// An image on a base that every node has, a secret, and a chart with a workload that reads it.
const FILES: &[(&str, &str)] = &[
    (
        "xtask.toml",
        r#"
project = "cluster-gone"

[cluster]
driver = "minikube"
profile = "xtask-cluster-gone"
kubernetes = "1.34.4"
cpus = 2
memory = "3000MiB"

[image.app]
context = "app"

[secrets.app]
from = "secrets.yaml"
key = "secrets"
generate = { TOKEN = "hex:16" }
object = "app-secrets"

[release.app]
chart = "chart"
namespace = "app"
images = { "image" = "app" }
secrets = ["app"]

# What every cluster has that answers HTTP.
[check.dns]
service = "kube-dns:9153"
namespace = "kube-system"
get = "/metrics"
"#,
    ),
    ("app/Dockerfile", "FROM registry.k8s.io/pause:3.10.1\nCOPY content /content\n"),
    ("app/content", "what makes it an image of its own\n"),
    ("secrets.yaml.example", "secrets:\n  TOKEN: \"\"\n"),
    ("chart/Chart.yaml", "apiVersion: v2\nname: app\nversion: 0.1.0\n"),
    ("chart/values.yaml", "image: { repository: \"\", tag: \"\" }\nsecrets: { existingSecret: \"\", present: [] }\n"),
    (
        "chart/templates/deployment.yaml",
        r#"apiVersion: apps/v1
kind: Deployment
metadata: { name: app }
spec:
  selector: { matchLabels: { app: app } }
  template:
    metadata: { labels: { app: app } }
    spec:
      containers:
        - name: app
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: Never
          env:
            - { name: TOKEN, valueFrom: { secretKeyRef: { name: {{ .Values.secrets.existingSecret }}, key: TOKEN } } }
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: { name: data, annotations: { helm.sh/resource-policy: keep } }
spec:
  accessModes: [ReadWriteOnce]
  resources: { requests: { storage: 1Mi } }
"#,
    ),
];

/// Deletes the profile at the end, also that of a test that fails.
struct Profile;

impl Profile {
    #[track_caller]
    fn minikube(verb: &str) {
        let status = Command::new("minikube").args([verb, "--profile", PROFILE]).status().expect("minikube is there");
        assert!(status.success(), "minikube {verb}");
    }
}

impl Profile {
    /// What docker does to the node's container.
    #[track_caller]
    fn docker(verb: &str) {
        let status = Command::new("docker").args([verb, PROFILE]).status().expect("docker is there");
        assert!(status.success(), "docker {verb}");
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = Command::new("minikube").args(["delete", "--profile", PROFILE]).status();
    }
}

/// How many pods of the workload are ready, and the secret that is there.
#[track_caller]
fn deployed(project: &Project) -> (String, String) {
    let get = |what: &[&str]| project.cluster.kubectl(&[&["get", "--namespace", "app"], what].concat());
    let ready = get(&["deployment", "app", "--output", "jsonpath={.status.readyReplicas}"]);
    (ready, get(&["secret", "app-secrets", "--output", "jsonpath={.data.TOKEN}"]))
}

/// What the user's other commands act on, if anything.
fn current_context() -> String {
    let output = Command::new("kubectl").args(["config", "view", "--output", "jsonpath={.current-context}"]).output();
    String::from_utf8(output.expect("kubectl is there").stdout).expect("a context's name is text")
}

#[test]
#[ignore = "makes and deletes a minikube profile, and takes minutes"]
fn a_start_that_is_interrupted_leaves_no_process_and_is_made_up_for() {
    let project = Project::of_files("cluster-interrupted", PROFILE, FILES);
    let _profile = Profile;
    Profile::minikube("delete");
    let mut running = Running::start(&project, &["deploy", "cluster"]);
    running.until("minikube starts", |event| event["event"] == "progress" && event["step"] == "cluster");
    let traces = running.traces();
    running.signal(Signal::INT);
    running.ended().expect_code(130);
    assert_eq!(traces.left(), Vec::<String>::new(), "nothing of it goes on");
    project.run(&["deploy", "cluster"]).expect_success();
    project.run(&["deploy", "cluster"]).expect_all_fresh();
    project.run(&["teardown", "--cluster", "--data"]).expect_success();
}

#[test]
#[ignore = "makes and deletes a minikube profile, and takes minutes"]
fn a_deploy_brings_it_back_with_all_that_was_in_it() {
    let project = Project::of_files("cluster-gone", PROFILE, FILES);
    let bound = ["wait", "--for=jsonpath={.status.phase}=Bound", "persistentvolumeclaim/data", "--namespace=app"];
    let everything = ["check:dns", "cluster", "image:app", "release:app", "secrets:app"];
    let current = current_context();
    let _profile = Profile;
    Profile::minikube("delete");
    project.run(&["deploy"]).expect_success().expect_done(&everything);
    let (ready, secret) = deployed(&project);
    assert_eq!(ready, "1");
    assert_eq!(current_context(), current, "the user's own choice of a cluster stays");
    project.run(&OURS).expect_all_fresh();

    // The same cluster, started again: all that was in it is there.
    Profile::minikube("stop");
    // minikube's own stop and delete may unset the current context; a deploy must neither set nor unset it.
    let current = current_context();
    let ran = project.run(&["deploy"]).expect_success().expect_reason("cluster", "is stopped");
    let may_run = ["check:dns", "cluster", "release:app"];
    assert!(ran.steps("stale").iter().all(|step| may_run.contains(step)), "{:?}", ran.reasons());
    ran.expect_reason("check:dns", "was started");
    assert_eq!(deployed(&project), ("1".to_owned(), secret.clone()));
    assert_eq!(current_context(), current);
    project.run(&OURS).expect_all_fresh();

    // A node that hangs.
    Profile::docker("pause");
    let ran = project.run(&["deploy"]).expect_success();
    assert!(ran.steps("stale").contains(&"cluster"), "{:?}", ran.reasons());
    assert_eq!(deployed(&project), ("1".to_owned(), secret.clone()));

    // Another cluster under the same name, made from another checkout: nothing that receipts say is true of it.
    Profile::minikube("delete");
    let current = current_context();
    let other = Project::of_files("cluster-gone-other", PROFILE, FILES);
    other.run(&["deploy", "cluster"]).expect_success().expect_done(&["cluster"]);
    let ran = project.run(&["deploy"]).expect_success().expect_reason("cluster", "was made anew");
    ran.expect_reason("image:app", "cluster").expect_reason("release:app", "cluster").expect_done(&everything);
    assert_eq!(deployed(&project), ("1".to_owned(), secret));
    assert_eq!(current_context(), current);
    project.run(&OURS).expect_all_fresh();

    // It goes only when it is said that its data may go, too.
    project.cluster.kubectl(&bound);
    let said = project.run_human(&["teardown", "--cluster"]).expect_success().stdout;
    assert!(said.contains("there are volumes in it: --cluster --data removes both"), "{said}");
    project.cluster.kubectl(&bound);
    project.run(&["teardown", "--cluster", "--data"]).expect_success();
    let known = Command::new("minikube").args(["profile", "list", "--output", "json"]).output();
    let known = String::from_utf8(known.expect("minikube is there").stdout).expect("a list is text");
    assert!(!known.contains(PROFILE), "{known}");
}

/// The names of the steps of which something is known in the checkout.
fn receipts(project: &Project) -> Vec<String> {
    let files = std::fs::read_dir(project.path(".xtask/receipts")).expect("there were receipts").flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|name| !name.contains("listing")).collect()
}

#[test]
#[ignore = "makes and deletes a minikube profile, and takes minutes"]
fn a_teardown_needs_no_cluster_that_runs_and_none_that_is_there() {
    let project = Project::of_files("cluster-teardown", PROFILE, FILES);
    let _profile = Profile;
    Profile::minikube("delete");
    project.run(&["deploy", "release:app"]).expect_success();

    for (break_it, word) in [("stop", "is stopped"), ("rm", "has lost its node")] {
        match break_it {
            "stop" => Profile::minikube(break_it),
            verb => Profile::docker(verb),
        }
        // What is in it cannot be told, so nothing is removed; what is said to help does.
        for command in [&["teardown"][..], &["teardown", "--data"], &["teardown", "--cluster"]] {
            let said = project.run_human(command).expect_code(3).stderr;
            for words in [word, "cargo xtask deploy cluster", "cargo xtask teardown --cluster --data"] {
                assert!(said.contains(words), "{command:?}: {words:?} is not said:\n{said}");
            }
        }
        let said = project.run_human(&["teardown", "--cluster", "--data", "--dry-run"]).expect_success().stdout;
        assert_eq!(said.trim(), format!("Removing minikube cluster {PROFILE} with all that is in it"));
    }
    project.run(&["teardown", "--cluster", "--data"]).expect_success().expect_done(&["cluster"]);
    let known = Command::new("minikube").args(["profile", "list", "--output", "json"]).output();
    let known = String::from_utf8(known.expect("minikube is there").stdout).expect("a list is text");
    assert!(!known.contains(PROFILE), "{known}");
    assert_eq!(receipts(&project), Vec::<String>::new(), "nothing is known of what was in it");

    // Where there is none, there is nothing of it, however much is to go.
    for command in [&["teardown"][..], &["teardown", "--data"], &["teardown", "--cluster", "--data"]] {
        let ran = project.run_human(command).expect_success();
        assert!(ran.stderr.contains("nothing of this project is deployed"), "{command:?}:\n{}", ran.stderr);
    }
}
