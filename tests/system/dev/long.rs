//! What takes minutes: the node restarts, and a hundred edits in a row.

use std::fs;

use super::Loop;
use super::cluster::docker;
use super::live::{self, save};
use crate::turn::Turn;

#[test]
#[ignore = "restarts the node, which takes minutes"]
fn it_carries_on_when_the_node_has_restarted() {
    let _alone = Turn::alone();
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    docker(&["restart", &project.cluster.context]);
    save(&project, "meanwhile");
    development.until_told("contact-lost");
    development.until_answered("/", "meanwhile");
    development.edit("after");

    // Stopped, it is started again by the loop itself.
    docker(&["stop", &project.cluster.context]);
    save(&project, "without a node");
    development.until_answered("/", "without a node");
    development.edit("at the end");
    development.end();
    project.run(&["teardown"]).expect_success();
}

/// What a process holds.
#[derive(Debug)]
struct Held {
    /// Resident memory, in kB.
    memory: u64,
    /// Open file descriptors.
    files: usize,
}

impl Held {
    fn by(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count();
        Self { memory: memory.and_then(|memory| memory.trim().parse().ok()).expect("a number"), files }
    }
}

/// By how much it may grow in eighty edits: allocators and pools of connections come to rest somewhere.
const MORE_MEMORY: u64 = 8 * 1024;
const MORE_FILES: usize = 8;

/// What a loop may hold while nothing happens.
const IDLE_MEMORY: u64 = 60 * 1024;

#[test]
#[ignore = "a hundred edits take minutes"]
fn a_hundred_edits_are_all_seen_and_leave_nothing_behind() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    let pid = development.running.pid();
    println!("idle: {:?}", Held::by(pid));
    let mut early = None;
    for number in 1..=100 {
        save(&project, &format!("edit-{number}"));
        development.until_answering("app", "the edit is live");
        assert_eq!(live::ask(development.port("live"), "/"), Some(format!("edit-{number}")));
        if number == 20 {
            early = Some(Held::by(pid));
        }
    }
    let (early, late) = (early.expect("there were more than twenty"), Held::by(pid));
    println!("after 20 edits: {early:?}, after 100: {late:?}");
    assert!(late.memory <= early.memory + MORE_MEMORY, "{early:?}, {late:?}");
    assert!(late.files <= early.files + MORE_FILES, "{early:?}, {late:?}");
    assert!(late.memory <= IDLE_MEMORY, "{late:?}");
    development.end();
    project.run(&["teardown"]).expect_success();
}
