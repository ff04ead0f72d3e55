//! Edits of this repository's application: what is saved becomes live, and at the end everything is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::dev::Loop;
use crate::forward::asking;
use crate::project::Project;
use crate::version::{set_version, version};

/// Between two saves, ten a second.
const SAVES: Duration = Duration::from_millis(100);

/// Waits until the synced folder in the container holds just what it holds here.
#[track_caller]
fn until_synced(development: &mut Loop<'_>) {
    let here = listing(&development.project.path("backend/app"));
    while there(development.project) != here {
        development.running.until("the container holds what is here", |event| event["event"] == "applied");
    }
}

/// The Python files below a folder, with their contents' length and their text's sum.
fn listing(folder: &Path) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).expect("folders can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py") {
                let bytes = fs::read(&path).expect("files can be read");
                let name = path.strip_prefix(folder).expect("it is below").display().to_string();
                found.insert(name, sum(&bytes));
            }
        }
    }
    found
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(bytes.len() as u64, |sum, byte| (sum * 31 + u64::from(*byte)) % 1_000_000_007)
}

/// The same of the running container.
fn there(project: &Project) -> BTreeMap<String, u64> {
    const PROGRAM: &str = "
import json, pathlib
def digest(data):
    total = len(data)
    for byte in data:
        total = (total * 31 + byte) % 1_000_000_007
    return total
root = pathlib.Path('/app/app')
print(json.dumps({str(path.relative_to(root)): digest(path.read_bytes()) for path in root.rglob('*.py')}))";
    let text = project.cluster.kubectl(&["exec", "deploy/todo-backend", "--", "python", "-c", PROGRAM]);
    serde_json::from_str(&text).expect("the container prints JSON")
}

