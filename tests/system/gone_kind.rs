//! A kind that a chart brings and that somebody removes from the cluster, with all objects of it, is no dead end.

use std::process::Command;

use crate::project::Project;

const DEFINITION: &str = "crd/widgets.mends.example.org";

/// The widget chart, deployed. Helm leaves the definition there when the release goes: this removes it.
struct Widget(Project);

impl Widget {
    fn deployed() -> Self {
        let project = Self(Project::fixture("widget", "mends-test"));
        project.0.run(&["deploy"]).expect_success();
        project.0.run(&["deploy"]).expect_all_fresh();
        project
    }

    fn lose_its_kind(&self) {
        self.0.cluster.kubectl(&["delete", DEFINITION, "--timeout=60s"]);
    }

    fn size(&self) -> serde_json::Value {
        self.0.cluster.get(&["widgets.mends.example.org", "one"])["spec"]["size"].clone()
    }
}

impl Drop for Widget {
    fn drop(&mut self) {
        // Nothing of it stays, whatever became of the test.
        let mut kubectl = Command::new("kubectl");
        kubectl.args(["--context", &self.0.cluster.context, "delete", DEFINITION, "--ignore-not-found"]);
        let _ = kubectl.output();
    }
}

#[test]
fn a_deploy_brings_it_back_with_its_objects() {
    let widget = Widget::deployed();
    widget.lose_its_kind();
    let ran = widget.0.run(&["deploy"]).expect_success().expect_reason("release:widget", "Widget one is gone");
    assert!(ran.stdout.contains("CustomResourceDefinition widgets.mends.example.org is gone"), "{}", ran.stdout);
    assert_eq!(widget.size(), 1);
    widget.0.run(&["deploy"]).expect_all_fresh();

    // With a changed value at the same time.
    widget.lose_its_kind();
    widget.0.write("values.yaml", "size: 2\n");
    widget.0.run(&["deploy"]).expect_success();
    assert_eq!(widget.size(), 2);
    widget.0.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_chart_that_does_not_bring_it_any_more_is_told_so_and_a_teardown_does_without() {
    let widget = Widget::deployed();
    widget.lose_its_kind();
    std::fs::remove_file(widget.0.path("chart/crds/widgets.yaml")).unwrap();
    let said = widget.0.run_human(&["deploy"]).expect_code(1).stderr;
    for words in ["no kind Widget in mends.example.org/v1 any more", "Widget one", "help: install again"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    widget.0.run(&["teardown", "--data"]).expect_success();
    let namespaces = widget.0.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains("mends-test"), "nothing is left: {namespaces}");
}
