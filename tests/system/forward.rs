//! A pod of the test cluster, asked over a port that kubectl leads to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::{self, JoinHandle};

use crate::cluster::Cluster;
use crate::project::NAMESPACE;

/// A port of this machine that leads to one of a pod.
pub struct Forward {
    kubectl: Child,
    port: u16,
    /// kubectl writes a line for each connection, and ends where nobody could read it.
    _said: BufReader<ChildStdout>,
}

impl Forward {
    /// To the one pod of `component`.
    #[track_caller]
    pub fn to(cluster: &Cluster, component: &str, port: u16) -> Self {
        let pods = cluster.pods(component);
        assert_eq!(pods.len(), 1, "one pod of {component} stays: {pods:?}");
        let pod = format!("pod/{}", pods.keys().next().expect("there is one"));
        let mut kubectl = Command::new("kubectl")
            .args(["--context", &cluster.context, "--namespace", NAMESPACE, "port-forward", &pod])
            .arg(format!(":{port}"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("kubectl is there");
        let mut line = String::new();
        let mut said = BufReader::new(kubectl.stdout.take().expect("a pipe"));
        said.read_line(&mut line).expect("kubectl says where");
        // Forwarding from 127.0.0.1:40123 -> 8000
        let local = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
        let port = local.and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("kubectl does not lead to {pod}: {line:?}"));
        Self { kubectl, port, _said: said }
    }

    /// The status of the answer to `GET path`, and its body.
    #[track_caller]
    pub fn get(&self, path: &str, bearer: Option<&str>) -> (u16, String) {
        get(self.port, path, bearer)
    }
}

/// The status of the answer to `GET path` at a port of this machine, and its body.
#[track_caller]
pub fn get(port: u16, path: &str, bearer: Option<&str>) -> (u16, String) {
    let authorization = bearer.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("somebody listens");
    stream.write_all(request.as_bytes()).expect("the pod reads");
    // Just as much as is announced: kubectl may reset a connection that the pod has closed.
    let mut answer = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(answer.read_line(&mut head).expect("the pod answers"), 0, "an answer has an end: {head:?}");
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    answer.read_exact(&mut body).expect("the answer has a body");
    let status = status.unwrap_or_else(|| panic!("no answer of HTTP: {head:?}"));
    (status, String::from_utf8_lossy(&body).into_owned())
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

/// Asks for `path` again and again until told to stop; how often it was answered, and what went wrong.
pub fn asking(port: u16, path: &'static str, stop: Receiver<()>) -> JoinHandle<(u32, Vec<String>)> {
    thread::spawn(move || {
        let (mut answered, mut failed) = (0, Vec::new());
        while stop.try_recv() == Err(TryRecvError::Empty) {
            match std::panic::catch_unwind(|| get(port, path, None)) {
                Ok((200, _)) => answered += 1,
                Ok((status, body)) => failed.push(format!("{status}: {body}")),
                Err(_) => failed.push("no answer".to_owned()),
            }
        }
        (answered, failed)
    })
}
