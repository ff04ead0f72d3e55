//! Logs of pods that restart and are replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use xtask::world::World;
use xtask::world::pods::Selection;
use xtask::world::pods::follow::{Logs, Mark, News};
use xtask::world::pods::log::{Line, Part};
use xtask::world::pods::read::read;

use crate::support::{Namespace, SHELL, context, deployment, shell, show_all};
use crate::{DEADLINE, settled};

/// Writes numbered lines, fast, and ends; the kubelet starts it again.
const LINES: usize = 200;

fn writer() -> Value {
    let script = format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo \"line $i\"; sleep 0.01; done; exit 1");
    json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": SHELL, "imagePullPolicy": "Never", "command": shell(&script)}],
    })
}

/// The lives of each pod's container: the numbers that it wrote, split where they begin anew.
fn lives(lines: &[Line]) -> BTreeMap<String, Vec<Vec<usize>>> {
    let mut lives: BTreeMap<String, Vec<Vec<usize>>> = BTreeMap::new();
    for line in lines {
        let number: usize = line.text.strip_prefix("line ").expect("every line is whole").parse().unwrap();
        let pod = lives.entry(line.of.pod.clone()).or_default();
        if number == 1 || pod.is_empty() {
            pod.push(Vec::new());
        }
        pod.last_mut().unwrap().push(number);
    }
    lives
}

