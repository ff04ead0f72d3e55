//! A pod of the test cluster, asked over a port that kubectl leads to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::cluster::Cluster;
use crate::project::NAMESPACE;

/// A port of this machine that leads to one of a pod.
pub struct Forward {
    kubectl: Child,
    port: u16,
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
        BufReader::new(kubectl.stdout.take().expect("a pipe")).read_line(&mut line).expect("kubectl says where");
        // Forwarding from 127.0.0.1:40123 -> 8000
        let local = line.split("127.0.0.1:").nth(1).and_then(|rest| rest.split(' ').next());
        let port = local.and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("kubectl does not lead to {pod}: {line:?}"));
        Self { kubectl, port }
    }

    /// The status of the answer to `GET path`, and its body.
    #[track_caller]
    pub fn get(&self, path: &str, bearer: Option<&str>) -> (u16, String) {
        let authorization = bearer.map(|key| format!("Authorization: Bearer {key}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{authorization}Connection: close\r\n\r\n");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("kubectl listens");
        stream.write_all(request.as_bytes()).expect("the pod reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the pod answers");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
        (status.unwrap_or_else(|| panic!("no answer of HTTP: {answer:?}")), body)
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}
