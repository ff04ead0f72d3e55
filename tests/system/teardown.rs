//! A teardown leaves the cluster as it was before the first deploy, data apart.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::project::{NAMESPACE, Project};

/// What comes and goes by itself.
const FLEETING: [&str; 3] = ["events", "events.events.k8s.io", "certificatesigningrequests.certificates.k8s.io"];

/// Every object of every kind in the cluster, as `Kind namespace/name`.
fn everything(cluster: &Cluster) -> BTreeSet<String> {
    let kinds = cluster.kubectl(&["api-resources", "--verbs=list", "--output", "name"]);
    let kinds: Vec<&str> = kinds.lines().filter(|kind| !FLEETING.contains(kind)).collect();
    let each = r#"jsonpath={range .items[*]}{.kind} {.metadata.namespace}/{.metadata.name}{"\n"}{end}"#;
    let objects = cluster.kubectl(&["get", &kinds.join(","), "--all-namespaces", "--output", each]);
    objects.lines().map(str::to_owned).collect()
}

/// Removes volumes whose claims are gone. minikube's provisioner does that for those that it has made since it was
/// started, and for no others.
fn forget_old_volumes(cluster: &Cluster) {
    let each = r#"jsonpath={range .items[?(@.status.phase=="Released")]}{.metadata.name}{"\n"}{end}"#;
    for name in cluster.kubectl(&["get", "persistentvolume", "--output", each]).lines() {
        cluster.kubectl(&["delete", "persistentvolume", name, "--ignore-not-found", "--timeout=60s"]);
    }
}

/// What earlier tests have given up is gone: namespaces, and volumes, which go after their claims.
fn until_quiet(cluster: &Cluster) {
    for (kind, phase) in [("namespace", "Terminating"), ("persistentvolume", "Released")] {
        let each =
            format!(r#"jsonpath={{range .items[?(@.status.phase=="{phase}")]}}{{.metadata.name}}{{"\n"}}{{end}}"#);
        for name in cluster.kubectl(&["get", kind, "--output", &each]).lines() {
            cluster.kubectl(&["wait", "--for=delete", &format!("{kind}/{name}"), "--timeout=120s"]);
        }
    }
}

#[test]
fn only_data_and_the_secrets_that_belong_to_it_stay() {
    let project = Project::deployed();
    project.run(&["teardown", "--data"]).expect_success();
    forget_old_volumes(&project.cluster);
    until_quiet(&project.cluster);
    let before = everything(&project.cluster);

    project.run(&["deploy"]).expect_success();
    let daemon = Daemon::of(&project);
    let images =
        || daemon.docker(&["image", "ls", "--quiet", "--filter", &format!("label=dev.xtask.project={NAMESPACE}")]);
    assert_ne!(images(), "");
    let listed = project.run_human(&["teardown", "--dry-run"]).expect_success();
    assert!(listed.stdout.contains("Removing"), "{}", listed.stdout);
    project.run(&["deploy"]).expect_all_fresh();

    project.run(&["teardown"]).expect_success();
    let left = everything(&project.cluster);
    let more: Vec<&String> = left.difference(&before).collect();
    let kept = |object: &&&String| {
        let [kind, name] = object.split(' ').collect::<Vec<_>>()[..] else { return false };
        match kind {
            "Namespace" => name.ends_with(NAMESPACE),
            "PersistentVolume" => true,
            "PersistentVolumeClaim" => name == format!("{NAMESPACE}/data-todo-postgres-0"),
            // The password that opens it.
            "Secret" => name == format!("{NAMESPACE}/todo-secrets"),
            // What every namespace has.
            "ConfigMap" => name.ends_with("/kube-root-ca.crt"),
            "ServiceAccount" => name.ends_with("/default"),
            _ => false,
        }
    };
    let beyond: Vec<_> = more.iter().filter(|object| !kept(object)).collect();
    assert!(beyond.is_empty(), "it stayed, and is no data: {beyond:#?}");
    assert!(more.iter().any(|object| object.starts_with("PersistentVolumeClaim ")), "data stays: {more:#?}");
    assert_eq!(images(), "");

    // The kept data opens with the kept password.
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown", "--data"]).expect_success();
    until_quiet(&project.cluster);
    let after = everything(&project.cluster);
    let differ: Vec<_> = after.symmetric_difference(&before).collect();
    assert!(differ.is_empty(), "the cluster is not as it was: {differ:#?}");
    assert_eq!(images(), "");
}
