//! A second deploy does nothing, and says so.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::SystemTime;

use engine::receipt::{Receipts, Stored};
use engine::step::{Kind, StepId};

use crate::daemon::Daemon;
use crate::project::Project;
use crate::ran::Ran;

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
fn touching_files_and_taking_rights_away_change_nothing() {
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
    Ran::new(&["deploy"], output).expect_all_fresh();
}

/// Runs of `command` find nothing to do, and what they are made to build is what is there.
fn finds_and_makes_the_same(project: &Project, command: impl Fn(&[&str]) -> Command) {
    let daemon = Daemon::of(project);
    let images = || ["backend", "frontend"].map(|component| daemon.image(project, component));
    let before = images();
    let run = |arguments: &[&str]| Ran::new(arguments, command(arguments).output().expect("it can be run"));
    run(&["deploy"]).expect_all_fresh();
    run(&["deploy", "image:backend", "image:frontend", "--force"]).expect_success();
    // With other images the release would be stale.
    run(&["deploy"]).expect_all_fresh();
    project.run(&["deploy"]).expect_all_fresh();
    assert_eq!(images(), before);
}

#[test]
fn a_checkout_under_another_umask_is_the_same_and_makes_the_same() {
    let project = Project::deployed();
    let narrow = project.folder().with_file_name("narrow");
    let _ = fs::remove_dir_all(&narrow);
    let under_it = |words: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-euc", &format!("umask 077; {words}"), "sh"]);
        shell
    };
    let copied = under_it("cp -R \"$1\" \"$2\"").args([project.folder(), &narrow]).status().unwrap();
    assert!(copied.success());
    let mode = fs::metadata(narrow.join("backend/app/main.py")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may do nothing with it: {mode:o}");
    finds_and_makes_the_same(&project, |arguments| {
        let plain = project.command(arguments);
        let mut shell = under_it("exec \"$@\"");
        shell.arg(plain.get_program()).args(plain.get_args()).args(["--format", "json"]);
        shell.current_dir(&narrow).env("CI", "true");
        shell
    });
    fs::remove_dir_all(narrow).unwrap();
}

#[test]
fn a_command_is_done_again_in_a_checkout_that_is_made_anew_in_the_same_place() {
    let graph = "project = \"anew-test\"\n\n[command.make]\nrun = [\"touch\", \"made\"]\n";
    for _ in 0..2 {
        let project = Project::of_files("anew", "none", &[("xtask.toml", graph)]);
        project.run(&["deploy"]).expect_success().expect_done(&["command:make"]);
        assert!(project.path("made").exists());
        project.run(&["deploy"]).expect_all_fresh();
    }
}

#[test]
fn no_locale_of_this_machine_changes_a_key_whatever_files_are_called() {
    // Their order, their bytes and their letters' case are what locales disagree on.
    let names = ["A", "b", "B.i", "B.İ", "ı", "é", "e\u{301}", "z", "Ä"];
    let graph = "project = \"locale-test\"\n\n[command.list]\nrun = [\"true\"]\ninputs = [\"in/*\"]\n";
    let files: Vec<(String, &str)> = names.iter().map(|name| (format!("in/{name}"), "")).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    files.push(("xtask.toml", graph));
    let project = Project::of_files("locale", "none", &files);
    let run = |locale: &str| {
        let mut command = project.command(&["deploy", "--format", "json"]);
        command.envs([("LC_ALL", locale), ("LANG", locale)]);
        Ran::new(&["deploy"], command.output().expect("it can be run"))
    };
    run("C").expect_success().expect_done(&["command:list"]);
    let there = Command::new("locale").arg("-a").output().expect("the C library brings it");
    let there = String::from_utf8(there.stdout).expect("their names are plain");
    assert!(there.lines().count() > 1, "there is another than C");
    for locale in there.lines() {
        // With nothing remembered of the files, and with it.
        fs::remove_dir_all(project.path(".xtask/stat-cache")).unwrap();
        run(locale).expect_all_fresh();
        run(locale).expect_all_fresh();
    }
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
