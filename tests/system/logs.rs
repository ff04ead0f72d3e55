//! `logs` while the API server goes away: no line is lost and none comes twice.

use std::cell::{Cell, RefCell};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::project::Project;
use crate::running::Running;
use crate::way::{CONTEXT, Way};

const NAMESPACE: &str = "logs-test";

/// A project that deploys into the namespace in which `writer.yaml` is.
fn project(context: &str) -> Project {
    let graph = format!(
        "project = \"logs-test\"\n\n[cluster]\ndriver = \"context\"\ncontext = \"{context}\"\n\n\
         [release.one]\nchart = \"chart\"\nnamespace = \"{NAMESPACE}\"\n"
    );
    let files = [
        ("xtask.toml", graph.as_str()),
        ("chart/Chart.yaml", "apiVersion: v2\nname: one\nversion: 0.1.0\n"),
        ("chart/templates/one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\n"),
    ];
    let mut project = Project::of_files("logs", &Cluster::of_environment().context, &files);
    project.cluster = project.cluster.in_namespace(NAMESPACE);
    project
}

fn number(event: &Value) -> Option<u64> {
    let line: Value = serde_json::from_str(event["text"].as_str()?).ok()?;
    line["message"].as_str()?.strip_prefix("line ")?.parse().ok()
}

#[test]
fn broken_streams_neither_lose_nor_double_a_line_and_lines_are_chosen_by_their_level() {
    let project = project(CONTEXT);
    project.write("writer.yaml", include_str!("fixtures/writer.yaml"));
    let objects = project.path("writer.yaml");
    project.cluster.kubectl(&["create", "namespace", NAMESPACE]);
    project.cluster.kubectl(&["apply", "--filename", objects.to_str().expect("the path is text")]);
    project.cluster.kubectl(&["rollout", "status", "deployment/writer", "--timeout=120s"]);

    let way = Way::of(&project);
    let mut running = Running::start_with(&project, &["logs", "--follow"], &[way.variable()]);
    let traces = running.traces();
    let numbers = RefCell::new(Vec::new());
    let until = |running: &mut Running, wanted: u64| {
        running.until("further lines come", |event| {
            numbers.borrow_mut().extend(number(event));
            number(event).is_some_and(|number| number >= wanted)
        });
    };
    let last = || numbers.borrow().iter().max().copied().unwrap_or_default();
    until(&mut running, 100);
    for _ in 0..5 {
        way.cut();
        let wanted = last() + 150;
        until(&mut running, wanted);
    }
    // It writes on while nobody reads.
    way.close();
    let written = Cell::new(0);
    while written.get() < last() + 500 {
        let line = project.cluster.kubectl(&["logs", "deployment/writer", "--tail=1"]);
        written.set(number(&serde_json::json!({ "text": line.trim() })).unwrap_or_default());
    }
    way.mend();
    until(&mut running, written.get() + 200);
    running.signal(Signal::INT);
    let ran = running.ended().expect_code(130);
    let told: Vec<&str> = ran.stderr.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let in_turn =
        told.chunks(2).all(|pair| pair.first() == Some(&"Lost") && pair.get(1).is_none_or(|it| *it == "Back"));
    assert!(in_turn, "each time it is away is told once: {}", ran.stderr);
    assert_eq!(traces.left(), Vec::<String>::new());
    // The runtime may let the two outputs of a container change places; each of them is in order.
    let mut seen: Vec<u64> = ran.events.iter().filter_map(number).collect();
    let (to_error, to_output): (Vec<u64>, Vec<u64>) = seen.iter().partition(|number| **number % 3 == 0);
    assert!(to_error.is_sorted() && to_output.is_sorted(), "in order: {seen:?}");
    seen.sort_unstable();
    assert_eq!(seen, (0..seen.len() as u64).collect::<Vec<_>>(), "each line once");

    let of = |arguments: &[&str]| {
        let mut command = project.command(&[&["logs"], arguments].concat());
        command.env(way.variable().0, way.variable().1).stdin(Stdio::null());
        String::from_utf8(command.output().expect("the binary can be run").stdout).expect("it is text")
    };
    let warnings = of(&["--raw", "--level", "warn"]);
    let mut numbers: Vec<u64> =
        warnings.lines().filter_map(|line| number(&serde_json::json!({ "text": line }))).collect();
    assert!(numbers.len() > 50 && numbers.len() == warnings.lines().count(), "{warnings}");
    numbers.sort_unstable();
    assert!(numbers.iter().enumerate().all(|(at, number)| *number == 10 * at as u64), "every tenth: {numbers:?}");
    let one = of(&["--grep", "line 120\"", "--since", "1h"]);
    assert!(one.trim_end().ends_with("WARN  line 120"), "{one}");
    assert_eq!(one.lines().count(), 1);
    project.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
}

#[test]
fn the_last_words_of_a_container_that_has_ended_are_shown() {
    let project = Project::deployed();
    let pods = project.cluster.get(&["pods"]);
    let pods = pods["items"].as_array().expect("a list").iter();
    let backend = |pod: &&Value| pod["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("todo-backend-"));
    let pod = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).find(backend).expect("it is deployed");
    let name = pod["metadata"]["name"].as_str().expect("a pod has a name");
    let restarts = pod["status"]["containerStatuses"][0]["restartCount"].as_u64().expect("a number");
    project.cluster.kubectl(&["exec", name, "--", "sh", "-c", "kill 1"]);
    let restarted = format!("--for=jsonpath={{.status.containerStatuses[0].restartCount}}={}", restarts + 1);
    project.cluster.kubectl(&["wait", &format!("pod/{name}"), &restarted, "--timeout=60s"]);

    let last = project.cluster.kubectl(&["logs", name, "--previous", "--tail=1"]);
    let last: Value = serde_json::from_str(last.trim()).expect("the backend writes JSON");
    let message = last["message"].as_str().expect("a line has a message");
    let ran = project.run_human(&["logs", "--previous", "backend"]).expect_success();
    assert!(ran.stdout.contains(message), "{message:?} is not in:\n{}{}", ran.stdout, ran.stderr);
}
