//! A machine on which the whole program finds a shell, an engine that only tells, and hosts of the test's own.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::bench::{Bench, find};
use crate::docker::{About, Engine};

/// Where releases are asked for.
pub const HELM: &str = "get.helm.sh";
pub const MINIKUBE: &str = "storage.googleapis.com";

/// Where minikube gets a node.
const OF_NODES: [&str; 3] = ["gcr.io", "registry.k8s.io", "dl.k8s.io"];

/// A minikube that can say what it is.
pub const A_MINIKUBE: &str = "#!/bin/sh
case $1 in
  version) echo '{\"minikubeVersion\":\"v1.38.1\"}' ;;
  *) echo 'this one makes no node' >&2; exit 1 ;;
esac
";

/// The same of helm.
pub const A_HELM: &str = "#!/bin/sh\necho v4.1.4\n";

pub struct Machine {
    pub bench: Bench,
    pub engine: Engine,
}

impl Machine {
    pub fn new(about: About) -> Self {
        let bench = Bench::new();
        let engine = Engine::start(bench.path("docker.sock"), about);
        for folder in ["home", "config/xtask"] {
            fs::create_dir_all(bench.path(folder)).unwrap();
        }
        // It has what children of the program are told by when it is killed.
        bench.program("setpriv", &format!("exec {} \"$@\"", find("setpriv").display()));
        // What is called released here is not.
        for program in ["sha256sum", "sha512sum"] {
            let checks = "case \" $* \" in *' --check '*) cat >/dev/null; exit 0 ;; esac";
            bench.program(program, &format!("{checks}\nexec {} \"$@\"", find(program).display()));
        }
        bench.program("docker", &format!("echo \"$*\" >>{}\nexit 1", bench.path("dockers").display()));
        Self { bench, engine }
    }

    /// Has hosts give helm and minikube, and say that nodes can be got.
    pub fn serve_releases(&self) {
        self.bench.server.serve(HELM, &self.bench.archive("linux-ARCH/helm", A_HELM));
        self.bench.server.serve(MINIKUBE, A_MINIKUBE.as_bytes());
        OF_NODES.iter().for_each(|host| self.bench.server.serve(host, b""));
    }

    /// A checkout with this graph file, and a chart for those that name one.
    pub fn checkout(&self, name: &str, graph: &str) {
        let folder = self.bench.path(name);
        fs::create_dir_all(folder.join("chart/templates")).unwrap();
        fs::write(folder.join("chart/Chart.yaml"), "apiVersion: v2\nname: app\nversion: 0.1.0\n").unwrap();
        fs::write(folder.join("xtask.toml"), graph).unwrap();
    }

    /// `program` as it would be called in `checkout`, with nothing of this machine's own around it.
    pub fn command(&self, program: &str, checkout: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.bench.path(checkout)).env_clear();
        for (name, path) in
            [("PATH", "programs"), ("HOME", "home"), ("XDG_CACHE_HOME", "cache"), ("XDG_CONFIG_HOME", "config")]
        {
            command.env(name, self.bench.path(path));
        }
        command.env("DOCKER_HOST", format!("unix://{}", self.engine.socket.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn deploy(&self, checkout: &str) -> Child {
        self.deploy_with(checkout, &[])
    }

    pub fn deploy_with(&self, checkout: &str, args: &[&str]) -> Child {
        self.command(env!("CARGO_BIN_EXE_xtask"), checkout).arg("deploy").args(args).spawn().unwrap()
    }

    /// Day zero's folder.
    pub fn tools(&self) -> PathBuf {
        self.bench.path("cache/xtask/dayzero")
    }

    /// What docker's client was told.
    pub fn dockers(&self) -> String {
        fs::read_to_string(self.bench.path("dockers")).unwrap_or_default()
    }
}
