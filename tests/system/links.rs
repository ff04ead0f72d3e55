//! Whoever reads through a link reads what it leads to: when that changes, nothing that was made of it is fresh.

use std::os::unix::fs::symlink;

use crate::cluster::Cluster;
use crate::project::Project;

const NAMESPACE: &str = "proof-links";

const GRAPH: &str = r#"
project = "proof-links"

[cluster]
driver  = "minikube"
profile = "CONTEXT"

[release.linked]
chart     = "chart"
namespace = "proof-links"

[manifests.linked]
files     = ["manifests/**/*.yaml"]
namespace = "proof-links"

[command.linked]
run     = ["sh", "-c", "cat in/* >out.txt"]
inputs  = ["in/*"]
outputs = ["out.txt"]
"#;

/// A command whose globs lead into folders with links to folders around them.
const AROUND: &str = r#"
project = "around"

[command.around]
run    = ["true"]
inputs = ["INPUTS"]
"#;

#[test]
fn a_link_to_a_folder_around_it_stops_no_command_unless_its_globs_lead_through_it_by_name() {
    let files = [("xtask.toml", AROUND), ("src/deep/a.py", "one\n"), ("notes.txt", "one\n")];
    let project = Project::of_files("links-around", "none", &files);
    let change = |inputs: &str| project.write("xtask.toml", &AROUND.replace("INPUTS", inputs));
    for (link, target) in [("src/deep/up", "../.."), ("current", ".")] {
        symlink(target, project.path(link)).unwrap();
    }
    change("**/*.py");
    project.run(&["deploy"]).expect_success();
    project.write("notes.txt", "two\n");
    project.run(&["deploy"]).expect_all_fresh();
    project.write("src/deep/a.py", "two\n");
    project.run(&["deploy"]).expect_success().expect_reason("command:around", "src/deep/a.py changed");
    // What it says itself is an input where a glob matches it.
    change("src/**");
    project.run(&["deploy"]).expect_success();
    std::fs::remove_file(project.path("src/deep/up")).unwrap();
    symlink("..", project.path("src/deep/up")).unwrap();
    project.run(&["deploy"]).expect_success().expect_reason("command:around", "src/deep/up");

    change("src/deep/up/deep/*.py");
    let said = project.run_human(&["deploy"]).expect_code(2).stderr;
    assert!(said.contains("src/deep/up leads to a folder that it lies in itself"), "{said}");
    change("src/deep/*.py");
    project.run(&["deploy"]).expect_success();
}

fn config_map(name: &str, value: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {name} }}\ndata: {{ value: {value} }}\n")
}

#[test]
fn what_a_link_leads_to_is_an_input_of_charts_manifests_and_commands() {
    let cluster = Cluster::of_environment();
    let graph = GRAPH.replace("CONTEXT", &cluster.context);
    let files = [
        ("xtask.toml", graph.as_str()),
        ("chart/Chart.yaml", "apiVersion: v2\nname: linked\nversion: 0.1.0\n"),
        ("chart/templates/file.yaml", &config_map("file", "{{ .Files.Get \"note.txt\" | trim | quote }}")),
        ("shared/note.txt", "one\n"),
        ("shared/templates/folder.yaml", &config_map("folder", "one")),
        ("shared/manifests/raw.yaml", &config_map("raw", "one")),
        ("in/own.txt", "own\n"),
    ];
    let mut project = Project::of_files("links", &cluster.context, &files);
    project.cluster = project.cluster.in_namespace(NAMESPACE);
    std::fs::create_dir(project.path("manifests")).unwrap();
    let links = [
        ("chart/note.txt", "../shared/note.txt"),
        ("chart/templates/more", "../../shared/templates"),
        ("manifests/all", "../shared/manifests"),
        ("in/shared.txt", "../shared/note.txt"),
    ];
    for (link, target) in links {
        symlink(target, project.path(link)).unwrap();
    }
    let value = |name: &str| project.cluster.get(&["configmap", name])["data"]["value"].clone();
    let made = || std::fs::read_to_string(project.path("out.txt")).unwrap();
    let all = || (value("file"), value("folder"), value("raw"), made());
    project.run(&["deploy"]).expect_success();
    assert_eq!(all(), ("one".into(), "one".into(), "one".into(), "own\none\n".to_owned()));
    project.run(&["deploy"]).expect_all_fresh();

    project.write("shared/note.txt", "two\n");
    project
        .run(&["deploy"])
        .expect_success()
        .expect_reason("release:linked", "chart/note.txt → ../shared/note.txt")
        .expect_reason("command:linked", "in/shared.txt changed")
        .expect_done(&["command:linked", "release:linked"]);
    project.write("shared/templates/folder.yaml", &config_map("folder", "two"));
    project.run(&["deploy"]).expect_success().expect_reason("release:linked", "chart/templates/more/folder.yaml");
    project.write("shared/manifests/raw.yaml", &config_map("raw", "two"));
    project.run(&["deploy"]).expect_success().expect_reason("manifests:linked", "manifests/all/raw.yaml");
    assert_eq!(all(), ("two".into(), "two".into(), "two".into(), "own\ntwo\n".to_owned()));
    project.run(&["deploy"]).expect_all_fresh();

    // One that never ends is told, with what to do.
    symlink("..", project.path("manifests/around")).unwrap();
    let said = project.run_human(&["deploy"]).expect_code(2).stderr;
    assert!(said.contains("manifests/around leads to a folder that it lies in itself"), "{said}");
    assert!(said.contains("help: "), "{said}");
    std::fs::remove_file(project.path("manifests/around")).unwrap();
    project.run(&["teardown", "--data"]).expect_success();
}
