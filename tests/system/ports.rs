//! `forward` while the API server goes away: the local port stays, connections wait, and what happens is said once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;

use rustix::process::Signal;
use serde_json::Value;

use crate::project::Project;
use crate::running::Running;
use crate::way::{CONTEXT, Way};

const NAMESPACE: &str = "ports-test";

fn ask(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the port is there");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn a_port_outlives_the_way_to_the_api_server() {
    let graph = format!("project = \"ports-test\"\n\n[cluster]\ndriver = \"context\"\ncontext = \"{CONTEXT}\"\n");
    let context = crate::cluster::Cluster::of_environment().context;
    let mut project = Project::of_files("ports", &context, &[("xtask.toml", &graph)]);
    project.cluster = project.cluster.in_namespace(NAMESPACE);
    project.write("server.yaml", include_str!("fixtures/server.yaml"));
    let objects = project.path("server.yaml");
    project.cluster.kubectl(&["create", "namespace", NAMESPACE]);
    project.cluster.kubectl(&["apply", "--filename", objects.to_str().expect("the path is text")]);
    project.cluster.kubectl(&["rollout", "status", "deployment/server", "--timeout=120s"]);

    let way = Way::of(&project);
    let service = format!("{NAMESPACE}/server:80=0");
    let mut running = Running::start_with(&project, &["forward", &service], &[way.variable()]);
    let traces = running.traces();
    let port = Mutex::new(0);
    running.until("a port is there", |event| {
        let local = event["local"].as_str().and_then(|local| local.rsplit(':').next()?.parse().ok());
        *port.lock().expect("one thread") = local.unwrap_or_default();
        local.is_some()
    });
    let port = port.into_inner().expect("one thread");
    assert_eq!(ask(port), "HTTP/1.1 200 OK");

    // What was connected is cut, and nothing else happens: the next connection finds another way.
    way.cut();
    assert_eq!(ask(port), "HTTP/1.1 200 OK");

    let is = |event: &Value, name: &str| event["event"] == name;
    // The second time nothing behind the port has changed.
    for _ in 0..2 {
        way.close();
        running.until("the API server is away", |event| is(event, "lost"));
        let waiting = std::thread::spawn(move || ask(port));
        running.until("a connection waits", |event| is(event, "waiting"));
        way.mend();
        running.until("it is back", |event| is(event, "back"));
        assert_eq!(waiting.join().expect("it is answered"), "HTTP/1.1 200 OK", "it has waited");
        assert_eq!(ask(port), "HTTP/1.1 200 OK");
    }

    running.signal(Signal::INT);
    let ran = running.ended().expect_code(130);
    let told = |name: &str| ran.events.iter().filter(|event| is(event, name)).count();
    assert_eq!((told("lost"), told("back")), (2, 2), "{}", ran.stdout);
    assert_eq!(traces.left(), Vec::<String>::new());
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
    project.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
}
