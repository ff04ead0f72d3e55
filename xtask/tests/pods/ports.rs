//! Local ports that lead to Services: pods come and go behind them, and nobody who uses them notices.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use xtask::world::World;
use xtask::world::forward::At;
use xtask::world::forward::listener::{Event, Events, Forward, PATIENCE};

use crate::server::{server, service, service_that_counts};
use crate::support::{Namespace, context, deployment};
use crate::{DEADLINE, settled};

async fn open(namespace: &Namespace, at: &str, patience: Duration) -> Forward {
    let world = Arc::new(World::of_context(context()));
    let at = At::parse(namespace.name(), at);
    Forward::open(world, at, 0, patience).await.expect("a free port can be bound")
}

/// A namespace in which `replicas` pods serve.
async fn serving(case: &str, replicas: i32) -> Namespace {
    let namespace = Namespace::make(case).await;
    namespace.apply(&service_that_counts("web")).await;
    namespace.apply(&deployment("web", replicas, server())).await;
    settled(&namespace, "web").await;
    namespace
}

/// Asks for `path` with a connection of its own: the status and the body.
async fn ask(local: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(local).await?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).await?;
    answer(&mut BufReader::new(stream)).await
}

async fn answer(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<(u16, String)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or_default()];
    stream.read_exact(&mut body).await?;
    Ok((status, String::from_utf8(body).unwrap()))
}

fn pod_of(answer: &(u16, String)) -> String {
    let body: Value = serde_json::from_str(&answer.1).expect("a body of the server's");
    body["pod"].as_str().expect("it has a name").to_owned()
}

