//! Whatever holds data stays when a release or manifests go, whoever has made it: it is listed, and found again later.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::project::Project;

const SET: &str = include_str!("fixtures/data/chart/templates/set.yaml");

const NAMESPACE: &str = "down-data";
const CLUSTER_ROLE: &str = "clusterrole/down-data-kept";

/// What the fixture `widget` brings.
const WIDGETS: &str = "customresourcedefinition/widgets.mends.example.org";

/// What holds data or may open it, or what the chart asks to be kept.
const DATA: [&str; 6] = [
    "persistentvolumeclaim/data-db-0",
    "persistentvolumeclaim/hooked",
    "secret/password",
    "secret/opens",
    "secret/kept",
    "configmap/kept-too",
];

/// What goes with the release. The last one is made by the removal itself.
const REST: [&str; 4] = ["statefulset/db", "configmap/plain", "configmap/scratch", "configmap/farewell"];

/// How each is listed by a teardown that leaves data.
const LISTED: [&str; 10] = [
    "Removing helm release data in namespace down-data, revision 1",
    "Removing ConfigMap scratch in namespace down-data, made by a hook",
    "Keeping volume claim data-db-0 in namespace down-data, with its data (--data removes it)",
    "Keeping volume claim hooked in namespace down-data, with its data (--data removes it)",
    "Keeping Secret password in namespace down-data, made by a hook (it may belong to data; --data removes it)",
    "Keeping Secret opens in namespace down-data (it may belong to data; --data removes it)",
    "Keeping Secret kept in namespace down-data (it may belong to data; --data removes it)",
    "Keeping ConfigMap kept-too in namespace down-data (it may belong to data; --data removes it)",
    "Keeping ClusterRole down-data-kept (others may use it by now; kubectl delete clusterrole down-data-kept removes it)",
    "Keeping namespace down-data, if nothing else is in it (its data stays)",
];

/// The project, and what of it no teardown removes: that goes with it, whatever became of the test.
struct Data(Project, &'static str);

impl Drop for Data {
    fn drop(&mut self) {
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &self.0.cluster.context, "delete", self.1, "--ignore-not-found"]);
        let _ = kubectl.output();
    }
}

