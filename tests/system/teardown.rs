//! A teardown leaves the cluster as it was before the first deploy, data apart.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::project::Project;
use crate::ran::Ran;
use crate::turn::Turn;

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

/// What was given up is gone: namespaces, and volumes whose claims are gone. A volume takes a moment to notice that, and
/// minikube's provisioner removes those that it has made since it was started, and no others.
fn until_quiet(cluster: &Cluster) {
    let terminating = r#"jsonpath={range .items[?(@.status.phase=="Terminating")]}{.metadata.name}{"\n"}{end}"#;
    for name in cluster.kubectl(&["get", "namespace", "--output", terminating]).lines() {
        cluster.kubectl(&["wait", "--for=delete", &format!("namespace/{name}"), "--timeout=120s"]);
    }
    let items = |list: Value| list["items"].as_array().cloned().unwrap_or_default();
    let claims = items(cluster.get(&["persistentvolumeclaims", "--all-namespaces"]));
    for volume in items(cluster.get(&["persistentvolumes"])) {
        let claim = &volume["spec"]["claimRef"]["uid"];
        if !claim.is_null() && claims.iter().all(|one| one["metadata"]["uid"] != *claim) {
            let name = volume["metadata"]["name"].as_str().expect("a volume has a name");
            cluster.kubectl(&["delete", "persistentvolume", name, "--ignore-not-found", "--timeout=60s"]);
        }
    }
}

/// The application, which a test that fails does not leave behind under a name that nobody knows.
struct Own(Project);

impl Drop for Own {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.command(&["teardown", "--data"]).output();
        }
    }
}

#[test]
fn only_data_and_the_secrets_that_belong_to_it_stay() {
    // What anybody else has in the cluster must not change meanwhile.
    let _alone = Turn::alone();
    let own = Own(Project::never_deployed());
    let Own(project) = &own;
    let namespace = project.cluster.namespace;
    until_quiet(&project.cluster);
    let before = everything(&project.cluster);
    assert!(!before.iter().any(|object| object.contains(namespace)), "it was there before: {before:#?}");

    project.run(&["deploy"]).expect_success();
    let daemon = Daemon::of(project);
    let images =
        || daemon.docker(&["image", "ls", "--quiet", "--filter", &format!("label=dev.xtask.project={namespace}")]);
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
            "Namespace" => name.ends_with(namespace),
            "PersistentVolume" => true,
            "PersistentVolumeClaim" => name == format!("{namespace}/data-todo-postgres-0"),
            // The password that opens it.
            "Secret" => name == format!("{namespace}/todo-secrets"),
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

#[test]
fn images_that_could_not_be_looked_at_are_told_and_not_forgotten() {
    let graph = "project = \"unseen\"\n\n[image.tools]\ncontext = \"tools\"\ndaemon = \"host\"\n\n\
                 [command.note]\nrun = [\"true\"]\n";
    let files = [("xtask.toml", graph), ("tools/Dockerfile", "FROM scratch\n")];
    let project = Project::of_files("unseen", "none", &files);
    let receipts = ["image-tools", "command-note"].map(|name| project.path(&format!(".xtask/receipts/{name}")));
    receipts.iter().for_each(|receipt| {
        std::fs::create_dir_all(receipt.parent().expect("it is in a folder")).unwrap();
        std::fs::write(receipt, "of an earlier run").unwrap();
    });
    let mut command = project.command(&["teardown"]);
    command.env("DOCKER_HOST", format!("unix://{}", project.path("no-docker.sock").display()));
    let ran = Ran::new(&["teardown"], command.output().expect("the binary can be run")).expect_code(3);
    let told =
        "Keeping what there is of image:tools (it could not be looked at; `cargo xtask teardown` again removes it)";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    assert!(ran.stderr.contains("error: ") && ran.stderr.contains("no-docker.sock"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("nothing of this project is deployed"), "{}", ran.stderr);
    let left = receipts.map(|receipt| receipt.exists());
    assert_eq!(left, [true, false], "what was looked at is done, and what was not is not");
}
