//! A run that is killed outright, at any moment, costs nothing but another run.

use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::marker::Marker;
use crate::project::Project;
use crate::running::{Random, Running};

/// How many times something is killed: each time takes a while.
fn rounds(usually: u64, soak: u64) -> u64 {
    if std::env::var_os("XTASK_SOAK").is_some() { soak } else { usually }
}

/// Kills a deploy, by turns when it has told so many events and when it has gone on for so long. Most of the time goes
/// by waiting for pods, most events come while something is built: both count.
fn kill(project: &Project, random: &mut Random, round: u64, whole: &Whole) {
    let mut running = Running::start(project, &["deploy"]);
    match round % 2 {
        0 => running.until_moment(Instant::now() + Duration::from_millis(random.below(whole.milliseconds))),
        _ => running.until_told(random.below(whole.events) as usize),
    }
    println!("round {round}: killed when the last it had told was {}", running.last());
    running.killed();
}

/// How much there is of a deploy that nobody kills.
struct Whole {
    events: u64,
    milliseconds: u64,
}

impl Whole {
    #[track_caller]
    fn deploy(project: &Project) -> Self {
        let began = Instant::now();
        let ran = project.run(&["deploy"]).expect_success();
        Self { events: ran.events.len() as u64, milliseconds: began.elapsed().as_millis() as u64 }
    }
}

#[test]
fn deploys_killed_at_any_moment_are_each_made_good_by_the_next() {
    let mut random = Random::seeded();
    let project = Project::fixture("small", "luck-test");
    project.write("secrets.yaml", "TOKEN: first\n");
    project.run(&["deploy"]).expect_success();
    let daemon = Daemon::of(&project);
    let change = |word: &str| {
        project.write("app/page.html", &format!("page {word}\n"));
        project.write("values.yaml", &format!("greeting: hello {word}\n"));
        project.write("secrets.yaml", &format!("TOKEN: token-{word}\n"));
    };
    change("before");
    let whole = Whole::deploy(&project);
    for round in 1..=rounds(6, 20) {
        let word = format!("{round}-{}", random.below(1_000_000));
        change(&word);
        kill(&project, &mut random, round, &whole);

        project.run(&["deploy"]).expect_success();
        project.cluster.until_none_is_leaving();
        let ask = "import os; print(open('/page.html').read(), os.environ['GREETING'], os.environ['TOKEN'], sep='; ')";
        let said = project.cluster.kubectl(&["exec", "deployment/small", "--", "python3", "-c", ask]);
        assert_eq!(said.trim(), format!("page {word}\n; hello {word}; token-{word}"));
        project.run(&["deploy"]).expect_all_fresh();

        let (built, objects) = (daemon.image_of(&project, "small"), project.cluster.objects());
        project.run(&["deploy", "--force"]).expect_success();
        assert_eq!(daemon.image_of(&project, "small"), built, "to build it again makes the same");
        project.cluster.expect_objects(&objects);
    }
    project.run(&["teardown", "--data"]).expect_success();
}

#[test]
fn a_deploy_of_the_application_killed_at_any_moment_is_made_good_by_the_next() {
    let mut random = Random::seeded();
    let project = Project::deployed();
    let daemon = Daemon::of(&project);
    Marker::new("before").write_into(&project);
    let whole = Whole::deploy(&project);
    for round in 1..=rounds(2, 20) {
        let marker = Marker::new(&format!("{round}-{}", random.below(1_000_000)));
        marker.write_into(&project);
        kill(&project, &mut random, round, &whole);

        project.run(&["deploy"]).expect_success();
        marker.expect_answered(&project);
        project.run(&["deploy"]).expect_all_fresh();

        let images = || ["backend", "frontend"].map(|component| daemon.image(&project, component));
        let (built, objects) = (images(), project.cluster.objects());
        project.run(&["deploy", "--force"]).expect_success();
        assert_eq!(images(), built, "to build all of it again makes the same");
        project.cluster.expect_objects(&objects);
    }
}

#[test]
fn a_first_deploy_killed_at_any_moment_is_made_good_by_the_next() {
    let mut random = Random::seeded();
    let project = Project::deployed();
    project.run(&["teardown", "--data"]).expect_success();
    let whole = Whole::deploy(&project);
    for round in 1..=rounds(1, 6) {
        let marker = Marker::new(&format!("first-{round}"));
        marker.write_into(&project);
        project.run(&["teardown", "--data"]).expect_success();
        kill(&project, &mut random, round, &whole);
        project.run(&["deploy"]).expect_success();
        marker.expect_answered(&project);
        project.run(&["deploy"]).expect_all_fresh();
    }
}