impl Data {
    /// Those of `objects` that are there and stay, with their uids.
    fn staying(&self, objects: &[&'static str]) -> BTreeMap<&'static str, Value> {
        let get = |object: &&'static str| {
            let text = self.0.cluster.kubectl(&["get", object, "--ignore-not-found", "--output=json"]);
            let found: Value = serde_json::from_str(&text).ok()?;
            let about = &found["metadata"];
            let goes = !about["deletionTimestamp"].is_null() || !about["ownerReferences"].is_null();
            (!goes).then(|| (*object, about["uid"].clone()))
        };
        objects.iter().filter_map(get).collect()
    }
}

#[test]
fn data_outlives_the_release_whoever_made_it_and_is_removed_when_that_is_said() {
    let data = Data(Project::fixture("data", NAMESPACE), CLUSTER_ROLE);
    let Data(project, _) = &data;
    // Whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();
    project.run(&["deploy"]).expect_success();
    let owned = ["wait", "--for=jsonpath={.metadata.ownerReferences[0].kind}=StatefulSet", DATA[0], "--timeout=60s"];
    project.cluster.kubectl(&owned);
    let before = data.staying(&DATA[1..]);
    assert_eq!(before.len(), DATA.len() - 1, "{before:#?}");

    let said = project.run_human(&["teardown", "--dry-run"]).expect_success().stdout;
    for line in LISTED {
        assert!(said.contains(line), "{line:?} is not said:\n{said}");
    }
    project.run(&["deploy"]).expect_all_fresh();

    project.run(&["teardown"]).expect_success();
    let left = data.staying(&DATA);
    assert_eq!(left.keys().collect::<Vec<_>>(), {
        let mut all: Vec<_> = DATA.iter().collect();
        all.sort();
        all
    });
    assert!(before.iter().all(|(object, uid)| left[object] == *uid), "they are others now: {before:#?} {left:#?}");
    assert_eq!(data.staying(&REST), BTreeMap::new(), "it holds no data");

    // Helm makes what hooks make anew, and removes what is there before: that is not begun.
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    let refused = "helm would remove data that was kept, and make it anew: PersistentVolumeClaim hooked in namespace \
                   down-data";
    for words in [refused, "only where `lookup` finds none", "cargo xtask teardown --data"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert_eq!(data.staying(&DATA), left);

    // A chart that looks first finds it, and the rest is found by everybody.
    const CLAIM: &str = "apiVersion: v1\nkind: PersistentVolumeClaim\n";
    let looks = "{{- if not (lookup \"v1\" \"PersistentVolumeClaim\" .Release.Namespace \"hooked\") }}\n";
    project.edit("chart/templates/hooks.yaml", CLAIM, &format!("{looks}{CLAIM}"));
    project.edit("chart/templates/hooks.yaml", "---\n", "{{- end }}\n---\n");
    project.run(&["deploy"]).expect_success();
    project.cluster.kubectl(&owned);
    project.run(&["teardown"]).expect_success();
    let again = data.staying(&DATA);
    // What holds nothing but what the chart says is made anew.
    let differ = again.iter().filter(|(object, uid)| left.get(*object) != Some(uid));
    assert_eq!(differ.map(|(object, _)| *object).collect::<Vec<_>>(), ["secret/password"]);
    assert_eq!(again.len(), DATA.len(), "{again:#?}");

    // Nothing in this checkout knows of it any more, and it is found.
    std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    let said = project.run_human(&["teardown", "--data", "--dry-run"]).expect_success().stdout;
    for object in DATA {
        let name = object.split('/').next_back().unwrap();
        let is_it = |line: &&str| line.contains("Removing") && line.contains(&format!(" {name} in namespace"));
        assert_eq!(said.lines().filter(is_it).count(), 1, "{name} is not said once:\n{said}");
    }
    project.run(&["teardown", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains(NAMESPACE), "nothing is left: {namespaces}");
    // The only thing that it said it never removes.
    project.cluster.kubectl(&["get", CLUSTER_ROLE]);
}

#[test]
fn what_is_to_be_kept_is_found_again_though_its_kind_is_the_charts_own() {
    let data = Data(Project::fixture("widget", "mends-test"), WIDGETS);
    let Data(project, _) = &data;
    let keep = "name: one\n  annotations: { helm.sh/resource-policy: keep }\n";
    project.edit("chart/templates/widget.yaml", "name: one\n", keep);
    project.run(&["deploy"]).expect_success();
    let said = project.run_human(&["teardown"]).expect_success().stdout;
    let kept = "Keeping Widget one in namespace mends-test (it may belong to data; --data removes it)";
    assert!(said.contains(kept), "{said}");
    project.cluster.kubectl(&["get", "widgets.mends.example.org", "one"]);

    std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    let said = project.run_human(&["teardown", "--data"]).expect_success().stdout;
    assert!(said.contains("Removing Widget one in namespace mends-test"), "{said}");
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("mends-test"), "nothing is left: {namespaces}");
}

/// A chart that makes a Secret once, by a hook and of what comes to its mind.
const ONCE: [(&str, &str); 3] = [
    ("chart/Chart.yaml", "apiVersion: v2\nname: once\nversion: 1.0.0\n"),
    ("chart/templates/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: plain }\n"),
    (
        "chart/templates/secret.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: once\n  annotations: { helm.sh/hook: pre-install }\n\
         stringData: { key: {{ randAlphaNum 16 | quote }} }\n",
    ),
];

#[test]
fn what_hooks_make_is_kept_where_there_is_data_also_when_helm_alone_takes_the_release_away() {
    let cluster = Cluster::of_environment();
    let graph = format!(
        "project = \"down-once\"\n[cluster]\ndriver = \"minikube\"\nprofile = \"{}\"\n\
         [release.once]\nchart = \"chart\"\nnamespace = \"down-once\"\n",
        cluster.context
    );
    let mut project = Project::of_files("once", &cluster.context, &ONCE);
    project.write("xtask.toml", &graph);
    project.cluster = cluster.in_namespace("down-once");
    // Whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();

    // Without a volume there is nothing that a Secret could open.
    project.run(&["deploy"]).expect_success();
    let said = project.run_human(&["teardown"]).expect_success().stdout;
    assert!(said.contains("Removing Secret once in namespace down-once, made by a hook"), "{said}");
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown"]).expect_success();

    // With one, both are known again, though nobody asked this tool to take the release away.
    let claim = "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: hooked\n  annotations: \
                 { helm.sh/hook: pre-install }\nspec:\n  accessModes: [ReadWriteOnce]\n  resources: \
                 { requests: { storage: 1Mi } }\n";
    project.write("chart/templates/claim.yaml", claim);
    project.run(&["deploy"]).expect_success();
    let uids = || {
        let objects = ["persistentvolumeclaim/hooked", "secret/once"];
        objects.map(|object| project.cluster.get(&[object])["metadata"]["uid"].clone())
    };
    let before = uids();
    project.cluster.helm(&["uninstall", "once"]);
    // However often it is tried, and whoever tries it.
    for _ in 0..2 {
        let said = project.run_human(&["deploy"]).expect_code(1).stderr;
        for words in [
            "helm would remove data that was kept, and make it anew",
            "PersistentVolumeClaim hooked in namespace down-once",
            "Secret once in namespace down-once",
            "cargo xtask teardown --data",
        ] {
            assert!(said.contains(words), "{words:?} is not said:\n{said}");
        }
        std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    }
    assert_eq!(uids(), before);

    // As it says.
    project.run(&["teardown", "--data"]).expect_success();
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("down-once"), "nothing is left: {namespaces}");
}

#[test]
fn with_data_everything_goes_at_once() {
    let data = Data(Project::fixture("data", NAMESPACE), CLUSTER_ROLE);
    let Data(project, _) = &data;
    project.run(&["teardown", "--data"]).expect_success();
    project.run(&["deploy"]).expect_success();
    let said = project.run_human(&["teardown", "--data"]).expect_success().stdout;
    assert!(said.contains("Removing volume claim hooked in namespace down-data, with its data"), "{said}");
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains(NAMESPACE), "nothing is left: {namespaces}");
}

