//! A helm that cannot do what it was told to, or is killed while it does it: what people read then, and that the next
//! deploy goes on.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::project::Project;
use crate::running::Running;

fn tiny() -> Project {
    let project = Project::fixture("tiny", "mends-test");
    project.run(&["deploy"]).expect_success();
    project
}

/// A Job that runs once, with a variable of its pod.
fn job(value: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once}}\nspec:\n  template:\n    spec:\n      \
         restartPolicy: Never\n      containers:\n        - {{name: once, image: \"python:3.13-slim\", imagePullPolicy: \
         Never, command: [\"true\"], env: [{{name: A, value: {value}}}]}}\n"
    )
}

#[test]
fn a_field_that_cannot_be_changed_is_named_in_a_line_and_what_is_advised_helps() {
    let project = tiny();
    project.write("chart/templates/job.yaml", &job("one"));
    project.run(&["deploy"]).expect_success();
    project.write("chart/templates/job.yaml", &job("two"));
    let said = project.run_human(&["deploy"]).expect_code(1).stderr;
    let advice = "kubectl --namespace mends-test delete job once";
    for words in ["spec.template of Job once", "field is immutable", advice, "helm.sh/hook-delete-policy"] {
        assert!(said.contains(words), "{words:?} is not said:\n{said}");
    }
    assert!(said.lines().all(|line| line.chars().count() < 200), "no value is in it:\n{said}");

    project.cluster.kubectl(&["delete", "job", "once"]);
    project.run(&["deploy"]).expect_success();
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_helm_that_somebody_kills_has_a_next_step_and_holds_nobody_up() {
    let project = tiny();
    project.write("values.yaml", "greeting: changed\nhook: \"import time; time.sleep(600)\"\n");
    let running = Running::start(&project, &["deploy"]);
    project.cluster.kubectl(&["wait", "job/migrate", "--for=create", "--timeout=60s"]);
    let helm = child(running.pid(), "helm");
    kill_process(helm, Signal::KILL).expect("helm runs");
    let ran = running.ended().expect_code(1);
    for words in ["was ended by signal 9", "run the same command again"] {
        assert!(ran.stdout.contains(words), "{words:?} is not said:\n{}", ran.stdout);
    }
    let status = project.cluster.helm(&["status", "tiny", "--output", "json"]);
    assert!(!status.contains("pending"), "its record is repaired before anybody else sees it: {status}");

    project.write("values.yaml", "greeting: changed\n");
    let ran = project.run(&["deploy"]).expect_success();
    assert_eq!(ran.steps("waiting"), Vec::<&str>::new(), "for nobody");
    project.run(&["deploy"]).expect_all_fresh();
    project.run(&["teardown", "--data"]).expect_success();
}

/// The child of process `parent` that runs the program `name`.
fn child(parent: u32, name: &str) -> Pid {
    let processes = fs::read_dir("/proc").expect("there is a /proc").flatten();
    let found = processes.filter_map(|process| {
        // `4711 (helm) S 4700 …`
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let (pid, rest) = stat.split_once(" (")?;
        let (command, rest) = rest.rsplit_once(") ")?;
        let of_parent = rest.split(' ').nth(1)?.parse() == Ok(parent);
        (of_parent && command == name).then(|| pid.parse().ok()).flatten()
    });
    let pid = found.last().expect("it has started helm");
    Pid::from_raw(pid).expect("a pid")
}
