//! Slips in what people write: the command line, the graph file, the file with secrets.

use std::process::Command;

use super::{fails, small};

#[test]
fn an_unknown_step_is_told_with_the_nearest_one() {
    let project = small();
    for command in ["deploy", "explain"] {
        fails(&project, &mut project.command(&[command, "image:ap"]), 2, &["no step", "`image:ap`", "image:app"]);
    }
    assert!(!project.path(".xtask/receipts").exists(), "nothing was begun");
}

#[test]
fn without_a_graph_file_it_says_where_one_was_looked_for() {
    let project = small();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = project.command(&["deploy"]);
    let here = elsewhere.path().display().to_string();
    fails(&project, command.current_dir(elsewhere.path()), 2, &["there is no xtask.toml in", &here, "--graph-file"]);
}

#[test]
fn a_broken_graph_file_is_told_with_place_and_all_mistakes() {
    let project = small();
    project.edit("xtask.toml", "require =", "requires =");
    project.edit("xtask.toml", "\"image\" = \"app\"", "\"image\" = \"ap\"");
    fails(
        &project,
        &mut project.command(&["deploy"]),
        2,
        &["xtask.toml:14", "requires", "xtask.toml:20", "there is no image ap", "did you mean \"app\"?"],
    );
    project.write("xtask.toml", "project = \n");
    fails(&project, &mut project.command(&["status"]), 2, &["xtask.toml:1"]);
}

#[test]
fn a_secret_that_is_left_empty_is_told_by_line_and_key() {
    let project = small();
    project.write("secrets.yaml", "# A comment.\nOTHER: x\nTOKEN: \"\"\n");
    let words = ["secrets:small lacks values that it requires", "secrets.yaml:3 leaves TOKEN empty"];
    fails(&project, &mut project.command(&["deploy", "secrets:small"]), 2, &words);
    project.write("secrets.yaml", "OTHER: x\n");
    fails(&project, &mut project.command(&["deploy", "secrets:small"]), 2, &["secrets.yaml has no TOKEN"]);
}

#[test]
fn secrets_that_git_tracks_are_refused_with_the_command_that_untracks_them() {
    let project = small();
    for arguments in [&["init", "--quiet"][..], &["add", "secrets.yaml"]] {
        assert!(Command::new("git").args(arguments).current_dir(project.folder()).status().unwrap().success());
    }
    let mut deploy = project.command(&["deploy", "secrets:small"]);
    let said =
        fails(&project, &mut deploy, 2, &["git tracks secrets.yaml, which holds secrets", "rm --cached secrets.yaml"]);
    // The command works as it is written.
    let command = said.lines().find_map(|line| line.split_once("untrack it: ")).expect("there is a command").1;
    let untracked = Command::new("sh").args(["-c", command]).current_dir(project.folder()).status().unwrap();
    assert!(untracked.success(), "{command}");
    project.run(&["deploy", "secrets:small"]).expect_success();
    project.run(&["teardown", "--data"]).expect_success();
}