#[test]
fn what_is_saved_is_live_and_at_the_end_pods_run_built_images_again() {
    let project = Project::deployed();
    let built = project.cluster.get(&["deployment", "todo-backend"]);
    let mut development = Loop::begin(&project, &[]);

    set_version(&project, "edited");
    development.until_answering("backend", "the edit is live");
    assert_eq!(version(&development), "edited");

    // An editor's way: another file is written and renamed over it.
    let text = fs::read_to_string(project.path("backend/app/__init__.py")).expect("it is there");
    project.write("backend/app/.init.swp", &text.replace("edited", "renamed"));
    fs::rename(project.path("backend/app/.init.swp"), project.path("backend/app/__init__.py")).expect("a rename");
    development.until_answering("backend", "the renamed file is live");
    assert_eq!(version(&development), "renamed");

    // A branch with many more files, and back.
    for number in 0..2_000 {
        project.write(&format!("backend/app/many/{}/m{number}.py", number % 20), &format!("NUMBER = {number}\n"));
    }
    until_synced(&mut development);
    fs::remove_dir_all(project.path("backend/app/many")).expect("they go");
    until_synced(&mut development);

    // Saved ten times a second: each save comes in the middle of the restart that the one before it has caused. The
    // last one counts.
    for number in 0..25 {
        development.running.until_moment(Instant::now() + SAVES);
        set_version(&project, &format!("save-{number}"));
    }
    until_synced(&mut development);
    while version(&development) != "save-24" {
        development.until_answering("backend", "the last save is live");
    }

    // Written in place, in two halves: what is there when it is whole counts.
    let path = project.path("backend/app/__init__.py");
    let (first, second) = ("\"\"\"The API.\"\"\"\n\nVERSION = \"ha", "lves\"\n");
    let mut file = fs::File::create(&path).expect("it can be written");
    for half in [first, second] {
        development.running.until_moment(Instant::now() + SAVES * 3);
        file.write_all(half.as_bytes()).expect("it can be written");
    }
    drop(file);
    until_synced(&mut development);
    while version(&development) != "halves" {
        development.until_answering("backend", "the whole file is live");
    }
    set_version(&project, "save-24");
    development.until_answering("backend", "it is as before");

    // Broken, and mended: another version is never answered meanwhile.
    let main = fs::read_to_string(project.path("backend/app/main.py")).expect("it is there");
    project.write("backend/app/main.py", &format!("{main}\nraise RuntimeError(\"broken\")\n"));
    development.running.until("the application ends", |event| event["event"] == "exited");
    project.write("backend/app/main.py", &main);
    development.until_answering("backend", "it is mended");
    assert_eq!(version(&development), "save-24");

    // What is synced is not what was built, and everybody is told so.
    let status = project.run_human(&["status"]).stdout;
    assert!(status.contains("made by `cargo xtask dev`"), "{status}");

    development.end();
    let now = project.cluster.get(&["deployment", "todo-backend"]);
    assert_eq!(now["spec"], built["spec"], "the deployment is what it was");
    assert_ne!(project.cluster.ask_backend("/api/health"), "", "and answers");
    project.run(&["deploy"]).expect_success();
    let health = project.cluster.ask_backend("/api/health");
    assert!(health.contains("save-24"), "a deploy builds what was saved: {health}");
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn a_change_that_cannot_be_synced_rebuilds_and_the_port_stays_open() {
    let project = Project::deployed();
    let mut development = Loop::begin(&project, &[]);
    set_version(&project, "synced");
    development.until_answering("backend", "the edit is live");
    let (stop, stopped) = std::sync::mpsc::channel();
    let asked = asking(development.port("todo-backend"), "/api/health/live", stopped);

    let good = fs::read_to_string(project.path("backend/pyproject.toml")).expect("it is there");
    project.write("backend/pyproject.toml", "this is no TOML");
    development
        .running
        .until("the build fails", |event| event["event"] == "failed" && event["step"] == "image:backend");
    assert_eq!(version(&development), "synced", "the last good version runs");

    // A second change while the first is built: the last one counts.
    project.write("backend/pyproject.toml", &format!("{good}\n# one\n"));
    development.running.until("it builds", |event| event["event"] == "started" && event["step"] == "image:backend");
    project.write("backend/pyproject.toml", &format!("{good}\n# two\n"));
    let rolled_out = |event: &Value| event["event"] == "done" && event["step"] == "release:todo";
    development.running.until("the new image runs", rolled_out);
    let source = project.cluster.kubectl(&["exec", "deploy/todo-backend", "--", "tail", "-n1", "/src/pyproject.toml"]);
    assert_eq!(source.trim_end(), "# two");
    assert_eq!(version(&development), "synced", "the new pod has got the files, too");

    // The pod goes, and another one comes.
    let pod = project.cluster.pods("backend").into_keys().next().expect("there is one");
    project.cluster.kubectl(&["delete", "pod", &pod, "--wait=false"]);
    development.until_answering("backend", "another pod has the files");
    assert_eq!(version(&development), "synced");

    stop.send(()).expect("somebody asks");
    let (answered, failed) = asked.join().expect("it ends");
    assert!(answered > 0);
    assert_eq!(failed, Vec::<String>::new(), "of {answered} requests through the local port");
    development.end();
}

#[test]
fn a_loop_that_was_killed_leaves_nothing_that_a_deploy_does_not_put_right() {
    let project = Project::deployed();
    let mut development = Loop::begin(&project, &[]);
    set_version(&project, "killed");
    development.until_answering("backend", "the edit is live");
    development.running.killed();
    project.run(&["deploy"]).expect_success();
    let deployment = project.cluster.get(&["deployment", "todo-backend"]);
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container.get("command"), None, "it runs what its image says");
    let health = project.cluster.ask_backend("/api/health");
    assert!(health.contains("killed"), "and what was saved: {health}");
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn what_vanishes_from_the_cluster_comes_back_without_an_edit() {
    let project = Project::deployed();
    let mut development = Loop::begin(&project, &[]);
    set_version(&project, "before");
    development.until_answering("backend", "the edit is live");
    project.cluster.kubectl(&["delete", "deployment", "todo-backend", "--wait=false"]);
    development.until_answering("backend", "the deployment is back, with what was saved");
    assert_eq!(version(&development), "before");
    set_version(&project, "after");
    development.until_answering("backend", "edits go on being live");
    assert_eq!(version(&development), "after");
    development.end();
}

#[test]
fn an_edit_of_a_page_is_seen_in_a_browser_that_has_it_open() {
    let project = Project::deployed();
    let development = Loop::begin(&project, &[]);
    let mut browser = Command::new("node")
        .arg("tests/browser/edit.mjs")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend"))
        .env("BASE_URL", format!("http://localhost:{}", development.port("todo-frontend")))
        .env("TEXT", "Welcome back")
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is there");
    let mut said = String::new();
    BufReader::new(browser.stdout.take().expect("a pipe")).read_line(&mut said).expect("it says when");
    assert_eq!(said, "open\n");
    project.edit("frontend/app/sign-in/page.tsx", "title=\"Sign in\"", "title=\"Welcome back\"");
    assert!(browser.wait().expect("it ends").success(), "the page shows the edit without being loaded again");
    development.end();
}
