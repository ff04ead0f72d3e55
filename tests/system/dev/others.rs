//! What runs a synced image beside the containers that are synced: init containers, hooks, workers, jobs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Loop;
use super::live;
use crate::project::Project;

/// A hook, a worker and a scheduled job of the application's own image; each needs the sources.
const OTHERS: &str = r#"
apiVersion: batch/v1
kind: Job
metadata:
  name: live-migrate
  annotations: { helm.sh/hook: "pre-install,pre-upgrade" }
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: migrate
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: Never
          command: [python3, -c, "import app; print(app.WORD)"]
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: live-worker
spec:
  selector: { matchLabels: { app.kubernetes.io/component: worker } }
  template:
    metadata: { labels: { app.kubernetes.io/component: worker } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: worker
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: Never
          command: [python3, -c, "import time, app; print(app.WORD, flush=True); time.sleep(1e6)"]
---
apiVersion: batch/v1
kind: CronJob
metadata:
  name: live-nightly
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
            - name: nightly
              image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
              imagePullPolicy: Never
              command: [python3, -c, "import app"]
"#;

/// Longer than a worker takes to come up.
const PATIENCE: Duration = Duration::from_secs(120);

const PACE: Duration = Duration::from_millis(200);

/// The image that a container of an object's pods runs.
fn image(project: &Project, object: [&str; 2], container: &str) -> String {
    let object = project.cluster.get(&object);
    let found = object.pointer(container).and_then(|container| container["image"].as_str());
    found.unwrap_or_else(|| panic!("no {container} in {object}")).to_owned()
}

const CONTAINER: &str = "/spec/template/spec/containers/0";
const INIT: &str = "/spec/template/spec/initContainers/0";
const SCHEDULED: &str = "/spec/jobTemplate/spec/template/spec/containers/0";

/// Waits until the worker, of whichever pod is there, has said `word`.
#[track_caller]
fn until_worked(development: &mut Loop<'_>, word: &str) {
    let (project, begun) = (development.project, Instant::now());
    let worker = "--selector=app.kubernetes.io/component=worker";
    while project.cluster.kubectl(&["logs", worker]).trim() != word {
        assert!(begun.elapsed() < PATIENCE, "the worker never has {word}");
        development.running.until_moment(Instant::now() + PACE);
    }
}

#[test]
fn whatever_else_runs_a_synced_image_has_its_sources_and_those_of_the_last_build() {
    let project = live::project();
    project.write("chart/templates/others.yaml", OTHERS);
    let init = r#"      initContainers:
        - name: init
          image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
          imagePullPolicy: Never
          command: [python3, -c, "import app"]
"#;
    let containers = "      containers:\n";
    project.edit("chart/templates/app.yaml", containers, &format!("{init}{containers}"));

    // The hook and the init container have run, or it would not be deployed.
    let mut development = Loop::begin(&project, &[]);
    development.edit("synced");
    let built = image(&project, ["deployment", "live"], INIT);
    assert_ne!(image(&project, ["deployment", "live"], CONTAINER), built, "what is synced has no sources");
    assert_eq!(image(&project, ["deployment", "live-worker"], CONTAINER), built);
    assert_eq!(image(&project, ["cronjob", "live-nightly"], SCHEDULED), built);
    assert_eq!(image(&project, ["job", "live-migrate"], CONTAINER), built);
    let worker = project.cluster.get(&["deployment", "live-worker"]).to_string();
    assert!(!worker.contains("xtask-dev"), "it runs another program than is synced: {worker}");
    until_worked(&mut development, "first");

    // Whatever makes the graph run has them built from the sources as they are then.
    project.edit("values.yaml", "hello", "good evening");
    development.until_answered("/greeting", "good evening");
    until_worked(&mut development, "synced");
    assert_ne!(image(&project, ["deployment", "live-worker"], CONTAINER), built);
    development.until_told("watching");
    let said = |event: &Value| {
        event["event"] == "note" && event["text"].as_str().is_some_and(|text| text.starts_with("not synced"))
    };
    let notes: Vec<Value> = development.running.events().filter(said).collect();
    assert_eq!(notes.len(), 1, "it is said once: {notes:?}");
    for title in ["Deployment live-worker", "Deployment live", "Job live-migrate", "CronJob live-nightly"] {
        assert!(notes[0].to_string().contains(title), "{title} is named: {notes:?}");
    }
    development.end();
    let everywhere = image(&project, ["deployment", "live"], CONTAINER);
    assert_eq!(image(&project, ["deployment", "live-worker"], CONTAINER), everywhere, "all run what is built");
    project.run(&["teardown"]).expect_success();
}

#[test]
fn where_nobody_else_runs_the_image_just_the_stage_is_built_until_somebody_does() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    // What an earlier test has built is not built again.
    let images = |development: &Loop<'_>| -> BTreeSet<String> {
        let ended = |event: &Value| event["event"] == "done" || event["event"] == "fresh";
        let steps = development.running.events().filter(ended);
        let steps = steps.filter_map(|event| event["step"].as_str().map(str::to_owned));
        steps.filter(|step| step.starts_with("image:")).collect()
    };
    assert_eq!(images(&development), BTreeSet::from(["image:app".to_owned()]));
    project.write("chart/templates/others.yaml", OTHERS);
    development.until_told("watching");
    until_worked(&mut development, "first");
    assert_eq!(images(&development), BTreeSet::from(["image:app".to_owned(), "image:app.dev".to_owned()]));
    development.end();
    project.run(&["teardown"]).expect_success();
}
