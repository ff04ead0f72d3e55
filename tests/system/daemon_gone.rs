//! The node's docker daemon ends while an image is built, and with it the whole cluster for a while.

use std::process::Command;

use crate::project::Project;
use crate::running::Running;
use crate::turn::Turn;

#[test]
fn a_daemon_that_stops_in_the_middle_of_a_build_is_told_and_the_next_deploy_comes_to_its_end() {
    let _alone = Turn::alone();
    let project = Project::fixture("small", "luck-test");
    project.write("secrets.yaml", "TOKEN: \"not so secret\"\n");
    project.run(&["deploy"]).expect_success();
    let dockerfile = "FROM python:3.13-slim\nCOPY page.html /\nRUN echo begun && sleep 600\n";
    let sound = std::fs::read_to_string(project.path("app/Dockerfile")).unwrap();
    project.write("app/Dockerfile", dockerfile);
    let mut running = Running::start(&project, &["deploy"]);
    running.until("the command runs", |event| event.to_string().contains("begun\""));
    // The node of a minikube profile is a container of its name.
    let restart = ["exec", &project.cluster.context, "systemctl", "restart", "docker"];
    let restarted = Command::new("docker").args(restart).status().expect("docker is there");
    assert!(restarted.success());
    // What is missing is the machine's, not the project's.
    let ran = running.ended().expect_code(3);
    let failed = ran.events.iter().find(|event| event["event"] == "failed" && event["step"] == "image:app");
    let failure = &failed.expect("the build has failed")["failure"];
    assert!(failure["help"].as_array().is_some_and(|help| !help.is_empty()), "there is a next step: {failure:#}");
    assert!(failure.to_string().contains("daemon"), "it says what has gone: {failure:#}");

    project.write("app/Dockerfile", &sound);
    project.write("app/page.html", "after it\n");
    project.run(&["deploy"]).expect_success();
    project.run(&["teardown", "--data"]).expect_success();
}
