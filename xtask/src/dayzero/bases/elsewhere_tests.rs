//! Image steps whose base is lacking, in a node of our own and in one that is somebody else's.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use engine::digest::Digest;
use engine::files::Gatherer;
use engine::receipt::Output;
use engine::run::Job;
use engine::step::{Kind, StepId};
use engine::verdict::{Reason, Verdict};
use serde_json::json;
use tokio::sync::mpsc::unbounded_channel;

use crate::context::Context;
use crate::steps::{self, Mode};
use crate::workspace::Workspace;
use crate::world::World;
use crate::world::daemon::Daemon;

const GRAPH: &str = "project = \"elsewhere\"
[cluster]
driver = \"context\"
context = \"theirs\"
[image.app]
context = \"app\"
";

/// A daemon that has no image and builds none; what it was asked for is kept.
fn serve(socket: &Path) -> Arc<Mutex<String>> {
    let (listener, asked) = (UnixListener::bind(socket).unwrap(), Arc::new(Mutex::new(String::new())));
    let shared = Arc::clone(&asked);
    // It ends with the tests' process.
    std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|stream| answer(stream, &shared)));
    asked
}

fn answer(mut stream: UnixStream, asked: &Mutex<String>) {
    let mut request = [0; 4096];
    let length = stream.read(&mut request).unwrap_or(0);
    let request = String::from_utf8_lossy(&request[..length]).into_owned();
    let first = request.lines().next().unwrap_or_default();
    asked.lock().unwrap().push_str(&format!("{first}\n"));
    let (status, body) = if first.contains("/images/json") { ("200 OK", "[]") } else { ("500 No", "{}") };
    let head = format!("HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nConnection: close\r\n");
    // Whoever asked may be gone.
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

#[tokio::test]
async fn a_cluster_that_was_there_already_is_given_no_upstream_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("app")).unwrap();
    fs::write(folder.path().join("app/Dockerfile"), "FROM alpine:3\n").unwrap();
    fs::write(folder.path().join("xtask.toml"), GRAPH).unwrap();
    let (file, graph) = engine::graph::load(&folder.path().join("xtask.toml")).unwrap();
    let step = StepId::new(Kind::Image, "app");
    let steps = steps::of_graph_file(&file, &graph, Mode::Deploy);
    let socket = folder.path().join("docker.sock");
    let asked = serve(&socket);

    let workspace = Workspace::at(folder.path());
    let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
    let (sender, _events) = unbounded_channel();
    let world = Arc::new(World::of_context("theirs"));
    world.found_node(Some(Daemon::Socket(socket))).await;
    let cx = Context::new(workspace, "elsewhere".into(), world, gatherer, 1, sender);
    let facts = json!({"context": "theirs", "profile": null, "uid": "1", "kubernetes": null, "daemon_api": null});
    cx.set_output(&StepId::cluster(), Output { facts, digest: Digest::of_bytes(b"theirs") });

    let manifest = steps[&step].gather(&cx).await.unwrap();
    let job = Job { manifest, verdict: Verdict::Stale(vec![Reason::NeverRun]), previous: None };
    let failure = steps[&step].perform(&cx, &job).await.map(drop).unwrap_err();
    let asked = asked.lock().unwrap().clone();
    // It went on to the build, which names the line; nobody has pulled anything, or said that it could be assembled.
    assert!(asked.contains("/session") && !asked.contains("/images/create"), "{asked}");
    assert!(!failure.to_string().contains("cannot be got on this machine"), "{failure:?}");
}
