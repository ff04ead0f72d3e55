//! What happens to the machine while a loop runs on it: it sleeps, its disk fills, the kernel loses count of the edits.

use std::fs;
use std::io::Write as _;

use rustix::process::Signal;

use super::Loop;
use super::cluster::pod;
use super::live::{self, save};
use crate::bad_luck::machine::Mount;

#[test]
fn what_was_edited_and_what_has_gone_while_it_slept_is_found_when_it_wakes() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    development.running.signal(Signal::STOP);
    save(&project, "asleep");
    project.cluster.kubectl(&["delete", "pod", &pod(&project.cluster)]);
    project.edit("values.yaml", "hello", "good morning");
    save(&project, "still asleep");
    project.cluster.kubectl(&["wait", "--for=jsonpath={.status.phase}=Running", "pod", "--all", "--timeout=120s"]);
    development.running.signal(Signal::CONT);
    development.until_answered("/", "still asleep");
    development.until_answered("/greeting", "good morning");
    development.edit("awake");
    development.end();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn when_the_kernel_loses_events_everything_is_looked_at_and_watched_anew() {
    let project = live::project();
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("this is Linux");
    let queue: usize = queue.trim().parse().expect("a number");
    development.running.signal(Signal::STOP);
    // Events of the same file in a row are one for the kernel.
    for number in 0..queue {
        project.write(&format!("app/app/noise-{}.txt", number % 2), &number.to_string());
    }
    project.write("app/app/late/__init__.py", "WORD = \"late\"\n");
    project.write("app/app/__init__.py", "from app.late import WORD\n");
    development.running.signal(Signal::CONT);
    development.until_told("overflow");
    development.until_answered("/", "late");
    // The kernel has never told of this folder.
    project.write("app/app/late/__init__.py", "WORD = \"later\"\n");
    development.until_answered("/", "later");
    development.end();
    project.run(&["teardown"]).expect_success();
}

#[test]
fn while_the_disk_is_full_files_are_synced_and_what_needs_room_is_done_when_there_is_some() {
    let project = live::project();
    let state = project.path(".xtask");
    fs::create_dir(&state).expect("it can be made");
    let mount = Mount::new(&state, &["-t", "tmpfs", "-o", "size=2m", "tmpfs"]);
    let mut development = Loop::begin(&project, &[]);
    development.edit("before");
    let filler = state.join("filler");
    let mut file = fs::File::create(&filler).expect("it can be made");
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    project.edit("values.yaml", "hello", "there is room");
    development.running.until("it says that the disk is full", |event| {
        matches!(event["event"].as_str(), Some("failed" | "not-run")) && event.to_string().contains("No space left")
    });
    development.edit("meanwhile");
    fs::remove_file(&filler).expect("it can be removed");
    development.until_answered("/greeting", "there is room");
    development.edit("after");
    development.end();
    project.run(&["teardown"]).expect_success();
    drop(mount);
}
