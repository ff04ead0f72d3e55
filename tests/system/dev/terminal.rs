//! The loop at a terminal: a few lines below the others, and keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::live::{self, save};
use crate::project::Project;
use crate::screen::Screen;

#[test]
fn at_a_terminal_keys_are_heard_and_the_terminal_is_left_as_it_was() {
    let project = Project::deployed();
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("watching for changes");
    screen.until_shown("q quit");
    screen.press("w");
    screen.until_shown("Why");
    screen.press("s");
    screen.until_shown("answers");
    screen.press("p");
    screen.until_now("paused");
    project.write("backend/app/__init__.py", "\"\"\"The API.\"\"\"\n\nVERSION = \"paused\"\n");
    screen.press("p");
    screen.until("the change is at the bottom", |screen| screen.at_bottom("Live").contains("live in"));
    screen.press("q");
    let status = screen.end();
    assert!(status.success(), "{}", screen.everything);
    assert!(screen.everything.contains("Restored"), "{}", screen.everything);
    assert!(matches!(screen.settings()[..], [before, after] if before == after), "{:?}", screen.settings());
}

#[test]
fn what_is_wrong_stays_at_the_bottom_until_it_is_mended() {
    let project = live::project();
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("watching for changes");
    screen.until("its address is there", |screen| screen.at_bottom("Open").contains("http://localhost:"));
    assert_eq!(screen.at_bottom("Broken"), "");

    // The application.
    project.write("app/app/__init__.py", "raise SystemExit(7)\n");
    screen.until("it is broken", |screen| screen.at_bottom("Broken").contains("ended with 7"));
    save(&project, "mended");
    screen.until("it is mended", |screen| screen.at_bottom("Broken").is_empty());
    screen.until("and live", |screen| screen.at_bottom("Live").contains("app/__init__.py, live in"));

    // Its image.
    project.edit("app/Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nRUN exit 3\n");
    screen.until("it does not build", |screen| screen.at_bottom("Broken").contains("image:app"));
    save(&project, "meanwhile");
    screen.until_shown("Restarted");
    screen.until("it is still broken", |screen| screen.at_bottom("Broken").contains("image:app"));
    project.edit("app/Dockerfile", "RUN exit 3\n", "RUN echo built > /built\n");
    screen.until("it builds", |screen| screen.at_bottom("Broken").is_empty());

    // The graph file.
    project.edit("xtask.toml", "[check.app]", "[check.app");
    screen.until("the graph file has a mistake", |screen| screen.at_bottom("Broken").contains("graph file"));
    project.edit("xtask.toml", "[check.app", "[check.app]");
    screen.until("it has none", |screen| screen.at_bottom("Broken").is_empty());
    screen.press("q");
    let (status, shown) = screen.ended();
    assert!(status.success(), "{shown}");
    project.run(&["teardown"]).expect_success();
}

#[test]
fn every_change_is_told_with_its_time_to_live_and_why_it_made_a_rollout_can_be_asked_for_later() {
    let project = live::project();
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("watching for changes");
    project.edit("values.yaml", "hello", "good morning");
    screen.until("the rollout is live", |screen| {
        let live = screen.at_bottom("Live");
        live.contains("release:live") && live.contains("greeting") && live.contains("live in")
    });
    // A run that finds nothing to do, as after each rollout, is not what anybody asks about.
    screen.press("p");
    screen.until_now("paused");
    project.edit("values.yaml", "good morning", "good evening");
    project.edit("values.yaml", "good evening", "good morning");
    screen.press("p");
    screen.until_now("watching for changes");
    screen.press("w");
    screen.until("it says why", |screen| {
        screen.shown().lines().any(|line| line.trim_start().starts_with("Why") && line.contains("greeting"))
    });
    save(&project, "another");
    screen.until("the edit is live", |screen| screen.at_bottom("Live").contains("app/__init__.py"));
    screen.press("w");
    screen.until("it says why", |screen| {
        screen.shown().lines().any(|line| line.trim_start().starts_with("Why") && line.contains("app/__init__.py"))
    });
    screen.press("q");
    assert!(screen.ended().0.success());
    project.run(&["teardown"]).expect_success();
}

