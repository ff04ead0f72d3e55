//! The graphs of the valid files, in every format, word by word.

#![expect(clippy::unwrap_used, reason = "what the tests read is theirs; a surprise there ends them")]

use std::fs;
use std::path::{Path, PathBuf};

use engine::config::Why;
use engine::graph::{self, Graph, render};
use engine::step::StepId;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn graph_of(name: &str) -> Graph {
    let text = fs::read_to_string(folder("valid").join(name).with_extension("toml")).unwrap();
    graph::parse(&text, &folder("workspace").join("xtask.toml")).unwrap().1
}

#[test]
fn graphs_are_drawn_word_by_word() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let check = |name: &str, extension: &str, actual: String| {
        let path = folder("graphs").join(name).with_extension(extension);
        if update {
            fs::write(&path, &actual).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            actual == expected,
            "{}\n--- expected\n{expected}\n--- actual\n{actual}\n\
             If the new drawing is better: UPDATE_EXPECTED=1 cargo test -p engine --test graph, and read the diff.",
            path.display()
        );
    };
    for name in ["todo-chatbot", "releases", "manifests"] {
        let graph = graph_of(name);
        check(name, "txt", render::text(&graph));
        check(name, "dot", render::dot(&graph));
        check(name, "mmd", render::mermaid(&graph));
        check(name, "json", format!("{:#}\n", render::json(&graph)));
    }
}

#[test]
fn every_reference_is_an_edge_with_its_reason() {
    let graph = graph_of("releases");
    let step = |text: &str| text.parse::<StepId>().unwrap();
    let check = |by: &str, on: &str, expected: &str| {
        let dependencies = graph.dependencies(&step(by));
        let dependency = dependencies.iter().find(|dependency| dependency.step == step(on));
        let why: Vec<_> = dependency.into_iter().flat_map(|dependency| &dependency.why).map(Why::to_string).collect();
        assert_eq!(why.join(", "), expected, "{by} needs {on}");
    };
    check("release:todo", "image:backend", "a, backend.image, job.image, worker.image, ${image.backend.ref}");
    check("release:todo", "command:worker", r"annotations.example\.org/image, flat");
    check("release:todo", "secrets:todo", "secrets");
    check("release:todo", "release:postgres", "after");
    check("release:todo", "command:values", "backend/generated.yaml");
    check("release:todo", "cluster", "runs in it");
    check("image:backend", "secrets:todo", "build secret TOKEN");
    check("check:backend", "release:todo", "service todo-backend:8000");
    check("check:backend", "secrets:todo", "${secrets.todo.MCP_API_KEY}");
    check("check:database", "release:postgres", "service postgres:5432");
    check("command:worker", "cluster", "runs in it");
    check("command:seed", "cluster", "${cluster.context}, runs in it, after");
    // What does not act on the cluster does not wait for it.
    check("command:values", "cluster", "");
    check("secrets:postgres", "cluster", "runs in it");
    check("release:postgres", "release:todo", "");
}

#[test]
fn no_step_comes_before_what_it_needs() {
    for entry in fs::read_dir(folder("valid")).unwrap() {
        let path = entry.unwrap().path();
        let graph = graph_of(path.file_stem().unwrap().to_str().unwrap());
        for (place, step) in graph.order().iter().enumerate() {
            for dependency in graph.dependencies(step) {
                let before = graph.order()[..place].contains(&dependency.step);
                assert!(before, "{}: {step} comes before {}", path.display(), dependency.step);
            }
        }
    }
}
