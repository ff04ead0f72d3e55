//! Base images: pulled, else assembled, else left alone, by what registries and the engine say.

use std::env;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use engine::event::Event;
use engine::files::Gatherer;
use engine::step::{Kind, StepId};
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;
use xtask::context::Context;
use xtask::dayzero::bases::{self, Wanted};
use xtask::workspace::Workspace;
use xtask::world::World;
use xtask::world::daemon::Daemon;

use crate::bench::ended;
use crate::docker::About;
use crate::machine::Machine;

const DOCKER_HUB: &str = "registry-1.docker.io";

/// What a registry says that has given too much.
const LIMIT: &str = "toomanyrequests: the limit is reached";

/// By what trees of Debian packages are believed; installed where it is not there, which no test does.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A machine whose docker pulls what `pulls` says, and whose package manager makes trees of nothing.
fn machine(about: About, pulls: bool) -> Machine {
    let machine = Machine::new(about);
    machine.checkout("checkout", "project = \"day-zero-test\"\n");
    let pull = if pulls { ":".to_owned() } else { format!("echo '{LIMIT}' >&2; exit 1") };
    let log = machine.bench.path("dockers");
    let docker = format!(
        "echo \"$*\" >>{}\ncase \"$1 $2\" in pull*) {pull} ;; 'image inspect') exit 1 ;; save*) echo archive ;; \
         build*) echo \"with $PIP_INDEX_URL $NPM_CONFIG_REGISTRY $HTTPS_PROXY\" >>{} ;; esac",
        log.display(),
        log.display()
    );
    machine.bench.program("docker", &docker);
    machine.bench.program("apt-get", "echo 'https://debian.invalid/debian/ bookworm Debian'");
    machine.bench.program("mmdebstrap", "for word; do case $word in */rootfs.tar) : >\"$word\" ;; esac; done");
    machine.bench.server.serve("debian.invalid", b"");
    machine
}

/// What comes of it when `name` is wanted by line 3 of a Dockerfile.
fn provide(machine: &Machine, name: &str) -> Value {
    provide_in(machine, name, 1, &[])
}

/// The same in the last of so many runs of one process, as a loop has them, with further variables.
fn provide_in(machine: &Machine, name: &str, runs: u64, variables: &[(&str, &str)]) -> Value {
    let told = machine.bench.path("told");
    let program = env::current_exe().unwrap();
    let mut command = machine.command(&program.to_string_lossy(), "checkout");
    command.args(["--exact", "bases::in_a_process_of_its_own", "--ignored"]);
    command.env("BASE_WANTED", name).env("BASE_TOLD", &told).env("BASE_RUNS", runs.to_string());
    let ran = ended(command.envs(variables.iter().copied()).spawn().unwrap());
    assert!(ran.success, "{}{}", ran.stdout, ran.stderr);
    serde_json::from_slice(&fs::read(told).unwrap()).unwrap()
}

/// `PATH` and the memory of hosts are a process's.
#[tokio::test]
#[ignore = "a part of the tests beside it"]
async fn in_a_process_of_its_own() {
    let (Ok(name), Some(told)) = (env::var("BASE_WANTED"), env::var_os("BASE_TOLD")) else { return };
    let (sender, mut events) = unbounded_channel();
    let workspace = Workspace::at(env::current_dir().unwrap());
    let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
    let wanted = [Wanted { name: &name, place: "backend/Dockerfile:3".to_owned() }];
    let daemon = Daemon::of_host().unwrap();
    let mut came = Value::Null;
    for run in 1..=env::var("BASE_RUNS").unwrap().parse().unwrap() {
        let (workspace, gatherer, world) = (workspace.clone(), gatherer.clone(), World::of_context(""));
        let cx = Context::new(workspace, "test".into(), Arc::new(world), gatherer, run, sender.clone());
        came = match bases::provide(&cx, &StepId::new(Kind::Image, "backend"), &daemon, &wanted).await {
            Ok(came) => json!(came),
            Err(failure) => {
                let lines = [vec![failure.message], failure.causes, failure.help].concat();
                json!(lines.join("\n"))
            }
        };
    }
    drop(sender);
    let mut notes = Vec::new();
    while let Some(event) = events.recv().await {
        if let Event::Note { text, .. } = event {
            notes.push(text);
        }
    }
    fs::write(told, json!({"came": came, "notes": notes}).to_string()).unwrap();
}

