//! Raw manifests: applied, put right when somebody changed them, removed when they are in no file any more; and what
//! `status` and `check` say of them meanwhile.

use serde_json::Value;

use crate::project::Project;

const NAMESPACE: &str = "proof-manifests";

const GRAPH: &str = r#"
project = "proof-manifests"

[cluster]
driver  = "minikube"
profile = "CONTEXT"

[image.app]
context = "app"

[manifests.web]
files     = ["manifests/*.yaml"]
namespace = "proof-manifests"
images    = { "registry.example.org/app:1" = "app" }

[check.page]
service   = "web:8000"
namespace = "proof-manifests"
get       = "/page.html"
text      = "good"
after     = ["manifests:web"]
timeout   = "30s"
"#;

const APP: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: web
          image: registry.example.org/app:1
          imagePullPolicy: Never
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec:
  selector: { app: web }
  ports: [{ port: 8000 }]
"#;

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ value: {value} }}\n")
}

/// What `status` says of each step.
fn outlooks(project: &Project) -> Vec<(String, String)> {
    let said = project.run(&["status"]).events;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    said.iter().map(|line| (text(&line["step"]), text(&line["outlook"]))).collect()
}

#[test]
fn they_are_applied_put_right_and_pruned() {
    let cluster = crate::cluster::Cluster::of_environment();
    let graph = GRAPH.replace("CONTEXT", &cluster.context);
    let files = [
        ("xtask.toml", graph.as_str()),
        (
            "app/Dockerfile",
            "FROM python:3.13-slim\nCOPY page.html /\nCMD [\"python3\", \"-m\", \"http.server\", \"8000\"]\n",
        ),
        ("app/page.html", "good\n"),
        ("manifests/app.yaml", APP),
    ];
    let context = cluster.context.clone();
    let mut project = Project::of_files("manifests", &context, &files);
    project.cluster = cluster.in_namespace(NAMESPACE);
    project.write("manifests/one.yaml", &config_map("one", "first"));
    project.write("manifests/two.yaml", &config_map("two", "first"));

    project.run(&["deploy"]).expect_success();
    let every = |outlook: &str| {
        let steps = ["cluster", "image:app", "manifests:web", "check:page"];
        steps.map(|step| (step.to_owned(), outlook.to_owned())).to_vec()
    };
    let mut said = outlooks(&project);
    said.sort();
    let mut expected = every("fresh");
    expected.sort();
    assert_eq!(said, expected);
    let asked = project.run(&["check"]).expect_success();
    assert!(asked.events.iter().all(|line| line["passed"] == true), "{}", asked.stdout);
    let image = &project.cluster.get(&["deployment", "web"])["spec"]["template"]["spec"]["containers"][0]["image"];
    assert!(image.as_str().is_some_and(|image| image.starts_with("proof-manifests/app:")), "{image}");
    project.run(&["deploy"]).expect_all_fresh();

    // What a check has found counts for so long, and then it asks again, alone.
    project.edit("xtask.toml", "text      = \"good\"\n", "text      = \"good\"\nfresh-for = \"1s\"\n");
    let stale = || outlooks(&project).contains(&("check:page".to_owned(), "stale".to_owned()));
    assert!((0..600).any(|_| stale()), "an answer of a second ago counts long after");
    project
        .run(&["deploy"])
        .expect_success()
        .expect_reason("check:page", "which counts for 1s")
        .expect_done(&["check:page"]);
    project.edit("xtask.toml", "fresh-for = \"1s\"\n", "");
    project.run(&["deploy"]).expect_all_fresh();

    // Changed by hand, and something of somebody else beside it.
    project.cluster.kubectl(&["patch", "configmap", "one", "--patch", r#"{"data":{"value":"by hand"}}"#]);
    project.cluster.kubectl(&["create", "configmap", "theirs", "--from-literal=value=theirs"]);
    assert!(outlooks(&project).contains(&("manifests:web".to_owned(), "stale".to_owned())));
    project.run(&["deploy"]).expect_success().expect_reason("manifests:web", "ConfigMap one");
    let value = |name: &str| project.cluster.get(&["configmap", name])["data"]["value"].clone();
    assert_eq!(value("one"), "first");

    // One file goes, another says something else.
    std::fs::remove_file(project.path("manifests/two.yaml")).unwrap();
    project.write("manifests/one.yaml", &config_map("one", "second"));
    project.run(&["deploy"]).expect_success().expect_reason("manifests:web", "manifests/two.yaml");
    let maps = project.cluster.kubectl(&["get", "configmaps", "--output=name"]);
    assert!(maps.contains("configmap/one") && !maps.contains("configmap/two"), "{maps}");
    assert_eq!((value("one"), value("theirs")), ("second".into(), "theirs".into()));
    project.run(&["deploy"]).expect_all_fresh();

    // What answers otherwise than it should is told by `check`, now.
    project.write("app/page.html", "bad\n");
    let ran = project.run(&["deploy"]).expect_code(1);
    assert_eq!(ran.steps("failed"), ["check:page"]);
    let asked = project.run(&["check"]).expect_code(1);
    assert!(asked.events.iter().any(|line| line["passed"] == false), "{}", asked.stdout);

    project.run(&["teardown", "--data"]).expect_success();
    let maps = project.cluster.kubectl(&["get", "configmaps", "--output=name"]);
    assert!(maps.contains("configmap/theirs") && !maps.contains("configmap/one"), "{maps}");
    project.cluster.kubectl(&["delete", "namespace", NAMESPACE]);
}

/// A Deployment without pods, a kind of the test's own and an object of it, and one of a kind that few have.
const OWN: [(&str, &str); 4] = [
    (
        "manifests/web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  replicas: 0\n  selector: { matchLabels: \
         { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    spec:\n      containers:\n        \
         - { name: web, image: none, env: [{ name: OURS, value: \"1\" }] }\n",
    ),
    (
        "manifests/kind.yaml",
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: { name: gears.proof.example.org }\n\
         spec:\n  group: proof.example.org\n  scope: Namespaced\n  names: { kind: Gear, plural: gears, singular: gear }\n  \
         versions:\n    - name: v1\n      served: true\n      storage: true\n      schema:\n        openAPIV3Schema: \
         { type: object, x-kubernetes-preserve-unknown-fields: true }\n",
    ),
    ("manifests/gear.yaml", "apiVersion: proof.example.org/v1\nkind: Gear\nmetadata: { name: one }\n"),
    (
        "manifests/flow.yaml",
        "apiVersion: flowcontrol.apiserver.k8s.io/v1\nkind: FlowSchema\nmetadata: { name: proof-labels }\nspec:\n  \
         matchingPrecedence: 9999\n  priorityLevelConfiguration: { name: catch-all }\n",
    ),
];

#[test]
fn what_is_ours_is_known_by_its_labels_though_every_receipt_is_lost() {
    let cluster = crate::cluster::Cluster::of_environment();
    let context = &cluster.context;
    let graph = format!(
        "project = \"proof-labels\"\n[cluster]\ndriver = \"minikube\"\nprofile = \"{context}\"\n\
         [manifests.own]\nfiles = [\"manifests/*.yaml\"]\nnamespace = \"proof-labels\"\n"
    );
    let mut project = Project::of_files("manifests-labels", context, &OWN);
    project.write("xtask.toml", &graph);
    project.write("manifests/one.yaml", &config_map("one", "first"));
    project.cluster = project.cluster.in_namespace("proof-labels");
    project.run(&["deploy"]).expect_success();
    let gears = || project.cluster.kubectl(&["get", "gears.proof.example.org", "--output=name"]);
    assert_eq!(gears().trim(), "gear.proof.example.org/one");

    // What a controller makes of an object often has its labels: it is the object's, and no step's.
    let gear = project.cluster.get(&["gears.proof.example.org", "one"]);
    let (labels, uid) = (&gear["metadata"]["labels"], &gear["metadata"]["uid"]);
    let owner = serde_json::json!([
        {"apiVersion": "proof.example.org/v1", "kind": "Gear", "name": "one", "uid": uid, "controller": true}
    ]);
    let made = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "made", "labels": labels, "ownerReferences": owner},
    });
    project.write("made.json", &made.to_string());
    project.cluster.kubectl(&["create", "--filename", &project.path("made.json").display().to_string()]);
    project.write("manifests/one.yaml", &config_map("one", "again"));
    project.run(&["deploy"]).expect_success();
    project.cluster.kubectl(&["get", "configmap", "made"]);

    // Changed by hand, then nothing is known any more, and the files say something else.
    project.cluster.kubectl(&["set", "env", "deployment/web", "BY_HAND=1"]);
    project.cluster.kubectl(&["create", "configmap", "theirs", "--from-literal=value=theirs"]);
    std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    std::fs::remove_file(project.path("manifests/gear.yaml")).unwrap();
    project.write("manifests/one.yaml", &config_map("one", "second"));
    project.run(&["deploy"]).expect_success();
    let web = project.cluster.get(&["deployment", "web"]);
    let environment = &web["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(*environment, serde_json::json!([{"name": "OURS", "value": "1"}]));
    assert_eq!(gears(), "", "it is in no file any more");
    let value = |name: &str| project.cluster.get(&["configmap", name])["data"]["value"].clone();
    assert_eq!((value("one"), value("theirs")), ("second".into(), "theirs".into()));
    project.run(&["deploy"]).expect_all_fresh();

    // Also where the files are not to be understood: of which kinds it may be, the last deploy tells.
    project.write("manifests/flow.yaml", "data: [");
    let said = project.run_human(&["teardown", "--data"]).expect_success().stdout;
    assert!(said.contains("Removing FlowSchema proof-labels"), "{said}");
    let flows = project.cluster.kubectl(&["get", "flowschemas", "--output=name"]);
    assert!(!flows.contains("proof-labels"), "{flows}");
    // Where nothing tells, it is told that there may be more.
    let said = project.run_human(&["teardown"]).expect_success().stdout;
    let unseen = "Keeping what manifests:own may have of kinds that few have (manifests/flow.yaml is not valid YAML; \
                  with that mended, `cargo xtask teardown` again removes it)";
    assert!(said.contains(unseen), "{said}");
    let kinds = project.cluster.kubectl(&["get", "customresourcedefinitions", "--output=name"]);
    assert!(!kinds.contains("gears.proof.example.org"), "{kinds}");
    project.cluster.kubectl(&["delete", "namespace", "proof-labels"]);
}