async fn until(events: &mut Events, what: &str, is_it: impl Fn(&Event) -> bool) {
    let found = async {
        loop {
            let event = events.next().await.expect("the forward goes on");
            if is_it(&event) {
                return;
            }
        }
    };
    assert!(timeout(DEADLINE, found).await.is_ok(), "it was never told that {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_while_all_pods_are_replaced_twice() {
    const REQUESTS: usize = 1000;
    let namespace = serving("replaced", 2).await;
    let forward = open(&namespace, "web:80", PATIENCE).await;
    let local = forward.local();
    let (replaced, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (answered, mut seen) = watch::channel(BTreeSet::new());
    let answered = Arc::new(answered);
    let clients = [(); 4].map(|()| {
        let (replaced, made, answered) = (Arc::clone(&replaced), Arc::clone(&made), Arc::clone(&answered));
        tokio::spawn(async move {
            while made.fetch_add(1, Ordering::Relaxed) < REQUESTS || !replaced.load(Ordering::Relaxed) {
                let answer = ask(local, "/").await.expect("every request is answered");
                assert_eq!(answer.0, 200);
                answered.send_if_modified(|pods| pods.insert(pod_of(&answer)));
            }
        })
    });
    // Each pair of pods has answered before the next takes its place.
    timeout(DEADLINE, seen.wait_for(|pods| pods.len() >= 2)).await.expect("both answer").unwrap();
    for round in [2, 3] {
        let annotations = json!({"metadata": {"annotations": {"round": round.to_string()}}});
        namespace.change("web", &json!({"spec": {"template": annotations}})).await;
        settled(&namespace, "web").await;
        timeout(DEADLINE, seen.wait_for(|pods| pods.len() >= 2 * round)).await.expect("both answer").unwrap();
    }
    replaced.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("no request fails");
    }
    assert!(made.load(Ordering::Relaxed) >= REQUESTS);
    assert_eq!(seen.borrow().len(), 6, "those before, those between and those after, and no others");
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn whatever_goes_over_tcp_passes_in_both_directions_without_being_held_back() {
    let namespace = serving("bytes", 1).await;
    let forward = open(&namespace, "web:80", PATIENCE).await;
    let local = forward.local();

    // Each event is sent only when somebody has seen the one before.
    let mut stream = BufReader::new(TcpStream::connect(local).await.unwrap());
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut events = stream.lines();
    for number in 0..20 {
        let wanted = format!("data: {number}");
        while events.next_line().await.unwrap().expect("the stream goes on") != wanted {}
        assert_eq!(ask(local, "/next").await.unwrap().0, 200);
    }

    let stream = TcpStream::connect(local).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("ws://localhost/socket", stream).await.expect("it upgrades");
    for size in [0, 1, 125, 126, 5_000, 65_000] {
        let message = Message::text("x".repeat(size));
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }

    // Somebody who reads nothing stops nobody else.
    let mut idle = TcpStream::connect(local).await.unwrap();
    idle.write_all(b"GET /bytes/30000000 HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let (status, body) = ask(local, "/bytes/5000000").await.unwrap();
    assert_eq!((status, body.len()), (200, 5_000_000));
    let (status, body) = answer(&mut BufReader::new(idle)).await.unwrap();
    assert_eq!((status, body.len()), (200, 30_000_000), "what was left unread is still there");

    let sent = vec![7; 5_000_000];
    let mut stream = BufReader::new(TcpStream::connect(local).await.unwrap());
    let head = format!("POST /sum HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", sent.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    let digest = "ceff544f043263133610e51a0a4df2f055d9148868025210317feb39c9c0d411";
    assert_eq!(answer(&mut stream).await.unwrap(), (200, digest.to_owned()));
    // The same connection is used again, as browsers do.
    stream.write_all(b"GET /again HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    assert_eq!(answer(&mut stream).await.unwrap().0, 200);

    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let namespace = serving("half", 1).await;
    let forward = open(&namespace, "web:count", PATIENCE).await;
    let mut stream = TcpStream::connect(forward.local()).await.unwrap();
    stream.write_all(&vec![1; 300_000]).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "300000");
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn connections_wait_until_a_pod_is_ready_and_the_port_outlives_them_all() {
    let namespace = Namespace::make("outlives").await;
    // Before there is even a Service.
    let forward = open(&namespace, "web:80", PATIENCE).await;
    let (local, mut events) = (forward.local(), forward.events());
    let early = tokio::spawn(async move { ask(local, "/early").await });
    until(&mut events, "it waits", |event| matches!(event, Event::Waiting(_))).await;
    namespace.apply(&service("web", 80)).await;
    namespace.apply(&deployment("web", 0, server())).await;
    settled(&namespace, "web").await;
    let waiting = join_all([(); 8].map(|()| ask(local, "/")));
    let waiting = async {
        namespace.change("web", &json!({"spec": {"replicas": 1}})).await;
        waiting.await
    };
    let mut pods = BTreeSet::new();
    let answers = timeout(DEADLINE, waiting).await.expect("a pod becomes ready");
    pods.extend(answers.into_iter().map(|answer| pod_of(&answer.expect("connections wait"))));
    pods.insert(pod_of(&early.await.unwrap().expect("so does the first")));
    assert_eq!(pods.len(), 1);

    // A connection that has not said anything yet is not lost with its pod.
    let mut silent = TcpStream::connect(local).await.unwrap();
    namespace.kill_pods("web").await;
    let gone = pods.clone();
    until(
        &mut events,
        "another pod serves",
        |event| matches!(event, Event::Pods(now) if now.iter().any(|pod| !gone.contains(pod))),
    )
    .await;
    pods.insert(pod_of(&ask(local, "/").await.expect("the port is still there")));
    assert_eq!(pods.len(), 2);
    silent.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let answer = timeout(DEADLINE, answer(&mut BufReader::new(silent))).await.expect("it is answered");
    assert!(pods.contains(&pod_of(&answer.unwrap())));
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn what_no_pod_has_taken_is_sent_again() {
    let namespace = Namespace::make("late").await;
    namespace.apply(&service("web", 80)).await;
    // Ready at once, and deaf for a while: what a process that is started again in its container looks like.
    let mut pod = server();
    pod["containers"][0]["env"] = json!([{"name": "LATE", "value": "4"}]);
    pod["containers"][0]["readinessProbe"] = Value::Null;
    namespace.apply(&deployment("web", 1, pod)).await;
    let forward = open(&namespace, "web:80", PATIENCE).await;
    let (local, mut events) = (forward.local(), forward.events());
    until(&mut events, "a pod is ready", |event| matches!(event, Event::Pods(pods) if !pods.is_empty())).await;
    let asked = tokio::spawn(async move { ask(local, "/late").await });
    until(
        &mut events,
        "the pod refuses",
        |event| matches!(event, Event::Waiting(why) if why.message.contains("took no connection")),
    )
    .await;
    let answer = timeout(DEADLINE, asked).await.expect("it listens in the end").unwrap();
    assert_eq!(answer.expect("nothing was lost").0, 200);
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn a_connection_waits_no_longer_than_it_is_told_to_and_the_reason_is_told() {
    let namespace = Namespace::make("patience").await;
    namespace.apply(&service("web", 80)).await;
    let forward = open(&namespace, "web:80", Duration::from_millis(300)).await;
    let mut events = forward.events();
    let error = ask(forward.local(), "/").await.expect_err("there is no pod");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "it does not look like an answer");
    until(
        &mut events,
        "it was given up",
        |event| matches!(event, Event::Dropped(why) if why.to_string().contains("its selector matches no pod")),
    )
    .await;
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn a_port_that_is_handed_over_is_open_all_the_time() {
    let namespace = serving("handed", 1).await;
    let forward = open(&namespace, "web:80", PATIENCE).await;
    let local = forward.local();
    assert_eq!(ask(local, "/").await.expect("it answers").0, 200);
    let socket = forward.hand_over(PATIENCE).await;
    let mut waiting = TcpStream::connect(local).await.expect("nobody serves it, and it listens");
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let world = Arc::new(World::of_context(context()));
    let at = At::parse(namespace.name(), "web:80");
    let forward = Forward::on(world, at, socket, PATIENCE).expect("the socket can be used");
    assert_eq!(answer(&mut BufReader::new(waiting)).await.expect("it is answered").0, 200);
    forward.close().await;
    namespace.remove().await;
}

#[tokio::test]
async fn a_port_in_use_is_told_with_who_has_it_and_the_next_free_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let world = Arc::new(World::of_context(context()));
    let opened = Forward::open(world, At::parse("default", "kubernetes:443"), port, PATIENCE).await;
    let taken = opened.err().expect("it is in use");
    assert!(taken.failure.message.contains(&format!("process {}", std::process::id())), "{}", taken.failure);
    assert!(taken.free.is_some_and(|free| free > port && free <= port + 100), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_a_port_that_was_closed() {
    let namespace = serving("closed", 1).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..3 {
        let world = Arc::new(World::of_context(context()));
        let shared = Arc::downgrade(&world);
        let at = At::parse(namespace.name(), "web:80");
        let forward = Forward::open(world, at, 0, PATIENCE).await.expect("a free port can be bound");
        let local = forward.local();
        assert!(join_all([(); 16].map(|()| ask(local, "/"))).await.iter().all(Result::is_ok));
        let mut events = BufReader::new(TcpStream::connect(local).await.unwrap());
        events.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        events.read_line(&mut String::new()).await.unwrap();
        assert!(tasks() > before, "a connection is carried");
        forward.close().await;
        let mut rest = Vec::new();
        let _ = events.read_to_end(&mut rest).await;
        drop(events);
        assert!(TcpStream::connect(local).await.is_err(), "nobody listens any more");
        // The connections to the API server are in tasks of the library's, which end as soon as they see it.
        let over = async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(DEADLINE, over).await.is_ok(), "{} tasks are left, {before} were there", tasks());
        assert!(shared.upgrade().is_none(), "nobody holds what belonged to it, open tunnels among that");
    }
    namespace.remove().await;
}
