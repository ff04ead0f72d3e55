//! API servers that do not answer, or not as they should: every command says what to do about it, and Ctrl-C ends it
//! while it waits. Nothing here needs a cluster.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use rustix::process::Signal;

use crate::project::Project;
use crate::ran::Ran;
use crate::running::Running;

/// What tells the cluster that the graph file means.
const UID: &str = "0b3c6b1e-0000-4000-8000-000000000000";

/// What an API server says when it is asked who it is.
#[derive(Clone, Copy)]
enum Hello {
    /// Nothing, ever.
    Silence,
    /// That it is the cluster which is meant; whatever else it is asked, it does not answer.
    Meant,
    /// Something without a uid.
    Nobody,
}

/// An API server on a port of this machine, which tells what it is asked.
struct Server {
    port: u16,
    asked: Receiver<String>,
}

impl Server {
    fn start(hello: Hello) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let port = listener.local_addr().expect("it has an address").port();
        let (sender, asked) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sender = sender.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    while let Some(path) = request(&mut reader) {
                        // The test may have seen enough.
                        let _ = sender.send(path.clone());
                        if !answer(&stream, hello, &path) {
                            // Until whoever asks has had enough of it.
                            let _ = std::io::copy(&mut reader, &mut std::io::sink());
                        }
                    }
                });
            }
        });
        Self { port, asked }
    }

    /// Returns when it is asked for a path that is, or is not, the one by which clusters are known.
    #[track_caller]
    fn until_asked(&self, who: bool) {
        while self.asked.recv().expect("it is asked").contains("/namespaces/kube-system") != who {}
    }
}

/// The path of the next request.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut lines = reader.lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let first = lines.next()?;
    lines.for_each(drop);
    first.split(' ').nth(1).map(str::to_owned)
}

/// Answers, if it does.
fn answer(mut stream: &TcpStream, hello: Hello, path: &str) -> bool {
    let uid = match hello {
        Hello::Meant if path.contains("/namespaces/kube-system") => format!(r#", "uid": "{UID}""#),
        Hello::Nobody => String::new(),
        Hello::Silence | Hello::Meant => return false,
    };
    let body = format!(
        r#"{{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {{"name": "kube-system"{uid}}}}}"#
    );
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).is_ok()
}

/// A project in the cluster of the context `meant`.
fn project(name: &str) -> Project {
    let graph = format!(
        "project = \"unreachable\"\n\n[cluster]\ndriver = \"context\"\ncontext = \"meant\"\nidentity = \"{UID}\"\n\n\
         [release.one]\nchart = \"chart\"\nnamespace = \"one\"\n\n\
         [check.one]\nservice = \"one:80\"\nget = \"/\"\nafter = []\n"
    );
    let chart = "apiVersion: v2\nname: one\nversion: 0.1.0\n";
    Project::of_files(name, "meant", &[("xtask.toml", &graph), ("chart/Chart.yaml", chart)])
}

/// The path of a kubeconfig of the project's own, which knows the context `known` of a cluster at `server`.
fn kubeconfig(project: &Project, known: &str, server: &str) -> String {
    let config = format!(
        "{{apiVersion: v1, kind: Config, clusters: [{{name: c, cluster: {{{server}}}}}], users: [], \
         contexts: [{{name: {known}, context: {{cluster: c, user: \"\"}}}}]}}\n"
    );
    project.write("kubeconfig", &config);
    project.path("kubeconfig").display().to_string()
}

fn at(port: u16) -> String {
    format!("server: \"http://127.0.0.1:{port}\"")
}

#[test]
fn whatever_is_wrong_with_the_way_to_a_cluster_has_a_next_step() {
    let (silent, nobody) = (Server::start(Hello::Silence), Server::start(Hello::Nobody));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let project = project("unreachable");
    let rows = [
        ("other", at(closed), "has no context `meant`", "help: name one of these in the table [cluster]"),
        (
            "meant",
            format!("{}, certificate-authority-data: \"?\"", at(closed)),
            "could not use the kubeconfig context `meant`",
            "help: see what is wrong with it: kubectl --context meant",
        ),
        ("meant", at(closed), "does not answer", "help: is the cluster running"),
        ("meant", at(silent.port), "no reply within 10s", "help: is the cluster running"),
        ("meant", at(nobody.port), "gives no uid to kube-system", "help: something else than Kubernetes"),
    ];
    for (known, server, wrong, help) in rows {
        let mut command = project.command(&["teardown"]);
        let output = command.env("KUBECONFIG", kubeconfig(&project, known, &server)).output();
        let output = output.expect("the binary can be run");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{server}:\n{said}");
        assert!(said.contains(wrong) && said.contains(help), "{server}: {wrong:?} and {help:?} are not said:\n{said}");
    }
}