#[test]
fn a_base_is_pulled_else_assembled_and_never_over_one_that_is_there() {
    const PROXY: &str = "http://proxy.invalid:3128";
    /// The image, whether its registry answers, what the engine says, and whether a pull succeeds.
    type Case = (&'static str, bool, About, bool);
    let about = |images: &[&'static str], proxy| About { images: images.to_vec(), proxy };
    let silence = format!("{DOCKER_HUB} does not answer");
    let rows: [(Case, &[&str], Value, String); 7] = [
        (("postgres:17", true, about(&[], ""), true), &["pull"], json!(true), String::new()),
        // A registry that answers need not give it.
        (("postgres:17", true, about(&[], ""), false), &["pull", "build"], json!(true), LIMIT.to_owned()),
        (("postgres:17", false, about(&[], ""), true), &["build"], json!(true), silence),
        // The engine knows a way of which nobody here was told.
        (("postgres:17", false, about(&[], PROXY), true), &["pull"], json!(true), String::new()),
        (("postgres:17", false, about(&["postgres:17"], ""), true), &[], json!(false), String::new()),
        // It can be neither: the build says so, and where.
        (("someone/app:1", false, about(&[], ""), true), &[], json!(false), String::new()),
        (("someone/app:1", true, about(&[], ""), false), &["pull"], json!(false), String::new()),
    ];
    for ((name, answers, about, pulls), expected, came, because) in rows {
        let case = format!("{name} {answers} {:?} {:?} {pulls}", about.images, about.proxy);
        if expected.contains(&"build") && !Path::new(KEYS).is_file() {
            continue;
        }
        let machine = machine(about, pulls);
        if answers {
            machine.bench.server.serve(DOCKER_HUB, b"");
        }
        // What an assembly has left that was killed.
        let left = machine.bench.path("cache/xtask/bases/.work.killed");
        fs::create_dir_all(&left).unwrap();
        let told = provide(&machine, name);
        assert_eq!(told["came"], came, "{case}: {told}");
        let done = machine.dockers();
        let done: Vec<&str> = done.lines().filter_map(|line| line.split(' ').next()).collect();
        let done: Vec<&str> = done.into_iter().filter(|verb| ["pull", "build"].contains(verb)).collect();
        assert_eq!(done, expected, "{case}: {told}");
        let assembled = format!("{name} was assembled from Debian packages: {because}");
        let notes = told["notes"].as_array().unwrap();
        assert_eq!(notes.contains(&json!(assembled)), expected.contains(&"build"), "{case}: {told}");
        assert_eq!(left.exists(), !expected.contains(&"build"), "{case}");
        if told["came"] == json!(false) && !answers && name == "postgres:17" {
            assert_eq!(machine.bench.server.asked(DOCKER_HUB), 0, "nobody is asked for what is there");
        }
    }
}

#[test]
fn a_registry_that_was_silent_in_one_run_of_a_loop_is_asked_again_in_the_next() {
    let machine = machine(About { images: Vec::new(), proxy: "" }, true);
    // Whoever is asked is reached from the third question on: a run asks twice.
    let questions = machine.bench.path("questions");
    let curl = format!("echo >>{0}\n[ \"$(grep -c '' {0})\" -gt 2 ] || exit 28\necho 200", questions.display());
    machine.bench.program("curl", &curl);
    let told = provide_in(&machine, "someone/app:1", 2, &[]);
    assert_eq!((&told["came"], machine.dockers().as_str()), (&json!(true), "pull someone/app:1\n"), "{told}");
}

#[test]
fn a_base_is_built_with_this_machines_registries_and_proxies_and_without_its_logins() {
    const PROXY: &str = "http://proxy.example:3128";
    const NPM: &str = "https://registry.npmjs.org/";
    if !Path::new(KEYS).is_file() {
        return;
    }
    let all: &[&str] = &["HTTPS_PROXY", "PIP_INDEX_URL", "NPM_CONFIG_REGISTRY"];
    /// The index, the proxy, what the build is told of, and what is told of what it is not.
    type Row<'a> = (&'a str, &'a str, &'a [&'a str], Option<&'a str>);
    let rows: [Row<'_>; 3] = [
        ("https://pypi.example/simple", PROXY, all, None),
        ("https://me:hush@pypi.example/simple", PROXY, &[all[0], all[2]], Some("PIP_INDEX_URL, because the login")),
        (
            "https://pypi.example/simple",
            "http://127.0.0.1:3128",
            &all[1..],
            Some("HTTPS_PROXY, because in a container"),
        ),
    ];
    for (index, proxy, expected, note) in rows {
        let machine = machine(About { images: Vec::new(), proxy: "" }, true);
        for host in ["pypi.example", "registry.npmjs.org"] {
            machine.bench.server.serve(host, b"");
        }
        let told = provide_in(&machine, "node:22-slim", 1, &[("PIP_INDEX_URL", index), ("HTTPS_PROXY", proxy)]);
        assert_eq!(told["came"], json!(true), "{told}");
        let done = machine.dockers();
        let builds: Vec<&str> = done.lines().filter(|line| line.starts_with("build ")).collect();
        let build = builds.iter().find(|line| line.contains("--tag node:22-slim ")).unwrap();
        let args: Vec<&str> = build.split(" --build-arg ").skip(1).filter_map(|rest| rest.split(' ').next()).collect();
        assert_eq!(args, expected, "{build}");
        assert!(done.contains(&format!("with {index} {NPM} {proxy}\n")), "{done}");
        assert!(builds.iter().all(|line| !line.contains("hush")), "{builds:?}");
        let notes = told["notes"].to_string();
        assert!(note.is_none_or(|note| notes.contains(note)) && !notes.contains("hush"), "{notes}");
        assert_eq!(machine.bench.server.asked("pypi.example"), 1, "before the build, and once");
    }

    let machine = machine(About { images: Vec::new(), proxy: "" }, true);
    let told = provide_in(&machine, "node:22-slim", 1, &[("PIP_INDEX_URL", "https://pypi.example/simple")]);
    assert!(!machine.dockers().contains("--tag node:22-slim"), "nothing is built: {told}");
    assert_eq!(machine.bench.server.asked("pypi.example"), 1, "{told}");
}

#[test]
fn an_alpine_base_that_cannot_be_got_is_an_error_with_its_line() {
    let silence = format!("{DOCKER_HUB} does not answer");
    // A registry that answers need not give it: it has limits, and there are walls before where layers lie.
    for (answers, cause, called) in [(false, silence.as_str(), ""), (true, LIMIT, "pull node:22-alpine\n")] {
        let machine = machine(About { images: Vec::new(), proxy: "" }, false);
        if answers {
            machine.bench.server.serve(DOCKER_HUB, b"");
        }
        let told = provide(&machine, "node:22-alpine");
        let text = told["came"].as_str().unwrap_or_else(|| panic!("no error: {told}"));
        assert!(text.starts_with("backend/Dockerfile:3: node:22-alpine cannot be got"), "{text}");
        assert!(text.contains(cause) && text.contains("node:22-slim"), "{text}");
        assert_eq!(machine.dockers(), called);
    }
}

#[test]
fn the_hosts_engine_never_gets_an_upstream_name() {
    let machine = machine(About { images: Vec::new(), proxy: "" }, true);
    let graph = "project = \"day-zero-test\"\n[image.app]\ncontext = \"app\"\ndaemon = \"host\"\n";
    machine.checkout("checkout", graph);
    fs::create_dir_all(machine.bench.path("checkout/app")).unwrap();
    fs::write(machine.bench.path("checkout/app/Dockerfile"), "FROM postgres:17\n").unwrap();
    let ran = ended(machine.deploy("checkout"));
    assert!(!ran.success && machine.engine.was_asked("/session"), "it came to the build: {}", ran.stderr);
    assert_eq!((machine.dockers().as_str(), machine.bench.server.asked(DOCKER_HUB)), ("", 0), "{}", ran.stderr);
    assert!(!machine.bench.path("cache/xtask/bases").exists());
}
