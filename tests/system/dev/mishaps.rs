//! Bad luck at a terminal, of all kinds in a row: what is wrong stands at the bottom of the screen until it is over, the
//! local port stays open all the time, and the loop carries on.

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use rustix::process::Signal;

use super::cluster::{Paused, docker, evict, kill_api_server, pod};
use super::live::{self, NAMESPACE, PACE, PATIENCE, save};
use crate::bad_luck::machine::Mount;
use crate::project::Project;
use crate::screen::Screen;
use crate::turn::Turn;
use crate::way::Way;

/// A loop at a terminal, and the local port of its application.
struct AtTerminal<'p> {
    project: &'p Project,
    screen: Screen,
    port: u16,
}

impl<'p> AtTerminal<'p> {
    /// Begins it and returns when everything is deployed; `agree` to what it asks before.
    fn begin(project: &'p Project, environment: &[(&str, &str)], agree: bool) -> Self {
        let mut screen = Screen::with(project, "dev", environment);
        if agree {
            screen.until_now("waiting for an answer");
            screen.press("y");
        }
        screen.until_now("watching for changes");
        screen.until("its address is there", |screen| !screen.at_bottom("Open").is_empty());
        let open = screen.at_bottom("Open");
        let port = open.split_whitespace().next().and_then(|url| url.rsplit(':').next()?.parse().ok());
        Self { project, port: port.expect("a port"), screen }
    }

    /// Waits until `path` is answered so.
    #[track_caller]
    fn until_answered(&mut self, path: &str, expected: &str) {
        let begun = Instant::now();
        while live::ask(self.port, path).as_deref() != Some(expected) {
            assert!(begun.elapsed() < PATIENCE, "{path} is not {expected:?}:\n{}", self.screen.shown());
            self.screen.until_moment(Instant::now() + PACE);
        }
    }

    /// Saves a word and waits until it is live, and nothing is wrong.
    #[track_caller]
    fn edit(&mut self, word: &str) {
        save(self.project, word);
        self.until_answered("/", word);
        self.until_mended();
    }

    /// Waits until it says that `pod` has gone.
    #[track_caller]
    fn until_gone(&mut self, pod: &str) {
        self.screen.until(&format!("it says that {pod} has gone"), |screen| {
            screen.shown().lines().any(|line| line.trim_start().starts_with("Gone") && line.contains(pod))
        });
    }

    #[track_caller]
    fn until_broken(&mut self, why: &str) {
        self.screen.until(&format!("at the bottom it says {why:?}"), |screen| screen.at_bottom("Broken").contains(why));
    }

    #[track_caller]
    fn until_mended(&mut self) {
        // What is at the bottom is away for a moment whenever something is written above it.
        self.screen.until("nothing is wrong any more", |screen| {
            screen.at_bottom("Now").contains("watching for changes") && screen.at_bottom("Broken").is_empty()
        });
    }

    #[track_caller]
    fn quit(mut self) {
        self.screen.press("q");
        let (status, shown) = self.screen.ended();
        assert!(status.success() && shown.contains("Restored"), "{shown}");
    }
}

#[test]
fn at_a_terminal_it_says_what_is_wrong_until_it_is_over_and_carries_on() {
    let _alone = Turn::alone();
    let project = live::project();
    let profile = format!("driver  = \"minikube\"\nprofile = \"{}\"", project.cluster.context);
    let context = format!("driver  = \"context\"\ncontext = \"{}\"", project.cluster.context);
    project.edit("xtask.toml", &profile, &context);
    let state = project.path(".xtask");
    fs::create_dir(&state).expect("it can be made");
    let mount = Mount::new(&state, &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
    let way = Way::of_its_own_name(&project);
    let mut terminal = AtTerminal::begin(&project, &[way.variable()], true);
    terminal.edit("before");

    // A pod is evicted.
    let evicted = pod(&project.cluster);
    evict(&project);
    terminal.until_gone(&evicted);
    terminal.until_answered("/", "before");
    terminal.edit("after an eviction");

    // The laptop sleeps.
    terminal.screen.signal(Signal::STOP);
    save(&project, "asleep");
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster)]);
    project.cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Running", "pod", "--all", "--timeout=120s"]);
    terminal.screen.signal(Signal::CONT);
    terminal.until_answered("/", "asleep");
    terminal.edit("awake");

    // The network changes: what was connected is cut, and nobody is where the API server was.
    way.close();
    save(&project, "elsewhere");
    terminal.screen.until_shown("Lost");
    terminal.until_broken("the API server does not answer");
    way.mend();
    terminal.until_answered("/", "elsewhere");
    terminal.until_mended();

    // Nothing comes through it for a while.
    let paused = Paused::new(&project.cluster.context);
    save(&project, "unheard");
    terminal.screen.until_shown("has not answered");
    drop(paused);
    terminal.until_answered("/", "unheard");
    terminal.until_mended();

    // The disk fills.
    let filler = state.join("filler");
    let mut file = fs::File::create(&filler).expect("it can be made");
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    project.edit("values.yaml", "hello", "there is room");
    terminal.until_broken("could not write");
    save(&project, "without room");
    terminal.until_answered("/", "without room");
    fs::remove_file(&filler).expect("it can be removed");
    terminal.until_answered("/greeting", "there is room");
    terminal.until_mended();

    // The namespace vanishes.
    let last = pod(&project.cluster);
    project.cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    terminal.until_gone(&last);
    terminal.until_answered("/", "without room");
    terminal.edit("at the end");
    terminal.quit();
    project.run(&["teardown"]).expect_success();
    drop(mount);
}

#[test]
#[ignore = "the API server, the daemon and the node start anew, which takes minutes"]
fn at_a_terminal_it_outlives_the_api_server_the_daemon_and_the_node() {
    let _alone = Turn::alone();
    let project = live::project();
    let mut terminal = AtTerminal::begin(&project, &[], false);
    terminal.edit("before");
    let node = &project.cluster.context;
    let mut after = |what: &str, restart: &dyn Fn()| {
        restart();
        save(&project, what);
        terminal.screen.until("it says that something is wrong", |screen| !screen.at_bottom("Broken").is_empty());
        terminal.until_answered("/", what);
        terminal.until_mended();
    };
    after("after the API server", &|| kill_api_server(&project.cluster));
    after("after the daemon", &|| drop(docker(&["exec", node, "systemctl", "restart", "docker"])));
    after("after the node", &|| drop(docker(&["restart", node])));
    terminal.edit("at the end");
    terminal.quit();
    project.run(&["teardown"]).expect_success();
}
