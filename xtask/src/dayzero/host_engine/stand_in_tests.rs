//! A machine whose dockerd is a script that does what matters here: it keeps a file with its number, refuses to start
//! beside another, and lives until it is ended. The test itself answers at the socket, when the case says so.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use engine::event::Event;
use engine::failure::Failure;
use engine::files::Gatherer;
use engine::lock::Locks;
use engine::step::StepId;
use rustix::process::{Pid, Signal, getsid, kill_process};
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::start::{self, DOCKERD, GIVEN_UP, Place};
use super::turn;
use crate::context::Context;
use crate::workspace::Workspace;
use crate::world::World;
use crate::world::daemon::Daemon;

/// Starts, unless another has.
const STARTS: &str = "echo $$ >number.$$
if ! ln number.$$ docker.pid; then echo 'failed to start daemon: another one is there'; exit 1; fi
echo started >>starts
echo up
read -r end <hold";

/// Finds that another one was a moment faster.
const LOSES: &str = "mkfifo ready
winner/dockerd >ready 2>/dev/null &
read -r up <ready
echo 'failed to start daemon: another one is there'
exit 1";

/// Where the daemon looks for programs.
const PATH: &str = "/usr/bin:/bin:/usr/sbin:/for/root";

/// How often a daemon that has begun is asked before it answers.
const ASKED: usize = 3;

struct Machine {
    folder: TempDir,
    cx: Context,
    events: UnboundedReceiver<Event>,
    by_hand: Option<Child>,
}

impl Machine {
    fn new(dockerd: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, events) = unbounded_channel();
        let workspace = Workspace::at(folder.path());
        let gatherer = Arc::new(Gatherer::new(workspace.stat_cache()));
        let cx = Context::new(workspace, "test".into(), Arc::new(World::of_context("")), gatherer, 1, sender);
        let machine = Self { folder, cx, events, by_hand: None };
        assert!(Command::new("mkfifo").arg(machine.path("hold")).status().unwrap().success());
        machine.script(DOCKERD, dockerd);
        machine.script("winner/dockerd", STARTS);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", self.folder.path().display())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Has the socket answer from now on whenever `ready` says so, and hang up otherwise.
    fn serve(&self, mut ready: impl FnMut(&Path) -> bool + Send + 'static) {
        let (listener, folder) = (UnixListener::bind(self.path("docker.sock")).unwrap(), self.folder.path().to_owned());
        // It ends with the tests' process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if ready(&folder) {
                    answer(stream);
                }
            }
        });
    }

    fn host(&self) -> Daemon {
        Daemon::Socket(self.path("docker.sock"))
    }

    async fn start(&self) -> Result<(), Failure> {
        let place = Place {
            systemd: false,
            dockerd: Some(self.path(DOCKERD)),
            path: PATH.into(),
            log: self.path("dockerd.log"),
            pid_files: vec![(DOCKERD, self.path("docker.pid"))],
        };
        start::start(&self.cx, &StepId::cluster(), &self.host(), &place).await
    }

    /// How many have come to be at work.
    fn started(&self) -> usize {
        fs::read_to_string(self.path("starts")).unwrap_or_default().lines().count()
    }

    /// The one at work.
    fn number(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path("docker.pid")).ok()?;
        // Never another process, which may have got the number.
        let lives = start::name_of(text.trim()).is_some_and(|name| name.trim() == DOCKERD);
        Pid::from_raw(text.trim().parse().ok()?).filter(|_| lives)
    }

    fn notes(&mut self) -> Vec<String> {
        let mut notes = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            if let Event::Note { text, .. } = event {
                notes.push(text);
            }
        }
        notes
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(pid) = self.number() {
            let _ = kill_process(pid, Signal::KILL);
        }
        if let Some(child) = &mut self.by_hand {
            let _ = child.wait();
        }
    }
}

fn answer(mut stream: UnixStream) {
    let _ = stream.read(&mut [0; 4096]);
    // Whoever asked may have gone.
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

/// Says yes from the moment `begun` does, after some questions more.
fn soon(begun: impl Fn(&Path) -> bool + Send + 'static) -> impl FnMut(&Path) -> bool + Send + 'static {
    let mut asked = 0;
    move |folder| {
        asked += usize::from(begun(folder));
        asked > ASKED
    }
}

#[tokio::test]
async fn after_all_processes_have_ended_docker_is_started_and_outlives_the_run() {
    let mut machine = Machine::new(STARTS);
    // What a daemon leaves that was killed: its file, with the number of nobody.
    let mut gone = Command::new("true").spawn().unwrap();
    fs::write(machine.path("docker.pid"), gone.id().to_string()).unwrap();
    gone.wait().unwrap();
    machine.serve(soon(|folder| folder.join("starts").exists()));
    machine.start().await.unwrap();
    assert_eq!(machine.started(), 1);
    let notes = machine.notes();
    assert!(notes[0].starts_with("removed ") && notes[1].starts_with("started dockerd"), "{notes:?}");
    let pid = machine.number().expect("it is at work");
    assert_eq!(getsid(Some(pid)).unwrap(), pid, "it leads a session of its own");
    // What runs is left alone.
    machine.start().await.unwrap();
    assert_eq!((machine.started(), machine.notes()), (1, Vec::new()));
}

#[tokio::test]
async fn one_that_was_started_a_moment_ago_is_waited_for_and_neither_doubled_nor_called_hung() {
    let mut machine = Machine::new(STARTS);
    let mut child = Command::new(machine.path(DOCKERD)).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    machine.by_hand = Some(child);
    assert_eq!(line, "up\n");
    machine.serve(soon(|_| true));
    machine.start().await.unwrap();
    assert_eq!((machine.started(), machine.notes()), (1, Vec::new()));
}

#[tokio::test]
async fn one_that_gives_up_because_another_is_at_work_is_no_failure() {
    let machine = Machine::new(LOSES);
    machine
        .serve(soon(|folder| fs::read_to_string(folder.join("dockerd.log")).is_ok_and(|log| log.contains(GIVEN_UP))));
    machine.start().await.unwrap();
    assert!(machine.number().is_some() && machine.started() == 1);
}

#[tokio::test]
async fn one_that_gives_up_alone_is_told_at_once_with_what_it_said() {
    let machine = Machine::new("echo \"failed to start daemon: no runc in $PATH\"; exit 1");
    machine.serve(|_| false);
    let failure = machine.start().await.unwrap_err();
    assert_eq!(failure.excerpts[0].lines, [format!("failed to start daemon: no runc in {PATH}")], "{failure:?}");
    assert_eq!(failure.excerpts[0].origin, machine.path("dockerd.log").display().to_string());
}

#[tokio::test]
async fn one_run_at_a_time_brings_docker_up_and_who_waited_finds_it_there() {
    let mut machine = Machine::new(STARTS);
    let locks = Locks::in_folder(machine.path("locks")).unwrap();
    machine.serve(|folder| folder.join("up").exists());
    let first = turn(&machine.cx, &StepId::cluster(), &locks, &machine.host()).await.unwrap().expect("nobody has it");
    let (host, cx) = (machine.host(), machine.cx.clone());
    let mut second = tokio::spawn(async move { turn(&cx, &StepId::cluster(), &locks, &host).await });
    tokio::select! {
        turn = &mut second => panic!("two have it at once: {turn:?}"),
        told = machine.events.recv() => assert!(matches!(told, Some(Event::Waiting { .. })), "{told:?}"),
    }
    File::create(machine.path("up")).unwrap();
    drop(first);
    assert!(second.await.unwrap().unwrap().is_none(), "docker answers by now");
}
