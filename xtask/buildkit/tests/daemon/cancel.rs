//! A build that is dropped ends in the daemon too.

use std::fs;
use std::time::Duration;

use buildkit::{Change, build};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::base::base;
use crate::fixture::{Folder, endpoint};

#[tokio::test]
async fn dropping_a_build_ends_what_it_runs() {
    let folder = Folder::new();
    // Told from every other sleep on the machine by its argument.
    let seconds = format!("86{}", std::process::id());
    let request = folder.request(&format!("FROM {}\nRUN echo started; sleep {seconds}\n", base().await));
    let (started, mut wait) = tokio::sync::mpsc::unbounded_channel();
    let building = tokio::spawn(async move {
        let tell = |event: buildkit::Event| {
            if matches!(event.change, Change::Wrote(_)) {
                started.send(()).unwrap();
            }
        };
        build(&endpoint(), request, tell).await
    });
    wait.recv().await.expect("the command starts");
    let process = loop {
        match find(&seconds) {
            Some(process) => break process,
            None => tokio::task::yield_now().await,
        }
    };
    let process = pidfd_open(process, PidfdFlags::empty()).unwrap();
    building.abort();
    assert!(building.await.unwrap_err().is_cancelled());

    let ended = tokio::task::spawn_blocking(move || {
        let timeout = Duration::from_secs(60).try_into().unwrap();
        poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)).unwrap()
    });
    assert_eq!(ended.await.unwrap(), 1, "`sleep` still runs a minute after its build was dropped");
}

/// The process `sleep SECONDS`, if it runs.
fn find(seconds: &str) -> Option<Pid> {
    let command = format!("sleep\0{seconds}\0");
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let mut processes = processes.filter_map(|name| name.parse::<i32>().ok());
    let is_it = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == command.as_bytes());
    processes.find(is_it).and_then(Pid::from_raw)
}