/// What is there of somebody who may do everything in one namespace, and elsewhere only see which namespaces there are.
struct Confined(Project);

const CONFINED: &str = "proof-confined";

impl Drop for Confined {
    fn drop(&mut self) {
        for what in ["clusterrolebinding", "clusterrole", "namespace"] {
            let mut kubectl = std::process::Command::new("kubectl");
            kubectl.args(["--context", &self.0.cluster.context, "delete", what, CONFINED, "--ignore-not-found"]);
            let _ = kubectl.output();
        }
    }
}

#[test]
fn who_may_look_at_one_namespace_needs_no_more_for_manifests_that_stay_in_it() {
    let cluster = crate::cluster::Cluster::of_environment();
    let context = &cluster.context;
    let kube_system = cluster.get(&["namespace", "kube-system"]);
    let uid = kube_system["metadata"]["uid"].as_str().expect("a namespace has a uid");
    let graph = format!(
        "project = \"{CONFINED}\"\n[cluster]\ndriver = \"context\"\ncontext = \"{context}\"\nidentity = \"{uid}\"\n\
         [manifests.own]\nfiles = [\"manifests/*.yaml\"]\nnamespace = \"{CONFINED}\"\n"
    );
    let mut project = Project::of_files("manifests-confined", context, &[("xtask.toml", &graph)]);
    project.cluster = project.cluster.in_namespace(CONFINED);
    let confined = Confined(project);
    let Confined(project) = &confined;
    let name = |what: &str, arguments: &[&str]| {
        project.cluster.kubectl(&[&["create", what, CONFINED][..], arguments].concat());
    };
    let account = format!("{CONFINED}:default");
    name("namespace", &[]);
    name("role", &["--verb=*", "--resource=*.*"]);
    name("rolebinding", &[&format!("--role={CONFINED}"), &format!("--serviceaccount={account}")]);
    name("clusterrole", &["--verb=get", "--resource=namespaces"]);
    name("clusterrolebinding", &[&format!("--clusterrole={CONFINED}"), &format!("--serviceaccount={account}")]);
    let mut kubeconfig: Value = serde_json::from_str(&project.cluster.kubectl(&[
        "config",
        "view",
        "--raw",
        "--minify",
        "--flatten",
        "--output=json",
    ]))
    .expect("kubectl prints JSON");
    kubeconfig["users"][0]["user"]["as"] = format!("system:serviceaccount:{account}").into();
    project.write("kubeconfig", &kubeconfig.to_string());
    let run = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.args(["--format", "json"]).env("KUBECONFIG", project.path("kubeconfig"));
        crate::ran::Ran::new(arguments, command.output().expect("the binary can be run"))
    };

    project.write("manifests/one.yaml", &config_map("one", "first"));
    project.write("manifests/two.yaml", &config_map("two", "first"));
    run(&["deploy"]).expect_success();
    std::fs::remove_file(project.path("manifests/two.yaml")).unwrap();
    std::fs::remove_dir_all(project.path(".xtask")).unwrap();
    run(&["deploy"]).expect_success();
    let maps = || project.cluster.kubectl(&["get", "configmaps", "--output=name"]);
    assert!(maps().contains("configmap/one") && !maps().contains("configmap/two"), "{}", maps());
    run(&["deploy"]).expect_all_fresh();
    run(&["teardown"]).expect_success();
    assert!(!maps().contains("configmap/one"), "{}", maps());
}
