//! A second deploy does nothing, and says so.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use engine::receipt::{Receipts, Stored};
use engine::step::{Kind, StepId};

use crate::project::Project;

#[test]
fn a_second_deploy_is_all_fresh_and_one_line() {
    let project = Project::deployed();
    project.run(&["deploy"]).expect_all_fresh();

    let ran = project.run_human(&["deploy"]).expect_success();
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].trim_start().starts_with("Fresh 7 steps, todo revision "), "{lines:#?}");
}

#[test]
fn touching_files_and_another_umask_change_nothing() {
    let project = Project::deployed();
    for folder in ["backend/app", "helm/todo-chatbot/templates"] {
        for entry in fs::read_dir(project.path(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::File::open(path).unwrap().set_modified(SystemTime::now()).unwrap();
            }
        }
    }
    project.run(&["deploy"]).expect_all_fresh();
    // Group and others may read or not: that is no difference in an image.
    let narrowed = Command::new("chmod").args(["-R", "go-rwx"]).arg(project.path("backend/app")).status().unwrap();
    assert!(narrowed.success());
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn moving_the_checkout_changes_nothing() {
    let project = Project::deployed();
    let moved = project.folder().with_file_name("moved");
    let _ = fs::remove_dir_all(&moved);
    fs::rename(project.folder(), &moved).unwrap();
    let output = project.command(&["deploy", "--format", "json"]).current_dir(&moved).output().unwrap();
    fs::rename(&moved, project.folder()).unwrap();
    crate::ran::Ran::new(&["deploy"], output).expect_all_fresh();
}

#[test]
fn a_no_op_starts_no_other_program() {
    let project = Project::deployed();
    let started = trace(&project, "execve");
    assert_eq!(started.len(), 1, "only the program itself: {started:#?}");
}

#[test]
fn a_no_op_connects_once_to_the_api_server() {
    let project = Project::deployed();
    let server =
        project.cluster.kubectl(&["config", "view", "--minify", "--output", "jsonpath={.clusters[0].cluster.server}"]);
    let port = server.rsplit(':').next().expect("an address has a port");
    let mut connected = trace(&project, "connect");
    connected.retain(|line| line.contains(&format!("htons({port})")));
    assert_eq!(connected.len(), 1, "{connected:#?}");
}

/// The calls of `name` that a deploy makes which finds nothing to do.
fn trace(project: &Project, name: &str) -> Vec<String> {
    let trace = project.path("../trace");
    let status = Command::new("strace")
        .args(["--follow-forks", &format!("--trace={name}"), "--output"])
        .arg(&trace)
        .arg(env!("CARGO_BIN_EXE_xtask"))
        .args(["deploy", "--quiet"])
        .current_dir(project.folder())
        .status()
        .expect("strace is there");
    assert!(status.success());
    let trace = fs::read_to_string(trace).unwrap();
    trace.lines().filter(|line| line.contains(&format!("{name}("))).map(str::to_owned).collect()
}

#[test]
fn a_receipt_that_another_version_wrote_costs_a_run_and_nothing_else() {
    let project = Project::deployed();
    let receipts = Receipts::in_folder(project.path(".xtask/receipts"));
    for step in [StepId::new(Kind::Release, "todo"), StepId::new(Kind::Image, "backend")] {
        let Stored::Receipt(mut receipt) = receipts.load(&step) else { panic!("{step} has a receipt") };
        let output = receipt.output.as_mut().expect("it was deployed");
        output.facts = serde_json::json!({"of": "another shape"});
        receipts.store(&receipt).unwrap();
    }
    let ran = project.run(&["deploy"]).expect_success();
    ran.expect_reason("release:todo", "another version").expect_reason("image:backend", "another version");
    project.run(&["deploy"]).expect_all_fresh();
}