#[tokio::test]
async fn followed_logs_neither_lose_nor_double_a_line_through_restarts_and_replaced_pods() {
    let namespace = Namespace::make("logs").await;
    namespace.apply(&deployment("writer", 1, writer())).await;
    namespace.until_pod("writer").await;
    let selection = Selection {
        namespaces: BTreeSet::from([namespace.name().to_owned()]),
        workloads: BTreeSet::from(["writer".to_owned()]),
        ..Selection::default()
    };
    let world = Arc::new(World::of_context(context()));
    let mut logs = Logs::follow(world, selection, Part::default(), show_all());
    let mut seen: Vec<Line> = Vec::new();
    let mut replaced = false;
    let whole = |seen: &[Line], pod: usize| {
        let lives = lives(seen);
        lives.values().filter(|lives| lives.iter().filter(|life| life.len() == LINES).count() >= 2).count() >= pod
    };
    let watched = async {
        while let Some(news) = logs.next().await {
            let News::Line(line) = news else { continue };
            seen.push(*line);
            if !replaced && whole(&seen, 1) {
                namespace.delete_pods("writer").await;
                replaced = true;
            }
            if whole(&seen, 2) {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, watched).await.expect("both pods write two whole logs");
    logs.close().await;
    for (pod, lives) in lives(&seen) {
        for life in lives {
            let expected: Vec<usize> = (1..=life.len()).collect();
            assert_eq!(life, expected, "a line of pod {pod} is missing or there twice");
        }
    }
    namespace.remove().await;
}

#[tokio::test]
async fn whoever_goes_on_where_another_has_stopped_neither_loses_nor_doubles_a_line() {
    let namespace = Namespace::make("marks").await;
    namespace.apply(&deployment("writer", 1, writer())).await;
    namespace.until_pod("writer").await;
    let selection = Selection { namespaces: BTreeSet::from([namespace.name().to_owned()]), ..Selection::default() };
    let world = Arc::new(World::of_context(context()));
    let mut seen: Vec<Line> = Vec::new();
    let mut marks: Vec<Mark> = Vec::new();
    let watched = async {
        // As from one process to another; and what is read ahead each time is more than what is taken.
        while !lives(&seen).values().any(|lives| lives.iter().filter(|life| life.len() == LINES).count() >= 2) {
            let part = Part { since: (!marks.is_empty()).then(Timestamp::now), ..Part::default() };
            let mut logs = Logs::go_on(Arc::clone(&world), selection.clone(), part, marks, show_all());
            let mut taken = 0;
            while taken < 23 {
                if let Some(News::Line(line)) = logs.next().await {
                    seen.push(*line);
                    taken += 1;
                }
            }
            let (untold, left) = logs.leave().await;
            seen.extend(untold.into_iter().filter_map(|news| match news {
                News::Line(line) => Some(*line),
                News::Contact(_) => None,
            }));
            marks = serde_json::from_str(&serde_json::to_string(&left).unwrap()).unwrap();
            assert_eq!(marks, left);
        }
    };
    tokio::time::timeout(DEADLINE, watched).await.expect("two whole logs are written");
    for (pod, lives) in lives(&seen) {
        for life in lives {
            let expected: Vec<usize> = (1..=life.len()).collect();
            assert_eq!(life, expected, "a line of pod {pod} is missing or there twice");
        }
    }
    namespace.remove().await;
}

#[tokio::test]
async fn logs_are_read_in_the_order_in_which_they_were_written_and_of_the_lives_before() {
    let namespace = Namespace::make("read").await;
    let finished = |word: &str| {
        let script = format!("echo {word} 1; sleep 0.3; echo {word} 2; sleep infinity");
        json!({
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": SHELL, "imagePullPolicy": "Never", "command": shell(&script)}],
        })
    };
    namespace.apply(&deployment("a", 1, finished("a"))).await;
    namespace.apply(&deployment("b", 1, finished("b"))).await;
    settled(&namespace, "a").await;
    settled(&namespace, "b").await;
    let selection = |workloads: &[&str]| Selection {
        namespaces: BTreeSet::from([namespace.name().to_owned()]),
        workloads: workloads.iter().map(|name| (*name).to_owned()).collect(),
        ..Selection::default()
    };
    let mut lines = Vec::new();
    let take = |line| {
        lines.push(line);
        true
    };
    read(&namespace.client(), &selection(&[]), &Part::default(), &show_all(), take).await.expect("there are logs");
    let mut sorted = lines.clone();
    sorted.sort_by_key(|line| line.at);
    assert_eq!(lines, sorted);
    let texts: BTreeSet<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, BTreeSet::from(["a 1", "a 2", "b 1", "b 2"]));

    let mut only = Vec::new();
    let take = |line: Line| {
        only.push(line.text);
        only.len() < 2
    };
    read(&namespace.client(), &selection(&["a"]), &Part::default(), &show_all(), take).await.unwrap();
    assert_eq!(only, ["a 1", "a 2"]);
    let (client, ignore) = (namespace.client(), |_| true);
    let unknown = read(&client, &selection(&["c"]), &Part::default(), &show_all(), ignore).await;
    let unknown = unknown.expect_err("no such workload");
    assert_eq!(
        (unknown.message.as_str(), unknown.help.as_slice()),
        ("no pod belongs to `c`", ["there are: a, b".to_owned()].as_slice())
    );
    let before = Part { previous: true, since: None };
    read(&client, &selection(&[]), &before, &show_all(), ignore).await.expect_err("none was restarted");
    namespace.remove().await;
}

/// More than one connection to the API server has room for, of each of several pods.
#[tokio::test]
async fn long_logs_of_many_pods_are_read_to_their_end() {
    const LONG: usize = 40_000;
    let namespace = Namespace::make("long").await;
    let script = format!("i=0; while [ $i -lt {LONG} ]; do i=$((i+1)); echo \"$i {:0100}\"; done; sleep infinity", 0);
    let pod = json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "app", "image": SHELL, "imagePullPolicy": "Never", "command": shell(&script)}],
    });
    namespace.apply(&deployment("long", 4, pod)).await;
    settled(&namespace, "long").await;
    let selection = Selection { namespaces: BTreeSet::from([namespace.name().to_owned()]), ..Selection::default() };
    // They may be writing still.
    let whole = async {
        loop {
            let mut counts: BTreeMap<String, usize> = BTreeMap::new();
            let take = |line: Line| {
                let count = counts.entry(line.of.pod).or_default();
                *count += 1;
                assert!(line.text.starts_with(&format!("{count} ")), "in order and without a gap");
                true
            };
            read(&namespace.client(), &selection, &Part::default(), &show_all(), take).await.expect("they are read");
            if counts.values().all(|count| *count == LONG) {
                return counts.len();
            }
        }
    };
    assert_eq!(tokio::time::timeout(DEADLINE, whole).await.expect("they are read in time"), 4);
    namespace.remove().await;
}
