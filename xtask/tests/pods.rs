//! The ways to pods on a real cluster: requests and ports that lead to Services, and logs, while pods come and go.
//!
//! The cluster comes from `XTASK_TEST_CONTEXT`, as for `settle.rs`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as it has to be"
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::{Value, json};
use support::{Namespace, PAUSE, SHELL, deployment, shell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use xtask::diagnose::evidence::{Identity, Kind};
use xtask::world::forward::http::get;
use xtask::world::forward::listener::Forward;
use xtask::world::forward::{At, Trouble};
use xtask::world::pods::log::{Line, Part, read};
use xtask::world::pods::{Selection, follow::follow};
use xtask::world::settle::scope::Scope;
use xtask::world::settle::{Expected, Watch};

const DEADLINE: Duration = Duration::from_secs(120);

/// Answers every request with its own name and the header `X-Say`.
const SERVER: &str = r#"
use IO::Socket::INET; $| = 1;
my $s = IO::Socket::INET->new(LocalPort => 8000, Listen => 9, ReuseAddr => 1) or die;
while (my $c = $s->accept) {
    my $say = ""; my $path = (split / /, <$c>)[1];
    while (my $line = <$c>) { last if $line =~ /^\r?$/; $say = $1 if $line =~ /^x-say: (.*?)\r?$/i }
    my $body = qq({"pod": "$ENV{HOSTNAME}", "path": "$path", "say": "$say"});
    my $status = $path eq "/missing" ? "404 Not Found" : "200 OK";
    printf $c "HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", $status, length $body, $body;
    close $c;
}
"#;

fn server() -> Value {
    json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{
            "name": "app", "image": SHELL, "imagePullPolicy": "Never", "command": ["perl", "-e", SERVER],
            "ports": [{"name": "web", "containerPort": 8000}],
            "readinessProbe": {"tcpSocket": {"port": "web"}, "periodSeconds": 1},
            "resources": {"requests": {"cpu": "10m"}},
        }],
    })
}

fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": port, "targetPort": "web"}]},
    })
}

async fn settled(namespace: &Namespace, name: &str) {
    let expected = [Expected { identity: Identity::new(Kind::Deployment, namespace.name(), name), generation: 1 }];
    let scope = Scope::of([expected[0].identity.clone()]);
    let watch = Watch::begin(namespace.client(), scope, support::show_all()).await.expect("the cluster can be watched");
    watch.until_settled(&expected, Instant::now() + DEADLINE).await.expect("it starts");
}

#[tokio::test]
async fn a_request_reaches_a_named_port_and_brings_back_what_the_pod_says() {
    let namespace = Namespace::make("request").await;
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&deployment("web", 2, server())).await;
    settled(&namespace, "web").await;
    let headers = BTreeMap::from([("X-Say".to_owned(), SecretString::from("hello"))]);
    for at in ["web", "web:80", "web:http"] {
        let at = At::parse(namespace.name(), at);
        let answer = get(&namespace.client(), &at, "/path?a=b", &headers).await.expect("it answers");
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            (answer.status, body["path"].as_str(), body["say"].as_str()),
            (200, Some("/path?a=b"), Some("hello"))
        );
        assert_eq!(body["pod"].as_str(), Some(answer.pod.as_str()));
    }
    let at = At::parse(namespace.name(), "web");
    assert_eq!(get(&namespace.client(), &at, "/missing", &headers).await.expect("it answers").status, 404);
    namespace.remove().await;
}

#[tokio::test]
async fn what_cannot_be_reached_is_told_apart_from_what_cannot_be_reached_yet() {
    let namespace = Namespace::make("unreachable").await;
    let nobody_listens = json!({"containers": [{
        "name": "app", "image": PAUSE, "imagePullPolicy": "Never", "ports": [{"name": "web", "containerPort": 8000}],
    }]});
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&service("empty", 80)).await;
    namespace.apply(&deployment("web", 1, nobody_listens)).await;
    settled(&namespace, "web").await;
    let ask = async |at: &str| {
        let at = At::parse(namespace.name(), at);
        get(&namespace.client(), &at, "/", &BTreeMap::new()).await.expect_err("nothing answers")
    };
    let check = |trouble: Trouble, never: bool, says: &str| {
        assert_eq!(matches!(trouble, Trouble::Never(_)), never, "{trouble:?}");
        let text = trouble.into_failure().to_string();
        assert!(text.contains(says), "`{says}` is not in: {text}");
    };
    check(ask("none").await, true, "there is no service none");
    check(ask("web:81").await, true, "there is no service web:81");
    check(ask("empty").await, false, "its selector matches no pod");
    check(ask("web").await, false, "onnection refused");
    namespace.remove().await;
}

async fn pod_behind(local: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(local).await.expect("the local port is there");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let body: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    body["pod"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_forwarded_port_outlives_the_pods_behind_it() {
    let namespace = Namespace::make("forward").await;
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&deployment("web", 1, server())).await;
    settled(&namespace, "web").await;
    let at = At::parse(namespace.name(), "web");
    let forward = Forward::bind(namespace.client(), at.clone(), Some(0)).await.expect("a free port can be bound");
    let local = forward.local();
    let taken = Forward::bind(namespace.client(), at, Some(local.port())).await.err().expect("the port is in use");
    assert_eq!(taken.taken, Some(local));
    let serving = tokio::spawn(forward.serve(|_| {}));

    let first = pod_behind(local).await.expect("the first pod answers");
    namespace.delete_pods("web").await;
    settled(&namespace, "web").await;
    // A connection that is made while the old pod still counts as ready may end with it.
    let successor = async { while pod_behind(local).await.is_none_or(|pod| pod == first) {} };
    tokio::time::timeout(DEADLINE, successor).await.expect("its successor answers on the same port");
    serving.abort();
    namespace.remove().await;
}

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