#[test]
fn ctrl_c_ends_every_command_while_nobody_answers() {
    let project = project("interrupted");
    let meant = Server::start(Hello::Meant);
    let config = kubeconfig(&project, "meant", &at(meant.port));
    let deployed = project.command(&["deploy", "cluster"]).env("KUBECONFIG", &config).output();
    assert!(deployed.expect("the binary can be run").status.success(), "the cluster is known from now on");

    // While it is asked who it is, and while it is asked something else.
    let rows: [(&[&str], &[bool]); 10] = [
        (&["teardown"], &[true, false]),
        (&["teardown", "--dry-run"], &[true, false]),
        (&["check"], &[true, false]),
        (&["logs"], &[true, false]),
        (&["logs", "--follow"], &[true, false]),
        (&["forward", "one:80"], &[true, false]),
        (&["status"], &[true, false]),
        (&["rollback"], &[true, false]),
        (&["explain"], &[true]),
        (&["deploy"], &[true, false]),
    ];
    for (command, moments) in rows {
        for who in moments {
            let server = Server::start(if *who { Hello::Silence } else { Hello::Meant });
            let config = kubeconfig(&project, "meant", &at(server.port));
            let running = Running::start_with(&project, command, &[("KUBECONFIG", &config)]);
            server.until_asked(*who);
            let traces = running.traces();
            running.signal(Signal::INT);
            let ran = running.ended().expect_code(130);
            assert_eq!(traces.left(), Vec::<String>::new(), "{command:?}: nothing of it goes on");
            assert_eq!(ran.steps("failed"), Vec::<&str>::new(), "{command:?}: to be stopped is no failure");
        }
    }
}

/// What minikube knows of a profile whose node is gone, made for `project`.
fn profile(project: &str) -> String {
    format!(
        r#"{{"Driver": "docker", "DockerOpt": ["label=dev.xtask.project={project}"],
            "KubernetesConfig": {{"KubernetesVersion": "v1.34.4", "ContainerRuntime": "docker"}},
            "Nodes": [{{"IP": "192.0.2.1", "Port": 8443}}]}}"#
    )
}

#[test]
fn a_minikube_cluster_need_not_run_to_be_removed_nor_be_there_to_have_nothing_in_it() {
    const PROFILE: &str = "xtask-unreachable";
    let graph = format!(
        "project = \"unreachable\"\n\n[cluster]\ndriver = \"minikube\"\nprofile = \"{PROFILE}\"\n\n\
         [release.one]\nchart = \"chart\"\nnamespace = \"one\"\n"
    );
    let chart = "apiVersion: v2\nname: one\nversion: 0.1.0\n";
    let project = Project::of_files("no-node", PROFILE, &[("xtask.toml", &graph), ("chart/Chart.yaml", chart)]);
    let ran = |command: &[&str]| {
        let mut program = project.command(command);
        program.env("MINIKUBE_HOME", project.path("home")).env("KUBECONFIG", project.path("kubeconfig"));
        Ran::new(command, program.output().expect("the binary can be run"))
    };
    let all: &[&str] = &["teardown", "--cluster", "--data"];
    let listing: &[&str] = &["teardown", "--cluster", "--data", "--dry-run"];

    for command in [&["teardown"][..], &["teardown", "--data"], all] {
        let said = ran(command).expect_success().stderr;
        assert!(said.contains("nothing of this project is deployed"), "{command:?}:\n{said}");
    }

    let (starts, removes) = ("`cargo xtask deploy cluster`", "`cargo xtask teardown --cluster --data`");
    let config = format!("home/.minikube/profiles/{PROFILE}/config.json");
    project.write(&config, &profile("unreachable"));
    for command in [&["teardown"][..], &["teardown", "--dry-run"], &["teardown", "--data"], &["teardown", "--cluster"]]
    {
        let said = ran(command).expect_code(3).stderr;
        for words in ["has lost its node", starts, removes] {
            assert!(said.contains(words), "{command:?}: {words:?} is not said:\n{said}");
        }
    }
    let said = ran(listing).expect_success().stdout;
    assert_eq!(said.trim(), format!("Removing minikube cluster {PROFILE} with all that is in it"));

    // Somebody else's is not removed, and nobody is told that it would be.
    project.write(&config, &profile("other"));
    for command in [&["teardown"][..], listing] {
        let Ran { stdout, stderr, .. } = ran(command).expect_code(3);
        assert!(stdout.contains("Keeping minikube cluster"), "{command:?}:\n{stdout}");
        assert!(stderr.contains(starts) && !stderr.contains(removes), "{command:?}:\n{stderr}");
    }
}
