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
    while !stale() {}
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
