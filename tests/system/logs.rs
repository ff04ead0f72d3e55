//! `logs` while the API server goes away and pods come and go: no line is lost and none comes twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Stdio;

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::project::Project;
use crate::ran::Ran;
use crate::running::Running;
use crate::way::{CONTEXT, Way};

/// A project that deploys into `namespace`, where `writer.yaml` is.
fn project(context: &str, namespace: &'static str) -> Project {
    let graph = format!(
        "project = \"{namespace}\"\n\n[cluster]\ndriver = \"context\"\ncontext = \"{context}\"\n\n\
         [release.one]\nchart = \"chart\"\nnamespace = \"{namespace}\"\n"
    );
    let files = [
        ("xtask.toml", graph.as_str()),
        ("chart/Chart.yaml", "apiVersion: v2\nname: one\nversion: 0.1.0\n"),
        ("chart/templates/one.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: one }\n"),
    ];
    let mut project = Project::of_files("logs", &Cluster::of_environment().context, &files);
    project.cluster = project.cluster.in_namespace(namespace);
    project.write("writer.yaml", include_str!("fixtures/writer.yaml"));
    let objects = project.path("writer.yaml");
    project.cluster.kubectl(&["create", "namespace", namespace]);
    project.cluster.kubectl(&["apply", "--filename", objects.to_str().expect("the path is text")]);
    project.cluster.kubectl(&["rollout", "status", "deployment/writer", "--timeout=120s"]);
    project
}

/// Takes away all that [`project`] has made.
fn remove(project: &Project) {
    project.cluster.kubectl(&["delete", "namespace", project.cluster.namespace, "--wait=false"]);
}

fn message(event: &Value) -> Option<String> {
    let line: Value = serde_json::from_str(event["text"].as_str()?).ok()?;
    line["message"].as_str().map(str::to_owned)
}

/// The number of a line.
fn number(event: &Value) -> Option<u64> {
    message(event)?.strip_prefix("line ")?.parse().ok()
}

/// How many lines a pod has written, which it says as it ends.
fn last_word(event: &Value) -> Option<u64> {
    message(event)?.strip_prefix("ended after ")?.parse().ok()
}

/// As many lines take a pod more than two seconds.
const LONG: usize = 400;

/// What was shown of a pod.
#[derive(Debug, Default)]
struct Shown {
    numbers: Vec<u64>,
    /// How many lines there were, by its last word.
    of: Option<u64>,
}

/// What was shown of each pod.
#[derive(Debug, Default)]
struct Pods(BTreeMap<String, Shown>);

impl Pods {
    fn of(events: &[Value]) -> Self {
        let mut pods = Self::default();
        events.iter().for_each(|event| pods.see(event));
        pods
    }

    fn see(&mut self, event: &Value) {
        let Some(pod) = event["pod"].as_str() else { return };
        let shown = self.0.entry(pod.to_owned()).or_default();
        shown.numbers.extend(number(event));
        shown.of = shown.of.or(last_word(event));
    }

    fn count(&self, is_it: impl Fn(&Shown) -> bool) -> usize {
        self.0.values().filter(|shown| is_it(shown)).count()
    }
}

#[test]
fn broken_streams_neither_lose_nor_double_a_line_and_lines_are_chosen_by_their_level() {
    let project = project(CONTEXT, "logs-test");
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
    remove(&project);
}

#[test]
fn pods_that_come_are_followed_and_of_those_that_go_every_line_is_shown() {
    let project = project(&Cluster::of_environment().context, "logs-replaced");
    let mut running = Running::start(&project, &["logs", "--follow"]);
    let pods = RefCell::new(Pods::default());
    // So many have ended, and so many others have written for a while.
    let until = |running: &mut Running, ended: usize, others: usize| {
        running.until("pods that go have said their last, and others follow", |event| {
            let mut pods = pods.borrow_mut();
            pods.see(event);
            let at_work = |shown: &Shown| shown.of.is_none() && shown.numbers.len() > LONG;
            (pods.count(|shown| shown.of.is_some()), pods.count(at_work)) == (ended, others)
        });
    };
    until(&mut running, 0, 1);
    project.cluster.kubectl(&["rollout", "restart", "deployment/writer"]);
    until(&mut running, 1, 1);
    project.cluster.kubectl(&["scale", "deployment/writer", "--replicas=3"]);
    until(&mut running, 1, 3);
    project.cluster.kubectl(&["delete", "pods", "--all", "--wait=false"]);
    until(&mut running, 4, 3);
    running.signal(Signal::INT);
    let ran = running.ended().expect_code(130);
    let Pods(pods) = Pods::of(&ran.events);
    assert_eq!(pods.len(), 7, "{:?}", pods.keys());
    for (pod, Shown { mut numbers, of }) in pods {
        // The runtime may let the two outputs of a container change places.
        numbers.sort_unstable();
        let count = of.unwrap_or(numbers.len() as u64);
        assert_eq!(numbers, (0..count).collect::<Vec<_>>(), "each line of {pod} once, to its last");
    }
    only_the_last_while(&project);
    remove(&project);
}

/// `--since`, with and without `--follow`, where all pods have written for longer than that.
fn only_the_last_while(project: &Project) {
    const WHILE: SignedDuration = SignedDuration::from_secs(1);
    let check = |ran: Ran, begun: Timestamp, step: u64| {
        for event in &ran.events {
            let at: Timestamp = event["time"].as_str().expect("a line has a time").parse().expect("it is one");
            assert!(at >= begun - WHILE, "{event} is older than a second before {begun}");
        }
        let Pods(pods) = Pods::of(&ran.events);
        assert_eq!(pods.len(), 3, "{:?}", pods.keys());
        for (pod, Shown { mut numbers, .. }) in pods {
            numbers.sort_unstable();
            let first = numbers.first().copied().unwrap_or_default();
            assert!(first > 0 && first % step == 0, "{pod} has written more before: {numbers:?}");
            let expected = (0..numbers.len() as u64).map(|at| first + step * at);
            assert_eq!(numbers, expected.collect::<Vec<_>>(), "all of {pod} since then");
        }
    };
    let begun = Timestamp::now();
    check(project.run(&["logs", "--since", "1s"]).expect_success(), begun, 1);

    let begun = Timestamp::now();
    let mut running = Running::start(project, &["logs", "--follow", "--since", "1s", "--level", "warn"]);
    let pods = RefCell::new(Pods::default());
    running.until("warnings of all pods come", |event| {
        pods.borrow_mut().see(event);
        pods.borrow().count(|shown| shown.numbers.len() > 20) == 3
    });
    running.signal(Signal::INT);
    check(running.ended().expect_code(130), begun, 10);
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
