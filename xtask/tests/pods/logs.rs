//! Logs of pods that restart and are replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use xtask::world::pods::log::{Line, Part, read};
use xtask::world::pods::{Selection, follow::follow};

use crate::support::{Namespace, SHELL, deployment, shell};
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
    let (sender, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let client = namespace.client();
    let following = tokio::spawn(async move {
        let sink = |line| sender.send(line).unwrap_or_default();
        follow(&client, &selection, &Part::default(), sink).await
    });
    let mut seen: Vec<Line> = Vec::new();
    let mut replaced = false;
    let whole = |seen: &[Line], pod: usize| {
        let lives = lives(seen);
        lives.values().filter(|lives| lives.iter().filter(|life| life.len() == LINES).count() >= 2).count() >= pod
    };
    let watched = async {
        while let Some(line) = lines.recv().await {
            seen.push(line);
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
    following.abort();
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
    read(&namespace.client(), &selection(&[]), &Part::default(), |line| lines.push(line))
        .await
        .expect("there are logs");
    let mut sorted = lines.clone();
    sorted.sort_by_key(|line| line.at);
    assert_eq!(lines, sorted);
    let texts: BTreeSet<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, BTreeSet::from(["a 1", "a 2", "b 1", "b 2"]));

    let mut only = Vec::new();
    read(&namespace.client(), &selection(&["a"]), &Part::default(), |line| only.push(line.text)).await.unwrap();
    assert_eq!(only, ["a 1", "a 2"]);
    let unknown =
        read(&namespace.client(), &selection(&["c"]), &Part::default(), |_| {}).await.expect_err("no such workload");
    assert_eq!(
        (unknown.message.as_str(), unknown.help.as_slice()),
        ("no pod belongs to `c`", ["there are: a, b".to_owned()].as_slice())
    );
    let before = Part { previous: true, since: None };
    read(&namespace.client(), &selection(&[]), &before, |_| {}).await.expect_err("none was restarted");
    namespace.remove().await;
}
