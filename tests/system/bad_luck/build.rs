//! Images that do not build.

use std::fs;

use super::{fails, small};

#[test]
fn a_command_that_fails_shows_its_last_lines_its_place_and_where_the_log_is() {
    let project = small();
    let command = "RUN echo the first line && echo the last line && exit 7";
    project.write("app/Dockerfile", &format!("FROM python:3.13-slim\n\n{command}\nCOPY page.html /\n"));
    let mut deploy = project.command(&["deploy", "image:app"]);
    let words = ["image:app did not build", "exit 7", "the last line", "app/Dockerfile:3", "the whole log is in "];
    let said = fails(&project, &mut deploy, 1, &words);
    let log = said.split_once("the whole log is in ").unwrap().1.lines().next().unwrap();
    let log = fs::read_to_string(project.path(log)).expect("the log is where it says");
    assert!(log.contains("the first line") && log.contains("the last line"), "{log}");
}

#[test]
fn mistakes_in_a_dockerfile_are_told_by_line() {
    let rows: [(&str, i32, &[&str]); 4] = [
        ("FROM python:3.13-slim\nCOPPY page.html /\n", 1, &["app/Dockerfile:2", "COPPY"]),
        (
            "FROM python:3.13-slim\nCOPY pages.html /\n",
            1,
            &["app/Dockerfile:2", "`pages.html` is not there", ".dockerignore"],
        ),
        // No fault of the Dockerfile: nobody answers there.
        ("FROM luck.invalid/none:1\n", 3, &["app/Dockerfile:1", "luck.invalid/none:1", "docker pull"]),
        ("# nothing\n", 1, &["app/Dockerfile: file with no instructions"]),
    ];
    let project = small();
    for (dockerfile, code, words) in rows {
        project.write("app/Dockerfile", dockerfile);
        let said = fails(&project, &mut project.command(&["deploy", "image:app"]), code, words);
        assert!(said.contains("image:app did not build"), "{said}");
    }
}
