//! Charts that do not render, and values that nobody reads.

use super::{fails, small};

#[test]
fn a_chart_that_does_not_render_is_told_by_file_and_line() {
    let project = small();
    project.edit("chart/templates/app.yaml", "{{ .Values.greeting | quote }}", "{{ .Values.nothing.deeper | quote }}");
    let place = "chart/templates/app.yaml:18:";
    let said = fails(&project, &mut project.command(&["deploy"]), 1, &[place, "does not render", "nil pointer"]);
    assert!(said.contains("values.yaml"), "{said}");
    let records = project.cluster.kubectl(&["get", "secrets", "--selector", "owner=helm", "--output", "name"]);
    assert_eq!(records, "", "nothing was installed");
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_chart_that_renders_to_no_yaml_is_told_by_file() {
    let project = small();
    project.edit("chart/templates/app.yaml", "      containers:", "     containers:");
    let words = ["chart/templates/app.yaml does not render", "did not find expected key", "line 12"];
    fails(&project, &mut project.command(&["deploy"]), 1, &words);
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_value_that_no_template_reads_is_a_warning() {
    let project = small();
    project.write("values.yaml", "greetings: hello\n");
    let ran = project.run(&["deploy"]).expect_success();
    let notes = ran.events.iter().filter(|event| event["event"] == "note" && event["level"] == "warning");
    let texts: Vec<_> = notes.filter_map(|note| note["text"].as_str()).collect();
    assert_eq!(texts, ["no template of chart reads the value greetings; did you mean greeting?"]);
    project.run(&["teardown", "--data"]).expect_success();
}