#[test]
fn the_volumes_of_a_set_outlive_the_manifests_that_it_was_in() {
    const GRAPH: &str = "project = \"down-sets\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"CONTEXT\"\n\n\
                         [manifests.db]\nfiles = [\"db.yaml\"]\nnamespace = \"down-sets\"\n";
    let cluster = Cluster::of_environment();
    let graph = GRAPH.replace("CONTEXT", &cluster.context);
    let context = cluster.context.clone();
    let mut project = Project::of_files("sets", &context, &[("xtask.toml", graph.as_str()), ("db.yaml", SET)]);
    project.cluster = cluster.in_namespace("down-sets");
    let claim = "persistentvolumeclaim/data-db-0";
    // Whatever a test that failed has left.
    project.run(&["teardown", "--data"]).expect_success();
    project.run(&["deploy"]).expect_success();
    let owned = ["wait", "--for=jsonpath={.metadata.ownerReferences[0].kind}=StatefulSet", claim, "--timeout=60s"];
    project.cluster.kubectl(&owned);

    let said = project.run_human(&["teardown"]).expect_success().stdout;
    let kept = "Keeping volume claim data-db-0 in namespace down-sets, with its data (--data removes it)";
    assert!(said.contains(kept), "{said}");
    assert_eq!(project.cluster.kubectl(&["get", "statefulset", "--output=name"]), "");
    let left = project.cluster.get(&[claim]);
    let goes = |of: &str| !left["metadata"][of].is_null();
    assert!(!goes("deletionTimestamp") && !goes("ownerReferences"), "{left:#}");

    // It is the data of the next deploy, which prunes what is in no file.
    project.run(&["deploy"]).expect_success();
    assert_eq!(project.cluster.get(&[claim])["metadata"]["uid"], left["metadata"]["uid"]);
    project.run(&["teardown"]).expect_success();
    let said = project.run_human(&["teardown", "--data"]).expect_success().stdout;
    assert!(said.contains("Removing volume claim data-db-0 in namespace down-sets, with its data"), "{said}");
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("down-sets"), "nothing is left: {namespaces}");
}
