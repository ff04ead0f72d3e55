//! Commands whose inputs do not hold still. No cluster is needed for them.

use std::fs;
use std::process::Command;

use crate::project::Project;
use crate::running::Running;

/// In its first run the command says when it begins and when it has read its input, and waits each time. Through
/// named pipes: whoever opens one waits for the other side.
const SCRIPT: &str = r#"
meet() { echo "$1" >told; read -r _ <go; }
[ -e begun ] || { touch begun; meet begun; }
cat in.txt >out.txt
[ -e made ] || { touch made; meet made; }
"#;

fn project(name: &str, script: &str) -> Project {
    let graph = "project = \"command-test\"\n\n[command.copy]\nrun = [\"sh\", \"copy.sh\"]\ninputs = [\"in.txt\"]\n\
                 outputs = [\"out.txt\"]\n";
    Project::of_files(name, "none", &[("xtask.toml", graph), ("copy.sh", script), ("in.txt", "a\n")])
}

#[test]
fn what_was_made_of_an_input_that_was_changed_and_put_back_meanwhile_is_made_again() {
    let project = project("command-put-back", SCRIPT);
    for pipe in ["told", "go"] {
        let made = Command::new("mkfifo").arg(project.path(pipe)).status().expect("mkfifo can be run");
        assert!(made.success());
    }
    let told = |word: &str| assert_eq!(fs::read_to_string(project.path("told")).unwrap().trim(), word);
    let running = Running::start(&project, &["deploy"]);
    told("begun");
    fs::write(project.path("in.txt"), "b\n").unwrap();
    fs::write(project.path("go"), "on\n").unwrap();
    told("made");
    assert_eq!(fs::read_to_string(project.path("out.txt")).unwrap(), "b\n", "it has read what was there then");
    fs::write(project.path("in.txt"), "a\n").unwrap();
    fs::write(project.path("go"), "on\n").unwrap();
    running.ended().expect_success();
    assert_eq!(fs::read_to_string(project.path("out.txt")).unwrap(), "a\n");
    project.run(&["deploy"]).expect_all_fresh();
}

#[test]
fn a_command_that_writes_its_own_input_anew_comes_to_an_end() {
    let project = project("command-own-input", "cp in.txt out.txt; cp out.txt in.txt; echo run >>runs\n");
    project.run(&["deploy"]).expect_success();
    assert_eq!(fs::read_to_string(project.path("runs")).unwrap().lines().count(), 2, "once more, to see that it is so");
    project.run(&["deploy"]).expect_all_fresh();
}