#[test]
fn keys_rebuild_choose_logs_and_open_the_application() {
    let project = live::project();
    // Whatever this desktop opens addresses with.
    let opener = project.path("bin/xdg-open");
    project.write("bin/xdg-open", "#!/bin/sh\necho \"$1\" >\"${0%/*}/../opened\"\n");
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("there is one"));
    let mut screen = Screen::with(&project, "dev", &[("PATH", &path)]);
    screen.until_now("watching for changes");
    screen.press("o");
    screen.until_shown("Opening");
    // What is at the bottom is away for a moment whenever something is written above it.
    screen.until("its address is there", |screen| !screen.at_bottom("Open").is_empty());
    let open = screen.at_bottom("Open").split_whitespace().next().map(str::to_owned).expect("an address");
    screen.press("l");
    screen.until_shown("of live only");
    screen.press("l");
    screen.until_shown("of all workloads");
    screen.press("r");
    let opened = project.path("opened");
    screen.until("the image is built once more, and the browser open", |screen| {
        opened.exists()
            && screen.shown().lines().any(|line| line.trim_start().starts_with("Built") && line.contains("image:app"))
            && screen.at_bottom("Now").contains("watching")
    });
    let opened = fs::read_to_string(opened).expect("it was opened");
    assert_eq!(opened.trim_end(), open);
    screen.press("q");
    assert!(screen.ended().0.success());
    project.run(&["teardown"]).expect_success();
}

/// The project in a cluster that is somebody's: to deploy there is asked for.
fn asks() -> Project {
    let project = live::project();
    let profile = format!("driver  = \"minikube\"\nprofile = \"{}\"", project.cluster.context);
    let context = format!("driver  = \"context\"\ncontext = \"{}\"", project.cluster.context);
    project.edit("xtask.toml", &profile, &context);
    project
}

#[test]
fn what_a_run_asks_is_answered_by_a_key() {
    let project = asks();
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("waiting for an answer");
    assert!(screen.shown().contains("Deploy to it? [y/N]"), "{}", screen.shown());
    screen.press("n");
    screen.until_shown("was not confirmed");
    screen.until_now("watching for changes");

    // What is asked is asked again, and any other key means what it always means.
    screen.press("r");
    screen.until_now("waiting for an answer");
    screen.press("l");
    screen.until_shown("of all workloads");
    screen.press("y");
    screen.until_now("watching for changes");
    screen.until("nothing is wrong any more", |screen| screen.at_bottom("Broken").is_empty());
    save(&project, "answered");
    screen.until("the edit is live", |screen| screen.at_bottom("Live").contains("app/__init__.py"));
    screen.press("q");
    assert!(screen.ended().0.success());
    project.run(&["teardown"]).expect_success();
}

#[test]
fn whoever_says_no_and_quits_has_nothing_put_back_and_nothing_to_answer_for() {
    let project = asks();
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("waiting for an answer");
    screen.press("n");
    screen.until_shown("was not confirmed");
    screen.until_now("watching for changes");
    screen.press("q");
    let (status, shown) = screen.ended();
    assert!(status.success(), "{shown}");
}

#[test]
fn leaving_ends_a_build_under_way_and_a_second_word_leaves_pods_as_they_are() {
    let project = live::project();
    project.run(&["deploy"]).expect_success();
    let agent = || project.cluster.get(&["deployment", "live"]).to_string().contains("agent.py");
    let mut screen = Screen::begin(&project, "dev --keep");
    screen.until_now("watching for changes");
    project.edit("app/Dockerfile", "WORKDIR /app\n", "WORKDIR /app\nRUN sleep 3600\n");
    screen.until_shown("RUN sleep 3600");
    // Ctrl-C.
    screen.press("\x03");
    let (status, shown) = screen.ended();
    assert_eq!(status.code(), Some(130), "{shown}");
    assert!(agent(), "--keep leaves pods as they are");

    project.edit("app/Dockerfile", "RUN sleep 3600\n", "");
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("watching for changes");
    screen.press("q");
    screen.until_now("putting pods back");
    screen.press("\x03");
    assert_eq!(screen.ended().0.code(), Some(130));

    // Whatever that has left, the next one puts it right.
    let mut screen = Screen::begin(&project, "dev");
    screen.until_now("watching for changes");
    assert!(agent());
    screen.press("\x03");
    let (status, shown) = screen.ended();
    assert_eq!(status.code(), Some(130), "{shown}");
    assert!(shown.contains("Restored") && !agent(), "{shown}");
    project.run(&["teardown"]).expect_success();
}
