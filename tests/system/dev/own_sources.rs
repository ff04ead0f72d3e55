//! The tool's own sources change while a loop of it runs: it builds itself and goes on in what it has built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Loop;
use super::cluster::pod;
use super::live::{self, NAMESPACE};
use crate::forward::asking;
use crate::project::Project;
use crate::running::Running;

/// What the tool is compiled from.
const SOURCES: [&str; 5] = ["Cargo.toml", "Cargo.lock", "xtask", "dayzero", "tests"];

/// What the loop says when it has nothing to do, and what it says in the next version of its sources.
const BEFORE: &str = "json!({\"event\": \"watching\"})";
const AFTER: &str = "json!({\"event\": \"watching\", \"version\": 2})";

/// Puts the sources of this checkout into `folder`.
fn copy_sources(folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is in the workspace");
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .args(SOURCES)
        .current_dir(root)
        .output()
        .expect("git is there");
    let paths = String::from_utf8(listed.stdout).expect("paths are text");
    for path in paths.split_terminator('\0').filter(|path| root.join(path).is_file()) {
        let to = folder.join(path);
        fs::create_dir_all(to.parent().expect("files are in folders")).expect("folders can be made");
        let from = root.join(path);
        fs::copy(&from, &to).expect("files can be copied");
        // Cargo goes by times: what was compiled before is not compiled again.
        let modified = fs::metadata(&from).and_then(|about| about.modified()).expect("files have times");
        fs::File::options()
            .write(true)
            .open(&to)
            .and_then(|file| file.set_modified(modified))
            .expect("they can be set");
    }
}

/// Has cargo build the tool in the checkout of `project`, as the alias does; the program.
fn build(project: &Project) -> PathBuf {
    // Kept from one run of this test to the next: most of it is compiled libraries.
    let target = project.path("../own-sources-target");
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--quiet", "--package", "xtask", "--bin", "xtask", "--target-dir"]).arg(&target);
    assert!(cargo.current_dir(project.folder()).status().expect("cargo is there").success());
    target.canonicalize().expect("it was built there").join("debug/xtask")
}

#[test]
#[ignore = "compiles the tool, which takes minutes"]
fn it_goes_on_in_what_it_has_built_with_its_ports_open_and_the_pods_as_they_are() {
    let project = live::project();
    copy_sources(project.folder());
    let mut command = Command::new(build(&project));
    command.arg("dev").current_dir(project.folder()).env("CI", "true").stdin(Stdio::null());
    let mut development = Loop::of(&project, Running::of(command));
    development.edit("before");
    let before = pod(&project.cluster);
    let (stop, stopped) = std::sync::mpsc::channel();
    let asked = asking(development.port("live"), "/", stopped);

    let path = "xtask/src/cli/dev.rs";
    let text = fs::read_to_string(project.path(path)).expect("it is there");
    project.write(path, &format!("{text}\nthis does not compile\n"));
    development.until_told("tool-not-built");
    development.edit("meanwhile");
    project.write(path, &text.replace(BEFORE, AFTER));
    let is_new = |event: &Value| event["event"] == "watching" && event["version"] == 2;
    development.running.until("the new program watches", is_new);
    development.edit("after");

    stop.send(()).expect("somebody asks");
    let (answered, failed) = asked.join().expect("it ends");
    assert!(answered > 0);
    assert_eq!(failed, Vec::<String>::new(), "of {answered} requests through the local port");
    assert_eq!(pod(&project.cluster), before, "the pod in {NAMESPACE} was not replaced");
    development.end();
    project.run(&["teardown"]).expect_success();
}
