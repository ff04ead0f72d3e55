//! A dry run finds what is wrong with a chart, before anything was ever deployed, and touches nothing.

use crate::project::Project;

const NAMESPACE: &str = "proof-rehearsal";

/// The small project, of which nothing was ever made: no secrets file, no image, no namespace.
fn small() -> Project {
    let project = Project::fixture("small", NAMESPACE);
    project.edit("xtask.toml", "luck-small", NAMESPACE);
    project.edit("xtask.toml", "luck-test", NAMESPACE);
    project
}

#[track_caller]
fn expect_nothing_made(project: &Project) {
    assert!(!project.path("secrets.yaml").exists(), "no secrets were made up");
    let namespaces = project.cluster.kubectl(&["get", "namespaces", "--output=name"]);
    assert!(!namespaces.contains(NAMESPACE), "{namespaces}");
}

#[test]
fn it_tells_where_a_template_is_wrong_and_which_value_the_schema_refuses() {
    let schema = r#"{"properties": {"greeting": {"type": "string"}}}"#;
    // (file, what is there, what is written instead, what is said)
    let rows: [(&str, &str, &str, &[&str]); 3] = [
        ("values.yaml", "greeting: hello", "greeting: [5]", &["greeting"]),
        (
            "chart/templates/app.yaml",
            ".Values.greeting |",
            ".Values.nothing.deeper |",
            &["app.yaml:18:", "nil pointer"],
        ),
        ("chart/templates/app.yaml", "| quote }}", "| quot }}", &["chart/templates/app.yaml:18", "quot"]),
    ];
    for (file, from, to, words) in rows {
        let project = small();
        project.write("chart/values.schema.json", schema);
        project.run(&["deploy", "--dry-run"]).expect_success();
        project.edit(file, from, to);
        let ran = project.run_human(&["deploy", "--dry-run"]).expect_code(1);
        assert!(ran.stdout.contains("Broken release:small"), "{}", ran.stdout);
        for word in words.iter().chain(&["help:"]) {
            assert!(ran.stderr.contains(word), "{word:?} is not said:\n{}", ran.stderr);
        }
        expect_nothing_made(&project);
    }
}
